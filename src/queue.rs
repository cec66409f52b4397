//! A queue of small values in a ring: its length is a power of two, so places wrap by a mask.

/// First in, first out; what was taken back can be put in front again.
pub(crate) struct Queue<T> {
    /// Of a power of two.
    ring: Vec<T>,
    /// Places of the first value and behind the last one, before the mask.
    head: usize,
    tail: usize,
}

const LEN_MIN: usize = 64;

impl<T: Copy> Queue<T> {
    /// An empty queue, with room from the start; `filler` is what unused places hold.
    pub(crate) fn new(filler: T) -> Queue<T> {
        Queue { ring: vec![filler; LEN_MIN], head: 0, tail: 0 }
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.head == self.tail
    }

    pub(crate) fn len(&self) -> usize {
        self.tail.wrapping_sub(self.head)
    }

    /// What is in it, in its order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = T> + '_ {
        (0..self.len()).map(|at| self.ring[self.place(self.head.wrapping_add(at))])
    }

    #[inline]
    fn place(&self, at: usize) -> usize {
        at & (self.ring.len() - 1)
    }

    #[inline]
    pub(crate) fn push_back(&mut self, value: T) {
        if self.len() == self.ring.len() {
            self.grow();
        }
        let place = self.place(self.tail);
        self.ring[place] = value;
        self.tail = self.tail.wrapping_add(1);
    }

    /// Makes room for `count` more values.
    #[cfg(any(target_os = "linux", test))]
    pub(crate) fn reserve(&mut self, count: usize) {
        while self.ring.len() - self.len() < count {
            self.grow();
        }
    }

    /// As [`push_back`](Queue::push_back), where there is room.
    #[cfg(any(target_os = "linux", test))]
    #[inline]
    pub(crate) fn push_reserved(&mut self, value: T) {
        debug_assert!(self.len() < self.ring.len(), "room was reserved");
        let place = self.place(self.tail);
        self.ring[place] = value;
        self.tail = self.tail.wrapping_add(1);
    }

    pub(crate) fn push_front(&mut self, value: T) {
        if self.len() == self.ring.len() {
            self.grow();
        }
        self.head = self.head.wrapping_sub(1);
        let place = self.place(self.head);
        self.ring[place] = value;
    }

    #[inline]
    pub(crate) fn pop_front(&mut self) -> Option<T> {
        if self.is_empty() {
            return None;
        }
        let value = self.ring.get(self.place(self.head)).copied();
        self.head = self.head.wrapping_add(1);
        value
    }

    /// Doubles the ring; new places hold what is there. It is not told what is to be pushed: so that
    /// need not be in memory before it is in the ring.
    #[cold]
    fn grow(&mut self) {
        let (len, filler) = (self.len(), self.ring[0]);
        let mut ring = Vec::with_capacity(self.ring.len() * 2);
        ring.extend(self.iter());
        ring.resize(self.ring.len() * 2, filler);
        *self = Queue { ring, head: 0, tail: len };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;

    #[test]
    fn agrees_with_a_deque() {
        let mut seed = 0x1234_5678_9abc_def1_u64;
        let mut random = || {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            seed
        };
        let (mut queue, mut model) = (Queue::new(0), VecDeque::new());
        for round in 0..100_000_u64 {
            // It grows for a while and shrinks for a while.
            let bias = if (round / 1000) % 2 == 0 { 6 } else { 3 };
            match random() % 8 {
                0 => {
                    queue.push_front(round);
                    model.push_front(round);
                }
                n if n < bias => {
                    queue.push_back(round);
                    model.push_back(round);
                }
                _ => assert_eq!(queue.pop_front(), model.pop_front()),
            }
            assert_eq!((queue.len(), queue.is_empty()), (model.len(), model.is_empty()));
            if round % 64 == 0 && !model.is_empty() {
                let more = usize::try_from(random()).unwrap() % 4;
                queue.reserve(more);
                for value in 0..more as u64 {
                    queue.push_reserved(value);
                    model.push_back(value);
                }
            }
        }
    }
}
