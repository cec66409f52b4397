//! splice(2), kept from waiting for either end, whatever their descriptors are set to.
//!
//! - A pipe is asked not to wait by a flag of the call (`SPLICE_F_NONBLOCK`).
//! - That flag says nothing to a socket of TCP, and to hardly any socket as a destination
//!   (`tcp_splice_read` in net/ipv4/tcp.c, `splice_to_socket` in fs/splice.c): for the length of the
//!   call it has a timeout, of a tick of the kernel's clock.
//! - A file waits for its disk alone.
//! - Of anything else, which is a device, it is known that it was ready a moment ago. A terminal that
//!   somebody stops waits all the same, as with a write on the pool (`net/attempt.rs`, I1 and I2).
//!
//! Linux alone has the call.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, RawFd};

use socket2::SockRef;

/// Whether a source that seems to have ended has more: splice(2) stops before urgent data for ever
/// (`tcp_read_sock` in net/ipv4/tcp.c), and a receive passes it.
pub(crate) fn has_urgent_data(from: impl AsFd) -> bool {
    let mut byte = [MaybeUninit::uninit()];
    let flags = libc::MSG_PEEK | libc::MSG_DONTWAIT;
    // What is no socket has ended.
    SockRef::from(&from).recv_with_flags(&mut byte, flags).is_ok_and(|count| count > 0)
}

#[cfg(target_os = "linux")]
mod linux {
    use std::time::Duration;

    use rustix::fs::OFlags;
    use rustix::io::Errno;
    use rustix::pipe::SpliceFlags;

    use super::super::{Kind, kind, poll_now, room_to_send};
    use super::{AsFd, RawFd, SockRef, io};
    use crate::offload::LentFd;

    /// Rounded up to a tick.
    const TIMEOUT: Duration = Duration::from_micros(1);
    /// The longest tick: a hundredth of a second.
    const TICK_MAX: Duration = Duration::from_millis(10);

    pub(crate) fn has_splice() -> io::Result<()> {
        Ok(())
    }

    /// Says of two descriptors what splice(2) would. It is asked before any wait: the wrong end of a
    /// pipe is never ready.
    pub(crate) fn check_splice(from: RawFd, to: RawFd) -> io::Result<()> {
        let (from, to) = (LentFd::new(from), LentFd::new(to));
        let mode = |fd| Ok::<_, io::Error>(rustix::fs::fcntl_getfl(fd)? & OFlags::ACCMODE);
        if mode(from)? == OFlags::WRONLY || mode(to)? == OFlags::RDONLY {
            return Err(Errno::BADF.into());
        }
        if kind(from) != Kind::Pipe && kind(to) != Kind::Pipe {
            return Err(Errno::INVAL.into());
        }
        Ok(())
    }

    /// How many bytes may be given to a descriptor in one call; 0: none before it is writable.
    pub(crate) fn room_to_splice(fd: RawFd) -> io::Result<usize> {
        let max = match kind(LentFd::new(fd)) {
            Kind::Socket => return room_to_send(fd),
            Kind::Device => libc::PIPE_BUF,
            Kind::Pipe | Kind::Other => usize::MAX,
        };
        Ok(if poll_now(fd, libc::POLLOUT)? == 0 { 0 } else { max })
    }

    /// Moves at most `count` bytes; 0 where the source has ended.
    pub(crate) fn splice(from: impl AsFd, to: impl AsFd, count: usize) -> io::Result<usize> {
        let (source, sink) = (SockRef::from(&from), SockRef::from(&to));
        briefly(
            || source.read_timeout(),
            |timeout| source.set_read_timeout(timeout),
            || {
                briefly(
                    || sink.write_timeout(),
                    |timeout| sink.set_write_timeout(timeout),
                    || {
                        let flags = SpliceFlags::NONBLOCK;
                        Ok(rustix::pipe::splice(&from, None, &to, None, count, flags)?)
                    },
                )
            },
        )
    }

    /// Makes a call with a short timeout, where there is one to set: a socket has it. A timeout that
    /// is short is left alone: another thread may have set it, just now, and is to take it back.
    fn briefly(
        get: impl FnOnce() -> io::Result<Option<Duration>>,
        set: impl Fn(Option<Duration>) -> io::Result<()>,
        call: impl FnOnce() -> io::Result<usize>,
    ) -> io::Result<usize> {
        let Ok(before) = get() else { return call() };
        if before.is_some_and(|before| before <= TICK_MAX) {
            return call();
        }
        set(Some(TIMEOUT))?;
        let result = call();
        // What was moved is not to be lost. It does not fail where the first one did not.
        let _ = set(before);
        result
    }
}

#[cfg(target_os = "linux")]
pub(crate) use linux::{check_splice, has_splice, room_to_splice, splice};

#[cfg(not(target_os = "linux"))]
mod elsewhere {
    use super::super::unsupported;
    use super::{AsFd, RawFd, io};

    pub(crate) fn has_splice() -> io::Result<()> {
        let message = "this system has no splice: it moves no bytes between descriptors by itself";
        Err(io::Error::new(io::ErrorKind::Unsupported, message))
    }

    pub(crate) fn check_splice(_from: RawFd, _to: RawFd) -> io::Result<()> {
        Err(unsupported())
    }

    pub(crate) fn room_to_splice(_fd: RawFd) -> io::Result<usize> {
        Err(unsupported())
    }

    pub(crate) fn splice(_from: impl AsFd, _to: impl AsFd, _count: usize) -> io::Result<usize> {
        Err(unsupported())
    }
}

#[cfg(not(target_os = "linux"))]
pub(crate) use elsewhere::{check_splice, has_splice, room_to_splice, splice};

#[cfg(all(test, target_os = "linux"))]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::io::{ErrorKind, Write};
    use std::net::{Ipv4Addr, TcpListener, TcpStream};

    use super::*;

    fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (near, listener.accept().unwrap().0)
    }

    /// As when somebody else took what poll(2) had seen.
    #[test]
    fn p59_a_call_waits_neither_for_a_silent_socket_nor_for_room_in_one() {
        let (near, far) = pair();
        let (reader, mut writer) = io::pipe().unwrap();
        let silent = splice(&near, &writer, 5).unwrap_err();
        assert_eq!(silent.kind(), ErrorKind::WouldBlock);
        near.set_nonblocking(true).unwrap();
        while (&near).write_all(&[0; 65_536]).is_ok() {}
        near.set_nonblocking(false).unwrap();
        let mut left = 0;
        let full = loop {
            if left == 0 {
                left = writer.write(&[1; 4096]).unwrap();
            }
            match splice(&reader, &near, left) {
                // What was on its way has made some room.
                Ok(moved) => left -= moved,
                Err(error) => break error,
            }
        };
        assert_eq!(full.kind(), ErrorKind::WouldBlock);
        assert_eq!(near.read_timeout().unwrap(), None, "they are as they were");
        assert_eq!(near.write_timeout().unwrap(), None);
        drop(far);
    }
}
