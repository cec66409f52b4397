//! Waiting until a descriptor can be read or written, for what the table does not have.
//!
//! Sources: poll(2), io_uring_prep_poll_add(3).

use std::io;

use io_uring::{opcode, types};

use super::{Direction, Operation, Place, Start, Step};
use crate::Io;

pub(crate) struct Poll {
    pub(crate) events: i16,
}

impl Operation for Poll {
    type Output = io::Result<()>;
    const DIRECTION: Direction = Direction::None;

    fn uring(&mut self, place: &Place<'_>) -> Start {
        let events = u32::from(self.events.unsigned_abs());
        Start::Entry(opcode::PollAdd::new(types::Fd(place.fd), events).build())
    }

    fn step(&mut self, result: i32) -> Step {
        Step::Done(result)
    }

    fn finish(self, _io: &Io, result: io::Result<u32>) -> Self::Output {
        result.map(drop)
    }

    fn discard(self, _result: i32) {}
}
