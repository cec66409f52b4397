//! Flows of streams that bring much at a time, and of those that do so now and then.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use tigereye::{AsSource, BufferPool, Io, Next, Op, Source, TcpListener, TcpStream, is_cancelled};

use crate::{Log, any, finish, pair, pattern};

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

/// Two ends of a connection, both on the loop.
fn ends(io: &Io) -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind(io, any()).unwrap();
    let address = listener.local_addr().unwrap();
    let (far, near) = (Log::new(), Log::new());
    let (put_far, put_near) = (far.clone(), near.clone());
    io.accept(listener, move |_listener, _io, accepted| put_far.put(accepted.unwrap().0));
    io.connect((), address, move |(), _io, stream| put_near.put(stream.unwrap()));
    finish(io);
    (near.one(), far.one())
}

/// A receiver that has its sender send one amount after another, each when the one before is there.
struct Changing {
    near: TcpStream,
    far: Rc<TcpStream>,
    left: RefCell<Vec<usize>>,
    /// Bytes that are still to come of the last amount.
    due: Cell<usize>,
    received: Cell<usize>,
}

impl AsSource for Changing {
    fn as_source(&self) -> &Source {
        self.near.as_source()
    }
}

impl Changing {
    /// Sends the next amount; says whether there was one.
    fn go_on(&self, io: &Io) -> bool {
        let Some(amount) = self.left.borrow_mut().pop() else { return false };
        self.due.set(amount);
        let from = self.received.get();
        let bytes: Vec<u8> = (from..from + amount).map(byte_at).collect();
        io.send_all(Rc::clone(&self.far), bytes, |_far, _io, _buf, result| result.unwrap());
        true
    }

    fn take(&self, io: &Io, bytes: &[u8]) -> Next {
        for &byte in bytes {
            assert_eq!(byte, byte_at(self.received.get()), "in order, and once");
            self.received.set(self.received.get() + 1);
        }
        self.due.set(self.due.get() - bytes.len());
        if self.due.get() > 0 || self.go_on(io) { Next::Continue } else { Next::Stop }
    }
}

fn byte_at(at: usize) -> u8 {
    (at % 251) as u8
}

/// Much at a time, then little, and so on: in one piece and in many.
fn amounts() -> Vec<usize> {
    let little = (1..40).map(|at| 100 + at);
    let once = || [MIB, 300 * KIB].into_iter().chain(little.clone()).chain([20 * KIB; 20]);
    once().chain(once()).chain([2 * MIB]).collect()
}

#[test]
fn p21_streams_whose_amounts_change_lose_nothing_and_have_it_in_order() {
    for (streams, buffers) in [(1, 64), (6, 4), (12, 2)] {
        let io = Io::new().unwrap();
        let pool = BufferPool::new(&io, buffers, 64 * KIB).unwrap();
        let results = Log::new();
        let all: usize = amounts().iter().sum();
        let pairs: Vec<_> = (0..streams).map(|_| ends(&io)).collect();
        for (near, far) in pairs {
            let due = Cell::new(0);
            let (left, received) = (RefCell::new(amounts()), Cell::new(0));
            let changing = Changing { near, far: Rc::new(far), left, due, received };
            changing.go_on(&io);
            let put = results.clone();
            io.recv_each(
                changing,
                &pool,
                |changing, io, bytes| changing.take(io, &bytes),
                move |changing, _io, result| put.put((result.is_ok(), changing.received.get())),
            );
        }
        finish(&io);
        assert_eq!(results.take(), vec![(true, all); streams]);
    }
}

#[test]
fn p21_a_flow_of_much_is_cancelled_and_paused_and_loses_nothing() {
    const LEN: usize = 8 * MIB;
    let io = Io::new().unwrap();
    let pool = BufferPool::new(&io, 8, 128 * KIB).unwrap();
    let (near, far) = ends(&io);
    let near = Rc::new(near);
    io.send_all(far, pattern(LEN), |_far, _io, _buf, result| result.unwrap());
    let (received, ended) = (Rc::new(RefCell::new(Vec::new())), Log::new());
    let mut rounds = 0_u32;
    while received.borrow().len() < LEN {
        let (append, end) = (Rc::clone(&received), ended.clone());
        let flow: Op = io.recv_each(
            Rc::clone(&near),
            &pool,
            move |_near, _io, bytes| {
                append.borrow_mut().extend_from_slice(&bytes);
                Next::Continue
            },
            move |_near, _io, result| end.put(result),
        );
        for turn in 0..rounds % 7 {
            io.run_for(Duration::from_micros(50)).unwrap();
            if turn % 2 == 1 {
                io.pause(flow);
                io.poll().unwrap();
                io.resume(flow);
            }
        }
        io.cancel(flow);
        while ended.len() == 0 {
            io.run_once().unwrap();
        }
        let result = ended.one();
        assert!(result.is_ok() || result.as_ref().is_err_and(is_cancelled), "{result:?}");
        rounds += 1;
    }
    finish(&io);
    assert!(*received.borrow() == pattern(LEN), "bytes were lost or came twice");
}

#[test]
fn p13_rule8_streams_of_much_take_turns_at_few_buffers() {
    const STREAMS: usize = 32;
    const LEN: usize = 4 * MIB;
    const UNDER_WAY: usize = 256 * KIB;
    let io = Io::new().unwrap();
    let few = BufferPool::new(&io, 4, UNDER_WAY).unwrap();
    let many = BufferPool::new(&io, 256, UNDER_WAY).unwrap();
    let answered: Rc<Vec<Cell<usize>>> = Rc::new(vec![Cell::new(0); STREAMS]);
    let pairs: Vec<_> = (0..STREAMS).map(|_| ends(&io)).collect();
    for (at, (near, far)) in pairs.into_iter().enumerate() {
        io.recv_each(
            near,
            &few,
            |near, io, bytes| {
                io.send_detached(near, bytes);
                Next::Continue
            },
            |_near, _io, result| result.unwrap(),
        );
        let far = Rc::new(far);
        io.send_all(Rc::clone(&far), vec![0; UNDER_WAY], |_far, _io, _buf, result| result.unwrap());
        let answered = Rc::clone(&answered);
        io.recv_each(
            far,
            &many,
            move |far, io, bytes| {
                answered[at].set(answered[at].get() + bytes.len());
                if answered[at].get() >= LEN {
                    return Next::Stop;
                }
                io.send_detached(&**far, bytes);
                Next::Continue
            },
            |_far, _io, result| result.unwrap(),
        );
    }
    while answered.iter().all(|bytes| bytes.get() < LEN / 2) {
        io.run_once().unwrap();
    }
    let least = answered.iter().map(Cell::get).min().unwrap();
    assert!(least > LEN / 16, "{answered:?}");
    finish(&io);
    assert!(answered.iter().all(|bytes| bytes.get() >= LEN), "{answered:?}");
}

#[test]
fn p13_rule8_streams_take_strict_turns_at_one_buffer() {
    const STREAMS: usize = 8;
    const TURNS: usize = 50;
    const SIZE: usize = 512;
    let io = Io::new().unwrap();
    let pool = BufferPool::new(&io, 1, SIZE).unwrap();
    // With the first buffer held, all come to be in line before the turns begin.
    let held = Log::new();
    let turns = Log::new();
    let mut writers = Vec::new();
    for at in 0..STREAMS {
        let (stream, peer) = pair(&io);
        writers.push(peer.writes(pattern(2 * TURNS * SIZE)));
        let (held, turns) = (held.clone(), turns.clone());
        io.recv_each(
            stream,
            &pool,
            move |_stream, _io, buf| {
                turns.put(at);
                held.put(buf);
                Next::Continue
            },
            |_stream, _io, result| assert!(is_cancelled(&result.unwrap_err())),
        );
    }
    while turns.len() < 1 {
        io.run_once().unwrap();
    }
    for writer in writers {
        writer.join();
    }
    crate::come_to_rest(&io);
    turns.take();
    while turns.len() < STREAMS * TURNS {
        held.take();
        while held.len() < 1 {
            io.run_once().unwrap();
        }
    }
    for (at, round) in turns.take().chunks(STREAMS).enumerate() {
        let mut round = round.to_vec();
        round.sort_unstable();
        assert!(round.iter().copied().eq(0..STREAMS), "round {at}: {round:?}");
    }
    held.take();
    io.cancel_all();
    finish(&io);
}

/// A stream's turn is over when there is nothing to receive, else a stream that rests would keep a
/// buffer that others wait for.
#[test]
fn p12_rule8_streams_that_rest_keep_no_buffer_from_others() {
    const SIZE: usize = 256 * KIB;
    for buffers in [1, 2] {
        let io = Io::new().unwrap();
        let pool = BufferPool::new(&io, buffers, SIZE).unwrap();
        let (received, ends) = (Rc::new(Cell::new(0)), Log::new());
        let pairs: Vec<_> = (0..6).map(|_| self::ends(&io)).collect();
        let count = |(near, far)| {
            count_flow(&io, near, &pool, &received, &ends);
            Rc::new(far)
        };
        let fars: Vec<Rc<TcpStream>> = pairs.into_iter().map(count).collect();
        let mut due = 0;
        // First all bring much, then each some with a part of the others.
        for round in 0..12 {
            let (count, len) = if round == 0 { (fars.len(), 8 * MIB) } else { (3, 2 * MIB) };
            for far in fars.iter().cycle().skip(round).take(count) {
                due += len;
                io.send_all(Rc::clone(far), vec![0; len], |_far, _io, _buf, result| {
                    result.unwrap()
                });
            }
            while received.get() < due {
                io.run_once().unwrap();
            }
        }
        drop(fars);
        finish(&io);
        assert_eq!(ends.take(), [true; 6]);
    }
}

/// A flow that counts what it receives.
fn count_flow(
    io: &Io,
    stream: TcpStream,
    pool: &BufferPool,
    received: &Rc<Cell<usize>>,
    ends: &Log<bool>,
) {
    let (received, put) = (Rc::clone(received), ends.clone());
    io.recv_each(
        stream,
        pool,
        move |_stream, _io, bytes| {
            received.set(received.get() + bytes.len());
            Next::Continue
        },
        move |_stream, _io, result| put.put(result.is_ok()),
    );
}
