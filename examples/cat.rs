//! Copies files to standard output: `cargo run --release --example cat FILE…`.
//!
//! Several reads of a file are under way at once, and what they bring is written in order:
//!
//! ```text
//!  block   0   1   2   3     read in any order
//!          │   │   │   │
//!          ▼   ▼   ▼   ▼
//!          written one after another
//!          │
//!          └──▶ its buffer reads block 4
//! ```
//!
//! It reads at offsets, so it copies what has them: files and disks.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::process::ExitCode;
use std::rc::Rc;

use tigereye::{AsSource, Descriptor, File, Io, OpenOptions, Source};

const BLOCK: usize = 128 * 1024;
/// Blocks that are being read, or wait to be written.
const AT_ONCE: u64 = 4;

/// How it ended; shared with who waits for it.
type Outcome = Rc<RefCell<io::Result<()>>>;

struct Copy {
    file: File,
    stdout: Rc<Descriptor>,
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

/// The other end of a copy.
struct Output(Rc<Copy>);

impl AsSource for Output {
    fn as_source(&self) -> &Source {
        self.0.stdout.as_source()
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
    io.write_all(Output(copy), buf, |Output(copy), io, buf, result| match result {
        Ok(()) => written(io, copy, buf),
        Err(error) => copy.fail(error),
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

fn cat(io: &Io, path: &Path, stdout: &Rc<Descriptor>) -> io::Result<()> {
    let outcome: Outcome = Rc::new(RefCell::new(Ok(())));
    let options = OpenOptions::new().read(true);
    let context = (Rc::clone(&outcome), Rc::clone(stdout));
    io.open(context, path, &options, |(outcome, stdout), io, file| match file {
        Ok(file) => {
            let copy = Rc::new(Copy { file, stdout, state: RefCell::default(), outcome });
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
    let begin = || -> io::Result<_> {
        let io = Io::new()?;
        let stdout = Rc::new(tigereye::stdout(&io)?);
        Ok((io, stdout))
    };
    let (io, stdout) = match begin() {
        Ok(begun) => begun,
        Err(error) => {
            eprintln!("cat: {error}");
            return ExitCode::FAILURE;
        }
    };
    let mut code = ExitCode::SUCCESS;
    for path in std::env::args_os().skip(1) {
        let path = Path::new(&path);
        if let Err(error) = cat(&io, path, &stdout) {
            eprintln!("cat: {}: {error}", path.display());
            code = ExitCode::FAILURE;
        }
    }
    code
}
