//! Receiving with the standard library, as patiently as its `read_exact` does.

use std::io::{ErrorKind, Read, Result};

/// Makes a call again where it was interrupted. A process that is stopped and continued (by a
/// debugger, by a container that is paused) sees that on a socket with a timeout, although it
/// handles no signal: `man 7 signal`, "Interruption of system calls and library functions by stop
/// signals".
pub(crate) fn patiently<T>(mut call: impl FnMut() -> Result<T>) -> Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// As [`Read::read`], patiently.
pub(crate) fn read_some(stream: &mut impl Read, into: &mut [u8]) -> Result<usize> {
    patiently(|| stream.read(into))
}
