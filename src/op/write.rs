//! Writing to a descriptor of any kind, where it stands: once, or until all is written.
//!
//! A pipe or a socket that nobody reads is an `EPIPE`, never a signal (P35): io_uring is told so
//! from Linux 6.18 on (`RWF_NOSIGNAL`), though there it raised none without the flag either. Before,
//! pipe_write in fs/pipe.c signals whoever runs it, which may be the loop's thread; so a write to a
//! socket is a send there, and to a pipe it is made by hand, and io_uring only waits.
//!
//! Sources: write(2), pwritev2(2), io_uring_prep_write(3), pipe(7).

use std::io;

#[cfg(target_os = "linux")]
use io_uring::{opcode, types};

use super::read::Asked;
#[cfg(target_os = "linux")]
use super::read::{OWN_POSITION, aside};
#[cfg(target_os = "linux")]
use super::recv::clamp;
use super::{Direction, Operation, Start, Step};
use crate::buf::bytes;
use crate::driver::readiness;
use crate::driver::sim;
#[cfg(target_os = "linux")]
use crate::driver::uring;
use crate::error::WROTE_NOTHING;
#[cfg(target_os = "linux")]
use crate::net::attempt::{Attempt, write_on_pool};
#[cfg(target_os = "linux")]
use crate::net::system::{self, Kind};
#[cfg(target_os = "linux")]
use crate::offload::LentFd;
use crate::{Io, IoBuf};

/// A write of one call, of some bytes.
#[cfg(target_os = "linux")]
fn submit(place: &mut uring::Place<'_>, bytes: &[u8], asked: &mut Asked) -> Start {
    if let Some(failed) = place.terms().failed() {
        return Start::Ready(failed);
    }
    let kind = system::kind(LentFd::new(place.fd));
    let has_flag = place.features().write_no_signal;
    if !has_flag && kind == Kind::Pipe {
        return by_hand(place, bytes, asked);
    }
    if asked.waits_first() {
        return wait(place);
    }
    let (fd, at, len) = (types::Fd(place.fd), bytes.as_ptr(), clamp(bytes.len()));
    let of_datagrams = place.carries_datagrams();
    if of_datagrams || (!has_flag && kind == Kind::Socket) {
        // A datagram that waits in the kernel may not be sent as it is (tries.rs): it waits here.
        let flags = system::SEND_FLAGS | if of_datagrams { libc::MSG_DONTWAIT } else { 0 };
        return place.submit(opcode::Send::new(fd, at, len).flags(flags).build());
    }
    let flags = if has_flag { system::NO_SIGNAL } else { 0 };
    let entry = opcode::Write::new(fd, at, len).offset(OWN_POSITION).rw_flags(flags);
    place.submit(entry.build().flags(aside(kind)))
}

#[cfg(target_os = "linux")]
fn wait(place: &mut uring::Place<'_>) -> Start {
    let events = u32::from(libc::POLLOUT.unsigned_abs());
    place.submit(opcode::PollAdd::new(types::Fd(place.fd), events).build())
}

#[cfg(target_os = "linux")]
fn by_hand(place: &mut uring::Place<'_>, bytes: &[u8], asked: &mut Asked) -> Start {
    match Attempt::write(place.fd, bytes) {
        Attempt::Done(result) => Start::Ready(result),
        Attempt::WouldBlock => {
            *asked = Asked::Wait;
            wait(place)
        }
        Attempt::MayBlock => {
            *asked = Asked::Nothing;
            place.offload(write_on_pool(place.fd, bytes))
        }
    }
}

pub(crate) struct Write<B> {
    buf: B,
    asked: Asked,
}

impl<B: IoBuf> Write<B> {
    pub(crate) fn new(buf: B) -> Write<B> {
        Write { buf, asked: Asked::Nothing }
    }
}

impl<B: IoBuf> Operation for Write<B> {
    type Output = (B, io::Result<usize>);
    const DIRECTION: Direction = Direction::Out;

    #[cfg(target_os = "linux")]
    fn uring(&mut self, place: &mut uring::Place<'_>) -> Start {
        match bytes(&self.buf) {
            // What the kinds of descriptors make of nothing differs.
            [] => Start::Ready(0),
            bytes => submit(place, bytes, &mut self.asked),
        }
    }

    fn readiness(&mut self, place: &mut readiness::Place<'_>) -> Start {
        match bytes(&self.buf) {
            [] => Start::Ready(0),
            bytes => place.write(bytes),
        }
    }

    fn sim(&mut self, place: &mut sim::Place<'_>) -> Start {
        match bytes(&self.buf) {
            [] => Start::Ready(0),
            bytes if place.is_file() => place.write_file(bytes, None),
            bytes => place.send(bytes),
        }
    }

    fn step(&mut self, result: i32) -> Step {
        if self.asked.has_waited(result) { Step::Again } else { Step::Done(result) }
    }

    fn finish(self, _io: &Io, result: io::Result<u32>) -> Self::Output {
        (self.buf, result.map(|count| count as usize))
    }

    fn discard(self, _result: i32) {}
}

pub(crate) struct WriteAll<B> {
    buf: B,
    written: usize,
    asked: Asked,
}

impl<B: IoBuf> WriteAll<B> {
    pub(crate) fn new(buf: B) -> WriteAll<B> {
        WriteAll { buf, written: 0, asked: Asked::Nothing }
    }
}

impl<B: IoBuf> Operation for WriteAll<B> {
    type Output = (B, io::Result<()>);
    const DIRECTION: Direction = Direction::Out;

    #[cfg(target_os = "linux")]
    fn uring(&mut self, place: &mut uring::Place<'_>) -> Start {
        match &bytes(&self.buf)[self.written..] {
            [] => Start::Ready(0),
            rest => submit(place, rest, &mut self.asked),
        }
    }

    fn readiness(&mut self, place: &mut readiness::Place<'_>) -> Start {
        match &bytes(&self.buf)[self.written..] {
            [] => Start::Ready(0),
            rest => place.write(rest),
        }
    }

    fn sim(&mut self, place: &mut sim::Place<'_>) -> Start {
        match &bytes(&self.buf)[self.written..] {
            [] => Start::Ready(0),
            rest if place.is_file() => place.write_file(rest, None),
            rest => place.send(rest),
        }
    }

    fn step(&mut self, result: i32) -> Step {
        if self.asked.has_waited(result) {
            return Step::Again;
        }
        let left = self.buf.len() - self.written;
        if result < 0 || left == 0 {
            return Step::Done(result);
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
