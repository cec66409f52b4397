//! Direct I/O: past the system's cache of pages.

use std::io;
#[cfg(unix)]
use std::os::fd::AsFd;

use super::{DirectAlignment, system};
use crate::core::Held;
use crate::driver::simulated;
use crate::offload::LentFd;

/// Whether reads and writes go past the system's cache, straight between the buffer and the disk
/// (`O_DIRECT` of open(2), `FILE_FLAG_NO_BUFFERING` on Windows): for [`OpenOptions::direct`](crate::OpenOptions::direct) and
/// [`DataFileOptions::direct`](crate::DataFileOptions::direct).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum DirectIo {
    /// Through the cache.
    #[default]
    Off,
    /// Past it where the file system can, else through it.
    /// [`direct_alignment`](crate::File::direct_alignment) says which.
    Optional,
    /// Past it, or an error of kind `Unsupported`.
    Required,
}

impl DirectIo {
    /// Has a file that was just opened go past the cache, if that is asked for; its alignment.
    pub(super) fn apply(self, descriptor: &Held) -> io::Result<Option<DirectAlignment>> {
        if self != DirectIo::Off
            && let Some(direct) = simulated::direct_alignment(descriptor.as_raw_fd())
        {
            return self.require(direct);
        }
        self.apply_to(LentFd::new(descriptor.as_raw_fd()))
    }

    /// As [`apply`](DirectIo::apply), to a descriptor of the system's.
    #[cfg(unix)]
    pub(super) fn apply_to(self, fd: impl AsFd) -> io::Result<Option<DirectAlignment>> {
        if self == DirectIo::Off {
            return Ok(None);
        }
        self.require(system::set_direct(fd)?)
    }

    /// As [`apply`](DirectIo::apply), to a file that was opened so.
    #[cfg(windows)]
    pub(super) fn apply_to(self, fd: LentFd) -> io::Result<Option<DirectAlignment>> {
        if self == DirectIo::Off {
            return Ok(None);
        }
        self.require(system::direct_alignment(fd))
    }

    pub(super) fn require(
        self,
        direct: Option<DirectAlignment>,
    ) -> io::Result<Option<DirectAlignment>> {
        if direct.is_none() && self == DirectIo::Required {
            let message = "the file system has no Direct I/O for this file";
            return Err(io::Error::new(io::ErrorKind::Unsupported, message));
        }
        Ok(direct)
    }
}
