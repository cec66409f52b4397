//! Receiving and sending.

use std::io::{ErrorKind, Write};
use std::net::Shutdown;
use std::rc::Rc;
use std::time::Duration;

use tigereye::{Io, IoBuf, TcpStream, is_cancelled};

use crate::peer::now;
use crate::{Log, finish, pair, pattern, read, reset, run_until_stop, shared_pair, small_pair};

const MIB: usize = 1 << 20;

#[test]
fn p47_send_all_of_a_mebibyte_waits_for_a_slow_reader() {
    let io = Io::new().unwrap();
    let (stream, peer) = small_pair(&io);
    let log = Log::new();
    io.send_all(stream, pattern(MIB), {
        let log = log.clone();
        move |_stream, _io, buf, result| log.put((buf, result))
    });
    io.run_for(Duration::from_millis(20)).unwrap();
    assert_eq!(log.len(), 0, "nobody reads");
    let reader = peer.reads(MIB);
    finish(&io);
    let (buf, result) = log.one();
    result.unwrap();
    assert!(buf == pattern(MIB), "the buffer comes back as it was");
    assert!(reader.join() == pattern(MIB));
}

fn receive(io: &Io, stream: TcpStream, mut all: Vec<u8>, log: Log<Vec<u8>>) {
    all.reserve(10_000);
    let before = all.len();
    io.recv(stream, all, move |stream, io, all, result| {
        let count = result.unwrap();
        assert_eq!(all.len(), before + count);
        if count == 0 { log.put(all) } else { receive(io, stream, all, log) }
    });
}

#[test]
fn recv_a_mebibyte() {
    let io = Io::new().unwrap();
    let (stream, peer) = pair(&io);
    let writer = peer.writes(pattern(MIB));
    let log = Log::new();
    receive(&io, stream, Vec::new(), log.clone());
    finish(&io);
    assert!(log.one() == pattern(MIB));
    writer.join();
}

fn send_rest(io: &Io, stream: Rc<TcpStream>, buf: Vec<u8>, from: usize) {
    if from == buf.len() {
        return;
    }
    io.send(stream, buf.slice(from..), move |stream, io, part, result| {
        let count = result.unwrap();
        assert!(count > 0);
        send_rest(io, stream, part.into_inner(), from + count);
    });
}

#[test]
fn send_a_mebibyte_piece_by_piece() {
    let io = Io::new().unwrap();
    let (stream, peer) = small_pair(&io);
    send_rest(&io, stream, pattern(MIB), 0);
    let reader = peer.reads(MIB);
    finish(&io);
    assert!(reader.join() == pattern(MIB));
}

#[test]
fn recv_exact_in_pieces() {
    let io = Io::new().unwrap();
    let (stream, mut peer) = pair(&io);
    let log = Log::new();
    let put = log.clone();
    // What is there before stays; what follows the ten bytes is not touched.
    let mut buf = Vec::with_capacity(64);
    buf.push(b'>');
    io.recv_exact(stream, buf, 9, move |_stream, io, buf, result| {
        put.put((buf, result));
        io.stop();
    });
    for piece in [&b"abc"[..], b"d", b"efghij"] {
        peer.write_all(piece).unwrap();
        io.run_for(Duration::from_millis(5)).unwrap();
    }
    finish(&io);
    let (buf, result) = log.one();
    result.unwrap();
    assert_eq!(buf, b">abcdefghi");
}

#[test]
fn p58_recv_exact_at_an_early_end_shows_what_came() {
    let io = Io::new().unwrap();
    let (stream, mut peer) = pair(&io);
    peer.write_all(b"part").unwrap();
    drop(peer);
    let log = Log::new();
    io.recv_exact(stream, Vec::with_capacity(10), 10, {
        let log = log.clone();
        move |_stream, _io, buf, result| log.put((buf, result.unwrap_err().kind()))
    });
    finish(&io);
    assert_eq!(log.one(), (b"part".to_vec(), ErrorKind::UnexpectedEof));
}

#[test]
fn recv_exact_without_room_is_refused_and_takes_nothing() {
    let io = Io::new().unwrap();
    let (stream, mut peer) = shared_pair(&io);
    peer.write_all(b"12345678").unwrap();
    let log = Log::new();
    io.recv_exact(Rc::clone(&stream), vec![0; 4].into_boxed_slice(), 5, {
        let log = log.clone();
        move |_stream, _io, buf: Box<[u8]>, result| log.put((buf, result.unwrap_err().kind()))
    });
    finish(&io);
    assert_eq!(log.one(), (vec![0; 4].into_boxed_slice(), ErrorKind::InvalidInput));
    let log = Log::new();
    io.recv_exact(stream, vec![0; 8].into_boxed_slice(), 8, {
        let log = log.clone();
        move |_stream, _io, buf, result| log.put((buf, result.unwrap()))
    });
    finish(&io);
    assert_eq!(&*log.one().0, b"12345678");
}

#[test]
fn p34_recv_into_a_full_buffer_is_refused() {
    let io = Io::new().unwrap();
    let (stream, mut peer) = shared_pair(&io);
    peer.write_all(b"x").unwrap();
    let log = Log::new();
    for buf in [Vec::new(), vec![7; 3].into_boxed_slice().into_vec()] {
        let (put, copy) = (log.clone(), buf.clone());
        io.recv(Rc::clone(&stream), buf, move |_stream, _io, buf, result| {
            assert_eq!(buf, copy);
            put.put(result.unwrap_err().kind());
        });
    }
    assert_eq!(log.len(), 0, "never inside the call");
    finish(&io);
    assert_eq!(log.take(), [ErrorKind::InvalidInput; 2]);
}

#[test]
fn recv_vectored_fills_one_after_the_other() {
    let io = Io::new().unwrap();
    let (stream, mut peer) = pair(&io);
    peer.write_all(b"0123456789").unwrap();
    let log = Log::new();
    let bufs: Vec<Vec<u8>> = (0..4).map(|_| vec![0; 4].into_boxed_slice().into_vec()).collect();
    let bufs = bufs.into_iter().map(|mut buf| {
        buf.clear();
        buf
    });
    io.recv_vectored(stream, bufs.collect(), {
        let log = log.clone();
        move |_stream, _io, bufs: Vec<Vec<u8>>, result| log.put((bufs, result.unwrap()))
    });
    finish(&io);
    let (bufs, count) = log.one();
    assert_eq!(count, 10);
    assert_eq!(bufs, [&b"0123"[..], b"4567", b"89", b""]);
}

#[test]
fn vectored_with_more_than_sixteen_buffers() {
    let io = Io::new().unwrap();
    let (stream, mut peer) = shared_pair(&io);
    let bytes = pattern(20);
    let bufs: Vec<Vec<u8>> = bytes.iter().map(|&byte| vec![byte]).collect();
    let log = Log::new();
    let put = log.clone();
    io.send_vectored(Rc::clone(&stream), bufs.clone(), move |_stream, _io, back, result| {
        put.put((back, result.unwrap()));
    });
    finish(&io);
    let (back, sent) = log.one();
    assert_eq!(back, bufs);
    assert_eq!(sent, 16);
    assert_eq!(read(&mut peer, 16), bytes[..16]);
    peer.write_all(&bytes).unwrap();
    let put = log.clone();
    let boxes: Vec<Box<[u8]>> = (0..20).map(|_| Box::from([99])).collect();
    io.recv_vectored(stream, boxes, move |_stream, _io, back, result| {
        put.put((back.into_iter().map(Vec::from).collect(), result.unwrap()));
    });
    finish(&io);
    let (back, received) = log.one();
    assert_eq!(received, 16);
    assert_eq!(back[..16], bufs[..16]);
    assert!(back[16..].iter().all(|buf| buf == &[99]), "the rest is not touched");
}

#[test]
fn send_all_vectored_sends_any_number() {
    let io = Io::new().unwrap();
    let (stream, peer) = small_pair(&io);
    let bufs: Vec<Vec<u8>> = (0..100).map(|at| pattern((at % 7) * 1777)).collect();
    let expected = bufs.concat();
    let len = expected.len();
    let reader = peer.reads(len);
    let log = Log::new();
    io.send_all_vectored(stream, bufs.clone(), {
        let log = log.clone();
        move |_stream, _io, bufs, result| log.put((bufs, result))
    });
    finish(&io);
    let (back, result) = log.one();
    result.unwrap();
    assert!(back == bufs);
    assert!(reader.join() == expected);
}

#[test]
fn send_all_vectored_of_empty_buffers_ends() {
    let io = Io::new().unwrap();
    let (stream, _peer) = shared_pair(&io);
    let log = Log::new();
    for count in [0, 1, 17] {
        let log = log.clone();
        let bufs = vec![Vec::new(); count];
        io.send_all_vectored(Rc::clone(&stream), bufs, move |_stream, _io, bufs, result| {
            result.unwrap();
            log.put(bufs.len());
        });
    }
    finish(&io);
    assert_eq!(log.take(), [0, 1, 17]);
}

#[test]
fn p14_send_zero_copy_gives_the_buffer_back_once() {
    let io = Io::new().unwrap();
    let (stream, peer) = shared_pair(&io);
    let log = Log::new();
    io.send_zero_copy(stream, pattern(100_000), {
        let log = log.clone();
        move |_stream, _io, buf, result| log.put((buf, result.unwrap()))
    });
    let reader = peer.reads_to_end();
    finish(&io);
    let (buf, count) = log.one();
    assert!(buf == pattern(100_000));
    assert!(count > 0 && count <= buf.len());
    assert!(reader.join() == buf[..count]);
}

#[test]
fn p14_a_buffer_changed_in_the_callback_is_not_sent_changed() {
    let io = Io::new().unwrap();
    let (stream, peer) = small_pair(&io);
    let log = Log::new();
    let put = log.clone();
    io.send_zero_copy(stream, pattern(MIB), move |_stream, _io, mut buf, result| {
        buf.fill(0xff);
        put.put(result.unwrap());
    });
    // Nobody reads, so most of it still lies in the buffer when a driver does not copy.
    io.run_for(Duration::from_millis(20)).unwrap();
    let reader = peer.reads_to_end();
    finish(&io);
    let all = reader.join();
    assert_eq!(all.len(), log.one());
    assert!(all == pattern(MIB)[..all.len()], "the buffer was given back too early");
}

#[test]
fn p46_an_empty_send_is_no_end() {
    let io = Io::new().unwrap();
    let (stream, mut peer) = shared_pair(&io);
    let log = Log::new();
    let (one, all, none) = (log.clone(), log.clone(), log.clone());
    io.send(Rc::clone(&stream), "", move |_stream, _io, _buf, result| one.put(result.unwrap()));
    io.send_all(Rc::clone(&stream), "", move |_stream, _io, _buf, result| {
        result.unwrap();
        all.put(0);
    });
    io.send_zero_copy(Rc::clone(&stream), "", move |_stream, _io, _buf, result| {
        none.put(result.unwrap());
    });
    io.send_all(stream, "x", |_stream, _io, _buf, result| result.unwrap());
    finish(&io);
    assert_eq!(log.take(), [0, 0, 0]);
    assert_eq!(read(&mut peer, 1), b"x");
}

#[test]
fn p35_a_send_to_a_peer_that_is_gone_is_an_error() {
    let io = Io::new().unwrap();
    let (stream, peer) = shared_pair(&io);
    reset(peer);
    let log = Log::new();
    for _ in 0..2 {
        let log = log.clone();
        io.send_all(Rc::clone(&stream), "x", move |_stream, _io, _buf, result| {
            log.put(result.unwrap_err().kind());
        });
    }
    finish(&io);
    let kinds = log.take();
    assert_eq!(kinds.len(), 2);
    assert_eq!(kinds[1], crate::GONE);
}

#[test]
fn rule5_two_receives_are_served_in_order() {
    let io = Io::new().unwrap();
    let (stream, mut peer) = shared_pair(&io);
    let log = Log::new();
    for number in 0..2 {
        let log = log.clone();
        let buf = vec![0; 4].into_boxed_slice();
        io.recv_exact(Rc::clone(&stream), buf, 4, move |_stream, _io, buf, result| {
            result.unwrap();
            log.put((number, buf.to_vec()));
        });
    }
    for piece in [b"aa", b"aa", b"bb", b"bb"] {
        peer.write_all(piece).unwrap();
        io.run_for(Duration::from_millis(2)).unwrap();
    }
    finish(&io);
    assert_eq!(log.take(), [(0, b"aaaa".to_vec()), (1, b"bbbb".to_vec())]);
}

#[test]
fn p36_rule5_two_sends_do_not_interleave() {
    let io = Io::new().unwrap();
    let (stream, peer) = small_pair(&io);
    let log = Log::new();
    for byte in [b'a', b'b', b'c'] {
        let log = log.clone();
        let buf = vec![byte; 200_000];
        io.send_all(Rc::clone(&stream), buf, move |_stream, _io, buf, result| {
            result.unwrap();
            log.put(buf[0]);
        });
    }
    let reader = peer.reads(600_000);
    finish(&io);
    assert_eq!(log.take(), b"abc");
    let bytes = reader.join();
    assert!(bytes.is_sorted(), "the bytes come in order");
}

#[test]
fn rule5_a_cancelled_waiter_lets_the_next_one_through() {
    let io = Io::new().unwrap();
    let (stream, mut peer) = shared_pair(&io);
    let log = Log::new();
    let ops = [0, 1, 2].map(|number| {
        let log = log.clone();
        let buf = vec![0; 1].into_boxed_slice();
        io.recv(Rc::clone(&stream), buf, move |_stream, io, buf, result| {
            log.put((number, buf[0], result.map_err(|error| is_cancelled(&error))));
            io.stop();
        })
    });
    io.cancel(ops[1]);
    run_until_stop(&io);
    assert_eq!(log.one(), (1, 0, Err(true)));
    io.cancel(ops[0]);
    run_until_stop(&io);
    assert_eq!(log.one(), (0, 0, Err(true)));
    peer.write_all(b"xy").unwrap();
    finish(&io);
    assert_eq!(log.one(), (2, b'x', Ok(1)));
}

#[test]
fn cancel_of_a_receive_gives_everything_back() {
    let io = Io::new().unwrap();
    let (stream, _peer) = pair(&io);
    let address = stream.local_addr().unwrap();
    let log = Log::new();
    let mut buf = Vec::with_capacity(32);
    buf.extend(b"kept");
    let op = io.recv(stream, buf, {
        let log = log.clone();
        move |stream, _io, buf, result| log.put((stream, buf, result.unwrap_err()))
    });
    io.poll().unwrap();
    io.cancel(op);
    io.cancel(op);
    assert_eq!(log.len(), 0, "never inside the call");
    finish(&io);
    let (stream, buf, error) = log.one();
    assert!(is_cancelled(&error));
    assert_eq!(buf, b"kept");
    assert_eq!(stream.local_addr().unwrap(), address);
}

#[test]
fn p11_cancel_and_deadline_after_the_end_find_nobody() {
    let io = Io::new().unwrap();
    let (stream, mut peer) = shared_pair(&io);
    peer.write_all(b"x").unwrap();
    let log = Log::new();
    let start = || {
        let log = log.clone();
        io.recv(Rc::clone(&stream), Vec::with_capacity(1), move |_stream, _io, buf, result| {
            log.put((buf, result.unwrap()));
        })
    };
    let old = start();
    finish(&io);
    assert_eq!(log.one(), (b"x".to_vec(), 1));
    let _new = start();
    io.cancel(old);
    io.deadline(old, Duration::ZERO);
    io.run_for(Duration::from_millis(5)).unwrap();
    assert_eq!(log.len(), 0, "the slot's next tenant is not touched");
    peer.write_all(b"y").unwrap();
    finish(&io);
    assert_eq!(log.one(), (b"y".to_vec(), 1));
}

#[test]
fn a_deadline_ends_a_receive_and_is_never_early() {
    let io = Io::new().unwrap();
    let (stream, _peer) = pair(&io);
    let log = Log::new();
    let before = now(&io);
    let op = io.recv(stream, Vec::with_capacity(8), {
        let log = log.clone();
        move |_stream, _io, buf, result| log.put((buf.capacity() >= 8, result.unwrap_err().kind()))
    });
    io.deadline(op, Duration::from_secs(100));
    io.deadline(op, Duration::from_millis(20));
    finish(&io);
    assert!(now(&io) - before >= Duration::from_millis(20));
    assert_eq!(log.one(), (true, ErrorKind::TimedOut));
}

#[test]
fn p47_a_deadline_ends_a_send_that_nobody_reads() {
    let io = Io::new().unwrap();
    let (stream, _peer) = small_pair(&io);
    let log = Log::new();
    let op = io.send_all(stream, pattern(MIB), {
        let log = log.clone();
        move |_stream, _io, buf, result| log.put((buf.len(), result.unwrap_err().kind()))
    });
    io.deadline(op, Duration::from_millis(20));
    finish(&io);
    assert_eq!(log.one(), (MIB, ErrorKind::TimedOut));
}

#[test]
fn a_half_that_was_shut_down_is_a_broken_pipe_to_every_send() {
    let io = Io::new().unwrap();
    let (stream, _peer) = shared_pair(&io);
    io.shutdown(Rc::clone(&stream), Shutdown::Write, |_stream, _io, result| result.unwrap());
    finish(&io);
    assert_eq!(stream.send_now(b"x").unwrap_err().kind(), ErrorKind::BrokenPipe);
    io.send(stream, "x", |_stream, _io, _buf, result| {
        assert_eq!(result.unwrap_err().kind(), ErrorKind::BrokenPipe);
    });
    finish(&io);
}
