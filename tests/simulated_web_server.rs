//! The web server's own code, all of it but its command line, on a simulated host: many clients ask on
//! slow, torn and reset connections, and each byte that they get is the right one.
//! `TIGEREYE_TEST_SEEDS` says how many worlds, from the seed `TIGEREYE_TEST_SEED` on.
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "../examples/web_server/conditions.rs"]
mod conditions;
#[path = "../examples/web_server/connection.rs"]
mod connection;
#[path = "../examples/web_server/figures.rs"]
mod figures;
#[path = "../examples/web_server/files.rs"]
mod files;
#[path = "../examples/web_server/page.rs"]
mod page;
#[path = "common/random.rs"]
mod random;
#[path = "../examples/web_server/request.rs"]
mod request;
#[path = "../examples/web_server/response.rs"]
mod response;
#[path = "common/scratch.rs"]
mod scratch;
#[path = "../examples/web_server/server.rs"]
#[expect(dead_code, reason = "one loop shares with nobody")]
mod server;

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use figures::Figures;
use random::Random;
use scratch::Scratch;
use server::{Limits, Settings};
use tigereye::sim::{FaultKind, Faults, Host, Latency, World};
use tigereye::{ConnectOptions, DriverKind, Io, TcpStream};

const SECOND: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(1);
const LIMITS: Limits = Limits {
    head: Duration::from_secs(2),
    idle: Duration::from_secs(5),
    send: Duration::from_secs(5),
    grace: SECOND,
};
/// Longer than any of the limits, and what a slow network adds to them: who waits for that long was
/// forgotten.
const FORGOTTEN: Duration = Duration::from_secs(60);
/// How long the network is bad.
const BAD: Duration = Duration::from_secs(20);
const CLIENTS: u8 = 5;
/// Connections that a client makes, and so many of them at once.
const VISITS: u32 = 24;
const LANES: u32 = 3;
/// What the server's loop has in flight without a connection: it accepts, and it ticks.
const AT_REST: u32 = 2;

/// A file under the root, which the pool reads: from the machine's disk, by the standard library.
const NOTE_BYTES: usize = 9000;
const NOTE_TYPE: &str = "text/plain; charset=utf-8";
/// What is said of it: it is from the second 1,000,000,000.
const NOTE_FIELDS: &str = "ETag: \"de0b6b3a7640000-2328\"\r\n\
    Last-Modified: Sun, 09 Sep 2001 01:46:40 GMT\r\nAccept-Ranges: bytes\r\n";

fn note() -> Vec<u8> {
    b"abcdefghijklmnopqrstuvwxyz\n".repeat(NOTE_BYTES / 27 + 1)[..NOTE_BYTES].to_vec()
}

/// A root with that file in it.
fn root() -> Scratch {
    let root = Scratch::new();
    let path = root.file("note.txt", &note());
    let file = std::fs::File::options().write(true).open(path).unwrap();
    file.set_modified(SystemTime::UNIX_EPOCH + 1_000_000_000 * SECOND).unwrap();
    root
}

/// What is to come of a connection: bytes, of which those of a date are any.
#[derive(Default)]
struct Expected {
    bytes: Vec<u8>,
    /// Where responses begin, and where their dates do.
    begins: Vec<usize>,
    dates: Vec<usize>,
}

/// What stands for a date.
const DATE: &[u8; 29] = b"?????????????????????????????";

impl Expected {
    fn response(&mut self, status: &str, fields: &str, kind: &str, body: &[u8], is_head: bool) {
        self.begins.push(self.bytes.len());
        let head = format!("HTTP/1.1 {status}\r\nServer: tigereye\r\nDate: ");
        self.bytes.extend_from_slice(head.as_bytes());
        self.dates.push(self.bytes.len());
        self.bytes.extend_from_slice(DATE);
        let len = body.len();
        let fields = format!(
            "\r\nX-Content-Type-Options: nosniff\r\n{fields}\
             Content-Type: {kind}\r\nContent-Length: {len}\r\n\r\n"
        );
        self.bytes.extend_from_slice(fields.as_bytes());
        if !is_head {
            self.bytes.extend_from_slice(body);
        }
    }

    /// The connection ends with this one.
    fn refusal(&mut self, status: &str) {
        let (reason, close) = (&status[4..], "Connection: close\r\n");
        self.response(status, close, "text/plain", reason.as_bytes(), false);
    }

    /// A request was late: instead of the response that these bytes do not fit, the server may say just
    /// that.
    fn is_late(&mut self, at: usize, bytes: &[u8]) {
        let expected = self.bytes[at..].iter();
        let fit = self
            .undated(at, bytes)
            .iter()
            .zip(expected)
            .take_while(|(one, other)| one == other)
            .count();
        let begin =
            self.begins.iter().copied().filter(|&begin| begin <= at + fit).max().unwrap_or(0);
        let mut late = Expected::default();
        late.refusal("408 Request Timeout");
        // What has come of it by now is the same in both.
        if begin < at && !late.bytes.starts_with(&self.bytes[begin..at]) {
            return;
        }
        self.bytes.truncate(begin);
        self.dates.retain(|&date| date < begin);
        self.dates.push(begin + late.dates[0]);
        self.bytes.extend(late.bytes);
    }

    /// These bytes, which came from a place on, without the dates in them.
    fn undated(&self, at: usize, bytes: &[u8]) -> Vec<u8> {
        let (mut undated, end) = (bytes.to_vec(), at + bytes.len());
        for &date in self.dates.iter().filter(|&&date| date < end && date + DATE.len() > at) {
            let (from, to) = (date.max(at), (date + DATE.len()).min(end));
            undated[from - at..to - at].fill(DATE[0]);
        }
        undated
    }

    /// Whether these bytes are what is expected from a place on.
    fn are_at(&self, at: usize, bytes: &[u8]) -> bool {
        self.bytes[at..].starts_with(&self.undated(at, bytes))
    }
}

/// Appends a request, and what is its answer.
fn ask(random: &mut Random, requests: &mut Vec<u8>, expected: &mut Expected) {
    let mut send = |request: &str| requests.extend_from_slice(request.as_bytes());
    match random.below(8) {
        0 => {
            send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
            expected.response("200 OK", "", page::TYPE, page::PAGE, false);
        }
        1 => {
            send("HEAD /hello HTTP/1.1\r\nHost: a\r\nUser-Agent: one of many\r\n\r\n");
            expected.response("200 OK", "", "text/plain", b"Hello, world!", true);
        }
        2 => {
            send("GET /nobody HTTP/1.1\r\nHost: a\r\n\r\n");
            expected.response("404 Not Found", "", "text/plain", b"Not Found", false);
        }
        3 => {
            send("POST /hello HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
            send("5;a=b\r\nhello\r\n0\r\nX: a\r\n\r\n");
            let (status, allow) = ("405 Method Not Allowed", "Allow: GET, HEAD\r\n");
            expected.response(status, allow, "text/plain", b"Method Not Allowed", false);
        }
        4 => {
            send("GET /note.txt HTTP/1.1\r\nHost: a\r\n\r\n");
            expected.response("200 OK", NOTE_FIELDS, NOTE_TYPE, &note(), false);
        }
        5 => {
            send("GET /note.txt HTTP/1.1\r\nHost: a\r\nRange: bytes=100-199\r\n\r\n");
            let fields = format!("{NOTE_FIELDS}Content-Range: bytes 100-199/{NOTE_BYTES}\r\n");
            expected.response("206 Partial Content", &fields, NOTE_TYPE, &note()[100..200], false);
        }
        _ => {
            send("GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
            expected.response("200 OK", "", "text/plain", b"Hello, world!", false);
        }
    }
}

/// What a client does on one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// It asks, and gets all its answers.
    Asks,
    /// It asks bit by bit.
    Dribbles,
    /// It takes the answers bit by bit.
    Sips,
    /// It asks for much and takes nothing, until the server has enough of it.
    Hogs,
    /// It begins a request, and sends no more.
    Stops,
    /// It asks for nothing.
    Idles,
    /// It asks for what is no HTTP.
    Babbles,
}

const WAYS: [Way; 7] =
    [Way::Asks, Way::Dribbles, Way::Sips, Way::Hogs, Way::Stops, Way::Idles, Way::Babbles];

/// What became of all connections of a world.
#[derive(Default)]
struct Report {
    /// By way: those that were made, those that got all that they were to get, and those that ended
    /// before.
    made: [Cell<u32>; WAYS.len()],
    whole: [Cell<u32>; WAYS.len()],
    broken: [Cell<u32>; WAYS.len()],
    refused: Cell<u32>,
    /// Whether the network was bad.
    is_bad: Cell<bool>,
    wrong: RefCell<Vec<String>>,
}

fn count(cell: &Cell<u32>) {
    cell.set(cell.get() + 1);
}

/// What a client has left to do; it outlives its program.
struct Client {
    random: RefCell<Random>,
    left: Cell<u32>,
    report: Rc<Report>,
}

/// A connection.
struct Visit {
    client: Rc<Client>,
    way: Way,
    expected: RefCell<Expected>,
    /// How much of that has come.
    come: Cell<usize>,
    /// The server has given up waiting for a request.
    was_late: Cell<bool>,
}

fn address(last: u8) -> IpAddr {
    IpAddr::from([10, 0, 0, last])
}

impl Client {
    /// Makes the next connection, if any is left.
    fn visit(self: Rc<Self>, io: &Io) {
        if self.left.get() == 0 {
            return;
        }
        self.left.set(self.left.get() - 1);
        let way = WAYS[self.random.borrow_mut().below(WAYS.len() as u64) as usize];
        let mut options = ConnectOptions::new();
        if matches!(way, Way::Sips | Way::Hogs) {
            options = options.recv_buffer(4096);
        }
        let server = SocketAddr::new(address(1), 80);
        let op = io.connect_with(self, server, &options, move |client, io, stream| match stream {
            Ok(stream) => client.begin(io, stream, way),
            Err(_) => {
                count(&client.report.refused);
                client.pause(io);
            }
        });
        io.deadline(op, FORGOTTEN);
    }

    fn pause(self: Rc<Self>, io: &Io) {
        let pause = self.random.borrow_mut().below(300) as u32 * MS;
        io.timeout(self, pause, |client, io, _result| client.visit(io));
    }

    fn begin(self: Rc<Self>, io: &Io, stream: TcpStream, way: Way) {
        count(&self.report.made[way as usize]);
        let (mut requests, mut expected) = (Vec::new(), Expected::default());
        {
            let random = &mut *self.random.borrow_mut();
            let number = match way {
                Way::Asks | Way::Dribbles => 1 + random.below(5),
                Way::Sips => 10,
                Way::Hogs => 200,
                Way::Stops | Way::Babbles => random.below(3),
                Way::Idles => 0,
            };
            (0..number).for_each(|_| ask(random, &mut requests, &mut expected));
        }
        match way {
            Way::Stops => {
                requests.extend_from_slice(b"GET /hello HT");
                expected.refusal("408 Request Timeout");
            }
            Way::Babbles => {
                requests.extend_from_slice(b"\x16\x03\x01 hello?\r\n\r\n");
                expected.refusal("400 Bad Request");
            }
            _ => {}
        }
        let stream = Rc::new(stream);
        let (come, was_late) = (Cell::new(0), Cell::new(false));
        let visit = Visit { client: self, way, expected: RefCell::new(expected), come, was_late };
        let visit = Rc::new(visit);
        let piece = if way == Way::Dribbles { 7 } else { usize::MAX };
        let pieces = requests.chunks(piece.min(requests.len().max(1))).map(<[u8]>::to_vec);
        send(io, Rc::clone(&stream), pieces.collect());
        if way == Way::Hogs {
            // The server has given it up by then.
            io.timeout(visit, LIMITS.send * 3, |visit, io, _result| visit.receive(io, stream));
        } else {
            visit.receive(io, stream);
        }
    }
}

/// Sends the pieces, with a pause between them.
fn send(io: &Io, stream: Rc<TcpStream>, mut pieces: VecDeque<Vec<u8>>) {
    let Some(piece) = pieces.pop_front() else { return };
    let op = io.send_all(stream, piece, |stream, io, _buf, result| {
        // Whether it ended is seen by who receives.
        if result.is_ok() && !pieces.is_empty() {
            io.timeout(stream, 20 * MS, |stream, io, _result| send(io, stream, pieces));
        }
    });
    io.deadline(op, FORGOTTEN);
}

impl Visit {
    fn receive(self: Rc<Self>, io: &Io, stream: Rc<TcpStream>) {
        let room = vec![0; if self.way == Way::Sips { 3000 } else { 16 << 10 }].into_boxed_slice();
        let op = io.recv(Rc::clone(&stream), room, move |_stream, io, room, result| match result {
            Ok(0) => self.ended(io, None),
            Ok(count) => self.received(io, stream, &room[..count]),
            Err(error) => self.ended(io, Some(error.kind())),
        });
        io.deadline(op, FORGOTTEN);
    }

    fn received(self: Rc<Self>, io: &Io, stream: Rc<TcpStream>, bytes: &[u8]) {
        let (at, mut expected) = (self.come.get(), self.expected.borrow_mut());
        if !expected.are_at(at, bytes) && self.client.report.is_bad.get() {
            expected.is_late(at, bytes);
            self.was_late.set(true);
        }
        if !expected.are_at(at, bytes) {
            let text = String::from_utf8_lossy(bytes);
            self.is_wrong(format!("at byte {at} came {text:?}"));
            return Rc::clone(&self.client).pause(io);
        }
        self.come.set(at + bytes.len());
        let is_whole = self.come.get() == expected.bytes.len();
        drop(expected);
        match self.way {
            // The server is to close.
            Way::Stops | Way::Idles | Way::Babbles | Way::Hogs => self.receive(io, stream),
            _ if is_whole => self.ended(io, None),
            Way::Sips => {
                io.timeout(self, 20 * MS, |visit, io, _result| visit.receive(io, stream));
            }
            Way::Asks | Way::Dribbles => self.receive(io, stream),
        }
    }

    fn ended(&self, io: &Io, error: Option<ErrorKind>) {
        let report = &self.client.report;
        if error == Some(ErrorKind::TimedOut) {
            self.is_wrong(format!("forgotten after {} bytes", self.come.get()));
        }
        // Who hogs is not to get all.
        let has_all = self.come.get() == self.expected.borrow().bytes.len();
        let is_whole = !self.was_late.get() && has_all != (self.way == Way::Hogs);
        let counts = if is_whole { &report.whole } else { &report.broken };
        count(&counts[self.way as usize]);
        Rc::clone(&self.client).pause(io);
    }

    fn is_wrong(&self, what: String) {
        self.client.report.wrong.borrow_mut().push(format!("{:?}: {what}", self.way));
    }
}

struct Scene {
    world: World,
    server: Host,
    hosts: Vec<Host>,
    clients: Vec<Rc<Client>>,
    figures: Figures,
    report: Rc<Report>,
    _root: Scratch,
}

impl Scene {
    fn new(seed: u64) -> Scene {
        let mut world = World::new(seed);
        world.keep_trace();
        let (figures, root) = (Figures::new(1), root());
        let settings = Settings {
            figures: figures.clone(),
            root: Some(Arc::new(root.path().canonicalize().unwrap())),
            limits: LIMITS,
            one_acceptor: false,
        };
        let server = world.host("server", address(1), move |io| {
            let at = SocketAddr::from(([0, 0, 0, 0], 80));
            server::start(io, at, 0, settings.clone()).unwrap();
        });
        let report = Rc::new(Report::default());
        let clients: Vec<_> = (0..u64::from(CLIENTS))
            .map(|number| {
                let random = RefCell::new(Random(seed * 100 + number + 1));
                let (left, report) = (Cell::new(VISITS), Rc::clone(&report));
                Rc::new(Client { random, left, report })
            })
            .collect();
        let hosts = clients.iter().zip(2..).map(|(client, last)| {
            let client = Rc::clone(client);
            world.host(&format!("client {last}"), address(last), move |io| {
                (0..LANES).for_each(|_| Rc::clone(&client).visit(io));
            })
        });
        let hosts = hosts.collect();
        Scene { world, server, hosts, clients, figures, report, _root: root }
    }

    fn set_faults(&mut self) {
        use FaultKind::{
            AcceptAborted, ConnectionRefused, ConnectionReset, FalseWake, HandshakeLost,
            Interrupted, LateCancel, NoDescriptor, NoSocket, SegmentLate, SegmentLost,
            ShortReceive, ShortSend, SlowCall, SlowTurn,
        };
        let often = [ShortReceive, ShortSend, SlowCall];
        let now_and_then =
            [Interrupted, FalseWake, LateCancel, SegmentLost, SegmentLate, HandshakeLost, NoSocket];
        let seldom = [ConnectionReset, ConnectionRefused, AcceptAborted, NoDescriptor, SlowTurn];
        let mut faults = Faults::none();
        for (kinds, probability) in [(&often[..], 0.3), (&now_and_then, 0.02), (&seldom, 0.002)] {
            faults = kinds.iter().fold(faults, |faults, &kind| faults.with(kind, probability));
        }
        self.world.set_faults(faults);
    }

    /// The network and the clients are bad for a while.
    fn be_bad(&mut self, random: &mut Random) {
        self.report.is_bad.set(true);
        let end = self.world.now() + BAD;
        while self.world.now() < end {
            self.world.run_for((20 + random.below(400) as u32) * MS);
            let client = self.hosts[random.below(self.hosts.len() as u64) as usize];
            let (world, server) = (&mut self.world, self.server);
            match random.below(8) {
                0 => world.partition(client, server),
                1 => world.partition_one_way(server, client),
                2 => world.restart(client),
                3 => {
                    let slow = Latency::between(50 * MS, 400 * MS);
                    world.set_link_latency(server, client, slow);
                }
                4 => world.set_bandwidth((random.below(2) == 0).then_some(200_000)),
                5 => world.pause(client),
                _ => {
                    world.heal(client, server);
                    world.resume(client);
                }
            }
        }
    }

    fn be_good(&mut self) {
        self.world.set_faults(Faults::none());
        self.world.set_bandwidth(None);
        for &client in &self.hosts {
            self.world.heal(client, self.server);
            self.world.resume(client);
            self.world.set_link_latency(self.server, client, Latency::default());
        }
    }

    /// Until all clients are done, and the server has forgotten them all.
    #[track_caller]
    fn come_to_rest(&mut self) {
        let (clients, server, hosts) = (&self.clients, self.server, &self.hosts);
        let is_done = |world: &World| {
            let in_flight = |host| world.io(host).map_or(0, Io::in_flight);
            clients.iter().all(|client| client.left.get() == 0)
                && hosts.iter().all(|&host| in_flight(host) == 0)
                && in_flight(server) == AT_REST
        };
        assert!(self.world.run_until(3600 * SECOND, is_done), "{}", self.world.summary());
        let open = self.figures.json(DriverKind::Sim);
        assert!(open.contains("\"open\":0,"), "{open}");
        assert_eq!(self.world.descriptors(self.server), 1, "its listener");
        assert!(self.hosts.iter().all(|&host| self.world.descriptors(host) == 0));
        let wrong = self.report.wrong.take();
        assert!(wrong.is_empty(), "{}: {wrong:#?}", self.world.summary());
    }

    /// The server ends in order.
    fn shut_down(&mut self) {
        server::shut_down(self.world.io(self.server).unwrap());
        let (within, server) = (LIMITS.grace + SECOND, self.server);
        assert!(self.world.run_until(within, |world| world.io(server).is_none()));
    }
}

fn run(seed: u64) -> Scene {
    let mut scene = Scene::new(seed);
    scene.set_faults();
    scene.be_bad(&mut Random(seed + 1));
    scene.be_good();
    scene.come_to_rest();
    scene.shut_down();
    scene
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

fn sum(counts: &[Cell<u32>]) -> u32 {
    counts.iter().map(Cell::get).sum()
}

#[test]
fn without_faults_each_client_gets_all_and_each_hog_is_stopped() {
    let mut scene = Scene::new(1);
    scene.come_to_rest();
    let (report, all) = (&scene.report, u32::from(CLIENTS) * VISITS);
    assert_eq!((sum(&report.made), sum(&report.whole)), (all, all));
    assert!(report.made.iter().all(|made| made.get() > 0), "each way was gone");
    scene.shut_down();
}

#[test]
fn whatever_the_network_does_no_byte_is_wrong_and_nobody_is_forgotten() {
    let (first, seeds) = (number("TIGEREYE_TEST_SEED", 1), number("TIGEREYE_TEST_SEEDS", 300));
    let (mut whole, mut broken, mut refused) = (0, 0, 0);
    for seed in first..first + seeds {
        let report = run(seed).report;
        whole += sum(&report.whole);
        broken += sum(&report.broken);
        refused += report.refused.get();
    }
    println!(
        "{seeds} worlds: {whole} connections as they should be, {broken} broken, {refused} never made"
    );
    assert!(whole > broken && broken > 0 && refused > 0);
}

#[test]
fn one_seed_is_one_run_byte_for_byte_of_the_web_server_too() {
    for seed in 1..=10 {
        let [one, again] = [(); 2].map(|()| {
            let world = run(seed).world;
            (world.trace(), world.summary())
        });
        assert_eq!(one.1, again.1);
        assert!(one.0 == again.0, "seed {seed}");
    }
}
