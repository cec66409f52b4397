//! What must hold of a loop between two turns. Each turn of a simulated loop begins with a look at some of
//! its slots and handles, at all of them where there are few; its end, and the time when nothing can
//! happen in its world any more, with one at all. What does not hold is a bug of the library's, and
//! panics.
//!
//! V1. A slot is free, or has a record. A free one is tied to nothing.
//! V2. A timer is live for each slot that says so, and for no other.
//! V3. The operations of one way of a handle name each other in their order; the first one does not
//!     wait for others, the rest do, and nobody else does.
//! V4. What the driver is said to have waits there, or is told of; and it has nothing else. Else it
//!     would be in flight for ever.
//! V5. What has completed is queued for its callback, or held until it is resumed.
//! V6. A handle that closes waits for something, and each close that waits is that of a handle; a free one
//!     is tied to nothing.
//! V7. As many slots are taken, and as many operations pending on each handle, as was counted.
//! V8. Where nothing can happen any more, nothing waits for what is there.
//! V9. A loop that has ended has let go of each context and buffer (`end.rs`).
//!
//! That a callback runs once, and a buffer of a pool is given back once, is asked where it happens
//! (`slot.rs`, `buf/pool.rs`).

use std::any::Any;
use std::collections::BTreeMap;

use super::Sim;
use crate::driver::simulated::Look;
use crate::driver::{Driver, Interest};
use crate::handle::{DROPPED, OPEN};
use crate::op::{Direction, Op};
use crate::slot::{FINAL, NONE, State};
use crate::state::{DEADLINE, Loop, timer_key};

/// How many slots, and how many handles, are looked at before a turn: with four of each a world takes a
/// quarter longer (`benches/simulator.rs`).
const LOT: u32 = 4;

/// Where the next look begins.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Progress {
    slot: u32,
    /// Taken slots before that one.
    taken: u32,
    handle: u32,
}

/// Looks at a loop's books, as [`Simulator::audit`](crate::driver::simulated::Simulator::audit) has it.
pub(super) fn audit(books: &mut Loop, look: Look) {
    match look {
        Look::Some => books.check_some(),
        Look::All => books.check_all(),
        Look::End { drained } => books.check_end(drained),
    }
}

fn sim(driver: &Option<Driver>) -> Option<&Sim> {
    match driver {
        Some(Driver::Sim(sim)) => (&**sim as &dyn Any).downcast_ref(),
        _ => None,
    }
}

fn sim_mut(driver: &mut Option<Driver>) -> Option<&mut Sim> {
    match driver {
        Some(Driver::Sim(sim)) => (&mut **sim as &mut dyn Any).downcast_mut(),
        _ => None,
    }
}

impl Loop {
    /// Looks at the next slots and handles.
    fn check_some(&mut self) {
        let Some(mut progress) = sim(&self.driver).map(|sim| sim.checked) else { return };
        for _ in 0..LOT {
            if progress.slot >= self.slots.len() || progress.taken >= self.slots.used() {
                // Behind the last one that is taken.
                (progress.slot, progress.taken) = (0, 0);
                break;
            }
            progress.taken += u32::from(self.check_slot(progress.slot));
            progress.slot += 1;
        }
        for _ in 0..LOT.min(self.handles.len()) {
            progress.handle = (progress.handle + 1) % self.handles.len();
            self.check_handle(progress.handle);
        }
        if let Some(sim) = sim_mut(&mut self.driver) {
            sim.checked = progress;
        }
    }

    /// Looks at everything.
    pub(super) fn check_all(&mut self) {
        let (mut taken, mut closes) = (0, 0);
        let mut pending: BTreeMap<u32, u32> = BTreeMap::new();
        for index in 0..self.slots.len() {
            if self.check_slot(index) {
                let header = self.slots.header(index);
                taken += 1;
                // Only a close waits in user space and cannot be ended early.
                closes += u32::from(header.state == State::Parked && header.flags & FINAL != 0);
                *pending.entry(header.handle).or_default() += 1;
            }
        }
        assert_eq!(taken, self.slots.used(), "V7: slots that are taken");
        let mut closers = 0;
        for index in 0..self.handles.len() {
            self.check_handle(index);
            let handle = self.handles.get(index);
            let counted = handle.pending;
            closers += u32::from(handle.fd >= 0 && ![OPEN, DROPPED].contains(&handle.closer));
            let found = pending.get(&index).copied().unwrap_or(0);
            assert_eq!(counted, found, "V7: operations pending on handle {index}");
        }
        assert_eq!(closers, closes, "V6: closes that wait, for a handle each");
    }

    /// Says whether the slot is taken.
    fn check_slot(&mut self, index: u32) -> bool {
        let header = self.slots.header(index);
        let (op, state, has_record) = (header.op(), header.state, header.vtable.is_some());
        let (has_timer, has_deadline) = (header.has_timer, header.has_deadline);
        let is_tied = [header.handle, header.prev, header.held].iter().any(|&at| at != NONE);
        let (handles, is_held) = ([header.handle, header.job], header.held != NONE);
        let is_free = state == State::Free;
        assert!(
            has_record != is_free,
            "V1: slot {index} is {state:?}, with a record: {has_record}"
        );
        assert!(!(is_free && is_tied), "V1: slot {index} is free, and tied to something");
        for (key, is_live) in [(0, has_timer), (DEADLINE, has_deadline)] {
            let key = timer_key(index) | key;
            assert_eq!(self.timers.is_live(key), is_live, "V2: timer {key} of slot {index}");
        }
        match state {
            State::Free => return false,
            State::Timer => {
                let due = (timer_key(index), op.generation);
                let comes = has_timer || self.due.iter().any(|timer| timer == due);
                assert!(comes, "V2: slot {index} waits for a timer that does not come");
            }
            State::Driver => {
                let has_it = sim(&self.driver).is_some_and(|sim| sim.has(op, handles));
                assert!(
                    has_it || self.is_told_of(op),
                    "V4: slot {index} is in flight for ever: the driver does not have it"
                );
            }
            State::Ready => {
                assert!(
                    is_held || self.is_told_of(op),
                    "V5: slot {index} has completed, and nobody is told"
                );
            }
            State::Offloaded => panic!("V4: slot {index} is on a pool, which has no threads"),
            State::Waiting | State::Parked => {}
        }
        self.check_neighbours(index);
        true
    }

    /// Whether a completion of an operation is queued.
    fn is_told_of(&self, op: Op) -> bool {
        self.ready.iter().any(|completion| completion.op() == op)
    }

    fn check_neighbours(&mut self, index: u32) {
        let header = self.slots.header(index);
        let (prev, next, handle) = (header.prev, header.next, header.handle);
        let (direction, waits) = (header.direction, header.state == State::Waiting);
        assert_eq!(waits, prev != NONE, "V3: slot {index} waits for others, or is behind another");
        if handle == NONE {
            return;
        }
        assert!(handle < self.handles.len(), "V3: slot {index} is of a handle");
        if next != NONE {
            let header = self.slots.header(next);
            let names = (header.prev, header.handle, header.direction);
            assert_eq!(names, (index, handle, direction), "V3: slot {next} is behind slot {index}");
        }
        let way = match direction {
            Direction::In => 0,
            Direction::Out => 1,
            Direction::None | Direction::Datagram => return,
        };
        let queue = self.handles.get(handle).queues[way];
        assert_eq!(queue.head == index, prev == NONE, "V3: slot {index} is the first of its way");
        assert_eq!(queue.tail == index, next == NONE, "V3: slot {index} is the last of its way");
    }

    fn check_handle(&mut self, index: u32) {
        let handle = self.handles.get(index);
        let (pending, closer, queues) = (handle.pending, handle.closer, handle.queues);
        if handle.fd < 0 {
            assert_eq!(pending, 0, "V6: handle {index} is free, and something pending on it");
            return self.check_waiting(index);
        }
        assert!(closer == OPEN || pending > 0, "V6: handle {index} closes, and waits for nothing");
        if closer != OPEN && closer != DROPPED {
            let state = self.slots.header(closer).state;
            assert_eq!(state, State::Parked, "V6: slot {closer} waits for handle {index} to close");
        }
        for queue in queues {
            assert_eq!(queue.head == NONE, queue.tail == NONE, "V3: handle {index} has both ends");
            if queue.head != NONE {
                let head = self.slots.header(queue.head);
                let names = (head.handle, head.state != State::Waiting);
                assert_eq!(names, (index, true), "V3: slot {} is a head", queue.head);
            }
        }
        self.check_waiting(index);
    }

    /// What waits for a handle is there, and knows that it waits.
    fn check_waiting(&mut self, handle: u32) {
        let Some(sim) = sim(&self.driver) else { return };
        for op in sim.waiting.get(handle as usize).into_iter().flatten().flatten() {
            let state = self.slots.find(op.index, op.generation).map(|header| header.state);
            assert_eq!(state, Some(State::Driver), "V4: slot {} waits for a handle", op.index);
        }
    }

    /// A loop has ended: nothing is left in it.
    fn check_end(&mut self, drained: bool) {
        assert!(drained, "V9: a simulated driver lets go of everything");
        for index in 0..self.slots.len() {
            let has_record = self.slots.header(index).vtable.is_some();
            assert!(!has_record, "V9: slot {index} keeps its context");
        }
    }

    /// Nothing can happen any more: what waits for a handle waits for what is not there.
    pub(super) fn check_quiet(&mut self) {
        let Some(sim) = sim(&self.driver) else { return };
        for (handle, ways) in sim.waiting.iter().enumerate() {
            let fd = self.handles.get(handle as u32).fd;
            for (way, interest) in ways.iter().zip([Interest::Readable, Interest::Writable]) {
                let Some(op) = way.front() else { continue };
                let mut kernel = sim.kernel.borrow_mut();
                let is_ready = match kernel.socket_of(fd) {
                    Some(socket) => kernel.is_ready(socket, interest),
                    None => false,
                };
                assert!(!is_ready, "V8: slot {} waits for what is there", op.index);
            }
        }
    }
}

impl Sim {
    /// Whether an operation waits for one of these handles, or for a call on the disk.
    fn has(&self, op: Op, handles: [u32; 2]) -> bool {
        handles.into_iter().any(|handle| self.holds(op, handle))
    }
}

#[cfg(test)]
mod tests;
