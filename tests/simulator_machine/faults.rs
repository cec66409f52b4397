//! What goes wrong between a loop and its system: calls that are put off, completions that come late,
//! cancels that lose, buffers, memory and threads that are not there. And each kind of fault that
//! there is happens, within some seeds.

use std::cell::Cell;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use tigereye::sim::{FaultKind, Faults, Host, World};
use tigereye::{
    BufferPool, File, Io, Next, Op, OpenOptions, TcpListener, TcpStream, UdpSocket, is_cancelled,
};

use super::{Log, SECOND, address, run};

const MS: Duration = Duration::from_millis(1);
const PATH: &str = "/file";

pub(crate) fn at(last: u8, port: u16) -> SocketAddr {
    SocketAddr::new(address(last), port)
}

/// A world with one host whose program does nothing by itself, and where this fault happens.
fn world(seed: u64, kind: FaultKind, probability: f64) -> (World, Host) {
    let mut world = World::new(seed);
    let host = world.host("host", address(1), |_io| {});
    world.set_faults(Faults::none().with(kind, probability));
    (world, host)
}

fn read_write() -> OpenOptions {
    OpenOptions::new().read(true).write(true).create(true)
}

/// How an operation ended.
type End = Result<usize, ErrorKind>;

/// A callback that puts a result down.
fn put<C, B>(log: &Log<End>) -> impl FnOnce(C, &Io, B, io::Result<usize>) + use<C, B> {
    let log = Rc::clone(log);
    move |_context, _io, _buf, result| log.borrow_mut().push(result.map_err(|error| error.kind()))
}

/// Starts a receive, an accept and a read, lets what they wait for come, and cancels them; how they
/// ended.
fn cancelled_when_ready(probability: f64) -> Vec<bool> {
    let (mut world, host) = world(1, FaultKind::LateCancel, probability);
    let file = run(&mut world, host, |io, log| {
        io.open(log, PATH, &read_write(), |log, _io, file| log.borrow_mut().push(file.unwrap()))
    });
    let cancelled: Log<bool> = Log::default();
    let io = world.io(host).unwrap();
    let (log, other) = (Rc::clone(&cancelled), Rc::clone(&cancelled));
    let socket = UdpSocket::bind(io, at(1, 9)).unwrap();
    let receive = io.recv_from(socket, Vec::with_capacity(9), move |_socket, _io, _buf, result| {
        log.borrow_mut().push(result.is_err_and(|error| is_cancelled(&error)));
    });
    let listener = TcpListener::bind(io, at(1, 7)).unwrap();
    let accept = io.accept(listener, move |_listener, _io, result| {
        other.borrow_mut().push(result.is_err_and(|error| is_cancelled(&error)));
    });
    world.run_for(SECOND);
    let io = world.io(host).unwrap();
    let socket = UdpSocket::bind(io, at(1, 8)).unwrap();
    io.send_to(socket, "hello", at(1, 9), |_, _, _, _| {});
    io.connect((), at(1, 7), |(), _, _| {});
    let log = Rc::clone(&cancelled);
    let read = io.read_at(file, Vec::with_capacity(9), 0, move |_file, _io, _buf, result| {
        log.borrow_mut().push(result.is_err_and(|error| is_cancelled(&error)));
    });
    [receive, accept, read].into_iter().for_each(|op| io.cancel(op));
    world.run_for(SECOND);
    assert_eq!(world.io(host).unwrap().in_flight(), 0, "none hangs");
    cancelled.take()
}

#[test]
fn p21_p22_cancels_lose_every_race_where_all_of_them_are_late() {
    assert_eq!(cancelled_when_ready(0.0), [true, true, true]);
    assert_eq!(cancelled_when_ready(1.0), [false, false, false]);
}

#[test]
fn p10_a_cancel_that_is_late_ends_what_never_comes() {
    let (mut world, host) = world(2, FaultKind::LateCancel, 1.0);
    let log = Log::default();
    let io = world.io(host).unwrap();
    let socket = Rc::new(UdpSocket::bind(io, at(1, 9)).unwrap());
    for step in 0..100 {
        // Some are woken for nothing meanwhile.
        let faults = Faults::none().with(FaultKind::LateCancel, 1.0);
        world.set_faults(faults.with(FaultKind::FalseWake, f64::from(step % 2)));
        let io = world.io(host).unwrap();
        let op = io.recv(Rc::clone(&socket), vec![0; 9].into_boxed_slice(), put(&log));
        world.run_for(MS);
        world.io(host).unwrap().cancel(op);
        world.run_for(SECOND);
        assert_eq!(log.borrow().len(), step as usize + 1, "it hangs");
    }
    assert!(log.borrow().iter().all(Result::is_err));
}

#[test]
fn what_is_put_off_is_done_and_in_order() {
    let (mut world, host) = world(3, FaultKind::SubmissionPutOff, 0.5);
    let log = Log::default();
    let io = world.io(host).unwrap();
    let socket = Rc::new(UdpSocket::bind(io, at(1, 9)).unwrap());
    let sender = Rc::new(UdpSocket::bind(io, at(1, 8)).unwrap());
    for len in 0..100 {
        io.send_to(Rc::clone(&sender), vec![7; len], at(1, 9), |_, _, _, result| {
            result.unwrap();
        });
    }
    for _ in 0..100 {
        io.recv(Rc::clone(&socket), Vec::with_capacity(100), put(&log));
    }
    world.run_for(SECOND);
    assert_eq!(log.take(), (0..100).map(Ok).collect::<Vec<End>>());
    assert!(world.summary().faults.of(FaultKind::SubmissionPutOff) > 50);
    // One that is put off is cancelled like one that waits.
    world.set_faults(Faults::none().with(FaultKind::SubmissionPutOff, 1.0));
    let io = world.io(host).unwrap();
    let op = io.send_to(sender, "late", at(1, 9), |_, _, _, result| {
        assert!(is_cancelled(&result.unwrap_err()));
    });
    io.cancel(op);
    world.run_for(SECOND);
    assert_eq!(world.io(host).unwrap().in_flight(), 0);
}

#[test]
fn completions_that_are_late_come_all_at_once() {
    let (mut world, host) = world(4, FaultKind::CompletionsLate, 1.0);
    let times: Log<(usize, Duration)> = Log::default();
    let io = world.io(host).unwrap();
    let begin = io.now();
    for port in 1..=50 {
        let times = Rc::clone(&times);
        let socket = UdpSocket::bind(io, at(1, port)).unwrap();
        io.recv(socket, Vec::with_capacity(9), move |_socket, io, _buf, result| {
            times.borrow_mut().push((result.unwrap(), io.now() - begin));
        });
    }
    let sender = world.host("sender", address(2), |io| {
        for port in 1..=50 {
            let socket = UdpSocket::bind(io, at(2, port)).unwrap();
            io.timeout(socket, MS / 1000 * u32::from(port), move |socket, io, _result| {
                io.send_to(socket, "hello", at(1, port), |_, _, _, _| {});
            });
        }
    });
    world.run_for(SECOND);
    let (times, late) = (times.take(), world.summary().faults.of(FaultKind::CompletionsLate));
    assert_eq!(times.len(), 50);
    let mut turns: Vec<_> = times.iter().map(|&(_len, at)| at).collect();
    turns.dedup();
    assert!(turns.len() <= 3 && late >= 1, "in {} turns, {late} times late", turns.len());
    let _ = sender;
}

#[test]
fn a_short_receive_leaves_no_hole_between_two_buffers() {
    let (mut world, host) = world(8, FaultKind::ShortReceive, 1.0);
    let heard: Log<Vec<u8>> = Log::default();
    let io = world.io(host).unwrap();
    let listener = TcpListener::bind(io, at(1, 7)).unwrap();
    io.accept(listener, |_listener, io, stream| {
        let text = "a text that is longer than the first buffer";
        io.send_all(stream.unwrap().0, text, |_, _, _, result| result.unwrap());
    });
    let log = Rc::clone(&heard);
    io.connect((), at(1, 7), move |(), io, stream| {
        io.timeout(stream.unwrap(), MS, move |stream, io, _result| {
            let bufs = vec![Vec::with_capacity(20), Vec::with_capacity(50)];
            io.recv_vectored(stream, bufs, move |_stream, _io, bufs, result| {
                let all = bufs.concat();
                assert_eq!(all.len(), result.unwrap());
                log.borrow_mut().push(all);
            });
        });
    });
    world.run_for(SECOND);
    let heard = heard.borrow();
    assert!(b"a text that is longer than the first buffer".starts_with(&heard[0]), "{heard:?}");
}

#[test]
fn p12_a_flow_that_finds_no_buffer_goes_on() {
    let (mut world, host) = world(5, FaultKind::NoPoolBuffer, 0.5);
    let log = Log::default();
    let io = world.io(host).unwrap();
    let pool = BufferPool::new(io, 1, 512).unwrap();
    let socket = UdpSocket::bind(io, at(1, 9)).unwrap();
    let lens = Rc::clone(&log);
    io.recv_from_each(
        socket,
        &pool,
        move |_socket, _io, datagram| {
            lens.borrow_mut().push(datagram.len());
            Next::Continue
        },
        |_socket, _io, _result| {},
    );
    let sender = Rc::new(UdpSocket::bind(io, at(1, 8)).unwrap());
    for len in 0..50 {
        io.send_to(Rc::clone(&sender), vec![7; len], at(1, 9), |_, _, _, _| {});
    }
    world.run_for(SECOND);
    assert_eq!(log.take(), (0..50).collect::<Vec<usize>>());
    assert!(world.summary().faults.of(FaultKind::NoPoolBuffer) > 20);
}

#[test]
fn p37_no_memory_is_an_error_and_accepting_goes_on_when_there_is_some() {
    let (mut world, host) = world(6, FaultKind::NoMemory, 1.0);
    let accepted = Rc::new(Cell::new(0));
    let count = Rc::clone(&accepted);
    let io = world.io(host).unwrap();
    assert_eq!(BufferPool::new(io, 1, 100).unwrap_err().kind(), ErrorKind::OutOfMemory);
    let listener = TcpListener::bind(io, at(1, 7)).unwrap();
    io.accept_each(
        listener,
        move |_listener, _io, _stream| {
            count.set(count.get() + 1);
            Next::Continue
        },
        |_listener, _io, result| unreachable!("{result:?}"),
    );
    io.connect((), at(1, 7), |(), _io, result| drop(result.unwrap()));
    world.run_for(SECOND);
    assert_eq!(accepted.get(), 0);
    world.set_faults(Faults::none());
    world.run_for(SECOND);
    assert_eq!(accepted.get(), 1);
    assert!(BufferPool::new(world.io(host).unwrap(), 1, 100).is_ok());
}

#[test]
fn p59_a_call_for_which_there_is_no_thread_ends_with_an_error() {
    let (mut world, host) = world(7, FaultKind::NoThread, 1.0);
    let error = run(&mut world, host, |io, log| {
        io.offload(log, || 7, |log, _io, result| log.borrow_mut().push(result.unwrap_err()))
    });
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
    assert_eq!(world.io(host).unwrap().in_flight(), 0);
}

/// Sends what comes back, from a pool.
fn server(io: &Io) {
    let pool = std::iter::repeat_with(|| BufferPool::new(io, 4, 256)).find_map(Result::ok).unwrap();
    let listener = TcpListener::bind(io, at(1, 7)).unwrap();
    io.accept_each(
        listener,
        move |_listener, io, stream| {
            let each = |stream: &mut TcpStream, io: &Io, buf| {
                io.send_detached(stream, buf);
                Next::Continue
            };
            io.recv_each(stream, &pool, each, |_stream, _io, _result| {});
            Next::Continue
        },
        |_listener, _io, _result| {},
    );
}

/// Connects again and again, and sends something each time; gives up early.
fn client(io: &Io) {
    fn again(io: &Io) {
        io.timeout((), 20 * MS, |(), io, _result| client(io));
    }
    let op = io.connect((), at(1, 7), |(), io, stream| {
        let Ok(stream) = stream else { return again(io) };
        io.send_all(stream, vec![7; 700], |stream, io, _buf, _result| {
            let op =
                io.recv_exact(stream, Vec::with_capacity(700), 700, |_stream, io, buf, _result| {
                    assert!(buf.iter().all(|&byte| byte == 7), "bytes do not change on their way");
                    again(io);
                });
            io.deadline(op, 4 * MS);
        });
    });
    io.deadline(op, 2 * SECOND);
}

/// Sends datagrams to a peer and receives its own, asks for the time, and has calls made.
fn peer(last: u8) -> impl Fn(&Io) {
    move |io| {
        let socket = Rc::new(UdpSocket::bind(io, at(last, 9)).unwrap());
        let to = at(9 - last, 9);
        io.tick_each(
            Rc::clone(&socket),
            20 * MS,
            move |socket, io, _ticks| {
                let _may_jump = io.wall_clock();
                io.offload((), || (), |(), _io, _result| {});
                io.send_to(Rc::clone(socket), "ping", to, |_, _, _, _| {});
                Next::Continue
            },
            |_, _, _| {},
        );
        receive_all(io, socket);
        io.open((), PATH, &read_write(), |(), io, file| {
            if let Ok(file) = file {
                busy(io, Rc::new(file), 0);
            }
        });
    }
}

fn receive_all(io: &Io, socket: Rc<UdpSocket>) {
    io.recv_from(socket, Vec::with_capacity(100), |socket, io, _buf, result| {
        if !result.is_err_and(|error| is_cancelled(&error)) {
            receive_all(io, socket);
        }
    });
}

/// Writes, reads and syncs, whatever comes of it.
fn busy(io: &Io, file: Rc<File>, step: u64) -> Op {
    let offset = step % 16 * 512;
    match step % 3 {
        0 => io.write_at(file, vec![7; 1500], offset, move |file, io, _, _| {
            busy(io, file, step + 1);
        }),
        1 => io.read_at(file, Vec::with_capacity(1000), offset, move |file, io, _, _| {
            busy(io, file, step + 1);
        }),
        _ if step.is_multiple_of(5) => io.sync(file, move |file, io, _| {
            busy(io, file, step + 1);
        }),
        _ => io.timeout(file, 5 * MS, move |file, io, _| {
            busy(io, file, step + 1);
        }),
    }
}

/// A world in which all goes wrong that can.
fn faulty_world(seed: u64) -> World {
    let mut world = World::new(seed);
    let hosts = [
        world.host("server", address(1), server),
        world.host("client 2", address(2), client),
        world.host("client 3", address(3), client),
        world.host("peer 4", address(4), peer(4)),
        world.host("peer 5", address(5), peer(5)),
    ];
    world.set_faults(Faults::some());
    world.run_for(SECOND);
    world.partition(hosts[3], hosts[4]);
    world.partition_one_way(hosts[1], hosts[0]);
    world.pause(hosts[2]);
    world.run_for(SECOND);
    world.resume(hosts[2]);
    world.heal(hosts[3], hosts[4]);
    world.heal(hosts[1], hosts[0]);
    world.restart(hosts[0]);
    world.crash(hosts[3]);
    world.restart(hosts[3]);
    world.run_for(10 * SECOND);
    world
}

#[test]
fn every_kind_of_fault_happens_within_some_seeds() {
    let mut left: Vec<FaultKind> = FaultKind::ALL.to_vec();
    for seed in 0..200 {
        let counts = faulty_world(seed).summary().faults;
        left.retain(|&kind| counts.of(kind) == 0);
        if left.is_empty() {
            return;
        }
    }
    let names: Vec<String> = left.iter().map(FaultKind::to_string).collect();
    panic!("never happened: {}", names.join(", "));
}
