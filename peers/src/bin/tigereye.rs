//! Echo on tigereye.
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use tigereye::{AlignedBuf, BufferPool, Descriptor, Io, Next, TcpListener, TcpStream};
use tigereye_peers::args::Args;
use tigereye_peers::server::{Mode, Server};

fn receive(io: &Io, stream: TcpStream, mut buf: AlignedBuf) {
    buf.clear();
    io.recv(stream, buf, |stream, io, buf, result| match result {
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

fn each(io: &Io, stream: TcpStream, pool: &BufferPool) {
    io.recv_each(
        stream,
        pool,
        |stream, io, buf| {
            io.send_detached(stream, buf);
            Next::Continue
        },
        |_s, _io, _r| {},
    );
}

fn each_told(io: &Io, stream: TcpStream, pool: &BufferPool) {
    let stream = Rc::new(stream);
    io.recv_each(
        stream,
        pool,
        |stream, io, buf| {
            io.send_all(Rc::clone(stream), buf, |_s, _io, _buf, _r| {});
            Next::Continue
        },
        |_s, _io, _r| {},
    );
}

fn main() -> io::Result<()> {
    let mut args = Args::from_env();
    let server = Server::start(&mut args)?;
    let recv: String = args.get("recv", "each".to_owned());
    let buffer: usize = args.get("buffer", if server.size < 4096 { 4096 } else { 262_144 });
    let count: usize = args.get("count", if server.size < 4096 { 4096 } else { 1024 });
    args.finish();
    server.announce()?;
    assert!(server.mode == Mode::Echo);
    let io = Io::new()?;
    let listener = TcpListener::from_std(&io, server.listener)?;
    let signal: OwnedFd = server.signal;
    io.readable(Descriptor::new(&io, signal), |_s, io, _r| io.stop());
    let pool = BufferPool::new(&io, count, buffer)?;
    io.accept_each(
        listener,
        move |_listener, io, stream| {
            let _ = stream.set_nodelay(true);
            match recv.as_str() {
                "own" => receive(io, stream, AlignedBuf::with_capacity(buffer).expect("memory")),
                "told" => each_told(io, stream, &pool),
                _ => each(io, stream, &pool),
            }
            Next::Continue
        },
        |_listener, _io, result| println!("no longer accepting: {result:?}"),
    );
    io.run()?;
    eprintln!("{:?}", io.statistics());
    Ok(())
}
