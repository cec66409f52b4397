//! Readiness by epoll, edge-triggered.

use super::check;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

/// One reported readiness.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub struct Ready(libc::epoll_event);

impl Ready {
    /// A place for [`Epoll::wait`] to write to.
    pub const EMPTY: Self = Self(libc::epoll_event { events: 0, u64: 0 });

    /// The token given at registration.
    #[must_use]
    pub fn token(self) -> u64 {
        self.0.u64
    }

    /// Bytes, an end of file or an error can be read.
    #[must_use]
    pub fn readable(self) -> bool {
        let events = self.0.events;
        events & (libc::EPOLLIN | libc::EPOLLRDHUP | libc::EPOLLHUP | libc::EPOLLERR) as u32 != 0
    }

    /// There is room to send again.
    #[must_use]
    pub fn writable(self) -> bool {
        let events = self.0.events;
        events & (libc::EPOLLOUT | libc::EPOLLHUP | libc::EPOLLERR) as u32 != 0
    }

    /// The peer ended its side, or the connection failed: a short read is not the last one.
    #[must_use]
    pub fn ended(self) -> bool {
        let events = self.0.events;
        events & (libc::EPOLLRDHUP | libc::EPOLLHUP | libc::EPOLLERR) as u32 != 0
    }
}

/// An epoll instance.
pub struct Epoll(OwnedFd);

impl Epoll {
    /// Makes one, close-on-exec.
    pub fn new() -> io::Result<Self> {
        // SAFETY: a call without pointers.
        let fd = check(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
        // SAFETY: the kernel just made this descriptor and nobody else owns it.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    fn add(&self, fd: RawFd, events: libc::c_int, token: u64) -> io::Result<()> {
        let mut event = libc::epoll_event { events: events as u32, u64: token };
        let epoll = self.0.as_raw_fd();
        // SAFETY: `event` lives through the call, which only reads it.
        check(unsafe { libc::epoll_ctl(epoll, libc::EPOLL_CTL_ADD, fd, &raw mut event) })?;
        Ok(())
    }

    /// Reports `fd` as often as it is readable.
    pub fn add_level(&self, fd: RawFd, token: u64) -> io::Result<()> {
        self.add(fd, libc::EPOLLIN, token)
    }

    /// Reports each time `fd` becomes readable or writable, in one registration for its life.
    pub fn add_edge(&self, fd: RawFd, token: u64) -> io::Result<()> {
        self.add(fd, libc::EPOLLIN | libc::EPOLLOUT | libc::EPOLLRDHUP | libc::EPOLLET, token)
    }

    /// Reports each time `fd` becomes readable: an eventfd then need not be read.
    pub fn add_edge_in(&self, fd: RawFd, token: u64) -> io::Result<()> {
        self.add(fd, libc::EPOLLIN | libc::EPOLLET, token)
    }

    /// Waits, at most `timeout_ms` (-1: for ever), and returns how many entries were written.
    pub fn wait(&self, ready: &mut [Ready], timeout_ms: i32) -> io::Result<usize> {
        let max = ready.len().min(i32::MAX as usize) as libc::c_int;
        let at = ready.as_mut_ptr().cast::<libc::epoll_event>();
        // SAFETY: `Ready` is a transparent `epoll_event`, and `max` of them are ours to write.
        match check(unsafe { libc::epoll_wait(self.0.as_raw_fd(), at, max, timeout_ms) }) {
            Ok(count) => Ok(count as usize),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(0),
            Err(error) => Err(error),
        }
    }
}
