//! Readiness by epoll, with nothing in between.

use super::{Event, LISTENER, Poller, SIGNAL, Socket, send_back};
use crate::sys::epoll::{Epoll, Ready};
use crate::sys::net;
use std::fs::File;
use std::io;
use std::net::{TcpListener, UdpSocket};
use std::os::fd::{AsRawFd, OwnedFd};

/// An epoll instance and the listener that it watches.
pub struct Bare {
    epoll: Epoll,
    listener: TcpListener,
    /// Watched, and never read: the program ends with it.
    _signal: OwnedFd,
}

impl Socket for OwnedFd {
    #[inline]
    fn recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        net::recv(self.as_raw_fd(), buf)
    }

    #[inline]
    fn send(&self, buf: &[u8]) -> io::Result<usize> {
        net::send(self.as_raw_fd(), buf)
    }

    fn send_file(&self, file: &File, offset: u64, len: u64) -> io::Result<usize> {
        net::send_file(self.as_raw_fd(), file.as_raw_fd(), offset, len)
    }
}

/// What a wait wrote, and how much of it.
pub struct Found {
    ready: Vec<Ready>,
    count: usize,
}

impl Poller for Bare {
    type Socket = OwnedFd;
    type Events = Found;

    /// By level: out of descriptors, the listener stays readable and is tried again at the next
    /// event.
    fn new(listener: TcpListener, signal: OwnedFd) -> io::Result<Self> {
        let epoll = Epoll::new()?;
        epoll.add_level(listener.as_raw_fd(), LISTENER as u64)?;
        epoll.add_level(signal.as_raw_fd(), SIGNAL as u64)?;
        Ok(Self { epoll, listener, _signal: signal })
    }

    fn events(capacity: usize) -> Found {
        Found { ready: vec![Ready::EMPTY; capacity], count: 0 }
    }

    fn wait(&mut self, found: &mut Found, block: bool) -> io::Result<()> {
        found.count = self.epoll.wait(&mut found.ready, if block { -1 } else { 0 })?;
        Ok(())
    }

    #[inline]
    fn found(found: &Found) -> impl Iterator<Item = Event> {
        found.ready[..found.count].iter().map(|ready| Event {
            token: ready.token() as usize,
            readable: ready.readable(),
            writable: ready.writable(),
            ended: ready.ended(),
        })
    }

    fn accept(&self) -> io::Result<(usize, OwnedFd)> {
        let fd = net::accept(self.listener.as_raw_fd())?;
        let at = fd.as_raw_fd() as usize;
        self.epoll.add_edge(fd.as_raw_fd(), at as u64)?;
        Ok((at, fd))
    }

    fn turn_away(&self) -> io::Result<()> {
        net::accept(self.listener.as_raw_fd()).map(drop)
    }

    fn echo_datagrams(socket: UdpSocket, signal: OwnedFd) -> io::Result<()> {
        let epoll = Epoll::new()?;
        epoll.add_edge_in(socket.as_raw_fd(), LISTENER as u64)?;
        epoll.add_level(signal.as_raw_fd(), SIGNAL as u64)?;
        let mut ready = [Ready::EMPTY; 2];
        loop {
            let count = epoll.wait(&mut ready, -1)?;
            if ready[..count].iter().any(|ready| ready.token() == SIGNAL as u64) {
                return Ok(());
            }
            send_back(|buf| socket.recv_from(buf), |buf, to| socket.send_to(buf, to))?;
        }
    }
}
