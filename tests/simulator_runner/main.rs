//! The runner of many seeds: what it finds, how it tells, and what it survives.
#![allow(clippy::unwrap_used, reason = "tests")]

mod plans;
mod store;

use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use store::Sync;
use tigereye::sim::{FaultKind, Runner, Schedule, World};

const SECOND: Duration = Duration::from_secs(1);
/// How a process ends that aborts; on Windows that is `STATUS_STACK_BUFFER_OVERRUN` (__fastfail).
const ABORTED: &str = if cfg!(windows) { "0xc0000409" } else { "SIGABRT" };

/// Runs a command as a user does.
#[cfg(unix)]
fn shell(command: &str) -> Command {
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(command);
    shell
}

#[cfg(windows)]
fn shell(command: &str) -> Command {
    use std::os::windows::process::CommandExt;
    let mut shell = Command::new("cmd");
    shell.raw_arg(format!("/S /C \"{command}\""));
    shell
}

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
        let report = Runner::new().seeds(10..110).jobs(jobs).run(|world| {
            // What a program writes itself is in nobody's way, text or not.
            std::io::stdout().write_all(b"\xff half a line").unwrap();
            quiet(world)
        });
        let report = report.unwrap();
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
        assert!(failure.message.contains(ABORTED), "{failure}");
    }
}

#[test]
fn a_trial_that_hangs_is_the_failure_of_its_seed() {
    // No other one could be taken for it, however busy the machine is.
    let runner = Runner::new().seeds(5..6).hangs_after(SECOND);
    let failure = runner.run(|_world| {
        loop {
            std::thread::sleep(SECOND);
        }
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

/// A lost record takes one loss of power and one lost write; some seeds may need one thing more.
const ENOUGH: usize = 3;

#[test]
fn a_planted_bug_is_found_and_shrunk_to_what_matters() {
    let trial = |world: &mut World| store::trial(world, Sync::Never);
    let found = Runner::new().seeds(0..200).shrink().run(trial).unwrap_err();
    println!("{found}");
    let (seed, smaller) = (found.seed.unwrap(), found.smaller.unwrap());
    assert!(smaller.of > 10 && smaller.parts.len() <= ENOUGH, "{smaller}");
    assert!(smaller.is_smallest && smaller.tries <= 300, "{smaller}");
    assert!(smaller.parts.iter().any(|part| part.contains("host crashed")), "{smaller}");
    assert!(found.command.contains("--schedule"), "{}", found.command);
    // It fails again, here, and in the same way each time.
    let schedule = found.schedule.unwrap();
    assert_eq!((schedule.seed(), schedule.size()), (seed, Some(smaller.parts.len())));
    let [first, second] = [(); 2].map(|()| {
        let mut world = World::replay(&schedule);
        world.keep_trace();
        assert!(trial(&mut world).unwrap_err().starts_with("an acknowledged record is lost"));
        world.trace()
    });
    assert!(first == second, "byte for byte");
    // And as an argument.
    let arguments = ["--schedule".into(), schedule.to_string()];
    let (runner, _rest) = Runner::new().arguments(arguments).unwrap();
    let again = runner.run(trial).unwrap_err();
    assert_eq!((again.seed, again.schedule), (Some(seed), Some(schedule)));
    // Without the bug it holds.
    Runner::new().seeds(0..200).run(|world| store::trial(world, Sync::BeforeAnswer)).unwrap();
}

#[test]
fn a_trial_that_ends_its_process_is_shrunk_too() {
    let found = Runner::new().seeds(0..200).shrink().run(|world| {
        if store::trial(world, Sync::Never).is_err() {
            std::process::abort();
        }
        Ok(())
    });
    let found = found.unwrap_err();
    assert!(found.message.contains(ABORTED), "{found}");
    assert!(found.smaller.unwrap().parts.len() <= ENOUGH);
}

#[test]
fn shrinking_ends_with_its_last_try() {
    let runner = Runner::new().seeds(0..200).shrink_within(3, 600 * SECOND).shrink();
    let found = runner.run(|world| store::trial(world, Sync::Never)).unwrap_err();
    let smaller = found.smaller.unwrap();
    assert!(smaller.tries <= 3 && !smaller.is_smallest, "{smaller}");
    let schedule = found.schedule.unwrap();
    assert_eq!(schedule.size(), Some(smaller.parts.len()));
    assert!(
        store::trial(&mut World::replay(&schedule), Sync::Never).is_err(),
        "it fails all the same"
    );
}

#[test]
fn what_a_seed_does_not_decide_is_told() {
    let found = Runner::new().seeds(0..1).shrink().run(|_world| {
        // It is another process, so this is another number.
        Err(format!("process {}", std::process::id()))
    });
    let found = found.unwrap_err();
    assert_eq!((found.seed, found.smaller.is_none()), (Some(0), true));
    assert!(found.message.contains("does not fail in this way again"), "{found}");
}

#[test]
fn the_page_of_a_failure_has_its_hosts_messages_faults_and_end() {
    // Each process comes by here, and none of the others cleans up.
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let [page, text] = ["timeline.html", "timeline.txt"].map(|name| directory.join(name));
    let trial = |world: &mut World| store::trial(world, Sync::Never);
    let runner = Runner::new().seeds(0..200).shrink();
    let found = runner.timeline(&page).run(trial).unwrap_err();
    let html = std::fs::read_to_string(&page).unwrap();
    for part in [
        "\"hosts\":[\"server\",\n\"client\"]",
        "\"failure\":\"an acknowledged record is lost\\u000ait is number ",
        "\"bytes\",8,0]",
        ": host crashed, for ",
        "fault: host crashed",
        "says: \\u003c/script\\u003e has 25 \\u0026 more",
    ] {
        assert!(html.contains(part), "{part}");
    }
    assert_eq!(html.matches("</script>").count(), 1, "what a program says does not end the script");
    assert!(html.contains(&format!("\"seed\":\"{}\"", found.seed.unwrap())));
    // As text, from the schedule, in this process.
    let arguments = ["--schedule".into(), found.schedule.unwrap().to_string()];
    let (runner, _rest) = Runner::new().arguments(arguments).unwrap();
    runner.timeline(&text).run(trial).unwrap_err();
    let lines = std::fs::read_to_string(&text).unwrap();
    assert!(lines.starts_with("seed "), "{lines}");
    for part in
        ["  server  fault: host crashed", "sends 8 to server:7000", "fails: an acknowledged"]
    {
        assert!(lines.contains(part), "{part} is not in {lines}");
    }
    // A place that cannot be written is told of, and hides nothing.
    let nowhere = directory.join("missing/timeline.html");
    let found = Runner::new().seeds(0..200).timeline(&nowhere).run(trial).unwrap_err();
    assert!(found.message.starts_with("an acknowledged record is lost"), "{found}");
    assert!(found.message.contains("there is no timeline"), "{found}");
}

#[test]
fn a_trial_that_ends_its_process_is_drawn_until_there() {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("aborted.txt");
    let runner = || Runner::new().seeds(0..200).jobs(2).timeline(&path);
    // Between two steps of the world …
    let found = runner().run(|world| {
        if store::trial(world, Sync::Never).is_err() {
            std::process::abort();
        }
        Ok(())
    });
    let found = found.unwrap_err();
    assert!(!found.message.contains("there is no timeline"), "{found}");
    let lines = std::fs::read_to_string(&path).unwrap();
    let last = lines.lines().last().unwrap();
    assert!(last.contains("fails: its process ended: ") && last.contains(ABORTED), "{lines}");
    assert!(lines.contains("  server  fault: host crashed"), "{lines}");
    // … and in one.
    let found = runner().run(|world| {
        let host = world.host("one", [10, 0, 0, 1].into(), |io| {
            io.timeout((), SECOND, |(), _io, _result| std::process::abort());
        });
        world.pause(host);
        world.run_for(SECOND / 2);
        world.resume(host);
        world.run_for(2 * SECOND);
        Ok(())
    });
    assert!(!found.unwrap_err().message.contains("there is no timeline"));
    let lines = std::fs::read_to_string(&path).unwrap();
    assert!(lines.contains("0.500000000  one  "), "{lines}");
    assert!(lines.lines().last().unwrap().contains(ABORTED), "{lines}");
}

#[test]
fn what_is_not_from_a_seed_is_found_by_running_it_twice() {
    let trial = |world: &mut World| store::trial(world, Sync::BeforeAnswer);
    Runner::new().seeds(0..50).twice().run(trial).unwrap();
    let worlds = std::cell::Cell::new(0_u32);
    let found = Runner::new().seeds(0..50).jobs(2).twice().run(|world| {
        worlds.set(worlds.get() + 1);
        // A second world of a seed has another host, which does nothing but start.
        if world.seed() == 9 && worlds.get().is_multiple_of(2) {
            world.host("another", [10, 0, 0, 9].into(), |_io| {});
        }
        quiet(world)
    });
    let found = found.unwrap_err();
    assert_eq!(found.seed, Some(9));
    assert!(found.message.starts_with("does not do the same again"), "{found}");
    assert!(found.message.ends_with("another  starts"), "{found}");
}

#[test]
fn the_command_of_a_failure_runs_it_again() {
    let found = Runner::new().seeds(0..30).shrink().run(|world| {
        quiet(world)?;
        if world.seed() == 12 { Err("it is the twelfth".into()) } else { Ok(()) }
    });
    let found = found.unwrap_err();
    assert_eq!(found.seed, Some(12));
    if std::env::var_os("TIGEREYE_RUNNER").is_some() {
        assert_eq!(found.report.seeds, 1, "this is the process of the command");
        return;
    }
    let again = shell(&found.command).output().unwrap();
    let output = String::from_utf8_lossy(&again.stdout);
    assert!(again.status.success() && output.contains("1 passed"), "{output}");
}
