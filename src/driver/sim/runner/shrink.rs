//! Looks for a small schedule that fails in the way that a seed did, by trying: without whole kinds of
//! faults first, then without halves, quarters and so on of what is left, down to single ones.
//!
//! I1. What is left has failed: it is a schedule that was tried, without what did not happen in that try.
//! I2. It takes no more than so many tries, and so much real time, but for one that hangs.
//!
//! Source: "Simplifying and Isolating Failure-Inducing Input", Zeller and Hildebrandt 2002 (ddmin).

use std::collections::{BTreeMap, BTreeSet};
use std::process::Stdio;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Instant;

use super::Runner;
use super::child::{Heard, Process};
use super::pool::{START, hangs, now};
use super::report::Smaller;
use super::wire::Said;
use crate::driver::sim::schedule::{Part, Schedule};

/// What went wrong in a try, in its order, and in words.
type Faults = Vec<(Part, String)>;

struct Tries<'a> {
    runner: &'a Runner,
    seed: u64,
    message: String,
    process: Option<(Process, Receiver<Heard>)>,
    tries: u32,
    begin: Instant,
    is_over: bool,
    /// What went wrong in the smallest one that failed.
    left: Faults,
}

/// A smaller schedule than this one that fails as this one did.
///
/// # Errors
/// A sentence on why there is none.
pub(super) fn shrink(
    runner: &Runner,
    schedule: &Schedule,
    message: String,
) -> Result<(Schedule, String, Smaller), String> {
    let seed = schedule.seed();
    let (process, tries, begin, is_over, left) = (None, 0, now(), false, Faults::new());
    let mut tries = Tries { runner, seed, message, process, tries, begin, is_over, left };
    if !tries.fails(schedule)? {
        return Err(
            "it does not fail in this way again, so what it does is not from its seed".into()
        );
    }
    let of = tries.left.len();
    tries.without_kinds()?;
    tries.without_single_ones()?;
    let Tries { tries, left, message, is_over, .. } = tries;
    let schedule = Schedule::only(seed, left.iter().map(|(part, _)| *part));
    let parts = left.into_iter().map(|(_part, words)| words).collect();
    Ok((schedule, message, Smaller { parts, of, tries, is_smallest: !is_over }))
}

impl Tries<'_> {
    fn without_kinds(&mut self) -> Result<(), String> {
        if self.fails(&Schedule::only(self.seed, []))? {
            return Ok(());
        }
        self.minimize(|left| {
            let mut kinds: BTreeMap<_, Vec<Part>> = BTreeMap::new();
            for &(part, _) in left {
                let kind = if let Part::Chance(kind, _) = part { Some(kind) } else { None };
                kinds.entry(kind).or_default().push(part);
            }
            kinds.into_values().collect()
        })
    }

    fn without_single_ones(&mut self) -> Result<(), String> {
        self.minimize(|left| left.iter().map(|&(part, _)| vec![part]).collect())
    }

    /// Leaves out what can be left out: halves of what is left, then quarters, and so on. What is left
    /// comes in units that are left out as a whole.
    fn minimize(&mut self, units: impl Fn(&Faults) -> Vec<Vec<Part>>) -> Result<(), String> {
        let mut size = units(&self.left).len().div_ceil(2);
        while size > 0 {
            let before = self.left.len();
            let mut start = 0;
            loop {
                let all = units(&self.left);
                if start >= all.len() {
                    break;
                }
                if self.is_over() {
                    return Ok(());
                }
                let out: BTreeSet<&Part> = all.iter().skip(start).take(size).flatten().collect();
                let kept =
                    self.left.iter().map(|(part, _)| part).filter(|part| !out.contains(part));
                let schedule = Schedule::only(self.seed, kept.copied());
                // Where it fails, what comes next has moved here.
                if !self.fails(&schedule)? {
                    start += size;
                }
            }
            // What could not be left out may be able to be now that others are.
            if size > 1 || self.left.len() == before {
                size /= 2;
            }
        }
        Ok(())
    }

    /// Whether there are to be no more tries.
    fn is_over(&mut self) -> bool {
        self.is_over |=
            self.tries >= self.runner.tries_max || self.begin.elapsed() >= self.runner.shrinks_for;
        self.is_over
    }

    /// Whether a schedule fails in this way; then what went wrong in it is what is left.
    fn fails(&mut self, schedule: &Schedule) -> Result<bool, String> {
        self.tries += 1;
        let (message, faults) = self.attempt(schedule)?;
        let class = self.runner.class;
        match message.filter(|message| class(message) == class(&self.message)) {
            Some(message) => {
                (self.message, self.left) = (message, faults);
                Ok(true)
            }
            None => Ok(false),
        }
    }

    fn attempt(&mut self, schedule: &Schedule) -> Result<(Option<String>, Faults), String> {
        let (mut process, heard) = match self.process.take() {
            Some(process) => process,
            None => {
                let (sender, receiver) = channel();
                let process = Process::start(self.runner, 0, sender, Stdio::null());
                (process.map_err(|error| error.to_string())?, receiver)
            }
        };
        process.ask(&format!("try\t{schedule}"));
        let mut faults = Faults::new();
        let (mut begin, mut patience) = (now(), self.runner.hangs_after.saturating_add(START));
        loop {
            match heard.recv_timeout(patience.saturating_sub(begin.elapsed())) {
                Ok((_, Some(Said::At(_)))) => {
                    (begin, patience) = (now(), self.runner.hangs_after);
                }
                Ok((_, Some(Said::Fault(part, words)))) => {
                    faults.extend(part.parts().map(|part| (part, words.clone())));
                }
                Ok((_, Some(Said::Tried(message)))) => {
                    self.process = Some((process, heard));
                    return Ok((message, faults));
                }
                Ok((_, Some(_))) => {}
                Ok((_, None)) | Err(RecvTimeoutError::Disconnected) => {
                    return Ok((Some(process.how_it_ended()), faults));
                }
                Err(RecvTimeoutError::Timeout) => return Ok((Some(hangs(patience)), faults)),
            }
        }
    }
}
