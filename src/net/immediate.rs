//! Calls on a socket that are made at once and are no operations: what each is on a real system, and
//! what in the simulator. A descriptor says which of the two it is.

use std::io;
use std::net::{IpAddr, Shutdown, SocketAddr};
use std::time::Duration;

use socket2::{SockAddr, SockRef, Socket, Type};

#[cfg(unix)]
use super::UnixAddress;
use super::stream::{borrow, not_open};
use super::{Borrowed, Keepalive, system};
use crate::driver::simulated;
use crate::handle::Source;
use crate::raw::RawFd;

pub(crate) enum Immediate {
    Real(Borrowed),
    Simulated(Box<dyn simulated::Socket>),
}

/// What a call is on a real socket, and on a simulated one.
macro_rules! either {
    ($socket:expr, $real:pat => $call:expr, $simulated:pat => $simulated_call:expr) => {
        match $socket {
            Immediate::Real($real) => $call,
            Immediate::Simulated($simulated) => $simulated_call,
        }
    };
}

/// The socket of a handle, while it is open.
pub(crate) fn immediate(source: &Source) -> io::Result<Immediate> {
    let fd = source.fd().ok_or_else(not_open)?;
    match Immediate::of(fd) {
        // A simulated socket is gone when its host has lost its power or its program has ended.
        Immediate::Real(_) if simulated::is_simulated(fd) => Err(not_open()),
        socket => Ok(socket),
    }
}

/// What the simulator has not.
pub(crate) fn not_simulated() -> io::Error {
    crate::error::from_raw(crate::error::NOT_SIMULATED)
}

fn internet(address: &SockAddr) -> io::Result<SocketAddr> {
    address.as_socket().ok_or_else(|| io::ErrorKind::InvalidData.into())
}

impl Immediate {
    pub(crate) fn of(fd: RawFd) -> Immediate {
        if let Some(socket) = simulated::socket(fd) {
            return Immediate::Simulated(socket);
        }
        Immediate::Real(borrow(&fd))
    }

    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        internet(&self.name()?)
    }

    pub(crate) fn peer_addr(&self) -> io::Result<SocketAddr> {
        internet(&self.peer_name()?)
    }

    /// Its address, of whatever kind.
    pub(crate) fn name(&self) -> io::Result<SockAddr> {
        either!(self, socket => socket.local_addr(), socket => socket.name())
    }

    /// Its peer's.
    pub(crate) fn peer_name(&self) -> io::Result<SockAddr> {
        either!(self, socket => socket.peer_addr(), socket => socket.peer_name())
    }

    /// Whether it has a peer, of whatever kind.
    pub(crate) fn has_peer(&self) -> bool {
        self.peer_name().is_ok()
    }

    /// Whether it is a socket of datagrams whose address `is_fit` takes.
    pub(crate) fn has_datagrams(&self, is_fit: impl Fn(&SockAddr) -> bool) -> io::Result<bool> {
        either!(self, socket => {
            Ok(socket.r#type()? == Type::DGRAM && is_fit(&socket.local_addr()?))
        }, socket => {
            Ok(socket.has_datagrams() && is_fit(&socket.name()?))
        })
    }

    /// Sends what is taken at once.
    pub(crate) fn send_now(&self, bytes: &[u8]) -> io::Result<usize> {
        either!(self, socket => system::send_now(socket, bytes), socket => socket.send(bytes))
    }

    /// Gives a socket of datagrams a peer.
    pub(crate) fn connect(&self, peer: SocketAddr) -> io::Result<()> {
        either!(self, socket => {
            socket.connect(&SockAddr::from(peer))?;
            system::report_errors(socket, true)
        }, socket => socket.connect(Some(peer)))
    }

    /// Gives a Unix socket of datagrams a peer.
    #[cfg(unix)]
    pub(crate) fn connect_unix(&self, peer: &UnixAddress) -> io::Result<()> {
        either!(self, socket => socket.connect(&peer.0), socket => socket.connect_unix(peer))
    }

    /// Who is at the other end of a Unix socket: user, group, and process. On a simulated host all is
    /// root's, and processes have no numbers.
    #[cfg(unix)]
    pub(crate) fn peer_credentials(&self) -> io::Result<(u32, u32, Option<u32>)> {
        either!(self, socket => system::peer_credentials(socket), socket => {
            socket.peer_name().map(|_name| (0, 0, None))
        })
    }

    /// Takes the peer from a socket of datagrams.
    pub(crate) fn disconnect(&self) -> io::Result<()> {
        either!(self, socket => {
            system::disconnect(socket)?;
            system::report_errors(socket, false)
        }, socket => socket.connect(None))
    }

    /// Joins a group, by the call that the system has for it. A simulated host has one network, and no
    /// interfaces to choose from.
    pub(crate) fn join_group(
        &self,
        group: IpAddr,
        join: impl FnOnce(&Socket) -> io::Result<()>,
    ) -> io::Result<()> {
        either!(self, socket => join(socket), socket => socket.join_group(group))
    }

    /// Leaves a group that it has joined.
    pub(crate) fn leave_group(
        &self,
        group: IpAddr,
        leave: impl FnOnce(&Socket) -> io::Result<()>,
    ) -> io::Result<()> {
        either!(self, socket => leave(socket), socket => socket.leave_group(group))
    }

    /// Whether what it sends to a group comes to members on its own host.
    pub(crate) fn set_group_loop(
        &self,
        on: bool,
        set: impl FnOnce(&Socket) -> io::Result<()>,
    ) -> io::Result<()> {
        either!(self, socket => set(socket), socket => socket.set_group_loop(on))
    }

    pub(crate) fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        either!(self, socket => socket.shutdown(how), socket => socket.shut_down(how))
    }

    /// Simulated peers are not probed: who is silent for too long is given up when something is sent.
    pub(crate) fn set_keepalive(&self, keepalive: Option<Keepalive>) -> io::Result<()> {
        self.set(|socket| match keepalive {
            Some(keepalive) => keepalive.apply(&SockRef::from(socket)),
            None => socket.set_keepalive(false),
        })
    }

    pub(crate) fn set_user_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        either!(self, socket => system::set_user_timeout(socket, timeout), socket => socket.set_user_timeout(timeout))
    }

    pub(crate) fn set_linger(&self, linger: Option<Duration>) -> io::Result<()> {
        either!(self, socket => socket.set_linger(linger), socket => socket.set_linger(linger))
    }

    pub(crate) fn set_recv_buffer(&self, bytes: usize) -> io::Result<()> {
        either!(self, socket => socket.set_recv_buffer_size(bytes), socket => socket.set_recv_buffer(bytes))
    }

    pub(crate) fn set_send_buffer(&self, bytes: usize) -> io::Result<()> {
        either!(self, socket => socket.set_send_buffer_size(bytes), socket => socket.set_send_buffer(bytes))
    }

    /// Sets an option that makes no difference to a simulated socket, which takes any.
    pub(crate) fn set(&self, set: impl FnOnce(&Socket) -> io::Result<()>) -> io::Result<()> {
        either!(self, socket => set(socket), _ => Ok(()))
    }

    /// Sets an option that would make a difference, and that the simulator does not have.
    pub(crate) fn set_real(&self, set: impl FnOnce(&Socket) -> io::Result<()>) -> io::Result<()> {
        either!(self, socket => set(socket), _ => Err(not_simulated()))
    }
}
