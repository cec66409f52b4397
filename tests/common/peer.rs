//! The other end of a connection: a socket of the standard library on a real system, which is another
//! implementation and so a witness; in the simulator a stream of a second loop.
//!
//! A simulated world has one thread: what a test does with a peer on another one is in `real.rs`.

use std::any::Any;
use std::cell::RefCell;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::rc::Rc;
use std::time::{Duration, Instant};

use socket2::SockRef;
use tigereye::{AsSource, DriverKind, Io, ListenOptions, Op, TcpListener, TcpStream};

#[path = "peer_tasks.rs"]
mod tasks;
#[path = "udp_peer.rs"]
mod udp;
#[cfg(unix)]
#[path = "unix_peer.rs"]
mod unix;

pub(crate) use tasks::{Task, poll_peers, run_beside_peers};
pub(crate) use udp::UdpPeer;
#[cfg(unix)]
pub(crate) use unix::{UnixDatagramPeer, UnixPeer, UnixPeerListener};

/// Longer than a peer waits for anything.
const PATIENCE: Duration = Duration::from_secs(120);

/// Whether the tests run on the simulator.
pub(crate) fn is_simulated() -> bool {
    std::env::var("TIGEREYE_DRIVER").is_ok_and(|name| name == "sim")
}

/// The time now: by another clock than the loop's, where there is one.
pub(crate) fn now(io: &Io) -> Instant {
    if is_simulated() { io.now() } else { Instant::now() }
}

/// Connects to a listener until its backlog is full; the connections last as long as what is returned.
pub(crate) fn fill_backlog(address: SocketAddr) -> Box<dyn Any> {
    const ENOUGH: usize = 8;
    const NO_ANSWER: Duration = Duration::from_millis(300);
    if is_simulated() {
        let io = simulated_io();
        for _ in 0..ENOUGH {
            io.connect((), address, |(), io, stream| {
                io.timeout(stream, Duration::MAX, |_stream, _io, _result| {});
            });
        }
        io.poll().unwrap();
        return Box::new(io);
    }
    // One after another: the system answers each before the next asks, until there is no room.
    let connect = || std::net::TcpStream::connect_timeout(&address, NO_ANSWER).ok();
    Box::new(std::iter::from_fn(connect).collect::<Vec<_>>())
}

#[derive(Debug)]
pub(crate) enum Peer {
    Real(std::net::TcpStream),
    Simulated(Simulated),
}

/// As [`Read::read`], again where it was interrupted.
fn read_patiently(stream: &mut std::net::TcpStream, room: &mut [u8]) -> usize {
    crate::patient::read_some(stream, room).unwrap()
}

#[derive(Debug)]
pub(crate) struct Simulated {
    stream: Rc<TcpStream>,
    io: Rc<Io>,
}

#[derive(Debug)]
pub(crate) enum PeerListener {
    Real(std::net::TcpListener),
    Simulated(Rc<TcpListener>, Rc<Io>),
}

fn simulated_io() -> Rc<Io> {
    let io = Rc::new(Io::builder().driver(DriverKind::Sim).build().unwrap());
    tasks::enlist(&io);
    io
}

/// What a listener of a loop's gives.
type Accepted = (TcpStream, SocketAddr);

/// Where a callback puts its result.
type Place<T> = Rc<RefCell<Option<T>>>;

/// Runs a peer's loop until a callback has put its result, or for too long.
fn wait<T>(io: &Io, place: &Place<io::Result<T>>) -> io::Result<T> {
    io.run_for(PATIENCE).unwrap();
    let result = place.take();
    result.unwrap_or_else(|| {
        io.cancel_all();
        io.poll().unwrap();
        Err(io::ErrorKind::TimedOut.into())
    })
}

/// What came of an operation that a few turns are enough for; else it is cancelled, as if it would
/// block.
fn at_once<T>(io: &Io, place: &Place<io::Result<T>>, op: Op) -> io::Result<T> {
    (0..4).for_each(|_| io.poll().unwrap());
    if place.borrow().is_none() {
        io.cancel(op);
        io.run_for(PATIENCE).unwrap();
    }
    place.take().unwrap().map_err(|error| match tigereye::is_cancelled(&error) {
        true => io::ErrorKind::WouldBlock.into(),
        false => error,
    })
}

/// An address that is taken, and where nobody listens yet.
pub(crate) enum Unheard {
    Real(socket2::Socket),
    Simulated(SocketAddr),
}

impl Unheard {
    pub(crate) fn new() -> Unheard {
        if is_simulated() {
            let listener = PeerListener::bind(crate::any()).unwrap();
            return Unheard::Simulated(listener.local_addr().unwrap());
        }
        let (domain, kind) = (socket2::Domain::IPV4, socket2::Type::STREAM);
        let socket = socket2::Socket::new(domain, kind, None).unwrap();
        socket.bind(&crate::any().into()).unwrap();
        Unheard::Real(socket)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        match self {
            Unheard::Real(socket) => socket.local_addr().unwrap().as_socket().unwrap(),
            Unheard::Simulated(address) => *address,
        }
    }

    /// Listens there, while what is returned lives.
    pub(crate) fn listen(self) -> Box<dyn Any> {
        match self {
            Unheard::Real(socket) => {
                socket.listen(8).unwrap();
                Box::new(socket)
            }
            Unheard::Simulated(address) => Box::new(PeerListener::bind(address).unwrap()),
        }
    }
}

/// Receives what is there on a peer's loop, when something is.
fn receive_some<S: AsSource + 'static>(
    io: &Io,
    stream: &Rc<S>,
    buf: &mut [u8],
) -> io::Result<usize> {
    if buf.is_empty() {
        return Ok(0);
    }
    let place = Place::default();
    let put = Rc::clone(&place);
    let room = vec![0; buf.len()].into_boxed_slice();
    io.recv(Rc::clone(stream), room, move |_stream, _io, room, result| {
        put.replace(Some(result.map(|count| (count, room))));
    });
    let (count, room) = wait(io, &place)?;
    buf[..count].copy_from_slice(&room[..count]);
    Ok(count)
}

/// Sends what is taken on a peer's loop, when something is.
fn send_some<S: AsSource + 'static>(io: &Io, stream: &Rc<S>, buf: &[u8]) -> io::Result<usize> {
    let place = Place::default();
    let put = Rc::clone(&place);
    io.send(Rc::clone(stream), buf.to_vec(), move |_stream, _io, _buf, result| {
        put.replace(Some(result));
    });
    wait(io, &place)
}

impl PeerListener {
    pub(crate) fn bind(address: SocketAddr) -> io::Result<PeerListener> {
        PeerListener::bind_with(address, &ListenOptions::new())
    }

    fn bind_with(address: SocketAddr, options: &ListenOptions) -> io::Result<PeerListener> {
        if !is_simulated() {
            let listener = std::net::TcpListener::bind(address)?;
            // To accept takes as long at most.
            SockRef::from(&listener).set_read_timeout(Some(PATIENCE))?;
            return Ok(PeerListener::Real(listener));
        }
        let io = simulated_io();
        let listener = Rc::new(TcpListener::bind_with(&io, address, options)?);
        Ok(PeerListener::Simulated(listener, io))
    }

    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        match self {
            PeerListener::Real(listener) => listener.local_addr(),
            PeerListener::Simulated(listener, _) => listener.local_addr(),
        }
    }

    pub(crate) fn accept(&self) -> io::Result<(Peer, SocketAddr)> {
        match self {
            PeerListener::Real(listener) => {
                let (stream, address) = listener.accept()?;
                stream.set_read_timeout(Some(PATIENCE))?;
                Ok((Peer::Real(stream), address))
            }
            PeerListener::Simulated(listener, io) => {
                let (_op, place) = PeerListener::start_accept(listener, io);
                Ok(PeerListener::accepted(io, wait(io, &place)?))
            }
        }
    }

    /// Accepts a connection that is there.
    pub(crate) fn try_accept(&self) -> io::Result<(Peer, SocketAddr)> {
        match self {
            PeerListener::Real(listener) => {
                listener.set_nonblocking(true)?;
                let accepted = self.accept();
                listener.set_nonblocking(false)?;
                if let Ok((Peer::Real(stream), _)) = &accepted {
                    stream.set_nonblocking(false)?;
                }
                accepted
            }
            PeerListener::Simulated(listener, io) => {
                let (op, place) = PeerListener::start_accept(listener, io);
                Ok(PeerListener::accepted(io, at_once(io, &place, op)?))
            }
        }
    }

    fn start_accept(listener: &Rc<TcpListener>, io: &Io) -> (Op, Place<io::Result<Accepted>>) {
        let place = Place::default();
        let put = Rc::clone(&place);
        let end = move |_listener, _io: &Io, result| {
            put.replace(Some(result));
        };
        (io.accept(Rc::clone(listener), end), place)
    }

    fn accepted(io: &Rc<Io>, (stream, address): Accepted) -> (Peer, SocketAddr) {
        let (stream, io) = (Rc::new(stream), Rc::clone(io));
        (Peer::Simulated(Simulated { stream, io }), address)
    }
}

impl Peer {
    pub(crate) fn connect(address: SocketAddr) -> io::Result<Peer> {
        if !is_simulated() {
            let stream = std::net::TcpStream::connect(address)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            return Ok(Peer::Real(stream));
        }
        let (io, place) = (simulated_io(), Place::default());
        io.connect(Rc::clone(&place), address, |place, _io, result| {
            place.replace(Some(result));
        });
        let stream = Rc::new(wait(&io, &place)?);
        Ok(Peer::Simulated(Simulated { stream, io }))
    }

    /// A connection of a loop's to a simulated peer, whose end has such a buffer.
    pub(crate) fn simulated_pair(io: &Io, recv_buffer: Option<usize>) -> (TcpStream, Peer) {
        let mut options = ListenOptions::new();
        if let Some(bytes) = recv_buffer {
            options = options.recv_buffer(bytes);
        }
        let listener = PeerListener::bind_with(crate::any(), &options).unwrap();
        let place: Place<TcpStream> = Place::default();
        io.connect(Rc::clone(&place), listener.local_addr().unwrap(), |place, _io, result| {
            place.replace(Some(result.unwrap()));
        });
        // Over the loopback it takes no time.
        while place.borrow().is_none() {
            io.poll().unwrap();
        }
        (place.take().unwrap(), listener.accept().unwrap().0)
    }

    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        match self {
            Peer::Real(stream) => stream.local_addr(),
            Peer::Simulated(Simulated { stream, .. }) => stream.local_addr(),
        }
    }

    pub(crate) fn peer_addr(&self) -> io::Result<SocketAddr> {
        match self {
            Peer::Real(stream) => stream.peer_addr(),
            Peer::Simulated(Simulated { stream, .. }) => stream.peer_addr(),
        }
    }

    pub(crate) fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        match self {
            Peer::Real(stream) => stream.shutdown(how),
            Peer::Simulated(Simulated { stream, io }) => {
                let place = Place::default();
                let put = Rc::clone(&place);
                io.shutdown(Rc::clone(stream), how, move |_stream, _io, result| {
                    put.replace(Some(result));
                });
                wait(io, &place)
            }
        }
    }

    /// As [`Read::read`], of what is there.
    pub(crate) fn try_read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            Peer::Real(stream) => {
                stream.set_nonblocking(true)?;
                let result = crate::patient::read_some(stream, buf);
                stream.set_nonblocking(false)?;
                result
            }
            Peer::Simulated(Simulated { stream, io }) => {
                let place = Place::default();
                let put = Rc::clone(&place);
                let room = vec![0; buf.len()].into_boxed_slice();
                let end = move |_stream, _io: &Io, room: Box<[u8]>, result: io::Result<usize>| {
                    put.replace(Some(result.map(|count| (count, room))));
                };
                let op = io.recv(Rc::clone(stream), room, end);
                let (count, room) = at_once(io, &place, op)?;
                buf[..count].copy_from_slice(&room[..count]);
                Ok(count)
            }
        }
    }

    /// As `SO_LINGER` has it.
    pub(crate) fn set_linger(&self, linger: Option<Duration>) -> io::Result<()> {
        match self {
            Peer::Real(stream) => SockRef::from(stream).set_linger(linger),
            Peer::Simulated(Simulated { stream, .. }) => stream.set_linger(linger),
        }
    }
}

impl From<std::net::TcpStream> for Peer {
    fn from(stream: std::net::TcpStream) -> Peer {
        Peer::Real(stream)
    }
}

impl Read for Peer {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            Peer::Real(stream) => stream.read(buf),
            Peer::Simulated(Simulated { stream, io }) => receive_some(io, stream, buf),
        }
    }
}

impl Write for Peer {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        match self {
            Peer::Real(stream) => stream.write(buf),
            Peer::Simulated(Simulated { stream, io }) => send_some(io, stream, buf),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
