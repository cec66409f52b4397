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
use std::net::SocketAddr;

use super::SocketOptions;
use crate::driver::sim::slab::Key;
use crate::driver::sim::trace::Sort;

mod asking;
mod calls;
mod ways;

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
    /// When it was asked, or answered, last.
    said_ns: u64,
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
    sent_ns: u64,
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

impl Part {
    /// What it is in a trace, if it says anything there.
    fn sort(self) -> Option<Sort> {
        match self {
            Part::Open => None,
            Part::Bytes(len) => Some(Sort::Bytes(len)),
            Part::End => Some(Sort::End),
            Part::Reset => Some(Sort::Reset),
        }
    }
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
