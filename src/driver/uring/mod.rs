//! io_uring.
//!
//! ```text
//!  push ─▶ submission queue ──enter──▶ kernel ──▶ completion queue ─▶ ready
//!     ├─▶ backlog (the queue is full and the kernel takes no more): flushed before each wait
//!     └─▶ inline entries: taken in silence, they are concluded and fetched by the loop
//! ```
//!
//! I1. An entry that was pushed reaches the kernel in order, or waits in the backlog.
//! I2. A completion with `F_MORE` is not an operation's last one; the slot stays until the last.
//! I3. What an inline entry means is concluded when the kernel has taken it and no completion can
//!     be on its way: nothing overflowed.
//! I4. Every wait enters with `GETEVENTS`: with `DEFER_TASKRUN` completions appear only then, and
//!     an overflowed queue is flushed only then.
//!
//! Sources: io_uring_setup(2), io_uring_enter(2), io_uring_register(2).
#![expect(unsafe_code, reason = "entries carry addresses that slots keep alive")]

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use io_uring::{IoUring, opcode, squeue, types};
use rustix::io::Errno;

use crate::buf::Region;
use crate::core::owned;
use crate::driver::{directory, is_seekable};
use crate::fs::{AllTerms, Terms};
use crate::offload::{Calls, LentFd};
use crate::op::{CANCEL_MISSED, Completion, MORE, Op, Start};
use crate::queue::Queue;
use crate::slot::SLOTS_MAX;

pub(crate) mod buf_ring;
mod enter;
mod probe;
mod registered;
mod registered_memory;
mod waker;

use enter::Entrance;
pub(crate) use probe::Features;
use registered::Registered;
use registered_memory::RegisteredMemory;
pub(crate) use waker::Waker;

/// Names that no slot has: the driver's own entries.
const MARK_WAKE: u32 = u32::MAX;
const MARK_IGNORE: u32 = u32::MAX - 1;
const MARK_ARMED: u32 = u32::MAX - 2;

/// Marks a cancel's own completion; the rest of its name is the operation's.
const CANCEL: u32 = 1 << 31;
/// Marks an entry that posts a completion only when it did not do all that it was to do.
const INLINE: u32 = 1 << 30;
const _: () = assert!(SLOTS_MAX <= INLINE);

/// What a socket carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Carries {
    Datagrams,
    Tcp,
}

/// Where an operation is started: its row submits its entry here.
pub(crate) struct Place<'a> {
    pub(crate) fd: RawFd,
    op: Op,
    handle: u32,
    uring: &'a mut Uring,
    calls: &'a Calls,
    terms: &'a AllTerms,
    ready: &'a Queue<Completion>,
}

impl Place<'_> {
    /// The same place once more, for what is called seldom: this one need not be in memory then.
    #[inline(always)]
    pub(crate) fn for_a_call(&mut self) -> Place<'_> {
        let &mut Place { fd, op, handle, ref mut uring, calls, terms, ready } = self;
        Place { fd, op, handle, uring, calls, terms, ready }
    }

    #[inline]
    pub(crate) fn features(&self) -> &Features {
        &self.uring.features
    }

    /// Whether the ring has an operation that a kernel may lack.
    pub(crate) fn has(&self, code: u8) -> bool {
        self.uring.features.operations.has(code)
    }

    /// The directory that a path starts in.
    pub(crate) fn directory(&self) -> RawFd {
        directory(self.fd)
    }

    /// Whether others wait for the loop's thread.
    pub(crate) fn others_wait(&self) -> bool {
        !self.ready.is_empty()
    }

    /// The descriptor, for a call on the pool.
    pub(crate) fn lent_fd(&self) -> LentFd {
        LentFd::new(self.fd)
    }

    /// The directory that a path starts in, for a call on the pool.
    pub(crate) fn lent_directory(&self) -> LentFd {
        LentFd::new(self.directory())
    }

    /// Whether the descriptor has offsets: io_uring ignores one where it has none, instead of
    /// saying so (P55). Asked once a handle.
    #[inline]
    pub(crate) fn is_seekable(&mut self) -> bool {
        let known = self.uring.seekable.get(self.handle as usize).copied().flatten();
        known.unwrap_or_else(|| self.learn_whether_seekable())
    }

    #[cold]
    fn learn_whether_seekable(&mut self) -> bool {
        let at = self.handle as usize;
        let known = &mut self.uring.seekable;
        if at >= known.len() {
            known.resize(at + 1, None);
        }
        *known[at].insert(is_seekable(self.fd))
    }

    /// Submits an entry that is made for the handle's file, which may be registered.
    #[inline]
    pub(crate) fn submit_file(&mut self, entry: impl FnOnce(types::Fd) -> squeue::Entry) -> Start {
        let start = match self.uring.registered.of(self.handle) {
            None => self.submit(entry(types::Fd(self.fd))),
            Some(place) => {
                let entry = entry(types::Fd(place.cast_signed()));
                self.submit(entry.flags(squeue::Flags::FIXED_FILE))
            }
        };
        if self.terms().direct.is_some() {
            self.uring.pushed_direct();
        }
        start
    }

    /// The number by which the ring knows the memory that these bytes lie in, where it is registered.
    #[inline]
    pub(crate) fn registered_memory<T>(&self, bytes: &[T]) -> Option<u16> {
        self.uring.memory.of(bytes)
    }

    /// Whether the handle is known for a socket of datagrams.
    #[inline]
    pub(crate) fn carries_datagrams(&self) -> bool {
        self.socket() == Some(Carries::Datagrams)
    }

    /// Whether the handle is a TCP stream, whose blocking mode is the library's.
    pub(crate) fn is_tcp(&self) -> bool {
        self.socket() == Some(Carries::Tcp)
    }

    #[inline]
    fn socket(&self) -> Option<Carries> {
        self.uring.sockets.get(self.handle as usize).copied().flatten()
    }

    /// What the handle asks of its operations.
    pub(crate) fn terms(&self) -> Terms {
        self.terms.of(self.handle)
    }

    /// Submits an entry, which completes the operation.
    #[inline]
    pub(crate) fn submit(&mut self, entry: squeue::Entry) -> Start {
        let Op { index, generation } = self.op;
        self.uring.push(entry.user_data(user_data(index, generation)));
        Start::Submitted
    }

    /// Makes a call that can block, on the pool: for what this kernel's ring does not do.
    pub(crate) fn offload(
        &self,
        call: impl FnMut() -> io::Result<usize> + Send + 'static,
    ) -> Start {
        self.calls.start(self.op, call)
    }

    /// As [`offload`](Place::offload), of a call whose result is a descriptor.
    pub(crate) fn offload_open(
        &self,
        call: impl FnMut() -> Result<OwnedFd, Errno> + Send + 'static,
    ) -> Start {
        self.calls.start_open(self.op, call)
    }

    /// Closes the descriptor, which the loop has let go of, on the pool.
    pub(crate) fn close_on_pool(&self) -> Start {
        self.calls.start_close(self.op, owned(self.fd))
    }

    /// Submits an entry that waits for nothing, and posts a completion only when its result is not
    /// this one.
    #[inline(always)]
    pub(crate) fn submit_inline(
        &mut self,
        entry: squeue::Entry,
        result: i32,
        awaited: bool,
    ) -> Start {
        let Op { index, generation } = self.op;
        self.uring.push(entry.user_data(user_data(index | INLINE, generation)));
        self.uring.conclude_later(self.op, result);
        Start::Inline { awaited }
    }
}

/// An inline entry.
#[derive(Clone, Copy)]
struct Inline {
    /// The number of its push.
    number: u32,
    op: Op,
    /// Its result; at first, what it means that the kernel took it and posted nothing.
    result: i32,
}

pub(crate) struct Uring {
    /// Before the ring, which it refers to: fields are dropped in order.
    entrance: Entrance,
    ring: IoUring,
    backlog: VecDeque<squeue::Entry>,
    /// Inline entries in the order in which they were pushed …
    inline: Vec<Inline>,
    /// … how many of them, from the first on, are concluded …
    concluded: usize,
    /// … and how many of those have been fetched.
    fetched: usize,
    /// Entries pushed to the queue, modulo 2³².
    pushed: u32,
    /// Those of files past the cache, since the last wait.
    direct: u32,
    waker: Arc<Waker>,
    watch_multishot: bool,
    /// Whether handles have offsets, by their numbers, where that was asked.
    seekable: Vec<Option<bool>>,
    /// What is known of handles that are sockets, by their numbers.
    sockets: Vec<Option<Carries>>,
    registered: Registered,
    memory: RegisteredMemory,
    features: Features,
    groups: buf_ring::Groups,
    system_calls: u64,
    /// When the timeout that an embedding loop waits for fires, while one is outstanding.
    armed: Option<Instant>,
    /// What the kernel reads when it takes that timeout.
    armed_timespec: Box<types::Timespec>,
    /// What an embedding loop polls with `DEFER_TASKRUN`. Not the ring itself: work that only an
    /// enter turns into completions does not wake those who poll the ring.
    announcer: Option<Waker>,
}

/// The inline entry of slot `index`. Entries complete in the order in which they were pushed, so the
/// search begins behind the one that was found before.
fn find_next<'a>(
    inline: &'a mut [Inline],
    searched: &mut usize,
    index: u32,
) -> Option<&'a mut Inline> {
    let (before, behind) = inline.split_at(*searched);
    let is_it = |inline: &Inline| inline.op.index == index;
    let at = behind.iter().position(is_it).map(|at| before.len() + at);
    let at = at.or_else(|| before.iter().position(is_it))?;
    *searched = at + 1;
    inline.get_mut(at)
}

fn user_data(index: u32, generation: u32) -> u64 {
    u64::from(generation) << 32 | u64::from(index)
}

impl Uring {
    pub(crate) fn new(entries: u32) -> io::Result<Uring> {
        let (ring, features) = probe::build(entries)?;
        let waker = Arc::new(Waker::new()?);
        let entrance = Entrance::new(ring.as_raw_fd(), features.no_iowait);
        let mut uring = Uring {
            entrance,
            ring,
            backlog: VecDeque::new(),
            inline: Vec::new(),
            concluded: 0,
            fetched: 0,
            pushed: 0,
            direct: 0,
            waker,
            watch_multishot: true,
            seekable: Vec::new(),
            sockets: Vec::new(),
            registered: Registered::default(),
            memory: RegisteredMemory::default(),
            features,
            groups: buf_ring::Groups::new(),
            system_calls: 0,
            armed: None,
            armed_timespec: Box::new(types::Timespec::new()),
            announcer: None,
        };
        uring.watch_waker();
        uring.round_trip()?;
        Ok(uring)
    }

    /// A filter may allow `setup` and forbid `enter`: only a completion proves the ring.
    fn round_trip(&mut self) -> io::Result<()> {
        self.push(opcode::Nop::new().build().user_data(user_data(MARK_IGNORE, 0)));
        self.ring.submit_and_wait(1).map(drop)
    }

    pub(crate) fn waker(&self) -> Arc<Waker> {
        Arc::clone(&self.waker)
    }

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
        Place { fd, op, handle, uring: self, calls, terms, ready }
    }

    /// What a new handle carries.
    pub(crate) fn carries(&mut self, handle: u32, what: Carries) {
        let at = handle as usize;
        if at >= self.sockets.len() {
            self.sockets.resize(at + 1, None);
        }
        self.sockets[at] = Some(what);
    }

    /// A handle is about to be closed or given away.
    #[inline]
    pub(crate) fn forget(&mut self, handle: u32) {
        if let Some(known) = self.seekable.get_mut(handle as usize) {
            *known = None;
        }
        if let Some(socket) = self.sockets.get_mut(handle as usize) {
            *socket = None;
        }
        self.registered.forget(&self.ring.submitter(), handle);
    }

    /// Registers a handle's file; says whether there was a place left.
    pub(crate) fn register(&mut self, fd: RawFd, handle: u32) -> io::Result<bool> {
        self.system_calls += 1;
        self.registered.add(&self.ring.submitter(), handle, fd)
    }

    /// Registers memory; says whether it is.
    pub(crate) fn register_memory(&mut self, memory: &Region) -> io::Result<bool> {
        if !self.features.registered_memory {
            return Ok(false);
        }
        self.system_calls += 1;
        self.memory.add(&self.ring.submitter(), memory)
    }

    pub(crate) fn forget_memory(&mut self, memory: &Region) {
        self.memory.forget(&self.ring.submitter(), memory);
    }

    #[inline]
    pub(crate) fn features(&self) -> &Features {
        &self.features
    }

    /// The descriptor for an embedding loop, made when it is first asked for
    /// (io_uring_register_eventfd(3)). Without deferred work it is the ring: there to register an
    /// eventfd may wait until no operation is pending, which is never (before Linux 5.18).
    pub(crate) fn raw_fd(&mut self) -> io::Result<RawFd> {
        if !self.features.taskrun_flag {
            return Ok(self.ring.as_raw_fd());
        }
        if let Some(announcer) = &self.announcer {
            return Ok(announcer.as_raw_fd());
        }
        let announcer = Waker::new()?;
        let fd = announcer.as_raw_fd();
        self.ring.submitter().register_eventfd(fd)?;
        self.announcer = Some(announcer);
        Ok(fd)
    }

    pub(crate) fn system_calls(&self) -> u64 {
        self.system_calls
    }

    fn watch_waker(&mut self) {
        let entry = opcode::PollAdd::new(types::Fd(self.waker.as_raw_fd()), libc::POLLIN as u32)
            .multi(self.watch_multishot)
            .build()
            .user_data(user_data(MARK_WAKE, 0));
        self.push(entry);
    }

    #[inline]
    fn push(&mut self, entry: squeue::Entry) {
        if !self.backlog.is_empty() || !self.try_push(&entry) {
            // A copy, so that the entry need not be in memory before it is in the queue.
            self.push_slowly(entry.clone());
        }
    }

    #[inline]
    fn try_push(&mut self, entry: &squeue::Entry) -> bool {
        // SAFETY: what the entry points to lies in a slot, or in a buffer that a slot owns, and
        // the slot is kept until the operation's last completion (slot.rs, I1).
        let pushed = unsafe { self.ring.submission().push(entry) }.is_ok();
        self.pushed = self.pushed.wrapping_add(u32::from(pushed));
        pushed
    }

    /// An entry of a file past the cache was pushed. A disk can begin while callbacks run: so the
    /// second, fourth, eighth … of a turn takes those before it along, at few calls a turn. One alone
    /// goes with the wait.
    #[inline]
    fn pushed_direct(&mut self) {
        self.direct += 1;
        if self.direct > 1 && self.direct.is_power_of_two() {
            self.system_calls += 1;
            // What the kernel does not take now goes with the wait.
            let _ = self.ring.submit();
        }
    }

    #[cold]
    fn push_slowly(&mut self, entry: squeue::Entry) {
        self.backlog.push_back(entry);
        self.flush();
    }

    /// Moves the backlog to the submission queue, submitting when it is full. What the kernel
    /// does not take now (`EBUSY`, `EAGAIN`) stays for the next wait.
    fn flush(&mut self) {
        while let Some(entry) = self.backlog.front().cloned() {
            if !self.try_push(&entry) {
                self.system_calls += 1;
                match self.ring.submit() {
                    Ok(count) if count > 0 => continue,
                    _ => return,
                }
            }
            self.backlog.pop_front();
        }
    }

    pub(crate) fn cancel(&mut self, op: Op) {
        let Op { index, generation } = op;
        // Its answer says nothing about the buffer; only the operation's own completion does (P10).
        let entry = opcode::AsyncCancel::new(user_data(index, generation)).build();
        self.push(entry.user_data(user_data(index | CANCEL, generation)));
    }

    /// Keeps the result that the inline entry has which was just pushed, when the kernel takes it
    /// and posts nothing.
    #[inline]
    fn conclude_later(&mut self, op: Op, result: i32) {
        // Entries in the backlog are pushed later; numbers wrap.
        let number = self.pushed.wrapping_add(self.backlog.len() as u32);
        self.inline.push(Inline { number, op, result });
    }

    #[inline]
    pub(crate) fn inline_pending(&self) -> usize {
        self.inline.len() - self.concluded
    }

    #[inline]
    pub(crate) fn concluded(&self) -> usize {
        self.concluded - self.fetched
    }

    #[inline]
    pub(crate) fn next_concluded(&mut self) -> Option<Completion> {
        if self.fetched == self.concluded {
            return None;
        }
        let &Inline { op, result, .. } = self.inline.get(self.fetched)?;
        self.fetched += 1;
        if self.fetched == self.inline.len() {
            self.inline.clear();
            (self.fetched, self.concluded) = (0, 0);
        }
        Some(Completion::of(op, result, 0))
    }

    pub(crate) fn wait(
        &mut self,
        timeout: Option<Duration>,
        ready: &mut Queue<Completion>,
    ) -> io::Result<()> {
        if !self.backlog.is_empty() {
            self.flush();
        }
        if let Some(announcer) = &self.announcer {
            announcer.drain();
        }
        let no_wait = timeout == Some(Duration::ZERO) || !self.ring.completion().is_empty();
        if !(no_wait && self.is_quiet()) {
            self.enter(!no_wait, timeout)?;
        }
        self.reap(ready);
        if !self.backlog.is_empty() {
            self.flush();
        }
        Ok(())
    }

    /// Whether an enter would find nothing to do: nothing to submit, no deferred work, no overflow.
    fn is_quiet(&mut self) -> bool {
        let features = self.features;
        let queue = self.ring.submission();
        queue.is_empty() && features.taskrun_flag && !queue.taskrun() && !queue.cq_overflow()
    }

    #[inline]
    fn enter(&mut self, may_wait: bool, timeout: Option<Duration>) -> io::Result<()> {
        let to_submit = u32::try_from(self.ring.submission().len()).unwrap_or(u32::MAX);
        // The kernel adds the time to its clock: a value beyond any clock is no deadline (P06).
        let timeout = timeout.filter(|timeout| may_wait && timeout.as_secs() < 1 << 32);
        let timespec = timeout.map(types::Timespec::from);
        let mut args = types::SubmitArgs::new();
        if let Some(timespec) = &timespec {
            args = args.timespec(timespec);
        }
        self.system_calls += 1;
        match self.entrance.enter(to_submit, may_wait.into(), &args) {
            Ok(_) => Ok(()),
            // The time is over; or a signal came: the loop computes what is left and waits again.
            // EBUSY and EAGAIN: completions must be reaped first, which is next (P04).
            Err(error) => match error.raw_os_error() {
                Some(libc::ETIME | libc::EINTR | libc::EBUSY | libc::EAGAIN) => Ok(()),
                _ => Err(error),
            },
        }
    }

    #[inline]
    fn reap(&mut self, ready: &mut Queue<Completion>) {
        self.direct = 0;
        if self.fetched > 0 {
            self.forget_fetched();
        }
        if !self.inline.is_empty() {
            self.conclude_inline();
        }
        let mut rewatch = false;
        let mut searched = 0;
        let completions = self.ring.completion();
        ready.reserve(completions.len());
        for entry in completions {
            let (data, flags) = (entry.user_data(), entry.flags());
            let (index, generation) = (data as u32, (data >> 32) as u32);
            if index < INLINE {
                ready.push_reserved(Completion {
                    index,
                    generation,
                    result: entry.result(),
                    flags,
                });
            } else if index >= MARK_ARMED {
                if index == MARK_WAKE && flags & MORE == 0 {
                    rewatch = true;
                    // Multishot polls came with Linux 5.13.
                    self.watch_multishot &= entry.result() != -libc::EINVAL;
                }
                if index == MARK_ARMED {
                    self.armed = None;
                }
            } else if index & CANCEL != 0 {
                // An operation between two waits in the kernel is not found: the loop asks again.
                if entry.result() < 0 {
                    let (index, flags) = (index & !CANCEL, CANCEL_MISSED);
                    ready.push_reserved(Completion { index, generation, result: 0, flags });
                }
            } else {
                // It did not do all: that is its result, not what silence would have meant.
                let index = index & !INLINE;
                let inline = find_next(&mut self.inline, &mut searched, index);
                assert!(inline.is_some(), "an inline entry completes while it is submitted");
                if let Some(inline) = inline {
                    inline.result = entry.result();
                }
            }
        }
        if rewatch {
            self.waker.drain();
            self.watch_waker();
        }
    }

    /// Makes room where others have been pushed before all that were concluded were fetched.
    #[cold]
    fn forget_fetched(&mut self) {
        self.inline.drain(..self.fetched);
        self.concluded -= std::mem::take(&mut self.fetched);
    }

    /// Concludes the inline entries that the kernel has taken.
    fn conclude_inline(&mut self) {
        let queue = self.ring.submission();
        if queue.cq_overflow() {
            return;
        }
        let left = u32::try_from(queue.len()).unwrap_or(u32::MAX);
        drop(queue);
        let taken = self.pushed.wrapping_sub(left);
        // Numbers wrap: the difference tells which one is ahead.
        let is_taken = |number: u32| taken.wrapping_sub(number).cast_signed() >= 0;
        if self.inline.last().is_some_and(|inline| is_taken(inline.number)) {
            self.concluded = self.inline.len();
        }
        while let Some(inline) = self.inline.get(self.concluded)
            && is_taken(inline.number)
        {
            self.concluded += 1;
        }
    }

    /// Submits what is queued, and sees to a completion when `timeout` has passed. A timeout that
    /// is outstanding and fires earlier is left alone, a later one too: to take it back would
    /// itself complete, and make the descriptor readable for nothing.
    #[expect(clippy::disallowed_methods, reason = "the kernel's clock, beside its own timeout")]
    pub(crate) fn arm(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        let timeout = timeout.filter(|timeout| timeout.as_secs() < 1 << 32);
        if timeout == Some(Duration::ZERO) {
            self.push(opcode::Nop::new().build().user_data(user_data(MARK_IGNORE, 0)));
        } else if let Some(timeout) = timeout {
            let at = Instant::now() + timeout;
            if self.armed.is_none_or(|armed| armed > at) {
                self.armed = Some(at);
                *self.armed_timespec = types::Timespec::from(timeout);
                let entry = opcode::Timeout::new(&raw const *self.armed_timespec).build();
                self.push(entry.user_data(user_data(MARK_ARMED, 0)));
            }
        }
        self.flush();
        self.system_calls += 1;
        self.ring.submit().map(drop)
    }

    pub(crate) fn groups(&mut self) -> (&IoUring, &mut buf_ring::Groups) {
        (&self.ring, &mut self.groups)
    }
}
