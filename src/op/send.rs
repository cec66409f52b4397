//! Sending from a buffer of the caller's: once, or until all of it is taken.
//!
//! The first attempt is made while the entry is submitted: `MSG_DONTWAIT` keeps it from waiting
//! for room, `MSG_WAITALL` makes a short send one that posts a completion (5.12+), so that silence
//! means that all of it was taken. What is left then waits for room as long as it takes.
//!
//! `MSG_NOSIGNAL` on every send: a peer that is gone is an `EPIPE`, never a signal.
//! Sources: send(2), io_uring_prep_send(3), `IOSQE_CQE_SKIP_SUCCESS` in io_uring_enter(2).

use std::io;

use io_uring::squeue::Flags;
use io_uring::{opcode, types};

use super::recv::clamp;
use super::{Direction, Operation, Place, Start, Step};
use crate::{Io, IoBuf};

/// An attempt to send `len` bytes from `at`; `tried` says whether it is not the first one.
#[inline]
fn attempt(place: &Place, at: *const u8, len: u32, flags: i32, tried: &mut bool) -> Start {
    let entry = opcode::Send::new(types::Fd(place.fd), at, len);
    let flags = flags | libc::MSG_NOSIGNAL;
    if !place.features.skip_success || std::mem::replace(tried, true) {
        return Start::Entry(entry.flags(flags).build());
    }
    let entry = entry.flags(flags | libc::MSG_DONTWAIT | libc::MSG_WAITALL).build();
    Start::Inline(entry.flags(Flags::SKIP_SUCCESS), len.cast_signed())
}

pub(crate) struct Send<B> {
    pub(crate) buf: B,
    pub(crate) tried: bool,
}

impl<B: IoBuf> Operation for Send<B> {
    type Output = (B, io::Result<usize>);
    const DIRECTION: Direction = Direction::Out;

    #[inline]
    fn uring(&mut self, place: &Place) -> Start {
        let len = clamp(self.buf.len());
        attempt(place, self.buf.as_ptr(), len, 0, &mut self.tried)
    }

    #[inline]
    fn step(&mut self, result: i32) -> Step {
        Step::Done(result)
    }

    #[inline]
    fn finish(self, _io: &Io, result: io::Result<u32>) -> Self::Output {
        (self.buf, result.map(|count| count as usize))
    }

    fn discard(self, _result: i32) {}
}

pub(crate) struct SendAll<B> {
    pub(crate) buf: B,
    pub(crate) sent: usize,
    pub(crate) tried: bool,
}

impl<B: IoBuf> Operation for SendAll<B> {
    type Output = (B, io::Result<()>);
    const DIRECTION: Direction = Direction::Out;

    #[inline]
    fn uring(&mut self, place: &Place) -> Start {
        let left = self.buf.len() - self.sent;
        if left == 0 {
            return Start::Ready(0);
        }
        let at = self.buf.as_ptr().wrapping_add(self.sent);
        // MSG_WAITALL lets the kernel go on after a short send by itself (5.19+); older kernels
        // ignore it, and `step` sees to the rest.
        attempt(place, at, clamp(left), libc::MSG_WAITALL, &mut self.tried)
    }

    #[inline]
    fn step(&mut self, result: i32) -> Step {
        if result < 0 {
            return Step::Done(result);
        }
        self.sent += result.unsigned_abs() as usize;
        assert!(self.sent <= self.buf.len(), "a driver never sends more than there is");
        if self.sent == self.buf.len() { Step::Done(0) } else { Step::Again }
    }

    #[inline]
    fn finish(self, _io: &Io, result: io::Result<u32>) -> Self::Output {
        (self.buf, result.map(drop))
    }

    fn discard(self, _result: i32) {}
}
