//! No handle is left behind. Alone in its process, for it counts all of them.
#![cfg(windows)]
#![allow(clippy::unwrap_used, reason = "tests")]

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::ptr;
use std::time::Duration;

use tigereye::{Io, Next, TcpListener};
use windows_sys::Win32::Foundation::GetHandleInformation;

const HANG: Duration = Duration::from_secs(120);

/// How many handles the process has: numbers that are multiples of four, given out from the lowest on.
/// Wine does not know the count (GetProcessHandleCount).
#[expect(unsafe_code, reason = "a call that no crate wraps")]
fn handles() -> usize {
    const MOST: usize = 10_000;
    let is_open = |number: &usize| {
        let mut flags = 0;
        // SAFETY: it looks whether there is such a handle, and the flags live during the call.
        unsafe { GetHandleInformation(ptr::without_provenance_mut(*number), &raw mut flags) != 0 }
    };
    (4..4 * MOST).step_by(4).filter(is_open).count()
}

fn any() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, 0).into()
}

/// Accepts while it is cancelled, at some turn or other, or while the loop is dropped: what was accepted
/// is delivered or closed, and so are the sockets that waited for a connection.
fn accept(turns: u32, cancels: bool) {
    let io = Io::new().unwrap();
    let flow = TcpListener::bind(&io, any()).unwrap();
    let single = TcpListener::bind(&io, any()).unwrap();
    let addresses = [flow.local_addr().unwrap(), single.local_addr().unwrap()];
    let ops = [
        io.accept_each(flow, |_flow, _io, _stream| Next::Continue, |_flow, _io, _result| {}),
        io.accept(single, |_single, _io, _result| {}),
    ];
    let _clients: Vec<_> = (0..10).map(|at| TcpStream::connect(addresses[at % 2])).collect();
    for _ in 0..turns {
        io.poll().unwrap();
    }
    if cancels {
        ops.into_iter().for_each(|op| io.cancel(op));
        io.run_for(HANG).unwrap();
        assert_eq!(io.in_flight(), 0);
    }
}

/// Connects, likewise.
fn connect(turns: u32, cancels: bool) {
    let io = Io::new().unwrap();
    let listener = std::net::TcpListener::bind(any()).unwrap();
    let op = io.connect((), listener.local_addr().unwrap(), |(), _io, _result| {});
    for _ in 0..turns {
        io.poll().unwrap();
    }
    if cancels {
        io.cancel(op);
        io.run_for(HANG).unwrap();
        assert_eq!(io.in_flight(), 0);
    }
}

#[test]
fn p22_p79_no_socket_is_left_of_what_was_cancelled_or_dropped() {
    let round = || {
        for turns in 0..4 {
            for cancels in [false, true] {
                accept(turns, cancels);
                connect(turns, cancels);
            }
        }
    };
    // What is made once in a process.
    round();
    let before = handles();
    let one = std::net::TcpListener::bind(any()).unwrap();
    assert_eq!(handles(), before + 1, "they are counted");
    drop(one);
    for _ in 0..10 {
        round();
    }
    assert_eq!(handles(), before);
}
