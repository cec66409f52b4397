//! Sending a datagram to a Unix socket that is named.
//!
//! Where the receiver's queue is full, Linux answers `EAGAIN`, and there is nothing to wait for:
//! the receivers of a socket are its peer and whoever it names, and poll(2) looks at the peer alone
//! (`unix_dgram_poll`). io_uring would try in circles, and then leave a kernel thread waiting (P16).
//! So nothing waits for room in the system, and the operation tries again by a timer.
//!
//! Sources: unix(7); sendmsg(2), "EAGAIN"; `unix_dgram_sendmsg` in net/unix/af_unix.c.

use std::io;

#[cfg(target_os = "linux")]
use io_uring::{opcode, types};

use super::envelope::{self, Envelope};
use super::retry::Retry;
use super::{Direction, Operation, Start, Step};
use crate::buf::bytes;
use crate::driver::readiness;
use crate::driver::sim;
#[cfg(target_os = "linux")]
use crate::driver::uring;
use crate::net::{UnixAddress, system};
use crate::{Io, IoBuf};

pub(crate) struct SendToUnix<B> {
    buf: B,
    /// Or why the address is none to send to.
    envelope: io::Result<Envelope<UnixAddress>>,
    retry: Retry,
    /// io_uring has been asked.
    #[cfg(target_os = "linux")]
    tried: bool,
}

impl<B: IoBuf> SendToUnix<B> {
    pub(crate) fn new(io: &Io, buf: B, to: io::Result<UnixAddress>) -> SendToUnix<B> {
        let envelope = to.and_then(|to| {
            if to.is_unnamed() {
                let message = "a socket without a name cannot be sent to";
                return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
            }
            Ok(Envelope::addressed(Some(&to), None))
        });
        SendToUnix {
            buf,
            envelope,
            retry: Retry::new(io),
            #[cfg(target_os = "linux")]
            tried: false,
        }
    }

    /// The header of the message, or what is the result without one.
    fn describe(&mut self) -> Result<*const libc::msghdr, i32> {
        match &mut self.envelope {
            Ok(envelope) => envelope.for_send(bytes(&self.buf)),
            Err(_) => Err(0),
        }
    }
}

impl<B: IoBuf> Operation for SendToUnix<B> {
    type Output = (B, io::Result<usize>);
    const DIRECTION: Direction = Direction::Out;

    #[cfg(target_os = "linux")]
    fn uring(&mut self, place: &mut uring::Place<'_>) -> Start {
        if std::mem::replace(&mut self.tried, false) {
            // It is called again because there was no room.
            return self.retry.pause();
        }
        match self.describe() {
            Ok(header) => {
                self.tried = true;
                let flags = (libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT).cast_unsigned();
                place.submit(opcode::SendMsg::new(types::Fd(place.fd), header).flags(flags).build())
            }
            Err(result) => Start::Ready(result),
        }
    }

    fn readiness(&mut self, place: &mut readiness::Place<'_>) -> Start {
        let header = match self.describe() {
            Ok(header) => header,
            Err(result) => return Start::Ready(result),
        };
        let result = place.call(|socket| envelope::send(socket, header));
        if system::has_no_room(result) { self.retry.pause() } else { Start::Ready(result) }
    }

    fn sim(&mut self, place: &mut sim::Place<'_>) -> Start {
        let Ok(envelope) = &mut self.envelope else { return Start::Ready(0) };
        let (Some(to), _) = envelope.destination() else { return Start::Ready(-libc::EINVAL) };
        let result = place.send_to_unix(&to, bytes(&self.buf));
        if result == -libc::EAGAIN { self.retry.pause() } else { Start::Ready(result) }
    }

    fn step(&mut self, result: i32) -> Step {
        self.retry.step(result)
    }

    fn finish(self, _io: &Io, result: io::Result<u32>) -> Self::Output {
        let result = self.envelope.and(result);
        (self.buf, result.map(|count| count as usize))
    }

    fn discard(self, _result: i32) {}
}
