//! The flags of open(2), where the library names them: those of the system, or, on Windows, which has no
//! such call, those by which a simulated host is asked there.

#[cfg(unix)]
pub(crate) use libc::{
    O_ACCMODE, O_APPEND, O_CLOEXEC, O_CREAT, O_DIRECTORY, O_EXCL, O_NOFOLLOW, O_RDONLY, O_RDWR,
    O_TRUNC, O_WRONLY,
};

#[cfg(windows)]
pub(crate) use simulated::*;

#[cfg(windows)]
mod simulated {
    pub(crate) const O_RDONLY: i32 = 0;
    pub(crate) const O_WRONLY: i32 = 1;
    pub(crate) const O_RDWR: i32 = 2;
    pub(crate) const O_ACCMODE: i32 = 3;
    pub(crate) const O_CREAT: i32 = 0o100;
    pub(crate) const O_EXCL: i32 = 0o200;
    pub(crate) const O_TRUNC: i32 = 0o1000;
    pub(crate) const O_APPEND: i32 = 0o2000;
    pub(crate) const O_DIRECTORY: i32 = 0o200_000;
    pub(crate) const O_NOFOLLOW: i32 = 0o400_000;
    pub(crate) const O_CLOEXEC: i32 = 0o2_000_000;
}
