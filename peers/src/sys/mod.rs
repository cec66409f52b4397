//! The system calls that the peers need, and the only unsafe code here.
//!
//! Everything above this module is safe Rust. Memory that the kernel writes to lives in an
//! [`arena::Arena`] that a [`ring::Port`] owns and frees only after every operation has ended.

#![expect(unsafe_code, reason = "the one seam between the peers and the operating system")]

pub mod arena;
pub mod epoll;
pub mod net;
pub mod process;
pub mod ring;

use std::io;

/// Turns the `-1` of a C call into the error that `errno` holds.
pub(crate) fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// The same for calls that return a length.
pub(crate) fn check_len(result: libc::ssize_t) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}
