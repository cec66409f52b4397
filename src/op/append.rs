//! Writing to the end of a file, wherever that is.
//!
//! Sources: pwritev2(2) with `RWF_APPEND`, kernel 4.16+; io_uring_prep_write(3); WriteFile in
//! Microsoft's documentation.

use std::io;

#[cfg(target_os = "linux")]
use io_uring::opcode;

use super::recv::TRANSFER_MAX;
use super::{Direction, Operation, Start, Step};
use crate::buf::bytes;
#[cfg(windows)]
use crate::driver::iocp;
#[cfg(unix)]
use crate::driver::readiness;
use crate::driver::sim;
#[cfg(target_os = "linux")]
use crate::driver::uring;
use crate::fs::Terms;
#[cfg(unix)]
use crate::fs::system;
#[cfg(unix)]
use crate::offload::Lent;
use crate::{Io, IoBuf};

pub(crate) struct Append<B> {
    pub(crate) buf: B,
}

impl<B: IoBuf> Append<B> {
    /// What one call may write; or the result, where the file does not take it. Whether its end is
    /// where a direct write may start is for the system to say.
    fn part(&self, terms: Terms) -> Result<&[u8], i32> {
        let bytes = bytes(&self.buf);
        let part = &bytes[..bytes.len().min(TRANSFER_MAX)];
        terms.failed().or_else(|| terms.refuses(part, 0)).map_or(Ok(part), Err)
    }
}

impl<B: IoBuf> Operation for Append<B> {
    type Output = (B, io::Result<usize>);
    const DIRECTION: Direction = Direction::None;

    #[cfg(target_os = "linux")]
    fn uring(&mut self, place: &mut uring::Place<'_>) -> Start {
        let part = match self.part(place.terms()) {
            Ok(_) if !place.is_seekable() => return Start::Ready(-libc::ESPIPE),
            Ok(part) => part,
            Err(result) => return Start::Ready(result),
        };
        let len = u32::try_from(part.len()).unwrap_or(u32::MAX);
        // At an offset, so that the file's own position stays where it is (P18).
        place.submit_file(|fd| {
            opcode::Write::new(fd, part.as_ptr(), len).offset(0).rw_flags(libc::RWF_APPEND).build()
        })
    }

    #[cfg(unix)]
    fn readiness(&mut self, place: &mut readiness::Place<'_>) -> Start {
        let (fd, bytes) = match self.part(place.terms()) {
            Ok(part) => (place.lent_fd(), Lent::new(part)),
            Err(result) => return Start::Ready(result),
        };
        place.offload(move || system::append(fd, &bytes))
    }

    #[cfg(windows)]
    fn iocp(&mut self, place: &mut iocp::Place<'_>) -> Start {
        match self.part(place.terms()) {
            Ok(part) => place.append(part),
            Err(result) => Start::Ready(result),
        }
    }

    fn sim(&mut self, place: &mut sim::Place<'_>) -> Start {
        match self.part(place.terms()) {
            Ok(part) => place.append_file(part),
            Err(result) => Start::Ready(result),
        }
    }

    fn step(&mut self, result: i32) -> Step {
        Step::Done(result)
    }

    fn finish(self, _io: &Io, result: io::Result<u32>) -> Self::Output {
        (self.buf, result.map(|count| count as usize))
    }

    fn discard(self, _result: i32) {}
}
