//! The blocks that stand for overlapped calls: the system writes to one from the call until its
//! packet is in the port.
//!
//! I1. A block's address never changes.
//! I2. A block is free again when its packet was taken from the port, or when its call had its result
//!     at once, so that none will come. So a late packet finds its own block, never that of another
//!     call; and whoever it was for may be gone, for it names an operation by its generation.
//! I3. Blocks that are in flight when the driver goes are never freed.
#![expect(unsafe_code, reason = "the system writes to blocks, and gives their addresses back")]

use std::cell::UnsafeCell;

use windows_sys::Win32::System::IO::{OVERLAPPED, OVERLAPPED_0_0};

use super::afd::Request;
use crate::driver::Interest;
use crate::op::Op;
use crate::raw::RawFd;
use crate::slot::NONE;

/// Blocks are allocated so many at a time.
const CHUNK: usize = 64;

/// What is known of an overlapped call.
#[derive(Debug, Clone, Copy)]
pub(super) struct Call {
    /// Whose it is; of nobody in a free block.
    pub(super) op: Op,
    pub(super) fd: RawFd,
    pub(super) kind: Kind,
    /// Which one it is of an operation's calls, of which there may be several at a time.
    pub(super) lane: u8,
    /// The driver was asked to take it back.
    pub(super) cancelled: bool,
    /// Its socket was shut down: there is nothing more to receive.
    pub(super) ended: bool,
}

impl Call {
    pub(super) fn new(op: Op, fd: RawFd, kind: Kind) -> Call {
        Call { op, fd, kind, lane: 0, cancelled: false, ended: false }
    }
}

/// What a packet says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// How many bytes were moved.
    Count,
    /// That the socket is ready this way, which is all that was asked.
    Readiness(Interest),
    /// That the socket is ready: the operation tries again.
    TryAgain,
    /// That there is a datagram: the operation tries again.
    Datagram,
}

/// A block. What the system writes to comes first, so that its address is the block's.
#[repr(C)]
pub(super) struct Block {
    overlapped: OVERLAPPED,
    /// Where calls that receive want flags, in and out.
    flags: u32,
    /// Where readiness is asked for.
    request: Request,
    number: u32,
    /// In a free block: the next free one; else the next one of the same operation.
    next: u32,
    call: Call,
}

pub(super) struct Blocks {
    chunks: Vec<Box<[UnsafeCell<Block>; CHUNK]>>,
    free: u32,
    in_flight: usize,
    /// The blocks of an operation, by the number of its slot: the first of them, mostly the only one.
    by_slot: Vec<u32>,
}

/// A block that is in flight.
#[derive(Clone, Copy)]
pub(super) struct InFlight(*mut Block);

impl InFlight {
    /// The block of a packet.
    ///
    /// # Safety
    /// The packet must be of a call that was given this driver's block, and be the first one.
    pub(super) unsafe fn of_packet(overlapped: *mut OVERLAPPED) -> InFlight {
        InFlight(overlapped.cast())
    }

    /// For the system.
    pub(super) fn overlapped(self) -> *mut OVERLAPPED {
        self.0.cast()
    }

    /// For the system: flags of a call that receives.
    pub(super) fn flags(self) -> *mut u32 {
        // SAFETY: it is a block (I1); only an address is made.
        unsafe { &raw mut (*self.0).flags }
    }

    /// For the system: what readiness is asked for.
    pub(super) fn request(self) -> *mut Request {
        // SAFETY: as for `flags`.
        unsafe { &raw mut (*self.0).request }
    }

    pub(super) fn call(self) -> Call {
        // SAFETY: it is a block, whose `call` the system does not know of.
        unsafe { (*self.0).call }
    }

    fn number(self) -> u32 {
        // SAFETY: as above.
        unsafe { (*self.0).number }
    }

    fn next(self) -> u32 {
        // SAFETY: as above.
        unsafe { (*self.0).next }
    }

    fn set_next(self, next: u32) {
        // SAFETY: as above; nobody holds a reference into a block.
        unsafe { (*self.0).next = next };
    }

    pub(super) fn set_cancelled(self) {
        // SAFETY: as above.
        unsafe { (*self.0).call.cancelled = true };
    }

    pub(super) fn set_ended(self) {
        // SAFETY: as above.
        unsafe { (*self.0).call.ended = true };
    }

    /// What the system says of the call, and how many bytes it moved, once it has let go.
    pub(super) fn outcome(self) -> (i32, usize) {
        // SAFETY: the system wrote it before the packet, or before the call returned (I2).
        let OVERLAPPED { Internal: status, InternalHigh: count, .. } =
            unsafe { (*self.0).overlapped };
        #[expect(clippy::cast_possible_truncation, reason = "an NTSTATUS has 32 bits")]
        (status as i32, count)
    }
}

impl Blocks {
    pub(super) fn new() -> Blocks {
        Blocks { chunks: Vec::new(), free: NONE, in_flight: 0, by_slot: Vec::new() }
    }

    fn at(&self, number: u32) -> InFlight {
        let number = number as usize;
        InFlight(self.chunks[number / CHUNK][number % CHUNK].get())
    }

    /// A block for a call, which starts from that offset where there are any.
    pub(super) fn take(&mut self, call: Call, offset: u64) -> InFlight {
        if self.free == NONE {
            self.grow();
        }
        let block = self.at(self.free);
        // SAFETY: a free block is nobody else's (I2).
        let inner = unsafe { &mut *block.0 };
        self.free = inner.next;
        inner.overlapped = OVERLAPPED::default();
        let place = OVERLAPPED_0_0 { Offset: offset as u32, OffsetHigh: (offset >> 32) as u32 };
        inner.overlapped.Anonymous.Anonymous = place;
        inner.flags = 0;
        inner.call = call;
        let slot = call.op.index as usize;
        if slot >= self.by_slot.len() {
            self.by_slot.resize(slot + 1, NONE);
        }
        inner.next = std::mem::replace(&mut self.by_slot[slot], inner.number);
        self.in_flight += 1;
        block
    }

    #[cfg(test)]
    pub(super) fn in_flight(&self) -> usize {
        self.in_flight
    }

    fn grow(&mut self) {
        let first = u32::try_from(self.chunks.len() * CHUNK).unwrap_or(NONE);
        self.chunks.push(Box::new(std::array::from_fn(|at| {
            let number = first + u32::try_from(at).unwrap_or(0);
            let next = if at + 1 < CHUNK { number + 1 } else { NONE };
            let call = Call::new(Op::ENDED, -1, Kind::Count);
            UnsafeCell::new(Block {
                overlapped: OVERLAPPED::default(),
                flags: 0,
                request: Request::NONE,
                number,
                next,
                call,
            })
        })));
        self.free = first;
    }

    /// A block of an operation that the system has; [`after`](Blocks::after) it come the others.
    pub(super) fn find(&self, op: Op) -> Option<InFlight> {
        let block = self.named(*self.by_slot.get(op.index as usize)?)?;
        (block.call().op == op).then_some(block)
    }

    /// The next block of the same operation.
    pub(super) fn after(&self, block: InFlight) -> Option<InFlight> {
        self.named(block.next())
    }

    fn named(&self, number: u32) -> Option<InFlight> {
        (number != NONE).then(|| self.at(number))
    }

    /// A block that the system has for a handle's readiness this way, and that nobody has ended.
    pub(super) fn waiting(&self, on: RawFd, interest: Interest) -> Option<InFlight> {
        let blocks = self.chunks.iter().flat_map(|chunk| chunk.iter());
        blocks.map(|block| InFlight(block.get())).find(|block| {
            let Call { op, fd, kind, ended, .. } = block.call();
            op != Op::ENDED && fd == on && kind == Kind::Readiness(interest) && !ended
        })
    }

    /// Takes a block out of those of its operation.
    fn unlink(&mut self, block: InFlight) {
        let slot = block.call().op.index as usize;
        let first = self.by_slot[slot];
        if first == block.number() {
            self.by_slot[slot] = block.next();
            return;
        }
        let mut before = self.named(first);
        while let Some(other) = before {
            if other.next() == block.number() {
                return other.set_next(block.next());
            }
            before = self.after(other);
        }
    }

    /// The system has let go of a block (I2).
    pub(super) fn put_back(&mut self, block: InFlight) {
        let op = block.call().op;
        assert!(op != Op::ENDED, "a block is put back once");
        self.unlink(block);
        // SAFETY: the system does not use it any more, and nobody else does.
        let inner = unsafe { &mut *block.0 };
        inner.call.op = Op::ENDED;
        inner.next = self.free;
        self.free = block.number();
        self.in_flight -= 1;
    }
}

impl Drop for Blocks {
    fn drop(&mut self) {
        if self.in_flight > 0 {
            // I3.
            std::mem::forget(std::mem::take(&mut self.chunks));
        }
    }
}
