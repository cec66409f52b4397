//! UDP sockets, and what can be done on any socket of datagrams.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use socket2::SockRef;

use super::immediate::immediate;
use super::stream::{into_blocking, refuse_simulated};
use super::{Address, Datagram, Immediate, Received, UdpOptions, system};
use crate::error::{FOREIGN, NO_DATAGRAMS, NO_ROOM, to_raw};
use crate::handle::Source;
use crate::op::envelope::Envelope;
use crate::op::recv_from::RecvFrom;
use crate::op::recv_from_each::RecvFromEach;
use crate::op::send_to::SendTo;
use crate::op::supply::Supply;
use crate::op::user_space::Failed;
use crate::raw::{IntoRawFd, OwnedFd};
use crate::{AsSource, BufferPool, Io, IoBuf, IoBufMut, Next, Op};

/// A UDP socket. Dropping it closes it, once nothing is pending on it.
///
/// Datagrams have operations of their own, because a stream has no empty messages, cuts none and
/// has one sender: [`Io::send_to`], [`Io::recv_from`], [`Io::recv_from_each`],
/// [`Io::send_segments`]. On a connected socket [`Io::send`] sends one datagram, an empty one too,
/// and [`Io::recv`] receives one: zero bytes are an empty datagram, not an end, and what does not
/// fit is lost without a word, which [`Io::recv_from`] would say. Operations that go on by themselves
/// take it for a stream: [`Io::recv_each`] ends at an empty datagram, and [`Io::send_detached`] shuts
/// the socket down when a datagram is refused.
///
/// An error that an earlier datagram met on its way (`ConnectionRefused`, by ICMP; udp(7)) ends the
/// next operation on a connected socket. The socket can be used again at once. A socket without a
/// peer is not told.
///
/// To send and receive at the same time, share it: `Rc<UdpSocket>` is a context as well.
///
/// ```
/// use std::rc::Rc;
/// use tigereye::{BufferPool, Io, Next, UdpSocket};
///
/// let io = Io::new()?;
/// let server = Rc::new(UdpSocket::bind(&io, "127.0.0.1:0".parse().unwrap())?);
/// let address = server.local_addr()?;
/// let pool = BufferPool::new(&io, 64, 2048)?;
/// io.recv_from_each(
///     server,
///     &pool,
///     |server, io, datagram| {
///         let from = datagram.from;
///         io.send_to(Rc::clone(server), datagram, from, |_server, _io, _datagram, _result| {});
///         Next::Stop
///     },
///     |_server, _io, result| println!("no longer receiving: {result:?}"),
/// );
///
/// let client = UdpSocket::bind(&io, "127.0.0.1:0".parse().unwrap())?;
/// io.send_to(client, "hello", address, move |client, io, _buf, result| {
///     assert_eq!(result.unwrap(), 5);
///     io.recv_from(client, Vec::with_capacity(2048), move |_client, _io, buf, result| {
///         assert_eq!(result.unwrap().from, address);
///         assert_eq!(buf, b"hello");
///     });
/// });
/// io.run()?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct UdpSocket {
    source: Source,
}

impl AsSource for UdpSocket {
    #[inline]
    fn as_source(&self) -> &Source {
        &self.source
    }
}

impl UdpSocket {
    /// Binds to `address` with the default options. Port 0 has the system choose.
    ///
    /// # Errors
    /// What bind(2) says, such as `AddrInUse` and `PermissionDenied`.
    pub fn bind(io: &Io, address: SocketAddr) -> io::Result<UdpSocket> {
        UdpSocket::bind_with(io, address, &UdpOptions::new())
    }

    /// Binds to `address`.
    ///
    /// # Errors
    /// What socket(2), setsockopt(2) and bind(2) say.
    pub fn bind_with(io: &Io, address: SocketAddr, options: &UdpOptions) -> io::Result<UdpSocket> {
        let fd = options.open(io, address)?;
        Ok(UdpSocket { source: Source::of_datagrams(io, fd.into_raw_fd()) })
    }

    /// Takes over a socket of the standard library.
    ///
    /// # Errors
    /// What ioctl(2) says when it is made blocking or non-blocking, as the driver wants it.
    pub fn from_std(io: &Io, socket: std::net::UdpSocket) -> io::Result<UdpSocket> {
        refuse_simulated(io)?;
        socket.set_nonblocking(io.core.driver.kind.wants_nonblocking())?;
        let own = SockRef::from(&socket);
        system::forbid_sigpipe(&own)?;
        system::report_errors(&own, own.peer_addr().is_ok())?;
        let fd = OwnedFd::from(socket).into_raw_fd();
        Ok(UdpSocket { source: Source::of_datagrams(io, fd) })
    }

    /// Gives the socket to the standard library, in blocking mode.
    ///
    /// # Errors
    /// `NotConnected` when it is closed or has operations in flight.
    pub fn into_std(self) -> io::Result<std::net::UdpSocket> {
        into_blocking(&self.source).map(std::net::UdpSocket::from)
    }

    fn socket(&self) -> io::Result<Immediate> {
        immediate(&self.source)
    }

    /// The address that it is bound to.
    ///
    /// # Errors
    /// `NotConnected` when it is closed; what getsockname(2) says.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket()?.local_addr()
    }

    /// The peer's address.
    ///
    /// # Errors
    /// `NotConnected` when it is closed or has no peer; what getpeername(2) says.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.socket()?.peer_addr()
    }

    /// Makes `peer` the only one that it receives from, and that it sends to where no address is
    /// given. This asks nobody and never waits, so it is a plain call; a later one takes another
    /// peer. What had come before from others is still received.
    ///
    /// # Errors
    /// `NotConnected` when it is closed; what connect(2) says, such as `NetworkUnreachable`.
    pub fn connect(&self, peer: SocketAddr) -> io::Result<()> {
        self.socket()?.connect(peer)
    }

    /// Has no peer any more.
    ///
    /// # Errors
    /// `NotConnected` when it is closed; what connect(2) says.
    ///
    /// # Platform
    /// Linux gives up a port that the system chose: [`local_addr`](UdpSocket::local_addr) then has
    /// port 0 until something is sent.
    pub fn disconnect(&self) -> io::Result<()> {
        self.socket()?.disconnect()
    }

    /// Operations in flight on this socket, those that queue behind others included.
    pub fn in_flight(&self) -> u32 {
        self.source.in_flight()
    }

    /// `SO_BROADCAST` (socket(7)): whether it may send to broadcast addresses.
    ///
    /// # Errors
    /// `NotConnected` when it is closed; what setsockopt(2) says.
    pub fn set_broadcast(&self, broadcast: bool) -> io::Result<()> {
        self.socket()?.set(|socket| socket.set_broadcast(broadcast))
    }

    /// `SO_RCVBUF` in bytes (socket(7)): what does not fit is lost.
    ///
    /// # Errors
    /// `NotConnected` when it is closed; what setsockopt(2) says.
    pub fn set_recv_buffer(&self, bytes: usize) -> io::Result<()> {
        self.socket()?.set_recv_buffer(bytes)
    }

    /// `SO_SNDBUF` in bytes (socket(7)).
    ///
    /// # Errors
    /// `NotConnected` when it is closed; what setsockopt(2) says.
    pub fn set_send_buffer(&self, bytes: usize) -> io::Result<()> {
        self.socket()?.set_send_buffer(bytes)
    }

    /// `IP_TTL` (ip(7)): how many routers a datagram may pass, 1 to 255.
    ///
    /// # Errors
    /// `NotConnected` when it is closed; what setsockopt(2) says.
    pub fn set_ttl_v4(&self, hops: u32) -> io::Result<()> {
        self.socket()?.set(|socket| socket.set_ttl_v4(hops))
    }

    /// `IPV6_UNICAST_HOPS` (ipv6(7)): how many routers a datagram may pass, up to 255.
    ///
    /// # Errors
    /// `NotConnected` when it is closed; what setsockopt(2) says.
    pub fn set_hops_v6(&self, hops: u32) -> io::Result<()> {
        self.socket()?.set(|socket| socket.set_unicast_hops_v6(hops))
    }

    /// `IP_ADD_MEMBERSHIP` (ip(7)): receives what is sent to `group` on the interface with this
    /// address, or on one of the system's choice where it is unspecified.
    ///
    /// # Errors
    /// `NotConnected` when it is closed; what setsockopt(2) says.
    pub fn join_multicast_v4(&self, group: Ipv4Addr, interface: Ipv4Addr) -> io::Result<()> {
        self.socket()?
            .join_group(group.into(), |socket| socket.join_multicast_v4(&group, &interface))
    }

    /// `IP_DROP_MEMBERSHIP` (ip(7)): what [`join_multicast_v4`](UdpSocket::join_multicast_v4) began.
    ///
    /// # Errors
    /// `NotConnected` when it is closed; what setsockopt(2) says.
    pub fn leave_multicast_v4(&self, group: Ipv4Addr, interface: Ipv4Addr) -> io::Result<()> {
        self.socket()?
            .leave_group(group.into(), |socket| socket.leave_multicast_v4(&group, &interface))
    }

    /// `IPV6_ADD_MEMBERSHIP` (ipv6(7)): receives what is sent to `group` on the interface with this
    /// index, or on one of the system's choice where it is 0.
    ///
    /// # Errors
    /// `NotConnected` when it is closed; what setsockopt(2) says.
    pub fn join_multicast_v6(&self, group: Ipv6Addr, interface: u32) -> io::Result<()> {
        self.socket()?
            .join_group(group.into(), |socket| socket.join_multicast_v6(&group, interface))
    }

    /// `IPV6_DROP_MEMBERSHIP` (ipv6(7)): what [`join_multicast_v6`](UdpSocket::join_multicast_v6)
    /// began.
    ///
    /// # Errors
    /// `NotConnected` when it is closed; what setsockopt(2) says.
    pub fn leave_multicast_v6(&self, group: Ipv6Addr, interface: u32) -> io::Result<()> {
        self.socket()?
            .leave_group(group.into(), |socket| socket.leave_multicast_v6(&group, interface))
    }

    /// `IP_MULTICAST_IF` (ip(7)): sends to groups by the interface with this address.
    ///
    /// # Errors
    /// `NotConnected` when it is closed; what setsockopt(2) says.
    pub fn set_multicast_interface_v4(&self, interface: Ipv4Addr) -> io::Result<()> {
        self.socket()?.set(|socket| socket.set_multicast_if_v4(&interface))
    }

    /// `IPV6_MULTICAST_IF` (ipv6(7)): sends to groups by the interface with this index.
    ///
    /// # Errors
    /// `NotConnected` when it is closed; what setsockopt(2) says.
    pub fn set_multicast_interface_v6(&self, interface: u32) -> io::Result<()> {
        self.socket()?.set(|socket| socket.set_multicast_if_v6(interface))
    }

    /// `IP_MULTICAST_LOOP` (ip(7)): whether what is sent to a group comes back to this machine.
    ///
    /// # Errors
    /// `NotConnected` when it is closed; what setsockopt(2) says.
    pub fn set_multicast_loop_v4(&self, on: bool) -> io::Result<()> {
        self.socket()?.set_group_loop(on, |socket| socket.set_multicast_loop_v4(on))
    }

    /// `IPV6_MULTICAST_LOOP` (ipv6(7)): whether what is sent to a group comes back to this machine.
    ///
    /// # Errors
    /// `NotConnected` when it is closed; what setsockopt(2) says.
    pub fn set_multicast_loop_v6(&self, on: bool) -> io::Result<()> {
        self.socket()?.set_group_loop(on, |socket| socket.set_multicast_loop_v6(on))
    }

    /// `IP_MULTICAST_TTL` (ip(7)): how many routers a datagram to a group may pass; 1 at first.
    ///
    /// # Errors
    /// `NotConnected` when it is closed; what setsockopt(2) says.
    pub fn set_multicast_ttl_v4(&self, hops: u32) -> io::Result<()> {
        self.socket()?.set(|socket| socket.set_multicast_ttl_v4(hops))
    }

    /// `IPV6_MULTICAST_HOPS` (ipv6(7)): how many routers a datagram to a group may pass; 1 at first.
    ///
    /// # Errors
    /// `NotConnected` when it is closed; what setsockopt(2) says.
    pub fn set_multicast_hops_v6(&self, hops: u32) -> io::Result<()> {
        self.socket()?.set(|socket| socket.set_multicast_hops_v6(hops))
    }

    /// `UDP_GRO` (udp(7)): whether the kernel may join datagrams of one sender that are equally long,
    /// and deliver them as one, whose `segment` says how long each is. It pays where many come from one
    /// sender; give each receive room for 65,535 bytes, for what does not fit is lost.
    ///
    /// # Errors
    /// `NotConnected` when it is closed; what setsockopt(2) says.
    ///
    /// # Platform
    /// Linux has it, from 5.0 on; Windows has `UDP_RECV_MAX_COALESCED_SIZE`, from 10 2004 on. Elsewhere
    /// it is an error of kind `Unsupported`.
    pub fn set_gro(&self, on: bool) -> io::Result<()> {
        self.socket()?.set_real(|socket| system::join_datagrams(socket, on))
    }
}

/// Why datagrams of this family are not received from this source; what is to be said of a closed or
/// foreign one is left to the operation.
fn no_datagrams<A: Address>(source: &Source) -> Option<i32> {
    let socket = Immediate::of(source.fd()?);
    match socket.has_datagrams(|address| A::of(address).is_some()) {
        Ok(true) => None,
        Ok(false) => Some(NO_DATAGRAMS),
        Err(error) => Some(to_raw(&error)),
    }
}

impl Io {
    /// Sends `buf` as one datagram to `to`: as a whole or not at all. An empty one is sent like any
    /// other. That it was sent does not say that it arrives. Several on one socket go in the order in
    /// which they were started, unless the socket is full: io_uring then tries each again by itself.
    ///
    /// # Errors
    /// In the callback: `EMSGSIZE` when it is longer than a datagram can be (65,507 bytes over IPv4),
    /// or than the path takes where it must not be fragmented; on a connected socket the error of an
    /// earlier datagram, such as `ConnectionRefused`; and what sendmsg(2) says.
    ///
    /// # Platform
    /// On a connected socket Linux sends to `to` all the same; macOS and FreeBSD say `EISCONN`.
    /// Where the interface's queue is full, Linux waits or drops the datagram, and macOS and FreeBSD
    /// say `ENOBUFS`.
    #[inline]
    pub fn send_to<C, B, F>(&self, socket: C, buf: B, to: SocketAddr, callback: F) -> Op
    where
        C: AsSource + 'static,
        B: IoBuf,
        F: FnOnce(C, &Io, B, io::Result<usize>) + 'static,
    {
        let envelope = Envelope::addressed(Some(&to), None);
        self.submit_on(SendTo { buf, envelope }, socket, move |socket, io, (buf, result)| {
            callback(socket, io, buf, result);
        })
    }

    /// Sends `buf` as datagrams of `segment` bytes each, the last with what is left, in one call: to
    /// `to`, or on a connected socket without an address to its peer. The kernel splits it
    /// (`UDP_SEGMENT`, udp(7)), which costs far less than as many sends. All are sent or none.
    ///
    /// # Errors
    /// In the callback: `InvalidInput` (`EINVAL`) when `segment` is 0 or longer than the interface
    /// takes, or when there are more datagrams than the kernel allows (64, from Linux 6.9 on 128);
    /// `EMSGSIZE` when `buf` is longer than 65,507 bytes; `Unsupported`; and as
    /// [`send_to`](Io::send_to).
    ///
    /// # Platform
    /// Linux has it, from 4.18 on, and Windows from 10 2004 on (`UDP_SEND_MSG_SIZE`, "IPPROTO_UDP socket
    /// options"), with codes of its own. Elsewhere it is an error of kind `Unsupported`.
    ///
    /// ```
    /// use tigereye::{Io, UdpSocket};
    ///
    /// let peer = std::net::UdpSocket::bind("127.0.0.1:0")?;
    /// let io = Io::new()?;
    /// let socket = UdpSocket::bind(&io, "127.0.0.1:0".parse().unwrap())?;
    /// let to = Some(peer.local_addr()?);
    /// io.send_segments(socket, vec![7; 2500], 1000, to, |_socket, _io, _buf, result| {
    ///     println!("sent: {result:?}");          // three datagrams: 1000, 1000 and 500 bytes
    /// });
    /// io.run()?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn send_segments<C, B, F>(
        &self,
        socket: C,
        buf: B,
        segment: u16,
        to: Option<SocketAddr>,
        callback: F,
    ) -> Op
    where
        C: AsSource + 'static,
        B: IoBuf,
        F: FnOnce(C, &Io, B, io::Result<usize>) + 'static,
    {
        let envelope = Envelope::addressed(to.as_ref(), Some(segment));
        self.submit_on(SendTo { buf, envelope }, socket, move |socket, io, (buf, result)| {
            callback(socket, io, buf, result);
        })
    }

    /// Receives one datagram into `buf`, and says how long it was, who sent it, and whether it was
    /// cut. An empty datagram is one like any other: its length is 0, and it is no end. A `Vec`
    /// receives into its spare capacity and grows by the result.
    ///
    /// # Errors
    /// In the callback: `InvalidInput` when the buffer has no room; on a connected socket the error
    /// of an earlier datagram, such as `ConnectionRefused`; `UnexpectedEof` when the socket was shut
    /// down; `InvalidData` when the sender has no Internet address, because the socket is of another
    /// kind; and what recvmsg(2) says.
    pub fn recv_from<C, B, F>(&self, socket: C, buf: B, callback: F) -> Op
    where
        C: AsSource + 'static,
        B: IoBufMut,
        F: FnOnce(C, &Io, B, io::Result<Received>) + 'static,
    {
        self.submit_on(RecvFrom::new(buf), socket, move |socket, io, (buf, result)| {
            callback(socket, io, buf, result);
        })
    }

    /// Receives datagrams into the buffers of `pool` until `each` returns [`Next::Stop`], or the
    /// operation is cancelled or fails; then `done` gets the context back, after a stop with `Ok`. An
    /// idle socket holds no buffer. What the kernel had received before a stop took effect still
    /// comes to `each`.
    ///
    /// Of a buffer, 72 bytes are not for the datagram: what is longer than the rest is cut. While
    /// the pool is empty, datagrams wait in the socket, and are lost when it is full.
    ///
    /// On a socket without a peer, the error of an earlier datagram of its own ends nothing.
    ///
    /// # Errors
    /// In `done`: `InvalidInput` when the pool belongs to another loop, its buffers have 72 bytes or
    /// less, or the socket is not one of datagrams with Internet addresses; on a connected socket the
    /// error of an earlier datagram, such as `ConnectionRefused`, after which it can be started
    /// again; and what recvmsg(2) says.
    ///
    /// # Platform
    /// io_uring does not hear that a socket of datagrams is shut down, and goes on waiting; in other
    /// ways it is an end, with `Ok`. Cancel the operation or close the socket instead.
    pub fn recv_from_each<C, F, D>(&self, socket: C, pool: &BufferPool, each: F, done: D) -> Op
    where
        C: AsSource + 'static,
        F: FnMut(&mut C, &Io, Datagram) -> Next + 'static,
        D: FnOnce(C, &Io, io::Result<()>) + 'static,
    {
        self.receive_each(socket, pool, each, done)
    }

    /// Receives datagrams of a family again and again.
    pub(super) fn receive_each<A, C, F, D>(
        &self,
        socket: C,
        pool: &BufferPool,
        each: F,
        done: D,
    ) -> Op
    where
        A: Address,
        C: AsSource + 'static,
        F: FnMut(&mut C, &Io, Datagram<A>) -> Next + 'static,
        D: FnOnce(C, &Io, io::Result<()>) + 'static,
    {
        let (size, head) = (pool.shared.size(), RecvFromEach::<A>::HEAD);
        let refused = match no_datagrams::<A>(socket.as_source()) {
            _ if !pool.shared.belongs_to(self) => Some(FOREIGN),
            None if size <= head => Some(NO_ROOM),
            refused => refused,
        };
        if let Some(refused) = refused {
            return self.submit(Failed(refused), socket, done);
        }
        let row = RecvFromEach::new(Supply::new(&pool.shared), size - head);
        self.submit_each_on(row, socket, each, done)
    }
}
