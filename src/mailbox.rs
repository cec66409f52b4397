//! What a loop shares with other threads: messages for it, a wake-up, and the request to stop.
//!
//! `Remote` and the jobs of the offload pool push and wake from any thread; the one thread that owns the
//! loop takes, waits and closes. Whether the loop sleeps and whether there is work for it are bits of one
//! atomic word, so that neither side can miss what the other just did. A loop that spins (`wait.rs`) is
//! awake: it looks at `has_work`, and nobody need signal it.
//!
//! ```text
//!              prepare_wait, no work: true                   wake: Wake::wake, once
//!  awake ──────────────────────────────▶ ASLEEP ─────────────────────────────────┐
//!   ▲ ▲                                    │ finish_wait (I/O, deadline)         ▼
//!   │ └────────────────────────────────────┘                              awake, work set
//!   │        take, take_stop, finish_wait; prepare_wait, work: false             │ ▲ push, wake, stop:
//!   └────────────────────────────────────────────────────────────────────────────┘ └── no system call
//!                                                  close, from any state ──▶ CLOSED, for ever
//! ```
//!
//! Invariants:
//! - **I1** `ASLEEP` is never set together with a work bit: who sets a work bit clears `ASLEEP` in the same
//!   step, and `prepare_wait` sets it only where there is none. So no wake-up is lost (P65).
//! - **I2** Only the step that clears `ASLEEP` leads to [`Wake::wake`]: at most one call for each
//!   `prepare_wait` that returned true, however many threads push and wake.
//! - **I3** Under the lock, `MESSAGES` is set exactly when the queue is not empty.
//! - **I4** A message is taken, left over at the close, or given back by `push`: one of them, once (P66).
//! - **I5** Under the lock nobody's code runs: no message is dropped there, and `Wake::wake` is called after
//!   the lock is released. A panic while the lock is held would be a bug of this file; the queue is whole at
//!   every step, so a poisoned lock is simply taken.
//!
//! Memory ordering: every change of the word is a read-modify-write, which always sees the newest value;
//! with one word there is no second variable to race with, and acquire-release is enough. It also carries
//! what a thread wrote before `wake` or `request_stop` to the loop that consumes the bit. Messages travel
//! under the lock.

use std::collections::VecDeque;

use sync::{AtomicU32, Mutex, MutexGuard, Ordering};

/// The standard library's primitives, or those that loom permutes.
mod sync {
    #[cfg(loom)]
    pub(super) use loom::sync::atomic::{AtomicU32, Ordering};
    #[cfg(loom)]
    pub(super) use loom::sync::{Mutex, MutexGuard};
    #[cfg(not(loom))]
    pub(super) use std::sync::atomic::{AtomicU32, Ordering};
    #[cfg(not(loom))]
    pub(super) use std::sync::{Mutex, MutexGuard};
}

/// The loop is blocked, or about to block and past the point of no return.
const ASLEEP: u32 = 1 << 0;
/// Somebody asked for a wake-up, and no wait has ended since.
const WOKEN: u32 = 1 << 1;
/// Somebody asked for the stop, and `run` has not consumed it.
const STOP: u32 = 1 << 2;
/// The queue is not empty. Changes under the lock only.
const MESSAGES: u32 = 1 << 3;
/// The loop has ended. Set under the lock, never cleared.
const CLOSED: u32 = 1 << 4;
/// What the loop must not block over.
const WORK: u32 = WOKEN | STOP | MESSAGES;

/// A queue longer than this, in messages, gives its memory back once it is empty.
const CAPACITY_KEPT_MAX: usize = 4096;

/// How a blocked loop is woken: a write to an eventfd, a packet to a completion port.
///
/// Must be sticky: a wake between the loop's last look and its wait ends that wait at once. It runs on the
/// waking thread, possibly after the loop has ended: so it owns the descriptor that it writes to.
pub(crate) trait Wake: Send + Sync {
    /// Ends the loop's current wait, or its next one.
    fn wake(&self);
}

impl<W: Wake + ?Sized> Wake for std::sync::Arc<W> {
    fn wake(&self) {
        (**self).wake();
    }
}

/// The shared state of one loop; kept in an `Arc` by the loop and by each of its remotes.
pub(crate) struct Mailbox<T: Send, W: Wake> {
    state: AtomicU32,
    queue: Mutex<VecDeque<T>>,
    waker: W,
}

/// For any thread.
impl<T: Send, W: Wake> Mailbox<T, W> {
    /// An empty mailbox of a loop that is awake.
    pub(crate) fn new(waker: W) -> Self {
        Self { state: AtomicU32::new(0), queue: Mutex::new(VecDeque::new()), waker }
    }

    /// How the loop is woken; its driver waits for the same descriptor.
    #[cfg(test)]
    pub(crate) fn waker(&self) -> &W {
        &self.waker
    }

    /// Queues a message behind those already there, and wakes the loop.
    ///
    /// # Errors
    /// Gives the message back once the loop has ended.
    pub(crate) fn push(&self, message: T) -> Result<(), T> {
        let mut queue = self.lock();
        // Relaxed: the two bits looked at change under the lock only.
        let state = self.state.load(Ordering::Relaxed);
        if state & CLOSED != 0 {
            return Err(message);
        }
        assert_eq!(state & MESSAGES != 0, !queue.is_empty(), "I3");
        queue.push_back(message);
        // Behind another message the loop is awake or being woken (I1, I3): a storm of posts ends here.
        let must_wake = queue.len() == 1 && self.raise(MESSAGES);
        drop(queue);
        if must_wake {
            self.waker.wake();
        }
        Ok(())
    }

    /// Ends the loop's current wait, or its next one. Does nothing once the loop has ended.
    pub(crate) fn wake(&self) {
        if self.raise(WOKEN) {
            self.waker.wake();
        }
    }

    /// Asks `run` to return; stays until [`take_stop`](Self::take_stop), and wakes the loop. Asking twice is
    /// asking once. Does nothing once the loop has ended.
    pub(crate) fn request_stop(&self) {
        if self.raise(STOP) {
            self.waker.wake();
        }
    }

    /// Sets a work bit. True if that ended the loop's sleep, and so the caller has to wake it.
    ///
    /// Writes even if the bit is set already: a mere load could see a bit that the loop has consumed, and
    /// then nothing would order what the caller did before with what the loop looks at next.
    fn raise(&self, work: u32) -> bool {
        assert!(work & !WORK == 0, "not a work bit");
        self.state
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |state| {
                // Never cleared, so an old value that shows it is as good as the newest.
                (state & CLOSED == 0).then_some((state | work) & !ASLEEP)
            })
            .is_ok_and(|before| before & ASLEEP != 0)
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<T>> {
        self.queue.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) // I5
    }
}

/// For the loop's own thread.
impl<T: Send, W: Wake> Mailbox<T, W> {
    /// Whether there is anything to take or a wake-up to honour, at the price of a load.
    ///
    /// A hint: it may be old by a moment. What it misses, `prepare_wait` sees.
    pub(crate) fn has_work(&self) -> bool {
        // Relaxed: whoever acts on it takes the lock, or consumes the bit with acquire.
        self.state.load(Ordering::Relaxed) & WORK != 0
    }

    /// Announces that the loop is about to block. False if it must not, for there is something to do.
    ///
    /// Either answer uses up the wake-ups asked for so far. May be repeated while announced. After `close`
    /// it returns true: nobody is left who could have work for the loop, or wake it.
    pub(crate) fn prepare_wait(&self) -> bool {
        self.state
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |state| {
                if state & CLOSED != 0 {
                    return None;
                }
                assert!(state & ASLEEP == 0 || state & WORK == 0, "I1");
                Some(if state & WORK == 0 { state | ASLEEP } else { state & !WOKEN })
            })
            .map_or(true, |before| before & WORK == 0)
    }

    /// Tells that the loop is awake: whoever has work for it now need not wake it.
    ///
    /// Uses up the wake-ups asked for during the wait. Does no harm after a wait that did not happen.
    pub(crate) fn finish_wait(&self) {
        self.state.fetch_and(!(ASLEEP | WOKEN), Ordering::AcqRel);
    }

    /// Moves all messages, oldest first, behind those in `into`.
    ///
    /// Where `into` is empty the two queues change places, so that a steady load allocates nothing.
    pub(crate) fn take(&self, into: &mut VecDeque<T>) {
        if into.is_empty() && into.capacity() > CAPACITY_KEPT_MAX {
            // One burst must not hold its memory for ever.
            *into = VecDeque::new();
        }
        let mut queue = self.lock();
        self.state.fetch_and(!MESSAGES, Ordering::AcqRel);
        if into.is_empty() {
            std::mem::swap(&mut *queue, into);
        } else {
            into.append(&mut queue);
        }
    }

    /// Consumes the request to stop. True if there was one.
    pub(crate) fn take_stop(&self) -> bool {
        // A look first: a loop asks each turn, and one that looks too early does not sleep (I1).
        self.state.load(Ordering::Relaxed) & STOP != 0
            && self.state.fetch_and(!STOP, Ordering::AcqRel) & STOP != 0
    }

    /// Ends the mailbox, and returns the messages never taken for the loop's thread to drop (P66).
    ///
    /// From here on `push` fails, `wake` and `request_stop` do nothing. Empty if called again.
    pub(crate) fn close(&self) -> VecDeque<T> {
        let mut queue = self.lock();
        self.state.swap(CLOSED, Ordering::AcqRel);
        std::mem::take(&mut *queue)
    }
}

#[cfg(test)] // on its own, for clippy to know a test by it
#[cfg(not(loom))]
mod tests;

#[cfg(test)]
#[cfg(loom)]
mod loom_tests;
