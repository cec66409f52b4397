//! No allocation in the steady state: a counting global allocator watches the loop's thread.
#![allow(clippy::disallowed_methods, reason = "tests have clocks and threads of their own")]

mod counting;

use std::cell::Cell;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::rc::Rc;
use std::thread::JoinHandle;
use std::time::Duration;

use counting::{unwatch, watch};
#[cfg(target_os = "linux")]
use tigereye::Descriptor;
use tigereye::{
    AsSource, BufferPool, DataFile, DataFileOptions, DirectIo, File, Io, Next, OpenOptions,
    PoolBuf, Source, TcpStream, UdpSocket, UnixAddress, UnixDatagram, UnixStream,
};

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

/// As [`ping`], by a Unix socket.
fn ping_unix(io: &Io, client: Rc<UnixDatagram>, to: UnixAddress, buf: Vec<u8>, mut window: Window) {
    io.send_to_unix(client, buf, to, move |client, io, mut buf, result| {
        assert_eq!(result.expect("it is sent"), MESSAGE_BYTES);
        buf.clear();
        io.recv_from_unix(client, buf, move |client, io, buf, result| {
            let received = result.expect("it is answered");
            window.received(received.len);
            if window.allocations.get().is_some() {
                return io.stop();
            }
            ping_unix(io, client, received.from, buf, window);
        });
    });
}

fn unix_datagrams() -> usize {
    let io = Io::new().expect("a loop");
    let pool = BufferPool::new(&io, 16, 4096).expect("a pool");
    let path = |name| {
        let name = format!("tigereye-allocations-{}-{name}", std::process::id());
        std::env::temp_dir().join(name)
    };
    let paths = [path("client"), path("server")];
    let [client, server] = [&paths[0], &paths[1]]
        .map(|path| Rc::new(UnixDatagram::bind(&io, path).expect("the path is free")));
    let address = server.local_addr().expect("it is bound");
    io.recv_from_unix_each(
        server,
        &pool,
        |server, io, datagram| {
            let from = datagram.from.clone();
            io.send_to_unix(
                Rc::clone(server),
                datagram,
                from,
                |_server, _io, _datagram, result| {
                    assert_eq!(result.expect("it is sent"), MESSAGE_BYTES);
                },
            );
            Next::Continue
        },
        |_server, _io, _result| {},
    );
    let allocations = Rc::new(Cell::new(None));
    let window = Window { received: 0, allocations: Rc::clone(&allocations) };
    ping_unix(&io, client, address, vec![7; MESSAGE_BYTES], window);
    io.run().expect("the loop runs");
    for path in paths {
        std::fs::remove_file(path).expect("it was bound");
    }
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

/// One descriptor that goes round and round between two ends.
struct Passing {
    ends: [Rc<UnixStream>; 2],
    left: usize,
    allocations: Rc<Cell<usize>>,
}

impl Passing {
    fn pass(
        mut self,
        io: &Io,
        mut message: Vec<u8>,
        descriptors: Vec<OwnedFd>,
        room: Vec<OwnedFd>,
    ) {
        match self.left {
            OPERATIONS => watch(),
            0 => return self.allocations.set(unwatch()),
            _ => {}
        }
        self.left -= 1;
        let near = Rc::clone(&self.ends[0]);
        message.push(1);
        io.send_with_descriptors(
            near,
            message,
            descriptors,
            |_near, io, mut message, sent, result| {
                result.expect("there is room");
                message.clear();
                let far = Rc::clone(&self.ends[1]);
                io.recv_with_descriptors(
                    far,
                    message,
                    room,
                    |_far, io, mut message, passed, result| {
                        result.expect("it was sent");
                        message.clear();
                        let mut room = sent;
                        room.clear();
                        self.pass(io, message, passed, room);
                    },
                );
            },
        );
    }
}

fn passing() -> usize {
    let io = Io::new().expect("a loop");
    let (near, far) = UnixStream::pair(&io).expect("a pair");
    let allocations = Rc::new(Cell::new(usize::MAX));
    let (reader, _writer) = std::io::pipe().expect("a pipe");
    let ends = [near, far].map(Rc::new);
    let left = WARM_MESSAGES + OPERATIONS;
    let passing = Passing { ends, left, allocations: Rc::clone(&allocations) };
    passing.pass(&io, Vec::with_capacity(1), vec![reader.into()], Vec::with_capacity(1));
    io.run().expect("the loop runs");
    allocations.get()
}

/// A file that is read from, and opened again and again.
struct Reader {
    file: File,
    calls: Rc<Cell<usize>>,
}

impl AsSource for Reader {
    fn as_source(&self) -> &Source {
        self.file.as_source()
    }
}

impl Reader {
    fn go_on(self, io: &Io, mut buf: Vec<u8>) {
        buf.clear();
        io.read_at(self, buf, 1, |reader, io, buf, result| {
            assert_eq!(result.expect("the file is there"), 64);
            reader.calls.set(reader.calls.get() + 2);
            if reader.calls.get() == OPERATIONS {
                return CONTENTS.set(buf);
            }
            let options = OpenOptions::new().read(true);
            io.open((reader.calls, buf), SOME_FILE, &options, |(calls, buf), io, file| {
                Reader { file: file.expect("it opens"), calls }.go_on(io, buf);
            });
        });
    }
}

/// Longer than its 65 first bytes.
const SOME_FILE: &str = "/proc/self/exe";

thread_local! {
    static CONTENTS: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// The first round leaves its buffer to the second one.
fn reads_and_opens(io: &Io, calls: &Rc<Cell<usize>>) {
    let buf = Some(CONTENTS.take()).filter(|buf| !buf.is_empty());
    let options = OpenOptions::new().read(true);
    let context = (Rc::clone(calls), buf.unwrap_or_else(|| Vec::with_capacity(64)));
    io.open(context, SOME_FILE, &options, |(calls, buf), io, file| {
        Reader { file: file.expect("it opens"), calls }.go_on(io, buf);
    });
}

/// Bytes that go through a pipe, to it and from it in turn.
#[cfg(target_os = "linux")]
struct Pipe {
    ends: [Rc<Descriptor>; 4],
    calls: Rc<Cell<usize>>,
}

#[cfg(target_os = "linux")]
impl Pipe {
    fn go_on(self, io: &Io) {
        let [zeroes, writer, reader, null] = &self.ends;
        let moved = |pipe: Pipe, io: &Io, result: std::io::Result<u64>| {
            assert_eq!(result.expect("it moves"), 1);
            pipe.calls.set(pipe.calls.get() + 1);
            if pipe.calls.get() < OPERATIONS {
                pipe.go_on(io);
            }
        };
        let (from, to) =
            if self.calls.get().is_multiple_of(2) { (zeroes, writer) } else { (reader, null) };
        let (from, to) = (Rc::clone(from), Rc::clone(to));
        io.splice(to, &*from, 1, move |_to, io, result| moved(self, io, result));
    }
}

#[cfg(target_os = "linux")]
fn splices(io: &Io, calls: &Rc<Cell<usize>>) {
    let own = |fd: OwnedFd| Rc::new(Descriptor::new(io, fd));
    let (reader, writer) = std::io::pipe().expect("a pipe");
    let zeroes = std::fs::File::open("/dev/zero").expect("zeroes");
    let null = std::fs::File::options().write(true).open("/dev/null").expect("a sink");
    let ends = [own(zeroes.into()), own(writer.into()), own(reader.into()), own(null.into())];
    Pipe { ends, calls: Rc::clone(calls) }.go_on(io);
}

/// Asks of a file, and tries what its path does not allow; of each of four in turn.
fn paths(io: &Io, calls: &Rc<Cell<usize>>) {
    let calls = Rc::clone(calls);
    let goes_on = |calls: Rc<Cell<usize>>, io: &Io| {
        calls.set(calls.get() + 1);
        if calls.get() < OPERATIONS {
            paths(io, &calls);
        }
    };
    let nowhere = "/proc/nobody/is/here";
    let ended = move |calls, io: &Io, result: std::io::Result<()>| {
        assert!(result.is_err());
        goes_on(calls, io);
    };
    match calls.get() % 4 {
        0 => io.metadata_at(calls, SOME_FILE, true, move |calls, io, result| {
            assert!(result.expect("the file is there").is_file());
            goes_on(calls, io);
        }),
        1 => io.rename(calls, nowhere, nowhere, ended),
        2 => io.remove_file(calls, nowhere, ended),
        _ => io.symlink(calls, nowhere, nowhere, ended),
    };
}

/// A data file that is written past the cache, where it can be, synced now and then, and opened
/// again.
struct Writer {
    file: DataFile,
    path: Rc<Path>,
    calls: Rc<Cell<usize>>,
}

impl AsSource for Writer {
    fn as_source(&self) -> &Source {
        self.file.as_source()
    }
}

thread_local! {
    /// What is written …
    static BLOCK: Cell<Option<PoolBuf>> = const { Cell::new(None) };
    /// … and where to.
    static PATH: Rc<Path> = {
        let name = format!("tigereye-allocations-{}", std::process::id());
        Rc::from(std::env::temp_dir().join(name))
    };
}

impl Writer {
    /// What comes next, by the number of callbacks so far.
    fn go_on(self, io: &Io, buf: PoolBuf) {
        let call = self.calls.get() + 1;
        self.calls.set(call);
        if call == OPERATIONS {
            return BLOCK.set(Some(buf));
        }
        if call.is_multiple_of(1000) {
            let Writer { file, path, calls } = self;
            drop(file);
            return Writer::open(io, path, calls, buf);
        }
        if call.is_multiple_of(200) {
            io.sync_data(self, |writer, io, result| {
                result.expect("the disk works");
                writer.go_on(io, buf);
            });
            return;
        }
        let offset = call as u64 % 16 * 4096;
        io.write_all_at(self, buf, offset, |writer, io, buf, result| {
            result.expect("there is room");
            writer.go_on(io, buf);
        });
    }

    fn open(io: &Io, path: Rc<Path>, calls: Rc<Cell<usize>>, buf: PoolBuf) {
        let options = DataFileOptions::new(1 << 16).create(true).direct(DirectIo::Optional);
        let at = Rc::clone(&path);
        io.open_data_file((path, calls), &*at, &options, |(path, calls), io, file| {
            Writer { file: file.expect("it opens"), path, calls }.go_on(io, buf);
        });
    }
}

/// The first round leaves its buffer and its path to the second one.
fn writes_and_syncs(io: &Io, calls: &Rc<Cell<usize>>) {
    let buf = BLOCK.take().unwrap_or_else(|| {
        let pool = BufferPool::aligned(io, 1, 4096).expect("memory");
        // Where memory can be registered: it makes no difference here.
        let _ = pool.register();
        let mut buf = pool.take().expect("it has one");
        buf.resize_to_capacity();
        buf
    });
    Writer::open(io, PATH.with(Rc::clone), Rc::clone(calls), buf);
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
    assert_eq!(unix_datagrams(), 0, "the same of Unix sockets");
    assert_eq!(passing(), 0, "a descriptor that is passed on and on");
    assert_eq!(second_round(timeouts_that_fire), 0, "timeouts that fire");
    assert_eq!(second_round(timeouts_that_are_cancelled), 0, "timeouts that are cancelled");
    assert_eq!(second_round(nexts), 0, "next");
    assert_eq!(second_round(nexts_in_a_chain), 0, "next inside next");
    assert_eq!(second_round(contexts_of_500_bytes), 0, "spilled blocks");
    assert_eq!(second_round(reads_and_opens), 0, "files");
    assert_eq!(second_round(paths), 0, "paths");
    #[cfg(target_os = "linux")]
    assert_eq!(second_round(splices), 4, "splices, but for the four handles that they share");
    let data_files = second_round(writes_and_syncs);
    std::fs::remove_file(PATH.with(Rc::clone)).expect("it was made");
    assert_eq!(data_files, 0, "data files");
}
