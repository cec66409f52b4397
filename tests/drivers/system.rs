//! What the tests ask of the system beside the library; for Windows see `system_windows.rs`.
#![expect(unsafe_code, reason = "poll(2), raise(3), and a socket option that no crate wraps")]

use std::fs::File;
use std::io::Write;
use std::mem::MaybeUninit;
use std::os::fd::AsRawFd;
use std::rc::Rc;
use std::time::Duration;

use rustix::fs::{MemfdFlags, memfd_create};
use rustix::pipe::fcntl_setpipe_size;

use socket2::{MsgHdr, Socket};
use tigereye::{AsSource, Descriptor};

use crate::bench::{Bench, HANG};

/// Something came; there is room; the peer sends no more; the connection has an error, or is gone; a
/// byte of urgent data came.
pub(crate) use libc::{
    POLLERR as FAILED, POLLHUP as GONE, POLLIN as READABLE, POLLOUT as WRITABLE, POLLPRI as URGENT,
    POLLRDHUP as ENDED,
};

/// What the outcomes of cells call an error.
pub(crate) fn name_of(code: i32) -> Option<&'static str> {
    Some(match code {
        libc::EPERM => "EPERM",
        libc::EPIPE => "EPIPE",
        libc::EBADF => "EBADF",
        libc::EEXIST => "EEXIST",
        libc::EISDIR => "EISDIR",
        libc::ENOENT => "ENOENT",
        libc::ENOTDIR => "ENOTDIR",
        libc::ESPIPE => "ESPIPE",
        libc::EINVAL => "EINVAL",
        libc::ENOTCONN => "ENOTCONN",
        libc::ENOTSOCK => "ENOTSOCK",
        libc::EMSGSIZE => "EMSGSIZE",
        libc::ECANCELED => "ECANCELED",
        libc::ECONNRESET => "ECONNRESET",
        libc::ENETUNREACH => "ENETUNREACH",
        libc::ECONNREFUSED => "ECONNREFUSED",
        libc::EADDRNOTAVAIL => "EADDRNOTAVAIL",
        _ => return None,
    })
}

/// A pipe's end that is read from, with these bytes in it.
pub(crate) fn pipe_to_read(b: &Bench, bytes: &[u8]) -> Rc<dyn AsSource> {
    let (reader, mut writer) = std::io::pipe().expect("a pipe");
    writer.write_all(bytes).expect("there is room");
    Rc::new(Descriptor::new(&b.io, reader.into()))
}

/// A pipe's end that is written to, and its other end.
pub(crate) fn pipe_to_write(b: &Bench) -> (Rc<dyn AsSource>, impl Sized) {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    (Rc::new(Descriptor::new(&b.io, writer.into())), reader)
}

/// A file that the system runs at this moment.
pub(crate) fn some_file(b: &Bench) -> Rc<dyn AsSource> {
    let path = std::env::current_exe().expect("this program");
    Rc::new(Descriptor::new(&b.io, File::open(path).expect("it is there").into()))
}

pub(crate) fn some_directory(b: &Bench) -> Rc<dyn AsSource> {
    Rc::new(Descriptor::new(&b.io, File::open("/").expect("it is there").into()))
}

/// A file with these bytes, which is gone with its handle.
pub(crate) fn file_with(b: &Bench, bytes: &[u8]) -> Rc<dyn AsSource> {
    let mut file = File::from(memfd_create("from", MemfdFlags::CLOEXEC).expect("memory"));
    file.write_all(bytes).expect("there is room");
    Rc::new(Descriptor::new(&b.io, file.into()))
}

/// A pipe with these bytes, which ends behind them.
pub(crate) fn ending_pipe(b: &Bench, bytes: &[u8]) -> Rc<dyn AsSource> {
    let (reader, mut writer) = std::io::pipe().expect("a pipe");
    fcntl_setpipe_size(&writer, bytes.len().max(4096)).expect("a small pipe");
    writer.write_all(bytes).expect("there is room");
    Rc::new(Descriptor::new(&b.io, reader.into()))
}

/// Sends what there is room for; says whether there is none, and will be none.
pub(crate) fn send_now(near: &Socket, far: &Socket, bytes: &[u8]) -> (usize, bool) {
    // What is on its way makes room when it arrives: asked for before the send, not after.
    let at_rest = is_at_rest(near);
    match near.send_with_flags(bytes, libc::MSG_DONTWAIT) {
        Ok(count) => (count, false),
        Err(_) if at_rest && !has(near, WRITABLE) => (0, true),
        Err(_) => {
            // The peer would keep an acknowledgment back for a while.
            far.set_tcp_quickack(true).expect("an option");
            std::thread::sleep(Duration::from_micros(20));
            (0, false)
        }
    }
}

/// Which of `events` a descriptor has, after a wait for at most so many milliseconds.
fn poll(fd: &impl AsRawFd, events: i16, milliseconds: i32) -> i16 {
    let mut entry = libc::pollfd { fd: fd.as_raw_fd(), events, revents: 0 };
    // SAFETY: one entry, which lives during the call.
    let count = unsafe { libc::poll(&raw mut entry, 1, milliseconds) };
    assert!(count >= 0, "poll: {}", std::io::Error::last_os_error());
    entry.revents
}

/// Waits until the system has seen what the peer did.
#[track_caller]
pub(crate) fn settle(fd: &impl AsRawFd, events: i16) {
    let hang = i32::try_from(HANG.as_millis()).expect("a few minutes");
    assert_ne!(poll(fd, events, hang), 0, "what the peer did does not arrive");
}

pub(crate) fn has(fd: &impl AsRawFd, events: i16) -> bool {
    poll(fd, events, 0) & events != 0
}

/// Whether nothing can be received from a connection any more.
pub(crate) fn is_shut(socket: &Socket) -> bool {
    has(socket, ENDED)
}

/// Sends the calling thread a signal, which has been handled when this returns.
pub(crate) fn raise() {
    // SAFETY: a plain call.
    assert_eq!(unsafe { libc::raise(libc::SIGUSR1) }, 0);
}

/// Whether nothing that was sent is on its way any more: it has arrived, or there is no room for it.
fn is_at_rest(socket: &Socket) -> bool {
    let mut info = MaybeUninit::<libc::tcp_info>::zeroed();
    let mut len = u32::try_from(size_of::<libc::tcp_info>()).expect("a small structure");
    let (fd, at) = (socket.as_raw_fd(), info.as_mut_ptr().cast());
    // SAFETY: the structure and its length are valid for the call.
    let result =
        unsafe { libc::getsockopt(fd, libc::IPPROTO_TCP, libc::TCP_INFO, at, &raw mut len) };
    assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
    // SAFETY: zero is a valid value of each of its fields, and so is what the kernel wrote.
    unsafe { info.assume_init() }.tcpi_unacked == 0
}

/// Sends bytes with one descriptor, through a Unix socket (cmsg(3)).
pub(crate) fn send_with_descriptor(socket: &Socket, bytes: &[u8], descriptor: &impl AsRawFd) {
    let head = size_of::<libc::cmsghdr>() + size_of::<i32>();
    let mut control = head.to_ne_bytes().to_vec();
    for value in [libc::SOL_SOCKET, libc::SCM_RIGHTS, descriptor.as_raw_fd(), 0] {
        control.extend(value.to_ne_bytes());
    }
    let bufs = [std::io::IoSlice::new(bytes)];
    let message = MsgHdr::new().with_buffers(&bufs).with_control(&control);
    assert_eq!(
        socket.sendmsg(&message, libc::MSG_NOSIGNAL).expect("the peer is there"),
        bytes.len()
    );
}
