//! Reading a file into several buffers and writing it from several, at an offset.
//!
//! Sources: preadv(2), pwritev(2), io_uring_prep_readv(3), io_uring_prep_writev(3).
#![cfg_attr(unix, expect(unsafe_code, reason = "calls with vectors"))]

use std::io;
#[cfg(unix)]
use std::os::fd::{AsFd, AsRawFd};

#[cfg(target_os = "linux")]
use io_uring::opcode;

use super::read_at::span;
#[cfg(unix)]
use super::vectored::sized;
use super::vectors::{Left, VECTORS_MAX, Vectors, written_to_all};
use super::{Direction, Operation, Start, Step};
use crate::buf::room;
#[cfg(windows)]
use crate::driver::iocp;
#[cfg(unix)]
use crate::driver::readiness;
use crate::driver::sim;
#[cfg(target_os = "linux")]
use crate::driver::uring;
use crate::error::{NO_ROOM, WROTE_NOTHING, code};
use crate::fs::Terms;
#[cfg(unix)]
use crate::fs::system::read_vectored_cached;
#[cfg(unix)]
use crate::offload::Lent;
use crate::{Io, IoBuf, IoBufMut};

/// How the kernel takes an offset that [`span`] has let through.
#[cfg(unix)]
fn signed(offset: u64) -> libc::off_t {
    libc::off_t::try_from(offset).unwrap_or(libc::off_t::MAX)
}

pub(crate) struct ReadVectoredAt<B> {
    bufs: Vec<B>,
    offset: u64,
    vectors: Vectors,
}

impl<B: IoBufMut> ReadVectoredAt<B> {
    pub(crate) fn new(bufs: Vec<B>, offset: u64) -> ReadVectoredAt<B> {
        ReadVectoredAt { bufs, offset, vectors: Vectors::new() }
    }

    /// Names the room; or says the result, where there is none that the file takes.
    fn describe(&mut self, terms: Terms) -> Result<&Vectors, i32> {
        if self.bufs.iter_mut().all(|buf| buf.writable().1 == 0) {
            // Zero bytes would read as the end of the file.
            return Err(NO_ROOM);
        }
        self.vectors.name_room(&mut self.bufs, span(usize::MAX, self.offset)?);
        self.vectors.refused(terms, self.offset).map_or(Ok(&self.vectors), Err)
    }
}

impl<B: IoBufMut> Operation for ReadVectoredAt<B> {
    type Output = (Vec<B>, io::Result<usize>);
    const DIRECTION: Direction = Direction::None;

    #[cfg(target_os = "linux")]
    fn uring(&mut self, place: &mut uring::Place<'_>) -> Start {
        let offset = self.offset;
        let (vectors, count) = match self.describe(place.terms()) {
            Ok(_) if !place.is_seekable() => return Start::Ready(-libc::ESPIPE),
            Ok(vectors) => vectors.as_raw(),
            Err(result) => return Start::Ready(result),
        };
        let count = count.cast_unsigned();
        place.submit_file(|fd| opcode::Readv::new(fd, vectors, count).offset(offset).build())
    }

    #[cfg(unix)]
    fn readiness(&mut self, place: &mut readiness::Place<'_>) -> Start {
        let (fd, offset) = (place.lent_fd(), self.offset);
        let vectors = match self.describe(place.terms()) {
            Ok(vectors) => vectors,
            Err(result) => return Start::Ready(result),
        };
        let start = place.attempt_cached(vectors.len(), |file| {
            // SAFETY: the vectors name room in the operation's buffers, which nobody else uses now.
            unsafe { read_vectored_cached(file, vectors.as_raw(), vectors.len(), Some(offset)) }
        });
        if let Some(start) = start {
            return start;
        }
        let (vectors, offset) = (Lent::new(vectors), signed(offset));
        place.offload(move || {
            let (vectors, count) = vectors.as_raw();
            // SAFETY: the vectors name room in the operation's buffers, which nobody else uses
            // during the call (lent.rs, I1, I2).
            sized(unsafe { libc::preadv(fd.as_fd().as_raw_fd(), vectors, count, offset) })
        })
    }

    #[cfg(windows)]
    fn iocp(&mut self, place: &mut iocp::Place<'_>) -> Start {
        let offset = self.offset;
        match self.describe(place.terms()) {
            Ok(vectors) => place.read_vectored_at(vectors, offset),
            Err(result) => Start::Ready(result),
        }
    }

    fn sim(&mut self, place: &mut sim::Place<'_>) -> Start {
        let offset = self.offset;
        if let Err(result) = self.describe(place.terms()) {
            return Start::Ready(result);
        }
        let rooms = self.bufs.iter_mut().map(room).filter(|room| !room.is_empty());
        place.read_file_vectored(&mut rooms.take(VECTORS_MAX), offset)
    }

    fn step(&mut self, result: i32) -> Step {
        Step::Done(result)
    }

    fn finish(mut self, _io: &Io, result: io::Result<u32>) -> Self::Output {
        let result = result.map(|count| written_to_all(&mut self.bufs, count));
        (self.bufs, result)
    }

    fn discard(self, _result: i32) {}
}

pub(crate) struct WriteVectoredAt<B> {
    left: Left<B>,
    offset: u64,
    /// Whether to go on until all is written.
    all: bool,
    vectors: Vectors,
}

impl<B: IoBuf> WriteVectoredAt<B> {
    pub(crate) fn new(bufs: Vec<B>, offset: u64, all: bool) -> WriteVectoredAt<B> {
        WriteVectoredAt { left: Left::new(bufs), offset, all, vectors: Vectors::new() }
    }

    /// Names what is to be written yet, and says where to; or the result, where that cannot be.
    fn describe(&mut self, terms: Terms) -> Result<(&Vectors, u64), i32> {
        let offset = self.offset.saturating_add(self.left.done as u64);
        self.vectors.name_bytes(&self.left, span(usize::MAX, offset)?);
        if self.vectors.len() == 0 && !self.left.is_nothing() {
            // Beyond the largest offset; no file is that long.
            return Err(-code::TOO_LARGE);
        }
        let refused = terms.failed().or_else(|| self.vectors.refused(terms, offset));
        refused.map_or(Ok((&self.vectors, offset)), Err)
    }
}

impl<B: IoBuf> Operation for WriteVectoredAt<B> {
    type Output = (Vec<B>, io::Result<usize>);
    const DIRECTION: Direction = Direction::None;

    #[cfg(target_os = "linux")]
    fn uring(&mut self, place: &mut uring::Place<'_>) -> Start {
        let ((vectors, count), offset) = match self.describe(place.terms()) {
            Ok(_) if !place.is_seekable() => return Start::Ready(-libc::ESPIPE),
            Ok((vectors, offset)) => (vectors.as_raw(), offset),
            Err(result) => return Start::Ready(result),
        };
        let count = count.cast_unsigned();
        place.submit_file(|fd| opcode::Writev::new(fd, vectors, count).offset(offset).build())
    }

    #[cfg(unix)]
    fn readiness(&mut self, place: &mut readiness::Place<'_>) -> Start {
        let fd = place.lent_fd();
        let (vectors, offset) = match self.describe(place.terms()) {
            Ok((vectors, offset)) => (Lent::new(vectors), signed(offset)),
            Err(result) => return Start::Ready(result),
        };
        place.offload(move || {
            let (vectors, count) = vectors.as_raw();
            // SAFETY: the vectors name bytes of the operation's buffers, which nobody changes
            // during the call (lent.rs, I1, I2).
            sized(unsafe { libc::pwritev(fd.as_fd().as_raw_fd(), vectors, count, offset) })
        })
    }

    #[cfg(windows)]
    fn iocp(&mut self, place: &mut iocp::Place<'_>) -> Start {
        match self.describe(place.terms()) {
            Ok((vectors, offset)) => place.write_vectored_at(vectors, offset),
            Err(result) => Start::Ready(result),
        }
    }

    fn sim(&mut self, place: &mut sim::Place<'_>) -> Start {
        let offset = match self.describe(place.terms()) {
            Ok((_vectors, offset)) => offset,
            Err(result) => return Start::Ready(result),
        };
        let (pieces, count) = self.left.pieces();
        place.write_file_vectored(&pieces[..count], offset)
    }

    fn step(&mut self, result: i32) -> Step {
        if result < 0 || self.left.is_nothing() {
            return Step::Done(result);
        }
        if result == 0 && self.all {
            // A device that takes nothing would be asked for ever.
            return Step::Done(WROTE_NOTHING);
        }
        self.left.advance(result.unsigned_abs() as usize);
        if self.all && !self.left.is_nothing() { Step::Again } else { Step::Done(0) }
    }

    fn finish(self, _io: &Io, result: io::Result<u32>) -> Self::Output {
        let Left { bufs, done, .. } = self.left;
        (bufs, result.map(|_| done))
    }

    fn discard(self, _result: i32) {}
}
