//! Receiving a datagram into a buffer of the caller's, with its sender.
//!
//! Sources: recvmsg(2), io_uring_prep_recvmsg(3).

use std::io;

#[cfg(target_os = "linux")]
use io_uring::{opcode, types};

#[cfg(unix)]
use super::envelope;
use super::envelope::Envelope;
use super::recv::written;
use super::{Direction, Operation, Start, Step};
#[cfg(windows)]
use crate::buf::room;
#[cfg(unix)]
use crate::buf::room;
#[cfg(windows)]
use crate::driver::iocp;
#[cfg(unix)]
use crate::driver::readiness;
use crate::driver::sim;
#[cfg(target_os = "linux")]
use crate::driver::uring;
use crate::error::NO_ROOM;
use crate::net::{Address, Received};
use crate::raw::RawFd;
use crate::{Io, IoBufMut};

/// `A` is the family of addresses that the caller expects.
pub(crate) struct RecvFrom<B, A: Address> {
    buf: B,
    envelope: Envelope<A>,
    fd: RawFd,
    /// The socket was shut down, or a stream is at its end.
    ended: bool,
}

impl<B: IoBufMut, A: Address> RecvFrom<B, A> {
    pub(crate) fn new(buf: B) -> RecvFrom<B, A> {
        RecvFrom { buf, envelope: Envelope::empty(), fd: -1, ended: false }
    }

    /// The header of the message, unless there is no room for one.
    #[cfg(unix)]
    fn describe(&mut self, fd: RawFd) -> Result<*mut libc::msghdr, i32> {
        self.fd = fd;
        match self.buf.writable() {
            // It would swallow a datagram.
            (_, 0) => Err(NO_ROOM),
            (at, len) => Ok(self.envelope.for_receive(at, len)),
        }
    }
}

impl<B: IoBufMut, A: Address> Operation for RecvFrom<B, A> {
    type Output = (B, io::Result<Received<A>>);
    const DIRECTION: Direction = Direction::In;

    #[cfg(target_os = "linux")]
    fn uring(&mut self, place: &mut uring::Place<'_>) -> Start {
        match self.describe(place.fd) {
            Ok(header) => place.submit(opcode::RecvMsg::new(types::Fd(place.fd), header).build()),
            Err(result) => Start::Ready(result),
        }
    }

    #[cfg(unix)]
    fn readiness(&mut self, place: &mut readiness::Place<'_>) -> Start {
        match self.describe(place.fd) {
            Ok(header) => place.recv_datagram(|socket| envelope::receive(socket, header)),
            Err(result) => Start::Ready(result),
        }
    }

    fn sim(&mut self, place: &mut sim::Place<'_>) -> Start {
        self.fd = place.fd();
        let room = match room(&mut self.buf) {
            [] => return Start::Ready(NO_ROOM),
            room => room,
        };
        let mut sender = (None, false);
        let start = place.recv_from(room, &mut sender);
        self.envelope.received(sender);
        start
    }

    #[cfg(windows)]
    fn iocp(&mut self, place: &mut iocp::Place<'_>) -> Start {
        self.fd = place.fd;
        match room(&mut self.buf) {
            // It would swallow a datagram.
            [] => Start::Ready(NO_ROOM),
            room => place.recv_datagram(|socket| self.envelope.receive(socket, room)),
        }
    }

    fn step(&mut self, result: i32) -> Step {
        // The handle is open as long as the operation is not done.
        self.ended = result == 0 && self.envelope.is_from_nobody() && A::has_ended(self.fd);
        Step::Done(result)
    }

    fn finish(mut self, _io: &Io, result: io::Result<u32>) -> Self::Output {
        let result = result.and_then(|count| {
            let len = written(&mut self.buf, count);
            let (truncated, segment) = (self.envelope.is_cut(), self.envelope.segment());
            match self.envelope.sender().address {
                Some(from) if !self.ended => Ok(Received { len, from, truncated, segment }),
                _ => {
                    self.envelope.close_descriptors();
                    let ended = self.ended.then_some(io::ErrorKind::UnexpectedEof);
                    Err(ended.unwrap_or(io::ErrorKind::InvalidData).into())
                }
            }
        });
        (self.buf, result)
    }

    fn discard(mut self, result: i32) {
        if result >= 0 {
            self.envelope.close_descriptors();
        }
    }
}
