//! Signals: their names, and hearing of them in a loop.
//!
//! ```text
//!   any thread                                     the loop's thread
//!   signal ─▶ handler ─▶ flag of the signal set ┄┄┄┄┄┄┄┄┄▶ flag taken ─▶ each(signal)
//!                  └──▶ if it was not set: a byte ─▶ socket ─▶ woken ──┘
//! ```
//!
//! The handler is that of the crate `signal-hook-registry`: it calls all listeners of the process,
//! and first whatever handler was there before.
//!
//! I1. A flag is set before the byte is sent and taken after it was received, so none is left
//!     behind: a flag that was set already has its byte on the way, or its taker.
//! I2. What a handler does is an atomic operation, getpid(2) and send(2), which never blocks: all of
//!     them may be called there (signal-safety(7)).
#![expect(unsafe_code, reason = "what is registered runs in a signal's handler")]

use std::fmt;
use std::io;
use std::os::fd::{IntoRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use signal_hook_registry::SigId;
use socket2::{Domain, Socket, Type};

use crate::error::to_raw;
use crate::handle::Source;
use crate::net::{adopt, system};
use crate::op::signal_each::SignalEach;
use crate::op::user_space::Failed;
use crate::state::Target;
use crate::{Io, Next, Op};

/// A signal of the system (signal(7)).
///
/// ```
/// use tigereye::Signal;
///
/// assert_eq!(Signal::TERM.as_raw(), 15);
/// assert_eq!(Signal::TERM.to_string(), "SIGTERM");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Signal(i32);

macro_rules! named {
    ($($name:ident $number:ident $meaning:literal,)*) => {
        impl Signal {
            $(#[doc = $meaning] pub const $name: Signal = Signal(libc::$number);)*

            fn name(self) -> Option<&'static str> {
                match self {
                    $(Signal::$name => Some(stringify!($number)),)*
                    _ => None,
                }
            }
        }
    };
}

named! {
    ABRT SIGABRT "The program gave up: abort(3).",
    ALRM SIGALRM "A timer of alarm(2) or setitimer(2).",
    CHLD SIGCHLD "A child has ended, was stopped, or goes on.",
    CONT SIGCONT "The process goes on after a stop.",
    HUP SIGHUP "The terminal is gone; to a daemon: read the configuration again.",
    INT SIGINT "The user interrupts: Ctrl-C.",
    PIPE SIGPIPE "A write to a pipe or socket that nobody reads.",
    PROF SIGPROF "A timer of processor time, for profilers.",
    QUIT SIGQUIT "The user quits: Ctrl-\\.",
    SYS SIGSYS "A system call that does not exist.",
    TERM SIGTERM "Somebody asks the program to end.",
    TSTP SIGTSTP "The user stops the program: Ctrl-Z.",
    TTIN SIGTTIN "A read from the terminal, in the background.",
    TTOU SIGTTOU "A write to the terminal, in the background.",
    URG SIGURG "Urgent data at a socket.",
    USR1 SIGUSR1 "What the program likes.",
    USR2 SIGUSR2 "What the program likes.",
    VTALRM SIGVTALRM "A timer of the process's own processor time.",
    WINCH SIGWINCH "The terminal has another size.",
    XCPU SIGXCPU "The limit of processor time is reached: setrlimit(2).",
    XFSZ SIGXFSZ "The limit of a file's size is reached: setrlimit(2).",
}

impl Signal {
    /// The signal with this number, which need not exist.
    pub const fn from_raw(number: i32) -> Signal {
        Signal(number)
    }

    /// The system's number of it.
    pub const fn as_raw(self) -> i32 {
        self.0
    }

    /// Whether a program can go on after it. A fault is met again as soon as its handler has
    /// returned, for ever; KILL and STOP have no handlers.
    fn can_be_heard(self) -> bool {
        const FAULTS: &[i32] = &[libc::SIGBUS, libc::SIGTRAP];
        let forbidden = [signal_hook_registry::FORBIDDEN, FAULTS].concat();
        (1..FLAGS).contains(&self.0) && !forbidden.contains(&self.0)
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "signal {}", self.0),
        }
    }
}

impl fmt::Debug for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Signals have lower numbers, on every system.
const FLAGS: i32 = 128;

/// What a listener shares with the handlers of its signals.
struct Heard {
    /// A flag for each signal.
    flags: [AtomicU64; FLAGS as usize / 64],
    /// Wakes the loop.
    bell: Socket,
    process: u32,
}

impl Heard {
    /// In the handler of a signal (I2).
    fn tell(&self, signal: Signal) {
        // A child that was forked and runs no other program yet has flags of its own, but the
        // parent's socket.
        if std::process::id() != self.process {
            return;
        }
        let number = signal.0.unsigned_abs();
        let flag = 1 << (number % 64);
        let before = self.flags[number as usize / 64].fetch_or(flag, Ordering::SeqCst);
        if before & flag == 0 {
            // Where it has no room, the loop is about to wake.
            let _ = self.bell.send_with_flags(&[0], libc::MSG_DONTWAIT | system::SEND_FLAGS);
        }
    }

    /// The lowest signal that has come.
    fn first(&self) -> Option<Signal> {
        let words = self.flags.iter().map(|word| word.load(Ordering::SeqCst));
        let (at, word) = (0..).zip(words).find(|(_, word)| *word != 0)?;
        Some(Signal(at * 64 + word.trailing_zeros().cast_signed()))
    }
}

/// Hears of signals, until it is dropped.
pub(crate) struct Listener {
    heard: Arc<Heard>,
    registered: Vec<SigId>,
    /// Can be received from when a signal has come.
    source: Source,
}

impl Listener {
    fn new(io: &Io, signals: &[Signal]) -> io::Result<Listener> {
        if signals.is_empty() || !signals.iter().all(|signal| signal.can_be_heard()) {
            return Err(io::Error::from_raw_os_error(libc::EINVAL));
        }
        let (near, bell) = Socket::pair(Domain::UNIX, Type::STREAM, None)?;
        system::forbid_sigpipe(&bell)?;
        let near: OwnedFd = adopt(io, near)?;
        let source = Source::new(io, near.into_raw_fd());
        let heard = Heard { flags: Default::default(), bell, process: std::process::id() };
        let registered = Vec::with_capacity(signals.len());
        let mut listener = Listener { heard: Arc::new(heard), registered, source };
        for &signal in signals {
            let heard = Arc::clone(&listener.heard);
            // SAFETY: what it does may be done in a handler (I2), and does not panic: the signal's
            // number was checked to have a flag.
            let id =
                unsafe { signal_hook_registry::register(signal.0, move || heard.tell(signal)) };
            listener.registered.push(id?);
        }
        Ok(listener)
    }

    /// Whether a signal has come.
    pub(crate) fn has_heard(&self) -> bool {
        self.heard.first().is_some()
    }

    /// Takes a signal that has come.
    pub(crate) fn take(&mut self) -> Option<Signal> {
        let signal = self.heard.first()?;
        let number = signal.0.unsigned_abs();
        let flag = 1_u64 << (number % 64);
        self.heard.flags[number as usize / 64].fetch_and(!flag, Ordering::SeqCst);
        Some(signal)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        for id in self.registered.drain(..) {
            signal_hook_registry::unregister(id);
        }
    }
}

impl Io {
    /// Calls `each` with every one of `signals` that the process gets, from the moment of this call
    /// on, until it returns [`Next::Stop`] or the operation is cancelled; then `done` gets the
    /// context back. It keeps [`run`](Io::run) from returning all the while.
    ///
    /// Each operation that listens hears of a signal, in every loop of the process. One that comes
    /// again before the loop has told of it is told once. None is lost; those that come together
    /// come in the order of their numbers.
    ///
    /// The signal does nothing else: what it would do by itself, such as ending the program, it
    /// does not do any more, **not even when the last listener is gone**. A program that wants to
    /// be ended by it again sets the default action itself (sigaction(2)). A handler that was there
    /// before is called first. A signal that all threads block comes when one unblocks it. Programs
    /// that the process starts have the default action.
    ///
    /// ```
    /// use tigereye::{Io, Next, Signal};
    ///
    /// let io = Io::new()?;
    /// io.signal_each(
    ///     "worker",
    ///     &[Signal::INT, Signal::TERM],
    ///     |name, _io, signal| {
    ///         println!("{name} ends on {signal}");
    ///         Next::Stop
    ///     },
    ///     |_name, _io, result| println!("no longer listening: {result:?}"),
    /// );
    /// # use rustix::process::{getpid, kill_process, Signal as Number};
    /// # kill_process(getpid(), Number::TERM)?;
    /// io.run()?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    /// In `done`: `InvalidInput` when there are no `signals`, or one of them cannot be listened to:
    /// KILL and STOP, the faults ILL, FPE, SEGV, BUS and TRAP, after which no program goes on, and
    /// what the system does not have; and what socketpair(2) says.
    ///
    /// # Sources
    /// signal(7), signal-safety(7), sigaction(2).
    pub fn signal_each<C, F, D>(&self, context: C, signals: &[Signal], each: F, done: D) -> Op
    where
        C: 'static,
        F: FnMut(&mut C, &Io, Signal) -> Next + 'static,
        D: FnOnce(C, &Io, io::Result<()>) + 'static,
    {
        match Listener::new(self, signals) {
            Ok(listener) => {
                let target = Target::from(listener.source.id(self));
                self.insert_each(SignalEach::new(listener), target, context, each, done)
            }
            Err(error) => self.submit(Failed(to_raw(&error)), context, done),
        }
    }
}
