//! What is known of a file (statx(2)).

use super::call::Call;
use super::image::PAGE;
use super::names::Path;
use super::tree::Kind;
use super::walk::Limits;
use crate::driver::sim::code::{self, Answer};
use crate::driver::sim::slab::Key;
use crate::{DirectAlignment, Metadata};

/// What a mode says of the kind of a file (inode(7)); the same on all systems.
const IS_FILE: u32 = 0o100_000;
const IS_DIRECTORY: u32 = 0o040_000;
const IS_SYMLINK: u32 = 0o120_000;
const IS_SOCKET: u32 = 0o140_000;
/// What direct transfers are aligned to.
pub(in crate::driver::sim) const DIRECT: DirectAlignment =
    DirectAlignment { memory: 512, offset: 512 };

impl Call<'_> {
    /// Of what is at a path.
    pub(in crate::driver::sim) fn stat_at(&self, path: Path<'_>, follow: bool) -> Answer<Metadata> {
        let found = self.walk(path, Limits { follow, ..Limits::default() })?;
        Ok(self.stat_node(found.node.ok_or(code::ENOENT)?))
    }

    /// Of an open file.
    pub(in crate::driver::sim) fn stat(&self, file: Key) -> Answer<Metadata> {
        self.node_of(file).map(|node| self.stat_node(node))
    }

    fn stat_node(&self, key: Key) -> Metadata {
        let node = self.tree.peek(key);
        let (kind, pages, nlink) = match &node.kind {
            Kind::File(contents) => (IS_FILE, contents.image().page_count(), node.names),
            Kind::Directory(directory) => {
                let is_directory = |node: &&Key| self.tree.directory(**node).is_some();
                let below = directory.names.values().filter(is_directory).count();
                let names = if node.names == 0 { 0 } else { 2 + below as u32 };
                (IS_DIRECTORY, 1, names)
            }
            Kind::Symlink(_) => (IS_SYMLINK, 0, node.names),
            Kind::Socket => (IS_SOCKET, 0, node.names),
        };
        let is_file = matches!(node.kind, Kind::File(_));
        Metadata {
            mode: kind | node.mode,
            uid: 0,
            gid: 0,
            len: self.len_of(key),
            blocks: pages * (PAGE / 512),
            blksize: PAGE,
            nlink: u64::from(nlink),
            ino: u64::from(key.index) + 2,
            dev: u64::from(self.machine) + 1,
            rdev: 0,
            #[cfg(windows)]
            attributes: 0,
            accessed: node.times.modified,
            modified: node.times.modified,
            changed: node.times.changed,
            created: Some(node.times.made),
            mount_id: None,
            direct_alignment: is_file.then_some(DIRECT),
        }
    }
}
