//! The system's codes that the library compares with, or makes itself: `errno` on Unix; on Windows
//! those of Win32, among which Winsock has its own.

#[cfg(unix)]
mod system {
    pub(crate) use libc::{
        ECANCELED as CANCELED, EINTR as INTERRUPTED, EINVAL as INVALID, EIO as IO,
        EISCONN as CONNECTED, EMFILE as PROCESS_FULL, ENFILE as SYSTEM_FULL, ENOBUFS as NO_BUFFERS,
        ENOMEM as NO_MEMORY, EOPNOTSUPP as NOT_SUPPORTED,
    };

    /// A call would wait.
    pub(crate) use libc::EAGAIN as WOULD_BLOCK;
}

#[cfg(windows)]
mod system {
    use windows_sys::Win32::Foundation as win32;
    use windows_sys::Win32::Networking::WinSock as winsock;

    const fn signed(code: u32) -> i32 {
        code.cast_signed()
    }

    /// Not `ERROR_OPERATION_ABORTED`, which the standard library takes for a time that passed, and
    /// which the system gives without a cancel, too (P77).
    pub(crate) const CANCELED: i32 = signed(win32::ERROR_CANCELLED);
    pub(crate) const CONNECTED: i32 = winsock::WSAEISCONN;
    pub(crate) const INTERRUPTED: i32 = winsock::WSAEINTR;
    pub(crate) const INVALID: i32 = winsock::WSAEINVAL;
    pub(crate) const IO: i32 = signed(win32::ERROR_IO_DEVICE);
    pub(crate) const NO_BUFFERS: i32 = winsock::WSAENOBUFS;
    pub(crate) const NO_MEMORY: i32 = signed(win32::ERROR_NOT_ENOUGH_MEMORY);
    pub(crate) const NOT_SUPPORTED: i32 = winsock::WSAEOPNOTSUPP;
    pub(crate) const PROCESS_FULL: i32 = winsock::WSAEMFILE;
    pub(crate) const SYSTEM_FULL: i32 = signed(win32::ERROR_NO_SYSTEM_RESOURCES);
    pub(crate) const WOULD_BLOCK: i32 = winsock::WSAEWOULDBLOCK;
}

pub(crate) use system::*;
