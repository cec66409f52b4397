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
    /// With a ring: a buffer was promised, and not yet had.
    promised: bool,
    /// It waits to be started with a buffer promised.
    waits: bool,
    /// Without a ring: there is data, so a buffer is worth taking.
    pub(super) readable: bool,
    /// Without a ring: the buffer that is being received into.
    taken: Option<u16>,
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
        // Who starts an operation that waits has promised it a buffer.
        self.promised |= std::mem::take(&mut self.waits);
        self.group
    }

    pub(super) fn has_ring(&self) -> bool {
        self.group.is_some()
    }

    /// A buffer to receive into, without a ring.
    #[inline]
    pub(super) fn take(&mut self) -> Option<Taken> {
        let taken = self.pool.take()?;
        self.taken = Some(taken.id());
        Some(taken)
    }

    /// What a call did that may have filled the buffer just taken.
    #[inline]
    pub(super) fn tried(&mut self, taken: Taken, start: &Start) {
        self.readable = true;
        if start.is_a_wait() {
            self.taken = None;
            self.pool.put_back_untold(taken);
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
        let id = self.taken.take()?;
        if len.is_none() {
            self.pool.put_back(id);
        }
        len.map(|len| PoolShared::filled(&self.pool, id, len))
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

    /// How a flow goes on for which a result of zero is the end.
    #[inline]
    pub(super) fn ended(&mut self, op: Op, result: i32) -> Rearm {
        self.waits = false;
        if result > 0 {
            // Without a ring: a receive is worth its buffer, for the poll or the last one had data.
            self.readable = true;
            return Rearm::Again;
        }
        self.ended_without_data(op, result)
    }

    /// Has the flow wait for a buffer behind those that wait for one; says whether there are any.
    #[inline]
    pub(super) fn lines_up(&mut self, op: Op) -> bool {
        self.waits = self.pool.lines_up(op);
        self.waits
    }

    fn ended_without_data(&mut self, op: Op, result: i32) -> Rearm {
        match -result {
            0 => Rearm::Done(0),
            code::NO_BUFFERS if self.group.is_some() => {
                self.promised = self.pool.starved(op);
                self.waits = !self.promised;
                if self.promised { Rearm::Again } else { Rearm::Parked }
            }
            code::NO_BUFFERS if self.pool.none_left(op) => Rearm::Parked,
            code::WOULD_BLOCK => {
                self.readable = false;
                Rearm::Again
            }
            code::NO_BUFFERS | code::INTERRUPTED => Rearm::Again,
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
