//! What systems do differently, or what no crate wraps: one small function each.
#![expect(unsafe_code, reason = "system calls that no crate wraps in this form")]

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, IntoRawFd, OwnedFd, RawFd};
use std::time::Duration;

use socket2::{SockAddr, Socket};

/// For every send: a peer that is gone is an `EPIPE`, never a signal (P35).
#[cfg(not(target_vendor = "apple"))]
pub(crate) const SEND_FLAGS: i32 = libc::MSG_NOSIGNAL;
/// macOS has no such flag; its sockets have `SO_NOSIGPIPE`, which std and `socket2` set, and [`forbid_sigpipe`].
#[cfg(target_vendor = "apple")]
pub(crate) const SEND_FLAGS: i32 = 0;

/// Has no send on a socket raise SIGPIPE, whoever made it.
#[cfg(target_vendor = "apple")]
pub(crate) fn forbid_sigpipe(socket: &Socket) -> io::Result<()> {
    socket.set_nosigpipe(true)
}

/// Flags of each send see to that.
#[cfg(not(target_vendor = "apple"))]
#[expect(clippy::unnecessary_wraps, reason = "elsewhere it can fail")]
pub(crate) fn forbid_sigpipe(_socket: &Socket) -> io::Result<()> {
    Ok(())
}

/// Receives into memory that need not be initialised (recv(2)).
#[inline]
pub(crate) fn recv(socket: &Socket, room: &mut [MaybeUninit<u8>]) -> io::Result<usize> {
    // SAFETY: the slice says where how many bytes may be written.
    count(unsafe { libc::recv(socket.as_raw_fd(), room.as_mut_ptr().cast(), room.len(), 0) })
}

/// Sends (send(2)), without a signal.
#[inline]
pub(crate) fn send(socket: &Socket, bytes: &[u8]) -> io::Result<usize> {
    let (fd, at) = (socket.as_raw_fd(), bytes.as_ptr().cast());
    // SAFETY: the slice says where how many bytes may be read.
    count(unsafe { libc::send(fd, at, bytes.len(), SEND_FLAGS) })
}

/// What a call moved, or why it failed.
#[inline]
fn count(result: isize) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}

/// Accepts a connection: non-blocking and close-on-exec (P38).
#[cfg(not(target_vendor = "apple"))]
pub(crate) fn accept(listener: &Socket) -> io::Result<(Socket, SockAddr)> {
    listener.accept4(libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC)
}

/// Accepts a connection: non-blocking and close-on-exec (P38). macOS has no accept4(2), so a child
/// that another thread starts just now may inherit it.
#[cfg(target_vendor = "apple")]
pub(crate) fn accept(listener: &Socket) -> io::Result<(Socket, SockAddr)> {
    let (stream, peer) = listener.accept()?;
    stream.set_nonblocking(true)?;
    Ok((stream, peer))
}

/// `TCP_USER_TIMEOUT`, which Linux has.
#[cfg(target_os = "linux")]
pub(crate) fn set_user_timeout(socket: &Socket, timeout: Option<Duration>) -> io::Result<()> {
    socket.set_tcp_user_timeout(timeout)
}

/// Other systems have nothing that does the same: macOS counts retransmissions alone, in seconds.
#[cfg(not(target_os = "linux"))]
pub(crate) fn set_user_timeout(_socket: &Socket, _timeout: Option<Duration>) -> io::Result<()> {
    let message = "this system has no TCP_USER_TIMEOUT";
    Err(io::Error::new(io::ErrorKind::Unsupported, message))
}

/// Whether connections are spread over the listeners that share a port; elsewhere all of them come
/// to one.
pub(crate) const SHARED_PORT_SPREADS: bool =
    cfg!(any(target_os = "linux", target_os = "android", target_os = "freebsd"));

/// Lets listeners share a port, and connections be spread over them.
#[cfg(not(target_os = "freebsd"))]
pub(crate) fn share_port(socket: &Socket) -> io::Result<()> {
    socket.set_reuse_port(true)
}

/// FreeBSD's `SO_REUSEPORT` gives all connections to one of them; the other one spreads them
/// (setsockopt(2) of FreeBSD 12).
#[cfg(target_os = "freebsd")]
pub(crate) fn share_port(socket: &Socket) -> io::Result<()> {
    socket.set_reuse_port_lb(true)
}

/// Closes a descriptor and says how that went. It is gone whatever that is (close(2)).
pub(crate) fn close(fd: OwnedFd) -> io::Result<()> {
    // SAFETY: the descriptor was owned, and nobody uses it after this.
    match unsafe { libc::close(fd.into_raw_fd()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// In poll(2): the peer sends no more. Linux alone has it.
#[cfg(target_os = "linux")]
pub(crate) const PEER_ENDED: i16 = libc::POLLRDHUP;
#[cfg(not(target_os = "linux"))]
pub(crate) const PEER_ENDED: i16 = 0;

/// Which of `events`, and of those that need no asking, a descriptor has now (poll(2)).
pub(crate) fn poll_now(fd: RawFd, events: i16) -> io::Result<i16> {
    let mut entry = libc::pollfd { fd, events, revents: 0 };
    // SAFETY: one entry, which lives during the call.
    match unsafe { libc::poll(&raw mut entry, 1, 0) } {
        -1 => Err(io::Error::last_os_error()),
        _ if entry.revents & libc::POLLNVAL != 0 => Err(io::Error::from_raw_os_error(libc::EBADF)),
        _ => Ok(entry.revents),
    }
}
