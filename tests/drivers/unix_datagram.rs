//! Datagrams by Unix sockets, where they differ from UDP's: a send waits for its receiver, which is
//! named (and asked again and again), or is the socket's peer (of which the kernel tells).

use std::net::Shutdown;
use std::rc::Rc;

use socket2::{Domain, SockAddr, SockRef, Socket, Type};
use tigereye::{BufferPool, Descriptor, Op, UnixDatagram};

use crate::bench::{Bench, Context, HANG, came, shown};
use crate::common::{self, waiting};
use crate::patient::read_some;
use crate::scene::{Scene, When, pattern};
use crate::scratch::Scratch;
use crate::start::{conclude, go, start};
use crate::table::{Cell, NO_FILE, Operation, Situation, is};

const NO_STREAM: &str =
    "datagrams are no stream: they have no end, no reset and no halves of a peer";

pub(crate) fn cell(operation: Operation, situation: Situation) -> Cell {
    use Situation::*;
    let done = operation.done();
    let named = operation == Operation::SendToUnix;
    let refused = operation.fails("ECONNREFUSED");
    match situation {
        Ordinary => is(ordinary, format!("{done}; the peer has [hello]")),
        Waited => is(later, format!("{done}; the peer has [hello]")),
        EmptyBuffer => is(empty, "0 []; the peer has []"),
        NoRoom => Cell::No("a send needs no room: it takes what its buffer holds"),
        MoreThanFits => is(too_long, "EMSGSIZE [1048576]"),
        EndOfStream if named => is(peer_gone, format!("{refused}; {refused}")),
        EndOfStream => is(peer_gone, format!("{refused}; {}", operation.fails("ENOTCONN"))),
        ResetWhile => is(peer_goes, refused),
        DataThenEnd | DataThenReset | ResetBefore | PeerHalfClosed | UrgentData => {
            Cell::No(NO_STREAM)
        }
        OwnHalfShut => is(shut, operation.fails("EPIPE")),
        OwnHalfShutWhile if named => is(shut_while, operation.fails("EPIPE")),
        // The kernel does not tell who waits for room that its own half was shut down.
        OwnHalfShutWhile => is(shut_while, format!("room; {}", operation.fails("EPIPE"))),
        CancelledAtOnce if named => is(common::run_cancelled_when_done, done),
        CancelledAtOnce => common::cancelled_at_once(operation),
        CancelledWaiting => common::cancelled_waiting(operation),
        CancelledWhenDone => common::cancelled_when_done(operation),
        CancelledWhenReady => common::cancelled_when_ready(
            operation,
            ["; the peer has [hello]", "; the peer has none"],
        ),
        CancelAll => common::cancel_all(operation),
        DeadlinePasses => common::deadline_passes(operation),
        DeadlineNotReached => common::deadline_not_reached(operation),
        ClosedBefore => common::closed_before(operation),
        ClosedWhile => common::closed_while(operation),
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
        LoopDropped => common::loop_dropped(operation),
        LoopDroppedWhenDone => common::loop_dropped_when_done(operation),
        Refused if named => is(not_for_all, operation.fails("EPERM")),
        Refused => Cell::No("to connect says that a peer wants another one"),
        BadAddress if named => is(bad_address, BAD_ADDRESSES),
        BadAddress => Cell::No("a send to the peer has no address to go to"),
        NoListener => Cell::No("a socket that is gone is the end of a peer"),
        NobodyReads => {
            is(nobody_reads, format!("{}; the peer has none", operation.fails("ECANCELED")))
        }
        EndOfFile | BeyondAnyFile | WrongKind | Missing => Cell::No(NO_FILE),
    }
}

/// No such file, a path that is too long, one with a NUL; a stream.
const BAD_ADDRESSES: &str = "error 2; InvalidInput; InvalidInput; error 91";

pub(crate) fn begin(b: &Bench, operation: Operation, scene: &Scene, context: Context) -> Op {
    let buf = b.holding(&scene.bytes);
    match (operation, &scene.directory) {
        (Operation::SendToUnix, Some(directory)) => {
            b.io.send_to_unix(context, buf, directory.join("far"), came)
        }
        (Operation::SendToUnix, None) => b.io.send_to_unix(context, buf, "/", came),
        _ => b.io.send(context, buf, came),
    }
}

fn socket() -> Socket {
    Socket::new(Domain::UNIX, Type::DGRAM, None).unwrap()
}

impl Scene {
    /// A socket, and one that it can send to.
    fn unix_sockets(&mut self, b: &Bench) {
        let (directory, near, far) = (Scratch::new(), socket(), socket());
        near.bind(&SockAddr::unix(directory.join("near")).unwrap()).unwrap();
        far.bind(&SockAddr::unix(directory.join("far")).unwrap()).unwrap();
        far.set_read_timeout(Some(HANG)).unwrap();
        self.watch = Some(near.try_clone().unwrap());
        let near = std::os::fd::OwnedFd::from(near).into();
        self.on = Some(Rc::new(UnixDatagram::from_std(&b.io, near).unwrap()));
        self.unix_peer = Some(far);
        self.directory = Some(directory);
    }

    fn at(&self, name: &str) -> SockAddr {
        SockAddr::unix(self.directory.as_ref().unwrap().join(name)).unwrap()
    }

    /// For what receives.
    pub(crate) fn unix_datagrams(&mut self, b: &Bench) {
        self.unix_sockets(b);
        let near = self.at("near");
        self.unix_peer().connect(&near).unwrap();
        self.pool = Some(BufferPool::new(&b.io, 4, 128 + 8).unwrap());
    }

    /// For what sends: a receiver, which takes nothing more when the operation is to wait.
    pub(crate) fn unix_receiver(&mut self, b: &Bench, operation: Operation) {
        self.unix_sockets(b);
        let far = self.at("far");
        if operation == Operation::SendToPeer {
            self.watch().connect(&far).unwrap();
        }
        if self.when == When::Later {
            let sender = socket();
            sender.set_nonblocking(true).unwrap();
            while let Ok(count) = sender.send_to(b"way", &far) {
                self.in_the_way += count;
            }
        }
    }
}

/// Says which datagram the peer has behind what was in the way.
pub(crate) fn arrived(b: &Bench, scene: &Scene) {
    let (mut peer, mut bytes) = (scene.unix_peer.as_ref().unwrap(), [0; 64]);
    peer.set_nonblocking(true).unwrap();
    loop {
        match read_some(&mut peer, &mut bytes) {
            Ok(3) => {}
            Ok(len) => return b.put(format!("the peer has {}", shown(&bytes[..len]))),
            Err(_) => return b.put("the peer has none"),
        }
    }
}

fn there(b: &Bench, operation: Operation) -> Scene {
    Scene::of(b, operation, When::There)
}

fn ordinary(b: Bench, operation: Operation) {
    let mut scene = there(&b, operation);
    go(&b, operation, &mut scene);
    arrived(&b, &scene);
}

fn later(b: Bench, operation: Operation) {
    let (mut scene, _op) = waiting(&b, operation);
    scene.arrive(&b, operation);
    conclude(&b, operation, &scene);
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
    SockRef::from(scene.watch()).set_send_buffer_size(8192).unwrap();
    scene.bytes = pattern(1 << 20);
    go(&b, operation, &mut scene);
}

fn peer_gone(b: Bench, operation: Operation) {
    let mut scene = there(&b, operation);
    drop(scene.unix_peer.take());
    go(&b, operation, &mut scene);
    go(&b, operation, &mut scene);
}

fn peer_goes(b: Bench, operation: Operation) {
    let (mut scene, _op) = waiting(&b, operation);
    drop(scene.unix_peer.take());
    b.finish();
}

fn shut(b: Bench, operation: Operation) {
    let mut scene = there(&b, operation);
    scene.watch().shutdown(Shutdown::Write).unwrap();
    go(&b, operation, &mut scene);
}

fn shut_while(b: Bench, operation: Operation) {
    let (mut scene, _op) = waiting(&b, operation);
    scene.watch().shutdown(Shutdown::Write).unwrap();
    if operation == Operation::SendToPeer {
        b.turn();
        b.put("room");
        scene.arrive(&b, operation);
    }
    b.finish();
}

/// A pipe can be written to, and nothing sent to it.
fn no_socket(b: Bench, operation: Operation) {
    let mut scene = Scene::nothing(When::There);
    let (_reader, writer) = std::io::pipe().unwrap();
    scene.on = Some(Rc::new(Descriptor::new(&b.io, writer.into())));
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
    arrived(&b, &scene);
    arrived(&b, &scene);
}

/// The receiver has another peer.
fn not_for_all(b: Bench, operation: Operation) {
    let mut scene = there(&b, operation);
    let (other, at) = (socket(), scene.at("other"));
    other.bind(&at).unwrap();
    scene.unix_peer().connect(&at).unwrap();
    go(&b, operation, &mut scene);
}

fn bad_address(b: Bench, operation: Operation) {
    let scene = there(&b, operation);
    let directory = scene.directory.as_ref().unwrap();
    let _stream = std::os::unix::net::UnixListener::bind(directory.join("stream")).unwrap();
    let long = "x".repeat(200);
    for name in ["none", &long, "a\0b", "stream"] {
        let (context, path) = (b.context(scene.on.as_ref(), ""), directory.join(name));
        b.io.send_to_unix(context, b.holding(b"hello"), path, |context, _io, buf, result| {
            assert_eq!(buf.bytes(), b"hello");
            let error = result.unwrap_err();
            let code = error.raw_os_error().map(|code| format!("error {code}"));
            context.put(code.unwrap_or_else(|| format!("{:?}", error.kind())));
        });
        b.finish();
    }
}

fn nobody_reads(b: Bench, operation: Operation) {
    let (scene, op) = waiting(&b, operation);
    b.io.cancel(op);
    conclude(&b, operation, &scene);
    arrived(&b, &scene);
}
