//! Making and opening a data file: calls that block, one after another, on a thread of the pool.
//!
//! ```text
//!  find ──▶ open ─────────────┐
//!    └─▶ nothing: create ─────┴▶ lock ─▶ new: reserve, set the size ─┬▶ sync it ─▶ sync its directory
//!              ▲                  │ └──▶ not new: check the size ────┘
//!              └── removed by then ┘
//! ```
//!
//! I1. A file is changed, removed or found too small only under its lock.
//! I2. A new file gets its size in one step, behind its blocks: after a crash it is empty or whole,
//!     unless zeroes had to be written to it.
//!
//! Sources: open(2), flock(2), fallocate(2), fsync(2); `open_data_file` of TigerBeetle's `src/io`.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, FlockOperation, Mode, OFlags, SeekFrom, flock};
use rustix::io::{Errno, retry_on_intr};

use super::how::{How, Made, check_size, in_use, invalid, write_zeroes};
use super::{DataFileOptions, DirectAlignment, system};
use crate::offload::LentFd;

/// How often a file that others make and remove meanwhile is looked for.
const ATTEMPTS: u32 = 16;

/// A file that this call is to make whole.
enum New {
    /// It has made the name.
    Created,
    /// It was there, and empty.
    Empty,
}

/// A file that is open and locked.
struct Found {
    fd: OwnedFd,
    new: Option<New>,
    kind: FileType,
    size: u64,
}

impl How {
    /// The whole chain. A failure leaves its words here: the loop carries but a code, and would try
    /// again where that is `EAGAIN`, as of a lock.
    pub(crate) fn call(&mut self, directory: LentFd) -> Result<OwnedFd, Errno> {
        match self.open(directory) {
            Ok((fd, made)) => {
                self.made = made;
                Ok(fd)
            }
            // All is as it was before; it is done again.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(Errno::INTR),
            Err(error) => {
                self.failure = Some(error);
                Err(Errno::IO)
            }
        }
    }

    fn open(&self, directory: LentFd) -> io::Result<(OwnedFd, Made)> {
        let found = self.find(directory)?;
        match self.set_up(directory, &found) {
            Ok(made) => Ok((found.fd, made)),
            Err(error) => {
                // What it says in turn helps nobody.
                match found.new {
                    Some(New::Created) => drop(self.remove(directory)),
                    Some(New::Empty) => drop(rustix::fs::ftruncate(&found.fd, 0)),
                    None => {}
                }
                Err(error)
            }
        }
    }

    /// Opens it, or makes its name, and locks it.
    fn find(&self, directory: LentFd) -> io::Result<Found> {
        for _ in 0..ATTEMPTS {
            let Some((fd, created)) = self.open_or_create(directory)? else { continue };
            match retry_on_intr(|| flock(&fd, FlockOperation::NonBlockingLockExclusive)) {
                Ok(()) => {}
                // An empty file is for them to make whole.
                Err(Errno::WOULDBLOCK) => return Err(in_use()),
                Err(error) => {
                    if created {
                        let _ = self.remove(directory);
                    }
                    return Err(error.into());
                }
            }
            let stat = rustix::fs::fstat(&fd)?;
            let kind = FileType::from_raw_mode(stat.st_mode);
            let size = u64::try_from(stat.st_size).unwrap_or(0);
            let is_empty = kind == FileType::RegularFile && size == 0;
            let new = match (created, is_empty) {
                // Who made it has failed, and has removed it before it was locked here.
                _ if stat.st_nlink == 0 => continue,
                (true, true) => Some(New::Created),
                // Others had its lock before, and have made it whole.
                (true, false) if self.options.create_new => return Err(Errno::EXIST.into()),
                (false, true) if self.options.create => Some(New::Empty),
                _ => None,
            };
            return Ok(Found { fd, new, kind, size });
        }
        // A link that leads nowhere is there, and is not: it never ends otherwise.
        Err(Errno::EXIST.into())
    }

    /// A descriptor, and whether this call has made the name; nothing, where others make and remove
    /// it meanwhile.
    fn open_or_create(&self, directory: LentFd) -> io::Result<Option<(OwnedFd, bool)>> {
        let DataFileOptions { create, create_new, mode, .. } = self.options;
        let path = self.path.as_c_str();
        let open = |flags| {
            let flags = flags | OFlags::RDWR | OFlags::CLOEXEC;
            let mode = Mode::from_raw_mode(mode as rustix::fs::RawMode);
            retry_on_intr(|| rustix::fs::openat(directory, path, flags, mode))
        };
        if !create_new {
            let opened = existing(directory, path).and_then(|flags| Ok(open(flags)?));
            match opened {
                Ok(fd) => return Ok(Some((fd, false))),
                Err(error) if error.kind() == io::ErrorKind::NotFound && create => {}
                Err(error) if error.kind() == io::ErrorKind::ResourceBusy => return Err(in_use()),
                Err(error) => return Err(error),
            }
        }
        match open(OFlags::CREATE | OFlags::EXCL) {
            Ok(fd) => Ok(Some((fd, true))),
            Err(Errno::EXIST) if !create_new => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn remove(&self, directory: LentFd) -> Result<(), Errno> {
        rustix::fs::unlinkat(directory, self.path.as_c_str(), AtFlags::empty())
    }

    fn set_up(&self, directory: LentFd, found: &Found) -> io::Result<Made> {
        let fd = found.fd.as_fd();
        let direct = self.options.direct.apply_to(fd)?;
        let block = direct.map_or(1, |direct| direct.offset as u64);
        if !self.options.size.is_multiple_of(block) {
            let message = format!("the size must be a multiple of {block} for Direct I/O");
            return Err(invalid(&message));
        }
        let mut size = found.size;
        if found.kind == FileType::BlockDevice {
            // What `BLKGETSIZE64` says as well.
            size = rustix::fs::seek(fd, SeekFrom::End(0))?;
            rustix::fs::seek(fd, SeekFrom::Start(0))?;
            check_size(&self.options, size, true)?;
        } else if found.new.is_some() {
            self.allocate(fd, direct)?;
            size = self.options.size;
        } else {
            check_size(&self.options, size, self.options.allow_larger)?;
        }
        system::sync(fd, false)?;
        if found.kind == FileType::RegularFile {
            sync_directory(directory, self.path.as_c_str())?;
        }
        Ok(Made { direct, size, is_new: found.new.is_some() })
    }

    fn allocate(&self, fd: impl AsFd, direct: Option<DirectAlignment>) -> io::Result<()> {
        let size = self.options.size;
        match system::reserve(&fd, size) {
            Err(error) if error.kind() == io::ErrorKind::Unsupported => {
                if !self.options.write_zeroes {
                    let message = "the file system cannot reserve room for a file";
                    return Err(io::Error::new(error.kind(), message));
                }
                // As fallocate(2) does.
                write_zeroes(size, direct, |zeroes, at| Ok(rustix::io::pwrite(&fd, zeroes, at)?))
            }
            result => {
                result?;
                Ok(rustix::fs::ftruncate(fd, size)?)
            }
        }
    }
}

/// Flags to open what is there with: a block device for this open alone, which flock(2) does not ask
/// of those who mount it.
fn existing(directory: LentFd, path: &CStr) -> io::Result<OFlags> {
    let stat = rustix::fs::statat(directory, path, AtFlags::empty())?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Ok(OFlags::empty()),
        FileType::BlockDevice => Ok(OFlags::EXCL),
        FileType::Directory => Err(Errno::ISDIR.into()),
        // To open one may have a meaning of its own.
        _ => Err(invalid("it is neither a regular file nor a block device")),
    }
}

/// Has the name of a file last (P51).
fn sync_directory(directory: LentFd, path: &CStr) -> io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let opened = rustix::fs::openat(directory, parent(path.to_bytes()), flags, Mode::empty())?;
    match system::sync(opened, false) {
        // There are file systems that have nothing to sync there.
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
        result => result,
    }
}

/// The directory of a path.
fn parent(path: &[u8]) -> &[u8] {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(0) => b"/",
        Some(at) => &path[..at],
        None => b".",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p51_the_directory_of_a_path() {
        for (path, expected) in
            [("a", "."), ("/a", "/"), ("a/b", "a"), ("/a/b/c", "/a/b"), ("./a", "."), ("", ".")]
        {
            assert_eq!(parent(path.as_bytes()), expected.as_bytes());
        }
    }
}
