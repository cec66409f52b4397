//! The system's handles, as the loop keeps them: by number, in 32 bits.
//!
//! On Unix they are descriptors. On Windows handles have 32 significant bits on any processor, so
//! that programs of 32 bits can share them ("Interprocess communication between 32-bit and 64-bit
//! applications" in Microsoft's documentation), and sockets of the system's own providers are
//! handles. What is here has the names that the standard library has on Unix, and does what they do.

#[cfg(unix)]
pub(crate) use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
#[cfg(windows)]
pub(crate) use windows::{FromRawFd, IntoRawFd, OwnedFd, RawFd, widen};

#[cfg(windows)]
mod windows {
    #![expect(unsafe_code, reason = "a number stands for the handle that it names")]

    use std::io;
    use std::os::windows::io::{
        AsRawHandle, AsRawSocket, AsSocket, BorrowedSocket, FromRawHandle, FromRawSocket,
        IntoRawHandle, IntoRawSocket, OwnedHandle, OwnedSocket, RawSocket,
    };
    use std::ptr;

    use socket2::Socket;

    /// The number of a socket, or that of a file with [`FILE`] added; -1 is none.
    pub(crate) type RawFd = i32;

    /// Marks a file: handles are multiples of four ("Handles", by Raymond Chen among others), so that
    /// two bits are free.
    const FILE: RawFd = 1;

    fn is_file(fd: RawFd) -> bool {
        fd & FILE != 0
    }

    /// The number that the system knows.
    pub(crate) fn widen(fd: RawFd) -> RawSocket {
        // The sign is extended, as the documentation says.
        i64::from(fd & !FILE).cast_unsigned()
    }

    #[expect(clippy::cast_possible_truncation, reason = "all else is the sign, see the module")]
    fn cut(number: RawSocket) -> RawFd {
        let cut = number as RawFd;
        assert!(widen(cut) == number, "a handle has 32 significant bits, and is even");
        cut
    }

    /// Closes its socket or file when it is dropped.
    #[derive(Debug)]
    pub(crate) enum OwnedFd {
        Socket(OwnedSocket),
        File(OwnedHandle),
    }

    pub(crate) trait FromRawFd {
        /// # Safety
        /// The number must name something open, which belongs to the value from now on.
        unsafe fn from_raw_fd(fd: RawFd) -> Self;
    }

    pub(crate) trait IntoRawFd {
        /// Gives it up, to whoever has its number.
        fn into_raw_fd(self) -> RawFd;
    }

    impl FromRawFd for OwnedFd {
        unsafe fn from_raw_fd(fd: RawFd) -> OwnedFd {
            if is_file(fd) {
                let handle = ptr::without_provenance_mut(widen(fd) as usize);
                // SAFETY: the caller promises that it is open, and is given away.
                OwnedFd::File(unsafe { OwnedHandle::from_raw_handle(handle) })
            } else {
                // SAFETY: as above.
                OwnedFd::Socket(unsafe { OwnedSocket::from_raw_socket(widen(fd)) })
            }
        }
    }

    impl FromRawFd for Socket {
        unsafe fn from_raw_fd(fd: RawFd) -> Socket {
            // SAFETY: as above. Calls on what is no socket say so.
            unsafe { Socket::from_raw_socket(widen(fd)) }
        }
    }

    impl IntoRawFd for OwnedFd {
        fn into_raw_fd(self) -> RawFd {
            match self {
                OwnedFd::Socket(socket) => cut(socket.into_raw_socket()),
                OwnedFd::File(file) => cut(file.into_raw_handle().addr() as RawSocket) | FILE,
            }
        }
    }

    impl OwnedFd {
        pub(crate) fn as_raw_fd(&self) -> RawFd {
            match self {
                OwnedFd::Socket(socket) => cut(socket.as_raw_socket()),
                OwnedFd::File(file) => cut(file.as_raw_handle().addr() as RawSocket) | FILE,
            }
        }

        /// Another handle to the same.
        pub(crate) fn try_clone(&self) -> io::Result<OwnedFd> {
            match self {
                OwnedFd::Socket(socket) => socket.try_clone().map(OwnedFd::Socket),
                OwnedFd::File(file) => file.try_clone().map(OwnedFd::File),
            }
        }

        fn into_socket(self) -> OwnedSocket {
            match self {
                OwnedFd::Socket(socket) => socket,
                OwnedFd::File(_) => panic!("a typed handle of a socket has one"),
            }
        }
    }

    impl AsSocket for OwnedFd {
        fn as_socket(&self) -> BorrowedSocket<'_> {
            match self {
                OwnedFd::Socket(socket) => socket.as_socket(),
                OwnedFd::File(_) => panic!("a typed handle of a socket has one"),
            }
        }
    }

    impl From<std::fs::File> for OwnedFd {
        fn from(file: std::fs::File) -> OwnedFd {
            OwnedFd::File(file.into())
        }
    }

    impl From<OwnedFd> for std::fs::File {
        fn from(owned: OwnedFd) -> std::fs::File {
            match owned {
                OwnedFd::File(file) => file.into(),
                OwnedFd::Socket(_) => panic!("a typed handle of a file has one"),
            }
        }
    }

    macro_rules! sockets {
        ($($of:ty),*) => {
            $(
                impl From<$of> for OwnedFd {
                    fn from(socket: $of) -> OwnedFd {
                        OwnedFd::Socket(socket.into())
                    }
                }

                impl From<OwnedFd> for $of {
                    fn from(owned: OwnedFd) -> $of {
                        owned.into_socket().into()
                    }
                }
            )*
        };
    }

    sockets!(Socket, std::net::TcpListener, std::net::TcpStream, std::net::UdpSocket);
}
