//! Copies files to standard output: `cargo run --release --example cat FILE…`.
//!
//! Several reads of a file are under way at once, and what they bring is written in order:
//!
//! ```text
//!  block   0   1   2   3     read in any order
//!          │   │   │   │
//!          ▼   ▼   ▼   ▼
//!          written one after another, on the loop's pool: a pipe may be full, a terminal stopped
//!          │
//!          └──▶ its buffer reads block 4
//! ```
//!
//! It reads at offsets, so it copies what has them: files and disks.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Write};
use std::path::Path;
use std::process::ExitCode;
use std::rc::Rc;

use tigereye::{AsSource, File, Io, OpenOptions, Source};

const BLOCK: usize = 128 * 1024;
/// Blocks that are being read, or wait to be written.
const AT_ONCE: u64 = 4;

/// How it ended; shared with who waits for it.
type Outcome = Rc<RefCell<io::Result<()>>>;

struct Copy {
    file: File,
    state: RefCell<State>,
    outcome: Outcome,
}

#[derive(Default)]
struct State {
    /// Blocks that were read and are not written.
    blocks: BTreeMap<u64, Vec<u8>>,
    /// The block that is to be written next, and whether that is under way.
    next: u64,
    writing: bool,
}

impl AsSource for Copy {
    fn as_source(&self) -> &Source {
        self.file.as_source()
    }
}

/// Reads a block. One that the file ends within is short, and those behind it are empty.
fn read(io: &Io, copy: Rc<Copy>, block: u64, buf: Vec<u8>) {
    let offset = block * BLOCK as u64;
    io.read_exact_at(copy, buf, BLOCK, offset, move |copy, io, buf, result| match result {
        Err(error) if error.kind() != ErrorKind::UnexpectedEof => copy.fail(error),
        _ => {
            copy.state.borrow_mut().blocks.insert(block, buf);
            write_next(io, copy);
        }
    });
}

/// Writes the next block, if it is there and no other is being written.
fn write_next(io: &Io, copy: Rc<Copy>) {
    let buf = {
        let state = &mut *copy.state.borrow_mut();
        if state.writing || copy.outcome.borrow().is_err() {
            return;
        }
        let Some(buf) = state.blocks.remove(&state.next) else { return };
        state.writing = true;
        buf
    };
    let write = move || {
        let mut stdout = io::stdout().lock();
        (stdout.write_all(&buf).and_then(|()| stdout.flush()), buf)
    };
    io.offload(copy, write, |copy, io, result| match result {
        Err(error) | Ok((Err(error), _)) => copy.fail(error),
        Ok((Ok(()), buf)) => written(io, copy, buf),
    });
}

/// Goes on with the buffer of a block that was written; a short block was the last one.
fn written(io: &Io, copy: Rc<Copy>, mut buf: Vec<u8>) {
    if buf.len() < BLOCK {
        return;
    }
    let block = {
        let mut state = copy.state.borrow_mut();
        state.writing = false;
        state.next += 1;
        state.next - 1
    };
    buf.clear();
    read(io, Rc::clone(&copy), block + AT_ONCE, buf);
    write_next(io, copy);
}

impl Copy {
    /// Ends it: what is under way is done, and nothing follows.
    fn fail(&self, error: io::Error) {
        let mut outcome = self.outcome.borrow_mut();
        if outcome.is_ok() {
            *outcome = Err(error);
        }
    }
}

fn cat(io: &Io, path: &Path) -> io::Result<()> {
    let outcome: Outcome = Rc::new(RefCell::new(Ok(())));
    let options = OpenOptions::new().read(true);
    io.open(Rc::clone(&outcome), path, &options, |outcome, io, file| match file {
        Ok(file) => {
            let copy = Rc::new(Copy { file, state: RefCell::default(), outcome });
            for block in 0..AT_ONCE {
                read(io, Rc::clone(&copy), block, Vec::with_capacity(BLOCK));
            }
        }
        Err(error) => *outcome.borrow_mut() = Err(error),
    });
    io.run()?;
    outcome.replace(Ok(()))
}

fn main() -> ExitCode {
    let io = match Io::new() {
        Ok(io) => io,
        Err(error) => {
            eprintln!("cat: {error}");
            return ExitCode::FAILURE;
        }
    };
    let mut code = ExitCode::SUCCESS;
    for path in std::env::args_os().skip(1) {
        let path = Path::new(&path);
        if let Err(error) = cat(&io, path) {
            eprintln!("cat: {}: {error}", path.display());
            code = ExitCode::FAILURE;
        }
    }
    code
}
