//! Connecting a Unix socket, which the operation owns until it is connected.
//!
//! Nothing is on its way in such a connect: when connect(2) returns it is connected, or it failed.
//! Where the backlog is full, Linux answers `EAGAIN` to a socket that does not block, and there is
//! nothing to wait for: an unconnected socket counts as writable. io_uring would leave a kernel
//! thread waiting for each (P16). So both drivers make the call, and try again by a timer. On Windows
//! ConnectEx takes no such sockets (its remarks name TCP alone), and a thread of the pool connects.
//!
//! Sources: connect(2), "EAGAIN"; unix(7); connect in Microsoft's documentation, "AF_UNIX comes to
//! Windows".

use std::io;

use super::retry::Retry;
use super::{Direction, Operation, Start, Step};
use crate::core::Held;
#[cfg(windows)]
use crate::driver::iocp;
#[cfg(unix)]
use crate::driver::readiness;
use crate::driver::sim;
#[cfg(target_os = "linux")]
use crate::driver::uring;
use crate::error::code;
#[cfg(any(target_os = "linux", windows))]
use crate::net::borrow;
use crate::net::{Stream, UnixAddress, immediate, system};
#[cfg(windows)]
use crate::offload::Lent;
use crate::raw::OwnedFd;
use crate::{AsSource, Io, UnixStream};

/// Whether the call is made where it must not block.
const IS_MADE_HERE: bool = cfg!(unix);

pub(crate) struct ConnectUnix {
    /// The socket, and where to; or why there is none.
    parts: io::Result<(UnixStream, UnixAddress)>,
    /// When the backlog is full.
    retry: Retry,
}

impl ConnectUnix {
    pub(crate) fn new(io: &Io, address: io::Result<UnixAddress>) -> ConnectUnix {
        let parts = address.and_then(|address| Ok((UnixStream::from_fd(io, open(io)?), address)));
        ConnectUnix { parts, retry: Retry::new(io) }
    }

    pub(crate) fn stream(&self) -> Option<&UnixStream> {
        self.parts.as_ref().ok().map(|(stream, _address)| stream)
    }

    fn attempt(&mut self, connect: impl FnOnce(&UnixAddress) -> i32) -> Start {
        let Ok((_stream, address)) = &self.parts else { return Start::Ready(0) };
        let result = connect(address);
        if result == -code::WOULD_BLOCK { self.retry.pause() } else { Start::Ready(result) }
    }
}

/// A socket.
fn open(io: &Io) -> io::Result<Held> {
    if let Some(fd) = io.core.simulated(|sim| sim.unix_stream()) {
        return fd.map(Held::new);
    }
    let socket = system::unix_socket()?;
    socket.set_nonblocking(IS_MADE_HERE)?;
    Ok(Held::from(OwnedFd::from(socket)))
}

impl Operation for ConnectUnix {
    type Output = io::Result<UnixStream>;
    const DIRECTION: Direction = Direction::None;

    #[cfg(target_os = "linux")]
    fn uring(&mut self, place: &mut uring::Place<'_>) -> Start {
        self.attempt(|address| match borrow(&place.fd).connect(&address.0) {
            Ok(()) => 0,
            Err(error) => crate::error::to_raw(&error),
        })
    }

    #[cfg(unix)]
    fn readiness(&mut self, place: &mut readiness::Place<'_>) -> Start {
        self.attempt(|address| place.call(|socket| socket.connect(&address.0).map(|()| 0)))
    }

    fn sim(&mut self, place: &mut sim::Place<'_>) -> Start {
        self.attempt(|address| place.connect_unix(address))
    }

    #[cfg(windows)]
    fn iocp(&mut self, place: &mut iocp::Place<'_>) -> Start {
        let Ok((_stream, address)) = &self.parts else { return Start::Ready(0) };
        let (socket, address) = (place.lent_fd(), Lent::new(address));
        place.offload(move || borrow(&socket.raw()).connect(&address.0).map(|()| 0))
    }

    fn step(&mut self, result: i32) -> Step {
        self.retry.step(result)
    }

    fn finish(self, io: &Io, result: io::Result<u32>) -> Self::Output {
        let (stream, _address) = self.parts?;
        result?;
        let wants_nonblocking = io.core.driver.kind.wants_nonblocking();
        if wants_nonblocking != IS_MADE_HERE {
            immediate(stream.as_source())?
                .set(|socket| socket.set_nonblocking(wants_nonblocking))?;
        }
        Ok(stream)
    }

    fn discard(self, _result: i32) {}
}
