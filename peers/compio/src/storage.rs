//! The measurements of files on compio; `storage` of the peers says what they are.
//!
//! A task and a buffer a read, `read_at` on the ring that its server has.

use compio::buf::{BufResult, IntoInner, IoBuf};
use compio::driver::ProactorBuilder;
use compio::fs::{File, OpenOptions};
use compio::io::{AsyncReadAt, AsyncWriteAtExt};
use compio::runtime::{Runtime, RuntimeBuilder};
use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use tigereye_peers::buffer::Buffer;
use tigereye_peers::storage::{self, Appends, BLOCK, Reads, Work};

const BY: &str = "compio";

fn runtime() -> io::Result<Runtime> {
    let mut ring = ProactorBuilder::new();
    ring.single_issuer(true).coop_taskrun(true).defer_taskrun(true);
    RuntimeBuilder::new().with_proactor(ring).build()
}

async fn read(file: File, reads: Rc<Reads>) -> io::Result<()> {
    let (mut bytes, start) = Buffer::on_page(BLOCK as usize).into_parts();
    let end = bytes.len();
    loop {
        let offset = reads.next_offset();
        bytes.truncate(start);
        let BufResult(result, filled) = file.read_at(bytes.slice(start..end), offset).await;
        let len = result?;
        bytes = filled.into_inner();
        if !reads.done(offset, &bytes[start..start + len])? {
            return Ok(());
        }
    }
}

async fn append(mut file: File, appends: Rc<RefCell<Appends>>) -> io::Result<()> {
    let mut block = vec![0; BLOCK as usize];
    loop {
        let offset = appends.borrow().next(&mut block);
        let BufResult(result, written) = file.write_all_at(block, offset).await;
        result?;
        file.sync_data().await?;
        block = written;
        if !appends.borrow_mut().done() {
            return Ok(());
        }
    }
}

fn main() -> io::Result<()> {
    let work = Work::alone();
    storage::reads(&work, BY, |direct, depth, reads| {
        runtime()?.block_on(async {
            let mut options = OpenOptions::new();
            options.read(true).custom_flags(storage::flags(direct));
            let file = options.open(&work.file).await?;
            let start = |_| compio::runtime::spawn(read(file.clone(), Rc::clone(&reads)));
            let started: Vec<_> = (0..depth).map(start).collect();
            for task in started {
                task.await.expect("no task panics")?;
            }
            Ok(())
        })
    })?;
    storage::appends(&work, BY, |appends| {
        runtime()?.block_on(async { append(File::create(&work.log).await?, appends).await })
    })
}
