//! The loop's clock: monotonic nanoseconds since the loop was built, read at most once a turn
//! unless a reading must be new.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

pub(crate) struct Clock {
    base: Instant,
    now_ns: Cell<u64>,
    /// Whether `now_ns` was read in this turn.
    fresh: Cell<bool>,
    /// Where there is no real clock: that of a simulated world.
    simulated: Option<Simulated>,
}

/// A world's time, in nanoseconds, and what it was when the loop was built.
struct Simulated {
    time: Rc<Cell<u64>>,
    base_ns: u64,
}

impl Clock {
    #[expect(clippy::disallowed_methods, reason = "this is the clock of the loop")]
    pub(crate) fn new() -> Clock {
        let (now_ns, fresh) = (Cell::new(0), Cell::new(true));
        Clock { base: Instant::now(), now_ns, fresh, simulated: None }
    }

    /// The clock of a loop in a simulated world. Its instants lie where the real clock was when it was
    /// made; what is between them is the world's time.
    #[cfg(unix)]
    pub(crate) fn simulated(time: Rc<Cell<u64>>) -> Clock {
        let base_ns = time.get();
        Clock { simulated: Some(Simulated { time, base_ns }), ..Clock::new() }
    }

    /// When the loop was built, in its world's time.
    #[cfg(unix)]
    pub(crate) fn base_ns(&self) -> u64 {
        self.simulated.as_ref().map_or(0, |simulated| simulated.base_ns)
    }

    /// The time as of this turn.
    #[inline]
    pub(crate) fn now_ns(&self) -> u64 {
        if self.fresh.get() { self.now_ns.get() } else { self.read() }
    }

    /// As [`now_ns`](Clock::now_ns), for the user.
    pub(crate) fn now(&self) -> Instant {
        self.base + Duration::from_nanos(self.now_ns())
    }

    /// The time now.
    #[inline]
    pub(crate) fn read(&self) -> u64 {
        let now_ns = if let Some(Simulated { time, base_ns }) = &self.simulated {
            time.get() - base_ns
        } else {
            let elapsed = self.base.elapsed();
            // 584 years fit.
            elapsed.as_secs() * 1_000_000_000 + u64::from(elapsed.subsec_nanos())
        };
        self.now_ns.set(now_ns);
        self.fresh.set(true);
        now_ns
    }

    /// A new turn begins.
    #[inline]
    pub(crate) fn turn(&self) {
        self.fresh.set(false);
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
        self.read().saturating_add(delay_ns)
    }
}
