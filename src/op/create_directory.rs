//! Making a directory.
//!
//! Sources: mkdir(2), io_uring_prep_mkdirat(3), kernel 5.15+; NtCreateFile in Microsoft's documentation.

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
use crate::fs::system;
use crate::offload::Lent;
#[cfg(unix)]
use crate::offload::LentFd;

pub(crate) struct CreateDirectory {
    pub(crate) path: io::Result<CPath>,
    pub(crate) mode: u32,
}

#[cfg(unix)]
fn call(
    directory: LentFd,
    path: &CPath,
    mode: u32,
) -> impl FnMut() -> io::Result<usize> + Send + 'static {
    let path = Lent::new(path.as_c_str());
    move || Ok(rustix::fs::mkdirat(directory, &*path, system::mode(mode)).map(|()| 0)?)
}

impl Operation for CreateDirectory {
    type Output = io::Result<()>;
    const DIRECTION: Direction = Direction::None;

    #[cfg(target_os = "linux")]
    fn uring(&mut self, place: &mut uring::Place<'_>) -> Start {
        let Ok(path) = &self.path else { return Start::Ready(0) };
        if !place.has(opcode::MkDirAt::CODE) {
            return place.offload(call(place.lent_directory(), path, self.mode));
        }
        let (directory, path) = (types::Fd(place.directory()), path.as_c_str().as_ptr());
        place.submit(opcode::MkDirAt::new(directory, path).mode(self.mode).build())
    }

    #[cfg(unix)]
    fn readiness(&mut self, place: &mut readiness::Place<'_>) -> Start {
        let Ok(path) = &self.path else { return Start::Ready(0) };
        place.offload(call(place.lent_directory(), path, self.mode))
    }

    #[cfg(windows)]
    fn iocp(&mut self, place: &mut iocp::Place<'_>) -> Start {
        let Ok(path) = &self.path else { return Start::Ready(0) };
        let (directory, path, mode) = (place.directory(), Lent::new(path), self.mode);
        place.offload(move || system::create_directory(directory, &path, mode).map(|()| 0))
    }

    fn sim(&mut self, place: &mut sim::Place<'_>) -> Start {
        let Ok(path) = &self.path else { return Start::Ready(0) };
        place.create_directory(path, self.mode)
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
