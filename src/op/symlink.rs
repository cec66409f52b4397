//! Making a symbolic link.
//!
//! Sources: symlink(2), io_uring_prep_symlinkat(3), kernel 5.15+; CreateSymbolicLinkW in Microsoft's documentation.

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
use crate::fs::path::CPath;
#[cfg(windows)]
use crate::fs::system;
use crate::offload::Lent;
#[cfg(unix)]
use crate::offload::LentFd;

pub(crate) struct Symlink {
    paths: io::Result<(CPath, CPath)>,
}

impl Symlink {
    /// What the link says, and where it is.
    pub(crate) fn new(original: io::Result<CPath>, link: io::Result<CPath>) -> Symlink {
        Symlink { paths: original.and_then(|original| Ok((original, link?))) }
    }
}

#[cfg(unix)]
fn call(
    directory: LentFd,
    (original, link): &(CPath, CPath),
) -> impl FnMut() -> io::Result<usize> + Send + 'static {
    let (original, link) = (Lent::new(original.as_c_str()), Lent::new(link.as_c_str()));
    move || Ok(rustix::fs::symlinkat(&*original, directory, &*link).map(|()| 0)?)
}

impl Operation for Symlink {
    type Output = io::Result<()>;
    const DIRECTION: Direction = Direction::None;

    #[cfg(target_os = "linux")]
    fn uring(&mut self, place: &mut uring::Place<'_>) -> Start {
        let Ok(paths) = &self.paths else { return Start::Ready(0) };
        if !place.has(opcode::SymlinkAt::CODE) {
            return place.offload(call(place.lent_directory(), paths));
        }
        let (original, link) = (paths.0.as_c_str().as_ptr(), paths.1.as_c_str().as_ptr());
        let directory = types::Fd(place.directory());
        place.submit(opcode::SymlinkAt::new(directory, original, link).build())
    }

    #[cfg(unix)]
    fn readiness(&mut self, place: &mut readiness::Place<'_>) -> Start {
        let Ok(paths) = &self.paths else { return Start::Ready(0) };
        place.offload(call(place.lent_directory(), paths))
    }

    #[cfg(windows)]
    fn iocp(&mut self, place: &mut iocp::Place<'_>) -> Start {
        let Ok((original, link)) = &self.paths else { return Start::Ready(0) };
        let (original, link) = (Lent::new(original), Lent::new(link));
        let directory = place.directory();
        place.offload(move || system::symlink(&original, directory, &link).map(|()| 0))
    }

    fn sim(&mut self, place: &mut sim::Place<'_>) -> Start {
        let Ok((original, link)) = &self.paths else { return Start::Ready(0) };
        place.symlink(original, link)
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
