//! Removing a file, or an empty directory.
//!
//! Sources: unlinkat(2), io_uring_prep_unlinkat(3), kernel 5.11+; FILE_DISPOSITION_INFORMATION_EX in
//! Microsoft's documentation.

use std::io;

#[cfg(target_os = "linux")]
use io_uring::{opcode, types};

#[cfg(unix)]
use rustix::fs::AtFlags;

use super::{Direction, Operation, Start, Step};
use crate::Io;
#[cfg(windows)]
use crate::driver::iocp;
#[cfg(unix)]
use crate::driver::readiness;
use crate::driver::sim;
#[cfg(target_os = "linux")]
use crate::driver::uring;
use crate::fs::path::CPath;
#[cfg(windows)]
use crate::fs::system;
use crate::offload::Lent;
#[cfg(unix)]
use crate::offload::LentFd;

pub(crate) struct Remove {
    pub(crate) path: io::Result<CPath>,
    /// A directory, and nothing else.
    pub(crate) directory: bool,
}

#[cfg(unix)]
impl Remove {
    fn flags(&self) -> AtFlags {
        if self.directory { AtFlags::REMOVEDIR } else { AtFlags::empty() }
    }
}

#[cfg(unix)]
fn call(
    directory: LentFd,
    path: &CPath,
    flags: AtFlags,
) -> impl FnMut() -> io::Result<usize> + Send + 'static {
    let path = Lent::new(path.as_c_str());
    move || Ok(rustix::fs::unlinkat(directory, &*path, flags).map(|()| 0)?)
}

impl Operation for Remove {
    type Output = io::Result<()>;
    const DIRECTION: Direction = Direction::None;

    #[cfg(target_os = "linux")]
    fn uring(&mut self, place: &mut uring::Place<'_>) -> Start {
        let flags = self.flags();
        let Ok(path) = &self.path else { return Start::Ready(0) };
        if !place.has(opcode::UnlinkAt::CODE) {
            return place.offload(call(place.lent_directory(), path, flags));
        }
        let (directory, path) = (types::Fd(place.directory()), path.as_c_str().as_ptr());
        let flags = flags.bits().cast_signed();
        place.submit(opcode::UnlinkAt::new(directory, path).flags(flags).build())
    }

    #[cfg(unix)]
    fn readiness(&mut self, place: &mut readiness::Place<'_>) -> Start {
        let flags = self.flags();
        let Ok(path) = &self.path else { return Start::Ready(0) };
        place.offload(call(place.lent_directory(), path, flags))
    }

    #[cfg(windows)]
    fn iocp(&mut self, place: &mut iocp::Place<'_>) -> Start {
        let Ok(path) = &self.path else { return Start::Ready(0) };
        let (directory, path, is_directory) = (place.directory(), Lent::new(path), self.directory);
        place.offload(move || system::remove(directory, &path, is_directory).map(|()| 0))
    }

    fn sim(&mut self, place: &mut sim::Place<'_>) -> Start {
        let Ok(path) = &self.path else { return Start::Ready(0) };
        place.remove(path, self.directory)
    }

    fn step(&mut self, result: i32) -> Step {
        Step::Done(result)
    }

    fn finish(self, _io: &Io, result: io::Result<u32>) -> Self::Output {
        self.path?;
        result.map(drop)
    }

    fn discard(self, _result: i32) {}
}
