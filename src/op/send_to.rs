//! Sending a datagram, or several that the kernel splits one buffer into.
//!
//! A datagram goes as a whole or not at all, so there is no rest to send.
//! Sources: sendmsg(2), io_uring_prep_sendmsg(3); udp(7), "UDP_SEGMENT".

use std::io;
use std::net::SocketAddr;

#[cfg(target_os = "linux")]
use io_uring::{opcode, types};

#[cfg(unix)]
use super::envelope;
use super::envelope::Envelope;
use super::{Direction, Operation, Start, Step};
use crate::buf::bytes;
#[cfg(unix)]
use crate::driver::Interest;
#[cfg(windows)]
use crate::driver::iocp;
#[cfg(unix)]
use crate::driver::readiness;
use crate::driver::sim;
#[cfg(target_os = "linux")]
use crate::driver::uring;
use crate::{Io, IoBuf};

pub(crate) struct SendTo<B> {
    pub(crate) buf: B,
    pub(crate) envelope: Envelope<SocketAddr>,
}

impl<B: IoBuf> Operation for SendTo<B> {
    type Output = (B, io::Result<usize>);
    const DIRECTION: Direction = Direction::Datagram;

    #[cfg(target_os = "linux")]
    #[inline(always)]
    fn uring(&mut self, place: &mut uring::Place<'_>) -> Start {
        match self.envelope.for_send(bytes(&self.buf)) {
            Ok(header) => {
                let flags = libc::MSG_NOSIGNAL.cast_unsigned();
                place.submit(opcode::SendMsg::new(types::Fd(place.fd), header).flags(flags).build())
            }
            Err(result) => Start::Ready(result),
        }
    }

    #[cfg(unix)]
    #[inline(always)]
    fn readiness(&mut self, place: &mut readiness::Place<'_>) -> Start {
        match self.envelope.for_send(bytes(&self.buf)) {
            Ok(header) => {
                place.attempt(Interest::Writable, |socket| envelope::send(socket, header))
            }
            Err(result) => Start::Ready(result),
        }
    }

    fn sim(&mut self, place: &mut sim::Place<'_>) -> Start {
        let (to, segment) = self.envelope.destination();
        place.send_to(to, bytes(&self.buf), segment)
    }

    #[cfg(windows)]
    fn iocp(&mut self, place: &mut iocp::Place<'_>) -> Start {
        if let Some(refusal) = self.envelope.refusal(place.fd) {
            return Start::Ready(refusal);
        }
        place.sent(|socket| self.envelope.send(socket, bytes(&self.buf)))
    }

    #[inline]
    fn step(&mut self, result: i32) -> Step {
        Step::Done(result)
    }

    #[inline]
    fn finish(self, _io: &Io, result: io::Result<u32>) -> Self::Output {
        (self.buf, result.map(|count| count as usize))
    }

    fn discard(self, _result: i32) {}
}
