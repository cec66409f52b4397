//! The small measurements: what both programs measure, under which name, and how they report it.
//!
//! `micro_bare`, `micro_tigereye` and the programs of libraries print a line of JSON per figure: what
//! was measured, by which means, and nanoseconds each (CPU time of the thread, or wall time where
//! threads wait for each other). What has the same name is compared, so a name says exactly what is
//! done.

pub mod bare_post;
pub mod bare_timer;
pub mod bare_wake;
pub mod in_tasks;
pub mod wakes;

use crate::args::Args;
use crate::sys::process::thread_cpu_ns;
use serde_json::json;
use std::io;
use std::time::Duration;

/// Starting a timer, the clock read included, while up to a million wait; CPU time.
pub const TIMER_START: &str = "timer: start (CPU)";
/// Firing a million timers that are due, their callbacks included; CPU time.
pub const TIMER_FIRE: &str = "timer: fire, with callback (CPU)";
/// The call that cancels one of a million timers; CPU time.
pub const TIMER_CANCEL: &str = "timer: cancel, the call (CPU)";
/// The same with what follows: the callback that hears of it, the memory's return; CPU time.
pub const TIMER_CANCEL_ALL: &str = "timer: cancel, with callback (CPU)";
/// All of the first two: a million started, and fired when all are due; CPU time.
pub const TIMER_FIRED: &str = "timers: started and fired (CPU)";
/// Starting and cancelling, with all that follows; CPU time.
pub const TIMER_CANCELLED: &str = "timers: started and cancelled (CPU)";
/// A chain of callbacks, each of which queues the next one; CPU time.
pub const NEXT: &str = "next: a callback queues the next (CPU)";
/// A NOP through the ring and back, one system call each; CPU time.
pub const NOP: &str = "ring: NOP, 1 at a time (CPU)";
/// The same with 64 of them under way; CPU time.
pub const NOP_BATCH: &str = "ring: NOP, 64 at a time (CPU)";
/// A readiness check of a descriptor that is readable, one system call each; CPU time.
pub const READABLE: &str = "ring: readiness, 1 at a time (CPU)";
/// The same with 64 of them under way; CPU time.
pub const READABLE_BATCH: &str = "ring: readiness, 64 at a time (CPU)";
/// Two threads on two cores wake each other in turn; wall time there and back.
pub const WAKE: &str = "wake: there and back (wall)";

/// Posting closures to a loop that runs them; wall time.
#[must_use]
pub fn post_name(senders: usize) -> String {
    format!("post: closures from {senders} thread(s) (wall)")
}

/// How much is done of each.
#[derive(Clone, Copy)]
pub struct Amounts {
    /// Timers at once.
    pub timers: u64,
    /// Callbacks of a chain, and operations through the ring.
    pub operations: u64,
    /// Round trips between threads.
    pub wakes: u64,
    /// Closures posted in all.
    pub posts: u64,
}

/// How long loops spin at most that do, before they sleep: longer than a round trip.
pub const SPIN: Duration = Duration::from_micros(100);
/// What the name of such a way ends with. It is no yardstick: it pays with all of a core.
pub const SPINS: &str = ", spin";

/// Threads that post.
pub const SENDERS: [usize; 3] = [1, 2, 8];
/// Operations under way in a batch.
pub const BATCH: u64 = 64;

impl Amounts {
    /// Reads `--scale`.
    #[must_use]
    pub fn from_args(args: &mut Args) -> Self {
        let scale: f64 = args.get("scale", 1.0);
        let scaled = |count: f64| ((count * scale) as u64).max(128);
        Self {
            timers: scaled(1e6),
            operations: scaled(5e5),
            wakes: scaled(2e4),
            posts: scaled(4e5),
        }
    }
}

/// Prints one figure.
pub fn report(figure: &str, by: &str, ns: f64) {
    println!("{}", json!({"figure": figure, "by": by, "ns": ns}));
}

/// CPU time of `work`, by `count`, in nanoseconds.
pub fn cpu_ns(count: u64, work: impl FnOnce()) -> io::Result<f64> {
    let begin = thread_cpu_ns()?;
    work();
    Ok((thread_cpu_ns()? - begin) as f64 / count as f64)
}

/// Delays without order, from a millisecond to [`DELAY_MAX`], the same in every run.
pub fn delays() -> impl Iterator<Item = Duration> {
    let mut word = 0x9e37_79b9_7f4a_7c15_u64;
    std::iter::repeat_with(move || {
        word ^= word << 13;
        word ^= word >> 7;
        word ^= word << 17;
        Duration::from_millis(1) + Duration::from_nanos(word % 499_000_000)
    })
}

/// When the last of the [`delays`] is over.
pub const DELAY_MAX: Duration = Duration::from_millis(500);
/// Added to the delays of timers that are never to fire.
pub const FAR: Duration = Duration::from_secs(3600);
