//! Waiting until a descriptor can be read or written, for what the table does not have.
//!
//! Sources: poll(2), io_uring_prep_poll_add(3); for Windows see `afd.rs`.
//!
//! Where readiness is all there is, poll(2) still says what is ready: it knows descriptors that the
//! system's poller does not take, such as regular files (P72), and what an edge did not tell. With
//! io_uring it is asked once more: urgent data wakes a poll for what can be read, and is none.

use std::io;

#[cfg(target_os = "linux")]
use io_uring::{opcode, types};

use super::{Direction, Operation, Start, Step};
use crate::Io;
use crate::driver::Interest;
#[cfg(windows)]
use crate::driver::iocp;
#[cfg(unix)]
use crate::driver::readiness;
use crate::driver::sim;
#[cfg(target_os = "linux")]
use crate::driver::uring;
#[cfg(unix)]
use crate::net::system;
#[cfg(unix)]
use crate::raw::RawFd;

pub(crate) struct Poll {
    interest: Interest,
    /// Where io_uring waits.
    #[cfg(unix)]
    waits_on: Option<RawFd>,
}

impl Poll {
    pub(crate) fn new(interest: Interest) -> Poll {
        Poll {
            interest,
            #[cfg(unix)]
            waits_on: None,
        }
    }

    /// io_uring always asks for the end of the stream as well (`EPOLLRDHUP`), and says so of a poll
    /// for room: it would be woken by that again and again, and so is not in vain.
    #[cfg(unix)]
    fn is_woken_in_vain(&self, fd: RawFd) -> bool {
        matches!(system::poll_now(fd, self.events() | system::PEER_ENDED), Ok(0))
    }

    #[cfg(unix)]
    fn events(&self) -> i16 {
        match self.interest {
            Interest::Readable => libc::POLLIN,
            Interest::Writable => libc::POLLOUT,
        }
    }
}

impl Operation for Poll {
    type Output = io::Result<()>;
    const DIRECTION: Direction = Direction::None;

    #[cfg(target_os = "linux")]
    fn uring(&mut self, place: &mut uring::Place<'_>) -> Start {
        self.waits_on = Some(place.fd);
        let events = u32::from(self.events().unsigned_abs());
        place.submit(opcode::PollAdd::new(types::Fd(place.fd), events).build())
    }

    #[cfg(unix)]
    fn readiness(&mut self, place: &mut readiness::Place<'_>) -> Start {
        match place.poll(self.events()) {
            0 => Start::Await(self.interest),
            result => Start::Ready(result),
        }
    }

    fn sim(&mut self, place: &mut sim::Place<'_>) -> Start {
        place.poll(self.interest)
    }

    #[cfg(windows)]
    fn iocp(&mut self, place: &mut iocp::Place<'_>) -> Start {
        place.poll(self.interest)
    }

    fn step(&mut self, result: i32) -> Step {
        #[cfg(windows)]
        return Step::Done(result);
        #[cfg(unix)]
        match self.waits_on {
            Some(fd) if result > 0 && self.is_woken_in_vain(fd) => Step::Again,
            _ => Step::Done(result),
        }
    }

    fn finish(self, _io: &Io, result: io::Result<u32>) -> Self::Output {
        result.map(drop)
    }

    fn discard(self, _result: i32) {}
}
