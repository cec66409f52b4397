//! How a file is opened.

use std::io;

use super::DirectIo;

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
    #[cfg(unix)]
    mode: u32,
    #[cfg(unix)]
    custom_flags: i32,
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
            #[cfg(unix)]
            mode: 0o666,
            #[cfg(unix)]
            custom_flags: 0,
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
    /// nothing but the cache.
    #[must_use]
    pub fn direct(mut self, direct: DirectIo) -> OpenOptions {
        self.direct = direct;
        self
    }

    pub(crate) fn wants_direct(&self) -> DirectIo {
        self.direct
    }

    #[cfg(unix)]
    pub(crate) fn permissions(&self) -> u32 {
        self.mode
    }

    /// Flags of open(2).
    ///
    /// # Errors
    /// `InvalidInput` for what contradicts itself, as in the standard library.
    #[cfg(unix)]
    pub(crate) fn flags(&self) -> io::Result<i32> {
        let access = match (self.read, self.write, self.append) {
            (true, false, false) => libc::O_RDONLY,
            (false, true, false) => libc::O_WRONLY,
            (true, true, false) => libc::O_RDWR,
            (false, _, true) => libc::O_WRONLY | libc::O_APPEND,
            (true, _, true) => libc::O_RDWR | libc::O_APPEND,
            (false, false, false) => return Err(invalid("neither read nor write is asked for")),
        };
        let makes = self.create || self.create_new;
        if (makes || self.truncate) && !self.write && !self.append {
            return Err(invalid("to create or truncate needs write"));
        }
        if self.truncate && self.append && !self.create_new {
            return Err(invalid("append and truncate contradict each other"));
        }
        let creation = match (self.create, self.truncate, self.create_new) {
            (_, _, true) => libc::O_CREAT | libc::O_EXCL,
            (true, true, false) => libc::O_CREAT | libc::O_TRUNC,
            (true, false, false) => libc::O_CREAT,
            (false, true, false) => libc::O_TRUNC,
            (false, false, false) => 0,
        };
        Ok(libc::O_CLOEXEC | access | creation | (self.custom_flags & !libc::O_ACCMODE))
    }
}

#[cfg(windows)]
impl OpenOptions {
    /// The standard library's options, for calls that overlap.
    ///
    /// # Errors
    /// `Unsupported` for limits to the path, and where direct transfers are required.
    pub(crate) fn to_std(&self) -> io::Result<std::fs::OpenOptions> {
        use std::os::windows::fs::OpenOptionsExt;
        if self.resolve != 0 || self.direct == DirectIo::Required {
            let message = "this system has no limits to a path, and no Direct I/O yet";
            return Err(io::Error::new(io::ErrorKind::Unsupported, message));
        }
        let mut options = std::fs::OpenOptions::new();
        options.read(self.read).write(self.write).append(self.append).truncate(self.truncate);
        options.create(self.create).create_new(self.create_new);
        options.custom_flags(windows_sys::Win32::Storage::FileSystem::FILE_FLAG_OVERLAPPED);
        Ok(options)
    }
}

#[cfg(unix)]
fn invalid(message: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, message)
}
