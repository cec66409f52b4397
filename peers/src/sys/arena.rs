//! Memory that the kernel reads and writes: equal slots in one allocation that never moves.
//!
//! Pages are touched only when used, so a large arena costs nothing until connections need it.
//! A slot is named by its number; who may read or write it at a given moment is the caller's
//! bookkeeping (a slot that was handed to an operation is left alone until that has completed).
//! A mistake there garbles bytes on a connection, which the load generator detects; it cannot
//! reach memory outside the arena, because every access is bounded to one slot.

use std::ptr::NonNull;

/// Zeroed memory straight from the kernel, so that no page of it exists before it is used.
pub(crate) struct Pages {
    base: NonNull<u8>,
    bytes: usize,
}

impl Pages {
    pub(crate) fn new(bytes: usize) -> Self {
        assert!(bytes > 0, "a mapping of no bytes");
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        // SAFETY: a new anonymous mapping at an address of the kernel's choice.
        let base = unsafe { libc::mmap(std::ptr::null_mut(), bytes, protection, flags, -1, 0) };
        assert_ne!(base, libc::MAP_FAILED, "no room for {bytes} bytes of address space");
        let base = NonNull::new(base.cast()).expect("the kernel never maps at null by itself");
        Self { base, bytes }
    }

    pub(crate) fn base(&self) -> NonNull<u8> {
        self.base
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: mapped by `new` with this size, and unmapped once.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.bytes) };
    }
}

/// Equal slots of memory, each named by its number.
pub struct Arena {
    pages: Pages,
    slots: u32,
    slot_size: u32,
}

impl Arena {
    /// Reserves `slots` slots of `slot_size` bytes.
    #[must_use]
    pub fn new(slots: u32, slot_size: u32) -> Self {
        let pages = Pages::new(slots as usize * slot_size as usize);
        Self { pages, slots, slot_size }
    }

    /// Bytes in a slot.
    #[must_use]
    pub fn slot_size(&self) -> u32 {
        self.slot_size
    }

    /// Number of slots.
    #[must_use]
    pub fn slots(&self) -> u32 {
        self.slots
    }

    /// The address of `len` bytes at `offset` in a slot, for the kernel.
    pub(crate) fn address(&self, slot: u32, offset: u32, len: u32) -> *mut u8 {
        assert!(slot < self.slots, "slot {slot} of {}", self.slots);
        assert!(u64::from(offset) + u64::from(len) <= u64::from(self.slot_size));
        let at = slot as usize * self.slot_size as usize + offset as usize;
        // SAFETY: the assertions keep `at` inside the allocation.
        unsafe { self.pages.base().as_ptr().add(at) }
    }

    /// The first `len` bytes of a slot.
    #[must_use]
    pub fn bytes(&self, slot: u32, len: u32) -> &[u8] {
        self.bytes_at(slot, 0, len)
    }

    /// The `len` bytes at `offset` of a slot.
    #[must_use]
    pub fn bytes_at(&self, slot: u32, offset: u32, len: u32) -> &[u8] {
        let at = self.address(slot, offset, len);
        // SAFETY: `address` checked the range, the memory is initialised (zeroed at first), and
        // `&mut self` is needed for every other access to it in this process.
        unsafe { std::slice::from_raw_parts(at, len as usize) }
    }

    /// All of a slot, to write to.
    pub fn bytes_mut(&mut self, slot: u32) -> &mut [u8] {
        let at = self.address(slot, 0, self.slot_size);
        // SAFETY: as in `bytes`; the exclusive borrow of the arena excludes other slices.
        unsafe { std::slice::from_raw_parts_mut(at, self.slot_size as usize) }
    }

    /// The first `len` bytes of one slot to read, and all of another to write to.
    pub fn pair(&mut self, read: u32, len: u32, write: u32) -> (&[u8], &mut [u8]) {
        assert_ne!(read, write, "one slot to read and to write");
        let from = self.address(read, 0, len);
        let to = self.address(write, 0, self.slot_size);
        // SAFETY: in range (`address`), initialised, and disjoint from `to` (two slots).
        let from = unsafe { std::slice::from_raw_parts(from, len as usize) };
        // SAFETY: in range, disjoint from `from`, and borrowed from `&mut self`.
        let to = unsafe { std::slice::from_raw_parts_mut(to, self.slot_size as usize) };
        (from, to)
    }
}
