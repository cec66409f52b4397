//! The simulator as the rest of the library sees it: traits, so that it is called through their tables.
//! Only what makes a simulated loop names one ([`World`](crate::sim::World),
//! [`Builder::driver`](crate::Builder::driver)), and a program that makes none is linked without the
//! simulator: it would be a quarter of a small one (`cargo xtask contents` looks).
//!
//! ```text
//!   Io, Core ─▶ dyn Simulator ─┐
//!   rows ─────▶ dyn Calls ─────┼─▶ tables ─▶ sim/
//!   handles ──▶ dyn Descriptors┘
//! ```
//!
//! I1. Nothing but what makes simulated loops names a function in `sim/`; its plain types may be named.

use std::any::Any;
use std::fmt::Display;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use super::sim::{Binding, FaultKind, SocketOptions};
use super::{Driver, DriverKind, Interest};
use crate::clock::HostClock;
use crate::core::Held;
use crate::fs::AllTerms;
use crate::mailbox::Wake;
use crate::offload::Job;
use crate::op::{Completion, Op};
use crate::queue::Queue;
use crate::raw::RawFd;
use crate::state::Loop;
use crate::{Io, UnixAddress};

mod calls;
mod descriptors;

pub(crate) use calls::{Calls, FileCalls, Sender, SocketCalls};
pub(crate) use descriptors::{
    Descriptors, SIMULATED, Socket, WORLD_SHIFT, add_world, close, direct_alignment, duplicate,
    is_simulated, socket, world_number,
};

/// Where an operation makes its calls, for its row's cell.
pub(crate) type Place<'a> = dyn Calls + 'a;

/// The driver of one simulated loop.
pub(crate) trait Simulator: Any + Sockets + UnixSockets {
    fn waker(&self) -> Arc<Waker>;
    /// The clock of the host.
    fn clock(&self) -> Rc<HostClock>;
    /// What the host's wall clock shows; by chance it jumps first.
    fn wall_clock(&self) -> SystemTime;
    /// Puts a line of the program's into the trace.
    fn add_note(&self, text: &dyn Display);
    /// Simulated calls made so far.
    fn calls(&self) -> u64;
    /// Where an operation makes its calls, until the next one is asked for.
    fn place(&mut self, op: Op, fd: RawFd, handle: u32, terms: &AllTerms) -> &mut dyn Calls;
    /// Lets an operation wait until its handle is ready.
    fn wait_for(&mut self, op: Op, fd: RawFd, handle: u32, interest: Interest);
    /// Asks for an operation back; says whether it waited and does so no more.
    fn cancel(&mut self, op: Op, handle: u32) -> bool;
    /// Whether a cancel of an operation is yet to take effect.
    fn is_cancel_late(&self, op: Op) -> bool;
    /// Whether a fault happens to the host by chance.
    fn fails(&self, kind: FaultKind) -> bool;
    /// A handle is about to be closed or given away: nothing is pending on it.
    fn forget(&mut self, fd: RawFd);
    /// Waits for news, and has those try again that they concern. A loop by itself moves time on until
    /// something happens to it; where nothing can, it says so.
    ///
    /// # Errors
    /// `Deadlock` where the wait would never end.
    fn wait(&mut self, timeout: Option<Duration>, ready: &mut Queue<Completion>) -> io::Result<()>;
    /// The loop's pool is given a call: its time comes later.
    ///
    /// # Errors
    /// `EAGAIN`, as pthread_create(3) has it, by chance.
    fn expect_call(&mut self) -> io::Result<()>;
    /// Whether the time of a call on the loop's pool has come.
    fn take_due_call(&mut self) -> bool;
    /// What looks at the loop's books.
    fn audit(&self) -> Audit;
}

/// What looks at a loop's books, and how.
pub(crate) type Audit = fn(&mut Loop, Look);

/// How far a loop's books are looked at.
pub(crate) enum Look {
    /// At the next slots and handles.
    Some,
    /// At everything.
    All,
    /// The loop has ended: at whether nothing is left in it.
    End { drained: bool },
}

/// How a loop comes by a socket.
pub(crate) trait Sockets {
    /// A listener at an address of this host's.
    ///
    /// # Errors
    /// What bind(2) says.
    fn listen(
        &self,
        address: SocketAddr,
        backlog: usize,
        options: SocketOptions,
    ) -> io::Result<RawFd>;
    /// A socket that is to be connected to `peer`, from `local` if that is given.
    ///
    /// # Errors
    /// What bind(2) says.
    fn stream(
        &self,
        peer: SocketAddr,
        local: Option<SocketAddr>,
        options: SocketOptions,
    ) -> io::Result<RawFd>;
    /// A socket of datagrams.
    ///
    /// # Errors
    /// What bind(2) says.
    fn datagrams(&self, address: SocketAddr, options: SocketOptions) -> io::Result<RawFd>;
    /// The addresses of `"name:port"`: of a host in this world, of this host itself (`localhost`), or
    /// one in figures.
    ///
    /// # Errors
    /// `InvalidInput` where there is no port.
    fn resolve(&self, host: &str) -> io::Result<Vec<SocketAddr>>;
}

/// How a loop comes by a Unix socket.
#[cfg_attr(windows, allow(dead_code, reason = "Windows has no Unix datagrams, and no pairs"))]
pub(crate) trait UnixSockets {
    /// A listener.
    ///
    /// # Errors
    /// What bind(2) says.
    fn listen_unix(&self, address: &UnixAddress, backlog: usize, how: Binding)
    -> io::Result<RawFd>;
    /// A socket that is to be connected.
    ///
    /// # Errors
    /// `EMFILE`
    fn unix_stream(&self) -> io::Result<RawFd>;
    /// A socket of datagrams, with an address or without one.
    ///
    /// # Errors
    /// What bind(2) says.
    fn unix_datagrams(&self, to: Option<(&UnixAddress, Binding)>) -> io::Result<RawFd>;
    /// Two streams that are connected with each other.
    ///
    /// # Errors
    /// `EMFILE`
    fn unix_pair(&self) -> io::Result<(Held, Held)>;
    /// Two sockets of datagrams that are.
    ///
    /// # Errors
    /// `EMFILE`
    fn unix_datagram_pair(&self) -> io::Result<(Held, Held)>;
}

/// Nothing wakes a simulated loop that sleeps: its mailbox is looked at. This says that there was a
/// wake-up since.
#[derive(Debug, Default)]
pub(crate) struct Waker {
    woken: AtomicBool,
}

impl Waker {
    /// Whether there was a wake-up since the last time that this was asked.
    pub(super) fn take(&self) -> bool {
        self.woken.swap(false, Ordering::Acquire)
    }
}

impl Wake for Waker {
    fn wake(&self) {
        self.woken.store(true, Ordering::Release);
    }
}

impl Io {
    /// What a turn of a simulated loop begins with: a look at its books, and the calls on its pool whose
    /// time has come. A real pool has threads.
    pub(crate) fn begin_simulated_turn(&self) {
        if self.core.driver.kind == DriverKind::Sim {
            self.core.state.borrow_mut().audit(Look::Some);
            while let Some(call) = self.take_simulated_call() {
                call.run();
            }
        }
    }

    fn take_simulated_call(&self) -> Option<Job> {
        let mut state = self.core.state.borrow_mut();
        let Some(Driver::Sim(sim)) = &mut state.driver else { return None };
        if sim.take_due_call() { state.calls.pool.take_next() } else { None }
    }
}

impl Loop {
    /// Looks at a simulated loop's books.
    pub(crate) fn audit(&mut self, look: Look) {
        if let Some(Driver::Sim(sim)) = &self.driver {
            let audit = sim.audit();
            audit(self, look);
        }
    }
}
