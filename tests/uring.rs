//! What holds of the io_uring driver alone, which is Linux's.
#![cfg(target_os = "linux")]
#![allow(clippy::disallowed_methods, reason = "tests have clocks and threads of their own")]
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "common/alone.rs"]
mod alone;
#[path = "common/limit.rs"]
mod limit;

use std::cell::Cell;
use std::io::{ErrorKind, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::rc::Rc;
use std::time::Duration;

use alone::alone;
use limit::limit;
use tigereye::{DriverKind, Io, TcpStream};

const WITHOUT: &str = "TIGEREYE_URING_WITHOUT";

/// A loop over io_uring, or none.
fn uring() -> std::io::Result<Io> {
    Io::builder().driver(DriverKind::Uring).build()
}

#[test]
fn p07_a_masked_feature_that_nobody_knows_is_an_error() {
    let name = "p07_a_masked_feature_that_nobody_knows_is_an_error";
    if alone(name, &[(WITHOUT, "recv_multishot,telepathy")]) {
        let error = uring().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains("telepathy"), "{error}");
    }
}

#[test]
fn p07_a_kernel_that_is_too_old_is_an_error() {
    let name = "p07_a_kernel_that_is_too_old_is_an_error";
    if alone(name, &[(WITHOUT, "ext_arg")]) {
        let error = uring().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
    }
}

#[test]
fn p08_rings_are_built_where_no_memory_may_be_locked() {
    if !alone("p08_rings_are_built_where_no_memory_may_be_locked", &[]) {
        return;
    }
    limit(libc::RLIMIT_MEMLOCK, 0);
    for _ in 0..500 {
        let io = uring().unwrap();
        io.next((), |(), _io| {});
        io.run().unwrap();
    }
}

fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").unwrap().count()
}

#[test]
fn p16_waiting_operations_make_no_kernel_threads() {
    if !alone("p16_waiting_operations_make_no_kernel_threads", &[]) {
        return;
    }
    let io = uring().unwrap();
    let before = threads();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let (mut peers, received) = (Vec::new(), Rc::new(Cell::new(0)));
    for _ in 0..300 {
        let near = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        peers.push(listener.accept().unwrap().0);
        let stream = TcpStream::from_std(&io, near).unwrap();
        let received = Rc::clone(&received);
        io.recv(stream, Vec::with_capacity(1), move |stream, io, buf, result| {
            received.set(received.get() + result.unwrap());
            io.send_all(stream, buf, |_stream, _io, _buf, result| result.unwrap());
        });
    }
    io.run_for(Duration::from_millis(20)).unwrap();
    assert_eq!((received.get(), threads()), (0, before), "300 receives wait");
    for peer in &mut peers {
        peer.write_all(b"x").unwrap();
    }
    io.run_for(Duration::from_secs(120)).unwrap();
    assert_eq!((received.get(), threads()), (300, before), "and are served");
}

#[test]
fn p16_urgent_bytes_make_no_kernel_threads() {
    if !alone("p16_urgent_bytes_make_no_kernel_threads", &[]) {
        return;
    }
    let io = uring().unwrap();
    let before = threads();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let mut peers = Vec::new();
    for _ in 0..30 {
        let near = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let peer = listener.accept().unwrap().0;
        socket2::SockRef::from(&peer).send_out_of_band(b"!").unwrap();
        peers.push(peer);
        let stream = TcpStream::from_std(&io, near).unwrap();
        io.recv(stream, Vec::with_capacity(8), |_stream, _io, _buf, _result| {});
    }
    io.run_for(Duration::from_millis(20)).unwrap();
    assert_eq!(threads(), before);
}
