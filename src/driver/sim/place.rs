//! Where an operation tries its call: a simulated socket, or none.

use crate::raw::RawFd;
use std::mem::MaybeUninit;
use std::net::{Shutdown, SocketAddr};

use socket2::SockAddr;

use super::code::{self, Answer};
use super::kernel::Kernel;
use super::slab::Key;
use super::{FaultKind, Sim};
use crate::UnixAddress;
use crate::driver::Interest;
use crate::error::NOT_SIMULATED;
use crate::fs::AllTerms;
use crate::op::recv::TRANSFER_MAX;
use crate::op::{Op, Start};

/// How many datagrams one buffer may be split into, and how long it may be (udp(7), Linux 6.9+).
const SEGMENTS_MAX: usize = 128;
const SEGMENTED_MAX: usize = 65_507;

pub(crate) struct Place<'a> {
    pub(super) op: Op,
    pub(super) fd: RawFd,
    pub(super) handle: u32,
    pub(super) terms: &'a AllTerms,
    pub(super) sim: &'a mut Sim,
}

/// What is received from a sender, with whether it was cut; from nobody where the socket was shut
/// down.
pub(crate) type Sender = (Option<SockAddr>, bool);

impl Place<'_> {
    pub(crate) fn fd(&self) -> RawFd {
        self.fd
    }

    /// The simulator does not have this operation.
    pub(crate) fn unsupported(&self) -> Start {
        Start::Ready(NOT_SIMULATED)
    }

    /// Makes a call that may have to wait, and then does so.
    fn attempt(
        &mut self,
        interest: Interest,
        call: impl FnOnce(&mut Kernel, Key) -> Answer<usize>,
    ) -> Start {
        if self.sim.puts_off(self.op, self.handle) {
            return Start::Await(interest);
        }
        match self.call(call) {
            Err(code::EAGAIN | code::EINPROGRESS | code::EALREADY) => Start::Await(interest),
            answer => Start::Ready(result(answer)),
        }
    }

    fn call(&mut self, call: impl FnOnce(&mut Kernel, Key) -> Answer<usize>) -> Answer<usize> {
        self.sim.calls += 1;
        let mut kernel = self.sim.kernel.borrow_mut();
        let Some(socket) = kernel.socket_of(self.fd) else {
            let is_file = kernel.file_of(self.fd).is_some();
            // A handle of a real descriptor has no place in a simulated world.
            return Err(if is_file { code::ENOTSOCK } else { -NOT_SIMULATED });
        };
        kernel.settle();
        if kernel.happens(self.sim.machine, FaultKind::Interrupted) {
            return Err(code::EINTR);
        }
        call(&mut kernel, socket)
    }

    /// Whether the pool of a flow has no buffer just now.
    pub(crate) fn lacks_buffers(&self) -> bool {
        self.sim.fails(FaultKind::NoPoolBuffer)
    }

    /// Receives into `room`, which is not empty.
    pub(crate) fn recv(&mut self, room: &mut [MaybeUninit<u8>]) -> Start {
        let len = room.len().min(TRANSFER_MAX);
        let room = &mut room[..len];
        self.attempt(Interest::Readable, |kernel, socket| match kernel.has_datagrams(socket) {
            true => kernel.recv_datagram(socket, room).map(|(len, ..)| len),
            false => kernel.recv_bytes(socket, room),
        })
    }

    /// Receives into several rooms, none of them empty, one after the other.
    pub(crate) fn recv_vectored<'b>(
        &mut self,
        rooms: impl Iterator<Item = &'b mut [MaybeUninit<u8>]>,
    ) -> Start {
        self.attempt(Interest::Readable, |kernel, socket| {
            if kernel.has_datagrams(socket) {
                return scatter(kernel, socket, rooms);
            }
            let mut all = 0;
            for room in rooms {
                let len = room.len();
                match kernel.recv_bytes(socket, room) {
                    Err(_) if all > 0 => break,
                    Err(error) => return Err(error),
                    // What is short ends here: there is no hole between two rooms.
                    Ok(count) if count < len => return Ok(all + count),
                    Ok(count) => all += count,
                }
            }
            Ok(all)
        })
    }

    /// Sends from `bytes`; of a socket of datagrams, one to its peer.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> Start {
        let bytes = &bytes[..bytes.len().min(TRANSFER_MAX)];
        self.attempt(Interest::Writable, |kernel, socket| match kernel.has_datagrams(socket) {
            true => kernel.send_datagram(socket, None, bytes),
            false => kernel.send_bytes(socket, bytes),
        })
    }

    /// Sends what is left of a buffer; where nothing is, all is done.
    pub(crate) fn send_rest(&mut self, rest: &[u8]) -> Start {
        if rest.is_empty() { Start::Ready(0) } else { self.send(rest) }
    }

    /// Sends several pieces, none of them empty, one after the other; of a socket of datagrams, as one.
    pub(crate) fn send_vectored(&mut self, pieces: &[&[u8]]) -> Start {
        self.attempt(Interest::Writable, |kernel, socket| {
            if kernel.has_datagrams(socket) {
                return kernel.send_datagram(socket, None, &pieces.concat());
            }
            // In one step: between two the peer could answer, and a whole send come to be cut.
            kernel.send_bytes(socket, &pieces.concat())
        })
    }

    /// Accepts a connection; its peer's address goes to `peer`. The result is a descriptor.
    pub(crate) fn accept(&mut self, peer: &mut Option<SockAddr>) -> Start {
        self.attempt(Interest::Readable, |kernel, listener| {
            let socket = if kernel.is_local(listener) {
                let (socket, name) = kernel.accept_local(listener)?;
                *peer = Some(name.0);
                socket
            } else {
                let (socket, address) = kernel.accept(listener)?;
                *peer = Some(address.into());
                socket
            };
            Ok(kernel.fd(socket) as usize)
        })
    }

    /// Connects, or finds out how far that is.
    pub(crate) fn connect(&mut self, to: Option<SocketAddr>) -> Start {
        let Some(to) = to else { return self.unsupported() };
        self.attempt(Interest::Writable, |kernel, socket| kernel.connect(socket, to).map(|()| 0))
    }

    /// Connects a Unix socket, or says `EAGAIN`: there is nothing to wait for.
    pub(crate) fn connect_unix(&mut self, to: &UnixAddress) -> i32 {
        result(self.call(|kernel, socket| kernel.connect_local(socket, to).map(|()| 0)))
    }

    /// Sends a datagram of a Unix socket to a name, or says `EAGAIN`, as for a connect.
    #[cfg(unix)]
    pub(crate) fn send_to_unix(&mut self, to: &UnixAddress, bytes: &[u8]) -> i32 {
        result(self.call(|kernel, socket| kernel.send_local_datagram(socket, Some(to), bytes)))
    }

    pub(crate) fn shut_down(&mut self, how: Shutdown) -> Start {
        Start::Ready(result(self.call(|kernel, socket| kernel.shut_down(socket, how).map(|()| 0))))
    }

    /// Closes the descriptor, which the loop has let go of.
    pub(crate) fn close(&mut self) -> Start {
        self.sim.calls += 1;
        if !super::is_simulated(self.fd) {
            crate::core::close_fd(self.fd);
            return Start::Ready(0);
        }
        let mut kernel = self.sim.kernel.borrow_mut();
        if let Some(file) = kernel.file_of(self.fd) {
            kernel.close_file(file);
            return Start::Ready(0);
        }
        let Some(socket) = kernel.socket_of(self.fd) else { return Start::Ready(-code::EBADF) };
        kernel.close(socket);
        Start::Ready(0)
    }

    /// Waits until a call this way would not wait.
    pub(crate) fn poll(&mut self, interest: Interest) -> Start {
        self.attempt(interest, |kernel, socket| {
            if kernel.is_ready(socket, interest) { Ok(1) } else { Err(code::EAGAIN) }
        })
    }

    /// Sends a datagram, or several of one length.
    pub(crate) fn send_to(
        &mut self,
        to: Option<SocketAddr>,
        bytes: &[u8],
        segment: Option<u16>,
    ) -> Start {
        self.attempt(Interest::Writable, |kernel, socket| match segment {
            _ if bytes.is_empty() => kernel.send_datagram(socket, to, bytes),
            None => kernel.send_datagram(socket, to, bytes),
            Some(0) => Err(code::EINVAL),
            Some(_) if bytes.len() > SEGMENTED_MAX => Err(code::EMSGSIZE),
            Some(segment) if bytes.len() > SEGMENTS_MAX * usize::from(segment) => Err(code::EINVAL),
            Some(segment) => {
                for piece in bytes.chunks(usize::from(segment)) {
                    kernel.send_datagram(socket, to, piece)?;
                }
                Ok(bytes.len())
            }
        })
    }

    /// Receives a datagram into `room`; says from whom.
    pub(crate) fn recv_from(&mut self, room: &mut [MaybeUninit<u8>], sender: &mut Sender) -> Start {
        self.attempt(Interest::Readable, |kernel, socket| {
            if !kernel.has_datagrams(socket) {
                // What a stream has comes from nobody.
                return kernel.recv_bytes(socket, room);
            }
            let (len, from, cut) = kernel.recv_datagram(socket, room)?;
            *sender = (from, cut);
            Ok(len)
        })
    }
}

/// Receives one datagram into several rooms, one after the other.
fn scatter<'b>(
    kernel: &mut Kernel,
    socket: Key,
    rooms: impl Iterator<Item = &'b mut [MaybeUninit<u8>]>,
) -> Answer<usize> {
    let rooms: Vec<_> = rooms.collect();
    let mut whole = vec![MaybeUninit::uninit(); rooms.iter().map(|room| room.len()).sum()];
    let (len, ..) = kernel.recv_datagram(socket, &mut whole)?;
    for (place, byte) in rooms.into_iter().flatten().zip(&whole[..len]) {
        *place = *byte;
    }
    Ok(len)
}

pub(super) fn result(answer: Answer<usize>) -> i32 {
    match answer {
        Ok(count) => i32::try_from(count).unwrap_or(i32::MAX),
        Err(code) => -code,
    }
}
