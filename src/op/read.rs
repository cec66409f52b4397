//! Reading from a descriptor of any kind, from where it stands: once, or until the buffer is full.
//!
//! io_uring waits by itself, unless the descriptor has `O_NONBLOCK`: then the row asks for a wait.
//! How readiness does it, which may not block and may not change that flag of a descriptor that
//! other processes share, is said in `driver/readiness/place.rs`.
//!
//! Sources: read(2), io_uring_prep_read(3), io_uring_prep_poll_add(3).

use std::io;
#[cfg(target_os = "linux")]
use std::mem::MaybeUninit;

#[cfg(target_os = "linux")]
use io_uring::squeue::Flags;
#[cfg(target_os = "linux")]
use io_uring::{opcode, types};

#[cfg(target_os = "linux")]
use super::recv::clamp;
use super::recv::{RecvExact, written};
use super::{Direction, Operation, Start, Step};
use crate::buf::room;
use crate::driver::readiness;
use crate::driver::sim;
#[cfg(target_os = "linux")]
use crate::driver::uring;
use crate::error::NO_ROOM;
#[cfg(target_os = "linux")]
use crate::net::system::{self, Kind};
#[cfg(target_os = "linux")]
use crate::offload::LentFd;
use crate::{Io, IoBufMut};

/// The file's own position (P18); what has none takes no notice.
#[cfg(target_os = "linux")]
pub(super) const OWN_POSITION: u64 = u64::MAX;

/// What io_uring was asked for last.
///
/// A call on a descriptor with `O_NONBLOCK` ends with `EAGAIN` when it would wait, and the loop
/// starts the operation again: then it must wait first, or it would spin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    Nothing,
    #[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "only io_uring asks"))]
    Call,
    Wait,
}

impl Asked {
    /// Says whether to wait before the next call.
    #[cfg(target_os = "linux")]
    pub(super) fn waits_first(&mut self) -> bool {
        let waits = *self == Asked::Call;
        *self = if waits { Asked::Wait } else { Asked::Call };
        waits
    }

    /// Whether a result is that of a wait, after which the call is made.
    pub(super) fn has_waited(&mut self, result: i32) -> bool {
        std::mem::replace(self, Asked::Nothing) == Asked::Wait && result >= 0
    }
}

/// A read of one call.
#[cfg(target_os = "linux")]
fn submit(place: &mut uring::Place<'_>, room: &mut [MaybeUninit<u8>], asked: &mut Asked) -> Start {
    let fd = types::Fd(place.fd);
    if asked.waits_first() {
        let events = u32::from(libc::POLLIN.unsigned_abs());
        return place.submit(opcode::PollAdd::new(fd, events).build());
    }
    let entry = opcode::Read::new(fd, room.as_mut_ptr().cast(), clamp(room.len()));
    let entry = entry.offset(OWN_POSITION).build();
    place.submit(entry.flags(aside(system::kind(LentFd::new(place.fd)))))
}

/// Keeps what may block off the loop's thread. Where a device is ready, io_uring makes the call while
/// it takes the entry, and asks it not to wait; a terminal does not listen to that (io_uring/rw.c,
/// `io_file_supports_nowait`). A kernel's thread then makes the call, once the device is ready.
#[cfg(target_os = "linux")]
pub(super) fn aside(kind: Kind) -> Flags {
    if kind == Kind::Device { Flags::ASYNC } else { Flags::empty() }
}

pub(crate) struct Read<B> {
    buf: B,
    asked: Asked,
}

impl<B: IoBufMut> Read<B> {
    pub(crate) fn new(buf: B) -> Read<B> {
        Read { buf, asked: Asked::Nothing }
    }
}

impl<B: IoBufMut> Operation for Read<B> {
    type Output = (B, io::Result<usize>);
    const DIRECTION: Direction = Direction::In;

    #[cfg(target_os = "linux")]
    fn uring(&mut self, place: &mut uring::Place<'_>) -> Start {
        match room(&mut self.buf) {
            // Zero bytes would read as the end of the file.
            [] => Start::Ready(NO_ROOM),
            room => submit(place, room, &mut self.asked),
        }
    }

    fn readiness(&mut self, place: &mut readiness::Place<'_>) -> Start {
        match room(&mut self.buf) {
            [] => Start::Ready(NO_ROOM),
            room => place.read(room),
        }
    }

    fn sim(&mut self, place: &mut sim::Place<'_>) -> Start {
        match room(&mut self.buf) {
            [] => Start::Ready(NO_ROOM),
            room if place.is_file() => place.read_file(room, None),
            room => place.recv(room),
        }
    }

    fn step(&mut self, result: i32) -> Step {
        if self.asked.has_waited(result) { Step::Again } else { Step::Done(result) }
    }

    fn finish(mut self, _io: &Io, result: io::Result<u32>) -> Self::Output {
        let result = result.map(|count| written(&mut self.buf, count));
        (self.buf, result)
    }

    fn discard(self, _result: i32) {}
}

pub(crate) struct ReadExact<B> {
    /// What is to come counts as with a receive.
    exact: RecvExact<B>,
    asked: Asked,
}

impl<B: IoBufMut> ReadExact<B> {
    pub(crate) fn new(buf: B, wanted: usize) -> ReadExact<B> {
        ReadExact { exact: RecvExact { buf, wanted, received: 0 }, asked: Asked::Nothing }
    }
}

impl<B: IoBufMut> Operation for ReadExact<B> {
    type Output = (B, io::Result<()>);
    const DIRECTION: Direction = Direction::In;

    #[cfg(target_os = "linux")]
    fn uring(&mut self, place: &mut uring::Place<'_>) -> Start {
        match self.exact.rest() {
            Ok(rest) => submit(place, rest, &mut self.asked),
            Err(result) => Start::Ready(result),
        }
    }

    fn readiness(&mut self, place: &mut readiness::Place<'_>) -> Start {
        match self.exact.rest() {
            Ok(rest) => place.read(rest),
            Err(result) => Start::Ready(result),
        }
    }

    fn sim(&mut self, place: &mut sim::Place<'_>) -> Start {
        match self.exact.rest() {
            Ok(rest) if place.is_file() => place.read_file(rest, None),
            Ok(rest) => place.recv(rest),
            Err(result) => Start::Ready(result),
        }
    }

    fn step(&mut self, result: i32) -> Step {
        if self.asked.has_waited(result) { Step::Again } else { self.exact.step(result) }
    }

    fn finish(self, io: &Io, result: io::Result<u32>) -> Self::Output {
        self.exact.finish(io, result)
    }

    fn discard(self, _result: i32) {}
}
