//! The side of a process that a runner has started: it says at which seed it is, and what came of it.

use std::cell::{Cell, RefCell};
use std::io::{self, BufRead, Write};
use std::rc::Rc;
use std::sync::OnceLock;

use super::draw;
use super::report::{Failure, Report};
use super::trial::{self, Trial};
use super::wire::{self, Said};
use crate::driver::sim::World;
use crate::driver::sim::schedule::{Part, Schedule};

/// The variable of the environment that says to a program that a runner has started it.
pub(super) const STARTED: &str = "TIGEREYE_RUNNER_STARTED";

thread_local! {
    /// How the runs of this thread have ended.
    static ENDED: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
    /// How many runs of this thread there were, in a process that a runner has started.
    static RUNS: Cell<usize> = const { Cell::new(0) };
}

/// Keeps how a run has ended, for processes that are started for later ones.
pub(super) fn remember(result: &Result<Report, Box<Failure>>) {
    ENDED.with_borrow_mut(|ended| ended.push(wire::result_line(result)));
}

/// What a process is told first: how the runs before the one that it is for have ended.
pub(super) fn greeting() -> String {
    ENDED.with_borrow(|ended| {
        let lines = ended.iter().map(|line| format!("ended\t{line}\n"));
        lines.collect::<String>() + "begin\n"
    })
}

/// In a process that a runner has started, does what that asks for, until it asks no more, and ends
/// the process; or says how this run has ended there. Nothing in another process.
pub(super) fn serve(trial: Trial<'_>) -> Option<Result<Report, Box<Failure>>> {
    static GREETING: OnceLock<Vec<String>> = OnceLock::new();
    std::env::var_os(STARTED)?;
    let ended = GREETING.get_or_init(|| {
        let lines = io::stdin().lines().map_while(Result::ok);
        let lines = lines.take_while(|line| line != "begin");
        lines.filter_map(|line| line.strip_prefix("ended\t").map(String::from)).collect()
    });
    if let Some(line) = ended.get(RUNS.replace(RUNS.get() + 1)) {
        return wire::read_result(line);
    }
    trial::listen_to_panics();
    for line in io::stdin().lock().lines().map_while(Result::ok) {
        if answer(trial, &line).is_err() {
            break;
        }
    }
    // Nobody asks any more. Neither the rest of the program nor that of a test is to run.
    std::process::exit(0)
}

fn answer(trial: Trial<'_>, line: &str) -> io::Result<()> {
    let fields: Vec<&str> = line.split('\t').collect();
    match fields[..] {
        ["seeds", times, from, to] => {
            let (Ok(from), Ok(to)) = (from.parse(), to.parse()) else { return Ok(()) };
            run_seeds(trial, times == "twice", from, to)
        }
        ["draw", schedule, path] => {
            let Ok(schedule) = schedule.parse() else { return Ok(()) };
            let tell = |_world: &World, number| {
                let _ = say(&Said::Moment(number));
            };
            let outcome = trial::run_watched(trial, &schedule, Rc::new(tell));
            say(&Said::Drawn(draw::write(&outcome, &wire::unescape(path)).err()))
        }
        ["draw-until", schedule, last, message, path] => {
            let (Ok(schedule), Ok(last)) = (schedule.parse(), last.parse()) else { return Ok(()) };
            draw_until(trial, &schedule, last, wire::unescape(message), wire::unescape(path))
        }
        ["try", schedule] => {
            let Ok(schedule) = schedule.parse::<Schedule>() else { return Ok(()) };
            say(&Said::At(schedule.seed()))?;
            say(&Said::Tried(trial::run_telling(trial, &schedule, tell).failure))
        }
        _ => Ok(()),
    }
}

/// Writes what happens until a moment, where the trial then takes its process with it, and ends this one.
fn draw_until(
    trial: Trial<'_>,
    schedule: &Schedule,
    last: u64,
    message: String,
    path: String,
) -> io::Result<()> {
    let watch = move |world: &World, number: u64| {
        if number == last {
            let wrong = draw::write_timeline(&world.timeline().failing(&message), &path).err();
            let _ = say(&Said::Drawn(wrong));
            std::process::exit(0);
        }
    };
    trial::run_watched(trial, schedule, Rc::new(watch));
    say(&Said::Drawn(Some("it does not come as far again".into())))
}

fn run_seeds(trial: Trial<'_>, twice: bool, from: u64, to: u64) -> io::Result<()> {
    let mut report = Report::default();
    for seed in from..to {
        say(&Said::At(seed))?;
        let run = if twice { trial::run_twice } else { trial::run };
        let outcome = run(trial, &Schedule::all(seed));
        report.add(&outcome.summary);
        if let Some(message) = outcome.failure {
            return say(&Said::Failed(seed, message, report));
        }
    }
    say(&Said::Passed(report))
}

/// Says what goes wrong.
fn tell(part: Part, words: &str) {
    // A runner that has ended hears of nothing, and there is nobody else to tell.
    let _ = say(&Said::Fault(Schedule::only(0, [part]), words.into()));
}

/// Says something, past what captures the output of tests, and on a line of its own.
fn say(said: &Said) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(format!("\n{}\n", said.line()).as_bytes())?;
    stdout.flush()
}
