//! Readiness by mio, which is edge-triggered always: the listener's edge too is followed until
//! nobody is left to accept.

use super::{Event, LISTENER, Poller, SIGNAL, Socket, send_back};
use crate::sys::net;
use mio::net::{TcpListener, TcpStream, UdpSocket};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

/// A poll and the listener that it watches.
pub struct Mio {
    poll: Poll,
    listener: TcpListener,
    /// Watched, and never read: the program ends with it.
    _signal: OwnedFd,
}

impl Socket for TcpStream {
    #[inline]
    fn recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        let mut stream = self;
        stream.read(buf)
    }

    #[inline]
    fn send(&self, buf: &[u8]) -> io::Result<usize> {
        let mut stream = self;
        stream.write(buf)
    }

    fn send_file(&self, file: &File, offset: u64, len: u64) -> io::Result<usize> {
        net::send_file(self.as_raw_fd(), file.as_raw_fd(), offset, len)
    }
}

impl Poller for Mio {
    type Socket = TcpStream;
    type Events = Events;

    fn new(listener: std::net::TcpListener, signal: OwnedFd) -> io::Result<Self> {
        let poll = Poll::new()?;
        let registry = poll.registry();
        let mut listener = TcpListener::from_std(listener);
        registry.register(&mut listener, Token(LISTENER), Interest::READABLE)?;
        let watched = &signal.as_raw_fd();
        registry.register(&mut SourceFd(watched), Token(SIGNAL), Interest::READABLE)?;
        Ok(Self { poll, listener, _signal: signal })
    }

    fn events(capacity: usize) -> Events {
        Events::with_capacity(capacity)
    }

    fn wait(&mut self, events: &mut Events, block: bool) -> io::Result<()> {
        match self.poll.poll(events, if block { None } else { Some(Duration::ZERO) }) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                events.clear();
                Ok(())
            }
            result => result,
        }
    }

    #[inline]
    fn found(events: &Events) -> impl Iterator<Item = Event> {
        events.iter().map(|event| {
            let ended = event.is_read_closed() || event.is_error();
            Event {
                token: event.token().0,
                readable: event.is_readable() || ended,
                writable: event.is_writable() || event.is_write_closed() || event.is_error(),
                ended,
            }
        })
    }

    fn accept(&self) -> io::Result<(usize, TcpStream)> {
        let (mut stream, _) = self.listener.accept()?;
        let at = stream.as_raw_fd() as usize;
        let both = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(&mut stream, Token(at), both)?;
        Ok((at, stream))
    }

    fn turn_away(&self) -> io::Result<()> {
        self.listener.accept().map(drop)
    }

    fn echo_datagrams(socket: std::net::UdpSocket, signal: OwnedFd) -> io::Result<()> {
        let mut poll = Poll::new()?;
        let mut socket = UdpSocket::from_std(socket);
        poll.registry().register(&mut socket, Token(LISTENER), Interest::READABLE)?;
        let watched = &signal.as_raw_fd();
        poll.registry().register(&mut SourceFd(watched), Token(SIGNAL), Interest::READABLE)?;
        let mut events = Events::with_capacity(2);
        loop {
            match poll.poll(&mut events, None) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
                _ => {}
            }
            if events.iter().any(|event| event.token() == Token(SIGNAL)) {
                return Ok(());
            }
            send_back(|buf| socket.recv_from(buf), |buf, to| socket.send_to(buf, to))?;
        }
    }
}
