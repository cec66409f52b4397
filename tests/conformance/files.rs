//! Files: opening them, and reading and writing them at offsets.

use std::cell::Cell;
#[cfg(unix)]
use std::io::Read;
use std::io::{ErrorKind, Write};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use tigereye::{Directory, DriverKind, File, Io, OpenOptions, is_cancelled};

use crate::disk::{self as fs, Scratch};
use crate::{Counted, Log, code, finish, pattern};

pub(crate) fn read_write() -> OpenOptions {
    OpenOptions::new().read(true).write(true)
}

/// Opens what is there.
#[track_caller]
pub(crate) fn open(io: &Io, path: &PathBuf, options: &OpenOptions) -> Rc<File> {
    let log = Log::new();
    io.open(log.clone(), path, options, |log, _io, result| log.put(result));
    finish(io);
    Rc::new(log.one().unwrap())
}

/// What is no file, as one.
#[cfg(unix)]
pub(crate) fn as_file(io: &Io, fd: impl Into<std::os::fd::OwnedFd>) -> Rc<File> {
    Rc::new(File::from_fd(io, fd.into()))
}

#[cfg(windows)]
pub(crate) fn as_file(io: &Io, handle: impl Into<std::os::windows::io::OwnedHandle>) -> Rc<File> {
    Rc::new(File::from_std(io, std::fs::File::from(handle.into())))
}

/// Sockets, as files; and what keeps them alive. On Windows a socket is no handle of a file.
#[cfg(unix)]
pub(crate) fn sockets(io: &Io) -> (Vec<Rc<File>>, Option<std::net::TcpStream>) {
    let (near, far) = crate::real::std_pair();
    (vec![as_file(io, near)], Some(far))
}

#[cfg(windows)]
pub(crate) fn sockets(_io: &Io) -> (Vec<Rc<File>>, Option<std::net::TcpStream>) {
    (Vec::new(), None)
}

/// The error of an open.
#[track_caller]
fn open_error(io: &Io, path: &str, options: &OpenOptions) -> std::io::Error {
    let log = Log::new();
    io.open(log.clone(), path, options, |log, _io, result| log.put(result));
    finish(io);
    log.one().unwrap_err()
}

/// Reads up to `room` bytes.
#[track_caller]
fn read_at(io: &Io, file: &Rc<File>, room: usize, offset: u64) -> std::io::Result<Vec<u8>> {
    let log = Log::new();
    let put = log.clone();
    let buf = vec![0; room].into_boxed_slice();
    io.read_at(Rc::clone(file), buf, offset, move |_file, _io, buf, result| {
        put.put(result.map(|count| buf[..count].to_vec()));
    });
    finish(io);
    log.one()
}

#[track_caller]
fn write_all_at(io: &Io, file: &Rc<File>, bytes: &[u8], offset: u64) -> std::io::Result<()> {
    let log = Log::new();
    let put = log.clone();
    io.write_all_at(Rc::clone(file), bytes.to_vec(), offset, move |_file, _io, _buf, result| {
        put.put(result);
    });
    finish(io);
    log.one()
}

#[test]
fn what_is_written_at_an_offset_is_read_there() {
    let (io, scratch) = (Io::new().unwrap(), Scratch::new());
    let path = scratch.join("file");
    let file = open(&io, &path, &read_write().create_new(true));
    write_all_at(&io, &file, b"hello, world", 3).unwrap();
    assert_eq!(read_at(&io, &file, 5, 10).unwrap(), b"world");
    assert_eq!(fs::read(&path).unwrap(), b"\0\0\0hello, world");
}

#[test]
fn p18_offsets_do_not_move_the_files_own_position() {
    let (io, scratch) = (Io::new().unwrap(), Scratch::new());
    let file = open(&io, &scratch.join("file"), &read_write().create_new(true));
    write_all_at(&io, &file, b"hello, world", 3).unwrap();
    #[cfg(unix)]
    if crate::peer::is_simulated() {
        io.read(file, Vec::with_capacity(16), |_file, _io, all, result| {
            assert_eq!((result.unwrap(), all.len()), (15, 15));
        });
        return finish(&io);
    }
    let file = Rc::into_inner(file).unwrap().into_std();
    if cfg!(windows) {
        // What is open for calls that overlap is nothing for the standard library.
        return assert_eq!(file.unwrap_err().kind(), ErrorKind::Unsupported);
    }
    let mut all = Vec::new();
    std::io::Read::read_to_end(&mut file.unwrap(), &mut all).unwrap();
    assert_eq!(all.len(), 15);
}

#[test]
fn p58_reading_past_the_end_is_zero_and_across_it_is_short() {
    let (io, scratch) = (Io::new().unwrap(), Scratch::new());
    let file = open(&io, &scratch.file("file", b"0123456789"), &read_write());
    assert_eq!(read_at(&io, &file, 8, 6).unwrap(), b"6789");
    assert_eq!(read_at(&io, &file, 8, 10).unwrap(), b"");
    assert_eq!(read_at(&io, &file, 8, 1 << 40).unwrap(), b"");
}

#[test]
fn p58_an_exact_read_says_how_far_it_came() {
    let (io, scratch) = (Io::new().unwrap(), Scratch::new());
    let file = open(&io, &scratch.file("file", &pattern(1000)), &read_write());
    let log = Log::new();
    for (count, offset) in [(600, 400), (601, 400), (0, 5000)] {
        let put = log.clone();
        let buf = Vec::with_capacity(1000);
        io.read_exact_at(Rc::clone(&file), buf, count, offset, move |_file, _io, buf, result| {
            put.put((buf, result));
        });
        finish(&io);
    }
    let [whole, short, empty] = log.take().try_into().unwrap();
    whole.1.unwrap();
    empty.1.unwrap();
    assert_eq!(whole.0, &pattern(1000)[400..]);
    let error = short.1.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
    assert_eq!(error.to_string(), "the file ended after 600 of 601 bytes");
    assert_eq!(short.0, &pattern(1000)[400..], "what came is there");
    // A buffer that does not grow is filled from its start.
    let boxed = vec![0; 10].into_boxed_slice();
    let put = Log::new();
    io.read_exact_at(Rc::clone(&file), boxed, 10, 7, {
        let put = put.clone();
        move |_file, _io, buf, result| put.put((buf, result))
    });
    finish(&io);
    let (buf, result) = put.one();
    result.unwrap();
    assert_eq!(&buf[..], &pattern(1000)[7..17]);
}

#[test]
fn p56_offsets_beyond_what_a_file_has() {
    let (io, scratch) = (Io::new().unwrap(), Scratch::new());
    let file = open(&io, &scratch.file("file", b"x"), &read_write());
    let largest = u64::try_from(i64::MAX).unwrap();
    assert_eq!(read_at(&io, &file, 4, largest).unwrap(), b"");
    assert_eq!(read_at(&io, &file, 4, largest - 1).unwrap(), b"");
    for beyond in [largest + 1, u64::MAX - 1, u64::MAX] {
        let error = read_at(&io, &file, 4, beyond).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{beyond}: {error}");
        let error = write_all_at(&io, &file, b"yz", beyond).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{beyond}: {error}");
    }
    for far in [largest - 1, largest] {
        let error = write_all_at(&io, &file, b"yz", far).unwrap_err();
        // What Windows says depends on the file system.
        let kind = error.kind();
        assert!(kind == ErrorKind::FileTooLarge || cfg!(windows), "{far}: {error}");
    }
    // A file of tmpfs is as long as any offset, and has taken the byte before the largest one.
    assert_eq!(read_at(&io, &file, 1, 0).unwrap(), b"x", "P18: nothing went to its own position");
}

#[test]
fn p55_a_pipe_and_a_socket_have_no_offsets() {
    let io = Io::new().unwrap();
    let (reader, mut writer) = std::io::pipe().unwrap();
    writer.write_all(b"not to be read").unwrap();
    let (reader, writer) = (as_file(&io, reader), as_file(&io, writer));
    let (sockets, _peer) = sockets(&io);
    for offset in [0, 5] {
        for file in sockets.iter().chain([&reader]) {
            let error = read_at(&io, file, 4, offset).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::NotSeekable, "{error}");
        }
        let error = write_all_at(&io, &writer, b"x", offset).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotSeekable, "{error}");
    }
}

#[test]
fn a_descriptors_number_used_again_has_no_past_offsets() {
    let (io, scratch) = (Io::new().unwrap(), Scratch::new());
    let path = scratch.file("file", b"abc");
    for _ in 0..3 {
        let (reader, _writer) = std::io::pipe().unwrap();
        let pipe = as_file(&io, reader);
        assert_eq!(read_at(&io, &pipe, 4, 0).unwrap_err().kind(), ErrorKind::NotSeekable);
        drop(pipe);
        let file = open(&io, &path, &read_write());
        assert_eq!(read_at(&io, &file, 3, 0).unwrap(), b"abc");
    }
}

#[test]
fn p34_no_room_is_an_error_and_an_empty_write_writes_nothing() {
    let (io, scratch) = (Io::new().unwrap(), Scratch::new());
    let path = scratch.file("file", b"abc");
    let file = open(&io, &path, &read_write());
    let error = read_at(&io, &file, 0, 0).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    write_all_at(&io, &file, b"", 1).unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"abc");
}

#[test]
fn a_read_or_write_against_the_grain_of_its_file_is_an_error() {
    let (io, scratch) = (Io::new().unwrap(), Scratch::new());
    let path = scratch.file("file", b"abc");
    let file = open(&io, &path, &OpenOptions::new().read(true));
    let error = write_all_at(&io, &file, b"x", 0).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(code::NOT_OPEN_FOR_IT));
    let file = open(&io, &path, &OpenOptions::new().write(true));
    let error = read_at(&io, &file, 1, 0).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(code::NOT_OPEN_FOR_IT));
}

#[test]
fn options_mean_what_they_mean_in_std() {
    let (io, scratch) = (Io::new().unwrap(), Scratch::new());
    let path = scratch.join("new");
    let name = path.to_str().unwrap();
    let write = || OpenOptions::new().write(true);
    let missing = open_error(&io, name, &write());
    assert_eq!(missing.kind(), ErrorKind::NotFound);
    #[cfg(unix)]
    {
        drop(open(&io, &path, &write().create_new(true).mode(0o640)));
        let mode = fs::metadata(&path).unwrap().mode() & 0o777;
        assert_eq!(mode & !0o640, 0, "no more than was asked for: {mode:o}");
    }
    #[cfg(windows)]
    drop(open(&io, &path, &write().create_new(true)));
    assert_eq!(open_error(&io, name, &write().create_new(true)).kind(), ErrorKind::AlreadyExists);
    fs::write(&path, b"old").unwrap();
    let appends = open(&io, &path, &OpenOptions::new().append(true));
    write_all_at(&io, &appends, b"er", 0).unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"older", "at the end, whatever the offset");
    drop(open(&io, &path, &write().create(true).truncate(true)));
    assert_eq!(fs::read(&path).unwrap(), b"");
    let contradictions = [
        OpenOptions::new(),
        OpenOptions::new().read(true).truncate(true),
        OpenOptions::new().read(true).create(true),
        OpenOptions::new().append(true).truncate(true),
    ];
    for options in contradictions {
        assert_eq!(open_error(&io, name, &options).kind(), ErrorKind::InvalidInput);
    }
}

/// A name that is not ASCII, nor Unicode where a test can have that (windows_files.rs).
pub(crate) fn odd_name() -> std::ffi::OsString {
    #[cfg(unix)]
    return std::os::unix::ffi::OsStringExt::from_vec(b"\xff\xfe".to_vec());
    #[cfg(windows)]
    "Grüße, 世界, 🐅".into()
}

#[test]
fn p57_bad_paths_are_ordinary_errors() {
    let (io, scratch) = (Io::new().unwrap(), Scratch::new());
    let read = OpenOptions::new().read(true);
    assert_eq!(open_error(&io, "", &read).kind(), ErrorKind::NotFound);
    assert_eq!(open_error(&io, "a\0b", &read).kind(), ErrorKind::InvalidInput);
    let long = "x".repeat(5000);
    let long = open_error(&io, &long, &read).kind();
    // Wine has no such name, and so does not find it.
    assert!(long == ErrorKind::InvalidFilename || cfg!(windows) && long == ErrorKind::NotFound);
    let directory = scratch.path().to_str().unwrap();
    let write = OpenOptions::new().write(true);
    assert_eq!(open_error(&io, directory, &write).kind(), ErrorKind::IsADirectory);
    let below = scratch.file("file", b"").join("below");
    let below = open_error(&io, below.to_str().unwrap(), &read).kind();
    assert_eq!(below, THROUGH_A_FILE);
    if fs::has_symlinks() {
        let dangling = scratch.join("dangling");
        fs::symlink("nowhere", &dangling).unwrap();
        assert_eq!(open_error(&io, dangling.to_str().unwrap(), &read).kind(), ErrorKind::NotFound);
    }
    let odd = scratch.path().join(odd_name());
    drop(open(&io, &odd, &read_write().create(true)));
    assert!(fs::exists(&odd), "not UTF-8, and a name all the same");
}

/// What is said of a path that takes a file for a directory.
pub(crate) const THROUGH_A_FILE: ErrorKind =
    if cfg!(windows) { ErrorKind::NotFound } else { ErrorKind::NotADirectory };

/// Opens a directory.
#[track_caller]
pub(crate) fn directory(io: &Io, path: &std::path::Path) -> Directory {
    let log = Log::new();
    io.open_directory(log.clone(), path, |log, _io, result| log.put(result));
    finish(io);
    log.one().unwrap()
}

#[test]
fn a_path_starts_at_its_directory_even_when_that_is_closed_meanwhile() {
    let (io, scratch) = (Io::new().unwrap(), Scratch::new());
    scratch.file("name", b"inside");
    let place = directory(&io, scratch.path());
    let moved = scratch.path().with_extension("moved");
    fs::rename(scratch.path(), &moved).unwrap();
    let log = Log::new();
    io.open(log.clone(), place.at("name"), &read_write(), |log, _io, result| log.put(result));
    drop(place);
    finish(&io);
    fs::rename(&moved, scratch.path()).unwrap();
    match log.one() {
        Ok(file) => assert_eq!(read_at(&io, &Rc::new(file), 6, 0).unwrap(), b"inside"),
        Err(error) => assert!(is_cancelled(&error), "it was closed under it: {error}"),
    }
    let error = {
        let log = Log::new();
        let path = scratch.join("name");
        io.open_directory(log.clone(), &path, |log, _io, result| log.put(result));
        finish(&io);
        log.one().unwrap_err()
    };
    assert_eq!(error.kind(), ErrorKind::NotADirectory);
}

#[test]
fn another_loops_directory_is_refused() {
    let (io, other, scratch) = (Io::new().unwrap(), Io::new().unwrap(), Scratch::new());
    let place = directory(&other, scratch.path());
    let log = Log::new();
    io.open(log.clone(), place.at("name"), &read_write(), |log, _io, result| log.put(result));
    finish(&io);
    assert_eq!(log.one().unwrap_err().kind(), ErrorKind::InvalidInput);
}

#[test]
fn hundreds_of_reads_are_under_way_at_once_and_each_gets_its_own() {
    let (io, scratch) = (Io::new().unwrap(), Scratch::new());
    let all = pattern(64 * 300);
    let file = open(&io, &scratch.file("file", &all), &read_write());
    let log = Log::new();
    for at in 0..300 {
        let put = log.clone();
        let buf = Vec::with_capacity(64);
        io.read_at(Rc::clone(&file), buf, at * 64, move |_file, _io, buf, result| {
            result.unwrap();
            put.put((at, buf));
        });
    }
    assert_eq!(file.in_flight(), 300);
    finish(&io);
    let mut entries = log.take();
    entries.sort();
    let read: Vec<u8> = entries.into_iter().flat_map(|(_at, buf)| buf).collect();
    assert_eq!(read, all);
}

#[test]
fn a_length_is_cut_and_stretched() {
    let (io, scratch) = (Io::new().unwrap(), Scratch::new());
    let path = scratch.file("file", b"0123456789");
    let file = open(&io, &path, &read_write());
    for (len, expected) in [(4, &b"0123"[..]), (6, b"0123\0\0"), (0, b"")] {
        let log = Log::new();
        let put = log.clone();
        io.set_len(Rc::clone(&file), len, move |_file, _io, result| put.put(result));
        finish(&io);
        log.one().unwrap();
        assert_eq!(fs::read(&path).unwrap(), expected);
    }
    let log = Log::new();
    for len in [u64::MAX, 1 << 63] {
        let put = log.clone();
        io.set_len(Rc::clone(&file), len, move |_file, _io, result| put.put(result));
    }
    finish(&io);
    for result in log.take() {
        assert_eq!(result.unwrap_err().kind(), ErrorKind::InvalidInput);
    }
    let reads = open(&io, &path, &OpenOptions::new().read(true));
    let put = log.clone();
    io.set_len(reads, 1, move |_file, _io, result| put.put(result));
    finish(&io);
    let kind = log.one().unwrap_err().kind();
    // Windows denies the access.
    assert!(kind == ErrorKind::InvalidInput || cfg!(windows), "{kind}");
}

#[test]
fn files_and_directories_are_synced() {
    let (io, scratch) = (Io::new().unwrap(), Scratch::new());
    let file = open(&io, &scratch.file("file", b"abc"), &read_write());
    let place = Rc::new(directory(&io, scratch.path()));
    let log = Log::new();
    let put = || {
        let log = log.clone();
        move |result: std::io::Result<()>| log.put(result)
    };
    let put_one = put();
    io.sync(Rc::clone(&file), move |_file, _io, result| put_one(result));
    let put_one = put();
    io.sync_data(file, move |_file, _io, result| put_one(result));
    let put_one = put();
    io.sync(place, move |_directory, _io, result| put_one(result));
    finish(&io);
    assert!(log.take().into_iter().all(|result| result.is_ok()));
}

#[test]
fn a_pipe_is_not_synced() {
    let io = Io::new().unwrap();
    let (reader, _writer) = std::io::pipe().unwrap();
    let pipe = as_file(&io, reader);
    let log = Log::new();
    let put = log.clone();
    io.sync(pipe, move |_file, _io, result| put.put(result));
    finish(&io);
    assert_eq!(log.one().unwrap_err().kind(), ErrorKind::InvalidInput);
}

#[test]
fn closing_a_file_waits_for_what_is_pending_and_refuses_what_follows() {
    let (io, scratch) = (Io::new().unwrap(), Scratch::new());
    let path = scratch.file("file", &pattern(100));
    let file = open(&io, &path, &read_write());
    let log = Log::new();
    for _ in 0..10 {
        let put = log.clone();
        let buf = Vec::with_capacity(100);
        io.read_at(Rc::clone(&file), buf, 0, move |_file, _io, buf, result| {
            let whole = result.is_ok() && buf == pattern(100);
            put.put(if whole || result.is_err_and(|error| is_cancelled(&error)) {
                "a read"
            } else {
                "something else"
            });
        });
    }
    let put = log.clone();
    io.close(Rc::clone(&file), move |file, io, result| {
        result.unwrap();
        put.put("closed");
        let put = put.clone();
        io.read_at(file, Vec::with_capacity(1), 0, move |_file, _io, _buf, result| {
            assert_eq!(result.unwrap_err().kind(), ErrorKind::NotConnected);
            put.put("refused");
        });
    });
    finish(&io);
    let mut expected = vec!["a read"; 10];
    expected.extend(["closed", "refused"]);
    assert_eq!(log.take(), expected);
}

/// A loop whose pool has one thread, which is stuck until the sender is dropped.
pub(crate) fn stuck() -> (Io, std::sync::mpsc::Sender<()>) {
    let io = Io::builder().pool_threads(1).build().unwrap();
    let (release, released) = std::sync::mpsc::channel::<()>();
    let (started, has_started) = std::sync::mpsc::channel();
    let call = move || {
        started.send(()).unwrap();
        let _ = released.recv();
    };
    io.offload((), call, |(), _io, result| result.unwrap());
    has_started.recv().unwrap();
    (io, release)
}

#[test]
fn p59_p75_what_waits_for_a_stuck_pool_is_cancelled_and_ends_at_its_deadline() {
    let scratch = Scratch::new();
    let path = scratch.file("file", b"abc");
    let (io, release) = stuck();
    let log = Log::new();
    for way in ["cancelled", "timed out", "done"] {
        let put = log.clone();
        let file = Rc::new(File::from_std(&io, std::fs::File::open(&path).unwrap()));
        let buf = Vec::with_capacity(3);
        let op = io.read_at(file, buf, 0, move |_file, _io, buf, result| {
            let outcome = match result {
                Ok(3) if buf == b"abc" => "done",
                Err(error) if is_cancelled(&error) => "cancelled",
                Err(error) if error.kind() == ErrorKind::TimedOut => "timed out",
                other => panic!("{other:?}"),
            };
            put.put((way, outcome));
        });
        match way {
            "cancelled" => io.cancel(op),
            "timed out" => io.deadline(op, Duration::ZERO),
            _ => {}
        }
    }
    // A driver of its own has done all of them by then; the pool none.
    while log.len() < 2 {
        io.run_once().unwrap();
    }
    drop(release);
    finish(&io);
    for (way, outcome) in log.take() {
        assert!(outcome == way || outcome == "done", "{way}: {outcome}");
    }
}

#[test]
fn p25_rule7_the_loop_ends_with_files_on_their_way() {
    let scratch = Scratch::new();
    let path = scratch.file("file", &pattern(4096));
    for turns in 0..3 {
        let (io, drops) = (Io::new().unwrap(), Rc::new(Cell::new(0)));
        let file = open(&io, &path, &read_write());
        for at in 0..20 {
            let context = Counted::new(Rc::clone(&file), &drops);
            let buf = Vec::with_capacity(4096);
            io.read_at(context, buf, at, |_context, _io, _buf, _result| {});
        }
        let context = Counted::new((), &drops);
        io.open(context, &path, &read_write(), |_context, _io, _result| {});
        let context = Counted::new(Rc::clone(&file), &drops);
        io.sync(context, |_context, _io, _result| {});
        for _ in 0..turns {
            io.poll().unwrap();
        }
        drop(io);
        assert_eq!(drops.get(), 22);
    }
}

#[test]
fn p22_a_cancelled_open_leaves_a_file_or_nothing() {
    let (io, scratch) = (Io::new().unwrap(), Scratch::new());
    let path = scratch.file("file", b"");
    let log = Log::new();
    for turn in 0..200 {
        let op = io.open(log.clone(), &path, &read_write(), |log, _io, result| log.put(result));
        if turn % 2 == 0 {
            io.poll().unwrap();
        }
        io.cancel(op);
        finish(&io);
        match log.one() {
            Ok(file) => drop(file),
            Err(error) => assert!(is_cancelled(&error), "{error}"),
        }
    }
}

/// Whether files can be registered: where io_uring runs.
fn can_register(io: &Io) -> bool {
    io.driver().kind == DriverKind::Uring
}

#[test]
#[cfg(unix)]
fn a_registered_file_is_read_and_written_like_any_other() {
    let (io, scratch) = (Io::new().unwrap(), Scratch::new());
    let path = scratch.file("file", &pattern(300));
    let file = open(&io, &path, &read_write());
    assert_eq!(file.register().unwrap(), can_register(&io));
    assert_eq!(file.register().unwrap(), can_register(&io), "twice is once");
    assert_eq!(read_at(&io, &file, 100, 200).unwrap(), &pattern(300)[200..]);
    write_all_at(&io, &file, b"hello", 300).unwrap();
    assert_eq!(&fs::read(&path).unwrap()[300..], b"hello");
    let log = Log::new();
    for data_only in [true, false] {
        let put = log.clone();
        let put = move |_file, _io: &Io, result| put.put(result);
        if data_only {
            io.sync_data(Rc::clone(&file), put);
        } else {
            io.sync(Rc::clone(&file), put);
        }
    }
    let put = log.clone();
    io.set_len(Rc::clone(&file), 2, move |_file, _io, result| put.put(result));
    finish(&io);
    assert!(log.take().into_iter().all(|result| result.is_ok()));
    let error = read_at(&io, &file, 4, u64::MAX).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    if !crate::peer::is_simulated() {
        let std = Rc::into_inner(file).unwrap().into_std().unwrap();
        assert_eq!(std.metadata().unwrap().len(), 2, "it is given away open");
    }
    let closed = open(&io, &path, &read_write());
    io.close(Rc::clone(&closed), |_file, _io, result| result.unwrap());
    finish(&io);
    assert_eq!(closed.register().unwrap_err().kind(), ErrorKind::NotConnected);
}

/// The table of the ring would keep it open: seen at a pipe, which has an end when its writers are
/// gone.
#[test]
#[cfg(unix)]
fn a_registered_file_that_is_dropped_or_closed_is_closed() {
    let io = Io::new().unwrap();
    for way in ["dropped", "closed", "given away"] {
        let (mut reader, writer) = std::io::pipe().unwrap();
        let writer = File::from_fd(&io, writer.into());
        assert_eq!(writer.register().unwrap(), can_register(&io));
        match way {
            "dropped" => drop(writer),
            "closed" => drop(io.close(writer, |_file, _io, result| result.unwrap())),
            _ => drop(writer.into_fd().unwrap()),
        }
        finish(&io);
        assert_eq!(reader.read(&mut [0]).unwrap(), 0, "{way}");
    }
}

/// Unless the process has as many open as it may.
fn open_one_more(io: &Io, path: &PathBuf) -> Option<Rc<File>> {
    if crate::peer::is_simulated() {
        return Some(open(io, path, &OpenOptions::new().read(true)));
    }
    std::fs::File::open(path).ok().map(|file| Rc::new(File::from_std(io, file)))
}

#[test]
fn more_files_than_can_be_registered_work_without() {
    let (io, scratch) = (Io::new().unwrap(), Scratch::new());
    let path = scratch.file("file", b"abc");
    let mut files = Vec::new();
    let mut registered = 0;
    for _ in 0..300 {
        let Some(file) = open_one_more(&io, &path) else { break };
        registered += usize::from(file.register().unwrap());
        assert_eq!(read_at(&io, &file, 3, 0).unwrap(), b"abc");
        files.push(file);
    }
    assert_eq!(registered, if can_register(&io) { files.len() } else { 0 });
    // Places are used again.
    for _ in 0..5 {
        files.truncate(10);
        while files.len() < 300 {
            let Some(file) = open_one_more(&io, &path) else { break };
            assert_eq!(file.register().unwrap(), can_register(&io));
            files.push(file);
        }
        let last = files.last().unwrap();
        assert_eq!(read_at(&io, last, 3, 0).unwrap(), b"abc");
    }
}
