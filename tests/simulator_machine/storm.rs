//! Operations on streams and files that are cancelled, timed out, paused and taken up again at random, in worlds
//! where the machinery fails: each ends once, and no byte is lost, doubled or changed.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::time::Duration;

use tigereye::sim::{FaultKind, Faults, World};
use tigereye::{
    BufferPool, File, Io, Next, Op, OpenOptions, PoolBuf, TcpListener, TcpStream, is_cancelled,
};

use super::random::Random;
use super::{Log, SECOND, address};
use crate::faults::at;

const CONNECTIONS: usize = 4;
const SENDS: u32 = 60;

/// One end of a connection: what it sent and received, by the number of bytes.
struct End {
    stream: TcpStream,
    sent: Cell<usize>,
    received: Cell<usize>,
    sends_left: Cell<u32>,
    /// Halves that are over.
    over: Cell<u32>,
    /// Operations that were started and have not ended.
    pending: Cell<u32>,
    broken: Cell<bool>,
    random: RefCell<Random>,
    pool: BufferPool,
}

type Shared = Rc<End>;

/// The bytes of a stream from a place on.
fn pattern(from: usize, len: usize) -> Vec<u8> {
    (from..from + len).map(|at| (at % 251) as u8).collect()
}

impl End {
    fn below(&self, bound: u64) -> u64 {
        self.random.borrow_mut().below(bound)
    }

    /// Some bytes have come.
    fn came(&self, bytes: &[u8]) {
        let is_right = bytes == pattern(self.received.get(), bytes.len());
        assert!(is_right, "what comes is what was sent, behind {}", self.received.get());
        self.received.set(self.received.get() + bytes.len());
    }

    fn ended(&self) {
        self.pending.set(self.pending.get().checked_sub(1).expect("each ends once"));
    }

    fn is_over(&self) -> bool {
        self.over.get() == 2 && self.pending.get() == 0
    }
}

/// Whether an operation was ended early, and did nothing.
fn is_early<T>(result: &io::Result<T>) -> bool {
    let early = |error: &io::Error| is_cancelled(error) || error.kind() == io::ErrorKind::TimedOut;
    result.as_ref().is_err_and(early)
}

/// The stream that operations of an end are on.
#[derive(Clone)]
struct On(Shared);

impl tigereye::AsSource for On {
    fn as_source(&self) -> &tigereye::Source {
        self.0.stream.as_source()
    }
}

/// Ends an operation early at some time, or has it paused for a while, or leaves it alone.
fn disturb(io: &Io, end: &Shared, op: Op) {
    end.pending.set(end.pending.get() + 1);
    let after = Duration::from_micros(end.below(1500));
    match end.below(8) {
        0 => io.cancel(op),
        1 | 2 => {
            io.timeout(op, after, |op, io, _result| io.cancel(op));
        }
        3 => io.deadline(op, after),
        4 => {
            io.pause(op);
            io.timeout(op, after, |op, io, _result| io.resume(op));
        }
        5 => {
            io.timeout(op, after, move |op, io, _result| {
                io.pause(op);
                io.timeout(op, after, |op, io, _result| io.resume(op));
            });
        }
        _ => {}
    }
}

fn send(io: &Io, end: Shared) {
    if end.sends_left.get() == 0 {
        end.over.set(end.over.get() + 1);
        io.shutdown(On(end), std::net::Shutdown::Write, |_on, _io, _result| {});
        return;
    }
    end.sends_left.set(end.sends_left.get() - 1);
    let bytes = pattern(end.sent.get(), 1 + end.below(3000) as usize);
    let sent = |On(end): On, io: &Io, result: io::Result<usize>| {
        end.ended();
        match result {
            Ok(count) => end.sent.set(end.sent.get() + count),
            result if is_early(&result) => {}
            Err(_) => {
                end.broken.set(true);
                end.sends_left.set(0);
            }
        }
        send(io, end);
    };
    let on = On(Rc::clone(&end));
    let op = if end.below(2) == 0 {
        io.send(on, bytes, move |on, io, _buf, result| sent(on, io, result))
    } else {
        let (first, second) = bytes.split_at(bytes.len() / 3);
        let bufs = vec![first.to_vec(), second.to_vec()];
        io.send_vectored(on, bufs, move |on, io, _bufs, result| sent(on, io, result))
    };
    disturb(io, &end, op);
}

/// A receive has ended: with the stream's end, or another one follows.
fn received<T>(io: &Io, end: Shared, result: &io::Result<T>, is_the_end: bool) {
    end.ended();
    if is_the_end || result.is_err() && !is_early(result) {
        let is_short = |error: &io::Error| error.kind() == io::ErrorKind::UnexpectedEof;
        end.broken.set(end.broken.get() | result.as_ref().is_err_and(|error| !is_short(error)));
        end.over.set(end.over.get() + 1);
        return;
    }
    receive(io, end);
}

fn receive(io: &Io, end: Shared) {
    let (on, len) = (On(Rc::clone(&end)), 1 + end.below(2000) as usize);
    let op = match end.below(4) {
        0 => io.recv(on, Vec::with_capacity(len), |On(end), io, buf, result| {
            end.came(&buf);
            received(io, end, &result, matches!(result, Ok(0)));
        }),
        1 => io.recv_exact(on, Vec::with_capacity(len), len, |On(end), io, buf, result| {
            // What came before it was ended early is there.
            end.came(&buf);
            received(io, end, &result, false);
        }),
        2 => {
            let bufs = vec![Vec::with_capacity(len), Vec::with_capacity(9)];
            io.recv_vectored(on, bufs, |On(end), io, bufs, result| {
                bufs.iter().for_each(|buf| end.came(buf));
                received(io, end, &result, matches!(result, Ok(0)));
            })
        }
        _ => receive_each(io, &end),
    };
    disturb(io, &end, op);
}

fn receive_each(io: &Io, end: &Shared) -> Op {
    let stopped = Rc::new(Cell::new(false));
    let stops = Rc::clone(&stopped);
    let each = move |On(end): &mut On, _io: &Io, buf: PoolBuf| {
        end.came(&buf);
        stops.set(end.below(4) == 0);
        if stops.get() { Next::Stop } else { Next::Continue }
    };
    io.recv_each(On(Rc::clone(end)), &end.pool, each, move |On(end), io, result| {
        received(io, end, &result, result.is_ok() && !stopped.get());
    })
}

fn begin(io: &Io, stream: TcpStream, ends: &Log<Shared>, seed: u64) {
    let pool = std::iter::repeat_with(|| BufferPool::new(io, 2, 500)).find_map(Result::ok).unwrap();
    let end = Rc::new(End {
        stream,
        sent: Cell::new(0),
        received: Cell::new(0),
        sends_left: Cell::new(SENDS),
        over: Cell::new(0),
        pending: Cell::new(0),
        broken: Cell::new(false),
        random: RefCell::new(Random(seed)),
        pool,
    });
    ends.borrow_mut().push(Rc::clone(&end));
    send(io, Rc::clone(&end));
    receive(io, end);
}

/// The ends of all connections, when all is over.
fn run(seed: u64, faults: Faults) -> Vec<Shared> {
    let mut world = World::new(seed);
    let ends: Log<Shared> = Log::default();
    let accepted = Rc::clone(&ends);
    world.host("server", address(1), move |io| {
        let accepted = Rc::clone(&accepted);
        let each = move |_: &mut TcpListener, io: &Io, stream| {
            let number = accepted.borrow().len() as u64;
            begin(io, stream, &accepted, seed * 1000 + number + 1);
            Next::Continue
        };
        let listener = TcpListener::bind(io, at(1, 7)).unwrap();
        io.accept_each(listener, each, |_listener, _io, _result| {});
    });
    let connected = Rc::new(Cell::new(0));
    for client in 0..CONNECTIONS {
        let (ends, connected) = (Rc::clone(&ends), Rc::clone(&connected));
        world.host(&format!("client {client}"), address(client as u8 + 2), move |io| {
            let context = (Rc::clone(&ends), Rc::clone(&connected));
            connect(io, context, seed * 1000 + 500 + client as u64);
        });
    }
    world.set_faults(faults);
    let are_over = |_: &World| {
        // A connection that is aborted has one end.
        connected.get() == CONNECTIONS && ends.borrow().iter().all(|end| end.is_over())
    };
    assert!(world.run_until(5000 * SECOND, are_over), "seed {seed} hangs: {}", world.summary());
    ends.take()
}

/// Where ends are put, and how many clients have one.
type Ends = (Log<Shared>, Rc<Cell<usize>>);

fn connect(io: &Io, ends: Ends, seed: u64) {
    io.connect(ends, at(1, 7), move |(ends, connected), io, stream| {
        if let Ok(stream) = stream {
            connected.set(connected.get() + 1);
            begin(io, stream, &ends, seed);
        } else {
            connect(io, (ends, connected), seed);
        }
    });
}

/// The machinery fails, and the network does not break connections.
fn of_the_machinery() -> Faults {
    use FaultKind::*;
    let faults = Faults::none().with(LateCancel, 0.5).with(FalseWake, 0.1);
    let faults = faults.with(SubmissionPutOff, 0.1).with(CompletionsLate, 0.02);
    let faults = faults.with(NoPoolBuffer, 0.1).with(ShortReceive, 0.2).with(ShortSend, 0.2);
    faults.with(SlowTurn, 0.01).with(ClockDrift, 0.01).with(SegmentLate, 0.05).with(NoMemory, 0.1)
}

#[test]
fn p21_p20_what_is_disturbed_at_random_ends_once_and_loses_nothing() {
    for seed in 0..20 {
        let ends = run(seed, of_the_machinery());
        assert_eq!(ends.len(), 2 * CONNECTIONS);
        let is_broken = ends.iter().any(|end| end.broken.get());
        assert!(!is_broken, "seed {seed}: nothing breaks a connection here");
        let sum = |of: fn(&End) -> usize| ends.iter().map(|end| of(end)).sum::<usize>();
        assert_eq!(sum(|end| end.sent.get()), sum(|end| end.received.get()), "seed {seed}");
    }
}

#[test]
fn what_is_disturbed_at_random_ends_once_where_everything_fails() {
    for seed in 0..20 {
        for end in run(seed, Faults::some().with(FaultKind::LateCancel, 0.5)) {
            assert!(end.received.get() <= 4000 * SENDS as usize);
        }
    }
}

/// Changes a file by one operation after another, which are ended early at random; `model` is what it
/// must hold.
fn change(io: &Io, file: Rc<File>, model: Rc<RefCell<Vec<u8>>>, mut random: Random, left: u32) {
    if left == 0 {
        return;
    }
    let (offset, len) = (random.below(5000) as usize, 1 + random.below(900) as usize);
    let bytes = pattern(left as usize * 7, len);
    let (kind, early, after) = (random.below(3), random.below(4), random.below(300));
    let apply = move |model: &mut Vec<u8>| match kind {
        0 => {
            let end = model.len().max(offset + len);
            model.resize(end, 0);
            model[offset..offset + len].copy_from_slice(&pattern(left as usize * 7, len));
        }
        1 => model.extend(pattern(left as usize * 7, len)),
        _ => model.resize(offset, 0),
    };
    let next = move |file: Rc<File>, io: &Io, result: io::Result<()>| {
        match result {
            Ok(()) => apply(&mut model.borrow_mut()),
            result => assert!(is_early(&result), "{result:?}"),
        }
        change(io, file, model, random, left - 1);
    };
    let whole = move |result: io::Result<usize>| result.map(|count| assert_eq!(count, len));
    let op = match kind {
        0 => io.write_at(file, bytes, offset as u64, move |file, io, _buf, result| {
            next(file, io, whole(result));
        }),
        1 => io.append(file, bytes, move |file, io, _buf, result| next(file, io, whole(result))),
        _ => io.set_len(file, offset as u64, next),
    };
    let after = Duration::from_micros(after);
    match early {
        0 => io.deadline(op, after),
        1 => {
            io.timeout(op, after, |op, io, _result| io.cancel(op));
        }
        _ => {}
    }
}

#[test]
fn p21_a_change_of_a_file_that_was_ended_early_was_made_or_not_as_it_says() {
    let mut early = 0;
    for seed in 0..20 {
        let mut world = World::new(seed);
        let host = world.host("host", address(1), |_io| {});
        let file = super::run(&mut world, host, |io, log| {
            let options = OpenOptions::new().write(true).create(true);
            io.open(log, "/file", &options, |log, _io, file| log.borrow_mut().push(file.unwrap()))
        });
        world.set_faults(of_the_machinery().with(FaultKind::SlowDisk, 0.05));
        let model = Rc::default();
        let io = world.io(host).unwrap();
        change(io, Rc::new(file), Rc::clone(&model), Random(seed), 200);
        assert!(world.run_until(1000 * SECOND, |world| world.io(host).unwrap().in_flight() == 0));
        assert!(world.file(host, "/file").unwrap() == *model.borrow(), "seed {seed}");
        early += world.summary().faults.of(FaultKind::LateCancel);
    }
    assert!(early > 100, "{early}");
}
