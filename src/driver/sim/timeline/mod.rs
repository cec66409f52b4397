//! What happened in a world, for people: as lines of text, or as a page with a picture, in which hosts
//! are lanes and messages are arrows.

use std::fmt;

use super::World;
use super::trace::{Message, Sort, Trace, What};

mod page;
mod spans;

/// Lines, and messages, that a timeline has at most: the last ones.
const MOST: usize = 200_000;

/// What happened in a world whose [trace was kept](World::keep_trace), to be read: the last 200,000
/// lines and messages at most.
///
/// `Display` writes a line for each thing that happened: when, on which host, what.
///
/// ```
/// use std::time::Duration;
/// use tigereye::sim::World;
///
/// let mut world = World::new(1);
/// world.keep_trace();
/// let one = world.host("one", "10.0.0.1".parse().unwrap(), |_io| {});
/// world.host("another", "10.0.0.2".parse().unwrap(), |_io| {});
/// world.run_for(Duration::from_secs(1));
/// world.kill(one);
/// let timeline = world.timeline().failing("one is gone");
/// assert!(timeline.to_string().contains("  1.000000000  one      fault: host killed\n"));
/// assert!(timeline.to_html().starts_with("<!DOCTYPE html>"));
/// ```
#[derive(Debug, Clone)]
pub struct Timeline {
    seed: u64,
    end_ns: u64,
    hosts: Vec<String>,
    lines: Vec<Line>,
    messages: Vec<Message>,
    spans: Vec<spans::Span>,
    /// How many lines there were before the first one.
    left_out: usize,
    failure: Option<String>,
}

#[derive(Debug, Clone)]
struct Line {
    at_ns: u64,
    host: u32,
    sort: LineSort,
    words: String,
}

/// What a line is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LineSort {
    Other,
    Fault,
    Plan,
    Note,
    Life,
    Disk,
    Way,
}

impl LineSort {
    fn of(what: What) -> LineSort {
        match what {
            What::Fault(_) | What::Chance(..) => LineSort::Fault,
            What::Planned(..) => LineSort::Plan,
            What::Cut(_) | What::Healed(_) => LineSort::Way,
            What::Note(_) => LineSort::Note,
            What::Started | What::Stopped | What::Resumed => LineSort::Life,
            What::Disk(..) => LineSort::Disk,
            _ => LineSort::Other,
        }
    }
}

impl World {
    /// What has happened, since the [trace is kept](World::keep_trace).
    pub fn timeline(&self) -> Timeline {
        let kernel = self.kernel.borrow();
        Timeline::new(self.seed(), kernel.now_ns(), &kernel.trace)
    }
}

impl Timeline {
    fn new(seed: u64, end_ns: u64, trace: &Trace) -> Timeline {
        let left_out = trace.lines.len().saturating_sub(MOST);
        let lines = trace.lines[left_out..].iter().map(|&(at_ns, host, what)| Line {
            at_ns,
            host,
            sort: LineSort::of(what),
            words: trace.words(what),
        });
        let first_message = trace.messages.len().saturating_sub(MOST);
        Timeline {
            seed,
            end_ns,
            hosts: trace.names.clone(),
            lines: lines.collect(),
            messages: trace.messages[first_message..].to_vec(),
            spans: spans::of(trace, end_ns),
            left_out,
            failure: None,
        }
    }

    /// Says that the world fails at its end, and how.
    #[must_use]
    pub fn failing(mut self, message: &str) -> Timeline {
        self.failure = Some(message.into());
        self
    }

    /// A page by itself, which needs nothing from elsewhere: hosts as lanes, messages as arrows, faults
    /// by their names, what is down or cut off, where it fails; and all lines. It can be zoomed, moved
    /// and searched.
    pub fn to_html(&self) -> String {
        page::of(self)
    }
}

impl fmt::Display for Timeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.hosts.iter().map(|name| name.chars().count()).max().unwrap_or_default();
        writeln!(f, "seed {}", self.seed)?;
        if self.left_out > 0 {
            writeln!(f, "({} lines before these)", self.left_out)?;
        }
        for Line { at_ns, host, words, .. } in &self.lines {
            let name = &self.hosts[*host as usize];
            writeln!(f, "{}  {name:width$}  {words}", Seconds(*at_ns))?;
        }
        match &self.failure {
            Some(message) => writeln!(f, "{}  fails: {message}", Seconds(self.end_ns)),
            None => writeln!(f, "{}  the end", Seconds(self.end_ns)),
        }
    }
}

/// A time, so wide that times of up to a day stand below each other.
struct Seconds(u64);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:6}.{:09}", self.0 / 1_000_000_000, self.0 % 1_000_000_000)
    }
}
