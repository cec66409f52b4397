//! Rule of ownership under fire: memory that an operation gave back, or that was dropped with the
//! loop, is neither written nor read afterwards.
//!
//! A buffer that is dropped is not freed: it is filled with a pattern and lies in a graveyard. A
//! late write changes the pattern there; a late read sends it to a peer, who looks for it.
#![allow(clippy::disallowed_methods, reason = "tests have clocks and threads of their own")]
#![allow(
    clippy::missing_const_for_thread_local,
    reason = "for MinGW, clippy does not see that they are const"
)]

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::net::TcpListener;
use std::rc::Rc;
use std::time::Duration;

use tigereye::{AsSource, Io, IoBuf, IoBufMut, Op, Source, TcpStream};

const OPERATIONS: u32 = if cfg!(debug_assertions) { 200_000 } else { 1_000_000 };
const OPERATIONS_PER_LOOP: u32 = 2_000;
const PAIRS: usize = 8;
const BUFFER_BYTES: usize = 2048;
const GRAVES: usize = 4096;
const RECENT_OPS: usize = 256;
/// No buffer that is sent contains it.
const DEAD: u8 = 0xA5;

thread_local! {
    static GRAVEYARD: RefCell<VecDeque<Box<[u8]>>> = const { RefCell::new(VecDeque::new()) };
    static BURIED: Cell<u64> = const { Cell::new(0) };
    static DISTURBED: Cell<u64> = const { Cell::new(0) };
}

fn inspect(grave: &[u8]) {
    if grave != &[DEAD; BUFFER_BYTES][..grave.len()] {
        DISTURBED.set(DISTURBED.get() + 1);
    }
}

/// Inspects every grave; says how many were disturbed so far.
fn disturbed() -> u64 {
    GRAVEYARD.with_borrow(|graves| graves.iter().for_each(|grave| inspect(grave)));
    DISTURBED.get()
}

/// A buffer whose memory outlives it.
struct Grave {
    memory: Box<[u8]>,
}

impl Grave {
    fn new(byte: u8, len: usize) -> Grave {
        assert!(byte != DEAD && len <= BUFFER_BYTES, "it is told from the dead");
        Grave { memory: vec![byte; len].into_boxed_slice() }
    }
}

impl Drop for Grave {
    fn drop(&mut self) {
        let mut memory = std::mem::take(&mut self.memory);
        memory.fill(DEAD);
        BURIED.set(BURIED.get() + 1);
        GRAVEYARD.with_borrow_mut(|graves| {
            if graves.len() == GRAVES
                && let Some(oldest) = graves.pop_front()
            {
                inspect(&oldest);
            }
            graves.push_back(memory);
        });
    }
}

#[expect(unsafe_code, reason = "the trait promises that memory stays where it is")]
// SAFETY: a box's memory stays where it is while the box moves.
unsafe impl IoBuf for Grave {
    fn as_ptr(&self) -> *const u8 {
        self.memory.as_ptr()
    }
    fn len(&self) -> usize {
        self.memory.len()
    }
}

#[expect(unsafe_code, reason = "the trait promises that memory stays where it is")]
// SAFETY: as above; the box is the only owner.
unsafe impl IoBufMut for Grave {
    fn writable(&mut self) -> (*mut u8, usize) {
        (self.memory.as_mut_ptr(), self.memory.len())
    }
    unsafe fn written(&mut self, _count: usize) {}
    fn is_growing(&self) -> bool {
        false
    }
}

#[derive(Default)]
struct Counts {
    submitted: Cell<u32>,
    callbacks: Cell<u32>,
    dropped: Cell<u32>,
    received: Cell<u64>,
    /// No operation is started in callbacks any more.
    winding_down: Cell<bool>,
}

fn add(cell: &Cell<u32>) {
    cell.set(cell.get() + 1);
}

/// The context of every operation: it knows whether it came to its callback.
struct Ticket {
    stream: Rc<TcpStream>,
    counts: Rc<Counts>,
    called: bool,
}

impl Ticket {
    fn new(stream: &Rc<TcpStream>, counts: &Rc<Counts>) -> Ticket {
        add(&counts.submitted);
        Ticket { stream: Rc::clone(stream), counts: Rc::clone(counts), called: false }
    }

    fn called(&mut self) {
        assert!(!std::mem::replace(&mut self.called, true), "a callback runs once");
        add(&self.counts.callbacks);
    }

    fn received(mut self, io: &Io, buf: Grave, result: std::io::Result<usize>) {
        self.called();
        let Ok(count) = result else { return };
        assert!(!buf.memory[..count].contains(&DEAD), "bytes of a dead buffer were sent");
        self.counts.received.set(self.counts.received.get() + count as u64);
        // Every fourth buffer goes on to the next operation.
        if count % 4 == 1 && !self.counts.winding_down.get() {
            let next = Ticket::new(&self.stream, &self.counts);
            io.send_all(next, buf, |mut next, _io, _buf, _result| next.called());
        }
    }
}

impl AsSource for Ticket {
    fn as_source(&self) -> &Source {
        self.stream.as_source()
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if !self.called {
            add(&self.counts.dropped);
        }
    }
}

struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 33) as usize % bound
    }
}

/// Names the seed when a test fails.
struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the seed was {}: set TIGEREYE_SEED to it", self.0);
        }
    }
}

/// A loop, and pairs of streams in it that talk to each other.
struct World {
    io: Io,
    listener: Rc<TcpListener>,
    streams: Vec<Rc<TcpStream>>,
    ops: VecDeque<Op>,
    counts: Rc<Counts>,
}

impl World {
    fn new(listener: &Rc<TcpListener>) -> World {
        let mut world = World {
            io: Io::builder().ring_entries(32).build().expect("a loop"),
            listener: Rc::clone(listener),
            streams: Vec::new(),
            ops: VecDeque::new(),
            counts: Rc::default(),
        };
        for _ in 0..PAIRS {
            let pair = world.pair();
            world.streams.extend(pair);
        }
        world
    }

    fn pair(&self) -> [Rc<TcpStream>; 2] {
        let address = self.listener.local_addr().expect("it is bound");
        let near = std::net::TcpStream::connect(address).expect("the listener is there");
        let (far, _address) = self.listener.accept().expect("the near end connects");
        [near, far].map(|end| Rc::new(TcpStream::from_std(&self.io, end).expect("it is adopted")))
    }

    /// Another pair in the place of one whose operations go on, or are about to end.
    fn replace(&mut self, at: usize) {
        let [near, far] = self.pair();
        self.streams[at & !1] = near;
        self.streams[at | 1] = far;
    }

    fn recv(&self, at: usize, random: &mut Random) -> Op {
        let ticket = Ticket::new(&self.streams[at], &self.counts);
        let buf = Grave::new(0, 1 + random.below(BUFFER_BYTES));
        if random.below(4) > 0 {
            return self.io.recv(ticket, buf, Ticket::received);
        }
        let count = 1 + random.below(buf.memory.len());
        self.io.recv_exact(ticket, buf, count, move |ticket, io, buf, result| {
            ticket.received(io, buf, result.map(|()| count));
        })
    }

    fn send(&self, at: usize, random: &mut Random) -> Op {
        let ticket = Ticket::new(&self.streams[at], &self.counts);
        let byte = u8::try_from(1 + random.below(100)).expect("it is small");
        let buf = Grave::new(byte, 1 + random.below(BUFFER_BYTES));
        match random.below(8) {
            0 => self.io.send_zero_copy(ticket, buf, |mut ticket, _io, _buf, _result| {
                ticket.called();
            }),
            1 | 2 => self.io.send_all(ticket, buf, |mut ticket, _io, _buf, _result| {
                ticket.called();
            }),
            _ => self.io.send(ticket, buf, |mut ticket, _io, _buf, _result| ticket.called()),
        }
    }

    fn recent(&self, random: &mut Random) -> Option<Op> {
        let count = self.ops.len();
        (count > 0).then(|| self.ops[random.below(count)])
    }

    fn step(&mut self, random: &mut Random) {
        let at = random.below(self.streams.len());
        let op = match random.below(200) {
            0..90 => Some(self.recv(at, random)),
            90..170 => Some(self.send(at, random)),
            170..184 => {
                if let Some(op) = self.recent(random) {
                    self.io.cancel(op);
                }
                None
            }
            184..196 => {
                let after = Duration::from_micros([0, 1, 50, 1_000][random.below(4)]);
                if let Some(op) = self.recent(random) {
                    self.io.deadline(op, after);
                }
                None
            }
            196..198 => {
                self.replace(at);
                None
            }
            _ => {
                let ticket = Ticket::new(&self.streams[at], &self.counts);
                let op = self.io.close(ticket, |mut ticket, _io, _result| ticket.called());
                self.replace(at);
                Some(op)
            }
        };
        self.ops.extend(op);
        if self.ops.len() > RECENT_OPS {
            self.ops.pop_front();
        }
        if random.below(4) == 0 {
            self.io.poll().expect("the loop turns");
        }
    }

    /// Ends every operation with its callback.
    fn wind_down(&self) {
        self.counts.winding_down.set(true);
        self.io.cancel_all();
        self.io.run_for(Duration::from_secs(120)).expect("the loop runs");
        assert_eq!(self.io.in_flight(), 0, "every operation ends when it is cancelled");
        assert_eq!(self.counts.submitted.get(), self.counts.callbacks.get());
    }

    /// Ends the loop, and with it what is in flight; gives the counts of its life.
    fn end(self) -> Rc<Counts> {
        let counts = self.counts;
        assert_eq!(counts.dropped.get(), 0, "contexts are dropped only with the loop");
        let started = self.io.statistics().operations;
        assert_eq!(started, u64::from(counts.submitted.get()));
        drop(self.io);
        let ended = counts.callbacks.get() + counts.dropped.get();
        assert_eq!(counts.submitted.get(), ended, "each operation ends once");
        assert_eq!(Rc::strong_count(&counts), 1, "no context is left");
        counts
    }
}

#[test]
fn memory_that_was_given_back_is_left_alone() {
    let seed = match std::env::var("TIGEREYE_SEED") {
        Ok(seed) => seed.parse().expect("a seed is a number"),
        Err(_) => 0x9e37_79b9_7f4a_7c15,
    };
    let seed = Seed(seed);
    let mut random = Random(seed.0.max(1));
    let listener = Rc::new(TcpListener::bind("127.0.0.1:0").expect("a port is free"));
    let (mut submitted, mut callbacks, mut dropped, mut received) = (0, 0, 0, 0);
    for life in 0.. {
        let mut world = World::new(&listener);
        while world.counts.submitted.get() < OPERATIONS_PER_LOOP {
            world.step(&mut random);
        }
        if life % 2 == 0 {
            world.wind_down();
        }
        let counts = world.end();
        assert_eq!(disturbed(), 0, "memory is written after it was given back");
        submitted += counts.submitted.get();
        callbacks += counts.callbacks.get();
        dropped += counts.dropped.get();
        received += counts.received.get();
        if submitted >= OPERATIONS {
            break;
        }
    }
    assert_eq!(submitted, callbacks + dropped);
    assert!(callbacks > submitted / 2 && dropped > 0 && received > 0, "something happened");
    // Late writes have had some time to come.
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(disturbed(), 0, "memory is written after it was given back");
    println!("{submitted} operations, {callbacks} callbacks, {dropped} dropped with their loops");
    println!("{received} bytes received, {} buffers buried", BURIED.get());
}

/// Writes to all peers again and again; a late receive has something to receive.
fn write_to_all(peers: &mut [std::net::TcpStream], rounds: usize) {
    for _ in 0..rounds {
        for peer in peers.iter_mut() {
            // It fails when the other end is closed, which it is in the end.
            let _closed = std::io::Write::write(peer, &[1; 16]);
        }
    }
}

/// A loop with receives in flight, whose streams outlive it, and the peers.
fn receiving(
    listener: &TcpListener,
    counts: &Rc<Counts>,
) -> (Io, Vec<Rc<TcpStream>>, Vec<std::net::TcpStream>) {
    let io = Io::new().expect("a loop");
    let (mut streams, mut peers) = (Vec::new(), Vec::new());
    for _ in 0..4 * PAIRS {
        let address = listener.local_addr().expect("it is bound");
        let near = std::net::TcpStream::connect(address).expect("the listener is there");
        peers.push(listener.accept().expect("the near end connects").0);
        let stream = Rc::new(TcpStream::from_std(&io, near).expect("it is adopted"));
        io.recv(Ticket::new(&stream, counts), Grave::new(0, 512), Ticket::received);
        streams.push(stream);
    }
    io.poll().expect("the loop turns");
    (io, streams, peers)
}

#[test]
fn p01_rule7_nothing_is_written_after_the_end_of_a_loop_whose_peers_write() {
    const LIVES: u32 = 50;
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let counts = Rc::new(Counts::default());
    for life in 0..LIVES {
        let (io, streams, mut peers) = receiving(&listener, &counts);
        let (start, started) = std::sync::mpsc::channel();
        let writer = std::thread::spawn(move || {
            if life % 2 == 0 {
                write_to_all(&mut peers, 1);
            }
            start.send(()).expect("the loop's thread waits");
            write_to_all(&mut peers, 20);
            peers
        });
        started.recv().expect("the writer starts");
        drop(io);
        let ended = counts.callbacks.get() + counts.dropped.get();
        assert_eq!(ended, counts.submitted.get(), "the loop's end ends every operation");
        let mut peers = writer.join().expect("the writer ends");
        write_to_all(&mut peers, 1);
        assert_eq!(disturbed(), 0, "memory is written after the end of its loop");
        drop(streams);
    }
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(disturbed(), 0, "memory is written after the end of its loop");
    assert_eq!(counts.callbacks.get(), 0, "no callback runs at the end of a loop");
    assert_eq!(BURIED.get(), u64::from(counts.submitted.get()));
}
