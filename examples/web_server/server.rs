//! One loop's part of the server: its listener, its limits, and its orderly end.

use std::cell::{Cell, OnceCell, RefCell};
use std::fmt::Write;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use socket2::SockRef;
use tigereye::{DriverKind, InTurn, Io, ListenOptions, Next, Op, Remote, TcpListener, TcpStream};

use crate::connection::Connection;
use crate::figures::{Figures, LoopFigures};

/// How much of a response waits in the system for the peer to make room (`TCP_NOTSENT_LOWAT`,
/// tcp(7)). Without it megabytes do, held for every peer that does not read, and minutes pass in
/// which a slow one that does read seems not to.
const UNSENT_BYTES: u32 = 64 * 1024;

/// Bounds what waits; accepted connections inherit it.
#[cfg(target_os = "linux")]
fn bound_unsent(listener: &std::net::TcpListener) -> io::Result<()> {
    SockRef::from(listener).set_tcp_notsent_lowat(UNSENT_BYTES)
}

/// Elsewhere what is under way to the peer counts as well, so there must be more room.
#[cfg(not(target_os = "linux"))]
fn bound_unsent(listener: &std::net::TcpListener) -> io::Result<()> {
    SockRef::from(listener).set_send_buffer_size(4 * UNSENT_BYTES as usize)
}

/// How long a peer may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// For a request's head, in all.
    pub(crate) head: Duration,
    /// Between requests, and for a body in all.
    pub(crate) idle: Duration,
    /// To take anything more of a response.
    pub(crate) send: Duration,
    /// For what is under way once the server was asked to stop.
    pub(crate) grace: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            head: Duration::from_secs(10),
            idle: Duration::from_secs(60),
            send: Duration::from_secs(60),
            grace: Duration::from_secs(5),
        }
    }
}

/// What all loops share.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) figures: Figures,
    pub(crate) root: Option<Arc<PathBuf>>,
    pub(crate) limits: Limits,
    /// The first loop accepts for all: see [`share`].
    pub(crate) one_acceptor: bool,
}

pub(crate) struct Server {
    pub(crate) settings: Settings,
    pub(crate) driver: DriverKind,
    index: usize,
    accepting: Cell<Option<Op>>,
    /// Where connections go that are not for this loop alone.
    loops: OnceCell<InTurn>,
    draining: Cell<bool>,
    open: Cell<usize>,
    /// By connection: the receive that an idle one waits in.
    idle: RefCell<Vec<Option<Op>>>,
    free: RefCell<Vec<usize>>,
    date: RefCell<(u64, String)>,
}

thread_local! {
    static SERVER: RefCell<Option<Rc<Server>>> = const { RefCell::new(None) };
}

/// Starts a loop's part, and listens unless another loop does it for all; gives the address with
/// its real port.
pub(crate) fn start(
    io: &Io,
    address: SocketAddr,
    index: usize,
    settings: Settings,
) -> io::Result<SocketAddr> {
    let listens = index == 0 || !settings.one_acceptor;
    let server = Rc::new(Server {
        settings,
        driver: io.driver().kind,
        index,
        accepting: Cell::new(None),
        loops: OnceCell::new(),
        draining: Cell::new(false),
        open: Cell::new(0),
        idle: RefCell::new(Vec::new()),
        free: RefCell::new(Vec::new()),
        date: RefCell::new((0, String::new())),
    });
    SERVER.set(Some(Rc::clone(&server)));
    let address = if listens { listen(io, address, &server)? } else { address };
    let ticking = server;
    io.tick_each(
        (),
        Duration::from_millis(500),
        move |(), io, _periods| {
            ticking.figures().take(io.statistics());
            Next::Continue
        },
        |(), _io, _result| {},
    );
    Ok(address)
}

fn listen(io: &Io, address: SocketAddr, server: &Rc<Server>) -> io::Result<SocketAddr> {
    let options = ListenOptions::new().reuse_port(!server.settings.one_acceptor);
    let mut listener = TcpListener::bind_with(io, address, &options)?;
    let address = listener.local_addr()?;
    // A simulated system has nothing to bound: what waits there is little.
    if server.driver != DriverKind::Sim {
        let bounded = listener.into_std()?;
        bound_unsent(&bounded)?;
        listener = TcpListener::from_std(io, bounded)?;
    }
    let acceptor = Rc::clone(server);
    let accepting = io.accept_each(
        listener,
        move |_listener, io, stream| {
            match acceptor.loops.get() {
                None => Connection::start(io, stream, &acceptor),
                // When all loops are gone there is nobody to serve it: it is closed.
                Some(loops) => drop(loops.hand(stream, take_over)),
            }
            Next::Continue
        },
        |_listener, _io, result| {
            if let Err(error) = result
                && !tigereye::is_cancelled(&error)
            {
                eprintln!("web_server: no longer accepting: {error}");
            }
        },
    );
    server.accepting.set(Some(accepting));
    Ok(address)
}

/// Has the first loop hand what it accepts to all of them in turn, for systems that do not spread
/// connections over several listeners.
pub(crate) fn share(remotes: &[Remote]) {
    let Some(first) = remotes.first() else { return };
    let remotes = remotes.to_vec();
    // A loop that is gone accepts nothing.
    drop(first.post(move |_io| {
        if let Some(server) = SERVER.with_borrow(Option::clone) {
            let _ = server.loops.set(InTurn::new(&remotes));
        }
    }));
}

/// A connection that the first loop accepted; one that comes after the end is closed.
fn take_over(io: &Io, stream: TcpStream) {
    if let Some(server) = SERVER.with_borrow(Option::clone) {
        Connection::start(io, stream, &server);
    }
}

/// Stops accepting, closes idle connections, and ends the loop when the others are done or the
/// grace period is over.
pub(crate) fn shut_down(io: &Io) {
    let Some(server) = SERVER.take() else { return };
    server.draining.set(true);
    if let Some(accepting) = server.accepting.take() {
        io.cancel(accepting);
    }
    let idle: Vec<Op> = server.idle.borrow().iter().copied().flatten().collect();
    for op in idle {
        io.cancel(op);
    }
    io.timeout((), server.settings.limits.grace, |(), io, _result| io.stop());
    let each = move |(): &mut (), io: &Io, _periods: u64| {
        if server.open.get() > 0 {
            return Next::Continue;
        }
        io.stop();
        Next::Stop
    };
    io.tick_each((), Duration::from_millis(10), each, |(), _io, _result| {});
}

impl Server {
    pub(crate) fn figures(&self) -> &LoopFigures {
        self.settings.figures.of(self.index)
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.get()
    }

    /// Counts a connection in; gives its number.
    pub(crate) fn open(&self) -> usize {
        self.open.set(self.open.get() + 1);
        self.figures().count_connection(self.open.get());
        if let Some(number) = self.free.borrow_mut().pop() {
            return number;
        }
        let mut idle = self.idle.borrow_mut();
        idle.push(None);
        idle.len() - 1
    }

    /// Counts a connection out.
    pub(crate) fn closed(&self, number: usize) {
        self.open.set(self.open.get() - 1);
        self.figures().set_open(self.open.get());
        self.set_idle(number, None);
        self.free.borrow_mut().push(number);
    }

    pub(crate) fn set_idle(&self, number: usize, receive: Option<Op>) {
        self.idle.borrow_mut()[number] = receive;
    }

    /// Hands out the time as HTTP has it (RFC 9110, 5.6.7), formatted once a second.
    #[expect(clippy::disallowed_methods, reason = "a date is wall-clock time")]
    pub(crate) fn with_date<T>(&self, take: impl FnOnce(&[u8]) -> T) -> T {
        let now = SystemTime::now();
        let seconds = now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let mut date = self.date.borrow_mut();
        if date.0 != seconds {
            date.0 = seconds;
            date.1.clear();
            // Writing to a string does not fail.
            let _ = write!(date.1, "{}", httpdate::HttpDate::from(now));
        }
        take(date.1.as_bytes())
    }
}
