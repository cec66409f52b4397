//! What systems do differently with files: one small function each.

use std::io;

use rustix::fd::AsFd;

/// fsync(2), or fdatasync(2).
#[cfg(not(target_vendor = "apple"))]
pub(crate) fn sync(fd: impl AsFd, data_only: bool) -> io::Result<()> {
    Ok(if data_only { rustix::fs::fdatasync(fd) } else { rustix::fs::fsync(fd) }?)
}

/// fsync(2) of macOS leaves data in the disk's own memory; this does not (P51).
#[cfg(target_vendor = "apple")]
pub(crate) fn sync(fd: impl AsFd, _data_only: bool) -> io::Result<()> {
    Ok(rustix::fs::fcntl_fullfsync(fd)?)
}
