//! The clocks of a simulated host. They count the time of the world, faster or slower than it; and the
//! wall clock may be set.
//!
//! I1. The host's own time never runs backwards, nor jumps: a change of its rate begins at the present.
//! I2. What is due at some own time is due at the first time of the world at which the clock shows it:
//!     never early, and not once more for having been rounded.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Where all wall clocks begin: with the first day of 2026, in seconds since 1970.
const BEGIN_S: u64 = 1_767_225_600;
const MILLION: u64 = 1_000_000;
/// What a wall clock counts in, on each system: Windows has no smaller one (FILETIME).
const UNIT_NS: u64 = 100;

pub(crate) struct HostClock {
    /// The time of the world, in nanoseconds.
    world: Rc<Cell<u64>>,
    /// Since when the clock has its rate: in the time of the world, and in its own.
    since_ns: Cell<(u64, u64)>,
    /// How many millionths it is fast.
    drift: Cell<i32>,
    /// How far the wall clock was set ahead.
    ahead_ns: Cell<i64>,
}

impl HostClock {
    /// The most that a clock drifts, in millionths.
    pub(crate) const DRIFT_MAX: i32 = 100_000;

    pub(crate) fn new(world: Rc<Cell<u64>>) -> HostClock {
        let since_ns = Cell::new((0, 0));
        HostClock { world, since_ns, drift: Cell::new(0), ahead_ns: Cell::new(0) }
    }

    /// How much its own time moves on in a million nanoseconds of the world.
    fn rate(&self) -> u64 {
        MILLION.saturating_add_signed(self.drift.get().into())
    }

    /// The host's own time.
    #[inline]
    pub(crate) fn now_ns(&self) -> u64 {
        let (world_ns, own_ns) = self.since_ns.get();
        own_ns.saturating_add(scale(self.world.get() - world_ns, self.rate(), MILLION))
    }

    /// When the host's own time is this late, in the time of the world; `u64::MAX` is never.
    pub(crate) fn world_ns(&self, own_ns: u64) -> u64 {
        if own_ns == u64::MAX {
            return u64::MAX;
        }
        let (world_ns, since_ns) = self.since_ns.get();
        world_ns.saturating_add(scale_up(own_ns.saturating_sub(since_ns), MILLION, self.rate()))
    }

    /// Has the clock run so many millionths fast from now on, or slow; not more than `DRIFT_MAX`.
    pub(crate) fn set_drift(&self, millionths: i32) {
        self.since_ns.set((self.world.get(), self.now_ns()));
        self.drift.set(millionths.clamp(-HostClock::DRIFT_MAX, HostClock::DRIFT_MAX));
    }

    /// What a wall clock shows that nobody has set.
    fn unset(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(BEGIN_S) + in_units(self.now_ns())
    }

    /// What the wall clock shows.
    pub(crate) fn wall(&self) -> SystemTime {
        let ahead_ns = self.ahead_ns.get();
        let distance = in_units(ahead_ns.unsigned_abs());
        if ahead_ns < 0 { self.unset() - distance } else { self.unset() + distance }
    }

    /// Sets the wall clock, as far as it can be: 292 years ahead, or back. Says by how much.
    pub(crate) fn set_wall(&self, time: SystemTime) -> i64 {
        let ns = |distance: Duration| i64::try_from(distance.as_nanos()).unwrap_or(i64::MAX);
        let ahead_ns = match time.duration_since(self.unset()) {
            Ok(ahead) => ns(ahead),
            Err(behind) => -ns(behind.duration()),
        };
        ahead_ns.saturating_sub(self.ahead_ns.replace(ahead_ns))
    }

    /// Sets the wall clock ahead by so much, or back.
    pub(crate) fn step_wall(&self, by_ns: i64) {
        self.ahead_ns.set(self.ahead_ns.get().saturating_add(by_ns).max(-i64::MAX));
    }
}

/// What a wall clock shows of so many nanoseconds: on each system no more than Windows has.
fn in_units(ns: u64) -> Duration {
    Duration::from_nanos(ns - ns % UNIT_NS)
}

/// `ns * of / per`, rounded down.
#[inline]
fn scale(ns: u64, of: u64, per: u64) -> u64 {
    if of == per {
        return ns;
    }
    u64::try_from(u128::from(ns) * u128::from(of) / u128::from(per)).unwrap_or(u64::MAX)
}

/// `ns * of / per`, rounded up.
fn scale_up(ns: u64, of: u64, per: u64) -> u64 {
    if of == per {
        return ns;
    }
    let scaled = (u128::from(ns) * u128::from(of)).div_ceil(u128::from(per));
    u64::try_from(scaled).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn i2_what_is_due_is_due_at_the_first_time_that_the_clock_shows_it() {
        for drift in [-100_000, -500, -1, 0, 1, 333, 100_000] {
            let world = Rc::new(Cell::new(0));
            let clock = HostClock::new(Rc::clone(&world));
            clock.set_drift(drift);
            for own_ns in [0, 1, 2, 999_999, 1_000_000, 1_000_001, 86_400_000_000_007, 1 << 60] {
                let at_ns = clock.world_ns(own_ns);
                world.set(at_ns);
                assert!(clock.now_ns() >= own_ns, "{drift}, {own_ns}: early");
                world.set(at_ns.saturating_sub(1));
                assert!(own_ns == 0 || clock.now_ns() < own_ns, "{drift}, {own_ns}: late");
            }
        }
    }

    #[test]
    fn i1_own_time_never_runs_backwards() {
        let world = Rc::new(Cell::new(0));
        let clock = HostClock::new(Rc::clone(&world));
        let mut last_ns = 0;
        for step in 0_i32..10_000 {
            world.set(world.get() + u64::from(step.unsigned_abs() % 7));
            assert!(clock.now_ns() >= last_ns);
            last_ns = clock.now_ns();
            clock.set_drift((step * 7919) % 200_001 - 100_000);
            assert_eq!(clock.now_ns(), last_ns, "a change of rate is no jump");
            clock.step_wall(-i64::from(step) * 1_000_000_000);
            assert_eq!(clock.now_ns(), last_ns, "nor is one of the wall clock");
        }
    }

    #[test]
    fn no_time_is_too_far() {
        let clock = HostClock::new(Rc::new(Cell::new(0)));
        for (seconds, years) in [(1_u64 << 38, 292), (0, 56)] {
            let far = UNIX_EPOCH + Duration::from_secs(seconds);
            clock.set_wall(far);
            let begin = UNIX_EPOCH + Duration::from_secs(BEGIN_S);
            let distance = match clock.wall().duration_since(begin) {
                Ok(ahead) => ahead,
                Err(behind) => behind.duration(),
            };
            assert_eq!(distance.as_secs() / (365 * 86_400 + 20_000), years);
        }
        clock.step_wall(i64::MIN);
        clock.step_wall(i64::MIN);
        let _no_panic = clock.wall();
        clock.world.set(u64::MAX);
        clock.set_drift(i32::MAX);
        clock.step_wall(i64::MAX);
        clock.step_wall(i64::MAX);
        let _no_panic = (clock.wall(), clock.now_ns(), clock.world_ns(u64::MAX - 1));
    }
}
