//! What an operation's raw result means to the caller.
//!
//! A driver answers with a count (zero or more) or a negated error code. Below the codes of any
//! system lie a few of the library's own, for results that no kernel gave.

use std::fmt;
use std::io;

pub(crate) mod code;

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
/// Urgent data lies before what a splice could move next.
pub(crate) const URGENT_DATA: i32 = -5030;
/// The simulator does not have the operation.
pub(crate) const NOT_SIMULATED: i32 = -5060;
/// Direct I/O that does not start or end where it may. Below it, one for each power of two …
const MISALIGNED: i32 = -6000;
/// … of each kind.
const MISALIGNED_KIND: i32 = 64;

/// What does not lie where Direct I/O needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Misaligned {
    Address,
    Length,
    Offset,
}

/// The result of a transfer that had to be a multiple of `multiple`, a power of two.
#[cold]
pub(crate) fn misaligned(what: Misaligned, multiple: usize) -> i32 {
    MISALIGNED - what as i32 * MISALIGNED_KIND - multiple.trailing_zeros().cast_signed()
}

/// Names for a message, with commas between.
pub(crate) fn listed(names: impl Iterator<Item = &'static str>) -> String {
    let mut list = String::new();
    for name in names {
        list += if list.is_empty() { "" } else { ", " };
        list += name;
    }
    list
}

/// What a result says is misaligned, and the power of two that it had to be a multiple of.
pub(crate) fn what_is_misaligned(result: i32) -> Option<(Misaligned, u32)> {
    let below = MISALIGNED.wrapping_sub(result);
    let what = match below.div_euclid(MISALIGNED_KIND) {
        0 => Misaligned::Address,
        1 => Misaligned::Length,
        2 => Misaligned::Offset,
        _ => return None,
    };
    Some((what, below.unsigned_abs() % MISALIGNED_KIND.unsigned_abs()))
}

/// Whether a result is an error that the system gave, and not the library.
pub(crate) fn is_of_the_system(result: i32) -> bool {
    // Windows has codes beyond the library's.
    let lowest = if cfg!(windows) { -2 * MOVED } else { AT_CAPACITY + 1 };
    (lowest..0).contains(&result) && !OWN_CODES.contains(&-result)
}

/// What the library says when no system did; the payload of such an [`io::Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refusal {
    AtCapacity,
    Closed,
    Foreign,
    NoRoom,
    NotAppending,
    Misaligned(Misaligned, u32),
    NoByte,
    NoSegments,
    NoDatagrams,
    UrgentData,
    NotSimulated,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Refusal::Misaligned(what, power) => {
                let what = match what {
                    Misaligned::Address => "the buffer's address",
                    Misaligned::Length => "the number of bytes",
                    Misaligned::Offset => "the offset",
                };
                let multiple = 1_u64 << power;
                return write!(f, "Direct I/O: {what} must be a multiple of {multiple}");
            }
            Refusal::AtCapacity => "the loop's capacity of operations is reached",
            Refusal::Closed => "the handle is closed",
            Refusal::Foreign => "the handle belongs to another loop",
            Refusal::NoRoom => "the buffer has no room to receive into",
            Refusal::NotAppending => "this system appends to files that were opened with append",
            Refusal::NoByte => "descriptors go with at least one byte",
            Refusal::NoSegments => "this system does not split a buffer into datagrams",
            Refusal::NoDatagrams => "the socket is not one of datagrams with such addresses",
            Refusal::NotSimulated => "the simulator does not have this operation",
            Refusal::UrgentData => "urgent data is in the way: a receive passes it",
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
        URGENT_DATA => io::Error::new(io::ErrorKind::InvalidData, Refusal::UrgentData),
        NOT_SIMULATED => io::Error::new(io::ErrorKind::Unsupported, Refusal::NotSimulated),
        TIMED_OUT => io::ErrorKind::TimedOut.into(),
        UNEXPECTED_END => io::ErrorKind::UnexpectedEof.into(),
        WROTE_NOTHING => io::ErrorKind::WriteZero.into(),
        code => match what_is_misaligned(code) {
            Some((what, power)) => {
                io::Error::new(io::ErrorKind::InvalidInput, Refusal::Misaligned(what, power))
            }
            None => io::Error::from_raw_os_error(of_the_system(code)),
        },
    }
}

/// The raw result that stands for an error: a negated code. What has none is the caller's argument.
#[cold]
pub(crate) fn to_raw(error: &io::Error) -> i32 {
    let code = error.raw_os_error().unwrap_or(code::INVALID);
    if cfg!(windows) && OWN_CODES.contains(&code) { -code - MOVED } else { -code }
}

/// The system's code in a raw result.
fn of_the_system(result: i32) -> i32 {
    let code = result.wrapping_neg();
    if cfg!(windows) && OWN_CODES.contains(&(code.wrapping_sub(MOVED))) {
        return code - MOVED;
    }
    code
}

/// Where the library's own codes lie. Windows has some there, too (of clusters, and of files that
/// are encrypted): their results lie further below.
const OWN_CODES: std::ops::Range<i32> = 5000..7000;
const MOVED: i32 = 1_000_000;

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
    error.raw_os_error() == Some(code::CANCELED)
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
    #[cfg(windows)]
    fn p30_a_code_of_the_systems_that_looks_like_the_librarys_own_is_kept() {
        // `ERROR_DECRYPTION_FAILED`, and one of clusters.
        for code in [6001, 5003] {
            let raw = to_raw(&io::Error::from_raw_os_error(code));
            assert_eq!(from_raw(raw).raw_os_error(), Some(code));
            assert!(is_of_the_system(raw));
        }
    }

    #[test]
    fn the_librarys_own_results_are_told_apart() {
        assert!(is_at_capacity(&from_raw(AT_CAPACITY)));
        assert!(!is_at_capacity(&from_raw(CLOSED)));
        assert!(is_cancelled(&from_raw(-code::CANCELED)));
        assert_eq!(from_raw(TIMED_OUT).kind(), io::ErrorKind::TimedOut);
        assert_eq!(to_result(7).unwrap(), 7);
        let error = from_raw(misaligned(Misaligned::Offset, 4096));
        assert_eq!(error.to_string(), "Direct I/O: the offset must be a multiple of 4096");
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        let largest = misaligned(Misaligned::Length, 1 << (usize::BITS - 1));
        assert_eq!(what_is_misaligned(largest), Some((Misaligned::Length, usize::BITS - 1)));
        for code in [AT_CAPACITY, WROTE_NOTHING, 0, 1, i32::MIN, i32::MAX] {
            assert_eq!((what_is_misaligned(code), is_of_the_system(code)), (None, false));
        }
        assert!(is_of_the_system(-code::IO) && !is_of_the_system(largest));
    }
}
