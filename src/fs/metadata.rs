//! What the system knows of a file.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::DirectAlignment;

/// What the system knows of a file, as [`Io::metadata`](crate::Io::metadata) and
/// [`Io::metadata_at`](crate::Io::metadata_at) found it: what [`std::fs::Metadata`] has, by the same
/// names, and what statx(2) knows beyond that.
///
/// # Platform
/// Windows knows no owner, group and permission bits: the first two are 0, and the bits are those of
/// all users, without those to write where a file has the attribute that says so. Its numbers of files
/// have 64 bits on NTFS; of longer ones (ReFS) it is the first part.
#[derive(Debug, Clone)]
pub struct Metadata {
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) len: u64,
    pub(crate) blocks: u64,
    pub(crate) blksize: u64,
    pub(crate) nlink: u64,
    pub(crate) ino: u64,
    pub(crate) dev: u64,
    pub(crate) rdev: u64,
    #[cfg(windows)]
    pub(crate) attributes: u32,
    pub(crate) accessed: SystemTime,
    pub(crate) modified: SystemTime,
    pub(crate) changed: SystemTime,
    pub(crate) created: Option<SystemTime>,
    pub(crate) mount_id: Option<u64>,
    pub(crate) direct_alignment: Option<DirectAlignment>,
}

// The type in a mode, the same on all systems that have one (inode(7)).
const TYPE: u32 = 0o170_000;
pub(super) const REGULAR: u32 = 0o100_000;
pub(super) const DIRECTORY: u32 = 0o040_000;
pub(super) const SYMLINK: u32 = 0o120_000;
pub(super) const FIFO: u32 = 0o010_000;
pub(super) const SOCKET: u32 = 0o140_000;
const BLOCK_DEVICE: u32 = 0o060_000;
pub(super) const CHARACTER_DEVICE: u32 = 0o020_000;

/// Bytes of the blocks in which the disk's space is counted.
#[cfg(windows)]
pub(super) const BLOCK_UNIT: u64 = 512;

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FileType {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A named pipe.
    Fifo,
    /// A Unix socket.
    Socket,
    /// A block device.
    BlockDevice,
    /// A character device.
    CharacterDevice,
    /// Something else, such as an eventfd.
    Unknown,
}

impl Metadata {
    /// What it is.
    pub fn file_type(&self) -> FileType {
        match self.mode & TYPE {
            REGULAR => FileType::File,
            DIRECTORY => FileType::Directory,
            SYMLINK => FileType::Symlink,
            FIFO => FileType::Fifo,
            SOCKET => FileType::Socket,
            BLOCK_DEVICE => FileType::BlockDevice,
            CHARACTER_DEVICE => FileType::CharacterDevice,
            _ => FileType::Unknown,
        }
    }

    /// Whether it is a regular file.
    pub fn is_file(&self) -> bool {
        self.file_type() == FileType::File
    }

    /// Whether it is a directory.
    pub fn is_dir(&self) -> bool {
        self.file_type() == FileType::Directory
    }

    /// Whether it is a symbolic link (that was not followed).
    pub fn is_symlink(&self) -> bool {
        self.file_type() == FileType::Symlink
    }

    /// Its length in bytes.
    #[expect(clippy::len_without_is_empty, reason = "as in std: a file is no collection")]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Its type and permission bits (`st_mode`, inode(7)).
    pub fn mode(&self) -> u32 {
        self.mode
    }

    /// The user that owns it.
    pub fn uid(&self) -> u32 {
        self.uid
    }

    /// The group that owns it.
    pub fn gid(&self) -> u32 {
        self.gid
    }

    /// What it takes on the disk, in units of 512 bytes.
    pub fn blocks(&self) -> u64 {
        self.blocks
    }

    /// The size of reads and writes that suits its file system, in bytes.
    pub fn blksize(&self) -> u64 {
        self.blksize
    }

    /// How many names it has.
    pub fn nlink(&self) -> u64 {
        self.nlink
    }

    /// Its number in its file system.
    pub fn ino(&self) -> u64 {
        self.ino
    }

    /// The device that its file system is on (makedev(3)).
    pub fn dev(&self) -> u64 {
        self.dev
    }

    /// Its attributes (`FILE_ATTRIBUTE_READONLY` and the like: "File Attribute Constants" in
    /// Microsoft's documentation).
    #[cfg(windows)]
    pub fn attributes(&self) -> u32 {
        self.attributes
    }

    /// The device that it stands for, if it is one.
    pub fn rdev(&self) -> u64 {
        self.rdev
    }

    /// When it was last read, as far as the file system keeps that.
    pub fn accessed(&self) -> SystemTime {
        self.accessed
    }

    /// When its contents last changed.
    pub fn modified(&self) -> SystemTime {
        self.modified
    }

    /// When it, or what is known of it, last changed.
    pub fn changed(&self) -> SystemTime {
        self.changed
    }

    /// When it was made, where the file system keeps that.
    pub fn created(&self) -> Option<SystemTime> {
        self.created
    }

    /// The mount that it was reached by, as in `/proc/self/mountinfo`.
    ///
    /// # Platform
    /// Linux, from 5.8 on; `None` elsewhere.
    pub fn mount_id(&self) -> Option<u64> {
        self.mount_id
    }

    /// What [direct](crate::OpenOptions::direct) transfers must be aligned to, where the file has them
    /// and the system tells.
    ///
    /// # Platform
    /// Linux, from 6.1 on, and Windows, of files and disks on file systems that tell; `None`
    /// elsewhere.
    pub fn direct_alignment(&self) -> Option<DirectAlignment> {
        self.direct_alignment
    }
}

/// A time as systems keep it: seconds since 1970, and nanoseconds on top of them.
pub(crate) fn time(seconds: i64, nanoseconds: u32) -> SystemTime {
    let distance = Duration::from_secs(seconds.unsigned_abs());
    let whole = match seconds {
        0.. => UNIX_EPOCH.checked_add(distance),
        _ => UNIX_EPOCH.checked_sub(distance),
    };
    let fraction = Duration::from_nanos(u64::from(nanoseconds));
    whole.and_then(|whole| whole.checked_add(fraction)).unwrap_or(UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_before_1970_and_beyond_all_time() {
        // Windows counts in units of 100 ns.
        assert_eq!(time(0, 700), UNIX_EPOCH + Duration::from_nanos(700));
        assert_eq!(time(-1, 999_999_900), UNIX_EPOCH - Duration::from_nanos(100));
        for (seconds, nanoseconds) in [(i64::MIN, 0), (i64::MAX, 0), (i64::MAX, u32::MAX)] {
            let _no_panic = time(seconds, nanoseconds);
        }
    }
}
