//! How long a wait looks for something to do before the loop sleeps ([`Builder::spin`]). It learns from
//! the waits before it.
//!
//! ```text
//!    ┌───────────────── found: all of the limit ──────────────────┐
//!    ▼                                                            │
//!  limit ─in vain─▶ 1/2 ─in vain─▶ 1/4 … 1/64 ─in vain─▶ nothing, but of all of the limit
//!                                                        each 64th wait
//! ```
//!
//! - **I1** Between two finds, and at the end, spins in vain take less than twice the limit together,
//!   and beside that one limit in 64 waits.
//! - **I2** A wait for which something was there at its first look has not spun, and teaches nothing:
//!   a busy loop finds something at once however long it would have had to wait otherwise.
//!
//! The governor of cpuidle_haltpoll learns much like this (guest-halt-polling in the kernel's
//! documentation), but from how long a processor was idle, sleep included. Here that would count the
//! time that a sleeper takes to be woken, which is what a spin is to save, and which can be longer
//! than the limit: so a window is only judged by what was found in it, and has to be tried in full
//! now and then.
//!
//! [`Builder::spin`]: crate::Builder::spin

use std::time::Duration;

/// In a window below the limit by more than this there is next to nothing to be found.
const SHARE_MIN: u64 = 64;
/// Waits from one try to the next where spins have been in vain.
const WAITS_TO_TRY: u32 = 64;

/// What was learned, and what for.
pub(crate) struct Spin {
    limit_ns: u64,
    /// How long the next wait looks.
    window_ns: u64,
    /// Waits without a spin since the last one.
    unspun: u32,
    /// Spins that found something to do.
    pub(crate) found: u64,
    /// Spins after which the loop went to sleep.
    pub(crate) in_vain: u64,
}

impl Spin {
    /// Spins of so much at most; zero is none. The first wait looks for all of it.
    pub(crate) fn new(limit: Duration) -> Spin {
        // 584 years are for ever.
        let limit_ns = u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX);
        Spin { limit_ns, window_ns: limit_ns, unspun: 0, found: 0, in_vain: 0 }
    }

    #[inline]
    pub(crate) fn is_on(&self) -> bool {
        self.limit_ns > 0
    }

    /// How long the wait that begins may look.
    pub(crate) fn begin(&mut self) -> u64 {
        if self.window_ns > 0 {
            return self.window_ns;
        }
        self.unspun = self.unspun.saturating_add(1);
        if self.unspun < WAITS_TO_TRY { 0 } else { self.limit_ns }
    }

    /// The wait has spun, and there is something to do.
    pub(crate) fn end_with_a_find(&mut self) {
        self.found += 1;
        self.unspun = 0;
        self.window_ns = self.limit_ns;
    }

    /// The wait has spun, and there is nothing to do.
    pub(crate) fn end_in_vain(&mut self) {
        self.in_vain += 1;
        self.unspun = 0;
        self.window_ns /= 2;
        if self.window_ns < self.limit_ns / SHARE_MIN {
            self.window_ns = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_micros(64);

    /// Has as many waits as that end in vain where they spin; gives how long each of them spun.
    fn wait_in_vain(spin: &mut Spin, waits: usize) -> Vec<u64> {
        let wait = |_| {
            let window_ns = spin.begin();
            if window_ns > 0 {
                spin.end_in_vain();
            }
            window_ns
        };
        (0..waits).map(wait).collect()
    }

    #[test]
    fn a_spin_that_finds_nothing_shrinks_to_one_try_in_64_waits() {
        let mut spin = Spin::new(LIMIT);
        let windows = wait_in_vain(&mut spin, 7);
        assert_eq!(windows, [64_000, 32_000, 16_000, 8_000, 4_000, 2_000, 1_000]);
        let windows = wait_in_vain(&mut spin, 640);
        assert_eq!(windows.iter().filter(|&&ns| ns == 64_000).count(), 10);
        assert_eq!(windows.iter().filter(|&&ns| ns == 0).count(), 630);
        assert_eq!((spin.found, spin.in_vain), (0, 17));
    }

    #[test]
    fn a_find_opens_the_window_whole() {
        let mut spin = Spin::new(LIMIT);
        wait_in_vain(&mut spin, 7 + 63);
        assert_eq!(spin.begin(), 64_000, "it tries");
        spin.end_with_a_find();
        assert_eq!(wait_in_vain(&mut spin, 2), [64_000, 32_000]);
        spin.end_with_a_find();
        assert_eq!(spin.begin(), 64_000);
        assert_eq!((spin.found, spin.in_vain), (2, 9));
    }

    #[test]
    fn a_try_waits_for_a_wait_that_spins() {
        let mut spin = Spin::new(LIMIT);
        wait_in_vain(&mut spin, 7 + 63);
        // Something is there at the first look, again and again.
        assert!((0..1000).all(|_| spin.begin() == 64_000));
        assert_eq!(wait_in_vain(&mut spin, 2), [64_000, 0]);
    }

    #[test]
    fn limits_of_nothing_little_and_for_ever() {
        assert!(!Spin::new(Duration::ZERO).is_on());
        let mut spin = Spin::new(Duration::from_nanos(3));
        assert!(spin.is_on());
        assert_eq!(wait_in_vain(&mut spin, 4), [3, 1, 0, 0]);
        assert_eq!(Spin::new(Duration::MAX).begin(), u64::MAX);
    }
}
