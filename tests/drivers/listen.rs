//! Accepting: once, again and again, and as a flow that is paused.

use std::net::Shutdown;

use crate::bench::Bench;
use crate::common;
use crate::peer::Peer;
use crate::scene::{Scene, When, reset};
use crate::start::{go, start};
use crate::system::READABLE;
use crate::table::{Cell, NO_FILE, Operation, Situation, is};

const NO_BUFFER: &str = "an accept has no buffer";
const THE_CONNECTIONS: &str = "what a connection carries does not concern its listener";
const NO_ADDRESS: &str = "an accept has no address to go to";

pub(crate) fn cell(operation: Operation, situation: Situation) -> Cell {
    use Situation::*;
    match situation {
        Ordinary => common::ordinary(operation),
        Waited => common::waited(operation),
        EmptyBuffer | NoRoom => Cell::No(NO_BUFFER),
        MoreThanFits => {
            let three = "connection; connection; connection";
            let each = &format!("{three}; end ECANCELED");
            is(three_wait, operation.of([three, each, each]))
        }
        EndOfStream => is(ended_before, operation.done()),
        ResetBefore => is(reset_before, operation.done()),
        DataThenEnd | DataThenReset | UrgentData => Cell::No(THE_CONNECTIONS),
        ResetWhile | PeerHalfClosed => Cell::No("a listener has no peer before it accepts"),
        OwnHalfShut => is(shut, operation.fails("EINVAL")),
        OwnHalfShutWhile => is(common::receiving_shut_while, operation.fails("EINVAL")),
        CancelledAtOnce => common::cancelled_at_once(operation),
        CancelledWaiting => common::cancelled_waiting(operation),
        CancelledWhenDone => common::cancelled_when_done(operation),
        CancelledWhenReady => {
            common::cancelled_when_ready(operation, ["; left: none", "; left: a connection"])
        }
        CancelAll => common::cancel_all(operation),
        DeadlinePasses => common::deadline_passes(operation),
        DeadlineNotReached => common::deadline_not_reached(operation),
        ClosedBefore => common::closed_before(operation),
        ClosedWhile => common::closed_while(operation),
        ClosedUnread | CancelledUnread => {
            Cell::No("it sends nothing that a peer could leave unread")
        }
        Foreign => common::foreign(operation),
        OtherKind => is(no_listener, operation.fails("EINVAL")),
        TwoInOrder => {
            let both = "one connection; one end ok; two connection; two end ok";
            is(two, operation.of(["one connection; two connection", both, both]))
        }
        AtCapacity => common::at_capacity(operation),
        Stopped if operation == Operation::Accept => Cell::No("an accept has one result"),
        Stopped => is(stopped, format!("{0}; {0}", operation.done())),
        LoopDropped => common::loop_dropped(operation),
        LoopDroppedWhenDone => common::loop_dropped_when_done(operation),
        Refused | BadAddress => Cell::No(NO_ADDRESS),
        NoListener => Cell::No("a listener that is shut down is the cell of the own half"),
        NobodyReads => Cell::No("an accept sends nothing"),
        EndOfFile | BeyondAnyFile | WrongKind | Missing => Cell::No(NO_FILE),
    }
}

fn three_wait(b: Bench, operation: Operation) {
    let mut scene = Scene::of(&b, operation, When::There);
    scene.arrive(&b, operation);
    scene.arrive(&b, operation);
    if operation == Operation::Accept {
        return (0..3).for_each(|_| go(&b, operation, &mut scene));
    }
    scene.stops = false;
    let op = start(&b, operation, &mut scene);
    b.io.resume(op);
    b.until(3);
    b.io.cancel(op);
    b.finish();
}

fn ended_before(b: Bench, operation: Operation) {
    let mut scene = Scene::of(&b, operation, When::There);
    scene.others.clear();
    go(&b, operation, &mut scene);
}

/// Linux hands over what was reset in the backlog (accept(2)).
fn reset_before(b: Bench, operation: Operation) {
    let mut scene = Scene::of(&b, operation, When::Later);
    reset(Peer::connect(scene.address).unwrap());
    scene.settle(READABLE);
    go(&b, operation, &mut scene);
}

fn shut(b: Bench, operation: Operation) {
    let mut scene = Scene::of(&b, operation, When::Later);
    scene.shut_own(Shutdown::Read);
    go(&b, operation, &mut scene);
}

/// A stream does not accept.
fn no_listener(b: Bench, operation: Operation) {
    let mut scene = Scene::stream(&b);
    go(&b, operation, &mut scene);
}

fn two(b: Bench, operation: Operation) {
    let mut scene = Scene::of(&b, operation, When::Later);
    for name in ["one ", "two "] {
        scene.name = name;
        let op = start(&b, operation, &mut scene);
        b.io.resume(op);
    }
    b.turn();
    scene.arrive(&b, operation);
    b.until(1);
    scene.arrive(&b, operation);
    b.finish();
}

fn stopped(b: Bench, operation: Operation) {
    let mut scene = Scene::of(&b, operation, When::There);
    go(&b, operation, &mut scene);
    scene.arrive(&b, operation);
    go(&b, operation, &mut scene);
}
