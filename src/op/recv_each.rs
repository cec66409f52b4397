//! Receiving again and again into the buffers of a pool; an idle connection holds none.
//!
//! ```text
//!   with a ring of provided buffers:   RECV, multishot where it can be ──▶ items
//!   without:                           POLL_ADD ──readable──▶ take a buffer, RECV ──▶ item
//!                                         ▲───────── would block ─────────────┘
//! ```
//!
//! When the pool is empty the operation waits for a buffer to come back, and only then asks the
//! kernel again: neither a busy loop nor an `ENOBUFS` that the caller sees.
//! Sources: io_uring_prep_recv_multishot(3), kernel 6.0+; `IOSQE_BUFFER_SELECT` in
//! io_uring_enter(2).

use std::rc::Rc;

use io_uring::squeue::Flags;
use io_uring::{cqueue, opcode, types};

use super::{Completion, Direction, Multishot, Op, Place, Rearm, Start};
use crate::Io;
use crate::buf::{PoolBuf, PoolShared};

pub(crate) struct RecvEach {
    pool: Rc<PoolShared>,
    /// The number of the kernel's ring of buffers.
    group: Option<u16>,
    /// Without a ring: there is data, so a buffer is worth taking.
    readable: bool,
    /// Without a ring: the buffer that is being received into.
    taken: Option<u16>,
}

impl RecvEach {
    pub(crate) fn new(pool: &Rc<PoolShared>) -> RecvEach {
        let group = pool.group();
        RecvEach { pool: Rc::clone(pool), group, readable: false, taken: None }
    }

    fn without_ring(&mut self, fd: types::Fd) -> Start {
        if !self.readable {
            let events = libc::POLLIN.unsigned_abs();
            return Start::Entry(opcode::PollAdd::new(fd, u32::from(events)).build());
        }
        let Some(taken) = self.pool.take() else { return Start::Ready(-libc::ENOBUFS) };
        self.taken = Some(taken.id);
        let entry = opcode::Recv::new(fd, taken.at, taken.size);
        Start::Entry(entry.flags(libc::MSG_DONTWAIT).build())
    }

    /// The item of a receive into a buffer that the operation took; a poll has none.
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
}

impl Multishot for RecvEach {
    type Item = PoolBuf;
    const DIRECTION: Direction = Direction::In;

    fn uring(&mut self, place: &Place<'_>) -> Start {
        let fd = types::Fd(place.fd);
        let Some(group) = self.group else { return self.without_ring(fd) };
        Start::Entry(if place.features.recv_multishot {
            opcode::RecvMulti::new(fd, group).build()
        } else {
            let entry = opcode::Recv::new(fd, std::ptr::null_mut(), 0).buf_group(group).build();
            entry.flags(Flags::BUFFER_SELECT)
        })
    }

    #[inline]
    fn item(&mut self, _io: &Io, completion: Completion) -> Option<PoolBuf> {
        let Some(id) = cqueue::buffer_select(completion.flags) else {
            return self.filled(completion.result);
        };
        let len = u32::try_from(completion.result).unwrap_or(0);
        let buf = PoolShared::received(&self.pool, id, len);
        // The end of the stream, or an error, may carry a buffer: dropping it gives it back.
        (len > 0).then_some(buf)
    }

    fn ended(&mut self, _io: &Io, op: Op, result: i32) -> Rearm {
        let polled = self.group.is_none() && !self.readable;
        if polled && result >= 0 {
            self.readable = true;
            return Rearm::Again;
        }
        match -result {
            0 => Rearm::Done(0),
            libc::ENOBUFS if self.pool.wait(op) => Rearm::Parked,
            libc::EAGAIN => {
                self.readable = false;
                Rearm::Again
            }
            libc::ENOBUFS | libc::EINTR => Rearm::Again,
            _ if result > 0 => Rearm::Again,
            _ => Rearm::Done(result),
        }
    }

    fn discard(&mut self, completion: Completion) {
        match cqueue::buffer_select(completion.flags) {
            Some(id) => drop(PoolShared::received(&self.pool, id, 0)),
            None => drop(self.filled(0)),
        }
    }
}

impl Drop for RecvEach {
    fn drop(&mut self) {
        drop(self.filled(0));
        self.pool.hand_on();
    }
}
