//! What Windows does differently from Unix, or what no crate wraps: one small function each.
//!
//! Sources, in Microsoft's documentation: the page of each function that is called, and where one
//! is not enough, the one that is named beside the call.
#![expect(unsafe_code, reason = "system calls that no crate wraps in this form")]

use std::io;
use std::mem::{MaybeUninit, offset_of, size_of};
use std::os::windows::fs::MetadataExt;
use std::os::windows::io::AsRawSocket;
use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;
use std::{fs, ptr, slice, str};

use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use windows_sys::Win32::Foundation::{ERROR_BROKEN_PIPE, HANDLE};
use windows_sys::Win32::Networking::WinSock::{
    ADDRESS_FAMILY, CMSGHDR, IPPROTO_UDP, LPFN_ACCEPTEX, LPFN_CONNECTEX, LPFN_GETACCEPTEXSOCKADDRS,
    LPFN_TRANSMITFILE, LPFN_WSARECVMSG, MSG_PEEK, SIO_BASE_HANDLE,
    SIO_GET_EXTENSION_FUNCTION_POINTER, SIO_UDP_CONNRESET, SIO_UDP_NETRESET, SO_EXCLUSIVEADDRUSE,
    SO_PROTOCOL_INFOW, SO_UPDATE_ACCEPT_CONTEXT, SO_UPDATE_CONNECT_CONTEXT, SOCKET, SOCKET_ERROR,
    SOL_SOCKET, UDP_COALESCED_INFO, UDP_RECV_MAX_COALESCED_SIZE, UDP_SEND_MSG_SIZE, WSA_IO_PENDING,
    WSABUF, WSAEAFNOSUPPORT, WSAECONNABORTED, WSAECONNREFUSED, WSAECONNRESET, WSAEHOSTUNREACH,
    WSAEINVAL, WSAEMSGSIZE, WSAENETRESET, WSAENETUNREACH, WSAENOPROTOOPT, WSAENOTCONN,
    WSAESHUTDOWN, WSAGetOverlappedResult, WSAID_ACCEPTEX, WSAID_CONNECTEX,
    WSAID_GETACCEPTEXSOCKADDRS, WSAID_TRANSMITFILE, WSAID_WSARECVMSG, WSAIoctl, WSAMSG,
    WSAPROTOCOL_INFOW, WSARecv, WSASend, WSASendMsg, XP1_IFS_HANDLES, getsockopt, setsockopt,
};
use windows_sys::Win32::Storage::FileSystem::{
    FILE_ATTRIBUTE_REPARSE_POINT, FILE_STANDARD_INFO, FileStandardInfo,
    GetFileInformationByHandleEx, SetFileCompletionNotificationModes,
};
use windows_sys::Win32::System::IO::OVERLAPPED;
use windows_sys::Win32::System::WindowsProgramming::{
    FILE_SKIP_COMPLETION_PORT_ON_SUCCESS, FILE_SKIP_SET_EVENT_ON_HANDLE,
};
use windows_sys::core::GUID;

use crate::error::{from_raw, to_raw};
use crate::raw::{OwnedFd, RawFd, is_file, widen};

/// The system's number of a socket.
pub(crate) fn socket(fd: RawFd) -> SOCKET {
    widen(fd) as SOCKET
}

fn number(of: &Socket) -> SOCKET {
    of.as_raw_socket() as SOCKET
}

/// The same, for calls that take any handle: sockets of the system's own providers are handles.
pub(crate) fn handle(fd: RawFd) -> HANDLE {
    ptr::without_provenance_mut(socket(fd))
}

/// Winsock must be started once in a process (WSAStartup); the standard library does that with its
/// first socket.
pub(crate) fn start_winsock() {
    static STARTED: OnceLock<()> = OnceLock::new();
    STARTED.get_or_init(|| {
        // What it says does not matter: whoever makes a socket finds out.
        drop(std::net::UdpSocket::bind(("127.0.0.1", 0)));
    });
}

/// What a call says that returns 0, or `SOCKET_ERROR` and leaves a code.
fn checked(result: i32) -> io::Result<()> {
    if result == SOCKET_ERROR { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// As [`checked`], of a call that says whether it succeeded.
fn succeeded(result: i32) -> io::Result<()> {
    if result == 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Whether a call goes on, and will post a packet.
pub(crate) fn is_pending(error: &io::Error) -> bool {
    // The code is the same as `ERROR_IO_PENDING`.
    error.raw_os_error() == Some(WSA_IO_PENDING)
}

/// Has calls that are done at once post no packet; says whether that is so. It is not safe with a
/// provider whose sockets are no handles of the system's: one above it may post packets all the same
/// (P76; "SetFileCompletionNotificationModes", remarks).
pub(crate) fn skip_packets_of_the_done(fd: RawFd) -> bool {
    let modes = FILE_SKIP_COMPLETION_PORT_ON_SUCCESS | FILE_SKIP_SET_EVENT_ON_HANDLE;
    let modes = u8::try_from(modes).unwrap_or(0);
    (is_file(fd) || is_systems_own(fd))
        // SAFETY: the handle is open during the call.
        && unsafe { SetFileCompletionNotificationModes(handle(fd), modes) } != 0
}

/// Whether a socket is a handle of the system's.
fn is_systems_own(fd: RawFd) -> bool {
    let mut info = MaybeUninit::<WSAPROTOCOL_INFOW>::zeroed();
    let mut len = i32::try_from(size_of::<WSAPROTOCOL_INFOW>()).unwrap_or(0);
    let at = info.as_mut_ptr().cast();
    // SAFETY: the structure and its length are valid for the call.
    let result = unsafe { getsockopt(socket(fd), SOL_SOCKET, SO_PROTOCOL_INFOW, at, &raw mut len) };
    if result != 0 {
        return false;
    }
    // SAFETY: it was zeroed, which is a value of it, or the system wrote it.
    let info = unsafe { info.assume_init() };
    info.dwServiceFlags1 & XP1_IFS_HANDLES != 0
}

/// Why a call failed that is over, in Winsock's words.
pub(crate) fn failure(fd: RawFd, overlapped: *mut OVERLAPPED) -> io::Error {
    let (mut count, mut flags) = (0, 0);
    let (count, flags) = (&raw mut count, &raw mut flags);
    // SAFETY: the block is of a call on this socket, and the numbers live during the call.
    let result = unsafe { WSAGetOverlappedResult(socket(fd), overlapped, count, 0, flags) };
    match succeeded(result) {
        Err(error) => error,
        Ok(()) => io::ErrorKind::InvalidData.into(),
    }
}

/// Receives (WSARecv).
pub(crate) fn recv(
    socket: SOCKET,
    buffers: &[WSABUF],
    overlapped: *mut OVERLAPPED,
    flags: *mut u32,
) -> io::Result<()> {
    let (at, count) = (buffers.as_ptr(), u32::try_from(buffers.len()).unwrap_or(u32::MAX));
    // SAFETY: the system copies the list of buffers; they and the block stay until the packet is
    // there (blocks.rs, I2; slots keep an operation's buffer until it completes).
    checked(unsafe { WSARecv(socket, at, count, ptr::null_mut(), flags, overlapped, None) })
}

/// Waits for a datagram, or an error of an earlier one, by a receive without room that leaves it where
/// it is. Readiness would not tell of the error.
pub(crate) fn await_datagram(
    socket: SOCKET,
    overlapped: *mut OVERLAPPED,
    flags: *mut u32,
) -> io::Result<()> {
    // SAFETY: the number is in the block, which is still ours.
    unsafe { flags.write(MSG_PEEK.cast_unsigned()) };
    recv(socket, &[WSABUF { buf: ptr::null_mut(), len: 0 }], overlapped, flags)
}

/// What a socket says that was shut down in the direction of a send: Winsock's code has no kind in
/// the standard library, so it is told as Windows tells it of pipes.
pub(crate) fn sent(result: i32) -> i32 {
    if result == -WSAESHUTDOWN { -ERROR_BROKEN_PIPE.cast_signed() } else { result }
}

/// Sends what there is room for (WSASend), without waiting.
pub(crate) fn send(of: &Socket, buffers: &[WSABUF]) -> io::Result<usize> {
    let (at, count) = (buffers.as_ptr(), u32::try_from(buffers.len()).unwrap_or(u32::MAX));
    let (mut sent, none) = (0, ptr::null_mut());
    // SAFETY: the buffers live during the call, which does not overlap.
    checked(unsafe { WSASend(number(of), at, count, &raw mut sent, 0, none, None) })?;
    Ok(sent as usize)
}

/// What a receive says of a datagram that does not fit.
pub(crate) const CUT: i32 = WSAEMSGSIZE;

/// The result of a receive of datagrams: that a connected socket's peer is not there has a name of its
/// own on Unix.
pub(crate) fn of_datagrams(result: i32) -> i32 {
    if result == -WSAECONNRESET { -WSAECONNREFUSED } else { result }
}

/// What a receive says of a socket that was shut down.
pub(crate) const SHUT_DOWN: i32 = WSAESHUTDOWN;

/// A function that Winsock's providers have beside the documented table ("WSAIoctl",
/// `SIO_GET_EXTENSION_FUNCTION_POINTER`); `F` is an optional pointer.
fn extension<F>(socket: SOCKET, id: &GUID) -> io::Result<F> {
    const { assert!(size_of::<F>() == size_of::<usize>()) };
    let mut function = MaybeUninit::<F>::zeroed();
    let (mut len, size) = (0, size_of::<F>() as u32);
    let (id, at) = (ptr::from_ref(id).cast(), function.as_mut_ptr().cast());
    let (of, id_size) = (SIO_GET_EXTENSION_FUNCTION_POINTER, size_of::<GUID>() as u32);
    let (len, none) = (&raw mut len, ptr::null_mut());
    // SAFETY: both structures and their lengths are valid for the call, which does not overlap.
    checked(unsafe { WSAIoctl(socket, of, id, id_size, at, size, len, none, None) })?;
    // SAFETY: the system wrote a pointer; zero is `None`.
    Ok(unsafe { function.assume_init() })
}

fn unsupported() -> io::Error {
    io::ErrorKind::Unsupported.into()
}

/// Bytes of an address as AcceptEx wants room for it: 16 more than the longest one takes.
const ADDRESS_ROOM: usize = size_of::<socket2::SockAddrStorage>() + 16;
/// Where it writes both ends' addresses, which the updated context knows as well.
pub(crate) type AddressRoom = [u8; 2 * ADDRESS_ROOM];
pub(crate) const NO_ADDRESSES: AddressRoom = [0; 2 * ADDRESS_ROOM];

/// What an accept says of the connection that it was to return, and not of the listener: AcceptEx
/// takes connections that were reset before they were accepted.
pub(crate) const CONNECTIONS_OWN: &[i32] =
    &[WSAECONNABORTED, WSAECONNRESET, WSAENOTCONN, WSAENETRESET, WSAEHOSTUNREACH, WSAENETUNREACH];

/// Both are loaded with the first accept.
static ACCEPTING: OnceLock<(LPFN_ACCEPTEX, LPFN_GETACCEPTEXSOCKADDRS)> = OnceLock::new();

/// Accepts a connection into a socket that was made for it (AcceptEx).
pub(crate) fn accept(
    listener: SOCKET,
    accepted: SOCKET,
    addresses: *mut AddressRoom,
    overlapped: *mut OVERLAPPED,
) -> io::Result<()> {
    let functions = ACCEPTING.get_or_init(|| {
        let accept = extension(listener, &WSAID_ACCEPTEX).ok().flatten();
        (accept, extension(listener, &WSAID_GETACCEPTEXSOCKADDRS).ok().flatten())
    });
    let function = functions.0.ok_or_else(unsupported)?;
    let (room, mut received) = (ADDRESS_ROOM as u32, 0);
    // SAFETY: both sockets are open; the room and the block stay until the packet is there.
    succeeded(unsafe {
        function(listener, accepted, addresses.cast(), 0, room, room, &raw mut received, overlapped)
    })
}

/// The peer's address, from where an accept wrote it: the connection may be gone by now
/// (GetAcceptExSockaddrs).
pub(crate) fn accepted_from(addresses: &AddressRoom) -> io::Result<SockAddr> {
    let function = ACCEPTING.get().and_then(|functions| functions.1).ok_or_else(unsupported)?;
    let (mut near, mut far) = (ptr::null_mut(), ptr::null_mut());
    let (mut near_len, mut far_len) = (0, 0);
    let (near, near_len) = (&raw mut near, &raw mut near_len);
    let (room, to, to_len) = (ADDRESS_ROOM as u32, &raw mut far, &raw mut far_len);
    // SAFETY: the room is as the accept was told, and what is written are pointers into it.
    unsafe { function(addresses.as_ptr().cast(), 0, room, room, near, near_len, to, to_len) };
    let mut address = socket2::SockAddrStorage::zeroed();
    let len = far_len.clamp(0, address_size());
    if far.is_null() {
        return Err(unsupported());
    }
    // SAFETY: the address lies in the room, and is not longer than the storage.
    unsafe { ptr::copy_nonoverlapping(far.cast::<u8>(), (&raw mut address).cast(), len as usize) };
    // SAFETY: it was copied just now.
    Ok(unsafe { SockAddr::new(address, len) })
}

/// Has an accepted socket know its listener, so that shutdown and names work (P78).
pub(crate) fn update_accepted(accepted: &Socket, listener: RawFd) -> io::Result<()> {
    let listener = socket(listener);
    set_option(
        accepted,
        SO_UPDATE_ACCEPT_CONTEXT,
        (&raw const listener).cast(),
        size_of::<SOCKET>(),
    )
}

/// Has a connected socket know that it is (P78).
pub(crate) fn update_connected(connected: &Socket) -> io::Result<()> {
    set_option(connected, SO_UPDATE_CONNECT_CONTEXT, ptr::null(), 0)
}

fn set_option(of: &Socket, option: i32, value: *const u8, len: usize) -> io::Result<()> {
    let (socket, len) = (number(of), i32::try_from(len).unwrap_or(0));
    // SAFETY: the value and its length are valid for the call.
    checked(unsafe { setsockopt(socket, SOL_SOCKET, option, value, len) })
}

/// A socket for the next connection of a listener, which does not wait.
pub(crate) fn socket_for(listener: &Socket) -> io::Result<OwnedFd> {
    let domain = Domain::from(i32::from(listener.local_addr()?.family()));
    let protocol = (domain != Domain::UNIX).then_some(Protocol::TCP);
    let socket = Socket::new(domain, Type::STREAM, protocol)?;
    socket.set_nonblocking(true)?;
    Ok(OwnedFd::from(socket))
}

/// ConnectEx wants a bound socket (P78).
pub(crate) fn bind_if_unbound(socket: &Socket, peer: &SockAddr) -> io::Result<()> {
    use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
    if socket.local_addr().is_ok_and(|address| address.as_socket().is_some_and(|a| a.port() != 0)) {
        return Ok(());
    }
    let any: SocketAddr = if peer.is_ipv6() {
        (Ipv6Addr::UNSPECIFIED, 0).into()
    } else {
        (Ipv4Addr::UNSPECIFIED, 0).into()
    };
    socket.bind(&any.into())
}

/// Connects (ConnectEx).
pub(crate) fn connect(
    socket: SOCKET,
    peer: &SockAddr,
    overlapped: *mut OVERLAPPED,
) -> io::Result<()> {
    static FUNCTION: OnceLock<LPFN_CONNECTEX> = OnceLock::new();
    let function = FUNCTION.get_or_init(|| extension(socket, &WSAID_CONNECTEX).ok().flatten());
    let function = function.ok_or_else(unsupported)?;
    let (at, len, nothing) = (peer.as_ptr().cast(), peer.len(), ptr::null());
    // SAFETY: the socket is open; the address and the block stay until the packet is there.
    succeeded(unsafe { function(socket, at, len, nothing, 0, ptr::null_mut(), overlapped) })
}

/// Sends from a file to a connection (TransmitFile), at most `count` bytes, from where the block says.
pub(crate) fn send_file(
    socket: SOCKET,
    file: HANDLE,
    count: u32,
    overlapped: *mut OVERLAPPED,
) -> io::Result<()> {
    static FUNCTION: OnceLock<LPFN_TRANSMITFILE> = OnceLock::new();
    let function = FUNCTION.get_or_init(|| extension(socket, &WSAID_TRANSMITFILE).ok().flatten());
    let function = function.ok_or_else(unsupported)?;
    let nothing = ptr::null();
    // SAFETY: the socket is open, and so is the file until the packet is there, for which the block
    // stays.
    succeeded(unsafe { function(socket, file, count, 0, overlapped, nothing, 0) })
}

/// Bytes of a file (GetFileInformationByHandleEx, `FILE_STANDARD_INFO`).
///
/// # Errors
/// `WSAEINVAL` of a directory, which has none; what the system says.
pub(crate) fn len_of_file(file: HANDLE) -> io::Result<u64> {
    let mut info = FILE_STANDARD_INFO::default();
    let len = u32::try_from(size_of::<FILE_STANDARD_INFO>()).unwrap_or(0);
    let at = (&raw mut info).cast();
    // SAFETY: the structure and its length are valid for the call.
    succeeded(unsafe { GetFileInformationByHandleEx(file, FileStandardInfo, at, len) })?;
    if info.Directory {
        return Err(io::Error::from_raw_os_error(WSAEINVAL));
    }
    Ok(info.EndOfFile.cast_unsigned())
}

/// A Unix socket of streams, the only ones that there are ("AF_UNIX comes to Windows").
///
/// # Errors
/// `Unsupported` where the system has none, before Windows 10 1803.
pub(crate) fn unix_socket() -> io::Result<Socket> {
    Socket::new(Domain::UNIX, Type::STREAM, None).map_err(|error| match error.raw_os_error() {
        Some(WSAEAFNOSUPPORT) => {
            io::Error::new(io::ErrorKind::Unsupported, "this system has no Unix sockets")
        }
        _ => error,
    })
}

/// The path that a Unix socket's address has: UTF-8, up to a NUL, in an array that may be longer
/// (`SOCKADDR_UN` in afunix.h; "AF_UNIX comes to Windows").
pub(crate) fn path_of(address: &SockAddr) -> Option<&Path> {
    if !address.is_unix() {
        return None;
    }
    let len = usize::try_from(address.len()).unwrap_or(0);
    // SAFETY: an address has as many bytes as it says.
    let bytes = unsafe { slice::from_raw_parts(address.as_ptr().cast::<u8>(), len) };
    // The path begins behind the family.
    let bytes = bytes.get(size_of::<ADDRESS_FAMILY>()..)?;
    let path = bytes.split(|&byte| byte == 0).next().filter(|path| !path.is_empty())?;
    str::from_utf8(path).ok().map(Path::new)
}

/// Windows knows Unix sockets by their files alone: a name that begins with a NUL is not taken from
/// all, and another process does not find it ("AF_UNIX comes to Windows", "Unsupported").
pub(crate) fn abstract_address(_name: &[u8]) -> io::Result<SockAddr> {
    let message = "this system has no abstract names of Unix sockets";
    Err(io::Error::new(io::ErrorKind::Unsupported, message))
}

pub(crate) fn abstract_name_of(_address: &SockAddr) -> Option<&[u8]> {
    None
}

/// A file has no mode: who may write to a socket's file may connect, and that is for the access lists of
/// its directory to say ("AF_UNIX comes to Windows", "Security").
pub(crate) fn set_mode(_path: &Path, _mode: u32) -> io::Result<()> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "the file of a socket has no mode here"))
}

/// Whether a path is that of a socket's file to which no socket is bound. The file is a reparse point,
/// which is no link ("AF_UNIX comes to Windows"); who listens there sees a connection that ends.
pub(crate) fn is_stale(address: &SockAddr, path: &Path) -> bool {
    let is_socket = fs::symlink_metadata(path).is_ok_and(|file| {
        file.file_attributes() & FILE_ATTRIBUTE_REPARSE_POINT != 0 && !file.is_symlink()
    });
    let asked = unix_socket().and_then(|socket| socket.connect(address));
    is_socket && asked.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}

/// There is no such signal.
#[expect(clippy::unnecessary_wraps, reason = "elsewhere it can fail")]
pub(crate) fn forbid_sigpipe(_socket: &Socket) -> io::Result<()> {
    Ok(())
}

/// Windows has nothing that does the same for a connection that is established.
pub(crate) fn set_user_timeout(_socket: &Socket, _timeout: Option<Duration>) -> io::Result<()> {
    let message = "this system has no TCP_USER_TIMEOUT";
    Err(io::Error::new(io::ErrorKind::Unsupported, message))
}

/// Whether connections are spread over the listeners that share a port.
pub(crate) const SHARED_PORT_SPREADS: bool = false;

/// Windows has no `SO_REUSEPORT`.
pub(crate) fn share_port(_socket: &Socket) -> io::Result<()> {
    let message = "this system has no SO_REUSEPORT";
    Err(io::Error::new(io::ErrorKind::Unsupported, message))
}

/// An address can be bound again at once without asking; to ask (`SO_REUSEADDR`) would let any
/// process take the port away (P41; "Using SO_REUSEADDR and SO_EXCLUSIVEADDRUSE").
pub(crate) fn allow_to_bind_again(socket: &Socket, _allow: bool) -> io::Result<()> {
    let exclusive = 1_i32;
    set_option(socket, SO_EXCLUSIVEADDRUSE, (&raw const exclusive).cast(), size_of::<i32>())
}

/// Sends what the system takes at once: sockets are set not to wait.
pub(crate) fn send_now(socket: &Socket, bytes: &[u8]) -> io::Result<usize> {
    socket.send(bytes).map_err(|error| from_raw(sent(to_raw(&error))))
}

/// Whether a call says that there is no connection any more.
pub(crate) fn is_not_connected(error: &io::Error) -> bool {
    error.raw_os_error() == Some(WSAENOTCONN)
}

/// Closes a socket (closesocket), which the standard library does without saying how it went.
#[expect(clippy::unnecessary_wraps, reason = "elsewhere it can fail")]
pub(crate) fn close(fd: OwnedFd) -> io::Result<()> {
    drop(fd);
    Ok(())
}

/// The handle of Winsock's own below a socket, whatever providers lie above it; it is the one that
/// readiness is asked of (`SIO_BASE_HANDLE`, "Winsock IOCTLs").
pub(crate) fn base_handle(fd: RawFd) -> io::Result<HANDLE> {
    let (mut base, mut len) = (0_usize, 0);
    let (at, size, len) = ((&raw mut base).cast(), size_of::<SOCKET>() as u32, &raw mut len);
    let (socket, of, nothing, none) = (socket(fd), SIO_BASE_HANDLE, ptr::null(), ptr::null_mut());
    // SAFETY: the result and its length are valid for the call, which does not overlap.
    checked(unsafe { WSAIoctl(socket, of, nothing, 0, at, size, len, none, None) })?;
    Ok(ptr::without_provenance_mut(base))
}

/// Whether a socket of datagrams tells of errors that earlier ones met on their way (P82;
/// `SIO_UDP_CONNRESET`, "Winsock IOCTLs"): on Unix those do that have a peer.
pub(crate) fn report_errors(of: &Socket, report: bool) -> io::Result<()> {
    // That a datagram went too far is told apart from that nobody was there, and not on all systems.
    let _ = switch(of, SIO_UDP_NETRESET, report);
    switch(of, SIO_UDP_CONNRESET, report)
}

/// Turns something on or off that has a control code (WSAIoctl).
fn switch(of: &Socket, what: u32, on: bool) -> io::Result<()> {
    let (on, mut len) = (i32::from(on), 0);
    let (at, size, len) = ((&raw const on).cast(), size_of::<i32>() as u32, &raw mut len);
    let (socket, none) = (number(of), ptr::null_mut());
    // SAFETY: the value and its length are valid for the call, which does not overlap.
    checked(unsafe { WSAIoctl(socket, what, at, size, none, 0, len, ptr::null_mut(), None) })
}

/// How many connections may wait, as the system is told: a plain number is cut to what `SOMAXCONN`
/// stands for, 200 on some systems, and a larger one is asked for by its negative (`SOMAXCONN_HINT`,
/// listen), up to 65,535.
pub(crate) fn backlog(connections: i32) -> i32 {
    if connections <= 200 { connections } else { -connections.min(65_535) }
}

/// What an ICMP message makes of the next call on a socket of datagrams.
pub(crate) const OF_AN_EARLIER_SEND: &[i32] =
    &[WSAECONNREFUSED, WSAECONNRESET, WSAENETRESET, WSAEHOSTUNREACH, WSAENETUNREACH, WSAEMSGSIZE];

/// What is known of a datagram that was received.
#[derive(Default)]
pub(crate) struct Letter {
    pub(crate) len: usize,
    pub(crate) is_cut: bool,
    /// How long each is of several that were joined.
    pub(crate) segment: Option<u16>,
    pub(crate) from: Option<SockAddr>,
}

impl Letter {
    /// Who sent it; without an address it is of no family.
    pub(crate) fn address(&self) -> SockAddr {
        self.from.clone().unwrap_or_else(|| {
            // SAFETY: zero is an address of no family, as long as it is said to be.
            unsafe { SockAddr::new(socket2::SockAddrStorage::zeroed(), 0) }
        })
    }
}

/// Is loaded with the first datagram.
static RECEIVING: OnceLock<LPFN_WSARECVMSG> = OnceLock::new();

/// Receives a datagram (WSARecvMsg), without waiting. What does not fit is an error in Winsock, and
/// the rest is lost; from a socket that was shut down nothing comes, and from nobody.
pub(crate) fn recv_datagram(of: &Socket, room: &mut [MaybeUninit<u8>]) -> io::Result<Letter> {
    let socket = number(of);
    let load = || extension(socket, &WSAID_WSARECVMSG).ok().flatten();
    let function = RECEIVING.get_or_init(load).ok_or_else(unsupported)?;
    let mut buffer = WSABUF { buf: room.as_mut_ptr().cast(), len: len_of(room.len()) };
    let mut address = socket2::SockAddrStorage::zeroed();
    let mut control = Control { head: CMSGHDR::default(), number: 0 };
    let mut message = WSAMSG {
        name: (&raw mut address).cast(),
        namelen: address.size_of(),
        lpBuffers: &raw mut buffer,
        dwBufferCount: 1,
        Control: WSABUF { buf: (&raw mut control).cast(), len: size_of::<Control>() as u32 },
        dwFlags: 0,
    };
    let (mut count, none) = (0, ptr::null_mut());
    // SAFETY: the message and all that it names live during the call, which does not overlap.
    let result = unsafe { function(socket, &raw mut message, &raw mut count, none, None) };
    let error = checked(result).err();
    let is_cut = match error.as_ref().and_then(io::Error::raw_os_error) {
        None => false,
        Some(WSAEMSGSIZE) => true,
        Some(WSAESHUTDOWN) => return Ok(Letter::default()),
        Some(code) => return Err(io::Error::from_raw_os_error(-of_datagrams(-code))),
    };
    let len = if is_cut { room.len() } else { count as usize };
    let namelen = message.namelen.clamp(0, address_size());
    // SAFETY: the system wrote the address and its length.
    let from = unsafe { SockAddr::new(address, namelen) };
    Ok(Letter { len, is_cut, segment: control.segment(), from: Some(from) })
}

fn address_size() -> i32 {
    i32::try_from(size_of::<socket2::SockAddrStorage>()).unwrap_or(0)
}

fn len_of(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}

/// Whether the system splits a buffer into datagrams: from Windows 10 2004 on, found out once.
pub(crate) fn splits(of: &Socket) -> bool {
    static SPLITS: OnceLock<bool> = OnceLock::new();
    *SPLITS.get_or_init(|| {
        let (mut size, mut len) = (0_u32, size_of::<u32>() as i32);
        let (at, len) = ((&raw mut size).cast(), &raw mut len);
        // SAFETY: the number and its length are valid for the call.
        unsafe { getsockopt(number(of), IPPROTO_UDP, UDP_SEND_MSG_SIZE, at, len) == 0 }
    })
}

/// A control message with a number, as `WSA_CMSG_DATA` and its like in ws2def.h lay it out: the data
/// begin at the next multiple of what a head is aligned to, and the length is without what fills up.
#[repr(C)]
struct Control {
    head: CMSGHDR,
    number: u32,
}

impl Control {
    /// What it says of datagrams that were joined (`UDP_COALESCED_INFO`).
    fn segment(&self) -> Option<u16> {
        let CMSGHDR { cmsg_len, cmsg_level, cmsg_type } = self.head;
        let is_ours = cmsg_level == IPPROTO_UDP && cmsg_type == UDP_COALESCED_INFO.cast_signed();
        let is_whole = cmsg_len >= offset_of!(Control, number) + size_of::<u32>();
        u16::try_from(self.number).ok().filter(|&len| is_ours && is_whole && len > 0)
    }
}

/// Sends a buffer as datagrams of so many bytes each, the last with what is left, without waiting
/// (WSASendMsg; `UDP_SEND_MSG_SIZE`, "IPPROTO_UDP socket options", which a message may have for itself).
///
/// # Errors
/// `WSAEINVAL` for datagrams of no bytes, and what the system says.
pub(crate) fn send_segments(
    of: &Socket,
    to: Option<&SockAddr>,
    bytes: &[u8],
    segment: u16,
) -> io::Result<usize> {
    if segment == 0 {
        return Err(io::Error::from_raw_os_error(WSAEINVAL));
    }
    let cmsg_len = offset_of!(Control, number) + size_of::<u32>();
    let head = CMSGHDR { cmsg_len, cmsg_level: IPPROTO_UDP, cmsg_type: UDP_SEND_MSG_SIZE };
    let mut control = Control { head, number: segment.into() };
    let mut buffer = WSABUF { buf: bytes.as_ptr().cast_mut(), len: len_of(bytes.len()) };
    let message = WSAMSG {
        name: to.map_or(ptr::null_mut(), |to| to.as_ptr().cast_mut().cast()),
        namelen: to.map_or(0, SockAddr::len),
        lpBuffers: &raw mut buffer,
        dwBufferCount: 1,
        Control: WSABUF { buf: (&raw mut control).cast(), len: size_of::<Control>() as u32 },
        dwFlags: 0,
    };
    let (mut sent, none) = (0, ptr::null_mut());
    // SAFETY: the message and all that it names live during the call, which does not overlap, and only
    // reads them.
    checked(unsafe { WSASendMsg(number(of), &raw const message, 0, &raw mut sent, none, None) })?;
    Ok(sent as usize)
}

/// Whether the system may join datagrams (`UDP_RECV_MAX_COALESCED_SIZE`, "IPPROTO_UDP socket options",
/// from Windows 10 2004 on), up to the longest that there can be.
pub(crate) fn join_datagrams(socket: &Socket, join: bool) -> io::Result<()> {
    let (most, len) = (if join { u32::from(u16::MAX) } else { 0 }, size_of::<u32>() as i32);
    let (option, at) = (UDP_RECV_MAX_COALESCED_SIZE, (&raw const most).cast());
    // SAFETY: the number lives during the call.
    checked(unsafe { setsockopt(number(socket), IPPROTO_UDP, option, at, len) }).map_err(|error| {
        match error.raw_os_error() {
            // A system before that, which says either.
            Some(WSAENOPROTOOPT | WSAEINVAL) => unsupported(),
            _ => error,
        }
    })
}

/// Takes the peer from a socket of datagrams: by a connect to an address of zeros (connect).
pub(crate) fn disconnect(socket: &Socket) -> io::Result<()> {
    use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
    let nobody: SocketAddr = if socket.local_addr()?.is_ipv6() {
        (Ipv6Addr::UNSPECIFIED, 0).into()
    } else {
        (Ipv4Addr::UNSPECIFIED, 0).into()
    };
    socket.connect(&nobody.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p79_a_long_backlog_is_asked_for_by_its_hint() {
        let asked = [0, 1, 200, 201, 1024, 65_535, i32::MAX].map(backlog);
        assert_eq!(asked, [0, 1, 200, -201, -1024, -65_535, -65_535]);
    }
}
