//! The seam to `storage.c`.

#![expect(unsafe_code, reason = "libuv is in C, and so is what is measured of it")]

use std::cell::{Cell, RefCell};
use std::ffi::{CString, c_char, c_int, c_void};
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::rc::Rc;
use tigereye_peers::buffer::Buffer;
use tigereye_peers::storage::{Appends, BLOCK, Reads};

/// `struct storage`.
#[repr(C)]
struct Storage {
    context: *mut c_void,
    next: unsafe extern "C" fn(*mut c_void, *mut u8, usize) -> i64,
    done: unsafe extern "C" fn(*mut c_void, i64, *const u8, isize) -> bool,
}

unsafe extern "C" {
    fn peer_libuv_threads(count: *const c_char) -> c_int;
    fn peer_libuv_storage(
        file: c_int,
        count: u32,
        blocks: *mut u8,
        len: usize,
        writes: bool,
        storage: *const Storage,
    ) -> c_int;
}

/// What is measured.
pub(crate) enum Figure {
    Reads(Rc<Reads>),
    Appends(Rc<RefCell<Appends>>),
}

impl Figure {
    fn next(&self, block: &mut [u8]) -> u64 {
        match self {
            Self::Reads(reads) => reads.next_offset(),
            Self::Appends(appends) => appends.borrow().next(block),
        }
    }

    fn done(&self, offset: u64, block: &[u8]) -> io::Result<bool> {
        match self {
            Self::Reads(reads) => reads.done(offset, block),
            Self::Appends(appends) => Ok(appends.borrow_mut().done()),
        }
    }
}

/// What is asked for, and the first error.
struct Asked {
    figure: Figure,
    error: Cell<Option<io::Error>>,
}

/// # Safety
///
/// `context` is an [`Asked`] that lives through the call, `block` so many bytes that nobody else uses.
unsafe extern "C" fn next(context: *mut c_void, block: *mut u8, len: usize) -> i64 {
    // SAFETY: `measure` keeps it until the loop has ended.
    let asked = unsafe { &*context.cast::<Asked>() };
    // SAFETY: the buffer of a request that is about to start (I1 in `storage.c`), zeroed by `measure`.
    let block = unsafe { std::slice::from_raw_parts_mut(block, len) };
    asked.figure.next(block).cast_signed()
}

/// # Safety
///
/// `context` is an [`Asked`] that lives through the call; `result` is an error, or how many bytes of
/// `block` there are, which nobody writes to meanwhile.
unsafe extern "C" fn done(
    context: *mut c_void,
    offset: i64,
    block: *const u8,
    result: isize,
) -> bool {
    // SAFETY: `measure` keeps it until the loop has ended.
    let asked = unsafe { &*context.cast::<Asked>() };
    let goes_on = match usize::try_from(result) {
        Ok(len) => {
            // SAFETY: the buffer of a request that has ended (I1 in `storage.c`), of which libuv says
            // that it has so many bytes.
            let block = unsafe { std::slice::from_raw_parts(block, len) };
            asked.figure.done(offset.cast_unsigned(), block)
        }
        Err(_) => Err(io::Error::from_raw_os_error(-result as i32)),
    };
    goes_on.unwrap_or_else(|error| {
        asked.error.set(Some(error));
        false
    })
}

/// How many threads the pool is to have: before anything else of libuv.
pub(crate) fn threads(count: u32) -> io::Result<()> {
    let count = CString::new(count.to_string())?;
    // SAFETY: a string that ends with a zero; no thread has been started yet that reads the environment.
    checked(unsafe { peer_libuv_threads(count.as_ptr()) })
}

fn checked(result: c_int) -> io::Result<()> {
    if result == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(-result)) }
}

/// Has so many operations under way on a file, one after the other with a buffer each.
pub(crate) fn measure(file: &File, count: u32, figure: Figure) -> io::Result<()> {
    let writes = matches!(figure, Figure::Appends(_));
    let asked = Asked { figure, error: Cell::default() };
    let mut blocks = Buffer::on_page((count * BLOCK) as usize);
    let context = (&raw const asked).cast_mut().cast();
    let storage = Storage { context, next, done };
    let (fd, at) = (file.as_raw_fd(), blocks.room().as_mut_ptr());
    // SAFETY: the file is open, there are so many blocks of this length, and they and `asked` live
    // through the call, in which the loop begins and ends.
    let result =
        unsafe { peer_libuv_storage(fd, count, at, BLOCK as usize, writes, &raw const storage) };
    checked(result)?;
    asked.error.take().map_or(Ok(()), Err)
}
