//! Connections: streams with bounded buffers, half-closed ends, resets, backlogs and time-outs.
//!
//! ```text
//!   asks ──ask──▶ listener: room? ──agreed──▶ open ──"open"──▶ in the backlog ──accept──▶ open
//!        ◀─ refused: nobody listens     lost: asked again after 1, 2, 4 … 64 s, then a time-out
//!
//!   send ─▶ wire ─▶ segments, each with its time ─▶ inbox of the other end ─▶ recv
//! ```
//!
//! I1. What is on its way from an end arrives in order: at most one event a way is outstanding, for
//!     its first segment.
//! I2. The wire and the inbox of the other end together never hold more than both buffers.
//! I3. A connection is forgotten when both ends are let go of and nothing is on its way.
//!
//! Sources: tcp(7); RFC 9293, sections 3.5.2 (resets) and 3.6 (closing); `tcp_reset`,
//! `tcp_recvmsg_locked` and `tcp_close` in Linux (net/ipv4).

use std::collections::VecDeque;
use std::mem::MaybeUninit;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr};

use super::{Event, Interest, Kind, READABLE, SocketOptions, Transport, WRITABLE};
use crate::driver::sim::code::{self, Answer};
use crate::driver::sim::faults::FaultKind;
use crate::driver::sim::kernel::Kernel;
use crate::driver::sim::slab::Key;
use crate::driver::sim::trace::What;

/// The first pause before a connection is asked for again, in nanoseconds; each is twice as long as
/// the one before (`TCP_TIMEOUT_INIT`).
const ASK_AGAIN_NS: u64 = 1_000_000_000;
/// How often it is asked again (`tcp_syn_retries`): for 127 s.
const ASKS_MAX: u32 = 6;
/// The first pause before what was lost is sent again, and the longest (`TCP_RTO_MIN`, `TCP_RTO_MAX`).
const SEND_AGAIN_NS: u64 = 200_000_000;
const SEND_AGAIN_MAX_NS: u64 = 120_000_000_000;
/// How long what is lost is sent again before the connection is given up (`tcp_retries2`).
const GIVE_UP_NS: u64 = 924_600_000_000;
/// How long a connection waits to be told of room across a cut network.
const ROOM_AGAIN_NS: u64 = 1_000_000_000;

pub(in crate::driver::sim) struct Listener {
    queue: VecDeque<Key>,
    backlog: usize,
    pub(super) shut: bool,
}

impl Listener {
    pub(super) fn has_any(&self) -> bool {
        self.shut || !self.queue.is_empty()
    }
}

pub(in crate::driver::sim) struct Connection {
    /// Who asked for it, and who was asked.
    ends: [End; 2],
    /// The machine that was asked, if there is one.
    asked: Option<u32>,
    asks: u32,
}

/// Who has an end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owner {
    Socket(Key),
    /// It is in this listener's backlog, or on its way there.
    Queued(Key),
    /// Its process has closed it, or never had it.
    Nobody,
    /// Its machine lost its power.
    Vanished,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Asking,
    Open,
    Broken,
}

struct End {
    machine: u32,
    address: SocketAddr,
    owner: Owner,
    state: State,
    way: Way,
    inbox: VecDeque<u8>,
    /// The other end sends no more.
    ended: bool,
    /// The other end knows that this one sends no more.
    end_arrived: bool,
    /// This end was told to send no more, or to receive no more.
    write_shut: bool,
    read_shut: bool,
    /// Told once.
    error: Option<i32>,
    /// A send found no room.
    wants_room: bool,
    send_buffer: usize,
    recv_buffer: usize,
}

/// What is on its way from an end to the other.
#[derive(Default)]
struct Way {
    wire: VecDeque<u8>,
    segments: VecDeque<Segment>,
    last_arrival_ns: u64,
    is_scheduled: bool,
    /// How often its first segment was lost, and since when.
    losses: u32,
    stalled_since_ns: Option<u64>,
}

impl Way {
    /// Lets go of what was to be sent.
    fn clear(&mut self) {
        self.wire.clear();
        // Who was asked must hear of the connection before it hears of its reset.
        self.segments.retain(|segment| segment.what == Part::Open);
    }
}

struct Segment {
    arrival_ns: u64,
    what: Part,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Open,
    Bytes(usize),
    End,
    Reset,
}

impl End {
    fn new(machine: u32, address: SocketAddr, owner: Owner, options: SocketOptions) -> End {
        let (send_buffer, recv_buffer) = options.buffers();
        End {
            machine,
            address,
            owner,
            state: State::Asking,
            way: Way::default(),
            inbox: VecDeque::new(),
            ended: false,
            end_arrived: false,
            write_shut: false,
            read_shut: false,
            error: None,
            wants_room: false,
            send_buffer,
            recv_buffer,
        }
    }

    fn is_let_go(&self) -> bool {
        matches!(self.owner, Owner::Nobody | Owner::Vanished)
    }

    /// Whether both ends have heard of each other's end: the system has closed the connection.
    fn is_over(&self) -> bool {
        self.ended && self.end_arrived
    }

    fn has_news(&self) -> bool {
        !self.inbox.is_empty()
            || self.ended
            || self.read_shut
            || self.error.is_some()
            || self.state == State::Broken
    }
}

impl Connection {
    /// An end, and the other one.
    fn ends(&mut self, side: usize) -> (&mut End, &mut End) {
        let [first, second] = &mut self.ends;
        if side == 0 { (first, second) } else { (second, first) }
    }

    /// How much room there is for what an end sends, and how much there could be.
    fn room(&self, side: usize) -> (usize, usize) {
        let (end, other) = (&self.ends[side], &self.ends[1 - side]);
        let most = end.send_buffer + other.recv_buffer;
        (most.saturating_sub(end.way.wire.len() + other.inbox.len()), most)
    }

    /// Whether an end that waited for room has enough of it to be woken (`sk_stream_is_writeable`).
    fn has_much_room(&self, side: usize) -> bool {
        let (room, most) = self.room(side);
        room >= most / 3
    }
}

/// Moves bytes from one end's wire to the other's inbox.
fn move_bytes(from: &mut VecDeque<u8>, to: &mut VecDeque<u8>, count: usize) {
    let (first, second) = from.as_slices();
    let of_first = first.len().min(count);
    to.extend(&first[..of_first]);
    to.extend(&second[..count - of_first]);
    from.drain(..count);
}

/// Connecting and accepting.
impl Kernel {
    /// listen(2)
    pub(in crate::driver::sim) fn listen(&mut self, socket: Key, backlog: usize) -> Answer<()> {
        let Some(entry) = self.sockets.get(socket) else { return Err(code::EBADF) };
        entry.kind = Kind::Listener(Listener { queue: VecDeque::new(), backlog, shut: false });
        let (machine, local) = (entry.machine, entry.local);
        self.note(machine, What::Listening(local));
        Ok(())
    }

    /// connect(2): asks, or says how far it is.
    pub(in crate::driver::sim) fn connect(&mut self, socket: Key, to: SocketAddr) -> Answer<()> {
        let Some(entry) = self.sockets.get(socket) else { return Err(code::EBADF) };
        match entry.kind {
            Kind::Idle => {}
            Kind::End(connection, side) => return self.how_connected(connection, side),
            Kind::Listener(_) => return Err(code::EISCONN),
            Kind::Datagrams(_) => return self.connect_datagrams(socket, Some(to)),
        }
        let (machine, options) = (entry.machine, entry.options);
        let to = match to.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => (Ipv4Addr::LOCALHOST, to.port()).into(),
            IpAddr::V6(ip) if ip.is_unspecified() => (Ipv6Addr::LOCALHOST, to.port()).into(),
            _ => to,
        };
        self.bind_for(socket, to.ip())?;
        let Some(entry) = self.sockets.get(socket) else { return Err(code::EBADF) };
        let near = End::new(machine, entry.local, Owner::Socket(socket), options);
        let asked = self.machine_at(machine, to.ip());
        let far = End::new(asked.unwrap_or(machine), to, Owner::Nobody, options);
        let connection = Connection { ends: [near, far], asked, asks: 0 };
        let connection = self.connections.insert(connection);
        if let Some(entry) = self.sockets.get(socket) {
            entry.kind = Kind::End(connection, 0);
        }
        self.note(machine, What::Connecting(to));
        let delay_ns = asked.map_or(0, |asked| self.latency_ns(machine, asked, 0));
        self.after(delay_ns, Event::Ask { connection });
        self.settle();
        self.how_connected(connection, 0)
    }

    fn how_connected(&mut self, connection: Key, side: usize) -> Answer<()> {
        let connection = self.connections.get(connection).ok_or(code::ENOTCONN)?;
        let end = &mut connection.ends[side];
        match (end.error.take(), end.state) {
            (Some(error), _) => Err(error),
            (None, State::Asking) => Err(code::EINPROGRESS),
            (None, State::Open) => Ok(()),
            (None, State::Broken) => Err(code::ECONNRESET),
        }
    }

    pub(super) fn ask_arrives(&mut self, key: Key) {
        let Some(connection) = self.connections.get(key) else { return };
        let (from, to) = (connection.ends[0].machine, connection.asked);
        if connection.ends[0].is_let_go() {
            self.connections.remove(key);
            return;
        }
        let address = connection.ends[1].address;
        let is_known = connection.ends[1].owner != Owner::Nobody;
        if connection.ends[0].state != State::Asking {
            return;
        }
        if connection.asks > ASKS_MAX {
            return self.give_up(key, 0);
        }
        let Some(to) = to.filter(|&to| !self.is_cut(from, to)) else { return self.ask_again(key) };
        if from != to && self.happens(from, FaultKind::HandshakeLost) {
            return self.ask_again(key);
        }
        let answer_ns = self.latency_ns(to, from, 0);
        let Some(listener) = self.bound_at(to, Transport::Tcp, address) else {
            return self.after(answer_ns, Event::Refused { connection: key });
        };
        let Some(entry) = self.sockets.get(listener) else { return };
        let options = entry.options;
        let Kind::Listener(waiting) = &entry.kind else { return };
        if waiting.queue.len() > waiting.backlog {
            return self.ask_again(key);
        }
        if !is_known && let Some(connection) = self.connections.get(key) {
            let mut end = End::new(to, address, Owner::Queued(listener), options);
            end.state = State::Open;
            connection.ends[1] = end;
        }
        self.after(answer_ns, Event::Agreed { connection: key });
    }

    /// What was asked, or the answer, was lost.
    fn ask_again(&mut self, key: Key) {
        let Some(connection) = self.connections.get(key) else { return };
        connection.asks += 1;
        let pause_ns = ASK_AGAIN_NS << (connection.asks - 1);
        self.after(pause_ns, Event::Ask { connection: key });
    }

    pub(super) fn agreed(&mut self, key: Key) {
        let Some(connection) = self.connections.get(key) else { return };
        let [near, far] = &mut connection.ends;
        let (from, to, address) = (near.machine, far.machine, far.address);
        if near.is_let_go() {
            self.connections.remove(key);
            return;
        }
        if near.state != State::Asking {
            return;
        }
        if self.is_cut(to, from) {
            return self.ask_again(key);
        }
        if let Some(connection) = self.connections.get(key) {
            connection.ends[0].state = State::Open;
        }
        self.note(from, What::Connected(address));
        self.tell_end(key, 0, READABLE | WRITABLE);
        self.transmit(key, 0, Part::Open);
    }

    pub(super) fn refused(&mut self, key: Key) {
        let Some(connection) = self.connections.get(key) else { return };
        let (from, address) = (connection.ends[0].machine, connection.ends[1].address);
        let end = &mut connection.ends[0];
        if end.is_let_go() {
            self.connections.remove(key);
            return;
        }
        end.error = Some(code::ECONNREFUSED);
        end.state = State::Broken;
        self.note(from, What::Refused(address));
        self.tell_end(key, 0, READABLE | WRITABLE);
    }

    /// accept(2): the socket, and its peer's address.
    pub(in crate::driver::sim) fn accept(&mut self, listener: Key) -> Answer<(Key, SocketAddr)> {
        let Some(entry) = self.sockets.get(listener) else { return Err(code::EBADF) };
        let (machine, options) = (entry.machine, entry.options);
        let Kind::Listener(waiting) = &entry.kind else { return Err(code::EINVAL) };
        if waiting.shut {
            return Err(code::EINVAL);
        }
        let connection = *waiting.queue.front().ok_or(code::EAGAIN)?;
        if self.happens(machine, FaultKind::NoDescriptor) {
            return Err(code::EMFILE);
        }
        let aborted = self.happens(machine, FaultKind::AcceptAborted);
        let v6 = false;
        let socket = match aborted {
            true => Err(code::ECONNABORTED),
            false => self.open(machine, Kind::End(connection, 1), options, v6),
        };
        if socket != Err(code::EMFILE)
            && let Some(entry) = self.sockets.get(listener)
            && let Kind::Listener(waiting) = &mut entry.kind
        {
            waiting.queue.pop_front();
        }
        if aborted {
            self.end_closed(connection, 1, true);
        }
        let socket = socket?;
        let Some(found) = self.connections.get(connection) else { return Err(code::ECONNABORTED) };
        found.ends[1].owner = Owner::Socket(socket);
        let (peer, local) = (found.ends[0].address, found.ends[1].address);
        self.set_local(socket, local);
        self.note(machine, What::Accepted(peer));
        Ok((socket, peer))
    }

    pub(super) fn listener_closed(&mut self, listener: Listener) {
        for connection in listener.queue {
            self.end_closed(connection, 1, true);
        }
    }
}

/// What is on its way.
impl Kernel {
    /// Tells the loop of who has an end.
    fn tell_end(&mut self, key: Key, side: usize, news: u8) {
        let Some(connection) = self.connections.get(key) else { return };
        if let Owner::Socket(socket) = connection.ends[side].owner {
            self.tell(socket, news);
        }
    }

    fn transmit(&mut self, key: Key, side: usize, what: Part) {
        let Some(connection) = self.connections.get(key) else { return };
        let (end, other) = connection.ends(side);
        let (from, to) = (end.machine, other.machine);
        let len = if let Part::Bytes(len) = what { len } else { 0 };
        let latency_ns = self.latency_ns(from, to, len);
        let now_ns = self.now_ns();
        let Some(connection) = self.connections.get(key) else { return };
        let way = &mut connection.ends[side].way;
        way.last_arrival_ns = way.last_arrival_ns.max(now_ns.saturating_add(latency_ns));
        let arrival_ns = way.last_arrival_ns;
        way.segments.push_back(Segment { arrival_ns, what });
        self.schedule_way(key, side, 0);
    }

    /// Sees to it that the first segment of a way arrives, after a pause where it was lost.
    fn schedule_way(&mut self, key: Key, side: usize, pause_ns: u64) {
        let now_ns = self.now_ns();
        let Some(connection) = self.connections.get(key) else { return };
        let way = &mut connection.ends[side].way;
        if way.is_scheduled {
            return;
        }
        let Some(segment) = way.segments.front() else { return };
        way.is_scheduled = true;
        let delay_ns = segment.arrival_ns.saturating_sub(now_ns).max(pause_ns);
        self.after(delay_ns, Event::Segment { connection: key, side });
    }

    pub(super) fn segment_arrives(&mut self, key: Key, side: usize) {
        let Some(connection) = self.connections.get(key) else { return };
        let (end, other) = connection.ends(side);
        let (from, to) = (end.machine, other.machine);
        end.way.is_scheduled = false;
        let Some(&Segment { what, .. }) = end.way.segments.front() else { return };
        let has_bytes = matches!(what, Part::Bytes(_));
        let is_lost = self.is_cut(from, to)
            || from != to && has_bytes && self.happens(from, FaultKind::SegmentLost);
        if is_lost {
            return self.segment_lost(key, side);
        }
        let Some(connection) = self.connections.get(key) else { return };
        let way = &mut connection.ends[side].way;
        (way.losses, way.stalled_since_ns) = (0, None);
        way.segments.pop_front();
        match what {
            Part::Open => self.open_arrives(key),
            Part::Bytes(len) => self.bytes_arrive(key, side, len),
            Part::End => self.end_arrives(key, 1 - side),
            Part::Reset => self.reset_arrives(key, 1 - side),
        }
        self.schedule_way(key, side, 0);
        self.forget(key);
    }

    fn segment_lost(&mut self, key: Key, side: usize) {
        let now_ns = self.now_ns();
        let Some(connection) = self.connections.get(key) else { return };
        let end = &mut connection.ends[side];
        let since_ns = *end.way.stalled_since_ns.get_or_insert(now_ns);
        let pause_ns = SEND_AGAIN_NS << end.way.losses.min(10);
        end.way.losses += 1;
        let owner = end.owner;
        let timeout_ns = match owner {
            Owner::Socket(socket) => {
                self.sockets.get(socket).and_then(|socket| socket.options.user_timeout_ns)
            }
            _ => None,
        };
        let left_ns = timeout_ns.unwrap_or(GIVE_UP_NS).saturating_sub(now_ns - since_ns);
        if left_ns == 0 {
            return self.give_up(key, side);
        }
        self.schedule_way(key, side, pause_ns.min(SEND_AGAIN_MAX_NS).min(left_ns));
    }

    /// Nothing was heard of the other end for too long.
    fn give_up(&mut self, key: Key, side: usize) {
        let Some(connection) = self.connections.get(key) else { return };
        let (end, other) = connection.ends(side);
        end.error = Some(code::ETIMEDOUT);
        end.state = State::Broken;
        end.way.wire.clear();
        end.way.segments.clear();
        let (machine, address) = (end.machine, other.address);
        self.note(machine, What::TimedOut(address));
        self.tell_end(key, side, READABLE | WRITABLE);
        self.forget(key);
    }

    /// The connection is there for who was asked.
    fn open_arrives(&mut self, key: Key) {
        let Some(connection) = self.connections.get(key) else { return };
        let Owner::Queued(listener) = connection.ends[1].owner else {
            return self.transmit(key, 1, Part::Reset);
        };
        if let Some(entry) = self.sockets.get(listener)
            && let Kind::Listener(waiting) = &mut entry.kind
        {
            waiting.queue.push_back(key);
            return self.tell(listener, READABLE);
        }
        // It was closed meanwhile.
        self.end_closed(key, 1, true);
    }

    fn bytes_arrive(&mut self, key: Key, side: usize, len: usize) {
        let Some(connection) = self.connections.get(key) else { return };
        let from = connection.ends[side].machine;
        let is_reset = self.happens(from, FaultKind::ConnectionReset);
        let count = match is_reset {
            true => self.plan.size(FaultKind::ConnectionReset, 0, len as u64) as usize,
            false => len,
        };
        let Some(connection) = self.connections.get(key) else { return };
        let (end, other) = connection.ends(side);
        if other.is_let_go() {
            end.way.wire.drain(..len);
            if !other.way.segments.iter().any(|segment| segment.what == Part::Reset) {
                self.transmit(key, 1 - side, Part::Reset);
            }
            return;
        }
        if other.write_shut && other.read_shut {
            // Bytes for who was shut down both ways end the connection (`tcp_rcv_state_process`).
            end.way.wire.drain(..len);
            self.reset_arrives(key, 1 - side);
            return self.transmit(key, 1 - side, Part::Reset);
        }
        if other.state == State::Open {
            move_bytes(&mut end.way.wire, &mut other.inbox, count);
        } else {
            end.way.wire.drain(..count);
        }
        self.tell_end(key, 1 - side, READABLE);
        if is_reset {
            self.reset_arrives(key, 1 - side);
            self.reset_arrives(key, side);
        }
    }

    fn end_arrives(&mut self, key: Key, side: usize) {
        let Some(connection) = self.connections.get(key) else { return };
        let (end, other) = connection.ends(side);
        other.end_arrived = true;
        match end.owner {
            Owner::Nobody => {
                end.ended = true;
                return;
            }
            Owner::Vanished => return self.transmit(key, side, Part::Reset),
            Owner::Socket(_) | Owner::Queued(_) => end.ended = true,
        }
        let (machine, address) = (end.machine, other.address);
        self.note(machine, What::Ended(address));
        self.tell_end(key, side, READABLE);
    }

    fn reset_arrives(&mut self, key: Key, side: usize) {
        let Some(connection) = self.connections.get(key) else { return };
        let (end, other) = connection.ends(side);
        end.way.clear();
        if end.is_let_go() || end.state == State::Broken {
            return;
        }
        end.error = Some(if end.ended { code::EPIPE } else { code::ECONNRESET });
        end.state = State::Broken;
        let (machine, address) = (end.machine, other.address);
        self.note(machine, What::Reset(address));
        self.tell_end(key, side, READABLE | WRITABLE);
    }

    pub(super) fn room_again(&mut self, key: Key, side: usize) {
        let Some(connection) = self.connections.get(key) else { return };
        let (end, other) = connection.ends(side);
        let (from, to) = (other.machine, end.machine);
        if self.is_cut(from, to) {
            return self.after(ROOM_AGAIN_NS, Event::Room { connection: key, side });
        }
        self.tell_end(key, side, WRITABLE);
    }

    /// An end is let go of by its process.
    pub(super) fn end_closed(&mut self, key: Key, side: usize, resets: bool) {
        let Some(connection) = self.connections.get(key) else { return };
        let (end, other) = connection.ends(side);
        let (machine, address, state) = (end.machine, other.address, end.state);
        let (unread, is_over) = (!end.inbox.is_empty(), end.is_over());
        let was_shut = std::mem::replace(&mut end.write_shut, true);
        end.owner = Owner::Nobody;
        end.inbox.clear();
        self.note(machine, What::Closed(address));
        if state == State::Open && !is_over {
            if unread || resets {
                if let Some(connection) = self.connections.get(key) {
                    connection.ends[side].way.clear();
                }
                self.transmit(key, side, Part::Reset);
            } else if !was_shut {
                self.transmit(key, side, Part::End);
            }
        }
        self.forget(key);
    }

    /// Lets go of a connection that nobody has any more.
    fn forget(&mut self, key: Key) {
        let Some(connection) = self.connections.get(key) else { return };
        let is_over = |end: &End| {
            end.is_let_go() && end.way.segments.is_empty() && end.state != State::Asking
        };
        if connection.ends.iter().all(is_over) {
            self.connections.remove(key);
        }
    }

    /// A machine lost its power, and with it its ends of connections.
    pub(super) fn connections_vanish(&mut self, machine: u32) {
        let keys: Vec<Key> = self.connections.keys().collect();
        for key in keys {
            let Some(connection) = self.connections.get(key) else { continue };
            for end in &mut connection.ends {
                if end.machine == machine && end.owner != Owner::Nobody {
                    end.owner = Owner::Vanished;
                    end.way.wire.clear();
                    end.way.segments.clear();
                    end.inbox.clear();
                }
            }
            self.forget(key);
        }
    }
}

/// Calls on an end.
impl Kernel {
    fn end_of(&mut self, socket: Key) -> Answer<(Key, usize)> {
        match self.sockets.get(socket).map(|entry| &entry.kind) {
            Some(&Kind::End(connection, side)) => Ok((connection, side)),
            Some(_) => Err(code::ENOTCONN),
            None => Err(code::EBADF),
        }
    }

    /// recv(2), into room that is not empty.
    pub(in crate::driver::sim) fn recv_bytes(
        &mut self,
        socket: Key,
        room: &mut [MaybeUninit<u8>],
    ) -> Answer<usize> {
        let (key, side) = self.end_of(socket)?;
        let Some(connection) = self.connections.get(key) else { return Err(code::ENOTCONN) };
        let (end, other) = connection.ends(side);
        let (machine, peer, from) = (end.machine, other.address, other.machine);
        if end.inbox.is_empty() {
            return match end.error.take_if(|_| !end.ended) {
                Some(error) => Err(error),
                None if end.ended || end.read_shut || end.state == State::Broken => Ok(0),
                None => Err(code::EAGAIN),
            };
        }
        let len = end.inbox.len().min(room.len());
        let count = self.plan.cut(FaultKind::ShortReceive, len);
        let Some(connection) = self.connections.get(key) else { return Err(code::ENOTCONN) };
        let (end, _) = connection.ends(side);
        let (first, second) = end.inbox.as_slices();
        let (head, tail) = room[..count].split_at_mut(first.len().min(count));
        for (room, bytes) in [(head, first), (tail, second)] {
            for (place, byte) in room.iter_mut().zip(bytes) {
                place.write(*byte);
            }
        }
        end.inbox.drain(..count);
        let is_enough = connection.ends[1 - side].wants_room && connection.has_much_room(1 - side);
        if is_enough {
            connection.ends[1 - side].wants_room = false;
            let delay_ns = self.latency_ns(machine, from, 0);
            self.after(delay_ns, Event::Room { connection: key, side: 1 - side });
        }
        self.note(machine, What::Received(peer, count));
        Ok(count)
    }

    /// send(2)
    pub(in crate::driver::sim) fn send_bytes(
        &mut self,
        socket: Key,
        bytes: &[u8],
    ) -> Answer<usize> {
        let (key, side) = self.end_of(socket).map_err(|error| match error {
            code::ENOTCONN => code::EPIPE,
            error => error,
        })?;
        let Some(connection) = self.connections.get(key) else { return Err(code::EPIPE) };
        let (room, _) = connection.room(side);
        let (end, other) = connection.ends(side);
        let (machine, peer) = (end.machine, other.address);
        match end.state {
            _ if end.error.is_some() => return Err(end.error.take().unwrap_or(code::EPIPE)),
            _ if end.write_shut => return Err(code::EPIPE),
            State::Broken => return Err(code::EPIPE),
            State::Asking => return Err(code::EAGAIN),
            State::Open => {}
        }
        if bytes.is_empty() {
            return Ok(0);
        }
        let len = room.min(bytes.len());
        if len == 0 {
            end.wants_room = true;
            return Err(code::EAGAIN);
        }
        let count = self.plan.cut(FaultKind::ShortSend, len);
        if let Some(connection) = self.connections.get(key) {
            let end = &mut connection.ends[side];
            end.way.wire.extend(&bytes[..count]);
            // What is short waits for room, as epoll(7) has it.
            end.wants_room |= count < bytes.len() && count == room;
        }
        self.note(machine, What::Sent(peer, count));
        self.transmit(key, side, Part::Bytes(count));
        self.settle();
        Ok(count)
    }

    /// shutdown(2)
    pub(in crate::driver::sim) fn shut_down(&mut self, socket: Key, how: Shutdown) -> Answer<()> {
        let (reads, writes) = (how != Shutdown::Write, how != Shutdown::Read);
        let Some(entry) = self.sockets.get(socket) else { return Err(code::EBADF) };
        let (key, side) = match &mut entry.kind {
            Kind::Idle => return Err(code::ENOTCONN),
            Kind::Datagrams(datagrams) => {
                let result = datagrams.shut_down(reads);
                self.tell(socket, READABLE | WRITABLE);
                return result;
            }
            Kind::Listener(listener) => {
                listener.shut |= reads;
                let queue =
                    if reads { std::mem::take(&mut listener.queue) } else { VecDeque::new() };
                let shut = Listener { queue, backlog: 0, shut: true };
                self.listener_closed(shut);
                self.tell(socket, READABLE);
                return Ok(());
            }
            &mut Kind::End(key, side) => (key, side),
        };
        let Some(connection) = self.connections.get(key) else { return Err(code::ENOTCONN) };
        let end = &mut connection.ends[side];
        if end.state != State::Open || end.is_over() {
            return Err(code::ENOTCONN);
        }
        end.read_shut |= reads;
        let was_shut = end.write_shut;
        end.write_shut |= writes;
        if writes && !was_shut {
            self.transmit(key, side, Part::End);
        }
        self.tell_end(key, side, READABLE | WRITABLE);
        self.settle();
        Ok(())
    }

    /// getpeername(2)
    pub(in crate::driver::sim) fn peer_of(&mut self, socket: Key) -> Answer<SocketAddr> {
        if let Some(entry) = self.sockets.get(socket)
            && let Kind::Datagrams(datagrams) = &entry.kind
        {
            return datagrams.peer().ok_or(code::ENOTCONN);
        }
        let (key, side) = self.end_of(socket)?;
        let Some(connection) = self.connections.get(key) else { return Err(code::ENOTCONN) };
        match connection.ends[side].state {
            State::Open if !connection.ends[side].is_over() => {
                Ok(connection.ends[1 - side].address)
            }
            State::Asking | State::Open | State::Broken => Err(code::ENOTCONN),
        }
    }

    pub(super) fn end_is_ready(&mut self, key: Key, side: usize, interest: Interest) -> bool {
        let Some(connection) = self.connections.get(key) else { return true };
        let has_room = connection.has_much_room(side);
        let end = &mut connection.ends[side];
        let is_ready = match (interest, end.state) {
            (Interest::Readable, _) => return end.has_news(),
            (Interest::Writable, State::Asking) => false,
            (Interest::Writable, State::Broken) => true,
            (Interest::Writable, State::Open) => has_room || end.write_shut || end.error.is_some(),
        };
        end.wants_room |= !is_ready;
        is_ready
    }

    /// Gives the buffers of an end other sizes.
    pub(in crate::driver::sim) fn set_buffers(&mut self, socket: Key) {
        let Some(entry) = self.sockets.get(socket) else { return };
        let (send_buffer, recv_buffer) = entry.options.buffers();
        let Kind::End(key, side) = entry.kind else { return };
        if let Some(connection) = self.connections.get(key) {
            let end = &mut connection.ends[side];
            (end.send_buffer, end.recv_buffer) = (send_buffer, recv_buffer);
        }
    }
}
