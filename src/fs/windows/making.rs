//! Making and opening a data file: calls that block, one after another, on a thread of the pool.
//!
//! ```text
//!  open or make, and lock ─▶ new: reserve, set the size ─┬▶ sync it ─▶ sync its directory
//!                     └────▶ not new: check the size ────┘
//! ```
//!
//! The lock is the way in which it is open: no other open may write to it, rename or remove it
//! ("Creating and Opening Files"). So it is locked from the first moment on, and all else is done
//! under the lock.
//!
//! Sources, in Microsoft's documentation: NtCreateFile, SetFileInformationByHandle, FlushFileBuffers.

use std::fs::File;
use std::io;
use std::os::windows::io::AsRawHandle;

use windows_sys::Wdk::Storage::FileSystem::{
    FILE_CREATE, FILE_DIRECTORY_FILE, FILE_NO_INTERMEDIATE_BUFFERING, FILE_NON_DIRECTORY_FILE,
    FILE_OPEN, FILE_OPEN_IF,
};
use windows_sys::Win32::Foundation::{
    GENERIC_READ, GENERIC_WRITE, STATUS_DELETE_PENDING, STATUS_SHARING_VIOLATION,
};
use windows_sys::Win32::Storage::FileSystem::{DELETE, FILE_ADD_FILE, FILE_SHARE_READ};

use super::metadata::{is_on_disk, standard};
use super::names::{self, Opening, SHARE_ALL};
use super::path::CPath;
use super::{allocate, error_of, set_len, sync, write_and_wait};
use crate::fs::how::{How, Made, check_size, in_use, invalid, write_zeroes};
use crate::offload::LentFd;
use crate::raw::OwnedFd;
use crate::{Allocation, DirectAlignment, DirectIo};

/// A file that this call is to make whole.
#[derive(Clone, Copy, PartialEq, Eq)]
enum New {
    /// It has made the name.
    Created,
    /// It was there, and empty.
    Empty,
}

impl How {
    /// The whole chain. A failure leaves its words here, for the loop carries but a code.
    pub(crate) fn call(&mut self, directory: Option<LentFd>) -> io::Result<OwnedFd> {
        match self.open(directory) {
            Ok((file, made)) => {
                self.made = made;
                Ok(file)
            }
            Err(error) => {
                self.failure = Some(error);
                Err(io::ErrorKind::Other.into())
            }
        }
    }

    fn open(&self, directory: Option<LentFd>) -> io::Result<(OwnedFd, Made)> {
        let (file, created) = self.open_or_create(directory)?;
        if !is_on_disk(file.as_raw_handle()) {
            return Err(invalid("it is no regular file"));
        }
        let size = standard(file.as_raw_handle())?.EndOfFile.cast_unsigned();
        let new = match created {
            true => Some(New::Created),
            false => (size == 0 && self.options.create).then_some(New::Empty),
        };
        let file = OwnedFd::from(file);
        let fd = LentFd::new(file.as_raw_fd());
        match self.set_up(directory, fd, size, new) {
            Ok(made) => Ok((file, made)),
            Err(error) => {
                // What it says in turn helps nobody.
                match new {
                    Some(New::Created) => drop(names::remove_open(&File::from(file))),
                    Some(New::Empty) => drop(set_len(fd, 0)),
                    None => {}
                }
                Err(error)
            }
        }
    }

    /// A file, and whether this call has made it.
    fn open_or_create(&self, directory: Option<LentFd>) -> io::Result<(File, bool)> {
        let options = &self.options;
        let (disposition, removes) = match (options.create_new, options.create) {
            (true, _) => (FILE_CREATE, DELETE),
            (false, true) => (FILE_OPEN_IF, DELETE),
            (false, false) => (FILE_OPEN, 0),
        };
        let direct = match options.direct {
            DirectIo::Off => 0,
            DirectIo::Optional | DirectIo::Required => FILE_NO_INTERMEDIATE_BUFFERING,
        };
        let how = Opening {
            access: GENERIC_READ | GENERIC_WRITE | removes,
            share: FILE_SHARE_READ,
            disposition,
            options: FILE_NON_DIRECTORY_FILE | direct,
        };
        names::open(directory, &self.path, how).map_err(|status| match status {
            // Who made it has failed, and removes it: as long as it is there it is theirs.
            STATUS_SHARING_VIOLATION | STATUS_DELETE_PENDING => in_use(),
            _ => error_of(status),
        })
    }

    fn set_up(
        &self,
        directory: Option<LentFd>,
        fd: LentFd,
        size: u64,
        new: Option<New>,
    ) -> io::Result<Made> {
        let options = &self.options;
        let direct = options.direct.apply_to(fd)?;
        let block = direct.map_or(1, |direct| direct.offset as u64);
        if !options.size.is_multiple_of(block) {
            let message = format!("the size must be a multiple of {block} for Direct I/O");
            return Err(invalid(&message));
        }
        let size = if new.is_some() {
            self.reserve(fd, direct)?;
            options.size
        } else {
            check_size(options, size, options.allow_larger)?;
            size
        };
        sync(fd, false)?;
        sync_directory(directory, &self.path)?;
        Ok(Made { direct, size, is_new: new.is_some() })
    }

    fn reserve(&self, fd: LentFd, direct: Option<DirectAlignment>) -> io::Result<()> {
        let size = self.options.size;
        match allocate(fd, 0, size, Allocation::Grow) {
            Err(error) if error.kind() == io::ErrorKind::Unsupported => {
                if !self.options.write_zeroes {
                    let message = "the file system cannot reserve room for a file";
                    return Err(io::Error::new(error.kind(), message));
                }
                write_zeroes(size, direct, |zeroes, at| write_and_wait(fd, zeroes, at))
            }
            result => result,
        }
    }
}

/// Has the name of a file last (P51). Where the process may not change the directory the system lets
/// nobody flush it, and has a file that was there before.
fn sync_directory(directory: Option<LentFd>, path: &CPath) -> io::Result<()> {
    let how = Opening {
        access: FILE_ADD_FILE,
        share: SHARE_ALL,
        disposition: FILE_OPEN,
        options: FILE_DIRECTORY_FILE,
    };
    let opened = names::open(directory, &path.split().0, how).map_err(error_of);
    let synced = opened.and_then(|(opened, _)| {
        let owned = OwnedFd::from(opened);
        sync(LentFd::new(owned.as_raw_fd()), false)
    });
    match synced {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        result => result,
    }
}
