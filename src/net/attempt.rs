//! Reading and writing any descriptor without blocking the loop, and without `O_NONBLOCK`: that
//! flag belongs to all processes that share an open file (fcntl(2)), and a shell whose terminal a
//! program leaves with it fails at its next read.
//!
//! ```text
//!   a call that cannot block ──▶ done
//!      │ it would, or the system cannot promise that it does not
//!      ▼
//!   poll(2) ──▶ not ready: wait for readiness
//!      └──────▶ ready: a call on the pool
//! ```
//!
//! The first call is one with `RWF_NOWAIT` (Linux: pipes, sockets), or a plain one where the
//! descriptor has `O_NONBLOCK`. What comes to the pool are FIFOs, terminals, and on other systems all
//! that blocks; and files, which poll(2) takes for ready (P72). What Linux has in memory of a file is
//! read before that (`fs/system/cached.rs`).
//!
//! I1. A call on the pool was ready a moment ago. It blocks there only if another process took what
//!     was to be read, or the room, or if a terminal has room for less: the loop goes on all the same.
//! I2. A write there has at most `PIPE_BUF` bytes, unless to a file: there is room for so many when a
//!     pipe is ready (pipe(7)).

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::RawFd;

use super::system;
use crate::driver::is_seekable;
use crate::offload::{Lent, LentFd, LentMut, result_of};
use crate::op::recv::TRANSFER_MAX;

/// What came of a call that must not block.
pub(crate) enum Attempt {
    Done(i32),
    /// It is not ready: to be tried again when it is.
    WouldBlock,
    /// It is ready; but a call that does not block is not to be had.
    MayBlock,
}

impl Attempt {
    pub(crate) fn read(fd: RawFd, room: &mut [MaybeUninit<u8>]) -> Attempt {
        let len = room.len().min(TRANSFER_MAX);
        let read = |fd: LentFd| system::read_at_once(fd, &mut room[..len]);
        Attempt::make(fd, libc::POLLIN, read)
    }

    pub(crate) fn write(fd: RawFd, bytes: &[u8]) -> Attempt {
        let len = bytes.len().min(TRANSFER_MAX);
        Attempt::make(fd, libc::POLLOUT, |fd| system::write_at_once(fd, &bytes[..len]))
    }

    fn make(fd: RawFd, events: i16, mut call: impl FnMut(LentFd) -> io::Result<usize>) -> Attempt {
        let result = result_of(|| call(LentFd::new(fd)));
        if !matches!(-result, libc::EAGAIN | libc::EOPNOTSUPP) {
            return Attempt::Done(result);
        }
        match system::poll_now(fd, events) {
            Ok(0) => Attempt::WouldBlock,
            // Whatever is wrong with it, the call says so.
            _ => Attempt::MayBlock,
        }
    }
}

/// A read that may block.
pub(crate) fn read_on_pool(
    fd: RawFd,
    room: &mut [MaybeUninit<u8>],
) -> impl FnMut() -> io::Result<usize> + Send + 'static {
    let len = room.len().min(TRANSFER_MAX);
    let (fd, mut room) = (LentFd::new(fd), LentMut::new(&mut room[..len]));
    move || {
        let (read, _rest) = rustix::io::read(fd, &mut *room)?;
        Ok(read.len())
    }
}

/// A write that may block (I2).
pub(crate) fn write_on_pool(
    fd: RawFd,
    bytes: &[u8],
) -> impl FnMut() -> io::Result<usize> + Send + 'static {
    let max = if is_seekable(fd) { TRANSFER_MAX } else { libc::PIPE_BUF };
    let (fd, bytes) = (LentFd::new(fd), Lent::new(&bytes[..bytes.len().min(max)]));
    move || system::write(fd, &bytes)
}
