//! The socket that AcceptEx accepts a connection into, and where it writes addresses; and many of them,
//! for a flow.

use std::io;

use socket2::SockAddr;
use windows_sys::Win32::Networking::WinSock::SOCKET;

use super::{Completion, Start};
use crate::driver::{iocp, simulated};
use crate::error::{code, to_raw};
use crate::net::borrow;
use crate::net::system::{self, AddressRoom};
use crate::raw::{IntoRawFd, OwnedFd, RawFd};

pub(super) struct Incoming {
    /// Made when a connection is asked for; of an operation that ends without one it is closed.
    socket: Option<OwnedFd>,
    listener: RawFd,
    addresses: AddressRoom,
    /// Whose connection it is, on a simulated system.
    simulated: Option<Box<SockAddr>>,
}

impl From<SockAddr> for Incoming {
    fn from(peer: SockAddr) -> Incoming {
        Incoming { simulated: Some(Box::new(peer)), ..Incoming::new() }
    }
}

impl Incoming {
    pub(super) fn new() -> Incoming {
        let addresses = system::NO_ADDRESSES;
        Incoming { socket: None, listener: -1, addresses, simulated: None }
    }

    pub(super) fn start(&mut self, place: &mut iocp::Place<'_>) -> Start {
        let (accepted, addresses) = match self.prepare(place.fd) {
            Ok(parts) => parts,
            Err(error) => return Start::Ready(to_raw(&error)),
        };
        place.start(|listener, overlapped, _flags| {
            system::accept(listener, accepted, addresses, overlapped)
        })
    }

    /// Makes the socket, and says where addresses are to be written.
    fn prepare(&mut self, listener: RawFd) -> io::Result<(SOCKET, *mut AddressRoom)> {
        self.listener = listener;
        let socket = match self.socket.take() {
            Some(socket) => socket,
            None => system::socket_for(&borrow(&listener))?,
        };
        let accepted = system::socket(self.socket.insert(socket).as_raw_fd());
        Ok((accepted, &raw mut self.addresses))
    }

    /// Whose connection it is, once it is accepted.
    pub(super) fn peer(&self) -> io::Result<SockAddr> {
        match &self.simulated {
            Some(peer) => Ok(SockAddr::clone(peer)),
            None => system::accepted_from(&self.addresses),
        }
    }

    /// What has come of it: the socket's number, or a negated code.
    pub(super) fn result(&mut self, result: i32) -> i32 {
        let socket = self.socket.take();
        if result < 0 {
            // A socket that failed is not used again.
            return result;
        }
        if simulated::is_simulated(result) {
            return result;
        }
        let Some(socket) = socket else { return -code::INVALID };
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

/// How many connections a flow has the system accept at a time. Those that come while all of them are
/// taken wait in the backlog, which on Windows refuses what does not fit: with these the loop may be a
/// while late.
const CROWD: usize = 8;

/// What a flow of accepts has with the system (P79): each is asked for again when it has come.
pub(super) struct Crowd([Incoming; CROWD]);

impl Crowd {
    pub(super) fn new() -> Crowd {
        Crowd(std::array::from_fn(|_| Incoming::new()))
    }

    /// Asks for as many connections as are not asked for yet. While there are any, why there are not
    /// all does not matter: the next that comes has it tried again.
    pub(super) fn start(&mut self, place: &mut iocp::Place<'_>) -> Start {
        for (lane, incoming) in (0..).zip(&mut self.0) {
            if incoming.socket.is_some() {
                continue;
            }
            let asked = incoming.prepare(place.fd).and_then(|(accepted, addresses)| {
                place.start_in_lane(lane, |listener, overlapped, _flags| {
                    system::accept(listener, accepted, addresses, overlapped)
                })
            });
            if let Err(error) = asked {
                incoming.socket = None;
                if !place.has_calls() {
                    return Start::Ready(to_raw(&error));
                }
                break;
            }
        }
        Start::Submitted
    }

    /// As [`Incoming::result`], of one of them.
    pub(super) fn result(&mut self, completion: Completion) -> i32 {
        self.0[completion.lane()].result(completion.result)
    }
}
