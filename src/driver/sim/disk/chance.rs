//! Whether a fault of a disk happens now: by script, or by the host's probabilities, or the world's.

use crate::driver::sim::faults::Chances;
use crate::driver::sim::trace::{Trace, What};
use crate::driver::sim::{FaultKind, Faults};

/// What is to go wrong with one host's disk.
#[derive(Default)]
pub(in crate::driver::sim) struct Script {
    /// How likely each kind is here; as in the whole world, where there is nothing.
    pub(in crate::driver::sim) faults: Option<Faults>,
    /// What happens the next time that it can.
    pub(in crate::driver::sim) next: Vec<FaultKind>,
}

/// For one call.
pub(super) struct Chance<'a> {
    pub(super) script: &'a mut Script,
    pub(super) plan: &'a mut Chances,
    pub(super) trace: &'a mut Trace,
    pub(super) machine: u32,
    pub(super) now_ns: u64,
}

impl Chance<'_> {
    /// Whether a fault happens now; it is counted.
    pub(super) fn happens(&mut self, kind: FaultKind) -> bool {
        let at = self.script.next.iter().position(|&next| next == kind);
        if let Some(at) = at {
            self.script.next.remove(at);
            self.note(kind);
            return true;
        }
        let happens = match &self.script.faults {
            Some(faults) => self.plan.happens_with(kind, faults.of(kind)),
            None => self.plan.happens(kind),
        };
        if happens {
            let what = What::Chance(kind, self.plan.last_firing(kind));
            self.trace.add(self.now_ns, self.machine, what);
        }
        happens
    }

    /// Counts a fault that is the consequence of what was set.
    pub(super) fn note(&mut self, kind: FaultKind) {
        self.plan.count(kind);
        self.trace.add(self.now_ns, self.machine, What::Fault(kind));
    }

    /// How large a fault of this kind is.
    pub(super) fn size(&mut self, kind: FaultKind, low: u64, high: u64) -> u64 {
        self.plan.size(kind, low, high)
    }
}
