//! Receiving again and again into the buffers of a pool; an idle connection holds none.
//!
//! ```text
//!   with a ring of provided buffers:   RECV, multishot where it can be ──▶ items
//!   without:                           POLL_ADD ──readable──▶ take a buffer, RECV ──▶ item
//!                                         ▲───────── would block ─────────────┘
//!   readiness:                         take a buffer, recv ──▶ item
//!                                      would block: give the buffer back, and wait
//! ```
//!
//! When the pool is empty the operation waits for a buffer to come back, and only then asks the
//! kernel again: neither a busy loop nor an `ENOBUFS` that the caller sees.
//! Sources: io_uring_prep_recv_multishot(3), kernel 6.0+; `IOSQE_BUFFER_SELECT` in
//! io_uring_enter(2).

use std::rc::Rc;

#[cfg(target_os = "linux")]
use io_uring::squeue::Flags;
#[cfg(target_os = "linux")]
use io_uring::{opcode, types};

use super::{Completion, Direction, Multishot, Op, Rearm, Start};
use crate::Io;
use crate::buf::{PoolBuf, PoolShared};
use crate::driver::readiness::{self, Interest};
#[cfg(target_os = "linux")]
use crate::driver::uring;

pub(crate) struct RecvEach {
    pool: Rc<PoolShared>,
    /// The number of the kernel's ring of buffers.
    group: Option<u16>,
    /// With a ring: a buffer was promised, and not yet had.
    promised: bool,
    /// It waits to be started with a buffer promised.
    waits: bool,
    /// Without a ring: there is data, so a buffer is worth taking.
    readable: bool,
    /// Without a ring: the buffer that is being received into.
    taken: Option<u16>,
}

impl RecvEach {
    pub(crate) fn new(pool: &Rc<PoolShared>) -> RecvEach {
        let group = pool.group();
        RecvEach {
            pool: Rc::clone(pool),
            group,
            promised: false,
            waits: false,
            readable: false,
            taken: None,
        }
    }

    #[cfg(target_os = "linux")]
    fn without_ring(&mut self, place: &mut uring::Place<'_>) -> Start {
        let fd = types::Fd(place.fd);
        if !self.readable {
            let events = libc::POLLIN.unsigned_abs();
            return place.submit(opcode::PollAdd::new(fd, u32::from(events)).build());
        }
        let Some(taken) = self.pool.take() else { return Start::Ready(-libc::ENOBUFS) };
        self.taken = Some(taken.id());
        let (at, size) = taken.parts();
        let entry = opcode::Recv::new(fd, at, size);
        place.submit(entry.flags(libc::MSG_DONTWAIT).build())
    }

    /// Any completion keeps the promise of a buffer, or makes it void.
    #[inline]
    fn void_promise(&mut self) {
        if self.promised {
            self.promised = false;
            self.pool.release_promise();
        }
    }

    /// The item of a receive into a buffer that the operation took; a poll has none.
    #[inline(always)]
    fn filled(&mut self, result: i32) -> Option<PoolBuf> {
        let id = self.taken.take()?;
        match u32::try_from(result) {
            Ok(len) if len > 0 => Some(PoolShared::filled(&self.pool, id, len)),
            _ => {
                self.pool.put_back(id);
                None
            }
        }
    }

    fn ended_without_data(&mut self, op: Op, result: i32) -> Rearm {
        match -result {
            0 => Rearm::Done(0),
            libc::ENOBUFS if self.group.is_some() => {
                self.promised = self.pool.starved(op);
                self.waits = !self.promised;
                if self.promised { Rearm::Again } else { Rearm::Parked }
            }
            libc::ENOBUFS if self.pool.none_left(op) => Rearm::Parked,
            libc::EAGAIN => {
                self.readable = false;
                Rearm::Again
            }
            libc::ENOBUFS | libc::EINTR => Rearm::Again,
            _ => Rearm::Done(result),
        }
    }
}

impl Multishot for RecvEach {
    type Item = PoolBuf;
    const DIRECTION: Direction = Direction::In;

    #[cfg(target_os = "linux")]
    fn uring(&mut self, place: &mut uring::Place<'_>) -> Start {
        let Some(group) = self.group else { return self.without_ring(place) };
        let fd = types::Fd(place.fd);
        // Who starts an operation that waits has promised it a buffer.
        self.promised |= std::mem::take(&mut self.waits);
        place.submit(if place.features().recv_multishot {
            opcode::RecvMulti::new(fd, group).build()
        } else {
            let entry = opcode::Recv::new(fd, std::ptr::null_mut(), 0).buf_group(group).build();
            entry.flags(Flags::BUFFER_SELECT)
        })
    }

    #[inline(always)]
    fn readiness(&mut self, place: &mut readiness::Place<'_>) -> Start {
        if !place.is_worth_trying(Interest::Readable) {
            return Start::Await(Interest::Readable);
        }
        let Some(mut taken) = self.pool.take() else { return Start::Ready(-libc::ENOBUFS) };
        self.readable = true;
        let start = place.recv(taken.room());
        if matches!(start, Start::Await(_)) {
            self.pool.put_back_untold(taken);
        } else {
            self.taken = Some(taken.id());
        }
        start
    }

    #[inline(always)]
    fn item(&mut self, _io: &Io, completion: Completion) -> Option<PoolBuf> {
        let Some(id) = completion.buffer() else {
            let buf = self.filled(completion.result);
            self.void_promise();
            return buf;
        };
        let Ok(len @ 1..) = u32::try_from(completion.result) else {
            // The end of the stream, or an error, may carry a buffer.
            self.pool.unfilled(id);
            self.void_promise();
            return None;
        };
        let buf = PoolShared::received(&self.pool, id, len);
        self.void_promise();
        Some(buf)
    }

    #[inline]
    fn ended(&mut self, _io: &Io, op: Op, result: i32) -> Rearm {
        self.waits = false;
        if result > 0 {
            // Without a ring: a receive is worth its buffer, for the poll or the last one had data.
            self.readable = true;
            return Rearm::Again;
        }
        self.ended_without_data(op, result)
    }

    fn discard(&mut self, completion: Completion) {
        match completion.buffer() {
            Some(id) => self.pool.unfilled(id),
            None => drop(self.filled(0)),
        }
    }
}

impl Drop for RecvEach {
    fn drop(&mut self) {
        drop(self.filled(0));
        self.void_promise();
        self.pool.hand_on();
    }
}
