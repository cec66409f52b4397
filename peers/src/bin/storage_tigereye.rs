//! The measurements of files on tigereye; `storage` says what they are. `--driver NAME` forces one
//! of its drivers, `--register file` registers the file that is read, `--register all` the buffers too.

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
use tigereye_peers::micro::report;
use tigereye_peers::storage::{self, BLOCK, DEPTHS, Meter, Offsets, Work};

/// What the reads of a figure share.
struct Reads {
    file: File,
    offsets: RefCell<Offsets>,
    meter: RefCell<Meter>,
    error: Cell<Option<io::Error>>,
}

/// One of them.
struct Reader(Rc<Reads>);

impl AsSource for Reader {
    fn as_source(&self) -> &Source {
        self.0.file.as_source()
    }
}

impl Reader {
    fn start(self, io: &Io, mut buf: PoolBuf) {
        buf.truncate(0);
        let offset = self.0.offsets.borrow_mut().next_offset();
        io.read_at(self, buf, offset, |reader, io, buf, result| match result {
            Ok(count) if count == BLOCK as usize => {
                if reader.0.meter.borrow_mut().go_on() {
                    reader.start(io, buf);
                }
            }
            Ok(_) => reader.0.error.set(Some(io::ErrorKind::UnexpectedEof.into())),
            Err(error) => reader.0.error.set(Some(error)),
        });
    }
}

/// How tigereye is used.
struct How {
    builder: Builder,
    by: &'static str,
    register_file: bool,
    register_buffers: bool,
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

fn reads(how: &How, work: &Work, direct: bool, depth: u32) -> io::Result<()> {
    let io = how.builder.clone().build()?;
    let (_file, blocks) = work.open(direct)?;
    let reads = Rc::new(Reads {
        file: open(&io, work, direct)?,
        offsets: RefCell::new(Offsets::new(blocks)),
        meter: RefCell::new(Meter::new(work.time)),
        error: Cell::new(None),
    });
    if how.register_file && !reads.file.register()? {
        fail("--register: this driver registers no files");
    }
    let pool = BufferPool::aligned(&io, depth as usize, BLOCK as usize)?;
    if how.register_buffers && !pool.register()? {
        fail("--register all: this driver registers no buffers");
    }
    while let Some(buf) = pool.take() {
        Reader(Rc::clone(&reads)).start(&io, buf);
    }
    io.run()?;
    report(&storage::read_name(direct, depth), how.by, reads.meter.borrow().ns());
    reads.error.take().map_or(Ok(()), Err)
}

/// A file that is appended to.
struct Log {
    file: File,
    offset: u64,
    meter: Meter,
    by: &'static str,
}

impl AsSource for Log {
    fn as_source(&self) -> &Source {
        self.file.as_source()
    }
}

impl Log {
    fn append(self, io: &Io, buf: AlignedBuf) {
        let offset = self.offset;
        io.write_all_at(self, buf, offset, |log, io, buf, result| {
            result.expect("the log is written");
            io.sync_data(log, |mut log, io, result| {
                result.expect("the log is synced");
                log.offset += u64::from(BLOCK);
                if log.meter.go_on() {
                    log.append(io, buf);
                } else {
                    report(storage::APPEND, log.by, log.meter.ns());
                }
            });
        });
    }
}

fn appends(how: &How, work: &Work) -> io::Result<()> {
    let io = how.builder.clone().build()?;
    let file = File::from_std(&io, work.create_log()?);
    let mut buf = AlignedBuf::with_capacity(BLOCK as usize)?;
    buf.extend_from_slice(&[b'x'; BLOCK as usize]);
    Log { file, offset: 0, meter: Meter::new(work.time), by: how.by }.append(&io, buf);
    io.run()
}

fn main() -> io::Result<()> {
    let mut args = Args::from_env();
    let work = Work::from_args(&mut args);
    let builder = driver::builder(&mut args);
    let register: String = args.get("register", "nothing".to_owned());
    let (register_file, register_buffers) = (register != "nothing", register == "all");
    args.finish();
    let by = match builder.clone().build()?.driver().kind {
        DriverKind::Uring if register_buffers => "tigereye, registered buffers",
        DriverKind::Uring if register_file => "tigereye, registered",
        DriverKind::Uring => "tigereye",
        DriverKind::Readiness => "tigereye on readiness",
        _ => "tigereye on another driver",
    };
    let how = How { builder, by, register_file, register_buffers };
    for direct in [false, true] {
        for depth in DEPTHS {
            reads(&how, &work, direct, depth)?;
        }
    }
    if register_file {
        // What is appended to is new each time.
        return Ok(());
    }
    appends(&how, &work)
}
