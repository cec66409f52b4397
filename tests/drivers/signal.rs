//! Hearing of signals. The tests of this family run one after another, and no other one raises this
//! signal: what one cell raises is no news to the next.

use tigereye::{Next, Signal};

use crate::bench::{Bench, over};
use crate::common;
use crate::scene::{Scene, When};
use crate::start::start;
use crate::system::raise;
use crate::table::{Cell, NO_FILE, Operation, Situation, either, is};

const NO_BUFFER: &str = "signals have no bytes";
const NO_CONNECTION: &str = "it has no connection, and no handle of the caller's";

pub(crate) fn cell(operation: Operation, situation: Situation) -> Cell {
    use Situation::*;
    let [done, cancelled] = [operation.done().into(), operation.fails("ECANCELED")];
    let reason = "the system is asked when the cancel is, and either may come first";
    match situation {
        Ordinary => common::ordinary(operation),
        Waited => common::waited(operation),
        EmptyBuffer | NoRoom | MoreThanFits => Cell::No(NO_BUFFER),
        EndOfStream | DataThenEnd | DataThenReset | ResetBefore | ResetWhile | PeerHalfClosed
        | OwnHalfShut | OwnHalfShutWhile | UrgentData => Cell::No(NO_CONNECTION),
        CancelledAtOnce => common::cancelled_at_once(operation),
        CancelledWaiting => common::cancelled_waiting(operation),
        CancelledWhenDone => either(common::run_cancelled_when_done, [done, cancelled], reason),
        CancelledWhenReady => either(common::run_cancelled_when_ready, [done, cancelled], reason),
        CancelAll => common::cancel_all(operation),
        DeadlinePasses => common::deadline_passes(operation),
        DeadlineNotReached => common::deadline_not_reached(operation),
        ClosedUnread | CancelledUnread | ClosedBefore | ClosedWhile | Foreign | OtherKind => {
            Cell::No(NO_CONNECTION)
        }
        TwoInOrder => is(two, "one SIGUSR1; one end ok; two SIGUSR1; two end ok"),
        AtCapacity => common::at_capacity(operation),
        Stopped => is(stopped, "SIGUSR1; SIGUSR1; SIGUSR1; end ok"),
        LoopDropped => common::loop_dropped(operation),
        LoopDroppedWhenDone => common::loop_dropped_when_done(operation),
        Refused | BadAddress | NoListener | NobodyReads => Cell::No(NO_CONNECTION),
        EndOfFile | BeyondAnyFile | WrongKind | Missing => Cell::No(NO_FILE),
    }
}

/// Two that listen side by side.
fn two(b: Bench, operation: Operation) {
    let mut scene = Scene::of(&b, operation, When::Later);
    let mut ops = Vec::new();
    for name in ["one ", "two "] {
        scene.name = name;
        ops.push(start(&b, operation, &mut scene));
    }
    raise();
    // What a pause held comes before the rest, so the one that is taken up last comes first.
    ops.into_iter().rev().for_each(|op| b.io.resume(op));
    b.finish();
}

/// Three signals, and then no more.
fn stopped(b: Bench, operation: Operation) {
    let context = (b.context(None, ""), 0);
    let op = b.io.signal_each(
        context,
        &[Signal::USR1],
        |(context, count), _io, signal| {
            context.put(signal);
            *count += 1;
            if *count == 3 {
                return Next::Stop;
            }
            raise();
            Next::Continue
        },
        |(context, _count), io, result| over(context, io, result),
    );
    raise();
    if operation.is_paused() {
        b.io.pause(op);
        b.turn();
        b.io.resume(op);
    }
    b.finish();
}
