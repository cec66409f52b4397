//! What Windows does with files: one small function each.
//!
//! Sources, in Microsoft's documentation: the page of each function that is called.
#![expect(unsafe_code, reason = "system calls that no crate wraps in this form")]

use std::io;
use std::mem::{ManuallyDrop, MaybeUninit};
use std::ptr;

use windows_sys::Win32::Foundation::{
    ERROR_HANDLE_EOF, ERROR_IO_PENDING, HANDLE, NTSTATUS, RtlNtStatusToDosError,
};
use windows_sys::Win32::Storage::FileSystem::{ReadFile, WriteFile};
use windows_sys::Win32::System::IO::{GetOverlappedResult, OVERLAPPED, OVERLAPPED_0_0};
use windows_sys::Win32::System::Threading::CreateEventW;

use crate::core::owned;
use crate::net::system::handle;
use crate::offload::LentFd;
use crate::raw::RawFd;

/// A file, lent to a call of the standard library.
fn lend<T>(fd: RawFd, call: impl FnOnce(&std::fs::File) -> T) -> T {
    // It is not dropped: the table of handles owns it.
    call(&ManuallyDrop::new(std::fs::File::from(owned(fd))))
}

/// Cuts a file, or makes it longer (SetFileInformationByHandle).
pub(crate) fn set_len(fd: LentFd, len: u64) -> io::Result<()> {
    lend(fd.raw(), |file| file.set_len(len))
}

/// Has the disk hold what the system does (FlushFileBuffers, which knows no difference).
pub(crate) fn sync(fd: LentFd, _data_only: bool) -> io::Result<()> {
    lend(fd.raw(), std::fs::File::sync_all)
}

fn succeeded(result: i32) -> io::Result<()> {
    if result == 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// What a call on a file that is over failed with; the end of the file is none.
pub(crate) fn failure(status: NTSTATUS) -> io::Error {
    // SAFETY: it translates a number.
    io::Error::from_raw_os_error(unsafe { RtlNtStatusToDosError(status) }.cast_signed())
}

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

pub(crate) fn len_of(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}
