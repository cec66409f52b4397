//! The runner of many seeds: what it finds, how it tells, and what it survives.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "tests")]

mod store;

use std::time::Duration;

use store::Sync;
use tigereye::sim::{FaultKind, Runner, Schedule, World};

const SECOND: Duration = Duration::from_secs(1);

/// A world in which time passes and nothing else.
fn quiet(world: &mut World) -> Result<(), String> {
    world.host("one", [10, 0, 0, 1].into(), |io| {
        io.timeout((), SECOND, |(), io, _result| io.stop());
    });
    world.run_for(2 * SECOND);
    Ok(())
}

#[test]
fn seeds_that_hold_are_counted_over_all_processes() {
    for jobs in [1, 3] {
        let report = Runner::new().seeds(10..110).jobs(jobs).run(quiet).unwrap();
        assert_eq!((report.seeds, report.time), (100, 200 * SECOND));
        assert!(report.turns >= 100 && report.seeds_per_minute() > 0.0);
        let text = report.to_string();
        assert!(text.starts_with("100 seeds, 0.06 simulated hours"), "{text}");
    }
}

#[test]
fn the_lowest_seed_that_fails_is_found_however_many_processes_there_are() {
    // Another one is found sooner.
    let trial = |world: &mut World| {
        quiet(world)?;
        match world.seed() {
            53 => {
                std::thread::sleep(Duration::from_millis(200));
                Err("the first".into())
            }
            55 | 90 => Err("another".into()),
            _ => Ok(()),
        }
    };
    for jobs in [1, 4] {
        let failure = Runner::new().seeds(0..200).jobs(jobs).run(trial).unwrap_err();
        assert_eq!((failure.seed, &*failure.message), (Some(53), "the first"));
        assert_eq!(failure.schedule, Some(Schedule::all(53)));
        assert!(failure.command.contains("--seed 53"), "{}", failure.command);
        assert!(failure.command.contains("the_lowest_seed_that_fails"), "{}", failure.command);
    }
}

#[test]
fn a_panic_is_the_failure_of_its_seed() {
    let failure = Runner::new().seeds(0..20).jobs(2).run(|world| {
        let seed = world.seed();
        world.host("one", [10, 0, 0, 1].into(), move |io| {
            io.timeout((), SECOND, move |(), _io, _result| assert!(seed < 7, "it is {seed}"));
        });
        world.run_for(2 * SECOND);
        Ok(())
    });
    let failure = failure.unwrap_err();
    assert_eq!(failure.seed, Some(7));
    assert!(failure.message.starts_with("panicked at tests/simulator_runner"), "{failure}");
    assert!(failure.message.ends_with("it is 7"), "{failure}");
}

#[test]
fn a_process_that_aborts_is_the_failure_of_its_seed() {
    for jobs in [1, 2] {
        let failure = Runner::new().seeds(0..100).jobs(jobs).run(|world| {
            if world.seed() == 42 {
                std::process::abort();
            }
            quiet(world)
        });
        let failure = failure.unwrap_err();
        assert_eq!(failure.seed, Some(42));
        assert!(failure.message.contains("SIGABRT"), "{failure}");
    }
}

#[test]
fn a_trial_that_hangs_is_the_failure_of_its_seed() {
    let runner = Runner::new().seeds(0..20).jobs(2).hangs_after(2 * SECOND);
    let failure = runner.run(|world| {
        while world.seed() == 5 {
            std::thread::yield_now();
        }
        quiet(world)
    });
    let failure = failure.unwrap_err();
    assert_eq!(failure.seed, Some(5));
    assert!(failure.message.starts_with("hangs"), "{failure}");
}

#[test]
fn one_run_after_another_in_one_test_is_told_from_the_first() {
    let mut found = Vec::new();
    for bad in [3, 11, 100] {
        let result = Runner::new()
            .seeds(0..20)
            .jobs(2)
            .run(|world| if world.seed() == bad { Err(format!("it is {bad}")) } else { Ok(()) });
        found.push(result.err().map(|failure| failure.message));
    }
    assert_eq!(found, [Some("it is 3".into()), Some("it is 11".into()), None]);
}

#[test]
fn a_kind_of_fault_that_never_fires_is_a_failure() {
    let kinds = [FaultKind::HostCrashed, FaultKind::LostWrite];
    let trial = |world: &mut World| store::trial(world, Sync::BeforeAnswer);
    let runner = Runner::new().seeds(0..30).expect_faults(&kinds);
    let report = runner.clone().run(trial).unwrap();
    assert!(kinds.iter().all(|&kind| report.faults.of(kind) > 0));
    let failure = runner.expect_faults(&[FaultKind::StuckCall]).run(trial).unwrap_err();
    assert_eq!(failure.seed, None);
    assert!(failure.message.ends_with("ever happened: stuck call"), "{failure}");
}

#[test]
fn a_planted_bug_is_found_and_its_seed_fails_again_here() {
    let trial = |world: &mut World| store::trial(world, Sync::Never);
    let found = Runner::new().seeds(0..200).run(trial).unwrap_err();
    let seed = found.seed.unwrap();
    let again = Runner::new().seeds(seed..seed + 1).in_this_process().run(trial).unwrap_err();
    assert_eq!((again.seed, again.message), (Some(seed), found.message));
}
