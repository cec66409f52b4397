//! Which driver a loop runs on, and why.

use std::fmt;
use std::io;
use std::str::FromStr;

use super::Driver;
use crate::error::{code, listed};

/// Makes a driver, which takes so many entries at once.
pub(crate) type Make = fn(DriverKind, u32) -> io::Result<Driver>;

/// A mechanism that a loop can run on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum DriverKind {
    /// io_uring, Linux 5.11 and newer.
    Uring,
    /// A call is tried first, and again when its handle is ready: epoll on Linux, kqueue on macOS
    /// and the BSDs.
    Readiness,
    /// Completion ports: Windows.
    Iocp,
    /// No system at all: the loop is alone on the one host of a simulated world of its thread's, whose
    /// time jumps to what happens next. Never chosen unless it is asked for. More hosts, and faults, are
    /// in a [`World`](crate::sim::World).
    Sim,
}

impl DriverKind {
    const ALL: [DriverKind; 4] =
        [DriverKind::Uring, DriverKind::Readiness, DriverKind::Iocp, DriverKind::Sim];
    /// Of those, the real ones of this system, from the best one on.
    const CANDIDATES: &[DriverKind] = if cfg!(windows) {
        &[DriverKind::Iocp]
    } else {
        &[DriverKind::Uring, DriverKind::Readiness]
    };

    /// Whether descriptors are to be non-blocking: io_uring waits by itself, and would take
    /// `O_NONBLOCK` for the caller's wish not to. To overlapped calls it makes no difference, and
    /// others are only made that must not wait.
    pub(crate) fn wants_nonblocking(self) -> bool {
        match self {
            DriverKind::Uring | DriverKind::Sim => false,
            DriverKind::Readiness | DriverKind::Iocp => true,
        }
    }

    /// What makes its driver. Inlined, so that the simulator is not in a program whose kind is known,
    /// and another one.
    #[inline]
    pub(crate) fn maker(self) -> Make {
        match self {
            DriverKind::Sim => Driver::simulated,
            DriverKind::Uring | DriverKind::Readiness | DriverKind::Iocp => Driver::real,
        }
    }

    fn name(self) -> &'static str {
        match self {
            DriverKind::Uring => "uring",
            DriverKind::Readiness => "readiness",
            DriverKind::Iocp => "iocp",
            DriverKind::Sim => "sim",
        }
    }
}

impl fmt::Display for DriverKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for DriverKind {
    type Err = io::Error;

    /// Reads a driver's name, as `TIGEREYE_DRIVER` has it.
    fn from_str(name: &str) -> io::Result<DriverKind> {
        let found = DriverKind::ALL.into_iter().find(|kind| kind.name() == name);
        found.ok_or_else(|| {
            let known = listed(DriverKind::ALL.into_iter().map(DriverKind::name));
            let message = format!("no driver is called {name:?}; there are: {known}");
            io::Error::new(io::ErrorKind::InvalidInput, message)
        })
    }
}

/// The driver of a loop; see [`Io::driver`](crate::Io::driver). Shown, it is a sentence for a log.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DriverInfo {
    /// Which one runs.
    pub kind: DriverKind,
    /// Why the one that would have been better does not, where the loop was free to choose.
    pub passed_over: Option<String>,
}

impl fmt::Display for DriverInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.passed_over {
            None => write!(f, "{}", self.kind),
            Some(reason) => write!(f, "{} ({reason})", self.kind),
        }
    }
}

/// The best driver that works here.
///
/// # Errors
/// What the last one says; and at once what would be wrong with each: a name in the environment
/// that nobody knows, or that no descriptor is left.
pub(crate) fn best(entries: u32) -> io::Result<(Driver, DriverInfo)> {
    let mut passed_over = None;
    let mut candidates = DriverKind::CANDIDATES.iter().copied().peekable();
    while let Some(kind) = candidates.next() {
        match Driver::real(kind, entries) {
            Ok(driver) => return Ok((driver, DriverInfo { kind, passed_over })),
            Err(error) if candidates.peek().is_none() || is_anyones(&error) => return Err(error),
            Err(error) => passed_over = Some(format!("{kind}: {error}")),
        }
    }
    unreachable!("each system has a driver")
}

/// Whether another driver would fail alike.
fn is_anyones(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::InvalidInput && error.raw_os_error().is_none()
        || matches!(error.raw_os_error(), Some(code::PROCESS_FULL | code::SYSTEM_FULL))
}

/// The driver with this name in the environment, and what makes it. A program that was built to be used
/// is not put into a simulated world from outside, and need not have one in it.
///
/// # Errors
/// `InvalidInput` where no driver is called that, and of the simulator in a build without debug
/// assertions.
pub(crate) fn named(name: &str) -> io::Result<(DriverKind, Make)> {
    match name.parse()? {
        DriverKind::Sim if cfg!(debug_assertions) => Ok((DriverKind::Sim, Driver::simulated)),
        DriverKind::Sim => {
            let message = "TIGEREYE_DRIVER=sim is for builds with debug assertions; in others the \
                           program chooses the simulator (Builder::driver)";
            Err(io::Error::new(io::ErrorKind::InvalidInput, message))
        }
        kind => Ok((kind, Driver::real)),
    }
}

/// The driver that the caller or the environment names.
pub(crate) fn forced(
    (kind, make): (DriverKind, Make),
    entries: u32,
) -> io::Result<(Driver, DriverInfo)> {
    let driver = make(kind, entries).map_err(|error| {
        if is_anyones(&error) {
            return error;
        }
        io::Error::new(error.kind(), CannotRun { kind, error })
    })?;
    Ok((driver, DriverInfo { kind, passed_over: None }))
}

/// The driver that was asked for cannot run; the system's error is its source.
#[derive(Debug)]
struct CannotRun {
    kind: DriverKind,
    error: io::Error,
}

impl fmt::Display for CannotRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the driver {}, which was asked for, cannot run: {}", self.kind, self.error)
    }
}

impl std::error::Error for CannotRun {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_chooses_the_simulator_in_builds_with_debug_assertions_alone() {
        let kind = named("sim").map(|(kind, _make)| kind).map_err(|error| error.kind());
        let expected = if cfg!(debug_assertions) {
            Ok(DriverKind::Sim)
        } else {
            Err(io::ErrorKind::InvalidInput)
        };
        assert_eq!(kind, expected);
    }
}
