//! Clocks of hosts: they drift, and wall clocks jump. What is to happen after a while does not follow
//! those.

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime};

use tigereye::sim::{FaultKind, Faults, Host, World};
use tigereye::{Io, Next, OpenOptions, TcpListener};

use super::{Log, SECOND, address, run};

const HOUR: Duration = Duration::from_secs(3600);

fn world(seed: u64) -> (World, Host) {
    let mut world = World::new(seed);
    let host = world.host("host", address(1), |_io| {});
    (world, host)
}

/// The first day of 2026.
fn begin() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_225_600)
}

#[test]
fn the_wall_clock_begins_with_2026_and_goes_on_with_the_world() {
    let (mut world, host) = world(1);
    assert_eq!(world.io(host).unwrap().wall_clock(), begin());
    world.run_for(HOUR);
    assert_eq!(world.io(host).unwrap().wall_clock(), begin() + HOUR);
    world.crash(host);
    world.run_for(HOUR);
    world.restart(host);
    assert_eq!(world.wall_clock(host), begin() + 2 * HOUR, "it goes on without power");
}

#[test]
fn p69_a_jump_of_the_wall_clock_moves_no_timer_and_no_deadline() {
    for is_ahead in [false, true] {
        let (mut world, host) = world(2);
        let log: Log<(&str, Duration)> = Log::default();
        let io = world.io(host).unwrap();
        let start = io.now();
        let put = move |name| {
            move |log: Log<_>, io: &Io, _result| log.borrow_mut().push((name, io.now() - start))
        };
        io.timeout(Rc::clone(&log), 10 * SECOND, put("timer"));
        let never = io.timeout(Rc::clone(&log), Duration::MAX, put("deadline"));
        io.deadline(never, 20 * SECOND);
        world.run_for(SECOND);
        let now = world.io(host).unwrap().now();
        let wall = world.wall_clock(host);
        world.set_wall_clock(host, if is_ahead { wall + HOUR } else { wall - HOUR });
        let io = world.io(host).unwrap();
        assert_eq!(io.now(), now);
        let jumped = match is_ahead {
            true => io.wall_clock().duration_since(wall).unwrap(),
            false => wall.duration_since(io.wall_clock()).unwrap(),
        };
        assert_eq!(jumped, HOUR);
        world.run_for(30 * SECOND);
        let seen: Vec<_> = log.borrow().iter().map(|(name, at)| (*name, at.as_secs())).collect();
        assert_eq!(seen, [("timer", 10), ("deadline", 20)]);
        assert_eq!(world.summary().faults.of(FaultKind::ClockJump), 1);
    }
}

#[test]
fn the_clocks_of_hosts_drift_and_their_timers_with_them() {
    let mut world = World::new(3);
    let drifts = [-100_000, -500, 0, 500, 100_000];
    let hosts = drifts.map(|drift| {
        let (ticks, times): (Rc<Cell<u64>>, Log<(Instant, SystemTime)>) = Default::default();
        let (count, put) = (Rc::clone(&ticks), Rc::clone(&times));
        let number = ticks_of(&mut world, &count, &put);
        world.set_drift(number, drift);
        (ticks, times)
    });
    world.run_for(Duration::from_millis(1000 * 1000 + 1));
    for (drift, (ticks, times)) in drifts.into_iter().zip(hosts) {
        let expected = 1000_u64.saturating_add_signed(i64::from(drift) / 1000);
        // A drift that is less than a tick takes the last one, or leaves it.
        let last = expected - u64::from(drift == -500);
        assert_eq!(ticks.get(), last, "{drift}");
        let times = times.borrow();
        let ((first, first_wall), (last, last_wall)) = (times[0], times[times.len() - 1]);
        let (own, wall) = (last - first, last_wall.duration_since(first_wall).unwrap());
        // A wall clock has units of 100 ns.
        assert!(own.abs_diff(wall) < Duration::from_nanos(100), "both clocks drift alike");
        assert_eq!((own + SECOND / 1000).as_secs(), ticks.get() - 1, "{drift}");
    }
}

/// A host whose program ticks each second, and says when.
fn ticks_of(world: &mut World, count: &Rc<Cell<u64>>, times: &Log<(Instant, SystemTime)>) -> Host {
    let (count, times) = (Rc::clone(count), Rc::clone(times));
    world.host("ticking", address(1), move |io| {
        let (count, times) = (Rc::clone(&count), Rc::clone(&times));
        io.tick_each(
            (),
            SECOND,
            move |(), io, ticks| {
                count.set(count.get() + ticks);
                times.borrow_mut().push((io.now(), io.wall_clock()));
                Next::Continue
            },
            |(), _io, _result| {},
        );
    })
}

#[test]
fn p60_a_timer_is_not_early_on_a_clock_that_changes_its_pace() {
    let (mut world, host) = world(4);
    for round in 0_i32..50 {
        let delay = Duration::from_nanos(1_000_000_007);
        let log: Log<Duration> = Log::default();
        let io = world.io(host).unwrap();
        let start = io.now();
        io.timeout(Rc::clone(&log), delay, move |log, io, _result| {
            log.borrow_mut().push(io.now() - start);
        });
        let begun = world.now();
        for step in 0..10 {
            world.set_drift(host, (round * 7919 + step * 104_729) % 200_001 - 100_000);
            world.run_for(SECOND / 20);
        }
        world.set_drift(host, 100_000);
        let last = world.now();
        assert!(world.run_until(SECOND, |_world| !log.borrow().is_empty()));
        let own = log.borrow()[0];
        assert!(own >= delay && own < delay + SECOND / 1000, "{own:?}");
        // What was left went a tenth faster than the world.
        let (whole, rest) = (world.now() - begun, world.now() - last);
        assert!(whole < delay + SECOND / 15 && rest.as_nanos() > 0, "{whole:?}");
    }
}

#[test]
fn the_times_of_files_are_those_of_the_wall_clock() {
    let (mut world, host) = world(5);
    world.set_wall_clock(host, begin() + 24 * HOUR);
    let options = OpenOptions::new().write(true).create(true);
    let file = run(&mut world, host, |io, log| {
        io.open(log, "/file", &options, |log, _io, file| log.borrow_mut().push(file.unwrap()))
    });
    world.set_wall_clock(host, begin() - 24 * HOUR);
    let file = Rc::new(file);
    let written = run(&mut world, host, |io, log| {
        io.write_all_at(Rc::clone(&file), "text", 0, move |_file, _io, _buf, result| {
            log.borrow_mut().push(result);
        })
    });
    written.unwrap();
    let metadata = run(&mut world, host, |io, log| {
        io.metadata(file, move |_file, _io, metadata| log.borrow_mut().push(metadata.unwrap()))
    });
    let created = metadata.created().unwrap().duration_since(begin()).unwrap();
    assert_eq!(created.as_secs(), 86_400);
    let modified = begin().duration_since(metadata.modified()).unwrap();
    assert_eq!(modified.as_secs(), 86_400 - 1, "some microseconds later than a day before");
}

/// A program that looks at its clocks, and holds that its own time does not run backwards.
fn watcher(io: &Io) {
    let last = Cell::new(io.now());
    io.tick_each(
        (),
        SECOND / 100,
        move |(), io, _ticks| {
            assert!(io.now() >= last.replace(io.now()));
            let _may_jump = io.wall_clock();
            Next::Continue
        },
        |(), _io, _result| {},
    );
    let listener = TcpListener::bind(io, SocketAddr::new(address(1), 7)).unwrap();
    io.accept_each(
        listener,
        |_listener, _io, _stream| Next::Continue,
        |_listener, _io, _result| {},
    );
}

#[test]
fn clocks_jump_and_drift_by_chance_and_in_each_run_alike() {
    let run = |seed| {
        let mut world = World::new(seed);
        world.keep_trace();
        let host = world.host("host", address(1), watcher);
        let faults = Faults::none();
        let faults = faults.with(FaultKind::ClockJump, 0.1).with(FaultKind::ClockDrift, 0.1);
        world.set_faults(faults);
        world.run_for(20 * SECOND);
        let counts = world.summary().faults;
        let kinds = [FaultKind::ClockJump, FaultKind::ClockDrift];
        assert!(kinds.into_iter().all(|kind| counts.of(kind) > 50), "{}", world.summary());
        (world.trace(), world.wall_clock(host))
    };
    let (trace, wall) = run(6);
    assert!(trace.contains("host has its wall clock set by -"), "{trace}");
    assert!(trace.contains("host has its wall clock set by +"), "{trace}");
    assert!(trace.contains("host has its clock drift by "), "{trace}");
    assert_eq!((trace, wall), run(6));
    assert_ne!(wall, run(7).1);
}
