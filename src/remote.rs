//! The loop, seen from other threads: post a closure to it, wake it, stop it.

use std::fmt;
use std::sync::Arc;

use crate::Io;
use crate::core::LoopMailbox;
use crate::op::Op;

/// A closure for the loop's thread.
pub(crate) type Call = Box<dyn FnOnce(&Io) + Send>;

pub(crate) enum Message {
    Call(Call),
    /// A parked operation has what it waited for.
    Complete(Op),
    /// An operation's call on the pool has ended with this result.
    Done(Op, i32),
}

/// A handle to a loop for any thread: `Send`, `Sync`, `Clone`. Get it with
/// [`Io::remote`](crate::Io::remote).
///
/// A remote does not keep the loop running: [`Io::run`](crate::Io::run) returns when no operation
/// is in flight and nothing is posted.
///
/// ```
/// let io = tigereye::Io::new()?;
/// let remote = io.remote();
/// let thread = std::thread::spawn(move || remote.post(|io| io.stop()));
/// io.timeout((), std::time::Duration::MAX, |(), _io, _result| unreachable!());
/// io.run()?;
/// thread.join().unwrap().unwrap();
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone)]
pub struct Remote {
    pub(crate) mailbox: Arc<LoopMailbox>,
}

impl Remote {
    /// Has `call` run on the loop's thread. Closures run in the order in which one thread posts
    /// them.
    ///
    /// # Errors
    /// [`PostError`] gives the closure back when the loop is gone.
    pub fn post<F: FnOnce(&Io) + Send + 'static>(&self, call: F) -> Result<(), PostError> {
        self.mailbox.push(Message::Call(Box::new(call))).map_err(|message| match message {
            Message::Call(call) => PostError(call),
            Message::Complete(_) | Message::Done(..) => unreachable!("a call was pushed"),
        })
    }

    /// Makes the loop's current wait end, or its next one if it does not wait now. Does nothing
    /// when the loop is gone.
    pub fn wake(&self) {
        self.mailbox.wake();
    }

    /// Has the loop's current or next `run` return as soon as it can. Stopping twice is stopping
    /// once; does nothing when the loop is gone.
    pub fn stop(&self) {
        self.mailbox.request_stop();
    }
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote").finish_non_exhaustive()
    }
}

/// The loop is gone; the closure that was not run is inside.
pub struct PostError(Call);

impl PostError {
    /// The closure.
    pub fn into_inner(self) -> Box<dyn FnOnce(&Io) + Send> {
        self.0
    }
}

impl fmt::Debug for PostError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostError").finish_non_exhaustive()
    }
}

impl fmt::Display for PostError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the loop is gone")
    }
}

impl std::error::Error for PostError {}
