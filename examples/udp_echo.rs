//! A UDP echo server in one loop: `cargo run --release --example udp_echo [ADDRESS]`.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;

use tigereye::{BufferPool, Io, Next, UdpSocket};

fn main() -> io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:7000".into());
    let address: SocketAddr = address.parse().map_err(io::Error::other)?;
    let io = Io::new()?;
    let socket = Rc::new(UdpSocket::bind(&io, address)?);
    println!("listening {}", socket.local_addr()?);
    let pool = BufferPool::new(&io, 1024, 2048)?;
    io.recv_from_each(
        socket,
        &pool,
        |socket, io, datagram| {
            let from = datagram.from;
            if datagram.truncated {
                println!("a datagram from {from} is too long");
                return Next::Continue;
            }
            // One that cannot be sent is lost, as any datagram may be.
            io.send_to(Rc::clone(socket), datagram, from, |_socket, _io, _datagram, _result| {});
            Next::Continue
        },
        |_socket, _io, result| println!("no longer receiving: {result:?}"),
    );
    io.run()
}
