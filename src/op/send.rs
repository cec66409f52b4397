//! Sending from a buffer of the caller's: once, or until all of it is taken.
//!
//! The first attempt is made while the entry is submitted: `MSG_DONTWAIT` keeps it from waiting
//! for room, `MSG_WAITALL` makes a short send one that posts a completion (5.12+), so that silence
//! means that all of it was taken. What is left then waits for room as long as it takes.
//!
//! `MSG_NOSIGNAL` on every send: a peer that is gone is an `EPIPE`, never a signal.
//! Sources: send(2), io_uring_prep_send(3), `IOSQE_CQE_SKIP_SUCCESS` in io_uring_enter(2).

use std::io;

#[cfg(target_os = "linux")]
use io_uring::squeue::Flags;
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
use crate::handle::HandleId;
use crate::{Io, IoBuf};

/// Bytes to send, in one go.
#[cfg(target_os = "linux")]
struct Bytes {
    at: *const u8,
    len: u32,
    flags: i32,
    /// Whether a callback waits for it.
    awaited: bool,
}

/// An attempt to send; `tried` says whether it is not the first one, `tries` how those after it go.
#[cfg(target_os = "linux")]
#[inline(always)]
fn attempt(
    place: &mut uring::Place<'_>,
    bytes: &Bytes,
    tried: &mut bool,
    tries: &mut Tries,
) -> Start {
    let &Bytes { at, len, flags, awaited } = bytes;
    let flags = flags | libc::MSG_NOSIGNAL;
    if !place.features().skip_success || std::mem::replace(tried, true) {
        return attempt_again(place.for_a_call(), &Bytes { at, len, flags, awaited }, tries);
    }
    tries.tried = true;
    let entry = opcode::Send::new(types::Fd(place.fd), at, len);
    let entry = entry.flags(flags | libc::MSG_DONTWAIT | libc::MSG_WAITALL).build();
    place.submit_inline(entry.flags(Flags::SKIP_SUCCESS), len.cast_signed(), awaited)
}

#[cfg(target_os = "linux")]
#[inline(never)]
fn attempt_again(mut place: uring::Place<'_>, bytes: &Bytes, tries: &mut Tries) -> Start {
    let entry = opcode::Send::new(types::Fd(place.fd), bytes.at, bytes.len);
    tries.submit(&mut place, |more| entry.flags(bytes.flags | more).build())
}

/// Tries to send what is left of a buffer; where nothing is, all is done.
#[cfg(unix)]
#[inline(always)]
pub(crate) fn send_rest(rest: &[u8], place: &mut readiness::Place<'_>) -> Start {
    match rest {
        [] => Start::Ready(0),
        rest => place.send(rest),
    }
}

pub(crate) struct Send<B> {
    pub(crate) buf: B,
    #[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "only io_uring asks"))]
    pub(crate) tried: bool,
    pub(crate) tries: Tries,
}

impl<B: IoBuf> Operation for Send<B> {
    type Output = (B, io::Result<usize>);
    const DIRECTION: Direction = Direction::Out;

    #[cfg(target_os = "linux")]
    #[inline(always)]
    fn uring(&mut self, place: &mut uring::Place<'_>) -> Start {
        let (at, len) = (self.buf.as_ptr(), clamp(self.buf.len()));
        let bytes = Bytes { at, len, flags: 0, awaited: true };
        attempt(place, &bytes, &mut self.tried, &mut self.tries)
    }

    #[cfg(unix)]
    #[inline(always)]
    fn readiness(&mut self, place: &mut readiness::Place<'_>) -> Start {
        place.send(bytes(&self.buf))
    }

    fn sim(&mut self, place: &mut sim::Place<'_>) -> Start {
        place.send(bytes(&self.buf))
    }

    #[cfg(windows)]
    #[inline(always)]
    fn iocp(&mut self, place: &mut iocp::Place<'_>) -> Start {
        place.send(bytes(&self.buf))
    }

    #[inline]
    fn step(&mut self, result: i32) -> Step {
        self.tries.step(result).unwrap_or(Step::Done(result))
    }

    #[inline]
    fn finish(self, _io: &Io, result: io::Result<u32>) -> Self::Output {
        (self.buf, result.map(|count| count as usize))
    }

    fn discard(self, _result: i32) {}
}

pub(crate) struct SendAll<B> {
    buf: B,
    sent: usize,
    #[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "only io_uring asks"))]
    tried: bool,
    tries: Tries,
}

impl<B: IoBuf> SendAll<B> {
    pub(crate) fn new(buf: B) -> SendAll<B> {
        SendAll { buf, sent: 0, tried: false, tries: Tries::default() }
    }

    #[inline]
    fn rest(&self) -> &[u8] {
        &bytes(&self.buf)[self.sent..]
    }

    #[cfg(target_os = "linux")]
    #[inline(always)]
    fn start(&mut self, place: &mut uring::Place<'_>, awaited: bool) -> Start {
        let rest = self.rest();
        if rest.is_empty() {
            return Start::Ready(0);
        }
        let (at, len) = (rest.as_ptr(), clamp(rest.len()));
        // MSG_WAITALL lets the kernel go on after a short send by itself (5.19+); older kernels
        // ignore it, and `step` sees to the rest.
        let bytes = Bytes { at, len, flags: libc::MSG_WAITALL, awaited };
        attempt(place, &bytes, &mut self.tried, &mut self.tries)
    }
}

impl<B: IoBuf> Operation for SendAll<B> {
    type Output = (B, io::Result<()>);
    const DIRECTION: Direction = Direction::Out;

    #[cfg(target_os = "linux")]
    #[inline(always)]
    fn uring(&mut self, place: &mut uring::Place<'_>) -> Start {
        self.start(place, true)
    }

    #[cfg(unix)]
    #[inline(always)]
    fn readiness(&mut self, place: &mut readiness::Place<'_>) -> Start {
        send_rest(self.rest(), place)
    }

    fn sim(&mut self, place: &mut sim::Place<'_>) -> Start {
        place.send_rest(self.rest())
    }

    #[cfg(windows)]
    #[inline(always)]
    fn iocp(&mut self, place: &mut iocp::Place<'_>) -> Start {
        match self.rest() {
            [] => Start::Ready(0),
            rest => place.send(rest),
        }
    }

    #[inline]
    fn step(&mut self, result: i32) -> Step {
        if let Some(step) = self.tries.step(result) {
            return step;
        }
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

/// As [`SendAll`], with nobody to tell.
pub(crate) struct SendDetached<B> {
    all: SendAll<B>,
    /// Nothing may follow on it when this one fails.
    handle: HandleId,
}

impl<B: IoBuf> SendDetached<B> {
    /// Of `buf`, of which the first `sent` bytes are on their way.
    pub(crate) fn new(buf: B, sent: usize, handle: HandleId) -> SendDetached<B> {
        SendDetached { all: SendAll { sent, ..SendAll::new(buf) }, handle }
    }
}

impl<B: IoBuf> Operation for SendDetached<B> {
    type Output = ();
    const DIRECTION: Direction = Direction::Out;

    #[cfg(target_os = "linux")]
    #[inline(always)]
    fn uring(&mut self, place: &mut uring::Place<'_>) -> Start {
        self.all.start(place, false)
    }

    #[cfg(unix)]
    #[inline(always)]
    fn readiness(&mut self, place: &mut readiness::Place<'_>) -> Start {
        self.all.readiness(place)
    }

    fn sim(&mut self, place: &mut sim::Place<'_>) -> Start {
        self.all.sim(place)
    }

    #[cfg(windows)]
    #[inline(always)]
    fn iocp(&mut self, place: &mut iocp::Place<'_>) -> Start {
        self.all.iocp(place)
    }

    #[inline]
    fn step(&mut self, result: i32) -> Step {
        match self.all.step(result) {
            // What follows would close up the gap.
            Step::Done(result) if result < 0 => Step::Broken(result, self.handle),
            step => step,
        }
    }

    #[inline]
    fn finish(self, _io: &Io, _result: io::Result<u32>) {}

    fn discard(self, _result: i32) {}
}
