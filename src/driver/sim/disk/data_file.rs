//! Opening or making a data file: what `fs/making.rs` does with calls of the system's.

use std::io;

use super::call::Call;
use super::names::{Opening, Path};
use super::stat::DIRECT;
use super::tree::Kind;
use crate::DirectIo;
use crate::driver::sim::code::{self, Answer};
use crate::driver::sim::slab::Key;
use crate::fs::{DataFileOptions, Made, check_size, flags, in_use, invalid};

impl Call<'_> {
    /// The open file, and what became of it.
    ///
    /// # Errors
    /// Those of [`Io::open_data_file`](crate::Io::open_data_file).
    pub(in crate::driver::sim) fn open_data_file(
        &mut self,
        path: Path<'_>,
        options: &DataFileOptions,
    ) -> io::Result<(Key, Made)> {
        let (file, is_created) = self.open_or_create(path, options)?;
        if self.lock(file).is_err() {
            self.close(file);
            return Err(in_use());
        }
        let size = self.node_of(file).map_or(0, |node| self.len_of(node));
        let is_new = is_created || options.create && size == 0;
        match self.set_up(path, file, options, is_new) {
            Ok(size) => {
                let direct = (options.direct != DirectIo::Off).then_some(DIRECT);
                Ok((file, Made { direct, size, is_new }))
            }
            Err(error) => {
                // What it says in turn helps nobody.
                if is_created {
                    let _ = self.remove(path, false);
                } else if is_new {
                    let _ = self.set_len(file, 0);
                }
                self.close(file);
                Err(error)
            }
        }
    }

    fn open_or_create(
        &mut self,
        path: Path<'_>,
        options: &DataFileOptions,
    ) -> io::Result<(Key, bool)> {
        let opening =
            |more| Opening { flags: more | flags::O_RDWR, mode: options.mode, resolve: 0 };
        if !options.create_new {
            match self.open(path, opening(0)) {
                Err(code::ENOENT) if options.create => {}
                opened => return Ok((opened.map_err(io::Error::from_raw_os_error)?, false)),
            }
        }
        let created = self.open(path, opening(flags::O_CREAT | flags::O_EXCL));
        Ok((created.map_err(io::Error::from_raw_os_error)?, true))
    }

    fn set_up(
        &mut self,
        path: Path<'_>,
        file: Key,
        options: &DataFileOptions,
        is_new: bool,
    ) -> io::Result<u64> {
        let block = if options.direct == DirectIo::Off { 1 } else { DIRECT.offset as u64 };
        if !options.size.is_multiple_of(block) {
            let message = format!("the size must be a multiple of {block} for Direct I/O");
            return Err(invalid(&message));
        }
        let mut size = self.node_of(file).map_or(0, |node| self.len_of(node));
        if is_new {
            let reserved = self.allocate(file, 0, options.size, false);
            let made = reserved.and_then(|_| self.set_len(file, options.size));
            made.map_err(io::Error::from_raw_os_error)?;
            size = options.size;
        } else {
            check_size(options, size, options.allow_larger)?;
        }
        let synced = self.sync(file).and_then(|_| self.sync_parent(path));
        synced.map_err(io::Error::from_raw_os_error)?;
        Ok(size)
    }

    /// Has the name of a file last.
    fn sync_parent(&mut self, path: Path<'_>) -> Answer<usize> {
        let found = self.walk(path, super::walk::Limits::default())?;
        if matches!(self.tree.peek(found.directory).kind, Kind::Directory(_)) {
            if self.chance.happens(crate::sim::FaultKind::FailedSync) {
                return Err(code::EIO);
            }
            self.tree.sync_directory(found.directory);
        }
        Ok(0)
    }
}
