//! Descriptors: as many after as before. Alone in its process, for it counts them all.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::net::{Ipv4Addr, SocketAddr};

use tigereye::{Io, Next, TcpListener, TcpStream};

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Half of them are closed by an operation, half of them dropped.
fn end(io: &Io, stream: TcpStream, number: u32) {
    if number.is_multiple_of(2) {
        io.close(stream, |_stream, _io, result| result.unwrap());
    }
}

fn connect(io: &Io, address: SocketAddr, left: u32) {
    io.connect((), address, move |(), io, result| {
        end(io, result.unwrap(), left);
        if left > 1 {
            connect(io, address, left - 1);
        }
    });
}

#[test]
fn p48_two_thousand_connections_leave_no_descriptor() {
    let outside = descriptors();
    let io = Io::new().unwrap();
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let listener = TcpListener::bind(&io, any).unwrap();
    let address = listener.local_addr().unwrap();
    let inside = descriptors();
    let mut count = 0;
    io.accept_each(
        listener,
        move |_listener, io, stream| {
            count += 1;
            end(io, stream, count / 2);
            if count == 2000 { Next::Stop } else { Next::Continue }
        },
        |listener, io, result| {
            result.unwrap();
            io.close(listener, |_listener, _io, result| result.unwrap());
        },
    );
    for _ in 0..4 {
        connect(&io, address, 500);
    }
    io.run_for(std::time::Duration::from_secs(60)).unwrap();
    assert_eq!(io.in_flight(), 0);
    assert_eq!(descriptors(), inside - 1, "the listener is closed, and all connections");
    drop(io);
    assert_eq!(descriptors(), outside);
}
