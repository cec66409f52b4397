//! What the system knows of a file.
//!
//! Sources, in Microsoft's documentation: GetFileInformationByHandle, GetFileInformationByHandleEx
//! and the page of each structure that they fill; GetFileType.
#![expect(unsafe_code, reason = "system calls that no crate wraps")]

use std::fs::File;
use std::io;
use std::mem::size_of;
use std::os::windows::io::AsRawHandle;
use std::time::SystemTime;

use windows_sys::Win32::Foundation::HANDLE;
use windows_sys::Win32::Storage::FileSystem::{
    BY_HANDLE_FILE_INFORMATION, FILE_ATTRIBUTE_DIRECTORY, FILE_ATTRIBUTE_READONLY,
    FILE_ATTRIBUTE_REPARSE_POINT, FILE_ATTRIBUTE_TAG_INFO, FILE_BASIC_INFO,
    FILE_INFO_BY_HANDLE_CLASS, FILE_STANDARD_INFO, FILE_STORAGE_INFO, FILE_TYPE_CHAR,
    FILE_TYPE_DISK, FILE_TYPE_PIPE, FileAttributeTagInfo, FileBasicInfo, FileStandardInfo,
    FileStorageInfo, GetFileInformationByHandle, GetFileInformationByHandleEx, GetFileType,
};
use windows_sys::Win32::System::Console::GetConsoleMode;

use super::path::CPath;
use super::{names, succeeded};
use crate::fs::metadata::{
    BLOCK_UNIT, CHARACTER_DEVICE, DIRECTORY, FIFO, REGULAR, SOCKET, SYMLINK, time,
};
use crate::net::system::handle;
use crate::offload::LentFd;
use crate::raw::{RawFd, is_file};
use crate::{DirectAlignment, Metadata};

/// Seconds from 1601, where the system's times start, to 1970.
const YEARS_SECONDS: i64 = 11_644_473_600;
/// The system's times are in units of 100 ns.
const UNITS: i64 = 10_000_000;
/// Says that what has a reparse point stands for another name ("Reparse Point Tags").
const NAME_SURROGATE: u32 = 0x2000_0000;
/// A safe assumption where the system does not tell: no disk has larger logical sectors.
const BLOCK: u32 = 4096;

/// What a name is, as far as it matters to whoever takes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    Directory,
    /// A symbolic link, or what is mounted in a directory, of any kind.
    Link,
}

/// A structure that a call fills.
///
/// # Safety
/// `T` must be what the class fills, all of whose bits may be any.
unsafe fn ask<T: Default>(file: HANDLE, class: FILE_INFO_BY_HANDLE_CLASS) -> io::Result<T> {
    let mut told = T::default();
    let (at, len) = ((&raw mut told).cast(), size_of::<T>() as u32);
    // SAFETY: the caller promises it; the structure lives during the call.
    succeeded(unsafe { GetFileInformationByHandleEx(file, class, at, len) })?;
    Ok(told)
}

/// How long a file is, what it takes on the disk, and how many names it has.
pub(super) fn standard(file: HANDLE) -> io::Result<FILE_STANDARD_INFO> {
    // SAFETY: it is what the class fills; its truths are 0 or 1.
    unsafe { ask(file, FileStandardInfo) }
}

/// What an open file is.
pub(super) fn kind(file: &File) -> io::Result<Kind> {
    // SAFETY: it is what the class fills.
    let told: FILE_ATTRIBUTE_TAG_INFO = unsafe { ask(file.as_raw_handle(), FileAttributeTagInfo) }?;
    Ok(kind_of(told))
}

fn kind_of(told: FILE_ATTRIBUTE_TAG_INFO) -> Kind {
    let has = |flag| told.FileAttributes & flag != 0;
    if has(FILE_ATTRIBUTE_REPARSE_POINT) && told.ReparseTag & NAME_SURROGATE != 0 {
        Kind::Link
    } else if has(FILE_ATTRIBUTE_DIRECTORY) {
        Kind::Directory
    } else {
        Kind::File
    }
}

/// Whether a handle is one of a file on a disk.
pub(super) fn is_on_disk(file: HANDLE) -> bool {
    // SAFETY: the handle is open during the call.
    unsafe { GetFileType(file) == FILE_TYPE_DISK }
}

/// Whether offsets mean something to what is open: not to a pipe, nor to a console (P55).
pub(crate) fn is_seekable(fd: RawFd) -> bool {
    let (file, mut mode) = (handle(fd), 0);
    // SAFETY: the handle is open during the call.
    match unsafe { GetFileType(file) } {
        FILE_TYPE_PIPE => false,
        // SAFETY: as above, and the number lives during it. Nothing else has such a mode.
        FILE_TYPE_CHAR => (unsafe { GetConsoleMode(file, &raw mut mode) }) == 0,
        _ => true,
    }
}

/// What is known of a handle, or of a name.
pub(crate) fn stat(
    directory: Option<LentFd>,
    name: Option<&CPath>,
    follow: bool,
) -> io::Result<Metadata> {
    match (name, directory) {
        (Some(name), _) => {
            let file = names::existing(directory, name, 0, follow)?;
            metadata_of(file.as_raw_handle())
        }
        (None, Some(fd)) if !is_file(fd.raw()) => Ok(of_no_file(SOCKET)),
        (None, Some(fd)) => metadata_of(handle(fd.raw())),
        (None, None) => Err(io::ErrorKind::InvalidInput.into()),
    }
}

fn metadata_of(file: HANDLE) -> io::Result<Metadata> {
    // SAFETY: the handle is open during the call.
    match unsafe { GetFileType(file) } {
        FILE_TYPE_DISK => {}
        FILE_TYPE_PIPE => return Ok(of_no_file(FIFO)),
        FILE_TYPE_CHAR => return Ok(of_no_file(CHARACTER_DEVICE)),
        _ => return Ok(of_no_file(0)),
    }
    // SAFETY: it is what the class fills.
    let basic: FILE_BASIC_INFO = unsafe { ask(file, FileBasicInfo) }?;
    let standard = standard(file)?;
    let mut numbers = BY_HANDLE_FILE_INFORMATION::default();
    // SAFETY: the structure lives during the call.
    succeeded(unsafe { GetFileInformationByHandle(file, &raw mut numbers) })?;
    let has = |flag| basic.FileAttributes & flag != 0;
    let kind = if has(FILE_ATTRIBUTE_REPARSE_POINT) {
        // SAFETY: it is what the class fills.
        kind_of(unsafe { ask(file, FileAttributeTagInfo) }?)
    } else if has(FILE_ATTRIBUTE_DIRECTORY) {
        Kind::Directory
    } else {
        Kind::File
    };
    let permissions = if has(FILE_ATTRIBUTE_READONLY) { 0o444 } else { 0o666 };
    let storage = storage(file);
    let sectors = storage.map(|told| told.PhysicalBytesPerSectorForPerformance);
    Ok(Metadata {
        mode: match kind {
            Kind::File => REGULAR | permissions,
            // The attribute means something else to a directory.
            Kind::Directory => DIRECTORY | 0o777,
            Kind::Link => SYMLINK | 0o777,
        },
        uid: 0,
        gid: 0,
        len: standard.EndOfFile.cast_unsigned(),
        blocks: standard.AllocationSize.cast_unsigned().div_ceil(BLOCK_UNIT),
        blksize: u64::from(sectors.unwrap_or(0).max(BLOCK)),
        nlink: u64::from(standard.NumberOfLinks),
        ino: u64::from(numbers.nFileIndexHigh) << 32 | u64::from(numbers.nFileIndexLow),
        dev: u64::from(numbers.dwVolumeSerialNumber),
        rdev: 0,
        attributes: basic.FileAttributes,
        accessed: time_of(basic.LastAccessTime),
        modified: time_of(basic.LastWriteTime),
        changed: time_of(basic.ChangeTime),
        // Zero says that the file system does not keep it.
        created: (basic.CreationTime != 0).then(|| time_of(basic.CreationTime)),
        mount_id: None,
        direct_alignment: storage.filter(|_| kind == Kind::File).and_then(told_alignment),
    })
}

/// What there is to say of a socket, a pipe, a console or another device.
fn of_no_file(kind: u32) -> Metadata {
    let never = SystemTime::UNIX_EPOCH;
    Metadata {
        mode: kind | 0o666,
        uid: 0,
        gid: 0,
        len: 0,
        blocks: 0,
        blksize: u64::from(BLOCK),
        nlink: 1,
        ino: 0,
        dev: 0,
        rdev: 0,
        attributes: 0,
        accessed: never,
        modified: never,
        changed: never,
        created: None,
        mount_id: None,
        direct_alignment: None,
    }
}

fn time_of(units: i64) -> SystemTime {
    let nanoseconds = u32::try_from(units.rem_euclid(UNITS) * 100).unwrap_or(0);
    time(units.div_euclid(UNITS) - YEARS_SECONDS, nanoseconds)
}

/// What is known of the disk below a file. Not every file system tells.
fn storage(file: HANDLE) -> Option<FILE_STORAGE_INFO> {
    // SAFETY: it is what the class fills.
    unsafe { ask(file, FileStorageInfo) }.ok()
}

/// "File Buffering": offsets and lengths are multiples of the volume's sectors, and addresses of the
/// disk's physical ones.
fn told_alignment(told: FILE_STORAGE_INFO) -> Option<DirectAlignment> {
    let memory = told.FileSystemEffectivePhysicalBytesPerSectorForAtomicity as usize;
    let offset = told.LogicalBytesPerSector as usize;
    let powers = memory.is_power_of_two() && offset.is_power_of_two();
    powers.then_some(DirectAlignment { memory, offset })
}

/// What transfers past the cache are to be aligned to; nothing, where there is no disk below.
pub(crate) fn direct_alignment(fd: LentFd) -> Option<DirectAlignment> {
    let file = handle(fd.raw());
    let assumed = DirectAlignment { memory: BLOCK as usize, offset: BLOCK as usize };
    is_on_disk(file).then(|| storage(file).and_then(told_alignment).unwrap_or(assumed))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, UNIX_EPOCH};

    #[test]
    fn times_count_from_1601() {
        assert_eq!(time_of(YEARS_SECONDS * UNITS + 7), UNIX_EPOCH + Duration::from_nanos(700));
        assert_eq!(time_of(YEARS_SECONDS * UNITS - 1), UNIX_EPOCH - Duration::from_nanos(100));
        for units in [i64::MIN, 0, i64::MAX] {
            let _no_panic = time_of(units);
        }
    }
}
