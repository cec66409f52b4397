//! The calls of operations that run on the pool: what can block, where the driver does not do it.
//!
//! Their results come back through the loop's mailbox, as completions. A call that no thread has
//! taken yet is taken back when its operation is cancelled; one that runs completes when it is over
//! (P75), and holds up nothing else meanwhile (P59).

use std::io;
use std::sync::Arc;

use super::{Job, Pool};
use crate::core::LoopMailbox;
use crate::error::{code, to_raw};
use crate::net::system;
use crate::op::{Op, Start};
#[cfg(unix)]
use crate::raw::AsRawFd;
use crate::raw::{IntoRawFd, OwnedFd};
use crate::remote::Message;
use crate::slot::NONE;

pub(crate) struct Calls {
    pub(crate) pool: Pool,
    pub(crate) mailbox: Arc<LoopMailbox>,
}

impl Calls {
    /// Queues a call of an operation's; it is made again when a signal interrupts it.
    pub(crate) fn start(
        &self,
        op: Op,
        mut call: impl FnMut() -> io::Result<usize> + Send + 'static,
    ) -> Start {
        let mailbox = Arc::clone(&self.mailbox);
        self.queue(op, move || {
            let result = result_of(&mut call);
            // A failed push means that the loop is gone: it did not wait for this call, and has
            // leaked what it was lent.
            drop(mailbox.push(Message::Done(op, result)));
        })
    }

    /// As [`start`](Calls::start), of a call whose result is a descriptor: it is closed where the
    /// loop is gone.
    pub(crate) fn start_open<E: Into<io::Error>>(
        &self,
        op: Op,
        mut call: impl FnMut() -> Result<OwnedFd, E> + Send + 'static,
    ) -> Start {
        let mailbox = Arc::clone(&self.mailbox);
        self.queue(op, move || {
            let opened = until_done(|| call().map_err(Into::into));
            let result = opened.as_ref().map_or_else(|code| *code, |opened| opened.as_raw_fd());
            if mailbox.push(Message::Done(op, result)).is_ok()
                && let Ok(opened) = opened
            {
                // The operation owns it now.
                let _ = opened.into_raw_fd();
            }
        })
    }

    /// Closes a descriptor that the loop has let go of; at once, where the pool has no thread.
    pub(crate) fn start_close(&self, op: Op, fd: OwnedFd) -> Start {
        let mailbox = Arc::clone(&self.mailbox);
        let job = Job::new(move || {
            drop(mailbox.push(Message::Done(op, close_for_result(fd))));
        });
        match self.pool.submit(op, job) {
            Ok(id) => Start::Offloaded(id.place),
            Err(rejected) => {
                rejected.job.run();
                Start::Offloaded(NONE)
            }
        }
    }

    fn queue(&self, op: Op, job: impl FnOnce() + Send + 'static) -> Start {
        match self.pool.submit(op, Job::new(job)) {
            Ok(id) => Start::Offloaded(id.place),
            Err(rejected) => {
                Start::Ready(-rejected.error.raw_os_error().unwrap_or(code::NO_MEMORY))
            }
        }
    }
}

/// Closes a descriptor, once: it is gone whatever the result is (P31).
pub(crate) fn close_for_result(fd: OwnedFd) -> i32 {
    match system::close(fd) {
        Ok(()) => 0,
        Err(error) => -error.raw_os_error().unwrap_or(code::IO),
    }
}

/// Makes a call until no signal interrupts it; its result, as an operation has it.
pub(crate) fn result_of(call: impl FnMut() -> io::Result<usize>) -> i32 {
    until_done(call).map_or_else(|code| code, |count| i32::try_from(count).unwrap_or(i32::MAX))
}

/// Makes a call until no signal interrupts it; its result, or a negated code.
fn until_done<T>(mut call: impl FnMut() -> io::Result<T>) -> Result<T, i32> {
    loop {
        match call() {
            Ok(value) => return Ok(value),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(to_raw(&error)),
        }
    }
}
