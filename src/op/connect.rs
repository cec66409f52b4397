//! Connecting a socket that the operation owns until it is connected.
//!
//! Sources: connect(2), io_uring_prep_connect(3).

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use io_uring::{opcode, types};

use super::{Direction, Operation, Place, Start, Step};
use crate::net::address::RawAddress;
use crate::{Io, TcpStream};

pub(crate) struct Connect {
    /// The socket, or why there is none.
    pub(crate) socket: io::Result<OwnedFd>,
    pub(crate) address: RawAddress,
}

impl Operation for Connect {
    type Output = io::Result<TcpStream>;
    const DIRECTION: Direction = Direction::None;

    fn uring(&mut self, _place: &Place<'_>) -> Start {
        let Ok(socket) = &self.socket else { return Start::Ready(0) };
        let (address, len) = self.address.bytes();
        Start::Entry(opcode::Connect::new(types::Fd(socket.as_raw_fd()), address, len).build())
    }

    fn step(&mut self, result: i32) -> Step {
        // A connect that was interrupted and started again finds itself connected.
        if result == -libc::EISCONN { Step::Done(0) } else { Step::Done(result) }
    }

    fn finish(self, io: &Io, result: io::Result<u32>) -> Self::Output {
        let socket = self.socket?;
        result?;
        Ok(TcpStream::from_fd(io, socket))
    }

    fn discard(self, _result: i32) {}
}
