//! Memory of an operation, lent to its call on the pool.
//!
//! I1. What a row lends lies in its record, or in a buffer that the record owns. The record stays
//!     where it is until the call's result has come back to the loop, or the call was taken from
//!     the queue unrun (state.rs, I1); at the end of a loop that cannot wait it is leaked (end.rs).
//! I2. Until then the loop leaves what was lent alone: a row is asked nothing while its operation is
//!     with the pool.
#![expect(unsafe_code, reason = "a borrow that outlives its scope, for as long as a call runs")]

use std::ops::{Deref, DerefMut};
#[cfg(unix)]
use std::os::fd::{AsFd, BorrowedFd};
use std::ptr::NonNull;

use crate::raw::RawFd;

/// A shared borrow of a record's.
pub(crate) struct Lent<T: ?Sized>(NonNull<T>);

/// An exclusive one.
pub(crate) struct LentMut<T: ?Sized>(NonNull<T>);

/// The descriptor of the operation's handle, or of one that its row owns; or the working directory.
#[derive(Clone, Copy)]
pub(crate) struct LentFd(RawFd);

impl LentFd {
    /// Lends what a handle has, which stays open while an operation is pending on it, or as long as
    /// the row that owns it is there (I1).
    pub(crate) fn new(fd: RawFd) -> LentFd {
        assert!(fd != -1, "an operation on no handle has none to lend");
        LentFd(fd)
    }
}

#[cfg(windows)]
impl LentFd {
    /// The number, for a call that is made while the handle is open.
    pub(crate) fn raw(self) -> RawFd {
        self.0
    }
}

#[cfg(unix)]
impl AsFd for LentFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: no handle is closed under an operation that is pending on it (handle.rs, I1), nor
        // one that the row owns while its call runs (I1); and it is not -1.
        unsafe { BorrowedFd::borrow_raw(self.0) }
    }
}

// SAFETY: it stands for a `&T`.
unsafe impl<T: ?Sized + Sync> Send for Lent<T> {}
// SAFETY: it stands for a `&mut T`.
unsafe impl<T: ?Sized + Send> Send for LentMut<T> {}

impl<T: ?Sized> Lent<T> {
    /// Lends what a record owns to the call that the row starts now, and to nothing else.
    pub(crate) fn new(value: &T) -> Lent<T> {
        Lent(NonNull::from(value))
    }
}

impl<T: ?Sized> LentMut<T> {
    /// Lends what a record owns to the call that the row starts now, and to nothing else.
    pub(crate) fn new(value: &mut T) -> LentMut<T> {
        LentMut(NonNull::from(value))
    }
}

impl<T: ?Sized> Deref for Lent<T> {
    type Target = T;
    fn deref(&self) -> &T {
        // SAFETY: I1, I2, which rows and the loop keep: it is there, and nobody changes it.
        unsafe { self.0.as_ref() }
    }
}

impl<T: ?Sized> Deref for LentMut<T> {
    type Target = T;
    fn deref(&self) -> &T {
        // SAFETY: I1, I2.
        unsafe { self.0.as_ref() }
    }
}

impl<T: ?Sized> DerefMut for LentMut<T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: I1, I2: nobody else refers to it.
        unsafe { self.0.as_mut() }
    }
}
