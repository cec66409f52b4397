//! How a file is opened.

use std::io;

#[cfg(windows)]
use windows_sys::Wdk::Storage::FileSystem::{
    FILE_CREATE, FILE_DIRECTORY_FILE, FILE_NO_INTERMEDIATE_BUFFERING, FILE_NON_DIRECTORY_FILE,
    FILE_OPEN, FILE_OPEN_IF, FILE_OVERWRITE, FILE_OVERWRITE_IF,
};
#[cfg(windows)]
use windows_sys::Win32::Foundation::{GENERIC_READ, GENERIC_WRITE};
#[cfg(windows)]
use windows_sys::Win32::Storage::FileSystem::{
    FILE_ADD_FILE, FILE_GENERIC_WRITE, FILE_LIST_DIRECTORY, FILE_TRAVERSE, FILE_WRITE_DATA,
};

#[cfg(windows)]
use super::system::{Opening, SHARE_ALL};
use super::{DirectIo, flags};

/// Options for opening a file: those of [`std::fs::OpenOptions`], with the same meaning.
///
/// ```
/// use tigereye::OpenOptions;
///
/// let options = OpenOptions::new().read(true).write(true).create(true);
/// # let _ = options;
/// ```
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "independent options, as in std")]
pub struct OpenOptions {
    read: bool,
    write: bool,
    append: bool,
    truncate: bool,
    create: bool,
    create_new: bool,
    mode: u32,
    #[cfg(unix)]
    custom_flags: i32,
    /// A directory, and nothing else.
    #[cfg(windows)]
    directory: bool,
    /// What the path may not lead through: the flags of openat2(2).
    resolve: u64,
    direct: DirectIo,
}

// From linux/openat2.h; they are the same on all processors.
const NO_XDEV: u64 = 0x01;
const NO_MAGICLINKS: u64 = 0x02;
const NO_SYMLINKS: u64 = 0x04;
const BENEATH: u64 = 0x08;

impl Default for OpenOptions {
    fn default() -> OpenOptions {
        OpenOptions::new()
    }
}

impl OpenOptions {
    /// Nothing: at least one kind of access is to be asked for.
    pub fn new() -> OpenOptions {
        OpenOptions {
            read: false,
            write: false,
            append: false,
            truncate: false,
            create: false,
            create_new: false,
            mode: 0o666,
            #[cfg(unix)]
            custom_flags: 0,
            #[cfg(windows)]
            directory: false,
            resolve: 0,
            direct: DirectIo::Off,
        }
    }

    /// For reading.
    #[must_use]
    pub fn read(mut self, read: bool) -> OpenOptions {
        self.read = read;
        self
    }

    /// For writing.
    #[must_use]
    pub fn write(mut self, write: bool) -> OpenOptions {
        self.write = write;
        self
    }

    /// For writing at its end, wherever that is by then, whatever offset a write names.
    #[must_use]
    pub fn append(mut self, append: bool) -> OpenOptions {
        self.append = append;
        self
    }

    /// Cut to length 0 when it is opened; needs `write`.
    #[must_use]
    pub fn truncate(mut self, truncate: bool) -> OpenOptions {
        self.truncate = truncate;
        self
    }

    /// Made where it does not exist; needs `write` or `append`.
    #[must_use]
    pub fn create(mut self, create: bool) -> OpenOptions {
        self.create = create;
        self
    }

    /// Made by this call, or an error of kind `AlreadyExists`; needs `write` or `append`.
    #[must_use]
    pub fn create_new(mut self, create_new: bool) -> OpenOptions {
        self.create_new = create_new;
        self
    }

    /// Permission bits of a file that is made, less those of the process's umask; 0o666 unless said.
    #[cfg(unix)]
    #[must_use]
    pub fn mode(mut self, mode: u32) -> OpenOptions {
        self.mode = mode;
        self
    }

    /// Further flags of open(2), such as `O_NOFOLLOW`. The access mode in them is ignored.
    #[cfg(unix)]
    #[must_use]
    pub fn custom_flags(mut self, flags: i32) -> OpenOptions {
        self.custom_flags = flags;
        self
    }

    /// Only by a path that stays below the directory that it starts in: an absolute path, a `..`
    /// that leaves it and a link to elsewhere are errors of kind `CrossesDevices` (`EXDEV`). It holds
    /// whatever others rename meanwhile, as no check of the path by itself does.
    ///
    /// # Platform
    /// This and the three limits below are openat2(2), from Linux 5.6 on; elsewhere to open with one
    /// of them is an error of kind `Unsupported`.
    ///
    /// ```
    /// use std::rc::Rc;
    /// use tigereye::{Io, OpenOptions};
    ///
    /// let io = Io::new()?;
    /// io.open_directory((), "/dev", |(), io, directory| {
    ///     let directory = Rc::new(directory.unwrap());
    ///     let options = OpenOptions::new().read(true).beneath(true);
    ///     io.open(Rc::clone(&directory), directory.at("null"), &options, |_, _io, file| {
    ///         file.unwrap();
    ///     });
    ///     io.open(Rc::clone(&directory), directory.at("../etc"), &options, |_, _io, file| {
    ///         file.unwrap_err();
    ///     });
    /// });
    /// io.run()?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use]
    pub fn beneath(self, beneath: bool) -> OpenOptions {
        self.limit(BENEATH, beneath)
    }

    /// Only by a path with no symbolic link in it: one is an error of kind `FilesystemLoop`
    /// (`ELOOP`).
    #[must_use]
    pub fn no_symlinks(self, no_symlinks: bool) -> OpenOptions {
        self.limit(NO_SYMLINKS, no_symlinks)
    }

    /// Only by a path with none of the links in it that lead to open files, as in `/proc/self/fd`:
    /// one is an error of kind `FilesystemLoop` (`ELOOP`).
    #[must_use]
    pub fn no_magic_links(self, no_magic_links: bool) -> OpenOptions {
        self.limit(NO_MAGICLINKS, no_magic_links)
    }

    /// Only by a path that stays on the mount where it starts: leaving it is an error of kind
    /// `CrossesDevices` (`EXDEV`).
    #[must_use]
    pub fn no_mount_crossing(self, no_mount_crossing: bool) -> OpenOptions {
        self.limit(NO_XDEV, no_mount_crossing)
    }

    fn limit(mut self, flag: u64, on: bool) -> OpenOptions {
        self.resolve = if on { self.resolve | flag } else { self.resolve & !flag };
        self
    }

    pub(crate) fn resolve(&self) -> u64 {
        self.resolve
    }

    /// Past the system's cache, where the disk can: buffers, offsets and lengths are to be aligned as
    /// [`File::direct_alignment`](crate::File::direct_alignment) says, and what is not is an error of
    /// kind `InvalidInput` that names it. An [`AlignedBuf`](crate::AlignedBuf) is. A read across the
    /// end of the file is short; a write is of whole blocks, and
    /// [`set_len`](crate::Io::set_len) cuts off what was too much.
    ///
    /// ```
    /// use tigereye::{AlignedBuf, DirectIo, Io, OpenOptions};
    ///
    /// let io = Io::new()?;
    /// # let directory = std::env::temp_dir().join(format!("tigereye-direct-{}", std::process::id()));
    /// # std::fs::create_dir_all(&directory)?;
    /// # let path = directory.join("file");
    /// let options = OpenOptions::new().write(true).create(true).direct(DirectIo::Optional);
    /// io.open((), &path, &options, |(), io, file| {
    ///     let file = file.unwrap();
    ///     let block = file.direct_alignment().map_or(1, |alignment| alignment.offset);
    ///     let mut buf = AlignedBuf::with_capacity(4096).unwrap();
    ///     buf.extend_from_slice(b"hello");
    ///     buf.resize(5_usize.next_multiple_of(block));
    ///     io.write_all_at(file, buf, 0, |_file, _io, _buf, result| result.unwrap());
    /// });
    /// io.run()?;
    /// # std::fs::remove_dir_all(&directory)?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Platform
    /// `O_DIRECT`, with the alignment that statx(2) tells from Linux 6.1 on; before that, and where a
    /// file system does not tell, 4,096 bytes are assumed, or the logical blocks of a disk. On macOS
    /// it is `F_NOCACHE`, which needs no alignment. tmpfs takes the flag from Linux 6.6 on, and has
    /// nothing but the cache. On Windows it is `FILE_FLAG_NO_BUFFERING`, with the alignment to sectors
    /// that the file system tells, or to 4,096 bytes; a file that is opened with
    /// [`append`](OpenOptions::append) has none there (NtCreateFile).
    #[must_use]
    pub fn direct(mut self, direct: DirectIo) -> OpenOptions {
        self.direct = direct;
        self
    }

    /// What was asked for.
    pub(crate) fn wants_direct(&self) -> DirectIo {
        self.direct
    }

    /// A directory, and nothing else.
    pub(crate) fn directory(self) -> OpenOptions {
        #[cfg(unix)]
        return self.custom_flags(flags::O_DIRECTORY);
        #[cfg(windows)]
        OpenOptions { directory: true, ..self }
    }

    pub(crate) fn permissions(&self) -> u32 {
        self.mode
    }

    /// # Errors
    /// `InvalidInput` for what contradicts itself, as in the standard library.
    fn check(&self) -> io::Result<()> {
        if !self.read && !self.write && !self.append {
            return Err(invalid("neither read nor write is asked for"));
        }
        let makes = self.create || self.create_new;
        if (makes || self.truncate) && !self.write && !self.append {
            return Err(invalid("to create or truncate needs write"));
        }
        if self.truncate && self.append && !self.create_new {
            return Err(invalid("append and truncate contradict each other"));
        }
        Ok(())
    }

    /// The flags that are this system's own.
    fn more_flags(&self) -> i32 {
        #[cfg(unix)]
        return self.custom_flags & !flags::O_ACCMODE;
        #[cfg(windows)]
        if self.directory { flags::O_DIRECTORY } else { 0 }
    }

    /// Flags of open(2), which a simulated host has on any system.
    ///
    /// # Errors
    /// As [`check`](OpenOptions::check).
    pub(crate) fn flags(&self) -> io::Result<i32> {
        self.check()?;
        let access = match (self.read, self.write, self.append) {
            (_, false, false) => flags::O_RDONLY,
            (false, true, false) => flags::O_WRONLY,
            (true, true, false) => flags::O_RDWR,
            (false, _, true) => flags::O_WRONLY | flags::O_APPEND,
            (true, _, true) => flags::O_RDWR | flags::O_APPEND,
        };
        let creation = match (self.create, self.truncate, self.create_new) {
            (_, _, true) => flags::O_CREAT | flags::O_EXCL,
            (true, true, false) => flags::O_CREAT | flags::O_TRUNC,
            (true, false, false) => flags::O_CREAT,
            (false, true, false) => flags::O_TRUNC,
            (false, false, false) => 0,
        };
        Ok(flags::O_CLOEXEC | access | creation | self.more_flags())
    }
}

#[cfg(windows)]
impl OpenOptions {
    /// How NtCreateFile is to open it: for calls that overlap. The rights of each kind of access, and
    /// what is made, are those of CreateFileW.
    ///
    /// # Errors
    /// As [`check`](OpenOptions::check); `Unsupported` for limits to the path, and where direct
    /// transfers are required of a file that appends.
    pub(crate) fn opening(&self) -> io::Result<Opening> {
        self.check()?;
        if self.resolve != 0 {
            let message = "this system has no limits to a path";
            return Err(io::Error::new(io::ErrorKind::Unsupported, message));
        }
        let reads = if self.read { GENERIC_READ } else { 0 };
        let writes = match (self.write, self.append) {
            // Without the right to write anywhere a file is written at its end.
            (_, true) => FILE_GENERIC_WRITE & !FILE_WRITE_DATA,
            (true, false) => GENERIC_WRITE,
            (false, false) => 0,
        };
        if self.directory {
            // To be synced a handle must be one that can change something (FlushFileBuffers).
            let access = FILE_LIST_DIRECTORY | FILE_TRAVERSE | FILE_ADD_FILE;
            let (disposition, options) = (FILE_OPEN, FILE_DIRECTORY_FILE);
            return Ok(Opening { access, share: SHARE_ALL, disposition, options });
        }
        let disposition = match (self.create, self.truncate, self.create_new) {
            (_, _, true) => FILE_CREATE,
            (true, true, false) => FILE_OVERWRITE_IF,
            (true, false, false) => FILE_OPEN_IF,
            (false, true, false) => FILE_OVERWRITE,
            (false, false, false) => FILE_OPEN,
        };
        let direct = match self.has_direct() {
            DirectIo::Off => 0,
            DirectIo::Optional | DirectIo::Required => FILE_NO_INTERMEDIATE_BUFFERING,
        };
        let options = FILE_NON_DIRECTORY_FILE | direct;
        if self.append {
            self.direct.require(None)?;
        }
        Ok(Opening { access: reads | writes, share: SHARE_ALL, disposition, options })
    }

    /// What there is of direct transfers: none for a file that appends (NtCreateFile,
    /// `FILE_NO_INTERMEDIATE_BUFFERING`).
    pub(crate) fn has_direct(&self) -> DirectIo {
        if self.append { DirectIo::Off } else { self.direct }
    }
}

fn invalid(message: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, message)
}
