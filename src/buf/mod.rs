//! Buffers of operations: stable regions of memory that an operation owns while it is in flight.
#![expect(unsafe_code, reason = "the traits promise that memory stays where it is")]

use std::mem::MaybeUninit;
use std::ops::{Bound, RangeBounds};
use std::rc::Rc;
use std::sync::Arc;

mod aligned;
mod pool;
mod region;

pub use aligned::AlignedBuf;
pub use pool::{BufferPool, PoolBuf};
pub(crate) use pool::{PoolShared, Taken};
pub(crate) use region::{PAGE, Region};

/// The bytes of a buffer.
#[inline]
pub(crate) fn bytes<B: IoBuf>(buf: &B) -> &[u8] {
    if buf.is_empty() {
        return &[];
    }
    // SAFETY: the trait promises that so many bytes are initialised there, and that nothing writes
    // to them while the buffer is not changed, which the borrow sees to.
    unsafe { std::slice::from_raw_parts(buf.as_ptr(), buf.len()) }
}

/// Where a buffer can be written to.
#[inline]
pub(crate) fn room<B: IoBufMut>(buf: &mut B) -> &mut [MaybeUninit<u8>] {
    let (at, len) = buf.writable();
    if len == 0 {
        return &mut [];
    }
    // SAFETY: the trait promises that so many bytes may be written there, and that nobody else
    // reads or writes them while the buffer is borrowed.
    unsafe { std::slice::from_raw_parts_mut(at.cast(), len) }
}

/// Memory that an operation can read from.
///
/// # Safety
/// While the value is neither changed nor dropped, `as_ptr` and `len` must name the same
/// initialised memory each time, and nothing may write to it. Moving the value must not move
/// that memory.
pub unsafe trait IoBuf: 'static {
    /// The first byte.
    fn as_ptr(&self) -> *const u8;
    /// How many bytes are initialised, from the first on.
    fn len(&self) -> usize;
    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// This buffer, narrowed to a range of its bytes, for an operation that is to see only those.
    ///
    /// # Panics
    /// If the range is not within `0..=len()`.
    fn slice(self, range: impl RangeBounds<usize>) -> Slice<Self>
    where
        Self: Sized,
    {
        let behind = |at: usize| at.checked_add(1).expect("the slice must lie within the buffer");
        let start = match range.start_bound() {
            Bound::Included(&at) => at,
            Bound::Excluded(&at) => behind(at),
            Bound::Unbounded => 0,
        };
        let end = match range.end_bound() {
            Bound::Included(&at) => behind(at),
            Bound::Excluded(&at) => at,
            Bound::Unbounded => self.len(),
        };
        assert!(start <= end && end <= self.len(), "the slice must lie within the buffer");
        Slice { buf: self, start, end }
    }
}

/// Memory that an operation can write to.
///
/// # Safety
/// As for [`IoBuf`], for the memory that `writable` names; nothing else may read or write it
/// while an operation owns the value.
pub unsafe trait IoBufMut: IoBuf {
    /// The memory to write to: its first byte, and how many may be written.
    fn writable(&mut self) -> (*mut u8, usize);
    /// Makes the first `count` bytes of `writable` part of the buffer.
    ///
    /// # Safety
    /// They must have been written.
    unsafe fn written(&mut self, count: usize);
    /// Whether `written` moves `writable` on, so that the next bytes go behind the last ones (as a
    /// `Vec` does), or leaves it where it is (as a boxed slice does).
    fn is_growing(&self) -> bool;
}

/// A part of a buffer; see [`IoBuf::slice`].
#[derive(Debug, Clone)]
pub struct Slice<B> {
    buf: B,
    start: usize,
    end: usize,
}

impl<B> Slice<B> {
    /// The whole buffer again.
    pub fn into_inner(self) -> B {
        self.buf
    }
}

// SAFETY: a part of a stable region is a stable region; the bounds were checked by `slice`, and
// the buffer cannot change inside the slice.
unsafe impl<B: IoBuf> IoBuf for Slice<B> {
    fn as_ptr(&self) -> *const u8 {
        self.buf.as_ptr().wrapping_add(self.start)
    }
    fn len(&self) -> usize {
        self.end - self.start
    }
}

// SAFETY: a vector's memory is on the heap and stays there while the vector is not changed.
unsafe impl IoBuf for Vec<u8> {
    #[inline]
    fn as_ptr(&self) -> *const u8 {
        Vec::as_ptr(self)
    }
    #[inline]
    fn len(&self) -> usize {
        Vec::len(self)
    }
}

// SAFETY: as above; the spare capacity belongs to the vector and to nobody else.
unsafe impl IoBufMut for Vec<u8> {
    #[inline]
    fn writable(&mut self) -> (*mut u8, usize) {
        let spare = self.spare_capacity_mut();
        (spare.as_mut_ptr().cast(), spare.len())
    }
    #[inline]
    unsafe fn written(&mut self, count: usize) {
        let len = self.len() + count;
        // SAFETY: the caller vouches that `count` bytes of the spare capacity were written.
        unsafe { self.set_len(len) }
    }
    #[inline]
    fn is_growing(&self) -> bool {
        true
    }
}

// SAFETY: a box's memory stays where it is while the box moves.
unsafe impl IoBuf for Box<[u8]> {
    fn as_ptr(&self) -> *const u8 {
        <[u8]>::as_ptr(self)
    }
    fn len(&self) -> usize {
        <[u8]>::len(self)
    }
}

// SAFETY: as above; the box is the only owner.
unsafe impl IoBufMut for Box<[u8]> {
    fn writable(&mut self) -> (*mut u8, usize) {
        (self.as_mut_ptr(), <[u8]>::len(self))
    }
    unsafe fn written(&mut self, _count: usize) {}
    fn is_growing(&self) -> bool {
        false
    }
}

// SAFETY: static and immutable. As of `&'static [u8]`, so that `b"…"` is a buffer as it is.
unsafe impl<const N: usize> IoBuf for &'static [u8; N] {
    fn as_ptr(&self) -> *const u8 {
        <[u8]>::as_ptr(*self)
    }
    fn len(&self) -> usize {
        N
    }
}

macro_rules! shared_bytes {
    ($($type:ty),*) => { $(
        // SAFETY: shared and immutable; its memory does not move with the value.
        unsafe impl IoBuf for $type {
            fn as_ptr(&self) -> *const u8 {
                let bytes: &[u8] = self.as_ref();
                bytes.as_ptr()
            }
            fn len(&self) -> usize {
                let bytes: &[u8] = self.as_ref();
                bytes.len()
            }
        }
    )* };
}

shared_bytes!(&'static [u8], &'static str, Arc<[u8]>, Rc<[u8]>, String);
#[cfg(feature = "bytes")]
shared_bytes!(bytes::Bytes);

#[cfg(feature = "bytes")]
shared_bytes!(bytes::BytesMut);

// SAFETY: its memory is on the heap; the spare capacity is its own.
#[cfg(feature = "bytes")]
unsafe impl IoBufMut for bytes::BytesMut {
    fn writable(&mut self) -> (*mut u8, usize) {
        let spare = self.spare_capacity_mut();
        (spare.as_mut_ptr().cast(), spare.len())
    }
    unsafe fn written(&mut self, count: usize) {
        let len = bytes::BytesMut::len(self) + count;
        // SAFETY: the caller vouches that `count` bytes of the spare capacity were written.
        unsafe { self.set_len(len) }
    }
    #[inline]
    fn is_growing(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p27_a_vector_grows_by_what_was_written() {
        let mut buf = Vec::with_capacity(8);
        buf.push(b'x');
        let (at, room) = buf.writable();
        assert_eq!(room, buf.capacity() - 1);
        // SAFETY: the test writes one byte into the spare capacity before it says so.
        unsafe { at.write(b'y') };
        // SAFETY: one byte was written.
        unsafe { buf.written(1) };
        assert_eq!(buf, b"xy");
    }

    #[test]
    fn a_slice_names_its_part() {
        let slice = "hello".slice(1..=3);
        assert_eq!(slice.len(), 3);
        assert_eq!(slice.into_inner(), "hello");
        assert_eq!(bytes(&b"hello".slice(3..)), b"lo");
    }

    #[test]
    #[should_panic(expected = "within the buffer")]
    fn a_slice_to_the_last_of_all_numbers_is_not_empty() {
        let _ = "hello".slice(..=usize::MAX);
    }
}
