//! What systems do differently with files: one small function each.

use std::ffi::CStr;
use std::io;
#[cfg(any(target_os = "linux", target_vendor = "apple"))]
use std::os::fd::AsRawFd;
use std::os::fd::OwnedFd;

use rustix::fd::AsFd;
#[cfg(not(target_vendor = "apple"))]
use rustix::fs::FileType;
#[cfg(any(target_os = "linux", target_vendor = "apple"))]
use rustix::fs::RenameFlags;
use rustix::fs::{AtFlags, FallocateFlags, Mode, OFlags, RawMode};
#[cfg(target_os = "linux")]
use rustix::fs::{StatxFlags, StatxTimestamp};
use rustix::io::Errno;

use super::metadata::{Metadata, time};
use super::{Allocation, DirectAlignment, Renaming};
#[cfg(not(target_os = "linux"))]
use crate::error;
use crate::offload::LentFd;

mod cached;

pub(crate) use cached::{
    CachedRead, IN_PLACE_MAX, Reads, cached, read_cached, read_vectored_cached, reads_of,
};

/// Cuts a file, or makes it longer (ftruncate(2)).
pub(crate) fn set_len(fd: impl AsFd, len: u64) -> io::Result<()> {
    Ok(rustix::fs::ftruncate(fd, len)?)
}

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

/// Waits for what is being written, and for what is written now.
#[cfg(target_os = "linux")]
pub(crate) const SYNC_RANGE_FLAGS: u32 = libc::SYNC_FILE_RANGE_WAIT_BEFORE
    | libc::SYNC_FILE_RANGE_WRITE
    | libc::SYNC_FILE_RANGE_WAIT_AFTER;

/// sync_file_range(2), of a range that ends within `i64::MAX`.
#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "a system call that no crate wraps")]
pub(crate) fn sync_range(fd: LentFd, offset: u64, len: u64) -> io::Result<()> {
    let fd = fd.as_fd().as_raw_fd();
    let (offset, len) = (offset.cast_signed(), len.cast_signed());
    // SAFETY: plain numbers; the descriptor is open while it is lent.
    match unsafe { libc::sync_file_range(fd, offset, len, SYNC_RANGE_FLAGS) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Linux alone has it: all of the file's data instead.
#[cfg(not(target_os = "linux"))]
pub(crate) fn sync_range(fd: LentFd, _offset: u64, _len: u64) -> io::Result<()> {
    sync(fd, true)
}

/// Permission bits, in as many bits as the system has for them.
pub(crate) fn mode(bits: u32) -> Mode {
    Mode::from_bits_retain(bits as RawMode)
}

/// What openat2(2) is told: it refuses a mode where no file can be made.
#[cfg(target_os = "linux")]
pub(crate) fn open_how(flags: i32, mode: u32) -> (u64, u64) {
    let makes = flags & libc::O_CREAT != 0 || flags & libc::O_TMPFILE == libc::O_TMPFILE;
    (u64::from(flags.cast_unsigned()), if makes { u64::from(mode) } else { 0 })
}

/// Opens a file, with limits to what its path may lead through if `resolve` is not zero.
#[cfg(target_os = "linux")]
pub(crate) fn open(
    directory: LentFd,
    path: &CStr,
    flags: i32,
    permissions: u32,
    resolve: u64,
) -> Result<OwnedFd, Errno> {
    let open_flags = OFlags::from_bits_retain(flags.cast_unsigned());
    if resolve == 0 {
        return rustix::fs::openat(directory, path, open_flags, mode(permissions));
    }
    let (_flags, permissions) = open_how(flags, permissions);
    let permissions = mode(u32::try_from(permissions).unwrap_or(0));
    let resolve = rustix::fs::ResolveFlags::from_bits_retain(resolve);
    rustix::fs::openat2(directory, path, open_flags, permissions, resolve)
}

/// Linux alone has openat2(2).
#[cfg(not(target_os = "linux"))]
pub(crate) fn open(
    directory: LentFd,
    path: &CStr,
    flags: i32,
    permissions: u32,
    resolve: u64,
) -> Result<OwnedFd, Errno> {
    if resolve != 0 {
        return Err(Errno::NOSYS);
    }
    let flags = OFlags::from_bits_retain(flags.cast_unsigned());
    rustix::fs::openat(directory, path, flags, mode(permissions))
}

/// Writes at the end of a file, however it was opened; its own position stays where it is.
#[cfg(target_os = "linux")]
pub(crate) fn append(fd: LentFd, bytes: &[u8]) -> io::Result<usize> {
    let flags = rustix::io::ReadWriteFlags::APPEND;
    Ok(rustix::io::pwritev2(fd, &[io::IoSlice::new(bytes)], 0, flags)?)
}

/// Writes at the end of a file that was opened for that: no other call finds the end and writes
/// there in one.
#[cfg(not(target_os = "linux"))]
pub(crate) fn append(fd: LentFd, bytes: &[u8]) -> io::Result<usize> {
    rustix::fs::tell(fd)?;
    if !rustix::fs::fcntl_getfl(fd)?.contains(OFlags::APPEND) {
        return Err(io::Error::from_raw_os_error(-error::NOT_APPENDING));
    }
    Ok(rustix::io::write(fd, bytes)?)
}

#[cfg(any(target_os = "linux", target_vendor = "apple"))]
pub(crate) fn rename_flags(renaming: Renaming) -> RenameFlags {
    match renaming {
        Renaming::Replace => RenameFlags::empty(),
        Renaming::NoReplace => RenameFlags::NOREPLACE,
        Renaming::Exchange => RenameFlags::EXCHANGE,
    }
}

#[cfg(any(target_os = "linux", target_vendor = "apple"))]
pub(crate) fn rename(
    (from_directory, from): (LentFd, &CStr),
    (to_directory, to): (LentFd, &CStr),
    renaming: Renaming,
) -> io::Result<()> {
    let flags = rename_flags(renaming);
    Ok(rustix::fs::renameat_with(from_directory, from, to_directory, to, flags)?)
}

/// FreeBSD has one way to rename.
#[cfg(not(any(target_os = "linux", target_vendor = "apple")))]
pub(crate) fn rename(
    (from_directory, from): (LentFd, &CStr),
    (to_directory, to): (LentFd, &CStr),
    renaming: Renaming,
) -> io::Result<()> {
    if renaming != Renaming::Replace {
        return Err(Errno::NOSYS.into());
    }
    Ok(rustix::fs::renameat(from_directory, from, to_directory, to)?)
}

#[cfg(target_os = "linux")]
pub(crate) fn allocation_flags(allocation: Allocation) -> FallocateFlags {
    match allocation {
        Allocation::Grow => FallocateFlags::empty(),
        Allocation::KeepLen => FallocateFlags::KEEP_SIZE,
    }
}

#[cfg(target_os = "linux")]
pub(crate) fn allocate(
    fd: LentFd,
    offset: u64,
    len: u64,
    allocation: Allocation,
) -> io::Result<()> {
    Ok(rustix::fs::fallocate(fd, allocation_flags(allocation), offset, len)?)
}

/// posix_fallocate(2) always grows a file.
#[cfg(not(any(target_os = "linux", target_vendor = "apple")))]
pub(crate) fn allocate(
    fd: LentFd,
    offset: u64,
    len: u64,
    allocation: Allocation,
) -> io::Result<()> {
    if allocation == Allocation::KeepLen {
        return Err(Errno::NOSYS.into());
    }
    Ok(rustix::fs::fallocate(fd, FallocateFlags::empty(), offset, len)?)
}

/// `F_PREALLOCATE` adds to what a file has at its end; holes before that stay.
#[cfg(target_vendor = "apple")]
#[expect(unsafe_code, reason = "fcntl(2) with F_PREALLOCATE")]
pub(crate) fn allocate(
    fd: LentFd,
    offset: u64,
    len: u64,
    allocation: Allocation,
) -> io::Result<()> {
    if len == 0 || i64::try_from(offset).is_err() || i64::try_from(len).is_err() {
        return Err(Errno::INVAL.into());
    }
    let end = i64::try_from(offset + len).map_err(|_| Errno::FBIG)?;
    let now = rustix::fs::fstat(fd)?;
    let missing = end - now.st_blocks * 512;
    if missing > 0 {
        let mut store = libc::fstore_t {
            fst_flags: libc::F_ALLOCATEALL,
            fst_posmode: libc::F_PEOFPOSMODE,
            fst_offset: 0,
            fst_length: missing,
            fst_bytesalloc: 0,
        };
        let fd = fd.as_fd().as_raw_fd();
        // SAFETY: the structure lives during the call; the descriptor is open while it is lent.
        if unsafe { libc::fcntl(fd, libc::F_PREALLOCATE, &raw mut store) } == -1 {
            return Err(io::Error::last_os_error());
        }
    }
    if allocation == Allocation::Grow && end > now.st_size {
        rustix::fs::ftruncate(fd, end.unsigned_abs())?;
    }
    Ok(())
}

/// What the system writes about a file.
#[cfg(target_os = "linux")]
pub(crate) type RawMetadata = rustix::fs::Statx;
#[cfg(not(target_os = "linux"))]
pub(crate) type RawMetadata = rustix::fs::Stat;

/// What statx(2) is asked for; kernels pass over what they do not know.
#[cfg(target_os = "linux")]
pub(crate) const STAT_MASK: StatxFlags = StatxFlags::BASIC_STATS
    .union(StatxFlags::BTIME)
    .union(StatxFlags::MNT_ID)
    .union(StatxFlags::DIOALIGN);

/// How statx(2) is told of a path, or of the descriptor itself.
#[cfg(target_os = "linux")]
pub(crate) fn stat_of(path: Option<&CStr>, follow: bool) -> (&CStr, AtFlags) {
    match path {
        None => (c"", AtFlags::EMPTY_PATH),
        Some(path) if follow => (path, AtFlags::empty()),
        Some(path) => (path, AtFlags::SYMLINK_NOFOLLOW),
    }
}

#[cfg(target_os = "linux")]
pub(crate) fn stat(fd: LentFd, path: Option<&CStr>, follow: bool) -> io::Result<RawMetadata> {
    let (path, flags) = stat_of(path, follow);
    Ok(rustix::fs::statx(fd, path, flags, STAT_MASK)?)
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn stat(fd: LentFd, path: Option<&CStr>, follow: bool) -> io::Result<RawMetadata> {
    let flags = if follow { AtFlags::empty() } else { AtFlags::SYMLINK_NOFOLLOW };
    Ok(match path {
        None => rustix::fs::fstat(fd)?,
        Some(path) => rustix::fs::statat(fd, path, flags)?,
    })
}

#[cfg(target_os = "linux")]
pub(crate) fn metadata(raw: &RawMetadata) -> Metadata {
    let has = |flag: StatxFlags| raw.stx_mask & flag.bits() != 0;
    let of = |at: &StatxTimestamp| time(at.tv_sec, at.tv_nsec);
    Metadata {
        mode: u32::from(raw.stx_mode),
        uid: raw.stx_uid,
        gid: raw.stx_gid,
        len: raw.stx_size,
        blocks: raw.stx_blocks,
        blksize: u64::from(raw.stx_blksize),
        nlink: u64::from(raw.stx_nlink),
        ino: raw.stx_ino,
        dev: rustix::fs::makedev(raw.stx_dev_major, raw.stx_dev_minor),
        rdev: rustix::fs::makedev(raw.stx_rdev_major, raw.stx_rdev_minor),
        accessed: of(&raw.stx_atime),
        modified: of(&raw.stx_mtime),
        changed: of(&raw.stx_ctime),
        created: has(StatxFlags::BTIME).then(|| of(&raw.stx_btime)),
        mount_id: has(StatxFlags::MNT_ID).then_some(raw.stx_mnt_id),
        direct_alignment: told_alignment(raw).filter(|_| has(StatxFlags::DIOALIGN)),
    }
}

#[cfg(not(target_os = "linux"))]
#[allow(clippy::unnecessary_cast, reason = "systems have other types for the same fields")]
pub(crate) fn metadata(raw: &RawMetadata) -> Metadata {
    Metadata {
        mode: raw.st_mode as u32,
        uid: raw.st_uid,
        gid: raw.st_gid,
        len: raw.st_size as u64,
        blocks: raw.st_blocks as u64,
        blksize: raw.st_blksize as u64,
        nlink: raw.st_nlink as u64,
        ino: raw.st_ino as u64,
        dev: raw.st_dev as u64,
        rdev: raw.st_rdev as u64,
        accessed: time(raw.st_atime as i64, raw.st_atime_nsec as u32),
        modified: time(raw.st_mtime as i64, raw.st_mtime_nsec as u32),
        changed: time(raw.st_ctime as i64, raw.st_ctime_nsec as u32),
        created: Some(time(raw.st_birthtime as i64, raw.st_birthtime_nsec as u32)),
        mount_id: None,
        direct_alignment: None,
    }
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
        Ok(told) if told.stx_mask & StatxFlags::DIOALIGN.bits() != 0 => told_alignment(&told),
        _ => Some(assumed),
    }
}

/// The alignment that statx(2) tells; zeroes say that the file has no Direct I/O.
#[cfg(target_os = "linux")]
fn told_alignment(told: &RawMetadata) -> Option<DirectAlignment> {
    let memory = told.stx_dio_mem_align as usize;
    let offset = told.stx_dio_offset_align as usize;
    let powers = memory.is_power_of_two() && offset.is_power_of_two();
    powers.then_some(DirectAlignment { memory, offset })
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
