//! What is due next: a four-ary heap whose entries know where they are. It stays small, for only
//! timers that are due, or nearly so, come here (I4 of the parent).

use super::{Entry, Moment, Places, SMALL};

/// Children of a node: four lie in one or two cache lines.
const ARITY: usize = 4;

pub(super) struct Near {
    heap: Vec<Entry>,
}

impl Near {
    pub(super) fn new() -> Near {
        // Room for a small bucket from the start, not when the first one comes due.
        Near { heap: Vec::with_capacity(SMALL as usize) }
    }

    pub(super) fn first(&self) -> Option<Moment> {
        self.heap.first().map(|first| first.at)
    }

    #[inline]
    pub(super) fn push(&mut self, entry: Entry, places: &mut Places) {
        self.heap.push(entry);
        self.rise(self.heap.len() - 1, places);
    }

    /// Takes the entry at `place` out, wherever it is; the earliest is at 0.
    pub(super) fn take(&mut self, place: usize, places: &mut Places) -> Entry {
        let entry = self.heap.swap_remove(place);
        if place < self.heap.len() {
            self.sink(place, places);
            self.rise(place, places);
        }
        entry
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.heap.len()
    }

    #[inline]
    fn put(&mut self, place: usize, entry: Entry, places: &mut Places) {
        self.heap[place] = entry;
        places.set_near(entry.id, place);
    }

    fn rise(&mut self, mut place: usize, places: &mut Places) {
        let entry = self.heap[place];
        while place > 0 {
            let parent = (place - 1) / ARITY;
            if entry.at > self.heap[parent].at {
                break;
            }
            self.put(place, self.heap[parent], places);
            place = parent;
        }
        self.put(place, entry, places);
    }

    fn sink(&mut self, mut place: usize, places: &mut Places) {
        let entry = self.heap[place];
        loop {
            let first = place * ARITY + 1;
            let end = (first + ARITY).min(self.heap.len());
            let least = (first..end).min_by_key(|&child| self.heap[child].at);
            let Some(child) = least.filter(|&child| self.heap[child].at < entry.at) else { break };
            self.put(place, self.heap[child], places);
            place = child;
        }
        self.put(place, entry, places);
    }
}
