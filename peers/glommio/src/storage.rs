//! The measurements of files on glommio; `storage` of the peers says what they are.
//!
//! A task a read, with buffers of glommio's: `BufferedFile` for what goes through the cache, and for
//! appends as with the others; `DmaFile` for what goes past it, by its ring that polls the disk where
//! the disk can be polled (glommio tries), by its main ring elsewhere.

use glommio::io::{BufferedFile, DmaFile};
use glommio::{LocalExecutor, LocalExecutorBuilder, Placement, spawn_local};
use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use tigereye_peers::storage::{self, Appends, BLOCK, Reads, Work};
use tigereye_peers::sys::process::{self, Priority};

const BY: &str = "glommio";

fn executor() -> io::Result<LocalExecutor> {
    Ok(LocalExecutorBuilder::new(Placement::Unbound).ring_depth(256).make()?)
}

async fn read_buffered(file: Rc<BufferedFile>, reads: Rc<Reads>) -> io::Result<()> {
    loop {
        let offset = reads.next_offset();
        let block = file.read_at(offset, BLOCK as usize).await?;
        if !reads.done(offset, &block)? {
            return Ok(());
        }
    }
}

async fn read_direct(file: Rc<DmaFile>, reads: Rc<Reads>) -> io::Result<()> {
    loop {
        let offset = reads.next_offset();
        let block = file.read_at_aligned(offset, BLOCK as usize).await?;
        if !reads.done(offset, &block)? {
            return Ok(());
        }
    }
}

/// So many tasks, to their end.
async fn all(depth: u32, task: impl Fn() -> glommio::Task<io::Result<()>>) -> io::Result<()> {
    let started: Vec<_> = (0..depth).map(|_| task()).collect();
    for task in started {
        task.await?;
    }
    Ok(())
}

async fn append(file: BufferedFile, appends: Rc<RefCell<Appends>>) -> io::Result<()> {
    loop {
        // It takes a buffer away for good.
        let mut block = vec![0; BLOCK as usize];
        let offset = appends.borrow().next(&mut block);
        file.write_at(block, offset).await?;
        file.fdatasync().await?;
        if !appends.borrow_mut().done() {
            file.close().await?;
            return Ok(());
        }
    }
}

/// Opens it at no special priority: glommio finds out whether the disk can be polled, and spins until a
/// thread of the kernel has tried. That one would never run on the same core if this one went before
/// everybody else, as the harness has it.
async fn open_direct(path: &str) -> io::Result<DmaFile> {
    let before = process::priority()?;
    process::set_priority(Priority::Ordinary);
    let opened = DmaFile::open(path).await;
    process::set_priority(before);
    Ok(opened?)
}

fn main() -> io::Result<()> {
    let work = Work::alone();
    storage::reads(&work, BY, |direct, depth, reads| {
        executor()?.run(async {
            if direct {
                let file = Rc::new(open_direct(&work.file).await?);
                all(depth, || spawn_local(read_direct(Rc::clone(&file), Rc::clone(&reads))))
                    .await?;
                file.close_rc().await?;
            } else {
                let file = Rc::new(BufferedFile::open(&work.file).await?);
                all(depth, || spawn_local(read_buffered(Rc::clone(&file), Rc::clone(&reads))))
                    .await?;
            }
            Ok(())
        })
    })?;
    // The kernel's threads that sync belong to the thread that asks, and have the priority that it had
    // with its first such call: for this one that was while it opened a file.
    let append = move || {
        storage::appends(&work, BY, |appends| {
            executor()?.run(async { append(BufferedFile::create(&work.log).await?, appends).await })
        })
    };
    std::thread::spawn(append).join().expect("it does not panic")
}
