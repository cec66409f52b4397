//! What the tests ask of the system beside the library.
#![expect(unsafe_code, reason = "poll(2), raise(3), and a socket option that no crate wraps")]

use std::mem::MaybeUninit;
use std::os::fd::AsRawFd;

use socket2::{MsgHdr, Socket};

use crate::bench::HANG;

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

/// Sends the calling thread a signal, which has been handled when this returns.
pub(crate) fn raise() {
    // SAFETY: a plain call.
    assert_eq!(unsafe { libc::raise(libc::SIGUSR1) }, 0);
}

/// Whether nothing that was sent is on its way any more: it has arrived, or there is no room for it.
pub(crate) fn is_at_rest(socket: &Socket) -> bool {
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
