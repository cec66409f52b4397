//! What holds of the io_uring driver alone.
#![allow(clippy::disallowed_methods, reason = "tests have clocks and threads of their own")]
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "common/alone.rs"]
mod alone;

use std::cell::Cell;
use std::io::{ErrorKind, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::rc::Rc;
use std::time::Duration;

use alone::alone;
use tigereye::{DriverKind, Io, TcpStream};

const WITHOUT: &str = "TIGEREYE_URING_WITHOUT";

#[test]
fn p07_a_masked_feature_that_nobody_knows_is_an_error() {
    let name = "p07_a_masked_feature_that_nobody_knows_is_an_error";
    if alone(name, &[(WITHOUT, "recv_multishot,telepathy")]) {
        let error = Io::new().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains("telepathy"), "{error}");
    }
}

#[test]
fn p07_a_kernel_that_is_too_old_is_an_error() {
    let name = "p07_a_kernel_that_is_too_old_is_an_error";
    if alone(name, &[(WITHOUT, "ext_arg")]) {
        let error = Io::builder().driver(DriverKind::Uring).build().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
    }
}

#[test]
fn a_driver_that_nobody_knows_is_an_error() {
    if alone("a_driver_that_nobody_knows_is_an_error", &[("TIGEREYE_DRIVER", "carrier pigeon")]) {
        assert_eq!(Io::new().unwrap_err().kind(), ErrorKind::InvalidInput);
        assert!(
            Io::builder().driver(DriverKind::Uring).build().is_ok(),
            "the caller's word counts"
        );
    }
}

/// Has the system refuse one system call to this thread, as a container's filter does.
#[expect(unsafe_code, reason = "prctl(2), seccomp(2)")]
fn forbid(call: libc::c_long) {
    let statement =
        |code: u32, jt, jf, k| libc::sock_filter { code: u16::try_from(code).unwrap(), jt, jf, k };
    let load = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
    let equals = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
    let answer = libc::BPF_RET | libc::BPF_K;
    let refused = libc::SECCOMP_RET_ERRNO | libc::EPERM.unsigned_abs();
    let mut filter = [
        // The first field of `seccomp_data` is the call's number.
        statement(load, 0, 0, 0),
        statement(equals, 0, 1, u32::try_from(call).unwrap()),
        statement(answer, 0, 0, refused),
        statement(answer, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog { len: 4, filter: filter.as_mut_ptr() };
    // SAFETY: plain arguments.
    assert_eq!(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) }, 0);
    let mode = libc::SECCOMP_MODE_FILTER;
    // SAFETY: the program and its filter are valid for the call.
    assert_eq!(unsafe { libc::prctl(libc::PR_SET_SECCOMP, mode, &raw const program) }, 0);
}

#[test]
fn p07_a_filter_that_forbids_part_of_io_uring_is_an_error() {
    if !alone("p07_a_filter_that_forbids_part_of_io_uring_is_an_error", &[]) {
        return;
    }
    for call in [libc::SYS_io_uring_setup, libc::SYS_io_uring_enter, libc::SYS_io_uring_register] {
        // A filter stays for as long as its thread: each gets one of its own.
        let refused = move || {
            assert!(Io::new().is_ok(), "there is io_uring here");
            forbid(call);
            Io::new().map(drop).unwrap_err()
        };
        let error = std::thread::spawn(refused).join().unwrap();
        assert_eq!(error.raw_os_error(), Some(libc::EPERM), "{call}: {error}");
    }
}

#[test]
fn p08_rings_are_built_where_no_memory_may_be_locked() {
    if !alone("p08_rings_are_built_where_no_memory_may_be_locked", &[]) {
        return;
    }
    limit(libc::RLIMIT_MEMLOCK, 0);
    for _ in 0..500 {
        let io = Io::new().unwrap();
        io.next((), |(), _io| {});
        io.run().unwrap();
    }
}

#[expect(unsafe_code, reason = "setrlimit(2)")]
fn limit(resource: libc::__rlimit_resource_t, value: u64) {
    let limit = libc::rlimit { rlim_cur: value, rlim_max: value };
    // SAFETY: the limit is a valid value for the length of the call.
    assert_eq!(unsafe { libc::setrlimit(resource, &raw const limit) }, 0);
}

fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").unwrap().count()
}

#[test]
fn p16_waiting_operations_make_no_kernel_threads() {
    if !alone("p16_waiting_operations_make_no_kernel_threads", &[]) {
        return;
    }
    let io = Io::new().unwrap();
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
    let io = Io::new().unwrap();
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
