//! The system's handles, as the loop keeps them: by number, in 32 bits.
//!
//! On Unix they are descriptors. On Windows handles have 32 significant bits on any processor, so
//! that programs of 32 bits can share them ("Interprocess communication between 32-bit and 64-bit
//! applications" in Microsoft's documentation), and sockets of the system's own providers are
//! handles. What is here has the names that the standard library has on Unix, and does what they do.

#[cfg(unix)]
pub(crate) use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
#[cfg(windows)]
pub(crate) use windows::{FromRawFd, IntoRawFd, OwnedFd, RawFd};

#[cfg(windows)]
mod windows {
    #![expect(unsafe_code, reason = "a number stands for the handle that it names")]

    use std::os::windows::io::{
        AsRawSocket, AsSocket, BorrowedSocket, FromRawSocket, IntoRawSocket, OwnedSocket, RawSocket,
    };

    use socket2::Socket;

    /// A socket's number; -1 is none (`INVALID_SOCKET`, cut to 32 bits).
    pub(crate) type RawFd = i32;

    /// The socket of a number.
    fn widen(fd: RawFd) -> RawSocket {
        // The sign is extended, as the documentation says.
        i64::from(fd).cast_unsigned()
    }

    #[expect(clippy::cast_possible_truncation, reason = "all else is the sign, see the module")]
    fn cut(socket: RawSocket) -> RawFd {
        let cut = socket as RawFd;
        assert!(widen(cut) == socket, "a handle has 32 significant bits");
        cut
    }

    /// Closes its socket when it is dropped.
    #[derive(Debug)]
    pub(crate) struct OwnedFd(OwnedSocket);

    pub(crate) trait FromRawFd {
        /// # Safety
        /// The number must name an open socket, which belongs to the value from now on.
        unsafe fn from_raw_fd(fd: RawFd) -> Self;
    }

    pub(crate) trait IntoRawFd {
        /// Gives the socket up, to whoever has its number.
        fn into_raw_fd(self) -> RawFd;
    }

    impl FromRawFd for OwnedFd {
        unsafe fn from_raw_fd(fd: RawFd) -> OwnedFd {
            // SAFETY: the caller promises that it is an open socket, and is given away.
            OwnedFd(unsafe { OwnedSocket::from_raw_socket(widen(fd)) })
        }
    }

    impl FromRawFd for Socket {
        unsafe fn from_raw_fd(fd: RawFd) -> Socket {
            // SAFETY: as above.
            unsafe { Socket::from_raw_socket(widen(fd)) }
        }
    }

    impl IntoRawFd for OwnedFd {
        fn into_raw_fd(self) -> RawFd {
            cut(self.0.into_raw_socket())
        }
    }

    impl OwnedFd {
        pub(crate) fn as_raw_fd(&self) -> RawFd {
            cut(self.0.as_raw_socket())
        }
    }

    impl AsSocket for OwnedFd {
        fn as_socket(&self) -> BorrowedSocket<'_> {
            self.0.as_socket()
        }
    }

    impl<T: Into<OwnedSocket>> From<T> for OwnedFd {
        fn from(socket: T) -> OwnedFd {
            OwnedFd(socket.into())
        }
    }

    impl From<OwnedFd> for Socket {
        fn from(owned: OwnedFd) -> Socket {
            owned.0.into()
        }
    }

    impl From<OwnedFd> for std::net::TcpListener {
        fn from(owned: OwnedFd) -> std::net::TcpListener {
            owned.0.into()
        }
    }

    impl From<OwnedFd> for std::net::TcpStream {
        fn from(owned: OwnedFd) -> std::net::TcpStream {
            owned.0.into()
        }
    }

    impl From<OwnedFd> for std::net::UdpSocket {
        fn from(owned: OwnedFd) -> std::net::UdpSocket {
            owned.0.into()
        }
    }
}
