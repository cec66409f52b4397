//! Files, paths, and what moves between descriptors.

use std::cell::Cell;
#[cfg(target_os = "linux")]
use std::os::fd::OwnedFd;
use std::path::Path;
use std::rc::Rc;

#[cfg(target_os = "linux")]
use tigereye::Descriptor;
use tigereye::{
    AsSource, BufferPool, DataFile, DataFileOptions, DirectIo, File, Io, OpenOptions, PoolBuf,
    Source,
};

use crate::OPERATIONS;

/// A file that is read from, and opened again and again.
struct Reader {
    file: File,
    calls: Rc<Cell<usize>>,
}

impl AsSource for Reader {
    fn as_source(&self) -> &Source {
        self.file.as_source()
    }
}

impl Reader {
    fn go_on(self, io: &Io, mut buf: Vec<u8>) {
        buf.clear();
        io.read_at(self, buf, 1, |reader, io, buf, result| {
            assert_eq!(result.expect("the file is there"), 64);
            reader.calls.set(reader.calls.get() + 2);
            if reader.calls.get() == OPERATIONS {
                return CONTENTS.set(buf);
            }
            let options = OpenOptions::new().read(true);
            io.open((reader.calls, buf), SOME_FILE, &options, |(calls, buf), io, file| {
                Reader { file: file.expect("it opens"), calls }.go_on(io, buf);
            });
        });
    }
}

/// Longer than its 65 first bytes.
const SOME_FILE: &str = "/proc/self/exe";

thread_local! {
    static CONTENTS: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// The first round leaves its buffer to the second one.
pub(crate) fn reads_and_opens(io: &Io, calls: &Rc<Cell<usize>>) {
    let buf = Some(CONTENTS.take()).filter(|buf| !buf.is_empty());
    let options = OpenOptions::new().read(true);
    let context = (Rc::clone(calls), buf.unwrap_or_else(|| Vec::with_capacity(64)));
    io.open(context, SOME_FILE, &options, |(calls, buf), io, file| {
        Reader { file: file.expect("it opens"), calls }.go_on(io, buf);
    });
}

/// Bytes that go through a pipe, to it and from it in turn.
#[cfg(target_os = "linux")]
struct Pipe {
    ends: [Rc<Descriptor>; 4],
    calls: Rc<Cell<usize>>,
}

#[cfg(target_os = "linux")]
impl Pipe {
    fn go_on(self, io: &Io) {
        let [zeroes, writer, reader, null] = &self.ends;
        let moved = |pipe: Pipe, io: &Io, result: std::io::Result<u64>| {
            assert_eq!(result.expect("it moves"), 1);
            pipe.calls.set(pipe.calls.get() + 1);
            if pipe.calls.get() < OPERATIONS {
                pipe.go_on(io);
            }
        };
        let (from, to) =
            if self.calls.get().is_multiple_of(2) { (zeroes, writer) } else { (reader, null) };
        let (from, to) = (Rc::clone(from), Rc::clone(to));
        io.splice(to, &*from, 1, move |_to, io, result| moved(self, io, result));
    }
}

#[cfg(target_os = "linux")]
pub(crate) fn splices(io: &Io, calls: &Rc<Cell<usize>>) {
    let own = |fd: OwnedFd| Rc::new(Descriptor::new(io, fd));
    let (reader, writer) = std::io::pipe().expect("a pipe");
    let zeroes = std::fs::File::open("/dev/zero").expect("zeroes");
    let null = std::fs::File::options().write(true).open("/dev/null").expect("a sink");
    let ends = [own(zeroes.into()), own(writer.into()), own(reader.into()), own(null.into())];
    Pipe { ends, calls: Rc::clone(calls) }.go_on(io);
}

/// Asks of a file, and tries what its path does not allow; of each of four in turn.
pub(crate) fn paths(io: &Io, calls: &Rc<Cell<usize>>) {
    let calls = Rc::clone(calls);
    let goes_on = |calls: Rc<Cell<usize>>, io: &Io| {
        calls.set(calls.get() + 1);
        if calls.get() < OPERATIONS {
            paths(io, &calls);
        }
    };
    let nowhere = "/proc/nobody/is/here";
    let ended = move |calls, io: &Io, result: std::io::Result<()>| {
        assert!(result.is_err());
        goes_on(calls, io);
    };
    match calls.get() % 4 {
        0 => io.metadata_at(calls, SOME_FILE, true, move |calls, io, result| {
            assert!(result.expect("the file is there").is_file());
            goes_on(calls, io);
        }),
        1 => io.rename(calls, nowhere, nowhere, ended),
        2 => io.remove_file(calls, nowhere, ended),
        _ => io.symlink(calls, nowhere, nowhere, ended),
    };
}

/// A data file that is written past the cache, where it can be, synced now and then, and opened
/// again.
struct Writer {
    file: DataFile,
    path: Rc<Path>,
    calls: Rc<Cell<usize>>,
}

impl AsSource for Writer {
    fn as_source(&self) -> &Source {
        self.file.as_source()
    }
}

thread_local! {
    /// What is written …
    static BLOCK: Cell<Option<PoolBuf>> = const { Cell::new(None) };
    /// … and where to.
    pub(crate) static PATH: Rc<Path> = {
        let name = format!("tigereye-allocations-{}", std::process::id());
        Rc::from(std::env::temp_dir().join(name))
    };
}

impl Writer {
    /// What comes next, by the number of callbacks so far.
    fn go_on(self, io: &Io, buf: PoolBuf) {
        let call = self.calls.get() + 1;
        self.calls.set(call);
        if call == OPERATIONS {
            return BLOCK.set(Some(buf));
        }
        if call.is_multiple_of(1000) {
            let Writer { file, path, calls } = self;
            drop(file);
            return Writer::open(io, path, calls, buf);
        }
        if call.is_multiple_of(200) {
            io.sync_data(self, |writer, io, result| {
                result.expect("the disk works");
                writer.go_on(io, buf);
            });
            return;
        }
        let offset = call as u64 % 16 * 4096;
        io.write_all_at(self, buf, offset, |writer, io, buf, result| {
            result.expect("there is room");
            writer.go_on(io, buf);
        });
    }

    fn open(io: &Io, path: Rc<Path>, calls: Rc<Cell<usize>>, buf: PoolBuf) {
        let options = DataFileOptions::new(1 << 16).create(true).direct(DirectIo::Optional);
        let at = Rc::clone(&path);
        io.open_data_file((path, calls), &*at, &options, |(path, calls), io, file| {
            Writer { file: file.expect("it opens"), path, calls }.go_on(io, buf);
        });
    }
}

/// The first round leaves its buffer and its path to the second one.
pub(crate) fn writes_and_syncs(io: &Io, calls: &Rc<Cell<usize>>) {
    let buf = BLOCK.take().unwrap_or_else(|| {
        let pool = BufferPool::aligned(io, 1, 4096).expect("memory");
        // Where memory can be registered: it makes no difference here.
        let _ = pool.register();
        let mut buf = pool.take().expect("it has one");
        buf.resize_to_capacity();
        buf
    });
    Writer::open(io, PATH.with(Rc::clone), Rc::clone(calls), buf);
}
