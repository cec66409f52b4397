//! Shutting down one or both halves of a connection.
//!
//! Sources: shutdown(2), io_uring_prep_shutdown(3), kernel 5.11+.

use std::io;
use std::net::Shutdown as How;

#[cfg(target_os = "linux")]
use io_uring::{opcode, types};

use super::{Direction, Operation, Start, Step};
use crate::Io;
#[cfg(windows)]
use crate::driver::iocp;
#[cfg(unix)]
use crate::driver::readiness;
use crate::driver::sim;
#[cfg(target_os = "linux")]
use crate::driver::uring;

pub(crate) struct Shutdown {
    pub(crate) how: How,
}

impl Operation for Shutdown {
    type Output = io::Result<()>;
    const DIRECTION: Direction = Direction::None;

    #[cfg(target_os = "linux")]
    fn uring(&mut self, place: &mut uring::Place<'_>) -> Start {
        let how = match self.how {
            How::Read => libc::SHUT_RD,
            How::Write => libc::SHUT_WR,
            How::Both => libc::SHUT_RDWR,
        };
        place.submit(opcode::Shutdown::new(types::Fd(place.fd), how).build())
    }

    #[cfg(unix)]
    fn readiness(&mut self, place: &mut readiness::Place<'_>) -> Start {
        let how = self.how;
        Start::Ready(place.call(|socket| socket.shutdown(how).map(|()| 0)))
    }

    fn sim(&mut self, place: &mut sim::Place<'_>) -> Start {
        place.shut_down(self.how)
    }

    #[cfg(windows)]
    fn iocp(&mut self, place: &mut iocp::Place<'_>) -> Start {
        place.shutdown(self.how)
    }

    fn step(&mut self, result: i32) -> Step {
        Step::Done(result)
    }

    fn finish(self, _io: &Io, result: io::Result<u32>) -> Self::Output {
        result.map(drop)
    }

    fn discard(self, _result: i32) {}
}
