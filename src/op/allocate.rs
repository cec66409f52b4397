//! Having the file system reserve room for a file.
//!
//! Sources: fallocate(2), io_uring_prep_fallocate(3), kernel 5.6+; posix_fallocate(2) of FreeBSD,
//! `F_PREALLOCATE` in fcntl(2) of macOS, FILE_ALLOCATION_INFO in Microsoft's documentation.

use std::io;

#[cfg(target_os = "linux")]
use io_uring::{opcode, types};

use super::{Direction, Operation, Start, Step};
#[cfg(windows)]
use crate::driver::iocp;
#[cfg(unix)]
use crate::driver::readiness;
use crate::driver::sim;
#[cfg(target_os = "linux")]
use crate::driver::uring;
use crate::fs::system;
use crate::offload::LentFd;
use crate::{Allocation, Io};

#[derive(Clone, Copy)]
pub(crate) struct Allocate {
    pub(crate) offset: u64,
    pub(crate) len: u64,
    pub(crate) allocation: Allocation,
}

impl Allocate {
    fn call(self, fd: LentFd) -> impl FnMut() -> io::Result<usize> + Send + 'static {
        let Allocate { offset, len, allocation } = self;
        move || system::allocate(fd, offset, len, allocation).map(|()| 0)
    }
}

impl Operation for Allocate {
    type Output = io::Result<()>;
    const DIRECTION: Direction = Direction::None;

    #[cfg(target_os = "linux")]
    fn uring(&mut self, place: &mut uring::Place<'_>) -> Start {
        if let Some(failed) = place.terms().failed() {
            return Start::Ready(failed);
        }
        if !place.has(opcode::Fallocate::CODE) {
            return place.offload(self.call(place.lent_fd()));
        }
        let mode = system::allocation_flags(self.allocation).bits().cast_signed();
        let entry = opcode::Fallocate::new(types::Fd(place.fd), self.len);
        place.submit(entry.offset(self.offset).mode(mode).build())
    }

    #[cfg(unix)]
    fn readiness(&mut self, place: &mut readiness::Place<'_>) -> Start {
        if let Some(failed) = place.terms().failed() {
            return Start::Ready(failed);
        }
        place.offload(self.call(place.lent_fd()))
    }

    #[cfg(windows)]
    fn iocp(&mut self, place: &mut iocp::Place<'_>) -> Start {
        if let Some(failed) = place.terms().failed() {
            return Start::Ready(failed);
        }
        if place.has_no_offsets() {
            return Start::Ready(-system::NOT_SEEKABLE);
        }
        place.offload(self.call(place.lent_fd()))
    }

    fn sim(&mut self, place: &mut sim::Place<'_>) -> Start {
        if let Some(failed) = place.terms().failed() {
            return Start::Ready(failed);
        }
        place.allocate_file(self.offset, self.len, self.allocation == Allocation::Grow)
    }

    fn step(&mut self, result: i32) -> Step {
        Step::Done(result)
    }

    fn finish(self, _io: &Io, result: io::Result<u32>) -> Self::Output {
        result.map(drop)
    }

    fn discard(self, _result: i32) {}
}
