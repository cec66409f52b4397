//! The offload: a bounded pool of threads for calls that can block, and the way their results come back.
//!
//! The loop submits what its driver cannot do without blocking: files where they are not pollable, names to
//! resolve, closes that may hang. A job runs on a thread of the pool, puts its typed result where the loop
//! finds it, and then tells the loop through its mailbox.
//!
//! ```text
//!  loop's thread                            threads of the pool
//!  package ──▶ job ──submit──▶ queue ──────▶ running: the call ──▶ result into the cell ──▶ notify
//!         └──▶ receipt            │ cancel: the job comes back        (panics are caught)      │
//!                 │               ▼                                                            │
//!               take ◀────────────────────────── the loop's mailbox ◀──────────────────────────┘
//! ```
//!
//! Invariants:
//! - **I1** A submitted job runs once, or is returned once: by `cancel`, by `close`, or with the error of
//!   `submit`. Returned jobs are dropped by the caller, on its own thread (P75).
//! - **I2** At most `threads_max` threads are counted; a thread's last step under the lock is to uncount
//!   itself, and it does so only where the queue is empty. A queued job has a thread that will come to it.
//! - **I3** Nothing here waits for a running job: neither `submit`, nor `cancel`, nor the drop (P59).
//! - **I4** Under the lock no job runs and none is dropped. A poisoned lock is simply taken.
//! - **I5** A packaged job that starts rings `notify` exactly once, even where the call or the drop of its
//!   result panics, and after the result is in the cell. One that never starts does not ring.
//! - **I6** A result whose receipt is gone is dropped on the pool's thread: its drop may block (P75).

use std::any::Any;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

use sync::{Arc, Builder, Condvar, Mutex, MutexGuard};

#[cfg(unix)]
use crate::net::sigpipe;
use crate::op::Op;

mod calls;
mod job;
mod lent;
mod queue;

#[cfg(unix)]
pub(crate) use calls::result_of;
pub(crate) use calls::{Calls, close_for_result};
pub(crate) use job::Job;
pub(crate) use lent::{Lent, LentFd, LentMut};
pub(crate) use queue::JobId;
use queue::JobQueue;

/// The standard library's primitives, or those that loom permutes.
mod sync {
    #[cfg(loom)]
    pub(super) use loom::sync::{Arc, Condvar, Mutex, MutexGuard};
    #[cfg(loom)]
    pub(super) use loom::thread::Builder;
    #[cfg(not(loom))]
    pub(super) use std::sync::{Arc, Condvar, Mutex, MutexGuard};
    #[cfg(not(loom))]
    pub(super) use std::thread::Builder;
}

/// How long a thread without a job stays.
const IDLE_MAX: Duration = Duration::from_secs(10);

/// A job that the pool did not take, and why.
pub(crate) struct Rejected {
    pub(crate) job: Job,
    pub(crate) error: io::Error,
}

/// How a thread is started; the tests have one that fails.
type Start = fn(Arc<Shared>) -> io::Result<()>;

/// The pool, in the hands of its one owner.
pub(crate) struct Pool {
    shared: Arc<Shared>,
    threads_max: usize,
    start: Start,
}

struct Shared {
    state: Mutex<State>,
    /// Rung when there is a job for an idle thread, and at the close.
    changed: Condvar,
    idle_max: Duration,
}

struct State {
    queue: JobQueue,
    /// Counted threads: starting, running a job, or idle.
    threads: usize,
    /// Those of them that wait for `changed`. One that was rung counts until it has the lock.
    idle: usize,
    closed: bool,
}

impl Pool {
    /// A pool without threads; they start when jobs come, and end after some seconds without any.
    ///
    /// # Panics
    /// If `threads_max` is 0.
    pub(crate) fn new(threads_max: usize) -> Self {
        Self::with(threads_max, IDLE_MAX, start_thread)
    }

    /// A pool whose jobs nobody runs but who [takes](Pool::take_next) them: that of a simulated loop.
    pub(crate) fn without_threads() -> Self {
        let mut pool = Pool::new(1);
        pool.threads_max = 0;
        pool
    }

    /// Takes the oldest job that no thread has taken.
    pub(crate) fn take_next(&self) -> Option<Job> {
        self.shared.lock().queue.pop()
    }

    fn with(threads_max: usize, idle_max: Duration, start: Start) -> Self {
        assert!(threads_max >= 1, "a pool needs at least one thread: raise threads_max");
        let state = State { queue: JobQueue::new(), threads: 0, idle: 0, closed: false };
        let shared = Shared { state: Mutex::new(state), changed: Condvar::new(), idle_max };
        let shared = Arc::new(shared);
        Self { shared, threads_max, start }
    }

    /// Queues a job of this operation behind those already there, and starts a thread for it if none is idle and the bound
    /// allows. Never blocks on a job; the length of the queue is the caller's to bound.
    ///
    /// # Errors
    /// Gives the job back where no thread can be started and there is none (`RLIMIT_NPROC`, memory), or
    /// after `close`. With at least one thread the job stays queued for it, and the next submit tries again.
    pub(crate) fn submit(&self, owner: Op, job: Job) -> Result<JobId, Box<Rejected>> {
        let mut state = self.shared.lock();
        if state.closed {
            let error = io::Error::other("the pool for blocking calls is closed");
            return Err(Box::new(Rejected { job, error }));
        }
        let id = state.queue.push(owner, job);
        // An idle thread is there for each of the first `idle` jobs of the queue, rung or about to be.
        assert!(state.idle <= state.threads && state.threads <= self.threads_max, "I2");
        if state.queue.len() <= state.idle || state.threads == self.threads_max {
            drop(state);
            self.shared.changed.notify_one();
            return Ok(id);
        }
        state.threads += 1;
        drop(state);
        // Outside the lock: to start a thread takes long enough for others to finish jobs meanwhile.
        match (self.start)(Arc::clone(&self.shared)) {
            Ok(()) => Ok(id),
            Err(error) => self.start_failed(id, error),
        }
    }

    #[cold]
    fn start_failed(&self, id: JobId, error: io::Error) -> Result<JobId, Box<Rejected>> {
        let mut state = self.shared.lock();
        state.threads -= 1;
        if state.threads > 0 {
            // Fewer idle threads than jobs was why one was to start, but one may be idle (I2).
            self.shared.changed.notify_one();
            return Ok(id);
        }
        // Gone from the queue: a thread took it and has ended since.
        match state.queue.remove(id) {
            Some(job) => Err(Box::new(Rejected { job, error })),
            None => Ok(id),
        }
    }

    /// Takes a queued job back, for the caller to drop. None if it runs, has run, or was taken back before.
    pub(crate) fn cancel(&self, id: JobId) -> Option<Job> {
        self.shared.lock().queue.remove(id)
    }

    /// Ends the pool: idle threads end now, the others after the job they run. Returns what never started,
    /// oldest first, for the caller to drop. Empty if called again.
    ///
    /// Dropping the pool does the same, and drops those jobs on the dropping thread.
    pub(crate) fn close(&self) -> Vec<Job> {
        let mut state = self.shared.lock();
        state.closed = true;
        let jobs = std::iter::from_fn(|| state.queue.pop()).collect();
        drop(state);
        self.shared.changed.notify_all();
        jobs
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        drop(self.close()); // and no join (I3)
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) // I4
    }

    /// What a thread of the pool does.
    fn work(&self) {
        while let Some(job) = self.job_next() {
            // A packaged job catches its own panics; whatever else unwinds must not cost the pool a thread
            // that it goes on counting.
            if let Err(payload) = catch_unwind(AssertUnwindSafe(|| job.run())) {
                drop_payload(payload);
            }
        }
    }

    /// The oldest job; waits for one. None once the calling thread is not counted any more and has to end.
    fn job_next(&self) -> Option<Job> {
        let mut state = self.lock();
        let mut timed_out = false;
        loop {
            assert!(!state.closed || state.queue.len() == 0, "nothing is queued at a closed pool");
            if let Some(job) = state.queue.pop() {
                return Some(job);
            }
            if state.closed || timed_out {
                state.threads -= 1;
                return None;
            }
            state.idle += 1;
            let (guard, timeout) = self
                .changed
                .wait_timeout(state, self.idle_max)
                .unwrap_or_else(|poisoned| poisoned.into_inner());
            state = guard;
            state.idle -= 1;
            timed_out = timeout.timed_out();
        }
    }
}

/// The one place where this library starts a thread for blocking calls. It is never joined (I3).
#[expect(clippy::disallowed_methods, reason = "the pool owns its threads")]
fn start_thread(shared: Arc<Shared>) -> io::Result<()> {
    let name = String::from("tigereye-offload");
    let work = move || {
        #[cfg(unix)]
        sigpipe::block();
        shared.work();
    };
    Builder::new().name(name).spawn(work).map(drop)
}

/// Drops what a panic carried. That is user code too, and may panic in turn: the second payload is leaked,
/// as the standard library does, for there might be a third.
fn drop_payload(payload: Box<dyn Any + Send>) {
    if let Err(second) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        std::mem::forget(second);
    }
}

/// Where a packaged call leaves its result. Shared by the job and its receipt; the last one drops it (I6).
type Offloaded<T> = Mutex<Option<std::thread::Result<T>>>;

/// The claim to the result of a packaged call.
pub(crate) struct Receipt<T> {
    cell: Arc<Offloaded<T>>,
}

impl<T> Receipt<T> {
    /// The result, or what the call panicked with. There for certain once `notify` has begun; None if the
    /// call is not over, or if the job was dropped without running.
    ///
    /// Dropping the receipt instead discards the result, on the pool's thread if it is not there yet.
    pub(crate) fn take(self) -> Option<std::thread::Result<T>> {
        lock(&self.cell).take()
    }
}

/// Makes a job of a call: it runs `f`, stores the result for the receipt, and then runs `notify`.
///
/// `notify` must not block and should not panic; it is called on the pool's thread. If the job is dropped
/// without running, `f` and `notify` are dropped with it, on whichever thread that is.
pub(crate) fn package<T: Send + 'static>(
    f: impl FnOnce() -> T + Send + 'static,
    notify: impl FnOnce() + Send + 'static,
) -> (Job, Receipt<T>) {
    let cell: Arc<Offloaded<T>> = Arc::new(Mutex::new(None));
    let receipt = Receipt { cell: Arc::clone(&cell) };
    let job = move || {
        // Unwind safety: the receipt's owner learns of the panic, and nobody sees what it left half done.
        let result = catch_unwind(AssertUnwindSafe(f));
        let before = lock(&cell).replace(result);
        assert!(before.is_none(), "a job runs once");
        // Before notify: a discarded result is gone by the time the loop hears of it. That drop may be user
        // code that panics, and the loop must hear of it all the same (I5).
        let discarded = catch_unwind(AssertUnwindSafe(|| drop(cell)));
        notify();
        if let Err(payload) = discarded {
            resume_unwind(payload);
        }
    };
    (Job::new(job), receipt)
}

fn lock<T>(cell: &Offloaded<T>) -> MutexGuard<'_, Option<std::thread::Result<T>>> {
    cell.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) // nothing can panic under it
}

#[cfg(test)] // on its own, for clippy to know a test by it
#[cfg(not(loom))]
mod tests;

#[cfg(test)]
#[cfg(loom)]
mod loom_tests;
