//! The small measurements on tigereye; `micro` says what they are. `--driver NAME` forces one of
//! its drivers.

use std::cell::Cell;
use std::io;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::time::Instant;
use tigereye::{Builder, Descriptor, Io, Remote, Threads};
use tigereye_peers::args::Args;
use tigereye_peers::driver;
use tigereye_peers::micro::wakes::{self, Question, Senders};
use tigereye_peers::micro::{self, Amounts, BATCH, DELAY_MAX, FAR, SENDERS, SPIN, SPINS};
use tigereye_peers::micro::{cpu_ns, delays, post_name, report};
use tigereye_peers::sys::net;
use tigereye_peers::sys::process::{self, Priority};

/// A count that callbacks share: a context that costs nothing itself.
type Count = &'static Cell<u64>;

fn count(value: u64) -> Count {
    Box::leak(Box::new(Cell::new(value)))
}

fn add(sum: Count, value: u64) {
    sum.set(sum.get() + value);
}

fn timers(by: &str, loops: &Builder, timers: u64) -> io::Result<()> {
    let io = loops.clone().build()?;
    let mut result = Ok(());
    let sum = count(0);
    let started = cpu_ns(timers, || {
        for (argument, delay) in (0..timers).zip(delays()) {
            io.timeout(sum, delay, move |sum, _io, _result| add(sum, argument));
        }
    })?;
    report(micro::TIMER_START, by, started);
    std::thread::sleep(DELAY_MAX);
    let fired = cpu_ns(timers, || result = io.run())?;
    result?;
    assert_eq!(sum.get(), timers * (timers - 1) / 2, "every timer fires once");
    report(micro::TIMER_FIRE, by, fired);
    report(micro::TIMER_FIRED, by, started + fired);

    // A loop of its own: what the one above learned is not to help.
    let io = loops.clone().build()?;
    let mut result = Ok(());
    let heard = count(0);
    let start = |delay| io.timeout(heard, FAR + delay, |heard, _io, _result| add(heard, 1));
    let mut ops = Vec::with_capacity(timers as usize);
    let started = cpu_ns(timers, || ops.extend(delays().take(timers as usize).map(start)))?;
    let call = cpu_ns(timers, || ops.into_iter().for_each(|op| io.cancel(op)))?;
    report(micro::TIMER_CANCEL, by, call);
    let callbacks = cpu_ns(timers, || result = io.run())?;
    result?;
    assert_eq!(heard.get(), timers, "every cancelled timer hears of it");
    report(micro::TIMER_CANCEL_ALL, by, call + callbacks);
    report(micro::TIMER_CANCELLED, by, started + call + callbacks);
    Ok(())
}

fn link(io: &Io, left: u64) {
    if left > 0 {
        io.next(left - 1, |left, io| link(io, left));
    }
}

fn next(by: &str, loops: &Builder, count: u64) -> io::Result<()> {
    let io = loops.clone().build()?;
    let mut result = Ok(());
    let ns = cpu_ns(count, || {
        link(&io, count);
        result = io.run();
    })?;
    report(micro::NEXT, by, ns);
    result
}

fn check(io: &Io, descriptor: Descriptor, left: Count) {
    if left.get() > 0 {
        left.set(left.get() - 1);
        io.readable(descriptor, move |descriptor, io, result| {
            assert!(result.is_ok(), "an eventfd over 0 is readable: {result:?}");
            check(io, descriptor, left);
        });
    }
}

fn readable(by: &str, loops: &Builder, figure: &str, batch: u64, checks: u64) -> io::Result<()> {
    let io = loops.clone().build()?;
    let mut result = Ok(());
    let left = count(checks);
    let mut descriptors = Vec::new();
    for _ in 0..batch {
        let fd = net::eventfd()?;
        net::write_counter(fd.as_raw_fd(), 1)?;
        descriptors.push(Descriptor::new(&io, fd));
    }
    let ns = cpu_ns(checks, || {
        descriptors.into_iter().for_each(|descriptor| check(&io, descriptor, left));
        result = io.run();
    })?;
    report(figure, by, ns);
    result
}

/// Posts to one loop what posts to the other what posts back.
fn bounce(here: Remote, there: Remote, left: u64, done: Sender<()>) {
    let to = here.clone();
    let posted = to.post(move |_io| {
        if left > 0 {
            bounce(there, here, left - 1, done);
        } else {
            // Whoever waits for this may have given up.
            let _ = done.send(());
        }
    });
    posted.expect("the loops run until they are stopped");
}

fn wake(by: &str, loops: &Builder, rounds: u64) -> io::Result<()> {
    let threads = Threads::start(2, loops, |index, _io| process::pin(index))?;
    let (done, end) = channel();
    let begin = Instant::now();
    let [first, second] = threads.remotes() else { unreachable!("two threads were started") };
    bounce(first.clone(), second.clone(), rounds * 2, done);
    end.recv().map_err(io::Error::other)?;
    report(micro::WAKE, by, begin.elapsed().as_nanos() as f64 / rounds as f64);
    threads.stop();
    threads.join()
}

/// Questions of other threads, posted to a loop on this one.
fn round_trips(by: &str, loops: &Builder, senders: usize, each: u64) -> io::Result<()> {
    let io = loops.clone().build()?;
    let (remote, total) = (io.remote(), each * senders as u64);
    ANSWERED.store(0, Ordering::Relaxed);
    let senders = Senders::start(senders, each, move |question: Question| {
        let posted = remote.post(move |io| {
            question.answer();
            let answered = ANSWERED.load(Ordering::Relaxed) + 1;
            ANSWERED.store(answered, Ordering::Relaxed);
            if answered == total {
                io.stop();
            }
        });
        posted.expect("the loop runs until it is stopped");
    })?;
    // Without anything under way the loop would end.
    io.timeout((), FAR, |(), _io, _result| {});
    io.run()?;
    senders.report(by)
}

/// Questions that were answered; written by the loop's thread alone.
static ANSWERED: AtomicU64 = AtomicU64::new(0);

/// Closures that have run; written by the loop's thread alone, so that the closures carry nothing
/// that threads share, as those of the hand-written loops.
static RAN: AtomicU64 = AtomicU64::new(0);

fn post(by: &str, loops: &Builder, senders: usize, each: u64) -> io::Result<()> {
    let threads = Threads::start(1, loops, |_index, _io| Ok(()))?;
    let total = each * senders as u64;
    RAN.store(0, Ordering::Relaxed);
    let begin = Instant::now();
    let waiting = std::thread::current();
    let send = |remote: Remote| {
        move || {
            for _ in 0..each {
                let posted = remote.post(|_io| {
                    RAN.store(RAN.load(Ordering::Relaxed) + 1, Ordering::Release);
                });
                posted.expect("the loop runs until it is stopped");
            }
            // Closures of one thread run in order, so this one is the last of them.
            let posted = remote.post(move |_io| waiting.unpark());
            posted.expect("the loop runs until it is stopped");
        }
    };
    let remote = &threads.remotes()[0];
    let sending: Vec<_> =
        (0..senders).map(|_| std::thread::spawn(send.clone()(remote.clone()))).collect();
    while RAN.load(Ordering::Acquire) < total {
        std::thread::park();
    }
    report(&post_name(senders), by, begin.elapsed().as_nanos() as f64 / total as f64);
    for thread in sending {
        thread.join().map_err(|_| io::Error::other("a sender panicked"))?;
    }
    threads.stop();
    threads.join()
}

fn main() -> io::Result<()> {
    let mut args = Args::from_env();
    let amounts = Amounts::from_args(&mut args);
    let loops = &driver::builder(&mut args);
    args.finish();
    let by = &*format!("tigereye, {}", loops.clone().build()?.driver().kind);
    timers(by, loops, amounts.timers)?;
    next(by, loops, amounts.operations)?;
    readable(by, loops, micro::READABLE, 1, amounts.operations)?;
    readable(by, loops, micro::READABLE_BATCH, BATCH, amounts.operations)?;
    let spinning = (&*format!("{by}{SPINS}"), &loops.clone().spin(SPIN));
    for (by, loops) in [(by, loops), spinning] {
        wake(by, loops, amounts.wakes)?;
        wakes::each_count(amounts.wakes, |senders, each| round_trips(by, loops, senders, each))?;
    }
    process::allow(&[0, 1])?;
    process::set_priority(Priority::Ordinary);
    for senders in SENDERS {
        post(by, loops, senders, amounts.posts / senders as u64)?;
    }
    Ok(())
}
