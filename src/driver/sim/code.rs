//! The system's error codes that simulated calls answer with, in one place.

pub(super) use libc::{
    EADDRINUSE, EADDRNOTAVAIL, EAGAIN, EALREADY, EBADF, ECONNABORTED, ECONNREFUSED, ECONNRESET,
    EDESTADDRREQ, EINPROGRESS, EINTR, EINVAL, EISCONN, EMFILE, EMSGSIZE, ENETUNREACH, ENOBUFS,
    ENOTCONN, EOPNOTSUPP, EPIPE, ETIMEDOUT,
};

/// What a simulated call answers: a value, or one of these codes.
pub(super) type Answer<T> = Result<T, i32>;
