//! Trying again by the loop's timers, where the system gives nothing to wait for.

use std::rc::Rc;
use std::time::Duration;

use super::{Start, Step};
use crate::Io;
use crate::core::Core;

/// The first pause before the next try; each is twice as long as the one before.
const PAUSE_MIN: Duration = Duration::from_millis(1);
const PAUSE_MAX: Duration = Duration::from_millis(32);

/// Pauses that grow.
pub(crate) struct Backoff {
    /// Of the loop, for its clock.
    core: Rc<Core>,
    pause: Duration,
}

impl Backoff {
    pub(crate) fn new(io: &Io) -> Backoff {
        Backoff { core: Rc::clone(&io.core), pause: PAUSE_MIN }
    }

    /// Has an operation wait for the next pause.
    pub(crate) fn pause(&mut self) -> Start {
        let deadline_ns = self.core.clock.deadline_ns(self.pause);
        self.pause = PAUSE_MAX.min(self.pause * 2);
        Start::Timer(deadline_ns)
    }

    /// The next pause is the first one again.
    #[cfg(target_os = "linux")]
    pub(crate) fn reset(&mut self) {
        self.pause = PAUSE_MIN;
    }
}

/// For a call on a Unix socket that the system turns away because a queue at the other end is full,
/// while this end counts as writable.
pub(crate) struct Retry {
    backoff: Backoff,
    /// The operation waits.
    paused: bool,
}

impl Retry {
    pub(crate) fn new(io: &Io) -> Retry {
        Retry { backoff: Backoff::new(io), paused: false }
    }

    /// Has an operation wait that was turned away.
    pub(crate) fn pause(&mut self) -> Start {
        self.paused = true;
        self.backoff.pause()
    }

    /// Whether a result ends a pause, or the operation.
    pub(crate) fn step(&mut self, result: i32) -> Step {
        let paused = std::mem::replace(&mut self.paused, false);
        if paused && result == 0 { Step::Retry } else { Step::Done(result) }
    }
}
