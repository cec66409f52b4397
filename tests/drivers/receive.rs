//! Receiving: into one buffer, exactly, into several, and as a flow, which may be paused.

use std::net::Shutdown;

use tigereye::BufferPool;

use crate::bench::Bench;
use crate::common::{self, waiting};
use crate::scene::{Scene, When};
use crate::start::{go, start};
use crate::system::pipe_to_read;
use crate::table::{Cell, NO_FILE, Operation, Situation, is};

const NO_ROOM: &str = "InvalidInput: the buffer has no room to receive into";
const NO_ADDRESS: &str = "a receive has a connection, and no address to go to";

pub(crate) fn cell(operation: Operation, situation: Situation) -> Cell {
    use Situation::*;
    let flow = operation.is_flow();
    let end = operation.of([
        "0 []",
        "UnexpectedEof []",
        "0 [][]",
        "end ok",
        "end ok",
        "0 []",
        "UnexpectedEof []",
    ]);
    match situation {
        Ordinary => common::ordinary(operation),
        Waited => common::waited(operation),
        EmptyBuffer if is_exact(operation) => is(nothing_wanted, "ok []"),
        EmptyBuffer => Cell::No("to receive nothing is to have a buffer without room"),
        NoRoom if flow => is(empty_pool, "[hello, w]; [orld]; end ok"),
        NoRoom => is(no_room, operation.fails(NO_ROOM)),
        MoreThanFits => is(more_than_fits, operation.of(MORE_THAN_FITS)),
        EndOfStream => is(end_of_stream, format!("{end}; {end}")),
        DataThenEnd => is(data_then_end, operation.of(DATA_THEN_END)),
        DataThenReset => is(data_then_reset, operation.of(DATA_THEN_RESET)),
        ResetBefore => is(reset_before, format!("{}; {end}", operation.fails("ECONNRESET"))),
        ResetWhile => is(reset_while, operation.fails("ECONNRESET")),
        PeerHalfClosed => is(half_closed, end),
        OwnHalfShut => is(shut, end),
        OwnHalfShutWhile => is(common::receiving_shut_while, end),
        UrgentData => is(urgent_data, operation.of(URGENT_DATA)),
        CancelledAtOnce => common::cancelled_at_once(operation),
        CancelledWaiting => common::cancelled_waiting(operation),
        CancelledWhenDone if flow => common::cancelled_flow(operation),
        CancelledWhenDone => common::cancelled_when_done(operation),
        CancelledWhenReady => {
            common::cancelled_when_ready(operation, ["; left: []", "; left: [hello]"])
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
        OtherKind if reads(operation) => is(no_socket, operation.done()),
        OtherKind => is(no_socket, operation.fails("ENOTSOCK")),
        TwoInOrder => is(two, operation.of(TWO)),
        AtCapacity => common::at_capacity(operation),
        Stopped if flow => is(stopped, "[hello]; end ok; [world]; end ok"),
        Stopped => Cell::No("only a flow is stopped: this has one result"),
        LoopDropped => common::loop_dropped(operation),
        LoopDroppedWhenDone => common::loop_dropped_when_done(operation),
        Refused | BadAddress | NoListener => Cell::No(NO_ADDRESS),
        NobodyReads => Cell::No("a receive sends nothing"),
        EndOfFile | BeyondAnyFile | WrongKind | Missing => Cell::No(NO_FILE),
    }
}

const MORE_THAN_FITS: [&str; 7] = [
    "8 [hello, w]; 4 [orld]",
    "ok [hello]; ok [, wor]",
    "8 [hel][lo, w]; 4 [orl][d]",
    "[hello, w]; [orld]; end ok; end ok",
    "[hello, w]; [orld]; end ok; end ok",
    "8 [hello, w]; 4 [orld]",
    "ok [hello]; ok [, wor]",
];

const DATA_THEN_END: [&str; 7] = [
    "5 [hello]; 0 []",
    "UnexpectedEof [hello]; UnexpectedEof []",
    "5 [hel][lo]; 0 [][]",
    "[hello]; end ok; end ok",
    "[hello]; end ok; end ok",
    "5 [hello]; 0 []",
    "UnexpectedEof [hello]; UnexpectedEof []",
];

const DATA_THEN_RESET: [&str; 7] = [
    "5 [hello]; ECONNRESET []",
    "ECONNRESET [hello]; UnexpectedEof []",
    "5 [hel][lo]; ECONNRESET [][]",
    "[hello]; end ECONNRESET; end ok",
    "[hello]; end ECONNRESET; end ok",
    "5 [hello]; ECONNRESET []",
    "ECONNRESET [hello]; UnexpectedEof []",
];

/// A receive stops short of the urgent byte, which is not among the data (tcp(7)).
const URGENT_DATA: [&str; 7] = [
    "3 [hel]; 2 [lo]",
    "ok [hello]; UnexpectedEof []",
    "3 [hel][]; 2 [lo][]",
    "[hel]; [lo]; end ok; end ok",
    "[hel]; [lo]; end ok; end ok",
    "3 [hel]; 2 [lo]",
    "ok [hello]; UnexpectedEof []",
];

const TWO: [&str; 7] = [
    "one 5 [hello]; two 5 [world]",
    "one ok [hello]; two ok [world]",
    "one 5 [hel][lo]; two 5 [wor][ld]",
    "one [hello]; one end ok; two [world]; two end ok",
    "one [hello]; one end ok; two [world]; two end ok",
    "one 5 [hello]; two 5 [world]",
    "one ok [hello]; two ok [world]",
];

fn reads(operation: Operation) -> bool {
    matches!(operation, Operation::Read | Operation::ReadExact)
}

fn is_exact(operation: Operation) -> bool {
    matches!(operation, Operation::RecvExact | Operation::ReadExact)
}

fn later(b: &Bench, operation: Operation) -> Scene {
    let mut scene = Scene::of(b, operation, When::Later);
    scene.stops = false;
    scene
}

fn twice(b: &Bench, operation: Operation, mut scene: Scene) {
    // Not paused before what is there is there.
    scene.when = When::There;
    go(b, operation, &mut scene);
    go(b, operation, &mut scene);
}

fn nothing_wanted(b: Bench, operation: Operation) {
    let mut scene = later(&b, operation);
    scene.exact = 0;
    go(&b, operation, &mut scene);
}

fn no_room(b: Bench, operation: Operation) {
    let mut scene = Scene::of(&b, operation, When::There);
    scene.room = if is_exact(operation) { 3 } else { 0 };
    go(&b, operation, &mut scene);
    scene.room = 8;
    b.io.recv(b.context(scene.on.as_ref(), ""), b.room(8), |_context, _io, buf, _result| {
        assert_eq!(buf.bytes(), b"hello", "nothing is taken without room");
    });
    b.finish();
}

/// The only buffer of a pool is kept: the flow waits for it to come back.
fn empty_pool(b: Bench, operation: Operation) {
    let mut scene = later(&b, operation);
    scene.pool = Some(BufferPool::new(&b.io, 1, 8).unwrap());
    scene.keeps = true;
    scene.write(b"hello, world");
    let op = start(&b, operation, &mut scene);
    b.io.resume(op);
    b.until(1);
    b.turn();
    assert_eq!(b.log.len(), 1, "there is no buffer for more");
    scene.kept.borrow_mut().clear();
    b.until(2);
    scene.kept.borrow_mut().clear();
    scene.end();
    b.finish();
}

fn more_than_fits(b: Bench, operation: Operation) {
    let mut scene = later(&b, operation);
    scene.write(b"hello, world");
    scene.end();
    twice(&b, operation, scene);
}

fn end_of_stream(b: Bench, operation: Operation) {
    let mut scene = later(&b, operation);
    scene.end();
    twice(&b, operation, scene);
}

fn data_then_end(b: Bench, operation: Operation) {
    let mut scene = later(&b, operation);
    scene.exact = 8;
    scene.write(b"hello");
    scene.end();
    twice(&b, operation, scene);
}

fn data_then_reset(b: Bench, operation: Operation) {
    let mut scene = later(&b, operation);
    scene.exact = 8;
    scene.write(b"hello");
    scene.reset();
    twice(&b, operation, scene);
}

fn reset_before(b: Bench, operation: Operation) {
    let mut scene = later(&b, operation);
    scene.reset();
    twice(&b, operation, scene);
}

fn reset_while(b: Bench, operation: Operation) {
    let (mut scene, op) = waiting(&b, operation);
    scene.reset();
    b.io.resume(op);
    b.finish();
}

fn half_closed(b: Bench, operation: Operation) {
    let (mut scene, op) = waiting(&b, operation);
    scene.peer().shutdown(Shutdown::Write).unwrap();
    b.io.resume(op);
    b.finish();
}

fn shut(b: Bench, operation: Operation) {
    let mut scene = later(&b, operation);
    scene.shut_own(Shutdown::Read);
    scene.when = When::There;
    go(&b, operation, &mut scene);
}

fn urgent_data(b: Bench, operation: Operation) {
    let mut scene = later(&b, operation);
    scene.write(b"hel");
    scene.send_urgent(b"!");
    scene.write(b"lo");
    scene.end();
    twice(&b, operation, scene);
}

/// A pipe can be read, and not received from.
fn no_socket(b: Bench, operation: Operation) {
    let mut scene = Scene::nothing(When::There);
    scene.on = Some(pipe_to_read(&b, b"hello"));
    scene.pool = Some(BufferPool::new(&b.io, 4, 8).unwrap());
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
    scene.write(b"hello");
    b.until(if operation.is_flow() { 2 } else { 1 });
    scene.write(b"world");
    b.finish();
}

fn stopped(b: Bench, operation: Operation) {
    let mut scene = Scene::of(&b, operation, When::There);
    go(&b, operation, &mut scene);
    scene.write(b"world");
    go(&b, operation, &mut scene);
}
