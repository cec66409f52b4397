//! Echo, HTTP, a file over HTTP, datagrams and accepting on tigereye, in the ways that it offers.
//!
//! ```text
//!   --recv each   flows into provided buffers, answers that nobody is told of (the default)
//!          told   the same, with a callback for each answer
//!          own    a receive into a buffer that the connection owns, an answer, and again
//! ```
//!
//! `--driver NAME` forces one of tigereye's drivers, `--spin MICROSECONDS` has the loop look for something
//! to do before it sleeps.

use std::cell::RefCell;
use std::io;
use std::net::Shutdown;
use std::rc::Rc;
use tigereye::{
    AlignedBuf, AsSource, BufferPool, Descriptor, File, Io, Next, Source, TcpListener, TcpStream,
    UdpSocket,
};
use tigereye_peers::args::{Args, fail};
use tigereye_peers::driver;
use tigereye_peers::server::{DATAGRAM_MAX, LARGE, LARGE_BUFFER, Mode, Server};
use tigereye_peers::service::{Page, Service};

/// Answers under way that a client may leave unread.
const UNREAD_MAX: u32 = 64;
/// Datagrams that are held at once.
const DATAGRAMS: usize = 1024;

fn own(io: &Io, stream: TcpStream, mut buf: AlignedBuf) {
    buf.clear();
    io.recv(stream, buf, |stream, io, buf, result| match result {
        Ok(0) | Err(_) => {}
        Ok(_) => {
            io.send_all(stream, buf, |stream, io, buf, result| {
                if result.is_ok() {
                    own(io, stream, buf);
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
            if stream.in_flight() > UNREAD_MAX { Next::Stop } else { Next::Continue }
        },
        |_stream, _io, _result| {},
    );
}

fn told(io: &Io, stream: TcpStream, pool: &BufferPool) {
    io.recv_each(
        Rc::new(stream),
        pool,
        |stream, io, buf| {
            io.send_all(Rc::clone(stream), buf, |_stream, _io, _buf, _result| {});
            if stream.in_flight() > UNREAD_MAX { Next::Stop } else { Next::Continue }
        },
        |_stream, _io, _result| {},
    );
}

/// Datagrams, by flows or by one receive after another.
fn datagrams(io: &Io, socket: UdpSocket, recv: &str) -> io::Result<()> {
    let socket = Rc::new(socket);
    if recv == "own" {
        one_datagram(io, socket, Vec::with_capacity(DATAGRAM_MAX));
        return Ok(());
    }
    let pool = BufferPool::new(io, DATAGRAMS, 2 * DATAGRAM_MAX)?;
    io.recv_from_each(
        socket,
        &pool,
        |socket, io, datagram| {
            let from = datagram.from;
            io.send_to(Rc::clone(socket), datagram, from, |_socket, _io, _buf, _result| {});
            Next::Continue
        },
        |_socket, _io, result| println!("no longer receiving: {result:?}"),
    );
    Ok(())
}

fn one_datagram(io: &Io, socket: Rc<UdpSocket>, mut buf: Vec<u8>) {
    buf.clear();
    io.recv_from(socket, buf, |socket, io, buf, result| match result {
        Ok(received) => drop(io.send_to(socket, buf, received.from, |socket, io, buf, _result| {
            one_datagram(io, socket, buf);
        })),
        Err(error) => println!("no longer receiving: {error}"),
    });
}

/// An HTTP connection.
struct Client {
    stream: Rc<TcpStream>,
    state: <Page as Service>::State,
    shared: Rc<Shared>,
}

/// What all HTTP connections have in common.
struct Shared {
    page: RefCell<Page>,
    answers: BufferPool,
    /// What goes out behind a head, and its length.
    file: Option<(File, u64)>,
}

impl AsSource for Client {
    fn as_source(&self) -> &Source {
        self.stream.as_source()
    }
}

impl Client {
    /// Answers a piece of the stream; says whether to go on.
    fn answer(&mut self, io: &Io, mut input: &[u8]) -> bool {
        loop {
            let Some(mut out) = self.shared.answers.take() else { return false };
            out.resize_to_capacity();
            let mut page = self.shared.page.borrow_mut();
            let response = page.respond(&mut self.state, input, &mut out);
            out.truncate(response.len);
            if response.len > 0 {
                io.send_detached(&*self.stream, out);
            }
            if let Some((file, length)) = self.shared.file.as_ref().filter(|_| response.contents) {
                send_contents(io, &self.stream, file, *length);
            }
            if !response.more {
                return !response.close && self.stream.in_flight() <= UNREAD_MAX;
            }
            input = &[];
        }
    }
}

fn send_contents(io: &Io, stream: &Rc<TcpStream>, file: &File, length: u64) {
    io.send_file_all(Rc::clone(stream), file, 0, length, move |stream, io, result| {
        if result.is_ok_and(|sent| sent == length) {
            return;
        }
        // The head promised more.
        io.shutdown(stream, Shutdown::Both, |_stream, _io, _result| {});
    });
}

fn http(io: &Io, client: Client, pool: &BufferPool) {
    io.recv_each(
        client,
        pool,
        |client, io, buf| if client.answer(io, &buf) { Next::Continue } else { Next::Stop },
        // Answers that are under way go out before the stream is closed.
        |client, io, _result| linger(io, client.stream),
    );
}

fn linger(io: &Io, stream: Rc<TcpStream>) {
    io.send_all(stream, "", |_stream, _io, _buf, _result| {});
}

/// Closes every connection.
fn turn_away(io: &Io, listener: TcpListener) {
    io.accept_each(
        listener,
        |_listener, _io, _stream| Next::Continue,
        |_listener, _io, result| println!("no longer accepting: {result:?}"),
    );
}

fn main() -> io::Result<()> {
    let mut args = Args::from_env();
    let server = Server::start(&mut args)?;
    let small = server.hints.size < LARGE;
    let recv: String = args.get("recv", "each".to_owned());
    let large = if recv == "own" { server.hints.buffer() } else { LARGE_BUFFER };
    let buffer: usize = args.get("buffer", if small { 4096 } else { large });
    let count: usize = args.get("count", if small { 4096 } else { 1024 });
    let builder = driver::builder(&mut args);
    args.finish();
    server.announce()?;
    let io = builder.build()?;
    io.readable(Descriptor::new(&io, server.signal), |_signal, io, _result| io.stop());
    if let Some(socket) = server.socket {
        datagrams(&io, UdpSocket::from_std(&io, socket)?, &recv)?;
        return io.run();
    }
    let listener = TcpListener::from_std(&io, server.listener)?;
    if server.mode == Mode::Accept {
        turn_away(&io, listener);
        return io.run();
    }
    let pool = BufferPool::new(&io, count, buffer)?;
    let page = match &server.contents {
        Some(contents) => Page::file(contents.length),
        None => Page::hello(),
    };
    let file = server.contents.map(|own| (File::from_std(&io, own.file), own.length));
    let shared = Shared { page: RefCell::new(page), answers: pool.clone(), file };
    let (mode, shared) = (server.mode, Rc::new(shared));
    let start = move |io: &Io, stream: TcpStream| match (mode, recv.as_str()) {
        (Mode::Http | Mode::File | Mode::Udp | Mode::Accept, _) => {
            let (stream, shared) = (Rc::new(stream), Rc::clone(&shared));
            http(io, Client { stream, state: Vec::new(), shared }, &pool);
        }
        (Mode::Echo, "each") => each(io, stream, &pool),
        (Mode::Echo, "told") => told(io, stream, &pool),
        (Mode::Echo, "own") => match AlignedBuf::with_capacity(buffer) {
            Ok(buf) => own(io, stream, buf),
            Err(error) => eprintln!("no buffer: {error}"),
        },
        (Mode::Echo, other) => fail(&format!("--recv {other}: each, told or own")),
    };
    io.accept_each(
        listener,
        move |_listener, io, stream| {
            // A connection that is gone already says so at its first receive.
            let _ = stream.set_nodelay(true);
            start(io, stream);
            Next::Continue
        },
        |_listener, _io, result| println!("no longer accepting: {result:?}"),
    );
    io.run()
}
