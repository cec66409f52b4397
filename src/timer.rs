//! User-space timers: a binary heap whose entries know where they are, so that cancelling one
//! takes it out and leaves nothing behind.
//!
//! I1. `places[id]` is the position in the heap of the timer `id`, for each live timer.
//! I2. The heap is ordered by (deadline, start order), so equal deadlines fire in start order.
//! I3. Storage is reused: starting and cancelling for ever does not grow it beyond its peak.

/// Names a live timer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TimerId(u32);

impl TimerId {
    /// No timer.
    pub(crate) const NONE: TimerId = TimerId(u32::MAX);
}

#[derive(Clone, Copy)]
struct Entry {
    deadline_ns: u64,
    sequence: u64,
    key: u32,
    id: u32,
}

impl Entry {
    fn is_before(&self, other: &Entry) -> bool {
        (self.deadline_ns, self.sequence) < (other.deadline_ns, other.sequence)
    }
}

/// Children of a node: four lie in one or two cache lines.
const ARITY: usize = 4;

pub(crate) struct Timers {
    heap: Vec<Entry>,
    places: Vec<u32>,
    free: Vec<u32>,
    sequence: u64,
}

impl Timers {
    pub(crate) fn new() -> Timers {
        Timers { heap: Vec::new(), places: Vec::new(), free: Vec::new(), sequence: 0 }
    }

    /// Starts a timer for the slot `key`. A deadline of `u64::MAX` never comes.
    pub(crate) fn insert(&mut self, deadline_ns: u64, key: u32) -> TimerId {
        let id = self.free.pop().unwrap_or_else(|| {
            self.places.push(0);
            u32::try_from(self.places.len() - 1).unwrap_or(u32::MAX)
        });
        assert!(id != TimerId::NONE.0, "more timers than can be numbered");
        self.sequence += 1;
        self.heap.push(Entry { deadline_ns, sequence: self.sequence, key, id });
        self.rise(self.heap.len() - 1);
        TimerId(id)
    }

    /// Cancels a live timer.
    pub(crate) fn remove(&mut self, id: TimerId) {
        let at = self.places[id.0 as usize] as usize;
        assert!(self.heap[at].id == id.0, "only a live timer is cancelled");
        self.take(at);
    }

    /// Takes the earliest timer out if it is due; gives its key.
    pub(crate) fn pop_due(&mut self, now_ns: u64) -> Option<u32> {
        let first = self.heap.first()?;
        if first.deadline_ns > now_ns || first.deadline_ns == u64::MAX {
            return None;
        }
        Some(self.take(0).key)
    }

    /// The earliest deadline.
    pub(crate) fn next_deadline(&self) -> Option<u64> {
        self.heap.first().map(|first| first.deadline_ns)
    }

    fn take(&mut self, at: usize) -> Entry {
        let entry = self.heap.swap_remove(at);
        if at < self.heap.len() {
            self.sink(at);
            self.rise(at);
        }
        self.free.push(entry.id);
        entry
    }

    fn put(&mut self, at: usize, entry: Entry) {
        self.heap[at] = entry;
        self.places[entry.id as usize] = u32::try_from(at).unwrap_or(u32::MAX);
    }

    fn rise(&mut self, mut at: usize) {
        let entry = self.heap[at];
        while at > 0 {
            let parent = (at - 1) / ARITY;
            if !entry.is_before(&self.heap[parent]) {
                break;
            }
            self.put(at, self.heap[parent]);
            at = parent;
        }
        self.put(at, entry);
    }

    fn sink(&mut self, mut at: usize) {
        let entry = self.heap[at];
        loop {
            let first = at * ARITY + 1;
            let mut least = None;
            for child in first..(first + ARITY).min(self.heap.len()) {
                let better = match least {
                    None => self.heap[child].is_before(&entry),
                    Some(least) => self.heap[child].is_before(&self.heap[least]),
                };
                if better {
                    least = Some(child);
                }
            }
            let Some(child) = least else { break };
            self.put(at, self.heap[child]);
            at = child;
        }
        self.put(at, entry);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn p62_equal_deadlines_fire_in_start_order() {
        let mut timers = Timers::new();
        for key in 0..100 {
            timers.insert(5, key);
        }
        assert_eq!(timers.pop_due(4), None);
        for key in 0..100 {
            assert_eq!(timers.pop_due(5), Some(key));
        }
        assert_eq!(timers.next_deadline(), None);
    }

    #[test]
    fn p61_zero_fires_at_once_and_max_never() {
        let mut timers = Timers::new();
        timers.insert(u64::MAX, 1);
        timers.insert(0, 2);
        assert_eq!(timers.pop_due(0), Some(2));
        assert_eq!(timers.pop_due(u64::MAX), None);
    }

    #[test]
    fn agrees_with_an_ordered_map() {
        let mut seed = 0x1234_5678_9abc_def1_u64;
        let mut random = || {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            seed
        };
        let (mut timers, mut model) = (Timers::new(), BTreeMap::new());
        let mut live = Vec::new();
        let (mut now_ns, mut sequence) = (0, 0_u32);
        for _ in 0..200_000 {
            match random() % 4 {
                0 | 1 => {
                    let deadline_ns = now_ns + random() % 64;
                    let id = timers.insert(deadline_ns, sequence);
                    model.insert((deadline_ns, sequence), id);
                    live.push((deadline_ns, sequence));
                    sequence += 1;
                }
                2 if !live.is_empty() => {
                    let at = usize::try_from(random()).unwrap() % live.len();
                    if let Some(id) = model.remove(&live.swap_remove(at)) {
                        timers.remove(id);
                    }
                }
                _ => {
                    now_ns += random() % 16;
                    while let Some(key) = timers.pop_due(now_ns) {
                        let ((deadline_ns, expected), _) = model.pop_first().unwrap();
                        assert_eq!(key, expected);
                        assert!(deadline_ns <= now_ns, "never early");
                    }
                }
            }
            assert_eq!(timers.next_deadline(), model.keys().next().map(|key| key.0));
        }
    }
}
