//! Operations that no driver sees: timers, callbacks of this turn, events, offloaded calls.

use std::io;

use super::{Completion, Direction, Multishot, Op, Operation, Rearm, Start, Step};
use crate::Io;
#[cfg(windows)]
use crate::driver::iocp;
#[cfg(unix)]
use crate::driver::readiness;
use crate::driver::sim;
#[cfg(target_os = "linux")]
use crate::driver::uring;
use crate::error::code;

/// A row that every driver leaves to the loop, and whose result is nobody's to free.
pub(crate) trait UserSpace: Sized + 'static {
    type Output;
    fn start(&mut self) -> Start;
    fn finish(self, result: io::Result<u32>) -> Self::Output;
}

impl<T: UserSpace> Operation for T {
    type Output = T::Output;
    const DIRECTION: Direction = Direction::None;

    #[cfg(target_os = "linux")]
    #[inline]
    fn uring(&mut self, _place: &mut uring::Place<'_>) -> Start {
        self.start()
    }

    #[cfg(unix)]
    #[inline]
    fn readiness(&mut self, _place: &mut readiness::Place<'_>) -> Start {
        self.start()
    }

    fn sim(&mut self, _place: &mut sim::Place<'_>) -> Start {
        self.start()
    }

    #[cfg(windows)]
    #[inline]
    fn iocp(&mut self, _place: &mut iocp::Place<'_>) -> Start {
        self.start()
    }

    #[inline]
    fn step(&mut self, result: i32) -> Step {
        Step::Done(result)
    }

    #[inline]
    fn finish(self, _io: &Io, result: io::Result<u32>) -> Self::Output {
        UserSpace::finish(self, result)
    }

    fn discard(self, _result: i32) {}
}

/// Completes when the loop's clock reaches the deadline.
pub(crate) struct Timeout {
    pub(crate) deadline_ns: u64,
}

impl UserSpace for Timeout {
    type Output = io::Result<()>;

    #[inline]
    fn start(&mut self) -> Start {
        Start::Timer(self.deadline_ns)
    }

    #[inline]
    fn finish(self, result: io::Result<u32>) -> Self::Output {
        result.map(drop)
    }
}

/// Completes in this turn of the loop.
pub(crate) struct InThisTurn;

impl UserSpace for InThisTurn {
    type Output = ();

    #[inline]
    fn start(&mut self) -> Start {
        Start::Ready(0)
    }

    #[inline]
    fn finish(self, _result: io::Result<u32>) -> Self::Output {}
}

/// Completes when something in user space says so.
pub(crate) struct Parked<T> {
    /// Makes the output, once.
    pub(crate) finish: T,
}

impl<T, R> UserSpace for Parked<T>
where
    T: FnOnce(io::Result<u32>) -> R + 'static,
{
    type Output = R;

    fn start(&mut self) -> Start {
        Start::Parked
    }

    fn finish(self, result: io::Result<u32>) -> R {
        (self.finish)(result)
    }
}

/// Fails, for a reason that was known before it started.
pub(crate) struct Failed(pub(crate) i32);

impl UserSpace for Failed {
    type Output = io::Result<()>;

    fn start(&mut self) -> Start {
        Start::Ready(self.0)
    }

    fn finish(self, result: io::Result<u32>) -> Self::Output {
        result.map(drop)
    }
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

    #[cfg(target_os = "linux")]
    fn uring(&mut self, _place: &mut uring::Place<'_>) -> Start {
        Start::Timer(self.deadline_ns)
    }

    #[cfg(unix)]
    fn readiness(&mut self, _place: &mut readiness::Place<'_>) -> Start {
        Start::Timer(self.deadline_ns)
    }

    fn sim(&mut self, _place: &mut sim::Place<'_>) -> Start {
        Start::Timer(self.deadline_ns)
    }

    #[cfg(windows)]
    fn iocp(&mut self, _place: &mut iocp::Place<'_>) -> Start {
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
        if result < 0 && result != -code::INTERRUPTED { Rearm::Done(result) } else { Rearm::Again }
    }

    fn discard(&mut self, _completion: Completion) {}
}
