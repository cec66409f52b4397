//! The loop's clock: monotonic nanoseconds since the loop was built, read at most once a turn
//! unless a reading must be new. In a simulated world it is the host's own.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime};

mod host;

pub(crate) use host::HostClock;

pub(crate) struct Clock {
    base: Instant,
    now_ns: Cell<u64>,
    /// Whether `now_ns` was read in this turn.
    fresh: Cell<bool>,
    /// Where there is no real clock: that of a simulated host.
    simulated: Option<Simulated>,
}

/// A simulated host's clock, and its time when the loop was built.
struct Simulated {
    host: Rc<HostClock>,
    base_ns: u64,
}

impl Simulated {
    /// Not inlined: real clocks are read in many places.
    #[inline(never)]
    fn read(&self) -> u64 {
        self.host.now_ns() - self.base_ns
    }
}

impl Clock {
    #[expect(clippy::disallowed_methods, reason = "this is the clock of the loop")]
    pub(crate) fn new() -> Clock {
        let (now_ns, fresh) = (Cell::new(0), Cell::new(true));
        Clock { base: Instant::now(), now_ns, fresh, simulated: None }
    }

    /// The clock of a loop on a simulated host. Its instants lie where the real clock was when it was
    /// made; what is between them is the host's time.
    pub(crate) fn simulated(host: Rc<HostClock>) -> Clock {
        let base_ns = host.now_ns();
        Clock { simulated: Some(Simulated { host, base_ns }), ..Clock::new() }
    }

    /// When this clock shows so much, in the time of its world; `u64::MAX` is never.
    pub(crate) fn world_ns(&self, own_ns: u64) -> u64 {
        let in_world = |Simulated { host, base_ns }: &Simulated| {
            host.world_ns(own_ns.saturating_add(*base_ns))
        };
        self.simulated.as_ref().map_or(own_ns, in_world)
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
        let now_ns = if let Some(simulated) = &self.simulated {
            simulated.read()
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

/// The real time, as the system has it (clock_gettime(2), `CLOCK_REALTIME`).
#[expect(clippy::disallowed_methods, reason = "this is where the system's wall clock is read")]
pub(crate) fn wall_clock() -> SystemTime {
    SystemTime::now()
}
