//! What a timer costs, through the public API, with a million of them: to start it, to fire it
//! and to cancel it; and what a link of a `next` chain costs.
//!
//! Figures are processor time per timer. A sample is one batch of a million, so the count of
//! iterations that criterion asks for only scales what the batch took. The loop is warm: it has
//! held a million timers before.

use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkGroup, Criterion, criterion_group, criterion_main};
use rustix::time::{ClockId, clock_gettime};
use tigereye::{Io, Op};

const TIMERS: u32 = 1_000_000;

/// The processor time that this process has taken.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let seconds = u64::try_from(time.tv_sec).expect("processor time is not negative");
    let nanoseconds = u32::try_from(time.tv_nsec).expect("a part of a second");
    Duration::new(seconds, nanoseconds)
}

fn timed(run: impl FnOnce()) -> Duration {
    let before = cpu_time();
    run();
    cpu_time() - before
}

/// A sequence of numbers that looks random (xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }

    fn shuffle<T>(&mut self, values: &mut [T]) {
        for at in (1..values.len()).rev() {
            let bound = u64::try_from(at).expect("a length") + 1;
            let other = self.below(bound);
            values.swap(at, usize::try_from(other).expect("below a length"));
        }
    }
}

/// How the delays of a batch lie.
#[derive(Clone, Copy)]
enum Delays {
    /// All the same, as the idle deadlines of many connections.
    Same(Duration),
    /// Anywhere in a span that begins after a delay.
    Spread { from: Duration, span: Duration },
}

const FAR: Delays =
    Delays::Spread { from: Duration::from_secs(600), span: Duration::from_secs(60) };
const FAR_SAME: Delays = Delays::Same(Duration::from_secs(600));

/// A million delays.
fn delays(kind: Delays) -> Vec<Duration> {
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    let one = |_| match kind {
        Delays::Same(delay) => delay,
        Delays::Spread { from, span } => {
            let span_ns = u64::try_from(span.as_nanos()).expect("a short span");
            from + Duration::from_nanos(random.below(span_ns))
        }
    };
    (0..TIMERS).map(one).collect()
}

fn start(io: &Io, delays: &[Duration], ops: &mut Vec<Op>) {
    for &delay in delays {
        ops.push(io.timeout((), delay, |(), _, result| {
            black_box(result.is_ok());
        }));
    }
}

/// A loop that has held a million timers, and room for their names.
fn warm() -> (Io, Vec<Op>) {
    let io = Io::new().expect("a loop");
    let mut ops = Vec::new();
    start(&io, &delays(FAR), &mut ops);
    io.cancel_all();
    io.run().expect("the loop runs");
    ops.clear();
    (io, ops)
}

/// Measures a batch: `batch` says how long the part of it took that counts.
fn measure(
    group: &mut BenchmarkGroup<'_, criterion::measurement::WallTime>,
    name: &str,
    kind: Delays,
    mut batch: impl FnMut(&Io, &[Duration], &mut Vec<Op>) -> Duration,
) {
    let (io, mut ops) = warm();
    let delays = delays(kind);
    group.bench_function(name, |bencher| {
        bencher.iter_custom(|iterations| {
            let took = batch(&io, &delays, &mut ops);
            ops.clear();
            assert_eq!(io.in_flight(), 0, "a batch ends with nothing in flight");
            took.mul_f64(iterations as f64 / f64::from(TIMERS))
        });
    });
}

fn cancel_all(io: &Io) {
    io.cancel_all();
    io.run().expect("the loop runs");
}

/// Starts a million, waits until all are due, and fires them.
fn fire_due(io: &Io, delays: &[Duration], ops: &mut Vec<Op>) -> Duration {
    start(io, delays, ops);
    let last = delays.iter().max().expect("a million delays");
    std::thread::sleep(*last);
    timed(|| io.run().expect("the loop runs"))
}

fn starts(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("start");
    for (name, kind) in [("same", FAR_SAME), ("spread", FAR)] {
        measure(&mut group, name, kind, |io, delays, ops| {
            let took = timed(|| start(io, delays, ops));
            cancel_all(io);
            took
        });
    }
}

fn fires(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("fire");
    let from = Duration::from_millis(200);
    measure(&mut group, "same", Delays::Same(from), fire_due);
    let span = Duration::from_millis(200);
    measure(&mut group, "spread", Delays::Spread { from, span }, fire_due);
    // As they come due, with the waits in between.
    measure(&mut group, "paced", Delays::Spread { from, span }, |io, delays, ops| {
        start(io, delays, ops);
        timed(|| io.run().expect("the loop runs"))
    });
}

fn cancels(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("cancel");
    for (name, kind, shuffled, callback) in [
        ("same", FAR_SAME, false, false),
        ("spread", FAR, false, false),
        ("shuffled", FAR, true, false),
        ("spread_and_callback", FAR, false, true),
    ] {
        measure(&mut group, name, kind, |io, delays, ops| {
            start(io, delays, ops);
            if shuffled {
                Random(0x9e37_79b9_7f4a_7c15).shuffle(ops);
            }
            let cancel = timed(|| ops.iter().for_each(|&op| io.cancel(op)));
            let run = timed(|| io.run().expect("the loop runs"));
            if callback { cancel + run } else { cancel }
        });
    }
}

/// A chain of callbacks, each of which queues the one after it.
fn link(left: u32, io: &Io) {
    if left > 0 {
        io.next(left - 1, link);
    }
}

fn chains(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("next");
    measure(&mut group, "chain", FAR, |io, _, _| {
        io.next(TIMERS - 1, link);
        timed(|| io.run().expect("the loop runs"))
    });
}

fn configured() -> Criterion {
    let second = Duration::from_secs(1);
    Criterion::default().sample_size(10).warm_up_time(second / 2).measurement_time(second)
}

criterion_group! {
    name = timers;
    config = configured();
    targets = starts, fires, cancels, chains
}
criterion_main!(timers);
