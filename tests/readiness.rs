//! What holds of the readiness driver alone.
#![allow(clippy::unwrap_used, reason = "tests")]

#[cfg(target_os = "linux")]
#[path = "common/seccomp.rs"]
mod seccomp;

use std::cell::{Cell, RefCell};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::rc::Rc;
use std::time::Duration;

use tigereye::{BufferPool, DriverKind, Io, Next, TcpStream};

const HANG: Duration = Duration::from_secs(120);

fn readiness() -> Io {
    Io::builder().driver(DriverKind::Readiness).build().unwrap()
}

fn pair(io: &Io) -> (TcpStream, std::net::TcpStream) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let near = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (TcpStream::from_std(io, near).unwrap(), listener.accept().unwrap().0)
}

/// Has the loop echo one message, and gives the number of system calls that it made for it.
fn calls_for_a_message(io: &Io, peer: &mut std::net::TcpStream, message: &[u8]) -> u64 {
    let before = io.statistics().system_calls;
    peer.write_all(message).unwrap();
    io.run_once().unwrap();
    let mut back = vec![0; message.len()];
    peer.read_exact(&mut back).unwrap();
    assert_eq!(back, message);
    io.statistics().system_calls - before
}

#[test]
fn p70_a_message_is_a_wait_a_receive_and_a_send() {
    let io = readiness();
    let pool = BufferPool::new(&io, 4, 64).unwrap();
    let (stream, mut peer) = pair(&io);
    io.recv_each(
        stream,
        &pool,
        |stream, io, buf| {
            io.send_detached(stream, buf);
            Next::Continue
        },
        |_stream, _io, result| result.unwrap(),
    );
    io.poll().unwrap();
    for _ in 0..100 {
        assert_eq!(calls_for_a_message(&io, &mut peer, b"a short message"), 3);
    }
    // A message that fills the buffer may have left something: that is found out.
    assert_eq!(calls_for_a_message(&io, &mut peer, &[7; 64]), 4);
}

#[test]
fn what_is_sent_at_once_completes_before_the_next_stream_is_received_from() {
    let io = readiness();
    let pool = BufferPool::new(&io, 4, 64).unwrap();
    let log = Rc::new(RefCell::new(Vec::new()));
    let mut peers = Vec::new();
    for name in ["first", "second"] {
        let (stream, peer) = pair(&io);
        peers.push(peer);
        let log = Rc::clone(&log);
        io.recv_each(
            Rc::new(stream),
            &pool,
            move |stream, io, buf| {
                log.borrow_mut().push((name, "received"));
                let log = Rc::clone(&log);
                io.send_all(Rc::clone(stream), buf, move |_stream, _io, _buf, result| {
                    result.unwrap();
                    log.borrow_mut().push((name, "sent"));
                });
                Next::Continue
            },
            |_stream, _io, result| result.unwrap(),
        );
    }
    io.poll().unwrap();
    for peer in &mut peers {
        peer.write_all(b"a message").unwrap();
    }
    while log.borrow().len() < 4 {
        io.run_once().unwrap();
    }
    for (at, peer) in peers.iter_mut().enumerate() {
        peer.read_exact(&mut [0; 9]).unwrap();
        let [received, sent] = [log.borrow()[2 * at], log.borrow()[2 * at + 1]];
        assert_eq!((received.1, sent.1), ("received", "sent"));
        assert_eq!(received.0, sent.0, "its buffer is back before another is needed");
    }
}

#[test]
fn waiting_streams_cost_no_calls() {
    let io = readiness();
    let mut peers = Vec::new();
    for _ in 0..100 {
        let (stream, peer) = pair(&io);
        peers.push(peer);
        io.recv(stream, Vec::with_capacity(1), |_stream, _io, _buf, _result| {});
    }
    io.poll().unwrap();
    let before = io.statistics().system_calls;
    for _ in 0..100 {
        io.poll().unwrap();
    }
    assert_eq!(io.statistics().system_calls - before, 100, "one wait a turn");
}

#[test]
fn timers_cost_no_calls_of_their_own() {
    let io = readiness();
    let before = io.statistics().system_calls;
    let fired = Rc::new(Cell::new(0));
    for _ in 0..10_000 {
        io.timeout(Rc::clone(&fired), Duration::ZERO, |fired, _io, result| {
            result.unwrap();
            fired.set(fired.get() + 1);
        });
    }
    io.run_for(HANG).unwrap();
    assert_eq!(fired.get(), 10_000);
    assert!(io.statistics().system_calls - before < 100, "a wait a turn, for many timers each");
}

/// The descriptor is gone although the call says that it was interrupted: closed again, its number
/// might be another's by now.
#[cfg(target_os = "linux")]
#[test]
fn p31_a_close_that_is_interrupted_is_not_done_again() {
    // A filter stays for as long as its thread.
    #[expect(clippy::disallowed_methods, reason = "a thread whose close is interrupted")]
    let thread = std::thread::spawn(|| {
        let io = readiness();
        let (stream, _peer) = pair(&io);
        let log = Rc::new(Cell::new(None));
        let put = Rc::clone(&log);
        seccomp::forbid(libc::SYS_close, libc::EINTR);
        io.close(stream, move |_stream, _io, result| put.set(Some(result.unwrap_err().kind())));
        io.run_for(HANG).unwrap();
        assert_eq!(io.in_flight(), 0);
        log.get()
    });
    assert_eq!(thread.join().unwrap(), Some(std::io::ErrorKind::Interrupted));
}
