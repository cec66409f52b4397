//! Giving a file another name, or two each other's.
//!
//! Sources: rename(2), io_uring_prep_renameat(3), kernel 5.11+, renamex_np(2) of macOS;
//! FILE_RENAME_INFORMATION in Microsoft's documentation.

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
use crate::fs::path::CPaths;
use crate::fs::system;
use crate::offload::Lent;
#[cfg(unix)]
use crate::offload::LentFd;
use crate::{Io, Renaming};

pub(crate) struct Rename {
    pub(crate) paths: io::Result<CPaths>,
    pub(crate) renaming: Renaming,
}

#[cfg(unix)]
fn call(
    directory: LentFd,
    paths: &CPaths,
    renaming: Renaming,
) -> impl FnMut() -> io::Result<usize> + Send + 'static {
    let (from_directory, to_directory) = paths.directories(directory, LentFd::new(libc::AT_FDCWD));
    let (from, to) = (Lent::new(paths.from.as_c_str()), Lent::new(paths.to.as_c_str()));
    move || system::rename((from_directory, &from), (to_directory, &to), renaming).map(|()| 0)
}

impl Operation for Rename {
    type Output = io::Result<()>;
    const DIRECTION: Direction = Direction::None;

    #[cfg(target_os = "linux")]
    fn uring(&mut self, place: &mut uring::Place<'_>) -> Start {
        let Ok(paths) = &self.paths else { return Start::Ready(0) };
        if !place.has(opcode::RenameAt::CODE) {
            return place.offload(call(place.lent_directory(), paths, self.renaming));
        }
        let (from, to) = paths.directories(place.directory(), libc::AT_FDCWD);
        let (from, to) = (types::Fd(from), types::Fd(to));
        let (old, new) = (paths.from.as_c_str().as_ptr(), paths.to.as_c_str().as_ptr());
        let flags = system::rename_flags(self.renaming).bits();
        place.submit(opcode::RenameAt::new(from, old, to, new).flags(flags).build())
    }

    #[cfg(unix)]
    fn readiness(&mut self, place: &mut readiness::Place<'_>) -> Start {
        let Ok(paths) = &self.paths else { return Start::Ready(0) };
        place.offload(call(place.lent_directory(), paths, self.renaming))
    }

    #[cfg(windows)]
    fn iocp(&mut self, place: &mut iocp::Place<'_>) -> Start {
        let Ok(paths) = &self.paths else { return Start::Ready(0) };
        let (from, to) = paths.directories(place.directory(), None);
        let (old, new) = (Lent::new(&paths.from), Lent::new(&paths.to));
        let renaming = self.renaming;
        place.offload(move || system::rename((from, &old), (to, &new), renaming).map(|()| 0))
    }

    fn sim(&mut self, place: &mut sim::Place<'_>) -> Start {
        let Ok(paths) = &self.paths else { return Start::Ready(0) };
        place.rename(paths, self.renaming)
    }

    fn step(&mut self, result: i32) -> Step {
        Step::Done(result)
    }

    fn finish(self, _io: &Io, result: io::Result<u32>) -> Self::Output {
        self.paths?;
        result.map(drop)
    }

    fn discard(self, _result: i32) {}
}
