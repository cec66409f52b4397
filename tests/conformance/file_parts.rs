//! Several buffers of a file at once, its end, its room, and parts of it that are synced.

use std::cell::Cell;
use std::io::{self, ErrorKind};
use std::rc::Rc;
use std::time::Duration;

use tigereye::{Allocation, File, FileType, Io, OpenOptions, is_cancelled};

use crate::disk::{self as fs, Scratch};
use crate::files::{as_file, open, read_write, sockets};
use crate::{Counted, Log, code, finish, pattern};

/// Reads into buffers of these sizes.
#[track_caller]
fn read(io: &Io, file: &Rc<File>, rooms: &[usize], offset: u64) -> io::Result<Vec<Vec<u8>>> {
    let log = Log::new();
    let put = log.clone();
    let bufs: Vec<Vec<u8>> = rooms.iter().map(|&room| Vec::with_capacity(room)).collect();
    io.read_vectored_at(Rc::clone(file), bufs, offset, move |_file, _io, bufs, result| {
        put.put(result.map(|count| {
            assert_eq!(count, bufs.iter().map(Vec::len).sum::<usize>());
            bufs
        }));
    });
    finish(io);
    log.one()
}

/// Writes these parts: once, or until all is written.
#[track_caller]
fn write(io: &Io, file: &Rc<File>, parts: &[&[u8]], offset: u64, all: bool) -> io::Result<usize> {
    let log = Log::new();
    let put = log.clone();
    let bufs: Vec<Vec<u8>> = parts.iter().map(|part| part.to_vec()).collect();
    let total = bufs.iter().map(Vec::len).sum();
    if all {
        let done = move |_file, _io: &Io, _bufs, result: io::Result<()>| {
            put.put(result.map(|()| total));
        };
        io.write_all_vectored_at(Rc::clone(file), bufs, offset, done);
    } else {
        let done = move |_file, _io: &Io, _bufs, result| put.put(result);
        io.write_vectored_at(Rc::clone(file), bufs, offset, done);
    }
    finish(io);
    log.one()
}

#[track_caller]
fn append(io: &Io, file: &Rc<File>, bytes: &[u8]) -> io::Result<usize> {
    let log = Log::new();
    let put = log.clone();
    io.append(Rc::clone(file), bytes.to_vec(), move |_file, _io, _buf, result| put.put(result));
    finish(io);
    log.one()
}

#[track_caller]
fn allocate(
    io: &Io,
    file: &Rc<File>,
    offset: u64,
    len: u64,
    allocation: Allocation,
) -> io::Result<()> {
    let log = Log::new();
    let put = log.clone();
    io.allocate(Rc::clone(file), offset, len, allocation, move |_file, _io, result| {
        put.put(result);
    });
    finish(io);
    log.one()
}

#[track_caller]
fn sync_range(io: &Io, file: &Rc<File>, offset: u64, len: u64) -> io::Result<()> {
    let log = Log::new();
    let put = log.clone();
    io.sync_range(Rc::clone(file), offset, len, move |_file, _io, result| put.put(result));
    finish(io);
    log.one()
}

#[test]
fn buffers_are_written_and_read_one_behind_the_other() {
    let (io, scratch) = (Io::new().unwrap(), Scratch::new());
    let path = scratch.join("file");
    let file = open(&io, &path, &read_write().create(true));
    assert_eq!(write(&io, &file, &[b"one", b"", b"two"], 2, false).unwrap(), 6);
    write(&io, &file, &[b"three"], 8, true).unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"\0\0onetwothree");
    let bufs = read(&io, &file, &[3, 0, 3, 2], 2).unwrap();
    assert_eq!(bufs, [&b"one"[..], b"", b"two", b"th"]);
}

#[test]
fn p58_reading_buffers_across_the_end_is_short_and_past_it_zero() {
    let (io, scratch) = (Io::new().unwrap(), Scratch::new());
    let file = open(&io, &scratch.file("file", b"0123456789"), &read_write());
    assert_eq!(read(&io, &file, &[3, 3, 3], 6).unwrap(), [&b"678"[..], b"9", b""]);
    assert_eq!(read(&io, &file, &[3, 3], 10).unwrap(), [b"", b""]);
}

#[test]
fn more_buffers_than_one_call_takes() {
    let (io, scratch) = (Io::new().unwrap(), Scratch::new());
    let all = pattern(100 * 7);
    let path = scratch.join("file");
    let file = open(&io, &path, &read_write().create(true));
    let parts: Vec<&[u8]> = all.chunks(7).collect();
    assert_eq!(write(&io, &file, &parts, 0, false).unwrap(), 16 * 7);
    write(&io, &file, &parts, 0, true).unwrap();
    assert_eq!(fs::read(&path).unwrap(), all);
    let bufs = read(&io, &file, &[7; 100], 0).unwrap();
    assert_eq!(bufs.concat(), all[..16 * 7]);
}

#[test]
fn p34_no_buffer_with_room_is_an_error_and_nothing_to_write_writes_nothing() {
    let (io, scratch) = (Io::new().unwrap(), Scratch::new());
    let path = scratch.file("file", b"abc");
    let file = open(&io, &path, &read_write());
    for rooms in [&[][..], &[0, 0]] {
        let error = read(&io, &file, rooms, 0).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    }
    for parts in [&[][..], &[&b""[..], b""]] {
        for all in [false, true] {
            assert_eq!(write(&io, &file, parts, 1, all).unwrap(), 0);
        }
    }
    assert_eq!(append(&io, &file, b"").unwrap(), 0);
    assert_eq!(fs::read(&path).unwrap(), b"abc");
    let read_only = open(&io, &path, &OpenOptions::new().read(true));
    for error in [
        write(&io, &read_only, &[], 0, false).unwrap_err(),
        write(&io, &read_only, &[b"x"], 0, true).unwrap_err(),
        append(&io, &read_only, b"x").unwrap_err(),
        allocate(&io, &read_only, 0, 1, Allocation::Grow).unwrap_err(),
    ] {
        assert_eq!(error.raw_os_error(), Some(code::NOT_OPEN_FOR_IT));
    }
}

#[test]
fn p56_offsets_beyond_what_a_file_has_of_all_that_take_them() {
    let (io, scratch) = (Io::new().unwrap(), Scratch::new());
    let path = scratch.file("file", b"x");
    let file = open(&io, &path, &read_write());
    let largest = u64::try_from(i64::MAX).unwrap();
    for far in [largest - 1, largest] {
        assert_eq!(read(&io, &file, &[4, 4], far).unwrap(), [b"", b""]);
        let error = write(&io, &file, &[b"y", b"z"], far, true).unwrap_err();
        // What Windows says of a write depends on the file system.
        assert!(error.kind() == ErrorKind::FileTooLarge || cfg!(windows), "{far}: {error}");
        let error = allocate(&io, &file, far, 4, Allocation::Grow).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::FileTooLarge, "{far}: {error}");
    }
    for beyond in [largest + 1, u64::MAX - 1, u64::MAX] {
        for error in [
            read(&io, &file, &[4, 4], beyond).unwrap_err(),
            write(&io, &file, &[b"y", b"z"], beyond, false).unwrap_err(),
            write(&io, &file, &[b"y", b"z"], beyond, true).unwrap_err(),
            allocate(&io, &file, beyond, 1, Allocation::Grow).unwrap_err(),
            allocate(&io, &file, 0, beyond, Allocation::Grow).unwrap_err(),
            allocate(&io, &file, 0, 0, Allocation::Grow).unwrap_err(),
            sync_range(&io, &file, beyond, 0).unwrap_err(),
            sync_range(&io, &file, 1, beyond).unwrap_err(),
            sync_range(&io, &file, 2, largest - 1).unwrap_err(),
        ] {
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{beyond}: {error}");
        }
    }
    // A file on tmpfs may be so long now that nothing could hold all of it.
    let first = read(&io, &file, &[1], 0).unwrap();
    assert_eq!(first, [b"x"], "P18: nothing went to its own position");
}

#[test]
fn p55_what_has_no_offsets_is_refused_by_all_that_take_them() {
    let io = Io::new().unwrap();
    let (reader, writer) = io::pipe().unwrap();
    let (reader, writer) = (as_file(&io, reader), as_file(&io, writer));
    let (sockets, _peer) = sockets(&io);
    for file in sockets.iter().chain([&reader]) {
        let error = read(&io, file, &[1, 1], 0).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotSeekable, "{error}");
    }
    for file in sockets.iter().chain([&writer]) {
        for error in [
            write(&io, file, &[b"x"], 0, false).unwrap_err(),
            write(&io, file, &[b"x"], 0, true).unwrap_err(),
            append(&io, file, b"x").unwrap_err(),
            sync_range(&io, file, 0, 0).unwrap_err(),
        ] {
            assert_eq!(error.kind(), ErrorKind::NotSeekable, "{error}");
        }
    }
    let error = allocate(&io, &writer, 0, 1, Allocation::Grow).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotSeekable, "{error}");
}

#[test]
fn p55_a_socket_is_no_file_to_any_operation() {
    let (io, log) = (Io::new().unwrap(), Log::new());
    let (stream, _peer) = crate::real::shared_pair(&io);
    let put = || {
        let log = log.clone();
        move |error: Option<io::Error>| log.put(error.unwrap().kind())
    };
    let stream = || Rc::clone(&stream);
    let (end, room) = (put(), Vec::with_capacity(1));
    io.read_at(stream(), room, 0, move |_s, _io, _buf, result| end(result.err()));
    let (end, room) = (put(), Vec::with_capacity(1));
    io.read_exact_at(stream(), room, 1, 0, move |_s, _io, _buf, result| end(result.err()));
    let end = put();
    io.write_at(stream(), "x", 0, move |_s, _io, _buf, result| end(result.err()));
    let (end, rooms) = (put(), vec![Vec::with_capacity(1)]);
    io.read_vectored_at(stream(), rooms, 0, move |_s, _io, _bufs, result| end(result.err()));
    let end = put();
    io.write_vectored_at(stream(), vec!["x"], 0, move |_s, _io, _bufs, result| end(result.err()));
    let end = put();
    io.append(stream(), "x", move |_s, _io, _buf, result| end(result.err()));
    let end = put();
    io.sync_range(stream(), 0, 1, move |_s, _io, result| end(result.err()));
    finish(&io);
    assert_eq!(log.take(), [ErrorKind::NotSeekable; 7]);
    let end = put();
    io.set_len(stream(), 1, move |_s, _io, result| end(result.err()));
    let end = put();
    io.sync(stream(), move |_s, _io, result| end(result.err()));
    finish(&io);
    assert_eq!(log.take(), [ErrorKind::InvalidInput; 2]);
    io.allocate(stream(), 0, 1, Allocation::Grow, |_s, _io, result| drop(result.unwrap_err()));
    io.metadata(stream(), |_s, _io, result| {
        assert_eq!(result.unwrap().file_type(), FileType::Socket);
    });
    finish(&io);
}

/// Where appending works whatever a file was opened with.
const APPENDS_ANYHOW: bool = cfg!(any(target_os = "linux", windows));

#[test]
fn p18_appending_goes_to_the_end_and_moves_no_position() {
    let (io, scratch) = (Io::new().unwrap(), Scratch::new());
    let path = scratch.file("file", b"abc");
    let file = open(&io, &path, &read_write());
    if !APPENDS_ANYHOW {
        let error = append(&io, &file, b"de").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
        return;
    }
    assert_eq!(append(&io, &file, b"de").unwrap(), 2);
    open(&io, &path, &OpenOptions::new().append(true));
    assert_eq!(append(&io, &file, b"fg").unwrap(), 2);
    assert_eq!(fs::read(&path).unwrap(), b"abcdefg");
    #[cfg(unix)]
    {
        // It is read from its own position on.
        io.read(file, Vec::with_capacity(9), |_file, _io, all, result| {
            assert_eq!((result.unwrap(), &all[..]), (7, &b"abcdefg"[..]));
        });
        finish(&io);
    }
    #[cfg(windows)]
    {
        // What is open for calls that overlap has no position.
        let error = Rc::into_inner(file).unwrap().into_std().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
    }
}

#[test]
fn what_two_append_is_whole() {
    let (io, scratch) = (Io::new().unwrap(), Scratch::new());
    let path = scratch.file("file", b"");
    let appends = OpenOptions::new().append(true);
    let files = [open(&io, &path, &appends), open(&io, &path, &appends)];
    let (mut expected, log) = (Vec::new(), Log::new());
    for number in 0..300 {
        let line = format!("{number:0width$}\n", width = number % 50 + 3);
        expected.push(line.clone());
        let put = log.clone();
        io.append(Rc::clone(&files[number % 2]), line, move |_file, _io, line, result| {
            assert_eq!(result.unwrap(), line.len());
            put.put(());
        });
    }
    finish(&io);
    assert_eq!(log.len(), 300);
    let text = fs::read_to_string(&path).unwrap();
    let mut lines: Vec<_> = text.split_inclusive('\n').map(String::from).collect();
    expected.sort();
    lines.sort();
    assert_eq!(lines, expected);
}

#[test]
fn p21_a_cancelled_append_says_what_it_wrote() {
    let (io, scratch) = (Io::new().unwrap(), Scratch::new());
    let path = scratch.file("file", b"");
    let file = open(&io, &path, &OpenOptions::new().append(true));
    let mut expected = 0;
    for turn in 0..200_u64 {
        let log = Log::new();
        let put = log.clone();
        let bytes = pattern(20_000);
        let op = io.append(Rc::clone(&file), bytes, move |_file, _io, _buf, result| {
            put.put(result);
        });
        for _ in 0..turn % 3 {
            io.poll().unwrap();
        }
        if turn.is_multiple_of(2) {
            io.cancel(op);
        } else {
            io.deadline(op, Duration::from_micros(turn % 20));
        }
        finish(&io);
        match log.one() {
            Ok(count) => expected += count as u64,
            Err(error) => {
                assert!(is_cancelled(&error) || error.kind() == ErrorKind::TimedOut, "{error}");
            }
        }
        assert_eq!(fs::metadata(&path).unwrap().len(), expected, "in turn {turn}");
    }
}

#[test]
fn room_is_reserved_with_and_without_growing() {
    let (io, scratch) = (Io::new().unwrap(), Scratch::new());
    let path = scratch.file("file", b"abc");
    let file = open(&io, &path, &read_write());
    match allocate(&io, &file, 0, 1 << 20, Allocation::KeepLen) {
        Ok(()) => {
            let known = fs::metadata(&path).unwrap();
            assert_eq!(known.len(), 3);
            assert!(known.blocks() * 512 >= 1 << 20, "{} blocks", known.blocks());
        }
        Err(error) => assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}"),
    }
    match allocate(&io, &file, 1 << 20, 1 << 20, Allocation::Grow) {
        Ok(()) => {
            let known = fs::metadata(&path).unwrap();
            assert_eq!(known.len(), 2 << 20);
            assert!(known.blocks() * 512 >= 1 << 20, "{} blocks", known.blocks());
            let all = fs::read(&path).unwrap();
            assert!(all.starts_with(b"abc\0") && all[3..].iter().all(|&byte| byte == 0));
        }
        Err(error) => assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}"),
    }
    let len = fs::metadata(&path).unwrap().len();
    if allocate(&io, &file, 0, 10, Allocation::Grow).is_ok() {
        assert_eq!(fs::metadata(&path).unwrap().len(), len.max(10), "it is never cut");
    }
}

/// A regular file whose file system has no room to reserve.
#[cfg(target_os = "linux")]
#[test]
fn p53_a_file_system_without_allocation_says_so() {
    let io = Io::new().unwrap();
    let file = open(&io, &"/proc/self/comm".into(), &read_write());
    for allocation in [Allocation::Grow, Allocation::KeepLen] {
        let error = allocate(&io, &file, 0, 10, allocation).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EOPNOTSUPP), "{error}");
        assert_eq!(error.kind(), ErrorKind::Unsupported);
    }
}

#[test]
fn p53_more_than_any_disk_has_is_an_error_and_leaves_the_file() {
    let (io, scratch) = (Io::new().unwrap(), Scratch::new());
    let path = scratch.file("file", b"abc");
    let file = open(&io, &path, &read_write());
    let error = allocate(&io, &file, 0, 1 << 62, Allocation::Grow).unwrap_err();
    let full = [ErrorKind::StorageFull, ErrorKind::FileTooLarge, ErrorKind::Unsupported];
    assert!(full.contains(&error.kind()), "{error}");
    assert_eq!(fs::read(&path).unwrap(), b"abc");
}

#[test]
fn parts_of_a_file_are_synced() {
    let (io, scratch) = (Io::new().unwrap(), Scratch::new());
    let file = open(&io, &scratch.file("file", &pattern(10_000)), &read_write());
    for (offset, len) in [(0, 0), (4096, 4096), (5, 1 << 33), (1 << 40, 7), (0, i64::MAX as u64)] {
        sync_range(&io, &file, offset, len).unwrap();
    }
}

/// A multiple of 2³², so that a length cut to 32 bits would be zero.
#[cfg(target_pointer_width = "64")]
const LONG: usize = 1 << 32;
/// What Linux moves in one call (read(2)), and the library on other systems.
#[cfg(all(target_pointer_width = "64", any(target_os = "linux", windows)))]
const MOST: usize = 0x7fff_f000;

#[cfg(target_pointer_width = "64")]
#[test]
fn p29_a_read_longer_than_a_call_takes_is_short() {
    let (io, scratch) = (Io::new().unwrap(), Scratch::new());
    let mut bufs: Vec<Vec<u8>> = vec![Vec::new(), Vec::new(), Vec::new()];
    // Memory that the system only promises: nobody touches most of it.
    if bufs.iter_mut().any(|buf| buf.try_reserve_exact(LONG).is_err()) {
        eprintln!("SKIPPED: the system promises no {LONG} bytes");
        return;
    }
    let whole = bufs.pop().unwrap();
    // A file with a hole over all of its length.
    let path = scratch.file("file", b"");
    let len = 3 * LONG as u64;
    std::fs::File::options().write(true).open(&path).unwrap().set_len(len).unwrap();
    let file = open(&io, &path, &read_write());
    let log = Log::new();
    let put = log.clone();
    io.read_at(Rc::clone(&file), whole, len - 5, move |_file, _io, buf, result| {
        put.put((buf.len(), result.unwrap()));
    });
    finish(&io);
    assert_eq!(log.one(), (5, 5));
    let put = log.clone();
    io.read_vectored_at(file, bufs, len - 5, move |_file, _io, bufs, result| {
        put.put((bufs[0].len() + bufs[1].len(), result.unwrap()));
    });
    finish(&io);
    assert_eq!(log.one(), (5, 5));
}

#[cfg(all(target_pointer_width = "64", any(target_os = "linux", windows)))]
#[test]
fn p29_a_write_longer_than_a_call_takes_is_short() {
    if Vec::<u8>::new().try_reserve_exact(LONG).is_err() {
        eprintln!("SKIPPED: the system promises no {LONG} bytes");
        return;
    }
    let io = Io::new().unwrap();
    // It takes all at once, and looks at none of it.
    let null = if cfg!(windows) { "NUL" } else { "/dev/null" };
    let file = open(&io, &null.into(), &OpenOptions::new().write(true));
    let log = Log::new();
    let put = log.clone();
    io.write_at(Rc::clone(&file), vec![0; LONG], 0, move |file, io, buf, result| {
        put.put(result.unwrap());
        io.write_all_at(file, buf, 0, move |file, io, buf, result| {
            result.unwrap();
            io.append(file, buf, move |file, io, buf, result| {
                put.put(result.unwrap());
                io.write_vectored_at(file, vec![buf], 0, move |file, io, bufs, result| {
                    put.put(result.unwrap());
                    io.write_all_vectored_at(file, bufs, 0, move |_file, _io, bufs, result| {
                        result.unwrap();
                        put.put(bufs[0].len());
                    });
                });
            });
        });
    });
    finish(&io);
    assert_eq!(log.take(), [MOST, MOST, MOST, LONG]);
}

#[test]
fn p25_rule7_the_loop_ends_with_parts_of_files_on_their_way() {
    let scratch = Scratch::new();
    let path = scratch.file("file", &pattern(4096));
    for turns in 0..3 {
        let (io, drops) = (Io::new().unwrap(), Rc::new(Cell::new(0)));
        let file = open(&io, &path, &read_write());
        let context = || Counted::new(Rc::clone(&file), &drops);
        let room = || vec![Vec::with_capacity(100), Vec::with_capacity(100)];
        io.read_vectored_at(context(), room(), 0, |_context, _io, _bufs, _result| {});
        io.write_vectored_at(context(), vec!["x", "y"], 0, |_context, _io, _bufs, _result| {});
        io.write_all_vectored_at(context(), vec!["x"], 0, |_context, _io, _bufs, _result| {});
        io.append(context(), "x", |_context, _io, _buf, _result| {});
        io.allocate(context(), 0, 9, Allocation::Grow, |_context, _io, _result| {});
        io.sync_range(context(), 0, 0, |_context, _io, _result| {});
        io.metadata(context(), |_context, _io, _result| {});
        for _ in 0..turns {
            io.poll().unwrap();
        }
        drop(io);
        assert_eq!(drops.get(), 7);
    }
}
