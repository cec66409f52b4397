//! Which driver a loop gets where io_uring is missing or forbidden, and what it says of that. Each
//! test takes io_uring away from a process, or a thread, of its own.
#![cfg(target_os = "linux")]
#![allow(clippy::disallowed_methods, reason = "tests have clocks and threads of their own")]
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "common/alone.rs"]
mod alone;
#[path = "common/limit.rs"]
mod limit;
#[path = "common/seccomp.rs"]
mod seccomp;

use std::cell::Cell;
use std::error::Error;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;

use limit::limit;
use seccomp::forbid;
use tigereye::{DriverKind, Io, Next, OpenOptions, TcpListener};

const DRIVER: &str = "TIGEREYE_DRIVER";
const WITHOUT: &str = "TIGEREYE_URING_WITHOUT";
/// The driver that the system must have a free loop take, where whoever runs the tests knows: as
/// `cargo xtask kernels` does.
const EXPECTS: &str = "TIGEREYE_TEST_EXPECTS";

/// As [`alone::alone`], whatever the suite is run with.
#[track_caller]
fn alone(name: &str, variable: (&str, &str)) -> bool {
    alone::alone(name, &[(DRIVER, ""), (WITHOUT, ""), variable])
}

/// The loop serves: a connection, a few bytes, a timer.
fn assert_works(io: &Io) {
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let listener = TcpListener::bind(io, any).unwrap();
    let address = listener.local_addr().unwrap();
    let received = Rc::new(Cell::new(0));
    let count = Rc::clone(&received);
    io.accept_each(
        listener,
        move |_listener, io, stream| {
            let count = Rc::clone(&count);
            io.recv_exact(stream, Vec::with_capacity(5), 5, move |_stream, _io, buf, result| {
                result.unwrap();
                count.set(buf.len());
            });
            Next::Stop
        },
        |_listener, _io, result| result.unwrap(),
    );
    io.connect((), address, |(), io, result| {
        io.send_all(result.unwrap(), "hello", |_stream, _io, _buf, result| result.unwrap());
    });
    io.timeout((), std::time::Duration::from_millis(1), |(), _io, result| result.unwrap());
    io.run_for(std::time::Duration::from_secs(120)).unwrap();
    assert_eq!((received.get(), io.in_flight()), (5, 0));
}

/// A loop that chose readiness, and says why.
#[track_caller]
fn assert_fell_back(reason: &str) {
    let io = Io::new().unwrap();
    let driver = io.driver();
    assert_eq!(driver.kind, DriverKind::Readiness);
    let passed_over = driver.passed_over.as_deref().unwrap();
    assert!(passed_over.starts_with("uring: "), "{passed_over}");
    assert!(passed_over.contains(reason), "{passed_over}");
    assert_eq!(driver.to_string(), format!("readiness ({passed_over})"));
    assert_works(&io);
}

/// To ask for io_uring all the same is an error that says so, and has the system's as its source.
#[track_caller]
fn assert_forced_fails(code: i32) {
    let error = Io::builder().driver(DriverKind::Uring).build().unwrap_err();
    let source = error.get_ref().and_then(Error::source).unwrap();
    let source = source.downcast_ref::<std::io::Error>().unwrap();
    assert_eq!((source.raw_os_error(), source.kind()), (Some(code), error.kind()));
    assert!(error.to_string().contains("uring, which was asked for"), "{error}");
}

#[test]
fn io_uring_is_taken_where_it_is_there() {
    if !alone("io_uring_is_taken_where_it_is_there", (DRIVER, "")) {
        return;
    }
    let expects = std::env::var(EXPECTS);
    if expects.as_deref() == Ok("readiness") {
        assert_fell_back("io_uring lacks EXT_ARG");
        let error = Io::builder().driver(DriverKind::Uring).build().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        return;
    }
    let io = Io::new().unwrap();
    if expects.is_err()
        && let Some(reason) = &io.driver().passed_over
    {
        eprintln!("SKIPPED: no io_uring here: {reason}");
        return;
    }
    assert_eq!((io.driver().kind, io.driver().to_string().as_str()), (DriverKind::Uring, "uring"));
    assert_works(&io);
}

#[test]
fn p07_a_filter_that_forbids_io_uring_leaves_readiness() {
    if !alone("p07_a_filter_that_forbids_io_uring_leaves_readiness", (DRIVER, "")) {
        return;
    }
    // As container runtimes have it; and as a limit on locked memory has it before Linux 5.12.
    for (code, reason) in [
        (libc::EPERM, "Operation not permitted"),
        (libc::ENOSYS, "not implemented"),
        (libc::ENOMEM, "allocate memory"),
    ] {
        // A filter stays for as long as its thread: each gets one of its own.
        let fall_back = move || {
            forbid(libc::SYS_io_uring_setup, code);
            assert_fell_back(reason);
            assert_forced_fails(code);
        };
        std::thread::spawn(fall_back).join().unwrap();
    }
}

#[test]
fn p07_a_filter_that_forbids_part_of_io_uring_leaves_readiness() {
    if !alone("p07_a_filter_that_forbids_part_of_io_uring_leaves_readiness", (DRIVER, "")) {
        return;
    }
    if Io::builder().driver(DriverKind::Uring).build().is_err() {
        eprintln!("SKIPPED: no io_uring here");
        return;
    }
    for call in [libc::SYS_io_uring_enter, libc::SYS_io_uring_register] {
        for (code, reason) in
            [(libc::EPERM, "Operation not permitted"), (libc::ENOSYS, "not implemented")]
        {
            let fall_back = move || {
                forbid(call, code);
                assert_fell_back(reason);
                assert_forced_fails(code);
            };
            std::thread::spawn(fall_back).join().unwrap();
        }
    }
}

#[test]
fn p07_a_kernel_that_is_too_old_leaves_readiness() {
    if alone("p07_a_kernel_that_is_too_old_leaves_readiness", (WITHOUT, "ext_arg")) {
        // Where io_uring is not there at all, that is the reason.
        let error = Io::builder().driver(DriverKind::Uring).build().unwrap_err();
        let source = error.get_ref().and_then(Error::source).unwrap();
        assert_fell_back(&source.to_string());
    }
}

/// Linux before 5.12 counts the rings as locked memory, but not for root.
#[test]
fn p08_a_loop_is_built_where_no_memory_may_be_locked() {
    if !alone("p08_a_loop_is_built_where_no_memory_may_be_locked", (DRIVER, "")) {
        return;
    }
    limit(libc::RLIMIT_MEMLOCK, 0);
    // Who may not become nobody is not root.
    let nobody = become_nobody();
    if std::env::var(EXPECTS).as_deref() == Ok("readiness") {
        assert!(nobody);
        assert_fell_back("allocate memory");
        assert_forced_fails(libc::ENOMEM);
    } else {
        assert_works(&Io::new().unwrap());
    }
}

/// Whether the process could give up all that root may.
#[expect(unsafe_code, reason = "setuid(2)")]
fn become_nobody() -> bool {
    // SAFETY: a plain argument.
    unsafe { libc::setuid(65534) == 0 }
}

/// Run where the whole machine is the test's, by `cargo xtask kernels`.
#[test]
#[ignore = "needs the sysctl kernel.io_uring_disabled set to 2, for all of the machine"]
fn p07_the_sysctl_leaves_readiness() {
    if alone("p07_the_sysctl_leaves_readiness", (DRIVER, "")) {
        let setting = std::fs::read_to_string("/proc/sys/kernel/io_uring_disabled").unwrap();
        assert_eq!(setting.trim(), "2", "the sysctl is set");
        assert_fell_back("Operation not permitted");
        assert_forced_fails(libc::EPERM);
    }
}

#[test]
fn readiness_is_taken_where_it_is_asked_for() {
    if !alone("readiness_is_taken_where_it_is_asked_for", (DRIVER, "readiness")) {
        return;
    }
    for io in [Io::new().unwrap(), Io::builder().driver(DriverKind::Readiness).build().unwrap()] {
        assert_eq!(io.driver().kind, DriverKind::Readiness);
        assert_eq!(io.driver().passed_over, None, "nobody chose");
        assert_works(&io);
    }
}

#[test]
fn a_driver_that_nobody_knows_is_an_error() {
    if alone("a_driver_that_nobody_knows_is_an_error", (DRIVER, "carrier pigeon")) {
        let error = Io::new().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains("uring, readiness"), "{error}");
        let asked = Io::builder().driver(DriverKind::Readiness).build();
        assert!(asked.is_ok(), "the caller's word counts");
    }
}

#[test]
fn a_wrong_name_in_the_environment_is_not_passed_over() {
    let name = "a_wrong_name_in_the_environment_is_not_passed_over";
    if alone(name, (WITHOUT, "telepathy")) {
        let error = Io::new().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains("telepathy"), "{error}");
    }
}

/// A filter that forbids openat2, as older ones of containers do: limits to a path are an error.
#[test]
fn p07_without_openat2_limits_of_a_path_are_unsupported() {
    let name = "p07_without_openat2_limits_of_a_path_are_unsupported";
    if !alone(name, (WITHOUT, "openat2")) {
        return;
    }
    forbid(libc::SYS_openat2, libc::ENOSYS);
    for kind in [DriverKind::Uring, DriverKind::Readiness] {
        let Ok(io) = Io::builder().driver(kind).build() else { continue };
        let called = Rc::new(Cell::new(0));
        let limited = OpenOptions::new().read(true).beneath(true);
        io.open(Rc::clone(&called), "Cargo.toml", &limited, |called, io, result| {
            assert_eq!(result.unwrap_err().kind(), ErrorKind::Unsupported);
            let free = OpenOptions::new().read(true);
            io.open(called, "/dev/null", &free, |called, _io, result| {
                result.unwrap();
                called.set(1);
            });
        });
        io.run().unwrap();
        assert_eq!(called.get(), 1);
    }
}
