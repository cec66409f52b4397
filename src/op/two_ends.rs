//! What operations have in common that move bytes between two descriptors: they are pending on the
//! one that the bytes go to, and have a duplicate of the other one.

use std::io;

#[cfg(target_os = "linux")]
use io_uring::{opcode, types};

use super::Step;
#[cfg(target_os = "linux")]
use super::{Start, retry::Backoff};
use crate::Io;
#[cfg(target_os = "linux")]
use crate::driver::uring;
use crate::handle::Source;
#[cfg(unix)]
use crate::offload::LentFd;
use crate::raw::RawFd;

/// Most bytes of one call: a peer that takes them as fast as they come must not keep a thread. With
/// twice as many, files to 64 peers went a tenth slower, and with half as many to one peer
/// (docs/performance.md).
const CALL_MAX: u64 = 1 << 19;

/// How far an operation has come.
pub(super) struct Progress {
    pub(super) moved: u64,
    pub(super) left: u64,
    /// Until nothing is left.
    all: bool,
}

impl Progress {
    pub(super) fn new(count: u64, all: bool) -> Progress {
        Progress { moved: 0, left: count, all }
    }

    /// How many bytes the next call may move, where there is so much room.
    pub(super) fn count(&self, room: usize) -> usize {
        usize::try_from(self.left.min(CALL_MAX)).unwrap_or(usize::MAX).min(room)
    }

    /// Takes a call's result into account, which is no error.
    pub(super) fn step(&mut self, result: i32) -> Step {
        let count = u64::from(result.unsigned_abs());
        assert!(count <= self.left, "no more than was asked for");
        self.moved += count;
        self.left -= count;
        // Nothing was moved: the source has ended.
        if self.all && self.left > 0 && count > 0 { Step::Again } else { Step::Done(0) }
    }
}

/// What the bytes come from: a duplicate, so that the caller can close its own meanwhile, and a
/// handle of its own, so that it can be waited for.
pub(super) struct From {
    /// Closes the descriptor when the row is dropped.
    #[cfg_attr(windows, expect(dead_code, reason = "its drop is all that is wanted"))]
    handle: Source,
    pub(super) fd: RawFd,
}

impl From {
    pub(super) fn new(io: &Io, source: &Source) -> io::Result<From> {
        let fd = source.duplicate()?.into_raw_fd();
        Ok(From { handle: Source::new(io, fd), fd })
    }

    /// The number of its handle.
    #[cfg(unix)]
    pub(super) fn handle(&self) -> u32 {
        self.handle.number()
    }

    /// The descriptor, for a call on the pool: the row that lends it stays until that is over.
    #[cfg(unix)]
    pub(super) fn lent_fd(&self) -> LentFd {
        LentFd::new(self.fd)
    }
}

/// Waits by io_uring until there is room for what is to go.
///
/// io_uring asks for the end of what comes in as well, whatever it is asked for (io_uring/poll.c,
/// `IO_POLL_UNMASK`): where a peer sends no more, every wait for room is over at once. A peer that
/// reads nothing either would have the loop spin; so after one wait in vain a timer has to do.
#[cfg(target_os = "linux")]
pub(super) struct RoomWait {
    backoff: Backoff,
    /// A wait is over, and there is no room.
    in_vain: bool,
}

#[cfg(target_os = "linux")]
impl RoomWait {
    pub(super) fn new(io: &Io) -> RoomWait {
        RoomWait { backoff: Backoff::new(io), in_vain: false }
    }

    pub(super) fn start(&mut self, place: &mut uring::Place<'_>) -> Start {
        if std::mem::replace(&mut self.in_vain, true) {
            return self.backoff.pause();
        }
        await_events(place, place.fd, libc::POLLOUT)
    }

    /// There is room.
    pub(super) fn is_over(&mut self) {
        self.in_vain = false;
        self.backoff.reset();
    }
}

/// Waits by io_uring for one of two descriptors.
#[cfg(target_os = "linux")]
pub(super) fn await_events(place: &mut uring::Place<'_>, fd: RawFd, events: i16) -> Start {
    let events = u32::from(events.unsigned_abs());
    place.submit(opcode::PollAdd::new(types::Fd(fd), events).build())
}
