//! The seam: what a driver does. It accepts an operation, waits with a deadline and yields
//! completions, cancels, and is woken from another thread. It moves operations and names none.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::buf::Region;
use crate::mailbox::Wake;
#[cfg(unix)]
use crate::offload::LentFd;
use crate::op::{Completion, Direction, Op};
use crate::queue::Queue;
use crate::raw::RawFd;

mod choice;
#[cfg(windows)]
pub(crate) mod iocp;
#[cfg(not(target_os = "linux"))]
mod no_ring;
#[cfg(unix)]
pub(crate) mod readiness;
pub(crate) mod sim;
pub(crate) mod simulated;
#[cfg(target_os = "linux")]
pub(crate) mod uring;

pub use choice::{DriverInfo, DriverKind};
pub(crate) use choice::{Make, best, forced, named};
#[cfg(windows)]
use iocp::Iocp;
#[cfg(not(target_os = "linux"))]
pub(crate) use no_ring::ProvidedRing;
#[cfg(unix)]
use readiness::Readiness;
use simulated::Simulator;
#[cfg(target_os = "linux")]
pub(crate) use uring::buf_ring::BufRing as ProvidedRing;
#[cfg(target_os = "linux")]
use uring::{Carries, Uring};

#[cfg(not(any(unix, windows)))]
compile_error!("tigereye runs on Linux, macOS, the BSDs and Windows");

/// Which readiness a call waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Interest {
    Readable,
    Writable,
}

/// One arm a driver.
#[allow(clippy::large_enum_variant, reason = "there is one a loop, and each wait goes through it")]
#[repr(u8)] // an own tag, which is compared in one step
pub(crate) enum Driver {
    #[cfg(target_os = "linux")]
    Uring(Uring),
    #[cfg(unix)]
    Readiness(Readiness),
    #[cfg(windows)]
    Iocp(Iocp),
    Sim(Box<dyn Simulator>),
}

/// The directory that a path starts in: that of a handle, or of the process.
#[cfg(unix)]
fn directory(fd: RawFd) -> RawFd {
    if fd == -1 { libc::AT_FDCWD } else { fd }
}

/// Whether a descriptor has offsets: a file and a disk do, a pipe, a terminal and a socket do not. Nor
/// do an eventfd and its like, of which Linux takes a seek all the same: they are no kind of file. What
/// is wrong with a descriptor that is not even open for a seek, the call on it says.
/// It does not block (lseek(2)).
#[cfg(unix)]
pub(crate) fn is_seekable(fd: RawFd) -> bool {
    use rustix::fs::{FileType, fstat, tell};
    let fd = LentFd::new(fd);
    match tell(fd) {
        Ok(_) => {
            fstat(fd).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) != FileType::Unknown)
        }
        Err(error) => error != rustix::io::Errno::SPIPE,
    }
}

/// Wakes a driver that waits, from any thread.
#[derive(Debug)]
pub(crate) enum Waker {
    #[cfg(target_os = "linux")]
    Uring(Arc<uring::Waker>),
    #[cfg(unix)]
    Readiness(Arc<readiness::Waker>),
    #[cfg(windows)]
    Iocp(Arc<iocp::Waker>),
    Sim(Arc<simulated::Waker>),
}

impl Wake for Waker {
    fn wake(&self) {
        match self {
            #[cfg(target_os = "linux")]
            Waker::Uring(waker) => waker.wake(),
            #[cfg(unix)]
            Waker::Readiness(waker) => waker.wake(),
            #[cfg(windows)]
            Waker::Iocp(waker) => waker.wake(),
            Waker::Sim(waker) => waker.wake(),
        }
    }
}

/// Why a driver is not to be had.
fn elsewhere(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, format!("{what}; this is another system"))
}

impl Driver {
    /// A driver of a real system.
    pub(crate) fn real(kind: DriverKind, entries: u32) -> io::Result<Driver> {
        match kind {
            #[cfg(target_os = "linux")]
            DriverKind::Uring => Ok(Driver::Uring(Uring::new(entries)?)),
            #[cfg(not(target_os = "linux"))]
            DriverKind::Uring => Err(elsewhere("io_uring is part of Linux")),
            #[cfg(unix)]
            DriverKind::Readiness => Ok(Driver::Readiness(Readiness::new(entries)?)),
            #[cfg(not(unix))]
            DriverKind::Readiness => Err(elsewhere("epoll and kqueue are part of Unix")),
            #[cfg(windows)]
            DriverKind::Iocp => Ok(Driver::Iocp(Iocp::new(entries)?)),
            #[cfg(not(windows))]
            DriverKind::Iocp => Err(elsewhere("completion ports are part of Windows")),
            DriverKind::Sim => unreachable!("`simulated` makes it"),
        }
    }

    /// The driver of a loop alone in a simulated world. Whatever names this function has the simulator
    /// in its program.
    pub(crate) fn simulated(_kind: DriverKind, _entries: u32) -> io::Result<Driver> {
        Ok(Driver::Sim(Box::new(sim::Sim::alone()?)))
    }

    pub(crate) fn waker(&self) -> Waker {
        match self {
            #[cfg(target_os = "linux")]
            Driver::Uring(uring) => Waker::Uring(uring.waker()),
            #[cfg(unix)]
            Driver::Readiness(readiness) => Waker::Readiness(readiness.waker()),
            #[cfg(windows)]
            Driver::Iocp(iocp) => Waker::Iocp(iocp.waker()),
            Driver::Sim(sim) => Waker::Sim(sim.waker()),
        }
    }

    /// Lets an operation wait until its handle is ready.
    ///
    /// # Errors
    /// What the system says when the descriptor cannot be watched.
    #[inline]
    pub(crate) fn wait_for(
        &mut self,
        op: Op,
        fd: RawFd,
        handle: u32,
        interest: Interest,
    ) -> io::Result<()> {
        match self {
            #[cfg(target_os = "linux")]
            Driver::Uring(_) => panic!("a row answers the driver that asks"),
            #[cfg(windows)]
            Driver::Iocp(_) => panic!("a row answers the driver that asks"),
            #[cfg(unix)]
            Driver::Readiness(readiness) => readiness.wait_for(op, fd, handle, interest),
            Driver::Sim(sim) => {
                sim.wait_for(op, fd, handle, interest);
                Ok(())
            }
        }
    }

    /// The queue of its handle that an operation waits in. A ring tries its entries in their order,
    /// and then goes on with each: so datagrams need not wait for one another there.
    #[inline]
    pub(crate) fn queue_for(&self, direction: Direction) -> Direction {
        match (direction, self) {
            #[cfg(target_os = "linux")]
            (Direction::Datagram, Driver::Uring(_)) => Direction::None,
            (Direction::Datagram, _) => Direction::Out,
            _ => direction,
        }
    }

    /// How many operations that complete while they are submitted have not been concluded: the
    /// kernel says nothing of those that did all.
    #[inline]
    pub(crate) fn inline_pending(&self) -> usize {
        match self {
            #[cfg(target_os = "linux")]
            Driver::Uring(uring) => uring.inline_pending(),
            #[cfg(unix)]
            Driver::Readiness(_) => 0,
            #[cfg(windows)]
            Driver::Iocp(_) => 0,
            Driver::Sim(_) => 0,
        }
    }

    /// How many of them have been concluded, and wait to be fetched.
    #[inline]
    pub(crate) fn concluded(&self) -> usize {
        match self {
            #[cfg(target_os = "linux")]
            Driver::Uring(uring) => uring.concluded(),
            #[cfg(unix)]
            Driver::Readiness(_) => 0,
            #[cfg(windows)]
            Driver::Iocp(_) => 0,
            Driver::Sim(_) => 0,
        }
    }

    /// Fetches the next of them.
    #[inline]
    pub(crate) fn next_concluded(&mut self) -> Option<Completion> {
        match self {
            #[cfg(target_os = "linux")]
            Driver::Uring(uring) => uring.next_concluded(),
            #[cfg(unix)]
            Driver::Readiness(_) => None,
            #[cfg(windows)]
            Driver::Iocp(_) => None,
            Driver::Sim(_) => None,
        }
    }

    /// A ring of provided buffers, where the driver has them.
    #[cfg_attr(not(target_os = "linux"), expect(unused_variables, reason = "no driver has rings"))]
    pub(crate) fn provided_ring(&mut self, count: u16) -> io::Result<Option<ProvidedRing>> {
        match self {
            #[cfg(target_os = "linux")]
            Driver::Uring(uring) if uring.features().buf_rings => {
                ProvidedRing::new(uring, count).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// Takes a ring of provided buffers back; says whether its memory is free.
    #[cfg_attr(not(target_os = "linux"), expect(unused_variables, reason = "no driver has rings"))]
    pub(crate) fn withdraw(&mut self, ring: &mut ProvidedRing) -> bool {
        match self {
            #[cfg(target_os = "linux")]
            Driver::Uring(uring) => ring.unregister(uring),
            #[cfg(unix)]
            Driver::Readiness(_) => false,
            #[cfg(windows)]
            Driver::Iocp(_) => false,
            Driver::Sim(_) => false,
        }
    }

    /// Asks for an operation back; says whether the driver has let go of it at once, else it
    /// completes. It waits for one of these handles, if for any.
    pub(crate) fn cancel(&mut self, op: Op, handles: [u32; 2]) -> bool {
        match self {
            #[cfg(target_os = "linux")]
            Driver::Uring(uring) => {
                uring.cancel(op);
                false
            }
            #[cfg(unix)]
            Driver::Readiness(readiness) => {
                handles.into_iter().any(|handle| readiness.cancel(op, handle))
            }
            #[cfg(windows)]
            Driver::Iocp(iocp) => {
                iocp.cancel(op);
                false
            }
            Driver::Sim(sim) => handles.into_iter().any(|handle| sim.cancel(op, handle)),
        }
    }

    /// What a new handle receives is one row of bytes, without boundaries: it is TCP's.
    #[inline]
    #[cfg_attr(windows, expect(unused_variables, reason = "others' alone"))]
    pub(crate) fn has_no_boundaries(&mut self, handle: u32) {
        match self {
            #[cfg(target_os = "linux")]
            Driver::Uring(uring) => uring.carries(handle, Carries::Tcp),
            #[cfg(unix)]
            Driver::Readiness(readiness) => readiness.has_no_boundaries(handle),
            #[cfg(windows)]
            Driver::Iocp(_) => {}
            Driver::Sim(_) => {}
        }
    }

    /// A new handle is a socket of datagrams.
    #[cfg_attr(windows, expect(unused_variables, reason = "the port is told by the call"))]
    pub(crate) fn carries_datagrams(&mut self, handle: u32) {
        match self {
            #[cfg(target_os = "linux")]
            Driver::Uring(uring) => uring.carries(handle, Carries::Datagrams),
            #[cfg(unix)]
            Driver::Readiness(readiness) => readiness.carries_datagrams(handle),
            #[cfg(windows)]
            Driver::Iocp(_) => {}
            Driver::Sim(_) => {}
        }
    }

    /// Has the system keep a handle's file at hand, where the driver has that; says whether it does.
    #[cfg_attr(not(target_os = "linux"), expect(unused_variables, reason = "io_uring's alone"))]
    pub(crate) fn register(&mut self, fd: RawFd, handle: u32) -> io::Result<bool> {
        match self {
            #[cfg(target_os = "linux")]
            Driver::Uring(uring) => uring.register(fd, handle),
            #[cfg(unix)]
            Driver::Readiness(_) => Ok(false),
            #[cfg(windows)]
            Driver::Iocp(_) => Ok(false),
            Driver::Sim(_) => Ok(false),
        }
    }

    /// Has the system keep the pages of this memory at hand, where the driver has that; says whether
    /// it does. Its owner has the driver forget it before it is freed.
    #[cfg_attr(not(target_os = "linux"), expect(unused_variables, reason = "io_uring's alone"))]
    pub(crate) fn register_memory(&mut self, memory: &Region) -> io::Result<bool> {
        match self {
            #[cfg(target_os = "linux")]
            Driver::Uring(uring) => uring.register_memory(memory),
            #[cfg(unix)]
            Driver::Readiness(_) => Ok(false),
            #[cfg(windows)]
            Driver::Iocp(_) => Ok(false),
            Driver::Sim(_) => Ok(false),
        }
    }

    /// Memory that may be registered is about to be freed, and no operation uses it.
    #[cfg_attr(not(target_os = "linux"), expect(unused_variables, reason = "io_uring's alone"))]
    pub(crate) fn forget_memory(&mut self, memory: &Region) {
        match self {
            #[cfg(target_os = "linux")]
            Driver::Uring(uring) => uring.forget_memory(memory),
            #[cfg(unix)]
            Driver::Readiness(_) => {}
            #[cfg(windows)]
            Driver::Iocp(_) => {}
            Driver::Sim(_) => {}
        }
    }

    /// A handle on which nothing is pending is about to be closed or given away.
    #[inline]
    pub(crate) fn forget(&mut self, fd: RawFd, handle: u32) {
        match self {
            #[cfg(target_os = "linux")]
            Driver::Uring(uring) => uring.forget(handle),
            #[cfg(unix)]
            Driver::Readiness(readiness) => readiness.forget(fd, handle),
            #[cfg(windows)]
            Driver::Iocp(iocp) => iocp.forget(handle),
            Driver::Sim(sim) => sim.forget(fd),
        }
    }

    /// The loop's pool is given a call: where it has no threads, the driver says when it is made.
    ///
    /// # Errors
    /// A simulated system may have no thread for it.
    pub(crate) fn expect_call(&mut self) -> io::Result<()> {
        if let Driver::Sim(sim) = self {
            return sim.expect_call();
        }
        Ok(())
    }

    /// Submits what is queued, waits for a completion (`None`: for ever, zero: not at all), and
    /// moves completions to `ready`.
    pub(crate) fn wait(
        &mut self,
        timeout: Option<Duration>,
        ready: &mut Queue<Completion>,
    ) -> io::Result<()> {
        match self {
            #[cfg(target_os = "linux")]
            Driver::Uring(uring) => uring.wait(timeout, ready),
            #[cfg(unix)]
            Driver::Readiness(readiness) => readiness.wait(timeout, ready),
            #[cfg(windows)]
            Driver::Iocp(iocp) => iocp.wait(timeout, ready),
            Driver::Sim(sim) => sim.wait(timeout, ready),
        }
    }

    /// Makes the raw descriptor readable when `timeout` has passed, for an embedding loop.
    #[cfg(unix)]
    pub(crate) fn arm(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        match self {
            #[cfg(target_os = "linux")]
            Driver::Uring(uring) => uring.arm(timeout),
            Driver::Readiness(readiness) => readiness.arm(timeout),
            Driver::Sim(_) => Ok(()),
        }
    }

    /// What an embedding loop polls.
    #[cfg(unix)]
    pub(crate) fn raw_fd(&mut self) -> io::Result<RawFd> {
        match self {
            #[cfg(target_os = "linux")]
            Driver::Uring(uring) => uring.raw_fd(),
            Driver::Readiness(readiness) => Ok(readiness.raw_fd()),
            Driver::Sim(_) => {
                let message = "a simulated loop has no descriptor to wait for";
                Err(io::Error::new(io::ErrorKind::Unsupported, message))
            }
        }
    }

    /// System calls made so far.
    pub(crate) fn system_calls(&self) -> u64 {
        match self {
            #[cfg(target_os = "linux")]
            Driver::Uring(uring) => uring.system_calls(),
            #[cfg(unix)]
            Driver::Readiness(readiness) => readiness.system_calls(),
            #[cfg(windows)]
            Driver::Iocp(iocp) => iocp.system_calls(),
            Driver::Sim(sim) => sim.calls(),
        }
    }
}
