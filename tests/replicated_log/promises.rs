//! What a node promises, and when, step by step: the mistakes that take more in one order than worlds by
//! chance have.

use std::time::Duration;

use crate::log::{Content, Entry, History};
use crate::protocol::{Action, Event, Protocol};
use crate::wire::{Body, Outcome};

const NOW: Duration = Duration::from_secs(1);

/// Node 0 of three.
struct Node {
    protocol: Protocol,
    /// Records that it has written.
    written: u64,
}

/// What a node does, but for what it writes.
#[derive(Debug, Default)]
struct Done {
    sent: Vec<(u8, u64, Body)>,
    replies: Vec<Body>,
    events: Vec<Event>,
}

impl Node {
    fn new(history: History) -> Node {
        Node { protocol: Protocol::new(0, 3, history, 1, None), written: 0 }
    }

    fn done(&mut self) -> Done {
        let mut done = Done::default();
        for action in std::mem::take(&mut self.protocol.actions) {
            match action {
                Action::Persist(_) => self.written += 1,
                Action::Send { peer, number, body } => done.sent.push((peer, number, body)),
                Action::Reply { body, .. } => done.replies.push(body),
                Action::Tell(event) => done.events.push(event),
            }
        }
        done
    }

    /// All that it has written is on the disk.
    fn stored(&mut self) -> Done {
        self.protocol.stored(self.written);
        self.done()
    }

    fn request(&mut self, body: Body) -> Done {
        self.protocol.request(NOW, 0, 1, body);
        self.done()
    }

    fn reply(&mut self, from: u8, number: u64, body: Body) -> Done {
        self.protocol.reply(NOW, from, number, body);
        self.done()
    }

    /// Has it elected in the next term; gives its first requests.
    fn lead(&mut self, term: u64) -> Vec<(u8, u64, Body)> {
        self.protocol.timer(NOW);
        assert!(self.done().sent.is_empty(), "it asks when its own vote is on the disk");
        let asked = self.stored().sent;
        assert_eq!(asked.len(), 2);
        let done = self.reply(1, asked[0].1, Body::Voted { term, granted: true });
        assert_eq!(done.events, [Event::Leads { term }]);
        assert!(self.stored().events.is_empty());
        done.sent
    }
}

fn entry(term: u64, number: u64) -> Entry {
    Entry { term, content: Content::Put { client: 1, number, payload: Vec::new().into() } }
}

fn history(term: u64, entries: Vec<Entry>) -> History {
    History { term, vote: None, entries, lost: None }
}

fn appended(term: u64, outcome: Outcome) -> Body {
    Body::Appended { term, outcome, lost: None }
}

fn committed(done: &Done) -> usize {
    done.events.iter().filter(|event| matches!(event, Event::Committed { .. })).count()
}

#[test]
fn an_entry_of_an_earlier_term_is_not_committed_by_counting() {
    // More than one request holds.
    let mut node = Node::new(history(2, (1..=100).map(|number| entry(2, number)).collect()));
    let sent = node.lead(3);
    let done = node.reply(1, sent[0].1, appended(3, Outcome::Differs { hint: 1 }));
    let [(1, number, Body::Append { prev_index: 1, entries, .. })] = &done.sent[..] else {
        panic!("{done:?}")
    };
    assert!(
        entries.iter().all(|entry| entry.term == 2),
        "the leader's own entry is not among them"
    );
    let done = node.reply(1, *number, appended(3, Outcome::Stored));
    assert_eq!(committed(&done), 0, "a majority has it, and another leader may undo it");
    let [(1, number, Body::Append { entries, .. })] = &done.sent[..] else { panic!("{done:?}") };
    assert_eq!(entries.last().map(|entry| entry.term), Some(3));
    let done = node.reply(1, *number, appended(3, Outcome::Stored));
    assert_eq!(committed(&done), 101);
}

#[test]
fn what_a_node_without_a_vote_has_stored_does_not_count() {
    let mut node = Node::new(history(0, Vec::new()));
    let sent = node.lead(1);
    let lost = |lost| Body::Appended { term: 1, outcome: Outcome::Stored, lost };
    let done = node.reply(1, sent[0].1, lost(Some(9)));
    assert_eq!(committed(&done), 0);
    // The leader has appended what admits it, and brings it that.
    let admit = Content::Admit { node: 1, token: 9 };
    let [(1, number, Body::Append { entries, .. })] = &done.sent[..] else { panic!("{done:?}") };
    assert_eq!(entries, &[Entry { term: 1, content: admit }]);
    node.stored();
    assert_eq!(committed(&node.reply(1, *number, lost(Some(9)))), 0);
    // The other one has the leader's first entry alone.
    assert_eq!(committed(&node.reply(2, sent[1].1, lost(None))), 1);
}

#[test]
fn a_node_that_has_lost_its_disk_has_no_vote_until_it_is_admitted() {
    let mut node = Node::new(History { lost: Some(9), ..History::default() });
    node.protocol.timer(NOW);
    let done = node.done();
    assert!(
        done.sent.is_empty() && node.stored().sent.is_empty(),
        "it does not stand for election"
    );
    let vote = Body::Vote { from: 2, term: 5, last_index: 10, last_term: 4 };
    let refused = Body::Voted { term: 0, granted: false };
    assert_eq!(node.request(vote.clone()).replies, [refused]);
    let entries = vec![
        // Another loss, of another time.
        Entry { term: 3, content: Content::Admit { node: 0, token: 8 } },
        Entry { term: 3, content: Content::Admit { node: 0, token: 9 } },
    ];
    let append = |prev: u64, commit, entries| Body::Append {
        from: 1,
        term: 3,
        prev_index: prev,
        prev_term: if prev == 0 { 0 } else { 3 },
        commit,
        entries,
    };
    node.request(append(0, 1, entries));
    let stored = Body::Appended { term: 3, outcome: Outcome::Stored, lost: Some(9) };
    assert_eq!(node.stored().replies, [stored], "the entry is there, and not committed");
    assert_eq!(node.request(append(2, 2, Vec::new())).events.last(), Some(&Event::Admitted));
    let admitted = Body::Appended { term: 3, outcome: Outcome::Stored, lost: None };
    assert_eq!(node.stored().replies, [admitted], "it says so when that is on its disk");
    assert!(node.request(vote).replies.is_empty());
    assert_eq!(node.stored().replies, [Body::Voted { term: 5, granted: true }]);
}

#[test]
fn answers_wait_for_what_they_promise_and_heartbeats_do_not() {
    let mut node = Node::new(history(1, vec![entry(1, 1)]));
    let append = |prev: u64, entries| Body::Append {
        from: 1,
        term: 1,
        prev_index: prev,
        prev_term: 1,
        commit: 0,
        entries,
    };
    assert!(node.request(append(1, vec![entry(1, 2)])).replies.is_empty());
    // The same once more, and what rests on it.
    assert!(node.request(append(1, vec![entry(1, 2)])).replies.is_empty());
    assert!(node.request(append(2, Vec::new())).replies.is_empty());
    let stored = appended(1, Outcome::Stored);
    assert_eq!(node.request(append(1, Vec::new())).replies, std::slice::from_ref(&stored));
    assert_eq!(node.stored().replies, [stored.clone(), stored.clone(), stored]);
}

#[test]
fn a_record_that_comes_again_is_there_once() {
    let mut node = Node::new(history(0, Vec::new()));
    let sent = node.lead(1);
    let put = Body::Put { client: 7, sequence: 1, payload: Vec::new().into() };
    node.request(put.clone());
    assert_eq!(node.written, 3, "the term, the leader's entry, and the record");
    node.request(put.clone());
    assert_eq!(node.written, 3);
    node.stored();
    let done = node.reply(1, sent[0].1, appended(1, Outcome::Stored));
    let [(1, number, _)] = done.sent[..] else { panic!("{done:?}") };
    let done = node.reply(1, number, appended(1, Outcome::Stored));
    assert_eq!(done.replies, [Body::Done { index: 2 }, Body::Done { index: 2 }]);
    assert_eq!(node.request(put).replies, [Body::Done { index: 2 }]);
}

#[test]
fn what_is_no_peers_is_refused() {
    let mut node = Node::new(history(1, vec![entry(1, 1)]));
    let vote = |from| Body::Vote { from, term: 9, last_index: u64::MAX, last_term: 9 };
    assert!(node.request(vote(3)).replies.is_empty());
    assert!(node.request(vote(u8::MAX)).replies.is_empty());
    let far = Body::Append {
        from: 1,
        term: 1,
        prev_index: u64::MAX,
        prev_term: 1,
        commit: u64::MAX,
        entries: vec![entry(1, 2)],
    };
    let differs = appended(1, Outcome::Differs { hint: 1 });
    assert_eq!(node.request(far).replies, [differs]);
}
