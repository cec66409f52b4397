//! What a run of many seeds came to, in figures and words.

use std::fmt;
use std::time::Duration;

use crate::driver::sim::faults::FaultCounts;
use crate::driver::sim::schedule::Schedule;
use crate::driver::sim::world::Summary;

/// What came of the worlds of many seeds, in figures.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// How many worlds there were.
    pub seeds: u64,
    /// How long they were together, in their own time.
    pub time: Duration,
    /// Events that happened in them: messages that arrived, and the like.
    pub events: u64,
    /// Turns that loops ran in them.
    pub turns: u64,
    /// What went wrong in them.
    pub faults: FaultCounts,
    /// How long all of it took, in real time.
    pub elapsed: Duration,
}

impl Default for Report {
    fn default() -> Report {
        let (time, elapsed) = (Duration::ZERO, Duration::ZERO);
        let faults = FaultCounts::none();
        Report { seeds: 0, time, events: 0, turns: 0, faults, elapsed }
    }
}

impl Report {
    pub(super) fn add(&mut self, summary: &Summary) {
        let Summary { time, events, turns, faults, .. } = summary;
        let (seeds, elapsed) = (1, Duration::ZERO);
        let (time, events, turns) = (*time, *events, *turns);
        self.merge(&Report { seeds, time, events, turns, faults: faults.clone(), elapsed });
    }

    pub(super) fn merge(&mut self, other: &Report) {
        self.seeds += other.seeds;
        self.time += other.time;
        self.events += other.events;
        self.turns += other.turns;
        for (kind, count) in other.faults.iter() {
            self.faults.add(kind, count);
        }
    }

    /// Simulated hours per second of real time.
    pub fn hours_per_second(&self) -> f64 {
        self.time.as_secs_f64() / 3600.0 / self.seconds()
    }

    /// Simulated events per second of real time.
    pub fn events_per_second(&self) -> f64 {
        self.events as f64 / self.seconds()
    }

    /// Worlds per minute of real time.
    pub fn seeds_per_minute(&self) -> f64 {
        self.seeds as f64 * 60.0 / self.seconds()
    }

    fn seconds(&self) -> f64 {
        self.elapsed.as_secs_f64().max(1e-9)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hours = self.time.as_secs_f64() / 3600.0;
        writeln!(f, "{} seeds, {hours:.2} simulated hours, in {:.1?}", self.seeds, self.elapsed)?;
        writeln!(
            f,
            "{:.2} simulated hours per second, {:.0} events per second, {:.0} seeds per minute",
            self.hours_per_second(),
            self.events_per_second(),
            self.seeds_per_minute(),
        )?;
        let of = |fired: bool| {
            let kinds = self.faults.iter().filter(move |&(_kind, count)| (count > 0) == fired);
            kinds.map(move |(kind, count)| match fired {
                true => format!("{kind} {count}"),
                false => kind.to_string(),
            })
        };
        let [fired, never] = [true, false].map(|fired| of(fired).collect::<Vec<_>>().join(", "));
        writeln!(f, "faults: {}", if fired.is_empty() { "none" } else { &fired })?;
        write!(f, "never: {}", if never.is_empty() { "none" } else { &never })
    }
}

/// What is left of all that went wrong in a failing world, and is enough for the failure.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Smaller {
    /// A line each: its name in the schedule, when and where it happens, and what it is.
    pub parts: Vec<String>,
    /// How many things went wrong at first.
    pub of: usize,
    /// How many schedules were tried.
    pub tries: u32,
    /// Whether none of what is left can be left out by itself; else it was the last try that was allowed.
    pub is_smallest: bool,
}

impl fmt::Display for Smaller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Smaller { parts, of, tries, is_smallest } = self;
        write!(f, "of {of} disturbances and faults {} are left, by {tries} tries", parts.len())?;
        if !is_smallest {
            write!(f, ", which is as many as there may be")?;
        }
        parts.iter().try_for_each(|part| write!(f, "\n    {part}"))
    }
}

/// Why a run failed.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub struct Failure {
    /// The seed that failed; none where it is the run as a whole.
    pub seed: Option<u64>,
    /// What was wrong.
    pub message: String,
    /// What has to go wrong for it: all that goes wrong with that seed, or, where a smaller schedule was
    /// looked for, what was left.
    pub schedule: Option<Schedule>,
    /// What was left of what went wrong, where a smaller schedule was looked for.
    pub smaller: Option<Smaller>,
    /// The figures until then.
    pub report: Report,
    /// The command that runs it again.
    pub command: String,
}

impl Failure {
    /// That of a run as a whole.
    pub(super) fn other(message: String) -> Box<Failure> {
        let (report, command) = (Report::default(), String::new());
        Box::new(Failure { seed: None, message, schedule: None, smaller: None, report, command })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.seed {
            Some(seed) => write!(f, "seed {seed} fails: ")?,
            None => write!(f, "the run fails: ")?,
        }
        writeln!(f, "{}", self.message.replace('\n', "\n    "))?;
        if let Some(smaller) = &self.smaller {
            writeln!(f, "{smaller}")?;
        }
        if !self.command.is_empty() {
            writeln!(f, "again: {}", self.command)?;
        }
        write!(f, "{}", self.report)
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Failure {}
