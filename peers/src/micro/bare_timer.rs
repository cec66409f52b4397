//! Timer lists as one writes them by hand with the standard library.

use super::{
    Amounts, DELAY_MAX, FAR, TIMER_CANCEL, TIMER_CANCEL_ALL, TIMER_CANCELLED, TIMER_FIRE,
    TIMER_FIRED, TIMER_START,
};
use super::{cpu_ns, delays, report};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::hint::black_box;
use std::io;
use std::time::{Duration, Instant};

/// What a timer calls, with its argument.
type Callback = (fn(&mut u64, u64), u64);

trait List: Default {
    const NAME: &'static str;
    type Key;
    fn start(&mut self, deadline_ns: u64, callback: Callback) -> Self::Key;
    fn cancel(&mut self, key: Self::Key) -> Option<Callback>;
    fn pop_due(&mut self, now_ns: u64) -> Option<Callback>;
}

/// Ordered by deadline and start; a cancel takes the entry out.
#[derive(Default)]
struct Tree {
    timers: BTreeMap<(u64, u64), Callback>,
    started: u64,
}

impl List for Tree {
    const NAME: &'static str = "std BTreeMap";
    type Key = (u64, u64);

    fn start(&mut self, deadline_ns: u64, callback: Callback) -> Self::Key {
        self.started += 1;
        let key = (deadline_ns, self.started);
        self.timers.insert(key, callback);
        key
    }

    fn cancel(&mut self, key: Self::Key) -> Option<Callback> {
        self.timers.remove(&key)
    }

    fn pop_due(&mut self, now_ns: u64) -> Option<Callback> {
        let first = self.timers.first_entry()?;
        (first.key().0 <= now_ns).then(|| first.remove())
    }
}

/// A heap of deadlines beside a slab of callbacks; a cancel empties the slab's entry and leaves the
/// deadline where it is, so that its memory comes back only when it would have been due.
#[derive(Default)]
struct Heap {
    deadlines: BinaryHeap<Reverse<(u64, u64, u32)>>,
    callbacks: Vec<Option<Callback>>,
    free: Vec<u32>,
    started: u64,
}

impl List for Heap {
    const NAME: &'static str = "std BinaryHeap, lazy cancel";
    type Key = u32;

    fn start(&mut self, deadline_ns: u64, callback: Callback) -> u32 {
        let at = self.free.pop().unwrap_or_else(|| {
            self.callbacks.push(None);
            self.callbacks.len() as u32 - 1
        });
        self.callbacks[at as usize] = Some(callback);
        self.started += 1;
        self.deadlines.push(Reverse((deadline_ns, self.started, at)));
        at
    }

    fn cancel(&mut self, key: u32) -> Option<Callback> {
        self.callbacks[key as usize].take()
    }

    fn pop_due(&mut self, now_ns: u64) -> Option<Callback> {
        loop {
            let Reverse((deadline_ns, _, at)) = *self.deadlines.peek()?;
            if deadline_ns > now_ns {
                return None;
            }
            self.deadlines.pop();
            self.free.push(at);
            if let Some(callback) = self.callbacks[at as usize].take() {
                return Some(callback);
            }
        }
    }
}

fn add(sum: &mut u64, value: u64) {
    *sum += value;
}

fn start<L: List>(list: &mut L, epoch: Instant, delay: Duration, argument: u64) -> L::Key {
    // The clock is read for each, as a library must that counts from the call.
    let deadline_ns = (epoch.elapsed() + delay).as_nanos() as u64;
    list.start(deadline_ns, (black_box(add as fn(&mut u64, u64)), argument))
}

fn measure_list<L: List>(timers: u64) -> io::Result<()> {
    let epoch = Instant::now();
    let (mut list, mut sum) = (L::default(), 0);
    let started = cpu_ns(timers, || {
        for (argument, delay) in (0..timers).zip(delays()) {
            start(&mut list, epoch, delay, argument);
        }
    })?;
    report(TIMER_START, L::NAME, started);
    std::thread::sleep(DELAY_MAX);
    let now_ns = epoch.elapsed().as_nanos() as u64;
    let fired = cpu_ns(timers, || {
        while let Some((callback, argument)) = list.pop_due(now_ns) {
            callback(&mut sum, argument);
        }
    })?;
    assert_eq!(sum, timers * (timers - 1) / 2, "every timer fires once");
    report(TIMER_FIRE, L::NAME, fired);
    report(TIMER_FIRED, L::NAME, started + fired);

    let mut list = L::default();
    let mut keys: Vec<L::Key> = Vec::with_capacity(timers as usize);
    let started = cpu_ns(timers, || {
        for delay in delays().take(timers as usize) {
            keys.push(start(&mut list, epoch, FAR + delay, 1));
        }
    })?;
    let mut cancelled = Vec::with_capacity(keys.len());
    let call = cpu_ns(timers, || {
        for key in keys {
            cancelled.extend(list.cancel(key));
        }
    })?;
    report(TIMER_CANCEL, L::NAME, call);
    let mut heard = 0;
    let callbacks = cpu_ns(timers, || {
        for (callback, argument) in cancelled {
            callback(&mut heard, argument);
        }
    })?;
    assert_eq!(heard, timers, "every cancelled timer hears of it");
    report(TIMER_CANCEL_ALL, L::NAME, call + callbacks);
    report(TIMER_CANCELLED, L::NAME, started + call + callbacks);
    Ok(())
}

/// Measures both lists.
pub fn measure(amounts: Amounts) -> io::Result<()> {
    measure_list::<Tree>(amounts.timers)?;
    measure_list::<Heap>(amounts.timers)
}
