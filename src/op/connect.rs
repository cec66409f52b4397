//! Connecting a socket, which the operation owns until it is connected.
//!
//! Sources: connect(2), io_uring_prep_connect(3); ConnectEx in Microsoft's documentation.

use std::io;

#[cfg(target_os = "linux")]
use io_uring::{opcode, types};
use socket2::SockAddr;

use super::{Direction, Operation, Start, Step};
#[cfg(windows)]
use crate::AsSource;
#[cfg(windows)]
use crate::driver::iocp;
#[cfg(unix)]
use crate::driver::readiness::{self, Interest};
use crate::driver::sim;
#[cfg(target_os = "linux")]
use crate::driver::uring;
use crate::error::code;
#[cfg(windows)]
use crate::net::{immediate, system};
use crate::{Io, TcpStream};

pub(crate) struct Connect {
    /// The socket, or why there is none.
    stream: io::Result<TcpStream>,
    address: SockAddr,
    /// Where readiness is all there is: it is on its way.
    #[cfg(unix)]
    begun: bool,
}

impl Connect {
    pub(crate) fn new(stream: io::Result<TcpStream>, address: SockAddr) -> Connect {
        Connect {
            stream,
            address,
            #[cfg(unix)]
            begun: false,
        }
    }
}

impl Operation for Connect {
    type Output = io::Result<TcpStream>;
    const DIRECTION: Direction = Direction::None;

    #[cfg(target_os = "linux")]
    fn uring(&mut self, place: &mut uring::Place<'_>) -> Start {
        if self.stream.is_err() {
            return Start::Ready(0);
        }
        let (address, len) = (self.address.as_ptr().cast(), self.address.len());
        place.submit(opcode::Connect::new(types::Fd(place.fd), address, len).build())
    }

    #[cfg(unix)]
    fn readiness(&mut self, place: &mut readiness::Place<'_>) -> Start {
        if self.stream.is_err() {
            return Start::Ready(0);
        }
        let result = if std::mem::replace(&mut self.begun, true) {
            // How it ended is told once (P39); while it has not, there is no peer.
            place.call(|socket| match socket.take_error()? {
                Some(error) => Err(error),
                None => socket.peer_addr().map(|_peer| 0),
            })
        } else {
            place.call(|socket| socket.connect(&self.address).map(|()| 0))
        };
        match -result {
            libc::EINPROGRESS | libc::EALREADY | libc::ENOTCONN => Start::Await(Interest::Writable),
            _ => Start::Ready(result),
        }
    }

    fn sim(&mut self, place: &mut sim::Place<'_>) -> Start {
        match self.stream {
            Ok(_) => place.connect(self.address.as_socket()),
            Err(_) => Start::Ready(0),
        }
    }

    #[cfg(windows)]
    fn iocp(&mut self, place: &mut iocp::Place<'_>) -> Start {
        if self.stream.is_err() {
            return Start::Ready(0);
        }
        place.connect(&self.address)
    }

    fn step(&mut self, result: i32) -> Step {
        // A connect that was interrupted and started again finds itself connected.
        if result == -code::CONNECTED { Step::Done(0) } else { Step::Done(result) }
    }

    fn finish(self, _io: &Io, result: io::Result<u32>) -> Self::Output {
        let stream = self.stream?;
        result?;
        #[cfg(windows)]
        immediate(stream.as_source())?.set(system::update_connected)?;
        Ok(stream)
    }

    fn discard(self, _result: i32) {}
}
