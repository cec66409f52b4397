//! Registered memory: regions whose pages the kernel holds, so that a transfer need not look each of
//! them up and let it go again.
//!
//! An operation names a region by its place in the ring's table. It is found by the address of the
//! operation's buffer: so it does not matter which buffer that is, or whose, and memory of another
//! loop's is no region of this one.
//!
//! I1. A region is taken out of the table before its memory is freed (`BufferPool`, I3): what the
//!     system maps there next would not be what the kernel holds.
//!
//! Sources: io_uring_register(2), `IORING_REGISTER_BUFFERS2` with `IORING_RSRC_REGISTER_SPARSE` and
//! `IORING_REGISTER_BUFFERS_UPDATE`; io_uring_prep_read_fixed(3).
#![expect(unsafe_code, reason = "the kernel is told of memory")]

use std::io;
use std::ops::Range;
use std::ptr;

use io_uring::Submitter;

use crate::buf::Region;

/// Places of the table: few enough to be looked through.
const PLACES: usize = 16;
/// What the kernel takes as one.
const LEN_MAX: usize = 1 << 30;

#[derive(Default)]
pub(super) struct RegisteredMemory {
    /// Addresses by place, as far as the last region; no addresses where there is none.
    regions: Vec<Range<usize>>,
    has_table: bool,
}

impl RegisteredMemory {
    /// The place of the region that all of these bytes lie in.
    #[inline]
    pub(super) fn of<T>(&self, bytes: &[T]) -> Option<u16> {
        if self.regions.is_empty() {
            return None;
        }
        self.search(bytes.as_ptr().addr(), size_of_val(bytes))
    }

    fn search(&self, start: usize, len: usize) -> Option<u16> {
        let holds = |region: &Range<usize>| region.contains(&start) && len <= region.end - start;
        self.regions.iter().position(holds).and_then(|place| u16::try_from(place).ok())
    }

    /// Gives a region a place; says whether it has one.
    pub(super) fn add(&mut self, submitter: &Submitter<'_>, memory: &Region) -> io::Result<bool> {
        let (at, len) = (memory.at(0), memory.len());
        if self.search(at.addr(), len).is_some() {
            return Ok(true);
        }
        let free = self.regions.iter().position(Range::is_empty).unwrap_or(self.regions.len());
        if free == PLACES || len > LEN_MAX {
            return Ok(false);
        }
        if !self.has_table {
            submitter.register_buffers_sparse(PLACES as u32)?;
            self.has_table = true;
        }
        update(submitter, free, at, len)?;
        if free == self.regions.len() {
            self.regions.push(0..0);
        }
        self.regions[free] = at.addr()..at.addr() + len;
        Ok(true)
    }

    /// A region is about to be freed; it need not be in the table.
    pub(super) fn forget(&mut self, submitter: &Submitter<'_>, memory: &Region) {
        let start = memory.at(0).addr();
        let is_it = |region: &Range<usize>| region.contains(&start);
        if let Some(place) = self.regions.iter().position(is_it) {
            self.regions[place] = 0..0;
            // Where the kernel has no memory for that, it holds the pages until the place is used again:
            // nobody names it meanwhile.
            let _ = update(submitter, place, ptr::null_mut(), 0);
        }
    }
}

/// Puts memory in a place of the table, or nothing.
fn update(submitter: &Submitter<'_>, place: usize, at: *mut u8, len: usize) -> io::Result<()> {
    let vector = libc::iovec { iov_base: at.cast(), iov_len: len };
    // SAFETY: the memory stays until its place is empty again (I1).
    unsafe { submitter.register_buffers_update(place as u32, &[vector], None) }
}
