//! One trial, in this process.

use std::any::Any;
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::driver::sim::schedule::{Kept, Schedule};
use crate::driver::sim::{Summary, World};

pub(super) type Trial<'a> = &'a dyn Fn(&mut World) -> Result<(), String>;

/// What came of a trial.
pub(super) struct Outcome {
    pub(super) failure: Option<String>,
    pub(super) summary: Summary,
    /// What went wrong in its world.
    pub(super) kept: Kept,
}

pub(super) fn run(trial: Trial<'_>, schedule: &Schedule, keeps_trace: bool) -> Outcome {
    let mut world = World::replay(schedule);
    if keeps_trace {
        world.keep_trace();
    }
    let result = catch_unwind(AssertUnwindSafe(|| trial(&mut world)));
    let failure = result.unwrap_or_else(|panic| Err(message_of(panic.as_ref()))).err();
    let (summary, kept) = (world.summary(), world.kept());
    // The world's own end may find something wrong, too.
    let end = catch_unwind(AssertUnwindSafe(|| drop(world)));
    let failure = failure.or(end.err().map(|panic| message_of(panic.as_ref())));
    Outcome { failure, summary, kept }
}

thread_local! {
    /// The last panic of a process that listens to its panics.
    static LAST: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Has panics of this process told in the outcome alone. It is for a process that does nothing else.
pub(super) fn listen_to_panics() {
    std::panic::set_hook(Box::new(|panic| LAST.set(Some(panic.to_string()))));
}

fn message_of(panic: &(dyn Any + Send)) -> String {
    let text = || {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or(panic.downcast_ref::<&str>().copied());
        format!("panicked: {}", text.unwrap_or("with a value that is no text"))
    };
    LAST.take().unwrap_or_else(text)
}
