//! The system's poller, by `mio`: the one part that differs between epoll and kqueue.

use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::time::Duration;

use mio::unix::SourceFd;
use mio::{Events, Poll, Token};

/// What an event says of one direction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct News {
    pub(super) ready: bool,
    /// Nothing more is to come this way; what came before may not have been taken yet.
    pub(super) ended: bool,
}

/// News of a handle.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Event {
    pub(super) handle: u32,
    pub(super) readable: News,
    pub(super) writable: News,
    /// A call, whichever way, will say what has failed.
    pub(super) failed: bool,
    /// Urgent data is among what can be received.
    pub(super) urgent: bool,
}

/// Whether events tell of urgent data, at which a receive stops short of what follows (tcp(7)).
pub(super) const TELLS_OF_URGENT_DATA: bool = cfg!(target_os = "linux");

/// What the driver needs of a system.
pub(crate) trait Poller {
    /// Watches both directions of `fd`, edge-triggered; what is ready already is news.
    fn register(&mut self, fd: RawFd, handle: u32) -> io::Result<()>;
    fn deregister(&mut self, fd: RawFd) -> io::Result<()>;
    /// Waits for events; `Interrupted` when a signal came first.
    fn wait(&mut self, timeout: Option<Duration>, each: impl FnMut(Event)) -> io::Result<()>;
}

#[cfg(target_os = "linux")]
fn interests() -> mio::Interest {
    mio::Interest::READABLE | mio::Interest::WRITABLE | mio::Interest::PRIORITY
}

#[cfg(not(target_os = "linux"))]
fn interests() -> mio::Interest {
    mio::Interest::READABLE | mio::Interest::WRITABLE
}

/// No handle has this number.
const WAKE: Token = Token(u32::MAX as usize);

pub(crate) struct MioPoller {
    poll: Poll,
    events: Events,
}

/// Wakes a poller from any thread.
#[derive(Debug)]
pub(crate) struct Waker(mio::Waker);

impl Waker {
    pub(crate) fn wake(&self) {
        // It fails only when the loop is gone, or has been woken so often that it must see it.
        let _ = self.0.wake();
    }
}

impl MioPoller {
    /// A poller that takes up to `events` at a time.
    pub(super) fn new(events: u32) -> io::Result<(MioPoller, Waker)> {
        let poll = Poll::new()?;
        let waker = Waker(mio::Waker::new(poll.registry(), WAKE)?);
        let events = Events::with_capacity(events.clamp(1, 32768) as usize);
        Ok((MioPoller { poll, events }, waker))
    }

    pub(super) fn raw_fd(&self) -> RawFd {
        self.poll.as_raw_fd()
    }
}

impl Poller for MioPoller {
    fn register(&mut self, fd: RawFd, handle: u32) -> io::Result<()> {
        self.poll.registry().register(&mut SourceFd(&fd), Token(handle as usize), interests())
    }

    fn deregister(&mut self, fd: RawFd) -> io::Result<()> {
        self.poll.registry().deregister(&mut SourceFd(&fd))
    }

    #[inline]
    fn wait(&mut self, timeout: Option<Duration>, mut each: impl FnMut(Event)) -> io::Result<()> {
        self.poll.poll(&mut self.events, timeout)?;
        for event in &self.events {
            // The number is one that `register` was given, or that of the waker, which is nobody's.
            let Ok(handle) = u32::try_from(event.token().0) else { continue };
            each(Event {
                handle,
                readable: News { ready: event.is_readable(), ended: event.is_read_closed() },
                writable: News { ready: event.is_writable(), ended: event.is_write_closed() },
                failed: event.is_error(),
                urgent: event.is_priority(),
            });
        }
        Ok(())
    }
}
