//! Timers of libraries whose tasks wait for them: a task a timer, started and fired, and timers
//! started and dropped.
//!
//! The program spawns the tasks, because only it knows what kind of future its library takes. Each
//! says when it has [`begun`] and when its timer has [`fired`]; both are counted by one thread.

use super::{Amounts, DELAY_MAX, FAR, TIMER_CANCELLED, TIMER_FIRED, cpu_ns, delays, report, wakes};
use crate::args::Args;
use crate::sys::process::thread_cpu_ns;
use std::future::{Future, poll_fn};
use std::io;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

static BEGUN: AtomicU64 = AtomicU64::new(0);
static FIRED: AtomicU64 = AtomicU64::new(0);
static SUM: AtomicU64 = AtomicU64::new(0);
/// How many there are.
static LAST: AtomicU64 = AtomicU64::new(0);
static WAITS: Mutex<Option<Waker>> = Mutex::new(None);

/// Adds without a lock: only one thread does.
fn add(sum: &AtomicU64, value: u64) -> u64 {
    let after = sum.load(Ordering::Relaxed) + value;
    sum.store(after, Ordering::Relaxed);
    after
}

/// The last one wakes who waits for all.
fn count(counter: &AtomicU64) {
    if add(counter, 1) == LAST.load(Ordering::Relaxed) {
        let waker = WAITS.lock().ok().and_then(|mut waits| waits.take());
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// A task says that it is about to wait.
pub fn begun() {
    count(&BEGUN);
}

/// A task says that its timer has fired.
pub fn fired(argument: u64) {
    add(&SUM, argument);
    count(&FIRED);
}

/// Waits until all have been counted.
async fn all(counter: &AtomicU64) {
    poll_fn(|context| {
        if counter.load(Ordering::Relaxed) == LAST.load(Ordering::Relaxed) {
            return Poll::Ready(());
        }
        if let Ok(mut waits) = WAITS.lock() {
            *waits = Some(context.waker().clone());
        }
        Poll::Pending
    })
    .await;
}

/// Has `timers` tasks started by `spawn`, waits until all of them wait and all are due, and then
/// until all have fired. The CPU time of the thread is what counts.
pub async fn fire(by: &str, timers: u64, spawn: impl Fn(Duration, u64)) -> io::Result<()> {
    for counter in [&BEGUN, &FIRED, &SUM] {
        counter.store(0, Ordering::Relaxed);
    }
    LAST.store(timers, Ordering::Relaxed);
    let begin = thread_cpu_ns()?;
    for (argument, delay) in (0..timers).zip(delays()) {
        spawn(delay, argument);
    }
    all(&BEGUN).await;
    std::thread::sleep(DELAY_MAX);
    all(&FIRED).await;
    let sum = SUM.load(Ordering::Relaxed);
    assert_eq!(sum, timers * (timers - 1) / 2, "every timer fires once");
    report(TIMER_FIRED, by, (thread_cpu_ns()? - begin) as f64 / timers as f64);
    Ok(())
}

/// Starts `timers` timers by a first poll of what `sleep` gives, and drops them.
pub fn cancel<F: Future>(by: &str, timers: u64, sleep: impl Fn(Duration) -> F) -> io::Result<()> {
    let ns = cpu_ns(timers, || {
        let mut context = Context::from_waker(Waker::noop());
        let mut waiting = Vec::with_capacity(timers as usize);
        for delay in delays().take(timers as usize) {
            let mut timer = Box::pin(sleep(FAR + delay));
            assert!(timer.as_mut().poll(&mut context).is_pending(), "an hour is not over");
            waiting.push(timer);
        }
    })?;
    report(TIMER_CANCELLED, by, ns);
    Ok(())
}

/// The program of such a library: its timers, and its round trips with each number of threads.
pub fn measure(
    timers: impl FnOnce(u64) -> io::Result<()>,
    round_trips: impl FnMut(usize, u64) -> io::Result<()>,
) -> io::Result<()> {
    let mut args = Args::from_env();
    let amounts = Amounts::from_args(&mut args);
    args.finish();
    timers(amounts.timers)?;
    wakes::each_count(amounts.wakes, round_trips)
}
