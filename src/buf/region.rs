//! Memory of a fixed size that starts at a page, or a multiple of something else, and never moves.
#![expect(unsafe_code, reason = "memory is allocated and freed by hand")]

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::io;
use std::ptr::NonNull;

pub(crate) const PAGE: usize = 4096;

/// Zeroed memory. Pages that nobody touched take no room: a large allocation of zeroes comes
/// straight from the system, unless it asks for more than the usual alignment. So the alignment is
/// made by hand.
pub(crate) struct Region {
    allocation: NonNull<u8>,
    /// The first byte that is aligned.
    start: NonNull<u8>,
    shape: Shape,
}

/// A length, and the power of two that its first byte is aligned to, in one word: the record of a
/// receive into a buffer is to fit its slot.
#[derive(Clone, Copy)]
struct Shape(u64);

impl Shape {
    const POWER_BITS: u32 = 6;

    /// Nothing, for more than there is memory.
    fn new(len: usize, alignment: usize) -> Option<Shape> {
        let power = u64::from(alignment.trailing_zeros());
        let shape = Shape((len as u64) << Shape::POWER_BITS | power);
        (shape.len() == len).then_some(shape)
    }

    #[inline]
    fn len(self) -> usize {
        (self.0 >> Shape::POWER_BITS) as usize
    }

    fn alignment(self) -> usize {
        1 << (self.0 % (1 << Shape::POWER_BITS))
    }

    /// With a margin before the first aligned byte.
    fn layout(self) -> Option<Layout> {
        Layout::from_size_align(self.len().checked_add(self.alignment())?, 1).ok()
    }
}

impl Region {
    /// `count` times `size` bytes, from a page on.
    pub(crate) fn new(count: usize, size: usize) -> io::Result<Region> {
        Region::aligned(count, size, PAGE)
    }

    /// `count` times `size` bytes, from a multiple of `alignment` on, which is a power of two.
    pub(crate) fn aligned(count: usize, size: usize, alignment: usize) -> io::Result<Region> {
        let out_of_memory = || io::Error::from(io::ErrorKind::OutOfMemory);
        let len = count.checked_mul(size).ok_or_else(out_of_memory)?;
        assert!(len > 0 && alignment.is_power_of_two(), "a region has a size");
        let shape = Shape::new(len, alignment).ok_or_else(out_of_memory)?;
        let layout = shape.layout().ok_or_else(out_of_memory)?;
        // SAFETY: the layout has a size.
        let allocation = unsafe { alloc_zeroed(layout) };
        let allocation = NonNull::new(allocation).ok_or_else(out_of_memory)?;
        let margin = allocation.addr().get().wrapping_neg() % alignment;
        // SAFETY: the margin is below the alignment, which was allocated beyond the length.
        let start = unsafe { allocation.add(margin) };
        Ok(Region { allocation, start, shape })
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.shape.len()
    }

    /// The byte at `offset`, which must be inside.
    #[inline]
    pub(crate) fn at(&self, offset: usize) -> *mut u8 {
        self.place(offset).as_ptr()
    }

    /// As [`at`](Region::at).
    #[inline]
    pub(crate) fn place(&self, offset: usize) -> NonNull<u8> {
        assert!(offset < self.len(), "inside the region");
        // SAFETY: so it lies in the allocation, which has so many bytes behind its start.
        unsafe { self.start.add(offset) }
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        if let Some(layout) = self.shape.layout() {
            // SAFETY: allocated by `aligned` with this layout, and freed only here.
            unsafe { dealloc(self.allocation.as_ptr(), layout) };
        }
    }
}
