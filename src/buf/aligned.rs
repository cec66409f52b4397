//! A buffer that starts on a page, or at a multiple of something else.
#![expect(unsafe_code, reason = "what the driver wrote becomes visible")]

use std::io;
use std::ops::{Deref, DerefMut};
use std::slice;

use super::{IoBuf, IoBufMut, PAGE, Region};

/// Bytes that start on a page (4,096 bytes), or at a multiple of what was asked for, and stay where
/// they are, with a fixed capacity.
///
/// The kernel copies large transfers from and to pages, and on some processors a copy runs at
/// twice the speed where both sides start alike. A `Vec` of that size starts a few bytes into a
/// page. Receiving and reading append behind the bytes that are there, as they do to a `Vec`. Direct
/// I/O ([`OpenOptions::direct`](crate::OpenOptions::direct)) takes no buffer that is not aligned.
///
/// ```
/// use tigereye::AlignedBuf;
///
/// let mut buf = AlignedBuf::with_capacity(64 * 1024)?;
/// assert_eq!(buf.extend_from_slice(b"hello"), 5);
/// assert_eq!(&buf[..], b"hello");
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct AlignedBuf {
    memory: Region,
    len: usize,
}

impl AlignedBuf {
    /// An empty buffer for `capacity` bytes, which are not touched yet.
    ///
    /// # Errors
    /// `InvalidInput` for no bytes at all; `OutOfMemory`.
    pub fn with_capacity(capacity: usize) -> io::Result<AlignedBuf> {
        AlignedBuf::with_alignment(capacity, PAGE)
    }

    /// As [`with_capacity`](AlignedBuf::with_capacity); its first byte is at a multiple of
    /// `alignment`, in bytes.
    ///
    /// # Errors
    /// `InvalidInput` for no bytes at all, and for an alignment that is not a power of two;
    /// `OutOfMemory`.
    pub fn with_alignment(capacity: usize, alignment: usize) -> io::Result<AlignedBuf> {
        if capacity == 0 || !alignment.is_power_of_two() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        Ok(AlignedBuf { memory: Region::aligned(1, capacity, alignment)?, len: 0 })
    }

    /// How many bytes fit in all.
    #[inline]
    pub fn capacity(&self) -> usize {
        self.memory.len()
    }

    /// Empties it.
    pub fn clear(&mut self) {
        self.len = 0;
    }

    /// Forgets all bytes behind the first `len`.
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// Makes it `len` bytes long, or as long as its capacity, and says how long that is. What is added
    /// is zeroes: so what was filled in becomes whole blocks.
    pub fn resize(&mut self, len: usize) -> usize {
        let before = self.len;
        self.len = len.min(self.capacity());
        if let Some(added) = self.get_mut(before..) {
            added.fill(0);
        }
        self.len
    }

    /// Appends as many of `bytes` as fit, and says how many that were.
    pub fn extend_from_slice(&mut self, bytes: &[u8]) -> usize {
        let count = bytes.len().min(self.capacity() - self.len);
        let start = self.len;
        self.len += count;
        self[start..].copy_from_slice(&bytes[..count]);
        count
    }
}

impl Deref for AlignedBuf {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        // SAFETY: the region holds its length of bytes, initialised from the start; `len` is below.
        unsafe { slice::from_raw_parts(self.memory.at(0), self.len) }
    }
}

impl DerefMut for AlignedBuf {
    #[inline]
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, and the region is this value's alone.
        unsafe { slice::from_raw_parts_mut(self.memory.at(0), self.len) }
    }
}

impl std::fmt::Debug for AlignedBuf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (capacity, len) = (self.capacity(), self.len);
        f.debug_struct("AlignedBuf").field("capacity", &capacity).field("len", &len).finish()
    }
}

// SAFETY: the region does not move with the value, which owns it and is borrowed to change it.
unsafe impl IoBuf for AlignedBuf {
    #[inline]
    fn as_ptr(&self) -> *const u8 {
        self.memory.at(0)
    }
    #[inline]
    fn len(&self) -> usize {
        self.len
    }
}

// SAFETY: as above; what is behind `len` belongs to nobody else.
unsafe impl IoBufMut for AlignedBuf {
    #[inline]
    fn writable(&mut self) -> (*mut u8, usize) {
        (self.memory.at(0).wrapping_add(self.len), self.capacity() - self.len)
    }
    #[inline]
    unsafe fn written(&mut self, count: usize) {
        self.len += count;
    }
    #[inline]
    fn is_growing(&self) -> bool {
        true
    }
}

// SAFETY: plain memory with one owner; a shared reference gives shared bytes alone.
unsafe impl Send for AlignedBuf {}
// SAFETY: as above.
unsafe impl Sync for AlignedBuf {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starts_on_a_page_and_keeps_to_its_capacity() {
        for capacity in [1, 100, 4096, 1 << 20] {
            let mut buf = AlignedBuf::with_capacity(capacity).unwrap();
            assert_eq!(IoBuf::as_ptr(&buf).addr() % 4096, 0);
            assert_eq!(buf.extend_from_slice(&vec![7; capacity + 1]), capacity);
            assert_eq!(buf.writable().1, 0);
            assert!(buf.iter().all(|byte| *byte == 7));
            buf.truncate(1);
            assert_eq!((IoBuf::len(&buf), buf.writable().1), (1, capacity - 1));
            buf.clear();
            assert!(buf.is_empty());
        }
        let mut buf = AlignedBuf::with_capacity(10).unwrap();
        buf.extend_from_slice(b"abcdef");
        buf.truncate(3);
        assert_eq!((buf.resize(5), &buf[..]), (5, &b"abc\0\0"[..]));
        assert_eq!((buf.resize(99), buf.resize(1), &buf[..]), (10, 1, &b"a"[..]));
        for alignment in [1, 2, 512, 1 << 16] {
            let buf = AlignedBuf::with_alignment(3, alignment).unwrap();
            assert_eq!((IoBuf::as_ptr(&buf).addr() % alignment, buf.capacity()), (0, 3));
        }
        for alignment in [0, 3, 4097] {
            let error = AlignedBuf::with_alignment(1, alignment).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        }
        let huge = AlignedBuf::with_alignment(usize::MAX, 1 << (usize::BITS - 1)).unwrap_err();
        assert_eq!(huge.kind(), io::ErrorKind::OutOfMemory);
        let none = AlignedBuf::with_capacity(0).unwrap_err();
        assert_eq!(none.kind(), io::ErrorKind::InvalidInput);
    }
}
