//! Waking a ring from another thread: an eventfd that the ring polls.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};

use crate::net::system;

/// Shared by the loop and its remotes. Source: eventfd(2).
#[derive(Debug)]
pub(crate) struct Waker {
    eventfd: File,
}

impl Waker {
    #[expect(unsafe_code, reason = "eventfd has no wrapper in std")]
    pub(crate) fn new() -> io::Result<Waker> {
        // SAFETY: a system call with two plain arguments.
        let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor was just made for us.
        let owned = unsafe { OwnedFd::from_raw_fd(fd) };
        Ok(Waker { eventfd: File::from(owned) })
    }

    pub(crate) fn wake(&self) {
        // It fails only when the counter is full, and then the loop has been woken.
        let _ = (&self.eventfd).write(&1u64.to_ne_bytes());
    }

    /// Adds nothing, with flags of pwritev2(2); says whether the kernel took them.
    pub(super) fn write_with(&self, flags: i32) -> bool {
        system::write_with(self.eventfd.as_fd(), &[0; 8], flags).is_ok()
    }

    pub(crate) fn drain(&self) {
        let _ = (&self.eventfd).read(&mut [0; 8]);
    }
}

impl AsRawFd for Waker {
    fn as_raw_fd(&self) -> RawFd {
        self.eventfd.as_raw_fd()
    }
}
