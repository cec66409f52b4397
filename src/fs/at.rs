//! Directories as handles, and paths that start there.

use std::io;
#[cfg(unix)]
use std::os::fd::OwnedFd;
#[cfg(windows)]
use std::os::windows::io::OwnedHandle;
use std::path::{Path, PathBuf};

#[cfg(windows)]
use crate::driver::DriverKind;
use crate::fs::path::{CPath, CPaths};
use crate::handle::Source;
use crate::state::Target;
use crate::{AsSource, File, Io};

/// An open directory. Paths [`at`](Directory::at) it start there, whatever it is called meanwhile
/// and whatever the process's working directory is.
///
/// Open one with [`Io::open_directory`].
///
/// # Platform
/// On Windows a path at a directory does not lead out of it by `..`: to take one that does is an error
/// of kind `Unsupported`.
#[derive(Debug)]
pub struct Directory {
    file: File,
}

impl Directory {
    pub(crate) fn new(file: File) -> Directory {
        Directory { file }
    }

    /// Takes over a descriptor of a directory.
    #[cfg(unix)]
    pub fn from_fd(io: &Io, descriptor: OwnedFd) -> Directory {
        Directory { file: File::from_fd(io, descriptor) }
    }

    /// Takes over a handle of a directory.
    #[cfg(windows)]
    pub fn from_handle(io: &Io, handle: OwnedHandle) -> Directory {
        Directory { file: File::from_handle(io, handle) }
    }

    /// Gives the handle back.
    ///
    /// # Errors
    /// `NotConnected` when it is closed or has operations in flight.
    #[cfg(windows)]
    pub fn into_handle(self) -> io::Result<OwnedHandle> {
        self.file.into_handle()
    }

    /// Gives the descriptor back.
    ///
    /// # Errors
    /// `NotConnected` when it is closed or has operations in flight.
    #[cfg(unix)]
    pub fn into_fd(self) -> io::Result<OwnedFd> {
        self.file.into_fd()
    }

    /// A path that starts in this directory, for the operations that take one. An absolute path
    /// starts at the root all the same.
    pub fn at<'a, P: AsRef<Path> + ?Sized>(&'a self, path: &'a P) -> At<'a> {
        At { directory: Some(self), path: path.as_ref() }
    }
}

impl AsSource for Directory {
    fn as_source(&self) -> &Source {
        self.file.as_source()
    }
}

/// Where a file is: a path from the process's working directory, or
/// [from an open one](Directory::at).
#[derive(Debug, Clone, Copy)]
pub struct At<'a> {
    directory: Option<&'a Directory>,
    path: &'a Path,
}

impl At<'_> {
    /// What the operation is pending on, so that the directory is not closed under it.
    pub(crate) fn target(&self, io: &Io) -> Target {
        match self.directory {
            Some(directory) => Target::from(directory.as_source().id(io)),
            None => Target::Nothing,
        }
    }

    #[cfg_attr(unix, expect(unused_variables, reason = "all hosts have paths of one kind"))]
    pub(crate) fn path(&self, io: &Io) -> io::Result<CPath> {
        #[cfg(windows)]
        if io.core.driver.kind == DriverKind::Sim {
            return CPath::literal(self.path);
        }
        #[cfg(windows)]
        if self.directory.is_some() {
            return CPath::below(self.path);
        }
        CPath::new(self.path)
    }

    /// This and another path for one operation, and what that is pending on.
    pub(crate) fn with(&self, to: &At<'_>, io: &Io) -> (Target, io::Result<CPaths>) {
        let id = |at: &At<'_>| at.directory.map(|directory| directory.as_source().id(io));
        let paths = || {
            if let (Some(one), Some(other)) = (id(self), id(to))
                && one != other
            {
                let message = "both paths must start in the same directory";
                return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
            }
            let (from_here, to_here) = (self.directory.is_some(), to.directory.is_some());
            Ok(CPaths { from: self.path(io)?, to: to.path(io)?, from_here, to_here })
        };
        let target = if self.directory.is_some() { self.target(io) } else { to.target(io) };
        (target, paths())
    }
}

impl<'a> At<'a> {
    /// As the process would have it.
    fn here(path: &'a Path) -> At<'a> {
        At { directory: None, path }
    }
}

impl<'a> From<&'a Path> for At<'a> {
    fn from(path: &'a Path) -> At<'a> {
        At::here(path)
    }
}

impl<'a> From<&'a PathBuf> for At<'a> {
    fn from(path: &'a PathBuf) -> At<'a> {
        At::here(path)
    }
}

impl<'a> From<&'a str> for At<'a> {
    fn from(path: &'a str) -> At<'a> {
        At::here(path.as_ref())
    }
}

impl<'a> From<&'a String> for At<'a> {
    fn from(path: &'a String) -> At<'a> {
        At::here(path.as_ref())
    }
}
