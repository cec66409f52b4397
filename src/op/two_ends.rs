//! What operations have in common that move bytes between two descriptors: they are pending on the
//! one that the bytes go to, and have a duplicate of the other one.

use std::io;
use std::os::fd::{IntoRawFd, RawFd};
#[cfg(target_os = "linux")]
use std::time::Duration;

#[cfg(target_os = "linux")]
use io_uring::{opcode, types};

#[cfg(target_os = "linux")]
use super::Start;
use crate::Io;
#[cfg(target_os = "linux")]
use crate::driver::uring;
use crate::handle::Source;
use crate::offload::LentFd;

/// The first pause where a wait for room is in vain; each is twice as long as the one before.
#[cfg(target_os = "linux")]
const PAUSE_MIN: Duration = Duration::from_millis(1);
#[cfg(target_os = "linux")]
const PAUSE_MAX: Duration = Duration::from_millis(32);

/// What the bytes come from: a duplicate, so that the caller can close its own meanwhile, and a
/// handle of its own, so that it can be waited for.
pub(super) struct From {
    /// Closes the descriptor when the row is dropped.
    handle: Source,
    pub(super) fd: RawFd,
}

impl From {
    pub(super) fn new(io: &Io, source: &Source) -> io::Result<From> {
        let fd = source.duplicate()?.into_raw_fd();
        Ok(From { handle: Source::new(io, fd), fd })
    }

    /// The number of its handle.
    pub(super) fn handle(&self) -> u32 {
        self.handle.number()
    }

    /// The descriptor, for a call on the pool: the row that lends it stays until that is over.
    pub(super) fn lent_fd(&self) -> LentFd {
        LentFd::new(self.fd)
    }
}

/// Waits by io_uring until there is room for what is to go.
///
/// io_uring asks for the end of what comes in as well, whatever it is asked for (io_uring/poll.c,
/// `IO_POLL_UNMASK`): where a peer sends no more, every wait for room is over at once. A peer that
/// reads nothing either would have the loop spin; so after one wait in vain a timer has to do.
#[derive(Default)]
#[cfg(target_os = "linux")]
pub(super) struct RoomWait {
    pause: Option<Duration>,
}

#[cfg(target_os = "linux")]
impl RoomWait {
    pub(super) fn start(&mut self, place: &mut uring::Place<'_>, from: &From) -> Start {
        if let Some(pause) = self.pause {
            self.pause = Some(PAUSE_MAX.min(pause * 2));
            return Start::Timer(from.handle.deadline_ns(pause));
        }
        self.pause = Some(PAUSE_MIN);
        await_events(place, place.fd, libc::POLLOUT)
    }

    /// There is room.
    pub(super) fn is_over(&mut self) {
        self.pause = None;
    }
}

/// Waits by io_uring for one of two descriptors.
#[cfg(target_os = "linux")]
pub(super) fn await_events(place: &mut uring::Place<'_>, fd: RawFd, events: i16) -> Start {
    let events = u32::from(events.unsigned_abs());
    place.submit(opcode::PollAdd::new(types::Fd(fd), events).build())
}
