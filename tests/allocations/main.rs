//! No allocation in the steady state: a counting global allocator watches the loop's thread.
#![allow(clippy::disallowed_methods, reason = "tests have clocks and threads of their own")]

#[path = "../counting/mod.rs"]
mod counting;
#[cfg(unix)]
mod ends;
#[cfg(unix)]
mod files;
#[cfg(unix)]
mod unix;

use std::cell::Cell;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::thread::JoinHandle;
use std::time::Duration;

use counting::{unwatch, watch};
use tigereye::{AsSource, BufferPool, Io, Next, Source, TcpStream, UdpSocket};

const MESSAGE_BYTES: usize = 64;
const WARM_MESSAGES: usize = 2_000;
const MESSAGES: usize = 10_000;
const OPERATIONS: usize = 10_000;

/// Sends messages and awaits their echoes on a thread of its own.
fn peer(address: SocketAddr) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let mut stream = std::net::TcpStream::connect(address).expect("the listener is there");
        stream.set_nodelay(true).expect("an option can be set");
        let (message, mut echo) = ([7; MESSAGE_BYTES], [0; MESSAGE_BYTES]);
        // Some more, so that the measured window ends before the stream does.
        for _ in 0..WARM_MESSAGES + MESSAGES + 16 {
            stream.write_all(&message).expect("the loop receives");
            stream.read_exact(&mut echo).expect("the loop echoes");
            assert_eq!(echo, message);
        }
    })
}

/// A stream of the loop's, and the thread at its other end.
fn connection(io: &Io) -> (TcpStream, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let peer = peer(listener.local_addr().expect("it is bound"));
    let (stream, _address) = listener.accept().expect("the peer connects");
    let stream = TcpStream::from_std(io, stream).expect("a stream is adopted");
    stream.set_nodelay(true).expect("an option can be set");
    (stream, peer)
}

/// Opens and closes the measured window as bytes come in.
#[derive(Default)]
struct Window {
    received: usize,
    allocations: Rc<Cell<Option<usize>>>,
}

impl Window {
    fn received(&mut self, count: usize) {
        let before = self.received / MESSAGE_BYTES;
        self.received += count;
        let after = self.received / MESSAGE_BYTES;
        if before < WARM_MESSAGES && after >= WARM_MESSAGES {
            watch();
        }
        let end = WARM_MESSAGES + MESSAGES;
        if before < end && after >= end {
            self.allocations.set(Some(unwatch()));
        }
    }
}

/// A connection; with `PAD` above the payload of a slot it is kept in a spilled block.
struct Echo<const PAD: usize> {
    stream: TcpStream,
    window: Window,
    pad: [u8; PAD],
}

impl<const PAD: usize> AsSource for Echo<PAD> {
    fn as_source(&self) -> &Source {
        self.stream.as_source()
    }
}

impl<const PAD: usize> Echo<PAD> {
    fn receive(self, io: &Io, mut buf: Vec<u8>) {
        buf.clear();
        io.recv(self, buf, |mut echo, io, buf, result| {
            let count = result.expect("the peer is well-behaved");
            if count == 0 {
                assert!(echo.pad.iter().all(|&byte| byte == 9), "the context is as it was");
                return;
            }
            echo.window.received(count);
            io.send_all(echo, buf, |echo, io, buf, result| {
                result.expect("the peer receives");
                echo.receive(io, buf);
            });
        });
    }
}

fn echo<const PAD: usize>() -> usize {
    let io = Io::new().expect("a loop");
    let (stream, peer) = connection(&io);
    let allocations = Rc::new(Cell::new(None));
    let window = Window { received: 0, allocations: Rc::clone(&allocations) };
    Echo { stream, window, pad: [9; PAD] }.receive(&io, Vec::with_capacity(4096));
    io.run().expect("the loop runs");
    peer.join().expect("the peer is content");
    allocations.get().expect("the window was closed")
}

fn echo_from_pool() -> usize {
    let io = Io::new().expect("a loop");
    let pool = BufferPool::new(&io, 16, 4096).expect("a pool");
    let (stream, peer) = connection(&io);
    let allocations = Rc::new(Cell::new(None));
    let mut window = Window { received: 0, allocations: Rc::clone(&allocations) };
    io.recv_each(
        Rc::new(stream),
        &pool,
        move |stream, io, buf| {
            window.received(buf.len());
            let wanted = buf.len();
            io.send(Rc::clone(stream), buf, move |_stream, _io, _buf, result| {
                assert_eq!(result.expect("the peer receives"), wanted, "it is a short message");
            });
            Next::Continue
        },
        |_stream, _io, result| result.expect("the stream ends"),
    );
    io.run().expect("the loop runs");
    peer.join().expect("the peer is content");
    allocations.get().expect("the window was closed")
}

/// A client sends a datagram and receives its echo, again and again.
fn ping(io: &Io, client: Rc<UdpSocket>, server: SocketAddr, buf: Vec<u8>, mut window: Window) {
    io.send_to(client, buf, server, move |client, io, mut buf, result| {
        assert_eq!(result.expect("it is sent"), MESSAGE_BYTES);
        buf.clear();
        io.recv_from(client, buf, move |client, io, buf, result| {
            let received = result.expect("it is answered");
            assert_eq!((received.from, received.len), (server, MESSAGE_BYTES));
            window.received(received.len);
            if window.allocations.get().is_some() {
                return io.stop();
            }
            ping(io, client, server, buf, window);
        });
    });
}

fn datagrams() -> usize {
    let io = Io::new().expect("a loop");
    let pool = BufferPool::new(&io, 16, 4096).expect("a pool");
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let [client, server] =
        [(); 2].map(|()| Rc::new(UdpSocket::bind(&io, any).expect("a port is free")));
    let address = server.local_addr().expect("it is bound");
    io.recv_from_each(
        server,
        &pool,
        |server, io, datagram| {
            let from = datagram.from;
            io.send_to(Rc::clone(server), datagram, from, |_server, _io, _datagram, result| {
                assert_eq!(result.expect("it is sent"), MESSAGE_BYTES);
            });
            Next::Continue
        },
        |_server, _io, _result| {},
    );
    let allocations = Rc::new(Cell::new(None));
    let window = Window { received: 0, allocations: Rc::clone(&allocations) };
    ping(&io, client, address, vec![7; MESSAGE_BYTES], window);
    io.run().expect("the loop runs");
    allocations.get().expect("the window was closed")
}

/// Runs `round` twice on one loop; counts the second time. It must have `OPERATIONS` callbacks.
fn second_round(round: fn(&Io, &Rc<Cell<usize>>)) -> usize {
    // With more threads, one may start in the second round for the first time.
    let io = Io::builder().pool_threads(1).build().expect("a loop");
    let calls = Rc::new(Cell::new(0));
    round(&io, &calls);
    io.run().expect("the loop runs");
    assert_eq!(calls.take(), OPERATIONS);
    watch();
    round(&io, &calls);
    io.run().expect("the loop runs");
    let allocations = unwatch();
    assert_eq!(calls.get(), OPERATIONS);
    allocations
}

fn delay(at: usize) -> Duration {
    Duration::from_micros(at as u64 * 7_919 % 5_000)
}

fn timeouts_that_fire(io: &Io, calls: &Rc<Cell<usize>>) {
    for at in 0..OPERATIONS {
        io.timeout(Rc::clone(calls), delay(at), |calls, _io, result| {
            result.expect("the time comes");
            calls.set(calls.get() + 1);
        });
    }
}

fn timeouts_that_are_cancelled(io: &Io, calls: &Rc<Cell<usize>>) {
    for at in 0..OPERATIONS {
        let delay = Duration::from_secs(60) + delay(at);
        let op = io.timeout(Rc::clone(calls), delay, |calls, _io, result| {
            assert!(tigereye::is_cancelled(&result.expect_err("it is cancelled")));
            calls.set(calls.get() + 1);
        });
        io.cancel(op);
    }
}

fn nexts(io: &Io, calls: &Rc<Cell<usize>>) {
    for _ in 0..OPERATIONS {
        io.next(Rc::clone(calls), |calls, _io| calls.set(calls.get() + 1));
    }
}

fn nexts_in_a_chain(io: &Io, calls: &Rc<Cell<usize>>) {
    io.next(Rc::clone(calls), |calls, io| {
        calls.set(calls.get() + 1);
        if calls.get() < OPERATIONS {
            nexts_in_a_chain(io, &calls);
        }
    });
}

fn contexts_of_500_bytes(io: &Io, calls: &Rc<Cell<usize>>) {
    for at in 0..OPERATIONS {
        let context = ([9_u8; 500], Rc::clone(calls));
        io.timeout(context, delay(at), |(pad, calls), _io, result| {
            result.expect("the time comes");
            assert_eq!(pad, [9; 500]);
            calls.set(calls.get() + 1);
        });
    }
}

#[test]
#[cfg(unix)]
fn rule7_the_end_of_a_loop_frees_the_memory_of_what_was_in_flight() {
    ends::all_memory_comes_back();
}

#[test]
fn the_steady_state_allocates_nothing() {
    watch();
    drop(std::hint::black_box(Box::new(1_u8)));
    assert_eq!(unwatch(), 1, "the counter counts");
    assert_eq!(echo::<0>(), 0, "recv and send_all with one vector");
    assert_eq!(echo::<500>(), 0, "recv and send_all with a context of 500 bytes");
    assert_eq!(echo_from_pool(), 0, "recv_each and send of its buffers");
    assert_eq!(datagrams(), 0, "send_to, recv_from and recv_from_each");
    assert_eq!(second_round(timeouts_that_fire), 0, "timeouts that fire");
    assert_eq!(second_round(timeouts_that_are_cancelled), 0, "timeouts that are cancelled");
    assert_eq!(second_round(nexts), 0, "next");
    assert_eq!(second_round(nexts_in_a_chain), 0, "next inside next");
    assert_eq!(second_round(contexts_of_500_bytes), 0, "spilled blocks");
}

#[cfg(unix)]
#[test]
fn unix_sockets_allocate_nothing() {
    assert_eq!(unix::unix_datagrams(), 0, "send_to_unix, recv_from_unix and recv_from_unix_each");
    assert_eq!(unix::passing(), 0, "a descriptor that is passed on and on");
}

#[cfg(unix)]
#[test]
fn files_allocate_nothing() {
    assert_eq!(second_round(files::reads_and_opens), 0, "files");
    assert_eq!(second_round(files::paths), 0, "paths");
    #[cfg(target_os = "linux")]
    assert_eq!(
        second_round(files::splices),
        4,
        "splices, but for the four handles that they share"
    );
    let data_files = second_round(files::writes_and_syncs);
    std::fs::remove_file(files::PATH.with(Rc::clone)).expect("it was made");
    assert_eq!(data_files, 0, "data files");
}
