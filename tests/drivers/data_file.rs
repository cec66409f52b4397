//! Opening a data file: one call on the loop's pool, on every driver.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::mpsc;
use std::time::Duration;

use tigereye::{AsSource, DataFile, DataFileOptions, Directory, Op};

use crate::bench::{Bench, HANG, Outcome, ended};
use crate::common::{CLOSED, FOREIGN, FULL};
use crate::scratch::Scratch;
use crate::table::{Cell, Operation, Situation, either, is};

const NO_BUFFER: &str = "it has no buffer";
const NO_CONNECTION: &str = "it has no connection";
const DONE: &str = "a new file of 4096";

impl Outcome for DataFile {
    fn text(&self) -> String {
        let is_new = if self.is_new() { "a new file" } else { "a file" };
        format!("{is_new} of {}", self.size())
    }
}

pub(crate) fn cell(situation: Situation) -> Cell {
    use Situation::*;
    match situation {
        Ordinary => is(ordinary, DONE),
        Waited => is(|b, _| when_stuck(b, |_, _, _| {}), DONE),
        EmptyBuffer | NoRoom | MoreThanFits => Cell::No(NO_BUFFER),
        EndOfStream | DataThenEnd | DataThenReset | ResetBefore | ResetWhile | PeerHalfClosed
        | OwnHalfShut | OwnHalfShutWhile | UrgentData | ClosedUnread | CancelledUnread
        | Refused | NoListener | NobodyReads => Cell::No(NO_CONNECTION),
        CancelledAtOnce => is(cancelled_at_once, "ECANCELED; 0 made"),
        CancelledWaiting => {
            is(|b, _| when_stuck(b, |b, _, op| b.io.cancel(op)), "ECANCELED; 0 made")
        }
        CancelledWhenDone => {
            let reason = "whether a thread of the pool or the cancel is first is for the system to \
                          say; nothing is half made";
            let cancelled = "ECANCELED; 0 made".into();
            either(cancelled_when_done, [format!("{DONE}; 1 made"), cancelled], reason)
        }
        CancelledWhenReady => Cell::No("the pool waits for nothing: as cancelled when done"),
        CancelAll => is(cancel_all, "ECANCELED; 0 made"),
        DeadlinePasses => is(
            |b, _| when_stuck(b, |b, _, op| b.io.deadline(op, Duration::ZERO)),
            "TimedOut; 0 made",
        ),
        DeadlineNotReached => is(deadline_not_reached, DONE),
        ClosedBefore => is(closed_before, CLOSED),
        ClosedWhile => is(|b, _| when_stuck(b, close), "ECANCELED; closed; 0 made"),
        Foreign => is(foreign, FOREIGN),
        OtherKind => is(other_kind, "ENOTDIR"),
        TwoInOrder => Cell::No("calls on the pool run side by side: they have no order"),
        AtCapacity => is(at_capacity, format!("{FULL}; other ECANCELED; 0 made")),
        Stopped => Cell::No("only a flow is stopped: this has one result"),
        LoopDropped => is(loop_dropped, "0 left; 0 made"),
        LoopDroppedWhenDone => is(loop_dropped_when_done, "0 left; 0 left; 0 left"),
        BadAddress => is(bad_path, "InvalidInput: the path has a NUL in it; ENOENT"),
        EndOfFile | BeyondAnyFile | WrongKind | Missing => {
            Cell::No("its own tests have files of the wrong size and kind, and none at all")
        }
    }
}

/// Where a file is made.
struct Place {
    scratch: Scratch,
    directory: Rc<Directory>,
}

fn place(b: &Bench) -> Place {
    let scratch = Scratch::new();
    let descriptor = OwnedFd::from(fs::File::open(scratch.path()).unwrap());
    Place { scratch, directory: Rc::new(Directory::from_fd(&b.io, descriptor)) }
}

impl Place {
    /// Says how many files there are.
    fn count(&self, b: &Bench) {
        b.put(format!("{} made", fs::read_dir(self.scratch.path()).unwrap().count()));
    }
}

fn start_at(b: &Bench, directory: &Directory, path: &str) -> Op {
    let options = DataFileOptions::new(4096).create(true);
    b.io.open_data_file(b.context(None, ""), directory.at(path), &options, ended)
}

fn start(b: &Bench, place: &Place) -> Op {
    start_at(b, &place.directory, "data")
}

fn ordinary(b: Bench, _: Operation) {
    let place = place(&b);
    start(&b, &place);
    b.finish();
}

/// A loop whose pool has one thread, which is held up until the sender is dropped.
fn stuck(b: &Bench) -> (Bench, mpsc::Sender<()>) {
    let b = b.other(|builder| builder.pool_threads(1));
    let (release, released) = mpsc::channel::<()>();
    let (starts, started) = mpsc::channel::<()>();
    let call = move || {
        drop(starts);
        let _ = released.recv();
    };
    b.io.offload((), call, |(), _io, _result| {});
    started.recv().unwrap_err();
    (b, release)
}

/// Does something while the open waits for a thread, and says whether it made a file, if it has not
/// said so itself.
fn when_stuck(b: Bench, act: fn(&Bench, &Place, Op)) {
    let (b, release) = stuck(&b);
    let place = place(&b);
    let op = start(&b, &place);
    b.turn();
    act(&b, &place, op);
    b.turn();
    drop(release);
    b.finish();
    if b.log.joined() != DONE {
        place.count(&b);
    }
}

fn cancelled_at_once(b: Bench, _: Operation) {
    let (b, release) = stuck(&b);
    let place = place(&b);
    let op = start(&b, &place);
    b.io.cancel(op);
    drop(release);
    b.finish();
    place.count(&b);
}

fn cancelled_when_done(b: Bench, _: Operation) {
    let place = place(&b);
    let op = start(&b, &place);
    b.io.cancel(op);
    b.finish();
    place.count(&b);
}

fn cancel_all(b: Bench, _: Operation) {
    when_stuck(b, |b, _, _| b.io.cancel_all());
}

fn deadline_not_reached(b: Bench, _: Operation) {
    let place = place(&b);
    let op = start(&b, &place);
    b.io.deadline(op, HANG * 2);
    b.finish();
}

fn close(b: &Bench, place: &Place, _: Op) {
    let directory: Rc<dyn AsSource> = place.directory.clone();
    b.io.close(b.context(Some(&directory), ""), |context, _io, result: io::Result<()>| {
        result.unwrap();
        context.put("closed");
    });
}

fn closed_before(b: Bench, _: Operation) {
    let place = place(&b);
    b.io.close(Rc::clone(&place.directory), |_directory, _io, result| result.unwrap());
    b.finish();
    start(&b, &place);
    b.finish();
}

fn foreign(b: Bench, _: Operation) {
    let other = b.other(|builder| builder);
    let place = place(&other);
    start(&b, &place);
    b.finish();
}

/// A directory that is none.
fn other_kind(b: Bench, _: Operation) {
    let scratch = Scratch::new();
    let file = fs::File::open(scratch.file("file", b"")).unwrap();
    let none = Directory::from_fd(&b.io, file.into());
    start_at(&b, &none, "data");
    b.finish();
}

fn at_capacity(b: Bench, _: Operation) {
    let b = b.other(|builder| builder.capacity(1));
    let place = place(&b);
    let (other, _trigger) = b.io.event(b.context(None, "other "), ended);
    start(&b, &place);
    b.turn();
    b.io.cancel(other);
    b.finish();
    place.count(&b);
}

fn loop_dropped(b: Bench, _: Operation) {
    let (b, release) = stuck(&b);
    let place = place(&b);
    start(&b, &place);
    b.turn();
    let Bench { io, count, log, .. } = b;
    drop(io);
    drop(release);
    log.put(format!("{} left", count.get()));
    log.put(format!("{} made", fs::read_dir(place.scratch.path()).unwrap().count()));
}

fn loop_dropped_when_done(b: Bench, _: Operation) {
    // After no turn, one and two.
    for turns in 0..3 {
        let b = b.other(|builder| builder.callbacks_per_turn(1));
        for _ in 0..3 {
            b.io.next((), |(), _io| {});
        }
        let place = place(&b);
        start(&b, &place);
        (0..turns).for_each(|_| b.io.poll().unwrap());
        let Bench { io, count, log, .. } = b;
        drop(io);
        log.put(format!("{} left", count.get()));
    }
}

fn bad_path(b: Bench, _: Operation) {
    let place = place(&b);
    for path in ["a\0b", "none/data"] {
        start_at(&b, &place.directory, path);
        b.finish();
    }
}
