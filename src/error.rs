//! What an operation's raw result means to the caller.
//!
//! A driver answers with a count (zero or more) or a negated error code. Below the codes of any
//! system lie a few of the library's own, for results that no kernel gave.

use std::fmt;
use std::io;

/// No slot was left for the operation (a fixed capacity is reached).
pub(crate) const AT_CAPACITY: i32 = -5000;
/// The handle was closed, or is being closed.
pub(crate) const CLOSED: i32 = -5001;
/// The handle belongs to another loop.
pub(crate) const FOREIGN: i32 = -5002;
/// The operation's own deadline passed.
pub(crate) const TIMED_OUT: i32 = -5003;
/// The buffer has no room to receive into.
pub(crate) const NO_ROOM: i32 = -5004;
/// The stream ended before an exact receive was whole.
pub(crate) const UNEXPECTED_END: i32 = -5005;
/// Descriptors were to go without a byte.
pub(crate) const NO_BYTE: i32 = -5010;
/// A write of some bytes did none.
pub(crate) const WROTE_NOTHING: i32 = -5006;
/// The system appends only to files that were opened for that.
pub(crate) const NOT_APPENDING: i32 = -5011;
/// The system does not split a buffer into datagrams.
pub(crate) const NO_SEGMENTS: i32 = -5020;
/// The socket is not one of datagrams.
pub(crate) const NO_DATAGRAMS: i32 = -5021;

/// What the library says when no system did; the payload of such an [`io::Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refusal {
    AtCapacity,
    Closed,
    Foreign,
    NoRoom,
    NotAppending,
    NoByte,
    NoSegments,
    NoDatagrams,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Refusal::AtCapacity => "the loop's capacity of operations is reached",
            Refusal::Closed => "the handle is closed",
            Refusal::Foreign => "the handle belongs to another loop",
            Refusal::NoRoom => "the buffer has no room to receive into",
            Refusal::NotAppending => "this system appends to files that were opened with append",
            Refusal::NoByte => "descriptors go with at least one byte",
            Refusal::NoSegments => "this system does not split a buffer into datagrams",
            Refusal::NoDatagrams => "the socket is not one of datagrams with Internet addresses",
        })
    }
}

impl std::error::Error for Refusal {}

/// Turns a negative raw result into the error that the caller sees.
#[cold]
pub(crate) fn from_raw(result: i32) -> io::Error {
    debug_assert!(result < 0, "an error is negative");
    match result {
        AT_CAPACITY => io::Error::new(io::ErrorKind::QuotaExceeded, Refusal::AtCapacity),
        CLOSED => io::Error::new(io::ErrorKind::NotConnected, Refusal::Closed),
        FOREIGN => io::Error::new(io::ErrorKind::InvalidInput, Refusal::Foreign),
        NO_ROOM => io::Error::new(io::ErrorKind::InvalidInput, Refusal::NoRoom),
        NOT_APPENDING => io::Error::new(io::ErrorKind::Unsupported, Refusal::NotAppending),
        NO_BYTE => io::Error::new(io::ErrorKind::InvalidInput, Refusal::NoByte),
        NO_SEGMENTS => io::Error::new(io::ErrorKind::Unsupported, Refusal::NoSegments),
        NO_DATAGRAMS => io::Error::new(io::ErrorKind::InvalidInput, Refusal::NoDatagrams),
        TIMED_OUT => io::ErrorKind::TimedOut.into(),
        UNEXPECTED_END => io::ErrorKind::UnexpectedEof.into(),
        WROTE_NOTHING => io::ErrorKind::WriteZero.into(),
        code => io::Error::from_raw_os_error(code.wrapping_neg()),
    }
}

/// Turns a raw result into a count or an error.
#[inline]
pub(crate) fn to_result(result: i32) -> io::Result<u32> {
    if result >= 0 { Ok(result.unsigned_abs()) } else { Err(from_raw(result)) }
}

/// Whether the operation ended because it was cancelled: by [`Io::cancel`](crate::Io::cancel), by
/// [`Io::cancel_all`](crate::Io::cancel_all), or because its handle was closed under it.
///
/// ```
/// let error = std::io::Error::other("something else");
/// assert!(!tigereye::is_cancelled(&error));
/// ```
pub fn is_cancelled(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::ECANCELED)
}

/// Whether the operation was refused because the loop's fixed capacity was reached
/// ([`Builder::capacity`](crate::Builder::capacity)).
pub fn is_at_capacity(error: &io::Error) -> bool {
    matches!(
        error.get_ref().and_then(|inner| inner.downcast_ref::<Refusal>()),
        Some(Refusal::AtCapacity)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p30_an_unknown_code_is_an_ordinary_error() {
        let error = from_raw(-4000);
        assert_eq!(error.raw_os_error(), Some(4000));
        assert!(from_raw(i32::MIN).raw_os_error().is_some());
    }

    #[test]
    fn the_librarys_own_results_are_told_apart() {
        assert!(is_at_capacity(&from_raw(AT_CAPACITY)));
        assert!(!is_at_capacity(&from_raw(CLOSED)));
        assert!(is_cancelled(&from_raw(-libc::ECANCELED)));
        assert_eq!(from_raw(TIMED_OUT).kind(), io::ErrorKind::TimedOut);
        assert_eq!(to_result(7).unwrap(), 7);
    }
}
