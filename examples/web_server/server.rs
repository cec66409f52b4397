//! One loop's part of the server: its listener, its figures, and its orderly end.

use std::cell::{Cell, RefCell};
use std::fmt::Write;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use tigereye::{Io, ListenOptions, Next, Op, TcpListener};

use crate::connection::Connection;

/// How long connections may finish what is under way once the server was asked to stop.
const GRACE: Duration = Duration::from_secs(5);

/// What one loop has done; written by its thread alone.
#[derive(Default)]
pub(crate) struct LoopFigures {
    pub(crate) requests: AtomicU64,
    pub(crate) connections: AtomicU64,
    operations: AtomicU64,
    system_calls: AtomicU64,
}

/// All loops' figures.
#[derive(Clone)]
pub(crate) struct Figures(Arc<Vec<LoopFigures>>);

impl Figures {
    pub(crate) fn new(loops: usize) -> Figures {
        Figures(Arc::new((0..loops).map(|_| LoopFigures::default()).collect()))
    }

    pub(crate) fn json(&self) -> String {
        let mut json = String::from("{\"loops\":[");
        for (index, figures) in self.0.iter().enumerate() {
            let get = |figure: &AtomicU64| figure.load(Ordering::Relaxed);
            let comma = if index > 0 { "," } else { "" };
            // Writing to a string does not fail.
            let _ = write!(
                json,
                "{comma}{{\"requests\":{},\"connections\":{},\"operations\":{},\"system_calls\":{}}}",
                get(&figures.requests),
                get(&figures.connections),
                get(&figures.operations),
                get(&figures.system_calls),
            );
        }
        json.push_str("]}");
        json
    }
}

pub(crate) struct Server {
    pub(crate) figures: Figures,
    pub(crate) root: Option<Arc<PathBuf>>,
    index: usize,
    accepting: Cell<Option<Op>>,
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

/// Starts listening; gives the address with its real port.
pub(crate) fn start(
    io: &Io,
    address: SocketAddr,
    index: usize,
    figures: &Figures,
    root: Option<Arc<PathBuf>>,
) -> io::Result<SocketAddr> {
    let options = ListenOptions::new().reuse_port(true);
    let listener = TcpListener::bind_with(io, address, &options)?;
    let address = listener.local_addr()?;
    let server = Rc::new(Server {
        figures: figures.clone(),
        root,
        index,
        accepting: Cell::new(None),
        draining: Cell::new(false),
        open: Cell::new(0),
        idle: RefCell::new(Vec::new()),
        free: RefCell::new(Vec::new()),
        date: RefCell::new((0, String::new())),
    });
    SERVER.set(Some(Rc::clone(&server)));
    let acceptor = Rc::clone(&server);
    let accepting = io.accept_each(
        listener,
        move |_listener, io, stream| {
            Connection::start(io, stream, &acceptor);
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
    let ticking = server;
    io.tick_each(
        (),
        Duration::from_millis(500),
        move |(), io, _periods| {
            let (figures, statistics) = (ticking.mine(), io.statistics());
            figures.operations.store(statistics.operations, Ordering::Relaxed);
            figures.system_calls.store(statistics.system_calls, Ordering::Relaxed);
            Next::Continue
        },
        |(), _io, _result| {},
    );
    Ok(address)
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
    io.timeout((), GRACE, |(), io, _result| io.stop());
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
    pub(crate) fn mine(&self) -> &LoopFigures {
        &self.figures.0[self.index]
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.get()
    }

    /// Counts a connection in; gives its number.
    pub(crate) fn open(&self) -> usize {
        self.open.set(self.open.get() + 1);
        self.mine().connections.fetch_add(1, Ordering::Relaxed);
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
        self.set_idle(number, None);
        self.free.borrow_mut().push(number);
    }

    pub(crate) fn set_idle(&self, number: usize, receive: Option<Op>) {
        self.idle.borrow_mut()[number] = receive;
    }

    /// Appends the time as HTTP has it (RFC 9110, 5.6.7), formatted once a second.
    pub(crate) fn write_date(&self, output: &mut Vec<u8>) {
        let now = SystemTime::now();
        let seconds = now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let mut date = self.date.borrow_mut();
        if date.0 != seconds {
            date.0 = seconds;
            date.1.clear();
            let _ = write!(date.1, "{}", httpdate::HttpDate::from(now));
        }
        output.extend_from_slice(date.1.as_bytes());
    }
}
