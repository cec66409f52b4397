//! Sending datagrams: one, and several that are split from one buffer.

use crate::bench::{Bench, shown};
use crate::common;
use crate::patient::patiently;
use crate::scene::{Scene, When, pattern};
use crate::start::{go, start};
use crate::system::pipe_to_write;
use crate::table::{Cell, NO_FILE, Operation, Situation, is};
use std::net::Shutdown;

const NEVER_WAITS: &str = "over loopback a datagram never waits: what finds no room is lost";
const NO_STREAM: &str =
    "datagrams are no stream: they have no end, no reset and no halves of a peer";

pub(crate) fn cell(operation: Operation, situation: Situation) -> Cell {
    use Situation::*;
    let done = operation.done();
    match situation {
        Ordinary => is(ordinary, format!("{done}; the peer has [hello]")),
        Waited | CancelledWaiting | CancelledWhenReady | DeadlinePasses | OwnHalfShutWhile
        | ClosedWhile | LoopDropped => Cell::No(NEVER_WAITS),
        EmptyBuffer => is(empty, "0 []; the peer has []"),
        NoRoom => Cell::No("a send needs no room: it takes what its buffer holds"),
        MoreThanFits => is(too_long, operation.fails("EMSGSIZE").replace("hello", "65508")),
        EndOfStream | DataThenEnd | DataThenReset | ResetBefore | ResetWhile | PeerHalfClosed
        | UrgentData => Cell::No(NO_STREAM),
        OwnHalfShut => is(shut, operation.fails("EPIPE")),
        CancelledAtOnce | CancelledWhenDone => common::cancelled_when_done(operation),
        CancelAll => is(cancel_all, done),
        DeadlineNotReached => common::deadline_not_reached(operation),
        ClosedBefore => common::closed_before(operation),
        ClosedUnread | CancelledUnread => {
            Cell::No("a datagram that was sent is the system's, and nothing is pending")
        }
        Foreign => common::foreign(operation),
        OtherKind => is(no_socket, operation.fails("ENOTSOCK")),
        TwoInOrder => {
            is(two, "one 5 [hello]; two 5 [world]; the peer has [hello]; the peer has [world]")
        }
        AtCapacity => common::at_capacity(operation),
        Stopped => Cell::No("only a flow is stopped: this has one result"),
        LoopDroppedWhenDone => common::loop_dropped_when_done(operation),
        // An earlier datagram met nobody, and the socket has one peer; or it has none.
        Refused => is(refused, format!("{}; {done}", operation.fails("ECONNREFUSED"))),
        NoListener => is(nobody, format!("{done}; {done}")),
        BadAddress => is(bad_address, operation.fails("EINVAL")),
        NobodyReads => Cell::No("a datagram that nobody reads does not hold up the next one"),
        EndOfFile | BeyondAnyFile | WrongKind | Missing => Cell::No(NO_FILE),
    }
}

fn there(b: &Bench, operation: Operation) -> Scene {
    Scene::of(b, operation, When::There)
}

fn arrived(b: &Bench, scene: &Scene) {
    let mut bytes = [0; 64];
    let len = patiently(|| scene.far().recv(&mut bytes)).unwrap();
    b.put(format!("the peer has {}", shown(&bytes[..len])));
}

fn ordinary(b: Bench, operation: Operation) {
    let mut scene = there(&b, operation);
    go(&b, operation, &mut scene);
    arrived(&b, &scene);
}

fn empty(b: Bench, operation: Operation) {
    let mut scene = there(&b, operation);
    scene.bytes.clear();
    go(&b, operation, &mut scene);
    arrived(&b, &scene);
}

fn too_long(b: Bench, operation: Operation) {
    let mut scene = there(&b, operation);
    (scene.bytes, scene.segment) = (pattern(65_508), 1400);
    go(&b, operation, &mut scene);
}

fn shut(b: Bench, operation: Operation) {
    let mut scene = there(&b, operation);
    scene.connect_own();
    scene.shut_own(Shutdown::Write);
    go(&b, operation, &mut scene);
}

fn cancel_all(b: Bench, operation: Operation) {
    let mut scene = there(&b, operation);
    start(&b, operation, &mut scene);
    b.io.cancel_all();
    b.finish();
}

/// A pipe can be written to, and nothing sent to it.
fn no_socket(b: Bench, operation: Operation) {
    let mut scene = Scene::nothing(When::There);
    let (writer, _reader) = pipe_to_write(&b);
    scene.on = Some(writer);
    go(&b, operation, &mut scene);
}

fn two(b: Bench, operation: Operation) {
    let mut scene = there(&b, operation);
    for (name, bytes) in [("one ", b"hello"), ("two ", b"world")] {
        (scene.name, scene.bytes) = (name, bytes.to_vec());
        start(&b, operation, &mut scene);
    }
    b.finish();
    arrived(&b, &scene);
    arrived(&b, &scene);
}

/// The socket is as it was.
fn refused(b: Bench, operation: Operation) {
    let mut scene = there(&b, operation);
    scene.connect_to_nobody();
    scene.be_refused();
    go(&b, operation, &mut scene);
    go(&b, operation, &mut scene);
}

fn nobody(b: Bench, operation: Operation) {
    let mut scene = there(&b, operation);
    scene.far().connect(scene.address).unwrap();
    go(&b, operation, &mut scene);
    go(&b, operation, &mut scene);
}

fn bad_address(b: Bench, operation: Operation) {
    let mut scene = there(&b, operation);
    scene.address.set_port(0);
    go(&b, operation, &mut scene);
}
