//! The design's rules, where no other file of the suite shows them by the way.

use std::cell::Cell;
use std::io::{ErrorKind, Write};
use std::net::Shutdown;
use std::rc::Rc;
use std::time::Duration;

use tigereye::{
    BufferPool, ConnectOptions, Io, Next, Op, TcpListener, TcpStream, UdpSocket, is_at_capacity,
    is_cancelled,
};

#[cfg(unix)]
use crate::disk::Scratch;
#[cfg(unix)]
use crate::peer::UnixDatagramPeer;
use crate::peer::{Peer, UdpPeer};
use crate::{Log, any, finish, pair, pattern, shared_pair, small_pair};
#[cfg(unix)]
use tigereye::UnixDatagram;

type Names = Log<&'static str>;

/// Streams, each with its peer: of the first two something can be received.
type Streams = [(Rc<TcpStream>, Peer); 3];

fn streams(io: &Io) -> Streams {
    let mut streams = std::array::from_fn(|_| shared_pair(io));
    for (_stream, peer) in &mut streams[..2] {
        peer.write_all(b"there already").unwrap();
    }
    streams
}

/// Starts operations that are done before the loop turns, or could be.
fn start_what_is_done_at_once(io: &Io, names: &Names, streams: &Streams) -> u32 {
    let [(stream, _peer), _, (closed, _far)] = streams;
    let (stream, closed) = (Rc::clone(stream), Rc::clone(closed));
    let mut count = 0;
    let mut put = |name| {
        count += 1;
        let names = names.clone();
        move || names.put(name)
    };
    let done = put("next");
    io.next((), move |(), _io| done());
    let done = put("timeout");
    io.timeout((), Duration::ZERO, move |(), _io, _result| done());
    let done = put("tick_each");
    let tick = |(): &mut (), _io: &Io, _periods| Next::Stop;
    io.tick_each((), Duration::ZERO, tick, move |(), _io, _result| done());
    let done = put("offload");
    io.offload((), || (), move |(), _io, _result| done());
    let done = put("event");
    io.event((), move |(), _io, _result| done()).1.pull();
    let done = put("recv");
    io.recv(Rc::clone(&stream), Vec::with_capacity(2), move |_s, _io, _buf, _result| done());
    let done = put("recv without room");
    io.recv(Rc::clone(&stream), Vec::new(), move |_s, _io, _buf, _result| done());
    let done = put("recv_exact of nothing");
    io.recv_exact(Rc::clone(&stream), Vec::new(), 0, move |_s, _io, _buf, _result| done());
    let done = put("recv_vectored");
    let bufs = vec![Vec::with_capacity(2)];
    io.recv_vectored(Rc::clone(&stream), bufs, move |_s, _io, _bufs, _result| done());
    let done = put("send");
    io.send(Rc::clone(&stream), "x", move |_s, _io, _buf, _result| done());
    let done = put("send_all of nothing");
    io.send_all(Rc::clone(&stream), "", move |_s, _io, _buf, _result| done());
    let done = put("send_zero_copy");
    io.send_zero_copy(Rc::clone(&stream), "x", move |_s, _io, _buf, _result| done());
    #[cfg(unix)]
    {
        let done = put("send_file of nothing");
        io.send_file(Rc::clone(&stream), &*stream, 0, 0, move |_s, _io, _result| done());
        let done = put("splice of nothing");
        io.splice(Rc::clone(&stream), &*stream, 0, move |_s, _io, _result| done());
    }
    let done = put("readable");
    io.readable(Rc::clone(&stream), move |_s, _io, _result| done());
    let done = put("writable");
    io.writable(Rc::clone(&stream), move |_s, _io, _result| done());
    let done = put("shutdown");
    io.shutdown(stream, Shutdown::Read, move |_s, _io, _result| done());
    let done = put("close");
    io.close(Rc::clone(&closed), move |_s, _io, _result| done());
    let done = put("close again");
    io.close(Rc::clone(&closed), move |_s, _io, _result| done());
    let done = put("send on a closed stream");
    io.send_all(closed, "x", move |_s, _io, _buf, _result| done());
    count
}

/// As above, for those that make a handle, and those with many results.
fn start_what_accepts_and_connects(io: &Io, names: &Names, streams: &Streams) -> u32 {
    let listener = Rc::new(TcpListener::bind(io, any()).unwrap());
    let address = listener.local_addr().unwrap();
    let _waiting = Peer::connect(address).unwrap();
    let names = || names.clone();
    let log = names();
    io.accept(Rc::clone(&listener), move |_listener, _io, _result| log.put("accept"));
    let log = names();
    let item = |_listener: &mut Rc<TcpListener>, _io: &Io, _stream| Next::Stop;
    io.accept_each(listener, item, move |_listener, _io, _result| log.put("accept_each"));
    io.connect(names(), address, |log, _io, _result| log.put("connect"));
    let elsewhere = ConnectOptions::new().bind("192.0.2.1:0".parse().unwrap());
    io.connect_with(names(), address, &elsewhere, |log, _io, _result| log.put("connect_with"));
    io.connect_host(names(), "no port", &ConnectOptions::new(), |log, _io, _result| {
        log.put("connect_host");
    });
    let (stream, pool) = (Rc::clone(&streams[1].0), BufferPool::new(io, 4, 16).unwrap());
    let (log, item) = (names(), |_stream: &mut Rc<TcpStream>, _io: &Io, _buf| Next::Stop);
    io.recv_each(stream, &pool, item, move |_stream, _io, _result| log.put("recv_each"));
    6
}

/// As above, for datagrams.
fn start_what_has_datagrams(io: &Io, names: &Names) -> u32 {
    let socket = Rc::new(UdpSocket::bind(io, any()).unwrap());
    let (address, pool) = (socket.local_addr().unwrap(), BufferPool::new(io, 4, 100).unwrap());
    let peer = UdpPeer::bind(any()).unwrap();
    peer.send_to(b"there already", address).unwrap();
    let log = names.clone();
    let buf = Vec::with_capacity(16);
    io.recv_from(Rc::clone(&socket), buf, move |_s, _io, _buf, _result| log.put("recv_from"));
    let (log, item) = (names.clone(), |_s: &mut Rc<UdpSocket>, _io: &Io, _datagram| Next::Stop);
    io.recv_from_each(Rc::clone(&socket), &pool, item, move |_s, _io, _result| {
        log.put("recv_from_each");
    });
    let log = names.clone();
    io.send_to(Rc::clone(&socket), "x", address, move |_s, _io, _buf, _result| {
        log.put("send_to");
    });
    let log = names.clone();
    io.send_segments(socket, "xyz", 2, Some(address), move |_s, _io, _buf, _result| {
        log.put("send_segments");
    });
    4
}

/// As above, for those of Unix sockets.
#[cfg(unix)]
fn start_what_has_unix_datagrams(io: &Io, names: &Names, place: &Scratch) -> u32 {
    let (path, pool) = (place.join("s"), BufferPool::new(io, 4, 256).unwrap());
    let socket = Rc::new(UnixDatagram::bind(io, &path).unwrap());
    let peer = UnixDatagramPeer::unbound().unwrap();
    peer.send_to(b"there already", &path).unwrap();
    let log = names.clone();
    let buf = Vec::with_capacity(16);
    io.recv_from_unix(Rc::clone(&socket), buf, move |_s, _io, _buf, _result| {
        log.put("recv_from_unix");
    });
    let (log, item) = (names.clone(), |_s: &mut Rc<UnixDatagram>, _io: &Io, _datagram| Next::Stop);
    io.recv_from_unix_each(Rc::clone(&socket), &pool, item, move |_s, _io, _result| {
        log.put("recv_from_unix_each");
    });
    let log = names.clone();
    io.send_to_unix(Rc::clone(&socket), "x", &path, move |_s, _io, _buf, _result| {
        log.put("send_to_unix");
    });
    let log = names.clone();
    io.send_to_unix(socket, "x", "", move |_s, _io, _buf, _result| {
        log.put("send_to_unix to no address");
    });
    4
}

#[test]
fn rule1_one_callback_and_never_inside_the_submitting_call() {
    let io = Io::new().unwrap();
    let names = Log::new();
    let streams = streams(&io);
    let mut count = start_what_is_done_at_once(&io, &names, &streams);
    count += start_what_accepts_and_connects(&io, &names, &streams);
    count += start_what_has_datagrams(&io, &names);
    #[cfg(unix)]
    let place = Scratch::new();
    #[cfg(unix)]
    {
        count += start_what_has_unix_datagrams(&io, &names, &place);
    }
    assert_eq!(names.take(), [""; 0], "never inside the call");
    finish(&io);
    let mut all = names.take();
    all.sort_unstable();
    let ran = all.len();
    all.dedup();
    assert_eq!((all.len(), ran), (count as usize, count as usize), "each once: {all:?}");
}

#[test]
fn rule1_nor_inside_a_callback_that_submits() {
    let io = Io::new().unwrap();
    let names = Log::new();
    let count = Rc::new(Cell::new(0));
    let streams = streams(&io);
    io.next((names.clone(), Rc::clone(&count)), move |(names, count), io| {
        count.set(start_what_is_done_at_once(io, &names, &streams));
        assert_eq!(names.len(), 0, "never inside the call");
    });
    finish(&io);
    assert_eq!(names.len(), count.get() as usize);
}

#[test]
fn rule1_a_callback_once_although_it_is_cancelled_timed_out_and_closed() {
    let io = Io::new().unwrap();
    for turns in 0..3 {
        let (stream, mut peer) = shared_pair(&io);
        let log = Log::new();
        let put = log.clone();
        let op =
            io.recv(Rc::clone(&stream), Vec::with_capacity(1), move |_s, _io, buf, _result| {
                put.put(buf);
            });
        io.deadline(op, Duration::ZERO);
        for turn in 0..3 {
            if turn == turns {
                peer.write_all(b"x").unwrap();
                io.cancel(op);
                io.cancel(op);
            }
            io.poll().unwrap();
        }
        io.close(stream, |_stream, _io, result| result.unwrap());
        io.cancel_all();
        finish(&io);
        log.one();
    }
}

#[test]
fn rule2_a_slot_used_again_and_again_keeps_its_tenants_apart() {
    let io = Io::new().unwrap();
    let (stream, mut peer) = shared_pair(&io);
    let log = Log::new();
    let mut old: Vec<Op> = Vec::new();
    for number in 0..500_u16 {
        let put = log.clone();
        let buf = Vec::with_capacity(2);
        let op = io.recv_exact(Rc::clone(&stream), buf, 2, move |_stream, _io, buf, result| {
            put.put((buf, result.is_ok()));
        });
        for &op in old.iter().rev().take(50) {
            io.cancel(op);
            io.deadline(op, Duration::ZERO);
        }
        io.poll().unwrap();
        peer.write_all(&number.to_le_bytes()).unwrap();
        finish(&io);
        assert_eq!(log.one(), (number.to_le_bytes().to_vec(), true));
        old.push(op);
    }
}

#[test]
fn rule2_a_name_from_another_loop_finds_nobody() {
    let (io, other) = (Io::new().unwrap(), Io::new().unwrap());
    let log = Log::new();
    let foreign = other.timeout((), Duration::MAX, |(), _io, _result| {});
    let own = io.timeout(log.clone(), Duration::MAX, |log, _io, result| log.put(result));
    io.cancel(foreign);
    io.deadline(foreign, Duration::ZERO);
    io.run_for(Duration::from_millis(2)).unwrap();
    assert_eq!((log.len(), io.in_flight()), (0, 1));
    io.cancel(own);
    finish(&io);
    assert!(is_cancelled(&log.one().unwrap_err()));
}

#[test]
fn rule2_a_closed_handles_name_does_not_reach_its_successor() {
    let io = Io::new().unwrap();
    let (old, _far) = shared_pair(&io);
    io.close(Rc::clone(&old), |_stream, _io, result| result.unwrap());
    finish(&io);
    // The next handle gets the same entry of the loop's table, and the same descriptor.
    let (new, mut peer) = shared_pair(&io);
    let log = Log::new();
    let put = log.clone();
    io.send_all(Rc::clone(&old), "stray", move |_stream, _io, _buf, result| {
        put.put(result.unwrap_err().kind());
    });
    let put = log.clone();
    io.close(Rc::clone(&old), move |_stream, _io, result| put.put(result.unwrap_err().kind()));
    finish(&io);
    assert_eq!(log.take(), [ErrorKind::NotConnected; 2]);
    assert_eq!(old.local_addr().unwrap_err().kind(), ErrorKind::NotConnected);
    drop(old);
    finish(&io);
    io.send_all(new, "meant", |_stream, _io, _buf, result| result.unwrap());
    finish(&io);
    assert_eq!(crate::read(&mut peer, 5), b"meant");
}

#[test]
fn rule3_cancels_have_room_of_their_own() {
    let io = Io::builder().ring_entries(1).build().unwrap();
    let log = Log::new();
    let mut ops = Vec::new();
    let mut peers = Vec::new();
    for _ in 0..200 {
        let (stream, peer) = pair(&io);
        peers.push(peer);
        let put = log.clone();
        ops.push(io.recv(stream, Vec::with_capacity(1), move |_stream, _io, _buf, result| {
            put.put(is_cancelled(&result.unwrap_err()));
        }));
    }
    io.poll().unwrap();
    for op in ops {
        io.cancel(op);
    }
    finish(&io);
    assert_eq!(log.take(), [true; 200]);
}

#[test]
fn rule4_nothing_pending_outlives_a_close() {
    let io = Io::new().unwrap();
    for turns in 0..3 {
        let (stream, mut far) = small_pair(&io);
        while stream.send_now(&[b'-'; 4096]).is_ok() {}
        let log = Log::new();
        let (recv, send, wait, close) = (log.clone(), log.clone(), log.clone(), log.clone());
        for _ in 0..3 {
            let put = recv.clone();
            io.recv(
                Rc::clone(&stream),
                vec![0; 8].into_boxed_slice(),
                move |_s, _io, _b, result| {
                    put.put(("pending", result.map(drop).map_err(|error| is_cancelled(&error))));
                },
            );
            let put = send.clone();
            // More than both ends hold: what was full once need not stay so.
            io.send_all(Rc::clone(&stream), pattern(1 << 20), move |_s, _io, _buf, result| {
                put.put(("pending", result.map_err(|error| is_cancelled(&error))));
            });
        }
        io.readable(Rc::clone(&stream), move |_s, _io, result| {
            wait.put(("pending", result.map_err(|error| is_cancelled(&error))));
        });
        for _ in 0..turns {
            io.poll().unwrap();
        }
        io.close(stream, move |_stream, _io, result| {
            result.unwrap();
            close.put(("closed", Ok(())));
        });
        finish(&io);
        let all = log.take();
        assert_eq!(all.len(), 8);
        assert_eq!(all[7], ("closed", Ok(())), "the close calls back last");
        assert!(all[..7].iter().all(|entry| *entry == ("pending", Err(true))), "{all:?}");
        while std::io::Read::read(&mut far, &mut [0; 65_536]).unwrap() > 0 {}
    }
}

#[test]
fn rule6_refused_operations_take_no_capacity() {
    let io = Io::builder().capacity(1).build().unwrap();
    let log = Log::new();
    // The first one's slot is free when its callback runs, so the callback may use it.
    io.next(log.clone(), |log, io| {
        io.timeout(log, Duration::ZERO, |log, _io, result| log.put(result));
    });
    io.timeout(log.clone(), Duration::ZERO, |log, _io, result| {
        assert!(is_at_capacity(&result.unwrap_err()));
        log.put(Ok(()));
    });
    finish(&io);
    let all = log.take();
    assert!(all.len() == 2 && all.iter().all(Result::is_ok), "{all:?}");
}
