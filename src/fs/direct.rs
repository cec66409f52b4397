//! Direct I/O: past the system's cache of pages.

#[cfg(unix)]
use std::io;
#[cfg(unix)]
use std::os::fd::AsFd;

#[cfg(unix)]
use super::{DirectAlignment, system};
#[cfg(unix)]
use crate::core::Held;
#[cfg(unix)]
use crate::driver::sim;
#[cfg(unix)]
use crate::offload::LentFd;

/// Whether reads and writes go past the system's cache, straight between the buffer and the disk
/// (`O_DIRECT` of open(2)): for [`OpenOptions::direct`](crate::OpenOptions::direct) and
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

#[cfg(unix)]
impl DirectIo {
    /// Has a file that was just opened go past the cache, if that is asked for; its alignment.
    pub(super) fn apply(self, descriptor: &Held) -> io::Result<Option<DirectAlignment>> {
        if self != DirectIo::Off
            && let Some(direct) = sim::direct_alignment(descriptor.as_raw_fd())
        {
            return self.require(direct);
        }
        self.apply_to(LentFd::new(descriptor.as_raw_fd()))
    }

    /// As [`apply`](DirectIo::apply), to a descriptor of the system's.
    pub(super) fn apply_to(self, fd: impl AsFd) -> io::Result<Option<DirectAlignment>> {
        if self == DirectIo::Off {
            return Ok(None);
        }
        self.require(system::set_direct(fd)?)
    }

    fn require(self, direct: Option<DirectAlignment>) -> io::Result<Option<DirectAlignment>> {
        if direct.is_none() && self == DirectIo::Required {
            let message = "the file system has no Direct I/O for this file";
            return Err(io::Error::new(io::ErrorKind::Unsupported, message));
        }
        Ok(direct)
    }
}
