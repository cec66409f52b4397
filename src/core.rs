//! The loop's state: slots, handles, timers, the driver and the queue of completions, and how an
//! operation moves between them. [`Io`](crate::Io) drives it; typed handles reach it.
//!
//! I1. `state` is borrowed only for a few lines at a time, and no callback, context or buffer of
//!     the user's runs or is dropped under the borrow (a row's address cell may ask a buffer
//!     where it is).
//! I2. A slot is freed only after its last completion, or when it never reached the driver.
#![expect(unsafe_code, reason = "operations are reached through their slots")]

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::driver::{Driver, Waker};
use crate::error;
use crate::handle::{DROPPED, HandleId, Handles, OPEN, Queue};
use crate::mailbox::{Mailbox, Wake};
use crate::offload::{JobId, Pool};
use crate::op::{Completion, Direction, MORE, NOTIFICATION, Op, Start, USER_SPACE, VTable};
use crate::remote::Message;
use crate::slot::{CANCEL_ASKED, FINAL, NONE, STOPPED, Slot, Slots, State, TIMED_OUT};
use crate::timer::{TimerId, Timers};

/// How long a cancel that found nothing waits before it asks again.
pub(crate) const MISSED_PAUSE_NS: u64 = 1_000_000;
/// How long accepting pauses when no descriptor is left and none of this loop's is closed.
const EXHAUSTED_PAUSE_NS: u64 = 50_000_000;

pub(crate) type StartFn = unsafe fn(*mut Slot, RawFd) -> Start;

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

impl Wake for Waker {
    fn wake(&self) {
        Waker::wake(self);
    }
}

pub(crate) type LoopMailbox = Mailbox<Message, Arc<Waker>>;

pub(crate) struct Core {
    pub(crate) state: RefCell<Loop>,
    pub(crate) mailbox: Arc<LoopMailbox>,
    pub(crate) pool: Pool,
    pub(crate) base: Instant,
    pub(crate) now_ns: Cell<u64>,
    /// The loop is gone; what is left only closes descriptors.
    pub(crate) ended: Cell<bool>,
    /// The driver did not let go in time: its memory is never freed.
    pub(crate) leaked: Cell<bool>,
}

pub(crate) struct Loop {
    pub(crate) slots: Slots,
    pub(crate) handles: Handles,
    pub(crate) timers: Timers,
    pub(crate) driver: Option<Driver>,
    pub(crate) ready: VecDeque<Completion>,
    pub(crate) in_driver: u32,
    pub(crate) capacity: u32,
    pub(crate) operations: u64,
    /// Offloaded calls by slot.
    pub(crate) jobs: BTreeMap<u32, JobId>,
    /// Accepting operations that found no descriptor left, and when to try again.
    pub(crate) exhausted: Vec<Op>,
    pub(crate) retry_ns: u64,
    /// Operations whose cancel found nothing, and when to ask again.
    pub(crate) missed: Vec<Op>,
    pub(crate) missed_ns: u64,
}

impl Loop {
    /// Takes a slot for `record` and sets the operation off. It is completed later whatever
    /// happens: never inside this call.
    #[inline]
    pub(crate) fn insert<R>(
        &mut self,
        record: R,
        vtable: &'static VTable,
        start: StartFn,
        direction: Direction,
        target: Target,
    ) -> Op {
        let index = self.slots.take();
        self.slots.place(index, record);
        self.operations += 1;
        let full = self.slots.used() > self.capacity;
        let header = self.slots.header(index);
        header.vtable = Some(vtable);
        header.direction = direction;
        header.flags = 0;
        header.state = State::Ready;
        header.handle = NONE;
        header.next = NONE;
        header.prev = NONE;
        let op = Op { index, generation: header.generation };
        if full {
            header.direction = Direction::None;
            self.finish_in_user_space(index, error::AT_CAPACITY);
            return op;
        }
        match target {
            Target::Nothing => self.start(index, start),
            Target::Handle(id) => self.enlist(index, start, direction, id),
            Target::Foreign => self.refuse(index, error::FOREIGN),
        }
        op
    }

    #[cold]
    fn refuse(&mut self, index: u32, result: i32) {
        self.slots.header(index).direction = Direction::None;
        self.finish_in_user_space(index, result);
    }

    #[inline]
    fn enlist(&mut self, index: u32, start: StartFn, direction: Direction, id: HandleId) {
        let Some(handle) = self.handles.find(id).filter(|handle| handle.closer == OPEN) else {
            return self.refuse(index, error::CLOSED);
        };
        handle.pending += 1;
        let mut tail = NONE;
        if let Some(queue) = queue_of(&mut handle.queues, direction) {
            tail = queue.tail;
            queue.tail = index;
            if tail == NONE {
                queue.head = index;
            }
        }
        let header = self.slots.header(index);
        header.handle = id.index;
        if tail == NONE {
            return self.start(index, start);
        }
        header.prev = tail;
        header.state = State::Waiting;
        self.slots.header(tail).next = index;
    }

    /// Hands the operation to whoever will complete it.
    #[inline]
    pub(crate) fn start(&mut self, index: u32, start: StartFn) {
        let handle = self.slots.header(index).handle;
        let fd = if handle == NONE { -1 } else { self.handles.get(handle).fd };
        self.start_on(index, start, fd);
    }

    #[inline]
    pub(crate) fn start_on(&mut self, index: u32, start: StartFn, fd: RawFd) {
        let slot = self.slots.slot(index);
        // SAFETY: `start` is the function of the vtable of the record in this slot.
        match unsafe { start(slot, fd) } {
            Start::Entry(entry) => {
                let header = self.slots.header(index);
                header.state = State::Driver;
                let data = u64::from(header.generation) << 32 | u64::from(index);
                self.in_driver += 1;
                if let Some(driver) = &mut self.driver {
                    driver.submit(&entry.user_data(data));
                }
            }
            Start::Timer(deadline_ns) => {
                let timer = self.timers.insert(deadline_ns, index);
                let header = self.slots.header(index);
                header.state = State::Timer;
                let old = std::mem::replace(&mut header.timer, timer);
                if old != TimerId::NONE {
                    self.timers.remove(old);
                }
            }
            Start::Ready(result) => self.finish_in_user_space(index, result),
            Start::Parked => self.slots.header(index).state = State::Parked,
        }
    }

    /// Queues the operation's last completion.
    #[inline]
    pub(crate) fn finish_in_user_space(&mut self, index: u32, result: i32) {
        let header = self.slots.header(index);
        header.state = State::Ready;
        let generation = header.generation;
        self.ready.push_back(Completion { index, generation, result, flags: USER_SPACE });
    }

    /// Asks that an operation end early, for the reason in `flag`.
    pub(crate) fn ask_to_end(&mut self, index: u32, flag: u8) {
        let header = self.slots.header(index);
        if header.flags & FINAL != 0 {
            return;
        }
        let asked_before = header.flags & (CANCEL_ASKED | TIMED_OUT) != 0;
        if !asked_before {
            header.flags |= flag;
        }
        let generation = header.generation;
        match header.state {
            State::Free | State::Ready => {}
            State::Driver => {
                if let (false, Some(driver)) = (asked_before, &mut self.driver) {
                    driver.cancel(index, generation);
                }
            }
            State::Waiting => {
                self.unlink(index);
                self.finish_in_user_space(index, -libc::ECANCELED);
            }
            State::Timer => {
                let timer = std::mem::replace(&mut header.timer, TimerId::NONE);
                self.timers.remove(timer);
                self.finish_in_user_space(index, -libc::ECANCELED);
            }
            State::Parked => self.finish_in_user_space(index, -libc::ECANCELED),
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
    #[inline]
    fn detach(&mut self, index: u32, start_next: bool) -> Option<RawFd> {
        let header = self.slots.header(index);
        let handle = header.handle;
        if handle == NONE {
            return None;
        }
        if header.direction != Direction::None {
            let next = self.unlink(index);
            if next != NONE && start_next {
                let vtable = self.slots.header(next).vtable;
                if let Some(vtable) = vtable {
                    self.start(next, vtable.start);
                }
            }
        }
        self.slots.header(index).handle = NONE;
        let entry = self.handles.get(handle);
        entry.pending -= 1;
        if entry.pending == 0 && entry.closer != OPEN { self.close_now(handle) } else { None }
    }

    /// Nothing is pending on a closing handle any more.
    #[cold]
    fn close_now(&mut self, handle: u32) -> Option<RawFd> {
        let entry = self.handles.get(handle);
        let (fd, closer) = (entry.fd, entry.closer);
        self.handles.remove(handle);
        self.retry_ns = 0;
        if closer == DROPPED {
            return Some(fd);
        }
        if let Some(vtable) = self.slots.header(closer).vtable {
            self.start_on(closer, vtable.start, fd);
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
        self.cancel_pending(id.index);
        None
    }

    fn cancel_pending(&mut self, handle: u32) {
        for way in 0..2 {
            loop {
                let Queue { head, tail } = self.handles.get(handle).queues[way];
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
        let queued = |queue: &Queue| u32::from(queue.head != NONE);
        let entry = self.handles.get(handle);
        if entry.pending > entry.queues.iter().map(queued).sum() {
            // Operations of no direction are not linked: rare, so they are searched for.
            for index in 0..self.slots.len() {
                let header = self.slots.header(index);
                if header.state != State::Free && header.handle == handle {
                    self.ask_to_end(index, CANCEL_ASKED);
                }
            }
        }
    }

    /// When the loop must wake at the latest.
    pub(crate) fn next_deadline_ns(&mut self) -> Option<u64> {
        let timer = self.timers.next_deadline();
        let retry = (!self.exhausted.is_empty()).then_some(self.retry_ns);
        let missed = (!self.missed.is_empty()).then_some(self.missed_ns);
        timer.into_iter().chain(retry).chain(missed).min()
    }

    /// A cancel was answered that there is nothing to cancel, or not now. If the operation is still
    /// with the driver, the cancel must not be lost (P10).
    #[cold]
    pub(crate) fn cancel_missed(&mut self, op: Op, now_ns: u64) {
        let found = self.slots.find(op.index, op.generation);
        if found.is_some_and(|header| header.state == State::Driver) {
            self.missed.push(op);
            self.missed_ns = now_ns.saturating_add(MISSED_PAUSE_NS);
        }
    }

    /// Asks again for the cancels that found nothing.
    pub(crate) fn cancel_again(&mut self, now_ns: u64) {
        if self.missed.is_empty() || self.missed_ns > now_ns {
            return;
        }
        for op in std::mem::take(&mut self.missed) {
            let found = self.slots.find(op.index, op.generation);
            if found.is_some_and(|header| header.state == State::Driver)
                && let Some(driver) = &mut self.driver
            {
                driver.cancel(op.index, op.generation);
            }
        }
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
        let Some(header) = self.slots.find(op.index, op.generation) else { return false };
        let Some(vtable) = header.vtable.filter(|_| header.state == State::Parked) else {
            return false;
        };
        self.start(op.index, vtable.start);
        true
    }
}

#[inline]
fn queue_of(queues: &mut [Queue; 2], direction: Direction) -> Option<&mut Queue> {
    match direction {
        Direction::None => None,
        Direction::In => Some(&mut queues[0]),
        Direction::Out => Some(&mut queues[1]),
    }
}

/// Closes a descriptor that the loop owned.
pub(crate) fn close_fd(fd: RawFd) {
    // SAFETY: the handle table owned it and has just forgotten it.
    drop(unsafe { OwnedFd::from_raw_fd(fd) });
}

impl Core {
    /// Nanoseconds since the loop's start, as of this turn.
    #[inline]
    pub(crate) fn now_ns(&self) -> u64 {
        self.now_ns.get()
    }

    /// Reads the clock.
    #[inline]
    pub(crate) fn read_clock(&self) -> u64 {
        let elapsed = self.base.elapsed();
        // 584 years fit.
        let now_ns = elapsed.as_secs() * 1_000_000_000 + u64::from(elapsed.subsec_nanos());
        self.now_ns.set(now_ns);
        now_ns
    }

    /// The deadline after `delay`. From the clock itself, not from the turn's cached time: that
    /// one lags behind in a long callback, and the timer would fire early (P60).
    #[inline]
    pub(crate) fn deadline_ns(&self, delay: Duration) -> u64 {
        let delay_ns = delay
            .as_secs()
            .checked_mul(1_000_000_000)
            .and_then(|ns| ns.checked_add(u64::from(delay.subsec_nanos())))
            .unwrap_or(u64::MAX);
        self.read_clock().saturating_add(delay_ns)
    }

    /// The operation's result, unless this completion is only the first of two.
    #[inline]
    pub(crate) fn first_or_last(&self, completion: &Completion) -> Option<i32> {
        let mut state = self.state.borrow_mut();
        let state = &mut *state;
        let header = state.slots.header(completion.index);
        if completion.flags & MORE != 0 {
            header.result = completion.result;
            return None;
        }
        if header.state == State::Driver {
            state.in_driver -= 1;
        }
        header.state = State::Ready;
        let kernel = completion.flags & USER_SPACE == 0;
        let notified = kernel && completion.flags & NOTIFICATION != 0;
        Some(if notified { header.result } else { completion.result })
    }

    pub(crate) fn driver_let_go(&self, completion: &Completion) {
        let mut state = self.state.borrow_mut();
        let state = &mut *state;
        let header = state.slots.header(completion.index);
        if header.state == State::Driver {
            state.in_driver -= 1;
        }
        header.state = State::Ready;
    }

    /// Starts an operation again for the rest of its work, unless it was asked to end: then it
    /// ends with `cancelled`.
    pub(crate) fn start_again(
        &self,
        completion: &Completion,
        start: StartFn,
        cancelled: i32,
    ) -> Option<i32> {
        let mut state = self.state.borrow_mut();
        if state.slots.header(completion.index).flags & (CANCEL_ASKED | TIMED_OUT) != 0 {
            return Some(cancelled);
        }
        state.start(completion.index, start);
        None
    }

    /// Lets an operation wait for something in user space, unless it was asked to end.
    pub(crate) fn park_again(&self, op: Op) -> Option<i32> {
        let mut state = self.state.borrow_mut();
        let header = state.slots.header(op.index);
        if header.flags & (CANCEL_ASKED | TIMED_OUT) != 0 {
            return Some(-libc::ECANCELED);
        }
        header.state = State::Parked;
        None
    }

    pub(crate) fn park_exhausted(&self, op: Op) {
        let now_ns = self.read_clock();
        let mut state = self.state.borrow_mut();
        state.exhausted.push(op);
        state.retry_ns = now_ns.saturating_add(EXHAUSTED_PAUSE_NS);
    }

    pub(crate) fn is_stopped(&self, op: Op) -> bool {
        self.state.borrow_mut().slots.header(op.index).flags & STOPPED != 0
    }

    /// An item's callback wants no more.
    pub(crate) fn stop_each(&self, op: Op, last: bool) {
        let mut state = self.state.borrow_mut();
        let state = &mut *state;
        let header = state.slots.header(op.index);
        let asked = header.flags & (STOPPED | CANCEL_ASKED | TIMED_OUT) != 0;
        header.flags |= STOPPED;
        if !last
            && !asked
            && header.state == State::Driver
            && let Some(driver) = &mut state.driver
        {
            driver.cancel(op.index, op.generation);
        }
    }

    /// Frees the slot whose record of type `R` was moved out, and says what the result means.
    #[inline]
    pub(crate) fn release<R>(&self, index: u32, result: i32) -> i32 {
        let mut guard = self.state.borrow_mut();
        let state = &mut *guard;
        let header = state.slots.header(index);
        let interrupted = result == -libc::ECANCELED || result == -libc::EINTR;
        let result = match header.flags {
            flags if !interrupted || flags & (TIMED_OUT | CANCEL_ASKED) == 0 => result,
            flags if flags & TIMED_OUT != 0 => error::TIMED_OUT,
            _ => -libc::ECANCELED,
        };
        let timer = std::mem::replace(&mut header.timer, TimerId::NONE);
        if timer != TimerId::NONE {
            state.timers.remove(timer);
        }
        let fd = state.detach(index, true);
        state.slots.free::<R>(index);
        drop(guard);
        if let Some(fd) = fd {
            close_fd(fd);
        }
        result
    }

    /// The last owner of a handle is gone.
    pub(crate) fn close_dropped(&self, id: HandleId) {
        if self.leaked.get() {
            // What is pending can be asked for nothing any more; the descriptor stays with it.
            return;
        }
        let fd = self.state.borrow_mut().close(id, DROPPED);
        if let Some(fd) = fd {
            close_fd(fd);
        }
    }

    /// Takes all operations that the driver does not hold, for the end of the loop: their
    /// records are dropped, callbacks do not run.
    pub(crate) fn abandon(&self, index: u32, completion: Option<Completion>) -> bool {
        let (slot, vtable, fd) = {
            let mut guard = self.state.borrow_mut();
            let state = &mut *guard;
            let header = state.slots.header(index);
            let Some(vtable) = header.vtable else { return false };
            let last = completion.is_none_or(|completion| completion.flags & MORE == 0);
            let mut fd = None;
            if last {
                if header.state == State::Driver {
                    state.in_driver -= 1;
                }
                header.state = State::Ready;
                header.timer = TimerId::NONE;
                fd = state.detach(index, false);
                state.slots.header(index).vtable = None;
            }
            (state.slots.slot(index), vtable, fd)
        };
        if let Some(fd) = fd {
            close_fd(fd);
        }
        // SAFETY: the vtable is that of the record in this slot, which is abandoned only once: a
        // slot without a vtable is passed over.
        unsafe { (vtable.abandon)(slot, completion) }
    }
}
