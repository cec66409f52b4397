//! More than there is room for, and more than there is time for: full queues, floods, storms, and
//! the fairness that rule 8 promises.

use std::cell::Cell;
use std::io::Write;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tigereye::{BufferPool, Io, Next, TcpStream};

use crate::real;
use crate::{Log, finish, pair, run_until_stop, shared_pair};

const MS: Duration = Duration::from_millis(1);

#[test]
fn p03_more_completions_than_any_queue_holds() {
    for entries in [1, 256] {
        let io = Io::builder().ring_entries(entries).build().unwrap();
        let (stream, mut peer) = shared_pair(&io);
        peer.write_all(b"x").unwrap();
        let count = Rc::new(Cell::new(0));
        for _ in 0..5000 {
            let count = Rc::clone(&count);
            io.readable(Rc::clone(&stream), move |_stream, _io, result| {
                result.unwrap();
                count.set(count.get() + 1);
            });
        }
        finish(&io);
        assert_eq!(count.get(), 5000, "with {entries} entries");
    }
}

#[test]
fn p03_an_overflowed_queue_is_seen_by_poll_alone() {
    let io = Io::builder().ring_entries(1).build().unwrap();
    let (stream, mut peer) = shared_pair(&io);
    let count = Rc::new(Cell::new(0));
    for _ in 0..1000 {
        let count = Rc::clone(&count);
        io.readable(Rc::clone(&stream), move |_stream, _io, result| {
            result.unwrap();
            count.set(count.get() + 1);
        });
    }
    io.poll().unwrap();
    assert_eq!(count.get(), 0, "nothing is there to read");
    peer.write_all(b"x").unwrap();
    let start = Instant::now();
    while count.get() < 1000 {
        assert!(start.elapsed() < crate::HANG, "{} of 1000 came", count.get());
        io.poll().unwrap();
    }
}

#[test]
fn p04_hundreds_of_exchanges_through_a_ring_of_one_entry() {
    let io = Io::builder().ring_entries(1).build().unwrap();
    let log = Log::new();
    let mut peers = Vec::new();
    for number in 0..200_u8 {
        let (stream, mut peer) = shared_pair(&io);
        peer.write_all(&[number]).unwrap();
        peers.push(peer);
        let put = log.clone();
        io.recv(Rc::clone(&stream), Vec::with_capacity(1), move |stream, io, buf, result| {
            result.unwrap();
            io.send_all(stream, buf, move |_stream, _io, buf, result| {
                result.unwrap();
                put.put(buf[0]);
            });
        });
        // One that is taken back at once, so that cancels are among what finds the queue full.
        let op = io.readable(stream, |_stream, _io, _result| {});
        io.cancel(op);
    }
    finish(&io);
    let mut all = log.take();
    all.sort_unstable();
    assert_eq!(all, (0..200).collect::<Vec<u8>>());
    for (peer, number) in peers.iter_mut().zip(0..) {
        assert_eq!(crate::read(peer, 1), [number]);
    }
}

#[test]
fn p06_far_deadlines_neither_return_at_once_nor_spin() {
    for far in [1 << 32, 1 << 33, 1 << 62, u64::MAX / 2, u64::MAX] {
        let io = Io::new().unwrap();
        io.timeout((), Duration::from_secs(far), |(), _io, _result| unreachable!("centuries"));
        io.timeout((), Duration::from_nanos(far), |(), _io, _result| unreachable!("years"));
        let before = io.statistics().system_calls;
        io.run_for(30 * MS).unwrap();
        assert!(io.statistics().system_calls - before < 50, "the loop spins");
        // To run for a time beyond the clock is to run for ever.
        let (remote, stopped) = (io.remote(), Arc::new(AtomicBool::new(false)));
        let stop = Arc::clone(&stopped);
        let thread = std::thread::spawn(move || {
            std::thread::sleep(30 * MS);
            stop.store(true, Ordering::Relaxed);
            remote.stop();
        });
        let before = io.statistics().system_calls;
        io.run_for(Duration::from_secs(far)).unwrap();
        assert!(stopped.load(Ordering::Relaxed), "it returned before the stop");
        assert!(io.statistics().system_calls - before < 50, "the loop spins");
        thread.join().unwrap();
        assert_eq!(io.in_flight(), 2);
    }
}

/// Writes to a connection as fast as it goes, until told to stop.
fn flood(mut peer: std::net::TcpStream, stop: &Arc<AtomicBool>) -> std::thread::JoinHandle<()> {
    let stop = Arc::clone(stop);
    std::thread::spawn(
        move || {
            while !stop.load(Ordering::Relaxed) && peer.write(&[7; 4096]).is_ok() {}
        },
    )
}

#[test]
fn p13_rule8_one_fast_connection_does_not_starve_another() {
    for turn in [1, 1024] {
        let io = Io::builder().callbacks_per_turn(turn).build().unwrap();
        let pool = BufferPool::new(&io, 64, 64).unwrap();
        let (fast, flooding) = real::pair(&io);
        let stop = Arc::new(AtomicBool::new(false));
        let thread = flood(flooding, &stop);
        let items = Rc::new(Cell::new(0_u64));
        let count = Rc::clone(&items);
        io.recv_each(
            fast,
            &pool,
            move |_stream, _io, _buf| {
                count.set(count.get() + 1);
                Next::Continue
            },
            |_stream, _io, result| result.unwrap(),
        );
        while items.get() < 100 {
            io.run_once().unwrap();
        }
        for _ in 0..20 {
            let (slow, mut peer) = real::pair(&io);
            peer.write_all(b"x").unwrap();
            io.recv(slow, Vec::with_capacity(1), |_stream, io, _buf, result| {
                assert_eq!(result.unwrap(), 1);
                io.stop();
            });
            run_until_stop(&io);
        }
        stop.store(true, Ordering::Relaxed);
        finish(&io);
        thread.join().unwrap();
    }
}

#[test]
fn p63_rule8_many_timers_due_at_once_do_not_stall_a_receive() {
    const TIMERS: u32 = 20_000;
    let io = Io::new().unwrap();
    let fired = Rc::new(Cell::new(0));
    for _ in 0..TIMERS {
        io.timeout(Rc::clone(&fired), Duration::ZERO, |fired, _io, result| {
            result.unwrap();
            fired.set(fired.get() + 1);
        });
    }
    let (stream, mut peer) = pair(&io);
    peer.write_all(b"x").unwrap();
    let log = Log::new();
    let (put, seen) = (log.clone(), Rc::clone(&fired));
    io.recv(stream, Vec::with_capacity(1), move |_stream, _io, _buf, result| {
        result.unwrap();
        put.put(seen.get());
    });
    finish(&io);
    assert_eq!(fired.get(), TIMERS);
    assert!(log.one() < TIMERS / 2, "the receive waited for the timers");
}

/// Keeps a completion of this stream, which can always be read, in the queue.
fn always_readable(io: &Io, stream: Rc<TcpStream>, stopped: Rc<Cell<bool>>) {
    io.readable(stream, |stream, io, result| {
        result.unwrap();
        if !stopped.get() {
            always_readable(io, stream, stopped);
        }
    });
}

#[test]
fn rule8_timers_and_posts_come_while_completions_are_queued() {
    let io = Io::builder().callbacks_per_turn(8).build().unwrap();
    let (stream, mut peer) = shared_pair(&io);
    peer.write_all(b"x").unwrap();
    let stopped = Rc::new(Cell::new(false));
    for _ in 0..100 {
        always_readable(&io, Rc::clone(&stream), Rc::clone(&stopped));
    }
    let log = Log::new();
    io.timeout(log.clone(), MS, |log, io, result| {
        result.unwrap();
        log.put("timer");
        io.stop();
    });
    run_until_stop(&io);
    assert_eq!(log.one(), "timer");
    io.remote().post(Io::stop).unwrap();
    run_until_stop(&io);
    stopped.set(true);
    finish(&io);
}

/// Sends again whenever a send is done.
fn always_sending(io: &Io, stream: TcpStream, stopped: Rc<Cell<bool>>) {
    io.send(stream, "x", |stream, io, _buf, result| {
        result.unwrap();
        if !stopped.get() {
            always_sending(io, stream, stopped);
        }
    });
}

#[test]
fn rule8_a_busy_sender_does_not_starve_a_receive() {
    let io = Io::builder().callbacks_per_turn(1).build().unwrap();
    let stopped = Rc::new(Cell::new(false));
    let (sender, _sink) = pair(&io);
    always_sending(&io, sender, Rc::clone(&stopped));
    let (stream, mut peer) = pair(&io);
    peer.write_all(b"x").unwrap();
    let log = Log::new();
    let put = log.clone();
    io.recv(stream, Vec::with_capacity(1), move |_stream, _io, _buf, result| {
        put.put(result.unwrap());
    });
    for _ in 0..100 {
        io.poll().unwrap();
    }
    assert_eq!(log.len(), 1, "the receive waited for sends that came later");
    stopped.set(true);
    finish(&io);
}

/// Starts what has one callback, which counts.
type Starter = fn(&Io, &Rc<Cell<u32>>);

#[test]
fn rule8_a_turn_runs_no_more_callbacks_than_it_may() {
    const BOUND: u32 = 3;
    let start: [Starter; 3] = [
        |io, count| {
            io.next(Rc::clone(count), |count, _io| count.set(count.get() + 1));
        },
        |io, count| {
            io.timeout(Rc::clone(count), Duration::ZERO, |count, _io, _result| {
                count.set(count.get() + 1);
            });
        },
        |io, count| {
            // Posts count by what they start, for they can carry no `Rc`.
            assert_eq!(count.get(), 0);
            io.remote()
                .post(|io| {
                    let _unpulled = io.event((), |(), _io, _result| {});
                })
                .unwrap();
        },
    ];
    for start in start {
        let io = Io::builder().callbacks_per_turn(BOUND as usize).build().unwrap();
        let count = Rc::new(Cell::new(0));
        for _ in 0..10 {
            start(&io, &count);
        }
        let events = io.in_flight() == 0;
        io.poll().unwrap();
        let ran = if events { io.in_flight() } else { count.get() };
        assert!((1..=BOUND).contains(&ran), "{ran} callbacks in one turn");
        for _ in 0..10 {
            io.poll().unwrap();
        }
        let ran = if events { io.in_flight() } else { count.get() };
        assert_eq!(ran, 10);
    }
}

#[test]
fn p65_a_million_wakes_cost_few_system_calls() {
    let io = Io::new().unwrap();
    let remote = io.remote();
    let before = io.statistics().system_calls;
    let thread = std::thread::spawn(move || {
        for _ in 0..1_000_000 {
            remote.wake();
        }
    });
    thread.join().unwrap();
    io.timeout((), 2 * MS, |(), _io, result| result.unwrap());
    finish(&io);
    assert!(io.statistics().system_calls - before < 100, "wakes are merged");
}

#[test]
fn p65_a_loop_woken_while_it_works_loses_nothing() {
    let io = Io::new().unwrap();
    let (remote, stop) = (io.remote(), Arc::new(AtomicBool::new(false)));
    let stopped = Arc::clone(&stop);
    let storm = std::thread::spawn(move || {
        while !stopped.load(Ordering::Relaxed) {
            remote.wake();
        }
    });
    let (stream, mut peer) = shared_pair(&io);
    for number in 0..500_u16 {
        let log = Log::new();
        let (put, buf) = (log.clone(), Vec::with_capacity(2));
        io.recv_exact(Rc::clone(&stream), buf, 2, move |_stream, _io, buf, result| {
            result.unwrap();
            put.put(buf);
        });
        peer.write_all(&number.to_le_bytes()).unwrap();
        finish(&io);
        assert_eq!(log.one(), number.to_le_bytes());
    }
    stop.store(true, Ordering::Relaxed);
    storm.join().unwrap();
}

#[test]
fn a_million_timers_start_and_are_cancelled_without_a_system_call() {
    const TIMERS: u64 = if cfg!(debug_assertions) { 200_000 } else { 1_000_000 };
    let io = Io::new().unwrap();
    let count = Rc::new(Cell::new(0));
    let before = io.statistics().system_calls;
    let mut ops = Vec::new();
    for number in 0..TIMERS {
        let delay = Duration::from_secs(3600 + number * 7919 % 1000);
        ops.push(io.timeout(Rc::clone(&count), delay, |count, _io, result| {
            assert!(tigereye::is_cancelled(&result.unwrap_err()));
            count.set(count.get() + 1);
        }));
    }
    assert_eq!(u64::from(io.in_flight()), TIMERS);
    for op in ops {
        io.cancel(op);
    }
    assert_eq!(io.statistics().system_calls, before);
    finish(&io);
    assert_eq!(count.get(), TIMERS);
}

#[test]
fn p69_the_loops_clock_is_the_monotonic_one() {
    let io = Io::new().unwrap();
    let log = Log::new();
    for _ in 0..20 {
        let before = Instant::now();
        io.timeout(log.clone(), MS, |log, io, _result| log.put(io.now()));
        finish(&io);
        let now = log.one();
        assert!(now >= before + MS, "never early by the monotonic clock");
        assert!(now <= Instant::now());
    }
}
