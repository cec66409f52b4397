//! What systems do differently, or what no crate wraps: one small function each.
#![expect(unsafe_code, reason = "system calls that no crate wraps in this form")]

#[cfg(target_os = "linux")]
use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, IntoRawFd, OwnedFd, RawFd};
#[cfg(target_os = "linux")]
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;
use std::ptr;
#[cfg(target_os = "linux")]
use std::sync::OnceLock;
use std::time::Duration;

use socket2::{Domain, SockAddr, SockAddrStorage, SockRef, Socket, Type};

use super::sigpipe;
use crate::offload::LentFd;

mod address;
mod splice;

/// What an accept says of the connection that it was to return, and not of the listener (accept(2),
/// "Error handling").
pub(crate) const CONNECTIONS_OWN: &[i32] = &[
    libc::ECONNABORTED,
    libc::EPROTO,
    libc::ENETDOWN,
    libc::ENOPROTOOPT,
    libc::EHOSTDOWN,
    #[cfg(target_os = "linux")]
    libc::ENONET,
    libc::EHOSTUNREACH,
    libc::ENETUNREACH,
];

pub(crate) use address::{family, internet_address, put_internet_address};
pub(crate) use splice::{check_splice, has_splice, has_urgent_data, room_to_splice, splice};

/// Errors that may have come in an ICMP message (icmp_err_convert and icmpv6_err_convert in Linux).
pub(crate) const OF_AN_EARLIER_SEND: &[i32] = &[
    libc::ECONNREFUSED,
    libc::ECONNRESET,
    libc::EHOSTUNREACH,
    libc::ENETUNREACH,
    libc::EHOSTDOWN,
    libc::ENOPROTOOPT,
    libc::EPROTO,
    libc::EMSGSIZE,
];

/// For every send: a peer that is gone is an `EPIPE`, never a signal (P35).
#[cfg(not(target_vendor = "apple"))]
pub(crate) const SEND_FLAGS: i32 = libc::MSG_NOSIGNAL;
/// macOS has no such flag; its sockets have `SO_NOSIGPIPE`, which std and `socket2` set, and [`forbid_sigpipe`].
#[cfg(target_vendor = "apple")]
pub(crate) const SEND_FLAGS: i32 = 0;

/// For the sends of a driver that tries: they never wait, nor on a socket that was handed over as a
/// [`Descriptor`](crate::Descriptor) and blocks.
pub(crate) const SEND_AT_ONCE: i32 = SEND_FLAGS | libc::MSG_DONTWAIT;
/// As [`SEND_AT_ONCE`], for receives.
pub(crate) const RECV_AT_ONCE: i32 = libc::MSG_DONTWAIT;

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

/// Receives what is there now, into memory that need not be initialised (recv(2)).
#[inline]
pub(crate) fn recv(socket: &Socket, room: &mut [MaybeUninit<u8>]) -> io::Result<usize> {
    let (fd, at) = (socket.as_raw_fd(), room.as_mut_ptr().cast());
    // SAFETY: the slice says where how many bytes may be written.
    count(unsafe { libc::recv(fd, at, room.len(), RECV_AT_ONCE) })
}

/// Sends what there is room for now (send(2)), without a signal.
#[inline]
pub(crate) fn send(socket: &Socket, bytes: &[u8]) -> io::Result<usize> {
    let (fd, at) = (socket.as_raw_fd(), bytes.as_ptr().cast());
    // SAFETY: the slice says where how many bytes may be read.
    count(unsafe { libc::send(fd, at, bytes.len(), SEND_AT_ONCE) })
}

/// What a call moved, or why it failed.
#[inline]
fn count(result: isize) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}

/// Whether an accept may wait: of all calls that a driver tries it is the one that takes no flag not to.
/// What does not listen says so at once.
pub(crate) fn accept_blocks(listener: RawFd) -> bool {
    let mut listens: libc::c_int = 0;
    let name = (libc::SOL_SOCKET, libc::SO_ACCEPTCONN);
    let fd = LentFd::new(listener);
    !is_nonblocking(fd.as_fd()) && option(&fd, name, &mut listens).is_ok() && listens != 0
}

/// Whether closing a socket waits until the peer has all that was sent (`SO_LINGER`, socket(7)); Linux
/// waits also where the socket does not block.
pub(crate) fn close_waits(socket: &Socket) -> bool {
    matches!(socket.linger(), Ok(Some(time)) if !time.is_zero())
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

/// Accepts a connection of Unix sockets. Linux says that it would block of a listener that was shut
/// down too, at which nobody will come.
#[cfg(target_os = "linux")]
pub(crate) fn accept_unix(listener: &Socket) -> io::Result<(Socket, SockAddr)> {
    accept(listener).map_err(|error| {
        let blocks = error.kind() == io::ErrorKind::WouldBlock;
        let events = || poll_now(listener.as_raw_fd(), PEER_ENDED).unwrap_or(0);
        if blocks && events() & PEER_ENDED != 0 {
            io::Error::from_raw_os_error(libc::EINVAL)
        } else {
            error
        }
    })
}

/// Accepts a connection of Unix sockets.
#[cfg(not(target_os = "linux"))]
pub(crate) fn accept_unix(listener: &Socket) -> io::Result<(Socket, SockAddr)> {
    accept(listener)
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

/// Lets an address be bound although old connections linger in `TIME_WAIT`.
pub(crate) fn allow_to_bind_again(socket: &Socket, allow: bool) -> io::Result<()> {
    socket.set_reuse_address(allow)
}

/// Whether a socket of datagrams tells of errors that earlier ones met on their way: Unix systems
/// tell those that have a peer.
#[expect(clippy::unnecessary_wraps, reason = "elsewhere it can fail")]
pub(crate) fn report_errors(_socket: &Socket, _report: bool) -> io::Result<()> {
    Ok(())
}

/// Sends what the system takes at once.
pub(crate) fn send_now(socket: &Socket, bytes: &[u8]) -> io::Result<usize> {
    send(socket, bytes)
}

/// How many connections may wait, as the system is told: it cuts what is too many.
pub(crate) fn backlog(connections: i32) -> i32 {
    connections
}

/// A Unix socket of streams.
pub(crate) fn unix_socket() -> io::Result<Socket> {
    Socket::new(Domain::UNIX, Type::STREAM, None)
}

/// The path that a Unix socket's address has.
pub(crate) fn path_of(address: &SockAddr) -> Option<&Path> {
    address.as_pathname()
}

/// The abstract name that it has.
pub(crate) fn abstract_name_of(address: &SockAddr) -> Option<&[u8]> {
    address.as_abstract_namespace()
}

/// Sets the permissions of a socket's file (chmod(2)).
pub(crate) fn set_mode(path: &Path, mode: u32) -> io::Result<()> {
    fs::set_permissions(path, Permissions::from_mode(mode))
}

/// Whether a path is that of a socket's file to which no socket is bound. A socket of another kind
/// asks: where there is one that listens it hears `EPROTOTYPE`, and no listener sees a connection.
pub(crate) fn is_stale(address: &SockAddr, path: &Path) -> bool {
    let is_socket = fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket());
    let asked = Socket::new(Domain::UNIX, Type::DGRAM, None)
        .and_then(|socket| socket.connect(address))
        .map_err(|error| error.kind());
    is_socket && asked == Err(io::ErrorKind::ConnectionRefused)
}

/// An abstract name: a NUL stands before it, where a path would begin (unix(7)).
#[cfg(target_os = "linux")]
pub(crate) fn abstract_address(name: &[u8]) -> io::Result<SockAddr> {
    if name.is_empty() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "an abstract name has a byte"));
    }
    let path = [b"\0", name].concat();
    SockAddr::unix(OsStr::from_bytes(&path))
}

/// Other systems know sockets by their files alone.
#[cfg(not(target_os = "linux"))]
pub(crate) fn abstract_address(_name: &[u8]) -> io::Result<SockAddr> {
    let message = "this system has no abstract names of Unix sockets";
    Err(io::Error::new(io::ErrorKind::Unsupported, message))
}

/// User, group and process at the other end of a Unix socket. Of a process in another name space
/// Linux gives the number 0.
#[cfg(target_os = "linux")]
pub(crate) fn peer_credentials(socket: &Socket) -> io::Result<(u32, u32, Option<u32>)> {
    let mut who = libc::ucred { pid: 0, uid: 0, gid: 0 };
    option(socket, (libc::SOL_SOCKET, libc::SO_PEERCRED), &mut who)?;
    Ok((who.uid, who.gid, u32::try_from(who.pid).ok().filter(|&pid| pid != 0)))
}

/// User, group and process at the other end of a Unix socket.
#[cfg(not(target_os = "linux"))]
pub(crate) fn peer_credentials(socket: &Socket) -> io::Result<(u32, u32, Option<u32>)> {
    let (mut uid, mut gid) = (0, 0);
    // SAFETY: both numbers live during the call.
    match unsafe { libc::getpeereid(socket.as_raw_fd(), &raw mut uid, &raw mut gid) } {
        0 => Ok((uid, gid, peer_process(socket))),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(target_vendor = "apple")]
fn peer_process(socket: &Socket) -> Option<u32> {
    let mut pid: libc::pid_t = 0;
    option(socket, (libc::SOL_LOCAL, libc::LOCAL_PEERPID), &mut pid).ok()?;
    u32::try_from(pid).ok()
}

/// Where a system has no such option.
#[cfg(not(any(target_os = "linux", target_vendor = "apple")))]
fn peer_process(_socket: &Socket) -> Option<u32> {
    None
}

/// Whether a receive of nothing from nobody was at the end of a Unix socket that is open. An empty
/// datagram of a sender without a name looks the same on Linux: there it is asked whether more can
/// come.
#[cfg(target_os = "linux")]
pub(crate) fn nobody_is_the_end(fd: RawFd) -> bool {
    poll_now(fd, PEER_ENDED).is_ok_and(|events| events & PEER_ENDED != 0)
}

/// Elsewhere a sender without a name has an address, which names nobody (uipc_usrreq.c).
#[cfg(not(target_os = "linux"))]
pub(crate) fn nobody_is_the_end(_fd: RawFd) -> bool {
    true
}

/// Whether a datagram was refused because the Unix socket that it goes to has no room for it now.
#[cfg(target_os = "linux")]
pub(crate) fn has_no_room(result: i32) -> bool {
    result == -libc::EAGAIN
}

/// macOS and FreeBSD say so of a socket that blocks as well (unix(4), send(2)).
#[cfg(not(target_os = "linux"))]
pub(crate) fn has_no_room(result: i32) -> bool {
    matches!(-result, libc::EAGAIN | libc::ENOBUFS)
}

/// Reads a socket's option, of a type that the system fills whole (getsockopt(2)).
fn option<T: Copy>(socket: &impl AsFd, (level, name): (i32, i32), value: &mut T) -> io::Result<()> {
    let mut len = libc::socklen_t::try_from(size_of::<T>()).unwrap_or(0);
    let at = ptr::from_mut(value).cast();
    // SAFETY: the value lives during the call, and is as long as the system is told; it has no
    // invalid bit patterns (numbers, and structures of numbers).
    match unsafe { libc::getsockopt(socket.as_fd().as_raw_fd(), level, name, at, &raw mut len) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// For a receive of descriptors: they are close-on-exec from the start (P17).
#[cfg(not(target_vendor = "apple"))]
pub(crate) const RECV_DESCRIPTORS_FLAGS: i32 = libc::MSG_CMSG_CLOEXEC;
/// macOS has no such flag: see [`close_on_exec`].
#[cfg(target_vendor = "apple")]
pub(crate) const RECV_DESCRIPTORS_FLAGS: i32 = 0;

/// The receive has seen to it.
#[cfg(not(target_vendor = "apple"))]
pub(crate) fn close_on_exec(_descriptor: &OwnedFd) {}

/// Of a descriptor that was just received. A child that another thread starts just now may inherit
/// it.
#[cfg(target_vendor = "apple")]
pub(crate) fn close_on_exec(descriptor: &OwnedFd) {
    // SAFETY: plain arguments; a descriptor that is open has flags (fcntl(2)).
    let _ = unsafe { libc::fcntl(descriptor.as_raw_fd(), libc::F_SETFD, libc::FD_CLOEXEC) };
}

/// For how many descriptors a receive has room that wants so many. Linux closes those that find
/// none.
#[cfg(target_os = "linux")]
pub(crate) fn descriptors_asked_for(wanted: usize) -> usize {
    wanted
}

/// Others may leave them open, under numbers that nobody is told: so there is room for all.
#[cfg(not(target_os = "linux"))]
pub(crate) fn descriptors_asked_for(_wanted: usize) -> usize {
    crate::op::descriptors::DESCRIPTORS_MAX
}

/// Whether the kernel splits a buffer into datagrams (`UDP_SEGMENT`, udp(7), Linux 4.18): found out
/// once.
#[cfg(target_os = "linux")]
pub(crate) fn splits_datagrams() -> bool {
    static SPLITS: OnceLock<bool> = OnceLock::new();
    *SPLITS.get_or_init(|| {
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, None);
        socket.is_ok_and(|socket| set_udp_option(&socket, libc::UDP_SEGMENT, 0).is_ok())
    })
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn splits_datagrams() -> bool {
    false
}

#[cfg(target_os = "linux")]
fn set_udp_option(socket: &Socket, option: libc::c_int, value: libc::c_int) -> io::Result<()> {
    let (fd, len) = (socket.as_raw_fd(), size_of_val(&value) as libc::socklen_t);
    // SAFETY: the value and its length are valid for the call.
    let result =
        unsafe { libc::setsockopt(fd, libc::SOL_UDP, option, (&raw const value).cast(), len) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Writes the control message that has a message split into datagrams of `segment` bytes. The
/// header names room for it.
#[cfg(target_os = "linux")]
pub(crate) fn put_segment(header: &mut libc::msghdr, segment: u16) {
    // SAFETY: the header is valid, and names its control buffer and the length of that.
    let control = unsafe { libc::CMSG_FIRSTHDR(header) };
    assert!(!control.is_null(), "an envelope has room for a control message");
    // SAFETY: so there is room for a message's header there, which is all that is written.
    let message = unsafe { &mut *control };
    message.cmsg_level = libc::SOL_UDP;
    message.cmsg_type = libc::UDP_SEGMENT;
    // SAFETY: it computes a length.
    message.cmsg_len = unsafe { libc::CMSG_LEN(size_of::<u16>() as u32) } as _;
    // SAFETY: the data follows the header; the room is for a number of eight bytes.
    let data = unsafe { libc::CMSG_DATA(control) };
    // SAFETY: as above.
    unsafe { data.cast::<u16>().write_unaligned(segment) };
    // SAFETY: it computes a length.
    header.msg_controllen = unsafe { libc::CMSG_SPACE(size_of::<u16>() as u32) } as _;
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn put_segment(_header: &mut libc::msghdr, _segment: u16) {}

/// The length of the datagrams that the kernel joined, which the first control message may say.
#[cfg(target_os = "linux")]
pub(crate) fn segment(header: &libc::msghdr) -> Option<u16> {
    // SAFETY: the header is valid, and its control buffer holds what the kernel wrote.
    let control = unsafe { libc::CMSG_FIRSTHDR(header) };
    // SAFETY: it is null, or the kernel wrote a message's header there.
    let message = unsafe { control.as_ref() }?;
    // SAFETY: it computes a length.
    let len = unsafe { libc::CMSG_LEN(size_of::<libc::c_int>() as u32) } as usize;
    let is_ours = message.cmsg_level == libc::SOL_UDP && message.cmsg_type == libc::UDP_GRO;
    if !is_ours || (message.cmsg_len as usize) < len {
        return None;
    }
    // SAFETY: the data follows the header, and is as long as was just asked.
    let data = unsafe { libc::CMSG_DATA(control) };
    // SAFETY: as above.
    let segment = unsafe { data.cast::<libc::c_int>().read_unaligned() };
    u16::try_from(segment).ok().filter(|&segment| segment > 0)
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn segment(_header: &libc::msghdr) -> Option<u16> {
    None
}

/// `UDP_GRO` (udp(7), Linux 5.0).
#[cfg(target_os = "linux")]
pub(crate) fn join_datagrams(socket: &Socket, join: bool) -> io::Result<()> {
    set_udp_option(socket, libc::UDP_GRO, libc::c_int::from(join)).map_err(|error| {
        match error.raw_os_error() {
            Some(libc::ENOPROTOOPT) => no_gro(),
            _ => error,
        }
    })
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn join_datagrams(_socket: &Socket, _join: bool) -> io::Result<()> {
    Err(no_gro())
}

fn no_gro() -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, "this system has no UDP_GRO")
}

/// Takes the peer from a socket of datagrams: by a connect to an address of no family (connect(2)).
pub(crate) fn disconnect(socket: &Socket) -> io::Result<()> {
    let mut address = SockAddrStorage::zeroed();
    // SAFETY: it is one of the system's address structures.
    let nobody = unsafe { address.view_as::<libc::sockaddr>() };
    nobody.sa_family = libc::AF_UNSPEC as _;
    let len = size_of::<libc::sockaddr>() as libc::socklen_t;
    // SAFETY: the structure and its length are valid for the call.
    match unsafe { libc::connect(socket.as_raw_fd(), &raw const *nobody, len) } {
        0 => Ok(()),
        _ => disconnected(io::Error::last_os_error()),
    }
}

#[cfg(target_os = "linux")]
fn disconnected(error: io::Error) -> io::Result<()> {
    Err(error)
}

/// macOS and FreeBSD complain of the address when they have done it (connect(2)).
#[cfg(not(target_os = "linux"))]
fn disconnected(error: io::Error) -> io::Result<()> {
    match error.raw_os_error() {
        Some(libc::EAFNOSUPPORT) => Ok(()),
        _ => Err(error),
    }
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

/// For pwritev2(2) and io_uring: a reader that is gone is an `EPIPE`, never a signal (Linux 6.18).
#[cfg(target_os = "linux")]
pub(crate) const NO_SIGNAL: i32 = 0x100;

/// A call with flags is not to be had here, for this descriptor.
fn unsupported() -> io::Error {
    io::Error::from_raw_os_error(libc::EOPNOTSUPP)
}

fn is_unsupported<T>(result: &io::Result<T>) -> bool {
    let code = result.as_ref().err().and_then(io::Error::raw_os_error);
    matches!(code, Some(libc::EOPNOTSUPP | libc::ENOSYS))
}

/// Reads what there is now, whatever the descriptor is set to (preadv2(2)).
#[cfg(target_os = "linux")]
fn read_no_wait(fd: BorrowedFd<'_>, room: &mut [MaybeUninit<u8>]) -> io::Result<usize> {
    let room = libc::iovec { iov_base: room.as_mut_ptr().cast(), iov_len: room.len() };
    // SAFETY: one vector, of memory that may be written to.
    let count = unsafe { libc::preadv2(fd.as_raw_fd(), &raw const room, 1, -1, libc::RWF_NOWAIT) };
    usize::try_from(count).map_err(|_| io::Error::last_os_error())
}

/// Other systems have no such call.
#[cfg(not(target_os = "linux"))]
fn read_no_wait(_fd: BorrowedFd<'_>, _room: &mut [MaybeUninit<u8>]) -> io::Result<usize> {
    Err(unsupported())
}

/// Writes with flags (pwritev2(2)).
#[cfg(target_os = "linux")]
pub(crate) fn write_with(fd: BorrowedFd<'_>, bytes: &[u8], flags: i32) -> io::Result<usize> {
    let bytes = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    // SAFETY: one vector, of memory that is only read.
    let count = unsafe { libc::pwritev2(fd.as_raw_fd(), &raw const bytes, 1, -1, flags) };
    usize::try_from(count).map_err(|_| io::Error::last_os_error())
}

/// Writes what there is room for now, whatever the descriptor is set to, and raises no SIGPIPE.
#[cfg(target_os = "linux")]
fn write_no_wait(fd: BorrowedFd<'_>, bytes: &[u8]) -> io::Result<usize> {
    let result = write_with(fd, bytes, libc::RWF_NOWAIT | NO_SIGNAL);
    if is_unsupported(&result) {
        return sigpipe::without(|| write_with(fd, bytes, libc::RWF_NOWAIT));
    }
    result
}

#[cfg(target_os = "linux")]
fn write_no_signal(fd: BorrowedFd<'_>, bytes: &[u8]) -> io::Result<usize> {
    write_with(fd, bytes, NO_SIGNAL)
}

/// Other systems have no such calls.
#[cfg(not(target_os = "linux"))]
fn write_no_wait(_fd: BorrowedFd<'_>, _bytes: &[u8]) -> io::Result<usize> {
    Err(unsupported())
}

#[cfg(not(target_os = "linux"))]
fn write_no_signal(_fd: BorrowedFd<'_>, _bytes: &[u8]) -> io::Result<usize> {
    Err(unsupported())
}

/// What io_uring must know of a descriptor.
#[cfg(target_os = "linux")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A pipe or a FIFO.
    Pipe,
    Socket,
    /// A terminal, or another device.
    Device,
    Other,
}

/// Which kind of descriptor it is (fstat(2)); what is not one, the call on it says.
#[cfg(target_os = "linux")]
pub(crate) fn kind(fd: impl AsFd) -> Kind {
    use rustix::fs::FileType;
    match rustix::fs::fstat(fd).map(|stat| FileType::from_raw_mode(stat.st_mode)) {
        Ok(FileType::Fifo) => Kind::Pipe,
        Ok(FileType::Socket) => Kind::Socket,
        Ok(FileType::CharacterDevice) => Kind::Device,
        _ => Kind::Other,
    }
}

fn is_nonblocking(fd: BorrowedFd<'_>) -> bool {
    rustix::fs::fcntl_getfl(fd).is_ok_and(|flags| flags.contains(rustix::fs::OFlags::NONBLOCK))
}

/// Reads without waiting; `EOPNOTSUPP` where that cannot be promised.
pub(crate) fn read_at_once(fd: impl AsFd, room: &mut [MaybeUninit<u8>]) -> io::Result<usize> {
    let fd = fd.as_fd();
    let result = read_no_wait(fd, room);
    if is_unsupported(&result) {
        if !is_nonblocking(fd) {
            return Err(unsupported());
        }
        let (read, _rest) = rustix::io::read(fd, room)?;
        return Ok(read.len());
    }
    result
}

/// Writes without waiting, and without SIGPIPE; `EOPNOTSUPP` where that cannot be promised.
pub(crate) fn write_at_once(fd: impl AsFd, bytes: &[u8]) -> io::Result<usize> {
    let fd = fd.as_fd();
    let result = write_no_wait(fd, bytes);
    if is_unsupported(&result) {
        return if is_nonblocking(fd) { write(fd, bytes) } else { Err(unsupported()) };
    }
    result
}

/// Writes, which may wait, without SIGPIPE.
pub(crate) fn write(fd: impl AsFd, bytes: &[u8]) -> io::Result<usize> {
    let fd = fd.as_fd();
    let result = write_no_signal(fd, bytes);
    if is_unsupported(&result) {
        return sigpipe::without(|| Ok(rustix::io::write(fd, bytes)?));
    }
    result
}

/// How many bytes a stream that blocks has room for; 0: none before it is writable.
///
/// # Errors
/// `ENOTSOCK`, and what getsockopt(2) says.
#[cfg(target_os = "linux")]
pub(crate) fn room_to_send(fd: RawFd) -> io::Result<usize> {
    /// In asm-generic/socket.h, kernel 4.12+.
    const SO_MEMINFO: i32 = 55;
    const NUMBERS: usize = 9;
    let mut info = [0_u32; NUMBERS];
    let mut len = size_of_val(&info) as libc::socklen_t;
    let at = info.as_mut_ptr().cast();
    // SAFETY: the kernel writes no more than `len` bytes there.
    let result = unsafe { libc::getsockopt(fd, libc::SOL_SOCKET, SO_MEMINFO, at, &raw mut len) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    if poll_now(fd, libc::POLLOUT)? == 0 {
        return Ok(0);
    }
    let number = |of: i32| info[of as usize];
    let taken = number(libc::SK_MEMINFO_WMEM_QUEUED).max(number(libc::SK_MEMINFO_WMEM_ALLOC));
    let room = number(libc::SK_MEMINFO_SNDBUF).saturating_sub(taken);
    Ok(room.max(1) as usize)
}

/// Sends from a file, at most `count` bytes and at least one, as long as the file has any. It waits
/// a few milliseconds for room at most (a tick of the kernel's), also on a stream that blocks: what
/// room there is cannot be known for sure, for it depends on the peer's segments and on
/// `tcp_notsent_lowat` (tcp(7)).
#[cfg(target_os = "linux")]
pub(crate) fn send_file(
    stream: impl AsFd,
    file: impl AsFd,
    offset: u64,
    count: usize,
) -> io::Result<usize> {
    // sendfile(2) writes to files as well; this says of those that they are none.
    let socket = SockRef::from(&stream);
    let before = socket.write_timeout()?;
    socket.set_write_timeout(Some(Duration::from_micros(1)))?;
    let mut offset = offset;
    let result = rustix::fs::sendfile(&stream, file, Some(&mut offset), count);
    socket.set_write_timeout(before)?;
    Ok(result?)
}

/// Whether [`send_file_at_once`] takes a descriptor: a socket that does not block, or `is_ours` to be set
/// so (fcntl(2): it is one flag for all that share it).
pub(crate) fn sends_at_once(fd: impl AsFd, is_ours: bool) -> bool {
    SockRef::from(&fd).r#type().is_ok() && (is_ours || is_nonblocking(fd.as_fd()))
}

/// As [`send_file`], what there is room for now: `WouldBlock` for none. A stream that blocks is set not
/// to, for the length of the call. No SIGPIPE comes, for which the call has no flag.
#[cfg(target_os = "linux")]
pub(crate) fn send_file_at_once(
    stream: impl AsFd,
    file: impl AsFd,
    offset: u64,
    count: usize,
) -> io::Result<usize> {
    let stream = stream.as_fd();
    let send = || {
        let mut offset = offset;
        Ok(rustix::fs::sendfile(stream, &file, Some(&mut offset), count)?)
    };
    if is_nonblocking(stream) {
        return sigpipe::without_in_parts(send);
    }
    rustix::io::ioctl_fionbio(stream, true)?;
    let result = sigpipe::without_in_parts(send);
    // What was sent is not to be lost. It does not fail where the first one did not.
    let _ = rustix::io::ioctl_fionbio(stream, false);
    result
}

/// Sends from a file, at most `count` bytes and at least one, as long as the file has any. A stream
/// that does not block takes what it has room for: these systems say both that, and that it would
/// have blocked.
#[cfg(not(target_os = "linux"))]
pub(crate) fn send_file(
    stream: impl AsFd,
    file: impl AsFd,
    offset: u64,
    count: usize,
) -> io::Result<usize> {
    let (stream, file) = (stream.as_fd().as_raw_fd(), file.as_fd().as_raw_fd());
    let offset = libc::off_t::try_from(offset).map_err(|_| io::ErrorKind::InvalidInput)?;
    let (result, sent) = raw_send_file(stream, file, offset, count);
    match result {
        0 => Ok(sent),
        _ if sent > 0 => Ok(sent),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Nothing is known to be in memory there.
#[cfg(not(target_os = "linux"))]
pub(crate) fn send_file_at_once(
    _stream: impl AsFd,
    _file: impl AsFd,
    _offset: u64,
    _count: usize,
) -> io::Result<usize> {
    Err(unsupported())
}

#[cfg(target_vendor = "apple")]
fn raw_send_file(stream: RawFd, file: RawFd, offset: libc::off_t, count: usize) -> (i32, usize) {
    let mut len = libc::off_t::try_from(count).unwrap_or(libc::off_t::MAX);
    let none = std::ptr::null_mut();
    // SAFETY: the length lives during the call; there are no headers.
    let result = unsafe { libc::sendfile(file, stream, offset, &raw mut len, none, 0) };
    (result, usize::try_from(len).unwrap_or(0))
}

#[cfg(target_os = "freebsd")]
fn raw_send_file(stream: RawFd, file: RawFd, offset: libc::off_t, count: usize) -> (i32, usize) {
    let (mut sent, none) = (0, std::ptr::null_mut());
    // SAFETY: the count of what was sent lives during the call; there are no headers.
    let result = unsafe { libc::sendfile(file, stream, offset, count, none, &raw mut sent, 0) };
    (result, usize::try_from(sent).unwrap_or(0))
}
