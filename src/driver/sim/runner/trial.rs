//! One trial, in this process.

use std::any::Any;
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::driver::sim::schedule::{Part, Schedule};
use crate::driver::sim::world::Watcher;
use crate::driver::sim::{Summary, Timeline, World};

pub(super) type Trial<'a> = &'a dyn Fn(&mut World) -> Result<(), String>;

/// What a world fails with that does something else when it is run again.
const NOT_THE_SAME: &str = "does not do the same again: something in it is not from its seed";

/// What came of a trial.
pub(super) struct Outcome {
    pub(super) failure: Option<String>,
    pub(super) summary: Summary,
    /// Of all that happened, where that was kept.
    digest: u64,
    /// What happened, where that was kept.
    pub(super) timeline: Option<Timeline>,
}

pub(super) fn run(trial: Trial<'_>, schedule: &Schedule) -> Outcome {
    run_in(World::replay(schedule), trial)
}

/// As [`run`], and once more: it fails where that is not the same.
pub(super) fn run_twice(trial: Trial<'_>, schedule: &Schedule) -> Outcome {
    let [first, again] = [(); 2].map(|()| {
        let mut world = World::replay(schedule);
        world.keep_digest();
        run_in(world, trial)
    });
    let is_same = first.digest == again.digest
        && first.summary == again.summary
        && first.failure == again.failure;
    if is_same {
        return first;
    }
    let failure = format!("{NOT_THE_SAME}\n{}", first_difference(trial, schedule));
    Outcome { failure: Some(failure), ..first }
}

/// The first lines that differ of two runs.
fn first_difference(trial: Trial<'_>, schedule: &Schedule) -> String {
    let [first, again] = [(); 2].map(|()| {
        let timeline = run_keeping(trial, schedule).timeline;
        timeline.map(|timeline| timeline.to_string()).unwrap_or_default()
    });
    let differs = |(one, other): &(&str, &str)| one != other;
    match first.lines().zip(again.lines()).find(differs) {
        Some((one, other)) => format!("first:      {one}\nand again:  {other}"),
        None => "two more runs were the same".into(),
    }
}

/// As [`run`], and keeps what happens.
pub(super) fn run_keeping(trial: Trial<'_>, schedule: &Schedule) -> Outcome {
    let mut world = World::replay(schedule);
    world.keep_trace();
    run_in(world, trial)
}

/// As [`run_keeping`], where somebody is told of each moment of the world.
pub(super) fn run_watched(trial: Trial<'_>, schedule: &Schedule, watcher: Watcher) -> Outcome {
    let mut world = World::replay(schedule);
    world.keep_trace();
    world.watcher = Some(watcher);
    run_in(world, trial)
}

/// As [`run`], where each thing that goes wrong is told at once: the trial may not come to its end.
pub(super) fn run_telling(trial: Trial<'_>, schedule: &Schedule, tell: fn(Part, &str)) -> Outcome {
    let mut world = World::replay(schedule);
    world.tell_faults(tell);
    run_in(world, trial)
}

fn run_in(mut world: World, trial: Trial<'_>) -> Outcome {
    let result = catch_unwind(AssertUnwindSafe(|| trial(&mut world)));
    let failure = result.unwrap_or_else(|panic| Err(message_of(panic.as_ref()))).err();
    let digest = world.digest();
    let (summary, timeline) = (world.summary(), world.is_traced().then(|| world.timeline()));
    // The world's own end may find something wrong, too.
    let end = catch_unwind(AssertUnwindSafe(|| drop(world)));
    let failure = failure.or(end.err().map(|panic| message_of(panic.as_ref())));
    let timeline = timeline.map(|timeline| match &failure {
        Some(message) => timeline.failing(message),
        None => timeline,
    });
    Outcome { failure, summary, digest, timeline }
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
