//! A simulated socket, for calls that are made at once and are no operations.

use crate::raw::RawFd;
use std::io;
use std::net::{IpAddr, Shutdown, SocketAddr};
use std::time::Duration;

use socket2::SockAddr;

use super::code::{self, Answer};
use super::kernel::{self, Kernel, SharedKernel, nanoseconds};
use super::net::{Kind, SocketOptions};
use super::slab::Key;
#[cfg(unix)]
use crate::UnixAddress;

pub(crate) struct Socket {
    kernel: SharedKernel,
    key: Key,
}

impl Socket {
    /// The socket with this descriptor, if it is a simulated one.
    pub(crate) fn of(fd: RawFd) -> Option<Socket> {
        kernel::find(fd).map(|(kernel, key)| Socket { kernel, key })
    }

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

    /// getsockname(2)
    pub(crate) fn name(&self) -> io::Result<SockAddr> {
        self.call(|kernel, socket| {
            let entry = kernel.sockets.get(socket).ok_or(code::EBADF)?;
            Ok(match &entry.kind {
                Kind::Local(local) => local.name().0.clone(),
                _ => entry.local.into(),
            })
        })
    }

    /// getpeername(2)
    pub(crate) fn peer_name(&self) -> io::Result<SockAddr> {
        self.call(|kernel, socket| match kernel.is_local(socket) {
            true => kernel.local_peer(socket).map(|name| name.0),
            false => kernel.peer_of(socket).map(SockAddr::from),
        })
    }

    /// What it takes at once.
    pub(crate) fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        self.call(|kernel, socket| match kernel.has_datagrams(socket) {
            true => kernel.send_datagram(socket, None, bytes),
            false => kernel.send_bytes(socket, bytes),
        })
    }

    /// Gives a socket of datagrams a peer, or none.
    pub(crate) fn connect(&self, peer: Option<SocketAddr>) -> io::Result<()> {
        self.call(|kernel, socket| kernel.connect_datagrams(socket, peer))
    }

    pub(crate) fn join_group(&self, group: IpAddr) -> io::Result<()> {
        self.call(|kernel, socket| kernel.join_group(socket, group))
    }

    pub(crate) fn leave_group(&self, group: IpAddr) -> io::Result<()> {
        self.call(|kernel, socket| kernel.leave_group(socket, group))
    }

    pub(crate) fn set_group_loop(&self, on: bool) -> io::Result<()> {
        self.set(|options| options.leaves_own_out = !on)
    }

    /// Gives a Unix socket of datagrams a peer.
    #[cfg(unix)]
    pub(crate) fn connect_unix(&self, peer: &UnixAddress) -> io::Result<()> {
        self.call(|kernel, socket| kernel.connect_local(socket, peer))
    }

    pub(crate) fn shut_down(&self, how: Shutdown) -> io::Result<()> {
        self.call(|kernel, socket| kernel.shut_down(socket, how))
    }

    pub(crate) fn has_datagrams(&self) -> bool {
        self.kernel.borrow_mut().has_datagrams(self.key)
    }

    /// As `SO_LINGER` has it: after no time at all, a close resets the connection.
    pub(crate) fn set_linger(&self, linger: Option<Duration>) -> io::Result<()> {
        self.set(|options| options.resets = linger == Some(Duration::ZERO))
    }

    pub(crate) fn set_user_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        let timeout_ns = timeout.filter(|timeout| !timeout.is_zero()).map(nanoseconds);
        self.set(|options| options.user_timeout_ns = timeout_ns)
    }

    pub(crate) fn set_recv_buffer(&self, bytes: usize) -> io::Result<()> {
        self.set(|options| options.recv_buffer = Some(bytes))
    }

    pub(crate) fn set_send_buffer(&self, bytes: usize) -> io::Result<()> {
        self.set(|options| options.send_buffer = Some(bytes))
    }
}
