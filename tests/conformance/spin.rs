//! Loops that look for something to do before they sleep (`Builder::spin`).
//!
//! Each test has the limits of [`LIMITS`]: what comes, comes while a loop looks that never sleeps, and
//! after a look that was in vain. Whether a loop looked is seen in its statistics.

use std::io::{ErrorKind, Read, Write};
use std::rc::Rc;
use std::sync::mpsc;
use std::time::Duration;

use tigereye::{Io, Next, Threads};

use crate::peer::is_simulated;
use crate::timers::expect_none_early;
use crate::{HANG, Log, finish, pair, real, run_until_stop};

const MS: Duration = Duration::from_millis(1);

/// All waits sleep behind a look; some do; none does.
const LIMITS: [Duration; 3] = [Duration::from_nanos(1), Duration::from_micros(20), Duration::MAX];

fn spinning(limit: Duration) -> Io {
    Io::builder().spin(limit).build().unwrap()
}

/// Waits for one timer after another until `enough` is so, or as many as that have come.
fn tick(io: &Io, left: u32, enough: fn(&Io) -> bool) {
    if left > 0 && !enough(io) {
        io.timeout((), MS, move |(), io, result| {
            result.unwrap();
            tick(io, left - 1, enough);
        });
    }
}

#[test]
fn p65_posts_one_at_a_time_are_heard_while_a_loop_looks_and_after() {
    for limit in LIMITS {
        let io = spinning(limit);
        let (keep, _trigger) = io.event((), |(), _io, _result| {});
        let (sender, receiver) = mpsc::channel();
        let remote = io.remote();
        let poster = std::thread::spawn(move || {
            for number in 0..200 {
                let sender = sender.clone();
                remote.post(move |_io| sender.send(number).unwrap()).unwrap();
                assert_eq!(receiver.recv_timeout(HANG), Ok(number), "a post was lost");
            }
            remote.wake();
            remote.stop();
        });
        run_until_stop(&io);
        poster.join().unwrap();
        io.cancel(keep);
        finish(&io);
        assert!(limit < Duration::MAX || io.statistics().spins_in_vain == 0, "it never sleeps");
    }
}

#[test]
fn p67_a_stop_from_another_thread_ends_a_look() {
    for limit in LIMITS {
        let io = spinning(limit);
        let (keep, _trigger) = io.event((), |(), _io, _result| {});
        for _ in 0..50 {
            let (remote, (started, start)) = (io.remote(), mpsc::channel());
            io.next(started, |started, _io| started.send(()).unwrap());
            let stopper = std::thread::spawn(move || {
                start.recv_timeout(HANG).unwrap();
                remote.stop();
            });
            run_until_stop(&io);
            stopper.join().unwrap();
        }
        io.cancel(keep);
        finish(&io);
    }
}

#[test]
fn p65_a_wake_is_used_up_by_the_look_that_it_ended() {
    let io = spinning(Duration::from_micros(1));
    for _ in 0..3 {
        let before = io.statistics().spins_in_vain;
        io.remote().wake();
        // Else something would seem to be there at each first look, and nothing would ever sleep.
        tick(&io, 200, |_io| false);
        finish(&io);
        assert_eq!(io.statistics().spins_in_vain > before, !is_simulated());
    }
}

#[test]
fn messages_of_a_peer_and_results_of_the_pool_are_found() {
    for limit in LIMITS {
        let io = spinning(limit);
        let (stream, mut peer) = real::shared_pair(&io);
        let log = Log::new();
        for _ in 0..100 {
            io.recv(Rc::clone(&stream), Vec::with_capacity(8), |stream, io, buf, result| {
                assert_eq!(result.unwrap(), 1);
                io.send_all(stream, buf, |_stream, _io, _buf, result| result.unwrap());
            });
        }
        let client = std::thread::spawn(move || {
            for number in 0..100 {
                peer.write_all(&[number]).unwrap();
                let mut echo = [0];
                peer.read_exact(&mut echo).unwrap();
                assert_eq!(echo, [number]);
            }
        });
        finish(&io);
        client.join().unwrap();
        for number in 0..100 {
            io.offload(log.clone(), move || number, |log, _io, result| log.put(result.unwrap()));
            finish(&io);
        }
        assert_eq!(log.take(), (0..100).collect::<Vec<_>>());
    }
}

#[test]
fn p60_a_timer_is_never_early_for_a_loop_that_looks() {
    for limit in LIMITS {
        expect_none_early(&spinning(limit));
    }
}

#[test]
fn p60_a_look_ends_at_a_deadline_and_with_the_time_of_run_for() {
    for limit in LIMITS {
        let io = spinning(limit);
        let (stream, _peer) = pair(&io);
        let log = Log::new();
        let buf = Vec::with_capacity(8);
        let put = log.clone();
        let op = io.recv(stream, buf, move |_stream, _io, _buf, result| put.put(result));
        // Nothing else is in flight that could end a wait.
        io.run_for(MS).unwrap();
        assert_eq!(log.len(), 0);
        io.deadline(op, MS);
        finish(&io);
        assert_eq!(log.one().unwrap_err().kind(), ErrorKind::TimedOut);
    }
}

#[test]
fn looks_in_vain_are_no_more_than_finds_pay_for() {
    let io = spinning(Duration::from_micros(100));
    tick(&io, 300, |_io| false);
    finish(&io);
    let statistics = io.statistics();
    let (found, in_vain) = (statistics.spins_found, statistics.spins_in_vain);
    if is_simulated() {
        assert_eq!((found, in_vain), (0, 0), "there is nothing to be gained");
        return;
    }
    // A timer may be due in a look if the machine holds the loop up. Else each of 300 waits is longer
    // than that, and may be two.
    assert!(in_vain > 0, "nothing was ever in vain: {statistics:?}");
    assert!(in_vain <= 7 * (found + 1) + 2 * 300 / 64 + 1, "{statistics:?}");
}

#[test]
fn a_loop_that_finds_all_it_waits_for_goes_on_to_look() {
    let io = spinning(Duration::MAX);
    tick(&io, 1000, |io| io.statistics().spins_found > 9);
    finish(&io);
    let statistics = io.statistics();
    assert_eq!(statistics.spins_found > 9, !is_simulated(), "{statistics:?}");
    assert_eq!(statistics.spins_in_vain, 0);
}

#[test]
fn nobody_looks_without_being_asked_to_nor_in_a_poll() {
    let asked_not_to = spinning(Duration::ZERO);
    let not_asked = Io::new().unwrap();
    for io in [&asked_not_to, &not_asked] {
        tick(io, 10, |_io| false);
        finish(io);
    }
    // It would not come back.
    let polled = spinning(Duration::MAX);
    let (keep, _trigger) = polled.event((), |(), _io, _result| {});
    for _ in 0..100 {
        polled.poll().unwrap();
    }
    polled.run_for(Duration::ZERO).unwrap();
    for io in [&asked_not_to, &not_asked, &polled] {
        let statistics = io.statistics();
        assert_eq!((statistics.spins_found, statistics.spins_in_vain), (0, 0));
    }
    polled.cancel(keep);
    finish(&polled);
}

#[test]
fn the_loops_of_threads_look() {
    let builder = Io::builder().spin(Duration::MAX);
    let (found, finds) = mpsc::channel();
    let threads = Threads::start(2, &builder, move |index, io| {
        let found = found.clone();
        io.tick_each(
            (),
            MS,
            move |(), io, _ticks| {
                if io.statistics().spins_found == 0 {
                    return Next::Continue;
                }
                found.send(index).unwrap();
                Next::Stop
            },
            |(), _io, _result| {},
        );
        Ok(())
    })
    .unwrap();
    let mut both = [finds.recv_timeout(HANG).unwrap(), finds.recv_timeout(HANG).unwrap()];
    both.sort_unstable();
    assert_eq!(both, [0, 1]);
    threads.stop();
    threads.join().unwrap();
}
