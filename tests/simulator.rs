//! The simulator: hosts that run ordinary programs, a network with faults, and a seed that says what
//! happens.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::cell::{Cell, RefCell};
use std::io::ErrorKind;
use std::net::{IpAddr, Shutdown, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use tigereye::sim::{FaultKind, Faults, Host, Latency, World};
use tigereye::{
    AsSource, ConnectOptions, Io, ListenOptions, Next, Source, TcpListener, TcpStream, UdpSocket,
    is_cancelled,
};

const SECOND: Duration = Duration::from_secs(1);

fn address(last: u8) -> IpAddr {
    IpAddr::from([10, 0, 0, last])
}

fn at(last: u8, port: u16) -> SocketAddr {
    SocketAddr::new(address(last), port)
}

/// What callbacks left behind, in order.
type Log<T> = Rc<RefCell<Vec<T>>>;

fn log<T>() -> Log<T> {
    Rc::default()
}

/// Sends back what comes, until the end.
struct Echo(TcpStream);

impl AsSource for Echo {
    fn as_source(&self) -> &Source {
        self.0.as_source()
    }
}

impl Echo {
    fn receive(self, io: &Io, mut buf: Vec<u8>) {
        buf.clear();
        io.recv(self, buf, |echo, io, buf, result| {
            if matches!(result, Ok(1..)) {
                io.send_all(echo, buf, |echo, io, buf, result| {
                    if result.is_ok() {
                        echo.receive(io, buf);
                    }
                });
            }
        });
    }
}

/// A program that echoes at a port.
fn echo_server(port: u16) -> impl Fn(&Io) {
    move |io| {
        let listener = TcpListener::bind(io, SocketAddr::from(([0, 0, 0, 0], port))).unwrap();
        io.accept_each(
            listener,
            |_listener, io, stream| {
                Echo(stream).receive(io, Vec::with_capacity(1000));
                Next::Continue
            },
            |_listener, _io, _result| {},
        );
    }
}

/// Sends so many messages to an echo, one after another, over new connections where one fails.
#[derive(Clone)]
struct Client {
    server: SocketAddr,
    left: Rc<Cell<u32>>,
    failures: Rc<Cell<u32>>,
}

impl Client {
    fn new(server: SocketAddr, messages: u32) -> Client {
        Client { server, left: Rc::new(Cell::new(messages)), failures: Rc::default() }
    }

    fn connect(self, io: &Io) {
        let op = io.connect(self.clone(), self.server, |client, io, stream| match stream {
            Ok(stream) => client.send(io, stream),
            Err(_) => client.again(io),
        });
        io.deadline(op, 5 * SECOND);
    }

    fn again(self, io: &Io) {
        self.failures.set(self.failures.get() + 1);
        io.timeout(self, SECOND / 10, |client, io, _result| client.connect(io));
    }

    fn send(self, io: &Io, stream: TcpStream) {
        if self.left.get() == 0 {
            return;
        }
        let message = vec![self.left.get() as u8; 100 + self.left.get() as usize];
        let expected = message.clone();
        let client = self.clone();
        let stream = Rc::new(stream);
        io.send_all(Rc::clone(&stream), message, |_stream, _io, _buf, _result| {});
        let room = Vec::with_capacity(expected.len());
        let op = io.recv_exact(stream, room, expected.len(), move |stream, io, buf, result| {
            if result.is_err() {
                drop(stream);
                return client.again(io);
            }
            assert_eq!(buf, expected, "bytes are never changed on their way");
            client.left.set(client.left.get() - 1);
            match Rc::try_unwrap(stream) {
                Ok(stream) => client.send(io, stream),
                Err(_) => client.again(io),
            }
        });
        io.deadline(op, 5 * SECOND);
    }
}

/// A server and two clients, who say when they are done.
fn echo_world(seed: u64, messages: u32) -> (World, [Host; 3], [Client; 2]) {
    let mut world = World::new(seed);
    let server = world.host("server", address(1), echo_server(7));
    let clients = [(); 2].map(|()| Client::new(at(1, 7), messages));
    let hosts = [2, 3].map(|last: u8| {
        let client = clients[usize::from(last) - 2].clone();
        let name = format!("client {last}");
        world.host(&name, address(last), move |io| client.clone().connect(io))
    });
    (world, [server, hosts[0], hosts[1]], clients)
}

fn are_done(clients: &[Client; 2]) -> bool {
    clients.iter().all(|client| client.left.get() == 0)
}

#[test]
fn hosts_talk_over_tcp_and_time_is_the_worlds() {
    let (mut world, _hosts, clients) = echo_world(1, 50);
    assert!(world.run_until(60 * SECOND, |_world| are_done(&clients)));
    assert!(clients.iter().all(|client| client.failures.get() == 0));
    // Fifty times there and back, at 0.1 to 1 ms a way.
    let took = world.now();
    assert!(took > Duration::from_millis(10) && took < Duration::from_millis(200), "{took:?}");
}

fn faulty_run(seed: u64) -> (String, String) {
    let (mut world, hosts, clients) = echo_world(seed, 40);
    world.keep_trace();
    world.set_faults(Faults::some().with(FaultKind::ConnectionReset, 0.02));
    world.run_for(SECOND / 50);
    world.partition(hosts[0], hosts[1]);
    world.run_for(SECOND);
    world.heal(hosts[0], hosts[1]);
    world.kill(hosts[0]);
    world.run_for(SECOND / 10);
    world.restart(hosts[0]);
    world.run_for(SECOND / 20);
    world.crash(hosts[0]);
    world.restart(hosts[0]);
    assert!(world.run_until(3600 * SECOND, |_world| are_done(&clients)), "seed {seed} hangs");
    (world.trace(), world.summary().to_string())
}

#[test]
fn one_seed_is_one_run_byte_for_byte() {
    for seed in 0..20 {
        let (first, summary) = faulty_run(seed);
        let (second, again) = faulty_run(seed);
        assert!(first == second, "seed {seed}: the traces differ");
        assert_eq!(summary, again);
        assert!(first.lines().count() > 200, "the trace says what happened");
    }
    assert_ne!(faulty_run(1).0, faulty_run(2).0, "another seed is another run");
}

#[test]
fn a_trace_does_not_change_by_itself() {
    // The same on every platform, in debug and in release builds: a change of it is one of the
    // simulator's. It is hashed by FNV-1a.
    let (trace, _summary) = faulty_run(7);
    let hash = trace.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    assert_eq!(hash, 5_360_533_869_641_155_213, "{}", world_head(&trace));
}

fn world_head(trace: &str) -> String {
    trace.lines().take(20).collect::<Vec<_>>().join("\n")
}

/// Connects from host 2 to `to`; how that ended, and when.
fn connecting(world: &mut World, to: SocketAddr) -> Log<(Result<(), ErrorKind>, Duration)> {
    let ended = log();
    let results = Rc::clone(&ended);
    world.host("client", address(2), move |io| {
        let begin = io.now();
        io.connect(Rc::clone(&results), to, move |results, io, stream| {
            let result = stream.map(drop).map_err(|error| error.kind());
            results.borrow_mut().push((result, io.now() - begin));
        });
    });
    ended
}

#[test]
fn a_port_where_nobody_listens_refuses_after_a_way_there_and_back() {
    let mut world = World::new(2);
    world.set_latency(Latency::between(SECOND / 10, SECOND / 10));
    world.host("server", address(1), |_io| {});
    let ended = connecting(&mut world, at(1, 7));
    world.run_for(SECOND);
    let (result, took) = ended.borrow()[0];
    assert_eq!(result, Err(ErrorKind::ConnectionRefused));
    assert!(took >= SECOND / 5 && took < SECOND / 4, "{took:?}");
}

#[test]
fn nobody_at_an_address_is_a_time_out_after_127_seconds() {
    let mut world = World::new(3);
    let ended = connecting(&mut world, at(77, 7));
    world.run_for(300 * SECOND);
    let (result, took) = ended.borrow()[0];
    assert_eq!((result, took.as_secs()), (Err(ErrorKind::TimedOut), 127));
}

#[test]
fn a_connection_waits_for_a_partition_to_heal() {
    let (mut world, hosts, clients) = echo_world(4, 10);
    world.run_until(SECOND, |_world| clients[0].left.get() == 8);
    world.partition(hosts[0], hosts[1]);
    world.run_for(3 * SECOND);
    assert_eq!(clients[0].left.get(), 8, "nothing passes");
    assert_eq!(clients[1].left.get(), 0, "others do not notice");
    world.heal(hosts[0], hosts[1]);
    assert!(world.run_until(10 * SECOND, |_world| are_done(&clients)));
    assert_eq!(clients[0].failures.get(), 0, "the connection has lived on");
}

#[test]
fn a_one_way_partition_lets_the_other_way_pass() {
    let mut world = World::new(5);
    let heard = log();
    let peers = [1, 2].map(|last: u8| {
        let heard = Rc::clone(&heard);
        world.host(&format!("peer {last}"), address(last), move |io| {
            let socket = Rc::new(UdpSocket::bind(io, at(last, 9)).unwrap());
            let heard = Rc::clone(&heard);
            let to = at(3 - last, 9);
            io.send_to(Rc::clone(&socket), "hello", to, |_socket, _io, _buf, _result| {});
            io.recv_from(socket, Vec::with_capacity(10), move |_socket, _io, _buf, result| {
                heard.borrow_mut().push(result.unwrap().from);
            });
        })
    });
    world.partition_one_way(peers[0], peers[1]);
    world.run_for(SECOND);
    assert_eq!(*heard.borrow(), [at(2, 9)]);
}

/// A client that waits for an end of its connection; what it was told.
fn waiting_client(world: &mut World, server: SocketAddr) -> Log<Result<usize, ErrorKind>> {
    let ends = log();
    let told = Rc::clone(&ends);
    world.host("client", address(2), move |io| {
        let told = Rc::clone(&told);
        io.connect(told, server, |told, io, stream| {
            let stream = stream.unwrap();
            io.recv(stream, Vec::with_capacity(10), move |_stream, _io, _buf, result| {
                told.borrow_mut().push(result.map_err(|error| error.kind()));
            });
        });
    });
    ends
}

#[test]
fn a_killed_program_is_heard_of_and_a_crashed_host_is_not() {
    for crash in [false, true] {
        let mut world = World::new(6);
        let server = world.host("server", address(1), echo_server(7));
        let ends = waiting_client(&mut world, at(1, 7));
        world.run_for(SECOND);
        if crash {
            world.crash(server);
            world.run_for(3600 * SECOND);
            assert!(ends.borrow().is_empty(), "half-open: nobody tells");
        } else {
            world.kill(server);
            world.run_for(SECOND);
            assert_eq!(*ends.borrow(), [Ok(0)]);
        }
    }
}

#[test]
fn a_host_that_crashed_answers_with_a_reset_when_it_is_back() {
    let mut world = World::new(7);
    let server = world.host("server", address(1), echo_server(7));
    let stream: Rc<RefCell<Option<TcpStream>>> = Rc::default();
    let kept = Rc::clone(&stream);
    let client = world.host("client", address(2), move |io| {
        io.connect(Rc::clone(&kept), at(1, 7), |kept, _io, stream| {
            kept.replace(Some(stream.unwrap()));
        });
    });
    world.run_for(SECOND);
    world.crash(server);
    world.restart(server);
    let ends = log();
    let told = Rc::clone(&ends);
    let stream = stream.take().unwrap();
    world.io(client).unwrap().send_all(stream, "hello", |stream, io, _buf, result| {
        result.unwrap();
        io.recv(stream, Vec::with_capacity(10), move |_stream, _io, _buf, result| {
            told.borrow_mut().push(result.map_err(|error| error.kind()));
        });
    });
    world.run_for(SECOND);
    assert_eq!(*ends.borrow(), [Err(ErrorKind::ConnectionReset)]);
}

#[test]
fn a_backlog_that_is_full_has_the_client_ask_again() {
    let mut world = World::new(8);
    let listener: Rc<RefCell<Option<TcpListener>>> = Rc::default();
    let kept = Rc::clone(&listener);
    let server = world.host("server", address(1), move |io| {
        let options = ListenOptions::new().backlog(0);
        kept.replace(Some(TcpListener::bind_with(io, at(1, 7), &options).unwrap()));
    });
    let connected = Rc::new(Cell::new(0));
    for last in 2..5 {
        let connected = Rc::clone(&connected);
        world.host(&format!("client {last}"), address(last), move |io| {
            io.timeout(
                Rc::clone(&connected),
                SECOND * u32::from(last),
                |connected, io, _result| {
                    io.connect((), at(1, 7), move |(), io, stream| {
                        connected.set(connected.get() + 1);
                        io.timeout(stream.unwrap(), Duration::MAX, |_stream, _io, _result| {});
                    });
                },
            );
        });
    }
    world.run_for(20 * SECOND);
    assert_eq!(connected.get(), 1, "one is in the backlog");
    let listener = listener.take().unwrap();
    world.io(server).unwrap().accept_each(
        listener,
        |_listener, io, stream| {
            io.timeout(stream, Duration::MAX, |_stream, _io, _result| {});
            Next::Continue
        },
        |_listener, _io, _result| {},
    );
    world.run_for(60 * SECOND);
    assert_eq!(connected.get(), 3);
}

#[test]
fn p37_accepting_goes_on_when_a_descriptor_is_free() {
    let mut world = World::new(9);
    let server = world.host("server", address(1), echo_server(7));
    world.limit_descriptors(server, 2);
    let clients = [2, 3].map(|last: u8| {
        let client = Client::new(at(1, 7), 3);
        let of_host = client.clone();
        world.host(&format!("client {last}"), address(last), move |io| {
            of_host.clone().connect(io);
        });
        client
    });
    assert!(world.run_until(60 * SECOND, |_world| are_done(&clients)));
}

#[test]
fn p47_a_peer_that_reads_nothing_stops_a_sender_and_does_not_grow() {
    let mut world = World::new(10);
    let (sent, streams) = (Rc::new(Cell::new(0)), log());
    let kept: Log<TcpStream> = Rc::clone(&streams);
    let server = world.host("server", address(1), move |io| {
        let listener = TcpListener::bind(io, at(1, 7)).unwrap();
        io.accept(listener, {
            let kept = Rc::clone(&kept);
            move |_listener, _io, stream| kept.borrow_mut().push(stream.unwrap().0)
        });
    });
    let count = Rc::clone(&sent);
    world.host("client", address(2), move |io| {
        fn send(io: &Io, stream: TcpStream, count: Rc<Cell<usize>>) {
            io.send(stream, vec![1; 10_000], move |stream, io, _buf, result| {
                count.set(count.get() + result.unwrap());
                send(io, stream, count);
            });
        }
        let count = Rc::clone(&count);
        io.connect((), at(1, 7), move |(), io, stream| send(io, stream.unwrap(), count));
    });
    world.run_for(10 * SECOND);
    let stuck_at = sent.get();
    assert!(stuck_at > 100_000 && stuck_at < 1 << 20, "{stuck_at}");
    world.run_for(10 * SECOND);
    assert_eq!(sent.get(), stuck_at);
    let stream = streams.borrow_mut().pop().unwrap();
    Echo(stream).0.as_source();
    let _ = server;
}

#[test]
fn p42_a_half_closed_connection_carries_the_other_way() {
    let mut world = World::new(11);
    world.host("server", address(1), |io| {
        let listener = TcpListener::bind(io, at(1, 7)).unwrap();
        io.accept(listener, |_listener, io, stream| {
            let (stream, _) = stream.unwrap();
            io.recv_exact(stream, Vec::with_capacity(9), 4, |stream, io, _buf, result| {
                result.unwrap();
                io.recv(stream, Vec::with_capacity(9), |stream, io, _buf, result| {
                    assert_eq!(result.unwrap(), 0, "the end");
                    io.send_all(stream, "answer", |_stream, _io, _buf, result| result.unwrap());
                });
            });
        });
    });
    let heard = log();
    let answer = Rc::clone(&heard);
    world.host("client", address(2), move |io| {
        let answer = Rc::clone(&answer);
        io.connect(answer, at(1, 7), |answer, io, stream| {
            io.send_all(stream.unwrap(), "last", |stream, io, _buf, result| {
                result.unwrap();
                io.shutdown(stream, Shutdown::Write, |stream, io, result| {
                    result.unwrap();
                    let room = Vec::with_capacity(6);
                    io.recv_exact(stream, room, 6, move |_stream, _io, buf, result| {
                        result.unwrap();
                        answer.borrow_mut().push(buf);
                    });
                });
            });
        });
    });
    world.run_for(SECOND);
    assert_eq!(*heard.borrow(), [b"answer"]);
}

#[test]
fn names_are_those_of_hosts() {
    let mut world = World::new(12);
    world.host("server", address(1), echo_server(7));
    let found = log();
    let peers = Rc::clone(&found);
    world.host("client", address(2), move |io| {
        for name in ["server:7", "10.0.0.1:7", "nobody:7", "server"] {
            let options = ConnectOptions::new();
            io.connect_host(Rc::clone(&peers), name, &options, move |peers, _io, stream| {
                let peer = stream.and_then(|stream| stream.peer_addr()).ok();
                peers.borrow_mut().push((name, peer));
            });
        }
    });
    world.run_for(10 * SECOND);
    found.borrow_mut().sort_unstable();
    let server = Some(at(1, 7));
    let expected =
        [("10.0.0.1:7", server), ("nobody:7", None), ("server", None), ("server:7", server)];
    assert_eq!(*found.borrow(), expected);
}

#[test]
fn posts_from_one_host_to_another_are_heard() {
    let mut world = World::new(13);
    let one = world.host("one", address(1), |_io| {});
    let remote = world.io(one).unwrap().remote();
    let heard = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let flag = std::sync::Arc::clone(&heard);
    world.host("other", address(2), move |io| {
        let (remote, flag) = (remote.clone(), std::sync::Arc::clone(&flag));
        io.timeout(remote, SECOND, move |remote, _io, _result| {
            let set = move |_io: &Io| flag.store(true, std::sync::atomic::Ordering::Relaxed);
            remote.post(set).unwrap();
        });
    });
    world.run_for(SECOND / 2);
    assert!(!heard.load(std::sync::atomic::Ordering::Relaxed));
    world.run_for(SECOND);
    assert!(heard.load(std::sync::atomic::Ordering::Relaxed));
}

#[test]
fn p49_what_a_process_sent_before_its_end_arrives() {
    let mut world = World::new(14);
    world.host("server", address(1), |io| {
        let listener = TcpListener::bind(io, at(1, 7)).unwrap();
        io.accept(listener, |_listener, io, stream| {
            io.send_all(stream.unwrap().0, vec![7; 50_000], |_stream, io, _buf, result| {
                result.unwrap();
                io.stop();
            });
        });
    });
    let received = Rc::new(Cell::new(0));
    let count = Rc::clone(&received);
    world.host("client", address(2), move |io| {
        fn receive(io: &Io, stream: TcpStream, count: Rc<Cell<usize>>) {
            io.recv(stream, Vec::with_capacity(4096), move |stream, io, _buf, result| {
                let len = result.unwrap();
                count.set(count.get() + len);
                if len > 0 {
                    receive(io, stream, count);
                }
            });
        }
        let count = Rc::clone(&count);
        io.connect((), at(1, 7), move |(), io, stream| receive(io, stream.unwrap(), count));
    });
    world.run_for(SECOND);
    assert_eq!(received.get(), 50_000);
}

#[test]
fn p21_a_late_cancel_loses_to_what_came_before_it_and_never_hangs() {
    let mut world = World::new(15);
    world.set_faults(Faults::none().with(FaultKind::LateCancel, 0.9));
    world.host("server", address(1), echo_server(7));
    let seen: Log<bool> = log();
    let put = Rc::clone(&seen);
    world.host("client", address(2), move |io| {
        fn ask(io: &Io, stream: Rc<TcpStream>, seen: Log<bool>) {
            if seen.borrow().len() == 200 {
                return;
            }
            let op = io.recv(Rc::clone(&stream), vec![0; 1].into_boxed_slice(), {
                let stream = Rc::clone(&stream);
                move |_stream, io, _buf, result| {
                    let is_cancelled = result.is_err_and(|error| is_cancelled(&error));
                    seen.borrow_mut().push(is_cancelled);
                    ask(io, stream, seen);
                }
            });
            io.send_all(stream, "x", |_stream, _io, _buf, result| result.unwrap());
            io.timeout(op, SECOND / 1000, |op, io, _result| io.cancel(op));
        }
        let put = Rc::clone(&put);
        io.connect((), at(1, 7), move |(), io, stream| ask(io, Rc::new(stream.unwrap()), put));
    });
    assert!(world.run_until(600 * SECOND, |_world| seen.borrow().len() == 200));
    let late = world.summary().faults.of(FaultKind::LateCancel);
    let cancelled = seen.borrow().iter().filter(|&&cancelled| cancelled).count();
    assert!(late > 0 && cancelled > 0 && cancelled < 200, "{late} late, {cancelled} cancelled");
}

#[test]
fn p11_a_handle_that_outlives_its_program_closes_nobody_elses() {
    let mut world = World::new(16);
    let kept: Log<TcpStream> = log();
    let keeper = Rc::clone(&kept);
    let server = world.host("server", address(1), move |io| {
        let listener = TcpListener::bind(io, at(1, 7)).unwrap();
        let keeper = Rc::clone(&keeper);
        io.accept_each(
            listener,
            move |_listener, _io, stream| {
                keeper.borrow_mut().push(stream);
                Next::Continue
            },
            |_listener, _io, _result| {},
        );
    });
    let ends = waiting_client(&mut world, at(1, 7));
    world.run_for(SECOND);
    world.kill(server);
    world.run_for(SECOND);
    assert_eq!(*ends.borrow(), [Ok(0)], "its system has closed what it had open");
    world.restart(server);
    // The place of the old socket is taken again, more than once.
    for last in 10..40 {
        world.host(&format!("client {last}"), address(last), |io| {
            io.connect((), at(1, 7), |(), io, stream| {
                io.recv(stream.unwrap(), Vec::with_capacity(9), |_stream, _io, _buf, result| {
                    unreachable!("nothing comes: {result:?}");
                });
            });
        });
    }
    world.run_for(SECOND);
    let old = kept.borrow_mut().remove(0);
    assert_eq!(old.peer_addr().unwrap_err().kind(), ErrorKind::NotConnected);
    drop(old);
    drop(World::new(17));
    world.run_for(SECOND);
    assert_eq!(kept.borrow().len(), 30);
}
