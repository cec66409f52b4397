//! What a console tells its programs on Windows, as signals: Ctrl-C and its like.
//!
//! ```text
//!   a thread of the system's                       the loop's thread
//!   event ─▶ flag of the signal set ┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄▶ flag taken ─▶ each(signal)
//!               └──▶ message to the loop's mailbox ──▶ woken ──┘
//! ```
//!
//! I1. A flag is set before the message is sent, and the operation looks at the flags before it
//!     waits: none is left behind.
//!
//! Sources: SetConsoleCtrlHandler and HandlerRoutine in Microsoft's documentation.
#![expect(unsafe_code, reason = "a function is registered with the system")]

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use windows_sys::Win32::System::Console::{
    CTRL_BREAK_EVENT, CTRL_C_EVENT, CTRL_CLOSE_EVENT, CTRL_LOGOFF_EVENT, CTRL_SHUTDOWN_EVENT,
    SetConsoleCtrlHandler,
};

use crate::core::LoopMailbox;
use crate::error::{code, to_raw};
use crate::op::signal_each::SignalEach;
use crate::op::user_space::Failed;
use crate::remote::Message;
use crate::state::Target;
use crate::{Io, Next, Op};

/// A signal. Windows has three, which a console tells its programs; their numbers are those that its
/// C library has for them.
///
/// ```
/// use tigereye::Signal;
///
/// assert_eq!(Signal::TERM.as_raw(), 15);
/// assert_eq!(Signal::TERM.to_string(), "SIGTERM");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Signal(i32);

impl Signal {
    /// The user interrupts: Ctrl-C.
    pub const INT: Signal = Signal(2);
    /// The console is closed, the user logs off, or the system shuts down. The system ends the
    /// program some seconds later.
    pub const TERM: Signal = Signal(15);
    /// The user quits: Ctrl-Break.
    pub const BREAK: Signal = Signal(21);

    /// The signal with this number, which need not exist.
    pub const fn from_raw(number: i32) -> Signal {
        Signal(number)
    }

    /// The C library's number of it.
    pub const fn as_raw(self) -> i32 {
        self.0
    }

    fn flag(self) -> u32 {
        1 << self.0
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Signal::INT => f.write_str("SIGINT"),
            Signal::TERM => f.write_str("SIGTERM"),
            Signal::BREAK => f.write_str("SIGBREAK"),
            Signal(number) => write!(f, "signal {number}"),
        }
    }
}

impl fmt::Debug for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What a listener shares with the system's thread.
struct Heard {
    wanted: u32,
    flags: AtomicU32,
    /// The operation, once it has started.
    op: OnceLock<Op>,
    mailbox: Arc<LoopMailbox>,
}

impl Heard {
    fn tell(&self, signal: Signal) {
        self.flags.fetch_or(signal.flag(), Ordering::SeqCst);
        self.wake();
    }

    fn wake(&self) {
        if let Some(&op) = self.op.get() {
            // A failed push means that the loop is gone, and with it the operation.
            drop(self.mailbox.push(Message::Complete(op)));
        }
    }
}

/// All that listen in this process.
fn listeners() -> MutexGuard<'static, Vec<Weak<Heard>>> {
    static LISTENERS: Mutex<Vec<Weak<Heard>>> = Mutex::new(Vec::new());
    LISTENERS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Called by the system, on a thread of its own. Says whether the event needs nothing more.
unsafe extern "system" fn on_event(event: u32) -> i32 {
    let signal = match event {
        CTRL_C_EVENT => Signal::INT,
        CTRL_BREAK_EVENT => Signal::BREAK,
        CTRL_CLOSE_EVENT | CTRL_LOGOFF_EVENT | CTRL_SHUTDOWN_EVENT => Signal::TERM,
        _ => return 0,
    };
    let mut is_heard = false;
    for heard in listeners().iter().filter_map(Weak::upgrade) {
        if heard.wanted & signal.flag() != 0 {
            heard.tell(signal);
            is_heard = true;
        }
    }
    if is_heard && signal == Signal::TERM {
        // The program is ended when this returns: it is to end by itself before that.
        loop {
            std::thread::park();
        }
    }
    i32::from(is_heard)
}

/// Hears of signals, until it is dropped.
pub(crate) struct Listener(Arc<Heard>);

impl Listener {
    fn new(io: &Io, signals: &[Signal]) -> io::Result<Listener> {
        const ALL: [Signal; 3] = [Signal::INT, Signal::TERM, Signal::BREAK];
        static REGISTERED: OnceLock<bool> = OnceLock::new();
        if signals.is_empty() || !signals.iter().all(|signal| ALL.contains(signal)) {
            return Err(io::Error::from_raw_os_error(code::INVALID));
        }
        // SAFETY: the function may be called at any time, from any thread.
        let register = || unsafe { SetConsoleCtrlHandler(Some(on_event), 1) } != 0;
        if !*REGISTERED.get_or_init(register) {
            return Err(io::ErrorKind::Unsupported.into());
        }
        let wanted = signals.iter().fold(0, |all, signal| all | signal.flag());
        let (op, mailbox) = (OnceLock::new(), Arc::clone(&io.core.mailbox));
        let heard = Arc::new(Heard { wanted, flags: AtomicU32::new(0), op, mailbox });
        let mut all = listeners();
        all.retain(|listener| listener.strong_count() > 0);
        all.push(Arc::downgrade(&heard));
        Ok(Listener(heard))
    }

    /// Whether a signal has come.
    pub(crate) fn has_heard(&self) -> bool {
        self.0.flags.load(Ordering::SeqCst) != 0
    }

    /// Takes a signal that has come.
    pub(crate) fn take(&mut self) -> Option<Signal> {
        let flags = self.0.flags.load(Ordering::SeqCst);
        let signal = (flags != 0).then(|| Signal(flags.trailing_zeros().cast_signed()))?;
        self.0.flags.fetch_and(!signal.flag(), Ordering::SeqCst);
        Some(signal)
    }
}

impl Io {
    /// Calls `each` with every one of `signals` that the process is told of, from the moment of this
    /// call on, until it returns [`Next::Stop`] or the operation is cancelled; then `done` gets the
    /// context back. It keeps [`run`](Io::run) from returning all the while.
    ///
    /// Each operation that listens hears of a signal, in every loop of the process. One that comes
    /// again before the loop has told of it is told once. None is lost; those that come together
    /// come in the order of their numbers. While somebody listens the signal does nothing else.
    ///
    /// # Errors
    /// In `done`: `InvalidInput` when there are no `signals`, or others than INT, TERM and BREAK.
    ///
    /// # Sources
    /// SetConsoleCtrlHandler and HandlerRoutine in Microsoft's documentation.
    pub fn signal_each<C, F, D>(&self, context: C, signals: &[Signal], each: F, done: D) -> Op
    where
        C: 'static,
        F: FnMut(&mut C, &Io, Signal) -> Next + 'static,
        D: FnOnce(C, &Io, io::Result<()>) + 'static,
    {
        let listener = match Listener::new(self, signals) {
            Ok(listener) => listener,
            Err(error) => return self.submit(Failed(to_raw(&error)), context, done),
        };
        let heard = Arc::clone(&listener.0);
        let op = self.insert_each(SignalEach::new(listener), Target::Nothing, context, each, done);
        // It is set here alone.
        let _ = heard.op.set(op);
        if heard.flags.load(Ordering::SeqCst) != 0 {
            heard.wake();
        }
        op
    }
}
