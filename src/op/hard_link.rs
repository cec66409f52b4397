//! Giving a file a further name.
//!
//! Sources: link(2), io_uring_prep_linkat(3), kernel 5.15+; FILE_LINK_INFORMATION in Microsoft's documentation.

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
use crate::fs::path::CPaths;
#[cfg(windows)]
use crate::fs::system;
use crate::offload::Lent;
#[cfg(unix)]
use crate::offload::LentFd;

pub(crate) struct HardLink {
    pub(crate) paths: io::Result<CPaths>,
}

#[cfg(unix)]
fn call(directory: LentFd, paths: &CPaths) -> impl FnMut() -> io::Result<usize> + Send + 'static {
    let (from, to) = paths.directories(directory, LentFd::new(libc::AT_FDCWD));
    let (original, link) = (Lent::new(paths.from.as_c_str()), Lent::new(paths.to.as_c_str()));
    // A link that is named is linked to itself, not followed.
    move || Ok(rustix::fs::linkat(from, &*original, to, &*link, AtFlags::empty()).map(|()| 0)?)
}

impl Operation for HardLink {
    type Output = io::Result<()>;
    const DIRECTION: Direction = Direction::None;

    #[cfg(target_os = "linux")]
    fn uring(&mut self, place: &mut uring::Place<'_>) -> Start {
        let Ok(paths) = &self.paths else { return Start::Ready(0) };
        if !place.has(opcode::LinkAt::CODE) {
            return place.offload(call(place.lent_directory(), paths));
        }
        let (from, to) = paths.directories(place.directory(), libc::AT_FDCWD);
        let (original, link) = (paths.from.as_c_str().as_ptr(), paths.to.as_c_str().as_ptr());
        place.submit(opcode::LinkAt::new(types::Fd(from), original, types::Fd(to), link).build())
    }

    #[cfg(unix)]
    fn readiness(&mut self, place: &mut readiness::Place<'_>) -> Start {
        let Ok(paths) = &self.paths else { return Start::Ready(0) };
        place.offload(call(place.lent_directory(), paths))
    }

    #[cfg(windows)]
    fn iocp(&mut self, place: &mut iocp::Place<'_>) -> Start {
        let Ok(paths) = &self.paths else { return Start::Ready(0) };
        let (from, to) = paths.directories(place.directory(), None);
        let (original, link) = (Lent::new(&paths.from), Lent::new(&paths.to));
        place.offload(move || system::hard_link((from, &original), (to, &link)).map(|()| 0))
    }

    fn sim(&mut self, place: &mut sim::Place<'_>) -> Start {
        let Ok(paths) = &self.paths else { return Start::Ready(0) };
        place.hard_link(paths)
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
