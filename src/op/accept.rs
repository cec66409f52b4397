//! Accepting connections: one, with its address, or one after another.
//!
//! Sources: accept(2), io_uring_prep_accept(3), io_uring_prep_multishot_accept(3).

use std::io;
use std::marker::PhantomData;
use std::os::fd::IntoRawFd;

#[cfg(target_os = "linux")]
use io_uring::{opcode, types};
use socket2::SockAddr;

use super::{Completion, Direction, Multishot, Op, Operation, Rearm, Start, Step};
use crate::Io;
use crate::core::Held;
use crate::driver::readiness::{self, Interest};
use crate::driver::sim;
#[cfg(target_os = "linux")]
use crate::driver::uring;
use crate::net::Stream;
use crate::net::address::RawAddress;

#[cfg(target_os = "linux")]
const FLAGS: i32 = libc::SOCK_CLOEXEC;

/// The descriptor that a successful result carries.
///
/// The kernel, or the simulator's, made it for this completion, which is taken once.
pub(crate) fn held(result: i32) -> Option<Held> {
    (result >= 0).then(|| Held::new(result))
}

/// Whether an accept failed because of the connection that it was to return, which says nothing
/// about the listener (accept(2), "Error handling").
fn is_connections_own(result: i32) -> bool {
    const OWN: &[i32] = &[
        libc::ECONNABORTED,
        libc::EPROTO,
        libc::ENETDOWN,
        libc::ENOPROTOOPT,
        libc::EHOSTDOWN,
        #[cfg(target_os = "linux")]
        libc::ENONET,
        libc::EHOSTUNREACH,
        libc::ENETUNREACH,
    ];
    OWN.contains(&-result)
}

/// Whether the process or the system has no descriptor or memory left just now.
pub(crate) fn is_exhausted(result: i32) -> bool {
    matches!(-result, libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM)
}

pub(crate) struct Accept<S> {
    address: RawAddress,
    stream: PhantomData<S>,
}

impl<S> Accept<S> {
    pub(crate) fn new() -> Accept<S> {
        Accept { address: RawAddress::empty(), stream: PhantomData }
    }
}

impl<S: Stream> Operation for Accept<S> {
    type Output = io::Result<(S, S::Address)>;
    const DIRECTION: Direction = Direction::In;

    #[cfg(target_os = "linux")]
    fn uring(&mut self, place: &mut uring::Place<'_>) -> Start {
        self.address.reset();
        let (address, len) = self.address.parts();
        place.submit(opcode::Accept::new(types::Fd(place.fd), address, len).flags(FLAGS).build())
    }

    fn readiness(&mut self, place: &mut readiness::Place<'_>) -> Start {
        let address = &mut self.address;
        place.attempt(Interest::Readable, |listener| {
            let (stream, peer) = S::accept(listener)?;
            *address = RawAddress::from(peer);
            Ok(stream.into_raw_fd() as usize)
        })
    }

    fn sim(&mut self, place: &mut sim::Place<'_>) -> Start {
        let mut peer = None;
        let start = place.accept(&mut peer);
        if let Some(peer) = peer {
            self.address = RawAddress::from(SockAddr::from(peer));
        }
        start
    }

    fn step(&mut self, result: i32) -> Step {
        if is_connections_own(result) { Step::Again } else { Step::Done(result) }
    }

    fn finish(self, io: &Io, result: io::Result<u32>) -> Self::Output {
        let fd = held(result?.cast_signed())
            .ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))?;
        let stream = S::from_fd(io, fd);
        match S::address(self.address.get()) {
            Some(address) => Ok((stream, address)),
            None => stream.peer().map(|address| (stream, address)),
        }
    }

    fn discard(self, result: i32) {
        drop(held(result));
    }
}

/// One multishot accept where the kernel has it (5.19+), else an accept after another.
pub(crate) struct AcceptEach<S>(PhantomData<S>);

impl<S> AcceptEach<S> {
    pub(crate) fn new() -> AcceptEach<S> {
        AcceptEach(PhantomData)
    }
}

impl<S: Stream> Multishot for AcceptEach<S> {
    type Item = S;
    const DIRECTION: Direction = Direction::In;

    #[cfg(target_os = "linux")]
    fn uring(&mut self, place: &mut uring::Place<'_>) -> Start {
        let fd = types::Fd(place.fd);
        place.submit(if S::ACCEPTS_MULTISHOT && place.features().accept_multishot {
            opcode::AcceptMulti::new(fd).flags(FLAGS).build()
        } else {
            let nobody = std::ptr::null_mut();
            opcode::Accept::new(fd, nobody, nobody.cast()).flags(FLAGS).build()
        })
    }

    fn readiness(&mut self, place: &mut readiness::Place<'_>) -> Start {
        place.attempt(Interest::Readable, |listener| {
            let (stream, _peer) = S::accept(listener)?;
            Ok(stream.into_raw_fd() as usize)
        })
    }

    fn sim(&mut self, place: &mut sim::Place<'_>) -> Start {
        place.accept(&mut None)
    }

    fn item(&mut self, io: &Io, completion: Completion) -> Option<S> {
        held(completion.result).map(|fd| S::from_fd(io, fd))
    }

    fn ended(&mut self, io: &Io, op: Op, result: i32) -> Rearm {
        if result >= 0 || is_connections_own(result) {
            return Rearm::Again;
        }
        if is_exhausted(result) {
            // The connection stays in the backlog. Accepting goes on when a descriptor of this
            // loop is closed, or after a pause, for others may hold them.
            io.core.park_exhausted(op);
            return Rearm::Parked;
        }
        if matches!(result, r if r == -libc::EINTR || r == -libc::EAGAIN) {
            return Rearm::Again;
        }
        Rearm::Done(result)
    }

    fn discard(&mut self, completion: Completion) {
        drop(held(completion.result));
    }
}
