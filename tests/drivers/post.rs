//! Closures from other threads.

use std::sync::{Arc, Mutex};
use std::thread;

use tigereye::Remote;

use crate::bench::{Bench, ended};
use crate::table::{Cell, Operation, Situation, is};

const NOTHING_BUT: &str = "a post is a closure: it has no handle, no buffer and no name";

pub(crate) fn cell(situation: Situation) -> Cell {
    use Situation::*;
    match situation {
        Ordinary => is(ordinary, "one"),
        Waited => is(waited, "ECANCELED; one"),
        TwoInOrder => is(two, "one, two"),
        CancelAll => is(cancel_all, "one"),
        AtCapacity => is(at_capacity, "ECANCELED; one"),
        LoopDropped => is(loop_dropped, "not run; dropped"),
        LoopDroppedWhenDone => is(loop_gone, "the loop is gone; not run; dropped"),
        EmptyBuffer | NoRoom | MoreThanFits | EndOfStream | DataThenEnd | DataThenReset
        | ResetBefore | ResetWhile | PeerHalfClosed | OwnHalfShut | OwnHalfShutWhile
        | UrgentData | CancelledAtOnce | CancelledWaiting | CancelledWhenDone
        | CancelledWhenReady | DeadlinePasses | DeadlineNotReached | ClosedBefore | ClosedWhile
        | ClosedUnread | CancelledUnread | Foreign | OtherKind | Stopped | Refused | BadAddress
        | NoListener | NobodyReads | EndOfFile | BeyondAnyFile | WrongKind | Missing => {
            Cell::No(NOTHING_BUT)
        }
    }
}

/// What posted closures said.
type Said = Arc<Mutex<Vec<&'static str>>>;

/// Posts from another thread, a closure that says its name and ends what is in flight.
fn post(remote: &Remote, said: &Said, name: &'static str) {
    let (remote, said) = (remote.clone(), Arc::clone(said));
    let posting = thread::spawn(move || {
        remote.post(move |io| {
            said.lock().unwrap().push(name);
            io.cancel_all();
        })
    });
    posting.join().unwrap().unwrap();
}

fn put(b: &Bench, said: &Said) {
    b.put(said.lock().unwrap().join(", "));
}

fn ordinary(b: Bench, _operation: Operation) {
    let said = Said::default();
    post(&b.io.remote(), &said, "one");
    b.finish();
    put(&b, &said);
}

/// The loop waits for something else when the post comes.
fn waited(b: Bench, _operation: Operation) {
    let said = Said::default();
    let (_op, _trigger) = b.io.event(b.context(None, ""), ended);
    b.turn();
    let (remote, theirs) = (b.io.remote(), Arc::clone(&said));
    let posting = thread::spawn(move || post(&remote, &theirs, "one"));
    b.finish();
    posting.join().unwrap();
    put(&b, &said);
}

fn two(b: Bench, _operation: Operation) {
    let said = Said::default();
    post(&b.io.remote(), &said, "one");
    post(&b.io.remote(), &said, "two");
    b.finish();
    put(&b, &said);
}

fn cancel_all(b: Bench, _operation: Operation) {
    let said = Said::default();
    post(&b.io.remote(), &said, "one");
    b.io.cancel_all();
    b.finish();
    put(&b, &said);
}

fn at_capacity(b: Bench, operation: Operation) {
    let b = b.other(|builder| builder.capacity(1));
    waited(b, operation);
}

fn put_fate(b: &crate::bench::Log, said: &Said) {
    b.put(if said.lock().unwrap().is_empty() { "not run" } else { "run" });
    b.put(if Arc::strong_count(said) == 1 { "dropped" } else { "kept" });
}

fn loop_dropped(b: Bench, _operation: Operation) {
    let said = Said::default();
    post(&b.io.remote(), &said, "one");
    let Bench { io, log, .. } = b;
    drop(io);
    put_fate(&log, &said);
}

fn loop_gone(b: Bench, _operation: Operation) {
    let said = Said::default();
    let Bench { io, log, .. } = b;
    let remote = io.remote();
    drop(io);
    let theirs = Arc::clone(&said);
    let error = remote.post(move |_io| theirs.lock().unwrap().push("one")).unwrap_err();
    log.put(error.to_string());
    drop(error);
    put_fate(&log, &said);
}
