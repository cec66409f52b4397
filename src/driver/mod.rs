//! The seam: what a driver does. It accepts an operation, waits with a deadline and yields
//! completions, cancels, and is woken from another thread. It moves operations and names none.

use std::io;
use std::os::fd::RawFd;
use std::sync::Arc;
use std::time::Duration;

use io_uring::squeue;

use crate::op::Completion;
use crate::queue::Queue;

pub(crate) mod uring;

pub(crate) use uring::buf_ring::BufRing as ProvidedRing;
pub(crate) use uring::{Features, Uring, Waker};

#[cfg(not(target_os = "linux"))]
compile_error!("tigereye runs on Linux with io_uring today; other systems' drivers are to follow");

/// Which mechanism a loop runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum DriverKind {
    /// io_uring, Linux 5.11 and newer.
    Uring,
}

impl std::fmt::Display for DriverKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            DriverKind::Uring => "uring",
        })
    }
}

impl std::str::FromStr for DriverKind {
    type Err = io::Error;

    /// Reads a driver's name, as `TIGEREYE_DRIVER` has it.
    fn from_str(name: &str) -> io::Result<DriverKind> {
        match name {
            "uring" => Ok(DriverKind::Uring),
            other => {
                let message = format!("no driver is called {other:?}; there is: uring");
                Err(io::Error::new(io::ErrorKind::InvalidInput, message))
            }
        }
    }
}

/// One arm a driver.
pub(crate) enum Driver {
    Uring(Uring),
}

impl Driver {
    pub(crate) fn new(kind: DriverKind, entries: u32) -> io::Result<Driver> {
        match kind {
            DriverKind::Uring => Ok(Driver::Uring(Uring::new(entries)?)),
        }
    }

    pub(crate) fn kind(&self) -> DriverKind {
        match self {
            Driver::Uring(_) => DriverKind::Uring,
        }
    }

    pub(crate) fn waker(&self) -> Arc<Waker> {
        match self {
            Driver::Uring(uring) => uring.waker(),
        }
    }

    #[inline]
    pub(crate) fn features(&self) -> &Features {
        match self {
            Driver::Uring(uring) => uring.features(),
        }
    }

    #[inline]
    pub(crate) fn submit(&mut self, entry: squeue::Entry, index: u32, generation: u32) {
        match self {
            Driver::Uring(uring) => uring.submit(entry, index, generation),
        }
    }

    /// Submits an entry that completes while it is submitted, and posts nothing when its result is
    /// that of `silent`, which names the operation.
    #[inline]
    pub(crate) fn submit_inline(&mut self, entry: squeue::Entry, silent: Completion) {
        match self {
            Driver::Uring(uring) => uring.submit_inline(entry, silent),
        }
    }

    /// How many inline entries have not been concluded: the kernel says nothing of those that did
    /// all.
    #[inline]
    pub(crate) fn inline_pending(&self) -> usize {
        match self {
            Driver::Uring(uring) => uring.inline_pending(),
        }
    }

    /// A ring of provided buffers, where the driver has them.
    pub(crate) fn provided_ring(&mut self, count: u16) -> io::Result<Option<ProvidedRing>> {
        match self {
            Driver::Uring(uring) if uring.features().buf_rings => {
                ProvidedRing::new(uring, count).map(Some)
            }
            Driver::Uring(_) => Ok(None),
        }
    }

    /// Takes a ring of provided buffers back; says whether its memory is free.
    pub(crate) fn withdraw(&mut self, ring: &mut ProvidedRing) -> bool {
        match self {
            Driver::Uring(uring) => ring.unregister(uring),
        }
    }

    pub(crate) fn cancel(&mut self, index: u32, generation: u32) {
        match self {
            Driver::Uring(uring) => uring.cancel(index, generation),
        }
    }

    /// Submits what is queued, waits for a completion (`None`: for ever, zero: not at all), and
    /// moves completions to `ready`.
    pub(crate) fn wait(
        &mut self,
        timeout: Option<Duration>,
        ready: &mut Queue<Completion>,
    ) -> io::Result<()> {
        match self {
            Driver::Uring(uring) => uring.wait(timeout, ready),
        }
    }

    /// Makes the raw descriptor readable when `timeout` has passed, for an embedding loop.
    pub(crate) fn arm(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        match self {
            Driver::Uring(uring) => uring.arm(timeout),
        }
    }

    /// What an embedding loop polls.
    pub(crate) fn raw_fd(&mut self) -> io::Result<RawFd> {
        match self {
            Driver::Uring(uring) => uring.raw_fd(),
        }
    }

    /// System calls made so far.
    pub(crate) fn system_calls(&self) -> u64 {
        match self {
            Driver::Uring(uring) => uring.system_calls(),
        }
    }
}
