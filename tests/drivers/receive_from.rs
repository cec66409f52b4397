//! Receiving datagrams: one into a buffer, and as a flow, which may be paused.

use std::net::Shutdown;

use tigereye::{BufferPool, Op};

use crate::bench::Bench;
use crate::common::{self, waiting};
use crate::scene::{Scene, When};
use crate::start::{go, start};
use crate::system::{READABLE, pipe_to_read};
use crate::table::{Cell, NO_FILE, Operation, Run, Situation, either, is};

const NO_ROOM: &str = "InvalidInput: the buffer has no room to receive into";
const NO_STREAM: &str =
    "datagrams are no stream: they have no end, no reset and no halves of a peer";

pub(crate) fn cell(operation: Operation, situation: Situation) -> Cell {
    use Situation::*;
    let flow = operation.is_flow();
    let refused = operation.fails("ECONNREFUSED");
    match situation {
        Ordinary => common::ordinary(operation),
        Waited => common::waited(operation),
        EmptyBuffer => is(empty_datagram, if flow { "[]; end ok" } else { "0 []" }),
        NoRoom if flow => is(empty_pool, "[hello]; [world]; end ECANCELED"),
        NoRoom => is(no_room, operation.fails(NO_ROOM)),
        MoreThanFits => is(more_than_fits, MORE_THAN_FITS[usize::from(flow)]),
        EndOfStream | DataThenEnd | DataThenReset | ResetBefore | ResetWhile | PeerHalfClosed => {
            Cell::No(NO_STREAM)
        }
        OwnHalfShut if flow => shut(shut_before),
        OwnHalfShut => is(shut_before, "UnexpectedEof []"),
        OwnHalfShutWhile if flow => shut(shut_while),
        OwnHalfShutWhile => is(shut_while, "UnexpectedEof []"),
        UrgentData => Cell::No("datagrams have no urgent data"),
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
        OtherKind => is(no_socket, operation.fails("ENOTSOCK")),
        TwoInOrder => is(two, TWO[usize::from(flow)]),
        AtCapacity => common::at_capacity(operation),
        Stopped if flow => is(stopped, "[hello]; end ok; [world]; end ok"),
        Stopped => Cell::No("only a flow is stopped: this has one result"),
        LoopDropped => common::loop_dropped(operation),
        LoopDroppedWhenDone => common::loop_dropped_when_done(operation),
        Refused | NoListener if operation.is_of_unix_datagrams() => {
            Cell::No("a send by a Unix socket hears at once that nobody is there")
        }
        // An earlier datagram met nobody, and the socket has one peer.
        Refused => is(refused_before, format!("{refused}; {}", operation.done())),
        NoListener => is(refused_while, refused),
        BadAddress => Cell::No("a receive has no address to go to"),
        NobodyReads => Cell::No("a receive sends nothing"),
        EndOfFile | BeyondAnyFile | WrongKind | Missing => Cell::No(NO_FILE),
    }
}

fn shut(run: Run) -> Cell {
    let reason =
        "io_uring's multishot receive does not hear that a socket of datagrams is shut down";
    either(run, ["end ok".into(), "end ECANCELED".into()], reason)
}

/// Of one after another, and of a flow.
const MORE_THAN_FITS: [&str; 2] =
    ["8 cut [hello, w]; 5 [after]", "[hello, w] cut; [after]; end ECANCELED"];

const TWO: [&str; 2] =
    ["one 5 [hello]; two 5 [world]", "one [hello]; one end ok; two [world]; two end ok"];

/// Bytes of a pool's buffer that are not for the datagram.
fn head(operation: Operation) -> usize {
    if operation.is_of_unix_datagrams() { 128 } else { 72 }
}

fn later(b: &Bench, operation: Operation) -> Scene {
    Scene::of(b, operation, When::Later)
}

fn empty_datagram(b: Bench, operation: Operation) {
    let mut scene = later(&b, operation);
    scene.write(b"");
    scene.when = When::There;
    go(&b, operation, &mut scene);
}

fn no_room(b: Bench, operation: Operation) {
    let mut scene = Scene::of(&b, operation, When::There);
    scene.room = 0;
    go(&b, operation, &mut scene);
    b.io.recv(b.context(scene.on.as_ref(), ""), b.room(8), |_context, _io, buf, _result| {
        assert_eq!(buf.bytes(), b"hello", "nothing is taken without room");
    });
    b.finish();
}

/// The only buffer of a pool is kept: the flow waits for it to come back.
fn empty_pool(b: Bench, operation: Operation) {
    let mut scene = later(&b, operation);
    scene.pool = Some(BufferPool::new(&b.io, 1, head(operation) + 8).unwrap());
    (scene.keeps, scene.stops, scene.when) = (true, false, When::There);
    scene.write(b"hello");
    scene.write(b"world");
    let op = start(&b, operation, &mut scene);
    b.io.resume(op);
    b.until(1);
    b.turn();
    assert_eq!(b.log.len(), 1, "there is no buffer for more");
    scene.kept_datagrams.borrow_mut().clear();
    b.until(2);
    scene.kept_datagrams.borrow_mut().clear();
    b.io.cancel(op);
    b.finish();
}

fn more_than_fits(b: Bench, operation: Operation) {
    let mut scene = later(&b, operation);
    scene.write(b"hello, world");
    scene.write(b"after");
    (scene.stops, scene.when) = (false, When::There);
    if !operation.is_flow() {
        go(&b, operation, &mut scene);
        return go(&b, operation, &mut scene);
    }
    let op = start(&b, operation, &mut scene);
    b.io.resume(op);
    b.until(2);
    b.io.cancel(op);
    b.finish();
}

fn shut_before(b: Bench, operation: Operation) {
    let mut scene = later(&b, operation);
    shut_down(operation, &scene);
    scene.when = When::There;
    let op = start(&b, operation, &mut scene);
    end(&b, operation, op);
}

fn shut_while(b: Bench, operation: Operation) {
    let (scene, op) = waiting(&b, operation);
    shut_down(operation, &scene);
    end(&b, operation, op);
}

fn shut_down(operation: Operation, scene: &Scene) {
    if !operation.is_of_unix_datagrams() {
        scene.connect_own();
    }
    scene.shut_own(Shutdown::Read);
}

/// Runs to the end; a flow that does not hear of it is cancelled.
fn end(b: &Bench, operation: Operation, op: Op) {
    b.io.resume(op);
    if operation.is_flow() {
        b.turn();
        b.io.cancel(op);
    }
    b.finish();
}

/// A pipe can be read, and not received from.
fn no_socket(b: Bench, operation: Operation) {
    let mut scene = Scene::nothing(When::There);
    scene.on = Some(pipe_to_read(&b, b"hello"));
    scene.pool = Some(BufferPool::new(&b.io, 4, 80).unwrap());
    go(&b, operation, &mut scene);
}

fn two(b: Bench, operation: Operation) {
    let mut scene = later(&b, operation);
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

/// The socket is as it was.
fn refused_before(b: Bench, operation: Operation) {
    let mut scene = later(&b, operation);
    scene.connect_to_nobody();
    scene.be_refused();
    scene.when = When::There;
    go(&b, operation, &mut scene);
    let near = scene.own_address();
    scene.far().connect(near).unwrap();
    assert_eq!(scene.far().send_to(b"hello", near).unwrap(), 5);
    scene.settle(READABLE);
    go(&b, operation, &mut scene);
}

fn refused_while(b: Bench, operation: Operation) {
    let scene = later(&b, operation);
    scene.connect_to_nobody();
    let mut scene = scene;
    let op = start(&b, operation, &mut scene);
    b.turn();
    scene.be_refused();
    b.io.resume(op);
    b.finish();
}
