//! Writing without SIGPIPE, where no flag of the call sees to that.
//!
//! The signal is the calling thread's own (POSIX, write), so the thread blocks it, takes one that
//! came away again, and unblocks it. Its disposition is the program's, and is left alone.
//!
//! Sources: pthread_sigmask(3), sigpending(2), sigwait(3).
#![expect(unsafe_code, reason = "system calls that no crate wraps")]

use std::io;
use std::mem::MaybeUninit;
use std::ptr;

/// Makes a call that may raise SIGPIPE, and sees to it that nobody hears of that.
pub(crate) fn without(call: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    let is_broken = |error: &io::Error| error.raw_os_error() == Some(libc::EPIPE);
    around(call, |result| result.as_ref().is_err_and(is_broken))
}

/// As [`without`], of a call that sends part by part: what the first ones moved is its result, though the
/// next one raised the signal.
#[cfg(target_os = "linux")]
pub(crate) fn without_in_parts(call: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    around(call, |_result| true)
}

fn around(
    mut call: impl FnMut() -> io::Result<usize>,
    may_have_raised: impl FnOnce(&io::Result<usize>) -> bool,
) -> io::Result<usize> {
    let sigpipe = alone();
    let mut before = MaybeUninit::uninit();
    // SAFETY: both sets may be read and written; the call fills the second one.
    unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const sigpipe, before.as_mut_ptr()) };
    // SAFETY: filled by the call, which fails only for an unknown first argument.
    let before = unsafe { before.assume_init() };
    // One that pends already is the program's, which has blocked it.
    let pended = pends();
    let result = call();
    if may_have_raised(&result) && !pended && pends() {
        let mut signal = 0;
        // SAFETY: a valid set, and a place to write to. It does not wait, for the signal pends.
        unsafe { libc::sigwait(&raw const sigpipe, &raw mut signal) };
    }
    // SAFETY: the set is what the thread had.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const before, ptr::null_mut()) };
    result
}

/// Has this thread never see SIGPIPE: sendfile(2) has no flag for that (P35). What the system sends
/// stays pending, and is nobody's.
pub(crate) fn block() {
    let sigpipe = alone();
    // SAFETY: the set is valid; the former mask is not asked for. It fails for nothing but its
    // first argument.
    unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const sigpipe, ptr::null_mut()) };
}

/// The set of this signal alone.
fn alone() -> libc::sigset_t {
    let mut set = MaybeUninit::uninit();
    // SAFETY: the call makes it a valid set.
    unsafe { libc::sigemptyset(set.as_mut_ptr()) };
    // SAFETY: a valid set, and the number of a signal.
    unsafe { libc::sigaddset(set.as_mut_ptr(), libc::SIGPIPE) };
    // SAFETY: made valid above.
    unsafe { set.assume_init() }
}

/// Whether SIGPIPE waits for this thread to unblock it.
fn pends() -> bool {
    let mut set = MaybeUninit::zeroed();
    // SAFETY: the set may be written to.
    unsafe { libc::sigpending(set.as_mut_ptr()) };
    // SAFETY: filled by the call, or else empty: zero is a valid set.
    let set: libc::sigset_t = unsafe { set.assume_init() };
    // SAFETY: a valid set, and the number of a signal.
    unsafe { libc::sigismember(&raw const set, libc::SIGPIPE) == 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As a program has it that restored the default, which ends it.
    #[test]
    fn p35_a_signal_that_pended_before_still_does() {
        let epipe = || Err(io::Error::from_raw_os_error(libc::EPIPE));
        let raise = || {
            // SAFETY: raises a signal that this thread has blocked, or is about to take away.
            assert_eq!(unsafe { libc::raise(libc::SIGPIPE) }, 0);
        };
        // Blocked, so that what is left of it can be seen.
        block();
        let result = without(|| {
            raise();
            epipe()
        });
        assert_eq!(result.unwrap_err().raw_os_error(), Some(libc::EPIPE));
        assert!(!pends(), "the call's own signal is taken away");
        raise();
        without(epipe).unwrap_err();
        assert!(pends(), "the program's own is left to it");
        let (mut signal, sigpipe) = (0, alone());
        // SAFETY: as in `without`.
        unsafe { libc::sigwait(&raw const sigpipe, &raw mut signal) };
        assert_eq!(without(|| Ok(3)).unwrap(), 3);
        #[cfg(target_os = "linux")]
        {
            let parted = without_in_parts(|| {
                raise();
                Ok(3)
            });
            assert_eq!(parted.unwrap(), 3);
            assert!(!pends(), "what the second part raised is taken away");
        }
    }
}
