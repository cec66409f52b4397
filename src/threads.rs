//! One loop per thread: starting them, stopping them, and the first error; and connections that
//! one of them hands to all.

use std::cell::Cell;
use std::io;
use std::sync::mpsc;
use std::thread::{Builder as ThreadBuilder, JoinHandle};

use crate::remote::Call;
use crate::{Builder, Io, Remote, TcpStream};

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
    /// [`ListenOptions::reuse_port`](crate::ListenOptions::reuse_port), where the system spreads
    /// them then; or accept on one and hand streams over with [`InTurn`].
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

/// Hands connections to loops in turn: for systems that do not spread them over listeners that
/// share a port ([`REUSE_PORT_SPREADS`](crate::ListenOptions::REUSE_PORT_SPREADS)).
///
/// ```
/// use tigereye::{InTurn, Io, Next, TcpListener, Threads};
///
/// let threads = Threads::start(2, &Io::builder(), |_index, _io| Ok(()))?;
/// let in_turn = InTurn::new(threads.remotes());
/// # let (bound, address) = std::sync::mpsc::channel();
/// threads.remotes()[0].post(move |io| {
///     let listener = TcpListener::bind(io, "127.0.0.1:0".parse().unwrap()).unwrap();
/// #   bound.send(listener.local_addr().unwrap()).unwrap();
///     io.accept_each(
///         listener,
///         move |_listener, _io, stream| {
///             let handed = in_turn.hand(stream, |io, stream| {
///                 // On its loop from here on.
///                 io.send_detached(&stream, b"hello");
///             });
///             if handed.is_ok() { Next::Continue } else { Next::Stop }
///         },
///         |_listener, _io, _result| {},
///     );
/// })?;
/// # use std::io::Read;
/// # let address = address.recv().unwrap();
/// # for _ in 0..3 {
/// #     let mut hello = [0; 5];
/// #     std::net::TcpStream::connect(address)?.read_exact(&mut hello)?;
/// #     assert_eq!(&hello, b"hello");
/// # }
/// threads.stop();
/// threads.join()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct InTurn {
    remotes: Vec<Remote>,
    next: Cell<usize>,
}

impl InTurn {
    /// The loops, in their order.
    pub fn new(remotes: &[Remote]) -> InTurn {
        InTurn { remotes: remotes.to_vec(), next: Cell::new(0) }
    }

    /// Moves a connection to the next loop, where `take` gets it. A loop that is gone is passed
    /// over.
    ///
    /// # Errors
    /// `NotConnected` when the stream is closed or has operations in flight, or when no loop is
    /// left; what ioctl(2) says. The connection is closed then.
    pub fn hand<F>(&self, stream: TcpStream, take: F) -> io::Result<()>
    where
        F: FnOnce(&Io, TcpStream) + Send + 'static,
    {
        let stream = stream.into_std()?;
        let mut call: Call = Box::new(move |io| {
            // A descriptor that its system does not let us set up is closed.
            if let Ok(stream) = TcpStream::from_std(io, stream) {
                take(io, stream);
            }
        });
        for _ in &self.remotes {
            let turn = self.next.get();
            self.next.set((turn + 1) % self.remotes.len());
            match self.remotes[turn].post(call) {
                Ok(()) => return Ok(()),
                Err(gone) => call = gone.into_inner(),
            }
        }
        Err(io::Error::new(io::ErrorKind::NotConnected, "all loops are gone"))
    }
}
