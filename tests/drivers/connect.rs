//! Connecting: to an address, from a local address, by name.

use std::thread;

use tigereye::ConnectOptions;

use crate::bench::{Bench, HANG};
use crate::common;
use crate::peer::{Peer, PeerListener};
use crate::scene::{Scene, When, given_up, refusing, reset};
use crate::start::{conclude, connect, go, start};
use crate::table::{Cell, NO_FILE, Operation, Situation, either, is};

const NO_BUFFER: &str = "a connect has no buffer";
const NOT_YET: &str = "there is no connection before it is connected";
const NO_HANDLE: &str = "a connect makes its handle: the caller has none before";
const TO_SEE: &str = "whether the loop sees the connection before the cancel, or before the peer's \
                      reset, is for the system to say";

pub(crate) fn cell(operation: Operation, situation: Situation) -> Cell {
    use Situation::*;
    let of_two = |run, other: &str| either(run, [operation.done().into(), other.into()], TO_SEE);
    match situation {
        Ordinary => common::ordinary(operation),
        Waited => Cell::No("a backlog that has room again is found a second later, by the system"),
        EmptyBuffer | NoRoom | MoreThanFits => Cell::No(NO_BUFFER),
        EndOfStream => is(ended_at_once, operation.done()),
        ResetBefore => of_two(reset_at_once, "ECONNRESET"),
        ResetWhile => Cell::No("who resets a connect that waits refuses it"),
        DataThenEnd | DataThenReset | PeerHalfClosed | UrgentData => Cell::No(NOT_YET),
        OwnHalfShut | OwnHalfShutWhile => Cell::No(NO_HANDLE),
        CancelledAtOnce => common::cancelled_at_once(operation),
        CancelledWaiting => common::cancelled_waiting(operation),
        CancelledWhenDone => of_two(common::run_cancelled_when_done, "ECANCELED"),
        CancelledWhenReady => Cell::No("on loopback it is connected when it starts: as when done"),
        CancelAll => common::cancel_all(operation),
        DeadlinePasses => common::deadline_passes(operation),
        DeadlineNotReached => common::deadline_not_reached(operation),
        ClosedUnread | CancelledUnread => Cell::No("a connect sends no data"),
        ClosedBefore | ClosedWhile | Foreign | OtherKind => Cell::No(NO_HANDLE),
        TwoInOrder => Cell::No("connects have no direction: each makes a handle of its own"),
        AtCapacity => common::at_capacity(operation),
        Stopped => Cell::No("a connect has one result"),
        LoopDropped => common::loop_dropped(operation),
        LoopDroppedWhenDone => common::loop_dropped_when_done(operation),
        Refused => is(refused, "ECONNREFUSED"),
        BadAddress => {
            is(bad_address, operation.of(["ENETUNREACH", "EADDRNOTAVAIL", "InvalidInput"]))
        }
        NoListener => is(no_listener, "ECONNREFUSED"),
        NobodyReads => Cell::No("a connect sends no data"),
        EndOfFile | BeyondAnyFile | WrongKind | Missing => Cell::No(NO_FILE),
    }
}

/// The peer accepts, and does this at once; a simulated one, once it is asked.
fn met_by(b: &Bench, operation: Operation, end: fn(Peer)) {
    let mut scene = Scene::of(b, operation, When::There);
    match scene.listener.take().unwrap() {
        PeerListener::Real(listener) => {
            let peer = thread::spawn(move || end(Peer::Real(listener.accept().unwrap().0)));
            go(b, operation, &mut scene);
            peer.join().unwrap();
        }
        listener => {
            start(b, operation, &mut scene);
            if operation == Operation::ConnectHost {
                // To look the name up takes a while.
                b.io.run_for(HANG / 1000).unwrap();
            }
            end(listener.accept().unwrap().0);
            conclude(b, operation, &scene);
        }
    }
}

fn ended_at_once(b: Bench, operation: Operation) {
    met_by(&b, operation, drop);
}

fn reset_at_once(b: Bench, operation: Operation) {
    met_by(&b, operation, reset);
}

fn refused(b: Bench, operation: Operation) {
    let mut scene = Scene::nothing(When::There);
    let (_bound, address) = refusing();
    scene.address = address;
    go(&b, operation, &mut scene);
}

fn no_listener(b: Bench, operation: Operation) {
    let mut scene = Scene::nothing(When::There);
    let (_bound, address) = given_up();
    scene.address = address;
    go(&b, operation, &mut scene);
}

/// The whole network's address, which no connection can have; a local address that is not this
/// machine's (192.0.2.0/24 is for documentation); a name without a port.
fn bad_address(b: Bench, operation: Operation) {
    let context = b.context(None, "");
    let peer = "255.255.255.255:9".parse().unwrap();
    let options = ConnectOptions::new();
    match operation {
        Operation::ConnectHost => {
            b.io.connect_host(context, "localhost", &options, |context, _io, result| {
                context.put(crate::bench::failure(&result.map(drop).unwrap_err()));
            })
        }
        Operation::ConnectFrom => {
            let options = options.bind("192.0.2.1:0".parse().unwrap());
            connect(&b, operation, peer, &options, context)
        }
        _ => connect(&b, operation, peer, &options, context),
    };
    b.finish();
}
