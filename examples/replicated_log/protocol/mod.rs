//! What a node decides: the core of Raft ("In Search of an Understandable Consensus Algorithm", Ongaro
//! and Ousterhout, 2014, section 5), without sockets, files and clocks. It is told what has happened, and
//! leaves [actions](Action) to be done.
//!
//! ```text
//!               no leader heard of                   votes of a majority
//!   follower ──────────────────────▶ candidate ─────────────────────────▶ leader
//!      ▲                                 │                                  │
//!      └──────────── a higher term, or its leader ◀─────────────────────────┘
//! ```
//!
//! I1. A promise (a vote, an answer that entries are stored, an own vote) is made when the records that
//!     it stands on are on the disk: actions wait for a number of records.
//! I2. An entry is committed when a majority has stored it, of the leader's own term. What a node has
//!     stored that lost its disk does not count, and it does not vote, until an entry that admits it is
//!     committed without its help. By then a majority was in no later term than the leader's, so that all
//!     that the node can have helped to commit is in the leader's log, and comes before that entry. And
//!     a candidate that still has a vote of its from before lacks that entry, and wins no majority.
//!     (Alagappan and others, "Protocol-Aware Recovery for Consensus-Based Storage", 2018, on why a node
//!     must not begin again with less.)
//! I3. What is committed is never cut off.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use crate::bytes::Random;
use crate::log::{Content, Entry, History, Record};
use crate::wire::{Body, Outcome};
use leader::Peer;

mod leader;

/// How often a leader is heard of.
pub(crate) const HEARTBEAT: Duration = Duration::from_millis(100);
/// How long a node waits for a leader: so long, up to twice that, at random.
const ELECTION_MS: u64 = 500;

/// Mistakes that a test plants. The program itself never makes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bug {
    /// Nothing is synced.
    NoSync,
    /// A sync that fails is taken for one that succeeds.
    SyncErrorIgnored,
    /// A leader acknowledges what it has stored alone.
    BeforeQuorum,
    /// A reply is taken for one to the oldest request, as if they came in order.
    WrongRequest,
    /// Time is what the wall clock says.
    WallClock,
}

/// A connection that a request came by.
pub(crate) type Origin = u64;

#[derive(Debug)]
pub(crate) enum Action {
    /// Writes this down.
    Persist(Record),
    /// Sends a request to a peer.
    Send { peer: u8, number: u64, body: Body },
    /// Replies to a request.
    Reply { to: Origin, number: u64, body: Body },
    /// Lets whoever watches know.
    Tell(Event),
}

/// What is worth knowing from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Event {
    /// It listens, and has a vote, unless it has lost that with its disk.
    Ready {
        votes: bool,
    },
    /// Its disk has lost what was synced, and it begins again without a vote.
    Damaged(String),
    /// It has a vote again.
    Admitted,
    Leads {
        term: u64,
    },
    /// It knows that this entry is committed.
    Committed {
        index: u64,
        digest: u64,
    },
    /// It cannot go on.
    Failed(String),
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Event::Ready { votes: true } => write!(f, "ready"),
            Event::Ready { votes: false } => write!(f, "ready, without a vote"),
            Event::Damaged(how) => write!(f, "the disk has lost what was synced ({how})"),
            Event::Admitted => write!(f, "has a vote again"),
            Event::Leads { term } => write!(f, "leads in term {term}"),
            Event::Committed { index, .. } => write!(f, "{index} is committed"),
            Event::Failed(why) => write!(f, "ends: {why}"),
        }
    }
}

enum Role {
    Follower,
    /// Who has given it a vote.
    Candidate {
        votes: u64,
    },
    Leader,
}

pub(crate) struct Protocol {
    id: u8,
    bug: Option<Bug>,
    random: Random,
    /// When something is to be done if nothing happens.
    deadline: Duration,
    history: History,
    /// How many records were written when each entry was, and when the term was.
    entries_at: Vec<u64>,
    promise_at: u64,
    /// Records written, and how many of them are on the disk.
    written: u64,
    stored: u64,
    /// Actions that wait for so many records.
    waiting: Vec<(u64, Action)>,
    commit: u64,
    role: Role,
    leader: Option<u8>,
    peers: Vec<Peer>,
    requests: u64,
    /// The last record of each client in the log, and where it is.
    clients: BTreeMap<u64, (u64, u64)>,
    /// Clients that wait until an entry is committed: the connection, and the request.
    answers: Vec<(u64, Origin, u64)>,
    pub(crate) actions: Vec<Action>,
}

impl Protocol {
    /// One of `count` nodes, with what is on its disk.
    pub(crate) fn new(
        id: u8,
        count: u8,
        history: History,
        seed: u64,
        bug: Option<Bug>,
    ) -> Protocol {
        let mut protocol = Protocol {
            id,
            bug,
            random: Random(seed),
            deadline: Duration::ZERO,
            entries_at: vec![0; history.entries.len()],
            history,
            promise_at: 0,
            written: 0,
            stored: 0,
            waiting: Vec::new(),
            commit: 0,
            role: Role::Follower,
            leader: None,
            peers: (0..count).map(|_| Peer::default()).collect(),
            requests: 0,
            clients: BTreeMap::new(),
            answers: Vec::new(),
            actions: Vec::new(),
        };
        protocol.index_clients();
        protocol
    }

    pub(crate) fn deadline(&self) -> Duration {
        self.deadline
    }

    fn last_index(&self) -> u64 {
        self.history.entries.len() as u64
    }

    /// The term of the entry at an index; that of nothing before the first one.
    fn term_at(&self, index: u64) -> Option<u64> {
        match index.checked_sub(1) {
            None => Some(0),
            Some(at) => self.history.entries.get(usize::try_from(at).ok()?).map(|entry| entry.term),
        }
    }

    /// How many records there were when the entry at this index was written.
    fn written_at(&self, index: u64) -> u64 {
        index.checked_sub(1).map_or(0, |at| self.entries_at[at as usize])
    }

    /// Begins to wait for a leader.
    pub(crate) fn heard(&mut self, now: Duration) {
        let wait = ELECTION_MS + self.random.below(ELECTION_MS);
        self.deadline = now.saturating_add(Duration::from_millis(wait));
    }

    fn persist(&mut self, record: Record) {
        self.written += 1;
        self.actions.push(Action::Persist(record));
    }

    /// Does something once so many records are on the disk.
    fn once_stored(&mut self, written: u64, action: Action) {
        match written <= self.stored {
            true => self.actions.push(action),
            false => self.waiting.push((written, action)),
        }
    }

    /// So many records are on the disk.
    pub(crate) fn stored(&mut self, records: u64) {
        self.stored = records;
        let waiting = std::mem::take(&mut self.waiting);
        let (due, waiting) = waiting.into_iter().partition(|(written, _)| *written <= records);
        self.waiting = waiting;
        let due: Vec<_> = due;
        self.actions.extend(due.into_iter().map(|(_, action)| action));
        self.advance();
    }

    fn set_term(&mut self, term: u64, vote: Option<u8>) {
        (self.history.term, self.history.vote) = (term, vote);
        self.persist(Record::Term { term, vote });
        self.promise_at = self.written;
    }

    /// Follows somebody, or nobody yet, in a term that is no earlier.
    fn follow(&mut self, now: Duration, term: u64, leader: Option<u8>) {
        if term > self.history.term {
            self.set_term(term, None);
            self.leader = None;
        }
        if leader.is_some() {
            self.leader = leader;
        }
        if !matches!(self.role, Role::Follower) {
            self.role = Role::Follower;
            self.heard(now);
        }
        for (_, to, number) in std::mem::take(&mut self.answers) {
            let body = Body::Elsewhere { leader: self.leader };
            self.actions.push(Action::Reply { to, number, body });
        }
    }

    /// Puts an entry at an index, in place of what was there and behind it.
    fn append(&mut self, index: u64, entry: Entry) {
        if index <= self.last_index() {
            self.history.entries.truncate(index as usize - 1);
            self.entries_at.truncate(index as usize - 1);
            self.index_clients();
        }
        if let Content::Put { client, number, .. } = entry.content {
            self.clients.insert(client, (number, index));
        }
        self.persist(Record::Entry { index, entry: entry.clone() });
        self.history.entries.push(entry);
        self.entries_at.push(self.written);
    }

    fn index_clients(&mut self) {
        self.clients.clear();
        for (at, entry) in self.history.entries.iter().enumerate() {
            if let Content::Put { client, number, .. } = entry.content {
                self.clients.insert(client, (number, at as u64 + 1));
            }
        }
    }

    /// The time has come that `deadline` names, perhaps.
    pub(crate) fn timer(&mut self, now: Duration) {
        if now < self.deadline {
            return;
        }
        if matches!(self.role, Role::Leader) {
            self.deadline = now.saturating_add(HEARTBEAT);
            self.everybody(|protocol, peer| protocol.send_append(peer, true));
            return;
        }
        self.heard(now);
        // One that has lost its vote would have to vote for itself.
        if self.history.lost.is_none() {
            self.leader = None;
            self.role = Role::Candidate { votes: 1 << self.id };
            self.set_term(self.history.term.saturating_add(1), Some(self.id));
            self.everybody(Protocol::ask_for_vote);
        }
    }

    fn everybody(&mut self, each: impl Fn(&mut Protocol, u8)) {
        let (own, count) = (self.id, self.peers.len() as u8);
        (0..count).filter(|&peer| peer != own).for_each(|peer| each(self, peer));
    }

    fn ask_for_vote(&mut self, peer: u8) {
        let last_index = self.last_index();
        let last_term = self.term_at(last_index).unwrap_or(0);
        self.requests += 1;
        let body = Body::Vote { from: self.id, term: self.history.term, last_index, last_term };
        self.once_stored(self.promise_at, Action::Send { peer, number: self.requests, body });
    }

    /// A connection to a peer was made.
    pub(crate) fn connected(&mut self, peer: u8) {
        match self.role {
            Role::Leader => self.send_append(peer, true),
            Role::Candidate { .. } => self.ask_for_vote(peer),
            Role::Follower => {}
        }
    }

    /// There is none any more: what was sent by it has no reply.
    pub(crate) fn disconnected(&mut self, peer: u8) {
        self.peers[peer as usize].flights.clear();
    }

    /// Somebody asks for something.
    pub(crate) fn request(&mut self, now: Duration, to: Origin, number: u64, body: Body) {
        match body {
            // Nobody of the cluster.
            Body::Vote { from, .. } | Body::Append { from, .. }
                if usize::from(from) >= self.peers.len() => {}
            Body::Vote { from, term, last_index, last_term } => {
                let granted = self.vote(now, from, term, (last_term, last_index));
                let body = Body::Voted { term: self.history.term, granted };
                self.once_stored(self.promise_at, Action::Reply { to, number, body });
            }
            Body::Append { from, term, prev_index, prev_term, commit, entries } => {
                let behind = (prev_index, prev_term);
                let (outcome, written) = match term < self.history.term {
                    true => (Outcome::Differs { hint: 0 }, self.promise_at),
                    false => {
                        self.follow(now, term, Some(from));
                        self.heard(now);
                        self.take_entries(behind, commit, entries)
                    }
                };
                let (term, lost) = (self.history.term, self.history.lost);
                let body = Body::Appended { term, outcome, lost };
                let written = written.max(self.promise_at);
                self.once_stored(written, Action::Reply { to, number, body });
            }
            Body::Put { client, sequence, payload } => {
                self.put(to, number, client, sequence, payload)
            }
            // A reply that nobody has asked for.
            _ => {}
        }
    }

    /// Whether a candidate gets the vote.
    fn vote(&mut self, now: Duration, from: u8, term: u64, last: (u64, u64)) -> bool {
        let History { term: own_term, vote, lost, .. } = self.history;
        if lost.is_some()
            || term < own_term
            || term == own_term && vote.is_some_and(|id| id != from)
        {
            return false;
        }
        let own_last = self.last_index();
        let own_last = (self.term_at(own_last).unwrap_or(0), own_last);
        let is_behind = last < own_last;
        if is_behind {
            self.follow(now, term, None);
            return false;
        }
        if (term, Some(from)) != (own_term, vote) {
            self.follow(now, own_term, None);
            self.leader = None;
            self.set_term(term, Some(from));
        }
        self.heard(now);
        true
    }

    /// What becomes of a leader's entries, and how many records must be on the disk to say so.
    fn take_entries(
        &mut self,
        (prev, prev_term): (u64, u64),
        commit: u64,
        entries: Vec<Entry>,
    ) -> (Outcome, u64) {
        let last = self.last_index();
        if prev > last {
            return (Outcome::Differs { hint: last }, 0);
        }
        let differs = self.term_at(prev).filter(|&term| term != prev_term);
        if let Some(term) = differs {
            // All of that term may differ.
            let of_term = |index: &u64| self.term_at(*index) == Some(term);
            let hint = (self.commit + 1..prev).rev().find(|index| !of_term(index));
            return (Outcome::Differs { hint: hint.unwrap_or(self.commit) }, 0);
        }
        let matched = prev + entries.len() as u64;
        for (index, entry) in (prev + 1..).zip(entries) {
            if self.term_at(index) == Some(entry.term) {
                continue;
            }
            // No leader asks for it.
            if index <= self.commit {
                return (Outcome::Differs { hint: self.commit }, 0);
            }
            self.append(index, entry);
        }
        self.commit_to(commit.min(matched));
        (Outcome::Stored, self.written_at(matched))
    }

    /// A peer has replied.
    pub(crate) fn reply(&mut self, now: Duration, from: u8, number: u64, body: Body) {
        match body {
            Body::Voted { term, granted } => {
                if term > self.history.term {
                    return self.follow(now, term, None);
                }
                let Role::Candidate { votes } = &mut self.role else { return };
                if granted && term == self.history.term {
                    *votes |= 1 << from;
                    if votes.count_ones() as usize > self.peers.len() / 2 {
                        self.lead(now);
                    }
                }
            }
            Body::Appended { term, outcome, lost } => {
                let flight = self.land(from, number);
                if term > self.history.term {
                    return self.follow(now, term, None);
                }
                let is_leader = matches!(self.role, Role::Leader) && term == self.history.term;
                if let Some(flight) = flight.filter(|_| is_leader) {
                    self.appended(from, &flight, outcome, lost);
                }
            }
            // A request, by the way that replies come.
            _ => {}
        }
    }

    fn commit_to(&mut self, index: u64) {
        while self.commit < index {
            let entry = &self.history.entries[self.commit as usize];
            self.commit += 1;
            let committed = Event::Committed { index: self.commit, digest: entry.digest() };
            self.actions.push(Action::Tell(committed));
            let admitted = self.history.lost.map(|token| Content::Admit { node: self.id, token });
            if admitted.as_ref() == Some(&entry.content) {
                self.history.lost = None;
                self.persist(Record::Admitted);
                self.promise_at = self.written;
                self.actions.push(Action::Tell(Event::Admitted));
            }
        }
        let commit = self.commit;
        let answers = std::mem::take(&mut self.answers);
        for (index, to, number) in answers {
            match index <= commit {
                true => {
                    self.actions.push(Action::Reply { to, number, body: Body::Done { index } });
                }
                false => self.answers.push((index, to, number)),
            }
        }
    }
}
