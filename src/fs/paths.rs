//! What is done by paths: names that come, change and go.
//!
//! A system that loses power may forget all of it until the directory is synced
//! ([`Io::sync`] of a [`Directory`](crate::Directory), P51).

use std::io;
use std::path::Path;

use crate::fs::path::CPath;
use crate::op::create_directory::CreateDirectory;
use crate::op::hard_link::HardLink;
use crate::op::metadata::Stat;
use crate::op::remove::Remove;
use crate::op::rename::Rename;
use crate::op::symlink::Symlink;
use crate::{At, Io, Metadata, Op};

/// What a rename does where the new name is taken ([`Io::rename_with`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Renaming {
    /// The file that has it loses it: there is always one that has it.
    #[default]
    Replace,
    /// The rename is an error of kind `AlreadyExists`.
    NoReplace,
    /// The two exchange their names; to have nothing to exchange with is an error.
    Exchange,
}

impl Io {
    /// Asks what the system knows of what is at a path; of a symbolic link itself, unless `follow`.
    ///
    /// # Errors
    /// In the callback: `InvalidInput` for a path with a NUL in it, `NotFound`, and what statx(2)
    /// says.
    ///
    /// # Platform
    /// On Windows what is mounted in a directory counts as a symbolic link, as in the standard library.
    ///
    /// ```
    /// use tigereye::Io;
    ///
    /// let io = Io::new()?;
    /// # let directory = std::env::temp_dir().join(format!("tigereye-metadata-at-{}", std::process::id()));
    /// # std::fs::create_dir_all(&directory)?;
    /// io.metadata_at((), &directory.join("nobody"), true, |(), _io, result| {
    ///     assert_eq!(result.unwrap_err().kind(), std::io::ErrorKind::NotFound);
    /// });
    /// io.metadata_at((), &directory, true, |(), _io, result| assert!(result.unwrap().is_dir()));
    /// io.run()?;
    /// # std::fs::remove_dir_all(&directory)?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn metadata_at<'a, C, F>(
        &self,
        context: C,
        path: impl Into<At<'a>>,
        follow: bool,
        callback: F,
    ) -> Op
    where
        C: 'static,
        F: FnOnce(C, &Io, io::Result<Metadata>) + 'static,
    {
        let path = path.into();
        let row = Stat::new(path.path(self).map(Some), follow);
        self.submit_to(row, path.target(self), context, callback)
    }

    /// Gives a file or directory another name; what has that name already is replaced (rename(2)).
    /// Both paths may start in one [`Directory`](crate::Directory), or one of them in the working
    /// directory.
    ///
    /// Only when the directory is synced ([`sync`](Io::sync)) will the new name outlast a loss of
    /// power.
    ///
    /// # Errors
    /// In the callback: `InvalidInput` for a path with a NUL in it and for paths that start in two
    /// directories, `NotFound`, `CrossesDevices` between file systems, `DirectoryNotEmpty`,
    /// `IsADirectory` and `NotADirectory` where the two are of different kinds, and what rename(2)
    /// says.
    ///
    /// # Platform
    /// On Windows a file is replaced though others have it open, from Windows 10 1809 on and where the
    /// file system can (`FILE_RENAME_POSIX_SEMANTICS`: NTFS); else that is `PermissionDenied`. So it is
    /// where a directory is to take another one's name, or has open files in it, and what others have
    /// open without sharing it (`FILE_SHARE_DELETE`) keeps its name.
    ///
    /// ```
    /// use std::rc::Rc;
    /// use tigereye::Io;
    ///
    /// let io = Io::new()?;
    /// # let directory = std::env::temp_dir().join(format!("tigereye-rename-{}", std::process::id()));
    /// # std::fs::create_dir_all(&directory)?;
    /// # std::fs::write(directory.join("new"), "whole")?;
    /// io.open_directory((), &directory, |(), io, opened| {
    ///     let place = Rc::new(opened.unwrap());
    ///     let context = Rc::clone(&place);
    ///     io.rename(context, place.at("new"), place.at("current"), |place, io, result| {
    ///         result.unwrap();
    ///         io.sync(place, |_place, _io, result| result.unwrap());
    ///     });
    /// });
    /// io.run()?;
    /// # std::fs::remove_dir_all(&directory)?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn rename<'a, 'b, C, F>(
        &self,
        context: C,
        from: impl Into<At<'a>>,
        to: impl Into<At<'b>>,
        callback: F,
    ) -> Op
    where
        C: 'static,
        F: FnOnce(C, &Io, io::Result<()>) + 'static,
    {
        self.rename_with(context, from, to, Renaming::Replace, callback)
    }

    /// As [`rename`](Io::rename), with a say in what happens where the new name is taken
    /// (renameat2(2)).
    ///
    /// # Errors
    /// As [`rename`](Io::rename); `AlreadyExists`; `InvalidInput` on a file system that only
    /// replaces.
    ///
    /// # Platform
    /// Linux and macOS; on FreeBSD all but [`Renaming::Replace`] is an error of kind `Unsupported`, and
    /// on Windows [`Renaming::Exchange`] (its FILE_RENAME_INFORMATION has no such thing).
    ///
    /// ```
    /// use tigereye::Io;
    ///
    /// let io = Io::new()?;
    /// # let directory = std::env::temp_dir().join(format!("tigereye-rename-with-{}", std::process::id()));
    /// # std::fs::create_dir_all(&directory)?;
    /// use tigereye::Renaming;
    ///
    /// # let (one, other) = (directory.join("one"), directory.join("other"));
    /// # std::fs::write(&one, "1")?;
    /// # std::fs::write(&other, "2")?;
    /// io.rename_with((), &one, &other, Renaming::NoReplace, |(), _io, result| {
    ///     assert_eq!(result.unwrap_err().kind(), std::io::ErrorKind::AlreadyExists);
    /// });
    /// io.run()?;
    /// # std::fs::remove_dir_all(&directory)?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn rename_with<'a, 'b, C, F>(
        &self,
        context: C,
        from: impl Into<At<'a>>,
        to: impl Into<At<'b>>,
        renaming: Renaming,
        callback: F,
    ) -> Op
    where
        C: 'static,
        F: FnOnce(C, &Io, io::Result<()>) + 'static,
    {
        let (target, paths) = from.into().with(&to.into(), self);
        self.submit_to(Rename { paths, renaming }, target, context, callback)
    }

    /// Gives the file at `original` a further name, `link` (link(2)). A symbolic link at `original`
    /// gets that name itself.
    ///
    /// # Errors
    /// In the callback: `InvalidInput` as for [`rename`](Io::rename), `AlreadyExists`,
    /// `CrossesDevices`, `PermissionDenied` for a directory, and what link(2) says.
    ///
    /// # Platform
    /// Linux before 5.15 has it on the loop's pool. On Windows the file systems have it that
    /// FILE_LINK_INFORMATION names: NTFS.
    ///
    /// ```
    /// use tigereye::Io;
    ///
    /// let io = Io::new()?;
    /// # let directory = std::env::temp_dir().join(format!("tigereye-hard-link-{}", std::process::id()));
    /// # std::fs::create_dir_all(&directory)?;
    /// # let (one, other) = (directory.join("one"), directory.join("other"));
    /// # std::fs::write(&one, "1")?;
    /// io.hard_link((), &one, &other, |(), _io, result| result.unwrap());
    /// io.run()?;
    /// # std::fs::remove_dir_all(&directory)?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn hard_link<'a, 'b, C, F>(
        &self,
        context: C,
        original: impl Into<At<'a>>,
        link: impl Into<At<'b>>,
        callback: F,
    ) -> Op
    where
        C: 'static,
        F: FnOnce(C, &Io, io::Result<()>) + 'static,
    {
        let (target, paths) = original.into().with(&link.into(), self);
        self.submit_to(HardLink { paths }, target, context, callback)
    }

    /// Makes a symbolic link at `link` that leads to `original`, which is taken as it is: a relative
    /// one starts where the link is, and nothing need be there (symlink(2)).
    ///
    /// # Errors
    /// In the callback: `InvalidInput` for a path with a NUL in it, `AlreadyExists`, `NotFound` for
    /// an empty path, and what symlink(2) says.
    ///
    /// # Platform
    /// Linux before 5.15 has it on the loop's pool. On Windows the user needs the right to make such
    /// links, or the developer mode (`ERROR_PRIVILEGE_NOT_HELD`, CreateSymbolicLinkW). A link leads to
    /// directories there if it does when it is made, or to files; and one that is made at a
    /// [`Directory`](crate::Directory) is made where that was when the call began.
    ///
    /// ```
    /// use tigereye::Io;
    ///
    /// let io = Io::new()?;
    /// # let directory = std::env::temp_dir().join(format!("tigereye-symlink-{}", std::process::id()));
    /// # std::fs::create_dir_all(&directory)?;
    /// io.symlink((), "elsewhere", &directory.join("link"), |(), _io, result| result.unwrap());
    /// io.run()?;
    /// # std::fs::remove_dir_all(&directory)?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn symlink<'a, C, F>(
        &self,
        context: C,
        original: impl AsRef<Path>,
        link: impl Into<At<'a>>,
        callback: F,
    ) -> Op
    where
        C: 'static,
        F: FnOnce(C, &Io, io::Result<()>) + 'static,
    {
        let link = link.into();
        let row = Symlink::new(CPath::literal(original.as_ref()), link.path(self));
        self.submit_to(row, link.target(self), context, callback)
    }

    /// Takes a name from a file (unlink(2)). A file without a name goes when nobody has it open.
    /// A symbolic link goes itself.
    ///
    /// # Errors
    /// In the callback: `InvalidInput` for a path with a NUL in it, `NotFound`, `IsADirectory`
    /// (`PermissionDenied` on macOS), and what unlink(2) says.
    ///
    /// # Platform
    /// On Windows a file that others have open loses its name at once from Windows 10 1809 on, where the
    /// file system can (`FILE_DISPOSITION_POSIX_SEMANTICS`: NTFS), else when the last of them closes it;
    /// it keeps it where one of them does not share that (`FILE_SHARE_DELETE`).
    ///
    /// ```
    /// use tigereye::Io;
    ///
    /// let io = Io::new()?;
    /// # let directory = std::env::temp_dir().join(format!("tigereye-remove-file-{}", std::process::id()));
    /// # std::fs::create_dir_all(&directory)?;
    /// # std::fs::write(directory.join("file"), "")?;
    /// io.remove_file((), &directory.join("file"), |(), _io, result| result.unwrap());
    /// io.run()?;
    /// # std::fs::remove_dir_all(&directory)?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn remove_file<'a, C, F>(&self, context: C, path: impl Into<At<'a>>, callback: F) -> Op
    where
        C: 'static,
        F: FnOnce(C, &Io, io::Result<()>) + 'static,
    {
        self.remove(context, path.into(), false, callback)
    }

    /// Removes an empty directory (rmdir(2)).
    ///
    /// # Errors
    /// In the callback: `InvalidInput` for a path with a NUL in it, `NotFound`, `NotADirectory`,
    /// `DirectoryNotEmpty`, and what rmdir(2) says.
    ///
    /// ```
    /// use tigereye::Io;
    ///
    /// let io = Io::new()?;
    /// # let directory = std::env::temp_dir().join(format!("tigereye-remove-directory-{}", std::process::id()));
    /// # std::fs::create_dir_all(&directory)?;
    /// # std::fs::create_dir(directory.join("empty"))?;
    /// io.remove_directory((), &directory.join("empty"), |(), _io, result| result.unwrap());
    /// io.run()?;
    /// # std::fs::remove_dir_all(&directory)?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn remove_directory<'a, C, F>(&self, context: C, path: impl Into<At<'a>>, callback: F) -> Op
    where
        C: 'static,
        F: FnOnce(C, &Io, io::Result<()>) + 'static,
    {
        self.remove(context, path.into(), true, callback)
    }

    fn remove<C, F>(&self, context: C, path: At<'_>, directory: bool, callback: F) -> Op
    where
        C: 'static,
        F: FnOnce(C, &Io, io::Result<()>) + 'static,
    {
        let row = Remove { path: path.path(self), directory };
        self.submit_to(row, path.target(self), context, callback)
    }

    /// Makes a directory with these permission bits, less those of the process's umask (mkdir(2));
    /// 0o777 is usual.
    ///
    /// # Errors
    /// In the callback: `InvalidInput` for a path with a NUL in it, `AlreadyExists`, `NotFound`
    /// where there is nothing to make it in, and what mkdir(2) says.
    ///
    /// # Platform
    /// Linux before 5.15 has it on the loop's pool. Windows knows no such bits: who may use the new one
    /// is said by the one that it is in.
    ///
    /// ```
    /// use tigereye::Io;
    ///
    /// let io = Io::new()?;
    /// # let directory = std::env::temp_dir().join(format!("tigereye-create-directory-{}", std::process::id()));
    /// # std::fs::create_dir_all(&directory)?;
    /// io.create_directory((), &directory.join("new"), 0o700, |(), _io, result| result.unwrap());
    /// io.run()?;
    /// # std::fs::remove_dir_all(&directory)?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn create_directory<'a, C, F>(
        &self,
        context: C,
        path: impl Into<At<'a>>,
        mode: u32,
        callback: F,
    ) -> Op
    where
        C: 'static,
        F: FnOnce(C, &Io, io::Result<()>) + 'static,
    {
        let path = path.into();
        let row = CreateDirectory { path: path.path(self), mode };
        self.submit_to(row, path.target(self), context, callback)
    }
}
