//! How long hosts were down, paused, or cut off from each other, from the lines of a trace.

use crate::driver::sim::faults::FaultKind;
use crate::driver::sim::trace::{Trace, What};

/// A state that a host was in for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) host: u32,
    pub(super) state: State,
    pub(super) from_ns: u64,
    pub(super) to_ns: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Down,
    Paused,
    /// Nothing passes from it to this one.
    CutFrom(u32),
}

/// All of them; what has not ended, ends with the world.
pub(super) fn of(trace: &Trace, end_ns: u64) -> Vec<Span> {
    let mut open: Vec<Span> = Vec::new();
    let mut all = Vec::new();
    for &(at_ns, host, what) in &trace.lines {
        let mut end = |ends: &[State]| {
            open.retain(|span| {
                let is_over = span.host == host && ends.contains(&span.state);
                if is_over {
                    all.push(Span { to_ns: at_ns, ..*span });
                }
                !is_over
            });
        };
        let begins = match what {
            What::Stopped | What::Fault(FaultKind::HostKilled | FaultKind::HostCrashed) => {
                end(&[State::Paused]);
                State::Down
            }
            // By chance it is a turn that takes long: nothing tells when it is over.
            What::Fault(FaultKind::HostPaused) => State::Paused,
            What::Cut(to) => State::CutFrom(to),
            What::Started | What::Resumed => {
                end(&[State::Down, State::Paused]);
                continue;
            }
            What::Healed(to) => {
                end(&[State::CutFrom(to)]);
                continue;
            }
            _ => continue,
        };
        if !open.iter().any(|span| (span.host, span.state) == (host, begins)) {
            open.push(Span { host, state: begins, from_ns: at_ns, to_ns: end_ns });
        }
    }
    all.extend(open);
    all.sort_by_key(|span| span.from_ns);
    all
}
