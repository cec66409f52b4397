//! Descriptors: as many after as before, and none for other programs. Each test has the process to
//! itself, for they count them all.
#![allow(clippy::disallowed_methods, reason = "tests have clocks and threads of their own")]
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "common/alone.rs"]
mod alone;

use std::cell::Cell;
use std::collections::BTreeSet;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::time::{Duration, Instant};

use alone::alone;
use tigereye::{
    BufferPool, Io, ListenOptions, Next, OpenOptions, TcpListener, TcpStream, UnixListener,
    UnixStream,
};

const HANG: Duration = Duration::from_secs(300);

fn any() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 0))
}

/// What is open in the process that looks: on Linux a link to its folder in /proc, on FreeBSD whole
/// where fdescfs(5) is mounted.
const OPEN: &str = "/dev/fd/";

fn descriptors() -> usize {
    std::fs::read_dir(OPEN).unwrap().count()
}

/// Half of them are closed by an operation, half of them dropped; all with a reset, so that no
/// port lingers.
fn end(io: &Io, stream: TcpStream, number: u32) {
    stream.set_linger(Some(Duration::ZERO)).unwrap();
    if number.is_multiple_of(2) {
        io.close(stream, |_stream, _io, result| result.unwrap());
    }
}

/// Connects `left` times, each time until the server has reset what it accepted. A client that
/// resets first may not be accepted at all: on another processor its reset overtakes the last
/// segment of the handshake (`EmbryonicRsts` in /proc/net/netstat counts that).
fn connect(io: &Io, address: SocketAddr, left: u32) {
    if left == 0 {
        return;
    }
    let is_reset = |error: &std::io::Error| error.kind() == ErrorKind::ConnectionReset;
    io.connect((), address, move |(), io, result| match result {
        Ok(stream) => {
            io.recv(stream, Vec::with_capacity(1), move |stream, io, _buf, result| {
                assert!(result.is_err_and(|error| is_reset(&error)), "the server resets");
                end(io, stream, left);
                connect(io, address, left - 1);
            });
        }
        Err(error) => {
            assert!(is_reset(&error), "{error}");
            connect(io, address, left - 1);
        }
    });
}

/// Opens and closes `total` connections, four at a time.
fn one_after_another(total: u32, within: Duration) {
    let outside = descriptors();
    let io = Io::new().unwrap();
    let listener = TcpListener::bind(&io, any()).unwrap();
    let address = listener.local_addr().unwrap();
    let inside = descriptors();
    let mut count = 0;
    io.accept_each(
        listener,
        move |_listener, io, stream| {
            count += 1;
            end(io, stream, count / 2);
            if count == total { Next::Stop } else { Next::Continue }
        },
        |listener, io, result| {
            result.unwrap();
            io.close(listener, |_listener, _io, result| result.unwrap());
        },
    );
    for _ in 0..4 {
        connect(&io, address, total / 4);
    }
    io.run_for(within).unwrap();
    assert_eq!(io.in_flight(), 0);
    assert_eq!(io.free_slots(), u32::MAX);
    assert_eq!(descriptors(), inside - 1, "the listener is closed, and all connections");
    drop(io);
    assert_eq!(descriptors(), outside);
}

#[test]
fn p48_twenty_thousand_connections_leave_no_descriptor() {
    if alone("p48_twenty_thousand_connections_leave_no_descriptor", &[]) {
        one_after_another(20_000, HANG);
    }
}

#[test]
#[ignore = "takes a minute; CI runs it in a release build"]
fn p48_a_million_connections_leave_no_descriptor() {
    if alone("p48_a_million_connections_leave_no_descriptor", &[]) {
        one_after_another(1_000_000, 4 * HANG);
    }
}

/// As many descriptors as the system lets us have.
#[expect(unsafe_code, reason = "getrlimit(2), setrlimit(2)")]
fn raise_limit() -> usize {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the structure is valid for the call.
    assert_eq!(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) }, 0);
    limit.rlim_cur = limit.rlim_max;
    // SAFETY: as above.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) }, 0);
    usize::try_from(limit.rlim_max).unwrap_or(usize::MAX)
}

const CLIENTS: usize = 10_000;

/// So many are reset before the system has heard of all of them. On the loopback, packets wait for
/// the receiving side in a queue of 1000 (`net.core.netdev_max_backlog`). What does not fit is
/// dropped, and nobody says a reset again. Linux 4.9 to 6.4 leaves the queue to a thread, once that
/// was woken, and on a busy machine it waits for a processor (commit d15121be7485).
const BURST: usize = 500;

/// Not a test: the process that holds the clients' ends, and resets a burst of them for every byte.
#[test]
#[ignore = "the other half of p48_ten_thousand_connections_reset_at_once"]
fn clients_that_reset() {
    let Ok(address) = std::env::var("TIGEREYE_TEST_SERVER") else { return };
    let address: SocketAddr = address.parse().unwrap();
    let count = CLIENTS.min(raise_limit() - 100);
    let connect = |_| {
        let stream = std::net::TcpStream::connect(address).unwrap();
        socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
        stream
    };
    let mut clients: Vec<_> = (0..count).map(connect).collect();
    while !clients.is_empty() {
        std::io::stdin().read_exact(&mut [0; 1]).unwrap();
        clients.truncate(clients.len().saturating_sub(BURST));
    }
}

fn spawn_clients(address: SocketAddr) -> std::process::Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "clients_that_reset", "--ignored"])
        .env("TIGEREYE_TEST_SERVER", address.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

/// How many connections of a port the system holds for established, where it tells. While others
/// come and go it may name one twice. Source: proc_net(5).
fn connected(port: u16) -> Option<usize> {
    let table = std::fs::read_to_string("/proc/net/tcp").ok()?;
    let peer = |line: &str| {
        let mut fields = line.split_ascii_whitespace().skip(1);
        let (local, peer, state) = (fields.next()?, fields.next()?, fields.next()?);
        let is_one = local.ends_with(&format!(":{port:04X}")) && state == "01";
        is_one.then(|| peer.to_owned())
    };
    Some(table.lines().filter_map(peer).collect::<BTreeSet<_>>().len())
}

/// Has the clients reset all their connections to a port, until the system has heard of each.
fn reset_all(clients: &mut std::process::Child, port: u16, count: usize) {
    let (mut stdin, begin) = (clients.stdin.take().unwrap(), Instant::now());
    let mut left = count;
    while left > 0 {
        stdin.write_all(b"x").unwrap();
        left = left.saturating_sub(BURST);
        while let Some(open) = connected(port).filter(|&open| open != left) {
            assert!(begin.elapsed() < HANG, "{open} are open to the system, not {left}");
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

#[test]
fn p48_ten_thousand_connections_reset_at_once() {
    if !alone("p48_ten_thousand_connections_reset_at_once", &[]) {
        return;
    }
    let count = CLIENTS.min(raise_limit() - 100);
    if count < CLIENTS {
        eprintln!("SKIPPED in part: only {count} descriptors");
    }
    let io = Io::new().unwrap();
    let options = ListenOptions::new().backlog(4096);
    let listener = TcpListener::bind_with(&io, any(), &options).unwrap();
    let address = listener.local_addr().unwrap();
    let before = descriptors();
    let (accepted, ended) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
    let (taken, over) = (Rc::clone(&accepted), Rc::clone(&ended));
    io.accept_each(
        listener,
        move |_listener, io, stream| {
            let over = Rc::clone(&over);
            io.recv(stream, Vec::with_capacity(16), move |_stream, _io, _buf, result| {
                assert!(!matches!(result, Ok(1..)), "nothing was sent");
                over.set(over.get() + 1);
            });
            taken.set(taken.get() + 1);
            if taken.get() == count { Next::Stop } else { Next::Continue }
        },
        |_listener, io, result| {
            result.unwrap();
            io.stop();
        },
    );
    let mut clients = spawn_clients(address);
    io.run_for(HANG).unwrap();
    assert_eq!((accepted.get(), ended.get()), (count, 0), "all are there, and wait");
    // The loop does not turn meanwhile: it finds them all at once.
    reset_all(&mut clients, address.port(), count);
    io.run_for(HANG).unwrap();
    assert_eq!((ended.get(), io.in_flight()), (count, 0));
    assert!(clients.wait().unwrap().success());
    // The listener went with its operation, the child's pipe with the child.
    assert_eq!(descriptors(), before - 1);
}

/// What a program started by this one finds open.
fn inherited() -> String {
    let output = Command::new("ls").arg(OPEN).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn p17_p38_no_descriptor_is_for_other_programs() {
    if !alone("p17_p38_no_descriptor_is_for_other_programs", &[]) {
        return;
    }
    let before = inherited();
    assert!(!before.is_empty());
    let io = Io::new().unwrap();
    let _announcer = io.descriptor().unwrap();
    let _pool = BufferPool::new(&io, 4, 64).unwrap();
    let listener = Rc::new(TcpListener::bind(&io, any()).unwrap());
    let address = listener.local_addr().unwrap();
    let streams = Rc::new(Cell::new(Vec::new()));
    let put = |streams: &Rc<Cell<Vec<_>>>, stream| {
        let mut all = streams.take();
        all.push(stream);
        streams.set(all);
    };
    let accepted = Rc::clone(&streams);
    io.connect(Rc::clone(&streams), address, move |streams, _io, result| {
        put(&streams, result.unwrap());
    });
    io.accept(Rc::clone(&listener), move |listener, io, result| {
        put(&accepted, result.unwrap().0);
        let streams = Rc::clone(&accepted);
        let item = move |_listener: &mut _, _io: &Io, stream| {
            put(&accepted, stream);
            Next::Stop
        };
        io.accept_each(listener, item, |_listener, _io, result| result.unwrap());
        io.connect(streams, address, move |streams, _io, result| put(&streams, result.unwrap()));
    });
    io.run_for(HANG).unwrap();
    io.offload((), || (), |(), _io, result| result.unwrap());
    let opened = Rc::new(Cell::new(Vec::new()));
    for limited in [false, true] {
        let options = OpenOptions::new().read(true).no_magic_links(limited);
        io.open(Rc::clone(&opened), "/dev/null", &options, move |opened, _io, result| {
            // Where there is no openat2, there is nothing to inherit.
            let mut all = opened.take();
            all.extend(result.ok());
            opened.set(all);
        });
    }
    io.run_for(HANG).unwrap();
    let opened = opened.take();
    assert!(!opened.is_empty());
    let streams = streams.take();
    assert_eq!(streams.len(), 4, "both ends of two connections, one of them by accept_each");
    assert_eq!(inherited(), before, "everything is close-on-exec");
    drop(opened);
}

#[test]
fn p17_p38_no_descriptor_of_unix_sockets_is_for_other_programs() {
    if !alone("p17_p38_no_descriptor_of_unix_sockets_is_for_other_programs", &[]) {
        return;
    }
    let before = inherited();
    let path = std::env::temp_dir().join(format!("tigereye-{}.sock", std::process::id()));
    let io = Io::new().unwrap();
    let listener = UnixListener::bind(&io, &path).unwrap();
    let kept = Rc::new(Cell::new(Vec::new()));
    let ends = Rc::clone(&kept);
    io.connect_unix((), &path, move |(), io, result| {
        let (reader, _writer) = std::io::pipe().unwrap();
        let passed = vec![reader.into()];
        io.send_with_descriptors(result.unwrap(), "x", passed, move |stream, _, _, _, result| {
            result.unwrap();
            ends.set(vec![stream]);
        });
    });
    let passed = Rc::new(Cell::new(Vec::new()));
    let put = Rc::clone(&passed);
    io.accept_unix(listener, move |_listener, io, result| {
        let (buf, room) = (Vec::with_capacity(1), Vec::with_capacity(1));
        io.recv_with_descriptors(result.unwrap().0, buf, room, move |_, _, _, all, result| {
            result.unwrap();
            put.set(all);
        });
    });
    io.run_for(HANG).unwrap();
    std::fs::remove_file(&path).unwrap();
    let (_near, _far) = UnixStream::pair(&io).unwrap();
    let (passed, kept) = (passed.take(), kept.take());
    assert_eq!((passed.len(), kept.len()), (1, 1));
    assert_eq!(inherited(), before, "everything is close-on-exec");
}

#[test]
#[cfg(target_os = "linux")]
fn p22_descriptors_that_the_process_has_no_room_for_are_told_of() {
    const NAME: &str = "p22_descriptors_that_the_process_has_no_room_for_are_told_of";
    if !alone(NAME, &[]) {
        return;
    }
    let io = Io::new().unwrap();
    let (near, far) = UnixStream::pair(&io).unwrap();
    let (mut reader, writer) = std::io::pipe().unwrap();
    let passed = (0..8).map(|_| writer.try_clone().unwrap().into()).collect();
    drop(writer);
    io.send_with_descriptors(near, "x", passed, |near, _io, _buf, _passed, result| {
        result.unwrap();
        near.into_std().map(drop).unwrap();
    });
    io.run_for(HANG).unwrap();
    // All but three of what is left.
    let mut files = Vec::new();
    while let Ok(file) = std::fs::File::open("/dev/null") {
        files.push(file);
    }
    files.truncate(files.len() - 3);
    let room = (Vec::with_capacity(1), Vec::with_capacity(8));
    io.recv_with_descriptors(far, room.0, room.1, |_far, _io, buf, passed, result| {
        let delivery = result.unwrap();
        assert_eq!((buf.len(), delivery.bytes, delivery.descriptors_cut), (1, 1, true));
        assert_eq!(passed.len(), 3);
    });
    io.run_for(HANG).unwrap();
    drop(files);
    assert_eq!(reader.read(&mut [0; 1]).unwrap(), 0, "what found no room is closed");
}

#[test]
fn p22_races_of_cancels_leave_no_descriptor() {
    if !alone("p22_races_of_cancels_leave_no_descriptor", &[]) {
        return;
    }
    let listener = std::net::TcpListener::bind(any()).unwrap();
    let address = listener.local_addr().unwrap();
    listener.set_nonblocking(true).unwrap();
    let before = descriptors();
    for round in 0..500_u32 {
        let io = Io::new().unwrap();
        let own = TcpListener::bind(&io, any()).unwrap();
        let own_address = own.local_addr().unwrap();
        let mut ops = Vec::new();
        ops.push(io.accept(own, |_listener, _io, _result| {}));
        for target in [own_address, address, address] {
            ops.push(io.connect((), target, |(), _io, _result| {}));
        }
        for _ in 0..round % 4 {
            io.poll().unwrap();
        }
        ops.into_iter().for_each(|op| io.cancel(op));
        // Every other loop ends with the cancels under way.
        if round.is_multiple_of(2) {
            io.run_for(HANG).unwrap();
            assert_eq!(io.in_flight(), 0);
        }
        drop(io);
        while listener.accept().is_ok() {}
        assert_eq!(descriptors(), before, "in round {round}");
    }
}

#[test]
fn p22_cancelled_opens_leave_no_descriptor() {
    if !alone("p22_cancelled_opens_leave_no_descriptor", &[]) {
        return;
    }
    let before = descriptors();
    for round in 0..500_u32 {
        let io = Io::new().unwrap();
        let options = OpenOptions::new().read(true);
        let mut ops = Vec::new();
        for options in [&options, &options.clone().no_magic_links(true)] {
            ops.push(io.open((), "/dev/null", options, |(), _io, _result| {}));
        }
        ops.push(io.open_directory((), "/", |(), _io, _result| {}));
        for _ in 0..round % 4 {
            io.poll().unwrap();
        }
        match round % 3 {
            0 => ops.into_iter().for_each(|op| io.cancel(op)),
            1 => ops.into_iter().for_each(|op| io.deadline(op, Duration::ZERO)),
            _ => {}
        }
        // Half of the loops end with the opens under way, however often they were turned.
        if round % 8 < 4 {
            io.run_for(HANG).unwrap();
            assert_eq!(io.in_flight(), 0);
        }
        drop(io);
        // A thread of the pool lets go of what wakes its loop a moment after it has told its result.
        let begin = Instant::now();
        while descriptors() != before {
            assert!(begin.elapsed() < HANG, "{} in round {round}, not {before}", descriptors());
            std::thread::yield_now();
        }
    }
}
