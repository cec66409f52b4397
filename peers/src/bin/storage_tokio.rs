//! The measurements of files on tokio's current-thread runtime; `storage` says what they are.
//!
//! A task a read, which has `spawn_blocking` do `read_exact_at` of std: "Manually use `std::fs` inside
//! `spawn_blocking`" (the documentation of `tokio::fs`, "Tuning your file IO"), which asks for as few
//! of these calls as possible. One a read is the least here, for nobody knows what is read next; a
//! `tokio::fs::File` takes two, to seek and to read, and one user at a time. Appends are one call, too.

use std::cell::RefCell;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::rc::Rc;
use std::sync::Arc;
use tigereye_peers::buffer::Buffer;
use tigereye_peers::storage::{self, Appends, BLOCK, Reads, Work};
use tokio::runtime::{Builder, Runtime};
use tokio::task::{LocalSet, spawn_blocking, spawn_local};

const BY: &str = "tokio";

fn runtime(threads: u32) -> io::Result<Runtime> {
    Builder::new_current_thread().max_blocking_threads(threads as usize).build()
}

async fn read(file: Arc<File>, reads: Rc<Reads>) -> io::Result<()> {
    let mut buf = Buffer::on_page(BLOCK as usize);
    loop {
        let (file, offset) = (Arc::clone(&file), reads.next_offset());
        let call = move || file.read_exact_at(buf.room(), offset).map(|()| buf);
        buf = spawn_blocking(call).await??;
        if !reads.done(offset, buf.room())? {
            return Ok(());
        }
    }
}

async fn append(file: Arc<File>, appends: Rc<RefCell<Appends>>) -> io::Result<()> {
    let mut buf = Buffer::on_page(BLOCK as usize);
    loop {
        let offset = appends.borrow().next(buf.room());
        let file = Arc::clone(&file);
        let call = move || {
            file.write_all_at(buf.room(), offset)?;
            file.sync_data().map(|()| buf)
        };
        buf = spawn_blocking(call).await??;
        if !appends.borrow_mut().done() {
            return Ok(());
        }
    }
}

fn main() -> io::Result<()> {
    let work = Work::alone();
    storage::reads(&work, BY, |direct, depth, reads| {
        let file = Arc::new(work.open(direct)?);
        let start = || spawn_local(read(Arc::clone(&file), Rc::clone(&reads)));
        let all = async {
            let started: Vec<_> = (0..depth).map(|_| start()).collect();
            for task in started {
                task.await??;
            }
            Ok(())
        };
        runtime(storage::pool_threads(direct, depth))?.block_on(LocalSet::new().run_until(all))
    })?;
    storage::appends(&work, BY, |appends| {
        runtime(1)?.block_on(append(Arc::new(work.create_log()?), appends))
    })
}
