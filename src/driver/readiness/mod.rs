//! Readiness: epoll, kqueue. A call is tried first, and tried again when its handle is ready.
//!
//! ```text
//!  row ─try─▶ done ─────────────────────────────▶ ready
//!        └─▶ would block ─▶ waiters of the handle ──event──▶ ready: "try again"
//! ```
//!
//! I1. One edge-triggered registration a handle, for both directions, from its first wait until it
//!     is closed or given away: it is taken back before the descriptor is.
//! I2. An edge is lost only by a call that found nothing more: a direction counts as blocked after
//!     a call that would have blocked or was short, until the next event, and never once its end
//!     was announced (P70, P74).
//! I3. Waiters of one direction are woken together, in the order in which they came (P73).
//! I4. Events name handles, and are turned into completions before anything else runs: no event
//!     outlives its handle (P71), and one for nobody, or for a successor, costs a try.
//!
//! Sources: epoll(7), "Q9"; kqueue(2) of FreeBSD and of macOS; the documentation of `mio::Poll`.

use std::io;
use std::os::fd::RawFd;
use std::sync::Arc;
use std::time::Duration;

use crate::fs::AllTerms;
use crate::offload::Calls;
use crate::op::{Completion, Op};
use crate::queue::Queue;
use crate::slot::NONE;

mod alarm;
mod place;
mod poller;
#[cfg(test)]
mod tests;

use alarm::Alarm;
pub(crate) use place::Place;
pub(crate) use poller::Waker;
use poller::{MioPoller, Poller, TELLS_OF_URGENT_DATA};

/// Which readiness a call waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Interest {
    Readable,
    Writable,
}

/// The longest wait in one call: longer ones are taken up again. Pollers count in milliseconds of
/// 31 bits.
const WAIT_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// Room for so many handles is added at a time: an idle connection is to take few bytes.
const GROWTH: usize = 1024;

/// An operation that waits, in a chain.
struct Waiter {
    op: Op,
    next: u32,
}

/// The waiters of one direction of a handle, and what is known of it.
#[derive(Clone, Copy)]
struct Way {
    first: u32,
    last: u32,
    /// The last call would have blocked, or did all that there was to do.
    blocked: bool,
    /// Its end was announced: there is no further event to wait for.
    ended: bool,
    /// A call that did less than it could leaves nothing to be done.
    short_calls_end: bool,
}

impl Way {
    const fn idle(short_calls_end: bool) -> Way {
        Way { first: NONE, last: NONE, blocked: false, ended: false, short_calls_end }
    }
}

/// A handle, as this driver knows it.
#[derive(Clone, Copy)]
struct Watch {
    registered: bool,
    /// In, out.
    ways: [Way; 2],
}

impl Watch {
    const NEW: Watch =
        Watch { registered: false, ways: [Way::idle(TELLS_OF_URGENT_DATA), Way::idle(true)] };

    fn way(&mut self, interest: Interest) -> &mut Way {
        &mut self.ways[interest as usize]
    }
}

pub(crate) struct Readiness<P = MioPoller> {
    poller: P,
    /// By the number of the handle.
    watches: Vec<Watch>,
    waiters: Vec<Waiter>,
    free_waiter: u32,
    system_calls: u64,
    waker: Arc<Waker>,
    /// Wakes an embedding loop.
    alarm: Option<Alarm>,
}

impl Readiness {
    pub(crate) fn new(entries: u32) -> io::Result<Readiness> {
        let (poller, waker) = MioPoller::new(entries)?;
        Ok(Readiness::over(poller, waker))
    }

    /// What an embedding loop polls.
    pub(crate) fn raw_fd(&self) -> RawFd {
        self.poller.raw_fd()
    }
}

impl<P: Poller> Readiness<P> {
    fn over(poller: P, waker: Waker) -> Readiness<P> {
        Readiness {
            poller,
            watches: Vec::new(),
            waiters: Vec::new(),
            free_waiter: NONE,
            system_calls: 0,
            waker: Arc::new(waker),
            alarm: None,
        }
    }

    pub(crate) fn waker(&self) -> Arc<Waker> {
        Arc::clone(&self.waker)
    }

    pub(crate) fn system_calls(&self) -> u64 {
        self.system_calls
    }

    /// Where an operation tries its call, on a handle or (`NONE`) beside all of them.
    #[inline]
    pub(crate) fn place<'a>(
        &'a mut self,
        op: Op,
        fd: RawFd,
        handle: u32,
        calls: &'a Calls,
        terms: &'a AllTerms,
    ) -> Place<'a> {
        let ways = match handle {
            NONE => None,
            handle => Some(&mut watch(&mut self.watches, handle).ways),
        };
        Place { fd, op, ways, handle, system_calls: &mut self.system_calls, calls, terms }
    }

    /// Lets an operation wait until its handle is ready.
    ///
    /// # Errors
    /// What epoll_ctl(2) or kevent(2) says when the handle is registered.
    pub(crate) fn wait_for(
        &mut self,
        op: Op,
        fd: RawFd,
        handle: u32,
        interest: Interest,
    ) -> io::Result<()> {
        let watch = watch(&mut self.watches, handle);
        if !watch.registered {
            self.system_calls += 1;
            self.poller.register(fd, handle)?;
            watch.registered = true;
        }
        enqueue(watch.way(interest), &mut self.waiters, &mut self.free_waiter, op);
        Ok(())
    }

    /// Lets an operation wait that has called before, if its direction is blocked since and its
    /// handle registered; says whether it waits.
    #[inline]
    pub(crate) fn waits_again(&mut self, op: Op, handle: u32, interest: Interest) -> bool {
        let Some(watch) = self.watches.get_mut(handle as usize) else { return false };
        let may_wait = watch.registered && watch.way(interest).blocked;
        if may_wait {
            enqueue(watch.way(interest), &mut self.waiters, &mut self.free_waiter, op);
        }
        may_wait
    }

    /// Ends the wait of an operation; says whether it waited. One that has been woken finds out
    /// when it is about to try.
    pub(crate) fn cancel(&mut self, op: Op, handle: u32) -> bool {
        let Some(watch) = self.watches.get_mut(handle as usize) else { return false };
        for way in &mut watch.ways {
            let (mut before, mut at) = (NONE, way.first);
            while at != NONE {
                let Waiter { op: waiting, next } = self.waiters[at as usize];
                if waiting != op {
                    (before, at) = (at, next);
                    continue;
                }
                match before {
                    NONE => way.first = next,
                    before => self.waiters[before as usize].next = next,
                }
                if next == NONE {
                    way.last = before;
                }
                self.waiters[at as usize].next = self.free_waiter;
                self.free_waiter = at;
                return true;
            }
        }
        false
    }

    /// A handle is about to be closed or given away: nothing is pending on it.
    pub(crate) fn forget(&mut self, fd: RawFd, handle: u32) {
        let Some(watch) = self.watches.get_mut(handle as usize) else { return };
        if std::mem::replace(watch, Watch::NEW).registered {
            self.system_calls += 1;
            // Where the descriptor was closed behind the library's back, it is gone already.
            let _ = self.poller.deregister(fd);
        }
    }

    /// Waits for events (`None`: for ever, zero: not at all), and has those try again that they
    /// concern.
    pub(crate) fn wait(
        &mut self,
        timeout: Option<Duration>,
        ready: &mut Queue<Completion>,
    ) -> io::Result<()> {
        let Readiness { poller, watches, waiters, free_waiter, .. } = self;
        self.system_calls += 1;
        let timeout = timeout.map(|timeout| timeout.min(WAIT_MAX));
        let waited = poller.wait(timeout, |event| {
            let Some(watch) = watches.get_mut(event.handle as usize) else { return };
            watch.way(Interest::Readable).short_calls_end &= !event.urgent;
            for (way, news) in watch.ways.iter_mut().zip([event.readable, event.writable]) {
                if !news.ready && !news.ended {
                    continue;
                }
                way.blocked = false;
                way.ended |= news.ended;
                let mut at = std::mem::replace(&mut way.first, NONE);
                way.last = NONE;
                while at != NONE {
                    let Waiter { op, next } = &mut waiters[at as usize];
                    ready.push_back(Completion::try_again(*op));
                    let after = std::mem::replace(next, *free_waiter);
                    *free_waiter = at;
                    at = after;
                }
            }
        });
        match waited {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            other => other,
        }
    }

    /// Makes the poller's descriptor readable when `timeout` has passed, for an embedding loop.
    pub(crate) fn arm(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        match timeout {
            None => {
                if let Some(alarm) = &self.alarm {
                    alarm.set(None);
                }
            }
            Some(Duration::ZERO) => self.waker.wake(),
            Some(timeout) => {
                if self.alarm.is_none() {
                    self.alarm = Some(Alarm::start(Arc::clone(&self.waker))?);
                }
                if let Some(alarm) = &self.alarm {
                    alarm.set(Some(timeout.min(WAIT_MAX)));
                }
            }
        }
        Ok(())
    }
}

/// What is known of a handle.
#[inline]
fn watch(watches: &mut Vec<Watch>, handle: u32) -> &mut Watch {
    let at = handle as usize;
    if at >= watches.len() {
        grow(watches, at + 1);
    }
    &mut watches[at]
}

/// Puts an operation behind those that wait already.
#[inline]
fn enqueue(way: &mut Way, waiters: &mut Vec<Waiter>, free: &mut u32, op: Op) {
    let waiter = Waiter { op, next: NONE };
    let at = *free;
    let at = if let Some(place) = waiters.get_mut(at as usize) {
        *free = std::mem::replace(place, waiter).next;
        at
    } else {
        add(waiters, waiter)
    };
    match std::mem::replace(&mut way.last, at) {
        NONE => way.first = at,
        last => waiters[last as usize].next = at,
    }
}

#[cold]
fn add(waiters: &mut Vec<Waiter>, waiter: Waiter) -> u32 {
    if waiters.len() == waiters.capacity() {
        waiters.reserve_exact(GROWTH);
    }
    waiters.push(waiter);
    u32::try_from(waiters.len() - 1).unwrap_or(NONE)
}

#[cold]
fn grow(watches: &mut Vec<Watch>, len: usize) {
    watches.reserve_exact(len.next_multiple_of(GROWTH) - watches.len());
    watches.resize(len.next_multiple_of(GROWTH), Watch::NEW);
}
