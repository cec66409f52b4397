//! A file, and its operations.

use std::io;
#[cfg(unix)]
use std::os::fd::OwnedFd;
#[cfg(windows)]
use std::os::windows::io::OwnedHandle;

use super::Terms;
use crate::core::Held;
use crate::handle::Source;
use crate::net::into_owned;
use crate::op::allocate::Allocate;
use crate::op::append::Append;
use crate::op::metadata::Stat;
use crate::op::open::Open;
use crate::op::read_at::{ReadAt, ReadExactAt};
use crate::op::send_file::SendFile;
use crate::op::set_len::SetLen;
use crate::op::sync::Sync;
use crate::op::sync_range::SyncRange;
use crate::op::vectored_at::{ReadVectoredAt, WriteVectoredAt};
use crate::op::write_at::{WriteAllAt, WriteAt};
use crate::raw::IntoRawFd;
#[cfg(windows)]
use crate::raw::OwnedFd;
use crate::{
    AsSource, At, DirectAlignment, DirectIo, Directory, Io, IoBuf, IoBufMut, Metadata, Op,
    OpenOptions,
};

/// An open file. Any number of operations may be in flight on it at once, in no order among each
/// other: share it as `Rc<File>`.
///
/// Dropping it closes it on the loop's thread, as dropping one of the standard library's does, and
/// whatever close(2) says is lost; [`Io::close`] waits for nothing and tells.
///
/// With io_uring the kernel does what can block; with readiness the loop's pool does
/// ([`Builder::pool_threads`](crate::Builder::pool_threads)), and as many operations as it has
/// threads are under way at once.
///
/// ```
/// use tigereye::{Io, OpenOptions};
///
/// let io = Io::new()?;
/// # let directory = std::env::temp_dir().join(format!("tigereye-file-{}", std::process::id()));
/// # std::fs::create_dir_all(&directory)?;
/// # let path = directory.join("greeting");
/// let options = OpenOptions::new().read(true).write(true).create(true).truncate(true);
/// io.open((), &path, &options, |(), io, file| {
///     io.write_all_at(file.unwrap(), "hello", 0, |file, io, _buf, result| {
///         result.unwrap();
///         io.read_at(file, Vec::with_capacity(16), 1, |_file, _io, buf, result| {
///             assert_eq!((result.unwrap(), &buf[..]), (4, &b"ello"[..]));
///         });
///     });
/// });
/// io.run()?;
/// # std::fs::remove_dir_all(&directory)?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct File {
    source: Source,
    /// It was opened for calls that overlap, which the standard library does not make.
    #[cfg(windows)]
    overlaps: bool,
}

impl AsSource for File {
    fn as_source(&self) -> &Source {
        &self.source
    }
}

impl File {
    /// Takes over a file of the standard library.
    pub fn from_std(io: &Io, file: std::fs::File) -> File {
        File {
            source: Source::new(io, OwnedFd::from(file).into_raw_fd()),
            #[cfg(windows)]
            overlaps: false,
        }
    }

    /// Gives the file to the standard library.
    ///
    /// # Errors
    /// `NotConnected` when it is closed or has operations in flight.
    ///
    /// # Platform
    /// On Windows a file that [`Io::open`] has opened is `Unsupported`: it is open for calls that
    /// overlap, which the standard library does not make. `into_handle` gives what there is.
    pub fn into_std(self) -> io::Result<std::fs::File> {
        #[cfg(windows)]
        if self.overlaps {
            return Err(io::ErrorKind::Unsupported.into());
        }
        into_owned(&self.source).map(std::fs::File::from)
    }

    /// Operations in flight on this file.
    pub fn in_flight(&self) -> u32 {
        self.source.in_flight()
    }

    /// Takes over a descriptor; it is closed when the handle is dropped.
    #[cfg(unix)]
    pub fn from_fd(io: &Io, descriptor: OwnedFd) -> File {
        File { source: Source::new(io, descriptor.into_raw_fd()) }
    }

    /// Takes over a handle; it is closed when the file is dropped. Where it was opened for calls that
    /// overlap (`FILE_FLAG_OVERLAPPED`) they do, else the loop's pool makes them.
    #[cfg(windows)]
    pub fn from_handle(io: &Io, handle: OwnedHandle) -> File {
        File { source: Source::new(io, OwnedFd::File(handle).into_raw_fd()), overlaps: true }
    }

    /// Gives the handle back, which cannot be another loop's any more once it was used, and may be one
    /// for calls that overlap.
    ///
    /// # Errors
    /// `NotConnected` when it is closed or has operations in flight.
    #[cfg(windows)]
    pub fn into_handle(self) -> io::Result<OwnedHandle> {
        into_owned(&self.source).map(|owned| std::fs::File::from(owned).into())
    }

    /// Takes over a descriptor that was just opened, and has it go past the cache where that is
    /// asked for.
    pub(crate) fn opened(io: &Io, descriptor: Held, direct: DirectIo) -> io::Result<File> {
        let direct = direct.apply(&descriptor)?;
        Ok(File::with_terms(io, descriptor, Terms::new(direct, false)))
    }

    pub(crate) fn with_terms(io: &Io, descriptor: Held, terms: Terms) -> File {
        let file = File {
            source: Source::new(io, descriptor.into_raw_fd()),
            #[cfg(windows)]
            overlaps: true,
        };
        if terms != Terms::default() {
            file.source.set_terms(terms);
        }
        file
    }

    /// What reads and writes are to be aligned to, where they go past the system's cache
    /// ([`OpenOptions::direct`]); `None` where they do not.
    pub fn direct_alignment(&self) -> Option<DirectAlignment> {
        self.source.terms().direct
    }

    /// Gives the descriptor back.
    ///
    /// # Errors
    /// As [`into_std`](File::into_std).
    #[cfg(unix)]
    pub fn into_fd(self) -> io::Result<OwnedFd> {
        into_owned(&self.source)
    }

    /// Registers the file with io_uring, until it is closed or given away: the kernel then finds it
    /// without counting a reference for each read, write and sync at an offset, which saves some
    /// hundredths of the time of a read from memory (docs/performance.md). Says whether it is
    /// registered: a loop has places for 1024 files (fewer where the process may have fewer
    /// descriptors), and on readiness there are none. Nothing else changes.
    ///
    /// # Errors
    /// `NotConnected` when it is closed, and what io_uring_register(2) says.
    pub fn register(&self) -> io::Result<bool> {
        self.source.register()
    }
}

/// What room reserved beyond a file's end does to its length ([`Io::allocate`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Allocation {
    /// The file grows to it; what is added reads as zeroes.
    Grow,
    /// The length stays: later writes there find the room.
    KeepLen,
}

impl Io {
    /// Opens a directory, for paths that start there ([`Directory::at`]).
    ///
    /// # Errors
    /// In the callback: `NotADirectory`, and as for [`open`](Io::open).
    pub fn open_directory<'a, C, F>(&self, context: C, path: impl Into<At<'a>>, callback: F) -> Op
    where
        C: 'static,
        F: FnOnce(C, &Io, io::Result<Directory>) + 'static,
    {
        let options = OpenOptions::new().read(true).directory();
        self.open(context, path, &options, move |context, io, result| {
            callback(context, io, result.map(Directory::new));
        })
    }

    /// Reads into several buffers, one behind the other, from `offset` on (preadv(2)): at most what
    /// fits, perhaps less. One call fills at most 16 buffers.
    ///
    /// # Errors
    /// As [`read_at`](Io::read_at).
    ///
    /// # Platform
    /// On Windows the buffers are filled by a call each, on the loop's pool: what others write meanwhile
    /// may be seen in one and not in another (its ReadFileScatter fills whole pages alone).
    ///
    /// ```
    /// use tigereye::{File, Io};
    ///
    /// let io = Io::new()?;
    /// let file = File::from_std(&io, std::fs::File::open("/dev/zero")?);
    /// let bufs = vec![Vec::with_capacity(2), Vec::with_capacity(3)];
    /// io.read_vectored_at(file, bufs, 0, |_file, _io, bufs, result| {
    ///     assert_eq!((result.unwrap(), bufs), (5, vec![vec![0; 2], vec![0; 3]]));
    /// });
    /// io.run()?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn read_vectored_at<C, B, F>(&self, file: C, bufs: Vec<B>, offset: u64, callback: F) -> Op
    where
        C: AsSource + 'static,
        B: IoBufMut,
        F: FnOnce(C, &Io, Vec<B>, io::Result<usize>) + 'static,
    {
        let row = ReadVectoredAt::new(bufs, offset);
        self.submit_on(row, file, move |file, io, (bufs, result)| callback(file, io, bufs, result))
    }

    /// Writes several buffers, one behind the other, to `offset` on (pwritev(2)): at least one byte
    /// (unless all are empty), perhaps not all. One call writes at most 16 buffers.
    ///
    /// # Errors
    /// As [`write_at`](Io::write_at).
    ///
    /// # Platform
    /// On Windows the buffers are written by a call each, on the loop's pool: what others write
    /// meanwhile may come between them.
    pub fn write_vectored_at<C, B, F>(&self, file: C, bufs: Vec<B>, offset: u64, callback: F) -> Op
    where
        C: AsSource + 'static,
        B: IoBuf,
        F: FnOnce(C, &Io, Vec<B>, io::Result<usize>) + 'static,
    {
        let row = WriteVectoredAt::new(bufs, offset, false);
        self.submit_on(row, file, move |file, io, (bufs, result)| callback(file, io, bufs, result))
    }

    /// Writes all bytes of several buffers, one behind the other, to `offset` on. After an error it
    /// is not known how much of it was written.
    ///
    /// # Errors
    /// As [`write_at`](Io::write_at).
    ///
    /// ```
    /// use tigereye::{File, Io};
    ///
    /// let io = Io::new()?;
    /// let file = std::fs::File::options().write(true).open("/dev/null")?;
    /// let bufs = vec!["one", "two"];
    /// io.write_all_vectored_at(File::from_std(&io, file), bufs, 0, |_file, _io, _bufs, result| {
    ///     result.unwrap();
    /// });
    /// io.run()?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn write_all_vectored_at<C, B, F>(
        &self,
        file: C,
        bufs: Vec<B>,
        offset: u64,
        callback: F,
    ) -> Op
    where
        C: AsSource + 'static,
        B: IoBuf,
        F: FnOnce(C, &Io, Vec<B>, io::Result<()>) + 'static,
    {
        let row = WriteVectoredAt::new(bufs, offset, true);
        self.submit_on(row, file, move |file, io, (bufs, result)| {
            callback(file, io, bufs, result.map(drop));
        })
    }

    /// Writes from `buf` to the end of the file, wherever that is by then, in one step: what others
    /// append meanwhile comes before or after it. At least one byte is written (unless it is empty),
    /// perhaps not all.
    ///
    /// # Errors
    /// In the callback: as [`write_at`](Io::write_at).
    ///
    /// # Platform
    /// On Linux the file may have been opened in any way that allows writing (`RWF_APPEND`,
    /// pwritev2(2)), and on Windows as well (WriteFile, with an offset of all ones). Elsewhere only a
    /// file that was opened with [`append`](OpenOptions::append) has it; another is an error of kind
    /// `Unsupported`.
    ///
    /// ```
    /// use tigereye::{Io, OpenOptions};
    ///
    /// let io = Io::new()?;
    /// # let path = std::env::temp_dir().join(format!("tigereye-append-{}", std::process::id()));
    /// io.open((), &path, &OpenOptions::new().append(true).create(true), |(), io, file| {
    ///     io.append(file.unwrap(), "a line\n", |_file, _io, _buf, result| {
    ///         assert_eq!(result.unwrap(), 7);
    ///     });
    /// });
    /// io.run()?;
    /// # std::fs::remove_file(&path)?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn append<C, B, F>(&self, file: C, buf: B, callback: F) -> Op
    where
        C: AsSource + 'static,
        B: IoBuf,
        F: FnOnce(C, &Io, B, io::Result<usize>) + 'static,
    {
        self.submit_on(Append { buf }, file, move |file, io, (buf, result)| {
            callback(file, io, buf, result);
        })
    }

    /// Has the file system reserve room for `len` bytes from `offset` on, so that writes there find
    /// it (fallocate(2)). What is there stays, and what was a hole reads as zeroes.
    ///
    /// # Errors
    /// In the callback: `Unsupported` where the file system cannot (`EOPNOTSUPP`), `StorageFull`,
    /// `InvalidInput` when `len` is zero or either is over `i64::MAX`, `FileTooLarge`, and what
    /// fallocate(2) says. After an error part of the room may have been reserved.
    ///
    /// # Platform
    /// FreeBSD has [`Allocation::Grow`] alone (posix_fallocate(2)). macOS reserves room at the end of
    /// a file and not in its holes (`F_PREALLOCATE`), and another program that makes the file longer
    /// meanwhile may have it cut. On Windows it is so as well (`FileAllocationInfo` of
    /// SetFileInformationByHandle), and room beyond the end is given back when the file is closed.
    ///
    /// ```
    /// use tigereye::{Allocation, File, Io};
    ///
    /// let io = Io::new()?;
    /// # let path = std::env::temp_dir().join(format!("tigereye-allocate-{}", std::process::id()));
    /// let file = File::from_std(&io, std::fs::File::create(&path)?);
    /// io.allocate(file, 0, 1 << 20, Allocation::Grow, |_file, _io, result| match result {
    ///     Err(error) if error.kind() == std::io::ErrorKind::Unsupported => {}
    ///     result => result.unwrap(),
    /// });
    /// io.run()?;
    /// # std::fs::remove_file(&path)?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn allocate<C, F>(
        &self,
        file: C,
        offset: u64,
        len: u64,
        allocation: Allocation,
        callback: F,
    ) -> Op
    where
        C: AsSource + 'static,
        F: FnOnce(C, &Io, io::Result<()>) + 'static,
    {
        self.submit_on(Allocate { offset, len, allocation }, file, callback)
    }

    /// Asks what the system knows of an open file or [`Directory`].
    ///
    /// # Errors
    /// In the callback, what statx(2) says.
    ///
    /// ```
    /// use tigereye::{File, Io};
    ///
    /// let io = Io::new()?;
    /// let file = File::from_std(&io, std::fs::File::open("/dev/null")?);
    /// io.metadata(file, |_file, _io, result| assert!(!result.unwrap().is_file()));
    /// io.run()?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn metadata<C, F>(&self, file: C, callback: F) -> Op
    where
        C: AsSource + 'static,
        F: FnOnce(C, &Io, io::Result<Metadata>) + 'static,
    {
        self.submit_on(Stat::new(Ok(None), true), file, callback)
    }

    /// Writes what the system holds of `len` bytes from `offset` on to the disk, and waits for it; a
    /// `len` of zero is all from there on (sync_file_range(2)). It makes nothing certain: the file's
    /// length, where its bytes are on the disk, and what the disk holds in its own memory are not
    /// written. It keeps the work of a later [`sync_data`](Io::sync_data) small.
    ///
    /// # Errors
    /// In the callback: `InvalidInput` when the range ends beyond `i64::MAX`, `NotSeekable` for what
    /// is no file, and what sync_file_range(2) says.
    ///
    /// # Platform
    /// Systems other than Linux do [`sync_data`](Io::sync_data) instead.
    ///
    /// ```
    /// use tigereye::{File, Io};
    ///
    /// let io = Io::new()?;
    /// # let path = std::env::temp_dir().join(format!("tigereye-range-{}", std::process::id()));
    /// let file = File::from_std(&io, std::fs::File::create(&path)?);
    /// io.sync_range(file, 0, 1 << 20, |_file, _io, result| result.unwrap());
    /// io.run()?;
    /// # std::fs::remove_file(&path)?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn sync_range<C, F>(&self, file: C, offset: u64, len: u64, callback: F) -> Op
    where
        C: AsSource + 'static,
        F: FnOnce(C, &Io, io::Result<()>) + 'static,
    {
        self.submit_on(SyncRange { offset, len }, file, callback)
    }
}

impl Io {
    /// Sends up to `count` bytes of `file`, from `offset` on, to `stream`, without a copy through
    /// user space (sendfile(2)): at least one, perhaps not all; 0 where the file has no more. It
    /// takes its place among the sends on that stream.
    ///
    /// # Errors
    /// In the callback: `InvalidInput` where the offset is over `i64::MAX` and where the file is one
    /// that cannot be sent (of /proc, a pipe), `ENOTSOCK` where `stream` is not one, `BrokenPipe`
    /// when the peer is gone, and what sendfile(2) and send(2) say.
    ///
    /// # Platform
    /// On Unix sendfile(2) runs on the pool, once the stream has room, and waits there for the disk,
    /// never for the peer. On Linux the loop makes the call itself where nothing else waits for its
    /// thread, and all of the next 512 KiB lies in
    /// the page cache (cachestat(2), Linux 6.5; from 6.14 on it says so of files that the process owns
    /// or may write to) of a file system that has reads which do not wait: ext4, XFS and Btrfs, not that
    /// of a network. A page that is dropped just then holds the loop up for one read of the disk. With
    /// io_uring a TCP stream has `O_NONBLOCK` for the length of the call; to a Unix stream the pool
    /// sends. On Windows the system itself works at it (TransmitFile).
    pub fn send_file<C, S, F>(
        &self,
        stream: C,
        file: &S,
        offset: u64,
        count: u64,
        callback: F,
    ) -> Op
    where
        C: AsSource + 'static,
        S: AsSource + ?Sized,
        F: FnOnce(C, &Io, io::Result<u64>) + 'static,
    {
        let row = SendFile::new(self, file.as_source(), offset, count, false);
        self.submit_on(row, stream, callback)
    }

    /// As [`send_file`](Io::send_file), until all is sent: fewer bytes than `count` are so many as
    /// the file had when it ended. After an error it is not known how much was sent.
    ///
    /// # Errors
    /// As [`send_file`](Io::send_file).
    pub fn send_file_all<C, S, F>(
        &self,
        stream: C,
        file: &S,
        offset: u64,
        count: u64,
        callback: F,
    ) -> Op
    where
        C: AsSource + 'static,
        S: AsSource + ?Sized,
        F: FnOnce(C, &Io, io::Result<u64>) + 'static,
    {
        let row = SendFile::new(self, file.as_source(), offset, count, true);
        self.submit_on(row, stream, callback)
    }

    /// Opens a file, close-on-exec.
    ///
    /// # Errors
    /// In the callback: `InvalidInput` for options that contradict each other and for a path with a
    /// NUL in it, `Unsupported` for limits to its path ([`OpenOptions::beneath`]) where the system has
    /// none, and where [direct](OpenOptions::direct) transfers are required and the file has none (one
    /// that this call made stays), and what open(2) or openat2(2) says. An open that was cancelled
    /// after it had succeeded in the system gives the file all the same.
    ///
    /// # Platform
    /// On Windows a directory is opened by [`open_directory`](Io::open_directory) alone, and is an error
    /// of kind `IsADirectory` here; a path that leads through a file, as through a directory, is
    /// `NotFound`. Others can open, rename and remove what is open, as with the standard library; what
    /// another program does not share is an error (`ERROR_SHARING_VIOLATION`).
    ///
    /// To open the end of a pipe that has no other end yet waits for one; with the readiness driver
    /// it occupies a thread of the pool, and cannot be cancelled, until then.
    pub fn open<'a, C, F>(
        &self,
        context: C,
        path: impl Into<At<'a>>,
        options: &OpenOptions,
        callback: F,
    ) -> Op
    where
        C: 'static,
        F: FnOnce(C, &Io, io::Result<File>) + 'static,
    {
        let path = path.into();
        self.submit_to(
            Open::new(self, path.path(self), options),
            path.target(self),
            context,
            callback,
        )
    }

    /// Reads into `buf` from `offset` (in bytes) on: at most what fits, perhaps less. `Ok(0)` is the
    /// end of the file; a read across it is short (read(2)). A `Vec` reads into its spare capacity
    /// and grows by the result.
    ///
    /// # Errors
    /// In the callback: `InvalidInput` when the buffer has no room, the offset is over `i64::MAX` or
    /// a [direct](OpenOptions::direct) read is not aligned, `NotSeekable` where the handle has no offsets (a pipe, a terminal, a socket),
    /// and what pread(2) says.
    ///
    /// # Platform
    /// With the readiness driver it runs on the pool. On Linux up to 512 KiB that lie in the page cache are
    /// read at once, on the loop's thread, where the file system can say so (`RWF_NOWAIT`, preadv2(2)).
    pub fn read_at<C, B, F>(&self, file: C, buf: B, offset: u64, callback: F) -> Op
    where
        C: AsSource + 'static,
        B: IoBufMut,
        F: FnOnce(C, &Io, B, io::Result<usize>) + 'static,
    {
        self.submit_on(ReadAt { buf, offset }, file, move |file, io, (buf, result)| {
            callback(file, io, buf, result);
        })
    }

    /// Reads exactly `count` bytes from `offset` on. On failure the bytes that came are in the
    /// buffer all the same (a `Vec` has grown by them).
    ///
    /// # Errors
    /// In the callback: `UnexpectedEof` when the file ends before that, with a message that says
    /// after how many bytes, `InvalidInput` when the buffer has less room, and as for
    /// [`read_at`](Io::read_at).
    pub fn read_exact_at<C, B, F>(
        &self,
        file: C,
        buf: B,
        count: usize,
        offset: u64,
        callback: F,
    ) -> Op
    where
        C: AsSource + 'static,
        B: IoBufMut,
        F: FnOnce(C, &Io, B, io::Result<()>) + 'static,
    {
        let row = ReadExactAt::new(buf, count, offset);
        self.submit_on(row, file, move |file, io, (buf, result)| callback(file, io, buf, result))
    }

    /// Writes from `buf` to `offset` on: at least one byte (unless it is empty), perhaps not all. A
    /// file that was opened with [`append`](OpenOptions::append) is written at its end instead.
    ///
    /// # Errors
    /// In the callback: `InvalidInput` when the offset is over `i64::MAX` or a
    /// [direct](OpenOptions::direct) write is not aligned, `NotSeekable` where the handle has no
    /// offsets, `StorageFull`, `FileTooLarge` beyond what the file system or the
    /// process's limit allows, and what pwrite(2) says.
    pub fn write_at<C, B, F>(&self, file: C, buf: B, offset: u64, callback: F) -> Op
    where
        C: AsSource + 'static,
        B: IoBuf,
        F: FnOnce(C, &Io, B, io::Result<usize>) + 'static,
    {
        self.submit_on(WriteAt { buf, offset }, file, move |file, io, (buf, result)| {
            callback(file, io, buf, result);
        })
    }

    /// Writes all of `buf` to `offset` on. After an error it is not known how much of it was
    /// written.
    ///
    /// # Errors
    /// As [`write_at`](Io::write_at).
    pub fn write_all_at<C, B, F>(&self, file: C, buf: B, offset: u64, callback: F) -> Op
    where
        C: AsSource + 'static,
        B: IoBuf,
        F: FnOnce(C, &Io, B, io::Result<()>) + 'static,
    {
        let row = WriteAllAt::new(buf, offset);
        self.submit_on(row, file, move |file, io, (buf, result)| callback(file, io, buf, result))
    }

    /// Cuts the file to `len` bytes, or makes it so long; what is added reads as zeroes
    /// (ftruncate(2)).
    ///
    /// # Errors
    /// In the callback: `InvalidInput` where the file is not open for writing or `len` is over
    /// `i64::MAX`, `FileTooLarge`, and what ftruncate(2) says.
    pub fn set_len<C, F>(&self, file: C, len: u64, callback: F) -> Op
    where
        C: AsSource + 'static,
        F: FnOnce(C, &Io, io::Result<()>) + 'static,
    {
        self.submit_on(SetLen { len }, file, callback)
    }

    /// Writes what the system holds of a file to the disk, with all that is known about it
    /// (fsync(2)). A file that was made or renamed needs its directory synced as well: this takes a
    /// [`Directory`] too.
    ///
    /// # Errors
    /// In the callback, what fsync(2) says; on Windows `PermissionDenied` for what is not open for
    /// writing (FlushFileBuffers), and for a directory in which the process may make no file. What was
    /// not written may be lost then, although a
    /// second call succeeds: the system drops it (P50). A [`DataFile`](crate::DataFile) keeps failing.
    /// Syncs of a handle run one after another, in the order in which they were started.
    ///
    /// # Platform
    /// On macOS it is `F_FULLFSYNC`, for fsync(2) leaves it in the disk's own memory.
    pub fn sync<C, F>(&self, file: C, callback: F) -> Op
    where
        C: AsSource + 'static,
        F: FnOnce(C, &Io, io::Result<()>) + 'static,
    {
        let handle = file.as_source().id(self);
        self.submit_on(Sync { handle, data_only: false }, file, callback)
    }

    /// As [`sync`](Io::sync), without what is known about the file beyond its contents and length,
    /// such as its times (fdatasync(2)).
    ///
    /// # Errors
    /// As [`sync`](Io::sync).
    pub fn sync_data<C, F>(&self, file: C, callback: F) -> Op
    where
        C: AsSource + 'static,
        F: FnOnce(C, &Io, io::Result<()>) + 'static,
    {
        let handle = file.as_source().id(self);
        self.submit_on(Sync { handle, data_only: true }, file, callback)
    }
}
