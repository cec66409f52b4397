//! Turns at the buffers of a pool: one policy, whatever the driver.
//!
//! ```text
//!          received, and others are in line; or found no buffer
//!   flow ──────────────────────────────────────────────────────▶ line
//!    ▲                                                             │ a buffer is there
//!    └── received, or nothing to receive: the next one's turn ◀── turn
//! ```
//!
//! Without a ring, whose turn it is takes a buffer in the call that starts it, or does without and
//! leaves it to the next. With one the kernel takes the buffer a moment later: until it has, it is
//! promised. No turn lasts until data comes, so a stream that has none keeps no buffer from others.
//!
//! I4. While there is a line, each buffer that is there is promised: nobody takes one past the line.
//!     So whoever makes a buffer available looks at the line then.

use super::{PoolShared, Stock, Taken};
use crate::op::Op;

impl Stock {
    /// Whether there is a buffer for one more operation; of those in the kernel's ring, it is promised.
    fn grant(&mut self) -> bool {
        if self.ring.is_none() {
            return !self.free.is_empty();
        }
        let one_more = self.promised < self.provided;
        self.promised += u16::from(one_more);
        one_more
    }

    /// The turn of an operation ends that has ended or was paused while it was in line.
    fn end_turn(&mut self) {
        self.promised -= u16::from(self.ring.is_some());
    }
}

impl PoolShared {
    /// Whether anybody is in line: who could start again goes behind them.
    #[inline]
    pub(crate) fn has_line(&self) -> bool {
        self.has_line.get()
    }

    /// Whose turn it is, if there is a buffer for it.
    fn next_turn(&self) -> Option<Op> {
        let mut stock = self.stock.borrow_mut();
        let granted = !stock.line.is_empty() && stock.grant();
        let next = if granted { stock.line.pop_front() } else { None };
        self.has_line.set(!stock.line.is_empty());
        next
    }

    /// What an operation does that found no buffer: it starts again where there is one by now, or goes
    /// in line. Says whether it starts.
    #[cold]
    pub(crate) fn found_none(&self, op: Op) -> bool {
        self.stock.borrow_mut().provide_one_more();
        self.hand_on();
        let granted = {
            let mut stock = self.stock.borrow_mut();
            stock.line.is_empty() && stock.grant()
        };
        if !granted {
            self.line_up(op);
        }
        granted
    }

    /// Puts an operation at the end of the line.
    #[cold]
    pub(crate) fn line_up(&self, op: Op) {
        self.stock.borrow_mut().line.push_back(op);
        self.has_line.set(true);
        let mut state = self.core.state.borrow_mut();
        state.buffer_waiters += 1;
        // A send that was started before, and is silent when it is done, may hold a buffer.
        state.impatient = true;
    }

    /// The kernel has taken the buffer that was promised, or needs none.
    #[cold]
    pub(crate) fn release_promise(&self) {
        self.stock.borrow_mut().promised -= 1;
        self.hand_on();
    }

    /// Takes back a buffer in the call that took it, so nobody can have missed it: there was no line, or
    /// it was a turn, and the next one follows.
    #[inline]
    pub(crate) fn put_back_untold(&self, taken: Taken) {
        let mut stock = self.stock.borrow_mut();
        stock.lent -= 1;
        stock.put(taken.id);
    }

    /// A buffer may have become available: those in line have their turns as far as there are any.
    #[inline]
    pub(crate) fn hand_on(&self) {
        if self.has_line() {
            self.take_turns();
        }
    }

    #[cold]
    fn take_turns(&self) {
        loop {
            // Who is started may leave its buffer to the next: so there is a look each time.
            let Some(op) = self.next_turn() else { return };
            let mut state = self.core.state.borrow_mut();
            state.buffer_waiters -= 1;
            if !state.start_parked(op) {
                self.stock.borrow_mut().end_turn();
            }
        }
    }
}
