//! Sequences of operations by chance, on the simulator without faults and on a real driver: what the
//! callbacks see is the same. `TIGEREYE_TEST_SEQUENCES` says how many sequences, from the seed
//! `TIGEREYE_TEST_SEED` on.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests")]

#[path = "common/random.rs"]
mod random;

use std::cell::RefCell;
use std::io;
use std::net::{Ipv4Addr, Shutdown, SocketAddr};
use std::rc::Rc;
use std::time::{Duration, Instant};

use random::Random;
use tigereye::{Builder, DriverKind, Io, Op, TcpListener, TcpStream};

/// Steps of a sequence.
const STEPS: u64 = 25;
/// Connections, each of two streams of the same loop.
const CONNECTIONS: usize = 2;
/// Turns after which nothing more comes of a step.
const TURNS: u32 = 6;

/// Longer than anything takes, on the busiest machine.
const HANG: Duration = Duration::from_secs(20);

/// What callbacks saw in a step, in any order.
type Log = Rc<RefCell<Vec<String>>>;

/// A stream, and the last operation on it.
struct End {
    stream: Rc<TcpStream>,
    last: Option<Op>,
}

struct Run {
    io: Io,
    log: Log,
    ends: Vec<End>,
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
        let mut run = Run { io, log: Log::default(), ends: Vec::new(), number: 0 };
        for _ in 0..CONNECTIONS {
            run.connect();
        }
        run
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
            End { stream: Rc::new(stream), last: None }
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
        let op = match random.below(20) {
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
                let how = [Shutdown::Write, Shutdown::Both][random.below(2) as usize];
                let put = self.put("shutdown", at);
                self.io.shutdown(stream, how, move |_stream, _io, result| put(told(result)));
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
                put(told(stream.peer_addr().map(drop)));
                None
            }
            18 => {
                let put = self.put("send_now", at);
                put(told(stream.send_now(&vec![random.below(256) as u8; len])));
                None
            }
            _ => {
                if random.below(2) == 0 {
                    let _ = stream.set_linger(Some(Duration::ZERO));
                }
                let put = self.put("close", at);
                self.io.close(stream, move |_stream, _io, result| put(told(result)));
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

    fn send(&mut self, at: usize, stream: Rc<TcpStream>, len: usize) -> Option<Op> {
        let put = self.put("send", at);
        let bytes: Vec<u8> = (0..len).map(|byte| (byte * at) as u8).collect();
        Some(self.io.send_all(stream, bytes, move |_stream, _io, buf, result| {
            put(format!("{} {}", buf.len(), told(result)));
        }))
    }

    /// Of one byte: a longer receive may be short, on any system.
    fn receive(&mut self, at: usize, stream: Rc<TcpStream>) -> Option<Op> {
        let put = self.put("recv", at);
        Some(self.io.recv(stream, Box::from([0]), move |_stream, _io, room: Box<[u8]>, result| {
            put(format!("{} {room:?}", told(result)));
        }))
    }

    fn receive_exactly(&mut self, at: usize, stream: Rc<TcpStream>, len: usize) -> Option<Op> {
        let put = self.put("recv_exact", at);
        let room = Vec::with_capacity(len);
        Some(self.io.recv_exact(stream, room, len, move |_stream, _io, buf, result| {
            put(format!("{} {} {}", told(result), buf.len(), sum(&buf)));
        }))
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
