//! Opening a file.
//!
//! Sources: open(2), io_uring_prep_openat(3).

use std::io;

#[cfg(target_os = "linux")]
use io_uring::{opcode, types};

use super::accept::descriptor;
use super::{Direction, Operation, Start, Step};
use crate::driver::readiness;
#[cfg(target_os = "linux")]
use crate::driver::uring;
use crate::fs::path::CPath;
use crate::offload::Lent;
use crate::{DirectIo, File, Io, OpenOptions};

pub(crate) struct Open {
    /// What to open, or why there is nothing.
    how: io::Result<How>,
}

struct How {
    path: CPath,
    flags: i32,
    mode: u32,
    direct: DirectIo,
}

impl Open {
    pub(crate) fn new(path: io::Result<CPath>, options: &OpenOptions) -> Open {
        let how = path.and_then(|path| {
            let (mode, direct) = (options.permissions(), options.wants_direct());
            Ok(How { path, flags: options.flags()?, mode, direct })
        });
        Open { how }
    }
}

impl Operation for Open {
    type Output = io::Result<File>;
    const DIRECTION: Direction = Direction::None;

    #[cfg(target_os = "linux")]
    fn uring(&mut self, place: &mut uring::Place<'_>) -> Start {
        let Ok(How { path, flags, mode, .. }) = &self.how else { return Start::Ready(0) };
        let (directory, path) = (types::Fd(place.directory()), path.as_c_str().as_ptr());
        place.submit(opcode::OpenAt::new(directory, path).flags(*flags).mode(*mode).build())
    }

    fn readiness(&mut self, place: &mut readiness::Place<'_>) -> Start {
        let Ok(How { path, flags, mode, .. }) = &self.how else { return Start::Ready(0) };
        let (directory, path) = (place.lent_directory(), Lent::new(path.as_c_str()));
        let flags = rustix::fs::OFlags::from_bits_retain(flags.cast_unsigned());
        let mode = rustix::fs::Mode::from_raw_mode(*mode as rustix::fs::RawMode);
        place.offload_open(move || rustix::fs::openat(directory, &*path, flags, mode))
    }

    fn step(&mut self, result: i32) -> Step {
        Step::Done(result)
    }

    fn finish(self, io: &Io, result: io::Result<u32>) -> Self::Output {
        let direct = self.how?.direct;
        let file = descriptor(result?.cast_signed()).ok_or(io::ErrorKind::Other)?;
        // No call that waits for a disk: it asks for what is known of an open file, and sets a flag.
        File::opened(io, file, direct)
    }

    fn discard(self, result: i32) {
        if self.how.is_ok() {
            drop(descriptor(result));
        }
    }
}
