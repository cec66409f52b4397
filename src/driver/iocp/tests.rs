//! What cannot be seen from outside, or is not to be brought about there.
#![expect(unsafe_code, reason = "calls of the system, made as others would")]

use std::cell::RefCell;
use std::io::Write;
use std::rc::Rc;
use std::time::Duration;

use windows_sys::Win32::Foundation::{STATUS_LOCAL_DISCONNECT, STATUS_REMOTE_DISCONNECT};
use windows_sys::Win32::Networking::WinSock::{WSAECONNABORTED, WSAECONNRESET};
use windows_sys::Win32::System::IO::PostQueuedCompletionStatus;

use super::*;
use crate::driver::Driver;
use crate::{AsSource, Io, Next, TcpListener, TcpStream};

const HANG: Duration = Duration::from_secs(60);

fn any() -> std::net::SocketAddr {
    ([127, 0, 0, 1], 0).into()
}

fn with_driver<T>(io: &Io, look: impl FnOnce(&mut Iocp) -> T) -> T {
    match &mut io.core.state.borrow_mut().driver {
        Some(Driver::Iocp(iocp)) => look(iocp),
        _ => panic!("the loop has another driver, or none"),
    }
}

/// The number of a handle, and the system's of what it is of.
fn numbers(io: &Io, of: &impl AsSource) -> (u32, RawFd) {
    let id = of.as_source().id(io).unwrap();
    (id.index, io.core.state.borrow_mut().handles.get(id.index).fd)
}

fn finish(io: &Io) {
    io.run_for(HANG).unwrap();
    assert_eq!(io.in_flight(), 0);
}

fn pair(io: &Io) -> (TcpStream, std::net::TcpStream) {
    let listener = std::net::TcpListener::bind(any()).unwrap();
    let near = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (TcpStream::from_std(io, near).unwrap(), listener.accept().unwrap().0)
}

fn calls_of(io: &Io, op: Op) -> usize {
    with_driver(io, |iocp| {
        std::iter::successors(iocp.blocks.find(op), |&block| iocp.blocks.after(block)).count()
    })
}

#[test]
fn p79_as_many_accepts_as_before_are_with_the_system_when_one_is_taken() {
    let io = Io::new().unwrap();
    let listener = TcpListener::bind(&io, any()).unwrap();
    let address = listener.local_addr().unwrap();
    let taken = Rc::new(RefCell::new(Vec::new()));
    let take = Rc::clone(&taken);
    let each = move |_listener: &mut TcpListener, io: &Io, stream| {
        take.borrow_mut().push(stream);
        io.stop();
        Next::Continue
    };
    let op = io.accept_each(listener, each, |_listener, _io, result| {
        assert!(crate::is_cancelled(&result.unwrap_err()));
    });
    let many = calls_of(&io, op);
    assert!(many > 1);
    for count in 1..=2 * many {
        let _client = std::net::TcpStream::connect(address).unwrap();
        io.run_for(HANG).unwrap();
        assert_eq!((taken.borrow().len(), calls_of(&io, op)), (count, many));
    }
    io.cancel(op);
    finish(&io);
    assert_eq!(with_driver(&io, |iocp| iocp.blocks.in_flight()), 0);
}

/// A thread that ends takes its calls back; so does anybody who has the handle.
#[test]
fn p77_a_call_that_somebody_else_takes_back_is_made_again() {
    let io = Io::new().unwrap();
    let (stream, mut peer) = pair(&io);
    let (_, fd) = numbers(&io, &stream);
    let got = Rc::new(RefCell::new(None));
    let put = Rc::clone(&got);
    let op = io.recv(stream, Vec::with_capacity(8), move |_stream, _io, buf, result| {
        *put.borrow_mut() = Some((buf, result.unwrap()));
    });
    for _ in 0..3 {
        assert_eq!(calls_of(&io, op), 1);
        // SAFETY: the socket is open; what is pending on it stays where it is until its packet.
        let found = unsafe { CancelIoEx(system::handle(fd), std::ptr::null()) };
        assert_ne!(found, 0, "the call is with the system");
        io.run_for(Duration::from_millis(50)).unwrap();
        assert!(got.borrow().is_none(), "nobody asked for its end");
    }
    peer.write_all(b"here").unwrap();
    finish(&io);
    assert_eq!(got.take(), Some((b"here".to_vec(), 4)));
}

#[test]
fn p11_a_packet_that_comes_when_its_owner_is_gone_concerns_nobody() {
    let io = Io::new().unwrap();
    let tenant = io.timeout((), Duration::ZERO, |(), _io, result| result.unwrap());
    finish(&io);
    // The slot's next tenant has another generation.
    let next = io.timeout((), HANG * 2, |(), _io, _result| {});
    assert_eq!(tenant.index, next.index);
    let (port, block) = with_driver(&io, |iocp| {
        (Arc::clone(&iocp.port), iocp.blocks.take(Call::new(tenant, -1, Kind::Count), 0))
    });
    // SAFETY: the port is open, and the block in flight.
    unsafe { PostQueuedCompletionStatus(port.raw(), 5, 0, block.overlapped()) };
    while with_driver(&io, |iocp| iocp.blocks.in_flight()) > 0 {
        io.poll().unwrap();
    }
    assert_eq!(io.in_flight(), 1, "the timer still runs");
    io.cancel(next);
    finish(&io);
}

/// As with a provider above the system's own: what is done at once has its packet all the same.
#[test]
fn p76_where_every_call_has_a_packet_it_is_waited_for() {
    let io = Io::new().unwrap();
    let (stream, mut peer) = pair(&io);
    let (handle, fd) = numbers(&io, &stream);
    with_driver(&io, |iocp| {
        iocp.port.associate(system::handle(fd)).unwrap();
        iocp.handle(handle).association = Association::AllPackets;
    });
    peer.write_all(b"abc").unwrap();
    let stream = Rc::new(stream);
    let got = Rc::new(RefCell::new(Vec::new()));
    for _ in 0..3 {
        let put = Rc::clone(&got);
        io.recv(Rc::clone(&stream), Vec::with_capacity(1), move |_stream, _io, buf, result| {
            result.unwrap();
            put.borrow_mut().push(buf[0]);
        });
        finish(&io);
    }
    assert_eq!(got.take(), b"abc");
    assert_eq!(with_driver(&io, |iocp| iocp.blocks.in_flight()), 0);
}

/// The port says `ERROR_NETNAME_DELETED` of both; Winsock tells them apart, and is asked.
#[test]
fn p77_an_ended_connection_is_told_in_winsocks_words() {
    let io = Io::new().unwrap();
    let (stream, _peer) = pair(&io);
    let (_, fd) = numbers(&io, &stream);
    for (status, code) in
        [(STATUS_REMOTE_DISCONNECT, WSAECONNRESET), (STATUS_LOCAL_DISCONNECT, WSAECONNABORTED)]
    {
        let mut overlapped = windows_sys::Win32::System::IO::OVERLAPPED {
            Internal: status.cast_unsigned() as usize,
            ..Default::default()
        };
        let error = system::failure(fd, &raw mut overlapped);
        assert_eq!(error.raw_os_error(), Some(code), "{status:x}");
    }
}
