//! Moving bytes between descriptors of any kind.

use std::io;

use crate::op::splice::Splice;
use crate::{AsSource, Io, Op};

impl Io {
    /// Moves bytes from one descriptor to another, without a copy through user space (splice(2)): as
    /// many as are there and find room, at least one, at most `count`; 0 at the end of `from`, or
    /// where `count` is 0. The context names where they go, and the operation takes its place among
    /// the writes there. One of the two must be a pipe: from one socket to another they go by a pipe
    /// between them. A file is read, or written, at its own position, which moves; while its bytes are
    /// in a pipe they are still the file's, and a change of it may show. A pipe is full of so many
    /// pieces (16, unless it was made larger), however small they are.
    ///
    /// Neither end is set to anything, and `from` may be closed meanwhile; reads from it that run
    /// beside this take what this one then waits for. A cancelled splice has moved nothing. One that
    /// has begun when it is cancelled completes with what it moved.
    ///
    /// # Errors
    /// In the callback: `InvalidInput` (`EINVAL`) where neither is a pipe, both are the same one, or
    /// one of them cannot be spliced (a directory, an eventfd, a file opened for appending), `EBADF`
    /// where `from` is not open for reading or the other one not for writing, `NotConnected` where a
    /// handle is closed, `BrokenPipe` when nobody reads any more (and no SIGPIPE comes),
    /// `InvalidData` where urgent data is next in `from`, which a receive passes, and what
    /// splice(2), read(2) and write(2) say.
    ///
    /// # Platform
    /// Linux alone has it; elsewhere it is an error of kind `Unsupported`. On every driver the call
    /// runs on the loop's pool, once both ends are ready. It waits there for a disk; for a peer no
    /// longer than a tick of the system's clock, for which a socket has a timeout of its own
    /// (`SO_RCVTIMEO`, `SO_SNDTIMEO`). To a terminal it writes as [`write`](Io::write) does there.
    ///
    /// # Sources
    /// splice(2), pipe(7).
    ///
    /// ```
    /// use tigereye::{Descriptor, Io};
    ///
    /// let io = Io::new()?;
    /// let (from, mut writer) = std::io::pipe()?;
    /// let (mut reader, to) = std::io::pipe()?;
    /// std::io::Write::write_all(&mut writer, b"hello")?;
    /// let (from, to) = (Descriptor::new(&io, from.into()), Descriptor::new(&io, to.into()));
    /// io.splice(to, &from, 64, |_to, _io, result| match result {
    ///     Err(error) if error.kind() == std::io::ErrorKind::Unsupported => {}
    ///     result => assert_eq!(result.unwrap(), 5),
    /// });
    /// io.run()?;
    /// # drop(io);
    /// # #[cfg(target_os = "linux")]
    /// assert_eq!(std::io::read_to_string(&mut reader)?, "hello");
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn splice<C, S, F>(&self, to: C, from: &S, count: u64, callback: F) -> Op
    where
        C: AsSource + 'static,
        S: AsSource + ?Sized,
        F: FnOnce(C, &Io, io::Result<u64>) + 'static,
    {
        self.submit_on(Splice::new(self, from.as_source(), count, false), to, callback)
    }

    /// As [`splice`](Io::splice), until all is moved: fewer bytes than `count` are so many as `from`
    /// had when it ended, so that `u64::MAX` is all that comes. After an error, a cancel too, it is
    /// not known how many were moved.
    ///
    /// # Errors
    /// As [`splice`](Io::splice).
    pub fn splice_all<C, S, F>(&self, to: C, from: &S, count: u64, callback: F) -> Op
    where
        C: AsSource + 'static,
        S: AsSource + ?Sized,
        F: FnOnce(C, &Io, io::Result<u64>) + 'static,
    {
        self.submit_on(Splice::new(self, from.as_source(), count, true), to, callback)
    }
}
