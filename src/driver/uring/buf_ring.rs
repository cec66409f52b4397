//! A ring of provided buffers: the kernel takes from its head, the loop gives back at its tail.
//!
//! Source: io_uring_register_buf_ring(3), kernel 5.19+.
#![expect(unsafe_code, reason = "the kernel reads the ring from shared memory")]

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::io;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::types::BufRingEntry;

use super::Uring;

const PAGE: usize = 4096;

/// Which numbers of groups are taken.
pub(crate) struct Groups {
    free: Vec<u16>,
    next: u16,
}

impl Groups {
    pub(crate) fn new() -> Groups {
        Groups { free: Vec::new(), next: 0 }
    }
}

/// One ring and the memory of its buffers.
pub(crate) struct BufRing {
    entries: NonNull<BufRingEntry>,
    memory: NonNull<u8>,
    count: u16,
    size: u32,
    tail: u16,
    pub(crate) group: u16,
}

impl BufRing {
    fn ring_layout(count: u16) -> Layout {
        Layout::from_size_align(usize::from(count) * size_of::<BufRingEntry>(), PAGE)
            .unwrap_or(Layout::new::<u8>())
    }

    fn memory_layout(count: u16, size: u32) -> io::Result<Layout> {
        (usize::from(count).checked_mul(size as usize))
            .and_then(|bytes| Layout::from_size_align(bytes, PAGE).ok())
            .ok_or_else(|| io::ErrorKind::OutOfMemory.into())
    }

    /// `count` is a power of two up to 32,768, `size` not zero.
    pub(crate) fn new(uring: &mut Uring, count: u16, size: u32) -> io::Result<BufRing> {
        let (ring_layout, layout) = (Self::ring_layout(count), Self::memory_layout(count, size)?);
        let (ring, groups) = uring.groups();
        let group = match groups.free.pop() {
            Some(group) => group,
            None if groups.next == u16::MAX => return Err(io::ErrorKind::QuotaExceeded.into()),
            None => {
                groups.next += 1;
                groups.next - 1
            }
        };
        // SAFETY: the layout has a size.
        let entries = unsafe { alloc_zeroed(ring_layout) }.cast::<BufRingEntry>();
        let entries = NonNull::new(entries).unwrap_or_else(|| handle_alloc_error(ring_layout));
        // SAFETY: the layout has a size.
        let memory = unsafe { alloc_zeroed(layout) };
        let Some(memory) = NonNull::new(memory) else {
            // SAFETY: allocated a few lines above, and not yet registered.
            unsafe { dealloc(entries.as_ptr().cast(), ring_layout) };
            groups.free.push(group);
            return Err(io::ErrorKind::OutOfMemory.into());
        };
        let mut buf_ring = BufRing { entries, memory, count, size, tail: 0, group };
        let address = entries.as_ptr().addr() as u64;
        // SAFETY: the ring's memory stays until `unregister`, or for ever when the driver did not
        // let go.
        let registered =
            unsafe { ring.submitter().register_buf_ring_with_flags(address, count, group, 0) };
        if let Err(error) = registered {
            groups.free.push(group);
            buf_ring.free();
            return Err(error);
        }
        for id in 0..count {
            buf_ring.give(id);
        }
        Ok(buf_ring)
    }

    /// Gives a buffer to the kernel.
    pub(crate) fn give(&mut self, id: u16) {
        let at = usize::from(self.tail & (self.count - 1));
        let entry = self.entries.as_ptr().wrapping_add(at);
        // SAFETY: `at` is below the number of entries; the kernel does not read behind the tail.
        let entry = unsafe { &mut *entry };
        entry.set_addr(self.address(id).addr() as u64);
        entry.set_len(self.size);
        entry.set_bid(id);
        self.tail = self.tail.wrapping_add(1);
        // SAFETY: the base address is that of an initialised ring.
        let tail = unsafe { BufRingEntry::tail(self.entries.as_ptr()) };
        // SAFETY: the tail is a u16 shared with the kernel, reached by atomics on both sides.
        let tail = unsafe { AtomicU16::from_ptr(tail.cast_mut()) };
        tail.store(self.tail, Ordering::Release);
    }

    /// Where buffer `id` begins.
    pub(crate) fn address(&self, id: u16) -> *mut u8 {
        assert!(id < self.count, "the kernel names the ring's own buffers");
        self.memory.as_ptr().wrapping_add(usize::from(id) * self.size as usize)
    }

    pub(crate) fn size(&self) -> usize {
        self.size as usize
    }

    /// Takes the ring away from the kernel.
    pub(crate) fn unregister(&mut self, uring: &mut Uring) {
        let (ring, groups) = uring.groups();
        if ring.submitter().unregister_buf_ring(self.group).is_ok() {
            groups.free.push(self.group);
        }
    }

    /// Frees the memory. No operation may use the ring any more: the pool's owner sees to that.
    pub(crate) fn free(&mut self) {
        // SAFETY: allocated by `new` with this layout, and freed only here.
        unsafe { dealloc(self.entries.as_ptr().cast(), Self::ring_layout(self.count)) };
        if let Ok(layout) = Self::memory_layout(self.count, self.size) {
            // SAFETY: as above.
            unsafe { dealloc(self.memory.as_ptr(), layout) };
        }
    }
}
