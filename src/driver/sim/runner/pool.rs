//! The processes of a run: who has which seeds, and what they found.

use std::ops::Range;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use super::Runner;
use super::child::{Heard, Process};
use super::report::{Failure, Report};
use super::wire::Said;

/// Seeds that a process gets at a time, at most: so that a failure ends the rest soon.
const SEEDS_MAX: u64 = 32;
/// How often it is said how far a run is.
const HOW_FAR: Duration = Duration::from_secs(10);

/// Real time.
pub(super) fn now() -> Instant {
    #[expect(clippy::disallowed_methods, reason = "how long simulated worlds take in real time")]
    Instant::now()
}

/// A process and what it is at.
struct Job {
    process: Process,
    seeds: Option<Range<u64>>,
    at: Option<u64>,
    since: Instant,
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
) -> Result<Option<(u64, String)>, Failure> {
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
    fn start(&mut self, heard: &Sender<Heard>) -> Result<(), Failure> {
        while self.jobs.len() < self.runner.jobs && !self.left.is_empty() {
            let started = Process::start(self.runner, self.jobs.len(), heard.clone());
            let process = started.map_err(|error| {
                Failure::other(format!("this program cannot be started again: {error}"))
            })?;
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
        job.process.ask(&format!("seeds\t{}\t{}", seeds.start, seeds.end));
        job.seeds = Some(seeds);
    }

    /// Listens until nobody has seeds any more.
    fn listen(&mut self, heard: &Receiver<Heard>) -> Result<(), Failure> {
        while self.jobs.iter().any(|job| job.seeds.is_some()) {
            self.say_how_far();
            match heard.recv_timeout(self.patience()) {
                Ok((number, Some(said))) => self.hear(number, said),
                Ok((number, None)) => self.has_ended(number)?,
                Err(RecvTimeoutError::Timeout) => self.end_hanging()?,
                Err(RecvTimeoutError::Disconnected) => break,
            }
            self.let_go();
        }
        Ok(())
    }

    /// How long until one hangs, or it is time to say how far all are.
    fn patience(&self) -> Duration {
        let busy = self.jobs.iter().filter(|job| job.seeds.is_some());
        let left = busy.map(|job| self.runner.hangs_after.saturating_sub(job.since.elapsed()));
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
    fn has_ended(&mut self, number: usize) -> Result<(), Failure> {
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
            None => Err(Failure::other(format!(
                "a process of this program never came to the trial: {how}; what comes before `run` \
                 must come to it again, and a test's thread must have its name, or `Runner::test`"
            ))),
        }
    }

    fn end_hanging(&mut self) -> Result<(), Failure> {
        let patience = self.runner.hangs_after;
        for number in 0..self.jobs.len() {
            let job = &mut self.jobs[number];
            if job.seeds.is_none() || job.since.elapsed() < patience {
                continue;
            }
            job.process.kill();
            job.seeds = None;
            let message = format!("hangs: no end within {patience:?} of real time");
            let Some(seed) = job.at else { return Err(Failure::other(message)) };
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
