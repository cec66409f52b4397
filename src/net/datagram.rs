//! Datagrams that were received, and who sent them.

use std::net::SocketAddr;
use std::ops::{Deref, DerefMut};

use socket2::SockAddr;

#[cfg(unix)]
use super::address::{self, Raw};
#[cfg(unix)]
use super::{UnixAddress, system};
#[cfg(unix)]
use crate::driver::simulated;
use crate::raw::RawFd;
use crate::{IoBuf, PoolBuf};

/// The addresses of a family of sockets.
pub(crate) trait Address: Sized + 'static {
    /// Bytes that the longest one takes, as a multiple of eight.
    const LEN: u32;
    /// Whether the system may say something beside a datagram.
    const HAS_CONTROL: bool;
    /// Room for the system's structure of one, of `LEN` bytes, which starts as none of any family.
    #[cfg(unix)]
    type Raw: Default + AsRef<[u8]> + AsMut<[u8]>;
    /// The address, if it is one of this family.
    fn of(address: &SockAddr) -> Option<Self>;
    /// As [`of`](Address::of), of the bytes of the system's structure.
    #[cfg(unix)]
    fn read(bytes: &[u8]) -> Option<Self>;
    /// Writes the system's structure; says how many bytes that are.
    #[cfg(unix)]
    fn write(&self, raw: &mut [u8]) -> u32;
    /// Whether nothing from nobody says that the socket receives no more. It may be an empty
    /// datagram, too, where senders need no address.
    fn has_ended(fd: RawFd) -> bool;
}

impl Address for SocketAddr {
    /// Of IPv6: 28.
    const LEN: u32 = 32;
    const HAS_CONTROL: bool = true;
    #[cfg(unix)]
    type Raw = Raw<32>;

    #[cfg(unix)]
    #[inline]
    fn read(bytes: &[u8]) -> Option<SocketAddr> {
        system::internet_address(bytes)
    }

    #[cfg(unix)]
    #[inline]
    fn write(&self, raw: &mut [u8]) -> u32 {
        system::put_internet_address(self, raw)
    }

    fn of(address: &SockAddr) -> Option<SocketAddr> {
        address.as_socket()
    }

    fn has_ended(_fd: RawFd) -> bool {
        true
    }
}

#[cfg(unix)]
impl Address for UnixAddress {
    /// On Linux 110, on other systems 106.
    const LEN: u32 = 112;
    /// What would come are descriptors: without room for them the system closes them.
    const HAS_CONTROL: bool = false;
    type Raw = Raw<112>;

    fn read(bytes: &[u8]) -> Option<UnixAddress> {
        UnixAddress::of(address::of_bytes(bytes))
    }

    fn write(&self, raw: &mut [u8]) -> u32 {
        address::put(address::bytes_of(&self.0), raw)
    }

    fn of(address: &SockAddr) -> Option<UnixAddress> {
        UnixAddress::of(address.clone())
    }

    fn has_ended(fd: RawFd) -> bool {
        simulated::is_simulated(fd) || system::nobody_is_the_end(fd)
    }
}

/// Who sent a datagram.
pub(crate) struct Sender<A> {
    /// The system says nothing of one.
    pub(crate) is_nobody: bool,
    /// The address, if it is one of the expected family.
    pub(crate) address: Option<A>,
}

impl<A: Address> Sender<A> {
    /// As the system wrote it.
    #[cfg(unix)]
    #[inline]
    pub(crate) fn of(bytes: &[u8]) -> Sender<A> {
        Sender { is_nobody: system::family(bytes) == 0, address: A::read(bytes) }
    }

    #[cfg(windows)]
    pub(crate) fn of(address: &SockAddr) -> Sender<A> {
        Sender { is_nobody: address.family() == 0, address: A::of(address) }
    }
}

/// What [`Io::recv_from`](crate::Io::recv_from) and
/// [`Io::recv_from_unix`](crate::Io::recv_from_unix) received.
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

/// A datagram in a buffer of a pool, from [`Io::recv_from_each`](crate::Io::recv_from_each) and
/// [`Io::recv_from_unix_each`](crate::Io::recv_from_unix_each). Dropping it gives the buffer back. It
/// can be changed in place, and sent as it is.
#[derive(Debug)]
#[non_exhaustive]
pub struct Datagram<A = SocketAddr> {
    /// Who sent it.
    pub from: A,
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

impl<A> Deref for Datagram<A> {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        self.buf.as_ref().map_or(&[], |buf| &buf[self.start..])
    }
}

impl<A> DerefMut for Datagram<A> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [u8] {
        self.buf.as_mut().map_or(&mut [], |buf| &mut buf[self.start..])
    }
}

// SAFETY: the memory of the pool's buffer does not move, and belongs to this value alone (IoBuf of
// `PoolBuf`).
#[expect(unsafe_code, reason = "a part of a stable region")]
unsafe impl<A: 'static> IoBuf for Datagram<A> {
    fn as_ptr(&self) -> *const u8 {
        <[u8]>::as_ptr(self)
    }
    fn len(&self) -> usize {
        <[u8]>::len(self)
    }
}
