//! Listeners of Unix sockets.

use std::fs;
use std::io;
#[cfg(unix)]
use std::os::fd::OwnedFd;

use socket2::Socket;

use super::immediate::immediate;
use super::stream::{Stream, adopt};
#[cfg(unix)]
use super::stream::{into_blocking, refuse_simulated};
use super::{ToUnixAddress, UnixAddress, UnixStream, system};
use crate::core::Held;
use crate::driver::sim::Binding;
use crate::handle::Source;
use crate::op::accept::{Accept, AcceptEach};
#[cfg(unix)]
use crate::raw::IntoRawFd;
use crate::{AsSource, Io, Next, Op};

/// How to bind and listen; see [`UnixListener::bind_with`].
#[derive(Debug, Clone)]
pub struct UnixListenOptions {
    backlog: i32,
    mode: Option<u32>,
    replace_stale: bool,
}

impl Default for UnixListenOptions {
    fn default() -> UnixListenOptions {
        UnixListenOptions { backlog: 1024, mode: None, replace_stale: false }
    }
}

impl UnixListenOptions {
    /// The defaults: a backlog of 1024, the file's mode as the process's mask has it, and a file
    /// that is there already is an error.
    pub fn new() -> UnixListenOptions {
        UnixListenOptions::default()
    }

    /// How many connections may wait to be accepted; the system cuts it (`somaxconn`, listen(2)).
    pub fn backlog(mut self, connections: u32) -> UnixListenOptions {
        self.backlog = i32::try_from(connections).unwrap_or(i32::MAX);
        self
    }

    /// The permissions of the socket's file (chmod(2)), such as `0o600`: who may write to it may
    /// connect. They hold before anybody can connect.
    ///
    /// # Platform
    /// Linux and macOS look at them; POSIX does not ask it of a system, so a directory that others
    /// may not enter is the surer way. On Windows, where a file has no mode, it is `Unsupported`.
    pub fn mode(mut self, mode: u32) -> UnixListenOptions {
        self.mode = Some(mode);
        self
    }

    /// Removes the file of a socket that is in the way, if no socket is bound to it any more: the
    /// file of a listener stays when its process ends. Anything else in the way stays, and is
    /// `AddrInUse`: also, for a moment, the socket of a process that was killed while io_uring had an
    /// operation on it. Two processes that start at the same time, each with this option, may remove
    /// each other's file: have them agree by a lock.
    ///
    /// # Platform
    /// On Windows a listener that is there sees a connection that ends at once: there is no other way
    /// to ask.
    pub fn replace_stale(mut self, replace: bool) -> UnixListenOptions {
        self.replace_stale = replace;
        self
    }

    fn check(&self, address: &UnixAddress) -> io::Result<()> {
        let invalid = |message| Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        if address.is_unnamed() {
            return invalid("a listener needs a path or a name");
        }
        if self.mode.is_some() && address.as_path().is_none() {
            return invalid("an abstract name has no file, and no mode");
        }
        Ok(())
    }

    fn listen(&self, address: &UnixAddress) -> io::Result<Socket> {
        let path = address.as_path();
        let socket = system::unix_socket()?;
        self.bind(&socket, address)?;
        // Nobody can connect before it listens: the mode is there in time.
        let mode = path.zip(self.mode).map_or(Ok(()), |(path, mode)| system::set_mode(path, mode));
        match (mode.and_then(|()| socket.listen(self.backlog)), path) {
            (Ok(()), _) => Ok(socket),
            (Err(error), Some(path)) => {
                // What was bound here has no use; the first error is what counts.
                let _ = fs::remove_file(path);
                Err(error)
            }
            (Err(error), None) => Err(error),
        }
    }

    fn bind(&self, socket: &Socket, address: &UnixAddress) -> io::Result<()> {
        if self.replace_stale { bind_replacing(socket, address) } else { socket.bind(&address.0) }
    }
}

/// Binds a socket, in the place of a file to which none is bound any more.
pub(super) fn bind_replacing(socket: &Socket, address: &UnixAddress) -> io::Result<()> {
    let bound = socket.bind(&address.0);
    if let (Err(error), Some(path)) = (&bound, address.as_path())
        && error.kind() == io::ErrorKind::AddrInUse
        && system::is_stale(&address.0, path)
    {
        fs::remove_file(path)?;
        return socket.bind(&address.0);
    }
    bound
}

/// A Unix socket that accepts connections. Its file stays when it is closed: remove it, or bind
/// with [`replace_stale`](UnixListenOptions::replace_stale) the next time.
///
/// ```
/// use tigereye::{Io, UnixListener};
///
/// let path = std::env::temp_dir().join(format!("tigereye-doc-{}.sock", std::process::id()));
/// let io = Io::new()?;
/// let listener = UnixListener::bind(&io, &path)?;
/// io.accept_unix(listener, |_listener, io, result| {
///     let (stream, _address) = result.unwrap();
///     io.send_all(stream, "hello", |_stream, _io, _buf, result| result.unwrap());
/// });
/// io.connect_unix((), &path, |(), io, result| {
///     io.recv(result.unwrap(), Vec::with_capacity(16), |_stream, _io, buf, result| {
///         assert_eq!(result.unwrap(), 5);
///         assert_eq!(buf, b"hello");
///     });
/// });
/// io.run()?;
/// std::fs::remove_file(&path)?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct UnixListener {
    source: Source,
}

impl AsSource for UnixListener {
    fn as_source(&self) -> &Source {
        &self.source
    }
}

impl UnixListener {
    /// Binds to `address` and listens, with the default options.
    ///
    /// # Errors
    /// As [`bind_with`](UnixListener::bind_with).
    pub fn bind(io: &Io, address: impl ToUnixAddress) -> io::Result<UnixListener> {
        UnixListener::bind_with(io, address, &UnixListenOptions::new())
    }

    /// Binds to `address` and listens.
    ///
    /// # Errors
    /// `AddrInUse` when the file is there, though nobody may listen any more; `InvalidInput` for a
    /// path that no address can be ([`UnixAddress::from_path`]), and for a mode of an abstract
    /// name; what socket(2), bind(2), chmod(2) and listen(2) say.
    pub fn bind_with(
        io: &Io,
        address: impl ToUnixAddress,
        options: &UnixListenOptions,
    ) -> io::Result<UnixListener> {
        let address = address.to_unix_address()?;
        options.check(&address)?;
        let simulated = io.core.simulated(|sim| {
            let how = Binding { mode: options.mode, replaces: options.replace_stale };
            sim.listen_unix(&address, options.backlog.unsigned_abs() as usize, how)
        });
        if let Some(fd) = simulated {
            return Ok(UnixListener { source: Source::new(io, Held::new(fd?).into_raw_fd()) });
        }
        let socket = Held::from(adopt(io, options.listen(&address)?)?);
        Ok(UnixListener { source: Source::new(io, socket.into_raw_fd()) })
    }

    /// Takes over a listener of the standard library. Unix: elsewhere that has none.
    ///
    /// # Errors
    /// What ioctl(2) says when it is made blocking or non-blocking, as the driver wants it.
    #[cfg(unix)]
    pub fn from_std(
        io: &Io,
        listener: std::os::unix::net::UnixListener,
    ) -> io::Result<UnixListener> {
        refuse_simulated(io)?;
        listener.set_nonblocking(io.core.driver.kind.wants_nonblocking())?;
        Ok(UnixListener { source: Source::new(io, OwnedFd::from(listener).into_raw_fd()) })
    }

    /// Gives the socket to the standard library, in blocking mode. Unix, as
    /// [`from_std`](UnixListener::from_std).
    ///
    /// # Errors
    /// `NotConnected` when it is closed or has operations in flight.
    #[cfg(unix)]
    pub fn into_std(self) -> io::Result<std::os::unix::net::UnixListener> {
        into_blocking(&self.source).map(std::os::unix::net::UnixListener::from)
    }

    /// The address that it is bound to.
    ///
    /// # Errors
    /// `NotConnected` when it is closed; what getsockname(2) says.
    pub fn local_addr(&self) -> io::Result<UnixAddress> {
        let address = immediate(&self.source)?.name()?;
        UnixStream::address(address).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }
}

impl Io {
    /// As [`accept`](Io::accept), of a [`UnixListener`]. The peer's address is mostly unnamed.
    ///
    /// # Errors
    /// As [`accept`](Io::accept).
    pub fn accept_unix<C, F>(&self, listener: C, callback: F) -> Op
    where
        C: AsSource + 'static,
        F: FnOnce(C, &Io, io::Result<(UnixStream, UnixAddress)>) + 'static,
    {
        self.submit_on(Accept::new(), listener, callback)
    }

    /// As [`accept_each`](Io::accept_each), of a [`UnixListener`].
    ///
    /// # Errors
    /// As [`accept_each`](Io::accept_each).
    pub fn accept_unix_each<C, F, D>(&self, listener: C, each: F, done: D) -> Op
    where
        C: AsSource + 'static,
        F: FnMut(&mut C, &Io, UnixStream) -> Next + 'static,
        D: FnOnce(C, &Io, io::Result<()>) + 'static,
    {
        self.submit_each_on(AcceptEach::new(), listener, each, done)
    }
}
