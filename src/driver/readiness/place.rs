//! Where an operation tries its call: a descriptor that never blocks, and what is known of it.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, RawFd};

use super::{Interest, Way};
use crate::core::owned;
use crate::net::{Borrowed, borrow, system};
use crate::op::Start;
use crate::op::recv::TRANSFER_MAX;

pub(crate) struct Place<'a> {
    fd: RawFd,
    /// In, out; an operation that has no handle waits for none.
    ways: Option<&'a mut [Way; 2]>,
    system_calls: &'a mut u64,
}

impl<'a> Place<'a> {
    #[inline]
    pub(super) fn new(
        fd: RawFd,
        ways: Option<&'a mut [Way; 2]>,
        system_calls: &'a mut u64,
    ) -> Place<'a> {
        Place { fd, ways, system_calls }
    }

    fn way(&mut self, interest: Interest) -> Option<&mut Way> {
        self.ways.as_mut().map(|ways| &mut ways[interest as usize])
    }

    /// Whether a call this way may do something: not before the next event when the last one found
    /// nothing more.
    #[inline]
    pub(crate) fn is_worth_trying(&mut self, interest: Interest) -> bool {
        !self.way(interest).is_some_and(|way| way.blocked)
    }

    /// Makes a call that never blocks; its result, as an operation has it.
    #[inline]
    pub(crate) fn call(&mut self, mut call: impl FnMut(&Borrowed) -> io::Result<usize>) -> i32 {
        loop {
            *self.system_calls += 1;
            match call(&borrow(&self.fd)) {
                Ok(count) => return i32::try_from(count).unwrap_or(i32::MAX),
                Err(error) => match error.raw_os_error() {
                    Some(libc::EINTR) => {}
                    // What has no code is the caller's argument.
                    code => return -code.unwrap_or(libc::EINVAL),
                },
            }
        }
    }

    /// Receives from a stream into `room`, which is not empty.
    #[inline]
    pub(crate) fn recv(&mut self, room: &mut [MaybeUninit<u8>]) -> Start {
        let len = room.len().min(TRANSFER_MAX);
        let room = &mut room[..len];
        self.transfer(Interest::Readable, len, |socket| socket.recv(room))
    }

    /// Sends to a stream. To send nothing finds out at once whether the stream is there (P46).
    #[inline]
    pub(crate) fn send(&mut self, bytes: &[u8]) -> Start {
        let len = bytes.len().min(TRANSFER_MAX);
        let send = |socket: &Borrowed| socket.send_with_flags(&bytes[..len], system::SEND_FLAGS);
        if bytes.is_empty() {
            return match self.call(send) {
                // An empty datagram takes room as well.
                result if would_block(result) => Start::Await(Interest::Writable),
                result => Start::Ready(result),
            };
        }
        self.transfer(Interest::Writable, len, send)
    }

    /// Which of these events there are now, as poll(2) has them; 0 for none.
    pub(crate) fn poll(&mut self, events: i16) -> i32 {
        self.call(|socket| {
            let events = system::poll_now(socket.as_raw_fd(), events)?;
            Ok(usize::from(events.unsigned_abs()))
        })
    }

    /// Closes the descriptor, which the loop has let go of.
    pub(crate) fn close(&mut self) -> i32 {
        *self.system_calls += 1;
        match system::close(owned(self.fd)) {
            Ok(()) => 0,
            Err(error) => -error.raw_os_error().unwrap_or(libc::EIO),
        }
    }

    /// Tries a call, unless it would block for sure: it waits then, and is tried again.
    #[inline]
    pub(crate) fn attempt(
        &mut self,
        interest: Interest,
        call: impl FnMut(&Borrowed) -> io::Result<usize>,
    ) -> Start {
        if !self.is_worth_trying(interest) {
            return Start::Await(interest);
        }
        let result = self.call(call);
        if would_block(result) {
            if let Some(way) = self.way(interest) {
                way.blocked = !way.ended;
            }
            return Start::Await(interest);
        }
        Start::Ready(result)
    }

    /// As [`attempt`](Place::attempt), of a call that receives a datagram. Nothing comes to a socket
    /// that was shut down: that is its result.
    pub(crate) fn recv_datagram(
        &mut self,
        call: impl FnMut(&Borrowed) -> io::Result<usize>,
    ) -> Start {
        let start = self.attempt(Interest::Readable, call);
        let ended = self.way(Interest::Readable).is_some_and(|way| way.ended);
        if ended && matches!(start, Start::Await(_)) { Start::Ready(0) } else { start }
    }

    /// As [`attempt`](Place::attempt), of a call that moves up to `len` bytes of a stream: one that
    /// moves fewer leaves nothing to be had, or no room (epoll(7), "Q9").
    #[inline]
    pub(crate) fn transfer(
        &mut self,
        interest: Interest,
        len: usize,
        call: impl FnMut(&Borrowed) -> io::Result<usize>,
    ) -> Start {
        let start = self.attempt(interest, call);
        if let Start::Ready(count) = start
            && count > 0
            && (count.unsigned_abs() as usize) < len.min(TRANSFER_MAX)
            && let Some(way) = self.way(interest)
        {
            way.blocked = way.short_calls_end && !way.ended;
        }
        start
    }
}

fn would_block(result: i32) -> bool {
    result == -libc::EAGAIN || result == -libc::EWOULDBLOCK
}
