//! Receiving again and again into the buffers of a pool; an idle connection holds none.
//!
//! ```text
//!   with a ring of provided buffers:   RECV, multishot where it can be ──▶ items
//!     of a stream that brings much:    RECV ──▶ item, answer, RECV ──▶ item
//!   without:                           POLL_ADD ──readable──▶ take a buffer, RECV ──▶ item
//!                                         ▲───────── would block ─────────────┘
//!   readiness, a port:                 take a buffer, recv ──▶ item
//!                                      would block: give the buffer back, and wait
//! ```
//!
//! When the pool is empty the operation waits for a buffer to come back, and only then asks the
//! kernel again: neither a busy loop nor an `ENOBUFS` that the caller sees. While others wait it goes
//! behind them (`buf/pool/turns.rs`), and receives once when it is its turn, what is there then.
//!
//! A multishot receive takes what has just arrived, however little of what is under way that is. A
//! stream that brings much at a time is received from once, and again when the callback has had that
//! and what it sends is submitted: meanwhile more gathers, for fewer and larger receives and answers.
//! Sources: io_uring_prep_recv_multishot(3), kernel 6.0+; `IOSQE_BUFFER_SELECT` in
//! io_uring_enter(2).

#[cfg(target_os = "linux")]
use io_uring::squeue::Flags;
#[cfg(target_os = "linux")]
use io_uring::{opcode, types};

use super::supply::Supply;
use super::{Completion, Direction, MORE, Multishot, Op, Rearm, Start};
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

/// A stream that brings more than so many bytes at a time is received from once at a time …
const MUCH: u32 = 32 << 10;
/// … until it brings less than so many.
const LITTLE: u32 = 24 << 10;
/// `IORING_RECVSEND_POLL_FIRST`: wait for readiness, and only then try (io_uring_enter(2), kernel
/// 5.19+).
#[cfg(target_os = "linux")]
const POLL_FIRST: u16 = 1;
/// A receive counts by one part in so many towards what is typical.
const TYPICAL_OF: u32 = 8;

pub(crate) struct RecvEach {
    supply: Supply,
    /// With a ring: bytes that are received at a time of late.
    typical: u32,
    /// With a ring: the kernel receives again by itself, as far as it can.
    multishot: bool,
}

impl RecvEach {
    pub(crate) fn new(supply: Supply) -> RecvEach {
        RecvEach { supply, typical: 0, multishot: true }
    }

    #[cfg(target_os = "linux")]
    fn once(&self, place: &mut uring::Place<'_>, group: u16) -> Start {
        let entry = opcode::Recv::new(types::Fd(place.fd), std::ptr::null_mut(), 0);
        let entry = match (self.supply.has_turn(), self.multishot) {
            (true, _) => entry.flags(libc::MSG_DONTWAIT),
            (false, true) => entry,
            // What is there by now would be had at once, and be less.
            (false, false) => entry.ioprio(POLL_FIRST),
        };
        place.submit(entry.buf_group(group).build().flags(Flags::BUFFER_SELECT))
    }

    /// Counts what was received. From a stream that turns out to bring much, a multishot receive is
    /// taken back; that it was is no news to the caller, as after a pause.
    #[inline(always)]
    fn learn(&mut self, io: &Io, completion: Completion, len: u32) {
        self.typical = self.typical - self.typical / TYPICAL_OF + len / TYPICAL_OF;
        if !self.multishot {
            self.multishot = self.typical < LITTLE;
        } else if self.typical > MUCH {
            self.multishot = false;
            if completion.flags & MORE != 0 {
                io.core.state.borrow_mut().cancel_in_driver(completion.index);
            }
        }
    }

    #[cfg(target_os = "linux")]
    fn without_ring(&mut self, place: &mut uring::Place<'_>) -> Start {
        let fd = types::Fd(place.fd);
        if !self.supply.readable {
            let events = libc::POLLIN.unsigned_abs();
            return place.submit(opcode::PollAdd::new(fd, u32::from(events)).build());
        }
        let Some(taken) = self.supply.take() else { return Start::Ready(-code::NO_BUFFERS) };
        let (at, size) = taken.parts();
        let entry = opcode::Recv::new(fd, at, size);
        let start = place.submit(entry.flags(libc::MSG_DONTWAIT).build());
        self.supply.tried(taken, &start);
        start
    }

    /// The item of a receive into a buffer that the operation took; a poll has none.
    #[inline(always)]
    fn filled(&mut self, result: i32) -> Option<PoolBuf> {
        self.supply.filled(u32::try_from(result).ok().filter(|&len| len > 0))
    }
}

impl Multishot for RecvEach {
    type Item = PoolBuf;
    const DIRECTION: Direction = Direction::In;

    #[cfg(target_os = "linux")]
    fn uring(&mut self, place: &mut uring::Place<'_>) -> Start {
        let Some(group) = self.supply.group() else { return self.without_ring(place) };
        if self.multishot && place.features().recv_multishot && !self.supply.has_turn() {
            place.submit(opcode::RecvMulti::new(types::Fd(place.fd), group).build())
        } else {
            self.once(place, group)
        }
    }

    #[cfg(unix)]
    #[inline(always)]
    fn readiness(&mut self, place: &mut readiness::Place<'_>) -> Start {
        if !place.is_worth_trying(Interest::Readable) {
            return Start::Await(Interest::Readable);
        }
        let Some(mut taken) = self.supply.take() else { return Start::Ready(-code::NO_BUFFERS) };
        let start = place.recv(taken.room());
        self.supply.tried(taken, &start);
        start
    }

    fn sim(&mut self, place: &mut sim::Place<'_>) -> Start {
        let taken = if place.lacks_buffers() { None } else { self.supply.take() };
        let Some(mut taken) = taken else { return Start::Ready(-code::NO_BUFFERS) };
        let start = place.recv(taken.room());
        self.supply.tried(taken, &start);
        start
    }

    #[cfg(windows)]
    #[inline(always)]
    fn iocp(&mut self, place: &mut iocp::Place<'_>) -> Start {
        let Some(mut taken) = self.supply.take() else { return Start::Ready(-code::NO_BUFFERS) };
        let start = place.recv_now(taken.room());
        self.supply.tried(taken, &start);
        start
    }

    #[inline(always)]
    fn item(&mut self, io: &Io, completion: Completion) -> Option<PoolBuf> {
        let Some(id) = completion.buffer() else {
            let buf = self.filled(completion.result);
            self.supply.void_promise();
            return buf;
        };
        let Ok(len @ 1..) = u32::try_from(completion.result) else {
            // The end of the stream, or an error, may carry a buffer.
            self.supply.unfilled(id);
            return None;
        };
        self.learn(io, completion, len);
        Some(self.supply.received(id, len))
    }

    #[inline]
    fn ended(&mut self, _io: &Io, op: Op, result: i32) -> Rearm {
        self.supply.ended(op, result)
    }

    fn discard(&mut self, completion: Completion) {
        self.supply.discard(completion);
    }
}
