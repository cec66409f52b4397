//! Addresses of Unix sockets.

use std::io;
use std::path::{Path, PathBuf};

use socket2::SockAddr;

use super::system;

/// The address of a Unix socket: the path of its file, an abstract name (Linux), or nothing, as a
/// client mostly has it (unix(7)).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct UnixAddress(pub(crate) SockAddr);

impl UnixAddress {
    /// The address, if it is one of a Unix socket.
    pub(crate) fn of(raw: SockAddr) -> Option<UnixAddress> {
        // Some systems leave out even the family of a peer that has no name.
        (raw.is_unix() || raw.family() == 0).then_some(UnixAddress(raw))
    }

    /// That of a simulated socket which was not bound.
    pub(crate) fn unnamed() -> UnixAddress {
        // It fails for paths that are too long alone.
        SockAddr::unix("").map(UnixAddress).expect("no path is not too long")
    }

    /// The address of a socket's file.
    ///
    /// # Errors
    /// `InvalidInput` when the path is empty, has a NUL, or is longer than the system takes: 107
    /// bytes on Linux and Windows, 103 on macOS and FreeBSD (`sun_path`, unix(7); `SOCKADDR_UN` in
    /// afunix.h). On Windows also when it is not UTF-8.
    pub fn from_path(path: impl AsRef<Path>) -> io::Result<UnixAddress> {
        let path = path.as_ref();
        let bytes = path.as_os_str().as_encoded_bytes();
        // Either would be another address to the system: a shorter path, an abstract name, none.
        if bytes.is_empty() || bytes.contains(&0) {
            let message = "the path of a Unix socket is not empty and has no NUL";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        SockAddr::unix(path).map(UnixAddress)
    }

    /// A name of its own name space, which has no file and goes when its last socket is closed.
    /// Any bytes will do, NUL too.
    ///
    /// ```
    /// # #[cfg(target_os = "linux")] {
    /// use tigereye::{Io, UnixAddress, UnixListener};
    ///
    /// let io = Io::new()?;
    /// let name = UnixAddress::from_abstract_name(format!("example-{}", std::process::id()))?;
    /// let listener = UnixListener::bind(&io, &name)?;
    /// assert_eq!(listener.local_addr()?, name);
    /// # }
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    /// `InvalidInput` when the name is empty or longer than 107 bytes.
    ///
    /// # Platform
    /// Linux has them. On other systems it is an error of kind `Unsupported`.
    pub fn from_abstract_name(name: impl AsRef<[u8]>) -> io::Result<UnixAddress> {
        system::abstract_address(name.as_ref()).map(UnixAddress)
    }

    /// The path of the socket's file, if the address is one.
    pub fn as_path(&self) -> Option<&Path> {
        system::path_of(&self.0)
    }

    /// The abstract name, if the address is one.
    pub fn as_abstract_name(&self) -> Option<&[u8]> {
        system::abstract_name_of(&self.0)
    }

    /// Whether it names nobody: the socket was not bound.
    pub fn is_unnamed(&self) -> bool {
        self.as_path().is_none() && self.as_abstract_name().is_none()
    }
}

/// What can be made an address of a Unix socket: paths, and an address itself.
pub trait ToUnixAddress {
    /// The address.
    ///
    /// # Errors
    /// As [`UnixAddress::from_path`].
    fn to_unix_address(&self) -> io::Result<UnixAddress>;
}

impl ToUnixAddress for UnixAddress {
    fn to_unix_address(&self) -> io::Result<UnixAddress> {
        Ok(self.clone())
    }
}

impl ToUnixAddress for Path {
    fn to_unix_address(&self) -> io::Result<UnixAddress> {
        UnixAddress::from_path(self)
    }
}

impl ToUnixAddress for PathBuf {
    fn to_unix_address(&self) -> io::Result<UnixAddress> {
        UnixAddress::from_path(self)
    }
}

impl ToUnixAddress for str {
    fn to_unix_address(&self) -> io::Result<UnixAddress> {
        UnixAddress::from_path(self)
    }
}

impl ToUnixAddress for String {
    fn to_unix_address(&self) -> io::Result<UnixAddress> {
        UnixAddress::from_path(self)
    }
}

impl<T: ToUnixAddress + ?Sized> ToUnixAddress for &T {
    fn to_unix_address(&self) -> io::Result<UnixAddress> {
        (**self).to_unix_address()
    }
}
