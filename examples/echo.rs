//! An echo server in one loop: `cargo run --release --example echo [ADDRESS]`.

use std::io;
use std::net::SocketAddr;

use tigereye::{Io, Next, TcpListener, TcpStream};

fn receive(io: &Io, stream: TcpStream, mut buf: Vec<u8>) {
    buf.clear();
    io.recv(stream, buf, |stream, io, buf, result| match result {
        // Dropping the stream closes it.
        Ok(0) | Err(_) => {}
        Ok(_) => {
            io.send_all(stream, buf, |stream, io, buf, result| {
                if result.is_ok() {
                    receive(io, stream, buf);
                }
            });
        }
    });
}

fn main() -> io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:7000".into());
    let address: SocketAddr = address.parse().map_err(io::Error::other)?;
    let io = Io::new()?;
    let listener = TcpListener::bind(&io, address)?;
    println!("listening {}", listener.local_addr()?);
    io.accept_each(
        listener,
        |_listener, io, stream| {
            // A connection that is gone already says so at its first receive.
            let _ = stream.set_nodelay(true);
            receive(io, stream, Vec::with_capacity(16 * 1024));
            Next::Continue
        },
        |_listener, _io, result| println!("no longer accepting: {result:?}"),
    );
    io.run()
}
