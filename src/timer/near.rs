//! What is due: a short run in order. It is filled while it is empty, from a bucket of few timers,
//! and sorted once; only a timer that was due before it was started is put in between.
//!
//! I1. Outside a fill the run is sorted by moment.

use std::collections::VecDeque;

use super::{Entry, SMALL};

pub(super) struct Near {
    run: VecDeque<Entry>,
}

impl Near {
    pub(super) fn new() -> Near {
        Near { run: VecDeque::with_capacity(SMALL as usize) }
    }

    #[inline]
    pub(super) fn first(&self) -> Option<Entry> {
        self.run.front().copied()
    }

    #[inline]
    pub(super) fn pop(&mut self) {
        self.run.pop_front();
    }

    /// Adds a timer to a run that [`sort`](Near::sort) is to put in order.
    #[inline]
    pub(super) fn push_unsorted(&mut self, entry: Entry) {
        self.run.push_back(entry);
    }

    pub(super) fn sort(&mut self) {
        self.run.make_contiguous().sort_unstable_by_key(|entry| entry.at);
    }

    #[cold]
    pub(super) fn insert(&mut self, entry: Entry) {
        let place = self.run.partition_point(|other| other.at < entry.at);
        self.run.insert(place, entry);
    }

    /// Takes out the timer `key`. It is searched for: few are here, and a timer that is
    /// due is seldom cancelled.
    #[cold]
    pub(super) fn remove(&mut self, key: u32) {
        let place = self.run.iter().position(|entry| entry.key == key);
        assert!(place.and_then(|place| self.run.remove(place)).is_some(), "the timer is here");
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.run.len()
    }
}
