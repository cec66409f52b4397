//! A loop's turns in a world: what it has to do, when, and the calls on its pool, which has no threads.

use super::Sim;
use crate::Io;
use crate::driver::{Driver, DriverKind};
use crate::offload::Job;

impl Io {
    /// Makes the calls on the pool of a simulated loop whose time has come. A real pool has threads.
    pub(crate) fn run_simulated_calls(&self) {
        if self.core.driver.kind == DriverKind::Sim {
            while let Some(call) = self.take_simulated_call() {
                call.run();
            }
        }
    }

    fn take_simulated_call(&self) -> Option<Job> {
        let mut state = self.core.state.borrow_mut();
        let Some(Driver::Sim(sim)) = &mut state.driver else { return None };
        if sim.take_due_call() { state.calls.pool.take_next() } else { None }
    }

    /// When a simulated loop has something to do, in the time of its world.
    pub(super) fn next_due_ns(&self) -> Option<u64> {
        let has_news = self.core.simulated(Sim::has_news).unwrap_or(false);
        let state = self.core.state.borrow();
        if has_news || self.has_messages() || state.has_completed() {
            return Some(0);
        }
        let deadline_ns = state.next_deadline_ns().filter(|&at_ns| at_ns < u64::MAX)?;
        Some(deadline_ns.saturating_add(self.core.clock.base_ns()))
    }
}
