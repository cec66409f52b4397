//! Starting an operation on a scene.

use std::net::{Ipv4Addr, Shutdown, SocketAddr};
use std::rc::Rc;
use std::sync::mpsc;
use std::time::Duration;

#[cfg(unix)]
use tigereye::Signal;
use tigereye::{AsSource, ConnectOptions, Datagram, Io, Next, Op, PoolBuf, TcpStream};

use crate::bench::{Bench, Context, came, came_all, ended, failure, over, shown};
use crate::bench::{HANG, Outcome};
#[cfg(unix)]
use crate::files;
use crate::scene::{Scene, When};
use crate::system::file_with;
#[cfg(unix)]
use crate::system::{ending_pipe, raise};
use crate::table::{Family, Operation};

/// Where `ConnectFrom` connects from: Linux has all of 127.0.0.0/8 on its loopback.
pub(crate) const FROM: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

impl Outcome for (TcpStream, SocketAddr) {
    fn text(&self) -> String {
        match self.0.peer_addr() {
            Ok(address) if address != self.1 => "another's address".into(),
            _ => "connection".into(),
        }
    }
}

impl Outcome for u8 {
    fn text(&self) -> String {
        self.to_string()
    }
}

/// Starts it, takes it up where it was paused, and runs to the end.
pub(crate) fn go(b: &Bench, operation: Operation, scene: &mut Scene) {
    let op = start(b, operation, scene);
    b.io.resume(op);
    conclude(b, operation, scene);
}

/// Runs to the end, and says how a connection is whose operation has no callback.
pub(crate) fn conclude(b: &Bench, operation: Operation, scene: &Scene) {
    b.finish();
    if operation == Operation::SendDetached && scene.is_watched() {
        scene.state(b);
    }
}

/// Starts it; a flow that is to be paused is so when this returns.
pub(crate) fn start(b: &Bench, operation: Operation, scene: &mut Scene) -> Op {
    let context = b.context(scene.on.as_ref(), scene.name);
    let op = match operation.family() {
        Family::Listen => listen(b, operation, scene, context),
        Family::Connect => {
            let options = ConnectOptions::new();
            let options = match operation {
                Operation::ConnectFrom => options.bind((FROM, 0).into()),
                _ => options,
            };
            connect(b, operation, scene.address, &options, context)
        }
        Family::Receive => receive(b, operation, scene, context),
        Family::Send => send(b, operation, scene, context),
        Family::ReceiveFrom => receive_from(b, operation, scene, context),
        Family::SendTo if operation == Operation::SendTo => {
            b.io.send_to(context, b.holding(&scene.bytes), scene.address, came)
        }
        Family::SendTo => {
            let to = Some(scene.address);
            b.io.send_segments(context, b.holding(&scene.bytes), scene.segment, to, came)
        }
        Family::Halves => halve(b, operation, context),
        Family::Ready if operation == Operation::Readable => b.io.readable(context, ended),
        Family::Ready => b.io.writable(context, ended),
        Family::Own => own(b, operation, scene, context),
        #[cfg(unix)]
        Family::Files => files::start(b, operation, scene, context),
        #[cfg(unix)]
        Family::Unix => crate::unix::begin(b, operation, scene, context),
        #[cfg(unix)]
        Family::UnixDatagram => crate::unix_datagram::begin(b, operation, scene, context),
        #[cfg(unix)]
        Family::Signal => listen_to_signals(b, scene, context),
        #[cfg(windows)]
        Family::Files | Family::Unix | Family::UnixDatagram | Family::Signal => {
            unreachable!("they have no cells")
        }
        Family::Post => unreachable!("a post is no operation"),
        Family::DataFile => unreachable!("its cells start it"),
    };
    scene.awaited = scene.when == When::Later;
    if operation.is_paused() {
        if scene.when == When::Later {
            b.turn();
        }
        b.io.pause(op);
        b.turn();
    }
    op
}

fn listen(b: &Bench, operation: Operation, scene: &Scene, context: Context) -> Op {
    if operation == Operation::Accept {
        return b.io.accept(context, ended);
    }
    let next = next(scene);
    let each = move |context: &mut Context, _io: &Io, stream: TcpStream| {
        drop(stream);
        context.put("connection");
        next
    };
    b.io.accept_each(context, each, over)
}

fn next(scene: &Scene) -> Next {
    if scene.stops { Next::Stop } else { Next::Continue }
}

pub(crate) fn connect(
    b: &Bench,
    operation: Operation,
    address: SocketAddr,
    options: &ConnectOptions,
    context: Context,
) -> Op {
    let from = operation == Operation::ConnectFrom;
    let connected = move |context: Context, _io: &Io, result: std::io::Result<TcpStream>| {
        context.put(match result {
            Ok(stream) => {
                assert_eq!(stream.local_addr().unwrap().ip() == FROM, from);
                "connected".into()
            }
            Err(error) => failure(&error),
        });
    };
    match operation {
        Operation::ConnectHost => {
            b.io.connect_host(context, address.to_string(), options, connected)
        }
        Operation::Connect => b.io.connect(context, address, connected),
        _ => b.io.connect_with(context, address, options, connected),
    }
}

fn receive(b: &Bench, operation: Operation, scene: &Scene, context: Context) -> Op {
    let room = || b.room(scene.room);
    match operation {
        Operation::Recv => b.io.recv(context, room(), came),
        Operation::RecvExact => b.io.recv_exact(context, room(), scene.exact, came),
        #[cfg(unix)]
        Operation::Read => b.io.read(context, room(), came),
        #[cfg(unix)]
        Operation::ReadExact => b.io.read_exact(context, room(), scene.exact, came),
        Operation::RecvVectored => {
            let first = scene.room.min(3);
            let bufs = vec![b.room(first), b.room(scene.room - first)];
            b.io.recv_vectored(context, bufs, came_all)
        }
        _ => {
            let (next, keeps, kept) = (next(scene), scene.keeps, Rc::clone(&scene.kept));
            let each = move |context: &mut Context, _io: &Io, buf: PoolBuf| {
                context.put(shown(&buf));
                if keeps {
                    kept.borrow_mut().push(buf);
                }
                next
            };
            b.io.recv_each(context, scene.pool.as_ref().unwrap(), each, over)
        }
    }
}

fn receive_from(b: &Bench, operation: Operation, scene: &Scene, context: Context) -> Op {
    let pool = scene.pool.as_ref();
    match operation {
        Operation::RecvFrom => b.io.recv_from(context, b.room(scene.room), came),
        #[cfg(unix)]
        Operation::RecvFromUnix => b.io.recv_from_unix(context, b.room(scene.room), came),
        #[cfg(unix)]
        Operation::RecvFromUnixEach => {
            b.io.recv_from_unix_each(context, pool.unwrap(), each_datagram(scene), over)
        }
        _ => b.io.recv_from_each(context, pool.unwrap(), each_datagram(scene), over),
    }
}

fn each_datagram<A: 'static>(
    scene: &Scene,
) -> impl FnMut(&mut Context, &Io, Datagram<A>) -> Next + 'static {
    let (next, keeps, kept) = (next(scene), scene.keeps, Rc::clone(&scene.kept_datagrams));
    move |context, _io, datagram| {
        context.put(shown(&datagram) + if datagram.truncated { " cut" } else { "" });
        if keeps {
            kept.borrow_mut().push(Box::new(datagram));
        }
        next
    }
}

fn send(b: &Bench, operation: Operation, scene: &Scene, context: Context) -> Op {
    let whole = || b.holding(&scene.bytes);
    let parts = || {
        let (first, second) = scene.bytes.split_at(scene.bytes.len().min(3));
        vec![b.holding(first), b.holding(second)]
    };
    if operation.moves() {
        let count = scene.bytes.len() as u64;
        return move_from(b, operation, &*from(b, operation, &scene.bytes), 0, count, context);
    }
    match operation {
        Operation::Send => b.io.send(context, whole(), came),
        Operation::SendAll => b.io.send_all(context, whole(), came),
        Operation::SendDetached => b.io.send_detached(&context, whole()),
        #[cfg(unix)]
        Operation::Write => b.io.write(context, whole(), came),
        #[cfg(unix)]
        Operation::WriteAll => b.io.write_all(context, whole(), came),
        Operation::SendVectored => b.io.send_vectored(context, parts(), came_all),
        Operation::SendAllVectored => b.io.send_all_vectored(context, parts(), came_all),
        _ => b.io.send_zero_copy(context, whole(), came),
    }
}

/// What holds these bytes for an operation to move: a file, or a pipe that ends behind them.
pub(crate) fn from(b: &Bench, operation: Operation, bytes: &[u8]) -> Rc<dyn AsSource> {
    #[cfg(unix)]
    if matches!(operation, Operation::Splice | Operation::SpliceAll) {
        return ending_pipe(b, bytes);
    }
    assert!(operation.moves());
    file_with(b, bytes)
}

/// Has an operation move bytes from a descriptor.
pub(crate) fn move_from(
    b: &Bench,
    operation: Operation,
    from: &dyn AsSource,
    offset: u64,
    count: u64,
    context: Context,
) -> Op {
    match operation {
        Operation::SendFile => b.io.send_file(context, from, offset, count, ended),
        #[cfg(windows)]
        Operation::Splice | Operation::SpliceAll => unreachable!("they have no cells"),
        Operation::SendFileAll => b.io.send_file_all(context, from, offset, count, ended),
        #[cfg(unix)]
        Operation::Splice => b.io.splice(context, from, count, ended),
        #[cfg(unix)]
        Operation::SpliceAll => b.io.splice_all(context, from, count, ended),
        _ => unreachable!("it moves nothing"),
    }
}

fn halve(b: &Bench, operation: Operation, context: Context) -> Op {
    match operation {
        Operation::ShutdownRead => b.io.shutdown(context, Shutdown::Read, ended),
        Operation::ShutdownWrite => b.io.shutdown(context, Shutdown::Write, ended),
        Operation::ShutdownBoth => b.io.shutdown(context, Shutdown::Both, ended),
        _ => b.io.close(context, ended),
    }
}

#[cfg(unix)]
fn listen_to_signals(b: &Bench, scene: &Scene, context: Context) -> Op {
    let next = next(scene);
    let each = move |context: &mut Context, _io: &Io, signal: Signal| {
        context.put(signal);
        next
    };
    let op = b.io.signal_each(context, &[Signal::USR1], each, over);
    if scene.when == When::There {
        raise();
    }
    op
}

fn own(b: &Bench, operation: Operation, scene: &mut Scene, context: Context) -> Op {
    let there = scene.when == When::There;
    let after = if there { Duration::from_micros(100) } else { HANG * 2 };
    match operation {
        Operation::Timeout => b.io.timeout(context, after, ended),
        Operation::Next => b.io.next(context, |context, _io| context.put("called")),
        Operation::Event => {
            let (op, trigger) = b.io.event(context, ended);
            if there {
                trigger.pull();
            } else {
                scene.trigger = Some(trigger);
            }
            op
        }
        Operation::Offload => {
            let (release, released) = mpsc::channel();
            if there {
                release.send(()).unwrap();
            } else {
                scene.release = Some(release);
            }
            let call = move || released.recv().map_or(0, |()| 7_u8);
            b.io.offload(context, call, ended)
        }
        _ => {
            let next = next(scene);
            let each = move |context: &mut Context, _io: &Io, _periods| {
                context.put("tick");
                next
            };
            b.io.tick_each(context, after, each, over)
        }
    }
}
