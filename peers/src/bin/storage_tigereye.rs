//! The measurements of files on tigereye; `storage` says what they are. `--driver NAME` forces one
//! of its drivers, `--threads N` its pool's threads, `--register file` registers the file that is read, `--register all` the buffers too.

use std::cell::{Cell, RefCell};
use std::io;
use std::path::Path;
use std::rc::Rc;
use tigereye::{
    AlignedBuf, AsSource, BufferPool, Builder, DirectIo, DriverKind, File, Io, OpenOptions,
    PoolBuf, Source,
};
use tigereye_peers::args::{Args, fail};
use tigereye_peers::driver;
use tigereye_peers::storage::{self, Appends, BLOCK, Reads, Work};

/// The file of a figure's reads, and how the first error gets out of a callback.
struct Reading {
    file: File,
    reads: Rc<Reads>,
    error: Cell<Option<io::Error>>,
}

/// One of them.
struct Reader {
    reading: Rc<Reading>,
    offset: u64,
}

impl AsSource for Reader {
    fn as_source(&self) -> &Source {
        self.reading.file.as_source()
    }
}

impl Reader {
    fn start(mut self, io: &Io, mut buf: PoolBuf) {
        buf.truncate(0);
        self.offset = self.reading.reads.next_offset();
        let offset = self.offset;
        io.read_at(self, buf, offset, |reader, io, buf, result| {
            match result.and_then(|_| reader.reading.reads.done(reader.offset, &buf)) {
                Ok(true) => reader.start(io, buf),
                Ok(false) => {}
                Err(error) => reader.reading.error.set(Some(error)),
            }
        });
    }
}

/// How tigereye is used.
struct How {
    builder: Builder,
    register_file: bool,
    register_buffers: bool,
}

impl How {
    fn build(&self) -> io::Result<Io> {
        self.builder.clone().build()
    }
}

/// Opens the file by the loop: so it knows what goes past the cache.
fn open(io: &Io, work: &Work, direct: bool) -> io::Result<File> {
    let opened = Rc::new(Cell::new(None));
    let put = Rc::clone(&opened);
    let direct = if direct { DirectIo::Required } else { DirectIo::Off };
    let options = OpenOptions::new().read(true).direct(direct);
    io.open((), Path::new(&work.file), &options, move |(), _io, file| put.set(Some(file)));
    io.run()?;
    opened.take().unwrap_or_else(|| Err(io::ErrorKind::NotFound.into()))
}

fn reads(how: &How, work: &Work, direct: bool, depth: u32, reads: Rc<Reads>) -> io::Result<()> {
    let io = how.build()?;
    let file = open(&io, work, direct)?;
    if how.register_file && !file.register()? {
        fail("--register: this driver registers no files");
    }
    let pool = BufferPool::aligned(&io, depth as usize, BLOCK as usize)?;
    if how.register_buffers && !pool.register()? {
        fail("--register all: this driver registers no buffers");
    }
    let reading = Rc::new(Reading { file, reads, error: Cell::new(None) });
    while let Some(buf) = pool.take() {
        Reader { reading: Rc::clone(&reading), offset: 0 }.start(&io, buf);
    }
    io.run()?;
    reading.error.take().map_or(Ok(()), Err)
}

/// A file that is appended to.
struct Log {
    file: File,
    appends: Rc<RefCell<Appends>>,
}

impl AsSource for Log {
    fn as_source(&self) -> &Source {
        self.file.as_source()
    }
}

impl Log {
    fn append(self, io: &Io, mut buf: AlignedBuf) {
        let offset = self.appends.borrow().next(&mut buf);
        io.write_all_at(self, buf, offset, |log, io, buf, result| {
            result.expect("the log is written");
            io.sync_data(log, |log, io, result| {
                result.expect("the log is synced");
                let goes_on = log.appends.borrow_mut().done();
                if goes_on {
                    log.append(io, buf);
                }
            });
        });
    }
}

fn appends(how: &How, work: &Work, appends: Rc<RefCell<Appends>>) -> io::Result<()> {
    let io = how.build()?;
    let file = File::from_std(&io, work.create_log()?);
    let mut buf = AlignedBuf::with_capacity(BLOCK as usize)?;
    buf.extend_from_slice(&[0; BLOCK as usize]);
    Log { file, appends }.append(&io, buf);
    io.run()
}

fn main() -> io::Result<()> {
    let mut args = Args::from_env();
    let work = Work::from_args(&mut args);
    let mut builder = driver::builder(&mut args);
    if let Some(threads) = args.take("threads") {
        builder = builder.pool_threads(threads);
    }
    let register: String = args.get("register", "nothing".to_owned());
    let (register_file, register_buffers) = (register != "nothing", register == "all");
    args.finish();
    let by = match builder.clone().build()?.driver().kind {
        DriverKind::Uring if register_buffers => "tigereye registered buffers",
        DriverKind::Uring if register_file => "tigereye registered",
        DriverKind::Uring => "tigereye",
        DriverKind::Readiness => "tigereye on readiness",
        _ => "tigereye on another driver",
    };
    let how = How { builder, register_file, register_buffers };
    let read = |direct, depth, shared| reads(&how, &work, direct, depth, shared);
    storage::reads(&work, by, read)?;
    if register_file {
        // What is appended to is new each time.
        return Ok(());
    }
    storage::appends(&work, by, |shared| appends(&how, &work, shared))
}
