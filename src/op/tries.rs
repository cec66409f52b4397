//! Sending through io_uring what waits for room: once more by the kernel, or by the row.
//!
//! A Unix socket of datagrams copies a datagram before it finds that there is no room. The kernel,
//! which tries again by itself, goes on behind what was copied, and sends an empty datagram, with
//! success (`unix_dgram_sendmsg` in net/unix/af_unix.c; seen on Linux 6.18). So on a socket of
//! datagrams no send waits: the row polls, and then sends from the start.

#[cfg(target_os = "linux")]
use io_uring::{opcode, squeue, types};

#[cfg(target_os = "linux")]
use super::Start;
use super::Step;
#[cfg(target_os = "linux")]
use crate::driver::uring;

#[derive(Default)]
pub(crate) struct Tries {
    /// The last entry was a send that did not wait.
    #[cfg(target_os = "linux")]
    pub(crate) tried: bool,
    /// The last entry was a poll.
    polling: bool,
}

impl Tries {
    /// Submits an entry that sends, with these flags besides, and waits for room; or a poll.
    #[cfg(target_os = "linux")]
    #[inline]
    pub(crate) fn submit(
        &mut self,
        place: &mut uring::Place<'_>,
        entry: impl FnOnce(i32) -> squeue::Entry,
    ) -> Start {
        if !place.carries_datagrams() {
            return place.submit(entry(0));
        }
        self.polling = self.tried;
        self.tried = !self.tried;
        let events = u32::from(libc::POLLOUT.unsigned_abs());
        place.submit(if self.polling {
            opcode::PollAdd::new(types::Fd(place.fd), events).build()
        } else {
            entry(libc::MSG_DONTWAIT)
        })
    }

    /// What follows on a result that is no send's.
    #[inline]
    pub(crate) fn step(&mut self, result: i32) -> Option<Step> {
        let polled = std::mem::take(&mut self.polling) && result >= 0;
        polled.then_some(Step::Again)
    }
}
