//! A loop in a world: when it goes on by itself, and what its program says. What a turn of it begins with
//! is in `driver/simulated/`.

use std::fmt::Display;

use crate::Io;
use crate::driver::Driver;

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
