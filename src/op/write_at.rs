//! Writing to a file at an offset: once, or until all of it is written.
//!
//! Sources: pwrite(2), io_uring_prep_write(3), io_uring_prep_write_fixed(3); WriteFile in Microsoft's
//! documentation.

use std::io;

#[cfg(target_os = "linux")]
use io_uring::opcode;

use super::read_at::span;
use super::{Direction, Operation, Start, Step};
use crate::buf::bytes;
#[cfg(windows)]
use crate::driver::iocp;
#[cfg(unix)]
use crate::driver::readiness;
use crate::driver::sim;
#[cfg(target_os = "linux")]
use crate::driver::uring;
use crate::error::{WROTE_NOTHING, code};
#[cfg(unix)]
use crate::fs::Terms;
#[cfg(unix)]
use crate::offload::Lent;
use crate::{Io, IoBuf};

/// What one call at `offset` may write of these bytes; or the result, where it can be nothing.
fn part(bytes: &[u8], offset: u64) -> Result<&[u8], i32> {
    match span(bytes.len(), offset)? {
        // Beyond the largest offset; no file is that long.
        0 if !bytes.is_empty() => Err(-code::TOO_LARGE),
        len => Ok(&bytes[..len]),
    }
}

/// The result, where the file does not take this write.
#[cfg(unix)]
fn refused(terms: Terms, bytes: &[u8], offset: u64) -> Option<i32> {
    terms.failed().or_else(|| terms.refuses(bytes, offset))
}

/// A write of one call, by io_uring.
#[cfg(target_os = "linux")]
fn submit(place: &mut uring::Place<'_>, bytes: &[u8], offset: u64) -> Start {
    if let Some(refused) = refused(place.terms(), bytes, offset) {
        return Start::Ready(refused);
    }
    if !place.is_seekable() {
        return Start::Ready(-libc::ESPIPE);
    }
    let len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    let at = bytes.as_ptr();
    let registered = place.registered_memory(bytes);
    place.submit_file(|fd| match registered {
        None => opcode::Write::new(fd, at, len).offset(offset).build(),
        Some(memory) => opcode::WriteFixed::new(fd, at, len, memory).offset(offset).build(),
    })
}

/// A write of one call, by the pool.
#[cfg(unix)]
fn offload(place: &mut readiness::Place<'_>, bytes: &[u8], offset: u64) -> Start {
    if let Some(refused) = refused(place.terms(), bytes, offset) {
        return Start::Ready(refused);
    }
    let (fd, bytes) = (place.lent_fd(), Lent::new(bytes));
    place.offload(move || Ok(rustix::io::pwrite(fd, &bytes, offset)?))
}

pub(crate) struct WriteAt<B> {
    pub(crate) buf: B,
    pub(crate) offset: u64,
}

impl<B: IoBuf> Operation for WriteAt<B> {
    type Output = (B, io::Result<usize>);
    const DIRECTION: Direction = Direction::None;

    #[cfg(target_os = "linux")]
    fn uring(&mut self, place: &mut uring::Place<'_>) -> Start {
        let part = part(bytes(&self.buf), self.offset);
        part.map_or_else(Start::Ready, |part| submit(place, part, self.offset))
    }

    #[cfg(unix)]
    fn readiness(&mut self, place: &mut readiness::Place<'_>) -> Start {
        let part = part(bytes(&self.buf), self.offset);
        part.map_or_else(Start::Ready, |part| offload(place, part, self.offset))
    }

    #[cfg(windows)]
    fn iocp(&mut self, place: &mut iocp::Place<'_>) -> Start {
        let part = part(bytes(&self.buf), self.offset);
        part.map_or_else(Start::Ready, |part| place.write_at(part, self.offset))
    }

    fn sim(&mut self, place: &mut sim::Place<'_>) -> Start {
        let part = part(bytes(&self.buf), self.offset);
        part.map_or_else(Start::Ready, |part| place.write_file(part, Some(self.offset)))
    }

    fn step(&mut self, result: i32) -> Step {
        Step::Done(result)
    }

    fn finish(self, _io: &Io, result: io::Result<u32>) -> Self::Output {
        (self.buf, result.map(|count| count as usize))
    }

    fn discard(self, _result: i32) {}
}

pub(crate) struct WriteAllAt<B> {
    buf: B,
    offset: u64,
    written: usize,
}

impl<B: IoBuf> WriteAllAt<B> {
    pub(crate) fn new(buf: B, offset: u64) -> WriteAllAt<B> {
        WriteAllAt { buf, offset, written: 0 }
    }

    /// What is to be written yet, and where to; or the result, when that is nothing.
    fn rest(&self) -> Result<(&[u8], u64), i32> {
        let offset = self.offset.saturating_add(self.written as u64);
        match &bytes(&self.buf)[self.written..] {
            [] if self.written > 0 => Err(0),
            rest => Ok((part(rest, offset)?, offset)),
        }
    }
}

impl<B: IoBuf> Operation for WriteAllAt<B> {
    type Output = (B, io::Result<()>);
    const DIRECTION: Direction = Direction::None;

    #[cfg(target_os = "linux")]
    fn uring(&mut self, place: &mut uring::Place<'_>) -> Start {
        self.rest().map_or_else(Start::Ready, |(rest, offset)| submit(place, rest, offset))
    }

    #[cfg(unix)]
    fn readiness(&mut self, place: &mut readiness::Place<'_>) -> Start {
        self.rest().map_or_else(Start::Ready, |(rest, offset)| offload(place, rest, offset))
    }

    #[cfg(windows)]
    fn iocp(&mut self, place: &mut iocp::Place<'_>) -> Start {
        self.rest().map_or_else(Start::Ready, |(rest, offset)| place.write_at(rest, offset))
    }

    fn sim(&mut self, place: &mut sim::Place<'_>) -> Start {
        let rest = self.rest();
        rest.map_or_else(Start::Ready, |(rest, offset)| place.write_file(rest, Some(offset)))
    }

    fn step(&mut self, result: i32) -> Step {
        let left = self.buf.len() - self.written;
        if result < 0 || left == 0 {
            return Step::Done(result.min(0));
        }
        if result == 0 {
            // A device that takes nothing would be asked for ever.
            return Step::Done(WROTE_NOTHING);
        }
        self.written += result.unsigned_abs() as usize;
        assert!(self.written <= self.buf.len(), "a driver never writes more than there is");
        if self.written == self.buf.len() { Step::Done(0) } else { Step::Again }
    }

    fn finish(self, _io: &Io, result: io::Result<u32>) -> Self::Output {
        (self.buf, result.map(drop))
    }

    fn discard(self, _result: i32) {}
}
