//! What is told of a world: traces, digests and figures.

use std::fmt;
use std::time::Duration;

use super::World;
use crate::driver::sim::faults::FaultCounts;
use crate::driver::sim::schedule::Part;

impl World {
    /// Has each thing that goes wrong told at once, by its name and in words.
    pub(in crate::driver::sim) fn tell_faults(&mut self, tell: fn(Part, &str)) {
        self.kernel.borrow_mut().trace.tell = Some(tell);
    }

    /// Keeps a line of each thing that happens from now on, for [`trace`](World::trace).
    pub fn keep_trace(&mut self) {
        self.kernel.borrow_mut().trace.kept = true;
    }

    /// Has all that happens from now on go into a [digest](World::digest).
    pub(in crate::driver::sim) fn keep_digest(&mut self) {
        self.kernel.borrow_mut().trace.keep_digest();
    }

    /// A number that two runs of one seed have in common, and hardly any others.
    pub(in crate::driver::sim) fn digest(&self) -> u64 {
        self.kernel.borrow().trace.digest()
    }

    /// Whether a trace is kept.
    pub(in crate::driver::sim) fn is_traced(&self) -> bool {
        self.kernel.borrow().trace.kept
    }

    /// What happened, a line each: when, on which host, what. Two runs of one seed have the same text.
    pub fn trace(&self) -> String {
        self.kernel.borrow().trace.text()
    }

    /// Figures of the run until now.
    pub fn summary(&self) -> Summary {
        let kernel = self.kernel.borrow();
        Summary {
            seed: self.seed,
            time: Duration::from_nanos(kernel.now_ns()),
            events: kernel.happened,
            turns: self.turns,
            faults: kernel.plan.counts.clone(),
        }
    }
}

/// What came of a run, in figures.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Summary {
    /// The seed.
    pub seed: u64,
    /// How long it was, in the time of the world.
    pub time: Duration,
    /// Events that happened: messages that arrived, and the like.
    pub events: u64,
    /// Turns that loops ran.
    pub turns: u64,
    /// What went wrong.
    pub faults: FaultCounts,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Summary { seed, time, events, turns, faults } = self;
        write!(f, "seed {seed}: {time:?}, {events} events, {turns} turns")?;
        for (kind, count) in faults.iter().filter(|&(_, count)| count > 0) {
            write!(f, "; {kind}: {count}")?;
        }
        Ok(())
    }
}
