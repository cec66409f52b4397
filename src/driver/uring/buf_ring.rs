//! A ring of provided buffers: the kernel takes from its head, the pool provides at its tail.
//!
//! I1. The ring's memory outlives its registration, or is leaked where the kernel did not let go.
//!
//! Source: io_uring_register_buf_ring(3), kernel 5.19+.
#![expect(unsafe_code, reason = "the kernel reads the ring from shared memory")]

use std::io;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::types::BufRingEntry;

use super::Uring;
use crate::buf::Region;

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

pub(crate) struct BufRing {
    /// As many entries as buffers, from its start on.
    _entries: Region,
    first: NonNull<BufRingEntry>,
    /// Takes a position to its place.
    mask: u16,
    tail: u16,
    group: u16,
}

impl BufRing {
    /// An empty ring for `count` buffers, a power of two up to 32,768.
    pub(crate) fn new(uring: &mut Uring, count: u16) -> io::Result<BufRing> {
        assert!(count.is_power_of_two(), "positions are masked");
        let entries = Region::new(usize::from(count), size_of::<BufRingEntry>())?;
        let (ring, groups) = uring.groups();
        let group = match groups.free.pop() {
            Some(group) => group,
            None if groups.next == u16::MAX => return Err(io::ErrorKind::QuotaExceeded.into()),
            None => {
                groups.next += 1;
                groups.next - 1
            }
        };
        let address = entries.at(0).addr() as u64;
        // SAFETY: the ring's memory stays until `unregister` (I1).
        let registered =
            unsafe { ring.submitter().register_buf_ring_with_flags(address, count, group, 0) };
        match registered {
            Ok(()) => {
                let first = entries.place(0).cast();
                Ok(BufRing { _entries: entries, first, mask: count - 1, tail: 0, group })
            }
            Err(error) => {
                groups.free.push(group);
                Err(error)
            }
        }
    }

    /// The number that an operation names the ring by.
    #[inline]
    pub(crate) fn group(&self) -> u16 {
        self.group
    }

    /// Gives the kernel buffer `id`, which is `size` bytes from `at` on, when it is published.
    #[inline]
    pub(crate) fn provide(&mut self, id: u16, at: *mut u8, size: u32) {
        let place = usize::from(self.tail & self.mask);
        // SAFETY: the place is below the number of entries.
        let mut entry = unsafe { self.first.add(place) };
        // SAFETY: the kernel does not read behind the tail. A page's alignment is enough for an entry.
        let entry = unsafe { entry.as_mut() };
        entry.set_addr(at.addr() as u64);
        entry.set_len(size);
        entry.set_bid(id);
        self.tail = self.tail.wrapping_add(1);
    }

    /// Lets the kernel see what it was given.
    #[inline]
    pub(crate) fn publish(&self) {
        // SAFETY: the base address is that of an initialised ring.
        let tail = unsafe { BufRingEntry::tail(self.first.as_ptr()) };
        // SAFETY: the tail is a u16 shared with the kernel, reached by atomics on both sides.
        let tail = unsafe { AtomicU16::from_ptr(tail.cast_mut()) };
        tail.store(self.tail, Ordering::Release);
    }

    /// Takes the ring away from the kernel; says whether the kernel has let go of its memory and
    /// of the buffers in it.
    pub(crate) fn unregister(&mut self, uring: &mut Uring) -> bool {
        let (ring, groups) = uring.groups();
        let gone = ring.submitter().unregister_buf_ring(self.group).is_ok();
        if gone {
            groups.free.push(self.group);
        }
        gone
    }
}
