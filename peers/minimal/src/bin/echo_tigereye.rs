//! Echo on tigereye.

use tigereye::{Io, Next, TcpListener, TcpStream};

fn echo(io: &Io, stream: TcpStream, mut buf: Vec<u8>) {
    buf.clear();
    io.recv(stream, buf, |stream, io, buf, result| match result {
        Ok(0) | Err(_) => {}
        Ok(_) => drop(io.send_all(stream, buf, |stream, io, buf, result| {
            if result.is_ok() {
                echo(io, stream, buf);
            }
        })),
    });
}

fn main() -> std::io::Result<()> {
    let io = Io::new()?;
    let listener = TcpListener::bind(&io, ([127, 0, 0, 1], 0).into())?;
    println!("listening {}", listener.local_addr()?);
    io.accept_each(
        listener,
        |_listener, io, stream| {
            echo(io, stream, Vec::with_capacity(4096));
            Next::Continue
        },
        |_listener, _io, result| println!("no longer accepting: {result:?}"),
    );
    io.run()
}
