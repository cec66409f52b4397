//! The simulator: no system at all. Hosts with addresses, a network between them, time that passes
//! only from one event to the next, and chance that comes from a seed.
//!
//! ```text
//!   World ─ picks ─▶ a host's loop ─ poll ─▶ row.sim(place) ─▶ Kernel: sockets, machines
//!     ▲                                                            │
//!     └───────── news for loops ◀── what happens, by time ◀── events, faults
//! ```
//!
//! To the loop it is one more driver: a row's `sim` cell tries a call, as on a driver of readiness, and
//! waits until its handle is said to be ready. Who waits is kept here; what is ready is the kernel's.
//!
//! I1. One thread has all of a world. Only a loop's mailbox can be reached from another one.
//! I2. A loop that a world drives never waits: the world moves time. One by itself moves time when it
//!     waits.

use crate::raw::RawFd;
use std::cell::Cell;
use std::collections::VecDeque;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::clock::HostClock;
use crate::fs::{AllTerms, Terms};
use crate::op::{Completion, Op};
use crate::queue::Queue;
use crate::slot::NONE;

mod code;
mod disk;
mod disturb;
mod events;
mod faults;
mod invariants;
mod kernel;
mod late;
mod making;
mod net;
mod place;
mod plan;
mod random;
mod runner;
mod schedule;
mod slab;
mod socket;
mod timeline;
mod trace;
mod turn;
mod world;

use super::Interest;
use super::simulated::{Audit, Calls, Simulator, Waker};
pub(crate) use super::simulated::{Place, Sender};
pub use disk::Disk;
pub use faults::{FaultCounts, FaultKind, Faults};
use invariants::Progress;
use kernel::{Kernel, Looper, SharedKernel, nanoseconds};
use late::LateCancel;
pub use net::Latency;
pub(crate) use net::SocketOptions;
pub(crate) use net::unix::Binding;
pub use plan::{Disturbance, Disturbances, Plan};
pub use runner::{Failure, Report, Runner, Smaller};
pub use schedule::Schedule;
use slab::Key;
pub use timeline::Timeline;
pub use turn::note;
pub use world::{Host, Summary, World};

/// How long a turn of a loop by itself takes that does not wait: so that one that never waits does not
/// stop time.
const TURN_NS: u64 = 10_000;

thread_local! {
    /// The world of loops that nobody put on a host: one for the thread.
    static ALONE: std::cell::RefCell<std::rc::Weak<std::cell::RefCell<Kernel>>> =
        const { std::cell::RefCell::new(std::rc::Weak::new()) };
}

/// The operation that makes a call.
#[derive(Debug, Clone, Copy)]
struct Asked {
    op: Op,
    fd: RawFd,
    handle: u32,
    terms: Terms,
}

/// The driver of one loop.
pub(crate) struct Sim {
    kernel: SharedKernel,
    machine: u32,
    looper: Key,
    /// Whether a world moves time, and not the loop.
    is_driven: bool,
    has_news: Rc<Cell<bool>>,
    waker: Arc<Waker>,
    /// Who waits, by handle and way.
    waiting: Vec<[VecDeque<Op>; 2]>,
    /// Operations whose call on the disk has its time, and which were told to make it.
    landed: Vec<Op>,
    /// Cancels that are to take effect late.
    late: VecDeque<LateCancel>,
    /// Whose calls were put off, on which handles.
    put_off: VecDeque<(Op, u32)>,
    calls: u64,
    asked: Asked,
    /// How far the loop's books were looked at.
    checked: Progress,
}

impl Sim {
    /// The driver of a loop by itself, which moves its own time: on the one host of the thread's own
    /// world, whose seed is in the environment variable `TIGEREYE_SEED`, or 0.
    ///
    /// # Errors
    /// `InvalidInput` where the variable has no number.
    pub(crate) fn alone() -> io::Result<Sim> {
        let seed = match std::env::var("TIGEREYE_SEED") {
            Ok(text) => text.parse().map_err(|error| {
                let message = format!("TIGEREYE_SEED is {text:?}: {error}");
                io::Error::new(io::ErrorKind::InvalidInput, message)
            })?,
            Err(_) => 0,
        };
        let kernel = ALONE.with_borrow_mut(|alone| {
            alone.upgrade().unwrap_or_else(|| {
                let kernel = Kernel::new(seed);
                kernel.borrow_mut().add_machine("localhost", Vec::new());
                *alone = Rc::downgrade(&kernel);
                kernel
            })
        });
        Ok(Sim::on(kernel, 0, false))
    }

    fn on(kernel: SharedKernel, machine: u32, is_driven: bool) -> Sim {
        let has_news = Rc::new(Cell::new(false));
        let looper = Looper {
            news: Vec::new(),
            has_news: Rc::clone(&has_news),
            calls_due: 0,
            under_way: Vec::new(),
            landed: Vec::new(),
            cancels_due: 0,
            put_off_due: 0,
            is_deaf: false,
            is_to_hear: false,
        };
        let looper = kernel.borrow_mut().loopers.insert(looper);
        let waker = Arc::new(Waker::default());
        Sim {
            kernel,
            machine,
            looper,
            is_driven,
            has_news,
            waker,
            waiting: Vec::new(),
            landed: Vec::new(),
            late: VecDeque::new(),
            put_off: VecDeque::new(),
            calls: 0,
            asked: Asked { op: Op::ENDED, fd: -1, handle: NONE, terms: Terms::default() },
            checked: Progress::default(),
        }
    }

    /// Lets time pass, and all happen meanwhile.
    fn pass(&mut self, until_ns: u64) {
        let mut kernel = self.kernel.borrow_mut();
        kernel.settle();
        while let Some(at_ns) = kernel.events.next_at().filter(|&at_ns| at_ns <= until_ns) {
            kernel.advance(at_ns);
            kernel.settle();
        }
        kernel.advance(until_ns);
    }

    /// Takes the news up; says whether there are any.
    fn hear(&mut self, ready: &mut Queue<Completion>, is_the_end: bool) -> bool {
        let shared = Rc::clone(&self.kernel);
        let mut borrowed = shared.borrow_mut();
        let kernel = &mut *borrowed;
        let Some(looper) = kernel.loopers.get(self.looper) else { return false };
        let has_calls = looper.calls_due > 0;
        looper.has_news.set(has_calls);
        if !is_the_end && looper.has_none() {
            return has_calls;
        }
        if !is_the_end && kernel.deafens(self.looper, self.machine) {
            return has_calls;
        }
        let Some(looper) = kernel.loopers.get(self.looper) else { return false };
        let before = ready.len();
        for op in looper.landed.drain(..) {
            self.landed.push(op);
            ready.push_back(Completion::try_again(op));
        }
        let mut cancels_due = std::mem::take(&mut looper.cancels_due);
        let put_off_due = std::mem::take(&mut looper.put_off_due);
        let mut news = std::mem::take(&mut looper.news);
        kernel.shuffle(&mut news);
        for &index in &news {
            let Some(socket) = kernel.sockets.key(index) else { continue };
            let Some(entry) = kernel.sockets.get(socket) else { continue };
            let Some((looper, handle)) = entry.watch else { continue };
            if looper != self.looper {
                continue;
            }
            let bits = std::mem::take(&mut entry.news);
            let Some(ways) = self.waiting.get_mut(handle as usize) else { continue };
            for (way, bit) in ways.iter_mut().zip([net::READABLE, net::WRITABLE]) {
                while bits & bit != 0
                    && let Some(op) = way.pop_front()
                {
                    ready.push_back(Completion::try_again(op));
                }
            }
        }
        news.clear();
        // A wait that is driven and not over at once is that of the loop's end.
        if is_the_end {
            cancels_due = self.late.len();
        }
        if let Some(looper) = kernel.loopers.get(self.looper) {
            looper.news = news;
        }
        drop(borrowed);
        self.submit_put_off(put_off_due, ready);
        self.cancel_late(cancels_due, is_the_end, ready);
        has_calls || ready.len() > before
    }

    /// Says whether the driver has anything for its loop.
    fn has_news(&self) -> Rc<Cell<bool>> {
        Rc::clone(&self.has_news)
    }
}

impl Simulator for Sim {
    fn waker(&self) -> Arc<Waker> {
        Arc::clone(&self.waker)
    }

    fn clock(&self) -> Rc<HostClock> {
        Rc::clone(&self.kernel.borrow().machines[self.machine as usize].clock)
    }

    fn wall_clock(&self) -> SystemTime {
        self.kernel.borrow_mut().read_wall_clock(self.machine)
    }

    fn add_note(&self, text: &dyn std::fmt::Display) {
        let mut kernel = self.kernel.borrow_mut();
        let now_ns = kernel.now_ns();
        kernel.trace.add_note(now_ns, self.machine, text);
    }

    fn calls(&self) -> u64 {
        self.calls
    }

    fn place(&mut self, op: Op, fd: RawFd, handle: u32, terms: &AllTerms) -> &mut dyn Calls {
        self.asked = Asked { op, fd, handle, terms: terms.of(handle) };
        self
    }

    fn wait_for(&mut self, op: Op, fd: RawFd, handle: u32, interest: Interest) {
        let at = handle as usize;
        if at >= self.waiting.len() {
            self.waiting.resize_with(at + 1, Default::default);
        }
        self.waiting[at][interest as usize].push_back(op);
        let mut kernel = self.kernel.borrow_mut();
        let Some(socket) = kernel.socket_of(fd) else { return };
        if let Some(entry) = kernel.sockets.get(socket) {
            entry.watch = Some((self.looper, handle));
        }
        let machine = self.machine;
        if kernel.happens(machine, FaultKind::FalseWake) {
            kernel.tell(socket, 1 << interest as u8);
        }
    }

    fn fails(&self, kind: FaultKind) -> bool {
        self.kernel.borrow_mut().happens(self.machine, kind)
    }

    fn forget(&mut self, fd: RawFd) {
        let mut kernel = self.kernel.borrow_mut();
        if let Some(socket) = kernel.socket_of(fd)
            && let Some(entry) = kernel.sockets.get(socket)
        {
            (entry.watch, entry.news) = (None, 0);
        }
    }

    fn wait(&mut self, timeout: Option<Duration>, ready: &mut Queue<Completion>) -> io::Result<()> {
        let timeout_ns = timeout.map_or(u64::MAX, nanoseconds);
        let clock = self.clock();
        let deadline_ns = clock.world_ns(clock.now_ns().saturating_add(timeout_ns));
        if timeout_ns == 0 && !self.is_driven {
            self.pass(deadline_ns + TURN_NS);
        }
        loop {
            self.kernel.borrow_mut().settle();
            let woken = self.waker.take();
            if self.hear(ready, self.is_driven && timeout_ns > 0)
                || woken
                || timeout_ns == 0
                || self.is_driven
            {
                return Ok(());
            }
            let mut kernel = self.kernel.borrow_mut();
            match kernel.events.next_at() {
                Some(at_ns) if at_ns <= deadline_ns => kernel.advance(at_ns),
                _ if deadline_ns == u64::MAX => {
                    let message = "nothing can happen to this loop any more: it waits for ever";
                    return Err(io::Error::new(io::ErrorKind::Deadlock, message));
                }
                _ => {
                    kernel.advance(deadline_ns);
                    return Ok(());
                }
            }
        }
    }

    fn expect_call(&mut self) -> io::Result<()> {
        if self.fails(FaultKind::NoThread) {
            return Err(io::Error::from_raw_os_error(code::EAGAIN));
        }
        self.kernel.borrow_mut().call_queued(self.looper, self.machine);
        Ok(())
    }

    fn take_due_call(&mut self) -> bool {
        let mut kernel = self.kernel.borrow_mut();
        let Some(looper) = kernel.loopers.get(self.looper) else { return false };
        let is_due = looper.calls_due > 0;
        looper.calls_due -= u32::from(is_due);
        looper.has_news.set(looper.calls_due > 0 || !looper.has_none());
        is_due
    }

    fn cancel(&mut self, op: Op, handle: u32) -> bool {
        self.ask_back(op, handle)
    }

    fn is_cancel_late(&self, op: Op) -> bool {
        self.has_late_cancel(op)
    }

    fn audit(&self) -> Audit {
        invariants::audit
    }
}

impl Drop for Sim {
    fn drop(&mut self) {
        let mut kernel = self.kernel.borrow_mut();
        kernel.disk_forget(self.machine, self.looper);
        kernel.loopers.remove(self.looper);
    }
}
