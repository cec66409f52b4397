//! The other end of datagrams: a socket of the standard library on a real system, in the simulator one
//! of a second loop.

use std::io;
use std::net::{SocketAddr, UdpSocket as Std};
use std::rc::Rc;
use std::time::Duration;

use tigereye::{Io, UdpSocket};

use super::{Place, is_simulated, simulated_io, wait};

#[derive(Debug)]
pub(crate) enum UdpPeer {
    Real(Std),
    Simulated(Rc<UdpSocket>, Rc<Io>),
}

impl UdpPeer {
    pub(crate) fn bind(address: SocketAddr) -> io::Result<UdpPeer> {
        if !is_simulated() {
            return Std::bind(address).map(UdpPeer::Real);
        }
        let io = simulated_io();
        Ok(UdpPeer::Simulated(Rc::new(UdpSocket::bind(&io, address)?), io))
    }

    /// The socket of the standard library: the simulator has none.
    pub(crate) fn into_std(self) -> Std {
        match self {
            UdpPeer::Real(socket) => socket,
            UdpPeer::Simulated(..) => {
                panic!("a simulated socket is none of the standard library's")
            }
        }
    }

    pub(crate) fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        match self {
            UdpPeer::Real(socket) => socket.set_read_timeout(timeout),
            UdpPeer::Simulated(..) => Ok(()),
        }
    }

    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        match self {
            UdpPeer::Real(socket) => socket.local_addr(),
            UdpPeer::Simulated(socket, _) => socket.local_addr(),
        }
    }

    pub(crate) fn connect(&self, peer: SocketAddr) -> io::Result<()> {
        match self {
            UdpPeer::Real(socket) => socket.connect(peer),
            UdpPeer::Simulated(socket, _) => socket.connect(peer),
        }
    }

    pub(crate) fn send_to(&self, bytes: &[u8], to: SocketAddr) -> io::Result<usize> {
        match self {
            UdpPeer::Real(socket) => socket.send_to(bytes, to),
            UdpPeer::Simulated(socket, io) => {
                let place = Place::default();
                let put = Rc::clone(&place);
                let end = move |_socket, _io: &Io, _buf, result| {
                    put.replace(Some(result));
                };
                io.send_to(Rc::clone(socket), bytes.to_vec(), to, end);
                wait(io, &place)
            }
        }
    }

    pub(crate) fn recv_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        match self {
            UdpPeer::Real(socket) => socket.recv_from(buf),
            UdpPeer::Simulated(socket, io) => {
                let place = Place::default();
                let put = Rc::clone(&place);
                let room = vec![0; buf.len()].into_boxed_slice();
                io.recv_from(Rc::clone(socket), room, move |_socket, _io, room, result| {
                    put.replace(Some(result.map(|received| (received, room))));
                });
                let (received, room) = wait(io, &place)?;
                buf[..received.len].copy_from_slice(&room[..received.len]);
                Ok((received.len, received.from))
            }
        }
    }

    pub(crate) fn recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.recv_from(buf).map(|(len, _from)| len)
    }
}
