//! Opening a file.
//!
//! Sources: open(2), openat2(2), io_uring_prep_openat(3), io_uring_prep_openat2(3), kernel 5.6+;
//! NtCreateFile in Microsoft's documentation.

use std::io;

#[cfg(target_os = "linux")]
use io_uring::{opcode, types};
#[cfg(unix)]
use rustix::io::Errno;

use super::accept::held;
use super::{Direction, Operation, Start, Step};
use crate::DirectIo;
#[cfg(unix)]
use crate::driver::readiness;
use crate::driver::sim;
#[cfg(target_os = "linux")]
use crate::driver::uring;
#[cfg(windows)]
use crate::driver::{DriverKind, iocp};
use crate::fs::path::CPath;
use crate::fs::system;
#[cfg(windows)]
use crate::fs::system::Opening;
use crate::offload::Lent;
#[cfg(unix)]
use crate::offload::LentFd;
#[cfg(unix)]
use crate::raw::OwnedFd;
use crate::{File, Io, OpenOptions};

pub(crate) struct Open {
    /// What to open, or why there is nothing.
    how: io::Result<How>,
}

#[cfg(unix)]
struct How {
    path: CPath,
    flags: i32,
    mode: u32,
    /// What the path may not lead through (openat2(2)); zero for no limits.
    resolve: u64,
    direct: DirectIo,
    /// All of that, where io_uring reads it.
    #[cfg(target_os = "linux")]
    raw: types::OpenHow,
}

/// The path, and how the system is to open it, or a simulated host.
#[cfg(windows)]
struct How {
    path: CPath,
    /// None, on a simulated host.
    opening: Option<Opening>,
    flags: i32,
    mode: u32,
    resolve: u64,
    direct: DirectIo,
}

#[cfg(windows)]
impl Open {
    pub(crate) fn new(io: &Io, path: io::Result<CPath>, options: &OpenOptions) -> Open {
        let is_simulated = io.core.driver.kind == DriverKind::Sim;
        let (mode, resolve) = (options.permissions(), options.resolve());
        let how = path.and_then(|path| {
            let flags = options.flags()?;
            let (opening, direct) = match is_simulated {
                true => (None, options.wants_direct()),
                false => (Some(options.opening()?), options.has_direct()),
            };
            Ok(How { path, opening, flags, mode, resolve, direct })
        });
        Open { how }
    }
}

#[cfg(unix)]
impl Open {
    pub(crate) fn new(_io: &Io, path: io::Result<CPath>, options: &OpenOptions) -> Open {
        let (mode, resolve) = (options.permissions(), options.resolve());
        let how = path.and_then(|path| {
            let flags = options.flags()?;
            #[cfg(target_os = "linux")]
            let raw = types::OpenHow::new();
            Ok(How {
                path,
                flags,
                mode,
                resolve,
                direct: options.wants_direct(),
                #[cfg(target_os = "linux")]
                raw,
            })
        });
        Open { how }
    }
}

#[cfg(unix)]
impl How {
    fn call(&self, directory: LentFd) -> impl FnMut() -> Result<OwnedFd, Errno> + Send + 'static {
        let path = Lent::new(self.path.as_c_str());
        let (flags, mode, resolve) = (self.flags, self.mode, self.resolve);
        move || system::open(directory, &path, flags, mode, resolve)
    }
}

impl Operation for Open {
    type Output = io::Result<File>;
    const DIRECTION: Direction = Direction::None;

    #[cfg(target_os = "linux")]
    fn uring(&mut self, place: &mut uring::Place<'_>) -> Start {
        let Ok(how) = &mut self.how else { return Start::Ready(0) };
        let (directory, path) = (types::Fd(place.directory()), how.path.as_c_str().as_ptr());
        if how.resolve == 0 {
            let entry = opcode::OpenAt::new(directory, path).flags(how.flags).mode(how.mode);
            return place.submit(entry.build());
        }
        if !place.has(opcode::OpenAt2::CODE) {
            return place.offload_open(how.call(place.lent_directory()));
        }
        let (flags, mode) = system::open_how(how.flags, how.mode);
        how.raw = types::OpenHow::new().flags(flags).mode(mode).resolve(how.resolve);
        place.submit(opcode::OpenAt2::new(directory, path, &raw const how.raw).build())
    }

    #[cfg(unix)]
    fn readiness(&mut self, place: &mut readiness::Place<'_>) -> Start {
        let Ok(how) = &self.how else { return Start::Ready(0) };
        place.offload_open(how.call(place.lent_directory()))
    }

    #[cfg(windows)]
    fn iocp(&mut self, place: &mut iocp::Place<'_>) -> Start {
        let Ok(How { path, opening: Some(opening), .. }) = &self.how else {
            return Start::Ready(0);
        };
        let (directory, path, opening) = (place.directory(), Lent::new(path), *opening);
        place.offload_open(move || system::open_for_caller(directory, &path, opening))
    }

    fn sim(&mut self, place: &mut sim::Place<'_>) -> Start {
        let Ok(how) = &self.how else { return Start::Ready(0) };
        place.open_file(&how.path, how.flags, how.mode, how.resolve)
    }

    fn step(&mut self, result: i32) -> Step {
        Step::Done(result)
    }

    fn finish(self, io: &Io, result: io::Result<u32>) -> Self::Output {
        let how = self.how?;
        let file = held(result?.cast_signed()).ok_or(io::ErrorKind::Other)?;
        // No call that waits for a disk: it asks for what is known of an open file, and sets a flag.
        File::opened(io, file, how.direct)
    }

    fn discard(self, result: i32) {
        if self.how.is_ok() {
            drop(held(result));
        }
    }
}
