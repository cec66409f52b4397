//! Writes what happens in a world to a file: as a page, where its name says so, or as text.

use std::process::Stdio;
use std::sync::mpsc::{RecvTimeoutError, channel};

use super::Runner;
use super::child::Process;
use super::pool::{START, hangs};
use super::trial::Outcome;
use super::wire::{Said, escape};
use crate::driver::sim::Schedule;

/// Writes what happened in a trial whose trace was kept.
///
/// # Errors
/// What is wrong with the file.
pub(super) fn write(outcome: &Outcome, path: &str) -> Result<(), String> {
    let Some(timeline) = &outcome.timeline else { return Ok(()) };
    let text = if path.ends_with(".html") { timeline.to_html() } else { timeline.to_string() };
    std::fs::write(path, text).map_err(|error| error.to_string())
}

/// Has a process run a trial and write that: one that fails may take its process with it.
///
/// # Errors
/// Why there is no file.
pub(super) fn in_a_process(runner: &Runner, schedule: &Schedule, path: &str) -> Result<(), String> {
    let (sender, heard) = channel();
    let process = Process::start(runner, 0, sender, Stdio::null());
    let mut process = process.map_err(|error| error.to_string())?;
    process.ask(&format!("draw\t{schedule}\t{}", escape(path)));
    match heard.recv_timeout(runner.hangs_after.saturating_add(START)) {
        Ok((_, Some(Said::Drawn(wrong)))) => wrong.map_or(Ok(()), Err),
        Ok((_, Some(_))) => Err("its process said something else".into()),
        Ok((_, None)) | Err(RecvTimeoutError::Disconnected) => Err(process.how_it_ended()),
        Err(RecvTimeoutError::Timeout) => Err(hangs(runner.hangs_after)),
    }
}
