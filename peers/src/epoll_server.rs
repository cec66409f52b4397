//! The hand-written epoll server: edge-triggered, one registration per connection, one buffer.
//!
//! Bytes are received and answered in the same breath, so one buffer, always in the cache, serves
//! all connections. Only what a socket does not take at once is copied and kept; until it has gone
//! out nothing more is received on that connection.
//!
//! The buffers start on a page, and that matters: a large allocation starts 16 bytes into one, where
//! the kernel's copies from the start of a page run at little more than half their speed on AMD's
//! Zen 3 (measured here with 16 KiB messages; 32 bytes in, or 0, is fast).
//!
//! A receive that returns fewer bytes than asked for has emptied the socket: the next bytes make a
//! new edge (epoll(7), question 9), so a second call that would say `EAGAIN` is saved.

use crate::service::Service;
use crate::sys::arena::Arena;
use crate::sys::epoll::{Epoll, Ready};
use crate::sys::net;
use std::io;
use std::net::TcpListener;
use std::os::fd::{AsRawFd, OwnedFd};

const LISTENER: u64 = u64::MAX;
const SIGNAL: u64 = u64::MAX - 1;
const EVENTS: usize = 1024;
const INPUT: u32 = 0;
const OUTPUT: u32 = 1;
/// Receives in a row on one connection before the others have their turn.
const ROUNDS: u32 = 16;

struct Connection<S> {
    fd: OwnedFd,
    state: S,
    /// What the socket did not take, from `offset` on.
    unsent: Vec<u8>,
    offset: usize,
    /// Close once `unsent` is gone.
    ended: bool,
    /// More may be there to receive than was taken in the last turn.
    again: bool,
}

/// Serves until SIGTERM, with receives of up to `buffer` bytes.
pub fn serve<S: Service>(
    listener: &TcpListener,
    signal: &OwnedFd,
    service: S,
    buffer: usize,
) -> io::Result<()> {
    let epoll = Epoll::new()?;
    epoll.add_level(listener.as_raw_fd(), LISTENER)?;
    epoll.add_level(signal.as_raw_fd(), SIGNAL)?;
    let size = u32::try_from(buffer).map_err(|_| io::ErrorKind::InvalidInput)?;
    let buffers = Arena::new(2, size);
    let connections = Vec::new();
    let again = Vec::new();
    Server { epoll, service, connections, again, buffers }.run(listener)
}

struct Server<S: Service> {
    epoll: Epoll,
    service: S,
    connections: Vec<Option<Connection<S::State>>>,
    again: Vec<usize>,
    buffers: Arena,
}

impl<S: Service> Server<S> {
    fn run(&mut self, listener: &TcpListener) -> io::Result<()> {
        let mut ready = vec![Ready::EMPTY; EVENTS];
        loop {
            let timeout_ms = if self.again.is_empty() { -1 } else { 0 };
            let count = self.epoll.wait(&mut ready, timeout_ms)?;
            for event in &ready[..count] {
                match event.token() {
                    LISTENER => self.accept(listener),
                    SIGNAL => return Ok(()),
                    at => self.advance(at as usize, *event),
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

    /// Out of descriptors, the listener stays readable and is tried again at the next event.
    fn accept(&mut self, listener: &TcpListener) {
        while let Ok(fd) = net::accept(listener.as_raw_fd()) {
            let at = fd.as_raw_fd() as usize;
            while self.connections.len() <= at {
                self.connections.push(None);
            }
            if self.epoll.add_edge(fd.as_raw_fd(), at as u64).is_ok() {
                let (state, unsent) = (S::State::default(), Vec::new());
                self.connections[at] =
                    Some(Connection { fd, state, unsent, offset: 0, ended: false, again: false });
            }
        }
    }

    #[inline]
    fn advance(&mut self, at: usize, event: Ready) {
        let Some(connection) = &mut self.connections[at] else { return };
        if !connection.unsent.is_empty() {
            if !event.writable() {
                return;
            }
            if !connection.flush() || (connection.ended && connection.unsent.is_empty()) {
                self.connections[at] = None;
                return;
            }
            if !connection.unsent.is_empty() {
                return;
            }
            // What arrived meanwhile made its edge while nobody listened.
            self.receive(at, true);
        } else if event.readable() {
            self.receive(at, event.ended());
        }
    }

    /// Receives and answers until the socket is empty or stops taking answers.
    #[inline]
    fn receive(&mut self, at: usize, to_the_end: bool) {
        let Some(connection) = &mut self.connections[at] else { return };
        for _ in 0..ROUNDS {
            let room = self.buffers.bytes_mut(INPUT);
            let asked = room.len();
            let len = match net::recv(connection.fd.as_raw_fd(), room) {
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
                connection.answer(&mut self.service, input, output)
            };
            if !ok || (connection.ended && connection.unsent.is_empty()) {
                self.connections[at] = None;
                return;
            }
            if !connection.unsent.is_empty() || (len < asked && !to_the_end) {
                return;
            }
        }
        connection.again = true;
        self.again.push(at);
    }
}

impl<State> Connection<State> {
    fn answer<S>(&mut self, service: &mut S, input: &[u8], output: &mut [u8]) -> bool
    where
        S: Service<State = State>,
    {
        let mut input = input;
        loop {
            let response = service.respond(&mut self.state, input, output);
            self.ended |= response.close;
            if response.len > 0 && !self.send(&output[..response.len]) {
                return false;
            }
            if !response.more {
                return true;
            }
            input = &[];
        }
    }

    /// Sends at once what the socket takes and keeps the rest. False: the connection failed.
    #[inline]
    fn send(&mut self, bytes: &[u8]) -> bool {
        let mut sent = 0;
        while self.unsent.is_empty() && sent < bytes.len() {
            match net::send(self.fd.as_raw_fd(), &bytes[sent..]) {
                Ok(len) => sent += len,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
        self.unsent.extend_from_slice(&bytes[sent..]);
        true
    }

    /// Sends what was kept. False: the connection failed.
    fn flush(&mut self) -> bool {
        while self.offset < self.unsent.len() {
            match net::send(self.fd.as_raw_fd(), &self.unsent[self.offset..]) {
                Ok(len) => self.offset += len,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return true,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
        (self.unsent, self.offset) = (Vec::new(), 0);
        true
    }
}
