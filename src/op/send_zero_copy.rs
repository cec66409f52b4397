//! Sending a large buffer without copying it into the kernel.
//!
//! It completes twice: the count first, then the notice that the buffer is free (`F_NOTIF`); the
//! loop waits for the second. On loopback the kernel copies all the same. A kind of socket that
//! cannot (Unix) says `EOPNOTSUPP`, and is sent to as ever.
//! Source: io_uring_prep_send_zc(3), kernel 6.0+.

use std::io;

#[cfg(target_os = "linux")]
use io_uring::{opcode, types};

#[cfg(target_os = "linux")]
use super::recv::clamp;
use super::tries::Tries;
use super::{Direction, Operation, Start, Step};
use crate::buf::bytes;
#[cfg(windows)]
use crate::driver::iocp;
#[cfg(unix)]
use crate::driver::readiness;
use crate::driver::sim;
#[cfg(target_os = "linux")]
use crate::driver::uring;
use crate::error::code;
use crate::{Io, IoBuf};

pub(crate) struct SendZeroCopy<B> {
    buf: B,
    /// The socket cannot do it without a copy.
    copies: bool,
    tries: Tries,
}

impl<B> SendZeroCopy<B> {
    pub(crate) fn new(buf: B) -> SendZeroCopy<B> {
        SendZeroCopy { buf, copies: false, tries: Tries::default() }
    }
}

impl<B: IoBuf> Operation for SendZeroCopy<B> {
    type Output = (B, io::Result<usize>);
    const DIRECTION: Direction = Direction::Out;

    #[cfg(target_os = "linux")]
    fn uring(&mut self, place: &mut uring::Place<'_>) -> Start {
        let (at, len) = (self.buf.as_ptr(), clamp(self.buf.len()));
        let (fd, flags) = (types::Fd(place.fd), libc::MSG_NOSIGNAL);
        if place.features().send_zero_copy && !self.copies {
            return place.submit(opcode::SendZc::new(fd, at, len).flags(flags).build());
        }
        self.tries.submit(place, |more| opcode::Send::new(fd, at, len).flags(flags | more).build())
    }

    #[cfg(unix)]
    fn readiness(&mut self, place: &mut readiness::Place<'_>) -> Start {
        place.send(bytes(&self.buf))
    }

    fn sim(&mut self, place: &mut sim::Place<'_>) -> Start {
        place.send(bytes(&self.buf))
    }

    #[cfg(windows)]
    fn iocp(&mut self, place: &mut iocp::Place<'_>) -> Start {
        place.send(bytes(&self.buf))
    }

    fn step(&mut self, result: i32) -> Step {
        if let Some(step) = self.tries.step(result) {
            return step;
        }
        if result == -code::NOT_SUPPORTED && !std::mem::replace(&mut self.copies, true) {
            return Step::Again;
        }
        Step::Done(result)
    }

    fn finish(self, _io: &Io, result: io::Result<u32>) -> Self::Output {
        (self.buf, result.map(|count| count as usize))
    }

    fn discard(self, _result: i32) {}
}
