//! Where an operation makes its overlapped call.
#![expect(unsafe_code, reason = "the system writes to blocks")]

use std::io;
use std::mem::MaybeUninit;
use std::net::Shutdown;

use socket2::SockAddr;
use windows_sys::Win32::Networking::WinSock::{SOCKET, WSABUF, WSAENOTSOCK};
use windows_sys::Win32::System::IO::OVERLAPPED;

use super::afd::{Afd, Request};
use super::blocks::{Call, InFlight, Kind};
use super::{Association, Iocp, result_of};
use crate::core::owned;
use crate::driver::Interest;
use crate::error::{code, to_raw};
use crate::fs::{AllTerms, Terms, system as files};
use crate::net::{Borrowed, borrow, system};
use crate::offload::{Calls, Lent, LentFd, LentMut, close_for_result};
use crate::op::recv::TRANSFER_MAX;
use crate::op::vectors::Vectors;
use crate::op::{Op, Start};
use crate::raw::{OwnedFd, RawFd, is_file};

/// Most bytes of one send: a socket that has room for any takes all that it is given, and keeps it in
/// the system's memory (P47).
const SEND_MAX: usize = 1 << 18;

pub(crate) struct Place<'a> {
    pub(crate) fd: RawFd,
    pub(super) op: Op,
    pub(super) handle: u32,
    pub(super) driver: &'a mut Iocp,
    pub(super) calls: &'a Calls,
    pub(super) terms: &'a AllTerms,
}

impl Place<'_> {
    /// Makes a call that never waits; its result, as an operation has it.
    pub(crate) fn call(&mut self, call: impl FnOnce(&Borrowed) -> io::Result<usize>) -> i32 {
        self.driver.system_calls += 1;
        match call(&borrow(&self.fd)) {
            Ok(count) => i32::try_from(count).unwrap_or(i32::MAX),
            Err(error) => to_raw(&error),
        }
    }

    /// Makes an overlapped call: it is given the socket, the block, and where it may keep flags. What
    /// it is to read or to write stays where it is until the operation completes.
    pub(crate) fn start(
        &mut self,
        call: impl FnOnce(SOCKET, *mut OVERLAPPED, *mut u32) -> io::Result<()>,
    ) -> Start {
        self.start_call(Kind::Count, 0, call)
    }

    /// As [`start`](Place::start), of one of several calls that an operation has at a time. Each is
    /// completed by itself, with its lane, also where it is done at once. A call that fails at once is
    /// none.
    pub(crate) fn start_in_lane(
        &mut self,
        lane: u8,
        call: impl FnOnce(SOCKET, *mut OVERLAPPED, *mut u32) -> io::Result<()>,
    ) -> io::Result<()> {
        let about = Call { lane, ..Call::new(self.op, self.fd, Kind::Count) };
        if let Some(done) = self.begin(about, 0, call)? {
            self.driver.done.push(done);
        }
        Ok(())
    }

    /// Whether the operation has calls with the system.
    pub(crate) fn has_calls(&self) -> bool {
        self.driver.has_calls(self.op)
    }

    fn start_call(
        &mut self,
        kind: Kind,
        offset: u64,
        call: impl FnOnce(SOCKET, *mut OVERLAPPED, *mut u32) -> io::Result<()>,
    ) -> Start {
        match self.begin(Call::new(self.op, self.fd, kind), offset, call) {
            Ok(None) => Start::Submitted,
            Ok(Some(block)) => {
                let result = result_of(block);
                self.driver.blocks.put_back(block);
                Start::Ready(result)
            }
            Err(error) => Start::Ready(to_raw(&error)),
        }
    }

    /// Makes an overlapped call; gives the block of one that is done at once, and has no packet.
    fn begin(
        &mut self,
        about: Call,
        offset: u64,
        call: impl FnOnce(SOCKET, *mut OVERLAPPED, *mut u32) -> io::Result<()>,
    ) -> io::Result<Option<InFlight>> {
        let association = self.driver.associate(self.fd, self.handle)?;
        let block = self.driver.blocks.take(about, offset);
        self.driver.system_calls += 1;
        match call(system::socket(self.fd), block.overlapped(), block.flags()) {
            Ok(()) => Ok((association == Association::SkipsDone).then_some(block)),
            Err(error) if system::is_pending(&error) => Ok(None),
            Err(error) => {
                self.driver.blocks.put_back(block);
                Err(error)
            }
        }
    }

    /// Receives from a stream into `room`, which is not empty.
    pub(crate) fn recv(&mut self, room: &mut [MaybeUninit<u8>]) -> Start {
        let buffer = buffer(room.as_mut_ptr().cast(), room.len());
        self.receive(buffer.len, |socket, overlapped, flags| {
            system::recv(socket, &[buffer], overlapped, flags)
        })
    }

    /// Makes an overlapped call that receives up to `len` bytes.
    fn receive(
        &mut self,
        len: u32,
        call: impl FnOnce(SOCKET, *mut OVERLAPPED, *mut u32) -> io::Result<()>,
    ) -> Start {
        let start = self.start(call);
        if matches!(start, Start::Submitted) {
            self.driver.receives(self.handle, self.op);
        }
        match start {
            // It was shut down: that is its end.
            Start::Ready(result) if result == -system::SHUT_DOWN => Start::Ready(0),
            // A datagram that is longer than the room for it, which is full.
            Start::Ready(result) if result == -system::CUT => Start::Ready(len.cast_signed()),
            start => start,
        }
    }

    /// Receives what is there; where nothing is, the operation waits without a buffer, and is tried
    /// again.
    pub(crate) fn recv_now(&mut self, room: &mut [MaybeUninit<u8>]) -> Start {
        let len = room.len().min(TRANSFER_MAX);
        let start = self.attempt(Interest::Readable, |socket| socket.recv(&mut room[..len]));
        if matches!(start, Start::Submitted) {
            self.driver.receives(self.handle, self.op);
        }
        match start {
            Start::Ready(result) if result == -system::SHUT_DOWN => Start::Ready(0),
            start => start,
        }
    }

    /// Tries a call that does not wait; the operation is tried again when its socket is ready.
    pub(crate) fn attempt(
        &mut self,
        interest: Interest,
        call: impl FnOnce(&Borrowed) -> io::Result<usize>,
    ) -> Start {
        let result = self.call(call);
        if result == -code::WOULD_BLOCK {
            return self.ask(Kind::TryAgain, interest);
        }
        Start::Ready(result)
    }

    /// As [`attempt`](Place::attempt), of a call that receives a datagram.
    pub(crate) fn recv_datagram(
        &mut self,
        mut call: impl FnMut(&Borrowed) -> io::Result<usize>,
    ) -> Start {
        loop {
            let result = self.call(&mut call);
            if result != -code::WOULD_BLOCK {
                return Start::Ready(result);
            }
            match self.start_call(Kind::Datagram, 0, system::await_datagram) {
                // One has come just now.
                Start::Ready(result) if is_a_datagram(result) => {}
                Start::Ready(error) => return Start::Ready(system::of_datagrams(error)),
                start => {
                    self.driver.receives(self.handle, self.op);
                    return start;
                }
            }
        }
    }

    /// Completes when the socket is ready.
    pub(crate) fn poll(&mut self, interest: Interest) -> Start {
        if interest == Interest::Readable && self.driver.handle(self.handle).ended {
            return Start::Ready(1);
        }
        self.ask(Kind::Readiness(interest), interest)
    }

    fn ask(&mut self, kind: Kind, interest: Interest) -> Start {
        match self.try_to_ask(kind, interest) {
            Ok(()) => Start::Submitted,
            Err(error) => Start::Ready(to_raw(&error)),
        }
    }

    fn try_to_ask(&mut self, kind: Kind, interest: Interest) -> io::Result<()> {
        let (op, fd) = (self.op, self.fd);
        let base = system::base_handle(fd)?;
        let Iocp { afd, port, blocks, system_calls, .. } = &mut *self.driver;
        let afd = match afd {
            Some(afd) => afd,
            None => afd.insert(Afd::new(port)?),
        };
        let block = blocks.take(Call::new(op, fd, kind), 0);
        *system_calls += 2;
        // SAFETY: the block is ours until the call.
        unsafe { block.request().write(Request::new(base, interest)) };
        // SAFETY: a block stays where it is, and is in flight until its packet has come (blocks.rs).
        let asked = unsafe { afd.ask(block.request(), block.overlapped()) };
        if asked.is_err() {
            blocks.put_back(block);
        }
        asked
    }

    /// Sends to a stream what it has room for. Not by an overlapped call: one that is taken back half
    /// way does not tell how much of it went.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> Start {
        let buffers = [to_send(bytes)];
        self.sent(|socket| system::send(socket, &buffers))
    }

    /// As [`send`](Place::send), of nobody who would wait; the result, as an operation has it.
    pub(crate) fn send_now(&mut self, bytes: &[u8]) -> i32 {
        let buffers = [to_send(bytes)];
        self.call(|socket| system::send(socket, &buffers))
    }

    /// Receives from a stream into several buffers.
    pub(crate) fn recv_vectored(&mut self, vectors: &mut Vectors) -> Start {
        let buffers = vectors.as_slice();
        let len = u32::try_from(vectors.len()).unwrap_or(u32::MAX);
        self.receive(len, |socket, overlapped, flags| {
            system::recv(socket, buffers, overlapped, flags)
        })
    }

    /// Sends to a stream from several buffers, as from one.
    pub(crate) fn send_vectored(&mut self, vectors: &Vectors) -> Start {
        self.sent(|socket| system::send(socket, vectors.as_slice()))
    }

    /// Tries a call that sends and does not wait, as [`attempt`](Place::attempt).
    pub(crate) fn sent(&mut self, call: impl FnOnce(&Borrowed) -> io::Result<usize>) -> Start {
        match self.attempt(Interest::Writable, call) {
            Start::Ready(result) => Start::Ready(system::sent(result)),
            start => start,
        }
    }

    /// Shuts a connection down. A receive that waits ends, which Windows leaves waiting.
    pub(crate) fn shutdown(&mut self, how: Shutdown) -> Start {
        let result = self.call(|socket| socket.shutdown(how).map(|()| 0));
        if how != Shutdown::Write {
            self.driver.end_receive(self.fd, self.handle);
        }
        Start::Ready(result)
    }

    /// The directory that a path starts in, if it does in one, for a call on the pool.
    pub(crate) fn directory(&self) -> Option<LentFd> {
        (self.fd != -1).then(|| self.lent_fd())
    }

    /// The handle, for a call on the pool.
    pub(crate) fn lent_fd(&self) -> LentFd {
        LentFd::new(self.fd)
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

    /// As [`offload`](Place::offload), of a call that opens something.
    pub(crate) fn offload_open(
        &self,
        call: impl FnMut() -> io::Result<OwnedFd> + Send + 'static,
    ) -> Start {
        self.calls.start_open(self.op, call)
    }

    /// Reads from a file, which the pool does where its handle does not overlap.
    pub(crate) fn read_at(&mut self, room: &mut [MaybeUninit<u8>], offset: u64) -> Start {
        if let Some(refused) = self.terms().refuses(room, offset) {
            return Start::Ready(refused);
        }
        match self.association() {
            Association::NoOffsets => return Start::Ready(-files::NOT_SEEKABLE),
            Association::Refused => {
                let (fd, mut room) = (self.lent_fd(), LentMut::new(room));
                return self.offload(move || files::read_and_wait(fd, &mut room, offset));
            }
            _ => {}
        }
        let (at, len) = (room.as_mut_ptr().cast(), files::len_of(room.len()));
        let file = system::handle(self.fd);
        let start = self.start_call(Kind::Count, offset, |_socket, overlapped, _flags| {
            // SAFETY: the operation keeps its buffer, and the driver the block, until the packet.
            unsafe { files::read(file, at, len, overlapped) }
        });
        match start {
            Start::Ready(result) if result == -files::END => Start::Ready(0),
            start => start,
        }
    }

    /// Writes to a file, as [`read_at`](Place::read_at) reads.
    pub(crate) fn write_at(&mut self, bytes: &[u8], offset: u64) -> Start {
        let terms = self.terms();
        if let Some(refused) = terms.failed().or_else(|| terms.refuses(bytes, offset)) {
            return Start::Ready(refused);
        }
        self.write(bytes, offset)
    }

    /// Writes at the end of a file, wherever that is by then, what its terms let through.
    pub(crate) fn append(&mut self, bytes: &[u8]) -> Start {
        self.write(bytes, files::AT_END)
    }

    fn write(&mut self, bytes: &[u8], offset: u64) -> Start {
        match self.association() {
            Association::NoOffsets => return Start::Ready(-files::NOT_SEEKABLE),
            Association::Refused => {
                let (fd, bytes) = (self.lent_fd(), Lent::new(bytes));
                return self.offload(move || files::write_and_wait(fd, &bytes, offset));
            }
            _ => {}
        }
        let (at, len) = (bytes.as_ptr(), files::len_of(bytes.len()));
        let file = system::handle(self.fd);
        self.start_call(Kind::Count, offset, |_socket, overlapped, _flags| {
            // SAFETY: as above; the bytes are only read.
            unsafe { files::write(file, at, len, overlapped) }
        })
    }

    /// Whether the handle is one of something without offsets, such as a pipe or a socket.
    pub(crate) fn has_no_offsets(&mut self) -> bool {
        self.association() == Association::NoOffsets
    }

    /// Reads from a file into several buffers, on the pool.
    pub(crate) fn read_vectored_at(&mut self, vectors: &Vectors, offset: u64) -> Start {
        if self.has_no_offsets() {
            return Start::Ready(-files::NOT_SEEKABLE);
        }
        let (fd, vectors) = (self.lent_fd(), Lent::new(vectors));
        self.offload(move || files::read_each_and_wait(fd, &vectors, offset))
    }

    /// Writes to a file from several buffers, on the pool.
    pub(crate) fn write_vectored_at(&mut self, vectors: &Vectors, offset: u64) -> Start {
        if self.has_no_offsets() {
            return Start::Ready(-files::NOT_SEEKABLE);
        }
        let (fd, vectors) = (self.lent_fd(), Lent::new(vectors));
        self.offload(move || files::write_each_and_wait(fd, &vectors, offset))
    }

    /// How a file's calls complete: what cannot be known is for the call to say. A socket takes the
    /// same calls, and takes no notice of an offset (P55).
    fn association(&mut self) -> Association {
        if !is_file(self.fd) {
            return Association::NoOffsets;
        }
        self.driver.associate(self.fd, self.handle).unwrap_or(Association::AllPackets)
    }

    /// Sends from a file, from `offset` on, at most `count` bytes: as many as it has there.
    pub(crate) fn send_file(&mut self, file: RawFd, offset: u64, count: usize) -> Start {
        self.driver.system_calls += 2;
        if is_file(self.fd) {
            return Start::Ready(-WSAENOTSOCK);
        }
        if !is_file(file) || !files::is_seekable(file) {
            return Start::Ready(-files::NOT_SEEKABLE);
        }
        let file = system::handle(file);
        let left = match system::len_of_file(file) {
            // To send nothing would be to send all.
            Ok(len) if len <= offset || count == 0 => return Start::Ready(0),
            Ok(len) => len - offset,
            Err(error) => return Start::Ready(to_raw(&error)),
        };
        let count = u32::try_from(left.min(count as u64)).unwrap_or(TRANSFER_MAX as u32);
        let start = self.start_call(Kind::Count, offset, |socket, overlapped, _flags| {
            system::send_file(socket, file, count, overlapped)
        });
        match start {
            Start::Ready(result) => Start::Ready(system::sent(result)),
            start => start,
        }
    }

    /// Connects.
    pub(crate) fn connect(&mut self, address: &SockAddr) -> Start {
        let bound = self.call(|socket| system::bind_if_unbound(socket, address).map(|()| 0));
        if bound < 0 {
            return Start::Ready(bound);
        }
        self.start(|socket, overlapped, _flags| system::connect(socket, address, overlapped))
    }

    /// Closes a socket that the loop has let go of; a file, which may be written out by that, on the pool.
    pub(crate) fn close(&mut self) -> Start {
        self.driver.system_calls += 1;
        if is_file(self.fd) {
            return self.calls.start_close(self.op, owned(self.fd));
        }
        Start::Ready(close_for_result(owned(self.fd)))
    }
}

/// Whether a wait for a datagram has found one: it fits in no room of nothing.
pub(super) fn is_a_datagram(result: i32) -> bool {
    result >= 0 || result == -system::CUT
}

/// What one call sends of some bytes.
fn to_send(bytes: &[u8]) -> WSABUF {
    buffer(bytes.as_ptr().cast_mut(), bytes.len().min(SEND_MAX))
}

/// A buffer as the system has it, of as many bytes as one call takes (P29).
fn buffer(at: *mut u8, len: usize) -> WSABUF {
    let len = u32::try_from(len.min(TRANSFER_MAX)).unwrap_or(u32::MAX);
    WSABUF { buf: at, len }
}
