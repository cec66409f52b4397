//! Unix sockets, files that are sent, groups, and sockets of both families, on hosts of a world.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::cell::{Cell, RefCell};
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use tigereye::sim::{FaultKind, Faults, Host, World};
use tigereye::{
    Io, Next, OpenOptions, TcpListener, UdpOptions, UdpSocket, UnixListenOptions, UnixListener,
    UnixStream,
};
#[cfg(unix)]
use tigereye::{UnixAddress, UnixDatagram};

const SECOND: Duration = Duration::from_secs(1);
const PATH: &str = "/tmp/service";

fn address(last: u8) -> IpAddr {
    IpAddr::from([10, 0, 0, last])
}

/// What callbacks left behind, in order.
type Log<T> = Rc<RefCell<Vec<T>>>;

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at % 251) as u8).collect()
}

/// Faults that concern what happens on one host.
fn faults() -> Faults {
    use FaultKind::{FalseWake, Interrupted, LateCancel, NoDescriptor, ShortReceive, ShortSend};
    let often = [ShortReceive, ShortSend, FalseWake, LateCancel];
    let faults = often.iter().fold(Faults::none(), |faults, &kind| faults.with(kind, 0.3));
    faults.with(Interrupted, 0.1).with(NoDescriptor, 0.05)
}

/// Sends back what comes on each connection at `PATH`.
fn echo(io: &Io) {
    let options = UnixListenOptions::new().replace_stale(true);
    let listener = UnixListener::bind_with(io, PATH, &options).unwrap();
    let each = |_listener: &mut _, io: &Io, stream: UnixStream| {
        back(io, Rc::new(stream));
        Next::Continue
    };
    io.accept_unix_each(listener, each, |_listener, _io, _result| {});
}

fn back(io: &Io, stream: Rc<UnixStream>) {
    io.recv(stream, Vec::with_capacity(1000), |stream, io, buf, result| {
        if matches!(result, Ok(1..)) {
            io.send_all(stream, buf, |stream, io, _buf, result| {
                if result.is_ok() {
                    back(io, stream);
                }
            });
        }
    });
}

/// Asks the echo on its host for so many bytes, and again where that fails.
fn ask(io: &Io, bytes: Vec<u8>, done: Log<bool>) {
    io.connect_unix((bytes, done), PATH, |(bytes, done), io, stream| {
        let Ok(stream) = stream else {
            io.timeout((bytes, done), SECOND / 10, |(bytes, done), io, _result| {
                ask(io, bytes, done)
            });
            return;
        };
        let (stream, len) = (Rc::new(stream), bytes.len());
        io.send_all(Rc::clone(&stream), bytes.clone(), |_stream, _io, _buf, _result| {});
        io.recv_exact(stream, Vec::with_capacity(len), len, move |_stream, io, buf, result| {
            match result {
                Ok(()) => done.borrow_mut().push(buf == bytes),
                Err(_) => ask(io, bytes, done),
            }
        });
    });
}

fn unix_world(seed: u64) -> (World, Host, Log<bool>) {
    let mut world = World::new(seed);
    world.keep_trace();
    world.set_faults(faults());
    let done: Log<bool> = Rc::default();
    let asked = Rc::clone(&done);
    let host = world.host("host", address(1), move |io| {
        echo(io);
        // More than is held on the way there and back.
        [10, 100_000, 700_000].iter().for_each(|&len| ask(io, pattern(len), Rc::clone(&asked)));
    });
    (world, host, done)
}

#[test]
fn unix_streams_carry_all_whatever_goes_wrong_and_a_seed_is_one_run() {
    for seed in 0..20 {
        let [one, again] = [(); 2].map(|()| {
            let (mut world, host, done) = unix_world(seed);
            // What was asked before is asked again by the program that comes after.
            world.run_for(Duration::from_micros(seed * 40));
            world.restart(host);
            done.borrow_mut().clear();
            let is_done = |_world: &World| done.borrow().len() == 3;
            assert!(world.run_until(100 * SECOND, is_done), "{}", world.summary());
            assert_eq!(*done.borrow(), [true; 3], "seed {seed}");
            world.set_faults(Faults::none());
            world.run_for(SECOND);
            assert_eq!(world.descriptors(host), 1, "the listener's; seed {seed}");
            (world.trace(), world.summary())
        });
        assert_eq!(one.1, again.1);
        assert!(one.0 == again.0, "seed {seed}");
    }
}

/// No callback ever sees that its call was interrupted.
#[test]
fn a_call_that_is_interrupted_again_and_again_is_made_again() {
    let (mut world, _host, done) = unix_world(1);
    world.set_faults(Faults::none().with(FaultKind::Interrupted, 0.9));
    world.run_for(20 * SECOND);
    assert_eq!(*done.borrow(), [true; 3]);
    assert_eq!(world.trace().matches("unix: connects").count(), 3, "nothing was asked twice");
}

#[test]
fn each_fault_that_concerns_unix_sockets_fires() {
    let mut left = vec![
        FaultKind::ShortReceive,
        FaultKind::ShortSend,
        FaultKind::Interrupted,
        FaultKind::FalseWake,
        FaultKind::NoDescriptor,
    ];
    for seed in 0..50 {
        let (mut world, _host, _done) = unix_world(seed);
        world.run_for(SECOND);
        left.retain(|&kind| world.summary().faults.of(kind) == 0);
    }
    assert_eq!(left, []);
}

#[test]
fn p45_the_name_of_a_host_leads_to_nobody_on_another_and_its_file_outlives_the_program() {
    let mut world = World::new(7);
    let server = world.host("server", address(1), echo);
    let other = world.host("other", address(2), |_io| {});
    let kinds: Log<Option<ErrorKind>> = Rc::default();
    let connect = |world: &World, host: Host| {
        let kinds = Rc::clone(&kinds);
        world.io(host).unwrap().connect_unix(kinds, PATH, |kinds, _io, result| {
            kinds.borrow_mut().push(result.err().map(|error| error.kind()));
        });
    };
    connect(&world, server);
    connect(&world, other);
    world.run_for(SECOND);
    // The two hosts take their turns in any order.
    let mut both = kinds.take();
    both.sort_unstable();
    assert_eq!(both, [None, Some(ErrorKind::NotFound)]);
    world.kill(server);
    let bound = Rc::new(Cell::new(None));
    let again = Rc::clone(&bound);
    // The file is another program's too, on the same host.
    world.restart(server);
    let io = world.io(server).unwrap();
    again.set(UnixListener::bind(io, PATH).err().map(|error| error.kind()));
    assert_eq!(bound.get(), Some(ErrorKind::AddrInUse));
    io.remove_file((), PATH, |(), _io, result| result.unwrap());
    world.run_for(SECOND);
    connect(&world, server);
    world.run_for(SECOND);
    assert_eq!(kinds.take(), [Some(ErrorKind::NotFound)], "what has no name is not found");
}

#[cfg(unix)]
#[test]
fn p47_datagrams_of_unix_sockets_wait_for_a_slow_reader_and_none_is_lost() {
    let mut world = World::new(3);
    world.set_faults(faults());
    let got: Log<Vec<u8>> = Rc::default();
    let log = Rc::clone(&got);
    world.host("host", address(1), move |io| {
        let name = UnixAddress::from_path("/tmp/letters").unwrap();
        let reader = Rc::new(UnixDatagram::bind(io, &name).unwrap());
        let one = Rc::new(UnixDatagram::unbound(io).unwrap());
        for number in 0..50_u8 {
            io.send_to_unix(Rc::clone(&one), vec![number; 9], &name, |_one, _io, _buf, result| {
                assert_eq!(result.unwrap(), 9);
            });
        }
        let log = Rc::clone(&log);
        io.tick_each(
            reader,
            SECOND / 100,
            move |reader, io, _periods| {
                let log = Rc::clone(&log);
                let buf = Vec::with_capacity(20);
                io.recv_from_unix(Rc::clone(reader), buf, move |_reader, _io, buf, result| {
                    if result.is_ok() {
                        log.borrow_mut().push(buf);
                    }
                });
                Next::Continue
            },
            |_reader, _io, _result| {},
        );
    });
    assert!(world.run_until(60 * SECOND, |_world| got.borrow().len() == 50), "{}", world.summary());
    assert!(got.take().into_iter().eq((0..50).map(|number| vec![number; 9])));
}

/// Sends all of a file to who connects.
fn file_server(io: &Io) {
    let listener = TcpListener::bind(io, SocketAddr::from(([0, 0, 0, 0], 80))).unwrap();
    let each = |_listener: &mut _, io: &Io, stream| {
        io.open(stream, "/tmp/file", &OpenOptions::new().read(true), |stream, io, file| {
            io.send_file_all(stream, &file.unwrap(), 10, u64::MAX, |_stream, _io, _result| {});
        });
        Next::Continue
    };
    io.accept_each(listener, each, |_listener, _io, _result| {});
}

#[test]
fn a_file_is_sent_over_a_bad_network_from_a_slow_disk() {
    let bad = Faults::none()
        .with(FaultKind::ShortSend, 0.3)
        .with(FaultKind::Interrupted, 0.1)
        .with(FaultKind::FalseWake, 0.3)
        .with(FaultKind::SegmentLost, 0.05)
        .with(FaultKind::SlowDisk, 0.3);
    for seed in 0..20 {
        let mut world = World::new(seed);
        let server = world.host("server", address(1), |io| {
            let new = OpenOptions::new().write(true).create(true);
            io.open((), "/tmp/file", &new, |(), io, file| {
                io.write_all_at(file.unwrap(), pattern(900_000), 0, |_file, io, _buf, result| {
                    result.unwrap();
                    file_server(io);
                });
            });
        });
        world.run_for(SECOND);
        world.set_faults(bad.clone());
        let got: Log<Vec<u8>> = Rc::default();
        let log = Rc::clone(&got);
        world.host("client", address(2), move |io| {
            io.connect(Rc::clone(&log), SocketAddr::new(address(1), 80), |log, io, stream| {
                let (len, room) = (899_990, Vec::with_capacity(899_990));
                io.recv_exact(stream.unwrap(), room, len, move |_stream, _io, buf, result| {
                    result.unwrap();
                    log.borrow_mut().push(buf);
                });
            });
        });
        let is_done = |_world: &World| !got.borrow().is_empty();
        assert!(world.run_until(600 * SECOND, is_done), "{}", world.summary());
        assert!(got.take() == [&pattern(900_000)[10..]]);
        world.set_faults(Faults::none());
        world.run_for(10 * SECOND);
        assert_eq!(world.descriptors(server), 1, "the listener's; not the file's");
    }
}

#[test]
fn what_is_sent_to_a_group_comes_to_all_members_that_are_not_cut_off() {
    let mut world = World::new(5);
    let group = Ipv4Addr::new(239, 1, 2, 3);
    let got: Log<u8> = Rc::default();
    let hosts = [1, 2, 3, 4].map(|last: u8| {
        let log = Rc::clone(&got);
        world.host(&format!("host {last}"), address(last), move |io| {
            let wide = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 9));
            let socket = UdpSocket::bind_with(io, wide, &UdpOptions::new()).unwrap();
            // The last one is not a member.
            if last < 4 {
                socket.join_multicast_v4(group, Ipv4Addr::UNSPECIFIED).unwrap();
            }
            let log = Rc::clone(&log);
            let socket = Rc::new(socket);
            let buf = Vec::with_capacity(9);
            io.recv_from(Rc::clone(&socket), buf, move |_socket, _io, _buf, result| {
                assert_eq!(result.unwrap().from.ip(), address(1));
                log.borrow_mut().push(last);
            });
            if last == 1 {
                let to = SocketAddr::from((group, 9));
                io.timeout(socket, SECOND, move |socket, io, _result| {
                    io.send_to(socket, "all", to, |_socket, _io, _buf, result| {
                        assert_eq!(result.unwrap(), 3);
                    });
                });
            }
        })
    });
    world.partition(hosts[0], hosts[2]);
    world.run_for(2 * SECOND);
    let mut all = got.take();
    all.sort_unstable();
    assert_eq!(all, [1, 2]);
}

#[test]
fn p40_a_socket_of_both_families_hears_hosts_of_ipv4() {
    let mut world = World::new(6);
    let got: Log<IpAddr> = Rc::default();
    let log = Rc::clone(&got);
    world.host("server", address(1), move |io| {
        let wide = SocketAddr::from((Ipv6Addr::UNSPECIFIED, 80));
        let listener = TcpListener::bind(io, wide).unwrap();
        let taken = TcpListener::bind(io, SocketAddr::from(([0, 0, 0, 0], 80))).unwrap_err();
        assert_eq!(taken.kind(), ErrorKind::AddrInUse);
        let accepted = Rc::clone(&log);
        io.accept(listener, move |_listener, _io, result| {
            let (stream, peer) = result.unwrap();
            assert_eq!(stream.peer_addr().unwrap(), peer);
            accepted.borrow_mut().push(peer.ip());
        });
        let socket = Rc::new(UdpSocket::bind(io, wide).unwrap());
        let received = Rc::clone(&log);
        let buf = Vec::with_capacity(9);
        io.recv_from(socket, buf, move |socket, io, buf, result| {
            let from = result.unwrap().from;
            received.borrow_mut().push(from.ip());
            // And answers them by the address that it has of them.
            io.send_to(socket, buf, from, |_socket, _io, _buf, result| {
                result.unwrap();
            });
        });
    });
    let back: Log<SocketAddr> = Rc::default();
    let log = Rc::clone(&back);
    world.host("client", address(2), move |io| {
        let server = SocketAddr::new(address(1), 80);
        io.connect((), server, |(), _io, result| drop(result.unwrap()));
        let socket = Rc::new(UdpSocket::bind(io, SocketAddr::from(([0, 0, 0, 0], 0))).unwrap());
        io.send_to(Rc::clone(&socket), "ping", server, |_socket, _io, _buf, result| {
            result.unwrap();
        });
        let log = Rc::clone(&log);
        let buf = Vec::with_capacity(9);
        io.recv_from(socket, buf, move |_socket, _io, _buf, result| {
            log.borrow_mut().push(result.unwrap().from);
        });
    });
    world.run_for(SECOND);
    let mapped = IpAddr::from(Ipv4Addr::new(10, 0, 0, 2).to_ipv6_mapped());
    assert_eq!(got.take(), [mapped; 2]);
    assert_eq!(back.take(), [SocketAddr::new(address(1), 80)]);
}
