//! A loop's turns in a world: what it has to do, when, and the calls on its pool, which has no threads;
//! and between them its books are looked at.

use std::fmt::Display;

use crate::Io;
use crate::driver::{Driver, DriverKind};
use crate::offload::Job;

/// Puts a line of a program's into the trace of its world: "became leader", say. On a real system it
/// does nothing, and writes nothing out.
///
/// ```
/// use std::time::Duration;
/// use tigereye::sim::{World, note};
///
/// let mut world = World::new(1);
/// world.keep_trace();
/// world.host("one", "10.0.0.1".parse().unwrap(), |io| {
///     let term = 3;
///     note(io, format_args!("became leader of term {term}"));
/// });
/// world.run_for(Duration::from_secs(1));
/// assert!(world.trace().contains("one says: became leader of term 3"));
/// ```
pub fn note(io: &Io, text: impl Display) {
    let state = io.core.state.borrow();
    if let Some(Driver::Sim(sim)) = &state.driver {
        sim.add_note(&text);
    }
}

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
