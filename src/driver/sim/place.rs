//! Where an operation tries its call: a simulated socket, or none.

use std::mem::MaybeUninit;
use std::net::{Shutdown, SocketAddr};

use socket2::SockAddr;

use super::code::{self, Answer};
use super::kernel::Kernel;
use super::slab::Key;
use super::{FaultKind, Sim};
use crate::UnixAddress;
use crate::driver::Interest;
use crate::driver::simulated::{Calls, Sender, Simulator, SocketCalls, is_simulated};
use crate::error::NOT_SIMULATED;
use crate::op::Start;
use crate::op::recv::TRANSFER_MAX;
use crate::raw::RawFd;

/// How many datagrams one buffer may be split into, and how long it may be (udp(7), Linux 6.9+).
const SEGMENTS_MAX: usize = 128;
const SEGMENTED_MAX: usize = 65_507;

impl Calls for Sim {}

impl Sim {
    /// Makes a call that may have to wait, and then does so.
    fn attempt(
        &mut self,
        interest: Interest,
        call: impl FnOnce(&mut Kernel, Key) -> Answer<usize>,
    ) -> Start {
        if self.puts_off(self.asked.op, self.asked.handle) {
            return Start::Await(interest);
        }
        match self.call(call) {
            Err(code::EAGAIN | code::EINPROGRESS | code::EALREADY) => Start::Await(interest),
            answer => Start::Ready(result(answer)),
        }
    }

    fn call(&mut self, call: impl FnOnce(&mut Kernel, Key) -> Answer<usize>) -> Answer<usize> {
        self.calls += 1;
        let mut kernel = self.kernel.borrow_mut();
        let Some(socket) = kernel.socket_of(self.asked.fd) else {
            let is_file = kernel.file_of(self.asked.fd).is_some();
            // A handle of a real descriptor has no place in a simulated world.
            return Err(if is_file { code::ENOTSOCK } else { -NOT_SIMULATED });
        };
        kernel.settle();
        if kernel.happens(self.machine, FaultKind::Interrupted) {
            return Err(code::EINTR);
        }
        call(&mut kernel, socket)
    }
}

impl SocketCalls for Sim {
    fn fd(&self) -> RawFd {
        self.asked.fd
    }

    fn lacks_buffers(&self) -> bool {
        self.fails(FaultKind::NoPoolBuffer)
    }

    fn recv(&mut self, room: &mut [MaybeUninit<u8>]) -> Start {
        let len = room.len().min(TRANSFER_MAX);
        let room = &mut room[..len];
        self.attempt(Interest::Readable, |kernel, socket| match kernel.has_datagrams(socket) {
            true => kernel.recv_datagram(socket, room).map(|(len, ..)| len),
            false => kernel.recv_bytes(socket, room),
        })
    }

    fn recv_vectored(&mut self, rooms: &mut dyn Iterator<Item = &mut [MaybeUninit<u8>]>) -> Start {
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

    fn send(&mut self, bytes: &[u8]) -> Start {
        let bytes = &bytes[..bytes.len().min(TRANSFER_MAX)];
        self.attempt(Interest::Writable, |kernel, socket| match kernel.has_datagrams(socket) {
            true => kernel.send_datagram(socket, None, bytes),
            false => kernel.send_bytes(socket, bytes),
        })
    }

    fn send_vectored(&mut self, pieces: &[&[u8]]) -> Start {
        self.attempt(Interest::Writable, |kernel, socket| {
            if kernel.has_datagrams(socket) {
                return kernel.send_datagram(socket, None, &pieces.concat());
            }
            // In one step: between two the peer could answer, and a whole send come to be cut.
            kernel.send_bytes(socket, &pieces.concat())
        })
    }

    fn accept(&mut self, peer: &mut Option<SockAddr>) -> Start {
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

    fn connect(&mut self, to: Option<SocketAddr>) -> Start {
        let Some(to) = to else { return self.unsupported() };
        self.attempt(Interest::Writable, |kernel, socket| kernel.connect(socket, to).map(|()| 0))
    }

    fn connect_unix(&mut self, to: &UnixAddress) -> i32 {
        result(self.call(|kernel, socket| kernel.connect_local(socket, to).map(|()| 0)))
    }

    #[cfg(unix)]
    fn send_to_unix(&mut self, to: &UnixAddress, bytes: &[u8]) -> i32 {
        result(self.call(|kernel, socket| kernel.send_local_datagram(socket, Some(to), bytes)))
    }

    fn shut_down(&mut self, how: Shutdown) -> Start {
        Start::Ready(result(self.call(|kernel, socket| kernel.shut_down(socket, how).map(|()| 0))))
    }

    fn close(&mut self) -> Start {
        self.calls += 1;
        if !is_simulated(self.asked.fd) {
            crate::core::close_fd(self.asked.fd);
            return Start::Ready(0);
        }
        let mut kernel = self.kernel.borrow_mut();
        if let Some(file) = kernel.file_of(self.asked.fd) {
            kernel.close_file(file);
            return Start::Ready(0);
        }
        let Some(socket) = kernel.socket_of(self.asked.fd) else {
            return Start::Ready(-code::EBADF);
        };
        kernel.close(socket);
        Start::Ready(0)
    }

    fn poll(&mut self, interest: Interest) -> Start {
        self.attempt(interest, |kernel, socket| {
            if kernel.is_ready(socket, interest) { Ok(1) } else { Err(code::EAGAIN) }
        })
    }

    fn send_to(&mut self, to: Option<SocketAddr>, bytes: &[u8], segment: Option<u16>) -> Start {
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

    fn recv_from(&mut self, room: &mut [MaybeUninit<u8>], sender: &mut Sender) -> Start {
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
fn scatter(
    kernel: &mut Kernel,
    socket: Key,
    rooms: &mut dyn Iterator<Item = &mut [MaybeUninit<u8>]>,
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
