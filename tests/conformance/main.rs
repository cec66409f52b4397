//! What every driver must do, seen through the public interface. Tests are named after the pitfall
//! (`p07_…`) or the rule of the design (`rule1_…`) that they hold to.
#![allow(clippy::disallowed_methods, reason = "tests have clocks and threads of their own")]
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "../common/alone.rs"]
mod alone;
mod bulk;
#[cfg(target_os = "linux")]
mod cached;
mod closing;
mod data_files;
#[cfg(unix)]
mod descriptors;
mod detached;
mod direct;
#[cfg_attr(windows, allow(dead_code, reason = "what Unix alone has is asked for there alone"))]
#[path = "../common/disk.rs"]
mod disk;
mod edges;
mod ends;
mod file_ends;
mod file_parts;
mod files;
mod flow;
mod huge;
mod life;
mod multishot;
mod options;
#[cfg(unix)]
mod passing;
mod paths;
#[path = "../common/patient.rs"]
mod patient;
#[path = "../common/peer.rs"]
mod peer;
mod pressure;
mod races;
#[path = "../common/random.rs"]
mod random;
mod real;
mod registered_memory;
mod remote;
mod rules;
#[path = "../common/scratch.rs"]
mod scratch;
#[cfg(target_os = "linux")]
#[path = "../common/seccomp.rs"]
mod seccomp;
mod send_file;
#[cfg(unix)]
mod signals;
#[cfg(unix)]
mod simulated;
mod spin;
#[cfg(target_os = "linux")]
mod splice;
mod storm;
mod stream;
mod tcp;
mod timers;
mod udp;
mod udp_socket;
#[cfg(unix)]
mod unix;
#[cfg(unix)]
mod unix_datagram;
#[cfg(windows)]
mod windows;
#[cfg(windows)]
mod windows_files;

use std::cell::{Cell, RefCell};
use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use peer::{Peer, is_simulated};
use random::Random;
use tigereye::{AsSource, Io, Source, TcpListener, TcpStream};

/// The system's codes that tests compare with.
mod code {
    #[cfg(unix)]
    pub(crate) use libc::{
        EBADF as NOT_OPEN_FOR_IT, EDESTADDRREQ as NO_PEER, EINVAL as INVALID, EMSGSIZE as TOO_LONG,
        ENOTSOCK as NO_SOCKET,
    };
    /// `WSAENOTSOCK`.
    #[cfg(windows)]
    pub(crate) const NO_SOCKET: i32 = 10038;
    /// `ERROR_ACCESS_DENIED`.
    #[cfg(windows)]
    pub(crate) const NOT_OPEN_FOR_IT: i32 = 5;
    /// `WSAENOTCONN`, `WSAEINVAL`, `WSAEMSGSIZE`.
    #[cfg(windows)]
    pub(crate) const NO_PEER: i32 = 10057;
    #[cfg(windows)]
    pub(crate) const INVALID: i32 = 10022;
    #[cfg(windows)]
    pub(crate) const TOO_LONG: i32 = 10040;
}

/// What a send says when the peer has reset the connection: Windows goes on saying just that.
const GONE: std::io::ErrorKind = if cfg!(windows) {
    std::io::ErrorKind::ConnectionReset
} else {
    std::io::ErrorKind::BrokenPipe
};

/// Longer than any test takes, on the busiest machine: what is in flight after it hangs.
const HANG: Duration = Duration::from_secs(120);

/// The loopback address, with a port of the system's choice.
fn any() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 0))
}

/// Runs until nothing is in flight.
#[track_caller]
fn finish(io: &Io) {
    if is_simulated() {
        peer::run_beside_peers(io, HANG);
    } else {
        io.run_for(HANG).unwrap();
    }
    assert_eq!(io.in_flight(), 0, "an operation hangs");
}

/// Runs until [`Io::stop`], with something in flight.
#[track_caller]
fn run_until_stop(io: &Io) {
    let before = std::time::Instant::now();
    io.run_for(HANG).unwrap();
    assert!(before.elapsed() < HANG, "the loop was not stopped");
}

/// A connection from the loop to a peer.
fn pair(io: &Io) -> (TcpStream, Peer) {
    if is_simulated() {
        return Peer::simulated_pair(io, None);
    }
    let (near, far) = real::pair(io);
    (near, Peer::Real(far))
}

/// Two ends of a connection that are both the loop's, on which nothing else is in flight.
fn own_pair(io: &Io) -> (Rc<TcpStream>, Rc<TcpStream>) {
    let listener = TcpListener::bind(io, any()).unwrap();
    let (near, far) = (Log::new(), Log::new());
    let address = listener.local_addr().unwrap();
    io.connect(near.clone(), address, |near, _io, result| near.put(result.unwrap()));
    let put = far.clone();
    io.accept(listener, move |_listener, _io, result| put.put(result.unwrap().0));
    finish(io);
    (Rc::new(near.one()), Rc::new(far.one()))
}

/// As [`pair`], shared.
fn shared_pair(io: &Io) -> (Rc<TcpStream>, Peer) {
    let (near, far) = pair(io);
    (Rc::new(near), far)
}

/// As [`pair`], with buffers that hold little of what is sent.
fn small_pair(io: &Io) -> (Rc<TcpStream>, Peer) {
    if is_simulated() {
        let (near, far) = Peer::simulated_pair(io, Some(65_536));
        return (Rc::new(near), far);
    }
    let (near, far) = real::small_pair(io);
    (near, Peer::Real(far))
}

/// Fills all that a connection holds. What was full once may take some more a moment later: the peer's
/// end takes it over, when it has acknowledged, and when the sender has sent a part of a segment into a
/// window that is smaller. Both take longer than one moment, and less than all.
fn fill(io: &Io, stream: &TcpStream) {
    const MOMENT: Duration = Duration::from_millis(30);
    let mut moments = 0;
    while moments < 10 {
        match stream.send_now(&[0; 4096]) {
            Ok(_count) => moments = 0,
            Err(_full) => {
                io.timeout((), MOMENT, |(), _io, result| result.unwrap());
                finish(io);
                moments += 1;
            }
        }
    }
}

/// Runs until next to nothing happens, with something in flight: what waits makes no calls.
#[track_caller]
fn come_to_rest(io: &Io) {
    let begin = std::time::Instant::now();
    loop {
        let before = io.statistics().system_calls;
        io.run_for(Duration::from_millis(50)).unwrap();
        if io.statistics().system_calls - before < 20 {
            return;
        }
        assert!(begin.elapsed() < HANG, "it never waits");
    }
}

/// Ends a connection with a reset.
fn reset(stream: impl Into<Peer>) {
    let stream: Peer = stream.into();
    stream.set_linger(Some(Duration::ZERO)).unwrap();
    drop(stream);
}

/// Bytes that tell their place.
fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at % 251) as u8).collect()
}

/// Reads exactly `len` bytes.
fn read(stream: &mut impl Read, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    stream.read_exact(&mut bytes).unwrap();
    bytes
}

/// What callbacks left behind, in order.
struct Log<T>(Rc<RefCell<Vec<T>>>);

impl<T> Clone for Log<T> {
    fn clone(&self) -> Log<T> {
        Log(Rc::clone(&self.0))
    }
}

impl<T> Log<T> {
    fn new() -> Log<T> {
        Log(Rc::new(RefCell::new(Vec::new())))
    }

    fn put(&self, value: T) {
        self.0.borrow_mut().push(value);
    }

    fn len(&self) -> usize {
        self.0.borrow().len()
    }

    fn take(&self) -> Vec<T> {
        self.0.take()
    }

    /// The only entry.
    #[track_caller]
    fn one(&self) -> T {
        let mut all = self.take();
        assert_eq!(all.len(), 1, "the callback runs exactly once");
        all.pop().unwrap()
    }
}

/// A context that counts its drops.
struct Counted<S> {
    inner: S,
    drops: Rc<Cell<u32>>,
}

impl<S> Counted<S> {
    fn new(inner: S, drops: &Rc<Cell<u32>>) -> Counted<S> {
        Counted { inner, drops: Rc::clone(drops) }
    }
}

impl<S> Drop for Counted<S> {
    fn drop(&mut self) {
        self.drops.set(self.drops.get() + 1);
    }
}

impl<S: AsSource> AsSource for Counted<S> {
    fn as_source(&self) -> &Source {
        self.inner.as_source()
    }
}
