//! Writing what the system holds of a file to the disk.
//!
//! One at a time on a handle: of two that run at once the system tells one of a failure, and the
//! other, which succeeds, may be the first to complete (P50). So they queue, as sends do.
//!
//! Sources: fsync(2), io_uring_prep_fsync(3), fcntl(2) of macOS.

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
#[cfg(windows)]
use crate::error::code;
use crate::fs::system;
use crate::handle::HandleId;

pub(crate) struct Sync {
    pub(crate) handle: Option<HandleId>,
    /// Not its times and the like.
    pub(crate) data_only: bool,
}

impl Operation for Sync {
    type Output = io::Result<()>;
    const DIRECTION: Direction = Direction::Out;

    #[cfg(target_os = "linux")]
    fn uring(&mut self, place: &mut uring::Place<'_>) -> Start {
        if let Some(failed) = place.terms().failed() {
            return Start::Ready(failed);
        }
        let mut flags = types::FsyncFlags::empty();
        flags.set(types::FsyncFlags::DATASYNC, self.data_only);
        place.submit_file(|fd| opcode::Fsync::new(fd).flags(flags).build())
    }

    #[cfg(unix)]
    fn readiness(&mut self, place: &mut readiness::Place<'_>) -> Start {
        if let Some(failed) = place.terms().failed() {
            return Start::Ready(failed);
        }
        let (fd, data_only) = (place.lent_fd(), self.data_only);
        place.offload(move || system::sync(fd, data_only).map(|()| 0))
    }

    #[cfg(windows)]
    fn iocp(&mut self, place: &mut iocp::Place<'_>) -> Start {
        if let Some(failed) = place.terms().failed() {
            return Start::Ready(failed);
        }
        if place.has_no_offsets() {
            // A flush of a pipe would wait until its reader has read all (FlushFileBuffers).
            return Start::Ready(-code::INVALID);
        }
        let (fd, data_only) = (place.lent_fd(), self.data_only);
        place.offload(move || system::sync(fd, data_only).map(|()| 0))
    }

    fn sim(&mut self, place: &mut sim::Place<'_>) -> Start {
        match place.terms().failed() {
            Some(failed) => Start::Ready(failed),
            None => place.sync_file(),
        }
    }

    fn step(&mut self, result: i32) -> Step {
        match self.handle {
            Some(handle) if result < 0 => Step::Unsynced(result, handle),
            _ => Step::Done(result),
        }
    }

    fn finish(self, _io: &Io, result: io::Result<u32>) -> Self::Output {
        result.map(drop)
    }

    fn discard(self, _result: i32) {}
}
