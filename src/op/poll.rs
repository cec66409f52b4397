//! Waiting until a descriptor can be read or written, for what the table does not have.
//!
//! Sources: poll(2), io_uring_prep_poll_add(3).
//!
//! Where readiness is all there is, poll(2) still says what is ready: it knows descriptors that the
//! system's poller does not take, such as regular files (P72), and what an edge did not tell.

use std::io;

#[cfg(target_os = "linux")]
use io_uring::{opcode, types};

use super::{Direction, Operation, Start, Step};
use crate::Io;
use crate::driver::readiness::{self, Interest};
#[cfg(target_os = "linux")]
use crate::driver::uring;

pub(crate) struct Poll {
    pub(crate) interest: Interest,
}

impl Poll {
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
        let events = u32::from(self.events().unsigned_abs());
        place.submit(opcode::PollAdd::new(types::Fd(place.fd), events).build())
    }

    fn readiness(&mut self, place: &mut readiness::Place<'_>) -> Start {
        match place.poll(self.events()) {
            0 => Start::Await(self.interest),
            result => Start::Ready(result),
        }
    }

    fn step(&mut self, result: i32) -> Step {
        Step::Done(result)
    }

    fn finish(self, _io: &Io, result: io::Result<u32>) -> Self::Output {
        result.map(drop)
    }

    fn discard(self, _result: i32) {}
}
