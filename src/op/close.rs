//! Closing a handle, once nothing is pending on it (the loop sees to that), with a result.
//!
//! Never retried on `EINTR`: on Linux the descriptor is gone either way. Source: close(2).

use std::io;

use io_uring::{opcode, types};

use super::{Direction, Operation, Place, Start, Step};
use crate::Io;

pub(crate) struct Close;

impl Operation for Close {
    type Output = io::Result<()>;
    const DIRECTION: Direction = Direction::None;

    fn uring(&mut self, place: &Place<'_>) -> Start {
        Start::Entry(opcode::Close::new(types::Fd(place.fd)).build())
    }

    fn step(&mut self, result: i32) -> Step {
        Step::Done(result)
    }

    fn finish(self, _io: &Io, result: io::Result<u32>) -> Self::Output {
        result.map(drop)
    }

    fn discard(self, _result: i32) {}
}
