//! Trying again by the loop's timers, where the system gives nothing to wait for: it turns a call on
//! a Unix socket away because a queue at the other end is full, and this end counts as writable.

use std::rc::Rc;
use std::time::Duration;

use super::{Start, Step};
use crate::Io;
use crate::core::Core;

/// The first pause before the next try; each is twice as long as the one before.
const PAUSE_MIN: Duration = Duration::from_millis(1);
const PAUSE_MAX: Duration = Duration::from_millis(32);

pub(crate) struct Retry {
    /// Of the loop, for its clock.
    core: Rc<Core>,
    pause: Duration,
    /// The operation waits.
    paused: bool,
}

impl Retry {
    pub(crate) fn new(io: &Io) -> Retry {
        Retry { core: Rc::clone(&io.core), pause: PAUSE_MIN, paused: false }
    }

    /// Has an operation wait that was turned away.
    pub(crate) fn pause(&mut self) -> Start {
        let deadline_ns = self.core.clock.deadline_ns(self.pause);
        self.pause = PAUSE_MAX.min(self.pause * 2);
        self.paused = true;
        Start::Timer(deadline_ns)
    }

    /// Whether a result ends a pause, or the operation.
    pub(crate) fn step(&mut self, result: i32) -> Step {
        let paused = std::mem::replace(&mut self.paused, false);
        if paused && result == 0 { Step::Retry } else { Step::Done(result) }
    }
}
