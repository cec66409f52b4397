//! The measurements of files on the bare io_uring; `storage` says what they are.

use std::io;
use std::os::fd::AsRawFd;
use tigereye_peers::args::Args;
use tigereye_peers::micro::report;
use tigereye_peers::storage::{self, BLOCK, DEPTHS, Meter, Offsets, Work};
use tigereye_peers::sys::arena::Arena;
use tigereye_peers::sys::ring::{self, Port};

const BY: &str = "io_uring";

/// A result that must be that of a whole block.
fn whole(result: i32, expected: i32) -> io::Result<()> {
    if result == expected {
        return Ok(());
    }
    Err(io::Error::from_raw_os_error(-result.min(-libc::EIO)))
}

/// The next result; a wait may end without one.
fn one(port: &mut Port<'_>) -> io::Result<i32> {
    loop {
        port.enter(1)?;
        if let Some(completion) = port.next() {
            return Ok(completion.result);
        }
    }
}

fn reads(work: &Work, direct: bool, depth: u32) -> io::Result<()> {
    let (file, blocks) = work.open(direct)?;
    let (fd, mut offsets) = (file.as_raw_fd(), Offsets::new(blocks));
    let mut ring = ring::build(256)?;
    let mut port = Port::new(&mut ring, Arena::new(depth, BLOCK), 0)?;
    let mut meter = Meter::new(work.time);
    for slot in 0..depth {
        port.read_at(fd, slot, offsets.next_offset(), u64::from(slot));
    }
    let mut under_way = depth;
    while under_way > 0 {
        port.enter(1)?;
        while let Some(completion) = port.next() {
            whole(completion.result, BLOCK.cast_signed())?;
            if meter.go_on() {
                let slot = completion.tag as u32;
                port.read_at(fd, slot, offsets.next_offset(), completion.tag);
            } else {
                under_way -= 1;
            }
        }
    }
    report(&storage::read_name(direct, depth), BY, meter.ns());
    Ok(())
}

fn appends(work: &Work) -> io::Result<()> {
    let file = work.create_log()?;
    let (fd, mut offset) = (file.as_raw_fd(), 0);
    let mut ring = ring::build(8)?;
    let mut port = Port::new(&mut ring, Arena::new(1, BLOCK), 0)?;
    port.arena_mut().bytes_mut(0).fill(b'x');
    let mut meter = Meter::new(work.time);
    loop {
        port.write_at(fd, 0, offset, 0);
        whole(one(&mut port)?, BLOCK.cast_signed())?;
        port.sync_data(fd, 0);
        whole(one(&mut port)?, 0)?;
        offset += u64::from(BLOCK);
        if !meter.go_on() {
            break;
        }
    }
    report(storage::APPEND, BY, meter.ns());
    Ok(())
}

fn main() -> io::Result<()> {
    let mut args = Args::from_env();
    let work = Work::from_args(&mut args);
    args.finish();
    for direct in [false, true] {
        for depth in DEPTHS {
            reads(&work, direct, depth)?;
        }
    }
    appends(&work)
}
