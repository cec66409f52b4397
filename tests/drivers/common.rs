//! Situations that are the same for every operation, but for what it waits for.

use std::net::Shutdown;
use std::time::Duration;

use tigereye::Op;

use crate::bench::{Bench, HANG};
use crate::scene::{Scene, When};
use crate::start::{conclude, go, start};
use crate::table::{Cell, Family, Operation, either, is};

pub(crate) const CLOSED: &str = "NotConnected: the handle is closed";
pub(crate) const FOREIGN: &str = "InvalidInput: the handle belongs to another loop";
pub(crate) const FULL: &str = "QuotaExceeded: the loop's capacity of operations is reached";

/// An operation that waits, as the system sees it.
pub(crate) fn waiting(b: &Bench, operation: Operation) -> (Scene, Op) {
    let mut scene = Scene::of(b, operation, When::Later);
    let op = start(b, operation, &mut scene);
    b.turn();
    if b.log.len() > 0 {
        b.put("did not wait");
    }
    (scene, op)
}

/// What waits for the incoming half hears that it is shut.
pub(crate) fn receiving_shut_while(b: Bench, operation: Operation) {
    let (scene, op) = waiting(&b, operation);
    scene.shut_own(Shutdown::Read);
    b.io.resume(op);
    b.finish();
}

fn there(b: &Bench, operation: Operation) -> (Scene, Op) {
    let mut scene = Scene::of(b, operation, When::There);
    let op = start(b, operation, &mut scene);
    (scene, op)
}

fn resume(b: &Bench, operation: Operation, op: Op) {
    if operation.is_paused() {
        b.turn();
        if b.log.len() > 0 {
            b.put("was not paused");
        }
        b.io.resume(op);
    }
}

pub(crate) fn ordinary(operation: Operation) -> Cell {
    is(run_ordinary, operation.done())
}

pub(crate) fn run_ordinary(b: Bench, operation: Operation) {
    let (scene, op) = there(&b, operation);
    resume(&b, operation, op);
    conclude(&b, operation, &scene);
}

pub(crate) fn waited(operation: Operation) -> Cell {
    is(run_waited, operation.done())
}

pub(crate) fn run_waited(b: Bench, operation: Operation) {
    let (mut scene, op) = waiting(&b, operation);
    scene.arrive(&b, operation);
    resume(&b, operation, op);
    conclude(&b, operation, &scene);
}

pub(crate) fn cancelled_at_once(operation: Operation) -> Cell {
    is(run_cancelled_at_once, operation.fails("ECANCELED"))
}

fn run_cancelled_at_once(b: Bench, operation: Operation) {
    let mut scene = Scene::of(&b, operation, When::Later);
    let op = start(&b, operation, &mut scene);
    b.io.cancel(op);
    conclude(&b, operation, &scene);
}

pub(crate) fn cancelled_waiting(operation: Operation) -> Cell {
    is(run_cancelled_waiting, operation.fails("ECANCELED"))
}

fn run_cancelled_waiting(b: Bench, operation: Operation) {
    let (scene, op) = waiting(&b, operation);
    b.io.cancel(op);
    conclude(&b, operation, &scene);
}

pub(crate) fn run_cancelled_when_done(b: Bench, operation: Operation) {
    let (scene, op) = there(&b, operation);
    b.io.cancel(op);
    conclude(&b, operation, &scene);
}

pub(crate) fn cancelled_when_done(operation: Operation) -> Cell {
    is(run_cancelled_when_done, operation.done())
}

/// As [`cancelled_when_done`], of a flow of received data.
pub(crate) fn cancelled_flow(operation: Operation) -> Cell {
    let cancelled = operation.fails("ECANCELED");
    let reason = "without provided buffers io_uring waits before it receives, and a cancel may come \
                  between the two: the data stays in the socket";
    either(run_cancelled_when_done, [operation.done().into(), cancelled], reason)
}

/// Nothing is lost, whichever comes first.
pub(crate) fn cancelled_when_ready(operation: Operation, left: [&str; 2]) -> Cell {
    let done = format!("{}{}", operation.done(), left[0]);
    let cancelled = format!("{}{}", operation.fails("ECANCELED"), left[1]);
    let reason =
        "whether the system or the cancel is first is for the system to say; nothing is lost";
    either(run_cancelled_when_ready, [done, cancelled], reason)
}

pub(crate) fn run_cancelled_when_ready(b: Bench, operation: Operation) {
    let (mut scene, op) = waiting(&b, operation);
    scene.arrive(&b, operation);
    b.io.cancel(op);
    conclude(&b, operation, &scene);
    match operation.family() {
        Family::Listen | Family::Receive | Family::ReceiveFrom => scene.left(&b, operation),
        Family::Send => scene.tail(&b),
        Family::Unix if operation.receives() => scene.left(&b, operation),
        Family::Unix if operation != Operation::ConnectUnix => scene.tail(&b),
        #[cfg(unix)]
        Family::UnixDatagram => crate::unix_datagram::arrived(&b, &scene),
        _ => {}
    }
}

pub(crate) fn cancel_all(operation: Operation) -> Cell {
    is(run_cancel_all, operation.fails("ECANCELED"))
}

pub(crate) fn run_cancel_all(b: Bench, operation: Operation) {
    let (scene, _op) = waiting(&b, operation);
    b.io.cancel_all();
    conclude(&b, operation, &scene);
}

pub(crate) fn deadline_passes(operation: Operation) -> Cell {
    is(run_deadline_passes, operation.fails("TimedOut"))
}

fn run_deadline_passes(b: Bench, operation: Operation) {
    let (scene, op) = waiting(&b, operation);
    b.io.deadline(op, Duration::from_millis(1));
    conclude(&b, operation, &scene);
}

pub(crate) fn deadline_not_reached(operation: Operation) -> Cell {
    is(run_deadline_not_reached, operation.done())
}

fn run_deadline_not_reached(b: Bench, operation: Operation) {
    let (scene, op) = there(&b, operation);
    b.io.deadline(op, HANG * 2);
    resume(&b, operation, op);
    conclude(&b, operation, &scene);
}

pub(crate) fn closed_before(operation: Operation) -> Cell {
    // Nobody is told of a detached send, and there is nothing left to shut down.
    let detached = operation == Operation::SendDetached;
    let outcome = if detached { "open".into() } else { operation.fails(CLOSED) };
    is(run_closed_before, outcome)
}

fn run_closed_before(b: Bench, operation: Operation) {
    let mut scene = Scene::of(&b, operation, When::There);
    b.io.close(b.context(scene.on.as_ref(), ""), |_context, _io, result| result.unwrap());
    b.finish();
    go(&b, operation, &mut scene);
}

pub(crate) fn closed_while(operation: Operation) -> Cell {
    let cancelled = operation.fails("ECANCELED");
    // The close shuts down and closes; the second descriptor of the tests keeps it open.
    let detached = operation == Operation::SendDetached;
    is(run_closed_while, if detached { "closed".into() } else { format!("{cancelled}; closed") })
}

pub(crate) fn run_closed_while(b: Bench, operation: Operation) {
    let (scene, _op) = waiting(&b, operation);
    b.io.close(b.context(scene.on.as_ref(), ""), |context, _io, result| {
        result.unwrap();
        context.put("closed");
    });
    b.finish();
    drop(scene);
}

pub(crate) fn foreign(operation: Operation) -> Cell {
    // A detached send of the wrong loop is dropped; the connection is not this loop's to shut down.
    let detached = operation == Operation::SendDetached;
    is(run_foreign, if detached { "open".into() } else { operation.fails(FOREIGN) })
}

fn run_foreign(b: Bench, operation: Operation) {
    let other = b.other(|builder| builder);
    let mut scene = Scene::of(&other, operation, When::There);
    go(&b, operation, &mut scene);
}

pub(crate) fn at_capacity(operation: Operation) -> Cell {
    is(run_at_capacity, format!("{}; other ECANCELED", operation.fails(FULL)))
}

pub(crate) fn run_at_capacity(b: Bench, operation: Operation) {
    let b = b.other(|builder| builder.capacity(1));
    let mut scene = Scene::of(&b, operation, When::There);
    let (other, _trigger) = b.io.event(b.context(None, "other "), crate::bench::ended);
    let op = start(&b, operation, &mut scene);
    b.io.resume(op);
    b.turn();
    if operation == Operation::SendDetached {
        scene.state(&b);
    }
    b.io.cancel(other);
    b.finish();
}

pub(crate) fn loop_dropped(_operation: Operation) -> Cell {
    is(run_loop_dropped, "0 left")
}

fn run_loop_dropped(b: Bench, operation: Operation) {
    let (scene, _op) = waiting(&b, operation);
    let Bench { io, count, log, .. } = b;
    drop(io);
    log.put(format!("{} left", count.get()));
    drop(scene);
}

pub(crate) fn loop_dropped_when_done(_operation: Operation) -> Cell {
    // After no turn, one and two.
    is(run_loop_dropped_when_done, "0 left; 0 left; 0 left")
}

fn run_loop_dropped_when_done(b: Bench, operation: Operation) {
    for turns in 0..3 {
        let b = b.other(|builder| builder.callbacks_per_turn(1));
        let mut scene = Scene::of(&b, operation, When::There);
        // They use the turns up; the operation is done, and stays queued.
        for _ in 0..3 {
            b.io.next((), |(), _io| {});
        }
        start(&b, operation, &mut scene);
        if !operation.is_paused() {
            (0..turns).for_each(|_| b.io.poll().unwrap());
        }
        let Bench { io, count, log, .. } = b;
        drop(io);
        log.put(format!("{} left", count.get()));
    }
}
