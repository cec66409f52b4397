//! Accepting connections: one, with its address, or one after another.
//!
//! Sources: accept(2), io_uring_prep_accept(3), io_uring_prep_multishot_accept(3); AcceptEx in
//! Microsoft's documentation.

use std::io;
use std::marker::PhantomData;

#[cfg(target_os = "linux")]
use io_uring::{opcode, types};

#[cfg(windows)]
use super::incoming::{Crowd, Incoming};
use super::{Completion, Direction, Multishot, Op, Operation, Rearm, Start, Step};
use crate::Io;
use crate::core::Held;
#[cfg(windows)]
use crate::driver::iocp;
#[cfg(unix)]
use crate::driver::readiness;
use crate::driver::sim;
#[cfg(target_os = "linux")]
use crate::driver::uring;
use crate::error::code;
use crate::net::Stream;
#[cfg(unix)]
use crate::net::address::RawAddress;
use crate::net::system;
#[cfg(unix)]
use crate::raw::IntoRawFd;

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
    system::CONNECTIONS_OWN.contains(&-result)
}

/// Whether the process or the system has no descriptor or memory left just now.
pub(crate) fn is_exhausted(result: i32) -> bool {
    matches!(-result, code::PROCESS_FULL | code::SYSTEM_FULL | code::NO_BUFFERS | code::NO_MEMORY)
}

pub(crate) struct Accept<S> {
    #[cfg(unix)]
    address: RawAddress,
    /// Where readiness is all there is: whether the call may wait, once that was asked.
    #[cfg(unix)]
    blocks: Option<bool>,
    #[cfg(windows)]
    incoming: Incoming,
    stream: PhantomData<S>,
}

impl<S> Accept<S> {
    pub(crate) fn new() -> Accept<S> {
        Accept {
            #[cfg(unix)]
            address: RawAddress::empty(),
            #[cfg(unix)]
            blocks: None,
            #[cfg(windows)]
            incoming: Incoming::new(),
            stream: PhantomData,
        }
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

    #[cfg(unix)]
    fn readiness(&mut self, place: &mut readiness::Place<'_>) -> Start {
        let address = &mut self.address;
        place.accept(&mut self.blocks, |listener| {
            let (stream, peer) = S::accept(listener)?;
            *address = RawAddress::from(peer);
            Ok(stream.into_raw_fd() as usize)
        })
    }

    fn sim(&mut self, place: &mut sim::Place<'_>) -> Start {
        let mut peer = None;
        let start = place.accept(&mut peer);
        if let Some(peer) = peer {
            #[cfg(unix)]
            let address = &mut self.address;
            #[cfg(windows)]
            let address = &mut self.incoming;
            *address = peer.into();
        }
        start
    }

    #[cfg(windows)]
    fn iocp(&mut self, place: &mut iocp::Place<'_>) -> Start {
        self.incoming.start(place)
    }

    fn step(&mut self, result: i32) -> Step {
        #[cfg(windows)]
        let result = self.incoming.result(result);
        if is_connections_own(result) { Step::Again } else { Step::Done(result) }
    }

    fn finish(self, io: &Io, result: io::Result<u32>) -> Self::Output {
        let fd = held(result?.cast_signed())
            .ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))?;
        let stream = S::from_fd(io, fd);
        #[cfg(unix)]
        let address = Some(self.address.get());
        #[cfg(windows)]
        let address = self.incoming.peer().ok();
        if let Some(address) = address.and_then(S::address) {
            return Ok((stream, address));
        }
        stream.peer().map(|address| (stream, address))
    }

    #[cfg(unix)]
    fn discard(self, result: i32) {
        drop(held(result));
    }

    /// The socket is the row's own until its result is taken up, unless a simulated system made it.
    #[cfg(windows)]
    fn discard(self, result: i32) {
        drop(held(result).filter(Held::is_simulated));
    }
}

/// One multishot accept where the kernel has it (5.19+), else an accept after another; on Windows some
/// at a time.
pub(crate) struct AcceptEach<S> {
    #[cfg(windows)]
    crowd: Crowd,
    /// As in [`Accept`].
    #[cfg(unix)]
    blocks: Option<bool>,
    stream: PhantomData<S>,
}

impl<S> AcceptEach<S> {
    pub(crate) fn new() -> AcceptEach<S> {
        AcceptEach {
            #[cfg(windows)]
            crowd: Crowd::new(),
            #[cfg(unix)]
            blocks: None,
            stream: PhantomData,
        }
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

    #[cfg(unix)]
    fn readiness(&mut self, place: &mut readiness::Place<'_>) -> Start {
        place.accept(&mut self.blocks, |listener| {
            let (stream, _peer) = S::accept(listener)?;
            Ok(stream.into_raw_fd() as usize)
        })
    }

    fn sim(&mut self, place: &mut sim::Place<'_>) -> Start {
        place.accept(&mut None)
    }

    #[cfg(windows)]
    fn iocp(&mut self, place: &mut iocp::Place<'_>) -> Start {
        self.crowd.start(place)
    }

    fn item(&mut self, io: &Io, completion: Completion) -> Option<S> {
        #[cfg(windows)]
        let fd = held(self.crowd.result(completion));
        #[cfg(unix)]
        let fd = held(completion.result);
        fd.map(|fd| S::from_fd(io, fd))
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
        if matches!(result, r if r == -code::INTERRUPTED || r == -code::WOULD_BLOCK) {
            return Rearm::Again;
        }
        Rearm::Done(result)
    }

    #[cfg(unix)]
    fn discard(&mut self, completion: Completion) {
        drop(held(completion.result));
    }

    /// The sockets are the row's own until their results are taken up, as above.
    #[cfg(windows)]
    fn discard(&mut self, completion: Completion) {
        drop(held(completion.result).filter(Held::is_simulated));
    }
}
