//! The loop: build it, run it, stop it, cancel in it.
//!
//! ```text
//!  turn:  posts ─▶ submit and wait (one system call) ─▶ due timers ─▶ callbacks, up to a bound
//! ```

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::marker::PhantomData;
#[cfg(unix)]
use std::os::fd::{BorrowedFd, OwnedFd};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use crate::Builder;
use crate::clock;
use crate::core::Core;
use crate::driver::{Driver, DriverInfo};
use crate::due::Due;
use crate::op::{Completion, Op};
use crate::remote::{Message, Remote};
use crate::slot::{CANCEL_ASKED, FINAL, State, TIMED_OUT};
use crate::state::{DEADLINE, Loop, timer_key};

/// Counts of what a loop did; see [`Io::statistics`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Statistics {
    /// Operations started.
    pub operations: u64,
    /// System calls that the driver made.
    pub system_calls: u64,
    /// Waits that ended while the loop looked for something to do ([`Builder::spin`]), before it
    /// slept. One for which something was there at the first look is not among them.
    pub spins_found: u64,
    /// Waits that looked in vain, and then slept.
    pub spins_in_vain: u64,
}

/// A loop: operations are started on it, and their callbacks run in it.
///
/// One loop belongs to one thread; other threads reach it through a [`Remote`]. Dropping it
/// cancels what is in flight, waits until the driver has let go, and drops contexts and buffers
/// without running callbacks.
///
/// It belongs to the process that built it, too. A child that is forked and runs no other program shares
/// what the system knows of the loop: it must neither use it nor drop it, and builds its own.
///
/// ```
/// use std::time::Duration;
///
/// let io = tigereye::Io::new()?;
/// io.timeout("a context", Duration::from_millis(1), |context, _io, result| {
///     println!("{context}: {result:?}");
/// });
/// io.run()?;
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Io {
    pub(crate) core: Rc<Core>,
    running: Cell<bool>,
    pub(crate) stopping: Cell<bool>,
    callbacks_per_turn: usize,
    pub(crate) messages: RefCell<VecDeque<Message>>,
    not_send: PhantomData<*mut ()>,
}

/// Marks the loop as running, also while a callback unwinds.
struct Running<'a>(&'a Cell<bool>);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.set(false);
    }
}

impl Io {
    pub(crate) fn over(core: Core, callbacks_per_turn: usize) -> Io {
        Io {
            core: Rc::new(core),
            running: Cell::new(false),
            stopping: Cell::new(false),
            callbacks_per_turn,
            messages: RefCell::new(VecDeque::new()),
            not_send: PhantomData,
        }
    }

    /// A loop with the best driver that works here, and the defaults of [`Builder`].
    ///
    /// # Errors
    /// As [`Builder::build`].
    pub fn new() -> io::Result<Io> {
        Io::builder().build()
    }

    /// Options for a loop.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// The driver that runs, and why the better one does not, where the loop was free to choose.
    ///
    /// ```
    /// let io = tigereye::Io::new()?;
    /// println!("on {}", io.driver());
    /// // on uring
    /// // on readiness (uring: Operation not permitted (os error 1))
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn driver(&self) -> &DriverInfo {
        &self.core.driver
    }

    /// Runs callbacks until no operation is in flight and nothing is posted, or until
    /// [`stop`](Io::stop).
    ///
    /// # Errors
    /// `Deadlock` when called inside a callback; else what the driver's wait says.
    ///
    /// # Panics
    /// A panic of a callback passes through; the loop stays consistent and can be run again.
    pub fn run(&self) -> io::Result<()> {
        self.run_until(None, |io| io.is_idle())
    }

    /// As [`run`](Io::run), for at most `duration`.
    ///
    /// # Errors
    /// As [`run`](Io::run).
    pub fn run_for(&self, duration: Duration) -> io::Result<()> {
        let deadline_ns = self.core.clock.deadline_ns(duration);
        self.run_until(Some(deadline_ns), |io| io.is_idle())
    }

    /// Waits until at least one callback has run, then returns; returns at once when the loop is
    /// idle or stopped.
    ///
    /// # Errors
    /// As [`run`](Io::run).
    pub fn run_once(&self) -> io::Result<()> {
        let _running = self.enter()?;
        while !self.take_stop() && !self.is_idle() {
            if self.turn(None)? > 0 {
                break;
            }
        }
        Ok(())
    }

    /// Runs what is ready now and returns: it never waits. For a loop inside another loop.
    ///
    /// # Errors
    /// As [`run`](Io::run).
    pub fn poll(&self) -> io::Result<()> {
        let _running = self.enter()?;
        // An embedding loop slept for this one (`arm`).
        self.core.mailbox.finish_wait();
        if !self.take_stop() {
            self.turn(Some(0))?;
        }
        Ok(())
    }

    /// Has the current run mode return after the callback that is running, or the next one at
    /// once. What is in flight stays so, and can be run again.
    pub fn stop(&self) {
        self.stopping.set(true);
    }

    /// The loop's monotonic time, as of this turn: the clock is read once a turn, when it is first
    /// asked for. It does not move while the system sleeps.
    pub fn now(&self) -> Instant {
        self.core.clock.now()
    }

    /// The time of day: the system's real-time clock, which follows what its host takes for the time
    /// and so may jump, ahead or back, and stand still. It is for what people and other machines read
    /// (a `Date` header, a log); what is to happen after a while is for [`now`](Io::now), timers and
    /// deadlines, which never follow it. Unlike `now` it is read at each call.
    ///
    /// # Platform
    /// `CLOCK_REALTIME` of clock_gettime(2) on Unix, `GetSystemTimePreciseAsFileTime` on Windows. In a
    /// simulated world it is the host's, which begins with 2026 and is set by
    /// [`World::set_wall_clock`](crate::sim::World::set_wall_clock), or by chance.
    ///
    /// ```
    /// use std::time::SystemTime;
    ///
    /// let io = tigereye::Io::new()?;
    /// let since = io.wall_clock().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    /// println!("{} seconds since 1970", since.as_secs());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn wall_clock(&self) -> SystemTime {
        if let Some(time) = self.core.simulated(|sim| sim.wall_clock()) {
            return time;
        }
        clock::wall_clock()
    }

    /// Operations that have not had their last callback yet.
    pub fn in_flight(&self) -> u32 {
        self.core.state.borrow().slots.used()
    }

    /// How many more operations the loop takes before its capacity is reached.
    pub fn free_slots(&self) -> u32 {
        let state = self.core.state.borrow();
        let left = state.limit.saturating_sub(u64::from(state.slots.used()));
        u32::try_from(left).unwrap_or(u32::MAX)
    }

    /// What the loop did so far.
    pub fn statistics(&self) -> Statistics {
        let state = self.core.state.borrow();
        let system_calls = state.driver.as_ref().map_or(0, Driver::system_calls);
        Statistics {
            operations: state.operations,
            system_calls,
            spins_found: state.spin.found,
            spins_in_vain: state.spin.in_vain,
        }
    }

    /// A handle to this loop for other threads.
    pub fn remote(&self) -> Remote {
        Remote { mailbox: Arc::clone(&self.core.mailbox) }
    }

    /// Asks that an operation end early. It still completes: with an error for which
    /// [`is_cancelled`](crate::is_cancelled) holds, or, if it was done already, with its result.
    /// Does nothing when the operation has ended. A close cannot be cancelled.
    pub fn cancel(&self, op: Op) {
        self.core.end_early(op, CANCEL_ASKED);
    }

    /// Cancels every operation in flight, closes aside.
    pub fn cancel_all(&self) {
        let slots = self.core.state.borrow().slots.len();
        for index in 0..slots {
            self.cancel_at(index);
        }
    }

    /// Cancels the operation in a slot, if there is one.
    pub(crate) fn cancel_at(&self, index: u32) {
        let op = {
            let mut state = self.core.state.borrow_mut();
            let header = state.slots.header(index);
            if header.state == State::Free {
                return;
            }
            header.op()
        };
        self.cancel(op);
    }

    /// Gives an operation a deadline, counted from now; a second one replaces the first. An
    /// operation that has not ended by then is cancelled and completes with
    /// [`TimedOut`](io::ErrorKind::TimedOut), or, if it was done already, with its result. Closes
    /// take no deadline; an operation that has ended takes no notice.
    pub fn deadline(&self, op: Op, after: Duration) {
        let deadline_ns = self.core.clock.deadline_ns(after);
        let mut state = self.core.state.borrow_mut();
        let state = &mut *state;
        let Some(header) = state.slots.find(op.index, op.generation) else { return };
        if header.flags & FINAL != 0 {
            return;
        }
        let key = timer_key(op.index) | DEADLINE;
        if std::mem::replace(&mut header.has_deadline, true) {
            state.timers.remove(key);
        }
        state.timers.insert(deadline_ns, key);
    }

    /// Prepares the loop for being waited on from outside: until the next [`poll`](Io::poll) its
    /// descriptor is readable whenever there is something to do, timers and posts included.
    ///
    /// # Errors
    /// What io_uring_enter(2) says.
    ///
    /// # Platform
    /// Unix: a completion port cannot be waited for from outside.
    #[cfg(unix)]
    pub fn arm(&self) -> io::Result<()> {
        // What was taken from the mailbox and has not run yet is not in it any more.
        let left_over = !self.messages.borrow().is_empty();
        let must_run = !self.core.mailbox.prepare_wait() || left_over;
        let now_ns = self.core.clock.read();
        let mut state = self.core.state.borrow_mut();
        let timeout = if must_run || state.inline_pending() > 0 || state.has_completed() {
            Some(Duration::ZERO)
        } else {
            let deadline_ns = state.next_deadline_ns();
            deadline_ns.map(|at| Duration::from_nanos(at.saturating_sub(now_ns)))
        };
        state.driver.as_mut().map_or(Ok(()), |driver| driver.arm(timeout))
    }

    /// The descriptor to watch for readability when this loop runs inside another one; see
    /// [`arm`](Io::arm). Each call gives a duplicate.
    ///
    /// # Errors
    /// What eventfd(2), io_uring_register(2) and dup(2) say.
    #[cfg(unix)]
    #[expect(unsafe_code, reason = "the driver's descriptor is borrowed to be duplicated")]
    pub fn descriptor(&self) -> io::Result<OwnedFd> {
        let mut state = self.core.state.borrow_mut();
        let Some(driver) = &mut state.driver else {
            return Err(io::ErrorKind::NotConnected.into());
        };
        let fd = driver.raw_fd()?;
        // SAFETY: the driver owns the descriptor and lives during this call.
        unsafe { BorrowedFd::borrow_raw(fd) }.try_clone_to_owned()
    }

    /// Whether somebody has something for the loop, or wants it to stop.
    pub(crate) fn has_messages(&self) -> bool {
        self.core.mailbox.has_work() || !self.messages.borrow().is_empty() || self.stopping.get()
    }

    /// Whether a stop was asked for, which is taken for heard.
    pub(crate) fn was_stopped(&self) -> bool {
        self.take_stop()
    }

    fn is_idle(&self) -> bool {
        self.in_flight() == 0 && !self.core.mailbox.has_work() && self.messages.borrow().is_empty()
    }

    fn take_stop(&self) -> bool {
        self.core.mailbox.take_stop() | self.stopping.replace(false)
    }

    fn enter(&self) -> io::Result<Running<'_>> {
        if self.running.replace(true) {
            let message = "the loop is running: a callback must not run it again";
            return Err(io::Error::new(io::ErrorKind::Deadlock, message));
        }
        Ok(Running(&self.running))
    }

    fn run_until(&self, deadline_ns: Option<u64>, done: fn(&Io) -> bool) -> io::Result<()> {
        let _running = self.enter()?;
        while !self.take_stop() && !done(self) {
            if deadline_ns.is_some_and(|deadline_ns| self.core.clock.read() >= deadline_ns) {
                break;
            }
            self.turn(deadline_ns)?;
        }
        Ok(())
    }

    /// One turn; says how many callbacks ran. Waits at most until `deadline_ns`.
    fn turn(&self, deadline_ns: Option<u64>) -> io::Result<usize> {
        let mut callbacks = 0;
        self.begin_simulated_turn();
        if self.core.mailbox.has_work() || !self.messages.borrow().is_empty() {
            callbacks += self.run_messages();
        }
        self.wait(deadline_ns, callbacks > 0)?;
        // What has happened goes before what is late: a process that was held up would else end
        // operations whose handles have long been ready.
        callbacks += self.run_ready();
        if self.core.state.borrow().awaits_time() {
            callbacks += self.run_due();
        }
        Ok(callbacks)
    }

    /// What the clock calls for: retries and timers.
    fn run_due(&self) -> usize {
        let now_ns = self.core.clock.now_ns();
        {
            let mut state = self.core.state.borrow_mut();
            state.retry_exhausted(now_ns);
            state.cancel_again(now_ns);
        }
        self.fire_timers(now_ns)
    }

    /// Takes completions up, those of sends that are done first: what comes then may start others.
    /// Not inlined: the loop over them wants the processor's registers for itself.
    #[inline(never)]
    fn run_ready(&self) -> usize {
        let mut count = 0;
        let may_run = |count| count < self.callbacks_per_turn && !self.stopping.get();
        while may_run(count) && self.run_one(|state| state.take_concluded()) {
            count += 1;
        }
        while may_run(count) && self.run_one(|state| state.take_ready(&self.core.clock)) {
            count += 1;
        }
        count
    }

    /// Takes up the completion that `next` gives; says whether there was one.
    #[inline(always)]
    #[expect(unsafe_code, reason = "the typed end of an operation is reached through its slot")]
    fn run_one(&self, next: impl FnOnce(&mut Loop) -> Option<Due>) -> bool {
        let due = next(&mut self.core.state.borrow_mut());
        let Some(Due { slot, vtable, completion }) = due else { return false };
        // SAFETY: the vtable in a slot is that of the record in it; the slot is taken, as `next`
        // has just said.
        unsafe {
            (vtable.complete)(self, slot, completion.op(), completion.result, completion.flags)
        };
        true
    }

    fn run_messages(&self) -> usize {
        if self.core.mailbox.has_work() {
            self.core.mailbox.take(&mut self.messages.borrow_mut());
        }
        let mut count = 0;
        while count < self.callbacks_per_turn && !self.stopping.get() {
            let Some(message) = self.messages.borrow_mut().pop_front() else { break };
            count += 1;
            match message {
                Message::Call(call) => call(self),
                Message::Complete(op) => self.core.state.borrow_mut().finish_parked(op),
                Message::Done(op, result) => {
                    self.core.state.borrow_mut().finish_offloaded(op, result);
                }
            }
        }
        count
    }

    /// Fires due timers: an operation of its own completes, a deadline ends its operation.
    fn fire_timers(&self, now_ns: u64) -> usize {
        let mut count = 0;
        while count < self.callbacks_per_turn && !self.stopping.get() {
            let Some((key, op)) = self.core.state.borrow_mut().take_due(now_ns) else { break };
            count += 1;
            if key & DEADLINE == 0 {
                let completion = Completion::in_user_space(op, 0);
                // Not behind what is queued: a callback of the same instant may yet cancel it.
                self.core.state.borrow_mut().ready.push_front(completion);
                self.run_one(|state| state.take_ready(&self.core.clock));
            } else {
                self.core.end_early(op, TIMED_OUT);
            }
        }
        count
    }
}

impl std::fmt::Debug for Io {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Io").field("in_flight", &self.in_flight()).finish_non_exhaustive()
    }
}
