//! The buffers of one call as the system wants them: shared by all operations on several buffers.
//!
//! The vectors are built beside the buffers, inside the operation, when it is started: buffers
//! and vectors are then where they stay. At most [`VECTORS_MAX`] are used in one call; more make
//! the transfer short, and so do more bytes than one call takes (P29).
#![expect(unsafe_code, reason = "vectors go to the thread that makes the call")]

use std::ptr;

#[cfg(windows)]
use windows_sys::Win32::Networking::WinSock::WSABUF;

use super::recv::{TRANSFER_MAX, written};
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

    /// Names the bytes of buffers behind the first `skip`, up to `len_max` bytes.
    pub(crate) fn name_bytes<B: IoBuf>(&mut self, bufs: &[B], skip: usize, len_max: usize) {
        self.clear();
        let mut skip = skip;
        for buf in bufs {
            let skipped = skip.min(buf.len());
            let at = buf.as_ptr().wrapping_add(skipped).cast_mut();
            self.push(at, buf.len() - skipped, len_max);
            skip -= skipped;
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

/// Bytes of all buffers.
pub(crate) fn len_of_all<B: IoBuf>(bufs: &[B]) -> usize {
    bufs.iter().map(IoBuf::len).fold(0, usize::saturating_add)
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
