//! What goes with a datagram in sendmsg(2) and recvmsg(2): an address, and a control message that
//! says how long its segments are. It lies in the operation's record, at an address that stays.
//!
//! Sources: udp(7), "UDP_SEGMENT" and "UDP_GRO"; cmsg(3).
#![expect(unsafe_code, reason = "message headers are zeroed as C wants them")]

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::AsRawFd;
use std::ptr;

use super::descriptors::unpack;
use super::vectored::sized;
use crate::driver::sim;
use crate::error::NO_SEGMENTS;
use crate::net::{Address, Borrowed, Sender, address, system};

/// Room for one control message with a number in it, aligned for its header.
type Control = [u64; 3];
/// Bytes of it.
const CONTROL_LEN: u32 = 24;
const _: () = assert!(CONTROL_LEN as usize == size_of::<Control>());

/// Bytes for control messages that come with datagrams of this family.
pub(super) const fn control_len<A: Address>() -> u32 {
    if A::HAS_CONTROL { CONTROL_LEN } else { 0 }
}

/// `A` is the family of the address.
pub(crate) struct Envelope<A: Address> {
    header: libc::msghdr,
    vector: libc::iovec,
    /// Of whom it goes to, or comes from.
    address: A::Raw,
    /// Bytes of the address that it goes to; none on a connected socket.
    address_len: libc::socklen_t,
    /// Into how long pieces it is to be split.
    segment: Option<u16>,
    control: Control,
}

/// A header of nothing.
fn no_header() -> libc::msghdr {
    // SAFETY: zero is a valid value of the C structure: null pointers and no lengths.
    unsafe { MaybeUninit::zeroed().assume_init() }
}

impl<A: Address> Envelope<A> {
    /// For a datagram that comes in.
    #[inline]
    pub(crate) fn empty() -> Envelope<A> {
        Envelope {
            header: no_header(),
            vector: libc::iovec { iov_base: ptr::null_mut(), iov_len: 0 },
            address: A::Raw::default(),
            address_len: 0,
            segment: None,
            control: [0; 3],
        }
    }

    /// For a datagram that goes to `to`, or on a connected socket to its peer; for several, when it
    /// is to be split.
    #[inline]
    pub(crate) fn addressed(to: Option<&A>, segment: Option<u16>) -> Envelope<A> {
        let mut envelope = Envelope::<A> { segment, ..Envelope::empty() };
        if let Some(to) = to {
            envelope.address_len = to.write(envelope.address.as_mut());
        }
        envelope
    }

    #[inline]
    fn hold(&mut self, at: *mut u8, len: usize) {
        self.vector = libc::iovec { iov_base: at.cast(), iov_len: len };
        self.header.msg_iov = &raw mut self.vector;
        self.header.msg_iovlen = 1;
    }

    /// The header of a message that sends these bytes.
    #[inline]
    pub(crate) fn for_send(&mut self, bytes: &[u8]) -> Result<*const libc::msghdr, i32> {
        self.hold(bytes.as_ptr().cast_mut(), bytes.len());
        if self.address_len > 0 {
            self.header.msg_name = self.address.as_mut().as_mut_ptr().cast();
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
    #[inline]
    pub(crate) fn for_receive(&mut self, at: *mut u8, len: usize) -> *mut libc::msghdr {
        self.hold(at, len);
        // From nobody, unless the kernel says from whom.
        self.address = A::Raw::default();
        self.header.msg_name = self.address.as_mut().as_mut_ptr().cast();
        self.header.msg_namelen = A::LEN;
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
    pub(super) fn for_many(&mut self) -> *const libc::msghdr {
        // A receive of one may have gone before it: the kernel would keep to that one's room.
        self.header = no_header();
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
    pub(super) fn destination(&self) -> (Option<A>, Option<u16>) {
        (A::read(&self.address.as_ref()[..self.address_len as usize]), self.segment)
    }

    /// Takes down what a simulated system says of a datagram: who sent it, and whether it was cut.
    pub(super) fn received(&mut self, (from, cut): sim::Sender) {
        self.address = A::Raw::default();
        let from = from.as_ref().map_or(&[][..], address::bytes_of);
        self.header.msg_namelen = address::put(from, self.address.as_mut());
        self.header.msg_controllen = 0;
        self.header.msg_flags = if cut { libc::MSG_TRUNC } else { 0 };
    }

    /// Who sent what was received.
    #[inline]
    pub(crate) fn sender(&self) -> Sender<A> {
        let bytes = self.address.as_ref();
        // The kernel says how long the address is, also where it is of a family with longer ones.
        Sender::of(&bytes[..bytes.len().min(self.header.msg_namelen as usize)])
    }

    /// Whether what was received has no sender.
    pub(crate) fn is_from_nobody(&self) -> bool {
        system::family(self.address.as_ref()) == 0
    }

    /// Closes what came with a message of a socket that the receive was not meant for: control
    /// messages of a Unix socket may be descriptors.
    #[cold]
    pub(crate) fn close_descriptors(&mut self) {
        unpack(&mut self.header, &mut self.control, drop);
    }

    /// Whether what was received did not fit.
    #[inline]
    pub(crate) fn is_cut(&self) -> bool {
        self.header.msg_flags & libc::MSG_TRUNC != 0
    }

    /// The length of the datagrams that were received as one.
    #[inline]
    pub(crate) fn segment(&self) -> Option<u16> {
        system::segment(&self.header)
    }
}

/// The length of datagrams that were received as one, from the control message in a buffer.
#[cfg(target_os = "linux")]
#[inline]
pub(super) fn segment_in(control: &[u8]) -> Option<u16> {
    if control.is_empty() {
        return None;
    }
    let mut header = no_header();
    header.msg_control = control.as_ptr().cast_mut().cast();
    header.msg_controllen = control.len() as _;
    system::segment(&header)
}

/// sendmsg(2), of a header that an envelope has just given out.
#[inline]
pub(super) fn send(socket: &Borrowed, header: *const libc::msghdr) -> io::Result<usize> {
    // SAFETY: the header and what it refers to are the operation's, and stay during the call.
    sized(unsafe { libc::sendmsg(socket.as_raw_fd(), header, system::SEND_AT_ONCE) })
}

/// recvmsg(2), into a header that an envelope has just given out.
#[inline]
pub(super) fn receive(socket: &Borrowed, header: *mut libc::msghdr) -> io::Result<usize> {
    // SAFETY: as for `send`.
    sized(unsafe { libc::recvmsg(socket.as_raw_fd(), header, system::RECV_AT_ONCE) })
}
