//! Sockets, as far as the peers need them: listen, connect, accept, and calls that never block.

use super::{check, check_len};
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

/// Connections that may wait to be accepted.
pub const BACKLOG: libc::c_int = 4096;

fn set(fd: RawFd, level: libc::c_int, name: libc::c_int, value: libc::c_int) -> io::Result<()> {
    let len = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: `value` is a live `c_int` and `len` is its size.
    check(unsafe { libc::setsockopt(fd, level, name, (&raw const value).cast(), len) })?;
    Ok(())
}

/// A listening socket. What it accepts inherits `TCP_NODELAY`, so no call per connection sets it.
pub fn listen(addr: SocketAddr) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(addr)?;
    let fd = listener.as_raw_fd();
    set(fd, libc::IPPROTO_TCP, libc::TCP_NODELAY, 1)?;
    // SAFETY: a call without pointers, on a descriptor that is ours. A second `listen` only
    // changes the backlog (listen(2)); the standard library gives 128.
    check(unsafe { libc::listen(fd, BACKLOG) })?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// A socket for datagrams, non-blocking.
pub fn datagrams(addr: SocketAddr) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind(addr)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// A socket for datagrams to and from one address, non-blocking.
pub fn connect_datagrams(addr: SocketAddr) -> io::Result<UdpSocket> {
    let any = if addr.is_ipv4() { "127.0.0.1:0" } else { "[::1]:0" };
    let socket = UdpSocket::bind(any)?;
    socket.connect(addr)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Closes a connection without leaving anything of it behind: no `TIME_WAIT`, for which ports
/// would run out (SO_LINGER in socket(7), and RFC 9293, 3.10.7.4).
pub fn forget(stream: TcpStream) -> io::Result<()> {
    let value = libc::linger { l_onoff: 1, l_linger: 0 };
    let (fd, len) = (stream.as_raw_fd(), size_of_val(&value) as libc::socklen_t);
    let at = (&raw const value).cast();
    // SAFETY: `value` is a live `linger` and `len` is its size.
    check(unsafe { libc::setsockopt(fd, libc::SOL_SOCKET, libc::SO_LINGER, at, len) })?;
    Ok(())
}

/// A connected, non-blocking socket without Nagle's delay.
pub fn connect(addr: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(addr)?;
    stream.set_nodelay(true)?;
    stream.set_nonblocking(true)?;
    Ok(stream)
}

/// Accepts one connection: non-blocking, close-on-exec.
pub fn accept(listener: RawFd) -> io::Result<OwnedFd> {
    let flags = libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    let (addr, len) = (std::ptr::null_mut(), std::ptr::null_mut());
    // SAFETY: null pointers ask for no address (accept4(2)).
    let fd = check(unsafe { libc::accept4(listener, addr, len, flags) })?;
    // SAFETY: the kernel just made this descriptor and nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Receives what is there. `WouldBlock` when nothing is.
pub fn recv(fd: RawFd, buf: &mut [u8]) -> io::Result<usize> {
    // SAFETY: `buf` is exclusively borrowed memory of that length.
    check_len(unsafe { libc::recv(fd, buf.as_mut_ptr().cast(), buf.len(), libc::MSG_DONTWAIT) })
}

/// Sends what the socket takes now. A peer that is gone is an error, never a signal.
pub fn send(fd: RawFd, buf: &[u8]) -> io::Result<usize> {
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    // SAFETY: `buf` is borrowed memory of that length.
    check_len(unsafe { libc::send(fd, buf.as_ptr().cast(), buf.len(), flags) })
}

/// Sends from a file what a non-blocking socket takes now (sendfile(2)). It has no flag against
/// SIGPIPE, which Rust's runtime has ignored since the start.
pub fn send_file(socket: RawFd, file: RawFd, offset: u64, len: u64) -> io::Result<usize> {
    let mut offset = offset as libc::off_t;
    // SAFETY: the pointer is to a live local that the call reads and writes.
    check_len(unsafe { libc::sendfile(socket, file, &raw mut offset, len as usize) })
}

/// A pipe, by which bytes move from a file to a socket.
pub struct Pipe {
    output: OwnedFd,
    input: OwnedFd,
}

impl Pipe {
    /// With room for `bytes` bytes, which blocks.
    pub fn new(bytes: u32) -> io::Result<Self> {
        let mut fds = [0; 2];
        // SAFETY: the pointer is to two numbers that live through the call.
        check(unsafe { libc::pipe2(fds.as_mut_ptr(), libc::O_CLOEXEC) })?;
        let [output, input] = fds.map(|fd| {
            // SAFETY: the kernel just made this descriptor and nobody else owns it.
            unsafe { OwnedFd::from_raw_fd(fd) }
        });
        // SAFETY: a call without pointers, on a descriptor that lives through it.
        check(unsafe { libc::fcntl(input.as_raw_fd(), libc::F_SETPIPE_SZ, bytes) })?;
        Ok(Self { output, input })
    }

    /// Where bytes go in.
    #[must_use]
    pub fn input(&self) -> RawFd {
        self.input.as_raw_fd()
    }

    /// Where they come out.
    #[must_use]
    pub fn output(&self) -> RawFd {
        self.output.as_raw_fd()
    }
}

/// An eventfd, non-blocking.
pub fn eventfd() -> io::Result<OwnedFd> {
    // SAFETY: a call without pointers.
    let fd = check(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) })?;
    // SAFETY: the kernel just made this descriptor and nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Reads an eight-byte counter (eventfd, timerfd).
pub fn read_counter(fd: RawFd) -> io::Result<u64> {
    let mut value = 0_u64;
    // SAFETY: the pointer is to eight bytes that live through the call.
    check_len(unsafe { libc::read(fd, (&raw mut value).cast(), 8) })?;
    Ok(value)
}

/// Adds to an eventfd.
pub fn write_counter(fd: RawFd, value: u64) -> io::Result<()> {
    // SAFETY: the pointer is to eight bytes that live through the call.
    check_len(unsafe { libc::write(fd, (&raw const value).cast(), 8) })?;
    Ok(())
}
