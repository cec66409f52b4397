//! Buckets of timers in no order, made of chunks that all buckets share.
//!
//! ```text
//!   bucket ──top──▶ chunk, partly full ──below──▶ chunk, full ──below──▶ chunk, full
//! ```
//!
//! A chunk is 16 entries side by side, so a bucket is read at the speed of memory and not at that
//! of a list, whose every link is a cache miss.
//!
//! I1. Only the top chunk of a bucket is partly full, and none is empty: what is taken out is
//!     replaced by the last entry. So the chunks of N timers hold N entries, and less than one
//!     chunk more for each bucket in use.
//! I2. A bucket's bit is set as long as it holds anything.
//! I3. `least_ns` is not later than any deadline in its bucket. It is exact until the timer that
//!     had it is cancelled.

use super::{Entry, Moment, NEAR, Places};

/// Bits of a digit: a level has one bucket for each value, and one word says which are in use.
pub(super) const DIGIT_BITS: u32 = 6;
const DIGITS: usize = 1 << DIGIT_BITS;
/// Levels of a word of 64 bits, of which the last covers only four.
pub(super) const WORD_LEVELS: usize = 64_usize.div_ceil(DIGIT_BITS as usize);
/// Levels for the deadline, and below them those for the order of starting.
const LEVELS: usize = 2 * WORD_LEVELS;
const CHUNK: usize = 16;
/// Room for these from the start: however few timers there are, now and then they lie in more
/// buckets than before.
const CHUNKS_AT_FIRST: usize = 64;
const NONE: u32 = u32::MAX;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BucketId {
    pub(super) level: usize,
    pub(super) digit: usize,
}

impl BucketId {
    fn number(self) -> usize {
        self.level * DIGITS + self.digit
    }
}

#[derive(Clone, Copy)]
struct Bucket {
    least_ns: u64,
    top: u32,
    len: u32,
}

const EMPTY: Bucket = Bucket { least_ns: u64::MAX, top: NONE, len: 0 };

#[derive(Clone, Copy)]
struct Chunk {
    below: u32,
    bucket: u16,
}

const _: () = assert!(LEVELS * DIGITS <= 1 << 16, "a chunk names its bucket in 16 bits");
const _: () = assert!(LEVELS <= 32 && DIGITS <= 64, "words of bits are wide enough");

pub(super) struct Buckets {
    buckets: Box<[Bucket]>,
    /// Which levels have a bucket in use, and which those are.
    levels: u32,
    digits: [u64; LEVELS],
    /// Chunk `c` is entries 16c to 16c + 15.
    entries: Vec<Entry>,
    chunks: Vec<Chunk>,
    free: u32,
}

impl Buckets {
    pub(super) fn new() -> Buckets {
        Buckets {
            buckets: vec![EMPTY; LEVELS * DIGITS].into_boxed_slice(),
            levels: 0,
            digits: [0; LEVELS],
            entries: Vec::with_capacity(CHUNKS_AT_FIRST * CHUNK),
            chunks: Vec::with_capacity(CHUNKS_AT_FIRST),
            free: NONE,
        }
    }

    /// The bucket in use with the lowest level, and the lowest digit there.
    #[inline]
    pub(super) fn first(&self) -> Option<BucketId> {
        if self.levels == 0 {
            return None;
        }
        let level = self.levels.trailing_zeros() as usize;
        Some(BucketId { level, digit: self.digits[level].trailing_zeros() as usize })
    }

    #[inline]
    pub(super) fn len(&self, id: BucketId) -> u32 {
        self.buckets[id.number()].len
    }

    /// No timer of the bucket is due before.
    #[inline]
    pub(super) fn least_ns(&self, id: BucketId) -> u64 {
        self.buckets[id.number()].least_ns
    }

    /// As [`least_ns`](Buckets::least_ns), and exact where it costs little: in a bucket of one
    /// chunk.
    pub(super) fn look_up_least_ns(&self, id: BucketId) -> u64 {
        let bucket = self.buckets[id.number()];
        if bucket.len as usize > CHUNK {
            return bucket.least_ns;
        }
        let start = bucket.top as usize * CHUNK;
        let entries = &self.entries[start..start + bucket.len as usize];
        entries.iter().map(|entry| entry.at.deadline_ns).min().unwrap_or(u64::MAX)
    }

    #[inline]
    pub(super) fn push(&mut self, id: BucketId, entry: Entry, places: &mut Places) {
        let number = id.number();
        let mut bucket = self.buckets[number];
        let offset = bucket.len as usize % CHUNK;
        if offset == 0 {
            if bucket.len == 0 {
                self.levels |= 1 << id.level;
                self.digits[id.level] |= 1 << id.digit;
                bucket.least_ns = u64::MAX;
            }
            bucket.top = self.take_chunk(Chunk { below: bucket.top, bucket: number as u16 });
        }
        let place = bucket.top as usize * CHUNK + offset;
        bucket.len += 1;
        bucket.least_ns = bucket.least_ns.min(entry.at.deadline_ns);
        self.buckets[number] = bucket;
        self.entries[place] = entry;
        places.set(entry.key, place as u32);
    }

    /// Takes an entry out, any one.
    #[inline]
    pub(super) fn pop(&mut self, id: BucketId) -> Option<Entry> {
        let number = id.number();
        let bucket = &mut self.buckets[number];
        if bucket.len == 0 {
            return None;
        }
        bucket.len -= 1;
        let (top, offset) = (bucket.top, bucket.len as usize % CHUNK);
        if offset == 0 {
            let chunk = &mut self.chunks[top as usize];
            bucket.top = std::mem::replace(&mut chunk.below, self.free);
            self.free = top;
            if bucket.len == 0 {
                self.digits[id.level] &= !(1 << id.digit);
                if self.digits[id.level] == 0 {
                    self.levels &= !(1 << id.level);
                }
            }
        }
        Some(self.entries[top as usize * CHUNK + offset])
    }

    /// Takes the timer `key` out, which is at `place`.
    #[inline]
    pub(super) fn remove(&mut self, place: u32, key: u32, places: &mut Places) {
        let number = usize::from(self.chunks[place as usize / CHUNK].bucket);
        let bucket = BucketId { level: number / DIGITS, digit: number % DIGITS };
        let hole = &self.entries[place as usize];
        assert!(hole.key == key, "a timer is where its place says");
        if let Some(last) = self.pop(bucket).filter(|last| last.key != key) {
            self.entries[place as usize] = last;
            places.set(last.key, place);
        }
    }

    #[inline]
    fn take_chunk(&mut self, chunk: Chunk) -> u32 {
        let index = self.free;
        if index == NONE {
            return self.grow(chunk);
        }
        self.free = std::mem::replace(&mut self.chunks[index as usize], chunk).below;
        index
    }

    #[cold]
    fn grow(&mut self, chunk: Chunk) -> u32 {
        let nobody = Entry { at: Moment { deadline_ns: 0, sequence: 0 }, key: NONE };
        self.entries.resize(self.entries.len() + CHUNK, nobody);
        assert!(self.entries.len() < NEAR as usize, "more timers than can be numbered");
        self.chunks.push(chunk);
        (self.chunks.len() - 1) as u32
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.entries.len()
    }
}
