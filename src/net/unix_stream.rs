//! Streams of Unix sockets. What can be done on any stream is in `stream.rs`.

use std::io;
#[cfg(unix)]
use std::os::fd::OwnedFd;
use std::rc::Rc;

use socket2::SockAddr;
#[cfg(unix)]
use socket2::{Domain, SockRef, Socket, Type};

use super::immediate::immediate;
use super::stream::{Stream, send_now};
#[cfg(unix)]
use super::stream::{adopt, into_blocking, refuse_simulated};
#[cfg(unix)]
use super::system;
use super::{ToUnixAddress, UnixAddress};
use crate::core::Held;
use crate::handle::Source;
use crate::op::connect_unix::ConnectUnix;
use crate::state::Target;
use crate::{AsSource, Io, Op};

/// A connection of Unix sockets. Dropping it closes it, once nothing is pending on it.
///
/// Every operation on a stream works on it: [`Io::recv`], [`Io::recv_each`], [`Io::send_all`],
/// [`Io::shutdown`] and the others; and it carries descriptors
/// ([`Io::send_with_descriptors`]).
///
/// # Platform
/// Where an end is closed with bytes in it that were not received, Linux tells the other end by
/// `ConnectionReset`, once. With the readiness driver a send that waits for room does not hear there
/// that its own half was shut down, until the peer makes room: cancel it, or close the stream.
/// Windows has them from 10 1803 on: paths alone, no pairs, no credentials and no descriptors with the
/// bytes ("AF_UNIX comes to Windows"); where it has none, `Unsupported` is what binding and connecting say.
#[derive(Debug)]
pub struct UnixStream {
    source: Source,
}

impl AsSource for UnixStream {
    #[inline]
    fn as_source(&self) -> &Source {
        &self.source
    }
}

impl Stream for UnixStream {
    type Address = UnixAddress;
    // An accept that does not wait says `EAGAIN` at a listener that was shut down, and a multishot
    // one waits for ever.
    #[cfg(target_os = "linux")]
    const ACCEPTS_MULTISHOT: bool = false;

    fn from_fd(io: &Io, fd: Held) -> UnixStream {
        UnixStream { source: Source::new(io, fd.into_raw_fd()) }
    }

    fn address(raw: SockAddr) -> Option<UnixAddress> {
        UnixAddress::of(raw)
    }

    fn peer(&self) -> io::Result<UnixAddress> {
        self.peer_addr()
    }

    #[cfg(unix)]
    fn accept(listener: &Socket) -> io::Result<(Socket, SockAddr)> {
        system::accept_unix(listener)
    }
}

/// Who was at the other end when the connection was made (`SO_PEERCRED`, unix(7); getpeereid(3)).
/// Windows does not say.
#[cfg(unix)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerCredentials {
    /// The effective user.
    pub uid: u32,
    /// The effective group.
    pub gid: u32,
    /// The process, where the system says and can name it here. A number that may have passed to
    /// another process since: no proof of who is there.
    pub pid: Option<u32>,
}

impl UnixStream {
    /// Two streams that are connected with each other (socketpair(2)). Windows has none.
    ///
    /// ```
    /// use tigereye::{Io, UnixStream};
    ///
    /// let io = Io::new()?;
    /// let (near, far) = UnixStream::pair(&io)?;
    /// io.send_all(near, "hello", |_near, _io, _buf, result| result.unwrap());
    /// io.recv(far, Vec::with_capacity(16), |_far, _io, buf, result| {
    ///     result.unwrap();
    ///     assert_eq!(buf, b"hello");
    /// });
    /// io.run()?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    /// What socketpair(2) says.
    #[cfg(unix)]
    pub fn pair(io: &Io) -> io::Result<(UnixStream, UnixStream)> {
        if let Some(pair) = io.core.simulated(|sim| sim.unix_pair()) {
            let (near, far) = pair?;
            return Ok((UnixStream::from_fd(io, near), UnixStream::from_fd(io, far)));
        }
        let (near, far) = Socket::pair(Domain::UNIX, Type::STREAM, None)?;
        let (near, far) = (adopt(io, near)?, adopt(io, far)?);
        Ok((UnixStream::from_fd(io, near.into()), UnixStream::from_fd(io, far.into())))
    }

    /// Takes over a stream of the standard library. Unix: elsewhere that has none.
    ///
    /// # Errors
    /// What ioctl(2) says when it is made blocking or non-blocking, as the driver wants it.
    #[cfg(unix)]
    pub fn from_std(io: &Io, stream: std::os::unix::net::UnixStream) -> io::Result<UnixStream> {
        refuse_simulated(io)?;
        stream.set_nonblocking(io.core.driver.kind.wants_nonblocking())?;
        system::forbid_sigpipe(&SockRef::from(&stream))?;
        Ok(UnixStream::from_fd(io, OwnedFd::from(stream).into()))
    }

    /// Gives the socket to the standard library, in blocking mode: so a connection moves to
    /// another thread's loop.
    ///
    /// # Errors
    /// `NotConnected` when it is closed or has operations in flight.
    #[cfg(unix)]
    pub fn into_std(self) -> io::Result<std::os::unix::net::UnixStream> {
        into_blocking(&self.source).map(std::os::unix::net::UnixStream::from)
    }

    /// The peer's address: of a client mostly unnamed, of an accepted one its listener's.
    ///
    /// # Errors
    /// `NotConnected` when it is closed; what getpeername(2) says.
    pub fn peer_addr(&self) -> io::Result<UnixAddress> {
        let address = immediate(&self.source)?.peer_name()?;
        UnixStream::address(address).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    /// The local address.
    ///
    /// # Errors
    /// `NotConnected` when it is closed; what getsockname(2) says.
    pub fn local_addr(&self) -> io::Result<UnixAddress> {
        let address = immediate(&self.source)?.name()?;
        UnixStream::address(address).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    /// Who was at the other end when the connection was made: who called connect(2), listen(2) or
    /// socketpair(2) there.
    ///
    /// # Errors
    /// `NotConnected` when it is closed; what getsockopt(2) or getpeereid(3) says.
    ///
    /// # Platform
    /// Linux and macOS know the process, FreeBSD does not. On a simulated host all is of user 0 and
    /// group 0, and no process has a number.
    #[cfg(unix)]
    pub fn peer_credentials(&self) -> io::Result<PeerCredentials> {
        let (uid, gid, pid) = immediate(&self.source)?.peer_credentials()?;
        Ok(PeerCredentials { uid, gid, pid })
    }

    /// Sends what the system takes at once and returns how much that was; it never blocks and
    /// does not wait behind sends in flight, so use it only when there are none.
    ///
    /// # Errors
    /// `WouldBlock` when the system takes nothing now; `NotConnected` when it is closed; what
    /// send(2) says.
    pub fn send_now(&self, bytes: &[u8]) -> io::Result<usize> {
        send_now(&self.source, bytes)
    }

    /// Operations in flight on this stream, those that queue behind others included.
    pub fn in_flight(&self) -> u32 {
        self.source.in_flight()
    }

    /// Two handles to one connection, for a side that receives and one that sends. It closes when
    /// both are dropped.
    pub fn split(self) -> (Rc<UnixStream>, Rc<UnixStream>) {
        let stream = Rc::new(self);
        (Rc::clone(&stream), stream)
    }
}

impl Io {
    /// Connects to the Unix socket that is bound to `address`. While its backlog is full the
    /// operation waits, and tries again after a few milliseconds, at most 32: give it a deadline.
    /// Of several that wait, any may be the first.
    ///
    /// # Errors
    /// In the callback: `NotFound` when there is no such file, `ConnectionRefused` when nobody
    /// listens there, `PermissionDenied`, `InvalidInput` for a path that no address can be, and
    /// what connect(2) says.
    ///
    /// # Platform
    /// On macOS, FreeBSD and Windows a full backlog is `ConnectionRefused`: those systems do not tell
    /// the two apart. On Windows a thread of the pool makes the call.
    pub fn connect_unix<C, F>(&self, context: C, address: impl ToUnixAddress, callback: F) -> Op
    where
        C: 'static,
        F: FnOnce(C, &Io, io::Result<UnixStream>) + 'static,
    {
        let row = ConnectUnix::new(self, address.to_unix_address());
        let target = match row.stream() {
            Some(stream) => Target::from(stream.source.id(self)),
            None => Target::Nothing,
        };
        self.submit_to(row, target, context, callback)
    }
}
