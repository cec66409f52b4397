//! Writing a part of what the system holds of a file to the disk.
//!
//! Sources: sync_file_range(2), io_uring_prep_sync_file_range(3), kernel 5.2+.

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

#[derive(Clone, Copy)]
pub(crate) struct SyncRange {
    pub(crate) offset: u64,
    pub(crate) len: u64,
}

impl SyncRange {
    /// The result, where no file has such a range, or a sync of this one has failed.
    fn refused(self, terms: Terms) -> Option<Start> {
        let end = self.offset.checked_add(self.len).map(i64::try_from);
        let beyond = (!matches!(end, Some(Ok(_)))).then_some(-code::INVALID);
        terms.failed().or(beyond).map(Start::Ready)
    }

    fn call(self, fd: LentFd) -> impl FnMut() -> io::Result<usize> + Send + 'static {
        move || system::sync_range(fd, self.offset, self.len).map(|()| 0)
    }
}

impl Operation for SyncRange {
    type Output = io::Result<()>;
    const DIRECTION: Direction = Direction::None;

    #[cfg(target_os = "linux")]
    fn uring(&mut self, place: &mut uring::Place<'_>) -> Start {
        if let Some(refused) = self.refused(place.terms()) {
            return refused;
        }
        match u32::try_from(self.len) {
            Ok(len) if place.has(opcode::SyncFileRange::CODE) => {
                let entry = opcode::SyncFileRange::new(types::Fd(place.fd), len);
                place.submit(entry.offset(self.offset).flags(system::SYNC_RANGE_FLAGS).build())
            }
            // An entry has 32 bits for the length.
            _ => place.offload(self.call(place.lent_fd())),
        }
    }

    #[cfg(unix)]
    fn readiness(&mut self, place: &mut readiness::Place<'_>) -> Start {
        self.refused(place.terms()).unwrap_or_else(|| place.offload(self.call(place.lent_fd())))
    }

    #[cfg(windows)]
    fn iocp(&mut self, place: &mut iocp::Place<'_>) -> Start {
        if place.has_no_offsets() {
            return Start::Ready(-system::NOT_SEEKABLE);
        }
        self.refused(place.terms()).unwrap_or_else(|| place.offload(self.call(place.lent_fd())))
    }

    fn sim(&mut self, place: &mut sim::Place<'_>) -> Start {
        self.refused(place.terms()).unwrap_or_else(|| place.sync_file_range())
    }

    fn step(&mut self, result: i32) -> Step {
        Step::Done(result)
    }

    fn finish(self, _io: &Io, result: io::Result<u32>) -> Self::Output {
        result.map(drop)
    }

    fn discard(self, _result: i32) {}
}
