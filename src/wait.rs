//! The wait of a turn: the one place in which a loop looks for something to do, and sleeps.
//!
//! ```text
//!  something is there ─▶ the driver is asked, without a wait
//!  else:  spin, if that is on: driver and mailbox are asked again and again
//!              │ in vain                                      └ something came ─▶ the turn goes on
//!              └▶ "asleep" in the mailbox ─▶ the driver waits ─▶ awake
//! ```
//!
//! I1. A loop that spins has not said that it is asleep: whoever posts to it, wakes or stops it sets a
//!     bit in memory, and makes no system call.
//! I2. Every wait ends at the next deadline, however much of it was spun.

use std::io;
use std::time::Duration;

use crate::Io;
use crate::core::Core;
use crate::driver::Driver;
use crate::op::Completion;
use crate::queue::Queue;
use crate::spin::Spin;

/// When a wait is over though nothing has come, in the loop's time.
#[derive(Clone, Copy)]
struct Until {
    /// The next timer's deadline.
    timer_ns: Option<u64>,
    /// The end of what the caller asked to wait.
    caller_ns: Option<u64>,
}

impl Until {
    fn first_ns(self) -> Option<u64> {
        self.timer_ns.into_iter().chain(self.caller_ns).min()
    }

    /// How long that is from now on.
    fn timeout(self, core: &Core) -> Option<Duration> {
        self.first_ns().map(|at| match at {
            u64::MAX => Duration::MAX,
            at => Duration::from_nanos(at.saturating_sub(core.clock.read())),
        })
    }
}

impl Io {
    /// Submits what is queued and moves completions to the queue of what is ready. Waits for one where
    /// nothing else is to be done, until `deadline_ns` at most.
    #[inline]
    pub(crate) fn wait(&self, deadline_ns: Option<u64>, busy: bool) -> io::Result<()> {
        let mut state = self.core.state.borrow_mut();
        let state = &mut *state;
        // Silence does not wake: not when somebody waits for it, or nothing else is to come.
        let inline = state.inline_pending();
        let in_silence = inline > 0 && (state.impatient || inline == state.slots.used() as usize);
        // Messages are left over only where some have been run, or it is to stop.
        let at_once = busy
            || self.stopping.get()
            || state.has_completed()
            || deadline_ns == Some(0)
            || in_silence;
        let awaits_time = !at_once && state.awaits_time();
        let timer_ns = if awaits_time { state.next_deadline_ns() } else { None };
        let until = Until { timer_ns, caller_ns: deadline_ns };
        let timeout = if at_once { Some(Duration::ZERO) } else { until.timeout(&self.core) };
        self.core.clock.turn();
        let left_over = !state.ready.is_empty();
        let Some(driver) = &mut state.driver else { return Ok(()) };
        let result = if timeout == Some(Duration::ZERO) {
            driver.wait(timeout, &mut state.ready)
        } else if state.spin.is_on() {
            self.core.spin_or_sleep(until, &mut state.spin, driver, &mut state.ready)
        } else {
            self.core.sleep(timeout, driver, &mut state.ready)
        };
        state.impatient &= driver.inline_pending() > 0;
        if left_over {
            // Else busy senders would always come before it (rule 8).
            state.queue_concluded();
        }
        result
    }
}

impl Core {
    /// Waits for the driver, and for whoever has something for the loop.
    #[inline]
    fn sleep(
        &self,
        timeout: Option<Duration>,
        driver: &mut Driver,
        ready: &mut Queue<Completion>,
    ) -> io::Result<()> {
        let timeout = if self.mailbox.prepare_wait() { timeout } else { Some(Duration::ZERO) };
        let result = driver.wait(timeout, ready);
        self.mailbox.finish_wait();
        result
    }

    /// Looks for as long as it may, and then sleeps. Apart from the wait of all who do not spin.
    #[inline(never)]
    fn spin_or_sleep(
        &self,
        until: Until,
        spin: &mut Spin,
        driver: &mut Driver,
        ready: &mut Queue<Completion>,
    ) -> io::Result<()> {
        let window_ns = spin.begin();
        if window_ns > 0 && self.look(window_ns, until, spin, driver, ready)? {
            self.clock.turn();
            // As after a sleep: the wake-up that was asked for meanwhile is used up.
            self.mailbox.finish_wait();
            return Ok(());
        }
        let timeout = until.timeout(self);
        self.clock.turn();
        self.sleep(timeout, driver, ready)
    }

    /// Looks for something to do until the window ends; says whether the wait is over.
    fn look(
        &self,
        window_ns: u64,
        until: Until,
        spin: &mut Spin,
        driver: &mut Driver,
        ready: &mut Queue<Completion>,
    ) -> io::Result<bool> {
        let first_ns = until.first_ns().unwrap_or(u64::MAX);
        let end_ns = self.clock.read().saturating_add(window_ns).min(first_ns);
        let mut is_first = true;
        loop {
            driver.wait(Some(Duration::ZERO), ready)?;
            if !ready.is_empty() || self.mailbox.has_work() {
                if !is_first {
                    spin.end_with_a_find();
                }
                return Ok(true);
            }
            if self.clock.read() >= end_ns {
                break;
            }
            is_first = false;
            std::hint::spin_loop();
        }
        if until.timer_ns.is_some_and(|at| at <= end_ns) {
            spin.end_with_a_find();
        } else {
            spin.end_in_vain();
        }
        Ok(first_ns <= end_ns)
    }
}
