//! Where an operation tries its call: a descriptor that never blocks, and what is known of it.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use rustix::io::Errno;

use super::{Interest, Watch, Way};
use crate::core::owned;
use crate::driver::{directory, is_seekable};
use crate::error::to_raw;
use crate::fs::system::{CachedRead, IN_PLACE_MAX, Reads, read_cached, reads_of};
use crate::fs::{AllTerms, Terms};
use crate::net::attempt::{Attempt, read_on_pool, write_on_pool};
use crate::net::{Borrowed, borrow, system};
use crate::offload::{Calls, LentFd, close_for_result};
use crate::op::recv::TRANSFER_MAX;
use crate::op::{Completion, Op, Start};
use crate::queue::Queue;

pub(crate) struct Place<'a> {
    pub(crate) fd: RawFd,
    pub(super) op: Op,
    pub(super) handle: u32,
    /// What is known of the handle; an operation that has none waits for none.
    pub(super) watch: Option<&'a mut Watch>,
    pub(super) system_calls: &'a mut u64,
    pub(super) calls: &'a Calls,
    pub(super) terms: &'a AllTerms,
    pub(super) ready: &'a Queue<Completion>,
}

impl Place<'_> {
    /// Whether others wait for the loop's thread.
    pub(crate) fn others_wait(&self) -> bool {
        !self.ready.is_empty()
    }

    /// The descriptor, for a call on the pool.
    pub(crate) fn lent_fd(&self) -> LentFd {
        LentFd::new(self.fd)
    }

    /// The directory that a path starts in, for a call on the pool.
    pub(crate) fn lent_directory(&self) -> LentFd {
        LentFd::new(directory(self.fd))
    }

    /// What the handle asks of its operations.
    pub(crate) fn terms(&self) -> Terms {
        self.terms.of(self.handle)
    }

    /// Makes a call that can block, on the pool.
    pub(crate) fn offload(
        &self,
        call: impl FnMut() -> io::Result<usize> + Send + 'static,
    ) -> Start {
        self.calls.start(self.op, call)
    }

    /// As [`offload`](Place::offload), of a call whose result is a descriptor.
    pub(crate) fn offload_open(
        &self,
        call: impl FnMut() -> Result<OwnedFd, Errno> + Send + 'static,
    ) -> Start {
        self.calls.start_open(self.op, call)
    }

    fn way(&mut self, interest: Interest) -> Option<&mut Way> {
        self.watch.as_mut().map(|watch| watch.way(interest))
    }

    /// Whether a call this way may do something: not before the next event when the last one found
    /// nothing more.
    #[inline(always)]
    pub(crate) fn is_worth_trying(&mut self, interest: Interest) -> bool {
        !self.way(interest).is_some_and(|way| way.blocked)
    }

    /// Makes a call that never blocks; its result, as an operation has it.
    #[inline(always)]
    pub(crate) fn call(&mut self, mut call: impl FnMut(&Borrowed) -> io::Result<usize>) -> i32 {
        loop {
            *self.system_calls += 1;
            match call(&borrow(&self.fd)) {
                Ok(count) => return i32::try_from(count).unwrap_or(i32::MAX),
                Err(error) => match -to_raw(&error) {
                    libc::EINTR => {}
                    code => return -code,
                },
            }
        }
    }

    /// Receives from a stream into `room`, which is not empty.
    #[inline(always)]
    pub(crate) fn recv(&mut self, room: &mut [MaybeUninit<u8>]) -> Start {
        let len = room.len().min(TRANSFER_MAX);
        let room = &mut room[..len];
        self.transfer(Interest::Readable, len, |socket| system::recv(socket, room))
    }

    /// Sends to a stream. To send nothing finds out at once whether the stream is there (P46).
    #[inline(always)]
    pub(crate) fn send(&mut self, bytes: &[u8]) -> Start {
        let len = bytes.len().min(TRANSFER_MAX);
        let send = |socket: &Borrowed| system::send(socket, &bytes[..len]);
        if bytes.is_empty() {
            return match self.call(send) {
                // An empty datagram takes room as well.
                result if would_block(result) => Start::Await(Interest::Writable),
                result => Start::Ready(result),
            };
        }
        self.transfer(Interest::Writable, len, send)
    }

    /// Reads from a descriptor of any kind into `room`, which is not empty.
    pub(crate) fn read(&mut self, room: &mut [MaybeUninit<u8>]) -> Start {
        let fd = self.fd;
        // A long read of a file is the pool's, and no such read is made of one past the cache.
        let start = if self.reads() == Reads::NoFile {
            self.attempt_any(Interest::Readable, || Attempt::read(fd, room))
        } else {
            self.read_cached(room, None)
        };
        start.unwrap_or_else(|| self.offload(read_on_pool(fd, room)))
    }

    /// Reads from a file what is in memory (`offset` is none: from where it stands); nothing where that
    /// is not all of it: then it is for the pool.
    pub(crate) fn read_cached(
        &mut self,
        room: &mut [MaybeUninit<u8>],
        offset: Option<u64>,
    ) -> Option<Start> {
        self.attempt_cached(room.len(), |file| read_cached(file, room, offset))
    }

    /// As [`read_cached`](Place::read_cached), by a call of the row's for `len` bytes.
    pub(crate) fn attempt_cached(
        &mut self,
        len: usize,
        read: impl FnOnce(LentFd) -> CachedRead,
    ) -> Option<Start> {
        if len > IN_PLACE_MAX || self.reads() != Reads::Cached {
            return None;
        }
        *self.system_calls += 1;
        match read(self.lent_fd()) {
            CachedRead::Done(count) => Some(Start::Ready(i32::try_from(count).unwrap_or(i32::MAX))),
            CachedRead::Missing => None,
            CachedRead::Refused => {
                if let Some(watch) = &mut self.watch {
                    watch.reads = Some(Reads::MayWait);
                }
                None
            }
        }
    }

    /// How the handle is read. It is asked once.
    fn reads(&mut self) -> Reads {
        let file = self.lent_fd();
        let Some(watch) = &mut self.watch else { return Reads::NoFile };
        *watch.reads.get_or_insert_with(|| reads_of(file))
    }

    /// Writes some bytes to a descriptor of any kind.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Start {
        if let Some(failed) = self.terms().failed() {
            return Start::Ready(failed);
        }
        let fd = self.fd;
        let start = self.attempt_any(Interest::Writable, || Attempt::write(fd, bytes));
        start.unwrap_or_else(|| self.offload(write_on_pool(fd, bytes)))
    }

    /// As [`attempt`](Place::attempt), of what may block; nothing where it is for the pool.
    fn attempt_any(
        &mut self,
        interest: Interest,
        attempt: impl FnOnce() -> Attempt,
    ) -> Option<Start> {
        if !self.is_worth_trying(interest) {
            return Some(Start::Await(interest));
        }
        *self.system_calls += 1;
        match attempt() {
            Attempt::Done(result) => Some(Start::Ready(result)),
            Attempt::WouldBlock => {
                if let Some(way) = self.way(interest) {
                    way.blocked = !way.ended;
                }
                Some(Start::Await(interest))
            }
            Attempt::MayBlock => None,
        }
    }

    /// Which of these events there are now, as poll(2) has them; 0 for none.
    pub(crate) fn poll(&mut self, events: i16) -> i32 {
        self.call(|socket| {
            let events = system::poll_now(socket.as_raw_fd(), events)?;
            Ok(usize::from(events.unsigned_abs()))
        })
    }

    /// Closes the descriptor, which the loop has let go of: on the pool that of a file, which may be
    /// written out by that, and of a socket that lingers.
    pub(crate) fn close(&mut self) -> Start {
        *self.system_calls += 1;
        if !is_seekable(self.fd) && !system::close_waits(&borrow(&self.fd)) {
            return Start::Ready(close_for_result(owned(self.fd)));
        }
        self.calls.start_close(self.op, owned(self.fd))
    }

    /// Tries a call, unless it would block for sure: it waits then, and is tried again.
    #[inline(always)]
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

    /// As [`attempt`](Place::attempt), of an accept. On a listener that blocks it is made when a
    /// connection is there, which nobody else may take meanwhile. Whether it blocks is asked once.
    pub(crate) fn accept(
        &mut self,
        blocks: &mut Option<bool>,
        accept: impl FnMut(&Borrowed) -> io::Result<usize>,
    ) -> Start {
        let interest = Interest::Readable;
        let blocks = *blocks.get_or_insert_with(|| system::accept_blocks(self.fd));
        if blocks && self.is_worth_trying(interest) && self.poll(libc::POLLIN) == 0 {
            return Start::Await(interest);
        }
        self.attempt(interest, accept)
    }

    /// As [`attempt`](Place::attempt), of a call that receives a datagram. Nothing comes to a socket
    /// that was shut down: that is its result.
    #[inline(always)]
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
    #[inline(always)]
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
