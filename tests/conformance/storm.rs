//! Many operations, cancelled at random: everything comes back, and no byte is lost.

use std::cell::Cell;
use std::net::Shutdown;
use std::rc::Rc;
use std::time::Duration;

use tigereye::{Io, Op, TcpStream, is_cancelled};

use crate::{Log, Random, finish, own_pair};

const OPERATIONS: u32 = 20_000;

/// One direction of a connection.
struct Lane {
    from: Rc<TcpStream>,
    to: Rc<TcpStream>,
    sent: Log<Vec<u8>>,
    received: Log<Vec<u8>>,
}

#[derive(Default)]
struct Counts {
    callbacks: Cell<u32>,
    buffers: Cell<u32>,
    cancelled: Cell<u32>,
}

impl Counts {
    fn callback(&self, error: Option<&std::io::Error>) {
        self.callbacks.set(self.callbacks.get() + 1);
        if let Some(error) = error {
            assert!(is_cancelled(error), "{error}");
            self.cancelled.set(self.cancelled.get() + 1);
        }
    }

    fn buffer(&self) {
        self.buffers.set(self.buffers.get() + 1);
    }
}

fn lanes(io: &Io) -> Vec<Lane> {
    let mut lanes = Vec::new();
    for _ in 0..8 {
        let (near, far) = own_pair(io);
        for (from, to) in [(&near, &far), (&far, &near)] {
            let (from, to) = (Rc::clone(from), Rc::clone(to));
            lanes.push(Lane { from, to, sent: Log::new(), received: Log::new() });
        }
    }
    lanes
}

fn recv(io: &Io, lane: &Lane, counts: &Rc<Counts>) -> Op {
    let (received, counts) = (lane.received.clone(), Rc::clone(counts));
    io.recv(Rc::clone(&lane.to), Vec::with_capacity(48), move |_stream, _io, buf, result| {
        counts.callback(result.as_ref().err());
        counts.buffer();
        assert_eq!(buf.len(), result.unwrap_or(0));
        received.put(buf);
    })
}

fn send(io: &Io, lane: &Lane, counts: &Rc<Counts>, number: u32) -> Op {
    let (sent, counts) = (lane.sent.clone(), Rc::clone(counts));
    let buf = number.to_le_bytes().repeat(8);
    let ended =
        move |_stream: Rc<TcpStream>, _io: &Io, mut buf: Vec<u8>, result: Result<usize, _>| {
            counts.callback(result.as_ref().err());
            counts.buffer();
            assert_eq!(buf, number.to_le_bytes().repeat(8));
            buf.truncate(result.unwrap_or(0));
            sent.put(buf);
        };
    if number.is_multiple_of(16) {
        return io.send_zero_copy(Rc::clone(&lane.from), buf, ended);
    }
    io.send(Rc::clone(&lane.from), buf, ended)
}

fn other(io: &Io, counts: &Rc<Counts>, delay: u64) -> Op {
    let context = Rc::clone(counts);
    if delay.is_multiple_of(50) {
        return io.offload(
            context,
            || (),
            |counts, _io, result| {
                counts.callback(result.as_ref().err());
            },
        );
    }
    io.timeout(context, Duration::from_micros(delay), |counts, _io, result| {
        counts.callback(result.as_ref().err());
    })
}

/// Ends every lane and receives what is left in it.
fn drain(io: &Io, lanes: &[Lane]) {
    for lane in lanes {
        io.shutdown(Rc::clone(&lane.from), Shutdown::Write, |_stream, _io, result| {
            result.unwrap();
        });
    }
    finish(io);
    for lane in lanes {
        let ended = Rc::new(Cell::new(false));
        while !ended.get() {
            let (ended, received) = (Rc::clone(&ended), lane.received.clone());
            let buf = Vec::with_capacity(4096);
            io.recv(Rc::clone(&lane.to), buf, move |_stream, _io, buf, result| {
                ended.set(result.unwrap() == 0);
                received.put(buf);
            });
            finish(io);
        }
        assert!(lane.sent.take().concat() == lane.received.take().concat(), "bytes were lost");
    }
}

fn storm(seed: u64) {
    let io = Io::builder().ring_entries(32).build().unwrap();
    let lanes = lanes(&io);
    let counts = Rc::new(Counts::default());
    let mut random = Random(seed);
    let mut ops: Vec<Op> = Vec::new();
    let mut buffers = 0;
    for number in 0..OPERATIONS {
        let lane = &lanes[random.below(16) as usize];
        let kind = random.below(10);
        ops.push(match kind {
            0..=3 => recv(&io, lane, &counts),
            4..=7 => send(&io, lane, &counts, number),
            _ => other(&io, &counts, random.below(2000)),
        });
        buffers += u32::from(kind <= 7);
        if random.below(3) == 0 {
            let victim = ops[random.below(ops.len() as u64) as usize];
            io.cancel(victim);
        }
        if random.below(40) == 0 {
            io.poll().unwrap();
        }
    }
    io.cancel_all();
    finish(&io);
    assert_eq!(counts.callbacks.get(), OPERATIONS);
    assert_eq!(counts.buffers.get(), buffers);
    assert!(counts.cancelled.get() > 100 && counts.cancelled.get() < OPERATIONS);
    drain(&io, &lanes);
    assert_eq!(io.in_flight(), 0);
}

#[test]
fn p32_p21_what_is_submitted_comes_back() {
    for seed in [1, 2, 3] {
        storm(seed);
    }
}
