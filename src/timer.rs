//! User-space timers: a wheel of buckets for what is far, a short sorted run for what is due.
//!
//! A timer's place in the order is its [`Moment`]: the deadline and, among equal deadlines, the
//! order of starting. `base` is a moment too; it follows the clock and never goes back. A moment
//! after it belongs to the level of the highest digit (six bits) in which the two differ, and
//! there to the bucket of its own digit:
//!
//! ```text
//!                 deadline, 11 digits                   start order, 11 digits
//!   base          0 … 0 3 │ 17  4 60 │                  …
//!   a timer       0 … 0 3 │ 21  9 12 │                  …
//!                           ▲ highest that differs: level 2 of the deadline, bucket 21
//!
//!   insert ─▶ a bucket ─▶ (base comes there) ─▶ buckets of lower levels ─▶ near ─▶ pop_due
//! ```
//!
//! So a timer of a lower level is always earlier than one of a higher level, and within a level
//! the lower digit is earlier: the first bucket is found by two counts of trailing zeros. When its
//! time comes, `base` moves into it and its timers move down; a bucket of few timers goes straight
//! to `near`, which alone sorts. A timer moves down a few times in its life, once a level at most.
//!
//! I1. `places` says where the timer of each key is, so cancelling takes it out and leaves nothing
//!     behind. A key has one timer at most, and names it.
//! I2. Moments in `near` are not after `base`, those in buckets are not before it: what is first
//!     in `near` is first of all.
//! I3. Each timer in a bucket is in the one that its moment and `base` say; but a bucket that is
//!     being `split` holds timers not yet moved down, and comes before all other buckets.
//! I4. `base` is never ahead of the clock, so a timer starts in `near` only if it was due before
//!     it was started.
//! I5. One call moves at most [`SMALL`] timers for each one that it or a later call gives out, and
//!     a larger bucket is split [`STEP`] timers a call: a million due at once stall nobody (P63).
//! I6. Storage is reused: starting and cancelling for ever does not grow it beyond its peak.
//!
//! Sources: Varghese and Lauck, "Hashed and Hierarchical Timing Wheels" (1987), for the levels;
//! Ahuja, Mehlhorn, Orlin and Tarjan, "Faster Algorithms for the Shortest Path Problem" (1990),
//! for levels by the highest digit that differs (the radix heap).

mod buckets;
mod near;

use buckets::{BucketId, Buckets, DIGIT_BITS, WORD_LEVELS};
use near::Near;

/// A bucket of at most so many timers goes to `near` in one call.
const SMALL: u32 = 256;
/// So many timers of a larger bucket move down in one call.
const STEP: u32 = 4096;

/// When a timer is due, and which of those due at once it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Moment {
    deadline_ns: u64,
    sequence: u64,
}

impl Moment {
    /// The bucket of this moment, seen from `base`, which is earlier.
    #[inline]
    fn bucket(self, base: Moment) -> BucketId {
        let (word, differs, levels_below) = match self.deadline_ns ^ base.deadline_ns {
            0 => (self.sequence, self.sequence ^ base.sequence, 0),
            differs => (self.deadline_ns, differs, WORD_LEVELS),
        };
        let level = (differs.ilog2() / DIGIT_BITS) as usize;
        let digit = word >> (level * DIGIT_BITS as usize) & DIGIT_MASK;
        BucketId { level: levels_below + level, digit: digit as usize }
    }

    /// The first and the last moment of a bucket, seen from `base`.
    fn span(id: BucketId, base: Moment) -> (Moment, Moment) {
        let Moment { deadline_ns, sequence } = base;
        if id.level < WORD_LEVELS {
            let (first, last) = span_of_word(id.level, id.digit, sequence);
            return (Moment { sequence: first, ..base }, Moment { sequence: last, ..base });
        }
        let (first, last) = span_of_word(id.level - WORD_LEVELS, id.digit, deadline_ns);
        (
            Moment { deadline_ns: first, sequence: 0 },
            Moment { deadline_ns: last, sequence: u64::MAX },
        )
    }
}

const DIGIT_MASK: u64 = (1 << DIGIT_BITS) - 1;

/// Numbers with the digits of `base` above `level`, and `digit` there.
fn span_of_word(level: usize, digit: usize, base: u64) -> (u64, u64) {
    let shift = level * DIGIT_BITS as usize;
    // Two shifts, for the top level ends beyond the word.
    let above = base >> shift >> DIGIT_BITS << DIGIT_BITS << shift;
    let first = above | (digit as u64) << shift;
    (first, first | ((1 << shift) - 1))
}

#[derive(Clone, Copy)]
struct Entry {
    at: Moment,
    key: u32,
}

/// A live timer takes 24 bytes here and half a byte of its chunk's head; each key 4 in `places`.
const _: () = assert!(size_of::<Entry>() == 24);

/// Where the timer of each key is: nowhere, in `near`, or at this place in the buckets.
struct Places(Vec<u32>);

const NOWHERE: u32 = u32::MAX;
const NEAR: u32 = u32::MAX - 1;

impl Places {
    #[inline]
    fn get(&self, key: u32) -> u32 {
        self.0[key as usize]
    }

    #[inline]
    fn set(&mut self, key: u32, place: u32) {
        self.0[key as usize] = place;
    }

    #[cold]
    fn grow(&mut self, key: u32) {
        self.0.resize(key as usize + 1, NOWHERE);
    }
}

pub(crate) struct Timers {
    places: Places,
    near: Near,
    buckets: Buckets,
    base: Moment,
    split: Option<BucketId>,
    sequence: u64,
    /// How often a timer was moved down.
    #[cfg(test)]
    moved: u64,
}

impl Timers {
    pub(crate) fn new() -> Timers {
        Timers {
            places: Places(Vec::new()),
            near: Near::new(),
            buckets: Buckets::new(),
            base: Moment { deadline_ns: 0, sequence: 0 },
            split: None,
            sequence: 0,
            #[cfg(test)]
            moved: 0,
        }
    }

    /// Whether there is none.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.near.first().is_none() && self.first_bucket().is_none()
    }

    /// Whether there is a timer of this key.
    pub(crate) fn is_live(&self, key: u32) -> bool {
        self.places.0.get(key as usize).is_some_and(|&place| place != NOWHERE)
    }

    /// Starts the timer `key`, which must not be live. A deadline of `u64::MAX` never comes.
    #[inline]
    pub(crate) fn insert(&mut self, deadline_ns: u64, key: u32) {
        if key as usize >= self.places.0.len() {
            self.places.grow(key);
        }
        assert!(self.places.get(key) == NOWHERE, "a key has one timer");
        self.sequence += 1;
        let entry = Entry { at: Moment { deadline_ns, sequence: self.sequence }, key };
        if entry.at > self.base {
            self.buckets.push(entry.at.bucket(self.base), entry, &mut self.places);
        } else {
            self.places.set(key, NEAR);
            self.near.insert(entry);
        }
    }

    /// Cancels a live timer.
    #[inline]
    pub(crate) fn remove(&mut self, key: u32) {
        match self.places.get(key) {
            NOWHERE => unreachable!("only a live timer is cancelled"),
            NEAR => self.near.remove(key),
            place => {
                self.buckets.remove(place, key, &mut self.places);
                self.split = self.split.filter(|&bucket| self.buckets.len(bucket) > 0);
            }
        }
        self.places.set(key, NOWHERE);
    }

    /// Takes the earliest timer out if it is due; gives its key. Nothing may come although timers
    /// are due, when there are so many that moving them is spread over several calls: until
    /// [`next_deadline`](Timers::next_deadline) is past `now_ns` there is more to do.
    pub(crate) fn pop_due(&mut self, now_ns: u64) -> Option<u32> {
        let now_ns = now_ns.min(u64::MAX - 1);
        loop {
            if let Some(Entry { at, key }) = self.near.first() {
                if at.deadline_ns > now_ns {
                    return None;
                }
                self.near.pop();
                self.places.set(key, NOWHERE);
                return Some(key);
            }
            if !self.refill(now_ns) {
                return None;
            }
        }
    }

    /// The earliest deadline, or a time before it at which [`pop_due`](Timers::pop_due) makes
    /// progress. It is exact unless more than a chunk of timers share a bucket and the earliest
    /// of them was cancelled.
    pub(crate) fn next_deadline(&self) -> Option<u64> {
        if let Some(first) = self.near.first() {
            return Some(first.at.deadline_ns);
        }
        self.first_bucket().map(|bucket| self.buckets.look_up_least_ns(bucket))
    }

    fn first_bucket(&self) -> Option<BucketId> {
        self.split.or_else(|| self.buckets.first())
    }

    /// Moves timers of the first bucket down if any may be due; says whether to look again now.
    /// `near` is empty.
    fn refill(&mut self, now_ns: u64) -> bool {
        // All timers started so far that are due are not after this.
        let present = Moment { deadline_ns: now_ns, sequence: self.sequence };
        let Some(bucket) = self.first_bucket() else {
            self.base = self.base.max(present);
            return false;
        };
        if self.split == Some(bucket) {
            self.move_down(bucket, STEP);
            return false;
        }
        let (first, last) = Moment::span(bucket, self.base);
        let least_ns = self.buckets.least_ns(bucket);
        if least_ns > now_ns {
            // Short of the bucket, `base` may follow the clock: all timers stay where they belong.
            if first.deadline_ns > now_ns {
                self.base = self.base.max(present);
            }
            return false;
        }
        if self.buckets.len(bucket) <= SMALL {
            self.base = last.min(present);
            self.move_down(bucket, SMALL);
            return true;
        }
        // From the least deadline on, not from the start of the bucket: timers that are all due
        // in the same instant then skip the levels in which they do not differ.
        self.base = first.max(Moment { deadline_ns: least_ns, sequence: 0 });
        self.split = Some(bucket);
        self.move_down(bucket, STEP);
        false
    }

    /// Puts up to `count` timers of a bucket where they belong since `base` has come there.
    fn move_down(&mut self, bucket: BucketId, count: u32) {
        for _ in 0..count {
            let Some(entry) = self.buckets.pop(bucket) else { break };
            if entry.at > self.base {
                self.buckets.push(entry.at.bucket(self.base), entry, &mut self.places);
            } else {
                self.places.set(entry.key, NEAR);
                self.near.push_unsorted(entry);
            }
            #[cfg(test)]
            {
                self.moved += 1;
            }
        }
        self.near.sort();
        self.split = self.split.filter(|&bucket| self.buckets.len(bucket) > 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn random(seed: &mut u64) -> u64 {
        *seed ^= *seed << 13;
        *seed ^= *seed >> 7;
        *seed ^= *seed << 17;
        *seed
    }

    /// Takes all that is due, through the calls that only move timers.
    fn pop_all(timers: &mut Timers, now_ns: u64) -> Vec<u32> {
        let mut keys = Vec::new();
        while timers.next_deadline().is_some_and(|at| at <= now_ns && at != u64::MAX) {
            keys.extend(std::iter::from_fn(|| timers.pop_due(now_ns)));
        }
        keys
    }

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
    fn p62_start_order_holds_across_levels_and_for_the_late() {
        let mut timers = Timers::new();
        let deadline_ns = 3_600_000_000_123;
        for key in 0..10_000 {
            // From ever nearer, so that those of one deadline start in different buckets.
            let now_ns = deadline_ns - (deadline_ns >> (key / 200));
            assert_eq!(timers.pop_due(now_ns.min(deadline_ns - 1)), None);
            timers.insert(deadline_ns, key);
        }
        assert_eq!(timers.pop_due(deadline_ns - 1), None);
        let mut keys = Vec::new();
        while keys.len() < 5_000 {
            keys.extend(timers.pop_due(deadline_ns));
        }
        for key in 10_000..10_100 {
            timers.insert(deadline_ns, key);
        }
        keys.extend(pop_all(&mut timers, deadline_ns));
        assert_eq!(keys, (0..10_100).collect::<Vec<_>>());
    }

    #[test]
    fn p61_zero_fires_at_once_and_max_never() {
        let mut timers = Timers::new();
        timers.insert(u64::MAX, 1);
        timers.insert(0, 2);
        assert_eq!(timers.pop_due(0), Some(2));
        assert_eq!(timers.pop_due(u64::MAX), None);
        assert_eq!(timers.next_deadline(), Some(u64::MAX));
        timers.insert(u64::MAX - 1, 3);
        timers.insert(7, 4);
        assert_eq!(pop_all(&mut timers, u64::MAX), [4, 3]);
        assert_eq!(timers.pop_due(u64::MAX), None);
        assert_eq!(timers.next_deadline(), Some(u64::MAX));
    }

    #[test]
    fn p63_a_million_in_one_instant_come_a_step_at_a_time() {
        const TIMERS: u32 = if cfg!(debug_assertions) { 100_000 } else { 1_000_000 };
        let spans = [1, 1_000, 1_000_000, 1_000_000_000_000];
        for span_ns in spans {
            let mut timers = Timers::new();
            for key in 0..TIMERS {
                timers.insert(50_000_000 + u64::from(key) * span_ns / u64::from(TIMERS), key);
            }
            let now_ns = 50_000_000 + span_ns;
            let (mut expected, mut idle) = (0, 0);
            while timers.next_deadline().is_some() {
                let before = timers.moved;
                match timers.pop_due(now_ns) {
                    Some(key) => assert_eq!(key, std::mem::replace(&mut expected, key + 1)),
                    None => idle += 1,
                }
                let moved = timers.moved - before;
                assert!(moved <= u64::from(STEP), "one call moved {moved}");
                assert!(timers.near.len() <= SMALL as usize, "the heap stays small");
            }
            assert_eq!(expected, TIMERS);
            // A call that gives nothing ends a turn of the loop.
            assert!(idle <= TIMERS / 50, "{idle} turns without a timer");
            let moves = timers.moved / u64::from(TIMERS);
            assert!(moves <= 6, "a timer moved {moves} times");
        }
    }

    #[test]
    fn agrees_with_an_ordered_map() {
        // How far deadlines lie ahead, and how the clock moves: nanoseconds to years.
        for (ahead_bits, jump_bits) in [(6, 4), (16, 10), (24, 20), (40, 34), (62, 50), (62, 63)] {
            let mut seed = 0x1234_5678_9abc_def1_u64 + ahead_bits;
            let (mut timers, mut model) = (Timers::new(), BTreeMap::new());
            let mut live = Vec::new();
            let (mut now_ns, mut sequence) = (0_u64, 0_u32);
            for _ in 0..60_000 {
                match random(&mut seed) % 8 {
                    0..=4 => {
                        let deadline_ns = match random(&mut seed) % 64 {
                            0 => u64::MAX,
                            1 => 0,
                            2 => now_ns.saturating_sub(1000),
                            _ => {
                                let bits = 1 + random(&mut seed) % ahead_bits;
                                now_ns.saturating_add(random(&mut seed) & ((1 << bits) - 1))
                            }
                        };
                        timers.insert(deadline_ns, sequence);
                        model.insert((deadline_ns, sequence), ());
                        live.push((deadline_ns, sequence));
                        sequence += 1;
                    }
                    5 | 6 if !live.is_empty() => {
                        let at = usize::try_from(random(&mut seed)).unwrap() % live.len();
                        let at = live.swap_remove(at);
                        if model.remove(&at).is_some() {
                            timers.remove(at.1);
                        }
                    }
                    _ => {
                        let jump_ns = random(&mut seed) & ((1 << jump_bits) - 1);
                        let rare = random(&mut seed).is_multiple_of(16);
                        now_ns = now_ns.saturating_add(if rare { jump_ns } else { jump_ns >> 9 });
                        // Sometimes not all: what is left mixes with what starts now.
                        let share = if rare { usize::MAX } else { 3 };
                        for _ in 0..share {
                            let due = timers.pop_due(now_ns);
                            let first = model.first_key_value().map(|(&at, _)| at);
                            let Some(key) = due else {
                                let left = first.is_some_and(|at| at.0 <= now_ns.min(u64::MAX - 1));
                                if left && rare {
                                    continue;
                                }
                                break;
                            };
                            let (deadline_ns, expected) = first.unwrap();
                            assert!(deadline_ns <= now_ns, "never early");
                            assert_eq!(key, expected);
                            model.pop_first();
                        }
                    }
                }
                let (bound, first) = (timers.next_deadline(), model.keys().next());
                assert_eq!(bound.is_some(), first.is_some());
                assert!(bound <= first.map(|key| key.0), "woken too late");
            }
        }
    }

    #[test]
    fn waiting_for_the_next_deadline_gets_there_in_few_wakes() {
        let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
        for cancel in [false, true] {
            let (mut timers, mut live) = (Timers::new(), BTreeMap::new());
            for key in 0..20_000 {
                let deadline_ns = random(&mut seed) >> (24 + random(&mut seed) % 30);
                timers.insert(deadline_ns, key);
                live.insert((deadline_ns, key), ());
            }
            if cancel {
                live.retain(|at, ()| {
                    let kept = at.1 % 5 == 0;
                    if !kept {
                        timers.remove(at.1);
                    }
                    kept
                });
            }
            let (mut wakes, mut early) = (0, 0);
            while let Some(now_ns) = timers.next_deadline() {
                wakes += 1;
                early += u32::from(live.first_key_value().is_some_and(|(at, _)| at.0 > now_ns));
                while let Some(key) = timers.pop_due(now_ns) {
                    let ((deadline_ns, expected), _) = live.pop_first().unwrap();
                    assert_eq!((deadline_ns, key), (now_ns, expected), "exactly on time");
                }
            }
            assert!(live.is_empty());
            assert!(early * 10 <= wakes, "{early} of {wakes} wakes were early");
        }
    }

    #[test]
    fn p62_one_cancelled_in_the_instant_it_is_due_does_not_fire() {
        let mut timers = Timers::new();
        for key in 0..10 {
            timers.insert(5, key);
        }
        assert_eq!(timers.pop_due(5), Some(0));
        timers.remove(1);
        timers.remove(9);
        timers.insert(5, 1);
        timers.insert(4, 9);
        assert_eq!(pop_all(&mut timers, 5), [9, 2, 3, 4, 5, 6, 7, 8, 1]);
    }

    #[test]
    fn storage_is_reused() {
        const LIVE: u32 = 100;
        let mut timers = Timers::new();
        let mut seed = 0x2545_f491_4f6c_dd1d_u64;
        let (mut now_ns, mut live) = (0, false);
        for round in 0..5_000 {
            for key in 0..LIVE {
                // Half are cancelled at once, the rest in the next round.
                for again in [false, true] {
                    if live || again {
                        timers.remove(key);
                    }
                    let deadline_ns = now_ns + 1_000_000_000 + random(&mut seed) % 9_000_000_000;
                    timers.insert(deadline_ns, key);
                }
            }
            live = round % 4 != 0;
            if !live {
                for key in 0..LIVE {
                    timers.remove(key);
                }
                assert_eq!(timers.next_deadline(), None);
            }
            now_ns += 1_000_000;
            assert_eq!(timers.pop_due(now_ns), None);
        }
        assert_eq!(timers.places.0.len(), LIVE as usize);
        // A chunk for each timer at the worst: they lie in as many buckets.
        assert!(timers.buckets.capacity() <= 16 * LIVE as usize, "{}", timers.buckets.capacity());
    }

    #[test]
    fn a_million_take_less_than_32_bytes_each() {
        const TIMERS: u32 = 1_000_000;
        let mut timers = Timers::new();
        let mut seed = 0x2545_f491_4f6c_dd1d_u64;
        for round in 0..2 {
            for key in 0..TIMERS {
                timers.insert(random(&mut seed) >> (24 + key % 30), key);
            }
            let per_entry = size_of::<Entry>() * timers.buckets.capacity();
            let bytes = per_entry + size_of::<u32>() * timers.places.0.len();
            assert!(bytes <= 32 * TIMERS as usize, "{bytes} in round {round}");
            (0..TIMERS).for_each(|key| timers.remove(key));
        }
    }
}
