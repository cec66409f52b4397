//! Receiving into a buffer of the caller's: once, or until it is full.
//!
//! Sources: recv(2), io_uring_prep_recv(3).

use std::io;
use std::mem::MaybeUninit;

#[cfg(target_os = "linux")]
use io_uring::{opcode, types};

use super::{Direction, Operation, Start, Step};
use crate::buf::room;
#[cfg(windows)]
use crate::driver::iocp;
#[cfg(unix)]
use crate::driver::readiness;
use crate::driver::sim;
#[cfg(target_os = "linux")]
use crate::driver::uring;
use crate::error::{NO_ROOM, UNEXPECTED_END};
use crate::{Io, IoBufMut};

/// Most bytes that one call takes (`MAX_RW_COUNT`, read(2)); a longer buffer gets a short result.
pub(crate) const TRANSFER_MAX: usize = 0x7fff_f000;

#[cfg(target_os = "linux")]
pub(crate) fn clamp(len: usize) -> u32 {
    u32::try_from(len.min(TRANSFER_MAX)).unwrap_or(u32::MAX)
}

pub(crate) struct Recv<B> {
    pub(crate) buf: B,
}

impl<B: IoBufMut> Operation for Recv<B> {
    type Output = (B, io::Result<usize>);
    const DIRECTION: Direction = Direction::In;

    #[cfg(target_os = "linux")]
    #[inline(always)]
    fn uring(&mut self, place: &mut uring::Place<'_>) -> Start {
        let (at, len) = self.buf.writable();
        if len == 0 {
            // Zero bytes would read as the end of the stream.
            return Start::Ready(NO_ROOM);
        }
        place.submit(opcode::Recv::new(types::Fd(place.fd), at, clamp(len)).build())
    }

    #[cfg(unix)]
    #[inline(always)]
    fn readiness(&mut self, place: &mut readiness::Place<'_>) -> Start {
        match room(&mut self.buf) {
            [] => Start::Ready(NO_ROOM),
            room => place.recv(room),
        }
    }

    fn sim(&mut self, place: &mut sim::Place<'_>) -> Start {
        match room(&mut self.buf) {
            [] => Start::Ready(NO_ROOM),
            room => place.recv(room),
        }
    }

    #[cfg(windows)]
    #[inline(always)]
    fn iocp(&mut self, place: &mut iocp::Place<'_>) -> Start {
        match room(&mut self.buf) {
            [] => Start::Ready(NO_ROOM),
            room => place.recv(room),
        }
    }

    #[inline]
    fn step(&mut self, result: i32) -> Step {
        Step::Done(result)
    }

    #[inline]
    fn finish(mut self, _io: &Io, result: io::Result<u32>) -> Self::Output {
        let result = result.map(|count| written(&mut self.buf, count));
        (self.buf, result)
    }

    fn discard(self, _result: i32) {}
}

/// Makes `count` received bytes visible.
#[inline]
#[expect(unsafe_code, reason = "the kernel wrote the bytes")]
pub(crate) fn written<B: IoBufMut>(buf: &mut B, count: u32) -> usize {
    let count = count as usize;
    assert!(count <= buf.writable().1, "a driver never receives more than there is room for");
    // SAFETY: the driver reported that it wrote `count` bytes to the memory that `writable` names,
    // and the buffer was not changed since (the operation owned it).
    unsafe { buf.written(count) };
    count
}

/// Receives until `wanted` bytes are there. Not by `MSG_WAITALL`, which can turn a reset after
/// partial data into an end of file.
pub(crate) struct RecvExact<B> {
    pub(crate) buf: B,
    pub(crate) wanted: usize,
    pub(crate) received: usize,
}

impl<B: IoBufMut> RecvExact<B> {
    /// Where the bytes go that are to come; or the result, when there is nothing to receive.
    pub(super) fn rest(&mut self) -> Result<&mut [MaybeUninit<u8>], i32> {
        let skip = if self.buf.is_growing() { 0 } else { self.received };
        let left = self.wanted - self.received;
        if left == 0 {
            return Err(0);
        }
        room(&mut self.buf).get_mut(skip..).and_then(|room| room.get_mut(..left)).ok_or(NO_ROOM)
    }
}

impl<B: IoBufMut> Operation for RecvExact<B> {
    type Output = (B, io::Result<()>);
    const DIRECTION: Direction = Direction::In;

    #[cfg(target_os = "linux")]
    fn uring(&mut self, place: &mut uring::Place<'_>) -> Start {
        match self.rest() {
            Ok(rest) => {
                let (at, len) = (rest.as_mut_ptr().cast(), clamp(rest.len()));
                place.submit(opcode::Recv::new(types::Fd(place.fd), at, len).build())
            }
            Err(result) => Start::Ready(result),
        }
    }

    #[cfg(unix)]
    fn readiness(&mut self, place: &mut readiness::Place<'_>) -> Start {
        match self.rest() {
            Ok(rest) => place.recv(rest),
            Err(result) => Start::Ready(result),
        }
    }

    fn sim(&mut self, place: &mut sim::Place<'_>) -> Start {
        match self.rest() {
            Ok(rest) => place.recv(rest),
            Err(result) => Start::Ready(result),
        }
    }

    #[cfg(windows)]
    fn iocp(&mut self, place: &mut iocp::Place<'_>) -> Start {
        match self.rest() {
            Ok(rest) => place.recv(rest),
            Err(result) => Start::Ready(result),
        }
    }

    fn step(&mut self, result: i32) -> Step {
        if result < 0 || self.received == self.wanted {
            return Step::Done(result);
        }
        if result == 0 {
            return Step::Done(UNEXPECTED_END);
        }
        let count = result.unsigned_abs();
        assert!(count as usize <= self.wanted - self.received, "no more than was asked for");
        self.received += written(&mut self.buf, count);
        if self.received == self.wanted { Step::Done(0) } else { Step::Again }
    }

    fn finish(self, _io: &Io, result: io::Result<u32>) -> Self::Output {
        (self.buf, result.map(drop))
    }

    fn discard(self, _result: i32) {}
}
