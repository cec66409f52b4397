//! Calls on open files: those of a Linux system, with its error codes.

use std::mem::MaybeUninit;
use std::time::SystemTime;

use super::chance::Chance;
use super::image::{LEN_MAX, PAGE};
use super::tree::{Kind, Node, Tree};
use crate::driver::sim::FaultKind;
use crate::driver::sim::code::{self, Answer};
use crate::driver::sim::slab::{Key, Slab};

/// An open file or directory.
pub(in crate::driver::sim) struct OpenFile {
    pub(in crate::driver::sim) machine: u32,
    pub(super) node: Key,
    pub(super) is_readable: bool,
    pub(super) is_writable: bool,
    /// At its end, whatever offset a write names.
    pub(super) appends: bool,
    /// Where the next read or write without an offset is.
    pub(super) position: u64,
}

/// Where a write goes.
#[derive(Clone, Copy)]
pub(in crate::driver::sim) enum To {
    Offset(u64),
    Position,
    End,
}

/// What a call on a host's disk works with.
pub(in crate::driver::sim) struct Call<'a> {
    pub(super) tree: &'a mut Tree,
    pub(super) files: &'a mut Slab<OpenFile>,
    pub(super) chance: Chance<'a>,
    pub(super) pages_max: u64,
    pub(super) machine: u32,
    /// How many descriptors the host has open, and may have.
    pub(super) descriptors: (&'a mut u32, u32),
    /// What the host's wall clock shows.
    pub(super) time: SystemTime,
}

impl Call<'_> {
    pub(super) fn file(&self, file: Key) -> Answer<&OpenFile> {
        self.files.peek(file).ok_or(code::EBADF)
    }

    /// The node of an open file.
    pub(super) fn node_of(&self, file: Key) -> Answer<Key> {
        self.file(file).map(|file| file.node)
    }

    /// Bytes that the node has, if it is a file.
    pub(super) fn len_of(&self, node: Key) -> u64 {
        match &self.tree.peek(node).kind {
            Kind::File(contents) => contents.image().len(),
            Kind::Directory(_) => PAGE,
            Kind::Symlink(target) => target.len() as u64,
        }
    }

    /// pread(2); or read(2), where there is no offset.
    pub(in crate::driver::sim) fn read(
        &mut self,
        file: Key,
        room: &mut [MaybeUninit<u8>],
        offset: Option<u64>,
    ) -> Answer<usize> {
        let &OpenFile { node, is_readable, position, .. } = self.file(file)?;
        if !is_readable {
            return Err(code::EBADF);
        }
        let Kind::File(contents) = &mut self.tree.get(node).kind else { return Err(code::EISDIR) };
        let read = contents.read(offset.unwrap_or(position), room, &mut self.chance);
        let count = read.ok_or(code::EIO)?;
        if offset.is_none()
            && let Some(file) = self.files.get(file)
        {
            file.position += count as u64;
        }
        Ok(count)
    }

    /// preadv(2): into several rooms, one after the other.
    pub(in crate::driver::sim) fn read_vectored<'b>(
        &mut self,
        file: Key,
        rooms: impl Iterator<Item = &'b mut [MaybeUninit<u8>]>,
        offset: u64,
    ) -> Answer<usize> {
        let mut all = 0;
        for room in rooms {
            match self.read(file, room, Some(offset.saturating_add(all as u64))) {
                Err(error) if all == 0 => return Err(error),
                Err(_) => break,
                Ok(count) => {
                    all += count;
                    if count < room.len() {
                        break;
                    }
                }
            }
        }
        Ok(all)
    }

    /// pwrite(2), write(2), and pwritev2(2) with `RWF_APPEND`.
    pub(in crate::driver::sim) fn write(
        &mut self,
        file: Key,
        bytes: &[u8],
        to: To,
    ) -> Answer<usize> {
        let &OpenFile { node, is_writable, appends, position, .. } = self.file(file)?;
        if !is_writable {
            return Err(code::EBADF);
        }
        if bytes.is_empty() {
            return Ok(0);
        }
        let offset = match to {
            To::Offset(offset) if !appends => offset,
            To::Position if !appends => position,
            _ => self.len_of(node),
        };
        if offset >= LEN_MAX {
            return Err(code::EFBIG);
        }
        let end = offset.saturating_add(bytes.len() as u64).min(LEN_MAX);
        let count = self.make_room(node, offset, end)?;
        let bytes = &bytes[..count];
        let (chance, time) = (&mut self.chance, self.time);
        self.tree.change(node, |node| {
            node.is_changed(time);
            if let Kind::File(contents) = &mut node.kind {
                contents.write(offset, bytes, chance);
            }
        });
        if matches!(to, To::Position)
            && let Some(file) = self.files.get(file)
        {
            file.position = offset + count as u64;
        }
        Ok(count)
    }

    /// How many of the bytes from `start` to `end` there is room for on the disk; at least one.
    fn make_room(&mut self, node: Key, start: u64, end: u64) -> Answer<usize> {
        let Kind::File(contents) = &self.tree.peek(node).kind else { return Err(code::EISDIR) };
        let free = self.pages_max.saturating_sub(self.tree.pages);
        let fit = contents.image().fit(start..end, free);
        if fit == 0 {
            self.chance.note(FaultKind::FullDisk);
            return Err(code::ENOSPC);
        }
        if self.chance.happens(FaultKind::FullDisk) {
            return Err(code::ENOSPC);
        }
        Ok(usize::try_from(fit).unwrap_or(usize::MAX))
    }

    /// ftruncate(2)
    pub(in crate::driver::sim) fn set_len(&mut self, file: Key, len: u64) -> Answer<usize> {
        let &OpenFile { node, is_writable, .. } = self.file(file)?;
        if !is_writable {
            return Err(code::EINVAL);
        }
        if len > LEN_MAX {
            return Err(code::EFBIG);
        }
        self.cut(node, len);
        Ok(0)
    }

    pub(super) fn cut(&mut self, node: Key, len: u64) {
        let time = self.time;
        self.tree.change(node, |node| {
            node.is_changed(time);
            if let Kind::File(contents) = &mut node.kind {
                contents.set_len(len);
            }
        });
    }

    /// fallocate(2)
    pub(in crate::driver::sim) fn allocate(
        &mut self,
        file: Key,
        offset: u64,
        len: u64,
        grows: bool,
    ) -> Answer<usize> {
        let &OpenFile { node, is_writable, .. } = self.file(file)?;
        if len == 0 || i64::try_from(offset).is_err() || i64::try_from(len).is_err() {
            return Err(code::EINVAL);
        }
        if !is_writable {
            return Err(code::EBADF);
        }
        let end = offset + len;
        if end > LEN_MAX {
            return Err(code::EFBIG);
        }
        if (self.make_room(node, offset, end)? as u64) < len {
            self.chance.note(FaultKind::FullDisk);
            return Err(code::ENOSPC);
        }
        let time = self.time;
        self.tree.change(node, |node| {
            node.is_changed(time);
            let Kind::File(contents) = &mut node.kind else { return };
            contents.reserve(offset..end);
            if grows && end > contents.image().len() {
                contents.set_len(end);
            }
        });
        Ok(0)
    }

    /// fsync(2), of a file or of a directory.
    pub(in crate::driver::sim) fn sync(&mut self, file: Key) -> Answer<usize> {
        let node = self.node_of(file)?;
        match &mut self.tree.get(node).kind {
            Kind::File(contents) => {
                if !contents.sync(&mut self.chance) {
                    return Err(code::EIO);
                }
            }
            Kind::Directory(_) if self.chance.happens(FaultKind::FailedSync) => {
                return Err(code::EIO);
            }
            Kind::Directory(_) => self.tree.sync_directory(node),
            Kind::Symlink(_) => {}
        }
        Ok(0)
    }

    /// flock(2), exclusive, without waiting.
    pub(super) fn lock(&mut self, file: Key) -> Answer<()> {
        let node = self.node_of(file)?;
        let locked_by = &mut self.tree.get(node).locked_by;
        match *locked_by {
            Some(other) if other != file => Err(code::EAGAIN),
            _ => {
                *locked_by = Some(file);
                Ok(())
            }
        }
    }

    /// close(2)
    pub(in crate::driver::sim) fn close(&mut self, file: Key) {
        let Some(OpenFile { node, .. }) = self.files.remove(file) else { return };
        *self.descriptors.0 -= 1;
        self.tree.change(node, |node| {
            node.opens -= 1;
            if node.locked_by == Some(file) {
                node.locked_by = None;
            }
        });
        let entry = self.tree.peek(node);
        if entry.names == 0 && entry.opens == 0 {
            self.tree.sweep();
        }
    }
}

impl Node {
    fn is_changed(&mut self, time: SystemTime) {
        (self.times.modified, self.times.changed) = (time, time);
    }
}
