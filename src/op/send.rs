//! Sending from a buffer of the caller's: once, or until all of it is taken.
//!
//! `MSG_NOSIGNAL` on every send: a peer that is gone is an `EPIPE`, never a signal.
//! Sources: send(2), io_uring_prep_send(3).

use std::io;
use std::os::fd::RawFd;

use io_uring::{opcode, types};

use super::recv::clamp;
use super::{Direction, Operation, Start, Step};
use crate::{Io, IoBuf};

pub(crate) struct Send<B> {
    pub(crate) buf: B,
}

impl<B: IoBuf> Operation for Send<B> {
    type Output = (B, io::Result<usize>);
    const DIRECTION: Direction = Direction::Out;

    #[inline]
    fn uring(&mut self, fd: RawFd) -> Start {
        let len = clamp(self.buf.len());
        let entry = opcode::Send::new(types::Fd(fd), self.buf.as_ptr(), len);
        Start::Entry(entry.flags(libc::MSG_NOSIGNAL).build())
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
}

impl<B: IoBuf> Operation for SendAll<B> {
    type Output = (B, io::Result<()>);
    const DIRECTION: Direction = Direction::Out;

    #[inline]
    fn uring(&mut self, fd: RawFd) -> Start {
        let left = self.buf.len() - self.sent;
        if left == 0 {
            return Start::Ready(0);
        }
        let at = self.buf.as_ptr().wrapping_add(self.sent);
        let entry = opcode::Send::new(types::Fd(fd), at, clamp(left));
        // MSG_WAITALL lets the kernel go on after a short send by itself (5.19+); older kernels
        // ignore it, and `step` sees to the rest.
        Start::Entry(entry.flags(libc::MSG_NOSIGNAL | libc::MSG_WAITALL).build())
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
