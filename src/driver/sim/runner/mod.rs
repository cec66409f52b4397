//! Many worlds: a trial is run for seed after seed, in processes side by side, until one fails.
//!
//! ```text
//!   Runner::run ── starts this program again, so many times ──▶ the same call there: `worker`
//!      `pool`   ── seeds 0 to 31 ─────────────────────────────▶ a world of each seed, and the trial
//!               ◀─ at 0, at 1, …, passed, or failed ─────────── in it
//! ```
//!
//! I1. The failure that is found is that of the lowest seed that fails, however many processes there are:
//!     seeds are given out in order, and those below a failure are all finished.
//! I2. It is known at which seed a process is: one that ends or hangs is a failure of that seed.
//! I3. A process is at the same call of `run` as the one that started it, because it is told how the
//!     calls before it ended.

use std::io::{self, Write as _};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

mod arguments;
mod child;
mod draw;
mod pool;
mod report;
mod shrink;
mod trial;
mod wire;
mod worker;

use super::World;
use super::faults::FaultKind;
use super::schedule::Schedule;
pub use report::{Failure, Report, Smaller};
use trial::{Outcome, Trial};

/// The variable of the environment that has arguments for a runner that is no program's `main`.
const ARGUMENTS: &str = "TIGEREYE_RUNNER";

/// Runs a trial in the worlds of many seeds, in processes side by side, and stops at the first failure:
/// that of the lowest seed that fails. A trial fails when it returns an error, panics, ends its process
/// or hangs.
///
/// ```
/// use std::cell::Cell;
/// use std::rc::Rc;
/// use std::time::Duration;
/// use tigereye::sim::{Faults, Runner, World};
///
/// fn trial(world: &mut World) -> Result<(), String> {
///     world.set_faults(Faults::some());
///     let fired = Rc::new(Cell::new(false));
///     let flag = Rc::clone(&fired);
///     world.host("one", "10.0.0.1".parse().unwrap(), move |io| {
///         let flag = Rc::clone(&flag);
///         io.timeout(flag, Duration::from_secs(1), |flag, _io, _result| flag.set(true));
///     });
///     match world.run_until(Duration::from_secs(60), |_world| fired.get()) {
///         true => Ok(()),
///         false => Err("the timer never fires".into()),
///     }
/// }
///
/// # fn main() -> Result<(), Box<tigereye::sim::Failure>> {
/// let report = Runner::new().seeds(0..20).in_this_process().run(trial)?;
/// assert_eq!(report.seeds, 20);
/// println!("{report}");
/// # Ok(())
/// # }
/// ```
///
/// The processes are this program, started again with its own arguments, or, in a test, with the name of
/// the test, which is that of its thread. There, [`run`](Runner::run) does not return. What comes before
/// it is done in each process, so it should be the same each time.
///
/// `main` of a program takes arguments ([`main`](Runner::main)); a test takes them from the variable
/// `TIGEREYE_RUNNER` of the environment:
///
/// ```text
/// program --seeds 100000 --jobs 8 --shrink --timeline failure.html
/// TIGEREYE_RUNNER="--seed 1234 --timeline failure.html" cargo test my_trial
/// ```
///
/// | argument | |
/// |---|---|
/// | `--seeds N` | how many seeds |
/// | `--from SEED` | the first one |
/// | `--jobs N` | how many processes |
/// | `--twice` | run each seed twice, and fail where that is not the same |
/// | `--seed SEED` | this seed alone, in this process |
/// | `--schedule TEXT` | a [schedule](Schedule), or the name of a file with one, alone, in this process |
/// | `--shrink` | look for a smaller schedule that fails too |
/// | `--timeline FILE` | write what happens in a failing world, as a page (`.html`) or as text |
#[derive(Debug, Clone)]
pub struct Runner {
    seeds: Range<u64>,
    jobs: usize,
    hangs_after: Duration,
    expected: Vec<FaultKind>,
    in_this_process: bool,
    /// The name of the test that this is in.
    test: Option<String>,
    /// What alone is to be run.
    replay: Option<Schedule>,
    timeline: Option<PathBuf>,
    twice: bool,
    shrinks: bool,
    tries_max: u32,
    shrinks_for: Duration,
    class: fn(&str) -> String,
    /// The program's own arguments.
    arguments: Option<Vec<String>>,
    says_how_far: bool,
}

impl Default for Runner {
    fn default() -> Runner {
        Runner::new()
    }
}

impl Runner {
    /// A hundred seeds, from 0 on, in as many processes as there are processors.
    pub fn new() -> Runner {
        Runner {
            seeds: 0..100,
            jobs: std::thread::available_parallelism().map_or(1, usize::from),
            hangs_after: Duration::from_secs(60),
            expected: Vec::new(),
            in_this_process: false,
            test: None,
            replay: None,
            timeline: None,
            twice: false,
            shrinks: false,
            tries_max: 1000,
            shrinks_for: Duration::from_secs(60),
            class: |message| message.lines().next().unwrap_or_default().into(),
            arguments: None,
            says_how_far: false,
        }
    }

    /// Which seeds.
    #[must_use]
    pub fn seeds(mut self, seeds: Range<u64>) -> Runner {
        self.seeds = seeds;
        self
    }

    /// How many processes, at least one.
    #[must_use]
    pub fn jobs(mut self, processes: usize) -> Runner {
        self.jobs = processes.max(1);
        self
    }

    /// Runs the trials in this process, one after another: for a debugger. One that hangs, or ends the
    /// process, does so.
    #[must_use]
    pub fn in_this_process(mut self) -> Runner {
        self.in_this_process = true;
        self
    }

    /// The name of the test that `run` is called in, where its thread does not have it.
    #[must_use]
    pub fn test(mut self, name: &str) -> Runner {
        self.test = Some(name.into());
        self
    }

    /// How long a trial may take in real time: one that takes longer hangs. A minute, unless told; give
    /// it more where the machine is shared or the build is slow (a sanitizer's).
    #[must_use]
    pub fn hangs_after(mut self, time: Duration) -> Runner {
        self.hangs_after = time;
        self
    }

    /// Kinds of fault each of which must have happened in the worlds of these seeds together; if one
    /// never does, the run fails.
    #[must_use]
    pub fn expect_faults(mut self, kinds: &[FaultKind]) -> Runner {
        self.expected.extend(kinds);
        self
    }

    /// As [`expect_faults`](Runner::expect_faults), with all kinds.
    #[must_use]
    pub fn every_kind_fires(self) -> Runner {
        self.expect_faults(FaultKind::ALL)
    }

    /// Runs each seed twice: it fails where the second run does not do the same, event by event, as when
    /// something in it comes from a `HashMap`'s order, from a real clock or from what an earlier world
    /// left behind.
    #[must_use]
    pub fn twice(mut self) -> Runner {
        self.twice = true;
        self
    }

    /// Looks for a smaller [schedule](Schedule) that fails too, in the way that the first one did, when
    /// a seed fails.
    #[must_use]
    pub fn shrink(mut self) -> Runner {
        self.shrinks = true;
        self
    }

    /// How often such a schedule is tried at most, and for how long, in real time: 1000 times, and a
    /// minute, unless told.
    #[must_use]
    pub fn shrink_within(mut self, tries: u32, time: Duration) -> Runner {
        (self.tries_max, self.shrinks_for) = (tries, time);
        self
    }

    /// What two failures have in common that are the same one, from their messages: the first line,
    /// unless told. That of a panic is where it was.
    #[must_use]
    pub fn class_by(mut self, class: fn(&str) -> String) -> Runner {
        self.class = class;
        self
    }

    /// Writes what happened in the world of the failure to a file.
    #[must_use]
    pub fn timeline(mut self, path: impl AsRef<Path>) -> Runner {
        self.timeline = Some(path.as_ref().into());
        self
    }

    /// Takes a runner's arguments, and gives those back that are none.
    ///
    /// # Errors
    /// A sentence on what is wrong with one.
    pub fn arguments(
        self,
        arguments: impl IntoIterator<Item = String>,
    ) -> Result<(Runner, Vec<String>), String> {
        arguments::take(self, arguments)
    }

    /// For `main`: takes the program's arguments, runs, and prints what came of it.
    ///
    /// ```no_run
    /// // It starts processes of this program.
    /// use tigereye::sim::{Runner, World};
    ///
    /// fn trial(world: &mut World) -> Result<(), String> {
    ///     // …
    /// #   let _ = world;
    ///     Ok(())
    /// }
    ///
    /// fn main() -> std::process::ExitCode {
    ///     Runner::new().seeds(0..1000).main(trial)
    /// }
    /// ```
    pub fn main(self, trial: impl Fn(&mut World) -> Result<(), String>) -> ExitCode {
        let runner = match self.arguments(std::env::args().skip(1)) {
            Ok((runner, rest)) if rest.is_empty() => runner,
            Ok((_runner, rest)) => return arguments::refuse(&format!("unknown: {rest:?}")),
            Err(message) => return arguments::refuse(&message),
        };
        runner.finish(trial)
    }

    /// As [`main`](Runner::main), for a program that has taken the [arguments](Runner::arguments)
    /// itself.
    pub fn finish(mut self, trial: impl Fn(&mut World) -> Result<(), String>) -> ExitCode {
        self.says_how_far = true;
        match self.run(trial) {
            Ok(report) => {
                // Whoever reads it may have gone.
                let _ = writeln!(io::stdout(), "{report}");
                ExitCode::SUCCESS
            }
            Err(failure) => {
                let _ = writeln!(io::stderr(), "{failure}");
                ExitCode::FAILURE
            }
        }
    }

    /// Runs the trial for each seed: with a world of the seed, on which it sets up hosts, runs them, and
    /// says what is wrong, if anything is.
    ///
    /// # Errors
    /// The failure of the lowest seed that fails; that no processes can be started; that an expected
    /// kind of fault never happened. `Debug` of a failure is as `Display`, for `unwrap` in a test.
    pub fn run(
        self,
        trial: impl Fn(&mut World) -> Result<(), String>,
    ) -> Result<Report, Box<Failure>> {
        let trial: Trial<'_> = &trial;
        if let Some(result) = worker::serve(trial) {
            return result;
        }
        let result = self.run_here(trial);
        worker::remember(&result);
        result
    }

    fn run_here(mut self, trial: Trial<'_>) -> Result<Report, Box<Failure>> {
        if let Ok(arguments) = std::env::var(ARGUMENTS)
            && self.arguments.is_none()
        {
            self = arguments::take_variable(self, &arguments).map_err(Failure::other)?;
        }
        let begin = pool::now();
        let mut report = Report::default();
        if let Some(schedule) = &self.replay {
            self.seeds = schedule.seed()..schedule.seed().saturating_add(1);
        }
        let found = match &self.replay {
            Some(schedule) if !self.shrinks => {
                let outcome = self.replay(trial, schedule)?;
                report.add(&outcome.summary);
                outcome.failure.map(|message| (schedule.seed(), message))
            }
            _ if self.in_this_process => self.seed_after_seed(trial, &mut report),
            _ => pool::search(&self, &mut report).map_err(Failure::other)?,
        };
        report.elapsed = begin.elapsed();
        match found {
            Some((seed, message)) => Err(self.failure(trial, seed, message, report)),
            None => self.expect(report),
        }
    }

    fn seed_after_seed(&self, trial: Trial<'_>, report: &mut Report) -> Option<(u64, String)> {
        self.seeds.clone().find_map(|seed| {
            let outcome = self.run_one(trial, &Schedule::all(seed));
            report.add(&outcome.summary);
            outcome.failure.map(|message| (seed, message))
        })
    }

    fn run_one(&self, trial: Trial<'_>, schedule: &Schedule) -> Outcome {
        if self.twice { trial::run_twice(trial, schedule) } else { trial::run(trial, schedule) }
    }

    /// Runs one world, here, and writes what happened if that is wanted.
    fn replay(&self, trial: Trial<'_>, schedule: &Schedule) -> Result<Outcome, Box<Failure>> {
        let Some(path) = &self.timeline else { return Ok(self.run_one(trial, schedule)) };
        let outcome = trial::run_keeping(trial, schedule);
        let path = path.to_string_lossy();
        draw::write(&outcome, &path).map_err(|why| Failure::other(format!("{path}: {why}")))?;
        Ok(outcome)
    }

    fn failure(
        &self,
        trial: Trial<'_>,
        seed: u64,
        mut message: String,
        report: Report,
    ) -> Box<Failure> {
        let mut schedule = self.replay.clone().unwrap_or_else(|| Schedule::all(seed));
        let mut smaller = None;
        if self.shrinks && !self.in_this_process {
            match shrink::shrink(self, &schedule, message.clone()) {
                Ok((small, its, left)) => (schedule, message, smaller) = (small, its, Some(left)),
                Err(why) => message += &format!("\n(no smaller schedule was found: {why})"),
            }
        }
        if let Err(why) = self.draw(trial, &schedule) {
            message += &format!("\n(there is no timeline: {why})");
        }
        let command = arguments::command(self, &schedule);
        let (seed, schedule) = (Some(seed), Some(schedule));
        Box::new(Failure { seed, message, schedule, smaller, report, command })
    }

    /// Writes what happens in the world of a failure, if that is wanted and not done yet.
    fn draw(&self, trial: Trial<'_>, schedule: &Schedule) -> Result<(), String> {
        let is_done = self.replay.is_some() && !self.shrinks;
        let Some(path) = self.timeline.as_ref().filter(|_| !is_done) else { return Ok(()) };
        let path = path.to_string_lossy();
        match self.in_this_process {
            true => draw::write(&trial::run_keeping(trial, schedule), &path),
            false => draw::in_a_process(self, schedule, &path),
        }
    }

    fn expect(&self, report: Report) -> Result<Report, Box<Failure>> {
        let never = self.expected.iter().filter(|&&kind| report.faults.of(kind) == 0);
        let never: Vec<String> = never.map(ToString::to_string).collect();
        if never.is_empty() || self.replay.is_some() {
            return Ok(report);
        }
        let message = format!("no fault of these kinds ever happened: {}", never.join(", "));
        Err(Box::new(Failure { report, ..*Failure::other(message) }))
    }
}
