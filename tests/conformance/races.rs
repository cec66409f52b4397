//! Cancels and deadlines that race with what they are to end: either outcome, never both, never
//! neither, and nothing is lost.

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use tigereye::{BufferPool, Io, Next, TcpListener, TcpStream, UdpSocket, is_cancelled};
#[cfg(unix)]
use tigereye::{Descriptor, Signal, UnixDatagram};

#[cfg(unix)]
use crate::disk::Scratch;
use crate::patient::read_some;
use crate::peer::{Peer, PeerListener, is_simulated, poll_peers};
use crate::real;
use crate::{Log, Random, any, fill, finish, pair, pattern, shared_pair, small_pair};

const ROUNDS: u32 = 3000;

/// Turns the loop a few times, or not at all, so that the race falls out differently each time.
fn turn(io: &Io, random: &mut Random) {
    for _ in 0..random.below(3) {
        io.poll().unwrap();
    }
    if is_simulated() {
        poll_peers();
    } else if random.below(4) == 0 {
        std::thread::yield_now();
    }
}

/// Writes four bytes whenever it is told to: on a thread of its own; in the simulator at once.
enum Writer {
    Thread(mpsc::Sender<[u8; 4]>, JoinHandle<()>),
    Simulated(Peer),
}

impl Writer {
    fn new(peer: Peer) -> Writer {
        let Peer::Real(mut peer) = peer else { return Writer::Simulated(peer) };
        let (sender, receiver) = mpsc::channel();
        peer.set_nodelay(true).unwrap();
        let write =
            move || receiver.into_iter().for_each(|piece: [u8; 4]| peer.write_all(&piece).unwrap());
        Writer::Thread(sender, std::thread::spawn(write))
    }

    fn write(&mut self, piece: [u8; 4]) {
        match self {
            Writer::Thread(sender, _) => sender.send(piece).unwrap(),
            Writer::Simulated(peer) => peer.write_all(&piece).unwrap(),
        }
    }

    /// Until all is written; the peer goes.
    fn end(self) {
        if let Writer::Thread(sender, thread) = self {
            drop(sender);
            thread.join().unwrap();
        }
    }
}

#[test]
fn p21_p10_a_cancel_racing_received_bytes_loses_none() {
    let io = Io::new().unwrap();
    let (stream, peer) = shared_pair(&io);
    let mut writer = Writer::new(peer);
    let mut random = Random(21);
    let (mut sent, mut received, mut cancelled) = (Vec::new(), Vec::new(), 0);
    for number in 0..ROUNDS {
        let log = Log::new();
        let put = log.clone();
        let op = io.recv(Rc::clone(&stream), Vec::with_capacity(7), move |_s, _io, buf, result| {
            put.put((buf, result));
        });
        // Less than is received, so that now and then there is nothing.
        if random.below(4) > 0 {
            writer.write(number.to_le_bytes());
            sent.extend(number.to_le_bytes());
        }
        turn(&io, &mut random);
        if random.below(2) == 0 {
            io.cancel(op);
        } else {
            io.deadline(op, Duration::from_micros(random.below(50)));
        }
        finish(&io);
        let (buf, result) = log.one();
        match result {
            Ok(count) => assert_eq!(count, buf.len()),
            Err(error) => {
                assert!(is_cancelled(&error) || error.kind() == ErrorKind::TimedOut, "{error}");
                assert_eq!(buf, b"", "no bytes with an error");
                cancelled += 1;
            }
        }
        received.extend(buf);
    }
    writer.end();
    let (log, left) = (Log::new(), sent.len() - received.len());
    let put = log.clone();
    io.recv_exact(stream, Vec::with_capacity(left), left, move |_stream, _io, buf, result| {
        result.unwrap();
        put.put(buf);
    });
    finish(&io);
    received.extend(log.one());
    assert!(received == sent, "bytes were lost or came twice");
    assert!(cancelled > 0, "the race was never lost");
}

/// A connection that takes little at a time and much in all: a long send has room again as soon as
/// it has used the room up, so that it often does not wait when a cancel comes.
fn eager_pair(io: &Io) -> (TcpStream, Peer) {
    if is_simulated() {
        return Peer::simulated_pair(io, Some(1 << 20));
    }
    let (near, far) = real::std_pair();
    socket2::SockRef::from(&near).set_send_buffer_size(4096).unwrap();
    socket2::SockRef::from(&far).set_recv_buffer_size(1 << 20).unwrap();
    (TcpStream::from_std(io, near).unwrap(), far.into())
}

#[test]
fn p10_a_cancel_of_a_send_on_its_way_is_not_lost() {
    let io = Io::new().unwrap();
    for turns in (0..8).cycle().take(40) {
        let (stream, _peer) = eager_pair(&io);
        let log = Log::new();
        let put = log.clone();
        let op = io.send_all(stream, vec![1; 8 << 20], move |_stream, _io, buf, result| {
            put.put((buf.len(), result));
        });
        for _ in 0..turns {
            io.poll().unwrap();
        }
        io.cancel(op);
        finish(&io);
        let (len, result) = log.one();
        assert_eq!(len, 8 << 20);
        assert!(is_cancelled(&result.unwrap_err()), "after {turns} turns");
    }
}

/// An urgent byte wakes whoever waits for input and is none: a receive tries, finds nothing, and
/// tries again. A cancel may come while it does not wait.
#[test]
fn p10_a_cancel_between_two_tries_is_not_lost() {
    let io = Io::new().unwrap();
    for turns in 0..3 {
        let (stream, peer) = real::shared_pair(&io);
        assert_eq!(socket2::SockRef::from(&peer).send_out_of_band(b"!").unwrap(), 1);
        let log = Log::new();
        let put = log.clone();
        let op = io.recv(stream, Vec::with_capacity(8), move |_stream, _io, buf, result| {
            put.put((buf, result.map_err(|error| is_cancelled(&error))));
        });
        for _ in 0..turns {
            io.poll().unwrap();
        }
        io.cancel(op);
        finish(&io);
        let (buf, result) = log.one();
        assert!(result == Err(true) || buf == b"!", "{result:?}");
    }
}

#[test]
fn p21_a_cancelled_exact_receive_shows_what_came() {
    let io = Io::new().unwrap();
    let (stream, mut peer) = shared_pair(&io);
    let mut random = Random(22);
    let mut all = Vec::new();
    for _ in 0..500 {
        peer.write_all(b"abc").unwrap();
        let log = Log::new();
        let put = log.clone();
        let op = io.recv_exact(Rc::clone(&stream), Vec::with_capacity(9), 9, {
            move |_stream, _io, buf, result| put.put((buf, result))
        });
        turn(&io, &mut random);
        io.cancel(op);
        finish(&io);
        let (buf, result) = log.one();
        assert!(is_cancelled(&result.unwrap_err()) || buf.len() == 9);
        all.extend(buf);
    }
    drop(peer);
    let log = Log::new();
    let put = log.clone();
    io.recv_exact(stream, Vec::with_capacity(5000), 5000, move |_stream, _io, buf, _result| {
        put.put(buf);
    });
    finish(&io);
    all.extend(log.one());
    assert!(all == b"abc".repeat(500), "bytes were lost");
}

#[test]
fn p21_a_cancel_racing_recv_each_loses_no_byte() {
    let io = Io::new().unwrap();
    let pool = BufferPool::new(&io, 4, 16).unwrap();
    let (stream, peer) = shared_pair(&io);
    let len = ROUNDS as usize * 4;
    let writer = peer.writes_in_pieces(&pattern(len), 4);
    let mut random = Random(23);
    let (all, mut rounds) = (Log::new(), 0);
    let mut received = Vec::new();
    while received.len() < len {
        let (put, ends) = (all.clone(), Log::new());
        let end = ends.clone();
        let op = io.recv_each(
            Rc::clone(&stream),
            &pool,
            move |_stream, _io, buf| {
                put.put(buf.to_vec());
                Next::Continue
            },
            move |_stream, _io, result| end.put(result),
        );
        turn(&io, &mut random);
        io.cancel(op);
        finish(&io);
        if let Err(error) = ends.one() {
            assert!(is_cancelled(&error), "{error}");
        }
        received.extend(all.take().concat());
        rounds += 1;
    }
    assert!(received == pattern(len), "bytes were lost or came twice");
    assert!(rounds > 1);
    writer.join();
}

/// A connection that either side can use, made by whichever outcome.
fn works(io: &Io, stream: TcpStream, client: &mut (impl Read + ?Sized)) {
    io.send_all(stream, "x", |_stream, _io, _buf, result| result.unwrap());
    finish(io);
    let mut byte = [0; 1];
    client.read_exact(&mut byte).unwrap();
    assert_eq!(&byte, b"x");
}

#[test]
fn p22_a_cancel_racing_an_accept_loses_no_connection() {
    let io = Io::new().unwrap();
    let listener = Rc::new(TcpListener::bind(&io, any()).unwrap());
    let address = listener.local_addr().unwrap();
    let mut random = Random(24);
    let mut ended_early = 0;
    for _ in 0..1000 {
        let connect = || Peer::connect(address).unwrap();
        // Before the accept, before its end is asked for, before that has gone out, or after.
        let when = random.below(4);
        let before = (when == 0).then(connect);
        let log = Log::new();
        let accept = || {
            let put = log.clone();
            io.accept(Rc::clone(&listener), move |_listener, _io, result| put.put(result))
        };
        let op = accept();
        turn(&io, &mut random);
        let between = (when == 1).then(connect);
        if random.below(2) == 0 {
            io.cancel(op);
        } else {
            io.deadline(op, Duration::ZERO);
        }
        let asked = (when == 2).then(connect);
        finish(&io);
        let mut client = before.or(between).or(asked).unwrap_or_else(connect);
        let (stream, peer) = log.one().unwrap_or_else(|error| {
            assert!(is_cancelled(&error) || error.kind() == ErrorKind::TimedOut, "{error}");
            ended_early += 1;
            accept();
            finish(&io);
            log.one().unwrap()
        });
        assert_eq!(peer, client.local_addr().unwrap(), "the connection comes, and no other");
        stream.set_linger(Some(Duration::ZERO)).unwrap();
        works(&io, stream, &mut client);
    }
    assert!(ended_early > 0, "the race was never lost");
}

#[test]
fn p22_a_cancel_racing_a_connect_leaves_a_stream_or_nothing() {
    let io = Io::new().unwrap();
    let listener = PeerListener::bind(any()).unwrap();
    let address = listener.local_addr().unwrap();
    let mut random = Random(25);
    for _ in 0..1000 {
        let log = Log::new();
        let op = io.connect(log.clone(), address, |log, _io, result| log.put(result));
        turn(&io, &mut random);
        io.cancel(op);
        finish(&io);
        match log.one() {
            Ok(stream) => {
                let near = stream.local_addr().unwrap();
                // It may not be there to be accepted yet, and some that were cancelled before it.
                let mut far = loop {
                    let (far, peer) = listener.accept().unwrap();
                    if peer == near {
                        break far;
                    }
                    assert_closed(far);
                };
                stream.set_linger(Some(Duration::ZERO)).unwrap();
                works(&io, stream, &mut far);
            }
            Err(error) => {
                assert!(is_cancelled(&error), "{error}");
                while let Ok((far, _peer)) = listener.try_accept() {
                    assert_closed(far);
                }
            }
        }
    }
}

/// What the system had connected all the same is closed again.
fn assert_closed(mut far: Peer) {
    match read_some(&mut far, &mut [0; 1]) {
        Ok(count) => assert_eq!(count, 0),
        Err(error) => {
            let stays = [ErrorKind::WouldBlock, ErrorKind::TimedOut].contains(&error.kind());
            assert!(!stays, "it stays open");
        }
    }
}

/// How many there are: those that are about a real system's descriptors and signals there alone.
fn kinds() -> u32 {
    if is_simulated() {
        20
    } else if cfg!(unix) {
        24
    } else {
        17
    }
}

/// Starts one of each kind that can wait, all of which wait while the value returned lives.
fn start_all_kinds(
    io: &Io,
    address: SocketAddr,
    log: &Log<(&'static str, std::io::Error)>,
) -> impl Sized {
    let (full, far) = small_pair(io);
    fill(io, &full);
    let listener = Rc::new(TcpListener::bind(io, any()).unwrap());
    let put = |name| {
        let log = log.clone();
        move |error: Option<std::io::Error>| log.put((name, error.expect(name)))
    };
    let (end, (stream, peer)) = (put("recv"), shared_pair(io));
    io.recv(Rc::clone(&stream), Vec::with_capacity(1), move |_s, _io, _b, r| end(r.err()));
    let end = put("recv behind it");
    io.recv(stream, Vec::with_capacity(1), move |_s, _io, _b, r| end(r.err()));
    let (end, (stream, one)) = (put("recv_exact"), pair(io));
    io.recv_exact(stream, Vec::with_capacity(9), 9, move |_s, _io, _b, r| end(r.err()));
    let (end, (stream, two)) = (put("recv_vectored"), pair(io));
    io.recv_vectored(stream, vec![Vec::with_capacity(9)], move |_s, _io, _b, r| end(r.err()));
    // More than both ends hold: of what was full once, the peer's end may still take some.
    let end = put("send_all");
    io.send_all(Rc::clone(&full), pattern(1 << 20), move |_s, _io, _b, r| end(r.err()));
    let end = put("send behind it");
    io.send(Rc::clone(&full), pattern(9000), move |_s, _io, _b, r| end(r.err()));
    let end = put("writable");
    io.writable(full, move |_s, _io, r| end(r.err()));
    let (end, (stream, three)) = (put("readable"), pair(io));
    io.readable(stream, move |_s, _io, r| end(r.err()));
    let end = put("accept");
    io.accept(Rc::clone(&listener), move |_l, _io, r| end(r.err()));
    let end = put("accept_each behind it");
    io.accept_each(listener, |_l, _io, _s| Next::Stop, move |_l, _io, r| end(r.err()));
    let end = put("connect");
    io.connect((), address, move |(), _io, r| end(r.err()));
    let end = put("timeout");
    io.timeout((), Duration::MAX, move |(), _io, r| end(r.err()));
    let end = put("tick_each");
    io.tick_each((), Duration::MAX, |(), _io, _n| Next::Stop, move |(), _io, r| end(r.err()));
    let end = put("event");
    let (_op, trigger) = io.event((), move |(), _io, r| end(r.err()));
    let end = put("recv_each");
    let (pool, (stream, four)) = (BufferPool::new(io, 2, 16).unwrap(), pair(io));
    io.recv_each(stream, &pool, |_s, _io, _b| Next::Stop, move |_s, _io, r| end(r.err()));
    let (end, socket) = (put("recv_from"), UdpSocket::bind(io, any()).unwrap());
    io.recv_from(socket, Vec::with_capacity(1), move |_s, _io, _b, r| end(r.err()));
    let (end, socket) = (put("recv_from_each"), UdpSocket::bind(io, any()).unwrap());
    let wide = BufferPool::new(io, 2, 100).unwrap();
    io.recv_from_each(socket, &wide, |_s, _io, _d| Next::Stop, move |_s, _io, r| end(r.err()));
    #[cfg(unix)]
    let unix = (
        start_with_unix_datagrams(io, log),
        (!is_simulated()).then(|| start_with_descriptors(io, log)),
    );
    #[cfg(windows)]
    let unix = ();
    (far, peer, [one, two, three, four], trigger, pool, unix)
}

/// As [`start_all_kinds`], those with datagrams of Unix sockets.
#[cfg(unix)]
fn start_with_unix_datagrams(io: &Io, log: &Log<(&'static str, std::io::Error)>) -> impl Sized {
    let put = |name| {
        let log = log.clone();
        move |error: Option<std::io::Error>| log.put((name, error.expect(name)))
    };
    let place = Scratch::new();
    let (receiver, _count) = crate::unix_datagram::full(&place.join("full"));
    let socket = || Rc::new(UnixDatagram::unbound(io).unwrap());
    let end = put("recv_from_unix");
    io.recv_from_unix(socket(), Vec::with_capacity(1), move |_s, _io, _b, r| end(r.err()));
    let (end, pool) = (put("recv_from_unix_each"), BufferPool::new(io, 2, 200).unwrap());
    io.recv_from_unix_each(
        socket(),
        &pool,
        |_s, _io, _d| Next::Stop,
        move |_s, _io, r| {
            end(r.err());
        },
    );
    let end = put("send_to_unix");
    io.send_to_unix(socket(), "x", place.join("full"), move |_s, _io, _b, r| end(r.err()));
    (place, receiver, pool)
}

/// As [`start_all_kinds`], those that take any descriptor or none.
#[cfg(unix)]
fn start_with_descriptors(io: &Io, log: &Log<(&'static str, std::io::Error)>) -> impl Sized {
    let put = |name| {
        let log = log.clone();
        move |error: Option<std::io::Error>| log.put((name, error.expect(name)))
    };
    let handle = |fd: std::os::fd::OwnedFd| Rc::new(Descriptor::new(io, fd));
    let (reader, one) = std::io::pipe().unwrap();
    let reader = handle(reader.into());
    let end = put("read");
    io.read(Rc::clone(&reader), Vec::with_capacity(1), move |_d, _io, _b, r| end(r.err()));
    let end = put("read_exact behind it");
    io.read_exact(reader, Vec::with_capacity(9), 9, move |_d, _io, _b, r| end(r.err()));
    let (two, writer) = std::io::pipe().unwrap();
    let end = put("write_all");
    io.write_all(handle(writer.into()), pattern(1 << 20), move |_d, _io, _b, r| end(r.err()));
    let end = put("signal_each");
    // One that nobody sends, and that does nothing by itself.
    let signals = &[Signal::URG];
    io.signal_each((), signals, |(), _io, _s| Next::Stop, move |(), _io, r| end(r.err()));
    (one, two)
}

#[test]
fn p20_every_kind_says_that_it_was_cancelled() {
    let (_other, _listener, _sockets, address) = crate::ends::full_listener();
    for turns in 0..3 {
        let io = Io::new().unwrap();
        let log = Log::new();
        let peers = start_all_kinds(&io, address, &log);
        for _ in 0..turns {
            io.poll().unwrap();
        }
        assert_eq!((io.in_flight(), log.len()), (kinds(), 0), "all of them wait");
        io.cancel_all();
        finish(&io);
        drop(peers);
        let all = log.take();
        assert_eq!(all.len(), kinds() as usize);
        for (name, error) in all {
            assert!(is_cancelled(&error), "{name}: {error} (after {turns} turns)");
        }
    }
}
