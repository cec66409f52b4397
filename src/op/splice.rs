//! Moving bytes from one descriptor to another, without a copy through user space.
//!
//! ```text
//!   has the destination room? ──no──▶ wait until it is writable ────────┐
//!      ▲   │ yes                                                        │
//!      │   has the source bytes, or ended? ──no──▶ wait until it has ───┤
//!      │   │ yes                                                        │
//!      │   └──▶ on the pool: splice, as much as goes now ──▶ done, or the rest
//!      └────────────────────────────────────────────────────────────────┴──┘
//! ```
//!
//! splice(2) reads and writes files, which can block, so it is called on the pool; it must not wait
//! there for either end (P59), nor in a kernel's thread, as io_uring's `SPLICE` does (P16). So it is
//! called when both are ready. How it is kept from waiting all the same is said in
//! `net/system/splice.rs`.
//!
//! The operation is pending on the destination. Of the source it has a duplicate, which is a handle
//! of its own: so it can be waited for, and the caller's can be closed meanwhile.
//!
//! Sources: splice(2), poll(2).

use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};

use super::two_ends::{From, Progress};
#[cfg(target_os = "linux")]
use super::two_ends::{RoomWait, await_events};
use super::{Direction, Operation, Start, Step};
use crate::Io;
use crate::driver::readiness::{self, Interest};
use crate::driver::sim;
#[cfg(target_os = "linux")]
use crate::driver::uring;
use crate::error::{URGENT_DATA, to_raw};
use crate::handle::Source;
use crate::net::system;
use crate::offload::LentFd;

pub(crate) struct Splice {
    /// The source, or why there is none.
    from: io::Result<From>,
    progress: Progress,
    /// The two descriptors are such as splice(2) takes.
    checked: bool,
    /// io_uring was asked to wait, or a timer.
    waiting: bool,
    #[cfg(target_os = "linux")]
    room_wait: RoomWait,
}

/// What to do next.
enum Next {
    AwaitRoom,
    /// From the handle with this number.
    AwaitBytes {
        handle: u32,
        fd: RawFd,
    },
    /// So many bytes at most.
    Move {
        from: LentFd,
        count: usize,
    },
    Nothing,
}

impl Splice {
    pub(crate) fn new(io: &Io, from: &Source, count: u64, all: bool) -> Splice {
        Splice {
            from: system::has_splice().and_then(|()| From::new(io, from)),
            progress: Progress::new(count, all),
            checked: false,
            waiting: false,
            #[cfg(target_os = "linux")]
            room_wait: RoomWait::new(io),
        }
    }

    fn next(&mut self, to: RawFd) -> io::Result<Next> {
        let Ok(from) = &self.from else { return Ok(Next::Nothing) };
        if self.progress.left == 0 {
            return Ok(Next::Nothing);
        }
        if !self.checked {
            system::check_splice(from.fd, to)?;
            self.checked = true;
        }
        let room = system::room_to_splice(to)?;
        if room == 0 {
            return Ok(Next::AwaitRoom);
        }
        // The end of the source, and an error, need no asking.
        if system::poll_now(from.fd, libc::POLLIN)? == 0 {
            return Ok(Next::AwaitBytes { handle: from.handle(), fd: from.fd });
        }
        Ok(Next::Move { from: from.lent_fd(), count: self.progress.count(room) })
    }
}

impl Operation for Splice {
    type Output = io::Result<u64>;
    const DIRECTION: Direction = Direction::Out;

    #[cfg(target_os = "linux")]
    fn uring(&mut self, place: &mut uring::Place<'_>) -> Start {
        if let Some(failed) = place.terms().failed() {
            return Start::Ready(failed);
        }
        let next = self.next(place.fd);
        self.waiting = matches!(next, Ok(Next::AwaitRoom | Next::AwaitBytes { .. }));
        if !matches!(next, Ok(Next::AwaitRoom)) {
            self.room_wait.is_over();
        }
        match next {
            Ok(Next::AwaitRoom) => self.room_wait.start(place),
            Ok(Next::AwaitBytes { fd, .. }) => await_events(place, fd, libc::POLLIN),
            Ok(Next::Move { from, count }) => {
                let to = place.lent_fd();
                place.offload(move || system::splice(from, to, count))
            }
            Ok(Next::Nothing) => Start::Ready(0),
            Err(error) => Start::Ready(to_raw(&error)),
        }
    }

    fn readiness(&mut self, place: &mut readiness::Place<'_>) -> Start {
        if let Some(failed) = place.terms().failed() {
            return Start::Ready(failed);
        }
        let to = place.lent_fd();
        match self.next(to.as_fd().as_raw_fd()) {
            Ok(Next::AwaitRoom) => Start::Await(Interest::Writable),
            Ok(Next::AwaitBytes { handle, fd }) => Start::AwaitBytes { handle, fd },
            Ok(Next::Move { from, count }) => {
                place.offload(move || system::splice(from, to, count))
            }
            Ok(Next::Nothing) => Start::Ready(0),
            Err(error) => Start::Ready(to_raw(&error)),
        }
    }

    fn sim(&mut self, place: &mut sim::Place<'_>) -> Start {
        place.unsupported()
    }

    fn step(&mut self, result: i32) -> Step {
        if result < 0 || self.progress.left == 0 {
            return Step::Done(result);
        }
        if std::mem::take(&mut self.waiting) {
            return Step::Again;
        }
        if let (0, Ok(from)) = (result, &self.from)
            && system::has_urgent_data(from.lent_fd())
        {
            return Step::Done(URGENT_DATA);
        }
        self.progress.step(result)
    }

    fn finish(self, _io: &Io, result: io::Result<u32>) -> Self::Output {
        self.from?;
        result?;
        Ok(self.progress.moved)
    }

    fn discard(self, _result: i32) {}
}
