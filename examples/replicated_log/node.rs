//! A node: does on the network and on the disk what the [protocol](Protocol) has decided, and tells it
//! what comes of that.
//!
//! ```text
//!   peers, clients ──▶ connections ──request──▶ ┌──────────┐ ──Send──▶ links ──▶ peers
//!                           ▲                   │ Protocol │              │
//!                           └──────Reply─────── └──────────┘ ◀───reply────┘
//!                             timer ──▶    Persist │   ▲ stored
//!                                                  ▼   │
//!                                                  Disk
//! ```
//!
//! Peers are asked by a connection that this node makes, and reply by it. One that breaks, or by which
//! nothing comes, is made again when there is something to send: what was lost with it is said again.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::{Shutdown, SocketAddr};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant, UNIX_EPOCH};

use tigereye::sim::note;
use tigereye::{AsSource, Io, Next, Op, Source, TcpListener, TcpStream};

use crate::bytes::Random;
use crate::disk::{self, Disk};
use crate::log::History;
use crate::protocol::{Action, Bug, Event, Origin, Protocol};
use crate::wire::{Incoming, Message, prepared};

/// How long a connection that this node made may take, and then may be silent.
const CONNECT: Duration = Duration::from_secs(1);
const SILENCE: Duration = Duration::from_secs(2);
/// How long one that others made may be silent.
const IDLE: Duration = Duration::from_secs(10);
/// Connections that others made, at a time.
const CONNECTIONS_MAX: usize = 1000;
/// Messages that wait for a peer, after which it is given up.
const QUEUE_MAX: u32 = 64;

/// What a node is told when it starts.
pub(crate) struct Options {
    pub(crate) id: u8,
    /// Those of all nodes, this one included.
    pub(crate) addresses: Vec<SocketAddr>,
    pub(crate) directory: PathBuf,
    /// The cluster is new: there are no files yet. A node that has lost its files is not new.
    pub(crate) is_new: bool,
    /// Another one each time.
    pub(crate) seed: u64,
    pub(crate) bug: Option<Bug>,
    pub(crate) observer: Box<dyn Fn(Event)>,
}

impl Options {
    pub(crate) fn tell(&self, io: &Io, event: Event) {
        if !matches!(event, Event::Committed { .. }) {
            note(io, &event);
        }
        (self.observer)(event);
    }

    /// Ends the program: what is known of the disk is no longer certain.
    pub(crate) fn fail(&self, io: &Io, why: &str) {
        self.tell(io, Event::Failed(why.into()));
        io.stop();
    }

    /// A number that no other loss has.
    pub(crate) fn token(&self) -> u64 {
        Random(self.seed).next()
    }
}

pub(crate) struct Node {
    pub(crate) options: Rc<Options>,
    began: Instant,
    state: RefCell<State>,
}

struct State {
    protocol: Protocol,
    disk: Disk,
    links: Vec<Link>,
    /// Connections that others made.
    connections: BTreeMap<Origin, Rc<TcpStream>>,
    next_origin: Origin,
    /// The timer that runs, and for when.
    timer: Option<(Op, Duration)>,
}

/// The connection to a peer.
#[derive(Default)]
enum Link {
    #[default]
    None,
    Connecting,
    Up(Rc<TcpStream>),
}

/// Starts a node.
pub(crate) fn start(io: &Io, options: Options) {
    disk::open(io, Rc::new(options));
}

impl Node {
    /// Runs with what was on the disk.
    pub(crate) fn run(io: &Io, options: Rc<Options>, disk: Disk, history: History) {
        let count = options.addresses.len() as u8;
        let address = options.addresses[usize::from(options.id)];
        let votes = history.lost.is_none();
        let protocol = Protocol::new(options.id, count, history, options.seed, options.bug);
        let state = State {
            protocol,
            disk,
            links: (0..count).map(|_| Link::None).collect(),
            connections: BTreeMap::new(),
            next_origin: 0,
            timer: None,
        };
        let listener = match TcpListener::bind(io, address) {
            Ok(listener) => listener,
            Err(error) => return options.fail(io, &format!("{address}: {error}")),
        };
        let node = Rc::new(Node { options, began: io.now(), state: RefCell::new(state) });
        let acceptor = Rc::clone(&node);
        io.accept_each(
            listener,
            move |_listener, io, stream| {
                Connection::accept(io, &acceptor, stream);
                Next::Continue
            },
            {
                let node = Rc::clone(&node);
                move |_listener, io, result| {
                    if let Err(error) = result {
                        node.options.fail(io, &format!("no longer accepting: {error}"));
                    }
                }
            },
        );
        node.options.tell(io, Event::Ready { votes });
        node.with(io, Protocol::heard);
    }

    /// The time since some beginning.
    fn now(&self, io: &Io) -> Duration {
        if self.options.bug == Some(Bug::WallClock) {
            return io.wall_clock().duration_since(UNIX_EPOCH).unwrap_or_default();
        }
        io.now() - self.began
    }

    /// Tells the protocol something, and does what it wants.
    fn with(self: &Rc<Node>, io: &Io, tell: impl FnOnce(&mut Protocol, Duration)) {
        let now = self.now(io);
        let mut state = self.state.borrow_mut();
        let state = &mut *state;
        tell(&mut state.protocol, now);
        for action in std::mem::take(&mut state.protocol.actions) {
            match action {
                Action::Persist(record) => state.disk.add(&record),
                Action::Send { peer, number, body } => {
                    if !self.send(io, &mut state.links, peer, &Message { number, body }) {
                        state.protocol.disconnected(peer);
                    }
                }
                Action::Reply { to, number, body } => {
                    if let Some(stream) = state.connections.get(&to) {
                        post(io, stream, &Message { number, body });
                    }
                }
                Action::Tell(event) => self.options.tell(io, event),
            }
        }
        disk::flush(io, self, &mut state.disk);
        self.arm(io, state, now);
    }

    /// Has the timer run until the protocol's deadline, or less: then it looks again.
    fn arm(self: &Rc<Node>, io: &Io, state: &mut State, now: Duration) {
        let deadline = state.protocol.deadline();
        match state.timer {
            Some((_, at)) if at <= deadline => return,
            Some((op, _)) => io.cancel(op),
            None => {}
        }
        let node = Rc::clone(self);
        let op = io.timeout(node, deadline.saturating_sub(now), |node, io, result| {
            // Another one runs in the place of one that was cancelled.
            if result.is_ok() {
                node.state.borrow_mut().timer = None;
                node.with(io, Protocol::timer);
            }
        });
        state.timer = Some((op, deadline));
    }

    /// So many records are on the disk.
    pub(crate) fn stored(self: &Rc<Node>, io: &Io, records: u64) {
        disk::is_written(&mut self.state.borrow_mut().disk);
        self.with(io, |protocol, _now| protocol.stored(records));
    }

    /// Sends a peer a request, if there is a connection; else makes one.
    fn send(self: &Rc<Node>, io: &Io, links: &mut [Link], peer: u8, message: &Message) -> bool {
        let link = &mut links[usize::from(peer)];
        match link {
            Link::Up(stream) => return post(io, stream, message),
            Link::Connecting => return false,
            Link::None => *link = Link::Connecting,
        }
        let address = self.options.addresses[usize::from(peer)];
        let op = io.connect(Rc::clone(self), address, move |node, io, result| {
            let mut state = node.state.borrow_mut();
            let link = &mut state.links[usize::from(peer)];
            let Ok(stream) = result.and_then(prepared) else { return *link = Link::None };
            let stream = Rc::new(stream);
            *link = Link::Up(Rc::clone(&stream));
            drop(state);
            Connection::of(&node, stream, Hears::Replies(peer)).receive(io);
            node.with(io, |protocol, _now| protocol.connected(peer));
        });
        io.deadline(op, CONNECT);
        false
    }
}

/// Sends a message, unless too many wait there already: then the connection is given up. Says whether it
/// was sent.
fn post(io: &Io, stream: &Rc<TcpStream>, message: &Message) -> bool {
    let has_room = stream.in_flight() < QUEUE_MAX;
    if has_room {
        io.send_detached(&**stream, message.frame());
    } else {
        // Who receives by it hears of its end.
        io.shutdown(Rc::clone(stream), Shutdown::Both, |_stream, _io, _result| {});
    }
    has_room
}

/// What comes by a connection: requests of whoever made it, or the replies of a peer.
#[derive(Clone, Copy)]
enum Hears {
    Requests(Origin),
    Replies(u8),
}

/// A connection that messages come by.
struct Connection {
    node: Rc<Node>,
    stream: Rc<TcpStream>,
    hears: Hears,
    incoming: Incoming,
}

impl AsSource for Connection {
    fn as_source(&self) -> &Source {
        (*self.stream).as_source()
    }
}

impl Connection {
    fn accept(io: &Io, node: &Rc<Node>, stream: TcpStream) {
        let mut state = node.state.borrow_mut();
        let Ok(stream) = prepared(stream) else { return };
        if state.connections.len() >= CONNECTIONS_MAX {
            return;
        }
        let (stream, origin) = (Rc::new(stream), state.next_origin);
        state.next_origin += 1;
        state.connections.insert(origin, Rc::clone(&stream));
        drop(state);
        Connection::of(node, stream, Hears::Requests(origin)).receive(io);
    }

    fn of(node: &Rc<Node>, stream: Rc<TcpStream>, hears: Hears) -> Connection {
        Connection { node: Rc::clone(node), stream, hears, incoming: Incoming::default() }
    }

    fn receive(mut self, io: &Io) {
        let silence = match self.hears {
            Hears::Requests(_) => IDLE,
            Hears::Replies(_) => SILENCE,
        };
        let room = self.incoming.room();
        let op = io.recv(self, room, |mut connection, io, bytes, result| {
            connection.incoming.give(bytes);
            match result {
                Ok(1..) => connection.take(io),
                _ => connection.end(),
            }
        });
        io.deadline(op, silence);
    }

    fn take(mut self, io: &Io) {
        loop {
            match self.incoming.next() {
                Ok(Some(Message { number, body })) => {
                    let hears = self.hears;
                    self.node.with(io, |protocol, now| match hears {
                        Hears::Requests(origin) => protocol.request(now, origin, number, body),
                        Hears::Replies(peer) => protocol.reply(now, peer, number, body),
                    });
                }
                Ok(None) => return self.receive(io),
                Err(_) => return self.end(),
            }
        }
    }

    fn end(self) {
        let mut state = self.node.state.borrow_mut();
        match self.hears {
            Hears::Requests(origin) => drop(state.connections.remove(&origin)),
            Hears::Replies(peer) => {
                state.links[usize::from(peer)] = Link::None;
                state.protocol.disconnected(peer);
            }
        }
    }
}
