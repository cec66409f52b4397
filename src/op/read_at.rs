//! Reading a file at an offset: once, or until the buffer is full.
//!
//! Sources: pread(2), io_uring_prep_read(3), io_uring_prep_read_fixed(3); ReadFile in Microsoft's
//! documentation.

use std::fmt;
use std::io;
use std::mem::MaybeUninit;

#[cfg(target_os = "linux")]
use io_uring::opcode;

use super::recv::{TRANSFER_MAX, written};
use super::{Direction, Operation, Start, Step};
use crate::buf::room;
#[cfg(windows)]
use crate::driver::iocp;
#[cfg(unix)]
use crate::driver::readiness;
use crate::driver::sim;
#[cfg(target_os = "linux")]
use crate::driver::uring;
use crate::error::{NO_ROOM, UNEXPECTED_END, code, what_is_misaligned};
#[cfg(unix)]
use crate::offload::LentMut;
use crate::{Io, IoBufMut};

/// How many of `len` bytes one call at `offset` may move; or the result, where there can be none.
/// An offset is signed in the kernel, and −1 means the file's own position (P18, P56).
#[inline]
pub(crate) fn span(len: usize, offset: u64) -> Result<usize, i32> {
    let left = u64::try_from(i64::MAX).unwrap_or(u64::MAX).checked_sub(offset);
    let left = usize::try_from(left.ok_or(-code::INVALID)?).unwrap_or(usize::MAX);
    Ok(len.min(left).min(TRANSFER_MAX))
}

/// A read of one call, by io_uring.
#[cfg(target_os = "linux")]
#[inline]
fn submit(place: &mut uring::Place<'_>, room: &mut [MaybeUninit<u8>], offset: u64) -> Start {
    if let Some(refused) = place.terms().refuses(room, offset) {
        return Start::Ready(refused);
    }
    if !place.is_seekable() {
        return Start::Ready(-libc::ESPIPE);
    }
    let len = u32::try_from(room.len()).unwrap_or(u32::MAX);
    let at = room.as_mut_ptr().cast();
    let registered = place.registered_memory(room);
    place.submit_file(|fd| match registered {
        None => opcode::Read::new(fd, at, len).offset(offset).build(),
        Some(memory) => opcode::ReadFixed::new(fd, at, len, memory).offset(offset).build(),
    })
}

/// A read of one call: of what is in memory at once, or else by the pool.
#[cfg(unix)]
fn read(place: &mut readiness::Place<'_>, room: &mut [MaybeUninit<u8>], offset: u64) -> Start {
    if let Some(refused) = place.terms().refuses(room, offset) {
        return Start::Ready(refused);
    }
    if let Some(start) = place.read_cached(room, Some(offset)) {
        return start;
    }
    let (fd, mut room) = (place.lent_fd(), LentMut::new(room));
    place.offload(move || {
        let (read, _rest) = rustix::io::pread(fd, &mut *room, offset)?;
        Ok(read.len())
    })
}

pub(crate) struct ReadAt<B> {
    pub(crate) buf: B,
    pub(crate) offset: u64,
}

impl<B: IoBufMut> ReadAt<B> {
    #[inline]
    fn room(&mut self) -> Result<&mut [MaybeUninit<u8>], i32> {
        match room(&mut self.buf) {
            // Zero bytes would read as the end of the file.
            [] => Err(NO_ROOM),
            room => {
                let len = span(room.len(), self.offset)?;
                Ok(&mut room[..len])
            }
        }
    }
}

impl<B: IoBufMut> Operation for ReadAt<B> {
    type Output = (B, io::Result<usize>);
    const DIRECTION: Direction = Direction::None;

    #[cfg(target_os = "linux")]
    #[inline]
    fn uring(&mut self, place: &mut uring::Place<'_>) -> Start {
        let offset = self.offset;
        self.room().map_or_else(Start::Ready, |room| submit(place, room, offset))
    }

    #[cfg(unix)]
    fn readiness(&mut self, place: &mut readiness::Place<'_>) -> Start {
        let offset = self.offset;
        self.room().map_or_else(Start::Ready, |room| read(place, room, offset))
    }

    #[cfg(windows)]
    fn iocp(&mut self, place: &mut iocp::Place<'_>) -> Start {
        let offset = self.offset;
        self.room().map_or_else(Start::Ready, |room| place.read_at(room, offset))
    }

    fn sim(&mut self, place: &mut sim::Place<'_>) -> Start {
        let offset = self.offset;
        let room = self.room();
        room.map_or_else(Start::Ready, |room| place.read_file(room, Some(offset)))
    }

    fn step(&mut self, result: i32) -> Step {
        Step::Done(result)
    }

    fn finish(mut self, _io: &Io, result: io::Result<u32>) -> Self::Output {
        let result = result.map(|count| written(&mut self.buf, count));
        (self.buf, result)
    }

    fn discard(self, _result: i32) {}
}

pub(crate) struct ReadExactAt<B> {
    buf: B,
    wanted: usize,
    offset: u64,
    read: usize,
}

impl<B: IoBufMut> ReadExactAt<B> {
    pub(crate) fn new(buf: B, wanted: usize, offset: u64) -> ReadExactAt<B> {
        ReadExactAt { buf, wanted, offset, read: 0 }
    }

    /// Where the bytes go that are to come, and from where in the file; or the result, when there
    /// is nothing to read.
    fn rest(&mut self) -> Result<(&mut [MaybeUninit<u8>], u64), i32> {
        let skip = if self.buf.is_growing() { 0 } else { self.read };
        let left = self.wanted - self.read;
        if left == 0 {
            return Err(0);
        }
        let offset = self.offset.saturating_add(self.read as u64);
        let rest = room(&mut self.buf).get_mut(skip..).and_then(|room| room.get_mut(..left));
        let rest = rest.ok_or(NO_ROOM)?;
        let len = span(left, offset)?;
        Ok((&mut rest[..len], offset))
    }
}

impl<B: IoBufMut> Operation for ReadExactAt<B> {
    type Output = (B, io::Result<()>);
    const DIRECTION: Direction = Direction::None;

    #[cfg(target_os = "linux")]
    fn uring(&mut self, place: &mut uring::Place<'_>) -> Start {
        self.rest().map_or_else(Start::Ready, |(room, offset)| submit(place, room, offset))
    }

    #[cfg(unix)]
    fn readiness(&mut self, place: &mut readiness::Place<'_>) -> Start {
        self.rest().map_or_else(Start::Ready, |(room, offset)| read(place, room, offset))
    }

    #[cfg(windows)]
    fn iocp(&mut self, place: &mut iocp::Place<'_>) -> Start {
        self.rest().map_or_else(Start::Ready, |(room, offset)| place.read_at(room, offset))
    }

    fn sim(&mut self, place: &mut sim::Place<'_>) -> Start {
        let rest = self.rest();
        rest.map_or_else(Start::Ready, |(room, offset)| place.read_file(room, Some(offset)))
    }

    fn step(&mut self, result: i32) -> Step {
        if self.read > 0 && what_is_misaligned(result).is_some() {
            // A direct read moves whole blocks, but for the last one of a file (P52).
            return Step::Done(UNEXPECTED_END);
        }
        if result < 0 || self.read == self.wanted {
            return Step::Done(result);
        }
        if result == 0 {
            return Step::Done(UNEXPECTED_END);
        }
        let count = result.unsigned_abs();
        assert!(count as usize <= self.wanted - self.read, "no more than was asked for");
        self.read += written(&mut self.buf, count);
        if self.read == self.wanted { Step::Done(0) } else { Step::Again }
    }

    fn finish(self, _io: &Io, result: io::Result<u32>) -> Self::Output {
        let ReadExactAt { buf, wanted, read, .. } = self;
        let result = result.map(drop).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => io::Error::new(error.kind(), Ended { read, wanted }),
            _ => error,
        });
        (buf, result)
    }

    fn discard(self, _result: i32) {}
}

/// A file ended within what was to be read (P58).
#[derive(Debug)]
struct Ended {
    read: usize,
    wanted: usize,
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the file ended after {} of {} bytes", self.read, self.wanted)
    }
}

impl std::error::Error for Ended {}
