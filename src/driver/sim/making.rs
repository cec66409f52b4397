//! How a loop comes by a socket, and by the addresses of a name.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use super::kernel::Kernel;
use super::net::{self, SocketOptions};
use super::slab::Key;
use super::{FaultKind, Sim, code};
use crate::driver::simulated::Sockets;
use crate::raw::RawFd;

impl Sockets for Sim {
    fn listen(
        &self,
        address: SocketAddr,
        backlog: usize,
        options: SocketOptions,
    ) -> io::Result<RawFd> {
        self.make(net::Kind::Idle, address, options, |kernel, socket| {
            kernel.bind(socket, address)?;
            kernel.listen(socket, backlog)
        })
    }

    fn stream(
        &self,
        peer: SocketAddr,
        local: Option<SocketAddr>,
        options: SocketOptions,
    ) -> io::Result<RawFd> {
        if self.kernel.borrow_mut().happens(self.machine, FaultKind::NoSocket) {
            return Err(io::Error::from_raw_os_error(code::EMFILE));
        }
        self.make(net::Kind::Idle, peer, options, |kernel, socket| {
            local.map_or(Ok(()), |local| kernel.bind(socket, local))
        })
    }

    fn datagrams(&self, address: SocketAddr, options: SocketOptions) -> io::Result<RawFd> {
        let kind = net::Kind::Datagrams(net::udp::Datagrams::new());
        self.make(kind, address, options, |kernel, socket| kernel.bind(socket, address))
    }

    fn resolve(&self, host: &str) -> io::Result<Vec<SocketAddr>> {
        let parts = host.rsplit_once(':').and_then(|(name, port)| Some((name, port.parse().ok()?)));
        let Some((name, port)) = parts else {
            let message = format!("{host:?} is not a name and a port");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        };
        let kernel = self.kernel.borrow();
        let found = kernel.machines.iter().find(|machine| machine.name == name);
        let figures = name.trim_start_matches('[').trim_end_matches(']');
        let addresses = match found {
            _ if name == "localhost" => {
                vec![Ipv6Addr::LOCALHOST.into(), Ipv4Addr::LOCALHOST.into()]
            }
            Some(machine) => machine.addresses.clone(),
            None => figures.parse().into_iter().collect(),
        };
        Ok(addresses.into_iter().map(|address| SocketAddr::new(address, port)).collect())
    }
}

impl Sim {
    pub(super) fn make(
        &self,
        kind: net::Kind,
        family_of: SocketAddr,
        options: SocketOptions,
        finish: impl FnOnce(&mut Kernel, Key) -> code::Answer<()>,
    ) -> io::Result<RawFd> {
        let mut kernel = self.kernel.borrow_mut();
        let made = kernel.open(self.machine, kind, options, family_of.is_ipv6());
        let socket = made.map_err(io::Error::from_raw_os_error)?;
        match finish(&mut kernel, socket) {
            Ok(()) => Ok(kernel.fd(socket)),
            Err(error) => {
                kernel.close(socket);
                Err(io::Error::from_raw_os_error(error))
            }
        }
    }
}
