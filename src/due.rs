//! What comes next: completions whose operations are there, due timers, and what is tried again
//! after a while.

use crate::clock::Clock;
use crate::driver::Driver;
use crate::net::{borrow, system};
use crate::op::{CANCEL_MISSED, Completion, MORE, Op, VTable, WENT_FIRST};
use crate::slot::{ASKED_TO_END, FINAL, NONE, PAUSED, STOPPED, SlotRef, State};
use crate::state::{DEADLINE, EXHAUSTED_PAUSE_NS, Loop, MISSED_PAUSE_NS};

/// Most timers that are gathered at once.
const DUE_LOT: usize = 16;

/// A completion whose operation is there: its slot, and what its record's type can do.
pub(crate) struct Due {
    pub(crate) slot: SlotRef,
    pub(crate) vtable: &'static VTable,
    pub(crate) completion: Completion,
}

impl Loop {
    /// Whether the clock calls for anything, now or later.
    #[inline]
    pub(crate) fn awaits_time(&self) -> bool {
        !(self.due.is_empty()
            && self.timers.is_empty()
            && self.exhausted.is_empty()
            && self.missed.is_empty())
    }

    /// When the loop must wake at the latest.
    #[inline]
    pub(crate) fn next_deadline_ns(&self) -> Option<u64> {
        if !self.due.is_empty() {
            return Some(0);
        }
        let timer = self.timers.next_deadline();
        if self.exhausted.is_empty() && self.missed.is_empty() {
            return timer;
        }
        let retry = (!self.exhausted.is_empty()).then_some(self.retry_ns);
        let missed = (!self.missed.is_empty()).then_some(self.missed_ns);
        timer.into_iter().chain(retry).chain(missed).min()
    }

    /// The next timer that is due: its key, and its operation. What was cancelled or given another
    /// deadline since it was gathered is passed over.
    pub(crate) fn take_due(&mut self, now_ns: u64) -> Option<(u32, Op)> {
        loop {
            if self.due.is_empty() {
                self.gather_due(now_ns);
            }
            let (key, generation) = self.due.pop_front()?;
            let index = key >> 1;
            let Some(header) = self.slots.find(index, generation) else { continue };
            let due = if key & DEADLINE == 0 {
                header.state == State::Timer && !header.has_timer
            } else {
                !header.has_deadline
            };
            if due {
                return Some((key, Op { index, generation }));
            }
        }
    }

    fn gather_due(&mut self, now_ns: u64) {
        let mut keys = [0; DUE_LOT];
        let mut count = 0;
        while count < DUE_LOT
            && let Some(key) = self.timers.pop_due(now_ns)
        {
            keys[count] = key;
            count += 1;
        }
        // With nothing in between, so that the processor fetches their slots side by side: among a
        // million timers each is a visit to memory.
        for &key in &keys[..count] {
            let header = self.slots.header(key >> 1);
            let timer =
                if key & DEADLINE == 0 { &mut header.has_timer } else { &mut header.has_deadline };
            *timer = false;
            self.due.push_back((key, header.generation));
        }
    }

    /// The next operation of those that the driver did while they were submitted.
    #[inline]
    pub(crate) fn take_concluded(&mut self) -> Option<Due> {
        loop {
            let completion = self.driver.as_mut()?.next_concluded()?;
            let found = self.slots.lookup(completion.index, completion.generation);
            let Some(slot) = found else { continue };
            let header = self.slots.header_of(slot);
            let Some(vtable) = header.vtable else { continue };
            header.state = State::Ready;
            return Some(Due { slot, vtable, completion });
        }
    }

    /// The next completion whose operation is there: a late or stale one finds nobody.
    #[inline]
    pub(crate) fn take_ready(&mut self, clock: &Clock) -> Option<Due> {
        loop {
            let completion = self.ready.pop_front()?;
            let Completion { index, generation, flags, .. } = completion;
            let Some(slot) = self.slots.lookup(index, generation) else { continue };
            let header = self.slots.header_of(slot);
            let Some(vtable) = header.vtable else { continue };
            if flags & CANCEL_MISSED != 0 || header.flags & PAUSED != 0 {
                self.set_aside(completion, clock);
                continue;
            }
            if flags & MORE == 0 {
                header.state = State::Ready;
            }
            self.may_go_first = flags & WENT_FIRST == 0;
            return Some(Due { slot, vtable, completion });
        }
    }

    /// How many operations the driver or the pool holds.
    pub(crate) fn in_driver(&mut self) -> u32 {
        let mut count = 0;
        for index in 0..self.slots.len() {
            let state = self.slots.header(index).state;
            count += u32::from(matches!(state, State::Driver | State::Offloaded));
        }
        count
    }

    /// Ends the connections whose peers have not taken in what was sent to them without a copy, so that
    /// the system lets go of the buffers: a shutdown would leave it what is to be sent yet. Says whether
    /// there were any.
    #[cold]
    pub(crate) fn end_unread(&mut self) -> bool {
        let mut any = false;
        for index in 0..self.slots.len() {
            let header = self.slots.header(index);
            let (state, flags, handle) = (header.state, header.flags, header.handle);
            if state == State::Driver && flags & FINAL != 0 && handle != NONE {
                any |= system::disconnect(&borrow(&self.handles.get(handle).fd)).is_ok();
            }
        }
        any
    }

    /// As [`take_ready`](Loop::take_ready), for the loop's end: a completion, and whether with it
    /// the driver let go of the operation.
    pub(crate) fn take_for_the_end(&mut self, clock: &Clock) -> Option<(Completion, bool)> {
        while let Some(completion) = self.next_completion() {
            let Completion { index, generation, flags, .. } = completion;
            let Some(header) = self.slots.find(index, generation) else { continue };
            if flags & CANCEL_MISSED != 0 {
                self.set_aside(completion, clock);
                continue;
            }
            let held = matches!(header.state, State::Driver | State::Offloaded);
            return Some((completion, flags & MORE == 0 && held));
        }
        None
    }

    /// Has the operations that the driver did while they were submitted come after what is queued.
    #[cold]
    pub(crate) fn queue_concluded(&mut self) {
        while let Some(completion) = self.driver.as_mut().and_then(Driver::next_concluded) {
            self.ready.push_back(completion);
        }
    }

    fn next_completion(&mut self) -> Option<Completion> {
        let concluded = self.driver.as_mut().and_then(Driver::next_concluded);
        concluded.or_else(|| self.ready.pop_front())
    }

    #[cold]
    fn set_aside(&mut self, completion: Completion, clock: &Clock) {
        if completion.flags & CANCEL_MISSED == 0 {
            return self.hold(completion);
        }
        // A cancel was answered that there is nothing to cancel, or not now. If the operation is
        // still with the driver, the cancel must not be lost (P10).
        if self.slots.header(completion.index).state == State::Driver {
            self.missed.push(completion.op());
            self.missed_ns = clock.now_ns().saturating_add(MISSED_PAUSE_NS);
        }
    }

    /// Asks again for the cancels that found nothing.
    pub(crate) fn cancel_again(&mut self, now_ns: u64) {
        if self.missed.is_empty() || self.missed_ns > now_ns {
            return;
        }
        let wanted = ASKED_TO_END | STOPPED | PAUSED;
        for op in std::mem::take(&mut self.missed) {
            let found = self.slots.find(op.index, op.generation);
            if found.is_some_and(|header| header.flags & wanted != 0 && header.flags & FINAL == 0) {
                self.cancel_in_driver(op.index);
            }
        }
    }

    /// Lets an accepting operation wait for a descriptor.
    pub(crate) fn park_exhausted(&mut self, op: Op, clock: &Clock) {
        self.exhausted.push(op);
        self.retry_ns = clock.read().saturating_add(EXHAUSTED_PAUSE_NS);
    }

    /// Starts again what waited for a descriptor.
    pub(crate) fn retry_exhausted(&mut self, now_ns: u64) {
        if self.exhausted.is_empty() || self.retry_ns > now_ns {
            return;
        }
        for op in std::mem::take(&mut self.exhausted) {
            self.start_parked(op);
        }
    }

    /// Starts a parked operation; says whether it was there.
    pub(crate) fn start_parked(&mut self, op: Op) -> bool {
        let Some(slot) = self.slots.lookup(op.index, op.generation) else { return false };
        let header = self.slots.header_of(slot);
        let Some(vtable) = header.vtable.filter(|_| header.state == State::Parked) else {
            return false;
        };
        if self.hold_restart(slot) {
            return false;
        }
        self.start(slot, vtable.start);
        true
    }
}
