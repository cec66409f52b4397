//! Memory of a fixed size that starts at a page and never moves.
#![expect(unsafe_code, reason = "memory is allocated and freed by hand")]

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::io;
use std::ptr::NonNull;

const PAGE: usize = 4096;

/// Zeroed memory. Pages that nobody touched take no room (large allocations come straight from
/// the system).
pub(crate) struct Region {
    start: NonNull<u8>,
    layout: Layout,
}

impl Region {
    /// `count` times `size` bytes.
    pub(crate) fn new(count: usize, size: usize) -> io::Result<Region> {
        let out_of_memory = || io::Error::from(io::ErrorKind::OutOfMemory);
        let bytes = count.checked_mul(size).ok_or_else(out_of_memory)?;
        assert!(bytes > 0, "a region has a size");
        let layout = Layout::from_size_align(bytes, PAGE).map_err(|_| out_of_memory())?;
        // SAFETY: the layout has a size.
        let start = unsafe { alloc_zeroed(layout) };
        Ok(Region { start: NonNull::new(start).ok_or_else(out_of_memory)?, layout })
    }

    /// The byte at `offset`, which must be inside.
    #[inline]
    pub(crate) fn at(&self, offset: usize) -> *mut u8 {
        assert!(offset < self.layout.size(), "inside the region");
        self.start.as_ptr().wrapping_add(offset)
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: allocated by `new` with this layout, and freed only here.
        unsafe { dealloc(self.start.as_ptr(), self.layout) };
    }
}
