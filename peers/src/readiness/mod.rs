//! The hand-written server on readiness, by epoll itself or by mio: edge-triggered, one
//! registration per connection, one buffer.
//!
//! ```text
//!   Poller::wait ──▶ listener: accept, register
//!        ▲           connection: flush what was kept, then receive and send
//!        │                └─ until a short receive, WouldBlock, or a full socket
//!        └── at once, while a connection may have more than its turn allowed
//! ```
//!
//! Bytes are received and answered in the same breath, so one buffer, always in the cache, serves
//! all connections. Only what a socket does not take at once is copied and kept; until it has gone
//! out nothing more is received on that connection. The contents of a file go from the file to the
//! socket (sendfile(2)), as much as the socket takes.
//!
//! The buffers start on a page, and that matters: a large allocation starts 16 bytes into one, where
//! the kernel's copies from the start of a page run at little more than half their speed on AMD's
//! Zen 3 (measured here with 16 KiB messages; 32 bytes in, or 0, is fast).
//!
//! A receive that returns fewer bytes than asked for has emptied the socket: the next bytes make a
//! new edge (epoll(7), question 9), so a second call that would say `EAGAIN` is saved.

mod connection;
pub mod epoll;
pub mod mio;

use crate::args::Args;
use crate::server::{Contents, DATAGRAM_MAX, Mode, Server};
use crate::service::{Echo, Page, Service};
use crate::sys::arena::Arena;
use connection::Connection;
use std::fs::File;
use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::fd::OwnedFd;

/// The token of the listener.
const LISTENER: usize = usize::MAX;
/// The token of the descriptor that says that the program is to end.
const SIGNAL: usize = usize::MAX - 1;
/// Events that one wait takes at most.
const EVENTS: usize = 1024;
const INPUT: u32 = 0;
const OUTPUT: u32 = 1;
/// Receives in a row on one connection before the others have their turn.
const ROUNDS: u32 = 16;

/// A connected socket whose calls never block.
pub trait Socket {
    /// Receives what is there. `WouldBlock` when nothing is.
    fn recv(&self, buf: &mut [u8]) -> io::Result<usize>;
    /// Sends what the socket takes now.
    fn send(&self, buf: &[u8]) -> io::Result<usize>;
    /// Sends what the socket takes now of `len` bytes of a file, from `offset` on.
    fn send_file(&self, file: &File, offset: u64, len: u64) -> io::Result<usize>;
}

/// What is reported of a socket.
#[derive(Clone, Copy)]
pub struct Event {
    /// Whose: the number that [`Poller::accept`] gave with the socket.
    pub token: usize,
    /// Bytes, an end of file or an error can be read.
    pub readable: bool,
    /// There is room to send again.
    pub writable: bool,
    /// The peer ended its side, or the connection failed: a short read is not the last one.
    pub ended: bool,
}

/// What reports readiness of the listener, of the signal and of every socket it accepted.
pub trait Poller: Sized {
    /// What it accepts.
    type Socket: Socket;
    /// Where [`Poller::wait`] puts what it found.
    type Events;
    /// Watches both.
    fn new(listener: TcpListener, signal: OwnedFd) -> io::Result<Self>;
    /// Room for `capacity` events.
    fn events(capacity: usize) -> Self::Events;
    /// Waits for events, or only looks for them.
    fn wait(&mut self, events: &mut Self::Events, block: bool) -> io::Result<()>;
    /// What was found.
    fn found(events: &Self::Events) -> impl Iterator<Item = Event>;
    /// Accepts a connection and registers it for its life, for each edge. The token is the number
    /// of its descriptor, the smallest that is free.
    fn accept(&self) -> io::Result<(usize, Self::Socket)>;
    /// Accepts a connection and closes it.
    fn turn_away(&self) -> io::Result<()>;
    /// Echoes datagrams until the signal is readable.
    fn echo_datagrams(socket: UdpSocket, signal: OwnedFd) -> io::Result<()>;
}

/// All of a server program: reads its command line and serves until SIGTERM.
pub fn main<P: Poller>() -> io::Result<()> {
    let mut args = Args::from_env();
    let server = Server::start(&mut args)?;
    let buffer = server.buffer(&mut args);
    args.finish();
    server.announce()?;
    if let Some(socket) = server.socket {
        return P::echo_datagrams(socket, server.signal);
    }
    let poller = P::new(server.listener, server.signal)?;
    match (server.mode, server.contents) {
        (Mode::Echo, _) => serve(poller, Echo, buffer, None),
        (Mode::File, Some(file)) => serve(poller, Page::file(file.length), buffer, Some(file)),
        (Mode::Accept, _) => turn_away(poller),
        (Mode::Http | Mode::File | Mode::Udp, _) => serve(poller, Page::hello(), buffer, None),
    }
}

/// Closes every connection, which need not be registered for that.
fn turn_away<P: Poller>(mut poller: P) -> io::Result<()> {
    let mut events = P::events(EVENTS);
    loop {
        poller.wait(&mut events, true)?;
        if P::found(&events).any(|event| event.token == SIGNAL) {
            return Ok(());
        }
        while poller.turn_away().is_ok() {}
    }
}

/// Sends back every datagram that is there. What the socket has no room for is lost, as the network
/// may lose it.
fn send_back(
    mut recv: impl FnMut(&mut [u8]) -> io::Result<(usize, SocketAddr)>,
    mut send: impl FnMut(&[u8], SocketAddr) -> io::Result<usize>,
) -> io::Result<()> {
    let mut buf = [0; DATAGRAM_MAX];
    loop {
        match recv(&mut buf) {
            Ok((len, from)) => drop(send(&buf[..len], from)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn serve<P: Poller, S: Service>(
    poller: P,
    service: S,
    buffer: usize,
    file: Option<Contents>,
) -> io::Result<()> {
    let size = u32::try_from(buffer).map_err(|_| io::ErrorKind::InvalidInput)?;
    let buffers = Arena::new(2, size);
    Loop { poller, service, file, connections: Vec::new(), again: Vec::new(), buffers }.run()
}

struct Loop<P: Poller, S: Service> {
    poller: P,
    service: S,
    /// What goes out behind a head, if the service has such.
    file: Option<Contents>,
    connections: Vec<Option<Connection<P::Socket, S::State>>>,
    /// Connections that had their turn and may have more.
    again: Vec<usize>,
    buffers: Arena,
}

impl<P: Poller, S: Service> Loop<P, S> {
    fn run(&mut self) -> io::Result<()> {
        let mut events = P::events(EVENTS);
        loop {
            self.poller.wait(&mut events, self.again.is_empty())?;
            for event in P::found(&events) {
                match event.token {
                    LISTENER => self.accept(),
                    SIGNAL => return Ok(()),
                    at => self.advance(at, event),
                }
            }
            for at in std::mem::take(&mut self.again) {
                if let Some(connection) = &mut self.connections[at]
                    && std::mem::take(&mut connection.again)
                {
                    self.receive(at, true);
                }
            }
        }
    }

    fn accept(&mut self) {
        while let Ok((at, socket)) = self.poller.accept() {
            while self.connections.len() <= at {
                self.connections.push(None);
            }
            self.connections[at] = Some(Connection::new(socket));
        }
    }

    #[inline]
    fn advance(&mut self, at: usize, event: Event) {
        let Some(connection) = &mut self.connections[at] else { return };
        if connection.waits() {
            if !event.writable {
                return;
            }
            let mut ok = connection.flush(self.file.as_ref());
            if ok && !connection.waits() && connection.takes_more() {
                let output = self.buffers.bytes_mut(OUTPUT);
                ok = connection.answer(&mut self.service, &[], output, self.file.as_ref());
            }
            if !ok || (connection.ended && !connection.waits()) {
                self.connections[at] = None;
                return;
            }
            if connection.waits() {
                return;
            }
            // What arrived meanwhile made its edge while nobody listened.
            self.receive(at, true);
        } else if event.readable {
            self.receive(at, event.ended);
        }
    }

    /// Receives and answers until the socket is empty or stops taking answers.
    #[inline]
    fn receive(&mut self, at: usize, to_the_end: bool) {
        let Some(connection) = &mut self.connections[at] else { return };
        for _ in 0..ROUNDS {
            let room = self.buffers.bytes_mut(INPUT);
            let asked = room.len();
            let len = match connection.socket.recv(room) {
                Ok(len @ 1..) => len,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Ok(_) | Err(_) => {
                    self.connections[at] = None;
                    return;
                }
            };
            let (input, output) = self.buffers.pair(INPUT, len as u32, OUTPUT);
            let ok = if S::ECHO {
                connection.send(input)
            } else {
                connection.answer(&mut self.service, input, output, self.file.as_ref())
            };
            if !ok || (connection.ended && !connection.waits()) {
                self.connections[at] = None;
                return;
            }
            if connection.waits() || (len < asked && !to_the_end) {
                return;
            }
        }
        connection.again = true;
        self.again.push(at);
    }
}
