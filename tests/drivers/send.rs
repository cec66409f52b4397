//! Sending: from one buffer or several, or from another descriptor, some or all of it, with nobody to
//! tell, without a copy.

use std::io::Read;
use std::net::Shutdown;
use std::time::Duration;

use tigereye::Op;

use crate::bench::{Bench, shown};
use crate::common::{self, waiting};
use crate::peer::Peer;
use crate::scene::{Scene, When, pattern};
use crate::start::{conclude, from, go, move_from, start};
use crate::system::{ENDED, GONE, pipe_to_write, some_directory};
use crate::table::{Cell, NO_FILE, Operation, Run, Situation, either, is};

const NO_ADDRESS: &str = "a send has a connection, and no address to go to";
const MANY: usize = 1 << 18;

pub(crate) fn cell(operation: Operation, situation: Situation) -> Cell {
    use Situation::*;
    let done = operation.done();
    let broken = operation.fails("EPIPE");
    // Of a send with nobody to tell, how the connection is afterwards: its peer's end shows too.
    let silent = operation == Operation::SendDetached;
    let writes = matches!(operation, Operation::Write | Operation::WriteAll);
    let splices = matches!(operation, Operation::Splice | Operation::SpliceAll);
    let after_the_end = if silent { "shut" } else { done };
    match situation {
        Ordinary => is(ordinary, format!("{done}; the peer has [hello]")),
        Waited => is(waited, format!("{done}; the peer has [hello]")),
        EmptyBuffer => is(empty, operation.of(EMPTY)),
        NoRoom => Cell::No("a send needs no room: it takes what its buffer holds"),
        MoreThanFits => is(more_than_fits, operation.of(MORE_THAN_FITS)),
        EndOfStream => is(end_of_stream, format!("{after_the_end}; {broken}")),
        DataThenEnd | DataThenReset | UrgentData => {
            Cell::No("what has come and was not received does not concern a send")
        }
        ResetBefore => is(reset_before, format!("{}; {broken}", operation.fails("ECONNRESET"))),
        ResetWhile => is(reset_while, operation.fails("ECONNRESET")),
        PeerHalfClosed => is(half_closed, format!("{after_the_end}; the peer has [hello]")),
        OwnHalfShut => is(shut, broken),
        OwnHalfShutWhile => is(shut_while, broken),
        CancelledAtOnce => common::cancelled_at_once(operation),
        CancelledWaiting => common::cancelled_waiting(operation),
        CancelledWhenDone if operation.moves() => either(
            common::run_cancelled_when_done,
            [done.into(), operation.fails("ECANCELED")],
            "whether a thread of the pool or the cancel is first is for the system to say",
        ),
        CancelledWhenDone => common::cancelled_when_done(operation),
        CancelledWhenReady => {
            common::cancelled_when_ready(operation, ["; the peer has [hello]", "; the peer has []"])
        }
        CancelAll => common::cancel_all(operation),
        DeadlinePasses => common::deadline_passes(operation),
        DeadlineNotReached => common::deadline_not_reached(operation),
        ClosedBefore => common::closed_before(operation),
        ClosedWhile => common::closed_while(operation),
        ClosedUnread => unread(closed_unread, operation, "closed; "),
        CancelledUnread => unread(cancelled_unread, operation, ""),
        Foreign => common::foreign(operation),
        OtherKind if silent => is(no_socket, ""),
        OtherKind if writes || splices => is(no_socket, done),
        OtherKind => is(no_socket, operation.fails("ENOTSOCK")),
        TwoInOrder => is(two, operation.of(TWO)),
        AtCapacity if silent => Cell::Differs {
            run: common::run_at_capacity,
            uring: "shut; other ECANCELED".into(),
            readiness: "open; other ECANCELED".into(),
            reason: "a driver that tries has sent it before it would take a slot",
        },
        AtCapacity => common::at_capacity(operation),
        Stopped => Cell::No("only a flow is stopped: this has one result"),
        LoopDropped => common::loop_dropped(operation),
        LoopDroppedWhenDone => common::loop_dropped_when_done(operation),
        Refused | BadAddress | NoListener => Cell::No(NO_ADDRESS),
        NobodyReads => {
            is(nobody_reads, format!("{}; the peer has []", operation.fails("ECANCELED")))
        }
        EndOfFile if operation.moves() => is(end_of_file, "5; 0; the peer has [hello]"),
        BeyondAnyFile if operation.moves() && !splices => is(beyond, operation.fails("EINVAL")),
        BeyondAnyFile if splices => Cell::No("it has no offset: a file has its own position"),
        WrongKind if operation.moves() => is(wrong_kind, operation.fails("EINVAL")),
        EndOfFile | BeyondAnyFile | WrongKind | Missing => Cell::No(NO_FILE),
    }
}

/// More than the peer has room for, and far less than the system takes from the sender: without a
/// copy every segment counts for the two pages of 4096 bytes that it touches.
const UNREAD: usize = 24_000;

/// It is sent all the same.
fn unread(run: Run, operation: Operation, closed: &str) -> Cell {
    let said = operation.of([
        "24000 [24000]; ",
        "ok [24000]; ",
        "",
        "24000 [abc][23997]; ",
        "ok [abc][23997]; ",
        "24000 [24000]; ",
        "24000 [24000]; ",
        "ok [24000]; ",
        "24000; ",
        "24000; ",
        "24000; ",
        "24000; ",
    ]);
    let copied = format!("{said}{closed}the peer has [24000]");
    if operation != Operation::SendZeroCopy {
        return is(run, copied);
    }
    let kept = format!("{closed}the peer has [24000]; {}", said.trim_end_matches("; "));
    let reason = "where it does not copy, the system needs the buffer until the peer has read";
    either(run, [copied, kept], reason)
}

const EMPTY: [&str; 12] =
    ["0 []", "ok []", "open", "0 [][]", "ok [][]", "0 []", "0 []", "ok []", "0", "0", "0", "0"];

const MORE_THAN_FITS: [&str; 12] = [
    "some [262144], which the peer has",
    "ok [262144], which the peer has",
    "open, which the peer has",
    "some [abc][262141], which the peer has",
    "ok [abc][262141], which the peer has",
    "some [262144], which the peer has",
    "some [262144], which the peer has",
    "ok [262144], which the peer has",
    "some, which the peer has",
    "all, which the peer has",
    "some, which the peer has",
    "all, which the peer has",
];

const TWO: [&str; 12] = [
    "one 5 [hello]; two 5 [world]; the peer has [helloworld]",
    "one ok [hello]; two ok [world]; the peer has [helloworld]",
    "the peer has [helloworld]",
    "one 5 [hel][lo]; two 5 [wor][ld]; the peer has [helloworld]",
    "one ok [hel][lo]; two ok [wor][ld]; the peer has [helloworld]",
    "one 5 [hello]; two 5 [world]; the peer has [helloworld]",
    "one 5 [hello]; two 5 [world]; the peer has [helloworld]",
    "one ok [hello]; two ok [world]; the peer has [helloworld]",
    "one 5; two 5; the peer has [helloworld]",
    "one 5; two 5; the peer has [helloworld]",
    "one 5; two 5; the peer has [helloworld]",
    "one 5; two 5; the peer has [helloworld]",
];

fn ordinary(b: Bench, operation: Operation) {
    let mut scene = Scene::of(&b, operation, When::There);
    go(&b, operation, &mut scene);
    scene.tail(&b);
}

fn waited(b: Bench, operation: Operation) {
    let (mut scene, _op) = waiting(&b, operation);
    scene.arrive(&b, operation);
    conclude(&b, operation, &scene);
    scene.tail(&b);
}

fn empty(b: Bench, operation: Operation) {
    let mut scene = Scene::of(&b, operation, When::There);
    scene.bytes.clear();
    go(&b, operation, &mut scene);
}

fn more_than_fits(b: Bench, operation: Operation) {
    let mut scene = Scene::of(&b, operation, When::Later);
    scene.bytes = pattern(MANY);
    let (peer, before) = (scene.peer.take().unwrap(), scene.in_the_way);
    let Peer::Real(mut peer) = peer else { unreachable!("a thread is none of a simulated world") };
    let reader = std::thread::spawn(move || {
        let mut all = Vec::new();
        peer.read_to_end(&mut all).unwrap();
        all
    });
    go(&b, operation, &mut scene);
    let said = b.log.take();
    let (result, buffers) = said.split_once(' ').unwrap_or((&said, ""));
    let count = result.parse().ok();
    drop(scene);
    let all = reader.join().unwrap();
    let arrived = all[before..] == pattern(count.unwrap_or(MANY));
    let has = if arrived { "has" } else { "has not" };
    let all = matches!(operation, Operation::SendFileAll | Operation::SpliceAll);
    let result = match count {
        Some(MANY) if all => "all",
        Some(1..) if !all => "some",
        _ => result,
    };
    b.put(format!("{result} {buffers}").trim().to_string() + ", which the peer " + has);
}

fn end_of_stream(b: Bench, operation: Operation) {
    let mut scene = Scene::of(&b, operation, When::There);
    scene.end();
    go(&b, operation, &mut scene);
    // The peer answers that nobody is there.
    scene.settle(GONE);
    go(&b, operation, &mut scene);
}

fn reset_before(b: Bench, operation: Operation) {
    let mut scene = Scene::of(&b, operation, When::There);
    scene.reset();
    go(&b, operation, &mut scene);
    go(&b, operation, &mut scene);
}

fn reset_while(b: Bench, operation: Operation) {
    let (mut scene, _op) = waiting(&b, operation);
    scene.reset();
    conclude(&b, operation, &scene);
}

fn half_closed(b: Bench, operation: Operation) {
    let (mut scene, _op) = waiting(&b, operation);
    scene.peer().shutdown(Shutdown::Write).unwrap();
    scene.settle(ENDED);
    b.turn();
    scene.arrive(&b, operation);
    conclude(&b, operation, &scene);
    scene.tail(&b);
}

fn shut(b: Bench, operation: Operation) {
    let mut scene = Scene::of(&b, operation, When::There);
    scene.shut_own(Shutdown::Write);
    go(&b, operation, &mut scene);
}

fn shut_while(b: Bench, operation: Operation) {
    let (scene, _op) = waiting(&b, operation);
    scene.shut_own(Shutdown::Write);
    conclude(&b, operation, &scene);
}

/// A pipe can be written to, and nothing sent to it.
fn no_socket(b: Bench, operation: Operation) {
    let mut scene = Scene::nothing(When::There);
    let (writer, _reader) = pipe_to_write(&b);
    scene.on = Some(writer);
    go(&b, operation, &mut scene);
}

fn two(b: Bench, operation: Operation) {
    let mut scene = Scene::of(&b, operation, When::Later);
    for (name, bytes) in [("one ", b"hello"), ("two ", b"world")] {
        (scene.name, scene.bytes) = (name, bytes.to_vec());
        start(&b, operation, &mut scene);
    }
    b.turn();
    scene.arrive(&b, operation);
    b.finish();
    scene.tail(&b);
}

/// It is asked for more than there is, and for some behind the end.
fn end_of_file(b: Bench, operation: Operation) {
    let scene = Scene::of(&b, operation, When::There);
    let from = from(&b, operation, b"hello");
    for offset in [0, 5] {
        move_from(&b, operation, &*from, offset, 64, b.context(scene.on.as_ref(), ""));
        b.finish();
    }
    scene.tail(&b);
}

fn beyond(b: Bench, operation: Operation) {
    let scene = Scene::of(&b, operation, When::There);
    let from = from(&b, operation, b"hello");
    move_from(&b, operation, &*from, u64::MAX, 5, b.context(scene.on.as_ref(), ""));
    b.finish();
}

/// A directory has no bytes.
fn wrong_kind(b: Bench, operation: Operation) {
    let scene = Scene::of(&b, operation, When::There);
    let from = some_directory(&b);
    move_from(&b, operation, &*from, 0, 5, b.context(scene.on.as_ref(), ""));
    b.finish();
}

fn nobody_reads(b: Bench, operation: Operation) {
    let (scene, op) = waiting(&b, operation);
    b.io.cancel(op);
    conclude(&b, operation, &scene);
    scene.tail(&b);
}

/// The system has taken all of it, and the peer reads nothing yet.
fn sent_unread(b: &Bench, operation: Operation) -> (Scene, Op) {
    let mut scene = Scene::unread(b);
    scene.bytes = pattern(UNREAD);
    let op = start(b, operation, &mut scene);
    b.turn();
    if operation.moves() {
        b.until(1);
    }
    assert!(scene.has_room(), "there was room for all of it");
    (scene, op)
}

fn closed_unread(b: Bench, operation: Operation) {
    let (scene, _op) = sent_unread(&b, operation);
    b.io.close(b.context(scene.on.as_ref(), ""), |context, _io, result| {
        result.unwrap();
        context.put("closed");
    });
    b.run_until(|| b.log.joined().contains("closed"));
    scene.tail(&b);
    b.finish();
}

fn cancelled_unread(b: Bench, operation: Operation) {
    let (mut scene, op) = sent_unread(&b, operation);
    b.io.cancel(op);
    b.io.deadline(op, Duration::ZERO);
    b.turn();
    let mut bytes = vec![0; UNREAD];
    scene.peer().read_exact(&mut bytes).unwrap();
    b.put(format!("the peer has {}", shown(&bytes)));
    b.finish();
}
