//! Data files: made whole, locked, of their size; and what TigerBeetle's own tests do with files.

use std::cell::RefCell;
use std::io::{Error, ErrorKind, Result};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use tigereye::{
    AlignedBuf, DataFile, DataFileOptions, DirectIo, Directory, Io, OpenOptions, is_cancelled,
};

use crate::disk::{self as fs, Scratch};
use crate::{HANG, Log, finish, pattern};

const SIZE: u64 = 1 << 20;

fn existing() -> DataFileOptions {
    DataFileOptions::new(SIZE)
}

fn try_open(io: &Io, path: &Path, options: &DataFileOptions) -> Result<DataFile> {
    let log = Log::new();
    io.open_data_file(log.clone(), path, options, |log, _io, result| log.put(result));
    finish(io);
    log.one()
}

/// As [`try_open`], again while the lock is held: other tests start programs, which have all files
/// of this one open for a moment.
#[track_caller]
fn open_when_free(io: &Io, path: &Path, options: &DataFileOptions) -> Result<DataFile> {
    let begin = std::time::Instant::now();
    loop {
        match try_open(io, path, options) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                assert!(begin.elapsed() < HANG, "it is never free");
            }
            result => return result,
        }
    }
}

#[track_caller]
fn open(io: &Io, path: &Path, options: &DataFileOptions) -> Rc<DataFile> {
    Rc::new(open_when_free(io, path, options).unwrap())
}

#[track_caller]
fn fails(io: &Io, path: &Path, options: &DataFileOptions, kind: ErrorKind) -> Error {
    let error = match kind {
        ErrorKind::WouldBlock => try_open(io, path, options).unwrap_err(),
        _ => open_when_free(io, path, options).unwrap_err(),
    };
    assert_eq!(error.kind(), kind, "{error}");
    error
}

#[track_caller]
fn close(io: &Io, file: Rc<DataFile>) {
    let log = Log::new();
    let put = log.clone();
    io.close(file, move |_file, _io, result| put.put(result));
    finish(io);
    log.one().unwrap();
}

#[test]
fn p53_a_new_file_is_whole_reserved_and_private() {
    let (io, scratch) = (Io::new().unwrap(), Scratch::new());
    let path = scratch.join("data");
    for (options, is_new) in [(existing().create_new(true), true), (existing(), false)] {
        let file = open(&io, &path, &options);
        assert_eq!((file.size(), file.is_new(), file.direct_alignment()), (SIZE, is_new, None));
        let metadata = fs::metadata(&path).unwrap();
        assert_eq!(metadata.len(), SIZE);
        // Who may read it is for its directory to say on Windows.
        assert!(metadata.mode() & 0o077 == 0 || cfg!(windows));
        assert!(metadata.blocks() * 512 >= SIZE, "a full disk is not to fail a later write");
        assert!(fs::read(&path).unwrap().iter().all(|byte| *byte == 0));
        close(&io, file);
    }
    fails(&io, &path, &existing().create_new(true), ErrorKind::AlreadyExists);
    let file = open(&io, &path, &existing().create(true));
    assert!(!file.is_new(), "made where it does not exist");
    drop(file);
    #[cfg(unix)]
    {
        let other = open(&io, &scratch.join("other"), &existing().create(true).mode(0o640));
        assert!(other.is_new());
        assert_eq!(fs::metadata(scratch.join("other")).unwrap().mode() & 0o137, 0);
    }
}

#[test]
fn p54_a_second_open_would_block_whoever_makes_it() {
    let (io, scratch) = (Io::new().unwrap(), Scratch::new());
    let path = scratch.join("data");
    let file = open(&io, &path, &existing().create(true));
    let other = Io::new().unwrap();
    for io in [&io, &other] {
        let error = fails(io, &path, &existing(), ErrorKind::WouldBlock);
        assert_eq!(error.to_string(), "another open of the data file has its lock");
        fails(io, &path, &existing().create(true), ErrorKind::WouldBlock);
    }
    // What fcntl(2)'s locks do not survive: another descriptor of the file is closed.
    drop(fs::read(&path).unwrap());
    fails(&io, &path, &existing(), ErrorKind::WouldBlock);
    drop(file);
    close(&other, open(&other, &path, &existing()));
    drop(open(&io, &path, &existing()));
}

#[test]
fn p54_who_finds_a_lock_leaves_the_file_alone() {
    let (io, scratch) = (Io::new().unwrap(), Scratch::new());
    let path = scratch.file("data", b"");
    #[cfg(unix)]
    let locked = std::fs::File::open(&path).unwrap();
    #[cfg(unix)]
    rustix::fs::flock(&locked, rustix::fs::FlockOperation::LockExclusive).unwrap();
    // To be open for writing is to have the lock on Windows.
    #[cfg(windows)]
    let locked = std::fs::File::options().write(true).open(&path).unwrap();
    fails(&io, &path, &existing().create(true), ErrorKind::WouldBlock);
    assert_eq!(fs::metadata(&path).unwrap().len(), 0);
    drop(locked);
    assert!(open(&io, &path, &existing().create(true)).is_new(), "an empty one is made");
}

#[test]
fn a_size_that_is_not_what_was_said_is_an_error() {
    let (io, scratch) = (Io::new().unwrap(), Scratch::new());
    let path = scratch.file("data", &pattern(1000));
    let error = fails(&io, &path, &existing(), ErrorKind::InvalidData);
    assert_eq!(error.to_string(), "the file has 1000 bytes, and not 1048576");
    fails(&io, &path, &existing().create(true).allow_larger(true), ErrorKind::InvalidData);
    fails(&io, &path, &DataFileOptions::new(999), ErrorKind::InvalidData);
    let file = open(&io, &path, &DataFileOptions::new(999).allow_larger(true));
    assert_eq!((file.size(), file.is_new()), (1000, false));
    assert_eq!(fs::read(&path).unwrap(), pattern(1000), "it was left alone");
    fails(&io, &scratch.file("empty", b""), &existing(), ErrorKind::InvalidData);
    for size in [0, 1 << 63, u64::MAX] {
        let path = scratch.join("none");
        fails(&io, &path, &DataFileOptions::new(size).create(true), ErrorKind::InvalidInput);
        assert!(!fs::exists(&path));
    }
}

#[test]
fn p57_what_cannot_be_a_data_file() {
    let (io, scratch) = (Io::new().unwrap(), Scratch::new());
    fails(&io, &scratch.join("none"), &existing(), ErrorKind::NotFound);
    fails(&io, Path::new("a\0b"), &existing(), ErrorKind::InvalidInput);
    fails(&io, Path::new(""), &existing().create(true), ErrorKind::NotFound);
    fails(&io, scratch.path(), &existing(), ErrorKind::IsADirectory);
    #[cfg(unix)]
    let socket = scratch.join("socket");
    #[cfg(unix)]
    let _bound = std::os::unix::net::UnixDatagram::bind(&socket).unwrap();
    #[cfg(unix)]
    fails(&io, &socket, &existing().create(true), ErrorKind::InvalidInput);
    let null = if cfg!(windows) { "NUL" } else { "/dev/null" };
    fails(&io, Path::new(null), &existing(), ErrorKind::InvalidInput);
    let below = scratch.join("none").join("below");
    fails(&io, &below, &existing().create(true), ErrorKind::NotFound);
    if !fs::has_symlinks() {
        return;
    }
    let dangling = scratch.join("dangling");
    fs::symlink("nowhere", &dangling).unwrap();
    fails(&io, &dangling, &existing(), ErrorKind::NotFound);
    // Windows makes what it leads to.
    if !cfg!(windows) {
        fails(&io, &dangling, &existing().create(true), ErrorKind::AlreadyExists);
    }
    fs::symlink("data", scratch.join("link")).unwrap();
    drop(open(&io, &scratch.join("data"), &existing().create(true)));
    drop(open(&io, &scratch.join("link"), &existing()));
}

#[test]
fn p52_direct_transfers_are_optional_or_required_or_none() {
    let (io, scratch) = (Io::new().unwrap(), Scratch::new());
    let required = existing().create(true).direct(DirectIo::Required);
    let path = scratch.join("data");
    let direct = match try_open(&io, &path, &required) {
        Ok(file) => file.direct_alignment(),
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
            assert!(!fs::exists(&path), "what could not be made whole is gone");
            eprintln!("SKIPPED: no Direct I/O in {}", path.display());
            None
        }
    };
    let file = open(&io, &path, &existing().create(true).direct(DirectIo::Optional));
    assert_eq!(file.direct_alignment(), direct);
    let log = Log::new();
    let put = log.clone();
    let mut buf = AlignedBuf::with_capacity(8192).unwrap();
    buf.extend_from_slice(&pattern(8192));
    io.write_all_at(file, buf, 4096, move |file, io, mut buf, result| {
        result.unwrap();
        buf.clear();
        io.read_exact_at(file, buf, 8192, 4096, move |_file, _io, buf, result| {
            result.unwrap();
            put.put(buf[..] == pattern(8192)[..]);
        });
    });
    finish(&io);
    assert!(log.one());
    if let Some(direct) = direct.filter(|direct| direct.offset > 1) {
        let odd = DataFileOptions::new(SIZE + 1).create(true).direct(DirectIo::Optional);
        let path = scratch.join("odd");
        let error = fails(&io, &path, &odd, ErrorKind::InvalidInput);
        let block = direct.offset;
        let expected = format!("the size must be a multiple of {block} for Direct I/O");
        assert_eq!(error.to_string(), expected);
        assert!(!fs::exists(&path), "what could not be made whole is gone");
        let empty = scratch.file("empty", b"");
        fails(&io, &empty, &odd, ErrorKind::InvalidInput);
        assert_eq!(fs::metadata(&empty).unwrap().len(), 0, "it was there before");
    }
}

#[test]
fn a_data_files_path_starts_at_its_directory() {
    let (io, scratch) = (Io::new().unwrap(), Scratch::new());
    let log = Log::new();
    io.open_directory(log.clone(), scratch.path(), |log, _io, result| log.put(result));
    finish(&io);
    let place: Directory = log.one().unwrap();
    let log = Log::new();
    fs::create_dir(scratch.join("below")).unwrap();
    for path in ["data", "below/data"] {
        let options = existing().create(true);
        io.open_data_file(log.clone(), place.at(path), &options, |log, _io, result| {
            log.put(result.map(|file| file.is_new()));
        });
    }
    finish(&io);
    for result in log.take() {
        assert!(result.unwrap());
    }
    assert!(fs::exists(scratch.join("data")) && fs::exists(scratch.join("below/data")));
}

#[test]
fn p59_p75_an_open_that_waits_for_the_pool_is_cancelled_and_makes_nothing() {
    let scratch = Scratch::new();
    let (io, release) = crate::files::stuck();
    let log = Log::new();
    for way in ["cancelled", "timed out", "done"] {
        let put = log.clone();
        let path = scratch.join(way);
        let op = io.open_data_file((), &path, &existing().create(true), move |(), _io, result| {
            put.put((
                way,
                match result {
                    Ok(file) if file.is_new() => "done",
                    Err(error) if is_cancelled(&error) => "cancelled",
                    Err(error) if error.kind() == ErrorKind::TimedOut => "timed out",
                    other => panic!("{other:?}"),
                },
            ));
        });
        match way {
            "cancelled" => io.cancel(op),
            "timed out" => io.deadline(op, Duration::ZERO),
            _ => {}
        }
    }
    while log.len() < 2 {
        io.run_once().unwrap();
    }
    assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 0);
    drop(release);
    finish(&io);
    for (way, outcome) in log.take() {
        assert_eq!((fs::exists(scratch.join(way)), outcome), (way == "done", way));
    }
}

#[test]
fn p22_rule7_a_data_file_that_nobody_took_is_closed_and_free() {
    let scratch = Scratch::new();
    let options = existing().create(true);
    for turn in 0..30 {
        let (io, path) = (Io::new().unwrap(), scratch.join(&format!("data-{turn}")));
        let op = io.open_data_file((), &path, &options, |(), _io, _result| {});
        match turn % 3 {
            0 => {}
            1 => io.cancel(op),
            _ => io.poll().unwrap(),
        }
        drop(io);
        // The end of a loop does not wait for ever for a call on a slow disk, which closes the file
        // when it is over.
        let io = Io::new().unwrap();
        drop(open(&io, &path, &options));
    }
}

#[test]
fn one_of_many_who_make_it_at_once_has_it() {
    let scratch = Scratch::new();
    let path = scratch.join("data");
    let loops: Vec<_> = (0..8)
        .map(|_| {
            let path = path.clone();
            std::thread::spawn(move || {
                let io = Io::new().unwrap();
                let mut found = 0;
                for _ in 0..50 {
                    match try_open(&io, &path, &existing().create(true)) {
                        Ok(file) => found += u32::from(file.is_new()),
                        Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}"),
                    }
                }
                found
            })
        })
        .collect();
    let made: u32 = loops.into_iter().map(|each| each.join().unwrap()).sum();
    assert_eq!(made, 1, "it is made once, and never seen half made");
}

/// TigerBeetle's "open/write/read/close/statx".
#[test]
fn open_write_read_close_stat() {
    struct Context {
        path: PathBuf,
        log: Log<(usize, usize, u64)>,
    }
    let (io, scratch) = (Io::new().unwrap(), Scratch::new());
    let context = Context { path: scratch.join("file"), log: Log::new() };
    let log = context.log.clone();
    let options = OpenOptions::new().read(true).write(true).create(true).truncate(true);
    let path = context.path.clone();
    io.open(context, &path, &options, |context, io, file| {
        io.write_at(Rc::new(file.unwrap()), [97; 20].to_vec(), 10, |file, io, buf, written| {
            let written = written.unwrap();
            let room = vec![98; 20].into_boxed_slice();
            io.read_at(file, room, 10, move |file, io, room, read| {
                assert_eq!(room[..], buf[..]);
                let read = read.unwrap();
                io.close(file, move |_file, _io, result| {
                    result.unwrap();
                    let len = fs::metadata(&context.path).unwrap().len();
                    context.log.put((written, read, len));
                });
            });
        });
    });
    finish(&io);
    assert_eq!(log.one(), (20, 20, 30));
}

/// As its journal and grid do: many writes at offsets of one data file, each read back when it is
/// written, the next one started by the callback.
#[test]
fn a_chain_of_writes_and_reads_at_offsets() {
    const BLOCK: usize = 4096;
    const BLOCKS: usize = SIZE as usize / BLOCK;
    const CHAINS: usize = 8;

    /// Which place is the chain's next one: all are visited, in no order.
    fn place(step: usize) -> usize {
        step * 37 % BLOCKS
    }

    fn block(at: usize) -> Vec<u8> {
        pattern(BLOCK + at)[at..].to_vec()
    }

    fn go_on(
        io: &Io,
        file: Rc<DataFile>,
        mut buf: AlignedBuf,
        step: usize,
        done: Rc<RefCell<u32>>,
    ) {
        if step >= BLOCKS {
            *done.borrow_mut() += 1;
            return;
        }
        let (at, offset) = (place(step), (place(step) * BLOCK) as u64);
        buf.clear();
        buf.extend_from_slice(&block(at));
        io.write_all_at(file, buf, offset, move |file, io, mut buf, result| {
            result.unwrap();
            buf.clear();
            io.read_exact_at(file, buf, BLOCK, offset, move |file, io, buf, result| {
                result.unwrap();
                assert_eq!(buf[..], block(at)[..]);
                go_on(io, file, buf, step + CHAINS, done);
            });
        });
    }

    let (io, scratch) = (Io::new().unwrap(), Scratch::new());
    let path = scratch.join("data");
    let options = existing().create_new(true).direct(DirectIo::Optional);
    let (file, done) = (open(&io, &path, &options), Rc::new(RefCell::new(0)));
    for first in 0..CHAINS {
        let buf = AlignedBuf::with_capacity(BLOCK).unwrap();
        go_on(&io, Rc::clone(&file), buf, first, Rc::clone(&done));
    }
    finish(&io);
    assert_eq!(*done.borrow(), 8);
    let log = Log::new();
    let put = log.clone();
    io.sync_data(Rc::clone(&file), move |_file, _io, result| put.put(result));
    finish(&io);
    log.one().unwrap();
    close(&io, file);
    let whole: Vec<u8> = (0..BLOCKS).flat_map(block).collect();
    assert_eq!(fs::read(&path).unwrap(), whole);
}

#[test]
fn syncs_of_a_handle_run_in_order_and_one_is_cancelled_alone() {
    let (io, scratch) = (Io::new().unwrap(), Scratch::new());
    let path = scratch.file("file", b"abc");
    let options = OpenOptions::new().write(true);
    let (file, log) = (crate::files::open(&io, &path, &options), Log::new());
    for number in 0..5 {
        let put = log.clone();
        let op = io.sync(Rc::clone(&file), move |_file, _io, result| {
            let cancelled = result.is_err_and(|error| {
                assert!(is_cancelled(&error), "{error}");
                true
            });
            put.put((number, cancelled));
        });
        if number == 3 {
            io.cancel(op);
        }
    }
    finish(&io);
    let log = log.take();
    let done: Vec<_> = log.iter().filter(|entry| !entry.1).map(|entry| entry.0).collect();
    assert_eq!(done, [0, 1, 2, 4]);
    assert!(log.contains(&(3, true)));
}
