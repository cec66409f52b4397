//! Closing a handle, once nothing is pending on it (the loop sees to that), with a result.
//!
//! Never retried on `EINTR`: on Linux the descriptor is gone either way. A socket that lingers is closed
//! on the pool. Sources: close(2), socket(7), "SO_LINGER".

use std::io;

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
#[cfg(target_os = "linux")]
use crate::net::{borrow, system};

pub(crate) struct Close;

impl Operation for Close {
    type Output = io::Result<()>;
    const DIRECTION: Direction = Direction::None;

    #[cfg(target_os = "linux")]
    fn uring(&mut self, place: &mut uring::Place<'_>) -> Start {
        // The kernel closes on the thread that enters the ring.
        if system::close_waits(&borrow(&place.fd)) {
            return place.close_on_pool();
        }
        place.submit(opcode::Close::new(types::Fd(place.fd)).build())
    }

    #[cfg(unix)]
    fn readiness(&mut self, place: &mut readiness::Place<'_>) -> Start {
        place.close()
    }

    fn sim(&mut self, place: &mut sim::Place<'_>) -> Start {
        place.close()
    }

    #[cfg(windows)]
    fn iocp(&mut self, place: &mut iocp::Place<'_>) -> Start {
        place.close()
    }

    fn step(&mut self, result: i32) -> Step {
        Step::Done(result)
    }

    fn finish(self, _io: &Io, result: io::Result<u32>) -> Self::Output {
        result.map(drop)
    }

    fn discard(self, _result: i32) {}
}
