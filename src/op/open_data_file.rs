//! Opening or making a data file: on every driver, one call on the pool (`fs/making.rs`,
//! `fs/windows/making.rs`).

use std::io;

use super::accept::held;
use super::{Direction, Operation, Start, Step};
#[cfg(windows)]
use crate::driver::iocp;
#[cfg(unix)]
use crate::driver::readiness;
use crate::driver::sim;
#[cfg(target_os = "linux")]
use crate::driver::uring;
use crate::fs::How;
#[cfg(target_os = "linux")]
use crate::offload::LentFd;
use crate::offload::LentMut;
use crate::{DataFile, Io};

pub(crate) struct OpenDataFile {
    /// What to open, or why there is nothing.
    pub(crate) how: io::Result<How>,
}

impl Operation for OpenDataFile {
    type Output = io::Result<DataFile>;
    const DIRECTION: Direction = Direction::None;

    #[cfg(target_os = "linux")]
    fn uring(&mut self, place: &mut uring::Place<'_>) -> Start {
        let Ok(how) = &mut self.how else { return Start::Ready(0) };
        let (directory, mut how) = (LentFd::new(place.directory()), LentMut::new(how));
        place.offload_open(move || how.call(directory))
    }

    #[cfg(unix)]
    fn readiness(&mut self, place: &mut readiness::Place<'_>) -> Start {
        let Ok(how) = &mut self.how else { return Start::Ready(0) };
        let (directory, mut how) = (place.lent_directory(), LentMut::new(how));
        place.offload_open(move || how.call(directory))
    }

    #[cfg(windows)]
    fn iocp(&mut self, place: &mut iocp::Place<'_>) -> Start {
        let Ok(how) = &mut self.how else { return Start::Ready(0) };
        let (directory, mut how) = (place.directory(), LentMut::new(how));
        place.offload_open(move || how.call(directory))
    }

    fn sim(&mut self, place: &mut sim::Place<'_>) -> Start {
        let Ok(How { path, options, made, failure }) = &mut self.how else {
            return Start::Ready(0);
        };
        place.open_data_file(path, options, made, failure)
    }

    fn step(&mut self, result: i32) -> Step {
        Step::Done(result)
    }

    fn finish(self, io: &Io, result: io::Result<u32>) -> Self::Output {
        let how = self.how?;
        let opened = result.map_err(|error| how.failure.unwrap_or(error))?;
        let file = held(opened.cast_signed()).ok_or(io::ErrorKind::Other)?;
        Ok(DataFile::new(io, file, &how.made))
    }

    fn discard(self, result: i32) {
        if self.how.is_ok() {
            drop(held(result));
        }
    }
}
