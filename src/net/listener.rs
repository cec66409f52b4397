//! TCP listeners.

use std::io;
use std::net::SocketAddr;

use super::ListenOptions;
use super::immediate::immediate;
use super::stream::{into_blocking, refuse_simulated};
use crate::handle::Source;
use crate::op::accept::{Accept, AcceptEach};
use crate::raw::{IntoRawFd, OwnedFd};
use crate::{AsSource, Io, Next, Op, TcpStream};

/// A socket that accepts TCP connections.
#[derive(Debug)]
pub struct TcpListener {
    source: Source,
}

impl AsSource for TcpListener {
    fn as_source(&self) -> &Source {
        &self.source
    }
}

impl TcpListener {
    /// Binds to `address` and listens, with the default options. Port 0 has the system choose.
    ///
    /// # Errors
    /// What bind(2) and listen(2) say, such as `AddrInUse` and `PermissionDenied`.
    pub fn bind(io: &Io, address: SocketAddr) -> io::Result<TcpListener> {
        TcpListener::bind_with(io, address, &ListenOptions::new())
    }

    /// Binds to `address` and listens.
    ///
    /// # Errors
    /// What socket(2), setsockopt(2), bind(2) and listen(2) say.
    pub fn bind_with(
        io: &Io,
        address: SocketAddr,
        options: &ListenOptions,
    ) -> io::Result<TcpListener> {
        let fd = options.open(io, address)?;
        Ok(TcpListener { source: Source::new(io, fd.into_raw_fd()) })
    }

    /// Takes over a listener of the standard library.
    ///
    /// # Errors
    /// What ioctl(2) says when it is made blocking or non-blocking, as the driver wants it.
    pub fn from_std(io: &Io, listener: std::net::TcpListener) -> io::Result<TcpListener> {
        refuse_simulated(io)?;
        listener.set_nonblocking(io.core.driver.kind.wants_nonblocking())?;
        Ok(TcpListener { source: Source::new(io, OwnedFd::from(listener).into_raw_fd()) })
    }

    /// Gives the socket to the standard library, in blocking mode.
    ///
    /// # Errors
    /// `NotConnected` when it is closed or has operations in flight.
    pub fn into_std(self) -> io::Result<std::net::TcpListener> {
        into_blocking(&self.source).map(std::net::TcpListener::from)
    }

    /// The address that it is bound to.
    ///
    /// # Errors
    /// `NotConnected` when it is closed; what getsockname(2) says.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        immediate(&self.source)?.local_addr()
    }
}

impl Io {
    /// Accepts one connection, with its peer's address.
    ///
    /// A connection that failed before it was accepted (`ECONNABORTED` and its like, accept(2)) is
    /// passed over. The stream is close-on-exec.
    ///
    /// # Errors
    /// In the callback: `EMFILE` and `ENFILE` when no descriptor is left, and what accept(2) says.
    pub fn accept<C, F>(&self, listener: C, callback: F) -> Op
    where
        C: AsSource + 'static,
        F: FnOnce(C, &Io, io::Result<(TcpStream, SocketAddr)>) + 'static,
    {
        self.submit_on(Accept::new(), listener, callback)
    }

    /// Accepts connections until `each` returns [`Next::Stop`], the operation is cancelled, or the
    /// listener fails; then `done` gets the context back. Connections that were accepted before the
    /// stop took effect still come to `each`.
    ///
    /// When no descriptor is left, connections wait in the backlog, and accepting goes on by
    /// itself when one is free.
    ///
    /// # Errors
    /// In `done`: what accept(2) says of the listener.
    pub fn accept_each<C, F, D>(&self, listener: C, each: F, done: D) -> Op
    where
        C: AsSource + 'static,
        F: FnMut(&mut C, &Io, TcpStream) -> Next + 'static,
        D: FnOnce(C, &Io, io::Result<()>) + 'static,
    {
        self.submit_each_on(AcceptEach::new(), listener, each, done)
    }
}
