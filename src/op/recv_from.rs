//! Receiving a datagram into a buffer of the caller's, with its sender.
//!
//! Sources: recvmsg(2), io_uring_prep_recvmsg(3).

use std::io;
use std::marker::PhantomData;

#[cfg(target_os = "linux")]
use io_uring::{opcode, types};

use super::envelope::{self, Envelope};
use super::recv::written;
use super::{Direction, Operation, Start, Step};
use crate::driver::readiness;
#[cfg(target_os = "linux")]
use crate::driver::uring;
use crate::error::NO_ROOM;
use crate::net::{Address, Received};
use crate::{Io, IoBufMut};

/// `A` is the family of addresses that the caller expects.
pub(crate) struct RecvFrom<B, A> {
    buf: B,
    envelope: Envelope,
    family: PhantomData<A>,
}

impl<B: IoBufMut, A> RecvFrom<B, A> {
    pub(crate) fn new(buf: B) -> RecvFrom<B, A> {
        RecvFrom { buf, envelope: Envelope::empty(), family: PhantomData }
    }

    /// The header of the message, unless there is no room for one.
    fn describe(&mut self) -> Result<*mut libc::msghdr, i32> {
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
        match self.describe() {
            Ok(header) => place.submit(opcode::RecvMsg::new(types::Fd(place.fd), header).build()),
            Err(result) => Start::Ready(result),
        }
    }

    fn readiness(&mut self, place: &mut readiness::Place<'_>) -> Start {
        match self.describe() {
            Ok(header) => place.recv_datagram(|socket| envelope::receive(socket, header)),
            Err(result) => Start::Ready(result),
        }
    }

    fn step(&mut self, result: i32) -> Step {
        Step::Done(result)
    }

    fn finish(mut self, _io: &Io, result: io::Result<u32>) -> Self::Output {
        let result = result.and_then(|count| {
            let len = written(&mut self.buf, count);
            let (truncated, segment) = (self.envelope.is_cut(), self.envelope.segment());
            match A::of(&self.envelope.sender()) {
                Some(from) => Ok(Received { len, from, truncated, segment }),
                // Nothing from nobody: the end of a stream, or of a socket that was shut down.
                None if len == 0 => Err(io::ErrorKind::UnexpectedEof.into()),
                None => Err(io::ErrorKind::InvalidData.into()),
            }
        });
        (self.buf, result)
    }

    fn discard(self, _result: i32) {}
}
