//! Descriptors that are passed through Unix sockets.

use std::io::{ErrorKind, PipeReader, Read, Write};
use std::os::fd::OwnedFd;
use std::rc::Rc;

use tigereye::{Delivery, Io, Next, TcpStream, UnixListener, UnixStream, is_cancelled};

use crate::real;
use crate::scratch::Scratch;
use crate::{Log, finish, pattern};

type Received = (Vec<u8>, Vec<OwnedFd>, std::io::Result<Delivery>);

fn pair(io: &Io) -> (Rc<UnixStream>, Rc<UnixStream>) {
    let (near, far) = UnixStream::pair(io).unwrap();
    (Rc::new(near), Rc::new(far))
}

/// So many descriptors, all of the same end of a pipe. The reader sees the end when all are closed,
/// wherever they went.
fn writers(count: usize) -> (PipeReader, Vec<OwnedFd>) {
    let (reader, writer) = std::io::pipe().unwrap();
    let mut all: Vec<OwnedFd> = (1..count).map(|_| writer.try_clone().unwrap().into()).collect();
    all.push(writer.into());
    (reader, all)
}

/// No writer is left anywhere, nor was anything written.
#[track_caller]
fn assert_all_closed(mut reader: PipeReader) {
    assert_eq!(reader.read(&mut [0; 1]).unwrap(), 0);
}

/// Sends, and closes what was sent at this end.
fn send(io: &Io, stream: &Rc<UnixStream>, bytes: &'static str, descriptors: Vec<OwnedFd>) {
    let count = descriptors.len();
    io.send_with_descriptors(
        Rc::clone(stream),
        bytes,
        descriptors,
        move |_, _, buf, all, result| {
            assert_eq!((result.unwrap(), buf), (bytes.len(), bytes));
            assert_eq!(all.len(), count, "they come back");
        },
    );
}

fn recv(
    io: &Io,
    stream: &Rc<UnixStream>,
    room: usize,
    descriptors: usize,
) -> (Log<Received>, tigereye::Op) {
    let log = Log::new();
    let put = log.clone();
    let (buf, descriptors) = (Vec::with_capacity(room), Vec::with_capacity(descriptors));
    let op = io.recv_with_descriptors(
        Rc::clone(stream),
        buf,
        descriptors,
        move |_, _, buf, all, result| {
            put.put((buf, all, result));
        },
    );
    (log, op)
}

/// Whether the receive waits for the send, or the other way round.
#[test]
fn descriptors_arrive_with_their_bytes() {
    let io = Io::new().unwrap();
    for receive_first in [true, false] {
        let (near, far) = pair(&io);
        let (mut reader, descriptors) = writers(3);
        let begin = || recv(&io, &far, 16, 3).0;
        let waiting = receive_first.then(begin);
        io.poll().unwrap();
        send(&io, &near, "three", descriptors);
        let log = waiting.unwrap_or_else(begin);
        finish(&io);
        let (buf, descriptors, result) = log.one();
        assert_eq!(result.unwrap(), Delivery { bytes: 5, descriptors_cut: false });
        assert_eq!((&buf[..], descriptors.len()), (&b"three"[..], 3));
        let mut files: Vec<_> = descriptors.into_iter().map(std::fs::File::from).collect();
        for file in &mut files {
            file.write_all(b"x").unwrap();
        }
        drop(files);
        let mut all = Vec::new();
        reader.read_to_end(&mut all).unwrap();
        assert_eq!(all, b"xxx", "each is the pipe, and none is left open");
    }
}

#[test]
fn a_connection_that_is_passed_works_on() {
    let io = Io::new().unwrap();
    let place = Scratch::new();
    let listener = UnixListener::bind(&io, place.join("s")).unwrap();
    let path = place.join("s");
    let (connection, mut client) = real::std_pair();
    // To another loop, as to another process.
    let other = std::thread::spawn(move || {
        let io = Io::new().unwrap();
        io.connect_unix((), path, |(), io, result| {
            let (buf, room) = (Vec::with_capacity(8), Vec::with_capacity(1));
            io.recv_with_descriptors(result.unwrap(), buf, room, |_, io, _, mut passed, result| {
                assert_eq!(result.unwrap().bytes, 1);
                let connection = std::net::TcpStream::from(passed.pop().unwrap());
                let stream = TcpStream::from_std(io, connection).unwrap();
                io.recv_exact(stream, Vec::with_capacity(4), 4, |stream, io, buf, result| {
                    result.unwrap();
                    io.send_all(stream, buf, |_stream, _io, _buf, result| result.unwrap());
                });
            });
        });
        finish(&io);
    });
    io.accept_unix(listener, move |_listener, io, result| {
        let passed = vec![OwnedFd::from(connection)];
        io.send_with_descriptors(result.unwrap().0, "c", passed, |_, _, _, _, result| {
            assert_eq!(result.unwrap(), 1);
        });
    });
    finish(&io);
    client.write_all(b"ping").unwrap();
    assert_eq!(crate::read(&mut client, 4), b"ping");
    other.join().unwrap();
}

/// A receive that is short because descriptors came with its bytes says nothing of what follows.
#[test]
fn p70_bytes_behind_descriptors_are_received_without_another_event() {
    let io = Io::new().unwrap();
    let (near, far) = pair(&io);
    // The far end is known to the driver, and waits for no further event.
    let (log, _op) = recv(&io, &far, 16, 1);
    io.poll().unwrap();
    let (reader, descriptors) = writers(1);
    send(&io, &near, "a", descriptors);
    send(&io, &near, "b", Vec::new());
    let (other_reader, descriptors) = writers(1);
    send(&io, &near, "c", descriptors);
    send(&io, &near, "d", Vec::new());
    finish(&io);
    assert_eq!(log.one().0, b"a");
    assert_all_closed(reader);
    // What has come is no news any more.
    io.poll().unwrap();
    // A receive that does not ask for descriptors stops at the same places.
    let log = Log::new();
    let put = log.clone();
    io.recv(Rc::clone(&far), Vec::with_capacity(16), move |far, io, buf, result| {
        result.unwrap();
        put.put(buf);
        io.recv(far, Vec::with_capacity(16), move |far, io, buf, result| {
            result.unwrap();
            put.put(buf);
            drop((far, io));
        });
    });
    finish(&io);
    let all = log.take();
    assert_eq!(all.concat(), b"bcd");
    assert_eq!(all.len(), 2);
    assert_all_closed(other_reader);
}

#[test]
fn p70_a_flow_goes_on_behind_descriptors() {
    let io = Io::new().unwrap();
    let (near, far) = pair(&io);
    let pool = tigereye::BufferPool::new(&io, 4, 64).unwrap();
    let log = Log::new();
    let put = log.clone();
    let each = move |_: &mut Rc<UnixStream>, _: &Io, buf: tigereye::PoolBuf| {
        put.put(buf.to_vec());
        if put.0.borrow().concat().len() == 30 { Next::Stop } else { Next::Continue }
    };
    io.recv_each(far, &pool, each, |_far, _io, result| result.unwrap());
    io.poll().unwrap();
    let (reader, mut descriptors) = writers(10);
    while let Some(descriptor) = descriptors.pop() {
        send(&io, &near, "ab", vec![descriptor]);
        send(&io, &near, "c", Vec::new());
    }
    finish(&io);
    assert_eq!(log.take().concat(), b"abc".repeat(10));
    assert_all_closed(reader);
}

#[test]
fn descriptors_without_room_are_closed_and_told_of() {
    let io = Io::new().unwrap();
    for (sent, room) in [(1, 0), (2, 1), (3, 1), (3, 2), (253, 1), (253, 252)] {
        let (near, far) = pair(&io);
        let (reader, descriptors) = writers(sent);
        send(&io, &near, "x", descriptors);
        let (log, _op) = recv(&io, &far, 1, room);
        finish(&io);
        let (_, descriptors, result) = log.one();
        assert_eq!(result.unwrap(), Delivery { bytes: 1, descriptors_cut: true });
        assert_eq!(descriptors.len(), room);
        drop(descriptors);
        assert_all_closed(reader);
    }
    for count in [0, 253] {
        let (near, far) = pair(&io);
        let (_reader, descriptors) = writers(count.max(1));
        send(&io, &near, "x", descriptors.into_iter().take(count).collect());
        let (log, _op) = recv(&io, &far, 1, count);
        finish(&io);
        let (_, descriptors, result) = log.one();
        assert_eq!(result.unwrap(), Delivery { bytes: 1, descriptors_cut: false });
        assert_eq!(descriptors.len(), count);
    }
}

#[test]
fn what_cannot_be_passed_comes_back() {
    let io = Io::new().unwrap();
    let (near, far) = pair(&io);
    for (bytes, count) in [("", 1), ("", 0), ("x", 254)] {
        let log = Log::new();
        let put = log.clone();
        let (_reader, mut all) = writers(count.max(1));
        all.truncate(count);
        io.send_with_descriptors(Rc::clone(&near), bytes, all, move |_, _, _, all, result| {
            put.put((all, result.unwrap_err().kind()));
        });
        assert_eq!(log.len(), 0, "never inside the call");
        finish(&io);
        let (all, kind) = log.one();
        assert_eq!((all.len(), kind), (count, ErrorKind::InvalidInput));
    }
    let (log, _op) = recv(&io, &far, 0, 1);
    finish(&io);
    assert_eq!(log.one().2.unwrap_err().kind(), ErrorKind::InvalidInput);
    // Not through a connection of another kind: the system says so, or drops them.
    let (near, mut peer) = real::std_pair();
    let near = TcpStream::from_std(&io, near).unwrap();
    let (reader, descriptors) = writers(1);
    let log = Log::new();
    let put = log.clone();
    io.send_with_descriptors(near, "x", descriptors, move |_, _, _, all, result| {
        put.put((all.len(), result.is_ok()));
    });
    finish(&io);
    let (count, sent) = log.one();
    assert_eq!(count, 1);
    if sent {
        assert_eq!(crate::read(&mut peer, 1), b"x");
    }
    assert_all_closed(reader);
}

#[test]
fn the_end_of_the_stream_brings_nothing() {
    let io = Io::new().unwrap();
    let (near, far) = pair(&io);
    drop(near);
    let (log, _op) = recv(&io, &far, 4, 4);
    finish(&io);
    let (buf, descriptors, result) = log.one();
    assert_eq!(result.unwrap(), Delivery { bytes: 0, descriptors_cut: false });
    assert!(buf.is_empty() && descriptors.is_empty());
}

/// Descriptors go with the first byte of a send that is short, once.
#[test]
fn a_long_send_passes_its_descriptors_once() {
    let io = Io::new().unwrap();
    let (near, far) = pair(&io);
    let (reader, descriptors) = writers(2);
    let bytes = pattern(4_000_000);
    let (all, log) = (bytes.clone(), Log::new());
    let put = log.clone();
    io.send_with_descriptors(near, bytes, descriptors, move |near, io, buf, back, result| {
        let count = result.unwrap();
        assert!(count > 0 && count <= buf.len());
        drop(back);
        io.send_all(near, buf[count..].to_vec(), |_near, _io, _buf, result| result.unwrap());
    });
    receive_all(&io, far, put, 2);
    finish(&io);
    assert!(log.take().concat() == all);
    assert_all_closed(reader);
}

/// Receives to the end; the first piece has so many descriptors.
fn receive_all(io: &Io, far: Rc<UnixStream>, log: Log<Vec<u8>>, expected: usize) {
    let (buf, room) = (Vec::with_capacity(65_536), Vec::with_capacity(4));
    io.recv_with_descriptors(far, buf, room, move |far, io, buf, descriptors, result| {
        assert!(!result.unwrap().descriptors_cut);
        assert_eq!(descriptors.len(), expected);
        if !buf.is_empty() {
            log.put(buf);
            receive_all(io, far, log, 0);
        }
    });
}

#[test]
fn p22_a_cancelled_receive_delivers_or_leaves_its_descriptors() {
    let io = Io::new().unwrap();
    for turns in 0..40 {
        let (near, far) = pair(&io);
        let (log, op) = recv(&io, &far, 4, 4);
        if turns % 4 > 1 {
            io.poll().unwrap();
        }
        let (reader, descriptors) = writers(2);
        near.send_now(b"-").unwrap();
        send(&io, &near, "x", descriptors);
        (0..turns % 3).for_each(|_| io.poll().unwrap());
        io.cancel(op);
        finish(&io);
        let (mut bytes, first, result) = log.one();
        let mut descriptors = first;
        if let Err(error) = result {
            assert!(is_cancelled(&error), "{error}");
            assert!(bytes.is_empty() && descriptors.is_empty());
        }
        while bytes != b"-x" {
            let (log, _op) = recv(&io, &far, 4, 4);
            finish(&io);
            let (more, passed, result) = log.one();
            assert!(!result.unwrap().descriptors_cut);
            bytes.extend(more);
            descriptors.extend(passed);
        }
        assert_eq!(descriptors.len(), 2, "nothing is lost");
        drop(descriptors);
        assert_all_closed(reader);
    }
}

#[test]
fn p22_rule7_descriptors_that_nobody_took_are_closed() {
    for turns in 0..4 {
        let io = Io::builder().callbacks_per_turn(1).build().unwrap();
        let (near, far) = pair(&io);
        let (reader, descriptors) = writers(2);
        let (log, _op) = recv(&io, &far, 4, 4);
        io.poll().unwrap();
        for _ in 0..3 {
            io.next((), |(), _io| {});
        }
        io.send_with_descriptors(near, "x", descriptors, |_, _, _, _, _| {});
        (0..turns).for_each(|_| io.poll().unwrap());
        drop((io, far));
        drop(log);
        assert_all_closed(reader);
    }
}
