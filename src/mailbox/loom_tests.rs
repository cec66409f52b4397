//! The interleavings of a few threads. A lost wake-up is a deadlock, which loom reports.
//!
//! Run with `RUSTFLAGS="--cfg loom" cargo test --release mailbox`. A thread is preempted where it could go on
//! at most [`PREEMPTIONS_MAX`] times in a run: without a bound some of these take hours, and the bugs that
//! they look for need one or two. `LOOM_MAX_PREEMPTIONS` in the environment takes the bound's place.

use std::collections::VecDeque;

use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use loom::sync::{Arc, Notify};
use loom::thread;

use super::{Mailbox, Wake};

/// An eventfd, which counts. loom's `Notify` also ends waits for no reason, as a system may.
struct Bell {
    notify: Notify,
    wakes: AtomicUsize,
}

impl Wake for Bell {
    fn wake(&self) {
        self.wakes.fetch_add(1, Ordering::Relaxed);
        self.notify.notify();
    }
}

type Shared = Arc<Mailbox<usize, Bell>>;

const PREEMPTIONS_MAX: usize = 3;

fn model(f: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = builder.preemption_bound.or(Some(PREEMPTIONS_MAX));
    builder.check(f);
}

fn mailbox() -> Shared {
    Arc::new(Mailbox::new(Bell { notify: Notify::new(), wakes: AtomicUsize::new(0) }))
}

fn spawn(mailbox: &Shared, f: impl FnOnce(&Shared) + 'static) -> thread::JoinHandle<()> {
    let mailbox = Arc::clone(mailbox);
    thread::spawn(move || f(&mailbox))
}

/// Runs a loop until `done` says so, and checks I2.
fn run(mailbox: &Shared, mut done: impl FnMut(&mut VecDeque<usize>) -> bool) {
    let mut inbox = VecDeque::new();
    let mut sleeps = 0;
    loop {
        if mailbox.has_work() {
            mailbox.take(&mut inbox);
        }
        if done(&mut inbox) {
            break;
        }
        if mailbox.prepare_wait() {
            sleeps += 1;
            mailbox.waker().notify.wait();
            mailbox.finish_wait(); // only here, so that prepare_wait has to carry what it uses up
        }
    }
    assert!(mailbox.waker().wakes.load(Ordering::Relaxed) <= sleeps, "I2");
}

#[test]
fn p65_no_message_and_no_wake_up_is_lost() {
    model(|| {
        let mailbox = mailbox();
        let one = spawn(&mailbox, |m| m.push(1).unwrap());
        let two = spawn(&mailbox, |m| m.push(2).unwrap());
        run(&mailbox, |inbox| inbox.len() == 2);
        one.join().unwrap();
        two.join().unwrap();
        assert!(mailbox.close().is_empty());
    });
}

#[test]
fn p65_messages_of_one_thread_stay_in_order() {
    model(|| {
        let mailbox = mailbox();
        let pusher = spawn(&mailbox, |m| (1..=3).for_each(|message| m.push(message).unwrap()));
        run(&mailbox, |inbox| inbox.len() == 3 && *inbox == [1, 2, 3]);
        pusher.join().unwrap();
    });
}

#[test]
fn p65_a_wake_shows_the_loop_what_was_written_before_it() {
    model(|| {
        let mailbox = mailbox();
        let flags = Arc::new([AtomicBool::new(false), AtomicBool::new(false)]);
        let wakers: Vec<_> = (0..2)
            .map(|index| {
                let flags = Arc::clone(&flags);
                spawn(&mailbox, move |m| {
                    flags[index].store(true, Ordering::Relaxed); // the wake has to carry it
                    m.wake();
                })
            })
            .collect();
        run(&mailbox, |_| flags.iter().all(|flag| flag.load(Ordering::Relaxed)));
        wakers.into_iter().for_each(|waker| waker.join().unwrap());
    });
}

#[test]
fn p65_wake_and_push_together() {
    model(|| {
        let mailbox = mailbox();
        let waker = spawn(&mailbox, |m| m.wake());
        let pusher = spawn(&mailbox, |m| m.push(1).unwrap());
        run(&mailbox, |inbox| inbox.len() == 1);
        waker.join().unwrap();
        pusher.join().unwrap();
    });
}

/// As a loop that spins has it: it looks a few times, and goes on when something is there, without a
/// word that it sleeps; what it was woken for is used up then, as after a sleep.
#[test]
fn p65_nothing_is_lost_by_a_loop_that_looks_before_it_sleeps() {
    model(|| {
        let mailbox = mailbox();
        let flag = Arc::new(AtomicBool::new(false));
        let set = Arc::clone(&flag);
        let waker = spawn(&mailbox, move |m| {
            set.store(true, Ordering::Relaxed); // the wake has to carry it
            m.wake();
        });
        let pusher = spawn(&mailbox, |m| m.push(1).unwrap());
        let mut inbox = VecDeque::new();
        let mut sleeps = 0;
        while inbox.is_empty() || !flag.load(Ordering::Relaxed) {
            if mailbox.has_work() {
                mailbox.finish_wait();
                mailbox.take(&mut inbox);
            } else if mailbox.prepare_wait() {
                sleeps += 1;
                mailbox.waker().notify.wait();
                mailbox.finish_wait();
            }
        }
        waker.join().unwrap();
        pusher.join().unwrap();
        assert!(mailbox.waker().wakes.load(Ordering::Relaxed) <= sleeps, "I2");
        assert!(mailbox.close().is_empty());
    });
}

#[test]
fn p67_a_stop_from_two_threads_is_seen_once_or_twice_and_never_lost() {
    model(|| {
        let mailbox = mailbox();
        let one = spawn(&mailbox, |m| m.request_stop());
        let two = spawn(&mailbox, |m| m.request_stop());
        run(&mailbox, |_| mailbox.take_stop());
        one.join().unwrap();
        two.join().unwrap();
        mailbox.take_stop(); // the second one may have come later
        assert!(!mailbox.take_stop());
    });
}

#[test]
fn p66_a_message_racing_the_close_is_taken_left_over_or_given_back() {
    model(|| {
        let mailbox = mailbox();
        let returned = Arc::new(AtomicUsize::new(0));
        let pushers: Vec<_> = (0..2)
            .map(|message| {
                let returned = Arc::clone(&returned);
                spawn(&mailbox, move |m| {
                    if let Err(given_back) = m.push(message) {
                        assert_eq!(given_back, message);
                        returned.fetch_add(1, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        let mut inbox = VecDeque::new();
        mailbox.take(&mut inbox);
        let kept = inbox.len() + mailbox.close().len();
        pushers.into_iter().for_each(|pusher| pusher.join().unwrap());
        assert_eq!(kept + returned.load(Ordering::Relaxed), 2);
    });
}

#[test]
fn p66_a_wake_racing_the_close_does_no_harm() {
    model(|| {
        let mailbox = mailbox();
        let waker = spawn(&mailbox, |m| {
            m.wake();
            m.request_stop();
        });
        let announced = usize::from(mailbox.prepare_wait());
        mailbox.close();
        waker.join().unwrap();
        assert!(!mailbox.has_work());
        assert!(mailbox.waker().wakes.load(Ordering::Relaxed) <= announced);
    });
}
