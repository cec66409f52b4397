//! The measurements of files on the bare io_uring; `storage` says what they are.
//!
//! What completes together is submitted together, but for reads past the cache: each of these is
//! submitted by itself, so that the disk begins while the next is prepared. At 32 of them at a time
//! that takes 0.82 of the time, at 128 it takes 0.95.

use std::cell::RefCell;
use std::io;
use std::os::fd::AsRawFd;
use std::rc::Rc;
use tigereye_peers::storage::{self, Appends, BLOCK, Reads, Work};
use tigereye_peers::sys::arena::Arena;
use tigereye_peers::sys::ring::{self, Port};

const BY: &str = "io_uring";

/// How many bytes an operation was about.
fn count(result: i32) -> io::Result<u32> {
    u32::try_from(result).map_err(|_| io::Error::from_raw_os_error(-result))
}

/// The next result; a wait may end without one.
fn one(port: &mut Port<'_>) -> io::Result<u32> {
    loop {
        port.enter(1)?;
        if let Some(completion) = port.next() {
            return count(completion.result);
        }
    }
}

fn reads(work: &Work, direct: bool, depth: u32, reads: &Reads) -> io::Result<()> {
    let file = work.open(direct)?;
    let fd = file.as_raw_fd();
    let mut ring = ring::build(256)?;
    let mut port = Port::new(&mut ring, Arena::new(depth, BLOCK), 0)?;
    let mut offsets: Vec<u64> = (0..depth).map(|_| reads.next_offset()).collect();
    for (slot, offset) in (0..depth).zip(&offsets) {
        port.read_at(fd, slot, *offset, u64::from(slot));
    }
    let at_once = direct && depth > 1;
    let mut under_way = depth;
    while under_way > 0 {
        port.enter(1)?;
        while let Some(completion) = port.next() {
            let slot = completion.tag as u32;
            let offset = &mut offsets[slot as usize];
            if reads.done(*offset, port.arena().bytes(slot, count(completion.result)?))? {
                *offset = reads.next_offset();
                port.read_at(fd, slot, *offset, completion.tag);
                if at_once {
                    port.enter(0)?;
                }
            } else {
                under_way -= 1;
            }
        }
    }
    Ok(())
}

fn appends(work: &Work, appends: &RefCell<Appends>) -> io::Result<()> {
    let log = work.create_log()?;
    let fd = log.as_raw_fd();
    let mut ring = ring::build(8)?;
    let mut port = Port::new(&mut ring, Arena::new(1, BLOCK), 0)?;
    loop {
        let offset = appends.borrow().next(port.arena_mut().bytes_mut(0));
        port.write_at(fd, 0, offset, 0);
        one(&mut port)?;
        port.sync_data(fd, 0);
        one(&mut port)?;
        if !appends.borrow_mut().done() {
            return Ok(());
        }
    }
}

fn main() -> io::Result<()> {
    let work = Work::alone();
    let read = |direct, depth, shared: Rc<Reads>| reads(&work, direct, depth, &shared);
    storage::reads(&work, BY, read)?;
    storage::appends(&work, BY, |shared| appends(&work, &shared))
}
