//! What is on its way from one end of a connection to the other, and how a connection ends.

use super::{End, Owner, Part, Segment, State, move_bytes};
use crate::driver::sim::code;
use crate::driver::sim::faults::FaultKind;
use crate::driver::sim::kernel::Kernel;
use crate::driver::sim::net::{Event, Kind, READABLE, WRITABLE};
use crate::driver::sim::slab::Key;
use crate::driver::sim::trace::What;

/// The first pause before what was lost is sent again, and the longest (`TCP_RTO_MIN`, `TCP_RTO_MAX`).
const SEND_AGAIN_NS: u64 = 200_000_000;
const SEND_AGAIN_MAX_NS: u64 = 120_000_000_000;
/// How long what is lost is sent again before the connection is given up (`tcp_retries2`).
const GIVE_UP_NS: u64 = 924_600_000_000;
/// How late a part is that is late, in nanoseconds.
const LATE_NS: (u64, u64) = (10_000_000, 2_000_000_000);
/// How long a connection waits to be told of room across a cut network.
const ROOM_AGAIN_NS: u64 = 1_000_000_000;

impl Kernel {
    /// Tells the loop of who has an end.
    pub(super) fn tell_end(&mut self, key: Key, side: usize, news: u8) {
        let Some(connection) = self.connections.get(key) else { return };
        if let Owner::Socket(socket) = connection.ends[side].owner {
            self.tell(socket, news);
        }
    }

    pub(super) fn transmit(&mut self, key: Key, side: usize, what: Part) {
        let Some(connection) = self.connections.get(key) else { return };
        let (end, other) = connection.ends(side);
        let (from, to) = (end.machine, other.machine);
        let len = if let Part::Bytes(len) = what { len } else { 0 };
        let mut latency_ns = self.latency_ns(from, to, len);
        if from != to && self.happens(from, FaultKind::SegmentLate) {
            let (low, high) = LATE_NS;
            latency_ns += self.plan.size(FaultKind::SegmentLate, low, high);
        }
        let now_ns = self.now_ns();
        let Some(connection) = self.connections.get(key) else { return };
        let way = &mut connection.ends[side].way;
        way.last_arrival_ns = way.last_arrival_ns.max(now_ns.saturating_add(latency_ns));
        let arrival_ns = way.last_arrival_ns;
        way.segments.push_back(Segment { sent_ns: now_ns, arrival_ns, what });
        self.schedule_way(key, side, 0);
    }

    /// Sees to it that the first segment of a way arrives, after a pause where it was lost.
    pub(super) fn schedule_way(&mut self, key: Key, side: usize, pause_ns: u64) {
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

    pub(in crate::driver::sim) fn segment_arrives(&mut self, key: Key, side: usize) {
        let Some(connection) = self.connections.get(key) else { return };
        let (end, other) = connection.ends(side);
        let (from, to) = (end.machine, other.machine);
        end.way.is_scheduled = false;
        let Some(&Segment { sent_ns, what, .. }) = end.way.segments.front() else { return };
        let has_bytes = matches!(what, Part::Bytes(_));
        let is_lost = self.is_cut(from, to)
            || from != to && has_bytes && self.happens(from, FaultKind::SegmentLost);
        if let Some(sort) = what.sort() {
            self.message((from, to), sent_ns, sort, is_lost);
        }
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

    pub(super) fn segment_lost(&mut self, key: Key, side: usize) {
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
    pub(super) fn give_up(&mut self, key: Key, side: usize) {
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
    pub(super) fn open_arrives(&mut self, key: Key) {
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

    pub(super) fn bytes_arrive(&mut self, key: Key, side: usize, len: usize) {
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

    pub(super) fn end_arrives(&mut self, key: Key, side: usize) {
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

    pub(super) fn reset_arrives(&mut self, key: Key, side: usize) {
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

    pub(in crate::driver::sim) fn room_again(&mut self, key: Key, side: usize) {
        let Some(connection) = self.connections.get(key) else { return };
        let (end, other) = connection.ends(side);
        let (from, to) = (other.machine, end.machine);
        if self.is_cut(from, to) {
            return self.after(ROOM_AGAIN_NS, Event::Room { connection: key, side });
        }
        self.tell_end(key, side, WRITABLE);
    }

    /// An end is let go of by its process.
    pub(in crate::driver::sim) fn end_closed(&mut self, key: Key, side: usize, resets: bool) {
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
    pub(super) fn forget(&mut self, key: Key) {
        let Some(connection) = self.connections.get(key) else { return };
        let is_over = |end: &End| {
            end.is_let_go() && end.way.segments.is_empty() && end.state != State::Asking
        };
        if connection.ends.iter().all(is_over) {
            self.connections.remove(key);
        }
    }

    /// A machine lost its power, and with it its ends of connections.
    pub(in crate::driver::sim) fn connections_vanish(&mut self, machine: u32) {
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
