//! How a loop comes by a Unix socket.

use crate::raw::RawFd;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use super::{Binding, Kind, Local};
use crate::UnixAddress;
use crate::core::Held;
use crate::driver::sim::code::{self, Answer};
use crate::driver::sim::kernel::Kernel;
use crate::driver::sim::net::SocketOptions;
use crate::driver::sim::slab::Key;
use crate::driver::sim::{FaultKind, Sim};
use crate::driver::simulated::UnixSockets;

impl UnixSockets for Sim {
    fn listen_unix(
        &self,
        address: &UnixAddress,
        backlog: usize,
        how: Binding,
    ) -> io::Result<RawFd> {
        self.make_unix(Local::stream(), |kernel, socket| {
            kernel.bind_local(socket, address, how)?;
            kernel.listen_local(socket, backlog)
        })
    }

    fn unix_stream(&self) -> io::Result<RawFd> {
        if self.kernel.borrow_mut().happens(self.machine, FaultKind::NoSocket) {
            return Err(io::Error::from_raw_os_error(code::EMFILE));
        }
        self.make_unix(Local::stream(), |_kernel, _socket| Ok(()))
    }

    fn unix_datagrams(&self, to: Option<(&UnixAddress, Binding)>) -> io::Result<RawFd> {
        self.make_unix(Local::datagrams(), |kernel, socket| {
            to.map_or(Ok(()), |(address, how)| kernel.bind_local(socket, address, how))
        })
    }

    fn unix_pair(&self) -> io::Result<(Held, Held)> {
        self.pair(Local::stream)
    }

    fn unix_datagram_pair(&self) -> io::Result<(Held, Held)> {
        self.pair(Local::datagrams)
    }
}

impl Sim {
    fn pair(&self, kind: fn() -> Box<Local>) -> io::Result<(Held, Held)> {
        let make = || self.make_unix(kind(), |_kernel, _socket| Ok(())).map(Held::new);
        let (near, far) = (make()?, make()?);
        let mut kernel = self.kernel.borrow_mut();
        let key = |socket: &Held| kernel.socket_of(socket.as_raw_fd());
        let paired = match (key(&near), key(&far)) {
            (Some(near), Some(far)) => kernel.pair_locals(near, far),
            _ => Err(code::EBADF),
        };
        drop(kernel);
        paired.map_err(io::Error::from_raw_os_error)?;
        Ok((near, far))
    }

    fn make_unix(
        &self,
        local: Box<Local>,
        finish: impl FnOnce(&mut Kernel, Key) -> Answer<()>,
    ) -> io::Result<RawFd> {
        let nowhere = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        self.make(Kind::Local(local), nowhere, SocketOptions::default(), finish)
    }
}
