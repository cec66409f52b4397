//! How fast a simulated world is: four clients that ping-pong over 64 connections with a server, in
//! events of the network per second of processor time.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use tigereye::sim::World;
use tigereye::{Io, Next, TcpListener, TcpStream};

const CLIENTS: u8 = 4;
const CONNECTIONS: usize = 16;
const BYTES: usize = 64;

fn address(last: u8) -> SocketAddr {
    SocketAddr::new(IpAddr::from([10, 0, 0, last]), 7)
}

/// Receives, sends the same back, and so on.
fn ping_pong(io: &Io, stream: TcpStream, mut buf: Vec<u8>) {
    buf.clear();
    io.recv(stream, buf, |stream, io, buf, result| {
        if matches!(result, Ok(1..)) {
            io.send_all(stream, buf, |stream, io, buf, result| {
                if result.is_ok() {
                    ping_pong(io, stream, buf);
                }
            });
        }
    });
}

fn serve(io: &Io) {
    let listener = TcpListener::bind(io, address(1)).expect("a free port");
    let each = |_: &mut TcpListener, io: &Io, stream| {
        ping_pong(io, stream, Vec::with_capacity(BYTES));
        Next::Continue
    };
    io.accept_each(listener, each, |_listener, _io, _result| {});
}

fn connect(io: &Io) {
    for _ in 0..CONNECTIONS {
        io.connect((), address(1), |(), io, stream| {
            let Ok(stream) = stream else { return };
            io.send_all(stream, vec![7; BYTES], |stream, io, buf, _result| {
                ping_pong(io, stream, buf);
            });
        });
    }
}

/// The processor time that this process has taken.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let seconds = u64::try_from(time.tv_sec).expect("processor time is not negative");
    let nanoseconds = u32::try_from(time.tv_nsec).expect("a part of a second");
    Duration::new(seconds, nanoseconds)
}

fn main() {
    let mut world = World::new(1);
    world.host("server", address(1).ip(), serve);
    for client in 0..CLIENTS {
        world.host(&format!("client {client}"), address(2 + client).ip(), connect);
    }
    world.run_for(Duration::from_millis(100));
    let (begin, before) = (cpu_time(), world.summary().events);
    while cpu_time() - begin < Duration::from_secs(3) {
        world.run_for(Duration::from_millis(100));
    }
    let events = (world.summary().events - before) as f64;
    let rate = events / (cpu_time() - begin).as_secs_f64();
    println!("{:.2} million events per second", rate / 1e6);
}
