//! What goes with a datagram on Windows: an address, and how long those are that were joined. It lies in
//! the operation's record.
//!
//! Datagrams are sent and received by calls that do not wait, and the loop waits for readiness: a
//! receive keeps no buffer meanwhile, and of one that was cut it is known at once.
//! Sources: WSARecvMsg, WSASendTo and WSASendMsg in Microsoft's documentation.

use std::io;
use std::marker::PhantomData;
use std::mem::{self, MaybeUninit};
use std::net::SocketAddr;

use socket2::SockAddr;

use crate::driver::sim;
use crate::error::NO_SEGMENTS;
use crate::net::system::Letter;
use crate::net::{Address, Borrowed, Sender, borrow, system};
use crate::raw::RawFd;

/// What a buffer of a pool has room for before a datagram, beside an address.
pub(super) const fn control_len<A: Address>() -> u32 {
    if A::HAS_CONTROL { 24 } else { 0 }
}

/// `A` is the family of the address.
pub(crate) struct Envelope<A> {
    to: Option<SockAddr>,
    segment: Option<u16>,
    from: Letter,
    family: PhantomData<A>,
}

impl Envelope<SocketAddr> {
    /// For a datagram that goes to `to`, or on a connected socket to its peer.
    pub(crate) fn addressed(to: Option<&SocketAddr>, segment: Option<u16>) -> Envelope<SocketAddr> {
        let to = to.map(|&to| to.into());
        Envelope { to, segment, ..Envelope::empty() }
    }
}

impl<A: Address> Envelope<A> {
    /// For a datagram that comes in.
    pub(crate) fn empty() -> Envelope<A> {
        Envelope { to: None, segment: None, from: Letter::default(), family: PhantomData }
    }

    /// Why it cannot be sent.
    pub(super) fn refusal(&self, socket: RawFd) -> Option<i32> {
        let splits = || system::splits(&borrow(&socket));
        (self.segment.is_some() && !splits()).then_some(NO_SEGMENTS)
    }

    pub(super) fn send(&self, socket: &Borrowed, bytes: &[u8]) -> io::Result<usize> {
        match (self.segment, &self.to) {
            (Some(segment), to) => system::send_segments(socket, to.as_ref(), bytes, segment),
            (None, Some(to)) => socket.send_to(bytes, to),
            (None, None) => socket.send(bytes),
        }
    }

    pub(super) fn receive(
        &mut self,
        socket: &Borrowed,
        room: &mut [MaybeUninit<u8>],
    ) -> io::Result<usize> {
        self.from = system::recv_datagram(socket, room)?;
        Ok(self.from.len)
    }

    /// Where a datagram goes, and into how long pieces it is to be split.
    pub(super) fn destination(&self) -> (Option<A>, Option<u16>) {
        (self.to.as_ref().and_then(A::of), self.segment)
    }

    /// Takes down what a simulated system says of a datagram: who sent it, and whether it was cut.
    pub(super) fn received(&mut self, (from, is_cut): sim::Sender) {
        self.from = Letter { is_cut, from, ..Letter::default() };
    }

    /// Who sent what was received.
    pub(crate) fn sender(&mut self) -> Sender<A> {
        Sender::of(&mem::take(&mut self.from).address())
    }

    /// Whether what was received has no sender.
    pub(crate) fn is_from_nobody(&mut self) -> bool {
        self.from.address().family() == 0
    }

    /// Nothing comes with a message that would have to be closed.
    pub(crate) fn close_descriptors(&mut self) {}

    /// Whether what was received did not fit.
    pub(crate) fn is_cut(&self) -> bool {
        self.from.is_cut
    }

    /// The length of the datagrams that were received as one.
    pub(crate) fn segment(&self) -> Option<u16> {
        self.from.segment
    }
}
