//! Entering the kernel, by a descriptor or by the number that a ring registered for its thread:
//! with a number the kernel need not look the descriptor up at each call.
//!
//! Sources: io_uring_enter(2); `IORING_REGISTER_RING_FDS` in io_uring_register(2), kernel 5.18+.
#![expect(unsafe_code, reason = "system calls that no crate wraps in this form")]

use std::io;
use std::os::fd::RawFd;

use io_uring::types::SubmitArgs;

const ENTER_GETEVENTS: u32 = 1;
const ENTER_EXT_ARG: u32 = 1 << 3;
const ENTER_REGISTERED_RING: u32 = 1 << 4;
const ENTER_NO_IOWAIT: u32 = 1 << 7;
const REGISTER_RING_FDS: libc::c_uint = 20;
const UNREGISTER_RING_FDS: libc::c_uint = 21;

/// `struct io_uring_rsrc_update` of linux/io_uring.h.
#[repr(C)]
struct Update {
    offset: u32,
    reserved: u32,
    data: u64,
}

const _: () = assert!(size_of::<Update>() == 16);

/// How a ring is entered.
pub(crate) struct Entrance {
    fd: RawFd,
    /// The number that stands for the descriptor.
    registered: Option<u32>,
    flags: u32,
}

impl Entrance {
    /// Registers the descriptor for this thread where that is possible; a thread may have sixteen.
    pub(crate) fn new(fd: RawFd, no_iowait: bool) -> Entrance {
        let mut update =
            Update { offset: u32::MAX, reserved: 0, data: u64::from(fd.unsigned_abs()) };
        let registered = register(fd, REGISTER_RING_FDS, &mut update).then_some(update.offset);
        let mut flags = ENTER_GETEVENTS | ENTER_EXT_ARG;
        if registered.is_some() {
            flags |= ENTER_REGISTERED_RING;
        }
        if no_iowait {
            flags |= ENTER_NO_IOWAIT;
        }
        Entrance { fd, registered, flags }
    }

    /// Submits `to_submit` entries, has completions appear, and waits for `want` of them.
    #[inline]
    pub(crate) fn enter(
        &self,
        to_submit: u32,
        want: u32,
        args: &SubmitArgs<'_, '_>,
    ) -> io::Result<u32> {
        let fd = self.registered.map_or(self.fd, u32::cast_signed);
        // SAFETY: the argument is the structure that EXT_ARG promises, alive during the call.
        let result = unsafe {
            libc::syscall(
                libc::SYS_io_uring_enter,
                fd,
                to_submit,
                want,
                self.flags,
                std::ptr::from_ref(args),
                size_of::<SubmitArgs<'_, '_>>(),
            )
        };
        u32::try_from(result).map_err(|_| io::Error::last_os_error())
    }
}

impl Drop for Entrance {
    fn drop(&mut self) {
        // The registration would keep the ring alive.
        if let Some(offset) = self.registered {
            let mut update = Update { offset, reserved: 0, data: 0 };
            register(self.fd, UNREGISTER_RING_FDS, &mut update);
        }
    }
}

fn register(fd: RawFd, operation: libc::c_uint, update: &mut Update) -> bool {
    let update = std::ptr::from_mut(update);
    // SAFETY: one element of the structure that both operations read and write.
    unsafe { libc::syscall(libc::SYS_io_uring_register, fd, operation, update, 1) == 1 }
}
