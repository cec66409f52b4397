//! What goes with a datagram in sendmsg(2) and recvmsg(2): an address, and a control message that
//! says how long its segments are. It lies in the operation's record, at an address that stays.
//!
//! Sources: udp(7), "UDP_SEGMENT" and "UDP_GRO"; cmsg(3).
#![expect(unsafe_code, reason = "message headers are zeroed as C wants them")]

use std::io;
use std::mem::{self, MaybeUninit};
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::ptr;

use socket2::{SockAddr, SockAddrStorage};

use super::descriptors::unpack;
use super::vectored::sized;
use crate::driver::sim;
use crate::error::NO_SEGMENTS;
use crate::net::{Address, Borrowed, UnixAddress, system};

/// Room for one control message with a number in it, aligned for its header.
type Control = [u64; 3];
/// Bytes of it.
const CONTROL_LEN: u32 = 24;
const _: () = assert!(CONTROL_LEN as usize == size_of::<Control>());

/// Bytes for control messages that come with datagrams of this family.
pub(super) const fn control_len<A: Address>() -> u32 {
    if A::HAS_CONTROL { CONTROL_LEN } else { 0 }
}

pub(crate) struct Envelope {
    header: libc::msghdr,
    vector: libc::iovec,
    /// Of whom it goes to, or comes from.
    address: SockAddrStorage,
    /// Bytes of the address that it goes to; none on a connected socket.
    address_len: libc::socklen_t,
    /// Into how long pieces it is to be split.
    segment: Option<u16>,
    control: Control,
}

impl Envelope {
    /// For a datagram that comes in.
    pub(crate) fn empty() -> Envelope {
        // SAFETY: zero is a valid value of the C structure: null pointers and no lengths.
        let header = unsafe { MaybeUninit::zeroed().assume_init() };
        Envelope {
            header,
            vector: libc::iovec { iov_base: ptr::null_mut(), iov_len: 0 },
            address: SockAddrStorage::zeroed(),
            address_len: 0,
            segment: None,
            control: [0; 3],
        }
    }

    /// For a datagram that goes to `to`, or on a connected socket to its peer; for several, when it
    /// is to be split.
    pub(crate) fn addressed(to: Option<SockAddr>, segment: Option<u16>) -> Envelope {
        let mut envelope = Envelope { segment, ..Envelope::empty() };
        if let Some(to) = to {
            envelope.address_len = to.len();
            envelope.address = to.as_storage();
        }
        envelope
    }

    fn hold(&mut self, at: *mut u8, len: usize) {
        self.vector = libc::iovec { iov_base: at.cast(), iov_len: len };
        self.header.msg_iov = &raw mut self.vector;
        self.header.msg_iovlen = 1;
    }

    /// The header of a message that sends these bytes.
    pub(crate) fn for_send(&mut self, bytes: &[u8]) -> Result<*const libc::msghdr, i32> {
        self.hold(bytes.as_ptr().cast_mut(), bytes.len());
        if self.address_len > 0 {
            self.header.msg_name = (&raw mut self.address).cast();
            self.header.msg_namelen = self.address_len;
        }
        if let Some(segment) = self.segment {
            if !system::splits_datagrams() {
                return Err(NO_SEGMENTS);
            }
            if segment == 0 {
                return Err(-libc::EINVAL);
            }
            self.header.msg_control = self.control.as_mut_ptr().cast();
            self.header.msg_controllen = CONTROL_LEN as _;
            system::put_segment(&mut self.header, segment);
        }
        Ok(&raw const self.header)
    }

    /// The header of a message that receives into so many bytes from `at` on, from a sender of
    /// this family.
    pub(crate) fn for_receive<A: Address>(&mut self, at: *mut u8, len: usize) -> *mut libc::msghdr {
        self.hold(at, len);
        self.header.msg_name = (&raw mut self.address).cast();
        self.header.msg_namelen = self.address.size_of();
        if A::HAS_CONTROL {
            self.header.msg_control = self.control.as_mut_ptr().cast();
        }
        self.header.msg_controllen = control_len::<A>() as _;
        self.header.msg_flags = 0;
        &raw mut self.header
    }

    /// The header of messages that are received into provided buffers, each with an address and
    /// a control message of this family before it.
    #[cfg(target_os = "linux")]
    pub(super) fn for_many<A: Address>(&mut self) -> *const libc::msghdr {
        // A receive of one may have gone before it: the kernel would keep to that one's room.
        self.header = Envelope::empty().header;
        self.header.msg_namelen = A::LEN;
        self.header.msg_controllen = control_len::<A>() as _;
        &raw const self.header
    }

    /// What [`for_many`](Envelope::for_many) asked for.
    #[cfg(target_os = "linux")]
    pub(super) fn header(&self) -> &libc::msghdr {
        &self.header
    }

    /// Where a datagram goes, and into how long pieces it is to be split.
    pub(super) fn destination(&mut self) -> (Option<SocketAddr>, Option<u16>) {
        (self.address().as_socket(), self.segment)
    }

    /// To which Unix socket a datagram goes.
    pub(super) fn unix_destination(&mut self) -> Option<UnixAddress> {
        UnixAddress::of(self.address())
    }

    /// Of whom it goes to.
    fn address(&mut self) -> SockAddr {
        let address = mem::replace(&mut self.address, SockAddrStorage::zeroed());
        // SAFETY: `addressed` wrote so many bytes of an address there, or none.
        let address = unsafe { SockAddr::new(address, self.address_len) };
        self.address = address.clone().as_storage();
        address
    }

    /// Takes down what a simulated system says of a datagram: who sent it, and whether it was cut.
    pub(super) fn received(&mut self, (from, cut): sim::Sender) {
        self.address = SockAddrStorage::zeroed();
        self.header.msg_namelen = 0;
        if let Some(from) = from {
            self.header.msg_namelen = from.len();
            self.address = from.as_storage();
        }
        self.header.msg_controllen = 0;
        self.header.msg_flags = if cut { libc::MSG_TRUNC } else { 0 };
    }

    /// Who sent what was received. Without an address it is of no family.
    pub(crate) fn sender(&mut self) -> SockAddr {
        let address = mem::replace(&mut self.address, SockAddrStorage::zeroed());
        let len = self.header.msg_namelen.min(address.size_of());
        // SAFETY: the storage was zeroed, or written by the kernel, which also gave the length, cut
        // here to the storage's own.
        unsafe { SockAddr::new(address, len) }
    }

    /// Whether what was received has no sender.
    pub(crate) fn is_from_nobody(&mut self) -> bool {
        // SAFETY: it is one of the system's address structures, and any bytes are a value of it.
        unsafe { self.address.view_as::<libc::sockaddr>() }.sa_family == 0
    }

    /// Closes what came with a message of a socket that the receive was not meant for: control
    /// messages of a Unix socket may be descriptors.
    #[cold]
    pub(crate) fn close_descriptors(&mut self) {
        unpack(&mut self.header, &mut self.control, drop);
    }

    /// Whether what was received did not fit.
    pub(crate) fn is_cut(&self) -> bool {
        self.header.msg_flags & libc::MSG_TRUNC != 0
    }

    /// The length of the datagrams that were received as one.
    pub(crate) fn segment(&self) -> Option<u16> {
        system::segment(&self.header)
    }
}

/// An address as the kernel wrote it, in a buffer.
#[cfg(target_os = "linux")]
pub(super) fn address(bytes: &[u8]) -> SockAddr {
    let mut address = SockAddrStorage::zeroed();
    let len = bytes.len().min(address.size_of() as usize);
    // SAFETY: any bytes are a valid value of the storage, which is at least so long.
    unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), (&raw mut address).cast(), len) };
    // SAFETY: as in `sender`.
    unsafe { SockAddr::new(address, len as libc::socklen_t) }
}

/// The length of datagrams that were received as one, from the control message in a buffer.
#[cfg(target_os = "linux")]
pub(super) fn segment_in(control: &[u8]) -> Option<u16> {
    let mut header = Envelope::empty().header;
    header.msg_control = control.as_ptr().cast_mut().cast();
    header.msg_controllen = control.len() as _;
    system::segment(&header)
}

/// sendmsg(2), of a header that an envelope has just given out.
pub(super) fn send(socket: &Borrowed, header: *const libc::msghdr) -> io::Result<usize> {
    // SAFETY: the header and what it refers to are the operation's, and stay during the call.
    sized(unsafe { libc::sendmsg(socket.as_raw_fd(), header, system::SEND_AT_ONCE) })
}

/// recvmsg(2), into a header that an envelope has just given out.
pub(super) fn receive(socket: &Borrowed, header: *mut libc::msghdr) -> io::Result<usize> {
    // SAFETY: as for `send`.
    sized(unsafe { libc::recvmsg(socket.as_raw_fd(), header, system::RECV_AT_ONCE) })
}
