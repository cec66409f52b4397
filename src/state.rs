//! The loop's operations and handles: how an operation is set off, asked to end, and let go of.
//!
//! I1. A slot is freed only after its last completion, or when it never reached the driver.
//! I2. Nothing here runs or drops what is the user's: a descriptor to close is returned.
#![expect(unsafe_code, reason = "operations are reached through their slots")]

use crate::driver::Driver;
#[cfg(unix)]
use crate::driver::Interest;
use crate::error::{self, code};
use crate::handle::{DROPPED, HandleId, Handles, InOrder, OPEN};
use crate::offload::{Calls, JobId};
#[cfg(unix)]
use crate::op::send::send_rest;
use crate::op::{Completion, Direction, MORE, Op, Start, StartFn, VTable, WENT_FIRST};
use crate::pause::Held;
use crate::queue::Queue;
use crate::raw::RawFd;
use crate::slot::{
    ASKED_TO_END, CANCEL_ASKED, FINAL, NONE, REFUSED, SLOTS_MAX, SlotRef, Slots, State, TIMED_OUT,
};
use crate::spin::Spin;
use crate::timer::Timers;

/// How long a cancel that found nothing waits before it asks again.
pub(crate) const MISSED_PAUSE_NS: u64 = 1_000_000;
/// How long accepting pauses when no descriptor is left and none of this loop's is closed.
pub(crate) const EXHAUSTED_PAUSE_NS: u64 = 50_000_000;

/// What an operation is submitted on.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Target {
    Nothing,
    Handle(HandleId),
    /// A handle of another loop.
    Foreign,
}

impl From<Option<HandleId>> for Target {
    #[inline]
    fn from(id: Option<HandleId>) -> Target {
        id.map_or(Target::Foreign, Target::Handle)
    }
}

/// In a timer's key, below the operation's slot: it is the operation's deadline, not the operation
/// itself.
pub(crate) const DEADLINE: u32 = 1;

/// The key of an operation's own timer; with [`DEADLINE`] that of its deadline.
#[inline]
pub(crate) fn timer_key(index: u32) -> u32 {
    index << 1
}

const _: () = assert!(SLOTS_MAX <= 1 << 30, "keys are numbers of 31 bits");

pub(crate) struct Loop {
    pub(crate) slots: Slots,
    pub(crate) handles: Handles,
    pub(crate) timers: Timers,
    /// Timers that are due, by key and the generation of their slot, taken in small lots.
    pub(crate) due: Queue<(u32, u32)>,
    pub(crate) driver: Option<Driver>,
    pub(crate) ready: Queue<Completion>,
    /// What is sent at once completes right after the callback that sends it, while its buffer and
    /// its slot are in the processor's cache: once a callback, and not in a row (rule 8).
    pub(crate) may_go_first: bool,
    /// How many slots may be taken: the capacity, and one for each operation that takes none: those
    /// inside others, and those that were refused and wait for their callbacks.
    pub(crate) limit: u64,
    pub(crate) operations: u64,
    /// Something waits for what is done while it is submitted: the next wait must not block.
    pub(crate) impatient: bool,
    pub(crate) spin: Spin,
    /// Operations that wait for a buffer of a pool.
    pub(crate) buffer_waiters: usize,
    /// What runs on the pool.
    pub(crate) calls: Calls,
    /// Accepting operations that found no descriptor left, and when to try again.
    pub(crate) exhausted: Vec<Op>,
    pub(crate) retry_ns: u64,
    /// Operations whose cancel found nothing, and when to ask again.
    pub(crate) missed: Vec<Op>,
    pub(crate) missed_ns: u64,
    /// What completed while its operation was paused.
    pub(crate) held: Held,
    /// Operations in user space that stand for another one: to end them is to end it. By their slots; few.
    pub(crate) inner: Vec<(u32, Op)>,
}

impl Loop {
    /// Takes a slot for `record` and sets the operation off. It is completed later whatever
    /// happens: never inside this call.
    #[inline]
    pub(crate) fn insert<R>(
        &mut self,
        record: R,
        vtable: &'static VTable,
        start: impl FnOnce(&mut Loop, SlotRef, RawFd) -> Option<i32>,
        direction: Direction,
        target: Target,
    ) -> Op {
        let slot = self.slots.take();
        self.slots.place(slot, record);
        let direction =
            self.driver.as_ref().map_or(direction, |driver| driver.queue_for(direction));
        self.operations += 1;
        let full = u64::from(self.slots.used()) > self.limit;
        let header = self.slots.header_of(slot);
        // A free slot is in no queue and has no timer: the rest is as it should be.
        header.vtable = Some(vtable);
        header.direction = direction;
        header.flags = 0;
        header.state = State::Ready;
        let op = header.op();
        match target {
            _ if full => self.refuse_for_capacity(op.index),
            Target::Nothing => self.start_on(slot, start, -1),
            Target::Handle(id) => self.enlist(slot, start, direction, id),
            Target::Foreign => self.refuse(op.index, error::FOREIGN),
        }
        op
    }

    #[cold]
    fn refuse_for_capacity(&mut self, index: u32) {
        self.limit += 1;
        self.slots.header(index).flags |= REFUSED;
        self.refuse(index, error::AT_CAPACITY);
    }

    #[cold]
    fn refuse(&mut self, index: u32, result: i32) {
        self.slots.header(index).direction = Direction::None;
        self.finish_in_user_space(index, result);
    }

    #[inline]
    fn enlist(
        &mut self,
        slot: SlotRef,
        start: impl FnOnce(&mut Loop, SlotRef, RawFd) -> Option<i32>,
        direction: Direction,
        id: HandleId,
    ) {
        let header = self.slots.header_of(slot);
        let index = header.index;
        let Some(handle) = self.handles.find(id).filter(|handle| handle.closer == OPEN) else {
            return self.refuse(index, error::CLOSED);
        };
        handle.pending += 1;
        header.handle = id.index;
        if let Some(queue) = queue_of(&mut handle.queues, direction) {
            let tail = std::mem::replace(&mut queue.tail, index);
            if tail != NONE {
                return self.wait_behind(tail, index);
            }
            queue.head = index;
        }
        let fd = handle.fd;
        self.start_on(slot, start, fd);
    }

    /// Another operation of the same direction of the same handle is on its way.
    #[cold]
    fn wait_behind(&mut self, tail: u32, index: u32) {
        let header = self.slots.header(index);
        header.prev = tail;
        header.state = State::Waiting;
        self.slots.header(tail).next = index;
        self.impatient = true;
    }

    /// Hands the operation to whoever will complete it.
    pub(crate) fn start(&mut self, slot: SlotRef, start: StartFn) {
        // SAFETY: `start` is the function of the vtable of the record in this slot.
        let result = self.set_off(slot, |state, slot, fd| unsafe { start(state, slot, fd) });
        self.queue_if_done(slot, result);
    }

    /// As [`start`](Loop::start); gives the result if it is there at once.
    #[inline]
    pub(crate) fn set_off(
        &mut self,
        slot: SlotRef,
        start: impl FnOnce(&mut Loop, SlotRef, RawFd) -> Option<i32>,
    ) -> Option<i32> {
        let handle = self.slots.header_of(slot).handle;
        let fd = if handle == NONE { -1 } else { self.handles.get(handle).fd };
        start(self, slot, fd)
    }

    #[inline]
    fn start_on(
        &mut self,
        slot: SlotRef,
        start: impl FnOnce(&mut Loop, SlotRef, RawFd) -> Option<i32>,
        fd: RawFd,
    ) {
        let result = start(self, slot, fd);
        self.queue_if_done(slot, result);
    }

    /// Queues the result of an operation that was just set off, if it is there at once.
    #[inline]
    fn queue_if_done(&mut self, slot: SlotRef, result: Option<i32>) {
        if let Some(result) = result {
            self.finish_at_once(slot, result);
        }
    }

    /// As [`goes_on`](Loop::goes_on), of what io_uring was given.
    #[cfg(target_os = "linux")]
    #[inline(always)]
    pub(crate) fn went_to_ring(&mut self, slot: SlotRef, start: Start) -> Option<i32> {
        let header = self.slots.header_of(slot);
        match start {
            Start::Submitted => header.state = State::Driver,
            Start::Inline { awaited } => {
                header.state = State::Driver;
                // What waits behind it starts when it is done, and a buffer that comes back may
                // start those that wait for one.
                if awaited || header.next != NONE || self.buffer_waiters > 0 {
                    self.impatient = true;
                }
            }
            start => return self.goes_on(slot, -1, start),
        }
        None
    }

    /// As [`goes_on`](Loop::goes_on), of what readiness has tried.
    #[cfg(unix)]
    #[inline(always)]
    pub(crate) fn was_tried(&mut self, slot: SlotRef, fd: RawFd, start: Start) -> Option<i32> {
        if let Start::Ready(result) = start { Some(result) } else { self.goes_on(slot, fd, start) }
    }

    /// Sees to it that an operation is completed, by whom its row says; gives its result if that is
    /// there. The descriptor is that of its handle.
    pub(crate) fn goes_on(&mut self, slot: SlotRef, fd: RawFd, start: Start) -> Option<i32> {
        let header = self.slots.header_of(slot);
        let op = header.op();
        let (handle, fd, interest) = match start {
            Start::Ready(result) => return Some(result),
            Start::Timer(deadline_ns) => {
                assert!(!header.has_timer, "a timer is started when it has fired");
                header.state = State::Timer;
                header.has_timer = true;
                self.timers.insert(deadline_ns, timer_key(op.index));
                return None;
            }
            Start::Parked => {
                header.state = State::Parked;
                return None;
            }
            Start::Offloaded(job) => {
                header.state = State::Offloaded;
                header.job = job;
                return None;
            }
            Start::Submitted => {
                header.state = State::Driver;
                return None;
            }
            #[cfg(target_os = "linux")]
            Start::Inline { .. } => panic!("a row answers the driver that asks"),
            #[cfg(unix)]
            Start::AwaitBytes { handle, fd } => {
                header.job = handle;
                (handle, fd, Interest::Readable)
            }
            Start::Await(interest) => (header.handle, fd, interest),
        };
        header.state = State::Driver;
        let waits = self.driver.as_mut().map(|driver| driver.wait_for(op, fd, handle, interest));
        waits?.err().map(|error| error::to_raw(&error))
    }

    /// Lets an operation that goes on wait for its handle, where a driver that tries knows that a
    /// call this way would find nothing now; says whether it waits.
    #[cfg(unix)]
    #[inline]
    pub(crate) fn await_event(&mut self, slot: SlotRef, direction: Direction) -> bool {
        let Some(Driver::Readiness(readiness)) = &mut self.driver else { return false };
        let interest = match direction {
            Direction::In => Interest::Readable,
            Direction::Out => Interest::Writable,
            Direction::None | Direction::Datagram => return false,
        };
        let header = self.slots.header_of(slot);
        let op = header.op();
        let waits = readiness.waits_again(op, header.handle, interest);
        if waits {
            header.state = State::Driver;
        }
        waits
    }

    /// Has a driver that tries send at once, where nothing is before it on its handle; says how
    /// much is sent.
    #[inline]
    pub(crate) fn send_at_once(&mut self, id: HandleId, bytes: &[u8]) -> usize {
        let Some(handle) = self.handles.find(id) else { return 0 };
        if handle.closer != OPEN || handle.queues[1].head != NONE {
            return 0;
        }
        let (fd, calls, terms) = (handle.fd, &self.calls, &self.handles.terms);
        let count = match &mut self.driver {
            #[cfg(unix)]
            Some(Driver::Readiness(readiness)) => {
                let ready = &self.ready;
                let mut place = readiness.place(Op::ENDED, fd, id.index, calls, terms, ready);
                let Start::Ready(count) = send_rest(bytes, &mut place) else { return 0 };
                count
            }
            #[cfg(windows)]
            Some(Driver::Iocp(iocp)) => {
                iocp.place(Op::ENDED, fd, id.index, calls, terms).send_now(bytes)
            }
            _ => return 0,
        };
        // An error has no count.
        let sent = usize::try_from(count).unwrap_or(0);
        self.operations += u64::from(sent == bytes.len());
        sent
    }

    /// An overlapped call is made in any case: it says at once what it has.
    #[cfg(windows)]
    pub(crate) fn await_event(&mut self, _slot: SlotRef, _direction: Direction) -> bool {
        false
    }

    /// Queues the result of an operation that was done when it was set off. Not inlined: for
    /// drivers that do not try it is rare.
    #[inline(never)]
    fn finish_at_once(&mut self, slot: SlotRef, result: i32) {
        let header = self.slots.header_of(slot);
        if header.direction != Direction::Out || !std::mem::take(&mut self.may_go_first) {
            return self.finish(slot, result);
        }
        header.state = State::Ready;
        let mut completion = Completion::in_user_space(header.op(), result);
        completion.flags |= WENT_FIRST;
        self.ready.push_front(completion);
    }

    /// Queues the operation's last completion.
    pub(crate) fn finish_in_user_space(&mut self, index: u32, result: i32) {
        self.finish(self.slots.at(index), result);
    }

    #[inline]
    fn finish(&mut self, slot: SlotRef, result: i32) {
        let header = self.slots.header_of(slot);
        header.state = State::Ready;
        let op = header.op();
        self.ready.push_back(Completion::in_user_space(op, result));
    }

    /// Whether an operation waits for something in user space.
    pub(crate) fn is_parked(&mut self, op: Op) -> bool {
        let found = self.slots.find(op.index, op.generation);
        found.is_some_and(|header| header.state == State::Parked)
    }

    /// Completes an operation that has what it waited for in user space, unless it has ended.
    pub(crate) fn finish_parked(&mut self, op: Op) {
        if self.is_parked(op) {
            self.take_inner(op.index);
            self.finish_in_user_space(op.index, 0);
        }
    }

    /// Has the operation in a slot stand for another one from now on.
    pub(crate) fn set_inner(&mut self, index: u32, inner: Op) {
        self.take_inner(index);
        self.inner.push((index, inner));
    }

    /// What the operation in a slot stands for, and now no more.
    pub(crate) fn take_inner(&mut self, index: u32) -> Option<Op> {
        let place = self.inner.iter().position(|&(of, _inner)| of == index)?;
        Some(self.inner.swap_remove(place).1)
    }

    /// An operation's call on the pool has ended; the operation is still there, for it waits for
    /// that.
    pub(crate) fn finish_offloaded(&mut self, op: Op, result: i32) {
        self.ready.push_back(Completion::in_user_space(op, result));
    }

    /// Takes a call back that no thread of the pool has taken yet.
    fn take_back_call(&mut self, index: u32) {
        let header = self.slots.header(index);
        let id = JobId { place: header.job, owner: header.op() };
        // It owns nothing of the user's.
        if self.calls.pool.cancel(id).is_some() {
            self.finish_in_user_space(index, -code::CANCELED);
        }
    }

    /// Asks the driver to let go of an operation, if it holds it.
    pub(crate) fn cancel_in_driver(&mut self, index: u32) {
        let header = self.slots.header(index);
        let op = header.op();
        if header.state == State::Driver
            && let Some(driver) = &mut self.driver
            && driver.cancel(op, [header.handle, header.job])
        {
            self.finish_in_user_space(index, -code::CANCELED);
        }
    }

    /// Whether an operation that was asked to end has been woken before that took effect: then it tries
    /// its call all the same.
    pub(crate) fn is_cancel_late(&mut self, slot: SlotRef) -> bool {
        let op = self.slots.header_of(slot).op();
        matches!(&self.driver, Some(Driver::Sim(sim)) if sim.is_cancel_late(op))
    }

    /// Has an operation that was woken try again, unless it was asked to end; gives its result if
    /// that is there at once.
    #[inline(always)]
    pub(crate) fn try_again(
        &mut self,
        slot: SlotRef,
        result: i32,
        start: impl FnOnce(&mut Loop, SlotRef, RawFd) -> Option<i32>,
    ) -> Option<i32> {
        if self.slots.header_of(slot).flags != 0
            && let Some(held_up) = self.holds_up(slot, result)
        {
            return held_up;
        }
        match self.set_off(slot, start) {
            Some(result) if result == -code::INTERRUPTED => {
                // Once more: it goes on in a later turn.
                self.finish(slot, result);
                None
            }
            result => result,
        }
    }

    /// What keeps an operation from trying again with which something is the matter: its result, or
    /// nothing yet.
    #[cold]
    pub(crate) fn holds_up(&mut self, slot: SlotRef, result: i32) -> Option<Option<i32>> {
        let flags = self.slots.header_of(slot).flags;
        if flags & FINAL != 0 {
            // A close that was interrupted has closed (P31).
            return Some(Some(result));
        }
        if flags & ASKED_TO_END != 0 && !self.is_cancel_late(slot) {
            return Some(Some(-code::CANCELED));
        }
        self.hold_restart(slot).then_some(None)
    }

    /// How many operations the driver may have done without saying so.
    #[inline]
    pub(crate) fn inline_pending(&self) -> usize {
        self.driver.as_ref().map_or(0, Driver::inline_pending)
    }

    /// Whether a completion is there to be taken up.
    #[inline]
    pub(crate) fn has_completed(&self) -> bool {
        !self.ready.is_empty() || self.driver.as_ref().is_some_and(|driver| driver.concluded() > 0)
    }

    /// Asks that an operation end early, for the reason in `flag`.
    pub(crate) fn ask_to_end(&mut self, index: u32, flag: u8) {
        let header = self.slots.header(index);
        if header.flags & FINAL != 0 {
            return;
        }
        let asked_before = header.flags & ASKED_TO_END != 0;
        if !asked_before {
            header.flags |= flag;
        }
        self.resume(index);
        let header = self.slots.header(index);
        match header.state {
            State::Free | State::Ready => {}
            State::Driver => {
                if !asked_before {
                    self.cancel_in_driver(index);
                }
            }
            State::Waiting => {
                self.unlink(index);
                self.finish_in_user_space(index, -code::CANCELED);
            }
            State::Timer => {
                // Without one it is due, and will find that it has ended.
                if std::mem::take(&mut header.has_timer) {
                    self.timers.remove(timer_key(index));
                }
                self.finish_in_user_space(index, -code::CANCELED);
            }
            State::Offloaded => self.take_back_call(index),
            State::Parked => self.finish_in_user_space(index, -code::CANCELED),
        }
    }

    /// Takes an operation out of its direction's queue; says which one has become its head.
    fn unlink(&mut self, index: u32) -> u32 {
        let header = self.slots.header(index);
        let (handle, direction) = (header.handle, header.direction);
        let (prev, next) = (header.prev, header.next);
        header.direction = Direction::None;
        header.prev = NONE;
        header.next = NONE;
        if prev != NONE {
            self.slots.header(prev).next = next;
        }
        if next != NONE {
            self.slots.header(next).prev = prev;
        }
        let Some(queue) = queue_of(&mut self.handles.get(handle).queues, direction) else {
            return NONE;
        };
        if queue.tail == index {
            queue.tail = prev;
        }
        if queue.head == index {
            queue.head = next;
            return next;
        }
        NONE
    }

    /// Ends an operation's tie to its handle: the next of its direction starts, and a closing
    /// handle that has nothing left is closed. A descriptor to close is returned.
    #[inline(always)]
    fn detach(&mut self, slot: SlotRef, start_next: bool) -> Option<RawFd> {
        let header = self.slots.header_of(slot);
        let handle = header.handle;
        if handle == NONE {
            return None;
        }
        if header.next != NONE || header.prev != NONE {
            let index = header.index;
            self.leave_queue(index, start_next);
        }
        let header = self.slots.header_of(slot);
        header.handle = NONE;
        let direction = std::mem::replace(&mut header.direction, Direction::None);
        let entry = self.handles.get(handle);
        // It was alone, unless it has left the queue.
        if let Some(queue) = queue_of(&mut entry.queues, direction) {
            *queue = InOrder { head: NONE, tail: NONE };
        }
        entry.pending -= 1;
        if entry.pending == 0 && entry.closer != OPEN { self.close_now(handle) } else { None }
    }

    /// An operation is done, and the system keeps its buffer until the peer has acknowledged what
    /// was sent. It cannot be ended early any more, and a close does not wait for it: a peer that
    /// does not read would hold it up.
    #[cold]
    pub(crate) fn done_but_for_its_buffer(&mut self, index: u32) -> Option<RawFd> {
        let slot = self.slots.at(index);
        let header = self.slots.header_of(slot);
        header.flags |= FINAL;
        let handle = header.handle;
        let closing = handle != NONE && self.handles.get(handle).closer != OPEN;
        if closing { self.detach(slot, true) } else { None }
    }

    #[cold]
    fn leave_queue(&mut self, index: u32, start_next: bool) {
        let next = self.unlink(index);
        if next != NONE
            && start_next
            && let Some(vtable) = self.slots.header(next).vtable
        {
            self.start(self.slots.at(next), vtable.start);
        }
    }

    /// Nothing is pending on a closing handle any more.
    #[cold]
    fn close_now(&mut self, handle: u32) -> Option<RawFd> {
        let entry = self.handles.get(handle);
        let (fd, closer) = (entry.fd, entry.closer);
        self.handles.remove(handle);
        if let Some(driver) = &mut self.driver {
            driver.forget(fd, handle);
        }
        self.retry_ns = 0;
        if closer == DROPPED {
            return Some(fd);
        }
        let slot = self.slots.at(closer);
        if let Some(vtable) = self.slots.header_of(slot).vtable {
            // SAFETY: it is the function of the vtable of the record in this slot.
            let start = |state: &mut _, slot, fd| unsafe { (vtable.start)(state, slot, fd) };
            self.start_on(slot, start, fd);
        }
        None
    }

    /// Begins to close a handle for the close operation in slot `closer` (or for nobody).
    pub(crate) fn close(&mut self, id: HandleId, closer: u32) -> Option<RawFd> {
        let Some(handle) = self.handles.find(id).filter(|handle| handle.closer == OPEN) else {
            if closer != DROPPED {
                self.refuse(closer, error::CLOSED);
            }
            return None;
        };
        handle.closer = closer;
        if handle.pending == 0 {
            return self.close_now(id.index);
        }
        self.cancel_pending(id.index)
    }

    fn cancel_pending(&mut self, handle: u32) -> Option<RawFd> {
        for way in 0..2 {
            loop {
                let InOrder { head, tail } = self.handles.get(handle).queues[way];
                if tail == head {
                    break;
                }
                self.ask_to_end(tail, CANCEL_ASKED);
            }
            let head = self.handles.get(handle).queues[way].head;
            if head != NONE {
                self.ask_to_end(head, CANCEL_ASKED);
            }
        }
        let queued = |queue: &InOrder| u32::from(queue.head != NONE);
        let entry = self.handles.get(handle);
        let mut loose = entry.pending - entry.queues.iter().map(queued).sum::<u32>();
        for index in 0..self.slots.len() {
            // Operations of no direction are not linked: rare, so they are searched for.
            if loose == 0 {
                break;
            }
            let header = self.slots.header(index);
            let is_loose = header.handle == handle && header.direction == Direction::None;
            if is_loose && header.state != State::Free {
                loose -= 1;
                self.ask_to_end(index, CANCEL_ASKED);
            }
        }
        // A send that is done but for its buffer is not cancelled, and not waited for.
        let sends = self.handles.get(handle).queues[1].head;
        if sends != NONE && self.slots.header(sends).flags & FINAL != 0 {
            let slot = self.slots.at(sends);
            return self.detach(slot, false);
        }
        None
    }

    /// Frees the slot whose record of type `R` was moved out, and says what the result means, and
    /// which descriptor to close.
    #[inline]
    pub(crate) fn release<R>(&mut self, slot: SlotRef, result: i32) -> (i32, Option<RawFd>) {
        let header = self.slots.header_of(slot);
        let mut result = result;
        if header.flags != 0 {
            result = ending(header.flags, result);
            self.limit -= u64::from(header.flags & REFUSED != 0);
        }
        if header.has_deadline {
            header.has_deadline = false;
            self.timers.remove(timer_key(header.index) | DEADLINE);
        }
        let fd = self.detach(slot, true);
        self.slots.free::<R>(slot);
        (result, fd)
    }

    /// Lets go of an operation at the loop's end, unless its driver goes on with it. Gives what is
    /// needed to drop its record, and a descriptor to close.
    pub(crate) fn abandon(
        &mut self,
        index: u32,
        completion: Option<Completion>,
    ) -> Option<(SlotRef, &'static VTable, Option<RawFd>)> {
        let slot = self.slots.at(index);
        let header = self.slots.header_of(slot);
        let vtable = header.vtable?;
        let last = completion.is_none_or(|completion| completion.flags & MORE == 0);
        let mut fd = None;
        if last {
            header.state = State::Ready;
            (header.has_timer, header.has_deadline) = (false, false);
            fd = self.detach(slot, false);
            self.slots.header_of(slot).vtable = None;
        }
        Some((slot, vtable, fd))
    }
}

/// What the result of an operation means that was asked to end.
#[cold]
fn ending(flags: u8, result: i32) -> i32 {
    let interrupted = result == -code::CANCELED || result == -code::INTERRUPTED;
    match flags {
        _ if !interrupted => result,
        flags if flags & TIMED_OUT != 0 => error::TIMED_OUT,
        flags if flags & CANCEL_ASKED != 0 => -code::CANCELED,
        _ => result,
    }
}

#[inline]
fn queue_of(queues: &mut [InOrder; 2], direction: Direction) -> Option<&mut InOrder> {
    queues.get_mut(direction as usize)
}
