//! A pool of provided buffers: the kernel takes one when data is there, not before.
//!
//! ```text
//!   free: a stack ──provide──▶ with the kernel: a short queue ──received──▶ lent: a PoolBuf
//!     ▲                                                                        │
//!     └────────────────────────────────── dropped ─────────────────────────────┘
//! ```
//!
//! Only a few buffers are with the kernel at a time, and the one that came back last goes there
//! first: it is most likely still in the processor's cache. Where the kernel has no rings of
//! provided buffers, the operation takes one from the stack when it knows that there is data.
//!
//! I1. A buffer is in one place: free, with the kernel, on its way from it, taken by an operation,
//!     or lent.
//! I2. The memory outlives every `PoolBuf`, and is leaked where the kernel did not let go of it.
//! I3. What the driver has registered of it is taken back before it is freed.
//!
//! Where buffers are few, operations take turns at them (`turns.rs`).
#![expect(unsafe_code, reason = "buffers are lent by address")]

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::mem::{ManuallyDrop, MaybeUninit};
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::rc::Rc;
use std::slice;

use super::{IoBuf, IoBufMut, PAGE, Region};
use crate::Io;
use crate::core::Core;
use crate::driver::sim::FaultKind;
use crate::driver::{Driver, ProvidedRing};
use crate::op::Op;

mod turns;

/// Buffers with the kernel at first. Each operation that finds none there adds one …
const PROVIDED_MIN: u16 = 32;
/// … until what is received into them is so many bytes, which should stay in the processor's cache.
const PROVIDED_BYTES_MAX: u32 = 2 << 20;
/// A few must be there at any size.
const PROVIDED_LEAST: u32 = 8;

/// A pool of buffers of one size: for [`Io::recv_each`] and its like to receive into, and for whoever
/// takes one. `Clone` gives another handle to the same pool.
///
/// When it is empty the operations that receive into it wait, without a busy loop, until a
/// [`PoolBuf`] is dropped. They take turns: who has received goes behind those that wait. Memory that
/// was never needed is never touched.
#[derive(Clone)]
pub struct BufferPool {
    pub(crate) shared: Rc<PoolShared>,
}

impl BufferPool {
    /// `count` buffers (rounded up to a power of two, 1 to 32,768) of `size` bytes each.
    ///
    /// # Errors
    /// `InvalidInput` when `count` or `size` is zero or too large; `OutOfMemory`; what
    /// io_uring_register(2) says.
    pub fn new(io: &Io, count: usize, size: usize) -> io::Result<BufferPool> {
        BufferPool::with_stride(io, count, size, stride, Driver::provided_ring)
    }

    /// As [`new`](BufferPool::new), for files: each buffer starts on a page (4,096 bytes), as Direct
    /// I/O wants it, and none is kept ready for the driver to receive into, so all can be
    /// [taken](BufferPool::take). Such a pool is worth to be [registered](BufferPool::register).
    ///
    /// ```
    /// # #[cfg(unix)]
    /// # fn main() -> std::io::Result<()> {
    /// use tigereye::{BufferPool, Io, OpenOptions};
    ///
    /// let io = Io::new()?;
    /// let pool = BufferPool::aligned(&io, 8, 4096)?;
    /// match pool.register() {
    ///     Ok(true) => println!("the kernel knows the buffers"),
    ///     Ok(false) => println!("there is no such thing here"),
    ///     Err(error) => println!("slower, and otherwise the same: {error}"),
    /// }
    /// # let directory = std::env::temp_dir().join(format!("tigereye-pool-{}", std::process::id()));
    /// # std::fs::create_dir_all(&directory)?;
    /// # let path = directory.join("blocks");
    /// let options = OpenOptions::new().read(true).write(true).create(true);
    /// io.open(pool, &path, &options, |pool, io, file| {
    ///     let mut block = pool.take().unwrap();
    ///     block.extend_from_slice(&[7; 4096]);
    ///     io.write_all_at(file.unwrap(), block, 0, |file, io, mut block, result| {
    ///         result.unwrap();
    ///         block.truncate(0);
    ///         io.read_exact_at(file, block, 4096, 0, |_file, _io, block, result| {
    ///             assert!(result.is_ok() && block[..] == [7; 4096]);
    ///         });
    ///     });
    /// });
    /// io.run()?;
    /// # std::fs::remove_dir_all(&directory)?;
    /// # Ok(())
    /// # }
    /// # #[cfg(not(unix))]
    /// # fn main() {}
    /// ```
    ///
    /// # Errors
    /// As [`new`](BufferPool::new).
    pub fn aligned(io: &Io, count: usize, size: usize) -> io::Result<BufferPool> {
        let whole_pages = |size: usize| size.next_multiple_of(PAGE);
        BufferPool::with_stride(io, count, size, whole_pages, |_driver, _count| Ok(None))
    }

    /// A pool whose buffers start so far apart, with the ring that `ring` makes.
    fn with_stride(
        io: &Io,
        count: usize,
        size: usize,
        stride: fn(usize) -> usize,
        ring: fn(&mut Driver, u16) -> io::Result<Option<ProvidedRing>>,
    ) -> io::Result<BufferPool> {
        let invalid = || io::Error::from(io::ErrorKind::InvalidInput);
        let count =
            Some(count).filter(|&count| count > 0).and_then(usize::checked_next_power_of_two);
        let count = count.filter(|&count| count <= 1 << 15);
        let count = u16::try_from(count.ok_or_else(invalid)?).map_err(|_| invalid())?;
        let size = u32::try_from(size).ok().filter(|&size| size > 0).ok_or_else(invalid)?;
        let stride = stride(size as usize);
        if io.core.simulated(|sim| sim.fails(FaultKind::NoMemory)) == Some(true) {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        let memory = ManuallyDrop::new(Region::new(usize::from(count), stride)?);
        let ring = match &mut io.core.state.borrow_mut().driver {
            Some(driver) => ring(driver, count)?,
            None => return Err(io::ErrorKind::NotConnected.into()),
        };
        let provided_max = if ring.is_some() { PROVIDED_MIN.min(count) } else { 0 };
        let mut stock = Stock {
            memory,
            stride,
            size,
            free: (0..count).rev().collect(),
            ring: ManuallyDrop::new(ring),
            provided: 0,
            provided_max,
            promised: 0,
            typical: 0,
            since: (0, 0),
            count,
            lent: 0,
            line: VecDeque::new(),
        };
        stock.provide();
        Ok(BufferPool {
            shared: Rc::new(PoolShared {
                core: Rc::clone(&io.core),
                stock: RefCell::new(stock),
                has_line: Cell::new(false),
            }),
        })
    }

    /// Registers the pool's memory with io_uring, until the pool and its buffers are gone: the kernel
    /// then keeps its pages at hand, instead of looking them up and letting them go with every
    /// [`read_at`](Io::read_at), [`read_exact_at`](Io::read_exact_at), [`write_at`](Io::write_at) and
    /// [`write_all_at`](Io::write_all_at) on this loop of one of its buffers. That pays where transfers
    /// go past the cache (docs/performance.md). Nothing else changes, and on another loop, or when this
    /// one has ended, its buffers are like any others.
    ///
    /// Says whether the memory is registered. It is not on readiness, before Linux 5.19, beyond a
    /// gibibyte, and where 16 pools of the loop are registered already. All of it is in memory from
    /// then on, and counts against the process's limit of locked memory.
    ///
    /// # Errors
    /// `OutOfMemory` where that limit (`RLIMIT_MEMLOCK`) leaves no room, and what else
    /// io_uring_register(2) says. The pool then works as one that is not registered.
    pub fn register(&self) -> io::Result<bool> {
        let stock = self.shared.stock.borrow();
        let mut state = self.shared.core.state.borrow_mut();
        let driver = state.driver.as_mut();
        driver.map_or(Ok(false), |driver| driver.register_memory(&stock.memory))
    }

    /// A buffer to fill and send, or to receive or read into, empty at first; it goes back to the pool
    /// when it is dropped, so answering costs no allocation. Nothing when all are in use, or ready for
    /// the driver to receive into, which a few of each pool are (32, or 2 MiB) but for an
    /// [aligned](BufferPool::aligned) one: give answers a pool of their own, or make it larger.
    ///
    /// ```
    /// use tigereye::{BufferPool, Io};
    ///
    /// let io = Io::new()?;
    /// let pool = BufferPool::new(&io, 64, 4096)?;
    /// let mut answer = pool.take().expect("the pool is full");
    /// answer.extend_from_slice(b"HTTP/1.1 204 No Content\r\n\r\n");
    /// // io.send_detached(&stream, answer);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn take(&self) -> Option<PoolBuf> {
        let taken = self.shared.take()?;
        Some(PoolShared::filled(&self.shared, taken, 0))
    }
}

impl std::fmt::Debug for BufferPool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BufferPool").finish_non_exhaustive()
    }
}

/// Buffers that start a power of two apart would have their first bytes, which are the ones that
/// small messages use, in the same few sets of the processor's caches. So each starts a line
/// further on than the one before, and a large one a page and a line; lines also keep large copies
/// at their full speed.
fn stride(size: usize) -> usize {
    const LINE: usize = 64;
    const PAGE: usize = 4096;
    let shift = if size > 2 * PAGE { PAGE + LINE } else { LINE };
    size.next_multiple_of(LINE) + shift
}

/// The buffers, and who waits for one.
struct Stock {
    memory: ManuallyDrop<Region>,
    /// From the start of one buffer to that of the next.
    stride: usize,
    /// Bytes of a buffer.
    size: u32,
    free: Vec<u16>,
    ring: ManuallyDrop<Option<ProvidedRing>>,
    /// Buffers with the kernel, and how many there should be: none without a ring.
    provided: u16,
    provided_max: u16,
    /// How many of them are promised to operations whose turn it is.
    promised: u16,
    /// Bytes that a buffer is filled with of late …
    typical: u32,
    /// … and what was filled since that was found out: bytes, and buffers.
    since: (u64, u64),
    /// Buffers in all.
    count: u16,
    /// Buffers that are in a `PoolBuf`, or taken to be.
    lent: u16,
    /// Operations that wait for their turn at a buffer.
    line: VecDeque<Op>,
}

impl Stock {
    #[inline]
    fn address(&self, id: u16) -> NonNull<u8> {
        self.memory.place(usize::from(id) * self.stride)
    }

    /// Gives the kernel what it should have.
    #[cold]
    fn provide(&mut self) {
        let Some(ring) = &mut *self.ring else { return };
        while self.provided < self.provided_max
            && let Some(id) = self.free.pop()
        {
            ring.provide(id, self.memory.at(usize::from(id) * self.stride), self.size);
            self.provided += 1;
        }
        ring.publish();
    }

    /// How many buffers the kernel should have at most.
    fn provided_limit(&self) -> u16 {
        let most = (PROVIDED_BYTES_MAX / self.typical.max(1)).max(PROVIDED_LEAST);
        u16::try_from(most).unwrap_or(u16::MAX).min(self.count)
    }

    /// A buffer was filled with `len` bytes.
    #[inline]
    fn learn(&mut self, len: u32) {
        let (bytes, buffers) = &mut self.since;
        *bytes += u64::from(len);
        *buffers += 1;
        if *bytes > u64::from(PROVIDED_BYTES_MAX) {
            self.learn_typical();
        }
    }

    #[cold]
    fn learn_typical(&mut self) {
        let (bytes, buffers) = std::mem::take(&mut self.since);
        self.typical = u32::try_from(bytes / buffers).unwrap_or(u32::MAX);
        if u64::from(self.provided_max) * u64::from(self.typical)
            > 2 * u64::from(PROVIDED_BYTES_MAX)
        {
            self.provided_max = self.provided_max.min(self.provided_limit());
        }
    }

    /// Gives the kernel one more than before, if there is one: more come at once than it has.
    fn provide_one_more(&mut self) {
        if self.ring.is_some() && !self.free.is_empty() {
            self.provided_max = (self.provided_max + 1).min(self.provided_limit());
            self.provide();
        }
    }

    /// Takes in a buffer: for the kernel, or for later.
    #[inline]
    fn put(&mut self, id: u16) {
        if self.provided < self.provided_max {
            self.put_in_ring(id);
        } else {
            self.free.push(id);
        }
    }

    #[inline(never)]
    fn put_in_ring(&mut self, id: u16) {
        let Some(ring) = &mut *self.ring else { return self.free.push(id) };
        ring.provide(id, self.memory.at(usize::from(id) * self.stride), self.size);
        ring.publish();
        self.provided += 1;
    }
}

pub(crate) struct PoolShared {
    core: Rc<Core>,
    stock: RefCell<Stock>,
    /// Whether anybody is in line, for those who ask often.
    has_line: Cell<bool>,
}

/// A buffer that an operation receives into by itself: nobody else has it. It does not go back by
/// itself.
pub(crate) struct Taken {
    at: NonNull<u8>,
    size: u32,
    id: u16,
}

impl Taken {
    /// Its first byte and its size, for a driver that writes to it later.
    #[cfg(target_os = "linux")]
    pub(crate) fn parts(&self) -> (*mut u8, u32) {
        (self.at.as_ptr(), self.size)
    }

    /// All of it, for a call that writes to it at once. It must not outlive the pool.
    #[inline]
    pub(crate) fn room(&mut self) -> &mut [MaybeUninit<u8>] {
        // SAFETY: the pool's memory does not move, and this buffer of it is nobody else's; the
        // operation that took it holds the pool.
        unsafe { slice::from_raw_parts_mut(self.at.as_ptr().cast(), self.size as usize) }
    }
}

impl PoolShared {
    /// The number of the kernel's ring, where there is one.
    #[inline]
    pub(crate) fn group(&self) -> Option<u16> {
        self.stock.borrow().ring.as_ref().map(ProvidedRing::group)
    }

    /// Bytes of a buffer.
    pub(crate) fn size(&self) -> usize {
        self.stock.borrow().size as usize
    }

    pub(crate) fn belongs_to(&self, io: &Io) -> bool {
        Rc::ptr_eq(&self.core, &io.core)
    }

    /// Takes a buffer for an operation that needs no ring.
    #[inline]
    pub(crate) fn take(&self) -> Option<Taken> {
        let mut stock = self.stock.borrow_mut();
        let id = stock.free.pop()?;
        stock.lent += 1;
        Some(Taken { at: stock.address(id), size: stock.size, id })
    }

    /// The buffer `id`, which the kernel took from its ring and filled with `len` bytes.
    #[inline(always)]
    pub(crate) fn received(pool: &Rc<PoolShared>, id: u16, len: u32) -> PoolBuf {
        let mut stock = pool.stock.borrow_mut();
        stock.provided -= 1;
        stock.learn(len);
        assert!(len <= stock.size && id < stock.count, "the driver keeps to the pool's buffers");
        stock.lent += 1;
        let buf = PoolBuf { pool: Rc::clone(pool), at: stock.address(id), len, id };
        if stock.provided < stock.provided_max / 2 {
            stock.provide();
            drop(stock);
            pool.hand_on();
        }
        buf
    }

    /// The kernel took the buffer `id` from its ring, and did not fill it.
    #[cold]
    pub(crate) fn unfilled(&self, id: u16) {
        let mut stock = self.stock.borrow_mut();
        assert!(id < stock.count, "the driver keeps to the pool's buffers");
        stock.provided -= 1;
        stock.put(id);
        drop(stock);
        self.hand_on();
    }

    /// The buffer that was taken from the pool, with `len` bytes in it.
    #[inline]
    pub(crate) fn filled(pool: &Rc<PoolShared>, taken: Taken, len: u32) -> PoolBuf {
        let Taken { at, size, id } = taken;
        assert!(len <= size, "the driver keeps to the pool's buffers");
        PoolBuf { pool: Rc::clone(pool), at, len, id }
    }

    /// Takes back a buffer that was lent.
    #[inline]
    pub(crate) fn give(&self, id: u16) {
        let mut stock = self.stock.borrow_mut();
        assert!(stock.lent > 0, "a buffer of a pool is given back once");
        stock.lent -= 1;
        stock.put(id);
        drop(stock);
        self.hand_on();
    }

    /// Takes back a buffer that an operation took and did not fill.
    #[inline]
    pub(crate) fn put_back(&self, taken: Taken) {
        self.give(taken.id);
    }
}

impl Drop for PoolShared {
    fn drop(&mut self) {
        if self.core.leaked.get() {
            return;
        }
        let Stock { memory, ring, line, .. } = self.stock.get_mut();
        let mut state = self.core.state.borrow_mut();
        state.buffer_waiters -= line.len();
        if let (Some(ring), Some(driver)) = (&mut **ring, &mut state.driver)
            && !driver.withdraw(ring)
        {
            return;
        }
        if let Some(driver) = &mut state.driver {
            driver.forget_memory(memory);
        }
        // SAFETY: dropped here only, once; nobody refers to the ring any more (I2).
        unsafe { ManuallyDrop::drop(ring) };
        // SAFETY: as above; no `PoolBuf` is left, for each holds the pool, and the driver has just
        // forgotten it (I3).
        unsafe { ManuallyDrop::drop(memory) };
    }
}

/// A buffer of a pool: received bytes, or room to fill ([`BufferPool::take`]). Dropping it gives the
/// buffer back.
pub struct PoolBuf {
    pool: Rc<PoolShared>,
    at: NonNull<u8>,
    len: u32,
    id: u16,
}

impl Deref for PoolBuf {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        // SAFETY: the pool's memory lives as long as the pool, which this value holds; the buffer
        // is this value's alone until it is given back, and all of it is initialised.
        unsafe { slice::from_raw_parts(self.at.as_ptr(), self.len as usize) }
    }
}

impl PoolBuf {
    /// How many bytes fit in all: the pool's size of a buffer.
    #[inline]
    pub fn capacity(&self) -> usize {
        self.pool.stock.borrow().size as usize
    }

    /// Forgets all bytes behind the first `len`.
    pub fn truncate(&mut self, len: usize) {
        self.len = u32::try_from(len).map_or(self.len, |len| len.min(self.len));
    }

    /// Makes all of it visible, to be written to in place: what it holds is left over from before.
    pub fn resize_to_capacity(&mut self) {
        self.len = self.pool.stock.borrow().size;
    }

    /// Appends as many of `bytes` as fit, and says how many that were.
    pub fn extend_from_slice(&mut self, bytes: &[u8]) -> usize {
        let start = self.len as usize;
        let count = bytes.len().min(self.capacity() - start);
        // A buffer's size fits in 32 bits, and so does what is left of it.
        self.len += u32::try_from(count).unwrap_or(0);
        self[start..].copy_from_slice(&bytes[..count]);
        count
    }
}

impl DerefMut for PoolBuf {
    #[inline]
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as for `deref`; the value is borrowed alone.
        unsafe { slice::from_raw_parts_mut(self.at.as_ptr(), self.len as usize) }
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
        self.at.as_ptr()
    }
    #[inline]
    fn len(&self) -> usize {
        self.len as usize
    }
}

// SAFETY: as above; all of the buffer is initialised, and what is behind `len` is nobody else's.
unsafe impl IoBufMut for PoolBuf {
    #[inline]
    fn writable(&mut self) -> (*mut u8, usize) {
        let room = self.capacity() - self.len as usize;
        (self.at.as_ptr().wrapping_add(self.len as usize), room)
    }
    #[inline]
    unsafe fn written(&mut self, count: usize) {
        // A buffer's size fits in 32 bits.
        self.len += count as u32;
    }
    #[inline]
    fn is_growing(&self) -> bool {
        true
    }
}

impl Drop for PoolBuf {
    #[inline]
    fn drop(&mut self) {
        self.pool.give(self.id);
    }
}
