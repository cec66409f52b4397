//! Unix sockets: accepting and connecting, streams where they differ from TCP's, and descriptors
//! that are passed.

use std::io::Write;
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use socket2::{Domain, SockAddr, SockRef, Socket, Type};
use tigereye::{Delivery, Descriptor, Io, Next, Op, UnixAddress, UnixListener, UnixStream};

use crate::bench::{Bench, Buffer, Context, Outcome, came, ended, failure, over, said};
use crate::common::{self, waiting};
use crate::scene::{Scene, When, pattern};
use crate::scratch::Scratch;
use crate::start::{conclude, go, start};
use crate::system::{has, send_with_descriptor};
use crate::table::{Cell, NO_FILE, Operation, Situation, either, is};

const NO_BUFFER: &str = "it has no buffer";
const NO_HANDLE: &str = "a connect makes its handle: the caller has none before";
const NO_ADDRESS: &str = "it has a handle, and no address to go to";
const ONE_RESULT: &str = "only a flow is stopped: this has one result";
const NOT_YET: &str = "there is no connection before it is accepted or connected";
const SENDS_NOTHING: &str = "it sends nothing that a peer could leave unread";
const NO_ROOM: &str = "InvalidInput: the buffer has no room to receive into";
const NO_BYTE: &str = "InvalidInput: descriptors go with at least one byte";

pub(crate) fn cell(operation: Operation, situation: Situation) -> Cell {
    if operation.accepts() {
        return accept(operation, situation);
    }
    match operation {
        Operation::ConnectUnix => connect(operation, situation),
        Operation::RecvUnix | Operation::RecvDescriptors => receive(operation, situation),
        _ => send(operation, situation),
    }
}

fn accept(operation: Operation, situation: Situation) -> Cell {
    use Situation::*;
    let flow = operation.is_flow();
    match situation {
        Ordinary => common::ordinary(operation),
        Waited => common::waited(operation),
        EmptyBuffer | NoRoom | MoreThanFits => Cell::No(NO_BUFFER),
        EndOfStream => is(ended_before, operation.done()),
        DataThenEnd | DataThenReset | ResetBefore | ResetWhile | PeerHalfClosed | UrgentData => {
            Cell::No(NOT_YET)
        }
        OwnHalfShut => is(shut, operation.fails("EINVAL")),
        OwnHalfShutWhile => is(common::receiving_shut_while, operation.fails("EINVAL")),
        CancelledAtOnce => common::cancelled_at_once(operation),
        CancelledWaiting => common::cancelled_waiting(operation),
        CancelledWhenDone => common::cancelled_when_done(operation),
        CancelledWhenReady => {
            common::cancelled_when_ready(operation, ["; left: none", "; left: a connection"])
        }
        CancelAll => common::cancel_all(operation),
        DeadlinePasses => common::deadline_passes(operation),
        DeadlineNotReached => common::deadline_not_reached(operation),
        ClosedBefore => common::closed_before(operation),
        ClosedWhile => common::closed_while(operation),
        ClosedUnread | CancelledUnread | NobodyReads => Cell::No(SENDS_NOTHING),
        Foreign => common::foreign(operation),
        OtherKind => is(no_listener, operation.fails("EINVAL")),
        TwoInOrder if flow => is(two, "one connection; one end ok; two connection; two end ok"),
        TwoInOrder => is(two, "one connection; two connection"),
        AtCapacity => common::at_capacity(operation),
        Stopped if flow => is(stopped, format!("{0}; {0}", operation.done())),
        Stopped => Cell::No(ONE_RESULT),
        LoopDropped => common::loop_dropped(operation),
        LoopDroppedWhenDone => common::loop_dropped_when_done(operation),
        Refused | BadAddress | NoListener => Cell::No(NO_ADDRESS),
        EndOfFile | BeyondAnyFile | WrongKind | Missing => Cell::No(NO_FILE),
    }
}

fn connect(operation: Operation, situation: Situation) -> Cell {
    use Situation::*;
    match situation {
        Ordinary => common::ordinary(operation),
        Waited => common::waited(operation),
        EmptyBuffer | NoRoom | MoreThanFits => Cell::No(NO_BUFFER),
        EndOfStream => is(listener_goes_at_once, operation.done()),
        DataThenEnd | DataThenReset | ResetBefore | ResetWhile | PeerHalfClosed | UrgentData => {
            Cell::No(NOT_YET)
        }
        OwnHalfShut | OwnHalfShutWhile | ClosedBefore | ClosedWhile | Foreign | OtherKind => {
            Cell::No(NO_HANDLE)
        }
        // It is connected when the call returns that starts it.
        CancelledAtOnce => is(common::run_cancelled_when_done, operation.done()),
        CancelledWaiting => common::cancelled_waiting(operation),
        CancelledWhenDone => common::cancelled_when_done(operation),
        CancelledWhenReady => is(common::run_cancelled_when_ready, operation.fails("ECANCELED")),
        CancelAll => common::cancel_all(operation),
        DeadlinePasses => common::deadline_passes(operation),
        DeadlineNotReached => common::deadline_not_reached(operation),
        ClosedUnread | CancelledUnread | NobodyReads => Cell::No(SENDS_NOTHING),
        TwoInOrder => Cell::No("connects have no direction: each makes a handle of its own"),
        AtCapacity => common::at_capacity(operation),
        Stopped => Cell::No(ONE_RESULT),
        LoopDropped => common::loop_dropped(operation),
        LoopDroppedWhenDone => common::loop_dropped_when_done(operation),
        Refused => is(refused, "ECONNREFUSED"),
        BadAddress => is(bad_address, "ENOENT; InvalidInput; InvalidInput"),
        NoListener => is(no_listener_any_more, "ECONNREFUSED"),
        EndOfFile | BeyondAnyFile | WrongKind | Missing => Cell::No(NO_FILE),
    }
}

fn receive(operation: Operation, situation: Situation) -> Cell {
    use Situation::*;
    let passes = operation == Operation::RecvDescriptors;
    let end = if passes { "0 [] 0" } else { "0 []" };
    let data_then = |last: &str| format!("{}; {}", operation.done(), last);
    match situation {
        Ordinary => common::ordinary(operation),
        Waited => common::waited(operation),
        EmptyBuffer => Cell::No("to receive nothing is to have a buffer without room"),
        NoRoom => is(no_room, operation.fails(NO_ROOM)),
        MoreThanFits if passes => is(more_than_fits, "4 [hell] cut 0; 1 [o] 0"),
        MoreThanFits => is(more_than_fits, "4 [hell]; 1 [o]"),
        EndOfStream => is(end_of_stream, format!("{end}; {end}")),
        DataThenEnd => is(data_then_end, data_then(end)),
        DataThenReset => is(data_then_reset, data_then(&operation.fails("ECONNRESET"))),
        ResetBefore => is(reset_before, format!("{}; {end}", operation.fails("ECONNRESET"))),
        ResetWhile => is(reset_while, operation.fails("ECONNRESET")),
        PeerHalfClosed => is(half_closed, end),
        OwnHalfShut => is(shut, end),
        OwnHalfShutWhile => is(common::receiving_shut_while, end),
        UrgentData => Cell::No("not every Linux has urgent data on Unix sockets (5.15, optional)"),
        CancelledAtOnce => common::cancelled_at_once(operation),
        CancelledWaiting => common::cancelled_waiting(operation),
        CancelledWhenDone => common::cancelled_when_done(operation),
        CancelledWhenReady => {
            common::cancelled_when_ready(operation, ["; left: []", "; left: [hello]"])
        }
        CancelAll => common::cancel_all(operation),
        DeadlinePasses => common::deadline_passes(operation),
        DeadlineNotReached => common::deadline_not_reached(operation),
        ClosedBefore => common::closed_before(operation),
        ClosedWhile => common::closed_while(operation),
        ClosedUnread | CancelledUnread | NobodyReads => Cell::No(SENDS_NOTHING),
        Foreign => common::foreign(operation),
        OtherKind => is(no_socket, operation.fails("ENOTSOCK")),
        TwoInOrder if passes => is(two, "one 5 [hello] 1; two 5 [hello] 1"),
        TwoInOrder => is(two, "one 5 [hello]; two 5 [hello]"),
        AtCapacity => common::at_capacity(operation),
        Stopped => Cell::No(ONE_RESULT),
        LoopDropped => common::loop_dropped(operation),
        LoopDroppedWhenDone => common::loop_dropped_when_done(operation),
        Refused | BadAddress | NoListener => Cell::No(NO_ADDRESS),
        EndOfFile | BeyondAnyFile | WrongKind | Missing => Cell::No(NO_FILE),
    }
}

fn send(operation: Operation, situation: Situation) -> Cell {
    use Situation::*;
    let passes = operation == Operation::SendDescriptors;
    let done = operation.done();
    let broken = operation.fails("EPIPE");
    match situation {
        Ordinary => is(sent, format!("{done}; the peer has [hello]")),
        Waited => is(sent_later, format!("{done}; the peer has [hello]")),
        EmptyBuffer if passes => is(empty, format!("{NO_BYTE} [] 1")),
        EmptyBuffer => is(empty, "0 []"),
        NoRoom => Cell::No("a send needs no room: it takes what its buffer holds"),
        MoreThanFits => is(longer_than_fits, "some, which the peer has"),
        EndOfStream => is(end_of_stream_of_a_send, format!("{broken}; {broken}")),
        ResetBefore => is(reset_before_a_send, format!("{broken}; {broken}")),
        DataThenEnd | DataThenReset | UrgentData => {
            Cell::No("what has come and was not received does not concern a send")
        }
        ResetWhile => is(reset_while, broken),
        PeerHalfClosed => is(send_to_half, format!("{done}; the peer has [hello]")),
        OwnHalfShut => is(shut, broken),
        OwnHalfShutWhile => either(
            shut_while,
            [format!("{broken}; room"), format!("room; {broken}")],
            "epoll does not tell who waits for room that its own half was shut down, nor does \
             io_uring on Linux 5.10",
        ),
        CancelledAtOnce => common::cancelled_at_once(operation),
        CancelledWaiting => common::cancelled_waiting(operation),
        CancelledWhenDone => common::cancelled_when_done(operation),
        CancelledWhenReady => {
            common::cancelled_when_ready(operation, ["; the peer has [hello]", "; the peer has []"])
        }
        CancelAll => common::cancel_all(operation),
        DeadlinePasses => common::deadline_passes(operation),
        DeadlineNotReached => common::deadline_not_reached(operation),
        ClosedBefore => common::closed_before(operation),
        ClosedWhile => common::closed_while(operation),
        ClosedUnread => is(closed_unread, format!("{done}; closed; the peer has [hello]")),
        CancelledUnread => Cell::No("a Unix socket copies: a send that went is done"),
        Foreign => common::foreign(operation),
        OtherKind => is(no_socket, operation.fails("ENOTSOCK")),
        TwoInOrder => is(two_sends, operation.of_two()),
        AtCapacity => common::at_capacity(operation),
        Stopped => Cell::No(ONE_RESULT),
        LoopDropped => common::loop_dropped(operation),
        LoopDroppedWhenDone => common::loop_dropped_when_done(operation),
        Refused | BadAddress | NoListener => Cell::No(NO_ADDRESS),
        NobodyReads => {
            is(nobody_reads, format!("{}; the peer has []", operation.fails("ECANCELED")))
        }
        EndOfFile | BeyondAnyFile | WrongKind | Missing => Cell::No(NO_FILE),
    }
}

impl Operation {
    fn of_two(self) -> String {
        let done = self.done();
        format!("one {done}; two {done}; the peer has [hellohello]")
    }
}

impl Outcome for (UnixStream, UnixAddress) {
    fn text(&self) -> String {
        if self.1.is_unnamed() { "connection".into() } else { "another's address".into() }
    }
}

impl Outcome for Delivery {
    fn text(&self) -> String {
        self.bytes.to_string()
    }
}

/// A new descriptor.
fn descriptor() -> OwnedFd {
    std::io::pipe().unwrap().0.into()
}

pub(crate) fn begin(b: &Bench, operation: Operation, scene: &Scene, context: Context) -> Op {
    match operation {
        Operation::AcceptUnix => b.io.accept_unix(context, ended),
        Operation::AcceptUnixEach => {
            let next = if scene.stops { Next::Stop } else { Next::Continue };
            let each = move |context: &mut Context, _io: &Io, stream: UnixStream| {
                drop(stream);
                context.put("connection");
                next
            };
            b.io.accept_unix_each(context, each, over)
        }
        Operation::ConnectUnix => {
            let path = scene.directory.as_ref().unwrap().join("s");
            b.io.connect_unix(context, path, connected)
        }
        Operation::RecvUnix => b.io.recv(context, b.room(scene.room), came),
        Operation::SendUnix => b.io.send(context, b.holding(&scene.bytes), came),
        Operation::SendDescriptors => {
            let (buf, all) = (b.holding(&scene.bytes), vec![descriptor()]);
            b.io.send_with_descriptors(context, buf, all, passed)
        }
        _ => {
            let room = Vec::with_capacity(scene.descriptors);
            b.io.recv_with_descriptors(context, b.room(scene.room), room, received)
        }
    }
}

fn connected(context: Context, _io: &Io, result: std::io::Result<UnixStream>) {
    context.put(result.map_or_else(|error| failure(&error), |_stream| "connected".into()));
}

fn passed(
    context: Context,
    _io: &Io,
    buf: Buffer,
    all: Vec<OwnedFd>,
    result: std::io::Result<usize>,
) {
    context.put(format!("{} {buf} {}", said(&result), all.len()));
}

fn received(
    context: Context,
    _io: &Io,
    buf: Buffer,
    all: Vec<OwnedFd>,
    result: std::io::Result<Delivery>,
) {
    let cut =
        if result.as_ref().is_ok_and(|delivery| delivery.descriptors_cut) { " cut" } else { "" };
    context.put(format!("{} {buf}{cut} {}", said(&result), all.len()));
}

impl Scene {
    /// What an operation on Unix sockets meets in the ordinary case.
    pub(crate) fn unix(&mut self, b: &Bench, operation: Operation) {
        let later = self.when == When::Later;
        match operation {
            Operation::ConnectUnix => self.unix_server(later),
            Operation::SendUnix | Operation::SendDescriptors if later => self.unix_full(b),
            _ if operation.accepts() => {
                let directory = Scratch::new();
                let listener = std::os::unix::net::UnixListener::bind(directory.join("s")).unwrap();
                self.watch = Some(OwnedFd::from(listener.try_clone().unwrap()).into());
                self.on = Some(Rc::new(UnixListener::from_std(&b.io, listener).unwrap()));
                self.directory = Some(directory);
            }
            _ => drop(self.unix_pair(b)),
        }
    }

    /// Somebody who listens; or whose backlog is full, of one connection.
    fn unix_server(&mut self, full: bool) {
        let directory = Scratch::new();
        let address = SockAddr::unix(directory.join("s")).unwrap();
        let listener = unix_socket();
        listener.bind(&address).unwrap();
        listener.listen(if full { 0 } else { 16 }).unwrap();
        if full {
            let waits = unix_socket();
            waits.connect(&address).unwrap();
            self.others.push(Box::new(waits));
        }
        self.watch = Some(listener);
        self.directory = Some(directory);
    }

    /// The near end, once more.
    fn unix_pair(&mut self, b: &Bench) -> Socket {
        let (near, far) = Socket::pair(Domain::UNIX, Type::STREAM, None).unwrap();
        far.set_read_timeout(Some(crate::bench::HANG)).unwrap();
        self.watch = Some(near.try_clone().unwrap());
        let again = near.try_clone().unwrap();
        let near = UnixStream::from_std(&b.io, OwnedFd::from(near).into()).unwrap();
        self.on = Some(Rc::new(near));
        self.unix_peer = Some(far);
        again
    }

    fn unix_full(&mut self, b: &Bench) {
        let near = self.unix_pair(b);
        while let Ok(count) = near.send_with_flags(&[0; 65_536], libc::MSG_DONTWAIT) {
            self.in_the_way += count;
        }
    }

    /// What the operation waits for comes about.
    pub(crate) fn unix_arrive(&mut self, operation: Operation) {
        match operation {
            Operation::ConnectUnix => {
                let listener = self.watch.as_ref().unwrap();
                self.others.push(Box::new(listener.accept().unwrap()));
            }
            Operation::RecvDescriptors => {
                send_with_descriptor(self.unix_peer(), b"hello", &descriptor())
            }
            _ => {
                let path = self.directory.as_ref().unwrap().join("s");
                let client = std::os::unix::net::UnixStream::connect(path).unwrap();
                self.others.push(Box::new(client));
            }
        }
        if !self.awaited && operation.receives() {
            self.settle(libc::POLLIN);
        }
    }

    /// The peer closes with bytes that it has not received.
    fn unix_reset(&mut self) {
        if self.in_the_way == 0 {
            self.watch().send(b"unread").unwrap();
        }
        drop(self.unix_peer.take());
        self.settle(libc::POLLERR);
    }
}

fn unix_socket() -> Socket {
    Socket::new(Domain::UNIX, Type::STREAM, None).unwrap()
}

fn ended_before(b: Bench, operation: Operation) {
    let mut scene = Scene::of(&b, operation, When::There);
    scene.others.clear();
    go(&b, operation, &mut scene);
}

fn shut(b: Bench, operation: Operation) {
    let mut scene = Scene::of(&b, operation, When::Later);
    let half = if operation.receives() { Shutdown::Read } else { Shutdown::Write };
    scene.watch().shutdown(half).unwrap();
    go(&b, operation, &mut scene);
}

fn shut_while(b: Bench, operation: Operation) {
    let (mut scene, _op) = waiting(&b, operation);
    scene.watch().shutdown(Shutdown::Write).unwrap();
    b.turn();
    b.put("room");
    scene.arrive(&b, operation);
    conclude(&b, operation, &scene);
}

/// A stream does not accept.
fn no_listener(b: Bench, operation: Operation) {
    let mut scene = Scene::nothing(When::There);
    scene.on = Some(Rc::new(UnixStream::pair(&b.io).unwrap().0));
    go(&b, operation, &mut scene);
}

fn two(b: Bench, operation: Operation) {
    let mut scene = Scene::of(&b, operation, When::Later);
    for name in ["one ", "two "] {
        scene.name = name;
        start(&b, operation, &mut scene);
    }
    b.turn();
    scene.arrive(&b, operation);
    b.until(1);
    scene.arrive(&b, operation);
    b.finish();
}

fn stopped(b: Bench, operation: Operation) {
    let mut scene = Scene::of(&b, operation, When::There);
    go(&b, operation, &mut scene);
    scene.arrive(&b, operation);
    go(&b, operation, &mut scene);
}

/// The connection was made, and nobody will accept it.
fn listener_goes_at_once(b: Bench, operation: Operation) {
    let mut scene = Scene::of(&b, operation, When::There);
    start(&b, operation, &mut scene);
    drop(scene.watch.take());
    b.finish();
}

/// A socket that is bound and does not listen.
fn refused(b: Bench, operation: Operation) {
    let mut scene = Scene::nothing(When::There);
    let (directory, bound) = (Scratch::new(), unix_socket());
    bound.bind(&SockAddr::unix(directory.join("s")).unwrap()).unwrap();
    scene.directory = Some(directory);
    go(&b, operation, &mut scene);
}

/// The file of a socket that is gone.
fn no_listener_any_more(b: Bench, operation: Operation) {
    let mut scene = Scene::of(&b, operation, When::There);
    drop(scene.watch.take());
    go(&b, operation, &mut scene);
}

/// No such file; a path that is too long; one with a NUL.
fn bad_address(b: Bench, _operation: Operation) {
    let directory = Scratch::new();
    let long = "x".repeat(200);
    for name in ["none", &long, "a\0b"] {
        b.io.connect_unix(b.context(None, ""), directory.join(name), |context, _io, result| {
            let error = result.map(drop).unwrap_err();
            let code = error.raw_os_error().map(|_code| failure(&error));
            context.put(code.unwrap_or_else(|| format!("{:?}", error.kind())));
        });
        b.finish();
    }
}

fn no_room(b: Bench, operation: Operation) {
    let mut scene = Scene::of(&b, operation, When::There);
    scene.room = 0;
    go(&b, operation, &mut scene);
    assert!(has(scene.watch(), libc::POLLIN), "nothing is taken without room");
}

/// More bytes than fit, and a descriptor for which there is no room.
fn more_than_fits(b: Bench, operation: Operation) {
    let mut scene = Scene::of(&b, operation, When::There);
    (scene.room, scene.descriptors) = (4, 0);
    go(&b, operation, &mut scene);
    go(&b, operation, &mut scene);
}

fn twice(b: &Bench, operation: Operation, mut scene: Scene) {
    go(b, operation, &mut scene);
    go(b, operation, &mut scene);
}

fn end_of_stream(b: Bench, operation: Operation) {
    let mut scene = Scene::of(&b, operation, When::Later);
    scene.end();
    twice(&b, operation, scene);
}

fn data_then_end(b: Bench, operation: Operation) {
    let mut scene = Scene::of(&b, operation, When::There);
    scene.end();
    twice(&b, operation, scene);
}

fn data_then_reset(b: Bench, operation: Operation) {
    let mut scene = Scene::of(&b, operation, When::There);
    scene.unix_reset();
    twice(&b, operation, scene);
}

fn reset_before(b: Bench, operation: Operation) {
    let mut scene = Scene::of(&b, operation, When::Later);
    scene.unix_reset();
    twice(&b, operation, scene);
}

fn reset_while(b: Bench, operation: Operation) {
    let (mut scene, _op) = waiting(&b, operation);
    if scene.in_the_way == 0 {
        scene.watch().send(b"unread").unwrap();
    }
    drop(scene.unix_peer.take());
    b.finish();
}

fn half_closed(b: Bench, operation: Operation) {
    let (mut scene, _op) = waiting(&b, operation);
    scene.unix_peer().shutdown(Shutdown::Write).unwrap();
    b.finish();
}

/// A pipe is no socket.
fn no_socket(b: Bench, operation: Operation) {
    let mut scene = Scene::nothing(When::There);
    let (reader, mut writer) = std::io::pipe().unwrap();
    writer.write_all(b"hello").unwrap();
    let end = if operation.receives() { reader.into() } else { writer.into() };
    scene.on = Some(Rc::new(Descriptor::new(&b.io, end)));
    go(&b, operation, &mut scene);
}

fn sent(b: Bench, operation: Operation) {
    let mut scene = Scene::of(&b, operation, When::There);
    go(&b, operation, &mut scene);
    scene.tail(&b);
}

fn sent_later(b: Bench, operation: Operation) {
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

fn longer_than_fits(b: Bench, operation: Operation) {
    let mut scene = Scene::of(&b, operation, When::There);
    SockRef::from(scene.watch()).set_send_buffer_size(8192).unwrap();
    scene.bytes = pattern(1 << 20);
    go(&b, operation, &mut scene);
    let said = b.log.take();
    let count: usize = said.split(' ').next().unwrap().parse().unwrap();
    let mut peer = scene.unix_peer.take().unwrap();
    drop(scene);
    let mut all = Vec::new();
    std::io::Read::read_to_end(&mut peer, &mut all).unwrap();
    let some = count > 0 && count < 1 << 20;
    let arrived = all == pattern(count);
    b.put(if some && arrived { "some, which the peer has" } else { "not some" });
}

fn end_of_stream_of_a_send(b: Bench, operation: Operation) {
    let mut scene = Scene::of(&b, operation, When::There);
    scene.end();
    twice(&b, operation, scene);
}

fn reset_before_a_send(b: Bench, operation: Operation) {
    let mut scene = Scene::of(&b, operation, When::There);
    scene.unix_reset();
    twice(&b, operation, scene);
}

fn send_to_half(b: Bench, operation: Operation) {
    let (mut scene, _op) = waiting(&b, operation);
    scene.unix_peer().shutdown(Shutdown::Write).unwrap();
    scene.settle(libc::POLLRDHUP);
    b.turn();
    scene.arrive(&b, operation);
    conclude(&b, operation, &scene);
    scene.tail(&b);
}

fn closed_unread(b: Bench, operation: Operation) {
    let mut scene = Scene::of(&b, operation, When::There);
    start(&b, operation, &mut scene);
    b.turn();
    b.io.close(b.context(scene.on.as_ref(), ""), |context, _io, result| {
        result.unwrap();
        context.put("closed");
    });
    b.finish();
    scene.tail(&b);
}

fn two_sends(b: Bench, operation: Operation) {
    let mut scene = Scene::of(&b, operation, When::Later);
    for name in ["one ", "two "] {
        scene.name = name;
        start(&b, operation, &mut scene);
    }
    b.turn();
    scene.arrive(&b, operation);
    b.finish();
    scene.tail(&b);
}

fn nobody_reads(b: Bench, operation: Operation) {
    let (scene, op) = waiting(&b, operation);
    b.io.cancel(op);
    conclude(&b, operation, &scene);
    scene.tail(&b);
}
