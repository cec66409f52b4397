//! Sequences of operations by chance, on the simulator without faults and on a real driver: what the
//! callbacks see is the same. `TIGEREYE_TEST_SEQUENCES` says how many sequences, from the seed
//! `TIGEREYE_TEST_SEED` on. Unix sockets are in them on Unix alone, where they come in pairs.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests")]

#[path = "common/random.rs"]
mod random;

use std::cell::{Cell, RefCell};
use std::io;
#[cfg(unix)]
use std::io::ErrorKind;
use std::net::{Ipv4Addr, Shutdown, SocketAddr};
use std::rc::Rc;
use std::time::{Duration, Instant};

use random::Random;
use tigereye::{AsSource, Builder, DriverKind, Io, Op, Source, TcpListener, TcpStream, UdpSocket};
#[cfg(unix)]
use tigereye::{Received, UnixAddress, UnixDatagram, UnixStream};

/// Steps of a sequence.
const STEPS: u64 = 25;
/// Connections of each kind, each of two streams of the same loop.
const CONNECTIONS: usize = 2;
/// Where nobody receives datagrams (`tcpmux`, which has no UDP).
const NOBODYS_PORT: u16 = 1;
/// Kinds of steps, by their weights; the last of them are those of Unix datagrams.
const KINDS: u64 = if cfg!(unix) { 29 } else { 25 };
/// Turns after which nothing more comes of a step.
const TURNS: u32 = 6;

/// Longer than anything takes, on the busiest machine.
const HANG: Duration = Duration::from_secs(20);

/// What callbacks saw in a step, in any order.
type Log = Rc<RefCell<Vec<String>>>;

enum Stream {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
}

impl AsSource for Stream {
    fn as_source(&self) -> &Source {
        match self {
            Stream::Tcp(stream) => stream.as_source(),
            #[cfg(unix)]
            Stream::Unix(stream) => stream.as_source(),
        }
    }
}

impl Stream {
    fn in_flight(&self) -> u32 {
        match self {
            Stream::Tcp(stream) => stream.in_flight(),
            #[cfg(unix)]
            Stream::Unix(stream) => stream.in_flight(),
        }
    }

    fn peer(&self) -> io::Result<()> {
        match self {
            Stream::Tcp(stream) => stream.peer_addr().map(drop),
            #[cfg(unix)]
            Stream::Unix(stream) => stream.peer_addr().map(drop),
        }
    }

    fn send_now(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.send_now(bytes),
            #[cfg(unix)]
            Stream::Unix(stream) => stream.send_now(bytes),
        }
    }

    /// Has a close reset the connection, where it can.
    fn resets(&self) {
        match self {
            Stream::Tcp(stream) => drop(stream.set_linger(Some(Duration::ZERO))),
            #[cfg(unix)]
            Stream::Unix(_) => {}
        }
    }
}

/// A stream, and the last operation on it.
struct End {
    stream: Rc<Stream>,
    last: Option<Op>,
}

/// A socket of datagrams, and the last receive on it.
struct Udp {
    socket: Rc<UdpSocket>,
    last: Option<Op>,
}

/// One of two Unix sockets of datagrams, which are each other's peers, and the last receive on it.
#[cfg(unix)]
struct Letters {
    socket: Rc<UnixDatagram>,
    last: Option<Op>,
}

struct Run {
    io: Io,
    log: Log,
    ends: Vec<End>,
    /// The last one has a peer, which is nobody.
    udp: Vec<Udp>,
    #[cfg(unix)]
    letters: Vec<Letters>,
    number: u32,
}

fn told<T: std::fmt::Debug>(result: io::Result<T>) -> String {
    match result {
        Ok(value) => format!("{value:?}"),
        Err(error) if tigereye::is_cancelled(&error) => "cancelled".into(),
        Err(error) => format!("{:?}", error.kind()),
    }
}

fn sum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(7, |sum, &byte| sum.wrapping_mul(31).wrapping_add(u64::from(byte)))
}

impl Run {
    fn new(builder: &Builder) -> Run {
        let io = builder.clone().build().unwrap();
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let udp = |_| Udp { socket: Rc::new(UdpSocket::bind(&io, any).unwrap()), last: None };
        let udp: Vec<Udp> = (0..3).map(udp).collect();
        udp[2].socket.connect(SocketAddr::from((Ipv4Addr::LOCALHOST, NOBODYS_PORT))).unwrap();
        #[cfg(unix)]
        let pair: [UnixDatagram; 2] = UnixDatagram::pair(&io).unwrap().into();
        #[cfg(unix)]
        let letters = pair.map(|socket| Letters { socket: Rc::new(socket), last: None }).into();
        let log = Log::default();
        let mut run = Run {
            io,
            log,
            ends: Vec::new(),
            udp,
            #[cfg(unix)]
            letters,
            number: 0,
        };
        for _ in 0..CONNECTIONS {
            run.connect();
            #[cfg(unix)]
            run.pair();
        }
        run
    }

    #[cfg(unix)]
    fn pair(&mut self) {
        let (near, far) = UnixStream::pair(&self.io).unwrap();
        let end = |stream| End { stream: Rc::new(Stream::Unix(stream)), last: None };
        self.ends.extend([near, far].map(end));
    }

    fn connect(&mut self) {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let listener = TcpListener::bind(&self.io, any).unwrap();
        let address = listener.local_addr().unwrap();
        let streams: Rc<RefCell<Vec<TcpStream>>> = Rc::default();
        self.io.connect(Rc::clone(&streams), address, |streams, _io, stream| {
            streams.borrow_mut().insert(0, stream.unwrap());
        });
        self.io.accept(listener, {
            let streams = Rc::clone(&streams);
            move |_listener, _io, accepted| streams.borrow_mut().push(accepted.unwrap().0)
        });
        self.io.run_for(Duration::from_secs(120)).unwrap();
        let streams = streams.take();
        assert_eq!(streams.len(), 2);
        let end = |stream: TcpStream| {
            // Else what is sent waits for what the peer's system acknowledges late.
            stream.set_nodelay(true).unwrap();
            End { stream: Rc::new(Stream::Tcp(stream)), last: None }
        };
        self.ends.extend(streams.into_iter().map(end));
    }

    /// Puts down what a callback saw.
    fn put(&mut self, name: &str, at: usize) -> impl FnOnce(String) + 'static {
        self.number += 1;
        let (log, head) = (Rc::clone(&self.log), format!("{} {name} on {at}: ", self.number));
        move |what| log.borrow_mut().push(head + &what)
    }

    /// One step by chance; what comes of it. So many callbacks are waited for: some operations of a real
    /// driver's take a moment.
    fn step(&mut self, random: &mut Random, expected: usize) -> Vec<String> {
        let at = random.below(self.ends.len() as u64) as usize;
        let len = 1 + random.below(1500) as usize;
        let stream = Rc::clone(&self.ends[at].stream);
        let op = match random.below(KINDS) {
            0..=4 => self.send(at, stream, len),
            5..=9 => self.receive(at, stream),
            10..=11 => self.receive_exactly(at, stream, len),
            // Of a receive and of who waits beside it, either may be woken first.
            12 if stream.in_flight() == 0 => {
                let put = self.put("readable", at);
                let op = self.io.readable(stream, move |_stream, _io, result| put(told(result)));
                self.turns();
                self.io.cancel(op);
                None
            }
            13 => {
                let how = nature::SHUTDOWNS[random.below(2) as usize];
                let put = self.put("shutdown", at);
                self.io.shutdown(stream, how, move |_stream, _io, result| {
                    put(told(nature::shut_down(result)));
                });
                None
            }
            14..=16 => {
                if let Some(op) = self.ends[at].last {
                    self.io.cancel(op);
                }
                None
            }
            17 => {
                let put = self.put("peer", at);
                put(told(stream.peer()));
                None
            }
            18 => {
                let put = self.put("send_now", at);
                put(told(stream.send_now(&vec![random.below(256) as u8; len])));
                None
            }
            19..=23 => {
                self.datagram_step(random, len);
                None
            }
            #[cfg(unix)]
            25.. => {
                self.letter_step(random, len);
                None
            }
            _ => {
                self.close(at, random);
                None
            }
        };
        self.ends[at].last = op.or(self.ends[at].last);
        self.turns();
        let begin = Instant::now();
        while self.log.borrow().len() < expected && begin.elapsed() < HANG {
            self.io.run_for(Duration::from_millis(1)).unwrap();
        }
        self.turns();
        let mut seen = self.log.take();
        seen.sort_unstable();
        seen.push(format!("{} in flight", self.io.in_flight()));
        seen
    }

    fn turns(&self) {
        for _ in 0..TURNS {
            self.io.poll().unwrap();
        }
    }

    fn close(&mut self, at: usize, random: &mut Random) {
        if loses_errors() {
            return self.close_in_order(at);
        }
        let stream = Rc::clone(&self.ends[at].stream);
        if random.below(2) == 0 {
            stream.resets();
        }
        let put = self.put("close", at);
        self.io.close(stream, move |_stream, _io, result| put(told(result)));
    }

    /// Closes an end of which the peer will not hear by an error: it sends no more, and all that it has
    /// sent is received first.
    fn close_in_order(&mut self, at: usize) {
        let [end, peer] = [at, at ^ 1].map(|at| Rc::clone(&self.ends[at].stream));
        if end.in_flight() + peer.in_flight() > 0 {
            return;
        }
        let put = self.put("close", at);
        let done = Rc::new(Cell::new(false));
        let log = (Rc::clone(&done), put);
        self.io.shutdown(peer, Shutdown::Write, |_peer, _io, _result| {});
        receive_all(&self.io, end, 0, move |end, io, all| {
            io.close(end, move |_end, _io, result| {
                let (done, put) = log;
                done.set(true);
                put(format!("{}, after {all}", told(result)));
            });
        });
        let begin = Instant::now();
        while !done.get() && begin.elapsed() < HANG {
            self.io.run_for(Duration::from_millis(1)).unwrap();
        }
    }

    /// A step of a socket of datagrams.
    fn datagram_step(&mut self, random: &mut Random, len: usize) {
        let count = if loses_errors() { 2 } else { self.udp.len() as u64 };
        let at = random.below(count) as usize;
        let (socket, is_lonely) = (Rc::clone(&self.udp[at].socket), at == 2);
        match random.below(8) {
            0..=2 => {
                let put = self.put("send of a datagram", at);
                let bytes = vec![at as u8; len];
                let end = move |_socket, _io: &Io, _buf, result| put(told(result));
                if is_lonely {
                    self.io.send(socket, bytes, end);
                } else {
                    let to = self.udp[random.below(2) as usize].socket.local_addr().unwrap();
                    self.io.send_to(socket, bytes, to, end);
                }
            }
            3..=6 => {
                let put = self.put("recv_from", at);
                let senders: Vec<_> =
                    self.udp.iter().map(|udp| udp.socket.local_addr().unwrap()).collect();
                // Of some the end is cut.
                let room = Vec::with_capacity(1000);
                let op = self.io.recv_from(socket, room, move |_socket, _io, buf, result| {
                    let told = told(result.map(|received| {
                        let from = senders.iter().position(|sender| *sender == received.from);
                        (received.len, from, received.truncated)
                    }));
                    put(format!("{told} {}", sum(&buf)));
                });
                self.udp[at].last = Some(op);
            }
            _ => {
                if let Some(op) = self.udp[at].last {
                    self.io.cancel(op);
                }
            }
        }
    }

    /// A step of a Unix socket of datagrams.
    #[cfg(unix)]
    fn letter_step(&mut self, random: &mut Random, len: usize) {
        let at = random.below(2) as usize;
        let socket = Rc::clone(&self.letters[at].socket);
        match random.below(16) {
            0..=4 => {
                let put = self.put("send of a letter", at);
                let bytes = vec![at as u8; len];
                self.io.send(socket, bytes, move |_socket, _io, _buf, result| {
                    // Which one it is of a socket that was shut down and has lost its peer differs from
                    // kernel to kernel.
                    let is_over = |error: &io::Error| {
                        [ErrorKind::BrokenPipe, ErrorKind::NotConnected].contains(&error.kind())
                    };
                    put(if result.as_ref().is_err_and(is_over) {
                        "no way to send".into()
                    } else {
                        told(result)
                    });
                });
            }
            5..=11 => {
                let put = self.put("receive of a letter", at);
                let room = Vec::with_capacity(1000);
                let end =
                    move |_socket, _io: &Io, buf: Vec<u8>, result: io::Result<Received<_>>| {
                        let told = told(result.map(|received: Received<UnixAddress>| {
                            (received.len, received.from.is_unnamed(), received.truncated)
                        }));
                        put(format!("{told} {}", sum(&buf)));
                    };
                self.letters[at].last = Some(self.io.recv_from_unix(socket, room, end));
            }
            12..=13 => {
                if let Some(op) = self.letters[at].last {
                    self.io.cancel(op);
                }
            }
            14 => {
                let how = [Shutdown::Write, Shutdown::Both][random.below(2) as usize];
                let put = self.put("shutdown of letters", at);
                self.io.shutdown(socket, how, move |_socket, _io, result| put(told(result)));
            }
            _ => {
                let put = self.put("close of letters", at);
                self.io.close(socket, move |_socket, _io, result| put(told(result)));
            }
        }
    }

    fn send(&mut self, at: usize, stream: Rc<Stream>, len: usize) -> Option<Op> {
        let put = self.put("send", at);
        let bytes: Vec<u8> = (0..len).map(|byte| (byte * at) as u8).collect();
        Some(self.io.send_all(stream, bytes, move |_stream, _io, buf, result| {
            put(format!("{} {}", buf.len(), told(result)));
        }))
    }

    /// Of one byte: a longer receive may be short, on any system.
    fn receive(&mut self, at: usize, stream: Rc<Stream>) -> Option<Op> {
        let put = self.put("recv", at);
        Some(self.io.recv(stream, Box::from([0]), move |_stream, _io, room: Box<[u8]>, result| {
            put(format!("{} {room:?}", told(result)));
        }))
    }

    fn receive_exactly(&mut self, at: usize, stream: Rc<Stream>, len: usize) -> Option<Op> {
        let put = self.put("recv_exact", at);
        let room = Vec::with_capacity(len);
        Some(self.io.recv_exact(stream, room, len, move |_stream, _io, buf, result| {
            put(format!("{} {} {}", told(result), buf.len(), sum(&buf)));
        }))
    }
}

/// Receives until the end, or an error, and says how much that was.
fn receive_all(
    io: &Io,
    stream: Rc<Stream>,
    before: usize,
    end: impl FnOnce(Rc<Stream>, &Io, usize) + 'static,
) {
    io.recv(stream, Vec::with_capacity(10_000), move |stream, io, _buf, result| match result {
        Ok(count @ 1..) => receive_all(io, stream, before + count, end),
        _ => end(stream, io, before),
    });
}

/// Whether this system loses errors that come to a socket by themselves, as Wine does: then nobody
/// resets a connection, or refuses a datagram.
fn loses_errors() -> bool {
    std::env::var_os("TIGEREYE_TEST_LOSES_ERRORS").is_some()
}

/// Where a system differs from the simulated one, which is Linux, by its nature.
mod nature {
    use std::io::{self, ErrorKind};
    use std::net::Shutdown;

    /// On Windows what comes after a receiving half was shut down resets the connection (shutdown in
    /// Microsoft's documentation); on Linux it can still be received.
    pub(super) const SHUTDOWNS: [Shutdown; 2] =
        [Shutdown::Write, if cfg!(windows) { Shutdown::Write } else { Shutdown::Both }];

    /// To Windows a connection that has ended both ways can still be shut down.
    pub(super) fn shut_down(result: io::Result<()>) -> io::Result<()> {
        match result {
            Err(error) if cfg!(windows) && error.kind() == ErrorKind::NotConnected => Ok(()),
            result => result,
        }
    }
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

#[test]
fn the_simulator_and_a_real_driver_tell_callbacks_the_same() {
    if std::env::var("TIGEREYE_DRIVER").is_ok_and(|name| name == "sim") {
        return;
    }
    let (first, sequences) =
        (number("TIGEREYE_TEST_SEED", 0), number("TIGEREYE_TEST_SEQUENCES", 1000));
    for seed in first..first + sequences {
        let builders = [Io::builder(), Io::builder().driver(DriverKind::Sim)];
        let mut runs = builders.map(|builder| (Run::new(&builder), Random(seed)));
        let mut before = Vec::new();
        for step in 0..STEPS {
            let [real, simulated] = &mut runs;
            let simulated = simulated.0.step(&mut simulated.1, 0);
            let real = real.0.step(&mut real.1, simulated.len() - 1);
            before.push(real.join("; "));
            assert_eq!(
                real,
                simulated,
                "TIGEREYE_TEST_SEED={seed}, step {step}: real, simulated; before:\n{}",
                before.join("\n")
            );
        }
    }
}
