//! The buffers of one call as the system wants them: shared by all operations on several buffers.
//!
//! The vectors are built beside the buffers, inside the operation, when it is started: buffers
//! and vectors are then where they stay. At most [`VECTORS_MAX`] are used in one call; more make
//! the transfer short, and so do more bytes than one call takes (P29).
#![expect(unsafe_code, reason = "vectors go to the thread that makes the call")]

use std::mem;
use std::ptr;

#[cfg(windows)]
use windows_sys::Win32::Networking::WinSock::WSABUF;

use super::recv::{TRANSFER_MAX, written};
use crate::buf::bytes;
use crate::fs::Terms;
use crate::{IoBuf, IoBufMut};

pub(super) const VECTORS_MAX: usize = 16;

/// A buffer, as the system has it.
#[cfg(unix)]
pub(crate) type Vector = libc::iovec;
#[cfg(windows)]
pub(crate) type Vector = WSABUF;

#[cfg(unix)]
const fn vector(at: *mut u8, len: usize) -> Vector {
    libc::iovec { iov_base: at.cast(), iov_len: len }
}

/// Its address, and how many bytes are there.
#[cfg(unix)]
fn place_of(vector: &Vector) -> (usize, usize) {
    (vector.iov_base.addr(), vector.iov_len)
}

#[cfg(windows)]
fn place_of(vector: &Vector) -> (usize, usize) {
    (vector.buf.addr(), vector.len as usize)
}

#[cfg(windows)]
#[expect(clippy::cast_possible_truncation, reason = "a call takes less (P29)")]
const fn vector(at: *mut u8, len: usize) -> Vector {
    WSABUF { buf: at, len: len as u32 }
}

const EMPTY: Vector = vector(ptr::null_mut(), 0);

pub(crate) struct Vectors {
    vectors: [Vector; VECTORS_MAX],
    count: usize,
    /// Bytes of all of them.
    len: usize,
}

// SAFETY: a vector is a number here. What it names is the operation's, which leaves it to the call
// that it has lent its vectors to (lent.rs, I2).
unsafe impl Sync for Vectors {}

impl Vectors {
    pub(crate) fn new() -> Vectors {
        Vectors { vectors: [EMPTY; VECTORS_MAX], count: 0, len: 0 }
    }

    /// Names where buffers can be written to, up to `len_max` bytes.
    pub(crate) fn name_room<B: IoBufMut>(&mut self, bufs: &mut [B], len_max: usize) {
        self.clear();
        for buf in bufs {
            let (at, len) = buf.writable();
            self.push(at, len, len_max);
        }
    }

    /// Names the bytes that are left, up to `len_max`.
    pub(super) fn name_bytes<B: IoBuf>(&mut self, left: &Left<B>, len_max: usize) {
        self.clear();
        let (pieces, count) = left.pieces();
        for &piece in &pieces[..count] {
            self.push(piece.as_ptr().cast_mut(), piece.len(), len_max);
        }
    }

    fn clear(&mut self) {
        (self.vectors[0], self.count, self.len) = (EMPTY, 0, 0);
    }

    /// Adds a vector; what does not fit is left out.
    fn push(&mut self, at: *mut u8, len: usize, len_max: usize) {
        let len = len.min(len_max.min(TRANSFER_MAX) - self.len);
        if len > 0 && self.count < VECTORS_MAX {
            self.vectors[self.count] = vector(at, len);
            self.count += 1;
            self.len += len;
        }
    }

    /// Bytes of all vectors.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The result, where one of them, or the offset, is not as Direct I/O on the file asks for.
    pub(crate) fn refused(&self, terms: Terms, offset: u64) -> Option<i32> {
        let vectors = &self.vectors[..self.count];
        vectors.iter().find_map(|vector| {
            let (at, len) = place_of(vector);
            terms.refuses_at(at, len, offset)
        })
    }

    /// The vectors for a call, and how many: an empty one where there are none, for some systems
    /// refuse to be given no vector.
    #[cfg(unix)]
    pub(crate) fn as_raw(&self) -> (*const Vector, i32) {
        (self.vectors.as_ptr(), if self.count < 2 { 1 } else { self.count as i32 })
    }
}

#[cfg(windows)]
impl Vectors {
    /// The vectors for a call.
    pub(crate) fn as_slice(&self) -> &[Vector] {
        &self.vectors[..self.count]
    }
}

/// Buffers, and what of them has not been transferred yet: with very many of them, a call looks only at
/// those that it takes.
pub(super) struct Left<B> {
    pub(super) bufs: Vec<B>,
    /// The buffer that is next …
    next: usize,
    /// … and how many of its bytes are done: fewer than it has.
    skip: usize,
    /// Bytes of all buffers that are done.
    pub(super) done: usize,
}

impl<B: IoBuf> Left<B> {
    pub(super) fn new(bufs: Vec<B>) -> Left<B> {
        let mut left = Left { bufs, next: 0, skip: 0, done: 0 };
        left.advance(0);
        left
    }

    pub(super) fn is_nothing(&self) -> bool {
        self.next == self.bufs.len()
    }

    /// The pieces that one call takes, of which none is empty, and how many there are.
    pub(super) fn pieces(&self) -> ([&[u8]; VECTORS_MAX], usize) {
        let (mut pieces, mut count, mut skip) = ([&[][..]; VECTORS_MAX], 0, self.skip);
        for buf in &self.bufs[self.next..] {
            if count == VECTORS_MAX {
                break;
            }
            let piece = &bytes(buf)[mem::take(&mut skip)..];
            if !piece.is_empty() {
                pieces[count] = piece;
                count += 1;
            }
        }
        (pieces, count)
    }

    /// So many bytes more are done.
    pub(super) fn advance(&mut self, count: usize) {
        self.done += count;
        self.skip += count;
        while let Some(buf) = self.bufs.get(self.next)
            && self.skip >= buf.len()
        {
            self.skip -= buf.len();
            self.next += 1;
        }
        assert!(self.skip == 0 || !self.is_nothing(), "a driver never takes more than there is");
    }
}

/// Makes bytes that a call wrote part of the buffers, which it filled in their order.
pub(crate) fn written_to_all<B: IoBufMut>(bufs: &mut [B], count: u32) -> usize {
    let mut left = count;
    for buf in bufs {
        let room = u32::try_from(buf.writable().1).unwrap_or(u32::MAX).min(left);
        written(buf, room);
        left -= room;
    }
    assert!(left == 0, "a driver never writes more than there is room for");
    count as usize
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;

    use super::*;

    /// Counts how often it is asked for its length.
    struct Asked(&'static [u8], Rc<Cell<usize>>);

    // SAFETY: static bytes, always the same.
    unsafe impl IoBuf for Asked {
        fn as_ptr(&self) -> *const u8 {
            self.0.as_ptr()
        }
        fn len(&self) -> usize {
            self.1.set(self.1.get() + 1);
            self.0.len()
        }
    }

    #[test]
    fn a_call_looks_only_at_the_buffers_that_it_takes() {
        const COUNT: usize = 10_000;
        let asked = Rc::new(Cell::new(0));
        let all: [&[u8]; 3] = [b"", b"ab", b"cde"];
        let bufs = (0..COUNT).map(|at| Asked(all[at % 3], Rc::clone(&asked))).collect();
        let (mut left, mut calls, mut taken) = (Left::new(bufs), 0, Vec::new());
        while !left.is_nothing() {
            calls += 1;
            let (pieces, count) = left.pieces();
            let bytes = pieces[..count].concat();
            // Now and then all that was offered, and else a part.
            let part = bytes.len() - calls % 5 % bytes.len();
            taken.extend_from_slice(&bytes[..part]);
            left.advance(part);
        }
        let expected = (0..COUNT).flat_map(|at| all[at % 3]).copied().collect::<Vec<_>>();
        assert!(taken == expected && left.done == expected.len());
        assert!(asked.get() < 10 * COUNT, "{} for {COUNT} buffers", asked.get());
    }
}
