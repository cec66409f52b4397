//! Memory of a fixed size that starts at a page and never moves.
#![expect(unsafe_code, reason = "memory is allocated and freed by hand")]

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::io;
use std::ptr::NonNull;

const PAGE: usize = 4096;

/// Zeroed memory. Pages that nobody touched take no room: a large allocation of zeroes comes
/// straight from the system, unless it asks for more than the usual alignment. So the alignment is
/// made by hand.
pub(crate) struct Region {
    allocation: NonNull<u8>,
    /// The first whole page.
    start: NonNull<u8>,
    len: usize,
}

impl Region {
    /// `count` times `size` bytes.
    pub(crate) fn new(count: usize, size: usize) -> io::Result<Region> {
        let out_of_memory = || io::Error::from(io::ErrorKind::OutOfMemory);
        let len = count.checked_mul(size).ok_or_else(out_of_memory)?;
        assert!(len > 0, "a region has a size");
        let layout = layout(len).ok_or_else(out_of_memory)?;
        // SAFETY: the layout has a size.
        let allocation = unsafe { alloc_zeroed(layout) };
        let allocation = NonNull::new(allocation).ok_or_else(out_of_memory)?;
        let margin = allocation.addr().get().wrapping_neg() % PAGE;
        // SAFETY: the margin is below a page, which was allocated beyond the length.
        let start = unsafe { allocation.add(margin) };
        Ok(Region { allocation, start, len })
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The byte at `offset`, which must be inside.
    #[inline]
    pub(crate) fn at(&self, offset: usize) -> *mut u8 {
        assert!(offset < self.len, "inside the region");
        self.start.as_ptr().wrapping_add(offset)
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        if let Some(layout) = layout(self.len) {
            // SAFETY: allocated by `new` with this layout, and freed only here.
            unsafe { dealloc(self.allocation.as_ptr(), layout) };
        }
    }
}

/// Of `len` bytes, and a margin before the first whole page.
fn layout(len: usize) -> Option<Layout> {
    Layout::from_size_align(len.checked_add(PAGE)?, 1).ok()
}
