//! What the system knows of a file: of a handle, or of a path.
//!
//! Sources: statx(2), io_uring_prep_statx(3), kernel 5.6+; stat(2) elsewhere;
//! GetFileInformationByHandleEx in Microsoft's documentation.
#![expect(unsafe_code, reason = "the kernel writes the record")]

use std::io;
use std::mem::MaybeUninit;

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
use crate::fs::path::CPath;
use crate::fs::system::{self, RawMetadata};
use crate::offload::{Lent, LentFd, LentMut};
use crate::{Io, Metadata};

/// The handle, or where the path starts.
#[cfg(unix)]
type From = LentFd;
#[cfg(windows)]
type From = Option<LentFd>;

pub(crate) struct Stat {
    /// The path, or nothing for the handle itself.
    path: io::Result<Option<CPath>>,
    /// Whether to go where the last link of the path leads.
    follow: bool,
    raw: MaybeUninit<RawMetadata>,
    /// What a simulated system knows.
    simulated: Option<Box<Metadata>>,
}

impl Stat {
    pub(crate) fn new(path: io::Result<Option<CPath>>, follow: bool) -> Stat {
        Stat { path, follow, raw: MaybeUninit::uninit(), simulated: None }
    }

    /// Its call; the path has no error.
    fn call(&mut self, fd: From) -> impl FnMut() -> io::Result<usize> + Send + 'static {
        let path = self.path.as_ref().ok().and_then(Option::as_ref);
        #[cfg(unix)]
        let path = path.map(CPath::as_c_str);
        let path = path.map(Lent::new);
        let (follow, mut raw) = (self.follow, LentMut::new(&mut self.raw));
        move || {
            raw.write(system::stat(fd, path.as_deref(), follow)?);
            Ok(0)
        }
    }
}

impl Operation for Stat {
    type Output = io::Result<Metadata>;
    const DIRECTION: Direction = Direction::None;

    #[cfg(target_os = "linux")]
    fn uring(&mut self, place: &mut uring::Place<'_>) -> Start {
        let Ok(path) = &self.path else { return Start::Ready(0) };
        if !place.has(opcode::Statx::CODE) {
            return place.offload(self.call(place.lent_directory()));
        }
        let (path, flags) = system::stat_of(path.as_ref().map(CPath::as_c_str), self.follow);
        let (directory, raw) = (types::Fd(place.directory()), self.raw.as_mut_ptr());
        let entry = opcode::Statx::new(directory, path.as_ptr(), raw.cast());
        let flags = flags.bits().cast_signed();
        place.submit(entry.flags(flags).mask(system::STAT_MASK.bits()).build())
    }

    #[cfg(unix)]
    fn readiness(&mut self, place: &mut readiness::Place<'_>) -> Start {
        if self.path.is_err() {
            return Start::Ready(0);
        }
        place.offload(self.call(place.lent_directory()))
    }

    #[cfg(windows)]
    fn iocp(&mut self, place: &mut iocp::Place<'_>) -> Start {
        if self.path.is_err() {
            return Start::Ready(0);
        }
        place.offload(self.call(place.directory()))
    }

    fn sim(&mut self, place: &mut sim::Place<'_>) -> Start {
        let Ok(path) = &self.path else { return Start::Ready(0) };
        place.stat(path.as_ref(), self.follow, &mut self.simulated)
    }

    fn step(&mut self, result: i32) -> Step {
        Step::Done(result)
    }

    fn finish(self, _io: &Io, result: io::Result<u32>) -> Self::Output {
        self.path?;
        result?;
        if let Some(metadata) = self.simulated {
            return Ok(*metadata);
        }
        // SAFETY: a call that succeeded has written all of it (statx(2), stat(2)).
        Ok(system::metadata(unsafe { self.raw.assume_init_ref() }))
    }

    fn discard(self, _result: i32) {}
}
