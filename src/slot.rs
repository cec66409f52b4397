//! Where operations in flight live: a slab of fixed-size slots in chunks that never move.
//!
//! ```text
//!   index ──▶ chunk[index / 1024][index % 1024]      128 bytes: 80 of payload, the rest header
//!                    │
//!                    ├─ payload fits in 80 bytes: stored in place
//!                    └─ it does not: the payload area holds the address of a block,
//!                       and blocks are recycled by size, so a steady workload allocates nothing
//! ```
//!
//! I1. A slot's address never changes, and a block's neither, while an operation is in it.
//! I2. `generation` changes each time a slot is freed, so a name (index, generation) is never
//!     valid for two tenants.
//! I3. A header is reached by reference, a payload only by raw pointer: a callback may hold
//!     `&mut` to its context in a payload while the loop changes the header beside it.
//! I4. A free slot holds the next free one where its payload would be.
#![expect(unsafe_code, reason = "slots are typed memory handed out by address")]

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::mem::MaybeUninit;
use std::ptr::{self, NonNull};

use crate::op::{Direction, Op, VTable};

/// No slot.
pub(crate) const NONE: u32 = u32::MAX;
const PAYLOAD_BYTES: usize = 80;
const PAYLOAD_ALIGN: usize = 128;
const CHUNK_SLOTS: u32 = 1024;
/// So many chunks are allocated one by one, as a loop grows to some thousand operations …
const SINGLE_CHUNKS: usize = 16;
/// … and so many at once after that: 2 MiB, which the system may map as one huge page. A million
/// timers are visited in no order, and with small pages each visit would miss in the processor's
/// table of pages as well.
const BLOCK_CHUNKS: usize = 16;
/// Most slots at once: the numbers above are for the drivers' own marks.
pub(crate) const SLOTS_MAX: u32 = 1 << 30;
const BLOCK_CLASSES: [usize; 5] = [256, 512, 1024, 2048, 4096];
const BLOCK_ALIGN: usize = 128;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Free,
    /// Behind another operation of the same direction of its handle.
    Waiting,
    /// The driver knows of it.
    Driver,
    /// In the queue of completions.
    Ready,
    /// It ends when its timer does.
    Timer,
    /// The pool for calls that can block has its call, queued or running.
    Offloaded,
    /// It ends when something in user space happens (an event, an offloaded call, a buffer).
    Parked,
}

pub(crate) const CANCEL_ASKED: u8 = 1;
pub(crate) const TIMED_OUT: u8 = 2;
/// It was asked to end early, for either reason.
pub(crate) const ASKED_TO_END: u8 = CANCEL_ASKED | TIMED_OUT;
/// `Next::Stop` was returned: no further items.
pub(crate) const STOPPED: u8 = 4;
/// It cannot be ended early (a close, a zero-copy send that is done but for its buffer).
pub(crate) const FINAL: u8 = 8;
/// Its completions are held until it is resumed.
pub(crate) const PAUSED: u8 = 16;
/// It is over the capacity.
pub(crate) const REFUSED: u8 = 32;

pub(crate) struct Header {
    pub(crate) vtable: Option<&'static VTable>,
    /// The slot's own number.
    pub(crate) index: u32,
    pub(crate) generation: u32,
    pub(crate) next: u32,
    pub(crate) prev: u32,
    pub(crate) handle: u32,
    /// What completed while the operation was paused, the newest first.
    pub(crate) held: u32,
    /// The first of two results where an operation completes twice.
    pub(crate) result: i32,
    /// Where in the pool's queue a call of the operation was put; or the second handle that it
    /// waited for last.
    pub(crate) job: u32,
    pub(crate) state: State,
    pub(crate) direction: Direction,
    pub(crate) flags: u8,
    /// Whether a timer is live that completes it …
    pub(crate) has_timer: bool,
    /// … and one that ends it early.
    pub(crate) has_deadline: bool,
}

impl Header {
    /// The name of the operation that has the slot.
    #[inline]
    pub(crate) fn op(&self) -> Op {
        Op { index: self.index, generation: self.generation }
    }
}

#[repr(C, align(128))]
pub(crate) struct Slot {
    payload: MaybeUninit<[u8; PAYLOAD_BYTES]>,
    header: Header,
}

const _: () = assert!(size_of::<Slot>() == 128);

const fn fits<T>() -> bool {
    size_of::<T>() <= PAYLOAD_BYTES && align_of::<T>() <= PAYLOAD_ALIGN
}

/// A slot that exists: chunks never move and live as long as their slab. One loop's references
/// never reach another's slab.
#[derive(Clone, Copy)]
pub(crate) struct SlotRef(NonNull<Slot>);

impl SlotRef {
    /// For the functions of a record's type.
    #[inline]
    pub(crate) fn as_ptr(self) -> *mut Slot {
        self.0.as_ptr()
    }
}

/// Where the payload of type `T` in `slot` is.
///
/// # Safety
/// `slot` must come from a [`SlotRef`], and a `T` must have been placed there by
/// [`Slots::place`] and not been freed since.
#[inline]
pub(crate) unsafe fn payload<T>(slot: *mut Slot) -> *mut T {
    if fits::<T>() {
        slot.cast()
    } else {
        // SAFETY: `place` stored the block's address at the start of the payload area; the
        // caller vouches that it is still there.
        unsafe { slot.cast::<*mut T>().read() }
    }
}

/// Frees the block of a payload of type `T` that was moved out at the loop's end, when no slot is freed
/// to be taken again.
///
/// # Safety
/// As for [`payload`]; nothing may use the payload's place after this, nor free it again.
pub(crate) unsafe fn free_block<T>(slot: *mut Slot) {
    if fits::<T>() {
        return;
    }
    // SAFETY: the caller vouches that `place` wrote the block's address there.
    let block = unsafe { slot.cast::<*mut u8>().read() };
    let (_class, layout) = block_layout(Layout::new::<T>());
    // SAFETY: `take_block` allocated it with this same layout, and the caller that it is freed once.
    unsafe { dealloc(block, layout) };
}

/// What was asked of the operation in a slot.
///
/// # Safety
/// Nobody may refer to the slot's header meanwhile: the loop's state is not borrowed.
#[inline]
pub(crate) unsafe fn flags(slot: SlotRef) -> u8 {
    // SAFETY: the slot exists, and the caller vouches for the rest.
    unsafe { (*slot.as_ptr()).header.flags }
}

/// The slab.
pub(crate) struct Slots {
    chunks: Vec<NonNull<Slot>>,
    /// The one that was freed last.
    free: Option<SlotRef>,
    used: u32,
    seed: u32,
    blocks: [Vec<NonNull<u8>>; BLOCK_CLASSES.len()],
}

impl Slots {
    /// `seed` starts the generations, so that a name from one loop finds nobody in another.
    pub(crate) fn new(seed: u32) -> Slots {
        Slots { chunks: Vec::new(), free: None, used: 0, seed, blocks: Default::default() }
    }

    /// Slots taken.
    pub(crate) fn used(&self) -> u32 {
        self.used
    }

    /// Slots that exist, taken or free.
    pub(crate) fn len(&self) -> u32 {
        u32::try_from(self.chunks.len()).unwrap_or(u32::MAX).saturating_mul(CHUNK_SLOTS)
    }

    /// Slot `index`, which must exist.
    #[inline]
    pub(crate) fn at(&self, index: u32) -> SlotRef {
        let chunk = self.chunks[(index / CHUNK_SLOTS) as usize];
        // SAFETY: each chunk holds CHUNK_SLOTS slots, and the remainder is below that.
        SlotRef(unsafe { chunk.add((index % CHUNK_SLOTS) as usize) })
    }

    /// The slot with that name, unless its tenant is gone.
    #[inline]
    pub(crate) fn lookup(&mut self, index: u32, generation: u32) -> Option<SlotRef> {
        let chunk = *self.chunks.get((index / CHUNK_SLOTS) as usize)?;
        // SAFETY: as in `at`.
        let slot = SlotRef(unsafe { chunk.add((index % CHUNK_SLOTS) as usize) });
        // A free slot has a generation that nobody was told.
        (self.header_of(slot).generation == generation).then_some(slot)
    }

    #[inline]
    pub(crate) fn header_of(&mut self, slot: SlotRef) -> &mut Header {
        // SAFETY: the slot exists and its header was written by `grow`; `&mut self` keeps other
        // references to headers away, and nobody refers to a header through a payload (I3).
        unsafe { &mut (*slot.as_ptr()).header }
    }

    #[inline]
    pub(crate) fn header(&mut self, index: u32) -> &mut Header {
        self.header_of(self.at(index))
    }

    /// The header of the slot with that name, unless its tenant is gone.
    #[inline]
    pub(crate) fn find(&mut self, index: u32, generation: u32) -> Option<&mut Header> {
        let slot = self.lookup(index, generation)?;
        Some(self.header_of(slot)).filter(|header| header.state != State::Free)
    }

    #[inline]
    pub(crate) fn take(&mut self) -> SlotRef {
        let slot = match self.free {
            Some(slot) => slot,
            None => self.grow(),
        };
        // SAFETY: the slot is free (I4).
        self.free = unsafe { slot.as_ptr().cast::<Option<SlotRef>>().read() };
        self.used += 1;
        slot
    }

    /// Moves `value` into a slot just taken.
    #[inline]
    pub(crate) fn place<T>(&mut self, slot: SlotRef, value: T) {
        let place = if fits::<T>() {
            slot.as_ptr().cast::<T>()
        } else {
            let block = self.take_block(Layout::new::<T>()).as_ptr().cast::<T>();
            // SAFETY: the payload area is at least a pointer long and aligned to 128.
            unsafe { slot.as_ptr().cast::<*mut T>().write(block) };
            block
        };
        // SAFETY: `place` is valid for a `T`: in place because it fits, else in a block of its
        // layout; the slot was just taken, so nothing lives there.
        unsafe { place.write(value) };
    }

    /// Frees a slot whose payload of type `T` was moved out or dropped by the caller.
    #[inline]
    pub(crate) fn free<T>(&mut self, slot: SlotRef) {
        if !fits::<T>() {
            // SAFETY: `place` wrote the block's address there when it took the slot.
            let block = unsafe { slot.as_ptr().cast::<*mut u8>().read() };
            if let Some(block) = NonNull::new(block) {
                self.give_block(block, Layout::new::<T>());
            }
        }
        let header = self.header_of(slot);
        assert!(header.state != State::Free, "a slot is freed once, with its callback");
        assert!(header.handle == NONE && header.prev == NONE, "it is in no queue");
        header.state = State::Free;
        header.generation = header.generation.wrapping_add(1);
        header.vtable = None;
        // SAFETY: nothing is in the payload area any more, which is longer than a pointer.
        unsafe { slot.as_ptr().cast::<Option<SlotRef>>().write(self.free) };
        self.free = Some(slot);
        self.used -= 1;
    }

    /// Makes room for more; gives the first free slot.
    #[cold]
    fn grow(&mut self) -> SlotRef {
        let base = self.len();
        assert!(base < SLOTS_MAX - CHUNK_SLOTS, "more operations in flight than can be numbered");
        let chunk = self.new_chunk();
        for at in (0..CHUNK_SLOTS).rev() {
            let header = Header {
                vtable: None,
                index: base + at,
                generation: self.seed,
                next: NONE,
                prev: NONE,
                handle: NONE,
                held: NONE,
                result: 0,
                job: NONE,
                state: State::Free,
                direction: Direction::None,
                flags: 0,
                has_timer: false,
                has_deadline: false,
            };
            // SAFETY: `at` is below the chunk's length.
            let slot = unsafe { chunk.as_ptr().add(at as usize) };
            // SAFETY: the slot's memory is ours; no reference is made to what is not written yet.
            let place = unsafe { ptr::addr_of_mut!((*slot).header) };
            // SAFETY: the slot is not yet in use.
            unsafe { place.write(header) };
            // SAFETY: as above, and its payload area is longer than a pointer.
            unsafe { slot.cast::<Option<SlotRef>>().write(self.free) };
            // SAFETY: it lies in a chunk.
            self.free = Some(SlotRef(unsafe { NonNull::new_unchecked(slot) }));
        }
        self.chunks.push(chunk);
        SlotRef(chunk)
    }

    /// Memory for the next chunk.
    fn new_chunk(&mut self) -> NonNull<Slot> {
        let layout = match self.chunks.len().checked_sub(SINGLE_CHUNKS) {
            None => chunk_layout(),
            Some(at) if at % BLOCK_CHUNKS == 0 => block_of_chunks_layout(),
            Some(_) => {
                let before = self.chunks[self.chunks.len() - 1];
                // SAFETY: the chunk before is not the last one of its block.
                return unsafe { before.add(CHUNK_SLOTS as usize) };
            }
        };
        // SAFETY: the layout has a size.
        let memory = unsafe { alloc(layout) };
        let Some(chunk) = NonNull::new(memory) else { handle_alloc_error(layout) };
        if layout == block_of_chunks_layout() {
            ask_for_huge_pages(chunk, layout);
        }
        chunk.cast()
    }

    fn take_block(&mut self, layout: Layout) -> NonNull<u8> {
        let (class, layout) = block_layout(layout);
        if let Some(block) = class.and_then(|class| self.blocks[class].pop()) {
            return block;
        }
        // SAFETY: the layout has a size, for only payloads over 80 bytes come here.
        let block = unsafe { alloc(layout) };
        NonNull::new(block).unwrap_or_else(|| handle_alloc_error(layout))
    }

    fn give_block(&mut self, block: NonNull<u8>, layout: Layout) {
        let (class, layout) = block_layout(layout);
        match class {
            Some(class) => self.blocks[class].push(block),
            // SAFETY: it was allocated with this same layout by `take_block`.
            None => unsafe { dealloc(block.as_ptr(), layout) },
        }
    }

    /// Gives up all memory without freeing it: something may still write there.
    pub(crate) fn leak(&mut self) {
        self.chunks.clear();
        self.blocks = Default::default();
        self.free = None;
    }
}

impl Drop for Slots {
    fn drop(&mut self) {
        for (class, blocks) in self.blocks.iter_mut().enumerate() {
            let layout = Layout::from_size_align(BLOCK_CLASSES[class], BLOCK_ALIGN);
            for block in blocks.drain(..) {
                if let Ok(layout) = layout {
                    // SAFETY: the blocks of a class were allocated with that class's layout.
                    unsafe { dealloc(block.as_ptr(), layout) };
                }
            }
        }
        for (number, chunk) in self.chunks.drain(..).enumerate() {
            let layout = match number.checked_sub(SINGLE_CHUNKS) {
                None => chunk_layout(),
                Some(at) if at % BLOCK_CHUNKS == 0 => block_of_chunks_layout(),
                // It goes with its block, which went before it: nothing is read from it here.
                Some(_) => continue,
            };
            // SAFETY: allocated by `new_chunk` with this layout; payloads were dropped by the loop.
            unsafe { dealloc(chunk.as_ptr().cast(), layout) };
        }
    }
}

fn chunk_layout() -> Layout {
    Layout::new::<[Slot; CHUNK_SLOTS as usize]>()
}

fn block_of_chunks_layout() -> Layout {
    #[repr(C, align(2097152))]
    struct Block([Slot; BLOCK_CHUNKS * CHUNK_SLOTS as usize]);
    Layout::new::<Block>()
}

/// Asks that memory just allocated be mapped by huge pages.
#[cfg(target_os = "linux")]
fn ask_for_huge_pages(memory: NonNull<u8>, layout: Layout) {
    // SAFETY: the range is the allocation just made. It is advice (madvise(2)): a failure means
    // small pages.
    let _ = unsafe { libc::madvise(memory.as_ptr().cast(), layout.size(), libc::MADV_HUGEPAGE) };
}

/// Elsewhere nobody can be asked: FreeBSD does so by itself where it can, macOS does not.
#[cfg(not(target_os = "linux"))]
fn ask_for_huge_pages(_memory: NonNull<u8>, _layout: Layout) {}

/// The class of recycled blocks that `layout` belongs to, and the layout to allocate.
fn block_layout(layout: Layout) -> (Option<usize>, Layout) {
    let class = BLOCK_CLASSES.iter().position(|&bytes| layout.size() <= bytes);
    match class.filter(|_| layout.align() <= BLOCK_ALIGN) {
        Some(class) => match Layout::from_size_align(BLOCK_CLASSES[class], BLOCK_ALIGN) {
            Ok(block) => (Some(class), block),
            Err(_) => (None, layout),
        },
        None => (None, layout),
    }
}
