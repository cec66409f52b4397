//! What a leader does: it takes records of clients, brings every node what it lacks, and commits what a
//! majority has.

use std::rc::Rc;
use std::time::Duration;

use super::{Action, Bug, Event, HEARTBEAT, Origin, Protocol, Role};
use crate::log::{Content, Entry};
use crate::wire::{Body, Outcome};

/// Requests to a peer that have no reply yet, after which no more are made.
const FLIGHTS_MAX: usize = 8;
/// Entries of one request.
const ENTRIES_MAX: usize = 64;
const ENTRIES_BYTES_MAX: usize = 256 * 1024;
/// Requests of clients that wait to be committed.
const ANSWERS_MAX: usize = 10_000;

/// What a leader knows of another node.
#[derive(Default)]
pub(super) struct Peer {
    /// The next entry that it is to have.
    next: u64,
    /// It has stored all entries up to this one.
    matched: u64,
    lost: bool,
    pub(super) flights: Vec<Flight>,
}

/// A request without a reply.
pub(super) struct Flight {
    number: u64,
    prev: u64,
    /// The last entry that it brings, or `prev`.
    end: u64,
}

impl Peer {
    /// Whether entries are on their way.
    fn is_busy(&self) -> bool {
        self.flights.iter().any(|flight| flight.end > flight.prev)
    }
}

impl Protocol {
    pub(super) fn lead(&mut self, now: Duration) {
        let term = self.history.term;
        (self.role, self.leader) = (Role::Leader, Some(self.id));
        self.deadline = now.saturating_add(HEARTBEAT);
        let next = self.last_index() + 1;
        self.peers.iter_mut().for_each(|peer| *peer = Peer { next, ..Peer::default() });
        self.actions.push(Action::Tell(Event::Leads { term }));
        self.append(next, Entry { term, content: Content::Begin });
        self.everybody(|protocol, peer| protocol.send_append(peer, true));
    }

    /// Sends a peer the entries that it lacks; none, where some are on their way already, or where
    /// there are none: then it is a heartbeat, if that is wanted.
    pub(super) fn send_append(&mut self, to: u8, beats: bool) {
        let last = self.last_index();
        let peer = &self.peers[to as usize];
        let is_busy = peer.is_busy();
        if peer.flights.len() >= FLIGHTS_MAX || !beats && (is_busy || peer.next > last) {
            return;
        }
        let prev = if is_busy { peer.matched } else { peer.next - 1 };
        let rest = if is_busy { &[] } else { &self.history.entries[prev as usize..] };
        let mut bytes = 0;
        let fits = |entry: &&Entry| {
            let has_room = bytes < ENTRIES_BYTES_MAX;
            if let Content::Put { payload, .. } = &entry.content {
                bytes += payload.len();
            }
            has_room
        };
        let entries: Vec<Entry> = rest.iter().take(ENTRIES_MAX).take_while(fits).cloned().collect();
        self.requests += 1;
        let number = self.requests;
        let end = prev + entries.len() as u64;
        let body = Body::Append {
            from: self.id,
            term: self.history.term,
            prev_index: prev,
            prev_term: self.term_at(prev).unwrap_or(0),
            commit: self.commit,
            entries,
        };
        self.peers[to as usize].flights.push(Flight { number, prev, end });
        self.actions.push(Action::Send { peer: to, number, body });
    }

    pub(super) fn put(
        &mut self,
        to: Origin,
        number: u64,
        client: u64,
        sequence: u64,
        payload: Rc<[u8]>,
    ) {
        if !matches!(self.role, Role::Leader) {
            let body = Body::Elsewhere { leader: self.leader.filter(|&leader| leader != self.id) };
            self.actions.push(Action::Reply { to, number, body });
            return;
        }
        let known = self.clients.get(&client).filter(|(last, _)| *last >= sequence);
        let index = match known {
            // It comes again: its answer was lost, or is late.
            Some(&(_, index)) => index,
            None => {
                let content = Content::Put { client, number: sequence, payload };
                let entry = Entry { term: self.history.term, content };
                self.append(self.last_index() + 1, entry);
                self.everybody(|protocol, peer| protocol.send_append(peer, false));
                self.last_index()
            }
        };
        let body = if index <= self.commit {
            Body::Done { index }
        } else if self.answers.len() < ANSWERS_MAX {
            return self.answers.push((index, to, number));
        } else {
            Body::Elsewhere { leader: None }
        };
        self.actions.push(Action::Reply { to, number, body });
    }

    /// The request that a peer has replied to.
    pub(super) fn land(&mut self, from: u8, number: u64) -> Option<Flight> {
        let flights = &mut self.peers[from as usize].flights;
        let mut at = flights.iter().position(|flight| flight.number == number);
        if self.bug == Some(Bug::WrongRequest) {
            at = (!flights.is_empty()).then_some(0);
        }
        at.map(|at| flights.remove(at))
    }

    pub(super) fn appended(
        &mut self,
        from: u8,
        flight: &Flight,
        outcome: Outcome,
        lost: Option<u64>,
    ) {
        let peer = &mut self.peers[from as usize];
        peer.lost = lost.is_some();
        match outcome {
            Outcome::Stored => {
                peer.matched = peer.matched.max(flight.end);
                peer.next = peer.next.max(flight.end + 1);
            }
            Outcome::Differs { hint } => peer.next = flight.prev.min(hint.saturating_add(1)).max(1),
        }
        if let Some(token) = lost {
            // What it had is not there any more.
            peer.matched = 0;
            self.admit(from, token);
        }
        self.advance();
        self.send_append(from, false);
    }

    /// Has an entry that admits a node which has lost its disk, once.
    fn admit(&mut self, node: u8, token: u64) {
        let content = Content::Admit { node, token };
        if !self.history.entries.iter().any(|entry| entry.content == content) {
            let entry = Entry { term: self.history.term, content };
            self.append(self.last_index() + 1, entry);
        }
    }

    /// Commits what a majority has stored.
    pub(super) fn advance(&mut self) {
        if !matches!(self.role, Role::Leader) {
            return;
        }
        let own = self.entries_at.partition_point(|&written| written <= self.stored) as u64;
        let others = self.peers.iter().zip(0..).filter(|&(_, id)| id != self.id);
        let counted = others.map(|(peer, _)| if peer.lost { 0 } else { peer.matched });
        let mut matched: Vec<u64> = counted.chain([own]).collect();
        matched.sort_unstable();
        let mut index = matched[(matched.len() - 1) / 2];
        if self.bug == Some(Bug::BeforeQuorum) {
            index = own;
        }
        if self.term_at(index) == Some(self.history.term) {
            self.commit_to(index);
        }
    }
}
