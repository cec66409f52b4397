//! Unix sockets of datagrams. What any socket of datagrams has is in `udp.rs`.

use std::io;
use std::os::fd::OwnedFd;

use socket2::{Domain, SockRef, Socket, Type};

use super::immediate::immediate;
use super::stream::{adopt, into_blocking, refuse_simulated};
use super::unix_listener::bind_replacing;
use super::{Datagram, Received, ToUnixAddress, UnixAddress, system};
use crate::core::Held;
use crate::driver::sim::Binding;
use crate::handle::Source;
use crate::op::recv_from::RecvFrom;
use crate::op::send_to_unix::SendToUnix;
use crate::{AsSource, BufferPool, Io, IoBuf, IoBufMut, Next, Op};

/// A Unix socket of datagrams (unix(7)). Dropping it closes it, once nothing is pending on it; its
/// file stays.
///
/// Datagrams are neither lost nor reordered: one that finds its receiver's queue full waits. They go
/// by [`Io::send_to_unix`], and come by [`Io::recv_from_unix`] and [`Io::recv_from_unix_each`]. On a
/// connected socket [`Io::send`] sends one, [`Io::recv`] receives one (zero bytes are an empty
/// datagram, and what does not fit is lost without a word), and descriptors go with them as on
/// streams: [`Io::send_with_descriptors`], [`Io::recv_with_descriptors`]. Operations that go on by
/// themselves take it for a stream, as they do a [`UdpSocket`](crate::UdpSocket).
///
/// A socket that was not bound sends without a name, and cannot be answered. Who is at the other end
/// is told of streams alone ([`UnixStream::peer_credentials`](crate::UnixStream::peer_credentials)).
///
/// To send and receive at the same time, share it: `Rc<UnixDatagram>` is a context as well.
///
/// ```
/// use tigereye::{Io, UnixDatagram};
///
/// let path = std::env::temp_dir().join(format!("tigereye-doc-{}.datagrams", std::process::id()));
/// let io = Io::new()?;
/// let server = UnixDatagram::bind(&io, &path)?;
/// let client = UnixDatagram::unbound(&io)?;
/// io.recv_from_unix(server, Vec::with_capacity(2048), |_server, _io, buf, result| {
///     assert!(result.unwrap().from.is_unnamed());
///     assert_eq!(buf, b"hello");
/// });
/// io.send_to_unix(client, "hello", &path, |_client, _io, _buf, result| {
///     assert_eq!(result.unwrap(), 5);
/// });
/// io.run()?;
/// std::fs::remove_file(&path)?;
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Platform
/// On Linux a [`send`](Io::send) that waits for its peer does not hear that its own half was shut
/// down, until there is room. On macOS and FreeBSD it does not wait: where the peer has no room it
/// fails with `ENOBUFS`.
///
/// With io_uring, hand such a socket over as a `UnixDatagram` and as nothing else: a send that waits
/// on a handle of another kind may send an empty datagram, because the kernel tries again behind what
/// it has copied (seen on Linux 6.18).
#[derive(Debug)]
pub struct UnixDatagram {
    source: Source,
}

impl AsSource for UnixDatagram {
    #[inline]
    fn as_source(&self) -> &Source {
        &self.source
    }
}

impl UnixDatagram {
    fn over(io: &Io, socket: Socket) -> io::Result<UnixDatagram> {
        adopt(io, socket).map(|fd| UnixDatagram::from_fd(io, fd.into()))
    }

    fn from_fd(io: &Io, fd: Held) -> UnixDatagram {
        UnixDatagram { source: Source::of_datagrams(io, fd.into_raw_fd()) }
    }

    fn bind_by(io: &Io, address: &impl ToUnixAddress, how: Binding) -> io::Result<UnixDatagram> {
        let address = address.to_unix_address()?;
        if address.is_unnamed() {
            let message = "to bind takes a path or a name";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        if let Some(fd) = io.core.simulated(|sim| sim.unix_datagrams(Some((&address, how)))) {
            return fd.map(|fd| UnixDatagram::from_fd(io, Held::new(fd)));
        }
        let socket = Socket::new(Domain::UNIX, Type::DGRAM, None)?;
        if how.replaces {
            bind_replacing(&socket, &address)?
        } else {
            socket.bind(&address.0)?
        }
        UnixDatagram::over(io, socket)
    }

    /// Binds to `address`. The file of a path has the mode that the process's mask leaves it: who may
    /// write to it may send.
    ///
    /// # Errors
    /// `AddrInUse` when the file is there, though no socket may be bound to it any more;
    /// `InvalidInput` for a path that no address can be ([`UnixAddress::from_path`]); what socket(2)
    /// and bind(2) say.
    pub fn bind(io: &Io, address: impl ToUnixAddress) -> io::Result<UnixDatagram> {
        UnixDatagram::bind_by(io, &address, Binding::default())
    }

    /// As [`bind`](UnixDatagram::bind), in the place of the file of a socket that is no more, as
    /// [`UnixListenOptions::replace_stale`](crate::UnixListenOptions::replace_stale) has it.
    ///
    /// # Errors
    /// As [`bind`](UnixDatagram::bind): anything else in the way stays, and is `AddrInUse`.
    pub fn bind_replacing_stale(io: &Io, address: impl ToUnixAddress) -> io::Result<UnixDatagram> {
        UnixDatagram::bind_by(io, &address, Binding { mode: None, replaces: true })
    }

    /// A socket without a name.
    ///
    /// # Errors
    /// What socket(2) says.
    pub fn unbound(io: &Io) -> io::Result<UnixDatagram> {
        if let Some(fd) = io.core.simulated(|sim| sim.unix_datagrams(None)) {
            return fd.map(|fd| UnixDatagram::from_fd(io, Held::new(fd)));
        }
        UnixDatagram::over(io, Socket::new(Domain::UNIX, Type::DGRAM, None)?)
    }

    /// Two sockets without names that are connected with each other (socketpair(2)).
    ///
    /// # Errors
    /// What socketpair(2) says.
    pub fn pair(io: &Io) -> io::Result<(UnixDatagram, UnixDatagram)> {
        if let Some(pair) = io.core.simulated(|sim| sim.unix_datagram_pair()) {
            let (near, far) = pair?;
            return Ok((UnixDatagram::from_fd(io, near), UnixDatagram::from_fd(io, far)));
        }
        let (near, far) = Socket::pair(Domain::UNIX, Type::DGRAM, None)?;
        Ok((UnixDatagram::over(io, near)?, UnixDatagram::over(io, far)?))
    }

    /// Takes over a socket of the standard library.
    ///
    /// # Errors
    /// What ioctl(2) says when it is made blocking or non-blocking, as the driver wants it.
    pub fn from_std(io: &Io, socket: std::os::unix::net::UnixDatagram) -> io::Result<UnixDatagram> {
        refuse_simulated(io)?;
        socket.set_nonblocking(io.core.driver.kind.wants_nonblocking())?;
        system::forbid_sigpipe(&SockRef::from(&socket))?;
        Ok(UnixDatagram::from_fd(io, OwnedFd::from(socket).into()))
    }

    /// Gives the socket to the standard library, in blocking mode.
    ///
    /// # Errors
    /// `NotConnected` when it is closed or has operations in flight.
    pub fn into_std(self) -> io::Result<std::os::unix::net::UnixDatagram> {
        into_blocking(&self.source).map(std::os::unix::net::UnixDatagram::from)
    }

    /// Makes the socket that is bound to `peer` the only one that it receives from, and that it sends
    /// to where no address is given. This asks nobody and never waits, so it is a plain call; a later
    /// one takes another peer.
    ///
    /// # Errors
    /// `NotConnected` when it is closed; `NotFound` when there is no such file, `ConnectionRefused`
    /// when no socket is bound to it, `PermissionDenied`, also where that socket has another peer;
    /// `InvalidInput` for a path that no address can be; what connect(2) says.
    pub fn connect(&self, peer: impl ToUnixAddress) -> io::Result<()> {
        immediate(&self.source)?.connect_unix(&peer.to_unix_address()?)
    }

    /// The address that it is bound to, which may be unnamed.
    ///
    /// # Errors
    /// `NotConnected` when it is closed; what getsockname(2) says.
    pub fn local_addr(&self) -> io::Result<UnixAddress> {
        let address = immediate(&self.source)?.name()?;
        UnixAddress::of(address).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    /// The peer's address; of a [`pair`](UnixDatagram::pair) it is unnamed.
    ///
    /// # Errors
    /// `NotConnected` when it is closed or has no peer; what getpeername(2) says.
    pub fn peer_addr(&self) -> io::Result<UnixAddress> {
        let address = immediate(&self.source)?.peer_name()?;
        UnixAddress::of(address).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    /// Operations in flight on this socket, those that queue behind others included.
    pub fn in_flight(&self) -> u32 {
        self.source.in_flight()
    }

    /// `SO_RCVBUF` in bytes (socket(7)).
    ///
    /// # Errors
    /// `NotConnected` when it is closed; what setsockopt(2) says.
    ///
    /// # Platform
    /// On Linux it says nothing: a socket holds so many datagrams (`net.unix.max_dgram_qlen`,
    /// unix(7)), each of which counts as its sender's.
    pub fn set_recv_buffer(&self, bytes: usize) -> io::Result<()> {
        immediate(&self.source)?.set_recv_buffer(bytes)
    }

    /// `SO_SNDBUF` in bytes (socket(7)): no datagram can be longer, and on Linux all that were not
    /// received yet have room in it together.
    ///
    /// # Errors
    /// `NotConnected` when it is closed; what setsockopt(2) says.
    pub fn set_send_buffer(&self, bytes: usize) -> io::Result<()> {
        immediate(&self.source)?.set_send_buffer(bytes)
    }
}

impl Io {
    /// Sends `buf` as one datagram to the Unix socket that is bound to `to`: as a whole or not at
    /// all. An empty one is sent like any other. While the receiver has no room the operation waits,
    /// and tries again after a few milliseconds, at most 32: give it a deadline. Those behind it on
    /// this socket wait with it; of several sockets that wait, any may be the first.
    ///
    /// # Errors
    /// In the callback: `NotFound` when there is no such file, `ConnectionRefused` when no socket is
    /// bound to it, `PermissionDenied`, also where that socket has another peer, `EPROTOTYPE` when it
    /// is no socket of datagrams; `InvalidInput` when `to` is unnamed, or a path that no address can
    /// be; `EMSGSIZE` when it is longer than the socket's buffer
    /// ([`UnixDatagram::set_send_buffer`]); and what sendmsg(2) says.
    ///
    /// # Platform
    /// On a connected socket Linux sends to `to` all the same; macOS and FreeBSD say `EISCONN`.
    pub fn send_to_unix<C, B, F>(
        &self,
        socket: C,
        buf: B,
        to: impl ToUnixAddress,
        callback: F,
    ) -> Op
    where
        C: AsSource + 'static,
        B: IoBuf,
        F: FnOnce(C, &Io, B, io::Result<usize>) + 'static,
    {
        let row = SendToUnix::new(self, buf, to.to_unix_address());
        self.submit_on(row, socket, move |socket, io, (buf, result)| {
            callback(socket, io, buf, result);
        })
    }

    /// As [`recv_from`](Io::recv_from), of a [`UnixDatagram`]. A sender that was not bound has the
    /// unnamed address. Descriptors that come with the datagram are closed:
    /// [`recv_with_descriptors`](Io::recv_with_descriptors) takes them.
    ///
    /// # Errors
    /// In the callback: `InvalidInput` when the buffer has no room; `ConnectionReset` when the peer
    /// of a connected socket has taken another one, once; `UnexpectedEof` when the socket was shut
    /// down; `InvalidData` when the sender has an address of another kind, as the socket has; and
    /// what recvmsg(2) says.
    ///
    /// # Platform
    /// Linux does not tell an empty datagram of an unnamed sender from the end of a socket that was
    /// shut down: such a socket has come to its end.
    pub fn recv_from_unix<C, B, F>(&self, socket: C, buf: B, callback: F) -> Op
    where
        C: AsSource + 'static,
        B: IoBufMut,
        F: FnOnce(C, &Io, B, io::Result<Received<UnixAddress>>) + 'static,
    {
        self.submit_on(RecvFrom::new(buf), socket, move |socket, io, (buf, result)| {
            callback(socket, io, buf, result);
        })
    }

    /// As [`recv_from_each`](Io::recv_from_each), of a [`UnixDatagram`]. Of a buffer, 128 bytes are
    /// not for the datagram: what is longer than the rest is cut. While the pool is empty, datagrams
    /// wait in the socket, and when that is full, so do their senders. Descriptors that come are
    /// closed.
    ///
    /// # Errors
    /// In `done`: `InvalidInput` when the pool belongs to another loop, its buffers have 128 bytes or
    /// less, or the socket is not a Unix socket of datagrams; and as
    /// [`recv_from_unix`](Io::recv_from_unix).
    ///
    /// # Platform
    /// As [`recv_from_each`](Io::recv_from_each).
    pub fn recv_from_unix_each<C, F, D>(&self, socket: C, pool: &BufferPool, each: F, done: D) -> Op
    where
        C: AsSource + 'static,
        F: FnMut(&mut C, &Io, Datagram<UnixAddress>) -> Next + 'static,
        D: FnOnce(C, &Io, io::Result<()>) + 'static,
    {
        self.receive_each(socket, pool, each, done)
    }
}
