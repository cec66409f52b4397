//! The processes of a run: who has which seeds, and what they found.

use std::ops::Range;
use std::process::Stdio;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use super::Runner;
use super::child::{Heard, Process};
use super::report::Report;
use super::wire::Said;

/// Seeds that a process gets at a time, at most: so that a failure ends the rest soon.
const SEEDS_MAX: u64 = 32;
/// How much longer than a trial a process may take to come to its first one, on a busy machine.
pub(super) const START: Duration = Duration::from_secs(60);
/// How often it is said how far a run is.
const HOW_FAR: Duration = Duration::from_secs(10);

/// Real time.
pub(super) fn now() -> Instant {
    #[expect(clippy::disallowed_methods, reason = "how long simulated worlds take in real time")]
    Instant::now()
}

/// That a trial hangs.
pub(super) fn hangs(patience: Duration) -> String {
    format!("hangs: no end within {patience:?} of real time")
}

/// A process and what it is at.
struct Job {
    process: Process,
    seeds: Option<Range<u64>>,
    at: Option<u64>,
    since: Instant,
}

impl Job {
    /// How long it may still take.
    fn patience(&self, runner: &Runner) -> Duration {
        let start = if self.at.is_none() { START } else { Duration::ZERO };
        runner.hangs_after.saturating_add(start).saturating_sub(self.since.elapsed())
    }
}

struct Search<'a> {
    runner: &'a Runner,
    report: &'a mut Report,
    jobs: Vec<Job>,
    left: Range<u64>,
    found: Option<(u64, String)>,
    begin: Instant,
    told: Instant,
}

/// Runs all seeds; gives the lowest one that fails, and how.
///
/// # Errors
/// That there are no processes, or that they do not get to the trial.
pub(super) fn search(
    runner: &Runner,
    report: &mut Report,
) -> Result<Option<(u64, String)>, String> {
    let (sender, receiver) = channel();
    let left = runner.seeds.clone();
    let (jobs, found, begin) = (Vec::new(), None, now());
    let mut search = Search { runner, report, jobs, left, found, begin, told: begin };
    search.start(&sender)?;
    // Else a process that ends would not be missed.
    drop(sender);
    search.listen(&receiver)?;
    Ok(search.found)
}

impl Search<'_> {
    fn start(&mut self, heard: &Sender<Heard>) -> Result<(), String> {
        while self.jobs.len() < self.runner.jobs && !self.left.is_empty() {
            let number = self.jobs.len();
            let started = Process::start(self.runner, number, heard.clone(), Stdio::inherit());
            let process = started
                .map_err(|error| format!("this program cannot be started again: {error}"))?;
            self.jobs.push(Job { process, seeds: None, at: None, since: now() });
            self.give(self.jobs.len() - 1);
        }
        Ok(())
    }

    /// Gives a process the next seeds, if there are any.
    fn give(&mut self, number: usize) {
        let job = &mut self.jobs[number];
        (job.seeds, job.at, job.since) = (None, None, now());
        let left = self.left.end.saturating_sub(self.left.start);
        if left == 0 || self.found.is_some() {
            return;
        }
        let count = (left / (self.runner.jobs as u64 * 4)).clamp(1, SEEDS_MAX);
        let seeds = self.left.start..self.left.start + count;
        self.left.start = seeds.end;
        let times = if self.runner.twice { "twice" } else { "once" };
        job.process.ask(&format!("seeds\t{times}\t{}\t{}", seeds.start, seeds.end));
        job.seeds = Some(seeds);
    }

    /// Listens until nobody has seeds any more.
    fn listen(&mut self, heard: &Receiver<Heard>) -> Result<(), String> {
        while self.jobs.iter().any(|job| job.seeds.is_some()) {
            self.say_how_far();
            self.end_hanging()?;
            match heard.recv_timeout(self.patience()) {
                Ok((number, Some(said))) => self.hear(number, said),
                Ok((number, None)) => self.has_ended(number)?,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            self.let_go();
        }
        Ok(())
    }

    /// How long until one hangs, or it is time to say how far all are.
    fn patience(&self) -> Duration {
        let busy = self.jobs.iter().filter(|job| job.seeds.is_some());
        let left = busy.map(|job| job.patience(self.runner));
        left.min().unwrap_or_default().min(HOW_FAR)
    }

    fn hear(&mut self, number: usize, said: Said) {
        match said {
            Said::At(seed) => {
                let job = &mut self.jobs[number];
                (job.at, job.since) = (Some(seed), now());
            }
            Said::Passed(report) => {
                self.report.merge(&report);
                self.give(number);
            }
            // It was not asked for these.
            Said::Fault(..) | Said::Tried(_) | Said::Moment(_) | Said::Drawn(_) => {}
            Said::Failed(seed, message, report) => {
                self.report.merge(&report);
                self.fails(seed, message);
                self.jobs[number].seeds = None;
            }
        }
    }

    fn fails(&mut self, seed: u64, message: String) {
        if self.found.as_ref().is_none_or(|(lowest, _)| seed < *lowest) {
            self.found = Some((seed, message));
        }
    }

    /// A process has ended, of itself or by the trial.
    fn has_ended(&mut self, number: usize) -> Result<(), String> {
        let job = &mut self.jobs[number];
        if job.seeds.take().is_none() {
            return Ok(());
        }
        let how = job.process.how_it_ended();
        match job.at {
            Some(seed) => {
                self.fails(seed, how);
                Ok(())
            }
            None => Err(format!(
                "a process of this program never came to the trial: {how}; what comes before `run` \
                 must come to it again, and a test's thread must have its name, or `Runner::test`"
            )),
        }
    }

    fn end_hanging(&mut self) -> Result<(), String> {
        for number in 0..self.jobs.len() {
            let job = &mut self.jobs[number];
            if job.seeds.is_none() || !job.patience(self.runner).is_zero() {
                continue;
            }
            job.process.kill();
            job.seeds = None;
            let message = hangs(self.runner.hangs_after);
            let Some(seed) = job.at else { return Err(message) };
            self.fails(seed, message);
        }
        Ok(())
    }

    /// Ends those that are past the lowest failure: nobody needs to know any more.
    fn let_go(&mut self) {
        let Some((lowest, _)) = self.found else { return };
        for job in &mut self.jobs {
            let at = job.at.or(job.seeds.as_ref().map(|seeds| seeds.start));
            if job.seeds.is_some() && at.is_some_and(|at| at > lowest) {
                job.seeds = None;
                job.process.kill();
            }
        }
    }

    fn say_how_far(&mut self) {
        if self.runner.says_how_far && self.told.elapsed() >= HOW_FAR {
            self.told = now();
            let Range { start, end } = self.runner.seeds;
            let took = self.begin.elapsed();
            eprintln!("{} of {} seeds, in {took:.0?}", self.report.seeds, end - start);
        }
    }
}
