//! Real threads. What has to happen is waited for on a channel: where it fails to happen, a test hangs.

use std::cell::RefCell;
use std::io;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Barrier};
use std::thread::{self, ThreadId};
use std::time::Duration;

use super::{Job, JobId, Pool, Rejected, Shared, package, start_thread};
use crate::op::Op;

/// Longer than any test: here threads end because the pool does.
const STAY: Duration = Duration::from_secs(3600);

/// Tells on which thread it was dropped.
struct Dropped(Sender<ThreadId>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.send(thread::current().id()).ok();
    }
}

/// Panics when dropped.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        resume_unwind(Box::new("dropped")); // without the hook, and so without its noise
    }
}

fn submit(pool: &Pool, job: impl FnOnce() + Send + 'static) -> JobId {
    try_submit(pool, Job::new(job)).map_err(|rejected| rejected.error).unwrap()
}

fn try_submit(pool: &Pool, job: Job) -> Result<JobId, Box<Rejected>> {
    static OWNERS: AtomicU32 = AtomicU32::new(0);
    pool.submit(Op { index: OWNERS.fetch_add(1, Ordering::Relaxed), generation: 0 }, job)
}

fn threads(pool: &Pool) -> usize {
    pool.shared.lock().threads
}

/// Occupies a thread of the pool until the returned sender is dropped. The job has started on return.
fn stick(pool: &Pool) -> Sender<()> {
    let (release, released) = channel::<()>();
    let (started, has_started) = channel();
    submit(pool, move || {
        started.send(()).unwrap();
        released.recv().unwrap_err();
    });
    has_started.recv().unwrap();
    release
}

/// Leaves something on the calling thread that tells when that thread has ended.
fn tell_the_end_of_this_thread(ended: Sender<ThreadId>) {
    thread_local!(static END: RefCell<Option<Dropped>> = const { RefCell::new(None) });
    END.set(Some(Dropped(ended)));
}

#[test]
fn jobs_run_in_order_on_named_threads_that_are_not_the_callers() {
    let pool = Pool::new(1);
    let (ran, has_run) = channel();
    for number in 0..100 {
        let ran = ran.clone();
        submit(&pool, move || {
            assert_eq!(thread::current().name(), Some("tigereye-offload"));
            ran.send((number, thread::current().id())).unwrap();
        });
    }
    drop(ran);
    let (numbers, on): (Vec<_>, Vec<_>) = has_run.iter().unzip();
    assert_eq!(numbers, (0..100).collect::<Vec<_>>());
    assert!(on.iter().all(|&id| id == on[0] && id != thread::current().id()));
}

#[test]
fn no_thread_starts_before_the_first_job_and_an_idle_one_is_used_again() {
    let pool = Pool::with(4, STAY, start_thread);
    assert_eq!(threads(&pool), 0);
    for _ in 0..100 {
        let (ran, has_run) = channel::<()>();
        submit(&pool, move || drop(ran));
        has_run.recv().unwrap_err();
        while pool.shared.lock().idle == 0 {
            thread::yield_now(); // it has run, and now comes back for more
        }
        assert_eq!(threads(&pool), 1);
    }
}

#[test]
fn jobs_that_wait_for_each_other_have_a_thread_each_up_to_the_bound() {
    let pool = Pool::with(4, STAY, start_thread);
    let all = Arc::new(Barrier::new(5));
    for _ in 0..4 {
        let all = Arc::clone(&all);
        submit(&pool, move || {
            all.wait();
        });
    }
    all.wait();
    assert_eq!(threads(&pool), 4);
}

#[test]
fn thousands_of_jobs_run_once_each_and_never_on_more_threads_than_the_bound() {
    const JOBS: usize = 20_000;
    const THREADS: usize = 3;
    let pool = Pool::new(THREADS);
    let (running, ran) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (done, is_done) = channel::<()>();
    for _ in 0..JOBS {
        let (running, ran, done) = (Arc::clone(&running), Arc::clone(&ran), done.clone());
        submit(&pool, move || {
            assert!(running.fetch_add(1, Ordering::SeqCst) < THREADS);
            ran.fetch_add(1, Ordering::SeqCst);
            running.fetch_sub(1, Ordering::SeqCst);
            drop(done);
        });
        assert!(threads(&pool) <= THREADS);
    }
    drop(done);
    is_done.recv().unwrap_err();
    assert_eq!(ran.load(Ordering::SeqCst), JOBS);
}

#[test]
fn an_idle_thread_ends_and_the_next_job_starts_another() {
    let pool = Pool::with(1, Duration::ZERO, start_thread);
    for _ in 0..20 {
        let (ended, has_ended) = channel();
        submit(&pool, move || tell_the_end_of_this_thread(ended));
        has_ended.recv().unwrap();
        assert_eq!(threads(&pool), 0);
    }
}

#[test]
fn threads_that_end_while_jobs_come_leave_none_behind() {
    let pool = Pool::with(2, Duration::ZERO, start_thread);
    for _ in 0..2000 {
        let (ran, has_run) = channel();
        submit(&pool, move || ran.send(()).unwrap());
        has_run.recv().unwrap();
    }
}

#[test]
fn p59_a_stuck_pool_holds_up_neither_submit_nor_cancel_nor_its_end() {
    let pool = Pool::new(2);
    let stuck = [stick(&pool), stick(&pool)];
    let (dropped, was_dropped) = channel();
    let ids: Vec<_> = (0..100)
        .map(|_| {
            let token = Dropped(dropped.clone());
            submit(&pool, move || unreachable!("{:p}", &token))
        })
        .collect();
    assert_eq!(threads(&pool), 2);
    for id in &ids[..50] {
        drop(pool.cancel(*id).expect("queued"));
        assert!(pool.cancel(*id).is_none(), "a second time");
    }
    assert_eq!(was_dropped.try_iter().count(), 50);
    drop(pool);
    let on: Vec<_> = was_dropped.try_iter().collect();
    assert_eq!(on, vec![thread::current().id(); 50], "dropped here, before the drop returned");
    drop(stuck);
}

#[test]
fn p59_a_job_that_runs_while_the_pool_is_dropped_ends_undisturbed_and_then_its_thread_ends() {
    let pool = Pool::with(2, STAY, start_thread);
    let (go, gone) = channel::<()>();
    let (ended, has_ended) = channel();
    let (started, has_started) = channel();
    let (result, has_result) = channel();
    let also_ended = ended.clone();
    submit(&pool, move || {
        tell_the_end_of_this_thread(also_ended);
        started.send(()).unwrap();
        gone.recv().unwrap();
        result.send(42).unwrap();
    });
    has_started.recv().unwrap();
    let (idle, is_idle) = channel();
    submit(&pool, move || {
        tell_the_end_of_this_thread(ended);
        idle.send(()).unwrap();
    });
    is_idle.recv().unwrap();
    drop(pool);
    has_ended.recv().unwrap(); // the idle one, at once and not after its hour
    go.send(()).unwrap();
    assert_eq!(has_result.recv(), Ok(42));
    has_ended.recv().unwrap();
}

#[test]
fn a_closed_pool_returns_what_is_queued_in_order_and_takes_nothing_more() {
    let pool = Pool::new(1);
    let stuck = stick(&pool);
    let (ran, has_run) = channel();
    for number in 0..3 {
        let ran = ran.clone();
        submit(&pool, move || ran.send(number).unwrap());
    }
    let jobs = pool.close();
    assert!(pool.close().is_empty());
    jobs.into_iter().for_each(Job::run);
    assert_eq!(has_run.try_iter().collect::<Vec<_>>(), [0, 1, 2]);
    let rejected = try_submit(&pool, Job::new(move || ran.send(3).unwrap())).err().unwrap();
    rejected.job.run();
    assert_eq!(has_run.recv(), Ok(3));
    drop(stuck);
}

#[test]
fn p75_a_cancel_racing_the_start_returns_the_job_or_lets_it_run_never_both() {
    const JOBS: usize = 64;
    for round in 0..300 {
        let pool = Pool::new(1 + round % 3);
        let times = Arc::new([const { AtomicUsize::new(0) }; JOBS]);
        let (done, is_done) = channel::<()>();
        let ids: Vec<_> = (0..JOBS)
            .map(|number| {
                let (times, done) = (Arc::clone(&times), done.clone());
                submit(&pool, move || {
                    times[number].fetch_add(1, Ordering::SeqCst);
                    drop(done);
                })
            })
            .collect();
        drop(done);
        let mut returned = 0;
        for (number, id) in ids.into_iter().enumerate().rev() {
            if let Some(job) = pool.cancel(id) {
                assert_eq!(times[number].load(Ordering::SeqCst), 0);
                returned += 1;
                drop(job);
            }
        }
        is_done.recv().unwrap_err(); // every job has run or is dropped
        let ran: Vec<_> = times.iter().map(|times| times.load(Ordering::SeqCst)).collect();
        assert!(ran.iter().all(|&times| times <= 1));
        assert_eq!(ran.iter().sum::<usize>() + returned, JOBS);
    }
}

#[test]
fn p75_a_running_and_a_finished_job_cannot_be_cancelled() {
    let pool = Pool::new(1);
    let (go, gone) = channel::<()>();
    let (started, has_started) = channel();
    let id = submit(&pool, move || {
        started.send(()).unwrap();
        gone.recv().unwrap();
        started.send(()).unwrap();
    });
    has_started.recv().unwrap();
    assert!(pool.cancel(id).is_none());
    go.send(()).unwrap();
    has_started.recv().unwrap();
    assert!(pool.cancel(id).is_none());
}

#[test]
fn a_job_that_unwinds_costs_no_thread_not_even_if_the_payload_panics_too() {
    let pool = Pool::with(1, STAY, start_thread);
    let (on, ran_on) = channel();
    for number in 0..4 {
        let on = on.clone();
        submit(&pool, move || {
            on.send(thread::current().id()).unwrap();
            match number {
                0 => resume_unwind(Box::new("plain")),
                1 => resume_unwind(Box::new(Bomb)),
                2 => drop(Bomb),
                _ => {}
            }
        });
    }
    drop(on);
    let on: Vec<_> = ran_on.iter().collect();
    assert_eq!(on.len(), 4);
    assert!(on.iter().all(|id| *id == on[0]));
    assert_eq!(threads(&pool), 1);
}

fn cannot_start(_: Arc<Shared>) -> io::Result<()> {
    Err(io::Error::from(io::ErrorKind::WouldBlock))
}

#[test]
fn where_no_thread_can_be_started_the_job_comes_back_with_the_error() {
    let mut pool = Pool::with(2, STAY, cannot_start);
    let (ran, has_run) = channel();
    let job = Job::new(move || ran.send(()).unwrap());
    let rejected = try_submit(&pool, job).err().unwrap();
    assert_eq!(rejected.error.kind(), io::ErrorKind::WouldBlock);
    assert_eq!(threads(&pool), 0);
    assert_eq!(pool.shared.lock().queue.len(), 0);
    pool.start = start_thread;
    assert!(try_submit(&pool, rejected.job).is_ok(), "and later it may work");
    has_run.recv().unwrap();
}

#[test]
fn where_no_second_thread_can_be_started_the_job_waits_for_the_first() {
    let mut pool = Pool::with(2, STAY, start_thread);
    let stuck = stick(&pool);
    pool.start = cannot_start;
    let (ran, has_run) = channel();
    submit(&pool, move || ran.send(()).unwrap());
    assert_eq!(threads(&pool), 1);
    drop(stuck);
    has_run.recv().unwrap();
}

fn notifier() -> (impl FnOnce() + Send + 'static, Receiver<()>) {
    let (notify, notified) = channel();
    (move || notify.send(()).unwrap(), notified)
}

#[test]
fn a_packaged_call_delivers_its_result_by_the_time_it_notifies() {
    let pool = Pool::new(2);
    for number in 0..5000 {
        let (notify, notified) = notifier();
        let (job, receipt) = package(move || number * 2, notify);
        try_submit(&pool, job).map_err(|rejected| rejected.error).unwrap();
        notified.recv().unwrap();
        assert_eq!(receipt.take().unwrap().unwrap(), number * 2);
        assert!(notified.recv().is_err(), "once");
    }
}

#[test]
fn a_packaged_call_that_panics_delivers_the_payload() {
    let (notify, notified) = notifier();
    let (job, receipt) = package(|| -> () { resume_unwind(Box::new("why")) }, notify);
    job.run();
    notified.try_recv().unwrap();
    let payload = receipt.take().unwrap().unwrap_err();
    assert_eq!(payload.downcast_ref::<&str>(), Some(&"why"));
}

#[test]
fn p75_a_packaged_job_dropped_unrun_notifies_nobody_and_frees_what_the_call_owned() {
    let (dropped, was_dropped) = channel();
    let (notify, notified) = notifier();
    let token = Dropped(dropped);
    let (job, receipt) = package(move || token, notify);
    drop(job);
    assert_eq!(was_dropped.try_recv(), Ok(thread::current().id()));
    assert!(notified.try_recv().is_err());
    assert!(receipt.take().is_none());
}

#[test]
fn p75_the_result_of_a_call_abandoned_while_it_runs_is_dropped_on_the_pools_thread() {
    let pool = Pool::new(1);
    let (go, gone) = channel::<()>();
    let (dropped, was_dropped) = channel();
    let (notify, notified) = notifier();
    let call = move || {
        gone.recv().unwrap();
        Dropped(dropped)
    };
    let (job, receipt) = package(call, notify);
    try_submit(&pool, job).map_err(|rejected| rejected.error).unwrap();
    drop(receipt);
    go.send(()).unwrap();
    notified.recv().unwrap();
    let on = was_dropped.try_recv().expect("dropped before the notification");
    assert_ne!(on, thread::current().id());
}

#[test]
fn an_abandoned_result_that_panics_when_dropped_still_notifies_and_costs_no_thread() {
    let pool = Pool::with(1, STAY, start_thread);
    for _ in 0..2 {
        let (notify, notified) = notifier();
        let (job, receipt) = package(|| Bomb, notify);
        drop(receipt);
        try_submit(&pool, job).map_err(|rejected| rejected.error).unwrap();
        notified.recv().unwrap();
    }
    assert_eq!(threads(&pool), 1);
}

#[test]
fn p59_the_loops_end_between_call_and_notification() {
    let pool = Pool::new(1);
    let (go, gone) = channel::<()>();
    let (started, has_started) = channel();
    let (notify, notified) = notifier();
    let call = move || {
        started.send(()).unwrap();
        gone.recv().unwrap();
    };
    let (job, receipt) = package(call, notify);
    try_submit(&pool, job).map_err(|rejected| rejected.error).unwrap();
    has_started.recv().unwrap();
    drop((pool, receipt));
    go.send(()).unwrap();
    notified.recv().unwrap();
}
