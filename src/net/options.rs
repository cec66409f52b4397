//! Options of listeners, connections and UDP sockets.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use socket2::{Domain, Protocol, SockAddr, Socket, TcpKeepalive, Type};

use super::stream::adopt;
use super::system;
use crate::Io;
use crate::core::Held;
use crate::driver::sim::SocketOptions;

/// When and how often an idle connection is probed (tcp(7), `TCP_KEEPIDLE` and its like; whole
/// seconds).
///
/// # Platform
/// On Windows times are whole milliseconds (`SIO_KEEPALIVE_VALS`, "Winsock IOCTLs", which also turns
/// probes on), and the count, at most 255, is from 10 1703 on (`TCP_KEEPCNT`, "IPPROTO_TCP socket
/// options"): before that to set it is an error, with the times set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keepalive {
    /// Idle time before the first probe.
    pub idle: Duration,
    /// Time between probes.
    pub interval: Duration,
    /// Unanswered probes before the connection is given up.
    pub count: u32,
}

impl Keepalive {
    pub(crate) fn apply(self, socket: &socket2::SockRef<'_>) -> io::Result<()> {
        let keepalive = TcpKeepalive::new()
            .with_time(self.idle)
            .with_interval(self.interval)
            .with_retries(self.count);
        socket.set_tcp_keepalive(&keepalive)
    }
}

/// How to bind and listen; see [`TcpListener::bind_with`](crate::TcpListener::bind_with).
#[derive(Debug, Clone)]
pub struct ListenOptions {
    backlog: i32,
    reuse_address: bool,
    reuse_port: bool,
    only_v6: Option<bool>,
    recv_buffer: Option<usize>,
    send_buffer: Option<usize>,
}

impl Default for ListenOptions {
    fn default() -> ListenOptions {
        ListenOptions {
            backlog: 1024,
            reuse_address: true,
            reuse_port: false,
            only_v6: None,
            recv_buffer: None,
            send_buffer: None,
        }
    }
}

impl ListenOptions {
    /// The defaults: a backlog of 1024, and the address can be bound again at once.
    pub fn new() -> ListenOptions {
        ListenOptions::default()
    }

    /// How many connections may wait to be accepted; the system cuts it (`somaxconn`, listen(2)).
    ///
    /// # Platform
    /// On Windows more than 200 are asked for as such (`SOMAXCONN_HINT`, listen), up to 65,535.
    pub fn backlog(mut self, connections: u32) -> ListenOptions {
        self.backlog = i32::try_from(connections).unwrap_or(i32::MAX);
        self
    }

    /// `SO_REUSEADDR` (socket(7)): bind although old connections linger in `TIME_WAIT`.
    ///
    /// # Platform
    /// Windows does so in any case; a listener's address is its own there (`SO_EXCLUSIVEADDRUSE`).
    pub fn reuse_address(mut self, reuse: bool) -> ListenOptions {
        self.reuse_address = reuse;
        self
    }

    /// Whether this system spreads connections over the listeners that share a port
    /// ([`reuse_port`](ListenOptions::reuse_port)). Where it does not, let one loop accept and hand
    /// them to the others: [`InTurn`](crate::InTurn).
    pub const REUSE_PORT_SPREADS: bool = system::SHARED_PORT_SPREADS;

    /// `SO_REUSEPORT` (socket(7)): several listeners share the port.
    ///
    /// # Platform
    /// Linux and FreeBSD (there with `SO_REUSEPORT_LB`) spread the connections over them. Elsewhere
    /// all connections come to one of them: see
    /// [`REUSE_PORT_SPREADS`](ListenOptions::REUSE_PORT_SPREADS). On Windows it is `Unsupported`.
    pub fn reuse_port(mut self, reuse: bool) -> ListenOptions {
        self.reuse_port = reuse;
        self
    }

    /// `IPV6_V6ONLY` (ipv6(7)): whether an IPv6 listener takes IPv6 alone; else as the system has
    /// it.
    pub fn only_v6(mut self, only: bool) -> ListenOptions {
        self.only_v6 = Some(only);
        self
    }

    /// `SO_RCVBUF` in bytes (socket(7)), which accepted connections inherit.
    pub fn recv_buffer(mut self, bytes: usize) -> ListenOptions {
        self.recv_buffer = Some(bytes);
        self
    }

    /// `SO_SNDBUF` in bytes (socket(7)), which accepted connections inherit.
    pub fn send_buffer(mut self, bytes: usize) -> ListenOptions {
        self.send_buffer = Some(bytes);
        self
    }

    /// A listener, as the driver has it.
    pub(crate) fn open(&self, io: &Io, address: SocketAddr) -> io::Result<Held> {
        if let Some(fd) = io.core.simulated(|sim| {
            let backlog = usize::try_from(self.backlog).unwrap_or(0);
            sim.listen(address, backlog, self.simulated())
        }) {
            return fd.map(Held::new);
        }
        adopt(io, self.listen(address)?).map(Held::from)
    }

    fn simulated(&self) -> SocketOptions {
        SocketOptions {
            reuse_address: self.reuse_address,
            reuse_port: self.reuse_port,
            // As Linux has it.
            only_v6: self.only_v6.unwrap_or(false),
            recv_buffer: self.recv_buffer,
            send_buffer: self.send_buffer,
            ..SocketOptions::default()
        }
    }

    fn listen(&self, address: SocketAddr) -> io::Result<Socket> {
        let socket = new_socket(address)?;
        system::allow_to_bind_again(&socket, self.reuse_address)?;
        if self.reuse_port {
            system::share_port(&socket)?;
        }
        if let (Some(only), true) = (self.only_v6, address.is_ipv6()) {
            socket.set_only_v6(only)?;
        }
        set_buffers(&socket, self.recv_buffer, self.send_buffer)?;
        socket.bind(&SockAddr::from(address))?;
        socket.listen(system::backlog(self.backlog))?;
        Ok(socket)
    }
}

/// How to connect; see [`Io::connect_with`](crate::Io::connect_with).
#[derive(Debug, Clone, Default)]
pub struct ConnectOptions {
    local: Option<SocketAddr>,
    nodelay: bool,
    keepalive: Option<Keepalive>,
    recv_buffer: Option<usize>,
    send_buffer: Option<usize>,
}

impl ConnectOptions {
    /// The defaults: any local address, the system's buffers, Nagle's algorithm as usual.
    pub fn new() -> ConnectOptions {
        ConnectOptions::default()
    }

    /// Binds to this local address first.
    pub fn bind(mut self, local: SocketAddr) -> ConnectOptions {
        self.local = Some(local);
        self
    }

    /// `TCP_NODELAY` (tcp(7)).
    pub fn nodelay(mut self, nodelay: bool) -> ConnectOptions {
        self.nodelay = nodelay;
        self
    }

    /// Probes for a peer that is gone.
    pub fn keepalive(mut self, keepalive: Keepalive) -> ConnectOptions {
        self.keepalive = Some(keepalive);
        self
    }

    /// `SO_RCVBUF` in bytes (socket(7)).
    pub fn recv_buffer(mut self, bytes: usize) -> ConnectOptions {
        self.recv_buffer = Some(bytes);
        self
    }

    /// `SO_SNDBUF` in bytes (socket(7)).
    pub fn send_buffer(mut self, bytes: usize) -> ConnectOptions {
        self.send_buffer = Some(bytes);
        self
    }

    /// A socket that is to be connected, as the driver has it.
    pub(crate) fn open(&self, io: &Io, peer: SocketAddr) -> io::Result<Held> {
        if let Some(fd) = io.core.simulated(|sim| sim.stream(peer, self.local, self.simulated())) {
            return fd.map(Held::new);
        }
        adopt(io, self.socket(peer)?).map(Held::from)
    }

    fn simulated(&self) -> SocketOptions {
        SocketOptions {
            reuse_address: self.local.is_some(),
            recv_buffer: self.recv_buffer,
            send_buffer: self.send_buffer,
            ..SocketOptions::default()
        }
    }

    fn socket(&self, peer: SocketAddr) -> io::Result<Socket> {
        let socket = new_socket(peer)?;
        set_buffers(&socket, self.recv_buffer, self.send_buffer)?;
        if self.nodelay {
            socket.set_tcp_nodelay(true)?;
        }
        if let Some(keepalive) = self.keepalive {
            keepalive.apply(&socket2::SockRef::from(&socket))?;
        }
        if let Some(local) = self.local {
            system::allow_to_bind_again(&socket, true)?;
            socket.bind(&SockAddr::from(local))?;
        }
        Ok(socket)
    }
}

/// How to bind a UDP socket; see [`UdpSocket::bind_with`](crate::UdpSocket::bind_with).
#[derive(Debug, Clone, Default)]
pub struct UdpOptions {
    reuse_address: bool,
    reuse_port: bool,
    only_v6: Option<bool>,
    recv_buffer: Option<usize>,
    send_buffer: Option<usize>,
}

impl UdpOptions {
    /// The defaults: an address of its own, the system's buffers.
    pub fn new() -> UdpOptions {
        UdpOptions::default()
    }

    /// `SO_REUSEADDR` (socket(7)): several sockets have the address, for multicast; of other
    /// datagrams, each goes to one of them.
    pub fn reuse_address(mut self, reuse: bool) -> UdpOptions {
        self.reuse_address = reuse;
        self
    }

    /// `SO_REUSEPORT` (socket(7)): several sockets share the port.
    ///
    /// # Platform
    /// Linux and FreeBSD (there with `SO_REUSEPORT_LB`) spread the senders over them, those of one
    /// address always to the same socket. macOS gives all to one.
    pub fn reuse_port(mut self, reuse: bool) -> UdpOptions {
        self.reuse_port = reuse;
        self
    }

    /// `IPV6_V6ONLY` (ipv6(7)): whether an IPv6 socket takes IPv6 alone; else as the system has it.
    pub fn only_v6(mut self, only: bool) -> UdpOptions {
        self.only_v6 = Some(only);
        self
    }

    /// `SO_RCVBUF` in bytes (socket(7)): what does not fit is lost.
    pub fn recv_buffer(mut self, bytes: usize) -> UdpOptions {
        self.recv_buffer = Some(bytes);
        self
    }

    /// `SO_SNDBUF` in bytes (socket(7)).
    pub fn send_buffer(mut self, bytes: usize) -> UdpOptions {
        self.send_buffer = Some(bytes);
        self
    }

    /// A socket, as the driver has it.
    pub(crate) fn open(&self, io: &Io, address: SocketAddr) -> io::Result<Held> {
        if let Some(fd) = io.core.simulated(|sim| sim.datagrams(address, self.simulated())) {
            return fd.map(Held::new);
        }
        adopt(io, self.bind(address)?).map(Held::from)
    }

    fn simulated(&self) -> SocketOptions {
        SocketOptions {
            reuse_address: self.reuse_address,
            reuse_port: self.reuse_port,
            // As Linux has it.
            only_v6: self.only_v6.unwrap_or(false),
            recv_buffer: self.recv_buffer,
            send_buffer: self.send_buffer,
            ..SocketOptions::default()
        }
    }

    fn bind(&self, address: SocketAddr) -> io::Result<Socket> {
        let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
        system::report_errors(&socket, false)?;
        socket.set_reuse_address(self.reuse_address)?;
        if self.reuse_port {
            system::share_port(&socket)?;
        }
        if let (Some(only), true) = (self.only_v6, address.is_ipv6()) {
            socket.set_only_v6(only)?;
        }
        set_buffers(&socket, self.recv_buffer, self.send_buffer)?;
        socket.bind(&SockAddr::from(address))?;
        Ok(socket)
    }
}

/// A blocking socket: io_uring arms its own poll, and `O_NONBLOCK` would turn waits into errors.
/// Close-on-exec, as std's are.
fn new_socket(address: SocketAddr) -> io::Result<Socket> {
    Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))
}

fn set_buffers(socket: &Socket, recv: Option<usize>, send: Option<usize>) -> io::Result<()> {
    if let Some(bytes) = recv {
        socket.set_recv_buffer_size(bytes)?;
    }
    if let Some(bytes) = send {
        socket.set_send_buffer_size(bytes)?;
    }
    Ok(())
}
