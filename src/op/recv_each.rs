//! Receiving again and again into the buffers of a pool; an idle connection holds none.
//!
//! ```text
//!   with a ring of provided buffers:   RECV, multishot where it can be ──▶ items
//!   without:                           POLL_ADD ──readable──▶ take a buffer, RECV ──▶ item
//!                                         ▲───────── would block ─────────────┘
//!   readiness, a port:                 take a buffer, recv ──▶ item
//!                                      would block: give the buffer back, and wait
//! ```
//!
//! When the pool is empty the operation waits for a buffer to come back, and only then asks the
//! kernel again: neither a busy loop nor an `ENOBUFS` that the caller sees.
//! Sources: io_uring_prep_recv_multishot(3), kernel 6.0+; `IOSQE_BUFFER_SELECT` in
//! io_uring_enter(2).

#[cfg(target_os = "linux")]
use io_uring::squeue::Flags;
#[cfg(target_os = "linux")]
use io_uring::{opcode, types};

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
#[cfg(unix)]
use crate::driver::sim;
#[cfg(target_os = "linux")]
use crate::driver::uring;
use crate::error::code;

pub(crate) struct RecvEach {
    pub(crate) supply: Supply,
}

impl RecvEach {
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
        place.submit(entry.flags(libc::MSG_DONTWAIT).build())
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
        let fd = types::Fd(place.fd);
        place.submit(if place.features().recv_multishot {
            opcode::RecvMulti::new(fd, group).build()
        } else {
            let entry = opcode::Recv::new(fd, std::ptr::null_mut(), 0).buf_group(group).build();
            entry.flags(Flags::BUFFER_SELECT)
        })
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

    #[cfg(unix)]
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
    fn item(&mut self, _io: &Io, completion: Completion) -> Option<PoolBuf> {
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
