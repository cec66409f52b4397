//! One loop per thread: starting them, stopping them, and the first error.

use std::io;
use std::sync::mpsc;
use std::thread::{Builder as ThreadBuilder, JoinHandle};

use crate::{Builder, Io, Remote};

/// Loops on threads of their own; see [`Threads::start`].
///
/// ```
/// use tigereye::{Io, Threads};
///
/// let threads = Threads::start(2, &Io::builder(), |index, io| {
///     io.next(index, |index, _io| println!("loop {index} runs"));
///     Ok(())
/// })?;
/// threads.stop();
/// threads.join()?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Threads {
    remotes: Vec<Remote>,
    joins: Vec<JoinHandle<io::Result<()>>>,
}

impl Threads {
    /// Starts `count` threads with a loop each. `setup` runs on each thread with its number and
    /// its loop, to start the first operations; then the loop runs until [`stop`](Threads::stop)
    /// is called, whether it has something to do or not.
    ///
    /// To spread connections, let each loop listen on the same address with
    /// [`ListenOptions::reuse_port`](crate::ListenOptions::reuse_port); or accept on one and hand
    /// streams over with [`TcpStream::into_std`](crate::TcpStream::into_std) and
    /// [`Remote::post`].
    ///
    /// # Errors
    /// The first error of building a loop, of `setup`, or of starting a thread; all threads have
    /// ended then.
    #[expect(clippy::disallowed_methods, reason = "this is where loops get their threads")]
    pub fn start<S>(count: usize, builder: &Builder, setup: S) -> io::Result<Threads>
    where
        S: Fn(usize, &Io) -> io::Result<()> + Send + Clone + 'static,
    {
        let mut threads = Threads { remotes: Vec::new(), joins: Vec::new() };
        for index in 0..count {
            let (builder, setup) = (builder.clone(), setup.clone());
            let (started, start) = mpsc::channel();
            let name = format!("tigereye-{index}");
            let run = move || {
                let io = builder.build()?;
                setup(index, &io)?;
                // Keeps the loop from being idle.
                let (_keep, _trigger) = io.event((), |(), _io, _result| {});
                let _ = started.send(io.remote());
                io.run()
            };
            match ThreadBuilder::new().name(name).spawn(run) {
                Ok(join) => threads.joins.push(join),
                Err(error) => return Err(threads.give_up(error)),
            }
            match start.recv() {
                Ok(remote) => threads.remotes.push(remote),
                Err(_) => return Err(threads.give_up(io::ErrorKind::Other.into())),
            }
        }
        Ok(threads)
    }

    /// Ends all threads; gives the first of their own errors, or else `error`.
    fn give_up(self, error: io::Error) -> io::Error {
        self.stop();
        self.join().err().unwrap_or(error)
    }

    /// The loops, for posting to them.
    pub fn remotes(&self) -> &[Remote] {
        &self.remotes
    }

    /// Stops all loops.
    pub fn stop(&self) {
        for remote in &self.remotes {
            remote.stop();
        }
    }

    /// Waits until all threads have ended.
    ///
    /// # Errors
    /// The first error of a loop; `Other` for one that panicked.
    pub fn join(self) -> io::Result<()> {
        let mut first = Ok(());
        for join in self.joins {
            let panicked = || io::Error::other("a loop's thread panicked");
            let result = join.join().unwrap_or_else(|_| Err(panicked()));
            first = first.and(result);
        }
        first
    }
}
