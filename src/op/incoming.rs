//! The socket that AcceptEx accepts a connection into, and where it writes addresses.

use std::io;

use socket2::SockAddr;

use super::Start;
use crate::driver::iocp;
use crate::error::{code, to_raw};
use crate::net::borrow;
use crate::net::system::{self, AddressRoom};
use crate::raw::{IntoRawFd, OwnedFd, RawFd};

pub(super) struct Incoming {
    /// Made when a connection is asked for; of an operation that ends without one it is closed.
    socket: Option<OwnedFd>,
    listener: RawFd,
    addresses: AddressRoom,
}

impl Incoming {
    pub(super) fn new() -> Incoming {
        Incoming { socket: None, listener: -1, addresses: system::NO_ADDRESSES }
    }

    pub(super) fn start(&mut self, place: &mut iocp::Place<'_>) -> Start {
        self.listener = place.fd;
        let socket = match self.socket.take() {
            Some(socket) => socket,
            None => match system::socket_for(&borrow(&place.fd)) {
                Ok(socket) => socket,
                Err(error) => return Start::Ready(to_raw(&error)),
            },
        };
        let accepted = system::socket(self.socket.insert(socket).as_raw_fd());
        let addresses = &raw mut self.addresses;
        place.start(|listener, overlapped, _flags| {
            system::accept(listener, accepted, addresses, overlapped)
        })
    }

    /// Whose connection it is, once it is accepted.
    pub(super) fn peer(&self) -> io::Result<SockAddr> {
        system::accepted_from(&self.addresses)
    }

    /// What has come of it: the socket's number, or a negated code.
    pub(super) fn result(&mut self, result: i32) -> i32 {
        if result < 0 {
            return result;
        }
        let Some(socket) = self.socket.take() else { return -code::INVALID };
        let socket = socket.into_raw_fd();
        match system::update_accepted(&borrow(&socket), self.listener) {
            Ok(()) => socket,
            Err(error) => {
                crate::core::close_fd(socket);
                // The connection is gone already: that is its own affair, not the listener's.
                if system::is_not_connected(&error) {
                    -system::CONNECTIONS_OWN[0]
                } else {
                    to_raw(&error)
                }
            }
        }
    }
}
