//! Calls that take paths: those of a Linux system, with its error codes.

use super::call::{Call, OpenFile};
use super::contents::Contents;
use super::tree::{Directory, Kind, Name, Naming, Node};
use super::walk::{Found, Last, Limits};
use crate::Renaming;
use crate::driver::sim::FaultKind;
use crate::driver::sim::code::{self, Answer};
use crate::driver::sim::kernel::SOCKETS_MAX;
use crate::driver::sim::slab::Key;
use crate::fs::flags;

/// What a process takes away of the permissions of what it makes.
const UMASK: u32 = 0o022;
/// Limits to a path, of linux/openat2.h.
const NO_LINKS: u64 = 0x04;
const BENEATH: u64 = 0x08;
const TO_NAME: Limits = Limits { follow: false, to_name: true, beneath: false, no_links: false };

/// A path of a call, and where it starts.
#[derive(Clone, Copy)]
pub(in crate::driver::sim) struct Path<'a> {
    /// An open directory, or nothing for the root.
    pub(in crate::driver::sim) start: Option<Key>,
    pub(in crate::driver::sim) bytes: &'a [u8],
}

/// How a file is opened.
#[derive(Clone, Copy)]
pub(in crate::driver::sim) struct Opening {
    /// Those of open(2).
    pub(in crate::driver::sim) flags: i32,
    pub(in crate::driver::sim) mode: u32,
    /// Those of openat2(2).
    pub(in crate::driver::sim) resolve: u64,
}

impl Opening {
    fn has(self, flag: i32) -> bool {
        self.flags & flag == flag
    }
}

impl Call<'_> {
    pub(super) fn walk(&self, path: Path<'_>, limits: Limits) -> Answer<Found> {
        let start = match path.start {
            Some(file) => self.node_of(file)?,
            None => self.tree.root,
        };
        if !path.bytes.starts_with(b"/") && self.tree.directory(start).is_none() {
            return Err(code::ENOTDIR);
        }
        self.tree.walk(start, path.bytes, limits)
    }

    /// openat(2), openat2(2); gives an open file.
    pub(in crate::driver::sim) fn open(&mut self, path: Path<'_>, how: Opening) -> Answer<Key> {
        if *self.descriptors.0 >= self.descriptors.1 || self.files.len() >= SOCKETS_MAX {
            return Err(code::EMFILE);
        }
        #[cfg(target_os = "linux")]
        if how.has(libc::O_TMPFILE) {
            return Err(code::EOPNOTSUPP);
        }
        let is_exclusive = how.has(flags::O_CREAT | flags::O_EXCL);
        let limits = Limits {
            to_name: false,
            follow: !is_exclusive && !how.has(flags::O_NOFOLLOW),
            beneath: how.resolve & BENEATH != 0,
            no_links: how.resolve & NO_LINKS != 0,
        };
        if how.has(flags::O_CREAT) && path.bytes.ends_with(b"/") {
            self.refuse_slash(path, limits)?;
        }
        let found = self.walk(path, limits)?;
        let node = match found.node {
            Some(_) if is_exclusive => return Err(code::EEXIST),
            Some(node) => node,
            None if !how.has(flags::O_CREAT) => return Err(code::ENOENT),
            None if found.has_slash => return Err(code::EISDIR),
            None => {
                let kind = Kind::File(Contents::default());
                self.make(&found, kind, how.mode & !UMASK)?
            }
        };
        self.open_node(node, how, found.node.is_none())
    }

    /// A slash behind the name of what is to be made is an error before all others.
    fn refuse_slash(&self, path: Path<'_>, limits: Limits) -> Answer<()> {
        let len = path.bytes.iter().rposition(|byte| *byte != b'/').map_or(0, |last| last + 1);
        if len == 0 {
            return Ok(());
        }
        let stripped = Path { bytes: &path.bytes[..len], ..path };
        match self.walk(stripped, Limits { follow: false, ..limits })?.last {
            Last::Name(_) => Err(code::EISDIR),
            Last::Itself | Last::Parent => Ok(()),
        }
    }

    fn open_node(&mut self, node: Key, how: Opening, is_new: bool) -> Answer<Key> {
        let access = how.flags & flags::O_ACCMODE;
        let is_writable = access != flags::O_RDONLY;
        match &self.tree.peek(node).kind {
            Kind::Symlink(_) => return Err(code::ELOOP),
            Kind::Directory(_) if is_writable || how.has(flags::O_CREAT) => {
                return Err(code::EISDIR);
            }
            Kind::File(_) | Kind::Socket if how.has(flags::O_DIRECTORY) => {
                return Err(code::ENOTDIR);
            }
            Kind::Socket => return Err(code::ENXIO),
            Kind::File(_) if how.has(flags::O_TRUNC) && !is_new => self.cut(node, 0),
            Kind::File(_) | Kind::Directory(_) => {}
        }
        *self.descriptors.0 += 1;
        self.tree.get(node).opens += 1;
        Ok(self.files.insert(OpenFile {
            machine: self.machine,
            node,
            descriptors: 1,
            is_readable: access != flags::O_WRONLY,
            is_writable,
            appends: how.has(flags::O_APPEND),
            position: 0,
        }))
    }

    /// Makes what is not there yet.
    fn make(&mut self, found: &Found, kind: Kind, mode: u32) -> Answer<Key> {
        let name = name_of(found).ok_or(code::EEXIST)?;
        if self.tree.peek(found.directory).names == 0 {
            return Err(code::ENOENT);
        }
        if self.chance.happens(FaultKind::FullDisk) {
            return Err(code::ENOSPC);
        }
        let node = Node::new(kind, mode & 0o7777, self.time);
        let node = self.tree.insert(node);
        self.give(found.directory, name, node);
        Ok(node)
    }

    fn give(&mut self, directory: Key, name: Name, node: Key) {
        let naming = Naming { directory, name, node: Some(node) };
        self.tree.rename(vec![naming], self.time);
    }

    /// mkdirat(2)
    pub(in crate::driver::sim) fn create_directory(
        &mut self,
        path: Path<'_>,
        mode: u32,
    ) -> Answer<usize> {
        let found = self.walk_to_new(path)?;
        let kind = Kind::Directory(Directory::default());
        self.make(&found, kind, mode & !UMASK).map(|_| 0)
    }

    /// Where something is to be made that is not there.
    fn walk_to_new(&self, path: Path<'_>) -> Answer<Found> {
        match self.walk(path, TO_NAME) {
            Ok(Found { node: Some(_), .. }) => Err(code::EEXIST),
            found => found,
        }
    }

    /// symlinkat(2)
    pub(in crate::driver::sim) fn symlink(
        &mut self,
        target: &[u8],
        path: Path<'_>,
    ) -> Answer<usize> {
        if target.is_empty() {
            return Err(code::ENOENT);
        }
        if target.len() >= 4096 {
            return Err(code::ENAMETOOLONG);
        }
        let found = self.walk_to_new(path)?;
        if found.has_slash {
            return Err(code::ENOENT);
        }
        self.make(&found, Kind::Symlink(target.into()), 0o777).map(|_| 0)
    }

    /// The file of a Unix socket (bind(2)).
    pub(in crate::driver::sim) fn make_socket(
        &mut self,
        path: Path<'_>,
        mode: Option<u32>,
    ) -> Answer<Key> {
        let found = self.walk_to_new(path)?;
        if found.has_slash {
            return Err(code::ENOENT);
        }
        self.make(&found, Kind::Socket, mode.unwrap_or(0o777 & !UMASK))
    }

    /// The file of a Unix socket that is at a path.
    pub(in crate::driver::sim) fn socket_at(&self, path: Path<'_>, follow: bool) -> Answer<Key> {
        let found = self.walk(path, Limits { follow, ..Limits::default() })?;
        let node = found.node.ok_or(code::ENOENT)?;
        let is_socket = matches!(self.tree.peek(node).kind, Kind::Socket);
        if is_socket { Ok(node) } else { Err(code::ECONNREFUSED) }
    }

    /// linkat(2)
    pub(in crate::driver::sim) fn hard_link(
        &mut self,
        from: Path<'_>,
        to: Path<'_>,
    ) -> Answer<usize> {
        let node = self.walk(from, Limits::default())?.node.ok_or(code::ENOENT)?;
        let found = self.walk_to_new(to)?;
        if found.has_slash {
            return Err(code::ENOENT);
        }
        if self.tree.directory(node).is_some() {
            return Err(code::EPERM);
        }
        let name = name_of(&found).ok_or(code::EEXIST)?;
        self.give(found.directory, name, node);
        Ok(0)
    }

    /// unlinkat(2)
    pub(in crate::driver::sim) fn remove(
        &mut self,
        path: Path<'_>,
        directory: bool,
    ) -> Answer<usize> {
        let found = self.walk(path, TO_NAME)?;
        let node = found.node.ok_or(code::ENOENT)?;
        let entries = self.tree.directory(node);
        let name = match (found.last, directory) {
            (Last::Name(name), _) => name,
            (_, false) => return Err(code::EISDIR),
            (Last::Parent, true) => return Err(code::ENOTEMPTY),
            (Last::Itself, true) if node == self.tree.root => return Err(code::EBUSY),
            (Last::Itself, true) => return Err(code::EINVAL),
        };
        match entries {
            Some(_) if !directory => return Err(code::EISDIR),
            Some(entries) if !entries.names.is_empty() => return Err(code::ENOTEMPTY),
            None if directory || found.has_slash => return Err(code::ENOTDIR),
            _ => {}
        }
        let naming = Naming { directory: found.directory, name, node: None };
        self.tree.rename(vec![naming], self.time);
        Ok(0)
    }

    /// renameat2(2)
    pub(in crate::driver::sim) fn rename(
        &mut self,
        from: Path<'_>,
        to: Path<'_>,
        renaming: Renaming,
    ) -> Answer<usize> {
        let (from, to) = (self.walk(from, TO_NAME)?, self.walk(to, TO_NAME)?);
        let old = name_of(&from).ok_or(code::EBUSY)?;
        let is_taken = if renaming == Renaming::NoReplace { code::EEXIST } else { code::EBUSY };
        let new = name_of(&to).ok_or(is_taken)?;
        let moved = from.node.ok_or(code::ENOENT)?;
        match (to.node, renaming) {
            (Some(_), Renaming::NoReplace) => return Err(code::EEXIST),
            (None, Renaming::Exchange) => return Err(code::ENOENT),
            _ => {}
        }
        self.may_move((&from, moved), &to, renaming)?;
        if to.node == Some(moved) {
            return Ok(0);
        }
        if let Some(other) = to.node
            && renaming != Renaming::Exchange
        {
            self.may_replace(other, self.tree.directory(moved).is_some())?;
        }
        let left = if renaming == Renaming::Exchange { to.node } else { None };
        let step = vec![
            Naming { directory: from.directory, name: old, node: left },
            Naming { directory: to.directory, name: new, node: Some(moved) },
        ];
        self.tree.rename(step, self.time);
        Ok(0)
    }

    /// Whether slashes stand behind directories alone, and none of the two would be in itself.
    fn may_move(&self, (from, moved): (&Found, Key), to: &Found, renaming: Renaming) -> Answer<()> {
        let exchanges = renaming == Renaming::Exchange;
        let is_directory = |node: Key| self.tree.directory(node).is_some();
        if exchanges && to.has_slash && !to.node.is_some_and(is_directory) {
            return Err(code::ENOTDIR);
        }
        if !is_directory(moved) && (from.has_slash || to.has_slash && !exchanges) {
            return Err(code::ENOTDIR);
        }
        if is_directory(moved) && self.tree.is_within(to.directory, moved) {
            return Err(code::EINVAL);
        }
        match to.node {
            Some(other) if is_directory(other) && self.tree.is_within(from.directory, other) => {
                Err(if exchanges { code::EINVAL } else { code::ENOTEMPTY })
            }
            _ => Ok(()),
        }
    }

    /// Whether a rename of a directory, or of something else, may take this one's name.
    fn may_replace(&self, other: Key, by_directory: bool) -> Answer<()> {
        match (self.tree.directory(other), by_directory) {
            (Some(_), false) => Err(code::EISDIR),
            (None, true) => Err(code::ENOTDIR),
            (Some(entries), true) if !entries.names.is_empty() => Err(code::ENOTEMPTY),
            _ => Ok(()),
        }
    }
}

/// The name that a path ends in.
fn name_of(found: &Found) -> Option<Name> {
    if let Last::Name(name) = &found.last { Some(name.clone()) } else { None }
}
