//! Datagrams over UDP.

use std::cell::RefCell;
use std::io::ErrorKind;
use std::net::{Ipv6Addr, SocketAddr};
use std::rc::Rc;

use tigereye::{BufferPool, Datagram, Io, Next, Op, UdpOptions, UdpSocket};

use crate::patient::patiently;
use crate::peer::UdpPeer;
use crate::{HANG, Log, any, finish, pair, pattern, run_until_stop};

/// Of the standard library, where there is a real system.
pub(crate) type Std = UdpPeer;

/// A socket of the loop, shared, and its address.
pub(crate) fn socket(io: &Io) -> (Rc<UdpSocket>, SocketAddr) {
    let socket = UdpSocket::bind(io, any()).unwrap();
    let address = socket.local_addr().unwrap();
    (Rc::new(socket), address)
}

/// A socket of the standard library, and its address.
pub(crate) fn std_socket() -> (Std, SocketAddr) {
    let socket = Std::bind(any()).unwrap();
    socket.set_read_timeout(Some(HANG)).unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

/// An address where nobody takes what is sent, because who has it wants another peer.
fn nobody() -> (Std, SocketAddr) {
    let (socket, address) = std_socket();
    socket.connect(address).unwrap();
    (socket, address)
}

/// Waits until the error of a datagram that nobody took has come back.
fn await_error(io: &Io, socket: &Rc<UdpSocket>) {
    io.readable(Rc::clone(socket), |_socket, _io, result| result.unwrap());
    finish(io);
}

/// A pool whose buffers have room for datagrams of so many bytes.
pub(crate) fn pool(io: &Io, count: usize, room: usize) -> BufferPool {
    BufferPool::new(io, count, room + 72).unwrap()
}

pub(crate) fn receive(std: &Std) -> Vec<u8> {
    let mut buf = vec![0; 70_000];
    let len = patiently(|| std.recv(&mut buf)).unwrap();
    buf.truncate(len);
    buf
}

/// Receives datagrams one after another until so many are there.
pub(crate) fn collect(
    io: &Io,
    socket: Rc<UdpSocket>,
    count: usize,
    room: usize,
    log: Log<Vec<u8>>,
) {
    if log.len() == count {
        return;
    }
    io.recv_from(socket, Vec::with_capacity(room), move |socket, io, buf, result| {
        assert_eq!(result.unwrap().len, buf.len());
        log.put(buf);
        collect(io, socket, count, room, log);
    });
}

/// A flow that keeps a copy of what comes, and stops when so many are there.
pub(crate) fn flow(
    io: &Io,
    socket: Rc<UdpSocket>,
    pool: &BufferPool,
    count: usize,
) -> (Op, Log<Vec<u8>>) {
    let log = Log::new();
    let put = log.clone();
    let each = move |_socket: &mut _, _io: &Io, datagram: Datagram| {
        put.put(datagram.to_vec());
        if put.len() == count { Next::Stop } else { Next::Continue }
    };
    (io.recv_from_each(socket, pool, each, |_socket, _io, result| result.unwrap()), log)
}

#[test]
fn a_datagram_there_and_back() {
    let io = Io::new().unwrap();
    let ((near, near_address), (far, far_address)) = (socket(&io), socket(&io));
    let log = Log::new();
    let put = log.clone();
    io.recv_from(far, Vec::with_capacity(64), move |far, io, buf, result| {
        let received = result.unwrap();
        assert_eq!((received.from, received.truncated), (near_address, false));
        assert_eq!((received.len, received.segment), (4, None));
        io.send_to(far, buf, received.from, |_far, _io, _buf, result| {
            assert_eq!(result.unwrap(), 4);
        });
    });
    io.send_to(Rc::clone(&near), "ping", far_address, |_near, _io, buf, result| {
        assert_eq!((buf, result.unwrap()), ("ping", 4));
    });
    io.recv_from(near, Vec::with_capacity(64), move |_near, _io, buf, result| {
        put.put((buf, result.unwrap().from));
    });
    finish(&io);
    assert_eq!(log.one(), (b"ping".to_vec(), far_address));
}

#[test]
fn p40_over_ipv6() {
    let io = Io::new().unwrap();
    let v6 = SocketAddr::from((Ipv6Addr::LOCALHOST, 0));
    let socket = match UdpSocket::bind(&io, v6) {
        Ok(socket) => Rc::new(socket),
        Err(error) if std::env::var_os("CI").is_none() => {
            return eprintln!("SKIPPED: no IPv6 here: {error}");
        }
        Err(error) => panic!("{error}"),
    };
    let address = socket.local_addr().unwrap();
    let (_op, log) = flow(&io, Rc::clone(&socket), &pool(&io, 4, 64), 1);
    io.send_to(Rc::clone(&socket), "six", address, |_socket, _io, _buf, result| {
        result.unwrap();
    });
    finish(&io);
    assert_eq!(log.one(), b"six");
    io.send_to(Rc::clone(&socket), "six", address, |_socket, _io, _buf, _result| {});
    io.recv_from(socket, vec![0; 8].into_boxed_slice(), move |_socket, _io, buf, result| {
        assert_eq!((&buf[..3], result.unwrap().from), (&b"six"[..], address));
    });
    finish(&io);
}

#[test]
fn p44_empty_datagrams_are_real() {
    let io = Io::new().unwrap();
    let (near, address) = socket(&io);
    let (std, std_address) = std_socket();
    io.send_to(Rc::clone(&near), "", std_address, |_near, _io, _buf, result| {
        assert_eq!(result.unwrap(), 0);
    });
    finish(&io);
    assert_eq!(receive(&std), b"");
    for bytes in [&b""[..], b"one", b"", b"two"] {
        std.send_to(bytes, address).unwrap();
    }
    let log = Log::new();
    collect(&io, Rc::clone(&near), 4, 64, log.clone());
    finish(&io);
    assert_eq!(log.take(), [&b""[..], b"one", b"", b"two"]);
    // A connected socket: the operations of streams as well.
    near.connect(std_address).unwrap();
    io.send(Rc::clone(&near), "", |_near, _io, _buf, result| assert_eq!(result.unwrap(), 0));
    finish(&io);
    assert_eq!(receive(&std), b"");
    std.send_to(b"", address).unwrap();
    io.recv(near, Vec::with_capacity(8), |_near, _io, _buf, result| assert_eq!(result.unwrap(), 0));
    finish(&io);
}

#[test]
fn p44_a_flow_has_empty_datagrams_as_items() {
    let io = Io::new().unwrap();
    let (near, address) = socket(&io);
    let (std, _) = std_socket();
    let sent = [&b""[..], b"one", b"", b"", b"two", b""];
    let (_op, log) = flow(&io, near, &pool(&io, 4, 64), sent.len());
    std.send_to(sent[0], address).unwrap();
    io.poll().unwrap();
    for bytes in &sent[1..] {
        std.send_to(bytes, address).unwrap();
    }
    finish(&io);
    assert_eq!(log.take(), sent);
}

#[test]
fn p44_a_cut_datagram_says_so() {
    let io = Io::new().unwrap();
    let (near, address) = socket(&io);
    let (std, _) = std_socket();
    let log = Log::new();
    for sent in ["exactly8", "more than8", "less"] {
        std.send_to(sent.as_bytes(), address).unwrap();
        let put = log.clone();
        let buf = vec![b'.'; 8].into_boxed_slice();
        io.recv_from(Rc::clone(&near), buf, move |_near, _io, buf, result| {
            let received = result.unwrap();
            put.put((String::from_utf8(buf.into()).unwrap(), received.len, received.truncated));
        });
    }
    finish(&io);
    let expected = [("exactly8", 8, false), ("more tha", 8, true), ("less....", 4, false)];
    let expected = expected.map(|(text, len, cut)| (String::from(text), len, cut));
    assert_eq!(log.take(), expected);
    // The same in a flow, whatever else is in its buffers.
    for sent in ["exactly8", "more than8", "less"] {
        std.send_to(sent.as_bytes(), address).unwrap();
    }
    let (put, pool) = (log.clone(), pool(&io, 4, 8));
    let each = move |_near: &mut _, _io: &Io, datagram: Datagram| {
        let text = String::from_utf8(datagram.to_vec()).unwrap();
        put.put((text, datagram.len(), datagram.truncated));
        if put.len() == 3 { Next::Stop } else { Next::Continue }
    };
    io.recv_from_each(near, &pool, each, |_near, _io, result| result.unwrap());
    finish(&io);
    let expected = [("exactly8", 8, false), ("more tha", 8, true), ("less", 4, false)];
    assert_eq!(log.take(), expected.map(|(text, len, cut)| (text.into(), len, cut)));
}

#[test]
fn p44_an_error_of_an_earlier_datagram_ends_an_operation_and_not_the_socket() {
    let io = Io::new().unwrap();
    let (near, near_address) = socket(&io);
    let (_port, nobody) = nobody();
    near.connect(nobody).unwrap();
    let refused = |result: std::io::Result<()>| {
        assert_eq!(result.unwrap_err().kind(), ErrorKind::ConnectionRefused);
    };
    // It comes while a receive waits; before one; before a send.
    io.recv_from(Rc::clone(&near), Vec::with_capacity(8), move |_near, _io, buf, result| {
        refused(result.map(drop));
        assert_eq!((buf.len(), buf.capacity()), (0, 8));
    });
    io.poll().unwrap();
    let send = |io: &Io| {
        io.send(Rc::clone(&near), "x", |_near, _io, _buf, result| assert_eq!(result.unwrap(), 1));
    };
    send(&io);
    finish(&io);
    send(&io);
    await_error(&io, &near);
    io.recv_from(Rc::clone(&near), Vec::with_capacity(8), move |_near, _io, _buf, result| {
        refused(result.map(drop));
    });
    finish(&io);
    send(&io);
    await_error(&io, &near);
    io.send(Rc::clone(&near), "x", move |_near, _io, buf, result| {
        assert_eq!(buf, "x");
        refused(result.map(drop));
    });
    finish(&io);
    let (std, std_address) = std_socket();
    near.connect(std_address).unwrap();
    std.send_to(b"well", near_address).unwrap();
    std.send_to(b"done", near_address).unwrap();
    let log = Log::new();
    collect(&io, near, 2, 8, log.clone());
    finish(&io);
    assert_eq!(log.take(), [b"well", b"done"]);
}

#[test]
fn p44_an_error_of_an_earlier_datagram_does_not_end_a_servers_flow() {
    let io = Io::new().unwrap();
    // Linux keeps a port through a disconnect only where it was asked for.
    let options = UdpOptions::new().reuse_port(cfg!(unix)).reuse_address(cfg!(windows));
    let first = UdpSocket::bind_with(&io, any(), &options).unwrap();
    let address = first.local_addr().unwrap();
    let near = Rc::new(UdpSocket::bind_with(&io, address, &options).unwrap());
    drop(first);
    let (_port, nobody) = nobody();
    let (std, _) = std_socket();
    near.connect(nobody).unwrap();
    io.send(Rc::clone(&near), "x", |_near, _io, _buf, result| assert_eq!(result.unwrap(), 1));
    await_error(&io, &near);
    // The error is there, and the socket has many peers again.
    near.disconnect().unwrap();
    let (_op, log) = flow(&io, Rc::clone(&near), &pool(&io, 4, 64), 2);
    std.send_to(b"one", address).unwrap();
    io.poll().unwrap();
    std.send_to(b"two", address).unwrap();
    finish(&io);
    assert_eq!(log.take(), [b"one", b"two"]);
}

#[test]
fn p44_a_flow_on_a_connected_socket_ends_with_the_error_and_can_be_started_again() {
    let io = Io::new().unwrap();
    let (near, address) = socket(&io);
    let (_port, nobody) = nobody();
    near.connect(nobody).unwrap();
    let (log, pool) = (Log::new(), pool(&io, 4, 64));
    let put = log.clone();
    let each = |_near: &mut _, _io: &Io, _datagram: Datagram| Next::Continue;
    io.recv_from_each(Rc::clone(&near), &pool, each, move |_near, _io, result| {
        put.put(result.unwrap_err().kind());
    });
    io.poll().unwrap();
    io.send(Rc::clone(&near), "x", |_near, _io, _buf, result| assert_eq!(result.unwrap(), 1));
    finish(&io);
    assert_eq!(log.one(), ErrorKind::ConnectionRefused);
    let (std, std_address) = std_socket();
    near.connect(std_address).unwrap();
    let (_op, log) = flow(&io, near, &pool, 1);
    std.send_to(b"again", address).unwrap();
    finish(&io);
    assert_eq!(log.one(), b"again");
}

#[test]
fn p44_a_datagram_that_is_too_long_is_refused_with_its_buffer() {
    let io = Io::new().unwrap();
    let (near, _) = socket(&io);
    let (std, std_address) = std_socket();
    for len in [65_508, 1 << 20] {
        let sent = pattern(len);
        io.send_to(Rc::clone(&near), sent, std_address, move |_near, _io, buf, result| {
            assert_eq!(result.unwrap_err().raw_os_error(), Some(crate::code::TOO_LONG));
            assert!(buf == pattern(len), "the buffer comes back as it was");
        });
        finish(&io);
    }
    io.send_to(near, pattern(65_507), std_address, |_near, _io, _buf, result| {
        assert_eq!(result.unwrap(), 65_507);
    });
    finish(&io);
    assert!(receive(&std) == pattern(65_507));
}

#[test]
fn p34_a_receive_without_room_takes_nothing() {
    let io = Io::new().unwrap();
    let (near, address) = socket(&io);
    let (std, _) = std_socket();
    std.send_to(b"kept", address).unwrap();
    io.recv_from(Rc::clone(&near), Vec::new(), |_near, _io, buf: Vec<u8>, result| {
        assert_eq!((buf.len(), result.unwrap_err().kind()), (0, ErrorKind::InvalidInput));
    });
    let small = BufferPool::new(&io, 4, 72).unwrap();
    let each =
        |_near: &mut _, _io: &Io, _datagram: Datagram| -> Next { panic!("there is no room") };
    io.recv_from_each(Rc::clone(&near), &small, each, |_near, _io, result| {
        assert_eq!(result.unwrap_err().kind(), ErrorKind::InvalidInput);
    });
    finish(&io);
    let log = Log::new();
    collect(&io, near, 1, 8, log.clone());
    finish(&io);
    assert_eq!(log.one(), b"kept");
}

/// A short call does not say that no datagram is left.
#[test]
fn p70_datagrams_that_wait_are_received_without_another_event() {
    let io = Io::new().unwrap();
    let (near, address) = socket(&io);
    let (std, std_address) = std_socket();
    near.connect(std_address).unwrap();
    // The socket is known to the poller, and then several come between two looks at it.
    for _ in 0..2 {
        let log = Log::new();
        for vectored in [false, true] {
            let put = log.clone();
            if vectored {
                let bufs = vec![Vec::with_capacity(64), Vec::with_capacity(64)];
                io.recv_vectored(Rc::clone(&near), bufs, move |_near, _io, bufs, result| {
                    put.put((bufs.concat(), result.unwrap()));
                });
            } else {
                let buf = Vec::with_capacity(64);
                io.recv(Rc::clone(&near), buf, move |_near, _io, buf, result| {
                    put.put((buf, result.unwrap()));
                });
            }
        }
        let more = Log::new();
        collect(&io, Rc::clone(&near), 3, 64, more.clone());
        io.poll().unwrap();
        for byte in b"abcde" {
            std.send_to(&[*byte], address).unwrap();
        }
        finish(&io);
        assert_eq!(log.take(), [(b"a".to_vec(), 1), (b"b".to_vec(), 1)]);
        assert_eq!(more.take(), [b"c", b"d", b"e"]);
    }
}

#[test]
fn a_flow_goes_on_when_buffers_come_back() {
    let io = Io::new().unwrap();
    let (near, address) = socket(&io);
    let (std, _) = std_socket();
    let kept = Rc::new(RefCell::new(Vec::new()));
    let (log, keep) = (Log::new(), Rc::clone(&kept));
    let put = log.clone();
    let each = move |_near: &mut _, io: &Io, datagram: Datagram| {
        put.put(datagram[0]);
        keep.borrow_mut().push(datagram);
        io.stop();
        if put.len() == 100 { Next::Stop } else { Next::Continue }
    };
    let pool = pool(&io, 2, 8);
    io.recv_from_each(near, &pool, each, |_near, _io, result| result.unwrap());
    for number in 0..100 {
        std.send_to(&[number], address).unwrap();
    }
    for _ in 0..100 {
        run_until_stop(&io);
        if kept.borrow().len() == 2 {
            kept.borrow_mut().clear();
        }
    }
    finish(&io);
    assert!(log.take().into_iter().eq(0..100));
}

#[test]
fn a_paused_flow_loses_nothing_that_its_socket_holds() {
    let io = Io::new().unwrap();
    let (near, address) = socket(&io);
    let (std, _) = std_socket();
    let (op, log) = flow(&io, near, &pool(&io, 4, 64), 3);
    std.send_to(b"", address).unwrap();
    io.poll().unwrap();
    io.pause(op);
    let before = log.len();
    for bytes in [b"one", b"two"] {
        std.send_to(bytes, address).unwrap();
    }
    for _ in 0..3 {
        io.poll().unwrap();
    }
    assert_eq!(log.len(), before);
    io.resume(op);
    finish(&io);
    assert_eq!(log.take(), [&b""[..], b"one", b"two"]);
}

#[test]
fn a_flow_wants_a_socket_of_datagrams() {
    let io = Io::new().unwrap();
    let (stream, _peer) = pair(&io);
    let pool = pool(&io, 4, 64);
    let each = |_socket: &mut _, _io: &Io, _datagram: Datagram| Next::Continue;
    io.recv_from_each(stream, &pool, each, |_stream, _io, result| {
        let error = result.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
    });
    let other = Io::new().unwrap();
    let (near, _) = socket(&io);
    let each = |_socket: &mut _, _io: &Io, _datagram: Datagram| Next::Continue;
    let foreign = BufferPool::new(&other, 4, 1024).unwrap();
    io.recv_from_each(near, &foreign, each, |_near, _io, result| {
        assert_eq!(result.unwrap_err().kind(), ErrorKind::InvalidInput);
    });
    finish(&io);
}

/// A stream has no senders: what it says is an error, and what it had is in the buffer.
#[test]
fn recv_from_a_stream_is_an_error() {
    use std::io::Write;
    let io = Io::new().unwrap();
    let (stream, mut peer) = pair(&io);
    let stream = Rc::new(stream);
    peer.write_all(b"bytes").unwrap();
    drop(peer);
    io.recv_from(Rc::clone(&stream), Vec::with_capacity(8), |_stream, _io, buf, result| {
        assert_eq!(buf, b"bytes");
        assert_eq!(result.unwrap_err().kind(), ErrorKind::InvalidData);
    });
    finish(&io);
    io.recv_from(stream, Vec::with_capacity(8), |_stream, _io, _buf, result| {
        assert_eq!(result.unwrap_err().kind(), ErrorKind::UnexpectedEof);
    });
    finish(&io);
}

#[test]
fn rule7_a_loop_that_is_dropped_lets_go_of_its_datagrams() {
    let (std, std_address) = std_socket();
    for datagrams in 0..3 {
        let io = Io::new().unwrap();
        let (near, address) = socket(&io);
        let pool = pool(&io, 4, 64);
        let each = |_near: &mut _, _io: &Io, _datagram: Datagram| -> Next { panic!("no callback") };
        io.recv_from_each(Rc::clone(&near), &pool, each, |_near, _io, _result| {
            panic!("no callback")
        });
        io.recv_from(Rc::clone(&near), Vec::with_capacity(8), |_near, _io, _buf, _result| {
            panic!("no callback");
        });
        io.poll().unwrap();
        for _ in 0..datagrams {
            std.send_to(b"", address).unwrap();
            std.send_to(b"late", address).unwrap();
        }
        io.send_to(near, "early", std_address, |_near, _io, _buf, _result| panic!("no callback"));
        drop(io);
    }
}

/// One after another they would cost a turn each.
#[test]
fn datagrams_sent_together_go_together_and_in_order() {
    const COUNT: u8 = 40;
    let io = Io::new().unwrap();
    let log = Log::new();
    let ((sender, _), (receiver, to)) = (socket(&io), std_socket());
    for number in 0..COUNT {
        let log = log.clone();
        io.send_to(Rc::clone(&sender), vec![number], to, move |_s, _io, _b, result| {
            log.put(result.unwrap());
        });
    }
    for _ in 0..4 {
        io.poll().unwrap();
    }
    assert_eq!((log.take().len(), io.in_flight()), (usize::from(COUNT), 0));
    assert!((0..COUNT).all(|number| receive(&receiver) == [number]));
}
