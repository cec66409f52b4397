//! The measurements of files on tokio-uring; `storage` of the peers says what they are.
//!
//! A task and a buffer a read, `read_at` on the ring that its server has.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use tigereye_peers::buffer::Buffer;
use tigereye_peers::storage::{self, Appends, BLOCK, Reads, Work};
use tokio_uring::buf::BoundedBuf;
use tokio_uring::fs::File;

const BY: &str = "tokio-uring";

fn start<T>(all: impl Future<Output = T>) -> T {
    let mut ring = tokio_uring::uring_builder();
    ring.setup_single_issuer().setup_coop_taskrun();
    tokio_uring::builder().uring_builder(&ring).start(all)
}

async fn read(file: Rc<File>, reads: Rc<Reads>) -> io::Result<()> {
    let (mut bytes, start) = Buffer::on_page(BLOCK as usize).into_parts();
    let end = bytes.len();
    loop {
        let offset = reads.next_offset();
        let (result, filled) = file.read_at(bytes.slice(start..end), offset).await;
        let len = result?;
        bytes = filled.into_inner();
        if !reads.done(offset, &bytes[start..start + len])? {
            return Ok(());
        }
    }
}

async fn append(file: File, appends: Rc<RefCell<Appends>>) -> io::Result<()> {
    let mut block = vec![0; BLOCK as usize];
    loop {
        let offset = appends.borrow().next(&mut block);
        let (result, written) = file.write_all_at(block, offset).await;
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
        let file = work.open(direct)?;
        start(async {
            let file = Rc::new(File::from_std(file));
            let start = |_| tokio_uring::spawn(read(Rc::clone(&file), Rc::clone(&reads)));
            let started: Vec<_> = (0..depth).map(start).collect();
            for task in started {
                task.await??;
            }
            Ok(())
        })
    })?;
    storage::appends(&work, BY, |appends| {
        let log = work.create_log()?;
        start(async { append(File::from_std(log), appends).await })
    })
}
