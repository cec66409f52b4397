//! Any descriptor: a pipe, a terminal, a device; and the standard streams.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, IntoRawFd, OwnedFd};

use rustix::fs::{Mode, OFlags};
use socket2::{SockRef, Type};

use super::stream::into_owned;
use crate::handle::Source;
use crate::op::read::{Read, ReadExact};
use crate::op::write::{Write, WriteAll};
use crate::{AsSource, Io, IoBuf, IoBufMut, Op};

/// A descriptor of any kind: a pipe, a terminal, a device, an eventfd, a file, a socket of another
/// kind. Use it with [`Io::read`] and [`Io::write`]; or wait with [`Io::readable`] and
/// [`Io::writable`], and use it as its kind wants.
///
/// It is left as it is, in blocking mode or not: that is a matter of all processes that share the
/// open file, as they do a terminal. To read and write at the same time, share it as
/// `Rc<Descriptor>`.
///
/// ```
/// use tigereye::{Descriptor, Io};
///
/// let io = Io::new()?;
/// let (reader, writer) = std::io::pipe()?;
/// let (reader, writer) = (Descriptor::new(&io, reader.into()), Descriptor::new(&io, writer.into()));
/// io.write_all(writer, "hello", |_writer, _io, _buf, result| result.unwrap());
/// io.read(reader, Vec::with_capacity(64), |_reader, _io, buf, result| {
///     assert_eq!((result.unwrap(), &buf[..]), (5, &b"hello"[..]));
/// });
/// io.run()?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Descriptor {
    source: Source,
}

impl AsSource for Descriptor {
    fn as_source(&self) -> &Source {
        &self.source
    }
}

impl Descriptor {
    /// Takes a descriptor over; it is closed when the handle is dropped.
    pub fn new(io: &Io, descriptor: OwnedFd) -> Descriptor {
        let is_of_datagrams =
            SockRef::from(&descriptor).r#type().is_ok_and(|kind| kind == Type::DGRAM);
        let make = if is_of_datagrams { Source::of_datagrams } else { Source::new };
        Descriptor { source: make(io, descriptor.into_raw_fd()) }
    }

    /// Gives the descriptor back.
    ///
    /// # Errors
    /// `NotConnected` when it is closed or has operations in flight.
    pub fn into_inner(self) -> io::Result<OwnedFd> {
        into_owned(&self.source)
    }
}

/// The standard input of the process, as a handle that can be dropped: the process keeps its own.
/// Make one and share it: two of them do not queue behind each other, and whoever reads from
/// [`std::io::stdin`] as well takes what this one does not see.
///
/// It is a duplicate; a terminal is opened once more, where that is allowed, so that it can be used
/// without blocking while other processes that share it find it as it was.
///
/// # Errors
/// What dup(2) says.
pub fn stdin(io: &Io) -> io::Result<Descriptor> {
    duplicate(io, io::stdin())
}

/// The standard output of the process, as [`stdin`] gives its input. Whoever reads it sees its end
/// when the process has closed its own: this one does not close that.
///
/// # Errors
/// What dup(2) says.
pub fn stdout(io: &Io) -> io::Result<Descriptor> {
    duplicate(io, io::stdout())
}

/// The standard error of the process, as [`stdout`] gives its output.
///
/// # Errors
/// What dup(2) says.
pub fn stderr(io: &Io) -> io::Result<Descriptor> {
    duplicate(io, io::stderr())
}

fn duplicate(io: &Io, stream: impl AsFd) -> io::Result<Descriptor> {
    let stream = stream.as_fd();
    let descriptor = match reopen(stream) {
        Some(descriptor) => descriptor,
        None => stream.try_clone_to_owned()?,
    };
    Ok(Descriptor::new(io, descriptor))
}

/// Opens a terminal by its name: with a flag `O_NONBLOCK` of its own.
fn reopen(terminal: BorrowedFd<'_>) -> Option<OwnedFd> {
    let name = rustix::termios::ttyname(terminal, Vec::new()).ok()?;
    if name.as_bytes().ends_with(b"ptmx") {
        // The end of who shows a terminal: to open that makes a new one.
        return None;
    }
    let mode = rustix::fs::fcntl_getfl(terminal).ok()? & OFlags::RWMODE;
    let flags = mode | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    rustix::fs::open(name, flags, Mode::empty()).ok()
}

impl Io {
    /// Reads from a descriptor of any kind into `buf`, a file from its own position on: as many
    /// bytes as are there, at least one, at most what fits. `Ok(0)` is the end: of a file, of a
    /// pipe that nobody writes to any more, of a terminal's input (Ctrl-D). A `Vec` reads into its
    /// spare capacity and grows by the result.
    ///
    /// A cancelled read has taken nothing. One that has begun to take something when it is cancelled
    /// completes with that.
    ///
    /// # Errors
    /// In the callback: `InvalidInput` when the buffer has no room, and what read(2) says: such as
    /// `EIO` of a terminal whose other end is gone, or that another job owns.
    ///
    /// # Platform
    /// With the readiness driver, what is not in memory of a file is read on the loop's pool
    /// ([`Builder::pool_threads`](crate::Builder::pool_threads)), as with [`read_at`](Io::read_at); so are, when they are ready, FIFOs
    /// and terminals, and outside Linux all descriptors without `O_NONBLOCK`. Where another process
    /// takes what was there, such a read waits there for more, and a cancel waits for it.
    /// [`stdin`] gives a terminal that needs no pool.
    ///
    /// # Sources
    /// read(2), preadv2(2), pipe(7), termios(3).
    pub fn read<C, B, F>(&self, descriptor: C, buf: B, callback: F) -> Op
    where
        C: AsSource + 'static,
        B: IoBufMut,
        F: FnOnce(C, &Io, B, io::Result<usize>) + 'static,
    {
        self.submit_on(Read::new(buf), descriptor, move |descriptor, io, (buf, result)| {
            callback(descriptor, io, buf, result);
        })
    }

    /// Reads exactly `count` bytes. On failure the bytes that came are in the buffer all the same (a
    /// `Vec` has grown by them).
    ///
    /// # Errors
    /// In the callback: `UnexpectedEof` when it ends early, `InvalidInput` when the buffer has less
    /// room, and as for [`read`](Io::read).
    pub fn read_exact<C, B, F>(&self, descriptor: C, buf: B, count: usize, callback: F) -> Op
    where
        C: AsSource + 'static,
        B: IoBufMut,
        F: FnOnce(C, &Io, B, io::Result<()>) + 'static,
    {
        let row = ReadExact::new(buf, count);
        self.submit_on(row, descriptor, move |descriptor, io, (buf, result)| {
            callback(descriptor, io, buf, result);
        })
    }

    /// Writes from `buf` to a descriptor of any kind, to a file at its own position: at least one
    /// byte, perhaps not all. An empty buffer completes without a call. No write raises SIGPIPE.
    ///
    /// # Errors
    /// In the callback: `BrokenPipe` when nobody reads any more, `StorageFull`, and what write(2)
    /// says.
    ///
    /// # Platform
    /// With the readiness driver as [`read`](Io::read), and at most `PIPE_BUF` bytes at a time to
    /// FIFOs and terminals. A terminal that is ready may have room for less: the write waits on the
    /// pool then, and a cancel waits for it. [`stdout`] gives a terminal that needs no pool. io_uring
    /// before Linux 6.18 does so with FIFOs.
    ///
    /// # Sources
    /// write(2), pwritev2(2), pipe(7).
    pub fn write<C, B, F>(&self, descriptor: C, buf: B, callback: F) -> Op
    where
        C: AsSource + 'static,
        B: IoBuf,
        F: FnOnce(C, &Io, B, io::Result<usize>) + 'static,
    {
        self.submit_on(Write::new(buf), descriptor, move |descriptor, io, (buf, result)| {
            callback(descriptor, io, buf, result);
        })
    }

    /// Writes all of `buf`. After an error it is not known how much of it was written.
    ///
    /// # Errors
    /// In the callback: `WriteZero` where a device takes nothing, and as for [`write`](Io::write).
    pub fn write_all<C, B, F>(&self, descriptor: C, buf: B, callback: F) -> Op
    where
        C: AsSource + 'static,
        B: IoBuf,
        F: FnOnce(C, &Io, B, io::Result<()>) + 'static,
    {
        self.submit_on(WriteAll::new(buf), descriptor, move |descriptor, io, (buf, result)| {
            callback(descriptor, io, buf, result);
        })
    }
}
