//! A pool of provided buffers: the kernel takes one when data is there, not before.
#![expect(unsafe_code, reason = "buffers are lent by address")]

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::ops::Deref;
use std::rc::Rc;
use std::slice;

use super::IoBuf;
use crate::Io;
use crate::core::Core;
use crate::driver::Driver;
use crate::driver::uring::buf_ring::BufRing;
use crate::op::Op;

/// A pool of receive buffers for [`Io::recv_each`]; `Clone` gives another handle to the same pool.
///
/// When it is empty the operations that receive into it wait, without a busy loop, until a
/// [`PoolBuf`] is dropped.
#[derive(Clone)]
pub struct BufferPool {
    pub(crate) shared: Rc<PoolShared>,
}

impl BufferPool {
    /// `count` buffers (rounded up to a power of two, 1 to 32,768) of `size` bytes each.
    ///
    /// # Errors
    /// `InvalidInput` when `count` or `size` is zero or too large; `Unsupported` before Linux
    /// 5.19; what io_uring_register(2) says.
    pub fn new(io: &Io, count: usize, size: usize) -> io::Result<BufferPool> {
        let invalid = || io::Error::from(io::ErrorKind::InvalidInput);
        let count =
            Some(count).filter(|&count| count > 0).and_then(usize::checked_next_power_of_two);
        let count = count.filter(|&count| count <= 1 << 15);
        let count = u16::try_from(count.ok_or_else(invalid)?).map_err(|_| invalid())?;
        let size = u32::try_from(size).ok().filter(|&size| size > 0).ok_or_else(invalid)?;
        let mut state = io.core.state.borrow_mut();
        let Some(Driver::Uring(uring)) = &mut state.driver else {
            return Err(io::ErrorKind::Unsupported.into());
        };
        if !uring.features().buf_rings {
            return Err(io::ErrorKind::Unsupported.into());
        }
        let ring = RefCell::new(BufRing::new(uring, count, size)?);
        drop(state);
        let core = Rc::clone(&io.core);
        let waiting = RefCell::new(VecDeque::new());
        let lent = Cell::new(0);
        Ok(BufferPool { shared: Rc::new(PoolShared { core, ring, count, lent, waiting }) })
    }
}

impl std::fmt::Debug for BufferPool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BufferPool").finish_non_exhaustive()
    }
}

pub(crate) struct PoolShared {
    core: Rc<Core>,
    ring: RefCell<BufRing>,
    count: u16,
    /// Buffers that are in a `PoolBuf`. The others are with the kernel, or on their way from it.
    lent: Cell<u16>,
    /// Operations that found the pool empty.
    waiting: RefCell<VecDeque<Op>>,
}

impl PoolShared {
    pub(crate) fn group(&self) -> u16 {
        self.ring.borrow().group
    }

    pub(crate) fn belongs_to(&self, io: &Io) -> bool {
        Rc::ptr_eq(&self.core, &io.core)
    }

    /// The buffer `id`, which the kernel has just filled with `len` bytes.
    pub(crate) fn received(pool: &Rc<PoolShared>, id: u16, len: usize) -> PoolBuf {
        assert!(len <= pool.ring.borrow().size(), "the kernel keeps to the buffer's length");
        pool.lent.set(pool.lent.get() + 1);
        PoolBuf { pool: Rc::clone(pool), id, len: u32::try_from(len).unwrap_or(0) }
    }

    /// Lets `op`, which found the pool empty, wait for a buffer; unless one has come back since, or
    /// is on its way and may come back without anybody waiting.
    pub(crate) fn wait(&self, op: Op) -> bool {
        let all_lent = self.lent.get() == self.count;
        if all_lent {
            self.waiting.borrow_mut().push_back(op);
        }
        all_lent
    }

    fn give(&self, id: u16) {
        self.ring.borrow_mut().give(id);
        self.lent.set(self.lent.get() - 1);
        self.hand_on();
    }

    /// Starts as many of the waiting operations as buffers may be had. Also when an operation
    /// ends: it may have been started for a buffer and not have taken it.
    pub(crate) fn hand_on(&self) {
        let mut buffers = self.count - self.lent.get();
        while buffers > 0 {
            let Some(op) = self.waiting.borrow_mut().pop_front() else { return };
            // Those that ended meanwhile are passed over.
            if self.core.state.borrow_mut().start_parked(op) {
                buffers -= 1;
            }
        }
    }
}

impl Drop for PoolShared {
    fn drop(&mut self) {
        if self.core.leaked.get() {
            return;
        }
        let ring = self.ring.get_mut();
        if let Some(Driver::Uring(uring)) = &mut self.core.state.borrow_mut().driver {
            ring.unregister(uring);
        }
        ring.free();
    }
}

/// Received bytes in a buffer of a pool. Dropping it gives the buffer back.
pub struct PoolBuf {
    pool: Rc<PoolShared>,
    id: u16,
    len: u32,
}

impl Deref for PoolBuf {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        let at = self.pool.ring.borrow().address(self.id);
        // SAFETY: the pool's memory lives as long as the pool, which this value holds; the buffer
        // is this value's alone until it is given back, and all of it is initialised.
        unsafe { slice::from_raw_parts(at, self.len as usize) }
    }
}

impl std::fmt::Debug for PoolBuf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PoolBuf").field("len", &self.len).finish_non_exhaustive()
    }
}

// SAFETY: the pool's memory does not move, and this buffer of it belongs to the value alone.
unsafe impl IoBuf for PoolBuf {
    #[inline]
    fn as_ptr(&self) -> *const u8 {
        self.pool.ring.borrow().address(self.id)
    }
    #[inline]
    fn len(&self) -> usize {
        self.len as usize
    }
}

impl Drop for PoolBuf {
    #[inline]
    fn drop(&mut self) {
        self.pool.give(self.id);
    }
}
