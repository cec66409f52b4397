//! Sends that nobody is told of.

use std::io::{ErrorKind, Read};
use std::rc::Rc;
use std::time::Duration;

use tigereye::{BufferPool, Io, Next, TcpListener};

use crate::peer::{Peer, Task};
use crate::{HANG, Log, any, finish, pair, pattern, read, reset, shared_pair, small_pair};

#[test]
fn detached_sends_arrive_in_order_and_among_others() {
    let io = Io::new().unwrap();
    let (stream, mut peer) = shared_pair(&io);
    let told = Log::new();
    for round in 0..50_u8 {
        io.send_detached(&stream, vec![round; 10]);
        io.send_detached(&stream, vec![round; 10]);
        let put = told.clone();
        io.send_all(Rc::clone(&stream), vec![round; 10], move |_stream, _io, _buf, result| {
            result.unwrap();
            put.put(());
        });
    }
    finish(&io);
    assert_eq!(told.len(), 50);
    let bytes = read(&mut peer, 1500);
    assert!(bytes.chunks(30).zip(0_u8..).all(|(chunk, round)| chunk == [round; 30]));
}

#[test]
fn a_detached_send_keeps_the_loop_until_it_is_done_and_no_longer() {
    let io = Io::new().unwrap();
    let (stream, mut peer) = pair(&io);
    assert_eq!(stream.in_flight(), 0);
    io.send_detached(&stream, "once");
    // A driver that sends while it is called has nothing in flight.
    assert_eq!(stream.in_flight(), io.in_flight());
    assert!(io.in_flight() <= 1);
    // Nothing else is in flight that could wake the loop.
    finish(&io);
    assert_eq!(stream.in_flight(), 0);
    assert_eq!(read(&mut peer, 4), b"once");
}

#[test]
fn p46_an_empty_detached_send_is_nothing() {
    let io = Io::new().unwrap();
    let (stream, mut peer) = pair(&io);
    io.send_detached(&stream, "");
    io.send_detached(&stream, "x");
    finish(&io);
    assert_eq!(read(&mut peer, 1), b"x");
}

#[test]
fn p47_a_detached_send_goes_on_when_the_peer_reads() {
    const LEN: usize = 4 << 20;
    let io = Io::new().unwrap();
    let (stream, peer) = small_pair(&io);
    io.send_detached(&stream, pattern(LEN));
    io.run_for(Duration::from_millis(10)).unwrap();
    assert_eq!(stream.in_flight(), 1, "the peer has not read");
    let reader = peer.reads(LEN);
    finish(&io);
    assert!(reader.join() == pattern(LEN));
}

#[test]
fn a_detached_send_that_misses_its_deadline_ends_the_connection() {
    let io = Io::new().unwrap();
    let (stream, mut peer) = small_pair(&io);
    let ends = Log::new();
    let (received, sent) = (ends.clone(), ends.clone());
    io.recv(
        Rc::clone(&stream),
        vec![0; 8].into_boxed_slice(),
        move |_stream, _io, _buf, result| {
            received.put(("received", result.map_err(|error| error.kind())));
        },
    );
    let late = io.send_detached(&stream, pattern(16 << 20));
    io.deadline(late, Duration::from_millis(10));
    io.send_all(stream, "behind the gap", move |_stream, _io, _buf, result| {
        sent.put(("sent", result.map(|()| 0).map_err(|error| error.kind())));
    });
    finish(&io);
    let mut ends = ends.take();
    ends.sort_by_key(|(name, _)| *name);
    assert_eq!(ends, [("received", Ok(0)), ("sent", Err(ErrorKind::BrokenPipe))]);
    let mut bytes = Vec::new();
    peer.read_to_end(&mut bytes).unwrap();
    assert!(!bytes.ends_with(b"behind the gap"), "nothing follows a gap");
}

/// What is queued behind a send that fails half way must not be sent in its place, although there is
/// room for it by then.
#[test]
fn a_detached_send_that_fails_lets_nothing_follow_where_there_is_room() {
    let io = Io::new().unwrap();
    for _ in 0..20 {
        let (stream, mut peer) = small_pair(&io);
        let late = io.send_detached(&stream, pattern(4 << 20));
        let log = Log::new();
        let put = log.clone();
        io.send_all(stream, "behind the gap", move |_stream, _io, _buf, result| {
            put.put(result.is_err());
        });
        io.poll().unwrap();
        // Room is made, and told, in the turn in which the send ends.
        read(&mut peer, 30_000);
        io.cancel(late);
        finish(&io);
        assert!(log.one(), "it fails");
        let mut bytes = Vec::new();
        peer.read_to_end(&mut bytes).unwrap();
        assert!(!bytes.ends_with(b"behind the gap"), "nothing follows a gap");
    }
}

#[test]
fn p35_a_detached_send_to_a_peer_that_is_gone_harms_nobody() {
    let io = Io::new().unwrap();
    for _ in 0..20 {
        let (stream, peer) = shared_pair(&io);
        reset(peer);
        for _ in 0..3 {
            io.send_detached(&stream, "nobody");
        }
        drop(stream);
        finish(&io);
    }
}

#[test]
fn rule4_dropping_the_stream_right_after_a_detached_send_closes_it() {
    let io = Io::new().unwrap();
    let (stream, peer) = pair(&io);
    io.send_detached(&stream, "last words");
    drop(stream);
    // A timer far away must not be what wakes the loop.
    let far = io.timeout((), HANG * 2, |(), _io, _result| {});
    let reader = peer.reads_to_end();
    while !reader.is_finished() {
        io.run_for(Duration::from_millis(1)).unwrap();
    }
    assert_eq!(reader.join(), b"last words");
    io.cancel(far);
    finish(&io);
}

#[test]
fn p12_a_buffer_in_a_detached_send_comes_back_to_those_who_wait_for_it() {
    let io = Io::new().unwrap();
    // One buffer for two streams: each can receive only when the other's answer is gone.
    let pool = BufferPool::new(&io, 1, 16).unwrap();
    let listener = TcpListener::bind(&io, any()).unwrap();
    let address = listener.local_addr().unwrap();
    let accept = io.accept_each(
        listener,
        move |_listener, io, stream| {
            io.recv_each(
                stream,
                &pool,
                |stream, io, buf| {
                    io.send_detached(stream, buf);
                    Next::Continue
                },
                |_stream, _io, result| result.unwrap(),
            );
            Next::Continue
        },
        |_listener, _io, _result| {},
    );
    let clients = [(); 2].map(|()| Peer::connect(address).unwrap().asks(500));
    while !clients.iter().all(Task::is_finished) {
        io.run_for(Duration::from_millis(1)).unwrap();
    }
    clients.into_iter().for_each(Task::join);
    io.cancel(accept);
    finish(&io);
}
