//! Registered files: the ring's own table of open files, by which the kernel finds one without
//! taking and giving back a reference for each operation.
//!
//! I1. A place of the table that a handle has is given back before the handle's descriptor is
//!     closed or given away (`Uring::forget`): the table would keep the file open.
//!
//! Sources: io_uring_register(2), `IORING_REGISTER_FILES` and `IORING_REGISTER_FILES_UPDATE`;
//! `IOSQE_FIXED_FILE` in io_uring_enter(2).

use std::io;
use std::os::fd::RawFd;

use io_uring::Submitter;

use crate::slot::NONE;

/// Places of the table, in the order in which they are tried: a table may have no more of them than
/// the process may have descriptors.
const SIZES: [u32; 3] = [1024, 256, 64];
/// No file.
const EMPTY: RawFd = -1;

#[derive(Default)]
pub(super) struct Registered {
    /// Places by the numbers of handles; `NONE` where there is none.
    by_handle: Vec<u32>,
    free: Vec<u32>,
    has_table: bool,
}

impl Registered {
    /// The place of a handle's file, if it has one.
    #[inline]
    pub(super) fn of(&self, handle: u32) -> Option<u32> {
        self.by_handle.get(handle as usize).copied().filter(|&place| place != NONE)
    }

    /// Gives a handle's file a place; says whether one was left.
    pub(super) fn add(
        &mut self,
        submitter: &Submitter<'_>,
        handle: u32,
        fd: RawFd,
    ) -> io::Result<bool> {
        if self.of(handle).is_some() {
            return Ok(true);
        }
        if !self.has_table {
            self.make_table(submitter)?;
        }
        let Some(&place) = self.free.last() else { return Ok(false) };
        submitter.register_files_update(place, &[fd])?;
        self.free.pop();
        let at = handle as usize;
        if at >= self.by_handle.len() {
            self.by_handle.resize(at + 1, NONE);
        }
        self.by_handle[at] = place;
        Ok(true)
    }

    fn make_table(&mut self, submitter: &Submitter<'_>) -> io::Result<()> {
        let mut result = Ok(());
        for size in SIZES {
            result = submitter.register_files(&vec![EMPTY; size as usize]);
            match &result {
                Err(error) if error.raw_os_error() == Some(libc::EMFILE) => {}
                Err(_) => break,
                Ok(()) => {
                    (self.has_table, self.free) = (true, (0..size).rev().collect());
                    break;
                }
            }
        }
        result
    }

    /// A handle's descriptor is about to be closed or given away, and nothing is pending on it.
    #[inline]
    pub(super) fn forget(&mut self, submitter: &Submitter<'_>, handle: u32) {
        if let Some(place) = self.of(handle) {
            self.remove(submitter, handle, place);
        }
    }

    #[cold]
    fn remove(&mut self, submitter: &Submitter<'_>, handle: u32, place: u32) {
        self.by_handle[handle as usize] = NONE;
        // It cannot fail; if it did, nobody else may have the place.
        if submitter.register_files_update(place, &[EMPTY]).is_ok() {
            self.free.push(place);
        }
    }
}
