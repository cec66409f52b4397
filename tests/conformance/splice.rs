//! Moving bytes between descriptors without a copy.

use std::cell::Cell;
use std::fs;
use std::io::{ErrorKind, PipeReader, PipeWriter, Read, Seek, SeekFrom, Write};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::time::Duration;

use tigereye::{AsSource, Descriptor, Io, TcpStream, is_cancelled};

use crate::real;
use crate::scratch::Scratch;
use crate::{Counted, HANG, Log, come_to_rest, finish, pattern, read, reset};

fn own(io: &Io, descriptor: impl Into<OwnedFd>) -> Rc<Descriptor> {
    Rc::new(Descriptor::new(io, descriptor.into()))
}

/// A pipe whose end to read from is the loop's.
fn source(io: &Io) -> (Rc<Descriptor>, PipeWriter) {
    let (reader, writer) = std::io::pipe().unwrap();
    (own(io, reader), writer)
}

/// A pipe whose end to write to is the loop's.
fn sink(io: &Io) -> (PipeReader, Rc<Descriptor>) {
    let (reader, writer) = std::io::pipe().unwrap();
    (reader, own(io, writer))
}

/// Writes without end, until nobody reads.
fn gush(mut writer: PipeWriter) {
    std::thread::spawn(move || while writer.write_all(&[7; 4096]).is_ok() {});
}

type Outcomes = Log<std::io::Result<u64>>;

/// Starts a splice whose result comes to the log.
fn start<C: AsSource + 'static>(
    io: &Io,
    to: C,
    from: &Descriptor,
    all: bool,
    log: &Outcomes,
) -> tigereye::Op {
    let put = log.clone();
    let callback = move |_to: C, _io: &Io, result| put.put(result);
    if all {
        io.splice_all(to, from, u64::MAX, callback)
    } else {
        io.splice(to, from, u64::MAX, callback)
    }
}

fn turn(io: &Io) {
    for _ in 0..5 {
        io.poll().unwrap();
    }
}

#[test]
fn from_socket_to_socket_by_a_pipe_between_them() {
    let io = Io::new().unwrap();
    let ((near, mut client), (far, mut server)) = (real::small_pair(&io), real::small_pair(&io));
    let (reader, writer) = std::io::pipe().unwrap();
    let log = Log::new();
    let put = log.clone();
    io.splice_all(own(&io, writer), &*near, u64::MAX, move |_pipe, _io, result| {
        put.put(result.unwrap());
    });
    let put = log.clone();
    let (reader, len) = (own(&io, reader), 3 << 20);
    io.splice_all(far, &*reader, u64::MAX, move |_far, _io, result| put.put(result.unwrap()));
    // Both sources may be closed meanwhile.
    drop((near, reader));
    let all = pattern(len);
    let sender = std::thread::spawn(move || {
        client.write_all(&all).unwrap();
        client.shutdown(Shutdown::Write).unwrap();
    });
    let receiver = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        server.read_to_end(&mut bytes).unwrap();
        bytes
    });
    finish(&io);
    sender.join().unwrap();
    assert!(receiver.join().unwrap() == pattern(len));
    assert_eq!(log.take(), [len as u64; 2]);
}

#[test]
fn it_takes_its_place_among_the_writes() {
    let io = Io::new().unwrap();
    let (stream, mut peer) = real::shared_pair(&io);
    let (from, mut writer) = source(&io);
    let log = Log::new();
    io.send_all(Rc::clone(&stream), "head", |_stream, _io, _buf, result| result.unwrap());
    let put = log.clone();
    io.splice_all(Rc::clone(&stream), &*from, 10, move |_s, _io, result| put.put(result.unwrap()));
    io.send_all(stream, "tail", |_stream, _io, _buf, result| result.unwrap());
    turn(&io);
    assert_eq!(log.len(), 0, "it waits");
    writer.write_all(b"01234").unwrap();
    turn(&io);
    writer.write_all(b"56789 and more").unwrap();
    finish(&io);
    assert_eq!(log.one(), 10);
    assert_eq!(read(&mut peer, 18), b"head0123456789tail");
    drop(writer);
    let mut left = Vec::new();
    std::fs::File::from(Rc::into_inner(from).unwrap().into_inner().unwrap())
        .read_to_end(&mut left)
        .unwrap();
    assert_eq!(left, b" and more");
}

#[test]
fn p18_files_at_their_own_positions() {
    let (io, scratch) = (Io::new().unwrap(), Scratch::new());
    let path = scratch.file("file", b"0123456789");
    let mut file = fs::File::options().read(true).write(true).open(path).unwrap();
    file.seek(SeekFrom::Start(3)).unwrap();
    let on = own(&io, file.try_clone().unwrap());
    let (mut reader, to) = sink(&io);
    let log = Log::new();
    for count in [4, 64, 64, 0] {
        let put = log.clone();
        io.splice(Rc::clone(&to), &*on, count, move |_to, _io, result| put.put(result.unwrap()));
        finish(&io);
    }
    drop(to);
    assert_eq!(log.take(), [4, 3, 0, 0]);
    let mut bytes = Vec::new();
    reader.read_to_end(&mut bytes).unwrap();
    assert_eq!(bytes, b"3456789");
    // And the other way, from there on.
    let (from, mut writer) = source(&io);
    writer.write_all(b"abc").unwrap();
    drop(writer);
    start(&io, on, &from, true, &Log::new());
    finish(&io);
    file.seek(SeekFrom::Start(0)).unwrap();
    bytes.clear();
    file.read_to_end(&mut bytes).unwrap();
    assert_eq!(bytes, b"0123456789abc");
}

#[test]
fn a_pipe_of_files_is_longer_than_the_pipe() {
    let (io, scratch) = (Io::new().unwrap(), Scratch::new());
    let from = own(&io, fs::File::open(scratch.file("from", &pattern(1 << 20))).unwrap());
    let path = scratch.file("to", b"");
    let to = own(&io, fs::File::options().write(true).open(&path).unwrap());
    let (reader, writer) = std::io::pipe().unwrap();
    let (reader, writer) = (own(&io, reader), own(&io, writer));
    let log = Log::new();
    start(&io, writer, &from, true, &log);
    start(&io, to, &reader, true, &log);
    finish(&io);
    assert_eq!(log.take().into_iter().map(Result::unwrap).collect::<Vec<_>>(), [1 << 20; 2]);
    assert!(fs::read(path).unwrap() == pattern(1 << 20));
}

#[test]
fn p47_who_does_not_read_and_who_does_not_write_are_waited_for() {
    let io = Io::new().unwrap();
    for way in ["cancel", "deadline", "close"] {
        for silent in [true, false] {
            let (from, writer) = source(&io);
            let (stream, peer) = real::small_pair(&io);
            let (reader, to) = sink(&io);
            let (_kept, _readers) = if silent {
                (Some(writer), None)
            } else {
                gush(writer);
                (None, Some((peer, reader)))
            };
            let (first, second) = (own(&io, real::std_pair().0), stream);
            drop(first);
            let log = Log::new();
            let ops = [
                start(&io, Rc::clone(&to), &from, true, &log),
                start(&io, Rc::clone(&second), &from, true, &log),
            ];
            drop(from);
            for _ in 0..50 {
                io.run_for(Duration::from_micros(100)).unwrap();
            }
            assert_eq!(log.len(), 0);
            match way {
                "cancel" => ops.into_iter().for_each(|op| io.cancel(op)),
                "deadline" => {
                    ops.into_iter().for_each(|op| io.deadline(op, Duration::from_millis(1)));
                }
                _ => {
                    io.close(to, |_to, _io, result| result.unwrap());
                    io.close(second, |_stream, _io, result| result.unwrap());
                }
            }
            finish(&io);
            let errors = log.take();
            assert_eq!(errors.len(), 2);
            for result in errors {
                let error = result.unwrap_err();
                match way {
                    "deadline" => assert_eq!(error.kind(), ErrorKind::TimedOut),
                    _ => assert!(is_cancelled(&error), "{way}: {error}"),
                }
            }
        }
    }
}

#[test]
fn p59_p16_nobody_holds_up_a_thread_of_the_pool() {
    let io = Io::builder().pool_threads(1).build().unwrap();
    let log = Log::new();
    let (mut kept, mut ops): (Vec<OwnedFd>, Vec<_>) = (Vec::new(), Vec::new());
    let mut sources = Vec::new();
    for round in 0..3 {
        // Who gives without end, and who gives nothing, to who takes nothing.
        let (full, writer) = source(&io);
        gush(writer);
        let (empty, writer) = source(&io);
        kept.push(writer.into());
        for from in [&full, &empty] {
            let (reader, to) = sink(&io);
            kept.push(reader.into());
            ops.push(start(&io, to, from, true, &log));
            let (stream, peer) = real::small_pair(&io);
            kept.push(peer.into());
            ops.push(start(&io, stream, from, true, &log));
            // Sockets that nobody has set to anything.
            let (near, far) = UnixStream::pair().unwrap();
            kept.push(far.into());
            ops.push(start(&io, own(&io, near), from, true, &log));
            let (near, far) = real::std_pair();
            kept.push(far.into());
            ops.push(start(&io, own(&io, near), from, true, &log));
        }
        let (near, far) = real::std_pair();
        if round == 0 {
            (&far).write_all(b"some").unwrap();
        }
        kept.push(far.into());
        let (reader, to) = sink(&io);
        kept.push(reader.into());
        let near = own(&io, near);
        ops.push(start(&io, to, &near, true, &log));
        sources.extend([full, empty, near]);
    }
    // Each call gets its turn between theirs, until they have moved all that they can.
    for _ in 0..300 {
        let done = Rc::new(Cell::new(false));
        let ends = |done: Rc<Cell<bool>>, io: &Io, result: std::io::Result<()>| {
            done.set(result.is_ok());
            io.stop();
        };
        io.offload(Rc::clone(&done), || (), ends);
        io.run_for(HANG).unwrap();
        assert!(done.get(), "the pool has a thread for it");
    }
    assert_eq!(log.len(), 0);
    let count = ops.len();
    ops.into_iter().for_each(|op| io.cancel(op));
    finish(&io);
    let errors = log.take();
    assert_eq!(errors.len(), count);
    assert!(errors.into_iter().all(|result| is_cancelled(&result.unwrap_err())));
}

#[test]
fn the_source_ends_before_and_while_it_is_waited_for() {
    let io = Io::new().unwrap();
    for early in [true, false] {
        let (from, mut writer) = source(&io);
        let (near, far) = real::pair(&io);
        let near = Rc::new(near);
        let (mut reader, to) = sink(&io);
        let (mut second, other) = sink(&io);
        let log = Log::new();
        writer.write_all(b"pipe").unwrap();
        (&far).write_all(b"socket").unwrap();
        let (mut writer, mut far) = (Some(writer), Some(far));
        let mut end = || drop((writer.take(), far.take()));
        if early {
            end();
        }
        start(&io, to, &from, true, &log);
        let put = log.clone();
        io.splice_all(other, &*near, u64::MAX, move |_to, _io, result| put.put(result));
        turn(&io);
        end();
        finish(&io);
        let mut counts: Vec<_> = log.take().into_iter().map(Result::unwrap).collect();
        counts.sort_unstable();
        assert_eq!(counts, [4, 6]);
        let (mut one, mut two) = (String::new(), String::new());
        reader.read_to_string(&mut one).unwrap();
        second.read_to_string(&mut two).unwrap();
        assert_eq!((one.as_str(), two.as_str()), ("pipe", "socket"));
        // It stays at its end.
        let (_reader, to) = sink(&io);
        start(&io, to, &from, false, &log);
        finish(&io);
        assert_eq!(log.one().unwrap(), 0);
    }
}

#[test]
fn p35_a_reader_that_is_gone_is_an_error_before_and_while_there_is_no_room() {
    let io = Io::new().unwrap();
    for early in [true, false] {
        for kind in ["pipe", "tcp", "unix"] {
            let (from, writer) = source(&io);
            gush(writer);
            let (reader, to): (OwnedFd, _) = match kind {
                "pipe" => {
                    let (reader, to) = sink(&io);
                    (reader.into(), to)
                }
                "tcp" => {
                    let (near, far) = real::std_pair();
                    (far.into(), own(&io, near))
                }
                _ => {
                    let (near, far) = UnixStream::pair().unwrap();
                    (far.into(), own(&io, near))
                }
            };
            let mut reader = Some(reader);
            if early {
                drop(reader.take());
            }
            let log = Log::new();
            start(&io, Rc::clone(&to), &from, true, &log);
            for _ in 0..30 {
                io.run_for(Duration::from_micros(100)).unwrap();
            }
            drop(reader);
            finish(&io);
            let error = log.one().unwrap_err().kind();
            assert!(
                matches!(error, ErrorKind::BrokenPipe | ErrorKind::ConnectionReset),
                "{kind}: {error}"
            );
            start(&io, to, &from, true, &log);
            finish(&io);
            assert_eq!(log.one().unwrap_err().kind(), ErrorKind::BrokenPipe, "{kind}");
        }
    }
}

#[test]
fn a_reset_of_the_source_is_an_error() {
    let io = Io::new().unwrap();
    let (near, far) = real::std_pair();
    let near = own(&io, near);
    let (_reader, to) = sink(&io);
    let log = Log::new();
    start(&io, to, &near, true, &log);
    turn(&io);
    reset(far);
    finish(&io);
    assert_eq!(log.one().unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[test]
fn what_cannot_be_spliced_is_an_error_and_not_a_wait() {
    let (io, scratch) = (Io::new().unwrap(), Scratch::new());
    let path = scratch.file("file", b"abc");
    let file = own(&io, fs::File::open(&path).unwrap());
    let appending = own(&io, fs::File::options().append(true).open(&path).unwrap());
    let directory = own(&io, fs::File::open(path.parent().unwrap()).unwrap());
    let ((from, mut writer), (_reader, to)) = (source(&io), sink(&io));
    let (near, _far) = real::std_pair();
    let near = own(&io, near);
    let log = Log::new();
    // Neither is a pipe; the socket is silent.
    start(&io, Rc::clone(&near), &file, false, &log);
    start(&io, Rc::clone(&file), &near, false, &log);
    // The wrong ends of pipes.
    start(&io, Rc::clone(&to), &to, false, &log);
    start(&io, Rc::clone(&from), &from, false, &log);
    start(&io, Rc::clone(&file), &from, false, &log);
    finish(&io);
    let codes = |log: &Outcomes| -> Vec<i32> {
        log.take().into_iter().map(|result| result.unwrap_err().raw_os_error().unwrap()).collect()
    };
    assert_eq!(log.len(), 5);
    let mut found = codes(&log);
    found.sort_unstable();
    assert_eq!(found, [libc::EBADF, libc::EBADF, libc::EBADF, libc::EBADF, libc::EINVAL]);
    writer.write_all(b"abc").unwrap();
    start(&io, appending, &from, false, &log);
    start(&io, to, &directory, false, &log);
    finish(&io);
    for code in codes(&log) {
        assert!(matches!(code, libc::EINVAL | libc::EISDIR), "{code}");
    }
}

#[test]
fn handles_that_are_closed_or_of_another_loop() {
    let (io, other) = (Io::new().unwrap(), Io::new().unwrap());
    let ((from, mut writer), (mut reader, to)) = (source(&other), sink(&io));
    let log = Log::new();
    writer.write_all(b"hello").unwrap();
    // A source may be another loop's, of which nothing is asked.
    start(&io, Rc::clone(&to), &from, false, &log);
    finish(&io);
    assert_eq!(log.one().unwrap(), 5);
    let mut bytes = [0; 5];
    reader.read_exact(&mut bytes).unwrap();
    assert_eq!(&bytes, b"hello");
    start(&other, Rc::clone(&to), &from, false, &log);
    finish(&other);
    assert_eq!(log.one().unwrap_err().kind(), ErrorKind::InvalidInput);
    other.close(Rc::clone(&from), |_from, _io, result| result.unwrap());
    finish(&other);
    start(&io, Rc::clone(&to), &from, false, &log);
    finish(&io);
    assert_eq!(log.one().unwrap_err().kind(), ErrorKind::NotConnected);
    let (from, _writer) = source(&io);
    io.close(Rc::clone(&to), |_to, _io, result| result.unwrap());
    finish(&io);
    start(&io, to, &from, false, &log);
    finish(&io);
    assert_eq!(log.one().unwrap_err().kind(), ErrorKind::NotConnected);
}

#[test]
fn p21_a_cancel_racing_a_splice_loses_no_byte() {
    let io = Io::new().unwrap();
    for round in 0..3 {
        let (from, mut writer) = source(&io);
        let (mut reader, to) = sink(&io);
        let thread = std::thread::spawn(move || {
            for byte in 0..200_u8 {
                writer.write_all(&[byte]).unwrap();
                std::thread::yield_now();
            }
        });
        // A pipe is full of a few pieces, however small they are.
        let reads = std::thread::spawn(move || {
            let mut all = Vec::new();
            reader.read_to_end(&mut all).unwrap();
            all
        });
        let (log, mut moved) = (Log::new(), 0);
        while moved < 200 {
            let op = start(&io, Rc::clone(&to), &from, false, &log);
            (0..round).for_each(|_| io.poll().unwrap());
            io.cancel(op);
            finish(&io);
            match log.one() {
                Ok(count) => moved += count,
                Err(error) => assert!(is_cancelled(&error), "{error}"),
            }
            // Where it is cancelled before it reached the pool, it never gets anywhere.
            if round == 0 {
                start(&io, Rc::clone(&to), &from, false, &log);
                finish(&io);
                moved += log.one().unwrap();
            }
        }
        thread.join().unwrap();
        drop(to);
        assert!(reads.join().unwrap().into_iter().eq(0..200));
    }
}

#[test]
fn two_from_one_source_move_each_byte_once() {
    let io = Io::new().unwrap();
    let (near, mut far) = real::std_pair();
    let near = own(&io, near);
    let log = Log::new();
    let mut readers = Vec::new();
    for _ in 0..4 {
        let (mut reader, to) = sink(&io);
        start(&io, to, &near, true, &log);
        readers.push(std::thread::spawn(move || {
            let mut bytes = Vec::new();
            reader.read_to_end(&mut bytes).unwrap();
            bytes.len() as u64
        }));
    }
    let writer = std::thread::spawn(move || {
        for _ in 0..2000 {
            far.write_all(&[1; 100]).unwrap();
        }
    });
    finish(&io);
    writer.join().unwrap();
    let counted: u64 = log.take().into_iter().map(Result::unwrap).sum();
    let arrived: u64 = readers.into_iter().map(|reader| reader.join().unwrap()).sum();
    assert_eq!((counted, arrived), (200_000, 200_000));
    let socket = Rc::into_inner(near).unwrap().into_inner().unwrap();
    let socket = std::net::TcpStream::from(socket);
    assert_eq!(socket.read_timeout().unwrap(), Some(HANG), "it is as it was");
}

#[test]
fn urgent_data_in_the_way_is_not_the_end() {
    let io = Io::new().unwrap();
    let (near, far) = real::std_pair();
    let near = own(&io, near);
    (&far).write_all(b"ab").unwrap();
    socket2::SockRef::from(&far).send_out_of_band(b"!").unwrap();
    (&far).write_all(b"cd").unwrap();
    drop(far);
    let (mut reader, to) = sink(&io);
    let log = Log::new();
    let move_some = || {
        start(&io, Rc::clone(&to), &near, false, &log);
        finish(&io);
        log.one()
    };
    assert_eq!(move_some().unwrap(), 2);
    assert_eq!(move_some().unwrap_err().kind(), ErrorKind::InvalidData);
    io.recv(Rc::clone(&near), Vec::with_capacity(1), |_near, _io, buf, result| {
        assert_eq!((result.unwrap(), &buf[..]), (1, &b"c"[..]));
    });
    finish(&io);
    assert_eq!(move_some().unwrap(), 1);
    assert_eq!(move_some().unwrap(), 0);
    drop(to);
    let mut bytes = Vec::new();
    reader.read_to_end(&mut bytes).unwrap();
    assert_eq!(bytes, b"abd");
}

#[test]
fn p47_a_peer_that_sends_no_more_and_reads_nothing_is_waited_for_at_rest() {
    let io = Io::new().unwrap();
    let (from, writer) = source(&io);
    gush(writer);
    let (stream, peer) = real::small_pair(&io);
    peer.shutdown(Shutdown::Write).unwrap();
    let log = Log::new();
    let op = start(&io, stream, &from, true, &log);
    come_to_rest(&io);
    io.cancel(op);
    finish(&io);
    assert!(is_cancelled(&log.one().unwrap_err()));
}

#[test]
fn p25_rule7_the_loop_ends_with_splices_on_their_way() {
    for turns in 0..20 {
        let io = Io::new().unwrap();
        let drops = Rc::new(Cell::new(0));
        let (full, writer) = source(&io);
        gush(writer);
        let (empty, _kept) = source(&io);
        let mut kept = Vec::new();
        for from in [&full, &empty] {
            let (reader, to) = sink(&io);
            kept.push(OwnedFd::from(reader));
            let to = Counted::new(to, &drops);
            io.splice_all(to, &**from, u64::MAX, |_to, _io, _result| unreachable!());
            let (stream, peer): (TcpStream, _) = real::pair(&io);
            kept.push(peer.into());
            let to = Counted::new(stream, &drops);
            io.splice_all(to, &**from, u64::MAX, |_to, _io, _result| unreachable!());
        }
        for _ in 0..turns {
            io.poll().unwrap();
        }
        drop(io);
        assert_eq!(drops.get(), 4);
    }
}
