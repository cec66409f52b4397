//! Receiving datagrams again and again into the buffers of a pool; an idle socket holds none.
//!
//! ```text
//!   a buffer:   ┌───────────────── HEAD ─────────────────┬─────────────────────┐
//!               │ how much ─ sender ─ length of segments │ datagram, or a part │
//!               └────────────────────────────────────────┴─────────────────────┘
//! ```
//!
//! The kernel writes the head where it has multishot receives. In all other ways the head lies in
//! the operation, and its room is left free all the same: where a datagram is cut does not depend
//! on the way. How buffers are come by is as in `recv_each.rs`.
//!
//! An empty datagram is an item. What is the end of a stream (nothing, and from nobody) is here
//! that of a socket which was shut down.
//! Sources: io_uring_prep_recvmsg_multishot(3), kernel 6.0+; recvmsg(2); udp(7), "Error handling".

#[cfg(target_os = "linux")]
use io_uring::squeue::Flags;
#[cfg(target_os = "linux")]
use io_uring::types::RecvMsgOut;
#[cfg(target_os = "linux")]
use io_uring::{opcode, types};

use super::envelope::{self, Envelope};
use super::supply::Supply;
use super::{Completion, Direction, Multishot, Op, Rearm, Start};
use crate::Io;
use crate::buf::PoolBuf;
#[cfg(unix)]
use crate::driver::Interest;
#[cfg(windows)]
use crate::driver::iocp;
#[cfg(unix)]
use crate::driver::readiness;
use crate::driver::sim;
#[cfg(target_os = "linux")]
use crate::driver::uring;
use crate::error::code;
use crate::net::{Address, Datagram, Sender, system};
use crate::raw::RawFd;

/// `A` is the family of the senders' addresses.
pub(crate) struct RecvFromEach<A: Address> {
    supply: Supply,
    envelope: Envelope<A>,
    /// Bytes of a buffer for the datagram.
    #[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "only io_uring asks"))]
    room: usize,
    /// The kernel writes the head.
    #[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "only io_uring asks"))]
    multishot: bool,
    fd: RawFd,
    /// The socket was shut down.
    ended: bool,
}

impl<A: Address> RecvFromEach<A> {
    /// Bytes of a buffer that are before the datagram. So it begins at a multiple of eight.
    const HEAD_LEN: u32 = 16 + A::LEN + envelope::control_len::<A>();
    pub(crate) const HEAD: usize = Self::HEAD_LEN as usize;

    /// `room` is what the head leaves of a buffer.
    pub(crate) fn new(supply: Supply, room: usize) -> RecvFromEach<A> {
        let envelope = Envelope::empty();
        RecvFromEach { supply, envelope, room, multishot: false, fd: -1, ended: false }
    }

    #[cfg(target_os = "linux")]
    fn without_ring(&mut self, place: &mut uring::Place<'_>) -> Start {
        let fd = types::Fd(place.fd);
        if !self.supply.readable {
            let events = libc::POLLIN.unsigned_abs();
            return place.submit(opcode::PollAdd::new(fd, u32::from(events)).build());
        }
        let Some(mut taken) = self.supply.take() else { return Start::Ready(-code::NO_BUFFERS) };
        let room = &mut taken.room()[Self::HEAD..];
        let header = self.envelope.for_receive(room.as_mut_ptr().cast(), room.len());
        let entry = opcode::RecvMsg::new(fd, header);
        let start = place.submit(entry.flags(libc::MSG_DONTWAIT.cast_unsigned()).build());
        self.supply.tried(taken, &start);
        start
    }

    /// The datagram in a buffer that the kernel wrote a head to.
    #[cfg(target_os = "linux")]
    fn with_head(&mut self, buf: PoolBuf) -> Option<Datagram<A>> {
        let received = RecvMsgOut::parse(&buf, self.envelope.header()).ok()?;
        let from = Sender::of(received.name_data());
        let truncated = received.is_payload_truncated();
        let segment = envelope::segment_in(received.control_data());
        self.datagram(Some(buf), Self::HEAD, from, (truncated, segment))
    }

    /// The datagram whose head is in the operation.
    #[inline(always)]
    fn without_head(&mut self, buf: Option<PoolBuf>, start: usize) -> Option<Datagram<A>> {
        let (truncated, segment) = (self.envelope.is_cut(), self.envelope.segment());
        let from = self.envelope.sender();
        self.datagram(buf, start, from, (truncated, segment))
    }

    #[inline(always)]
    fn datagram(
        &mut self,
        buf: Option<PoolBuf>,
        start: usize,
        from: Sender<A>,
        (truncated, segment): (bool, Option<u16>),
    ) -> Option<Datagram<A>> {
        let is_empty = buf.as_ref().is_none_or(|buf| buf.len() <= start);
        let ended = is_empty && from.is_nobody && A::has_ended(self.fd);
        let from = from.address.filter(|_| !ended);
        self.ended |= from.is_none();
        from.map(|from| Datagram { from, truncated, segment, buf, start })
    }
}

impl<A: Address> Multishot for RecvFromEach<A> {
    type Item = Datagram<A>;
    const DIRECTION: Direction = Direction::In;

    #[cfg(target_os = "linux")]
    fn uring(&mut self, place: &mut uring::Place<'_>) -> Start {
        self.fd = place.fd;
        let Some(group) = self.supply.group() else { return self.without_ring(place) };
        let fd = types::Fd(place.fd);
        // A turn is one receive of what is there.
        let has_turn = self.supply.has_turn();
        self.multishot = place.features().recv_multishot && !has_turn;
        place.submit(if self.multishot {
            let header = self.envelope.for_many();
            opcode::RecvMsgMulti::new(fd, header, group).build()
        } else {
            let header = self.envelope.for_receive(std::ptr::null_mut(), self.room);
            let how = if has_turn { libc::MSG_DONTWAIT.cast_unsigned() } else { 0 };
            let entry = opcode::RecvMsg::new(fd, header).buf_group(group).flags(how).build();
            entry.flags(Flags::BUFFER_SELECT)
        })
    }

    #[cfg(unix)]
    #[inline(always)]
    fn readiness(&mut self, place: &mut readiness::Place<'_>) -> Start {
        self.fd = place.fd;
        if !place.is_worth_trying(Interest::Readable) {
            return Start::Await(Interest::Readable);
        }
        let Some(mut taken) = self.supply.take() else { return Start::Ready(-code::NO_BUFFERS) };
        let room = &mut taken.room()[Self::HEAD..];
        let header = self.envelope.for_receive(room.as_mut_ptr().cast(), room.len());
        let start = place.recv_datagram(|socket| envelope::receive(socket, header));
        self.supply.tried(taken, &start);
        start
    }

    fn sim(&mut self, place: &mut sim::Place<'_>) -> Start {
        self.fd = place.fd();
        let taken = if place.lacks_buffers() { None } else { self.supply.take() };
        let Some(mut taken) = taken else { return Start::Ready(-code::NO_BUFFERS) };
        let mut sender = (None, false);
        let start = place.recv_from(&mut taken.room()[Self::HEAD..], &mut sender);
        self.envelope.received(sender);
        self.supply.tried(taken, &start);
        start
    }

    #[cfg(windows)]
    fn iocp(&mut self, place: &mut iocp::Place<'_>) -> Start {
        self.fd = place.fd;
        let Some(mut taken) = self.supply.take() else { return Start::Ready(-code::NO_BUFFERS) };
        let room = &mut taken.room()[Self::HEAD..];
        let start = place.recv_datagram(|socket| self.envelope.receive(socket, room));
        self.supply.tried(taken, &start);
        start
    }

    #[inline]
    fn item(&mut self, _io: &Io, completion: Completion) -> Option<Datagram<A>> {
        let len = u32::try_from(completion.result).ok();
        match (completion.buffer(), len) {
            #[cfg(target_os = "linux")]
            (Some(id), Some(len)) if self.multishot => {
                let buf = self.supply.received(id, len);
                self.with_head(buf)
            }
            (Some(id), Some(len)) => {
                let buf = self.supply.received(id, len);
                self.without_head(Some(buf), 0)
            }
            (Some(id), None) => {
                self.supply.unfilled(id);
                None
            }
            (None, len) => {
                // An empty datagram may leave a buffer in its ring.
                let in_ring = len == Some(0) && self.supply.has_ring();
                let buf = self.supply.filled(len.map(|len| len + Self::HEAD_LEN));
                self.supply.void_promise();
                if buf.is_some() || in_ring { self.without_head(buf, Self::HEAD) } else { None }
            }
        }
    }

    #[inline]
    fn ended(&mut self, io: &Io, op: Op, result: i32) -> Rearm {
        if self.ended {
            return Rearm::Done(0);
        }
        if is_of_an_earlier_send(-result) && !io.core.has_peer(op) {
            return Rearm::Again;
        }
        self.supply.ended_never(op, result)
    }

    fn discard(&mut self, completion: Completion) {
        self.supply.discard(completion);
    }
}

/// Whether an error may have come in an ICMP message. A socket without a peer receives from many, and goes on.
fn is_of_an_earlier_send(code: i32) -> bool {
    system::OF_AN_EARLIER_SEND.contains(&code)
}
