//! Pausing a flow: what completes meanwhile is held, and comes when it is taken up again.
//!
//! ```text
//!   flowing ──pause──▶ paused: the driver is asked to let go, completions are held
//!      ▲                  │
//!      └─────resume───────┘ held completions first, then the driver is asked again
//! ```
//!
//! I1. Held completions keep their order, and come before what completes later.
//! I2. A cancel, a deadline or a close ends the pause: what is held is delivered, then the end.

use crate::error::code;
use crate::op::{Completion, MORE, Op};
use crate::slot::{ASKED_TO_END, FINAL, NONE, PAUSED, STOPPED, SlotRef, State};
use crate::state::Loop;

/// Completions in chains, the newest first. Storage is reused.
pub(crate) struct Held {
    entries: Vec<(Completion, u32)>,
    free: u32,
}

impl Held {
    pub(crate) fn new() -> Held {
        Held { entries: Vec::new(), free: NONE }
    }

    fn push(&mut self, head: u32, completion: Completion) -> u32 {
        let at = self.free;
        if at == NONE {
            self.entries.push((completion, head));
            return u32::try_from(self.entries.len() - 1).unwrap_or(NONE);
        }
        let entry = &mut self.entries[at as usize];
        self.free = entry.1;
        *entry = (completion, head);
        at
    }

    fn pop(&mut self, head: u32) -> (Completion, u32) {
        let entry = &mut self.entries[head as usize];
        let (completion, next) = *entry;
        entry.1 = self.free;
        self.free = head;
        (completion, next)
    }
}

impl Loop {
    pub(crate) fn pause(&mut self, op: Op) {
        let Some(header) = self.slots.find(op.index, op.generation) else { return };
        let one_shot = !header.vtable.is_some_and(|vtable| vtable.multishot);
        if one_shot || header.flags & (ASKED_TO_END | STOPPED | FINAL | PAUSED) != 0 {
            return;
        }
        header.flags |= PAUSED;
        self.cancel_in_driver(op.index);
    }

    /// Ends a pause, if there is one: what was held comes next.
    pub(crate) fn resume(&mut self, index: u32) {
        let header = self.slots.header(index);
        header.flags &= !PAUSED;
        let mut held = std::mem::replace(&mut header.held, NONE);
        while held != NONE {
            let (completion, next) = self.held.pop(held);
            self.ready.push_front(completion);
            held = next;
        }
    }

    /// Keeps a completion of a paused operation.
    pub(crate) fn hold(&mut self, completion: Completion) {
        let header = self.slots.header(completion.index);
        if completion.flags & MORE == 0 {
            header.state = State::Ready;
        }
        header.held = self.held.push(header.held, completion);
    }

    /// Has a paused operation start again when it is resumed; says whether it is paused.
    #[inline]
    pub(crate) fn hold_restart(&mut self, slot: SlotRef) -> bool {
        let header = self.slots.header_of(slot);
        let paused = header.flags & PAUSED != 0;
        if paused {
            let op = header.op();
            self.hold(Completion::in_user_space(op, -code::INTERRUPTED));
        }
        paused
    }
}

impl crate::Io {
    /// Pauses a flow: `accept_each`, `recv_each`, `recv_from_each`, `tick_each` or `signal_each`.
    /// Until [`resume`](crate::Io::resume) its callbacks do not run. What had arrived when the pause took
    /// effect is kept and comes first afterwards; what arrives later stays with the system, so a
    /// sender is held up by flow control, connections wait in the backlog, and datagrams in the
    /// socket while it has room. Ticks that are missed are counted.
    ///
    /// A cancel, a deadline or a close of the handle ends the pause, and then the operation. Does
    /// nothing when the operation has ended, is paused already, or is not a flow.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tigereye::{Io, Next};
    ///
    /// let io = Io::new()?;
    /// let ticks = io.tick_each(
    ///     (),
    ///     Duration::from_millis(1),
    ///     |(), _io, _missed| Next::Stop,
    ///     |(), _io, result| println!("ended: {result:?}"),
    /// );
    /// io.pause(ticks);
    /// io.timeout(ticks, Duration::from_millis(5), |ticks, io, _result| io.resume(ticks));
    /// io.run()?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn pause(&self, op: Op) {
        self.core.state.borrow_mut().pause(op);
    }

    /// Takes a paused flow up again; does nothing when it is not paused or has ended.
    pub fn resume(&self, op: Op) {
        let mut state = self.core.state.borrow_mut();
        if state.slots.find(op.index, op.generation).is_some() {
            state.resume(op.index);
        }
    }
}

/// Whether a flow that the driver cancelled was not asked to end: it was paused.
#[inline]
pub(crate) fn was_paused(flags: u8, result: i32) -> bool {
    result == -code::CANCELED && flags & (ASKED_TO_END | STOPPED) == 0
}
