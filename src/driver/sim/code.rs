//! The system's error codes that simulated calls answer with, in one place.

pub(super) use libc::{
    EADDRINUSE, EADDRNOTAVAIL, EAGAIN, EALREADY, EBADF, EBUSY, ECONNABORTED, ECONNREFUSED,
    ECONNRESET, EDESTADDRREQ, EEXIST, EFBIG, EINPROGRESS, EINTR, EINVAL, EIO, EISCONN, EISDIR,
    ELOOP, EMFILE, EMSGSIZE, ENAMETOOLONG, ENETUNREACH, ENOBUFS, ENOENT, ENOMEM, ENOSPC, ENOTCONN,
    ENOTDIR, ENOTEMPTY, ENOTSOCK, EOPNOTSUPP, EPERM, EPIPE, ESPIPE, ETIMEDOUT, EXDEV,
};

/// What a simulated call answers: a value, or one of these codes.
pub(super) type Answer<T> = Result<T, i32>;
