//! A file as a database wants it: of a fixed size, its own alone, and on the disk.

use std::io;

use super::{DirectAlignment, DirectIo, How, Made, Terms};
use crate::core::Held;
use crate::handle::Source;
use crate::op::open_data_file::OpenDataFile;
use crate::{AsSource, At, File, Io, Op};

/// A file of a fixed size for one owner, opened by [`Io::open_data_file`]. It is read, written and
/// synced by the operations of a [`File`].
///
/// It has an exclusive lock (flock(2)), gone when the handle or the process is. On Windows that is the
/// way it is open: others can read it, and can neither write to it nor remove it. An operation that
/// is with the kernel's io_uring holds the file a little longer than a process that is killed, and a
/// process that starts another one has it open in that for a moment: who is told `WouldBlock` may
/// have to try again.
///
/// **A sync that failed stays failed**: the system drops what it could not write, and a second sync
/// would succeed although it is lost. So every later sync, write and
/// [`set_len`](Io::set_len) on this handle fails with the same error, until the file is opened again
/// and its contents are checked.
#[derive(Debug)]
pub struct DataFile {
    file: File,
    size: u64,
    is_new: bool,
}

impl AsSource for DataFile {
    fn as_source(&self) -> &Source {
        self.file.as_source()
    }
}

impl DataFile {
    pub(crate) fn new(io: &Io, descriptor: Held, made: &Made) -> DataFile {
        let Made { direct, size, is_new } = *made;
        let file = File::with_terms(io, descriptor, Terms::new(direct, true));
        DataFile { file, size, is_new }
    }

    /// In bytes, when it was opened.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Whether this open made it: it holds nothing but zeroes.
    pub fn is_new(&self) -> bool {
        self.is_new
    }

    /// As [`File::direct_alignment`].
    pub fn direct_alignment(&self) -> Option<DirectAlignment> {
        self.file.direct_alignment()
    }

    /// As [`File::register`].
    ///
    /// # Errors
    /// As [`File::register`].
    pub fn register(&self) -> io::Result<bool> {
        self.file.register()
    }
}

/// How a [`DataFile`] is opened.
#[derive(Debug, Clone, Copy)]
pub struct DataFileOptions {
    pub(crate) size: u64,
    pub(crate) create: bool,
    pub(crate) create_new: bool,
    pub(crate) mode: u32,
    pub(crate) direct: DirectIo,
    pub(crate) allow_larger: bool,
    pub(super) write_zeroes: bool,
}

impl DataFileOptions {
    /// An existing file of `size` bytes, through the system's cache.
    pub fn new(size: u64) -> DataFileOptions {
        DataFileOptions {
            size,
            create: false,
            create_new: false,
            mode: 0o600,
            direct: DirectIo::Off,
            allow_larger: false,
            write_zeroes: true,
        }
    }

    /// Made where it does not exist, or is empty: a machine that stops while one is made leaves
    /// an empty file.
    #[must_use]
    pub fn create(mut self, create: bool) -> DataFileOptions {
        self.create = create;
        self
    }

    /// Made by this call, or an error of kind `AlreadyExists`.
    #[must_use]
    pub fn create_new(mut self, create_new: bool) -> DataFileOptions {
        self.create_new = create_new;
        self
    }

    /// Permission bits of a file that is made, less those of the process's umask; 0o600 unless said.
    #[cfg(unix)]
    #[must_use]
    pub fn mode(mut self, mode: u32) -> DataFileOptions {
        self.mode = mode;
        self
    }

    /// Past the system's cache, as [`OpenOptions::direct`](crate::OpenOptions::direct); the size is
    /// to be a multiple of the alignment.
    #[must_use]
    pub fn direct(mut self, direct: DirectIo) -> DataFileOptions {
        self.direct = direct;
        self
    }

    /// Takes an existing file that is larger than was said.
    #[must_use]
    pub fn allow_larger(mut self, allow_larger: bool) -> DataFileOptions {
        self.allow_larger = allow_larger;
        self
    }

    /// Whether zeroes are written to a new file where the file system cannot reserve room for it
    /// (fallocate(2)), which takes its time; else that is an error. Written unless said.
    #[must_use]
    pub fn write_zeroes(mut self, write_zeroes: bool) -> DataFileOptions {
        self.write_zeroes = write_zeroes;
        self
    }
}

impl Io {
    /// Opens a file of a fixed size for this handle alone, or makes it: locked, with room for all of
    /// it reserved on the disk, and on the disk itself, with its name, before the callback runs. What
    /// a process that crashed had written is on the disk then, too: nothing is read that may be lost.
    ///
    /// The path may name a block device: it is as large as it is, nothing is reserved on it, and it is
    /// in use by nobody else (`O_EXCL`), not even mounted.
    ///
    /// All of it is one call on the loop's pool. It can be cancelled until a thread has taken it; a
    /// file that could not be made whole is removed.
    ///
    /// ```
    /// use tigereye::{DataFileOptions, DirectIo, Io};
    ///
    /// let io = Io::new()?;
    /// # let directory = std::env::temp_dir().join(format!("tigereye-data-{}", std::process::id()));
    /// # std::fs::create_dir_all(&directory)?;
    /// # let path = directory.join("data");
    /// let options = DataFileOptions::new(1 << 20).create(true).direct(DirectIo::Optional);
    /// io.open_data_file((), &path, &options, |(), _io, file| {
    ///     let file = file.unwrap();
    ///     assert!(file.is_new());
    ///     assert_eq!(file.size(), 1 << 20);
    /// });
    /// io.run()?;
    /// # std::fs::remove_dir_all(&directory)?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    /// In the callback: `WouldBlock` when another open has it, of this process or another;
    /// `NotFound`, `AlreadyExists`; `InvalidData` when it is smaller than was said, or larger and that
    /// is not allowed; `StorageFull` when there is no room for it; `Unsupported` where direct
    /// transfers are required, or room is to be reserved, and the file system has neither;
    /// `InvalidInput` for a size of 0 or over `i64::MAX`, or one that direct transfers cannot fill,
    /// and for what is neither a regular file nor a block device; and what open(2), flock(2),
    /// fallocate(2) and fsync(2) say.
    ///
    /// # Platform
    /// On NFS the lock is one of the whole cluster on Linux, and of the machine alone on macOS and
    /// FreeBSD. Those two, and Windows, have no block devices that this takes. On Windows the directory
    /// is synced where the process may add files to it, and the first write far behind all that was
    /// written before takes its time: what lies between is filled with zeroes then.
    pub fn open_data_file<'a, C, F>(
        &self,
        context: C,
        path: impl Into<At<'a>>,
        options: &DataFileOptions,
        callback: F,
    ) -> Op
    where
        C: 'static,
        F: FnOnce(C, &Io, io::Result<DataFile>) + 'static,
    {
        let path = path.into();
        let how = path.path(self).and_then(|name| How::new(name, options));
        self.submit_to(OpenDataFile { how }, path.target(self), context, callback)
    }
}
