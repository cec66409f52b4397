//! A simulated socket, for calls that are made at once and are no operations.

use std::io;
use std::net::{IpAddr, Shutdown, SocketAddr};
use std::time::Duration;

use socket2::SockAddr;

use super::code::{self, Answer};
use super::kernel::{Kernel, SharedKernel, nanoseconds};
use super::net::{Kind, SocketOptions};
use super::slab::Key;
#[cfg(unix)]
use crate::UnixAddress;
use crate::driver::simulated::Socket;

pub(super) struct Immediate {
    pub(super) kernel: SharedKernel,
    pub(super) key: Key,
}

impl Immediate {
    fn call<T>(&self, call: impl FnOnce(&mut Kernel, Key) -> Answer<T>) -> io::Result<T> {
        let mut kernel = self.kernel.borrow_mut();
        kernel.settle();
        call(&mut kernel, self.key).map_err(io::Error::from_raw_os_error)
    }

    fn set(&self, set: impl FnOnce(&mut SocketOptions)) -> io::Result<()> {
        self.call(|kernel, socket| {
            let entry = kernel.sockets.get(socket).ok_or(code::EBADF)?;
            set(&mut entry.options);
            kernel.set_buffers(socket);
            Ok(())
        })
    }
}

impl Socket for Immediate {
    fn name(&self) -> io::Result<SockAddr> {
        self.call(|kernel, socket| {
            let entry = kernel.sockets.get(socket).ok_or(code::EBADF)?;
            Ok(match &entry.kind {
                Kind::Local(local) => local.name().0.clone(),
                _ => entry.local.into(),
            })
        })
    }

    fn peer_name(&self) -> io::Result<SockAddr> {
        self.call(|kernel, socket| match kernel.is_local(socket) {
            true => kernel.local_peer(socket).map(|name| name.0),
            false => kernel.peer_of(socket).map(SockAddr::from),
        })
    }

    fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        self.call(|kernel, socket| match kernel.has_datagrams(socket) {
            true => kernel.send_datagram(socket, None, bytes),
            false => kernel.send_bytes(socket, bytes),
        })
    }

    fn connect(&self, peer: Option<SocketAddr>) -> io::Result<()> {
        self.call(|kernel, socket| kernel.connect_datagrams(socket, peer))
    }

    fn join_group(&self, group: IpAddr) -> io::Result<()> {
        self.call(|kernel, socket| kernel.join_group(socket, group))
    }

    fn leave_group(&self, group: IpAddr) -> io::Result<()> {
        self.call(|kernel, socket| kernel.leave_group(socket, group))
    }

    fn set_group_loop(&self, on: bool) -> io::Result<()> {
        self.set(|options| options.leaves_own_out = !on)
    }

    #[cfg(unix)]
    fn connect_unix(&self, peer: &UnixAddress) -> io::Result<()> {
        self.call(|kernel, socket| kernel.connect_local(socket, peer))
    }

    fn shut_down(&self, how: Shutdown) -> io::Result<()> {
        self.call(|kernel, socket| kernel.shut_down(socket, how))
    }

    fn has_datagrams(&self) -> bool {
        self.kernel.borrow_mut().has_datagrams(self.key)
    }

    fn set_linger(&self, linger: Option<Duration>) -> io::Result<()> {
        self.set(|options| options.resets = linger == Some(Duration::ZERO))
    }

    fn set_user_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        let timeout_ns = timeout.filter(|timeout| !timeout.is_zero()).map(nanoseconds);
        self.set(|options| options.user_timeout_ns = timeout_ns)
    }

    fn set_recv_buffer(&self, bytes: usize) -> io::Result<()> {
        self.set(|options| options.recv_buffer = Some(bytes))
    }

    fn set_send_buffer(&self, bytes: usize) -> io::Result<()> {
        self.set(|options| options.send_buffer = Some(bytes))
    }
}
