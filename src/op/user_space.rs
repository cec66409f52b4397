//! Operations that no driver sees: timers, callbacks of this turn, events, offloaded calls.

use std::io;

use super::{Completion, Direction, Multishot, Op, Operation, Place, Rearm, Start, Step};
use crate::Io;

/// Completes when the loop's clock reaches the deadline.
pub(crate) struct Timeout {
    pub(crate) deadline_ns: u64,
}

impl Operation for Timeout {
    type Output = io::Result<()>;
    const DIRECTION: Direction = Direction::None;

    #[inline]
    fn uring(&mut self, _place: &Place<'_>) -> Start {
        Start::Timer(self.deadline_ns)
    }

    #[inline]
    fn step(&mut self, result: i32) -> Step {
        Step::Done(result)
    }

    #[inline]
    fn finish(self, _io: &Io, result: io::Result<u32>) -> Self::Output {
        result.map(drop)
    }

    fn discard(self, _result: i32) {}
}

/// Completes in this turn of the loop.
pub(crate) struct InThisTurn;

impl Operation for InThisTurn {
    type Output = ();
    const DIRECTION: Direction = Direction::None;

    #[inline]
    fn uring(&mut self, _place: &Place<'_>) -> Start {
        Start::Ready(0)
    }

    #[inline]
    fn step(&mut self, result: i32) -> Step {
        Step::Done(result)
    }

    #[inline]
    fn finish(self, _io: &Io, _result: io::Result<u32>) -> Self::Output {}

    fn discard(self, _result: i32) {}
}

/// Completes when something in user space says so.
pub(crate) struct Parked<T> {
    /// Makes the output, once.
    pub(crate) finish: T,
}

impl<T, R> Operation for Parked<T>
where
    T: FnOnce(io::Result<u32>) -> R + 'static,
{
    type Output = R;
    const DIRECTION: Direction = Direction::None;

    fn uring(&mut self, _place: &Place<'_>) -> Start {
        Start::Parked
    }

    fn step(&mut self, result: i32) -> Step {
        Step::Done(result)
    }

    fn finish(self, _io: &Io, result: io::Result<u32>) -> R {
        (self.finish)(result)
    }

    fn discard(self, _result: i32) {}
}

/// Completes again and again, a period apart, without drift. An item is the number of periods
/// since the one before: over 1 when the loop was too busy to be on time.
pub(crate) struct Ticks {
    pub(crate) deadline_ns: u64,
    pub(crate) period_ns: u64,
}

impl Multishot for Ticks {
    type Item = u64;
    const DIRECTION: Direction = Direction::None;

    fn uring(&mut self, _place: &Place<'_>) -> Start {
        Start::Timer(self.deadline_ns)
    }

    fn item(&mut self, io: &Io, completion: Completion) -> Option<u64> {
        if completion.result < 0 {
            return None;
        }
        let late_ns = io.core.clock.now_ns().saturating_sub(self.deadline_ns);
        let periods = 1 + late_ns / self.period_ns;
        self.deadline_ns = self.deadline_ns.saturating_add(periods.saturating_mul(self.period_ns));
        Some(periods)
    }

    fn ended(&mut self, _io: &Io, _op: Op, result: i32) -> Rearm {
        if result < 0 && result != -libc::EINTR { Rearm::Done(result) } else { Rearm::Again }
    }

    fn discard(&mut self, _completion: Completion) {}
}

/// Fails, for a reason that was known before it started.
pub(crate) struct Failed(pub(crate) i32);

impl Operation for Failed {
    type Output = io::Result<()>;
    const DIRECTION: Direction = Direction::None;

    fn uring(&mut self, _place: &Place<'_>) -> Start {
        Start::Ready(self.0)
    }

    fn step(&mut self, result: i32) -> Step {
        Step::Done(result)
    }

    fn finish(self, _io: &Io, result: io::Result<u32>) -> Self::Output {
        result.map(drop)
    }

    fn discard(self, _result: i32) {}
}
