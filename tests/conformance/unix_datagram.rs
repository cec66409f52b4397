//! Datagrams over Unix sockets.

use std::io::{Error, ErrorKind, Read, Result};
use std::net::Shutdown;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

#[cfg(target_os = "linux")]
use tigereye::{AsSource, Descriptor, DriverKind};
use tigereye::{
    BufferPool, Datagram, Io, Next, Op, ToUnixAddress, UnixAddress, UnixDatagram, is_cancelled,
};

use crate::disk::{self, Scratch};
use crate::patient::patiently;
use crate::peer::{UnixDatagramPeer, UnixPeerListener};
use crate::{Log, finish, pair as tcp_pair, pattern};

/// A socket of the loop that is bound to a path, shared.
fn bound(io: &Io, path: &Path) -> Rc<UnixDatagram> {
    Rc::new(UnixDatagram::bind(io, path).unwrap())
}

fn unbound(io: &Io) -> Rc<UnixDatagram> {
    Rc::new(UnixDatagram::unbound(io).unwrap())
}

fn pair(io: &Io) -> (Rc<UnixDatagram>, Rc<UnixDatagram>) {
    let (near, far) = UnixDatagram::pair(io).unwrap();
    (Rc::new(near), Rc::new(far))
}

fn peer_at(path: &Path) -> UnixDatagramPeer {
    UnixDatagramPeer::bind(path).unwrap()
}

fn receive(std: &UnixDatagramPeer) -> Vec<u8> {
    let mut buf = vec![0; 100_000];
    let len = patiently(|| std.recv(&mut buf)).unwrap();
    buf.truncate(len);
    buf
}

/// A pool whose buffers have room for datagrams of so many bytes.
fn pool(io: &Io, count: usize, room: usize) -> BufferPool {
    BufferPool::new(io, count, room + 128).unwrap()
}

/// Sends, and keeps what came of it.
fn send(
    io: &Io,
    socket: &Rc<UnixDatagram>,
    bytes: &'static str,
    to: impl ToUnixAddress,
) -> (Op, Log<Result<usize>>) {
    let log = Log::new();
    let put = log.clone();
    let op = io.send_to_unix(Rc::clone(socket), bytes, to, move |_socket, _io, buf, result| {
        assert_eq!(buf, bytes, "the buffer comes back");
        put.put(result);
    });
    assert_eq!(log.len(), 0, "never inside the call");
    (op, log)
}

#[track_caller]
fn refused(io: &Io, socket: &Rc<UnixDatagram>, to: impl ToUnixAddress) -> Error {
    let (_op, log) = send(io, socket, "lost", to);
    finish(io);
    log.one().unwrap_err()
}

/// What came: bytes, sender, whether it was cut.
type One = (Vec<u8>, UnixAddress, bool);

fn recv(io: &Io, socket: &Rc<UnixDatagram>, room: usize) -> (Op, Log<Result<One>>) {
    let log = Log::new();
    let put = log.clone();
    let buf = Vec::with_capacity(room);
    let op = io.recv_from_unix(Rc::clone(socket), buf, move |_socket, _io, buf, result| {
        put.put(result.map(|received| {
            assert_eq!((received.len, received.segment), (buf.len(), None));
            (buf, received.from, received.truncated)
        }));
    });
    (op, log)
}

/// A flow that keeps a copy of what comes, and stops when so many are there.
fn flow(
    io: &Io,
    socket: &Rc<UnixDatagram>,
    pool: &BufferPool,
    count: usize,
) -> (Op, Log<One>, Log<Result<()>>) {
    let (items, ends) = (Log::new(), Log::new());
    let (put, end) = (items.clone(), ends.clone());
    let each = move |_socket: &mut _, _io: &Io, datagram: Datagram<UnixAddress>| {
        put.put((datagram.to_vec(), datagram.from.clone(), datagram.truncated));
        if put.len() == count { Next::Stop } else { Next::Continue }
    };
    let done = move |_socket, _io: &Io, result| end.put(result);
    (io.recv_from_unix_each(Rc::clone(socket), pool, each, done), items, ends)
}

fn there_and_back(io: &Io, near: &UnixAddress, far: &UnixAddress) {
    let sockets = [near, far].map(|at| Rc::new(UnixDatagram::bind(io, at).unwrap()));
    let [near_socket, far_socket] = sockets;
    assert_eq!(far_socket.local_addr().unwrap(), *far);
    assert_eq!(far_socket.peer_addr().unwrap_err().kind(), ErrorKind::NotConnected);
    let client = near.clone();
    io.recv_from_unix(far_socket, Vec::with_capacity(64), move |far, io, buf, result| {
        let received = result.unwrap();
        assert_eq!((received.from.clone(), received.truncated), (client, false));
        io.send_to_unix(far, buf, received.from, |_far, _io, _buf, result| {
            assert_eq!(result.unwrap(), 4);
        });
    });
    let (_op, sent) = send(io, &near_socket, "ping", far);
    let (_op, back) = recv(io, &near_socket, 64);
    finish(io);
    assert_eq!(sent.one().unwrap(), 4);
    assert_eq!(back.one().unwrap(), (b"ping".to_vec(), far.clone(), false));
    // Again, into a pool.
    let (_op, items, ends) = flow(io, &near_socket, &pool(io, 4, 64), 1);
    send(io, &near_socket, "self", near);
    finish(io);
    ends.one().unwrap();
    assert_eq!(items.one(), (b"self".to_vec(), near.clone(), false));
}

#[test]
fn p45_datagrams_by_paths_there_and_back() {
    let (io, place) = (Io::new().unwrap(), Scratch::new());
    let path = |name| UnixAddress::from_path(place.join(name)).unwrap();
    there_and_back(&io, &path("near"), &path("far"));
    // The longest path is a sender's as well.
    let most = if cfg!(target_os = "linux") { 107 } else { 103 };
    let long = "x".repeat(most - place.path().to_str().unwrap().len() - 1);
    there_and_back(&io, &path(&long), &path("other"));
}

#[test]
#[cfg(target_os = "linux")]
fn p45_datagrams_by_abstract_names() {
    let io = Io::new().unwrap();
    let name = |end: &[u8]| {
        let name = format!("tigereye datagrams {}", std::process::id()).into_bytes();
        UnixAddress::from_abstract_name([&name[..], end].concat()).unwrap()
    };
    there_and_back(&io, &name(b"\0\xff"), &name(b""));
    there_and_back(&io, &name(b"again"), &name(b""));
}

#[test]
fn p45_a_sender_without_a_name_cannot_be_answered() {
    let (io, place) = (Io::new().unwrap(), Scratch::new());
    let (server, client) = (bound(&io, &place.join("s")), unbound(&io));
    assert!(client.local_addr().unwrap().is_unnamed());
    send(&io, &client, "hello", place.join("s"));
    let (_op, log) = recv(&io, &server, 64);
    finish(&io);
    let (bytes, from, _cut) = log.one().unwrap();
    assert_eq!(bytes, b"hello");
    assert!(from.is_unnamed(), "{from:?}");
    assert_eq!(refused(&io, &server, &from).kind(), ErrorKind::InvalidInput);
    let error = UnixDatagram::bind(&io, &from).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    let (_op, items, _ends) = flow(&io, &server, &pool(&io, 2, 64), 1);
    send(&io, &client, "hello", place.join("s"));
    finish(&io);
    assert!(items.one().1.is_unnamed());
}

#[test]
fn p45_a_path_that_no_address_can_be_is_refused() {
    let (io, place) = (Io::new().unwrap(), Scratch::new());
    let socket = unbound(&io);
    for path in [place.join(&"x".repeat(200)), "".into(), place.join("a\0b"), "\0abstract".into()] {
        let error = UnixDatagram::bind(&io, &path).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{path:?}");
        assert_eq!(socket.connect(&path).unwrap_err().kind(), ErrorKind::InvalidInput, "{path:?}");
        assert_eq!(refused(&io, &socket, &path).kind(), ErrorKind::InvalidInput, "{path:?}");
    }
}

#[test]
fn p45_a_stale_file_of_datagrams_is_in_use_and_replaced_when_asked() {
    let (io, place) = (Io::new().unwrap(), Scratch::new());
    let path = place.join("s");
    drop(bound(&io, &path));
    assert_eq!(UnixDatagram::bind(&io, &path).unwrap_err().kind(), ErrorKind::AddrInUse);
    let server = Rc::new(UnixDatagram::bind_replacing_stale(&io, &path).unwrap());
    let (_op, log) = recv(&io, &server, 8);
    send(&io, &unbound(&io), "hello", &path);
    finish(&io);
    assert_eq!(log.one().unwrap().0, b"hello");
    let error = UnixDatagram::bind_replacing_stale(&io, &path).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AddrInUse, "it is in use");
    let _listener = UnixPeerListener::bind(place.join("listener")).unwrap();
    disk::write(place.join("file"), b"data").unwrap();
    for name in ["listener", "file"] {
        let error = UnixDatagram::bind_replacing_stale(&io, place.join(name)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrInUse, "{name}");
    }
}

#[test]
fn p44_empty_datagrams_are_real_also_from_nobody() {
    let (io, place) = (Io::new().unwrap(), Scratch::new());
    let server = bound(&io, &place.join("s"));
    let std = peer_at(&place.join("std"));
    let (_op, sent) = send(&io, &unbound(&io), "", place.join("std"));
    finish(&io);
    assert_eq!((sent.one().unwrap(), receive(&std)), (0, Vec::new()));
    let nobody = UnixDatagramPeer::unbound().unwrap();
    let sent = [&b""[..], b"one", b"", b"", b"two", b""];
    let send_all = || {
        for bytes in sent {
            nobody.send_to(bytes, place.join("s")).unwrap();
        }
    };
    // Whether they are there, or waited for.
    send_all();
    for bytes in sent {
        let (_op, log) = recv(&io, &server, 8);
        finish(&io);
        assert_eq!(log.one().unwrap().0, bytes);
    }
    let (_op, log) = recv(&io, &server, 8);
    io.poll().unwrap();
    std.send_to(b"", place.join("s")).unwrap();
    finish(&io);
    assert_eq!(log.one().unwrap().1.as_path().unwrap(), place.join("std"));
    for waits in [false, true] {
        let (_op, items, ends) = flow(&io, &server, &pool(&io, 2, 8), sent.len());
        if waits {
            io.poll().unwrap();
        }
        send_all();
        finish(&io);
        ends.one().unwrap();
        assert!(items.take().into_iter().map(|(bytes, ..)| bytes).eq(sent));
    }
}

#[test]
fn p44_a_cut_datagram_of_a_unix_socket_says_so() {
    let (io, place) = (Io::new().unwrap(), Scratch::new());
    let server = bound(&io, &place.join("s"));
    let std = UnixDatagramPeer::unbound().unwrap();
    let expected = [(&b"exactly8"[..], false), (b"more tha", true), (b"less", false)];
    let send_all = || {
        for bytes in ["exactly8", "more than8", "less"] {
            std.send_to(bytes.as_bytes(), place.join("s")).unwrap();
        }
    };
    send_all();
    for (bytes, cut) in expected {
        // A vector may be given more room than was asked for.
        let log = Log::new();
        let put = log.clone();
        let buf = vec![b'.'; 8].into_boxed_slice();
        io.recv_from_unix(Rc::clone(&server), buf, move |_server, _io, buf, result| {
            let received = result.unwrap();
            put.put((buf[..received.len].to_vec(), received.truncated));
        });
        finish(&io);
        assert_eq!(log.one(), (bytes.to_vec(), cut));
    }
    let (_op, items, ends) = flow(&io, &server, &pool(&io, 4, 8), 3);
    send_all();
    finish(&io);
    ends.one().unwrap();
    let items = items.take().into_iter().map(|(bytes, _from, cut)| (bytes, cut));
    assert!(items.eq(expected.map(|(bytes, cut)| (bytes.to_vec(), cut))));
}

#[test]
fn p44_a_datagram_that_is_too_long_for_a_unix_socket_is_refused_with_its_buffer() {
    let (io, place) = (Io::new().unwrap(), Scratch::new());
    let std = peer_at(&place.join("s"));
    let client = unbound(&io);
    client.set_send_buffer(16_384).unwrap();
    let log = Log::new();
    let put = log.clone();
    let to = UnixAddress::from_path(place.join("s")).unwrap();
    io.send_to_unix(client, pattern(1 << 20), to.clone(), move |client, io, buf, result| {
        assert_eq!(result.unwrap_err().raw_os_error(), Some(libc::EMSGSIZE));
        assert!(buf == pattern(1 << 20), "the buffer comes back as it was");
        // What goes is not cut.
        io.send_to_unix(client, pattern(2000), to, move |_client, _io, _buf, result| {
            put.put(result.unwrap());
        });
    });
    finish(&io);
    assert_eq!(log.one(), 2000);
    assert_eq!(receive(&std), pattern(2000));
}

#[test]
fn a_receiver_that_is_not_there_is_the_sends_error() {
    let (io, place) = (Io::new().unwrap(), Scratch::new());
    let client = unbound(&io);
    assert_eq!(refused(&io, &client, place.join("none")).kind(), ErrorKind::NotFound);
    drop(bound(&io, &place.join("gone")));
    assert_eq!(refused(&io, &client, place.join("gone")).kind(), ErrorKind::ConnectionRefused);
    let _listener = UnixPeerListener::bind(place.join("listener")).unwrap();
    let error = refused(&io, &client, place.join("listener"));
    assert_eq!(error.raw_os_error(), Some(libc::EPROTOTYPE));
    assert_eq!(client.connect(place.join("none")).unwrap_err().kind(), ErrorKind::NotFound);
    // The socket is as it was.
    let std = peer_at(&place.join("s"));
    let (_op, log) = send(&io, &client, "well", place.join("s"));
    finish(&io);
    assert_eq!((log.one().unwrap(), receive(&std)), (4, b"well".to_vec()));
}

#[test]
fn a_peer_that_is_gone_or_has_another_is_an_error() {
    let (io, place) = (Io::new().unwrap(), Scratch::new());
    let server = bound(&io, &place.join("s"));
    let client = unbound(&io);
    client.connect(place.join("s")).unwrap();
    assert_eq!(client.peer_addr().unwrap(), server.local_addr().unwrap());
    let say = |socket: &Rc<UnixDatagram>| {
        let log = Log::new();
        let put = log.clone();
        io.send(Rc::clone(socket), "hello", move |_socket, _io, buf, result| {
            assert_eq!(buf, "hello");
            put.put(result);
        });
        finish(&io);
        log.one()
    };
    assert_eq!(say(&client).unwrap(), 5);
    drop(server);
    assert_eq!(say(&client).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    assert_eq!(say(&client).unwrap_err().kind(), ErrorKind::NotConnected);
    assert_eq!(say(&unbound(&io)).unwrap_err().kind(), ErrorKind::NotConnected);
    let _one = bound(&io, &place.join("one"));
    let taken = bound(&io, &place.join("taken"));
    taken.connect(place.join("one")).unwrap();
    let error = refused(&io, &unbound(&io), place.join("taken"));
    if cfg!(target_os = "linux") {
        assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    }
}

#[test]
fn a_pair_has_the_operations_of_connected_sockets() {
    let io = Io::new().unwrap();
    let (near, far) = pair(&io);
    assert!(near.local_addr().unwrap().is_unnamed());
    assert!(near.peer_addr().unwrap().is_unnamed());
    for bytes in ["one", "", "two"] {
        io.send(Rc::clone(&near), bytes, move |_near, _io, _buf, result| {
            assert_eq!(result.unwrap(), bytes.len());
        });
    }
    let log = Log::new();
    for _ in 0..2 {
        let put = log.clone();
        io.recv(Rc::clone(&far), Vec::with_capacity(8), move |_far, _io, buf, result| {
            assert_eq!(result.unwrap(), buf.len());
            put.put(buf);
        });
    }
    let (_op, last) = recv(&io, &far, 8);
    finish(&io);
    assert_eq!(log.take(), [&b"one"[..], b""]);
    assert_eq!(last.one().unwrap().0, b"two");
    drop(near);
    io.send(far, "gone", |_far, _io, _buf, result| {
        assert_eq!(result.unwrap_err().kind(), ErrorKind::ConnectionRefused);
    });
    finish(&io);
}

#[test]
fn a_socket_of_datagrams_goes_to_the_standard_library_and_back() {
    let io = Io::new().unwrap();
    let (near, far) = pair(&io);
    drop(near);
    let far = Rc::into_inner(far).unwrap().into_std().unwrap();
    let far = UnixDatagram::from_std(&io, far).unwrap();
    assert_eq!(far.in_flight(), 0);
    io.send(far, "gone", |_far, _io, _buf, result| {
        assert_eq!(result.unwrap_err().kind(), ErrorKind::ConnectionRefused);
    });
    finish(&io);
}

#[test]
fn a_receive_of_datagrams_ends_when_its_socket_is_shut_down() {
    let (io, place) = (Io::new().unwrap(), Scratch::new());
    for waits in [false, true] {
        let server = bound(&io, &place.join(if waits { "waits" } else { "s" }));
        let begin = || recv(&io, &server, 8).1;
        let waiting = waits.then(begin);
        io.poll().unwrap();
        io.shutdown(Rc::clone(&server), Shutdown::Read, |_server, _io, result| result.unwrap());
        io.poll().unwrap();
        let log = waiting.unwrap_or_else(begin);
        finish(&io);
        assert_eq!(log.one().unwrap_err().kind(), ErrorKind::UnexpectedEof);
    }
}

#[test]
fn a_flow_wants_a_unix_socket_of_datagrams() {
    let (io, place) = (Io::new().unwrap(), Scratch::new());
    let pool = pool(&io, 4, 64);
    let each = |_socket: &mut _, _io: &Io, _datagram: Datagram<UnixAddress>| Next::Continue;
    let done = |result: Result<()>| {
        let error = result.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
    };
    let (stream, _peer) = tcp_pair(&io);
    io.recv_from_unix_each(stream, &pool, each, move |_stream, _io, result| done(result));
    let each = |_socket: &mut _, _io: &Io, _datagram: Datagram<UnixAddress>| Next::Continue;
    let (udp, _address) = crate::udp::socket(&io);
    io.recv_from_unix_each(udp, &pool, each, move |_socket, _io, result| done(result));
    // Nor has a flow of another family anything to do with it, or one without room.
    let server = bound(&io, &place.join("s"));
    let each = |_socket: &mut _, _io: &Io, _datagram: Datagram| Next::Continue;
    io.recv_from_each(Rc::clone(&server), &pool, each, move |_s, _io, result| done(result));
    let small = BufferPool::new(&io, 4, 128).unwrap();
    let each = |_socket: &mut _, _io: &Io, _datagram: Datagram<UnixAddress>| Next::Continue;
    io.recv_from_unix_each(server, &small, each, move |_s, _io, result| done(result));
    finish(&io);
}

/// What a peer passes and nobody asked for stays open nowhere.
#[test]
fn descriptors_that_come_with_a_datagram_are_delivered_or_closed() {
    let io = Io::new().unwrap();
    let (near, far) = pair(&io);
    let pass = |number: usize| {
        let (reader, writer) = std::io::pipe().unwrap();
        let all = vec![writer.into()];
        io.send_with_descriptors(Rc::clone(&near), "here", all, move |_, _, _, all, result| {
            assert_eq!((result.unwrap(), all.len()), (4, 1), "{number}");
        });
        reader
    };
    let is_closed = |mut reader: std::io::PipeReader| {
        finish(&io);
        assert_eq!(reader.read(&mut [0; 1]).unwrap(), 0);
    };
    let reader = pass(1);
    let (buf, room) = (Vec::with_capacity(8), Vec::with_capacity(1));
    io.recv_with_descriptors(Rc::clone(&far), buf, room, |_far, _io, buf, all, result| {
        assert_eq!((&buf[..], result.unwrap().bytes, all.len()), (&b"here"[..], 4, 1));
    });
    is_closed(reader);
    let reader = pass(2);
    let (_op, log) = recv(&io, &far, 8);
    is_closed(reader);
    assert_eq!(log.one().unwrap().0, b"here");
    let reader = pass(3);
    let (_op, items, _ends) = flow(&io, &far, &pool(&io, 2, 8), 1);
    is_closed(reader);
    assert_eq!(items.one().0, b"here");
    // Of a receive that is none for it.
    let reader = pass(4);
    io.recv_from(Rc::clone(&far), Vec::with_capacity(8), |_far, _io, buf, result| {
        assert_eq!((&buf[..], result.unwrap_err().kind()), (&b"here"[..], ErrorKind::InvalidData));
    });
    is_closed(reader);
    let reader = pass(5);
    finish(&io);
    io.recv_from(far, Vec::with_capacity(8), |_far, _io, _buf, _result| panic!("no callback"));
    drop(io);
    assert_eq!({ reader }.read(&mut [0; 1]).unwrap(), 0);
}

/// A receiver that takes no more, and how many datagrams it has.
pub(crate) fn full(path: &Path) -> (UnixDatagramPeer, usize) {
    let (receiver, sender) = (peer_at(path), UnixDatagramPeer::unbound().unwrap());
    let mut count = 0;
    while sender.try_send_to(b"in the way", path).is_ok() {
        count += 1;
    }
    (receiver, count)
}

/// poll(2) says that the socket is writable all the while.
#[test]
#[cfg(target_os = "linux")]
fn p140_a_datagram_waits_while_its_receiver_is_full() {
    let (io, place) = (Io::new().unwrap(), Scratch::new());
    let (receiver, count) = full(&place.join("s"));
    let client = unbound(&io);
    let (_op, one) = send(&io, &client, "one", place.join("s"));
    let (_op, two) = send(&io, &client, "two", place.join("s"));
    let log = Log::new();
    let put = log.clone();
    io.writable(Rc::clone(&client), move |_client, _io, result| put.put(result));
    let before = io.statistics().system_calls;
    io.run_for(Duration::from_millis(50)).unwrap();
    log.one().unwrap();
    assert_eq!((one.len(), two.len()), (0, 0));
    assert!(io.statistics().system_calls - before < 200, "the loop spins");
    for _ in 0..count {
        assert_eq!(receive(&receiver), b"in the way");
    }
    finish(&io);
    assert_eq!((one.one().unwrap(), two.one().unwrap()), (3, 3));
    assert_eq!((receive(&receiver), receive(&receiver)), (b"one".to_vec(), b"two".to_vec()));
}

#[test]
#[cfg(target_os = "linux")]
fn p140_a_datagram_that_waits_ends_by_cancel_deadline_close_and_the_loops_end() {
    let (io, place) = (Io::new().unwrap(), Scratch::new());
    let (receiver, count) = full(&place.join("s"));
    let client = unbound(&io);
    for turns in 0..3 {
        let (op, log) = send(&io, &client, "one", place.join("s"));
        let (behind, second) = send(&io, &client, "two", place.join("s"));
        (0..turns).for_each(|_| io.poll().unwrap());
        io.cancel(op);
        io.cancel(behind);
        finish(&io);
        assert!(is_cancelled(&log.one().unwrap_err()));
        assert!(is_cancelled(&second.one().unwrap_err()));
    }
    let (op, log) = send(&io, &client, "one", place.join("s"));
    io.deadline(op, Duration::from_millis(5));
    finish(&io);
    assert_eq!(log.one().unwrap_err().kind(), ErrorKind::TimedOut);
    let (_op, log) = send(&io, &client, "one", place.join("s"));
    io.run_for(Duration::from_millis(5)).unwrap();
    io.close(Rc::clone(&client), |_client, _io, result| result.unwrap());
    finish(&io);
    assert!(is_cancelled(&log.one().unwrap_err()));
    let (_op, log) = send(&io, &unbound(&io), "one", place.join("s"));
    io.run_for(Duration::from_millis(5)).unwrap();
    drop(io);
    assert_eq!(log.len(), 0);
    // Nothing of all that was sent.
    (0..count).for_each(|_| assert_eq!(receive(&receiver), b"in the way"));
    assert!(receiver.is_empty());
}

#[test]
#[cfg(target_os = "linux")]
fn p140_a_datagram_that_waits_hears_that_its_receiver_goes() {
    let (io, place) = (Io::new().unwrap(), Scratch::new());
    let (receiver, _count) = full(&place.join("s"));
    let client = unbound(&io);
    let (_op, log) = send(&io, &client, "one", place.join("s"));
    io.run_for(Duration::from_millis(5)).unwrap();
    assert_eq!(log.len(), 0);
    drop(receiver);
    finish(&io);
    assert_eq!(log.one().unwrap_err().kind(), ErrorKind::ConnectionRefused);
}

/// That the way to the peer is blocked says nothing of another receiver.
#[test]
#[cfg(target_os = "linux")]
fn p140_a_full_peer_holds_up_no_datagram_to_another_receiver() {
    let (io, place) = (Io::new().unwrap(), Scratch::new());
    let (_peer, _count) = full(&place.join("peer"));
    let (other, count) = full(&place.join("other"));
    let client = unbound(&io);
    client.connect(place.join("peer")).unwrap();
    let op = io.send(Rc::clone(&client), "blocked", |_client, _io, _buf, result| {
        assert!(is_cancelled(&result.unwrap_err()));
    });
    (0..3).for_each(|_| io.poll().unwrap());
    io.cancel(op);
    finish(&io);
    let (_op, log) = send(&io, &client, "other", place.join("other"));
    io.run_for(Duration::from_millis(5)).unwrap();
    assert_eq!(log.len(), 0);
    (0..count).for_each(|_| assert_eq!(receive(&other), b"in the way"));
    finish(&io);
    assert_eq!((log.one().unwrap(), receive(&other)), (5, b"other".to_vec()));
}

/// Here the kernel tells when there is room again (`unix_dgram_peer_wake_me`). io_uring by itself
/// would send an empty datagram then.
#[test]
#[cfg(target_os = "linux")]
fn p141_every_send_on_a_connected_socket_waits_for_its_full_peer_and_is_whole() {
    let (io, place) = (Io::new().unwrap(), Scratch::new());
    let path = place.join("s");
    let (receiver, count) = full(&path);
    let client = unbound(&io);
    client.connect(&path).unwrap();
    let log = Log::new();
    start_each_send(&io, &client, &log);
    let before = io.statistics().system_calls;
    io.run_for(Duration::from_millis(20)).unwrap();
    assert_eq!(log.len(), 0);
    assert!(io.statistics().system_calls - before < 100, "the loop spins");
    (0..count).for_each(|_| assert_eq!(receive(&receiver), b"in the way"));
    finish(&io);
    let sent: Vec<_> = log.take().into_iter().map(Result::unwrap).collect();
    let before = ["one", "two", "three", "four", "five"];
    let expected: Vec<_> = before.into_iter().chain(passed()).collect();
    assert!(sent.into_iter().eq(expected.iter().map(|bytes| bytes.len())));
    for expected in expected.into_iter().chain(["seven"]) {
        assert_eq!(receive(&receiver), expected.as_bytes());
    }
}

/// What is sent with a descriptor, which a simulated socket does not take.
#[cfg(target_os = "linux")]
fn passed() -> Option<&'static str> {
    (!crate::peer::is_simulated()).then_some("six")
}

/// The same, where the loop is given any descriptor; and writes.
#[test]
#[cfg(target_os = "linux")]
fn p141_every_send_and_write_on_a_descriptor_waits_for_its_full_peer_and_is_whole() {
    let (io, place) = (Io::new().unwrap(), Scratch::new());
    let path = place.join("s");
    let (receiver, count) = full(&path);
    let client = std::os::unix::net::UnixDatagram::unbound().unwrap();
    client.connect(&path).unwrap();
    // On readiness a send takes the descriptor as it is.
    client.set_nonblocking(io.driver().kind == DriverKind::Readiness).unwrap();
    let client = Rc::new(Descriptor::new(&io, client.into()));
    let log = Log::new();
    start_each_send(&io, &client, &log);
    let put = log.clone();
    io.write(Rc::clone(&client), "eight", move |_client, _io, _buf, result| put.put(result));
    let put = log.clone();
    io.write_all(client, "nine", move |_client, _io, buf: &str, result| {
        put.put(result.map(|()| buf.len()));
    });
    let before = io.statistics().system_calls;
    io.run_for(Duration::from_millis(20)).unwrap();
    assert_eq!(log.len(), 0);
    assert!(io.statistics().system_calls - before < 100, "the loop spins");
    (0..count).for_each(|_| assert_eq!(receive(&receiver), b"in the way"));
    finish(&io);
    let sent: Vec<_> = log.take().into_iter().map(Result::unwrap).collect();
    assert_eq!(sent, [3, 3, 5, 4, 4, 3, 5, 4]);
    for expected in ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine"] {
        assert_eq!(receive(&receiver), expected.as_bytes());
    }
}

/// One after another, each of another kind; what each says that it sent.
#[cfg(target_os = "linux")]
fn start_each_send<S: AsSource + 'static>(io: &Io, client: &Rc<S>, log: &Log<Result<usize>>) {
    let put = || {
        let log = log.clone();
        move |result| log.put(result)
    };
    let end = put();
    io.send(Rc::clone(client), "one", move |_client, _io, _buf, result| end(result));
    let end = put();
    io.send_all(Rc::clone(client), "two", move |_client, _io, buf: &str, result| {
        end(result.map(|()| buf.len()));
    });
    let end = put();
    io.send_vectored(Rc::clone(client), vec!["thr", "ee"], move |_c, _io, _b, result| end(result));
    let end = put();
    io.send_all_vectored(Rc::clone(client), vec!["fo", "ur"], move |_c, _io, _bufs, result| {
        end(result.map(|()| 4));
    });
    let end = put();
    io.send_zero_copy(Rc::clone(client), "five", move |_client, _io, _buf, result| end(result));
    if let Some(bytes) = passed() {
        let end = put();
        let all = vec![std::io::pipe().unwrap().1.into()];
        let end = move |_client, _io: &Io, _buf, all: Vec<_>, result| {
            assert_eq!(all.len(), 1);
            end(result);
        };
        io.send_with_descriptors(Rc::clone(client), bytes, all, end);
    }
    io.send_detached(client, "seven");
}

#[test]
#[cfg(target_os = "linux")]
fn a_send_that_waits_for_a_full_peer_ends_by_cancel_deadline_and_its_going() {
    let (io, place) = (Io::new().unwrap(), Scratch::new());
    let (receiver, _count) = full(&place.join("s"));
    let client = unbound(&io);
    client.connect(place.join("s")).unwrap();
    let begin = || {
        let log = Log::new();
        let put = log.clone();
        let op = io.send(Rc::clone(&client), "one", move |_client, _io, buf, result| {
            assert_eq!(buf, "one");
            put.put(result);
        });
        (op, log)
    };
    for turns in 0..4 {
        let (op, log) = begin();
        (0..turns).for_each(|_| io.poll().unwrap());
        io.cancel(op);
        finish(&io);
        assert!(is_cancelled(&log.one().unwrap_err()));
    }
    let (op, log) = begin();
    io.deadline(op, Duration::from_millis(2));
    finish(&io);
    assert_eq!(log.one().unwrap_err().kind(), ErrorKind::TimedOut);
    let ((_op, first), (_behind, second)) = (begin(), begin());
    (0..3).for_each(|_| io.poll().unwrap());
    drop(receiver);
    finish(&io);
    assert_eq!(first.one().unwrap_err().kind(), ErrorKind::ConnectionRefused);
    assert_eq!(second.one().unwrap_err().kind(), ErrorKind::NotConnected);
}

/// Both are each other's peers: what limits them is the room of the sender, and that is told.
#[test]
#[cfg(target_os = "linux")]
fn p47_a_pair_whose_reader_is_slow_loses_nothing() {
    let io = Io::new().unwrap();
    let (near, far) = pair(&io);
    near.set_send_buffer(8192).unwrap();
    for number in 0..100_u8 {
        io.send(Rc::clone(&near), vec![number; 1000], |_near, _io, _buf, result| {
            assert_eq!(result.unwrap(), 1000);
        });
    }
    (0..3).for_each(|_| io.poll().unwrap());
    let (_op, items, ends) = flow(&io, &far, &pool(&io, 2, 1000), 100);
    finish(&io);
    ends.one().unwrap();
    let numbers = (0..100).map(|number| vec![number; 1000]);
    assert!(items.take().into_iter().map(|(bytes, ..)| bytes).eq(numbers));
}

#[test]
fn p21_a_cancelled_receive_of_datagrams_loses_none() {
    let (io, place) = (Io::new().unwrap(), Scratch::new());
    let server = bound(&io, &place.join("s"));
    let std = UnixDatagramPeer::unbound().unwrap();
    for waits in [false, true] {
        let (op, log) = recv(&io, &server, 8);
        if waits {
            (0..3).for_each(|_| io.poll().unwrap());
        }
        std.send_to(b"kept", place.join("s")).unwrap();
        io.cancel(op);
        finish(&io);
        let result = log.one().or_else(|error| {
            assert!(is_cancelled(&error));
            let (_op, log) = recv(&io, &server, 8);
            finish(&io);
            log.one()
        });
        assert_eq!(result.unwrap().0, b"kept");
        let (op, _log) = recv(&io, &server, 8);
        io.deadline(op, Duration::from_millis(1));
        finish(&io);
    }
}

#[test]
fn rule7_a_loop_that_is_dropped_lets_go_of_its_unix_datagrams() {
    let place = Scratch::new();
    for datagrams in 0..3 {
        let io = Io::new().unwrap();
        let path = place.join(&datagrams.to_string());
        let server = bound(&io, &path);
        let pool = pool(&io, 4, 64);
        let each = |_s: &mut _, _io: &Io, _d: Datagram<UnixAddress>| -> Next { panic!("none") };
        io.recv_from_unix_each(Rc::clone(&server), &pool, each, |_s, _io, _result| panic!("none"));
        let (buf, to) = (Vec::with_capacity(8), UnixAddress::from_path(&path).unwrap());
        io.recv_from_unix(Rc::clone(&server), buf, |_s, _io, _buf, _result| panic!("none"));
        io.poll().unwrap();
        for _ in 0..datagrams {
            UnixDatagramPeer::unbound().unwrap().send_to(b"late", &path).unwrap();
        }
        io.send_to_unix(server, "early", to, |_s, _io, _buf, _result| panic!("none"));
        drop(io);
    }
}
