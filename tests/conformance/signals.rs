//! Signals. Each test has a process to itself: what a process does with a signal is one for all of
//! its threads, and most stays so.
#![allow(unsafe_code, reason = "fork(2), sigprocmask(2): what no crate wraps safely")]

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use tigereye::{Io, Next, Op, Signal, Threads};

use crate::alone::alone;
use crate::{HANG, Log, finish};

/// Sends the calling thread a signal, which has been handled when this returns (raise(3)). One that
/// is sent to the process may be handled by another thread, and later.
fn raise(signal: Signal) {
    // SAFETY: a plain call.
    assert_eq!(unsafe { libc::raise(signal.as_raw()) }, 0);
}

/// What a listener heard, and how it ended.
type Said = Log<String>;

/// Listens until `last` comes.
fn listen(io: &Io, said: &Said, signals: &[Signal], last: Signal) -> Op {
    io.signal_each(
        said.clone(),
        signals,
        move |said, _io, signal| {
            said.put(signal.to_string());
            if signal == last { Next::Stop } else { Next::Continue }
        },
        |said, _io, result| said.put(format!("{:?}", result.map_err(|error| error.kind()))),
    )
}

#[test]
fn a_signal_comes_with_its_name() {
    if !alone("signals::a_signal_comes_with_its_name", &[]) {
        return;
    }
    let (io, said) = (Io::new().unwrap(), Said::new());
    listen(&io, &said, &[Signal::USR1, Signal::HUP, Signal::TERM], Signal::TERM);
    // Before the first turn, and between others.
    raise(Signal::HUP);
    io.run_once().unwrap();
    assert_eq!(said.take(), ["SIGHUP"]);
    for signal in [Signal::USR1, Signal::TERM] {
        raise(signal);
        io.run_once().unwrap();
    }
    finish(&io);
    assert_eq!(said.take(), ["SIGUSR1", "SIGTERM", "Ok(())"]);
}

#[test]
fn signals_that_come_together_are_told_once_each_in_order() {
    if !alone("signals::signals_that_come_together_are_told_once_each_in_order", &[]) {
        return;
    }
    let (io, said) = (Io::new().unwrap(), Said::new());
    listen(&io, &said, &[Signal::TERM, Signal::USR1, Signal::INT], Signal::TERM);
    for signal in [Signal::TERM, Signal::USR1, Signal::USR1, Signal::INT, Signal::USR1] {
        raise(signal);
    }
    finish(&io);
    assert_eq!(said.take(), ["SIGINT", "SIGUSR1", "SIGTERM", "Ok(())"]);
}

#[test]
fn a_signal_to_the_process_is_heard_by_whichever_thread() {
    if !alone("signals::a_signal_to_the_process_is_heard_by_whichever_thread", &[]) {
        return;
    }
    let (io, said) = (Io::new().unwrap(), Said::new());
    listen(&io, &said, &[Signal::TERM], Signal::TERM);
    rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::TERM)
        .unwrap();
    finish(&io);
    assert_eq!(said.take(), ["SIGTERM", "Ok(())"]);
}

#[test]
fn rule1_a_signal_is_told_in_a_turn_and_not_in_the_call() {
    if !alone("signals::rule1_a_signal_is_told_in_a_turn_and_not_in_the_call", &[]) {
        return;
    }
    let (io, said) = (Io::new().unwrap(), Said::new());
    listen(&io, &said, &[Signal::USR1], Signal::USR1);
    raise(Signal::USR1);
    listen(&io, &said, &[Signal::USR1], Signal::USR1);
    assert_eq!(said.len(), 0);
    raise(Signal::USR1);
    finish(&io);
    assert_eq!(said.len(), 4, "both heard, and both ended");
}

#[test]
fn every_listener_in_every_loop_hears() {
    if !alone("signals::every_listener_in_every_loop_hears", &[]) {
        return;
    }
    let heard = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&heard);
    let threads = Threads::start(3, &Io::builder(), move |_index, io| {
        for _ in 0..2 {
            let count = Arc::clone(&count);
            let each = move |(): &mut (), _io: &Io, _signal| {
                count.fetch_add(1, Ordering::SeqCst);
                Next::Stop
            };
            io.signal_each((), &[Signal::HUP], each, |(), _io, result| result.unwrap());
        }
        Ok(())
    });
    let threads = threads.unwrap();
    raise(Signal::HUP);
    for remote in threads.remotes() {
        // Runs until its own listeners have ended; what keeps it running is not an operation of ours.
        remote.post(stop_when_told).unwrap();
    }
    threads.join().unwrap();
    assert_eq!(heard.load(Ordering::SeqCst), 6);
}

/// Stops a loop of `Threads` when nothing but its own operation is left.
fn stop_when_told(io: &Io) {
    if io.in_flight() <= 1 {
        return io.stop();
    }
    io.timeout((), std::time::Duration::from_millis(1), |(), io, _result| stop_when_told(io));
}

#[test]
fn p34_signals_that_cannot_be_listened_to_are_invalid() {
    let (io, said) = (Io::new().unwrap(), Said::new());
    let numbers = [
        libc::SIGKILL,
        libc::SIGSTOP,
        libc::SIGILL,
        libc::SIGFPE,
        libc::SIGSEGV,
        libc::SIGBUS,
        libc::SIGTRAP,
        0,
        -1,
        127,
        128,
        i32::MIN,
        i32::MAX,
    ];
    for number in numbers {
        let signal = Signal::from_raw(number);
        // The good one beside it is listened to no longer.
        listen(&io, &said, &[Signal::URG, signal], signal);
        finish(&io);
        assert_eq!(said.one(), format!("{:?}", Err::<(), _>(ErrorKind::InvalidInput)), "{signal}");
    }
    listen(&io, &said, &[], Signal::TERM);
    finish(&io);
    assert_eq!(said.one(), "Err(InvalidInput)");
}

#[test]
fn p20_a_cancelled_listener_hears_no_more() {
    if !alone("signals::p20_a_cancelled_listener_hears_no_more", &[]) {
        return;
    }
    let (io, said) = (Io::new().unwrap(), Said::new());
    let op = listen(&io, &said, &[Signal::TERM], Signal::TERM);
    io.poll().unwrap();
    io.cancel(op);
    io.run_for(HANG).unwrap();
    let cancelled = std::io::Error::from_raw_os_error(libc::ECANCELED).kind();
    assert_eq!(said.one(), format!("{:?}", Err::<(), _>(cancelled)));
    // The default would end the process: it does not come back when the last listener is gone.
    raise(Signal::TERM);
    let op = listen(&io, &said, &[Signal::TERM], Signal::TERM);
    io.deadline(op, std::time::Duration::from_millis(1));
    finish(&io);
    assert_eq!(said.one(), "Err(TimedOut)", "what came before is no news");
}

#[test]
fn a_paused_listener_tells_later() {
    if !alone("signals::a_paused_listener_tells_later", &[]) {
        return;
    }
    let (io, said) = (Io::new().unwrap(), Said::new());
    let op = listen(&io, &said, &[Signal::USR1, Signal::USR2], Signal::USR2);
    io.poll().unwrap();
    io.pause(op);
    raise(Signal::USR1);
    raise(Signal::USR2);
    for _ in 0..4 {
        io.poll().unwrap();
    }
    assert_eq!(said.len(), 0);
    io.resume(op);
    finish(&io);
    assert_eq!(said.take(), ["SIGUSR1", "SIGUSR2", "Ok(())"]);
}

#[test]
fn p05_a_storm_of_signals_loses_the_last_of_none() {
    if !alone("signals::p05_a_storm_of_signals_loses_the_last_of_none", &[]) {
        return;
    }
    let io = Io::new().unwrap();
    let signals = [Signal::HUP, Signal::USR1, Signal::USR2];
    let counts: Rc<RefCell<BTreeMap<Signal, u32>>> = Rc::default();
    let all = [&signals[..], &[Signal::TERM]].concat();
    io.signal_each(
        Rc::clone(&counts),
        &all,
        |counts, _io, signal| {
            *counts.borrow_mut().entry(signal).or_default() += 1;
            if signal == Signal::TERM { Next::Stop } else { Next::Continue }
        },
        |_counts, _io, result| result.unwrap(),
    );
    let thread = std::thread::spawn(move || {
        for _ in 0..20_000 {
            signals.into_iter().for_each(raise);
        }
        raise(Signal::TERM);
    });
    finish(&io);
    thread.join().unwrap();
    let counts = counts.borrow();
    assert!(all.iter().all(|signal| (1..=20_000).contains(&counts[signal])), "{counts:?}");
    assert_eq!(counts[&Signal::TERM], 1);
}

/// Told and taken one at a time, each signal is one callback: none is lost between two turns.
#[test]
fn no_signal_is_lost_however_it_falls_into_a_turn() {
    if !alone("signals::no_signal_is_lost_however_it_falls_into_a_turn", &[]) {
        return;
    }
    let io = Io::new().unwrap();
    let (told, taken) = std::sync::mpsc::channel();
    let mut left = 2_000;
    io.signal_each(
        (),
        &[Signal::USR1],
        move |(), _io, _signal| {
            told.send(()).unwrap();
            left -= 1;
            if left == 0 { Next::Stop } else { Next::Continue }
        },
        |(), _io, result| result.unwrap(),
    );
    let thread = std::thread::spawn(move || {
        for _ in 0..2_000 {
            raise(Signal::USR1);
            taken.recv_timeout(HANG).expect("the signal is told");
        }
    });
    finish(&io);
    thread.join().unwrap();
}

#[test]
fn p25_rule7_loops_end_while_signals_come() {
    if !alone("signals::p25_rule7_loops_end_while_signals_come", &[]) {
        return;
    }
    let stop = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&stop);
    // Before the thread: there must be a handler.
    let (first, said) = (Io::new().unwrap(), Said::new());
    listen(&first, &said, &[Signal::USR1], Signal::TERM);
    let thread = std::thread::spawn(move || {
        while !told.load(Ordering::Relaxed) {
            raise(Signal::USR1);
        }
    });
    for turns in 0..100 {
        let (io, said) = (Io::new().unwrap(), Said::new());
        let held = Rc::new(());
        let context = Rc::clone(&held);
        io.signal_each(context, &[Signal::USR1], |_, _io, _| Next::Continue, |_, _io, _| {});
        listen(&io, &said, &[Signal::USR1], Signal::USR1);
        (0..turns % 4).for_each(|_| io.poll().unwrap());
        drop(io);
        assert_eq!(Rc::strong_count(&held), 1, "the context is dropped");
    }
    stop.store(true, Ordering::Relaxed);
    thread.join().unwrap();
}

#[test]
fn a_handler_that_was_there_before_is_called_too() {
    static CALLED: AtomicU32 = AtomicU32::new(0);
    extern "C" fn count(_signal: libc::c_int) {
        CALLED.fetch_add(1, Ordering::SeqCst);
    }
    if !alone("signals::a_handler_that_was_there_before_is_called_too", &[]) {
        return;
    }
    // SAFETY: the handler only counts.
    let before = unsafe { libc::signal(libc::SIGUSR2, count as *const () as usize) };
    assert_ne!(before, libc::SIG_ERR);
    let (io, said) = (Io::new().unwrap(), Said::new());
    listen(&io, &said, &[Signal::USR2], Signal::USR2);
    raise(Signal::USR2);
    finish(&io);
    assert_eq!(said.take(), ["SIGUSR2", "Ok(())"]);
    raise(Signal::USR2);
    assert_eq!(CALLED.load(Ordering::SeqCst), 2);
}

/// Blocks a signal in the calling thread, or no longer.
fn block(how: libc::c_int, signal: Signal) {
    let mut set = std::mem::MaybeUninit::uninit();
    // SAFETY: the call makes the set a valid one.
    unsafe { libc::sigemptyset(set.as_mut_ptr()) };
    // SAFETY: made valid by the call before.
    let mut set = unsafe { set.assume_init() };
    // SAFETY: a valid set and the number of a signal.
    unsafe { libc::sigaddset(&raw mut set, signal.as_raw()) };
    // SAFETY: a valid set; the old one is not asked for.
    let result = unsafe { libc::pthread_sigmask(how, &raw const set, std::ptr::null_mut()) };
    assert_eq!(result, 0);
}

#[test]
fn a_signal_that_is_blocked_comes_when_it_no_longer_is() {
    if !alone("signals::a_signal_that_is_blocked_comes_when_it_no_longer_is", &[]) {
        return;
    }
    let (io, said) = (Io::new().unwrap(), Said::new());
    listen(&io, &said, &[Signal::USR1], Signal::USR1);
    block(libc::SIG_BLOCK, Signal::USR1);
    raise(Signal::USR1);
    io.run_for(std::time::Duration::from_millis(5)).unwrap();
    assert_eq!(said.len(), 0);
    block(libc::SIG_UNBLOCK, Signal::USR1);
    finish(&io);
    assert_eq!(said.take(), ["SIGUSR1", "Ok(())"]);
}

#[test]
fn a_forked_child_tells_its_parent_nothing() {
    if !alone("signals::a_forked_child_tells_its_parent_nothing", &[]) {
        return;
    }
    let (io, said) = (Io::new().unwrap(), Said::new());
    listen(&io, &said, &[Signal::USR1, Signal::CHLD], Signal::CHLD);
    // SAFETY: the child makes system calls alone, which it may after a fork of a threaded process.
    let child = unsafe { libc::fork() };
    if child == 0 {
        for _ in 0..1000 {
            // SAFETY: a system call.
            unsafe { libc::raise(libc::SIGUSR1) };
        }
        // SAFETY: ends the child without the parent's exit handlers.
        unsafe { libc::_exit(0) };
    }
    assert!(child > 0);
    finish(&io);
    let mut status = 0;
    // SAFETY: the status may be written to.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    assert_eq!(status, 0);
    assert_eq!(said.take(), ["SIGCHLD", "Ok(())"], "of the child's own signals nothing is heard");
}

#[test]
fn a_child_process_ends_and_is_heard_of() {
    if !alone("signals::a_child_process_ends_and_is_heard_of", &[]) {
        return;
    }
    let (io, said) = (Io::new().unwrap(), Said::new());
    listen(&io, &said, &[Signal::CHLD], Signal::CHLD);
    let mut child = std::process::Command::new("true").spawn().unwrap();
    finish(&io);
    assert_eq!(said.take(), ["SIGCHLD", "Ok(())"]);
    assert!(child.wait().unwrap().success());
}

#[test]
fn p68_a_signal_makes_the_loops_descriptor_readable() {
    if !alone("signals::p68_a_signal_makes_the_loops_descriptor_readable", &[]) {
        return;
    }
    let (io, said) = (Io::new().unwrap(), Said::new());
    listen(&io, &said, &[Signal::USR1], Signal::USR1);
    let descriptor = io.descriptor().unwrap();
    io.arm().unwrap();
    raise(Signal::USR1);
    while said.len() < 2 {
        let mut entry = [rustix::event::PollFd::new(&descriptor, rustix::event::PollFlags::IN)];
        let timeout = rustix::time::Timespec { tv_sec: HANG.as_secs().cast_signed(), tv_nsec: 0 };
        assert_eq!(rustix::event::poll(&mut entry, Some(&timeout)), Ok(1));
        io.poll().unwrap();
        io.arm().unwrap();
    }
    assert_eq!(said.take(), ["SIGUSR1", "Ok(())"]);
}

#[test]
fn names_and_numbers_of_signals_agree() {
    assert_eq!(Signal::from_raw(libc::SIGWINCH), Signal::WINCH);
    assert_eq!(Signal::INT.as_raw(), libc::SIGINT);
    assert_eq!(format!("{} {:?}", Signal::HUP, Signal::QUIT), "SIGHUP SIGQUIT");
    assert_eq!(Signal::from_raw(40).to_string(), "signal 40");
}
