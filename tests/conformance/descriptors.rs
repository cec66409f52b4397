//! Reading and writing descriptors of any kind: pipes, FIFOs, terminals, devices, files.
#![allow(unsafe_code, reason = "signal(2)")]

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::time::Duration;

#[cfg(target_os = "linux")]
use rustix::event::{EventfdFlags, eventfd};
use rustix::fs::{Mode, OFlags, fcntl_getfl, fcntl_setfl};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use tigereye::{Descriptor, Io, Next, Op, is_cancelled};

use crate::alone::alone;
use crate::real;
use crate::scratch::Scratch;
use crate::{Log, finish, pattern};

/// The result of a read or write, and its buffer.
type Ended<T> = (Vec<u8>, std::io::Result<T>);

fn handle(io: &Io, fd: impl Into<OwnedFd>) -> Rc<Descriptor> {
    Rc::new(Descriptor::new(io, fd.into()))
}

/// A file that is gone when its last descriptor is.
fn file(contents: &[u8]) -> File {
    let directory = Scratch::new();
    let path = directory.file("file", contents);
    OpenOptions::new().read(true).write(true).open(path).unwrap()
}

/// The two ends of a FIFO. On Linux it cannot be asked not to block in one call, as a pipe can.
fn fifo() -> (OwnedFd, OwnedFd) {
    let directory = Scratch::new();
    let path = directory.join("fifo");
    let made = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
    assert!(made.success());
    // Opened both ways it waits for nobody.
    let both = OpenOptions::new().read(true).write(true).open(&path).unwrap();
    let reader = File::open(&path).unwrap();
    let writer = OpenOptions::new().write(true).open(&path).unwrap();
    drop(both);
    (reader.into(), writer.into())
}

fn pipe() -> (OwnedFd, OwnedFd) {
    let (reader, writer) = std::io::pipe().unwrap();
    (reader.into(), writer.into())
}

/// A terminal: the end of whoever shows it, and that of the program in it.
fn terminal() -> (OwnedFd, OwnedFd) {
    let shown = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&shown).unwrap();
    unlockpt(&shown).unwrap();
    let name = ptsname(&shown, Vec::new()).unwrap();
    let flags = OFlags::RDWR | OFlags::NOCTTY;
    (shown, rustix::fs::open(name, flags, Mode::empty()).unwrap())
}

/// A terminal that hands on what it gets as it is.
fn raw_terminal() -> (OwnedFd, OwnedFd) {
    let (shown, inside) = terminal();
    let mut modes = rustix::termios::tcgetattr(&inside).unwrap();
    modes.make_raw();
    rustix::termios::tcsetattr(&inside, rustix::termios::OptionalActions::Now, &modes).unwrap();
    (shown, inside)
}

type Ends = fn() -> (OwnedFd, OwnedFd);

/// What can be read at one end and written to at the other. A terminal, the last one, has no end, and
/// is never full for long: what is in it moves on by itself.
const KINDS: [(&str, Ends); 4] = [
    ("pipe", pipe),
    ("FIFO", fifo),
    ("socket", || {
        let (near, far) = std::os::unix::net::UnixStream::pair().unwrap();
        (near.into(), far.into())
    }),
    ("terminal", raw_terminal),
];
const STREAMS: &[(&str, Ends)] = KINDS.split_at(3).0;

fn read(io: &Io, on: &Rc<Descriptor>, room: usize, log: &Log<Ended<usize>>) -> Op {
    let log = log.clone();
    io.read(Rc::clone(on), Vec::with_capacity(room), move |_on, _io, buf, result| {
        log.put((buf, result));
    })
}

#[track_caller]
fn read_now(io: &Io, on: &Rc<Descriptor>, room: usize) -> Ended<usize> {
    let log = Log::new();
    read(io, on, room, &log);
    finish(io);
    log.one()
}

fn write(io: &Io, on: &Rc<Descriptor>, bytes: &[u8], log: &Log<Ended<usize>>) -> Op {
    let log = log.clone();
    io.write(Rc::clone(on), bytes.to_vec(), move |_on, _io, buf, result| log.put((buf, result)))
}

#[track_caller]
fn write_now(io: &Io, on: &Rc<Descriptor>, bytes: &[u8]) -> std::io::Result<usize> {
    let log = Log::new();
    write(io, on, bytes, &log);
    finish(io);
    let (buf, result) = log.one();
    assert_eq!(buf, bytes);
    result
}

#[test]
fn what_is_written_is_read_on_every_kind() {
    for (name, ends) in KINDS {
        let io = Io::new().unwrap();
        let (reader, writer) = ends();
        let (reader, writer) = (handle(&io, reader), handle(&io, writer));
        // There already, and waited for.
        assert_eq!(write_now(&io, &writer, b"hello").unwrap(), 5, "{name}");
        let (buf, result) = read_now(&io, &reader, 64);
        assert_eq!((&buf[..], result.unwrap()), (&b"hello"[..], 5), "{name}");
        let log = Log::new();
        read(&io, &reader, 3, &log);
        for _ in 0..3 {
            io.poll().unwrap();
        }
        assert_eq!(log.len(), 0, "{name}");
        write(&io, &writer, b"again", &Log::new());
        finish(&io);
        let (buf, result) = log.one();
        assert_eq!((&buf[..], result.unwrap()), (&b"aga"[..], 3), "{name}");
        let (buf, _) = read_now(&io, &reader, 64);
        assert_eq!(buf, b"in", "{name}");
    }
}

#[test]
fn p120_all_of_a_mebibyte_goes_through_every_kind() {
    for (name, ends) in KINDS {
        let io = Io::new().unwrap();
        let (reader, writer) = ends();
        let (reader, writer) = (handle(&io, reader), handle(&io, writer));
        let bytes = pattern(1 << 20);
        let log = Log::new();
        let wrote = log.clone();
        io.write_all(Rc::clone(&writer), bytes.clone(), move |_on, _io, buf, result| {
            wrote.put((buf, result));
        });
        let came = log.clone();
        let room = Vec::with_capacity(bytes.len());
        io.read_exact(reader, room, bytes.len(), move |_on, _io, buf, result| {
            came.put((buf, result));
        });
        finish(&io);
        for (buf, result) in log.take() {
            result.unwrap();
            assert!(buf == bytes, "{name}");
        }
    }
}

#[test]
fn the_end_is_zero_bytes() {
    for (name, ends) in STREAMS {
        let io = Io::new().unwrap();
        let (reader, writer) = ends();
        let reader = handle(&io, reader);
        let log = Log::new();
        read(&io, &reader, 8, &log);
        io.poll().unwrap();
        drop(writer);
        finish(&io);
        assert_eq!(log.one().1.unwrap(), 0, "{name}");
        assert_eq!(read_now(&io, &reader, 8).1.unwrap(), 0, "{name}");
        let ended = Log::new();
        let log = ended.clone();
        io.read_exact(reader, Vec::with_capacity(8), 4, move |_on, _io, buf, result| {
            log.put((buf, result));
        });
        finish(&io);
        assert_eq!(ended.one().1.unwrap_err().kind(), ErrorKind::UnexpectedEof, "{name}");
    }
}

#[test]
fn p34_no_room_and_nothing_to_write() {
    let io = Io::new().unwrap();
    let (reader, writer) = pipe();
    let (reader, writer) = (handle(&io, reader), handle(&io, writer));
    let (_buf, result) = read_now(&io, &reader, 0);
    assert_eq!(result.unwrap_err().kind(), ErrorKind::InvalidInput);
    drop(reader);
    assert_eq!(write_now(&io, &writer, b"").unwrap(), 0, "nothing asks nobody");
    io.write_all(writer, "", |_on, _io, _buf, result| result.unwrap());
    finish(&io);
}

/// Writes to every kind whose reader is gone, or goes while the write waits.
fn write_to_nobody() {
    let io = Io::new().unwrap();
    for (name, ends) in STREAMS {
        let (reader, writer) = ends();
        fill(&writer);
        let writer = handle(&io, writer);
        let log = Log::new();
        write(&io, &writer, b"more", &log);
        io.poll().unwrap();
        drop(reader);
        finish(&io);
        assert_eq!(log.one().1.unwrap_err().kind(), ErrorKind::BrokenPipe, "{name}");
        let error = write_now(&io, &writer, b"more").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BrokenPipe, "{name}");
        let many = pattern(100_000);
        let log = Log::new();
        let ended = log.clone();
        io.write_all(writer, many, move |_on, _io, _buf, result| ended.put(result));
        finish(&io);
        assert_eq!(log.one().unwrap_err().kind(), ErrorKind::BrokenPipe, "{name}");
    }
}

/// Writes until there is no room, not even for a byte; says how much it was.
fn fill(writer: &OwnedFd) -> usize {
    let flags = fcntl_getfl(writer).unwrap();
    fcntl_setfl(writer, flags | OFlags::NONBLOCK).unwrap();
    let mut count = 0;
    for chunk in [4096, 1] {
        while let Ok(written) = rustix::io::write(writer, &pattern(chunk)) {
            count += written;
        }
    }
    fcntl_setfl(writer, flags).unwrap();
    count
}

/// As a host program has it that is not written in Rust, or has restored it.
fn default_sigpipe() {
    // SAFETY: the default action replaces that of the standard library.
    assert_ne!(unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) }, libc::SIG_ERR);
}

#[test]
fn p35_a_write_that_nobody_reads_raises_no_signal() {
    if alone("descriptors::p35_a_write_that_nobody_reads_raises_no_signal", &[]) {
        default_sigpipe();
        write_to_nobody();
    }
}

#[test]
fn p35_nor_where_the_kernel_has_no_flag_for_that() {
    let without = [("TIGEREYE_URING_WITHOUT", "write_no_signal")];
    if alone("descriptors::p35_nor_where_the_kernel_has_no_flag_for_that", &without) {
        default_sigpipe();
        write_to_nobody();
        what_is_written_is_read_on_every_kind();
        p120_all_of_a_mebibyte_goes_through_every_kind();
        a_file_is_read_and_written_where_it_stands();
        p20_a_cancelled_write_has_written_nothing();
        p47_p120_a_terminal_that_nobody_reads_holds_up_nothing();
        a_descriptor_that_does_not_block_is_waited_for_without_spinning();
    }
}

#[test]
fn p20_a_cancelled_read_has_taken_nothing() {
    for (name, ends) in KINDS {
        let io = Io::new().unwrap();
        let (reader, writer) = ends();
        let (reader, mut writer) = (handle(&io, reader), File::from(writer));
        for turns in 0..3 {
            let log = Log::new();
            let op = read(&io, &reader, 8, &log);
            (0..turns).for_each(|_| io.poll().unwrap());
            io.cancel(op);
            finish(&io);
            let (buf, result) = log.one();
            assert!(is_cancelled(&result.unwrap_err()), "{name}, {turns} turns");
            assert!(buf.is_empty());
        }
        let log = Log::new();
        let op = read(&io, &reader, 8, &log);
        io.deadline(op, Duration::from_millis(1));
        finish(&io);
        assert_eq!(log.one().1.unwrap_err().kind(), ErrorKind::TimedOut, "{name}");
        writer.write_all(b"kept").unwrap();
        let (buf, _) = read_now(&io, &reader, 8);
        assert_eq!(buf, b"kept", "{name}");
    }
}

#[test]
fn p20_a_cancelled_write_has_written_nothing() {
    for (name, ends) in STREAMS {
        let io = Io::new().unwrap();
        let (reader, writer) = ends();
        let count = fill(&writer);
        let (mut reader, writer) = (File::from(reader), handle(&io, writer));
        let log = Log::new();
        let op = write(&io, &writer, b"more", &log);
        io.poll().unwrap();
        io.cancel(op);
        finish(&io);
        assert!(is_cancelled(&log.one().1.unwrap_err()), "{name}");
        let mut bytes = vec![0; count];
        reader.read_exact(&mut bytes).unwrap();
        assert_eq!(write_now(&io, &writer, b"end").unwrap(), 3);
        let mut end = [0; 3];
        reader.read_exact(&mut end).unwrap();
        assert_eq!(&end, b"end", "{name}: nothing of the cancelled one is between");
    }
}

/// Whichever is first, no byte is lost.
#[test]
fn p21_a_cancel_racing_a_read_loses_no_byte() {
    for (name, ends) in KINDS {
        let io = Io::new().unwrap();
        let (reader, writer) = ends();
        let (reader, mut writer) = (handle(&io, reader), File::from(writer));
        let thread = std::thread::spawn(move || {
            for byte in 0..200_u8 {
                writer.write_all(&[byte]).unwrap();
                std::thread::yield_now();
            }
            writer
        });
        let mut all = Vec::new();
        while all.len() < 200 {
            let log = Log::new();
            let op = read(&io, &reader, 8, &log);
            io.poll().unwrap();
            io.cancel(op);
            finish(&io);
            let (buf, result) = log.one();
            match result {
                Ok(count) => assert_eq!(count, buf.len()),
                Err(error) => assert!(is_cancelled(&error) && buf.is_empty(), "{name}: {error}"),
            }
            all.extend(buf);
        }
        assert!(all.into_iter().eq(0..200), "{name}");
        drop(thread.join().unwrap());
    }
}

#[test]
fn a_descriptor_keeps_its_flags() {
    for (name, ends) in KINDS {
        let io = Io::new().unwrap();
        let (reader, writer) = ends();
        let (watched, also) = (reader.try_clone().unwrap(), writer.try_clone().unwrap());
        let flags = || (fcntl_getfl(&watched).unwrap(), fcntl_getfl(&also).unwrap());
        let before = flags();
        let (reader, writer) = (handle(&io, reader), handle(&io, writer));
        let log = Log::new();
        read(&io, &reader, 8, &log);
        for _ in 0..3 {
            io.poll().unwrap();
            assert_eq!(flags(), before, "{name}");
        }
        write_now(&io, &writer, b"x").unwrap();
        assert_eq!(flags(), before, "{name}");
        drop((reader, writer, io));
        assert_eq!(flags(), before, "{name}");
    }
}

/// Lets what waits do so for a while.
#[track_caller]
fn wait_without_spinning(io: &Io) {
    io.poll().unwrap();
    let before = io.statistics().system_calls;
    io.run_for(Duration::from_millis(20)).unwrap();
    assert!(io.statistics().system_calls - before < 20, "it waits");
}

fn does_not_block(fd: &OwnedFd) {
    fcntl_setfl(fd, fcntl_getfl(fd).unwrap() | OFlags::NONBLOCK).unwrap();
}

#[test]
fn a_descriptor_that_does_not_block_is_waited_for_without_spinning() {
    for (name, ends) in KINDS {
        let io = Io::new().unwrap();
        let (reader, writer) = ends();
        does_not_block(&reader);
        let (reader, mut writer) = (handle(&io, reader), File::from(writer));
        let log = Log::new();
        read(&io, &reader, 8, &log);
        wait_without_spinning(&io);
        assert_eq!(log.len(), 0, "{name}");
        writer.write_all(b"now").unwrap();
        finish(&io);
        assert_eq!(log.one().0, b"now", "{name}");
    }
    for (name, ends) in STREAMS {
        let io = Io::new().unwrap();
        let (reader, writer) = ends();
        does_not_block(&writer);
        let count = fill(&writer);
        let (mut reader, writer) = (File::from(reader), handle(&io, writer));
        let log = Log::new();
        write(&io, &writer, b"more", &log);
        wait_without_spinning(&io);
        assert_eq!(log.len(), 0, "{name}");
        reader.read_exact(&mut vec![0; count]).unwrap();
        finish(&io);
        assert_eq!(log.one().1.unwrap(), 4, "{name}");
    }
}

#[test]
fn a_file_is_read_and_written_where_it_stands() {
    let io = Io::new().unwrap();
    let mut watched = file(b"hello, world");
    let on = handle(&io, watched.try_clone().unwrap());
    let (buf, result) = read_now(&io, &on, 5);
    assert_eq!((&buf[..], result.unwrap()), (&b"hello"[..], 5));
    assert_eq!(watched.stream_position().unwrap(), 5);
    assert_eq!(write_now(&io, &on, b"!").unwrap(), 1);
    let log = Log::new();
    let came = log.clone();
    io.read_exact(Rc::clone(&on), Vec::with_capacity(64), 8, move |_on, _io, buf, result| {
        came.put((buf, result));
    });
    finish(&io);
    let (buf, result) = log.one();
    assert_eq!((&buf[..], result.unwrap_err().kind()), (&b" world"[..], ErrorKind::UnexpectedEof));
    assert_eq!(read_now(&io, &on, 5).1.unwrap(), 0, "the end");
    let many = pattern(3 << 20);
    io.write_all(on, many.clone(), |_on, _io, _buf, result| result.unwrap());
    finish(&io);
    watched.seek(SeekFrom::Start(0)).unwrap();
    let mut all = Vec::new();
    watched.read_to_end(&mut all).unwrap();
    assert!(all == [&b"hello! world"[..], &many].concat());
}

#[test]
fn rule5_two_reads_and_two_writes_are_in_order() {
    let io = Io::new().unwrap();
    let (reader, writer) = pipe();
    let (reader, writer) = (handle(&io, reader), handle(&io, writer));
    let (first, second) = (Log::new(), Log::new());
    read(&io, &reader, 5, &first);
    read(&io, &reader, 5, &second);
    for _ in 0..2 {
        let (a, b) = (vec![b'a'; 200_000], vec![b'b'; 200_000]);
        for bytes in [a, b] {
            io.write_all(Rc::clone(&writer), bytes, |_on, _io, _buf, result| result.unwrap());
        }
    }
    let log = Log::new();
    let came = log.clone();
    io.read_exact(reader, Vec::with_capacity(800_000), 799_990, move |_on, _io, buf, _result| {
        came.put(buf);
    });
    finish(&io);
    assert_eq!((first.one().0, second.one().0), (b"aaaaa".to_vec(), b"aaaaa".to_vec()));
    let lengths: Vec<usize> = log.one().chunk_by(|a, b| a == b).map(<[u8]>::len).collect();
    assert_eq!(lengths, [199_990, 200_000, 200_000, 200_000]);
}

#[test]
fn p72_devices_are_read_and_written() {
    let io = Io::new().unwrap();
    let open = |name: &str| {
        let file = OpenOptions::new().read(true).write(true).open(name).unwrap();
        handle(&io, file)
    };
    let null = open("/dev/null");
    assert_eq!(read_now(&io, &null, 8).1.unwrap(), 0);
    assert_eq!(write_now(&io, &null, b"gone").unwrap(), 4);
    let zero = open("/dev/zero");
    assert_eq!(read_now(&io, &zero, 8).1.unwrap(), 8);
    #[cfg(target_os = "linux")]
    {
        let error = write_now(&io, &open("/dev/full"), b"x").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::StorageFull);
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_counter_is_read_and_written() {
    let io = Io::new().unwrap();
    for flags in [EventfdFlags::empty(), EventfdFlags::NONBLOCK] {
        let counter = handle(&io, eventfd(0, flags).unwrap());
        let log = Log::new();
        read(&io, &counter, 8, &log);
        io.poll().unwrap();
        assert_eq!(write_now(&io, &counter, &7_u64.to_ne_bytes()).unwrap(), 8);
        assert_eq!(log.one().0, 7_u64.to_ne_bytes());
        let error = read_now(&io, &counter, 7).1.unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EINVAL), "less than a counter takes");
    }
}

#[test]
fn a_terminal_gives_lines_and_its_end() {
    let io = Io::new().unwrap();
    let (shown, inside) = terminal();
    let (mut user, shown) = (File::from(shown.try_clone().unwrap()), handle(&io, shown));
    let inside = handle(&io, inside);
    let log = Log::new();
    read(&io, &inside, 64, &log);
    user.write_all(b"not yet").unwrap();
    io.run_for(Duration::from_millis(5)).unwrap();
    assert_eq!(log.len(), 0, "it gives whole lines");
    // Two lines and Ctrl-D at once: each read gives one line, and the last one the end.
    user.write_all(b"\nsecond\n\x04").unwrap();
    finish(&io);
    assert_eq!(log.one().0, b"not yet\n");
    assert_eq!(read_now(&io, &inside, 64).0, b"second\n");
    assert_eq!(read_now(&io, &inside, 64).1.unwrap(), 0);
    // It goes on after that end.
    user.write_all(b"third\n").unwrap();
    assert_eq!(read_now(&io, &inside, 64).0, b"third\n");
    write_now(&io, &inside, b"x\n").unwrap();
    let (echoed, _) = read_now(&io, &shown, 1024);
    assert!(echoed.starts_with(b"not yet"), "{}", echoed.escape_ascii());
}

#[test]
fn a_terminal_whose_other_end_is_gone_says_so() {
    let io = Io::new().unwrap();
    let (shown, inside) = raw_terminal();
    let shown = handle(&io, shown);
    let log = Log::new();
    read(&io, &shown, 8, &log);
    io.poll().unwrap();
    drop(inside);
    finish(&io);
    let error = |result: std::io::Result<usize>| result.map_err(|error| error.raw_os_error());
    // Linux has an error for it, others have an end.
    let gone = if cfg!(target_os = "linux") { Err(Some(libc::EIO)) } else { Ok(0) };
    assert_eq!(error(log.one().1), gone);
    assert_eq!(error(read_now(&io, &shown, 8).1), gone, "and says it again");
    let (shown, inside) = raw_terminal();
    let inside = handle(&io, inside);
    read(&io, &inside, 8, &log);
    io.poll().unwrap();
    drop(shown);
    finish(&io);
    // Hung up is the end; Linux has an error where it hangs up while the read is being made
    // (drivers/tty/tty_io.c, `tty_read`).
    let hung_up = error(log.one().1);
    assert!(matches!(hung_up, Ok(0) | Err(Some(libc::EIO))), "{hung_up:?}");
    assert_eq!(error(write_now(&io, &inside, b"x")), Err(Some(libc::EIO)));
}

/// Writes much to a terminal that nobody reads, and ticks meanwhile; what to do after that. Says how the
/// write ended.
fn tick_beside_a_stopped_terminal(
    inside: OwnedFd,
    then: impl FnOnce(&Io, Op) + 'static,
) -> std::io::Result<()> {
    let io = Io::new().unwrap();
    let inside = handle(&io, inside);
    let log = Log::new();
    let ended = log.clone();
    let op = io.write_all(inside, pattern(1 << 20), move |_on, _io, _buf, result| {
        ended.put(result);
    });
    let mut then = Some(then);
    let mut left = 20;
    io.tick_each(
        (),
        Duration::from_millis(1),
        move |(), io, _periods| {
            left -= 1;
            if left > 0 {
                return Next::Continue;
            }
            then.take().unwrap()(io, op);
            Next::Stop
        },
        |(), _io, result| result.unwrap(),
    );
    finish(&io);
    log.one()
}

/// A terminal that is stopped, or whose window does not answer.
#[test]
fn p47_p120_a_terminal_that_nobody_reads_holds_up_nothing() {
    let (_shown, inside) = raw_terminal();
    does_not_block(&inside);
    let ended = tick_beside_a_stopped_terminal(inside, |io, op| io.cancel(op));
    assert!(is_cancelled(&ended.unwrap_err()));
    // One that blocks: a write that has begun may have to end before it is cancelled, and has done all
    // then where the reader was quick.
    let (shown, inside) = raw_terminal();
    let ended = tick_beside_a_stopped_terminal(inside, move |io, op| {
        io.cancel(op);
        let mut reader = File::from(shown);
        std::thread::spawn(move || while reader.read(&mut [0; 4096]).is_ok() {});
    });
    assert!(ended.is_ok() || is_cancelled(&ended.unwrap_err()));
}

#[test]
fn any_handle_can_be_read_and_written() {
    let io = Io::new().unwrap();
    let (near, mut far) = real::pair(&io);
    let near = Rc::new(near);
    far.write_all(b"hello").unwrap();
    io.read(Rc::clone(&near), Vec::with_capacity(8), |_near, _io, buf, result| {
        assert_eq!((result.unwrap(), &buf[..]), (5, &b"hello"[..]));
    });
    io.write_all(near, "world", |_near, _io, _buf, result| result.unwrap());
    finish(&io);
    assert_eq!(crate::read(&mut far, 5), b"world");
}

#[test]
fn p25_rule7_the_loop_ends_with_reads_and_writes() {
    for (name, ends) in KINDS {
        for turns in 0..3 {
            let io = Io::new().unwrap();
            let (reader, writer) = ends();
            let (watched, mut also) =
                (File::from(reader.try_clone().unwrap()), File::from(writer.try_clone().unwrap()));
            let (_kept, full) = ends();
            fill(&full);
            let (reader, full) = (handle(&io, reader), handle(&io, full));
            let held = Rc::new(());
            for _ in 0..2 {
                let (one, two) = (Rc::clone(&held), Rc::clone(&held));
                io.read(Rc::clone(&reader), Vec::with_capacity(8), move |_, _, _, _| drop(one));
                io.write(Rc::clone(&full), pattern(100), move |_, _, _, _| drop(two));
            }
            (0..turns).for_each(|_| io.poll().unwrap());
            drop((reader, full, io));
            assert_eq!(Rc::strong_count(&held), 1, "{name}: contexts are dropped");
            also.write_all(b"kept").unwrap();
            let mut bytes = [0; 4];
            (&watched).read_exact(&mut bytes).unwrap();
            assert_eq!(&bytes, b"kept", "{name}");
        }
    }
}

#[test]
fn the_standard_streams_outlive_their_handles() {
    if !alone("descriptors::the_standard_streams_outlive_their_handles", &[]) {
        return;
    }
    let io = Io::new().unwrap();
    for _ in 0..2 {
        let output = Rc::new(tigereye::stdout(&io).unwrap());
        io.write_all(Rc::clone(&output), "to all\n", |_on, _io, _buf, result| result.unwrap());
        finish(&io);
        io.close(output, |_on, _io, result| result.unwrap());
        finish(&io);
        drop((tigereye::stdin(&io).unwrap(), tigereye::stderr(&io).unwrap()));
    }
    for stream in [std::io::stdin().as_fd(), std::io::stdout().as_fd(), std::io::stderr().as_fd()] {
        assert!(fcntl_getfl(stream).is_ok());
    }
    let input = Rc::new(tigereye::stdin(&io).unwrap());
    // The test program starts this process without input.
    assert_eq!(read_now(&io, &input, 8).1.unwrap(), 0);
}

/// A socket of a kind that the library has no handle for is handed over as it is, and sockets are made in
/// blocking mode.
#[test]
fn p160_a_socket_that_blocks_holds_up_no_loop() {
    let io = Io::new().unwrap();
    let (near, far) = UnixStream::pair().unwrap();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let (socket, listener, log) = (handle(&io, near), handle(&io, listener), Log::new());
    let put = log.clone();
    io.recv(Rc::clone(&socket), Vec::with_capacity(9), move |_socket, _io, buf, result| {
        result.unwrap();
        put.put(("recv", buf));
    });
    let put = log.clone();
    io.recv_vectored(Rc::clone(&socket), vec![Vec::with_capacity(9)], move |_s, _io, bufs, r| {
        r.unwrap();
        put.put(("recv_vectored", bufs.concat()));
    });
    let put = log.clone();
    let buf = Vec::with_capacity(9);
    io.recv_with_descriptors(Rc::clone(&socket), buf, Vec::new(), move |_s, _io, buf, _fds, r| {
        r.unwrap();
        put.put(("recv_with_descriptors", buf));
    });
    let put = log.clone();
    io.accept(listener, move |_listener, _io, result| {
        result.unwrap();
        put.put(("accept", Vec::new()));
    });
    let put = log.clone();
    io.send_all(Rc::clone(&socket), pattern(1 << 20), move |_socket, _io, _buf, result| {
        result.unwrap();
        put.put(("send_all", Vec::new()));
    });
    io.poll().unwrap();
    assert_eq!(log.len(), 0, "all of them wait, and not in the call");
    let peer = std::net::TcpStream::connect(address).unwrap();
    for word in ["one", "two", "three"] {
        let come = log.len();
        (&far).write_all(word.as_bytes()).unwrap();
        while log.len() == come {
            io.run_once().unwrap();
        }
    }
    let reader = std::thread::spawn(move || crate::read(&mut &far, 1 << 20));
    finish(&io);
    assert!(reader.join().unwrap() == pattern(1 << 20));
    drop(peer);
    let mut all = log.take();
    all.sort();
    let expected = [
        ("accept", ""),
        ("recv", "one"),
        ("recv_vectored", "two"),
        ("recv_with_descriptors", "three"),
        ("send_all", ""),
    ];
    assert_eq!(all, expected.map(|(name, bytes)| (name, bytes.into())));
}

/// Linux lets a seek on them pass, and a read at an offset would be one at none.
#[test]
#[cfg(target_os = "linux")]
fn p55_an_eventfd_has_no_offsets() {
    let io = Io::new().unwrap();
    let counter = handle(&io, eventfd(7, EventfdFlags::CLOEXEC).unwrap());
    let log = Log::new();
    let put = log.clone();
    io.read_at(Rc::clone(&counter), Vec::with_capacity(8), 1, move |_counter, _io, buf, result| {
        assert!(buf.is_empty());
        put.put(result.map(drop));
    });
    let put = log.clone();
    io.write_at(Rc::clone(&counter), vec![1; 8], 1, move |_counter, _io, _buf, result| {
        put.put(result.map(drop));
    });
    finish(&io);
    let errors = log.take().into_iter().map(|result| result.unwrap_err().raw_os_error());
    assert_eq!(errors.collect::<Vec<_>>(), [Some(libc::ESPIPE); 2]);
    io.read(counter, Vec::with_capacity(8), |_counter, _io, buf, result| {
        assert_eq!((result.unwrap(), buf), (8, 7_u64.to_ne_bytes().to_vec()));
    });
    finish(&io);
}
