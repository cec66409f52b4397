//! Receiving into several buffers, and sending from several, in one call.
//!
//! The vectors are built beside the buffers, inside the operation, when it is started: buffers
//! and vectors are then where they stay. At most [`VECTORS_MAX`] are used in one call; more make
//! the transfer short.
//! Sources: recvmsg(2), sendmsg(2).
#![expect(unsafe_code, reason = "message headers are zeroed as C wants them")]

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::AsRawFd;
use std::ptr;

#[cfg(target_os = "linux")]
use io_uring::{opcode, types};

use super::recv::written;
use super::tries::Tries;
use super::{Direction, Operation, Start, Step};
use crate::driver::readiness::{self, Interest};
#[cfg(target_os = "linux")]
use crate::driver::uring;
use crate::error::NO_ROOM;
use crate::net::system;
use crate::{Io, IoBuf, IoBufMut};

pub(crate) const VECTORS_MAX: usize = 16;

/// A message header and its vectors, at an address that the record keeps.
pub(crate) struct Message {
    header: libc::msghdr,
    vectors: [libc::iovec; VECTORS_MAX],
    count: usize,
}

impl Message {
    pub(crate) fn new() -> Message {
        // SAFETY: zero is a valid value of both C structures: null pointers and no lengths.
        let header = unsafe { MaybeUninit::zeroed().assume_init() };
        let empty = libc::iovec { iov_base: ptr::null_mut(), iov_len: 0 };
        Message { header, vectors: [empty; VECTORS_MAX], count: 0 }
    }

    fn clear(&mut self) {
        self.count = 0;
    }

    /// Adds a vector; the ones that do not fit are left out.
    fn push(&mut self, at: *mut u8, len: usize) {
        if len > 0 && self.count < VECTORS_MAX {
            self.vectors[self.count] = libc::iovec { iov_base: at.cast(), iov_len: len };
            self.count += 1;
        }
    }

    /// Bytes of all vectors.
    fn len(&self) -> usize {
        let vectors = &self.vectors[..self.count];
        vectors.iter().map(|vector| vector.iov_len).fold(0, usize::saturating_add)
    }

    fn header(&mut self) -> *mut libc::msghdr {
        self.header.msg_iov = self.vectors.as_mut_ptr();
        self.header.msg_iovlen = self.count as _;
        &raw mut self.header
    }
}

/// What a call returned that gives a size, or an error.
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
        self.message.clear();
        for buf in &mut self.bufs {
            let (at, len) = buf.writable();
            self.message.push(at, len);
        }
        (self.message.count > 0).then_some(&mut self.message)
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

    fn readiness(&mut self, place: &mut readiness::Place<'_>) -> Start {
        let Some(message) = self.describe() else { return Start::Ready(NO_ROOM) };
        place.transfer(Interest::Readable, message.len(), |socket| {
            // SAFETY: the header and what it refers to are the operation's, and stay during the call.
            sized(unsafe { libc::recvmsg(socket.as_raw_fd(), message.header(), 0) })
        })
    }

    fn step(&mut self, result: i32) -> Step {
        Step::Done(result)
    }

    fn finish(mut self, _io: &Io, result: io::Result<u32>) -> Self::Output {
        let result = result.map(|count| {
            let mut left = count;
            for buf in &mut self.bufs {
                let room = u32::try_from(buf.writable().1).unwrap_or(u32::MAX).min(left);
                written(buf, room);
                left -= room;
            }
            assert!(left == 0, "a driver never receives more than there is room for");
            count as usize
        });
        (self.bufs, result)
    }

    fn discard(self, _result: i32) {}
}

pub(crate) struct SendVectored<B> {
    bufs: Vec<B>,
    message: Message,
    /// Whether to go on until all is sent.
    all: bool,
    sent: usize,
    tries: Tries,
}

impl<B: IoBuf> SendVectored<B> {
    pub(crate) fn new(bufs: Vec<B>, all: bool) -> SendVectored<B> {
        SendVectored { bufs, message: Message::new(), all, sent: 0, tries: Tries::default() }
    }

    /// The message that is left to be sent, if there is anything.
    fn describe(&mut self) -> Option<&mut Message> {
        self.message.clear();
        let mut skip = self.sent;
        for buf in &self.bufs {
            let skipped = skip.min(buf.len());
            self.message.push(buf.as_ptr().wrapping_add(skipped).cast_mut(), buf.len() - skipped);
            skip -= skipped;
        }
        (self.message.count > 0).then_some(&mut self.message)
    }

    fn len(&self) -> usize {
        self.bufs.iter().map(IoBuf::len).fold(0, usize::saturating_add)
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

    fn readiness(&mut self, place: &mut readiness::Place<'_>) -> Start {
        let Some(message) = self.describe() else { return Start::Ready(0) };
        place.transfer(Interest::Writable, message.len(), |socket| {
            let header = message.header().cast_const();
            // SAFETY: the header and what it refers to are the operation's, and stay during the call.
            sized(unsafe { libc::sendmsg(socket.as_raw_fd(), header, system::SEND_FLAGS) })
        })
    }

    fn step(&mut self, result: i32) -> Step {
        if let Some(step) = self.tries.step(result) {
            return step;
        }
        if result < 0 {
            return Step::Done(result);
        }
        self.sent += result.unsigned_abs() as usize;
        if self.all && result > 0 && self.sent < self.len() {
            return Step::Again;
        }
        Step::Done(0)
    }

    fn finish(self, _io: &Io, result: io::Result<u32>) -> Self::Output {
        let sent = self.sent;
        (self.bufs, result.map(|_| sent))
    }

    fn discard(self, _result: i32) {}
}
