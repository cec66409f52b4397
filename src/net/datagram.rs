//! Datagrams that were received, and who sent them.

use std::net::SocketAddr;
use std::ops::{Deref, DerefMut};

use socket2::SockAddr;

use crate::{IoBuf, PoolBuf};

/// The addresses of a family of sockets.
pub(crate) trait Address: Sized + 'static {
    /// The address, if it is one of this family.
    fn of(address: &SockAddr) -> Option<Self>;
}

impl Address for SocketAddr {
    fn of(address: &SockAddr) -> Option<SocketAddr> {
        address.as_socket()
    }
}

/// What [`Io::recv_from`](crate::Io::recv_from) received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Received<A = SocketAddr> {
    /// Bytes of the datagram that are in the buffer; none of an empty datagram.
    pub len: usize,
    /// Who sent it.
    pub from: A,
    /// Whether the datagram was longer than the room for it: the rest of it is lost (`MSG_TRUNC`,
    /// recvmsg(2)).
    pub truncated: bool,
    /// Where the kernel joined several datagrams of one sender
    /// ([`UdpSocket::set_gro`](crate::UdpSocket::set_gro)): the bytes of each, of which the last may
    /// have fewer.
    pub segment: Option<u16>,
}

/// A datagram in a buffer of a pool, from [`Io::recv_from_each`](crate::Io::recv_from_each).
/// Dropping it gives the buffer back. It can be changed in place, and sent as it is.
#[derive(Debug)]
#[non_exhaustive]
pub struct Datagram {
    /// Who sent it.
    pub from: SocketAddr,
    /// Whether it was longer than the room for it: the rest of it is lost.
    pub truncated: bool,
    /// Where the kernel joined several datagrams of one sender
    /// ([`UdpSocket::set_gro`](crate::UdpSocket::set_gro)): the bytes of each, of which the last may
    /// have fewer.
    pub segment: Option<u16>,
    /// An empty one may have no buffer.
    pub(crate) buf: Option<PoolBuf>,
    /// Where in the buffer it begins.
    pub(crate) start: usize,
}

impl Deref for Datagram {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        self.buf.as_ref().map_or(&[], |buf| &buf[self.start..])
    }
}

impl DerefMut for Datagram {
    #[inline]
    fn deref_mut(&mut self) -> &mut [u8] {
        self.buf.as_mut().map_or(&mut [], |buf| &mut buf[self.start..])
    }
}

// SAFETY: the memory of the pool's buffer does not move, and belongs to this value alone (IoBuf of
// `PoolBuf`).
#[expect(unsafe_code, reason = "a part of a stable region")]
unsafe impl IoBuf for Datagram {
    fn as_ptr(&self) -> *const u8 {
        <[u8]>::as_ptr(self)
    }
    fn len(&self) -> usize {
        <[u8]>::len(self)
    }
}
