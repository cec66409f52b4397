//! The end of a loop: everything is cancelled, the driver lets go, and what operations own is dropped
//! without running callbacks.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

use crate::Io;
use crate::core::close_fd;
use crate::driver::DriverKind;
use crate::driver::simulated::Look;
use crate::remote::Message;
use crate::slot::State;
use crate::state::MISSED_PAUSE_NS;

/// How long the end of a loop waits for the driver to let go of what is in flight.
const END_DEADLINE: Duration = Duration::from_secs(5);
/// How long it waits then for what ended connections hold.
const ENDED_DEADLINE: Duration = Duration::from_secs(1);

impl Drop for Io {
    fn drop(&mut self) {
        let mut panic = None;
        let mut guard = |run: &mut dyn FnMut()| {
            if let Err(payload) = catch_unwind(AssertUnwindSafe(run)) {
                panic.get_or_insert(payload);
            }
        };
        if self.is_to_be_checked() {
            guard(&mut || self.core.state.borrow_mut().audit(Look::All));
        }
        let slots = self.core.state.borrow().slots.len();
        for index in 0..slots {
            guard(&mut || self.cancel_at(index));
        }
        let drained = self.drain(&mut guard);
        // Not before: calls on the pool tell their results by it.
        let mut left_over = self.core.mailbox.close();
        self.messages.borrow_mut().append(&mut left_over);
        self.hear_out(&mut guard);
        // What was queued was cancelled above.
        drop(self.core.state.borrow().calls.pool.close());
        for index in 0..slots {
            let taken = {
                let mut state = self.core.state.borrow_mut();
                let state = state.slots.header(index).state;
                !matches!(state, State::Free | State::Driver | State::Offloaded)
            };
            if taken {
                guard(&mut || {
                    self.core.abandon(index, None);
                });
            }
        }
        self.close_handles();
        let mut state = self.core.state.borrow_mut();
        if panic.is_none() && self.is_to_be_checked() {
            state.audit(Look::End { drained });
        }
        if drained {
            let driver = state.driver.take();
            drop(state);
            drop(driver);
        } else {
            // The driver may still write to this memory: it is never freed (rule 7).
            self.core.leaked.set(true);
            state.slots.leak();
            std::mem::forget(state.driver.take());
        }
        if let Some(payload) = panic
            && !std::thread::panicking()
        {
            resume_unwind(payload);
        }
    }
}

impl Io {
    /// Whether the books of this loop are looked at: a simulated one's, unless something has gone wrong
    /// already.
    fn is_to_be_checked(&self) -> bool {
        self.core.driver.kind == DriverKind::Sim && !std::thread::panicking()
    }

    /// Takes the results of calls on the pool; posted closures are dropped, for nobody runs them now.
    fn hear_out(&self, guard: &mut dyn FnMut(&mut dyn FnMut())) {
        self.core.mailbox.take(&mut self.messages.borrow_mut());
        loop {
            let mut message = self.messages.borrow_mut().pop_front();
            match message {
                None => return,
                Some(Message::Done(op, result)) => {
                    self.core.state.borrow_mut().finish_offloaded(op, result);
                }
                Some(_) => guard(&mut || drop(message.take())),
            }
        }
    }

    /// Reaps until the driver and the pool hold nothing, or the deadline passes.
    fn drain(&self, guard: &mut dyn FnMut(&mut dyn FnMut())) -> bool {
        let clock = &self.core.clock;
        let mut deadline_ns = clock.deadline_ns(END_DEADLINE);
        let mut ended = false;
        let mut in_driver = self.core.state.borrow_mut().in_driver();
        loop {
            self.hear_out(guard);
            loop {
                let next = self.core.state.borrow_mut().take_for_the_end(clock);
                let Some((completion, let_go)) = next else { break };
                // Closes that waited for others start meanwhile: they are counted below.
                in_driver = in_driver.saturating_sub(u32::from(let_go));
                guard(&mut || {
                    self.core.abandon(completion.index, Some(completion));
                });
            }
            let mut state = self.core.state.borrow_mut();
            let state = &mut *state;
            if in_driver == 0 {
                in_driver = state.in_driver();
                if in_driver == 0 {
                    return true;
                }
            }
            let now_ns = clock.read();
            state.cancel_again(now_ns);
            let left = Duration::from_nanos(deadline_ns.saturating_sub(now_ns));
            let pause = Duration::from_nanos(MISSED_PAUSE_NS);
            let wait = if state.missed.is_empty() { left } else { left.min(pause) };
            let wait = if state.inline_pending() > 0 { Duration::ZERO } else { wait };
            let Some(driver) = &mut state.driver else { return true };
            let mailbox = &self.core.mailbox;
            let wait = if mailbox.prepare_wait() { wait } else { Duration::ZERO };
            let waited = driver.wait(Some(wait), &mut state.ready);
            mailbox.finish_wait();
            let is_over = waited.is_err() || left.is_zero();
            if is_over && !state.has_completed() && !mailbox.has_work() {
                if std::mem::replace(&mut ended, true) || !state.end_unread() {
                    return false;
                }
                deadline_ns = clock.deadline_ns(ENDED_DEADLINE);
            }
        }
    }

    /// Closes what was closing when the loop ended.
    fn close_handles(&self) {
        loop {
            let fd = self.core.state.borrow_mut().handles.take_closing();
            match fd {
                Some(fd) => close_fd(fd),
                None => return,
            }
        }
    }
}
