//! The buffers of a pool, as a flow of what is received has them: one after another from the
//! kernel's ring, or, without one, taken when there is something to receive.

use std::rc::Rc;

use super::{Completion, Op, Rearm, Start};
use crate::buf::{PoolBuf, PoolShared, Taken};
use crate::error::code;

pub(crate) struct Supply {
    pool: Rc<PoolShared>,
    /// The number of the kernel's ring of buffers.
    group: Option<u16>,
    /// With a ring: it is its turn, and a buffer is promised that it has not had yet.
    promised: bool,
    /// With a ring: it is in line for its turn at a buffer.
    waits: bool,
    /// Without a ring: there is data, so a buffer is worth taking.
    pub(super) readable: bool,
    /// Without a ring: the buffer that is being received into.
    taken: Option<Taken>,
}

impl Supply {
    pub(crate) fn new(pool: &Rc<PoolShared>) -> Supply {
        let group = pool.group();
        Supply {
            pool: Rc::clone(pool),
            group,
            promised: false,
            waits: false,
            readable: false,
            taken: None,
        }
    }

    /// The kernel's ring, for an entry that is about to be submitted.
    #[cfg(target_os = "linux")]
    pub(super) fn group(&mut self) -> Option<u16> {
        let group = self.group?;
        // Whose turn it is, is started with a buffer promised.
        self.promised |= std::mem::take(&mut self.waits);
        Some(group)
    }

    /// Whether it is the flow's turn at a buffer of the ring: then it receives what is there, and does
    /// not wait, for others do.
    #[cfg(target_os = "linux")]
    pub(super) fn has_turn(&self) -> bool {
        self.promised
    }

    pub(super) fn has_ring(&self) -> bool {
        self.group.is_some()
    }

    /// A buffer to receive into, without a ring.
    #[inline]
    pub(super) fn take(&mut self) -> Option<Taken> {
        self.pool.take()
    }

    /// What a call did that may have filled the buffer just taken.
    #[inline]
    pub(super) fn tried(&mut self, taken: Taken, start: &Start) {
        if start.is_a_wait() {
            self.pool.put_back_untold(taken);
        } else {
            self.taken = Some(taken);
        }
    }

    /// Any completion keeps the promise of a buffer, or makes it void.
    #[inline]
    pub(super) fn void_promise(&mut self) {
        if self.promised {
            self.promised = false;
            self.pool.release_promise();
        }
    }

    /// The buffer that was received into, with so many bytes in it; without, it goes back.
    #[inline(always)]
    pub(super) fn filled(&mut self, len: Option<u32>) -> Option<PoolBuf> {
        let taken = self.taken.take()?;
        if let Some(len) = len {
            return Some(PoolShared::filled(&self.pool, taken, len));
        }
        self.pool.put_back(taken);
        None
    }

    /// The buffer that the kernel took from its ring and filled with so many bytes.
    #[inline(always)]
    pub(super) fn received(&mut self, id: u16, len: u32) -> PoolBuf {
        let buf = PoolShared::received(&self.pool, id, len);
        self.void_promise();
        buf
    }

    /// The kernel took this buffer from its ring, and did not fill it.
    pub(super) fn unfilled(&mut self, id: u16) {
        self.pool.unfilled(id);
        self.void_promise();
    }

    /// How a flow goes on for which a result of zero is the end: where others are in line for a buffer,
    /// behind them.
    #[inline]
    pub(super) fn ended(&mut self, op: Op, result: i32) -> Rearm {
        self.waits = false;
        if result > 0 {
            // Without a ring: a receive is worth its buffer, for the poll or the last one had data.
            self.readable = true;
            return if self.pool.has_line() { self.line_up(op) } else { Rearm::Again };
        }
        self.ended_without_data(op, result)
    }

    #[cold]
    fn line_up(&mut self, op: Op) -> Rearm {
        self.waits = true;
        self.pool.line_up(op);
        Rearm::Parked
    }

    fn ended_without_data(&mut self, op: Op, result: i32) -> Rearm {
        match -result {
            0 => Rearm::Done(0),
            code::NO_BUFFERS => {
                let may_start = self.pool.found_none(op);
                self.promised = may_start && self.has_ring();
                self.waits = !may_start;
                if may_start { Rearm::Again } else { Rearm::Parked }
            }
            code::WOULD_BLOCK => {
                self.readable = false;
                Rearm::Again
            }
            code::INTERRUPTED => Rearm::Again,
            _ => Rearm::Done(result),
        }
    }

    /// As [`ended`](Supply::ended), of a flow for which zero is an item like others.
    pub(super) fn ended_never(&mut self, op: Op, result: i32) -> Rearm {
        if result == 0 { Rearm::Again } else { self.ended(op, result) }
    }

    /// A completion that nobody takes.
    pub(super) fn discard(&mut self, completion: Completion) {
        match completion.buffer() {
            Some(id) => self.pool.unfilled(id),
            None => drop(self.filled(None)),
        }
    }
}

impl Drop for Supply {
    fn drop(&mut self) {
        drop(self.filled(None));
        self.void_promise();
        self.pool.hand_on();
    }
}
