//! What the tests ask of Windows beside the library, as `system.rs` elsewhere.
#![expect(unsafe_code, reason = "a call of the system that no crate wraps")]

use std::fs::File;
use std::io::{Seek, Write};
use std::os::windows::fs::OpenOptionsExt;
use std::os::windows::io::AsRawSocket;
use std::rc::Rc;
use std::time::{Duration, Instant};

use socket2::Socket;
use tigereye::AsSource;
use windows_sys::Win32::Foundation::{
    ERROR_ACCESS_DENIED, ERROR_BROKEN_PIPE, ERROR_CANCELLED, ERROR_DIRECTORY, ERROR_FILE_EXISTS,
    ERROR_FILE_NOT_FOUND, ERROR_INVALID_HANDLE, ERROR_INVALID_PARAMETER, ERROR_PATH_NOT_FOUND,
};
use windows_sys::Win32::Networking::WinSock::{
    POLLRDBAND, POLLRDNORM, POLLWRNORM, WSAEADDRNOTAVAIL, WSAECONNREFUSED, WSAECONNRESET,
    WSAEHOSTUNREACH, WSAEINVAL, WSAEMSGSIZE, WSAENETUNREACH, WSAENOTCONN, WSAENOTSOCK, WSAPOLLFD,
    WSAPoll,
};
use windows_sys::Win32::Storage::FileSystem::{
    FILE_FLAG_BACKUP_SEMANTICS, FILE_FLAG_DELETE_ON_CLOSE, FILE_SHARE_DELETE, FILE_SHARE_READ,
    FILE_SHARE_WRITE,
};

use crate::bench::{Bench, HANG};

/// Something came.
pub(crate) const READABLE: i16 = POLLRDNORM;
/// There is room.
pub(crate) const WRITABLE: i16 = POLLWRNORM;
/// A byte of urgent data came.
pub(crate) const URGENT: i16 = POLLRDBAND;
/// What WSAPoll does not tell of a connection in which there are bytes yet: the peer sends no more; the
/// connection has an error, or is gone.
pub(crate) const ENDED: i16 = 0;
pub(crate) const FAILED: i16 = 0;
pub(crate) const GONE: i16 = 0;

/// Longer than a peer keeps an acknowledgment back, and than a sender waits before it sends a part of a
/// segment into a window that is smaller: nothing makes room after that.
const STILL: Duration = Duration::from_millis(300);

/// What the outcomes of cells call an error: as Unix does.
pub(crate) fn name_of(code: i32) -> Option<&'static str> {
    let name = match code {
        WSAEINVAL => "EINVAL",
        WSAENOTCONN => "ENOTCONN",
        WSAENOTSOCK => "ENOTSOCK",
        WSAEMSGSIZE => "EMSGSIZE",
        WSAECONNRESET => "ECONNRESET",
        WSAENETUNREACH | WSAEHOSTUNREACH => "ENETUNREACH",
        WSAECONNREFUSED => "ECONNREFUSED",
        WSAEADDRNOTAVAIL => "EADDRNOTAVAIL",
        _ => match code.cast_unsigned() {
            ERROR_ACCESS_DENIED => "EPERM",
            ERROR_BROKEN_PIPE => "EPIPE",
            ERROR_CANCELLED => "ECANCELED",
            ERROR_DIRECTORY => "ENOTDIR",
            ERROR_FILE_EXISTS => "EEXIST",
            ERROR_FILE_NOT_FOUND | ERROR_PATH_NOT_FOUND => "ENOENT",
            ERROR_INVALID_HANDLE => "EBADF",
            ERROR_INVALID_PARAMETER => "EINVAL",
            _ => return None,
        },
    };
    Some(name)
}

/// Which of `events` a socket has, after a wait for at most so many milliseconds.
fn poll(socket: &impl AsRawSocket, events: i16, milliseconds: i32) -> i16 {
    let socket = usize::try_from(socket.as_raw_socket()).expect("a socket's number");
    let mut entry = WSAPOLLFD { fd: socket, events, revents: 0 };
    // SAFETY: one entry, which lives during the call.
    let count = unsafe { WSAPoll(&raw mut entry, 1, milliseconds) };
    assert!(count >= 0, "WSAPoll: {}", std::io::Error::last_os_error());
    entry.revents
}

/// Waits until the system has seen what the peer did, where it tells.
#[track_caller]
pub(crate) fn settle(socket: &impl AsRawSocket, events: i16) {
    let hang = i32::try_from(HANG.as_millis()).expect("a few minutes");
    assert!(events == 0 || poll(socket, events, hang) != 0, "what the peer did does not arrive");
}

pub(crate) fn has(socket: &impl AsRawSocket, events: i16) -> bool {
    poll(socket, events, 0) & events != 0
}

/// Whether nothing can be received from a connection any more.
pub(crate) fn is_shut(socket: &Socket) -> bool {
    socket.set_nonblocking(true).expect("a mode");
    match socket.peek(&mut [std::mem::MaybeUninit::uninit()]) {
        Ok(count) => count == 0,
        Err(error) => error.kind() != std::io::ErrorKind::WouldBlock,
    }
}

/// There are no handles of other kinds than sockets and files.
pub(crate) fn pipe_to_read(_b: &Bench, _bytes: &[u8]) -> Rc<dyn AsSource> {
    unreachable!("a cell of such a handle is not run")
}

pub(crate) fn pipe_to_write(_b: &Bench) -> (Rc<dyn AsSource>, ()) {
    unreachable!("a cell of such a handle is not run")
}

/// A file that the system runs at this moment.
pub(crate) fn some_file(b: &Bench) -> Rc<dyn AsSource> {
    let path = std::env::current_exe().expect("this program");
    Rc::new(tigereye::File::from_std(&b.io, File::open(path).expect("it is there")))
}

pub(crate) fn some_directory(b: &Bench) -> Rc<dyn AsSource> {
    let mut options = File::options();
    options.read(true).custom_flags(FILE_FLAG_BACKUP_SEMANTICS);
    let directory = options.open(std::env::temp_dir()).expect("it is there");
    Rc::new(tigereye::File::from_std(&b.io, directory))
}

/// A file with these bytes, which is gone with its handle.
pub(crate) fn file_with(b: &Bench, bytes: &[u8]) -> Rc<dyn AsSource> {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let name = format!("tigereye-from-{}-{number}", std::process::id());
    let mut options = File::options();
    options.read(true).write(true).create(true).truncate(true);
    options.share_mode(FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE);
    options.custom_flags(FILE_FLAG_DELETE_ON_CLOSE);
    let mut file = options.open(std::env::temp_dir().join(name)).expect("a file is made");
    file.write_all(bytes).expect("there is room");
    file.rewind().expect("it has a position");
    Rc::new(tigereye::File::from_std(&b.io, file))
}

/// Sends what there is room for; says whether there is none, and will be none.
pub(crate) fn send_now(near: &Socket, _far: &Socket, bytes: &[u8]) -> (usize, bool) {
    near.set_nonblocking(true).expect("a mode");
    let begin = Instant::now();
    while begin.elapsed() < STILL {
        if let Ok(count) = near.send(bytes) {
            return (count, false);
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    (0, true)
}
