//! A loop's turns in a world: what it has to do, when, and the calls on its pool, which has no threads;
//! and between them its books are looked at.

use crate::Io;
use crate::driver::{Driver, DriverKind};
use crate::offload::Job;

impl Io {
    /// What a turn of a simulated loop begins with: a look at its books, and the calls on its pool whose
    /// time has come. A real pool has threads.
    pub(crate) fn begin_simulated_turn(&self) {
        if self.core.driver.kind == DriverKind::Sim {
            self.core.state.borrow_mut().check_some();
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

    /// When a simulated loop goes on by itself, in the time of its world: 0 for at once, `u64::MAX` for
    /// never.
    pub(super) fn next_due_ns(&self) -> u64 {
        let state = self.core.state.borrow();
        if state.has_completed() {
            return 0;
        }
        let deadline_ns = state.next_deadline_ns().unwrap_or(u64::MAX);
        self.core.clock.world_ns(deadline_ns)
    }
}
