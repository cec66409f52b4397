//! Waiting until a descriptor can be read or written.

use std::net::Shutdown;

use crate::bench::Bench;
use crate::common::{self, waiting};
use crate::scene::{Scene, When};
use crate::start::{go, start};
use crate::system::{ENDED, URGENT, some_file};
use crate::table::{Cell, NO_FILE, Operation, Situation, is};

const NO_BUFFER: &str = "readiness has no buffer";
const NO_ADDRESS: &str = "readiness has a descriptor, and no address to go to";

pub(crate) fn cell(operation: Operation, situation: Situation) -> Cell {
    use Situation::*;
    let reads = operation == Operation::Readable;
    match situation {
        Ordinary => common::ordinary(operation),
        Waited => common::waited(operation),
        EmptyBuffer | NoRoom | MoreThanFits => Cell::No(NO_BUFFER),
        EndOfStream => is(end_of_stream, "ok"),
        DataThenEnd => is(data_then_end, "ok"),
        DataThenReset => is(data_then_reset, "ok"),
        ResetBefore => is(reset_before, "ok"),
        ResetWhile => is(reset_while, "ok"),
        PeerHalfClosed if reads => is(end_while, "ok"),
        PeerHalfClosed => Cell::Differs {
            run: half_closed,
            uring: "ok; half closed".into(),
            readiness: "half closed; ok".into(),
            reason: "io_uring adds POLLRDHUP to what any poll asks for (io_uring/poll.c, \
                     IO_POLL_UNMASK): a writer tries, finds no room, and waits again",
        },
        OwnHalfShut => is(shut, "ok"),
        OwnHalfShutWhile => is(shut_while, "ok"),
        UrgentData if reads => is(urgent_data, "still waits; ok"),
        UrgentData => Cell::No("what comes in does not make room for what goes out"),
        CancelledAtOnce => common::cancelled_at_once(operation),
        CancelledWaiting => common::cancelled_waiting(operation),
        CancelledWhenDone => common::cancelled_when_done(operation),
        CancelledWhenReady => common::cancelled_when_ready(operation, ["", ""]),
        CancelAll => common::cancel_all(operation),
        DeadlinePasses => common::deadline_passes(operation),
        DeadlineNotReached => common::deadline_not_reached(operation),
        ClosedBefore => common::closed_before(operation),
        ClosedWhile => common::closed_while(operation),
        ClosedUnread | CancelledUnread => {
            Cell::No("it sends nothing that a peer could leave unread")
        }
        Foreign => common::foreign(operation),
        OtherKind => is(regular_file, "ok"),
        TwoInOrder => is(two, "ok; ok"),
        AtCapacity => common::at_capacity(operation),
        Stopped => Cell::No("only a flow is stopped: this has one result"),
        LoopDropped => common::loop_dropped(operation),
        LoopDroppedWhenDone => common::loop_dropped_when_done(operation),
        Refused | BadAddress | NoListener => Cell::No(NO_ADDRESS),
        NobodyReads => Cell::No("a peer that takes nothing in is the cell of one that waited"),
        EndOfFile | BeyondAnyFile | WrongKind | Missing => Cell::No(NO_FILE),
    }
}

fn end_of_stream(b: Bench, operation: Operation) {
    let mut scene = Scene::of(&b, operation, When::Later);
    scene.end();
    go(&b, operation, &mut scene);
}

fn data_then_end(b: Bench, operation: Operation) {
    let mut scene = Scene::of(&b, operation, When::There);
    scene.end();
    go(&b, operation, &mut scene);
}

fn data_then_reset(b: Bench, operation: Operation) {
    let mut scene = Scene::of(&b, operation, When::There);
    scene.reset();
    go(&b, operation, &mut scene);
}

fn reset_before(b: Bench, operation: Operation) {
    let mut scene = Scene::of(&b, operation, When::Later);
    scene.reset();
    go(&b, operation, &mut scene);
}

fn reset_while(b: Bench, operation: Operation) {
    let (mut scene, _op) = waiting(&b, operation);
    scene.reset();
    b.finish();
}

fn end_while(b: Bench, operation: Operation) {
    let (mut scene, _op) = waiting(&b, operation);
    scene.peer().shutdown(Shutdown::Write).unwrap();
    b.finish();
}

/// That the peer sends no more makes no room.
fn half_closed(b: Bench, operation: Operation) {
    let (mut scene, _op) = waiting(&b, operation);
    scene.peer().shutdown(Shutdown::Write).unwrap();
    scene.settle(ENDED);
    b.turn();
    b.put("half closed");
    scene.arrive(&b, operation);
    b.finish();
}

fn shut(b: Bench, operation: Operation) {
    let mut scene = Scene::of(&b, operation, When::Later);
    scene.shut_own(half(operation));
    go(&b, operation, &mut scene);
}

fn shut_while(b: Bench, operation: Operation) {
    let (scene, _op) = waiting(&b, operation);
    scene.shut_own(half(operation));
    b.finish();
}

fn half(operation: Operation) -> Shutdown {
    if operation == Operation::Readable { Shutdown::Read } else { Shutdown::Write }
}

/// An urgent byte is none that can be read.
fn urgent_data(b: Bench, operation: Operation) {
    let (mut scene, _op) = waiting(&b, operation);
    scene.send_urgent(b"!");
    scene.settle(URGENT);
    b.turn();
    b.put("still waits");
    scene.arrive(&b, operation);
    b.finish();
}

/// A regular file is always ready (poll(2)).
fn regular_file(b: Bench, operation: Operation) {
    let mut scene = Scene::nothing(When::There);
    scene.on = Some(some_file(&b));
    go(&b, operation, &mut scene);
}

fn two(b: Bench, operation: Operation) {
    let (mut scene, _op) = waiting(&b, operation);
    start(&b, operation, &mut scene);
    b.turn();
    scene.arrive(&b, operation);
    b.finish();
}
