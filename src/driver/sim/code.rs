//! The error codes that simulated calls answer with, in one place: Linux's, by the numbers that this system
//! has for them. On Windows they are codes of the same kinds, as the standard library has them, so that a
//! world is the same everywhere.

#[cfg(unix)]
pub(super) use libc::{
    EADDRINUSE, EADDRNOTAVAIL, EAGAIN, EALREADY, EBADF, EBUSY, ECONNABORTED, ECONNREFUSED,
    ECONNRESET, EDESTADDRREQ, EEXIST, EFBIG, EINPROGRESS, EINTR, EINVAL, EIO, EISCONN, EISDIR,
    ELOOP, EMFILE, EMSGSIZE, ENAMETOOLONG, ENETUNREACH, ENOBUFS, ENOENT, ENOMEM, ENOSPC, ENOTCONN,
    ENOTDIR, ENOTEMPTY, ENOTSOCK, ENXIO, EOPNOTSUPP, EPERM, EPIPE, EPROTOTYPE, ESPIPE, ETIMEDOUT,
    EXDEV,
};

#[cfg(windows)]
pub(super) use windows::*;

#[cfg(windows)]
mod windows {
    use windows_sys::Win32::Foundation as win32;
    pub(in super::super) use windows_sys::Win32::Networking::WinSock::{
        WSAEADDRINUSE as EADDRINUSE, WSAEADDRNOTAVAIL as EADDRNOTAVAIL, WSAEALREADY as EALREADY,
        WSAEBADF as EBADF, WSAECONNABORTED as ECONNABORTED, WSAECONNREFUSED as ECONNREFUSED,
        WSAECONNRESET as ECONNRESET, WSAEDESTADDRREQ as EDESTADDRREQ,
        WSAEINPROGRESS as EINPROGRESS, WSAEMSGSIZE as EMSGSIZE, WSAENETUNREACH as ENETUNREACH,
        WSAENOTCONN as ENOTCONN, WSAENOTSOCK as ENOTSOCK, WSAEPROTOTYPE as EPROTOTYPE,
        WSAETIMEDOUT as ETIMEDOUT,
    };

    /// What the library compares with, too.
    pub(in super::super) use crate::error::code::{
        CONNECTED as EISCONN, INTERRUPTED as EINTR, INVALID as EINVAL, IO as EIO,
        NO_BUFFERS as ENOBUFS, NO_MEMORY as ENOMEM, PROCESS_FULL as EMFILE, TOO_LARGE as EFBIG,
        WOULD_BLOCK as EAGAIN,
    };

    const fn signed(code: u32) -> i32 {
        code.cast_signed()
    }

    pub(in super::super) const EBUSY: i32 = signed(win32::ERROR_BUSY);
    pub(in super::super) const EEXIST: i32 = signed(win32::ERROR_FILE_EXISTS);
    pub(in super::super) const EISDIR: i32 = signed(win32::ERROR_DIRECTORY_NOT_SUPPORTED);
    pub(in super::super) const ELOOP: i32 = signed(win32::ERROR_CANT_RESOLVE_FILENAME);
    pub(in super::super) const ENAMETOOLONG: i32 = signed(win32::ERROR_FILENAME_EXCED_RANGE);
    pub(in super::super) const ENOENT: i32 = signed(win32::ERROR_FILE_NOT_FOUND);
    pub(in super::super) const ENOSPC: i32 = signed(win32::ERROR_DISK_FULL);
    pub(in super::super) const ENOTDIR: i32 = signed(win32::ERROR_DIRECTORY);
    pub(in super::super) const ENOTEMPTY: i32 = signed(win32::ERROR_DIR_NOT_EMPTY);
    pub(in super::super) const ENXIO: i32 = signed(win32::ERROR_DEV_NOT_EXIST);
    pub(in super::super) const EOPNOTSUPP: i32 = signed(win32::ERROR_CALL_NOT_IMPLEMENTED);
    pub(in super::super) const EPERM: i32 = signed(win32::ERROR_ACCESS_DENIED);
    pub(in super::super) const EPIPE: i32 = signed(win32::ERROR_BROKEN_PIPE);
    pub(in super::super) const ESPIPE: i32 = signed(win32::ERROR_SEEK_ON_DEVICE);
    pub(in super::super) const EXDEV: i32 = signed(win32::ERROR_NOT_SAME_DEVICE);
}

/// What a simulated call answers: a value, or one of these codes.
pub(super) type Answer<T> = Result<T, i32>;
