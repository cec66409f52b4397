//! What Windows does with files: one small function each.
//!
//! Sources, in Microsoft's documentation: the page of each function that is called.
#![expect(unsafe_code, reason = "system calls that no crate wraps in this form")]

use std::ffi::c_void;
use std::io;
use std::mem::{ManuallyDrop, MaybeUninit};
use std::ptr;
use std::sync::OnceLock;

use windows_sys::Win32::Foundation::{
    ERROR_CALL_NOT_IMPLEMENTED, ERROR_DIRECTORY_NOT_SUPPORTED, ERROR_FILE_TOO_LARGE,
    ERROR_HANDLE_EOF, ERROR_INVALID_FUNCTION, ERROR_INVALID_PARAMETER, ERROR_IO_PENDING,
    ERROR_NOT_SUPPORTED, ERROR_SEEK_ON_DEVICE, HANDLE, NTSTATUS, RtlNtStatusToDosError,
    STATUS_FILE_IS_A_DIRECTORY, STATUS_INVALID_DEVICE_REQUEST, STATUS_INVALID_INFO_CLASS,
    STATUS_INVALID_PARAMETER, STATUS_NOT_IMPLEMENTED, STATUS_NOT_SUPPORTED,
};
use windows_sys::Win32::Networking::WinSock::WSABUF;
use windows_sys::Win32::Storage::FileSystem::{
    FILE_ALLOCATION_INFO, FileAllocationInfo, ReadFile, SetFileInformationByHandle, WriteFile,
};
use windows_sys::Win32::System::IO::{
    GetOverlappedResult, IO_STATUS_BLOCK, OVERLAPPED, OVERLAPPED_0_0,
};
use windows_sys::Win32::System::LibraryLoader::{GetModuleHandleW, GetProcAddress};
use windows_sys::Win32::System::Threading::CreateEventW;

use crate::Allocation;
use crate::core::owned;
use crate::net::system::handle;
use crate::offload::LentFd;
use crate::op::vectors::Vectors;
use crate::raw::RawFd;

mod making;
mod metadata;
mod names;
pub(crate) mod path;

pub(crate) use metadata::{direct_alignment, is_seekable, stat};
pub(crate) use names::{
    Opening, SHARE_ALL, create_directory, hard_link, open_for_caller, remove, rename, symlink,
};

/// What a call has written that asks what is known of a file.
pub(crate) type RawMetadata = crate::Metadata;

pub(crate) fn metadata(raw: &RawMetadata) -> crate::Metadata {
    raw.clone()
}

/// A file, lent to a call of the standard library.
fn lend<T>(fd: RawFd, call: impl FnOnce(&std::fs::File) -> T) -> T {
    // It is not dropped: the table of handles owns it.
    call(&ManuallyDrop::new(std::fs::File::from(owned(fd))))
}

/// Cuts a file, or makes it longer (SetFileInformationByHandle).
pub(crate) fn set_len(fd: LentFd, len: u64) -> io::Result<()> {
    lend(fd.raw(), |file| file.set_len(len))
}

/// Has the disk hold what the system does (FlushFileBuffers); without the times of a file where that
/// can be (NtFlushBuffersFileEx, `FLUSH_FLAGS_FILE_DATA_SYNC_ONLY`): not of a directory, nor on file
/// systems that do not know of it.
pub(crate) fn sync(fd: LentFd, data_only: bool) -> io::Result<()> {
    if let Some(flush) = flush_function().filter(|_| data_only) {
        let mut report = IO_STATUS_BLOCK::default();
        let (file, at) = (handle(fd.raw()), &raw mut report);
        // SAFETY: the report lives during the call, which waits for its end, and the handle is open.
        match unsafe { flush(file, FLUSH_FLAGS_FILE_DATA_SYNC_ONLY, ptr::null(), 0, at) } {
            // Nothing was flushed then, and so nothing has failed that would be hidden (P50).
            status if is_unknown(status) => {}
            0.. => return Ok(()),
            status => return Err(error_of(status)),
        }
    }
    lend(fd.raw(), std::fs::File::sync_all)
}

/// From ntifs.h; Windows 10 has it.
const FLUSH_FLAGS_FILE_DATA_SYNC_ONLY: u32 = 4;

type Flush =
    unsafe extern "system" fn(HANDLE, u32, *const c_void, u32, *mut IO_STATUS_BLOCK) -> NTSTATUS;

/// NtFlushBuffersFileEx, where the system has it: from Windows 8 on.
fn flush_function() -> Option<Flush> {
    static FUNCTION: OnceLock<Option<Flush>> = OnceLock::new();
    *FUNCTION.get_or_init(|| {
        // SAFETY: the name ends in NUL. Every process has that library as long as it lives.
        let library = unsafe { GetModuleHandleW(windows_sys::w!("ntdll.dll")) };
        // SAFETY: as above.
        let found = unsafe { GetProcAddress(library, c"NtFlushBuffersFileEx".as_ptr().cast()) }?;
        // SAFETY: that is how the function of this name is declared (ntifs.h).
        Some(unsafe { std::mem::transmute::<unsafe extern "system" fn() -> isize, Flush>(found) })
    })
}

/// Whether the system, or the file system, does not know what was asked for.
fn is_unknown(status: NTSTATUS) -> bool {
    [
        STATUS_INVALID_DEVICE_REQUEST,
        STATUS_INVALID_INFO_CLASS,
        STATUS_INVALID_PARAMETER,
        STATUS_NOT_IMPLEMENTED,
        STATUS_NOT_SUPPORTED,
    ]
    .contains(&status)
}

/// Windows flushes whole files.
pub(crate) fn sync_range(fd: LentFd, _offset: u64, _len: u64) -> io::Result<()> {
    sync(fd, true)
}

fn succeeded(result: i32) -> io::Result<()> {
    if result == 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// What the status of a call says, in the words of Win32.
pub(crate) fn error_of(status: NTSTATUS) -> io::Error {
    let code = match status {
        // Win32 says that the access is denied, and not why.
        STATUS_FILE_IS_A_DIRECTORY => ERROR_DIRECTORY_NOT_SUPPORTED,
        // SAFETY: it translates a number.
        _ => unsafe { RtlNtStatusToDosError(status) },
    };
    io::Error::from_raw_os_error(code.cast_signed())
}

/// What an operation at an offset says of what has none.
pub(crate) const NOT_SEEKABLE: i32 = ERROR_SEEK_ON_DEVICE.cast_signed();

/// The offset that is the end of a file, wherever that is when the system writes there (WriteFile,
/// lpOverlapped).
pub(crate) const AT_END: u64 = u64::MAX;

/// What a read says at the end.
pub(crate) const END: i32 = ERROR_HANDLE_EOF.cast_signed();

/// Whether a read was at the end.
pub(crate) fn is_end(error: &io::Error) -> bool {
    error.raw_os_error() == Some(END)
}

/// Reads, from where the block says (ReadFile).
///
/// # Safety
/// So many bytes at `at`, and the block, must stay until the packet has come.
pub(crate) unsafe fn read(
    file: HANDLE,
    at: *mut u8,
    len: u32,
    overlapped: *mut OVERLAPPED,
) -> io::Result<()> {
    // SAFETY: the caller promises it.
    succeeded(unsafe { ReadFile(file, at, len, ptr::null_mut(), overlapped) })
}

/// Writes, to where the block says (WriteFile).
///
/// # Safety
/// As for [`read`].
pub(crate) unsafe fn write(
    file: HANDLE,
    at: *const u8,
    len: u32,
    overlapped: *mut OVERLAPPED,
) -> io::Result<()> {
    // SAFETY: the caller promises it.
    succeeded(unsafe { WriteFile(file, at, len, ptr::null_mut(), overlapped) })
}

/// Reads at an offset, and waits for it: of a file that was not opened for calls that overlap, or
/// that belongs to another port.
pub(crate) fn read_and_wait(
    fd: LentFd,
    room: &mut [MaybeUninit<u8>],
    offset: u64,
) -> io::Result<usize> {
    let (file, at, len) = (handle(fd.raw()), room.as_mut_ptr().cast(), len_of(room.len()));
    // SAFETY: the room lives until the call is over, which is waited for.
    match wait(file, offset, |overlapped| unsafe { read(file, at, len, overlapped) }) {
        Err(error) if is_end(&error) => Ok(0),
        result => result,
    }
}

/// Writes at an offset, as [`read_and_wait`] reads.
pub(crate) fn write_and_wait(fd: LentFd, bytes: &[u8], offset: u64) -> io::Result<usize> {
    let (file, at, len) = (handle(fd.raw()), bytes.as_ptr(), len_of(bytes.len()));
    // SAFETY: as above.
    wait(file, offset, |overlapped| unsafe { write(file, at, len, overlapped) })
}

/// Makes a call with a block of its own, and waits until it is over. An event whose lowest bit is set
/// keeps its packet from a port (GetQueuedCompletionStatus, remarks).
fn wait(
    file: HANDLE,
    offset: u64,
    call: impl FnOnce(*mut OVERLAPPED) -> io::Result<()>,
) -> io::Result<usize> {
    use std::os::windows::io::{FromRawHandle, OwnedHandle};
    // SAFETY: no attributes and no name: an event that is reset by hand, and not set.
    let event = unsafe { CreateEventW(ptr::null(), 1, 0, ptr::null()) };
    if event.is_null() {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: it was just made for us.
    let _closed_at_the_end = unsafe { OwnedHandle::from_raw_handle(event) };
    let mut overlapped = OVERLAPPED { hEvent: event.map_addr(|at| at | 1), ..Default::default() };
    overlapped.Anonymous.Anonymous =
        OVERLAPPED_0_0 { Offset: offset as u32, OffsetHigh: (offset >> 32) as u32 };
    let at = &raw mut overlapped;
    match call(at) {
        Err(error) if error.raw_os_error() != Some(ERROR_IO_PENDING.cast_signed()) => {
            return Err(error);
        }
        _ => {}
    }
    let mut count = 0;
    // SAFETY: the block and the number live during the call, which returns when all is over.
    succeeded(unsafe { GetOverlappedResult(file, at, &raw mut count, 1) })?;
    Ok(count as usize)
}

/// Reads into several buffers, one behind the other: a call each, until one finds less than there is
/// room for. ReadFileScatter, which is one call, fills whole pages alone, of files without a cache.
pub(crate) fn read_each_and_wait(fd: LentFd, vectors: &Vectors, offset: u64) -> io::Result<usize> {
    let file = handle(fd.raw());
    each(vectors, offset, |at, len, offset| {
        // SAFETY: the vectors name room in the operation's buffers, which nobody else uses until the
        // call is over (lent.rs, I1, I2), and that is waited for.
        match wait(file, offset, |overlapped| unsafe { read(file, at, len, overlapped) }) {
            Err(error) if is_end(&error) => Ok(0),
            result => result,
        }
    })
}

/// Writes from several buffers, as [`read_each_and_wait`] reads.
pub(crate) fn write_each_and_wait(fd: LentFd, vectors: &Vectors, offset: u64) -> io::Result<usize> {
    let file = handle(fd.raw());
    each(vectors, offset, |at, len, offset| {
        // SAFETY: as above; the bytes are only read.
        wait(file, offset, |overlapped| unsafe { write(file, at, len, overlapped) })
    })
}

/// Moves one buffer after another. What is done when a call fails is done.
fn each(
    vectors: &Vectors,
    offset: u64,
    mut call: impl FnMut(*mut u8, u32, u64) -> io::Result<usize>,
) -> io::Result<usize> {
    if vectors.as_slice().is_empty() {
        // Whether it may be written to at all is for the system to say.
        return call(ptr::null_mut(), 0, offset);
    }
    let mut moved = 0;
    for WSABUF { buf, len } in vectors.as_slice() {
        match call(*buf, *len, offset.saturating_add(moved as u64)) {
            Ok(count) => {
                moved += count;
                if count < *len as usize {
                    break;
                }
            }
            Err(_) if moved > 0 => break,
            Err(error) => return Err(error),
        }
    }
    Ok(moved)
}

/// Has the file system reserve room, as far as a file is to have it and has not (FILE_ALLOCATION_INFO:
/// less than a file has would cut it).
pub(crate) fn allocate(
    fd: LentFd,
    offset: u64,
    len: u64,
    allocation: Allocation,
) -> io::Result<()> {
    let is_wrong = |number| i64::try_from(number).is_err();
    if len == 0 || is_wrong(offset) || is_wrong(len) {
        return Err(io::Error::from_raw_os_error(ERROR_INVALID_PARAMETER.cast_signed()));
    }
    let end = i64::try_from(offset + len)
        .map_err(|_| io::Error::from_raw_os_error(ERROR_FILE_TOO_LARGE.cast_signed()))?;
    // A write of nothing: whether it may be changed at all is for the system to say.
    write_and_wait(fd, &[], 0)?;
    let now = metadata::standard(handle(fd.raw()))?;
    if end > now.AllocationSize.max(now.EndOfFile) {
        reserve(fd, end)?;
    }
    if allocation == Allocation::Grow && end > now.EndOfFile {
        set_len(fd, end.cast_unsigned())?;
    }
    Ok(())
}

/// Sets how much room a file has on the disk (SetFileInformationByHandle).
///
/// # Errors
/// `Unsupported` where the file system cannot.
fn reserve(fd: LentFd, size: i64) -> io::Result<()> {
    let info = FILE_ALLOCATION_INFO { AllocationSize: size };
    let (at, len) = ((&raw const info).cast(), size_of::<FILE_ALLOCATION_INFO>() as u32);
    let file = handle(fd.raw());
    // SAFETY: the structure is what the class wants, and lives during the call.
    let result =
        succeeded(unsafe { SetFileInformationByHandle(file, FileAllocationInfo, at, len) });
    result.map_err(|error| match error.raw_os_error().map(i32::cast_unsigned) {
        Some(
            ERROR_CALL_NOT_IMPLEMENTED
            | ERROR_INVALID_FUNCTION
            | ERROR_INVALID_PARAMETER
            | ERROR_NOT_SUPPORTED,
        ) => io::Error::from_raw_os_error(ERROR_CALL_NOT_IMPLEMENTED.cast_signed()),
        _ => error,
    })
}

pub(crate) fn len_of(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}
