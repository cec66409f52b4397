//! What is to happen, by time. What is to happen at one time comes in an order that chance has drawn,
//! unless it was put there at that very time: then it comes as it was put.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::net::Event;

pub(super) struct Events {
    heap: BinaryHeap<Reverse<Entry>>,
    count: u64,
}

struct Entry {
    at_ns: u64,
    tie: u64,
    count: u64,
    event: Event,
}

impl Entry {
    fn key(&self) -> (u64, u64, u64) {
        (self.at_ns, self.tie, self.count)
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Entry) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Entry) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Entry) -> std::cmp::Ordering {
        self.key().cmp(&other.key())
    }
}

impl Events {
    pub(super) fn new() -> Events {
        Events { heap: BinaryHeap::new(), count: 0 }
    }

    pub(super) fn push(&mut self, at_ns: u64, tie: u64, event: Event) {
        self.count += 1;
        self.heap.push(Reverse(Entry { at_ns, tie, count: self.count, event }));
    }

    pub(super) fn next_at(&self) -> Option<u64> {
        self.heap.peek().map(|Reverse(entry)| entry.at_ns)
    }

    /// The next event, if its time has come.
    pub(super) fn pop_due(&mut self, now_ns: u64) -> Option<Event> {
        if self.next_at()? > now_ns {
            return None;
        }
        self.heap.pop().map(|Reverse(entry)| entry.event)
    }
}
