//! Building a loop.

use std::cell::{Cell, RefCell};
use std::env::VarError;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::Io;
use crate::clock::Clock;
use crate::core::Core;
use crate::driver::simulated::Simulator;
use crate::driver::{self, Driver, DriverInfo, DriverKind, Make};
use crate::handle::Handles;
use crate::mailbox::Mailbox;
use crate::offload::{Calls, Pool};
use crate::op::Completion;
use crate::pause::Held;
use crate::queue::Queue;
use crate::slot::Slots;
use crate::spin::Spin;
use crate::state::Loop;
use crate::timer::Timers;

/// How to build a loop; see [`Io::builder`].
#[derive(Debug, Clone)]
pub struct Builder {
    driver: Option<(DriverKind, Make)>,
    capacity: u32,
    ring_entries: u32,
    callbacks_per_turn: usize,
    pool_threads: usize,
    spin: Duration,
}

impl Default for Builder {
    fn default() -> Builder {
        Builder {
            driver: None,
            capacity: u32::MAX,
            ring_entries: 256,
            callbacks_per_turn: 1024,
            pool_threads: 16,
            spin: Duration::ZERO,
        }
    }
}

impl Builder {
    /// Forces a driver. Without it the environment variable `TIGEREYE_DRIVER` decides (`uring`,
    /// `readiness`, or `sim` in builds with debug assertions), and without that the best one that works
    /// here: see [`Io::driver`].
    ///
    /// A program without debug assertions contains the simulator where it names
    /// [`DriverKind::Sim`] here, or a kind that is found at run time, or makes a
    /// [`World`](crate::sim::World).
    #[inline]
    pub fn driver(mut self, driver: DriverKind) -> Builder {
        self.driver = Some((driver, driver.maker()));
        self
    }

    /// How many operations may be in flight at once, timers included; at least 1. One more
    /// completes with an error for which [`is_at_capacity`](crate::is_at_capacity) holds, and
    /// gives everything back. The default is no limit but memory.
    pub fn capacity(mut self, operations: u32) -> Builder {
        self.capacity = operations.max(1);
        self
    }

    /// Entries of io_uring's submission queue, rounded up to a power of two, 1 to 32,768 (the
    /// default is 256); with readiness, events taken at once. More operations than that may be in
    /// flight: this bounds what one system call does.
    pub fn ring_entries(mut self, entries: u32) -> Builder {
        self.ring_entries = entries;
        self
    }

    /// How many callbacks one turn of the loop runs before it looks at timers, posts and the
    /// driver again; at least 1, the default is 1024.
    pub fn callbacks_per_turn(mut self, callbacks: usize) -> Builder {
        self.callbacks_per_turn = callbacks.max(1);
        self
    }

    /// Most threads of the pool for calls that block ([`Io::offload`]); at least 1, the default
    /// is 16. Threads start when there is work for them, and end after ten seconds without any; where
    /// the system refuses one (`RLIMIT_NPROC`), those that are there do its work. So many calls wait for
    /// a disk at a time: more threads are for disks and servers of files that answer many at once.
    pub fn pool_threads(mut self, threads: usize) -> Builder {
        self.pool_threads = threads.max(1);
        self
    }

    /// Has the loop look for something to do before it sleeps in a wait, for `limit` at most. The
    /// default is zero: it sleeps at once.
    ///
    /// To be woken takes a thread some microseconds, and tens of them where its core has gone to
    /// sleep or the machine is a virtual one; a loop that still looks has none of that. It pays with
    /// processor time: all the time of a wait that it looks counts as busy, on a core that nothing else
    /// can use meanwhile. So it is for loops whose next event is often that near, a few connections
    /// that are answered at once, and that have a core to themselves. A `limit` of 20 to 200 µs is a
    /// beginning: it should be longer than it takes to come back from a peer, and there is little to be
    /// gained beyond some times the cost of a sleep. With more than any wait takes (up to
    /// [`Duration::MAX`]) the loop never sleeps.
    ///
    /// It adapts. A wait that finds something while it looks, or whose next timer comes due, has the
    /// next one look for the whole limit, and one that looks in vain has it look half as long, down to
    /// a 64th. After that the loop sleeps at once, but in each 64th wait, which tries the whole limit
    /// again. So what is looked in vain after each find is less than two limits together, and
    /// then one limit in 64 waits; a loop for which nothing happens sleeps.
    ///
    /// Nothing else changes: deadlines hold, and [`Io::poll`] never waits, so it never looks either.
    /// To post to a loop that looks, to wake or to stop it, takes no system call.
    /// [`Statistics`](crate::Statistics) count what came of it.
    ///
    /// # Platform
    /// A look is some loads from memory on io_uring with deferred work (Linux 6.1), where the kernel
    /// marks that there is something to do (`IORING_SQ_TASKRUN`, `IORING_SQ_CQ_OVERFLOW` in
    /// io_uring_setup(2)); elsewhere it is a system call that does not wait: io_uring_enter(2), epoll_wait(2),
    /// kevent(2), `GetQueuedCompletionStatusEx`. In a simulated world it has no effect.
    ///
    /// It is no busy polling in Linux's sense (`SO_BUSY_POLL` in socket(7), `IORING_REGISTER_NAPI`),
    /// which has the kernel poll a network device.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let io = tigereye::Io::builder().spin(Duration::from_micros(50)).build()?;
    /// io.timeout((), Duration::from_millis(1), |(), io, _result| {
    ///     println!("{} spins in vain", io.statistics().spins_in_vain);
    /// });
    /// io.run()?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn spin(mut self, limit: Duration) -> Builder {
        self.spin = limit;
        self
    }

    /// Builds the loop, on the thread that is to run it.
    ///
    /// # Errors
    /// `InvalidInput` where `TIGEREYE_DRIVER` names no driver, or the simulator in a build without
    /// debug assertions; `EMFILE` and `ENFILE` where no
    /// descriptor is left. Of a driver that was asked for and cannot run, an error that says so,
    /// with the system's own as its source: `Unsupported` where io_uring lacks what is needed (or
    /// `TIGEREYE_URING_WITHOUT`, which masks features for tests, says so), and what
    /// io_uring_setup(2) says (`PermissionDenied` where it is forbidden, `OutOfMemory`).
    pub fn build(self) -> io::Result<Io> {
        let wanted = match (self.driver, std::env::var("TIGEREYE_DRIVER")) {
            (Some(forced), _) => Some(forced),
            (None, Ok(name)) if !name.is_empty() => Some(driver::named(&name)?),
            (None, Ok(_) | Err(VarError::NotPresent)) => None,
            (None, Err(error)) => return Err(io::Error::new(io::ErrorKind::InvalidInput, error)),
        };
        let (driver, info) = match wanted {
            Some(wanted) => driver::forced(wanted, self.ring_entries)?,
            None => driver::best(self.ring_entries)?,
        };
        Ok(self.finish(driver, info))
    }

    /// Builds the loop of a host in a simulated world.
    pub(crate) fn build_on(self, sim: Box<dyn Simulator>) -> Io {
        self.finish(Driver::Sim(sim), DriverInfo { kind: DriverKind::Sim, passed_over: None })
    }

    fn finish(self, driver: Driver, info: DriverInfo) -> Io {
        static LOOPS: AtomicU32 = AtomicU32::new(0);
        let (pool, clock, spin) = match &driver {
            Driver::Sim(sim) => {
                (Pool::without_threads(), Clock::simulated(sim.clock()), Duration::ZERO)
            }
            _ => (Pool::new(self.pool_threads), Clock::new(), self.spin),
        };
        let mailbox = Arc::new(Mailbox::new(driver.waker()));
        // An odd multiplier spreads the loops' generations over all numbers.
        let seed = LOOPS.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9e37_79b9);
        let state = Loop {
            slots: Slots::new(seed),
            handles: Handles::new(),
            timers: Timers::new(),
            due: Queue::new((0, 0)),
            driver: Some(driver),
            ready: Queue::new(Completion::NOTHING),
            may_go_first: false,
            limit: u64::from(self.capacity),
            operations: 0,
            impatient: false,
            spin: Spin::new(spin),
            buffer_waiters: 0,
            calls: Calls { pool, mailbox: Arc::clone(&mailbox) },
            exhausted: Vec::new(),
            retry_ns: 0,
            missed: Vec::new(),
            missed_ns: 0,
            held: Held::new(),
            inner: Vec::new(),
        };
        let core = Core {
            state: RefCell::new(state),
            mailbox,
            clock,
            driver: info,
            leaked: Cell::new(false),
        };
        Io::over(core, self.callbacks_per_turn)
    }
}
