//! What lies in the page cache: whether it does, and reading it, without a wait for a disk or a server.
//!
//! - A read with `RWF_NOWAIT` (preadv2(2), Linux 4.14) reads what is in memory and waits for nothing.
//!   File systems that cannot promise that refuse it, among them those of a network.
//! - cachestat(2) (Linux 6.5) counts the pages of a range that are in memory. A page that is read in just
//!   now is among them, and a file's owner alone and who may write to it are told (Linux 6.14).
//! - With Direct I/O both would be beside the point: its reads wait for the disk, whatever they are asked.
//!
//! Linux alone has both.
#![expect(unsafe_code, reason = "system calls that no crate wraps in this form")]

/// Most bytes that a call on the loop's thread copies or sends from memory: some 50 µs. What is longer
/// is for the pool.
pub(crate) const IN_PLACE_MAX: usize = 1 << 19;

/// How a descriptor is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reads {
    /// It is no regular file.
    NoFile,
    /// What is in memory is read at once.
    Cached,
    /// Every read may wait for a disk.
    MayWait,
}

/// What came of a read of what is in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "others refuse every one"))]
pub(crate) enum CachedRead {
    /// So many bytes: all that were asked for, or all up to the end of the file.
    Done(usize),
    /// Not all of it is in memory; or the read failed, and a call that waits says how.
    Missing,
    /// The file system has no reads that do not wait.
    Refused,
}

#[cfg(target_os = "linux")]
mod linux {
    use std::io;
    use std::mem::MaybeUninit;
    use std::os::fd::{AsFd, AsRawFd};
    use std::sync::atomic::{AtomicBool, Ordering};

    use rustix::fs::{AtFlags, FileType, OFlags, StatxFlags};

    use super::{CachedRead, Reads};
    use crate::offload::LentFd;

    /// cachestat(2), by the number that it has on all architectures.
    const CACHESTAT: libc::c_long = 451;

    /// This kernel has none, which it was asked once.
    static LACKS_CACHESTAT: AtomicBool = AtomicBool::new(false);

    /// `struct cachestat_range` in linux/mman.h.
    #[repr(C)]
    struct Range {
        offset: u64,
        len: u64,
    }

    /// `struct cachestat` there, in pages.
    #[repr(C)]
    #[derive(Default)]
    struct Pages {
        cached: u64,
        dirty: u64,
        in_writeback: u64,
        evicted: u64,
        recently_evicted: u64,
    }

    /// What is known of a file without asking a server (`AT_STATX_DONT_SYNC`).
    fn metadata(file: LentFd, wanted: StatxFlags) -> Option<rustix::fs::Statx> {
        let flags = AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC;
        rustix::fs::statx(file, c"", flags, wanted).ok()
    }

    /// How a descriptor is read, as far as can be said before its file system refuses a read.
    pub(crate) fn reads_of(file: LentFd) -> Reads {
        let kind = |told: rustix::fs::Statx| FileType::from_raw_mode(told.stx_mode.into());
        if metadata(file, StatxFlags::TYPE).map(kind) != Some(FileType::RegularFile) {
            return Reads::NoFile;
        }
        let flags = rustix::fs::fcntl_getfl(file);
        let is_direct = flags.is_ok_and(|flags| flags.contains(OFlags::DIRECT));
        if is_direct { Reads::MayWait } else { Reads::Cached }
    }

    /// How long a file is.
    fn len_of(file: LentFd) -> Option<u64> {
        metadata(file, StatxFlags::SIZE).map(|told| told.stx_size)
    }

    /// Reads what is in memory, from `offset` on or from where the file stands.
    ///
    /// # Safety
    /// As many vectors are there, and name memory that may be written to.
    unsafe fn read(
        file: LentFd,
        vectors: *const libc::iovec,
        count: i32,
        offset: Option<u64>,
    ) -> io::Result<usize> {
        let (fd, offset) = (file.as_fd().as_raw_fd(), offset.map_or(-1, u64::cast_signed));
        // SAFETY: the caller's.
        let count = unsafe { libc::preadv2(fd, vectors, count, offset, libc::RWF_NOWAIT) };
        usize::try_from(count).map_err(|_| io::Error::last_os_error())
    }

    /// Reads what is in memory, from `offset` on; or (`None`) from where the file stands, and then a
    /// part will do, for the file stands behind that.
    pub(crate) fn read_cached(
        file: LentFd,
        room: &mut [MaybeUninit<u8>],
        offset: Option<u64>,
    ) -> CachedRead {
        let len = room.len();
        let room = libc::iovec { iov_base: room.as_mut_ptr().cast(), iov_len: len };
        // SAFETY: one vector, of memory that may be written to.
        unsafe { read_vectored_cached(file, (&raw const room, 1), len, offset) }
    }

    /// As [`read_cached`], into `len` bytes of several buffers.
    ///
    /// # Safety
    /// As many vectors are there, and name memory that may be written to.
    pub(crate) unsafe fn read_vectored_cached(
        file: LentFd,
        (vectors, count): (*const libc::iovec, i32),
        len: usize,
        offset: Option<u64>,
    ) -> CachedRead {
        // SAFETY: the caller's.
        match unsafe { read(file, vectors, count, offset) } {
            Ok(count) if count == len => CachedRead::Done(count),
            Ok(count) if count > 0 && offset.is_none() => CachedRead::Done(count),
            Ok(count) => {
                // Nothing is no proof of an end: Linux 5.9 and 5.10 say so where nothing is in memory
                // (preadv2(2), "BUGS").
                let offset = offset.or_else(|| rustix::fs::tell(file).ok());
                let end = offset.map(|offset| offset.saturating_add(count as u64));
                let ended = end.zip(len_of(file)).is_some_and(|(end, len)| end >= len);
                if ended { CachedRead::Done(count) } else { CachedRead::Missing }
            }
            Err(error) => match error.raw_os_error() {
                Some(libc::EOPNOTSUPP | libc::ENOSYS) => CachedRead::Refused,
                _ => CachedRead::Missing,
            },
        }
    }

    /// How many of `count` bytes from `offset` on a call may send that must not wait for a disk: all that
    /// the file has of them. `None` where they are not in memory, or nobody says so.
    pub(crate) fn cached(file: LentFd, offset: u64, count: usize) -> Option<usize> {
        if LACKS_CACHESTAT.load(Ordering::Relaxed) {
            return None;
        }
        // The last byte says that the file system answers from memory, that this page of it is not just
        // being read in, and that the file is so long.
        let has_last = |count: usize| has_byte(file, offset + count as u64 - 1);
        let mut count = count;
        if !has_last(count)? {
            let left = len_of(file)?.saturating_sub(offset);
            if left == 0 {
                // To find the end takes no disk.
                return Some(count);
            }
            count = usize::try_from(left).map_or(count, |left| left.min(count));
            if !has_last(count)? {
                return None;
            }
        }
        pages_are_cached(file, offset, count).then_some(count)
    }

    /// Whether there is a byte, which is in memory if so; `None` where it is not, or nobody says so.
    fn has_byte(file: LentFd, offset: u64) -> Option<bool> {
        let mut byte = 0_u8;
        let vector = libc::iovec { iov_base: (&raw mut byte).cast(), iov_len: 1 };
        // SAFETY: one vector, which names one byte.
        unsafe { read(file, &raw const vector, 1, Some(offset)) }.ok().map(|count| count > 0)
    }

    /// Whether it is known of all pages of a range that they are in memory.
    fn pages_are_cached(file: LentFd, offset: u64, len: usize) -> bool {
        let range = Range { offset, len: len as u64 };
        let mut pages = Pages::default();
        let (fd, flags) = (file.as_fd().as_raw_fd(), 0);
        // SAFETY: both structures are as the call has them, and live during it.
        let result =
            unsafe { libc::syscall(CACHESTAT, fd, &raw const range, &raw mut pages, flags) };
        if result != 0 {
            let lacks = io::Error::last_os_error().raw_os_error() == Some(libc::ENOSYS);
            LACKS_CACHESTAT.fetch_or(lacks, Ordering::Relaxed);
            return false;
        }
        let page = rustix::param::page_size() as u64;
        let wanted = (offset + range.len - 1) / page - offset / page + 1;
        pages.cached >= wanted
    }
}

#[cfg(target_os = "linux")]
pub(crate) use linux::{cached, read_cached, read_vectored_cached, reads_of};

#[cfg(not(target_os = "linux"))]
mod elsewhere {
    use std::mem::MaybeUninit;

    use super::{CachedRead, Reads};
    use crate::offload::LentFd;

    /// Nothing is known to be read from memory alone.
    pub(crate) fn reads_of(_file: LentFd) -> Reads {
        Reads::NoFile
    }

    pub(crate) fn read_cached(
        _file: LentFd,
        _room: &mut [MaybeUninit<u8>],
        _offset: Option<u64>,
    ) -> CachedRead {
        CachedRead::Refused
    }

    /// # Safety
    /// Nothing is asked for: it reads nothing.
    pub(crate) unsafe fn read_vectored_cached(
        _file: LentFd,
        _vectors: (*const libc::iovec, i32),
        _len: usize,
        _offset: Option<u64>,
    ) -> CachedRead {
        CachedRead::Refused
    }

    pub(crate) fn cached(_file: LentFd, _offset: u64, _count: usize) -> Option<usize> {
        None
    }
}

#[cfg(not(target_os = "linux"))]
pub(crate) use elsewhere::{cached, read_cached, read_vectored_cached, reads_of};
