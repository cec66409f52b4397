//! What systems do differently with files: one small function each.

use std::io;

use rustix::fd::AsFd;
use rustix::fs::FallocateFlags;
#[cfg(target_os = "linux")]
use rustix::fs::{AtFlags, StatxFlags};
#[cfg(not(target_vendor = "apple"))]
use rustix::fs::{FileType, OFlags};
use rustix::io::Errno;

use super::DirectAlignment;

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

/// A safe assumption where the system does not tell: no disk has larger logical blocks.
#[cfg(not(target_vendor = "apple"))]
const BLOCK: usize = 4096;

/// Has a file's transfers go past the cache of pages: their alignment, or nothing where the file
/// has no Direct I/O. It is set behind the open, for an open that names `O_DIRECT` and fails has made
/// the file by then.
#[cfg(not(target_vendor = "apple"))]
pub(crate) fn set_direct(fd: impl AsFd) -> io::Result<Option<DirectAlignment>> {
    let kind = FileType::from_raw_mode(rustix::fs::fstat(&fd)?.st_mode);
    // To a pipe, `O_DIRECT` says something else.
    if !matches!(kind, FileType::RegularFile | FileType::BlockDevice) {
        return Ok(None);
    }
    let Some(alignment) = direct_alignment(&fd, kind) else { return Ok(None) };
    let flags = rustix::fs::fcntl_getfl(&fd)?;
    match rustix::fs::fcntl_setfl(&fd, flags | OFlags::DIRECT) {
        Ok(()) => Ok(Some(alignment)),
        Err(Errno::INVAL) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// macOS moves what it can past the cache, and asks for no alignment (fcntl(2) there).
#[cfg(target_vendor = "apple")]
pub(crate) fn set_direct(fd: impl AsFd) -> io::Result<Option<DirectAlignment>> {
    rustix::fs::fcntl_nocache(fd, true)?;
    Ok(Some(DirectAlignment { memory: 1, offset: 1 }))
}

/// What Direct I/O on this file asks for, and nothing where it is known to have none.
#[cfg(target_os = "linux")]
fn direct_alignment(fd: impl AsFd, kind: FileType) -> Option<DirectAlignment> {
    let logical = match kind {
        FileType::BlockDevice => rustix::fs::ioctl_blksszget(&fd).ok(),
        _ => None,
    };
    let block = logical.map_or(BLOCK, |size| size as usize);
    let assumed = DirectAlignment { memory: block, offset: block };
    let flags = AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC;
    // Kernel 6.1+ (statx(2)), and not for every file system.
    match rustix::fs::statx(fd, c"", flags, StatxFlags::DIOALIGN) {
        Ok(told) if told.stx_mask & StatxFlags::DIOALIGN.bits() != 0 => {
            let memory = told.stx_dio_mem_align as usize;
            let offset = told.stx_dio_offset_align as usize;
            let powers = memory.is_power_of_two() && offset.is_power_of_two();
            // Zeroes say that this file has none.
            powers.then_some(DirectAlignment { memory, offset })
        }
        _ => Some(assumed),
    }
}

#[cfg(not(any(target_os = "linux", target_vendor = "apple")))]
fn direct_alignment(_fd: impl AsFd, _kind: FileType) -> Option<DirectAlignment> {
    Some(DirectAlignment { memory: BLOCK, offset: BLOCK })
}

/// Reserves blocks of the disk for the first `size` bytes of a file. The file's own size may stay as
/// it is.
///
/// # Errors
/// `Unsupported` where the file system cannot; what fallocate(2) says.
pub(crate) fn reserve(fd: impl AsFd, size: u64) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    let flags = FallocateFlags::KEEP_SIZE;
    #[cfg(not(target_os = "linux"))]
    let flags = FallocateFlags::empty();
    match rustix::fs::fallocate(fd, flags, 0, size) {
        // posix_fallocate(2) of FreeBSD says the latter.
        Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => {
            Err(io::ErrorKind::Unsupported.into())
        }
        result => Ok(result?),
    }
}
