//! Where an operation makes its overlapped call.
#![expect(unsafe_code, reason = "the system writes to blocks")]

use std::io;
use std::mem::MaybeUninit;

use socket2::SockAddr;
use windows_sys::Win32::Networking::WinSock::{SOCKET, WSABUF};
use windows_sys::Win32::System::IO::OVERLAPPED;

use super::afd::{Afd, Request};
use super::blocks::{Call, Kind};
use super::{Association, Iocp, result_of};
use crate::core::owned;
use crate::driver::Interest;
use crate::error::{code, to_raw};
use crate::net::{Borrowed, borrow, system};
use crate::offload::close_for_result;
use crate::op::recv::TRANSFER_MAX;
use crate::op::vectors::Vectors;
use crate::op::{Op, Start};
use crate::raw::RawFd;

pub(crate) struct Place<'a> {
    pub(crate) fd: RawFd,
    pub(super) op: Op,
    pub(super) handle: u32,
    pub(super) driver: &'a mut Iocp,
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
        let association = match self.driver.associate(self.fd, self.handle) {
            Ok(association) => association,
            Err(error) => return Start::Ready(to_raw(&error)),
        };
        let (op, fd) = (self.op, self.fd);
        let block = self.driver.blocks.take(Call { op, fd, kind: Kind::Count, cancelled: false });
        self.driver.system_calls += 1;
        let result = match call(system::socket(fd), block.overlapped(), block.flags()) {
            Ok(()) if association == Association::SkipsDone => result_of(block),
            Ok(()) => return Start::Submitted,
            Err(error) if system::is_pending(&error) => return Start::Submitted,
            Err(error) => to_raw(&error),
        };
        self.driver.blocks.put_back(block);
        Start::Ready(result)
    }

    /// Receives from a stream into `room`, which is not empty.
    pub(crate) fn recv(&mut self, room: &mut [MaybeUninit<u8>]) -> Start {
        let buffer = buffer(room.as_mut_ptr().cast(), room.len());
        self.start(|socket, overlapped, flags| system::recv(socket, &[buffer], overlapped, flags))
    }

    /// Receives what is there; where nothing is, the operation waits without a buffer, and is tried
    /// again.
    pub(crate) fn recv_now(&mut self, room: &mut [MaybeUninit<u8>]) -> Start {
        let len = room.len().min(TRANSFER_MAX);
        self.attempt(Interest::Readable, |socket| socket.recv(&mut room[..len]))
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

    /// Completes when the socket is ready.
    pub(crate) fn poll(&mut self, interest: Interest) -> Start {
        self.ask(Kind::Readiness, interest)
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
        let block = blocks.take(Call { op, fd, kind, cancelled: false });
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

    /// Sends to a stream.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> Start {
        let buffer = buffer(bytes.as_ptr().cast_mut(), bytes.len());
        self.start(|socket, overlapped, _flags| system::send(socket, &[buffer], overlapped))
    }

    /// Receives from a stream into several buffers.
    pub(crate) fn recv_vectored(&mut self, vectors: &mut Vectors) -> Start {
        let buffers = vectors.as_slice();
        self.start(|socket, overlapped, flags| system::recv(socket, buffers, overlapped, flags))
    }

    /// Sends to a stream from several buffers.
    pub(crate) fn send_vectored(&mut self, vectors: &Vectors) -> Start {
        let buffers = vectors.as_slice();
        self.start(|socket, overlapped, _flags| system::send(socket, buffers, overlapped))
    }

    /// Connects.
    pub(crate) fn connect(&mut self, address: &SockAddr) -> Start {
        let bound = self.call(|socket| system::bind_if_unbound(socket, address).map(|()| 0));
        if bound < 0 {
            return Start::Ready(bound);
        }
        self.start(|socket, overlapped, _flags| system::connect(socket, address, overlapped))
    }

    /// Closes the socket, which the loop has let go of.
    pub(crate) fn close(&mut self) -> Start {
        self.driver.system_calls += 1;
        Start::Ready(close_for_result(owned(self.fd)))
    }
}

/// A buffer as the system has it, of as many bytes as one call takes (P29).
fn buffer(at: *mut u8, len: usize) -> WSABUF {
    let len = u32::try_from(len.min(TRANSFER_MAX)).unwrap_or(u32::MAX);
    WSABUF { buf: at, len }
}
