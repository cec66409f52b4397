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
//!     was announced (P70, P74). A short receive says so only of a stream without boundaries.
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
use crate::fs::system::Reads;
use crate::offload::Calls;
use crate::op::{Completion, Op};
use crate::queue::Queue;
use crate::slot::NONE;

mod alarm;
mod place;
mod poller;
#[cfg(test)]
mod tests;

pub(crate) use super::Interest;
use alarm::Alarm;
pub(crate) use place::Place;
pub(crate) use poller::Waker;
use poller::{MioPoller, Poller, TELLS_OF_URGENT_DATA};

/// The longest wait in one call: longer ones are taken up again. Pollers count in milliseconds of
/// 31 bits.
const WAIT_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// Room for so many handles is added at a time: an idle connection is to take few bytes.
const GROWTH: usize = 1024;

/// The waiters of one direction of a handle, and what is known of it.
#[derive(Clone, Copy)]
struct Way {
    /// Who waits first: mostly nobody else does.
    first: Op,
    /// The chain of those behind.
    second: u32,
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
        let (first, second, last) = (Op::ENDED, NONE, NONE);
        Way { first, second, last, blocked: false, ended: false, short_calls_end }
    }

    /// Puts an operation behind those that wait already.
    #[inline]
    fn enqueue(&mut self, op: Op, waiters: &mut Waiters) {
        if self.first.index == NONE {
            self.first = op;
        } else {
            self.enqueue_behind(op, waiters);
        }
    }

    #[cold]
    fn enqueue_behind(&mut self, op: Op, waiters: &mut Waiters) {
        let at = waiters.add(op);
        match std::mem::replace(&mut self.last, at) {
            NONE => self.second = at,
            last => waiters.entries[last as usize].next = at,
        }
    }

    /// Takes out who waits first.
    #[inline]
    fn dequeue(&mut self, waiters: &mut Waiters) -> Option<Op> {
        let op = self.first;
        if op.index == NONE {
            return None;
        }
        self.first = if self.second == NONE { Op::ENDED } else { self.dequeue_second(waiters) };
        Some(op)
    }

    #[cold]
    fn dequeue_second(&mut self, waiters: &mut Waiters) -> Op {
        let Waiter { op, next } = waiters.remove(self.second);
        self.second = next;
        if next == NONE {
            self.last = NONE;
        }
        op
    }

    /// Takes an operation out; says whether it waited.
    fn remove(&mut self, op: Op, waiters: &mut Waiters) -> bool {
        if self.first == op {
            return self.dequeue(waiters).is_some();
        }
        let (mut before, mut at) = (NONE, self.second);
        while at != NONE {
            let Waiter { op: waiting, next } = waiters.entries[at as usize];
            if waiting != op {
                (before, at) = (at, next);
                continue;
            }
            match before {
                NONE => self.second = next,
                before => waiters.entries[before as usize].next = next,
            }
            if next == NONE {
                self.last = before;
            }
            waiters.remove(at);
            return true;
        }
        false
    }
}

/// An operation that waits behind another one.
#[derive(Clone, Copy)]
struct Waiter {
    op: Op,
    next: u32,
}

/// Those who wait behind others, in chains. Storage is reused.
struct Waiters {
    entries: Vec<Waiter>,
    free: u32,
}

impl Waiters {
    fn add(&mut self, op: Op) -> u32 {
        let waiter = Waiter { op, next: NONE };
        let at = self.free;
        if let Some(place) = self.entries.get_mut(at as usize) {
            self.free = std::mem::replace(place, waiter).next;
            return at;
        }
        self.entries.push(waiter);
        u32::try_from(self.entries.len() - 1).unwrap_or(NONE)
    }

    fn remove(&mut self, at: u32) -> Waiter {
        let entry = &mut self.entries[at as usize];
        let waiter = *entry;
        entry.next = std::mem::replace(&mut self.free, at);
        waiter
    }
}

/// A handle, as this driver knows it.
#[derive(Clone, Copy)]
struct Watch {
    registered: bool,
    /// It is a socket of datagrams: an error is over when it is told.
    datagrams: bool,
    /// How it is read, once that has been asked.
    reads: Option<Reads>,
    /// In, out.
    ways: [Way; 2],
}

impl Watch {
    const NEW: Watch = Watch {
        registered: false,
        datagrams: false,
        reads: None,
        ways: [Way::idle(false), Way::idle(true)],
    };

    fn way(&mut self, interest: Interest) -> &mut Way {
        &mut self.ways[interest as usize]
    }
}

pub(crate) struct Readiness<P = MioPoller> {
    poller: P,
    /// By the number of the handle.
    watches: Vec<Watch>,
    waiters: Waiters,
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
            waiters: Waiters { entries: Vec::new(), free: NONE },
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
        ready: &'a Queue<Completion>,
    ) -> Place<'a> {
        make_room(&mut self.watches, handle);
        let watch = self.watches.get_mut(handle as usize);
        Place { fd, op, watch, handle, system_calls: &mut self.system_calls, calls, terms, ready }
    }

    /// What a handle receives is one row of bytes: a receive that is short has had all of them. With
    /// boundaries, as descriptors make them in the data of a Unix socket, more may lie behind one.
    #[inline]
    pub(crate) fn has_no_boundaries(&mut self, handle: u32) {
        make_room(&mut self.watches, handle);
        self.watches[handle as usize].way(Interest::Readable).short_calls_end =
            TELLS_OF_URGENT_DATA;
    }

    /// Lets an operation wait until its handle is ready.
    ///
    /// # Errors
    /// What epoll_ctl(2) or kevent(2) says when the handle is registered.
    #[inline]
    pub(crate) fn wait_for(
        &mut self,
        op: Op,
        fd: RawFd,
        handle: u32,
        interest: Interest,
    ) -> io::Result<()> {
        if self.waits_again(op, handle, interest) {
            return Ok(());
        }
        self.wait_first(op, fd, handle, interest)
    }

    #[cold]
    fn wait_first(&mut self, op: Op, fd: RawFd, handle: u32, interest: Interest) -> io::Result<()> {
        make_room(&mut self.watches, handle);
        let watch = &mut self.watches[handle as usize];
        if !watch.registered {
            self.system_calls += 1;
            self.poller.register(fd, handle)?;
            watch.registered = true;
        }
        watch.way(interest).enqueue(op, &mut self.waiters);
        Ok(())
    }

    /// Lets an operation wait that has called before, if its direction is blocked since and its
    /// handle registered; says whether it waits.
    #[inline]
    pub(crate) fn waits_again(&mut self, op: Op, handle: u32, interest: Interest) -> bool {
        let Some(watch) = self.watches.get_mut(handle as usize) else { return false };
        let may_wait = watch.registered && watch.way(interest).blocked;
        if may_wait {
            watch.way(interest).enqueue(op, &mut self.waiters);
        }
        may_wait
    }

    /// Ends the wait of an operation; says whether it waited. One that has been woken finds out
    /// when it is about to try.
    pub(crate) fn cancel(&mut self, op: Op, handle: u32) -> bool {
        let Some(watch) = self.watches.get_mut(handle as usize) else { return false };
        watch.ways.iter_mut().any(|way| way.remove(op, &mut self.waiters))
    }

    /// A new handle is a socket of datagrams.
    pub(crate) fn carries_datagrams(&mut self, handle: u32) {
        make_room(&mut self.watches, handle);
        self.watches[handle as usize].datagrams = true;
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
        let Readiness { poller, watches, waiters, .. } = self;
        self.system_calls += 1;
        let timeout = timeout.map(|timeout| timeout.min(WAIT_MAX));
        let waited = poller.wait(timeout, |event| {
            let Some(watch) = watches.get_mut(event.handle as usize) else { return };
            if event.urgent {
                watch.way(Interest::Readable).short_calls_end = false;
            }
            for (way, news) in watch.ways.iter_mut().zip([event.readable, event.writable]) {
                if !news.ready && !news.ended && !event.failed {
                    continue;
                }
                way.blocked = false;
                if news.ended || event.failed && !watch.datagrams {
                    way.ended = true;
                }
                while let Some(op) = way.dequeue(waiters) {
                    ready.push_back(Completion::try_again(op));
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

/// Makes room for what is known of a handle.
#[inline]
fn make_room(watches: &mut Vec<Watch>, handle: u32) {
    if handle as usize >= watches.len() {
        grow(watches, handle);
    }
}

#[cold]
fn grow(watches: &mut Vec<Watch>, handle: u32) {
    if handle == NONE {
        return;
    }
    let len = (handle as usize + 1).next_multiple_of(GROWTH);
    watches.reserve_exact(len - watches.len());
    watches.resize(len, Watch::NEW);
}
