//! Receiving into several buffers, and sending from several, in one call.
//!
//! Sources: recvmsg(2), sendmsg(2).
#![cfg_attr(unix, expect(unsafe_code, reason = "message headers are zeroed as C wants them"))]

use std::io;
#[cfg(unix)]
use std::mem::MaybeUninit;
#[cfg(unix)]
use std::os::fd::AsRawFd;

#[cfg(target_os = "linux")]
use io_uring::{opcode, types};

use super::tries::Tries;
use super::vectors::{Left, VECTORS_MAX, Vectors, written_to_all};
use super::{Direction, Operation, Start, Step};
use crate::buf::room;
#[cfg(windows)]
use crate::driver::iocp;
#[cfg(unix)]
use crate::driver::readiness::{self, Interest};
use crate::driver::sim;
#[cfg(target_os = "linux")]
use crate::driver::uring;
use crate::error::NO_ROOM;
#[cfg(unix)]
use crate::net::system;
use crate::{Io, IoBuf, IoBufMut};

/// A message header and its vectors, at an address that the record keeps.
pub(crate) struct Message {
    #[cfg(unix)]
    header: libc::msghdr,
    vectors: Vectors,
}

impl Message {
    pub(crate) fn new() -> Message {
        Message {
            // SAFETY: zero is a valid value of the C structure: null pointers and no lengths.
            #[cfg(unix)]
            header: unsafe { MaybeUninit::zeroed().assume_init() },
            vectors: Vectors::new(),
        }
    }

    #[cfg(unix)]
    fn header(&mut self) -> *mut libc::msghdr {
        let (vectors, count) = self.vectors.as_raw();
        self.header.msg_iov = vectors.cast_mut();
        self.header.msg_iovlen = count as _;
        &raw mut self.header
    }
}

/// What a call returned that gives a size, or an error.
#[cfg(unix)]
pub(crate) fn sized(result: isize) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}

pub(crate) struct RecvVectored<B> {
    pub(crate) bufs: Vec<B>,
    pub(crate) message: Message,
}

impl<B: IoBufMut> RecvVectored<B> {
    /// The message, unless no buffer has room.
    fn describe(&mut self) -> Option<&mut Message> {
        self.message.vectors.name_room(&mut self.bufs, usize::MAX);
        (self.message.vectors.len() > 0).then_some(&mut self.message)
    }
}

impl<B: IoBufMut> Operation for RecvVectored<B> {
    type Output = (Vec<B>, io::Result<usize>);
    const DIRECTION: Direction = Direction::In;

    #[cfg(target_os = "linux")]
    fn uring(&mut self, place: &mut uring::Place<'_>) -> Start {
        match self.describe() {
            Some(message) => {
                place.submit(opcode::RecvMsg::new(types::Fd(place.fd), message.header()).build())
            }
            None => Start::Ready(NO_ROOM),
        }
    }

    #[cfg(unix)]
    fn readiness(&mut self, place: &mut readiness::Place<'_>) -> Start {
        let Some(message) = self.describe() else { return Start::Ready(NO_ROOM) };
        place.transfer(Interest::Readable, message.vectors.len(), |socket| {
            let flags = system::RECV_AT_ONCE;
            // SAFETY: the header and what it refers to are the operation's, and stay during the call.
            sized(unsafe { libc::recvmsg(socket.as_raw_fd(), message.header(), flags) })
        })
    }

    fn sim(&mut self, place: &mut sim::Place<'_>) -> Start {
        let rooms = self.bufs.iter_mut().map(room).filter(|room| !room.is_empty());
        let mut rooms = rooms.take(VECTORS_MAX).peekable();
        if rooms.peek().is_none() {
            return Start::Ready(NO_ROOM);
        }
        place.recv_vectored(&mut rooms)
    }

    #[cfg(windows)]
    fn iocp(&mut self, place: &mut iocp::Place<'_>) -> Start {
        match self.describe() {
            Some(message) => place.recv_vectored(&mut message.vectors),
            None => Start::Ready(NO_ROOM),
        }
    }

    fn step(&mut self, result: i32) -> Step {
        Step::Done(result)
    }

    fn finish(mut self, _io: &Io, result: io::Result<u32>) -> Self::Output {
        let result = result.map(|count| written_to_all(&mut self.bufs, count));
        (self.bufs, result)
    }

    fn discard(self, _result: i32) {}
}

pub(crate) struct SendVectored<B> {
    left: Left<B>,
    message: Message,
    /// Whether to go on until all is sent.
    all: bool,
    tries: Tries,
}

impl<B: IoBuf> SendVectored<B> {
    pub(crate) fn new(bufs: Vec<B>, all: bool) -> SendVectored<B> {
        let (left, message) = (Left::new(bufs), Message::new());
        SendVectored { left, message, all, tries: Tries::default() }
    }

    /// The message that is left to be sent, if there is anything.
    fn describe(&mut self) -> Option<&mut Message> {
        self.message.vectors.name_bytes(&self.left, usize::MAX);
        (self.message.vectors.len() > 0).then_some(&mut self.message)
    }
}

impl<B: IoBuf> Operation for SendVectored<B> {
    type Output = (Vec<B>, io::Result<usize>);
    const DIRECTION: Direction = Direction::Out;

    #[cfg(target_os = "linux")]
    fn uring(&mut self, place: &mut uring::Place<'_>) -> Start {
        let Some(message) = self.describe() else { return Start::Ready(0) };
        let entry = opcode::SendMsg::new(types::Fd(place.fd), message.header().cast_const());
        self.tries
            .submit(place, |more| entry.flags((libc::MSG_NOSIGNAL | more).cast_unsigned()).build())
    }

    #[cfg(unix)]
    fn readiness(&mut self, place: &mut readiness::Place<'_>) -> Start {
        let Some(message) = self.describe() else { return Start::Ready(0) };
        place.transfer(Interest::Writable, message.vectors.len(), |socket| {
            let header = message.header().cast_const();
            // SAFETY: the header and what it refers to are the operation's, and stay during the call.
            sized(unsafe { libc::sendmsg(socket.as_raw_fd(), header, system::SEND_AT_ONCE) })
        })
    }

    fn sim(&mut self, place: &mut sim::Place<'_>) -> Start {
        let (pieces, count) = self.left.pieces();
        if count == 0 { Start::Ready(0) } else { place.send_vectored(&pieces[..count]) }
    }

    #[cfg(windows)]
    fn iocp(&mut self, place: &mut iocp::Place<'_>) -> Start {
        match self.describe() {
            Some(message) => place.send_vectored(&message.vectors),
            None => Start::Ready(0),
        }
    }

    fn step(&mut self, result: i32) -> Step {
        if let Some(step) = self.tries.step(result) {
            return step;
        }
        if result < 0 {
            return Step::Done(result);
        }
        self.left.advance(result.unsigned_abs() as usize);
        if self.all && result > 0 && !self.left.is_nothing() { Step::Again } else { Step::Done(0) }
    }

    fn finish(self, _io: &Io, result: io::Result<u32>) -> Self::Output {
        let Left { bufs, done, .. } = self.left;
        (bufs, result.map(|_| done))
    }

    fn discard(self, _result: i32) {}
}
