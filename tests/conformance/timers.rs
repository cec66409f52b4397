//! Timers and the order of callbacks.

use std::cell::Cell;
use std::io::Write;
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime};

use tigereye::{Io, Next, Op, is_cancelled};

use crate::peer::{is_simulated, now};
use crate::{Log, Random, finish, pair};

const MS: Duration = Duration::from_millis(1);

/// Starts timers of up to 20 ms, and has each tell how late it is: none is early.
pub(crate) fn expect_none_early(io: &Io) {
    let log = Log::new();
    for micros in (0..20_000).step_by(137) {
        let delay = Duration::from_micros(micros);
        let start = now(io);
        io.timeout(log.clone(), delay, move |log, io, result| {
            result.unwrap();
            log.put((now(io) - start).checked_sub(delay));
        });
    }
    let count = usize::try_from(io.in_flight()).unwrap();
    finish(io);
    let late = log.take();
    assert_eq!(late.len(), count);
    assert!(late.iter().all(Option::is_some), "a timer was early");
}

#[test]
fn p60_a_timer_is_never_early() {
    expect_none_early(&Io::new().unwrap());
}

#[test]
fn the_wall_clock_shows_the_time_of_day() {
    let io = Io::new().unwrap();
    let first_of_2026 = SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_225_600);
    let before = SystemTime::now();
    let shown = io.wall_clock();
    assert!(shown >= first_of_2026, "{shown:?}");
    assert!(is_simulated() || (before..=SystemTime::now()).contains(&shown), "{shown:?}");
}

#[test]
fn p62_timers_of_one_delay_come_in_order() {
    let io = Io::new().unwrap();
    let log = Log::new();
    for delay in [Duration::ZERO, MS] {
        for number in 0..100 {
            io.timeout(log.clone(), delay, move |log, _io, _result| log.put(number));
        }
        finish(&io);
        assert_eq!(log.take(), (0..100).collect::<Vec<_>>());
    }
}

#[test]
fn p62_a_timer_cancelled_in_the_same_instant_does_not_fire() {
    let io = Io::new().unwrap();
    let log = Log::new();
    let victim: Rc<Cell<Option<Op>>> = Rc::default();
    io.timeout(Rc::clone(&victim), Duration::ZERO, |victim, io, result| {
        result.unwrap();
        io.cancel(victim.take().unwrap());
    });
    let op = io.timeout(log.clone(), Duration::ZERO, |log, _io, result| log.put(result));
    victim.set(Some(op));
    finish(&io);
    assert!(is_cancelled(&log.one().unwrap_err()));
}

#[test]
fn p61_zero_comes_in_the_next_turn_and_not_in_the_call() {
    let io = Io::new().unwrap();
    let log = Log::new();
    io.timeout(log.clone(), Duration::ZERO, |log, _io, result| log.put(result));
    assert_eq!(log.len(), 0);
    io.poll().unwrap();
    log.one().unwrap();
}

#[test]
fn p61_max_never_comes_and_can_be_cancelled() {
    let io = Io::new().unwrap();
    let log = Log::new();
    let ops = [Duration::MAX, Duration::from_secs(u64::MAX), Duration::MAX / 2]
        .map(|delay| io.timeout(log.clone(), delay, |log, _io, result| log.put(result)));
    io.run_for(5 * MS).unwrap();
    assert_eq!((log.len(), io.in_flight()), (0, 3));
    ops.into_iter().for_each(|op| io.cancel(op));
    finish(&io);
    let all = log.take();
    assert_eq!(all.len(), 3);
    assert!(all.into_iter().all(|result| is_cancelled(&result.unwrap_err())));
}

#[test]
fn ten_thousand_timers_with_every_third_cancelled() {
    let io = Io::new().unwrap();
    let mut random = Random(60);
    let log = Log::new();
    let mut ops = Vec::new();
    for number in 0..10_000_usize {
        let delay = Duration::from_micros(random.below(50_000));
        let start = now(&io);
        ops.push(io.timeout(log.clone(), delay, move |log, io, result| {
            let early = result.is_ok() && now(io) - start < delay;
            log.put((number, result.is_ok(), early));
        }));
    }
    let cancelled: Vec<usize> = (0..10_000).filter(|number| number % 3 == 0).collect();
    for &number in &cancelled {
        io.cancel(ops[number]);
    }
    finish(&io);
    let mut all = log.take();
    all.sort_unstable();
    assert_eq!(all.len(), 10_000);
    for (at, &(number, fired, early)) in all.iter().enumerate() {
        assert_eq!((number, fired, early), (at, at % 3 != 0, false));
    }
}

#[test]
fn p64_ticks_until_stop() {
    let io = Io::new().unwrap();
    let (ticks, ends) = (Log::new(), Log::new());
    let tick = ticks.clone();
    let start = now(&io);
    let each = move |total: &mut u64, io: &Io, periods| {
        assert!(periods >= 1);
        *total += periods;
        tick.put((*total, now(io) - start));
        if tick.len() == 5 { Next::Stop } else { Next::Continue }
    };
    let end = ends.clone();
    io.tick_each(0, 2 * MS, each, move |total, _io, result| end.put((total, result)));
    finish(&io);
    let (total, result) = ends.one();
    result.unwrap();
    let ticks = ticks.take();
    assert_eq!(ticks.len(), 5);
    assert_eq!(ticks[4].0, total);
    for (periods, at) in ticks {
        assert!(at >= 2 * MS * u32::try_from(periods).unwrap(), "a tick is never early");
    }
}

#[test]
fn p64_ticks_do_not_drift() {
    const PERIOD: Duration = Duration::from_micros(700);
    let io = Io::new().unwrap();
    let log = Log::new();
    let put = log.clone();
    let before = Instant::now();
    let each = move |total: &mut u64, io: &Io, periods| {
        *total += periods;
        put.put((*total, io.now()));
        std::thread::sleep(PERIOD / 3);
        if put.len() == 100 { Next::Stop } else { Next::Continue }
    };
    io.tick_each(0, PERIOD, each, |_total, _io, result| result.unwrap());
    let after = Instant::now();
    finish(&io);
    for (total, now) in log.take() {
        // As many as have passed since the start, however late each of them was seen.
        let passed = |start: Instant| u64::try_from((now - start).as_nanos() / PERIOD.as_nanos());
        let (most, least) = (passed(before).unwrap(), passed(after).unwrap());
        assert!((least..=most).contains(&total), "{total} ticks of {least} to {most}");
    }
}

#[test]
fn p64_missed_ticks_are_counted() {
    let io = Io::new().unwrap();
    let log = Log::new();
    let put = log.clone();
    let each = move |(): &mut (), _io: &Io, periods| {
        put.put(periods);
        std::thread::sleep(10 * MS);
        if put.len() == 2 { Next::Stop } else { Next::Continue }
    };
    io.tick_each((), MS, each, |(), _io, result| result.unwrap());
    finish(&io);
    assert!(log.take()[1] >= 9, "nine periods passed in the first callback");
}

#[test]
fn p64_ticks_can_be_cancelled_in_their_own_callback() {
    let io = Io::new().unwrap();
    let (ticks, ends) = (Log::new(), Log::new());
    let own: Rc<Cell<Option<Op>>> = Rc::default();
    let (cancel, tick, end) = (Rc::clone(&own), ticks.clone(), ends.clone());
    let each = move |(): &mut (), io: &Io, _periods| {
        tick.put(());
        io.cancel(cancel.get().unwrap());
        Next::Continue
    };
    let op = io.tick_each((), MS, each, move |(), _io, result| end.put(result));
    own.set(Some(op));
    finish(&io);
    assert!(is_cancelled(&ends.one().unwrap_err()));
    ticks.one();
}

fn chain(io: &Io, left: u32, log: Log<()>) {
    io.next(log, move |log, io| if left == 1 { log.put(()) } else { chain(io, left - 1, log) });
}

#[test]
fn a_chain_of_a_hundred_ends_in_one_turn() {
    let io = Io::new().unwrap();
    let log = Log::new();
    chain(&io, 100, log.clone());
    assert_eq!(log.len(), 0);
    io.poll().unwrap();
    log.one();
}

fn for_ever(io: &Io, stopped: Rc<Cell<bool>>) {
    io.next(stopped, |stopped, io| {
        if !stopped.get() {
            for_ever(io, stopped);
        }
    });
}

fn zero_for_ever(io: &Io, stopped: Rc<Cell<bool>>) {
    io.timeout(stopped, Duration::ZERO, |stopped, io, _result| {
        if !stopped.get() {
            zero_for_ever(io, stopped);
        }
    });
}

fn post_for_ever(io: &Io, until: Instant) {
    let post = move |io: &Io| {
        if Instant::now() < until {
            post_for_ever(io, until);
        }
    };
    io.remote().post(post).unwrap();
}

#[test]
fn p63_rule8_an_endless_chain_does_not_starve_a_timer() {
    let io = Io::new().unwrap();
    let stopped = Rc::new(Cell::new(false));
    for_ever(&io, Rc::clone(&stopped));
    io.timeout(stopped, MS, |stopped, _io, _result| stopped.set(true));
    finish(&io);
}

#[test]
fn p63_rule8_zero_timers_and_chains_do_not_starve_a_receive() {
    let io = Io::new().unwrap();
    let stopped = Rc::new(Cell::new(false));
    for_ever(&io, Rc::clone(&stopped));
    zero_for_ever(&io, Rc::clone(&stopped));
    let (stream, mut peer) = pair(&io);
    io.recv(stream, Vec::with_capacity(1), move |_stream, _io, _buf, result| {
        assert_eq!(result.unwrap(), 1);
        stopped.set(true);
    });
    io.run_for(5 * MS).unwrap();
    std::io::Write::write_all(&mut peer, b"x").unwrap();
    finish(&io);
}

#[test]
fn rule8_posts_do_not_starve_the_rest() {
    let io = Io::new().unwrap();
    post_for_ever(&io, Instant::now() + Duration::from_secs(60));
    let log = Log::new();
    io.timeout(log.clone(), MS, |log, io, _result| {
        log.put(());
        io.stop();
    });
    let before = now(&io);
    io.run_for(Duration::from_secs(60)).unwrap();
    log.one();
    assert!(now(&io) - before < Duration::from_secs(60), "the timer waited for the posts");
}

#[test]
fn run_for_waits_as_long_as_it_says() {
    let io = Io::new().unwrap();
    io.timeout((), Duration::MAX, |(), _io, _result| {});
    let before = now(&io);
    io.run_for(20 * MS).unwrap();
    assert!(now(&io) - before >= 20 * MS);
    assert_eq!(io.in_flight(), 1);
}

/// A process is held up by its callbacks, or stopped by the system, for longer than a deadline;
/// what the operation waited for had come in time.
#[test]
fn what_has_come_goes_before_a_deadline_that_passed_meanwhile() {
    let io = Io::new().unwrap();
    let log = Log::new();
    let (stream, mut peer) = pair(&io);
    let op = io.recv(stream, Vec::with_capacity(8), {
        let log = log.clone();
        move |_stream, _io, buf, result| log.put(result.map(|_count| buf))
    });
    // It is on its way to the system.
    io.poll().unwrap();
    io.deadline(op, 10 * MS);
    peer.write_all(b"in time").unwrap();
    std::thread::sleep(20 * MS);
    finish(&io);
    assert_eq!(log.one().unwrap(), b"in time");
}
