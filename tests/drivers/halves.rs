//! Shutting down one half of a connection or both, and closing it.

use std::io::Read;
use std::net::Shutdown;
use std::time::Duration;

use crate::bench::{Bench, came, shown};
use crate::common;
use crate::scene::{Scene, When};
use crate::start::{go, start};
use crate::system::{ENDED, pipe_to_read};
use crate::table::{Cell, NO_FILE, Operation, Run, Situation, either, is};

const NO_BUFFER: &str = "it has no buffer";
const NEVER_WAITS: &str = "a shutdown never waits for anything";
const NO_ADDRESS: &str = "it has a connection, and no address to go to";
const RACE: &str = "io_uring has a thread of its own shut down, which a cancel may forestall; else it \
                    is done at once";

pub(crate) fn cell(operation: Operation, situation: Situation) -> Cell {
    use Situation::*;
    let closes = operation == Operation::Close;
    let done_or_cancelled =
        |run: Run, [one, two]: [&str; 2]| either(run, [one.into(), two.into()], RACE);
    match situation {
        Ordinary => {
            let end = "ok; the peer has []";
            is(ordinary, operation.of(["ok; shut", end, end, end]))
        }
        Waited if closes => is(close_waits, "in ECANCELED []; ok"),
        Waited => Cell::No(NEVER_WAITS),
        EmptyBuffer | NoRoom | MoreThanFits => Cell::No(NO_BUFFER),
        EndOfStream => is(end_of_stream, "ok"),
        DataThenEnd => is(data_then_end, "ok"),
        DataThenReset => is(data_then_reset, operation.of(GONE)),
        ResetBefore => is(reset_before, operation.of(GONE)),
        ResetWhile | OwnHalfShutWhile => Cell::No("it waits for nothing that the peer does"),
        PeerHalfClosed => is(half_closed, "ok"),
        OwnHalfShut => is(shut, "ok"),
        UrgentData => Cell::No("what has come and was not received does not concern it"),
        CancelledAtOnce if closes => is(common::run_cancelled_when_done, "ok"),
        CancelledAtOnce => done_or_cancelled(common::run_cancelled_when_done, ["ok", "ECANCELED"]),
        CancelledWaiting if closes => is(close_cancelled, "in ECANCELED []; ok"),
        CancelledWaiting => Cell::No(NEVER_WAITS),
        CancelledWhenDone | CancelledWhenReady => {
            Cell::No("it is done at once: as cancelled at once")
        }
        CancelAll if closes => is(cancel_all, "ok"),
        CancelAll => done_or_cancelled(cancel_all, ["ok", "ECANCELED"]),
        DeadlinePasses if closes => is(close_late, "in ECANCELED []; ok"),
        DeadlinePasses => Cell::No(NEVER_WAITS),
        DeadlineNotReached => common::deadline_not_reached(operation),
        ClosedBefore => common::closed_before(operation),
        ClosedWhile if closes => either(
            closed_twice,
            [
                "one ok; two NotConnected: the handle is closed".into(),
                "two NotConnected: the handle is closed; one ok".into(),
            ],
            "the second is refused at once, the first may take the system some time",
        ),
        ClosedWhile => done_or_cancelled(closed_while, ["ok; closed", "ECANCELED; closed"]),
        ClosedUnread | CancelledUnread => {
            Cell::No("a peer that does not read is a cell of its own")
        }
        Foreign => common::foreign(operation),
        OtherKind => is(no_socket, operation.of(["ENOTSOCK", "ENOTSOCK", "ENOTSOCK", "ok"])),
        TwoInOrder if closes => {
            Cell::No("a close behind another one is the cell of a closed handle")
        }
        TwoInOrder => is(two, "ok; ok"),
        AtCapacity => common::at_capacity(operation),
        Stopped => Cell::No("only a flow is stopped: this has one result"),
        LoopDropped if closes => is(loop_dropped, "0 left"),
        LoopDropped => Cell::No(NEVER_WAITS),
        LoopDroppedWhenDone => common::loop_dropped_when_done(operation),
        Refused | BadAddress | NoListener => Cell::No(NO_ADDRESS),
        NobodyReads => is(nobody_reads, "ok"),
        EndOfFile | BeyondAnyFile | WrongKind | Missing => Cell::No(NO_FILE),
    }
}

/// A connection that is gone cannot be shut down, and can be closed.
const GONE: [&str; 4] = ["ENOTCONN", "ENOTCONN", "ENOTCONN", "ok"];

fn connected(b: &Bench, operation: Operation) -> Scene {
    Scene::of(b, operation, When::There)
}

fn ordinary(b: Bench, operation: Operation) {
    let mut scene = connected(&b, operation);
    go(&b, operation, &mut scene);
    if operation == Operation::ShutdownRead {
        return scene.state(&b);
    }
    // The other descriptor of the same connection would keep it open.
    scene.let_go();
    let mut bytes = Vec::new();
    scene.peer().read_to_end(&mut bytes).unwrap();
    b.put(format!("the peer has {}", shown(&bytes)));
}

/// A close that waits for a receive.
fn close_begun(b: &Bench, operation: Operation) -> (Scene, tigereye::Op) {
    let mut scene = connected(b, operation);
    b.io.recv(b.context(scene.on.as_ref(), "in "), b.room(8), came);
    b.turn();
    let op = start(b, operation, &mut scene);
    (scene, op)
}

fn close_waits(b: Bench, operation: Operation) {
    let (_scene, _op) = close_begun(&b, operation);
    b.finish();
}

fn close_cancelled(b: Bench, operation: Operation) {
    let (_scene, op) = close_begun(&b, operation);
    b.io.cancel(op);
    b.finish();
}

fn close_late(b: Bench, operation: Operation) {
    let (_scene, op) = close_begun(&b, operation);
    b.io.deadline(op, Duration::ZERO);
    b.finish();
}

fn loop_dropped(b: Bench, operation: Operation) {
    let (_scene, _op) = close_begun(&b, operation);
    let Bench { io, count, log, .. } = b;
    drop(io);
    log.put(format!("{} left", count.get()));
}

fn end_of_stream(b: Bench, operation: Operation) {
    let mut scene = connected(&b, operation);
    scene.end();
    go(&b, operation, &mut scene);
}

fn data_then_end(b: Bench, operation: Operation) {
    let mut scene = connected(&b, operation);
    scene.write(b"hello");
    scene.end();
    go(&b, operation, &mut scene);
}

fn data_then_reset(b: Bench, operation: Operation) {
    let mut scene = connected(&b, operation);
    scene.write(b"hello");
    scene.reset();
    go(&b, operation, &mut scene);
}

fn reset_before(b: Bench, operation: Operation) {
    let mut scene = connected(&b, operation);
    scene.reset();
    go(&b, operation, &mut scene);
}

fn half_closed(b: Bench, operation: Operation) {
    let mut scene = connected(&b, operation);
    scene.peer().shutdown(Shutdown::Write).unwrap();
    scene.settle(ENDED);
    go(&b, operation, &mut scene);
}

fn shut(b: Bench, operation: Operation) {
    let mut scene = connected(&b, operation);
    let how = match operation {
        Operation::ShutdownRead => Shutdown::Read,
        Operation::ShutdownWrite => Shutdown::Write,
        _ => Shutdown::Both,
    };
    scene.shut_own(how);
    go(&b, operation, &mut scene);
}

fn cancel_all(b: Bench, operation: Operation) {
    let mut scene = connected(&b, operation);
    start(&b, operation, &mut scene);
    b.io.cancel_all();
    b.finish();
}

fn closed_while(b: Bench, operation: Operation) {
    let mut scene = connected(&b, operation);
    start(&b, operation, &mut scene);
    b.io.close(b.context(scene.on.as_ref(), ""), |context, _io, result| {
        result.unwrap();
        context.put("closed");
    });
    b.finish();
}

fn closed_twice(b: Bench, operation: Operation) {
    let mut scene = connected(&b, operation);
    for name in ["one ", "two "] {
        scene.name = name;
        start(&b, operation, &mut scene);
    }
    b.finish();
}

/// A pipe has no halves.
fn no_socket(b: Bench, operation: Operation) {
    let mut scene = Scene::nothing(When::There);
    scene.on = Some(pipe_to_read(&b, b""));
    go(&b, operation, &mut scene);
}

fn two(b: Bench, operation: Operation) {
    let mut scene = connected(&b, operation);
    start(&b, operation, &mut scene);
    start(&b, operation, &mut scene);
    b.finish();
}

fn nobody_reads(b: Bench, operation: Operation) {
    let mut scene = Scene::full(&b);
    go(&b, operation, &mut scene);
}
