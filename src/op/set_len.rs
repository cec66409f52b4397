//! Cutting a file, or making it longer.
//!
//! Sources: ftruncate(2), io_uring_prep_ftruncate(3), kernel 6.9+.

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
use crate::error::code;
use crate::fs::{Terms, system};
use crate::offload::LentFd;

pub(crate) struct SetLen {
    pub(crate) len: u64,
}

impl SetLen {
    /// The result, where a sync has failed, or the length is more than any file has.
    fn refused(&self, terms: Terms) -> Option<Start> {
        let too_long = i64::try_from(self.len).is_err().then_some(-code::INVALID);
        terms.failed().or(too_long).map(Start::Ready)
    }

    fn call(&self, fd: LentFd) -> impl FnMut() -> io::Result<usize> + Send + 'static {
        let len = self.len;
        move || system::set_len(fd, len).map(|()| 0)
    }
}

impl Operation for SetLen {
    type Output = io::Result<()>;
    const DIRECTION: Direction = Direction::None;

    #[cfg(target_os = "linux")]
    fn uring(&mut self, place: &mut uring::Place<'_>) -> Start {
        if let Some(refused) = self.refused(place.terms()) {
            return refused;
        }
        if !place.has(opcode::Ftruncate::CODE) {
            return place.offload(self.call(place.lent_fd()));
        }
        place.submit(opcode::Ftruncate::new(types::Fd(place.fd), self.len).build())
    }

    #[cfg(unix)]
    fn readiness(&mut self, place: &mut readiness::Place<'_>) -> Start {
        self.refused(place.terms()).unwrap_or_else(|| place.offload(self.call(place.lent_fd())))
    }

    #[cfg(windows)]
    fn iocp(&mut self, place: &mut iocp::Place<'_>) -> Start {
        if place.has_no_offsets() {
            return Start::Ready(-code::INVALID);
        }
        self.refused(place.terms()).unwrap_or_else(|| place.offload(self.call(place.lent_fd())))
    }

    fn sim(&mut self, place: &mut sim::Place<'_>) -> Start {
        self.refused(place.terms()).unwrap_or_else(|| place.set_file_len(self.len))
    }

    fn step(&mut self, result: i32) -> Step {
        Step::Done(result)
    }

    fn finish(self, _io: &Io, result: io::Result<u32>) -> Self::Output {
        result.map(drop)
    }

    fn discard(self, _result: i32) {}
}
