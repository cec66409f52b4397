//! Writes what happens in a world to a file: as a page, where its name says so, or as text.
//!
//! A trial may take its process with it before anything is written. So that process says how far its world
//! has come, and where it ends, another one goes just as far, and writes what happened until then.

use std::process::Stdio;
use std::sync::mpsc::{RecvTimeoutError, channel};

use super::Runner;
use super::child::Process;
use super::pool::{START, hangs, now};
use super::trial::Outcome;
use super::wire::{Said, escape};
use crate::driver::sim::{Schedule, Timeline};

/// Writes what happened in a trial whose trace was kept.
///
/// # Errors
/// What is wrong with the file.
pub(super) fn write(outcome: &Outcome, path: &str) -> Result<(), String> {
    outcome.timeline.as_ref().map_or(Ok(()), |timeline| write_timeline(timeline, path))
}

pub(super) fn write_timeline(timeline: &Timeline, path: &str) -> Result<(), String> {
    let text = if path.ends_with(".html") { timeline.to_html() } else { timeline.to_string() };
    std::fs::write(path, text).map_err(|error| error.to_string())
}

/// Has a process run a trial and write that.
///
/// # Errors
/// Why there is no file.
pub(super) fn in_a_process(runner: &Runner, schedule: &Schedule, path: &str) -> Result<(), String> {
    let path = escape(path);
    match ask(runner, &format!("draw\t{schedule}\t{path}"))? {
        Answer::Drawn => Ok(()),
        Answer::Ended { how, last } => {
            let until = format!("draw-until\t{schedule}\t{last}\t{}\t{path}", escape(&how));
            match ask(runner, &until)? {
                Answer::Drawn => Ok(()),
                Answer::Ended { how, .. } => Err(how),
            }
        }
    }
}

/// What came of a process that was to write a timeline.
enum Answer {
    Drawn,
    /// It ended, or hangs, before it did, when its world had come to this moment.
    Ended {
        how: String,
        last: u64,
    },
}

/// Has a process do something.
///
/// # Errors
/// Why it does not.
fn ask(runner: &Runner, what: &str) -> Result<Answer, String> {
    let (sender, heard) = channel();
    let process = Process::start(runner, 0, sender, Stdio::null());
    let mut process = process.map_err(|error| error.to_string())?;
    process.ask(what);
    let begin = now();
    let patience = runner.hangs_after.saturating_add(START);
    let mut last = 0;
    loop {
        match heard.recv_timeout(patience.saturating_sub(begin.elapsed())) {
            Ok((_, Some(Said::Moment(number)))) => last = number,
            Ok((_, Some(Said::Drawn(wrong)))) => return wrong.map_or(Ok(Answer::Drawn), Err),
            Ok((_, Some(_))) => return Err("its process said something else".into()),
            Ok((_, None)) | Err(RecvTimeoutError::Disconnected) => {
                return Ok(Answer::Ended { how: process.how_it_ended(), last });
            }
            Err(RecvTimeoutError::Timeout) => {
                return Ok(Answer::Ended { how: hangs(runner.hangs_after), last });
            }
        }
    }
}
