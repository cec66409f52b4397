//! One thread where the order is what is tested, many where it is not. A lost wake-up shows as a hang.
#![expect(clippy::disallowed_methods, reason = "tests have threads of their own")]

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

use super::{CAPACITY_KEPT_MAX, Mailbox, Wake};

/// An eventfd made of a condition variable, which counts.
#[derive(Default)]
struct Bell {
    rung: Mutex<bool>,
    changed: Condvar,
    wakes: AtomicUsize,
}

impl Wake for Bell {
    fn wake(&self) {
        self.wakes.fetch_add(1, Ordering::Relaxed);
        *self.rung.lock().unwrap() = true;
        self.changed.notify_one();
    }
}

impl Bell {
    fn wait(&self) {
        let rung = self.rung.lock().unwrap();
        *self.changed.wait_while(rung, |rung| !*rung).unwrap() = false;
    }
}

type Counted = Mailbox<usize, Bell>;

fn mailbox() -> Counted {
    Mailbox::new(Bell::default())
}

fn wakes(mailbox: &Counted) -> usize {
    mailbox.waker().wakes.load(Ordering::Relaxed)
}

fn taken(mailbox: &Counted) -> Vec<usize> {
    let mut into = VecDeque::new();
    mailbox.take(&mut into);
    into.into()
}

#[test]
fn wakes_and_posts_while_awake_cost_no_call() {
    let mailbox = mailbox();
    for message in 0..1000 {
        mailbox.wake();
        mailbox.push(message).unwrap();
        mailbox.request_stop();
    }
    assert_eq!(wakes(&mailbox), 0);
    assert!(mailbox.has_work());
    assert!(!mailbox.prepare_wait());
    assert_eq!(taken(&mailbox), (0..1000).collect::<Vec<_>>());
    assert!(!mailbox.prepare_wait(), "the stop is left");
    assert!(mailbox.take_stop());
    assert!(!mailbox.take_stop());
    assert!(!mailbox.has_work());
    assert!(mailbox.prepare_wait());
}

#[test]
fn the_first_to_have_work_for_a_sleeper_wakes_it_and_no_other() {
    let first: [fn(&Counted); 3] = [Counted::wake, Counted::request_stop, |m| m.push(0).unwrap()];
    for (expected, first) in (1..).zip(first) {
        // One mailbox for each, and the whole storm behind it.
        let mailbox = mailbox();
        assert!(mailbox.prepare_wait());
        assert!(mailbox.prepare_wait(), "may be repeated");
        first(&mailbox);
        for message in 0..1000 {
            mailbox.wake();
            mailbox.push(message).unwrap();
            mailbox.request_stop();
        }
        assert_eq!(wakes(&mailbox), 1, "case {expected}");
        mailbox.waker().wait();
        mailbox.finish_wait();
        assert!(!mailbox.prepare_wait());
    }
}

#[test]
fn p65_a_wake_before_the_wait_is_kept_for_it_and_used_up_by_it() {
    let mailbox = mailbox();
    mailbox.wake();
    mailbox.wake();
    assert!(!mailbox.prepare_wait());
    mailbox.finish_wait();
    assert!(mailbox.prepare_wait());
    mailbox.wake();
    mailbox.wake();
    mailbox.waker().wait();
    mailbox.finish_wait();
    assert!(mailbox.prepare_wait(), "two wakes during one wait end one wait");
    assert_eq!(wakes(&mailbox), 1);
}

#[test]
fn p66_after_the_close_messages_come_back_and_nothing_wakes() {
    let mailbox = mailbox();
    mailbox.push(1).unwrap();
    mailbox.push(2).unwrap();
    assert_eq!(mailbox.close(), [1, 2]);
    assert_eq!(mailbox.push(3), Err(3));
    assert!(mailbox.prepare_wait());
    mailbox.wake();
    mailbox.request_stop();
    assert!(!mailbox.has_work());
    assert!(!mailbox.take_stop());
    assert!(mailbox.close().is_empty());
    assert!(taken(&mailbox).is_empty());
    assert_eq!(wakes(&mailbox), 0);
}

#[test]
fn p66_a_close_while_announced_asleep_wakes_nobody() {
    let mailbox = mailbox();
    assert!(mailbox.prepare_wait());
    assert!(mailbox.close().is_empty());
    assert_eq!(mailbox.push(1), Err(1));
    mailbox.wake();
    assert_eq!(wakes(&mailbox), 0);
}

#[test]
fn p67_a_stop_outlives_waits_and_two_are_one() {
    let mailbox = mailbox();
    mailbox.request_stop();
    mailbox.request_stop();
    assert!(!mailbox.prepare_wait());
    mailbox.finish_wait();
    assert!(!mailbox.prepare_wait());
    assert!(mailbox.take_stop());
    assert!(!mailbox.take_stop());
}

#[test]
fn take_keeps_the_order_of_what_was_not_worked_off_yet() {
    let mailbox = mailbox();
    let mut backlog = VecDeque::new();
    mailbox.push(1).unwrap();
    mailbox.push(2).unwrap();
    mailbox.take(&mut backlog);
    assert_eq!(backlog.pop_front(), Some(1));
    mailbox.push(3).unwrap();
    mailbox.take(&mut backlog);
    assert_eq!(backlog, [2, 3]);
    assert!(!mailbox.has_work());
}

#[test]
fn a_steady_load_keeps_its_two_buffers_and_a_burst_does_not() {
    let mailbox = mailbox();
    let mut into = VecDeque::new();
    let mut turn = |messages: usize| {
        (0..messages).for_each(|message| mailbox.push(message).unwrap());
        mailbox.take(&mut into);
        into.clear();
        into.capacity()
    };
    let steady = [turn(100), turn(100)];
    for _ in 0..10 {
        assert_eq!([turn(100), turn(100)], steady);
    }
    turn(10 * CAPACITY_KEPT_MAX);
    turn(1);
    turn(1);
    assert!(turn(1) <= CAPACITY_KEPT_MAX && turn(1) <= CAPACITY_KEPT_MAX);
}

#[test]
fn a_poisoned_lock_is_simply_taken() {
    let mailbox = mailbox();
    mailbox.push(1).unwrap();
    thread::scope(|scope| {
        let poisoner = scope.spawn(|| {
            let _held = mailbox.queue.lock().unwrap();
            std::panic::resume_unwind(Box::new("no hook, no noise"));
        });
        assert!(poisoner.join().is_err());
    });
    assert!(mailbox.queue.is_poisoned());
    mailbox.push(2).unwrap();
    assert_eq!(taken(&mailbox), [1, 2]);
    mailbox.push(3).unwrap();
    assert_eq!(mailbox.close(), [3]);
}

/// Runs a loop until `done` says so. Returns how often it slept.
fn run(mailbox: &Counted, mut done: impl FnMut(&mut VecDeque<usize>) -> bool) -> usize {
    let mut inbox = VecDeque::new();
    let mut sleeps = 0;
    loop {
        if mailbox.has_work() {
            mailbox.take(&mut inbox);
        }
        if done(&mut inbox) {
            return sleeps;
        }
        if mailbox.prepare_wait() {
            sleeps += 1;
            mailbox.waker().wait();
        }
        mailbox.finish_wait();
    }
}

#[test]
fn p65_a_storm_from_many_threads_loses_nothing_and_wakes_once_a_sleep() {
    const THREADS: usize = 4;
    const EACH: usize = 100_000;
    let mailbox = mailbox();
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let mailbox = &mailbox;
            scope.spawn(move || {
                for number in 0..EACH {
                    mailbox.push(thread * EACH + number).unwrap();
                    mailbox.wake();
                    if number % 64 == 0 {
                        thread::yield_now(); // lets the loop fall asleep now and then
                    }
                }
            });
        }
        let mut next = [0; THREADS];
        let sleeps = run(&mailbox, |inbox| {
            for message in inbox.drain(..) {
                assert_eq!(message % EACH, next[message / EACH], "in order, each once");
                next[message / EACH] += 1;
            }
            next == [EACH; THREADS]
        });
        assert!(wakes(&mailbox) <= sleeps, "{} wakes in {sleeps} sleeps", wakes(&mailbox));
    });
}

#[test]
fn p65_ping_pong_where_every_message_meets_a_loop_about_to_sleep() {
    const ROUNDS: usize = 20_000;
    let (near, far) = (mailbox(), mailbox());
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut served = 0;
            run(&far, |inbox| {
                while let Some(message) = inbox.pop_front() {
                    near.push(message).unwrap();
                    served += 1;
                }
                served == ROUNDS
            });
        });
        far.push(0).unwrap();
        let mut served = 0;
        run(&near, |inbox| {
            while let Some(message) = inbox.pop_front() {
                assert_eq!(message, served);
                served += 1;
                if served < ROUNDS {
                    far.push(served).unwrap();
                }
            }
            served == ROUNDS
        });
    });
}

#[test]
fn p66_messages_racing_a_close_are_taken_left_over_or_given_back() {
    const EACH: usize = 2000;
    for _ in 0..50 {
        let mailbox = Arc::new(mailbox());
        let pushers: Vec<_> = (0..3)
            .map(|_| {
                let mailbox = Arc::clone(&mailbox);
                thread::spawn(move || (0..EACH).filter(|&m| mailbox.push(m).is_err()).count())
            })
            .collect();
        let mut inbox = VecDeque::new();
        while inbox.len() < EACH / 2 {
            mailbox.take(&mut inbox);
            thread::yield_now();
        }
        let kept = inbox.len() + mailbox.close().len();
        let returned: usize = pushers.into_iter().map(|pusher| pusher.join().unwrap()).sum();
        assert_eq!(kept + returned, 3 * EACH);
    }
}
