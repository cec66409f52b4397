//! A TCP proxy: `cargo run --release --example tcp_proxy LISTEN TARGET`, such as
//! `127.0.0.1:8000 example.org:80`.
//!
//! ```text
//!   each way:  receive ──bytes──▶ send all of them ──▶ receive
//!                 └──end──▶ shut the other side's half down
//! ```
//!
//! A way receives only when it has sent what it had: so a side that does not read holds up the one
//! that writes, and memory stays at two buffers a connection. What is cut off on one side is reset
//! on the other: a part must not look like the whole.

use std::io;
use std::net::{Shutdown, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use tigereye::{AsSource, ConnectOptions, Io, Next, Source, TcpListener, TcpStream};

const BUFFER_BYTES: usize = 64 * 1024;
const CONNECT_PATIENCE: Duration = Duration::from_secs(10);

/// One way of a connection.
struct Way {
    from: Rc<TcpStream>,
    to: Rc<TcpStream>,
}

/// It receives, so its operations are on `from`.
struct Receiving(Way);

/// It sends, so its operations are on `to`.
struct Sending(Way);

impl AsSource for Receiving {
    fn as_source(&self) -> &Source {
        self.0.from.as_source()
    }
}

impl AsSource for Sending {
    fn as_source(&self) -> &Source {
        self.0.to.as_source()
    }
}

impl Receiving {
    fn go_on(self, io: &Io, mut buf: Vec<u8>) {
        buf.clear();
        io.recv(self, buf, |Receiving(way), io, buf, result| match result {
            // The other way goes on, and the last of both closes the connection.
            Ok(0) => drop(io.shutdown(way.to, Shutdown::Write, |_stream, _io, _result| {})),
            Ok(_) => Sending(way).send(io, buf),
            Err(_) => way.cut_off(io),
        });
    }
}

impl Sending {
    fn send(self, io: &Io, buf: Vec<u8>) {
        io.send_all(self, buf, |Sending(way), io, buf, result| match result {
            Ok(()) => Receiving(way).go_on(io, buf),
            Err(_) => way.cut_off(io),
        });
    }
}

impl Way {
    /// Ends both ways of the connection: what the other one does is cancelled.
    fn cut_off(self, io: &Io) {
        reset(io, self.from);
        reset(io, self.to);
    }
}

fn reset(io: &Io, stream: Rc<TcpStream>) {
    // It fails where the other way has closed the stream.
    let _ = stream.set_linger(Some(Duration::ZERO));
    io.close(stream, |_stream, _io, _result| {});
}

fn connected(io: &Io, client: TcpStream, target: TcpStream) {
    for stream in [&client, &target] {
        // A connection that is gone already says so at its first receive.
        let _ = stream.set_nodelay(true);
    }
    let (client, target) = (Rc::new(client), Rc::new(target));
    let back = Way { from: Rc::clone(&target), to: Rc::clone(&client) };
    Receiving(Way { from: client, to: target }).go_on(io, Vec::with_capacity(BUFFER_BYTES));
    Receiving(back).go_on(io, Vec::with_capacity(BUFFER_BYTES));
}

fn main() -> io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let (Some(address), Some(target)) = (arguments.next(), arguments.next()) else {
        return Err(io::Error::other("usage: tcp_proxy LISTEN TARGET"));
    };
    let address: SocketAddr = address.parse().map_err(io::Error::other)?;
    let io = Io::new()?;
    let listener = TcpListener::bind(&io, address)?;
    println!("listening {}", listener.local_addr()?);
    io.accept_each(
        listener,
        move |_listener, io, client| {
            let options = ConnectOptions::new();
            let op =
                io.connect_host(client, &*target, &options, |client, io, result| match result {
                    Ok(target) => connected(io, client, target),
                    Err(error) => {
                        eprintln!("cannot connect: {error}");
                        reset(io, Rc::new(client));
                    }
                });
            io.deadline(op, CONNECT_PATIENCE);
            Next::Continue
        },
        |_listener, _io, result| println!("no longer accepting: {result:?}"),
    );
    io.run()
}
