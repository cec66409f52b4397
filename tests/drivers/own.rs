//! What no driver sees: timers, ticks, callbacks of this turn, events, offloaded calls.

use crate::bench::Bench;
use crate::common;
use crate::scene::{Scene, When};
use crate::start::start;
use crate::table::{Cell, NO_FILE, Operation, Situation, either, is};

const NO_BUFFER: &str = "it has no buffer";
const NO_CONNECTION: &str = "it has no connection and no handle";
const AT_ONCE: &str = "a callback of this turn waits for nothing";
const TIME: &str = "time passes in the ordinary case as well";

pub(crate) fn cell(operation: Operation, situation: Situation) -> Cell {
    use Situation::*;
    let at_once = operation == Operation::Next;
    let told = matches!(operation, Operation::Event | Operation::Offload);
    match situation {
        Ordinary => common::ordinary(operation),
        Waited if told => common::waited(operation),
        Waited if at_once => Cell::No(AT_ONCE),
        Waited => Cell::No(TIME),
        EmptyBuffer | NoRoom | MoreThanFits => Cell::No(NO_BUFFER),
        EndOfStream | DataThenEnd | DataThenReset | ResetBefore | ResetWhile | PeerHalfClosed
        | OwnHalfShut | OwnHalfShutWhile | UrgentData => Cell::No(NO_CONNECTION),
        CancelledAtOnce if at_once => is(common::run_cancelled_when_done, "called"),
        CancelledAtOnce => common::cancelled_at_once(operation),
        CancelledWaiting | CancelAll | DeadlinePasses | LoopDropped if at_once => Cell::No(AT_ONCE),
        CancelledWaiting => common::cancelled_waiting(operation),
        CancelledWhenDone if at_once => Cell::No("it is done at once: as cancelled at once"),
        CancelledWhenDone if operation == Operation::TickPaused => either(
            common::run_cancelled_when_done,
            [operation.done().into(), operation.fails("ECANCELED")],
            "a tick may be due before the flow is paused, and is kept",
        ),
        // What other threads and the clock say is heard in the next turn: the cancel is first.
        CancelledWhenDone => is(common::run_cancelled_when_done, operation.fails("ECANCELED")),
        CancelledWhenReady if told => {
            is(common::run_cancelled_when_ready, operation.fails("ECANCELED"))
        }
        CancelledWhenReady => Cell::No("the loop alone knows when it is ready: as when done"),
        CancelAll => common::cancel_all(operation),
        DeadlinePasses => common::deadline_passes(operation),
        DeadlineNotReached => common::deadline_not_reached(operation),
        ClosedUnread | CancelledUnread | ClosedBefore | ClosedWhile | Foreign | OtherKind => {
            Cell::No(NO_CONNECTION)
        }
        TwoInOrder if operation == Operation::Offload => {
            Cell::No("offloaded calls run side by side: they have no order")
        }
        TwoInOrder => is(two, two_said(operation)),
        // Its callback has no result to be told in.
        AtCapacity if at_once => is(common::run_at_capacity, "called; other ECANCELED"),
        AtCapacity => common::at_capacity(operation),
        Stopped if operation.is_flow() => is(stopped, "tick; tick; tick; end ok"),
        Stopped => Cell::No("only a flow is stopped: this has one result"),
        LoopDropped => common::loop_dropped(operation),
        LoopDroppedWhenDone if matches!(operation, Operation::Timeout | Operation::TickEach) => {
            Cell::No("a timer that is due is called back: it is not done before")
        }
        LoopDroppedWhenDone => common::loop_dropped_when_done(operation),
        Refused | BadAddress | NoListener | NobodyReads => Cell::No(NO_CONNECTION),
        EndOfFile | BeyondAnyFile | WrongKind | Missing => Cell::No(NO_FILE),
    }
}

fn two_said(operation: Operation) -> String {
    let name = |name: &str| {
        let parts = operation.done().split("; ").map(|part| format!("{name} {part}"));
        parts.collect::<Vec<_>>().join("; ")
    };
    format!("{}; {}", name("one"), name("two"))
}

fn two(b: Bench, operation: Operation) {
    let mut scene = Scene::of(&b, operation, When::There);
    for name in ["one ", "two "] {
        scene.name = name;
        let op = start(&b, operation, &mut scene);
        b.io.resume(op);
    }
    b.finish();
}

/// Three ticks, and then no more.
fn stopped(b: Bench, operation: Operation) {
    let context = (b.context(None, ""), 0);
    let period = std::time::Duration::from_micros(100);
    let op = b.io.tick_each(
        context,
        period,
        |(context, count), _io, _periods| {
            context.put("tick");
            *count += 1;
            if *count == 3 { tigereye::Next::Stop } else { tigereye::Next::Continue }
        },
        |(context, _count), io, result| crate::bench::over(context, io, result),
    );
    if operation.is_paused() {
        b.io.pause(op);
        b.turn();
        b.io.resume(op);
    }
    b.finish();
}
