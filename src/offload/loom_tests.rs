//! The interleavings of the owner and a thread or two. A lost job is a deadlock, which loom reports.
//!
//! Run with `RUSTFLAGS="--cfg loom" cargo test --release offload`. Preemptions are bounded as for the mailbox;
//! loom's condition variable never times out, so a thread here ends by the end of the pool only.

use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::sync::{Arc, Notify};
use loom::thread;

use super::{Job, JobId, Pool, package};
use crate::op::Op;

const PREEMPTIONS_MAX: usize = 3;

fn model(f: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = builder.preemption_bound.or(Some(PREEMPTIONS_MAX));
    builder.check(f);
}

fn counting(times: &Arc<AtomicUsize>, done: &Arc<Notify>) -> impl FnOnce() + Send + 'static {
    let (times, done) = (Arc::clone(times), Arc::clone(done));
    move || {
        times.fetch_add(1, Ordering::Relaxed);
        done.notify();
    }
}

fn wait_until(times: &AtomicUsize, expected: usize, done: &Notify) {
    while times.load(Ordering::Relaxed) < expected {
        done.wait();
    }
    assert_eq!(times.load(Ordering::Relaxed), expected);
}

fn submit(pool: &Pool, job: impl FnOnce() + Send + 'static) -> JobId {
    let owner = Op { index: 0, generation: 0 };
    pool.submit(owner, Job::new(job)).map_err(|rejected| rejected.error).unwrap()
}

#[test]
fn every_job_runs_once() {
    for threads_max in [1, 2] {
        model(move || {
            let pool = Pool::new(threads_max);
            let times = Arc::new(AtomicUsize::new(0));
            let done = Arc::new(Notify::new());
            submit(&pool, counting(&times, &done));
            submit(&pool, counting(&times, &done));
            wait_until(&times, 2, &done);
        });
    }
}

#[test]
fn an_idle_thread_hears_of_the_next_job() {
    model(|| {
        let pool = Pool::new(1);
        let times = Arc::new(AtomicUsize::new(0));
        let done = Arc::new(Notify::new());
        for expected in 1..=2 {
            submit(&pool, counting(&times, &done));
            wait_until(&times, expected, &done);
        }
    });
}

#[test]
fn p75_a_cancelled_job_is_returned_or_runs() {
    model(|| {
        let pool = Pool::new(1);
        let times = Arc::new(AtomicUsize::new(0));
        let done = Arc::new(Notify::new());
        let id = submit(&pool, counting(&times, &done));
        if let Some(job) = pool.cancel(id) {
            assert_eq!(times.load(Ordering::Relaxed), 0);
            drop(job);
            submit(&pool, counting(&times, &done)); // the thread is there for the next one
        }
        wait_until(&times, 1, &done);
    });
}

#[test]
fn p59_the_drop_returns_or_lets_run_what_was_submitted_and_every_thread_ends() {
    model(|| {
        let pool = Pool::new(1);
        let times = Arc::new(AtomicUsize::new(0));
        let done = Arc::new(Notify::new());
        for _ in 0..2 {
            submit(&pool, counting(&times, &done));
        }
        let returned = pool.close().len();
        wait_until(&times, 2 - returned, &done);
    });
}

#[test]
fn p75_what_notify_announces_is_there() {
    model(|| {
        let done = Arc::new(Notify::new());
        let rung = Arc::new(AtomicUsize::new(0));
        let (job, receipt) = package(|| 42, counting(&rung, &done));
        let worker = thread::spawn(|| job.run());
        wait_until(&rung, 1, &done);
        assert_eq!(receipt.take().unwrap().unwrap(), 42);
        worker.join().unwrap();
    });
}

#[test]
fn p75_an_abandoned_result_is_dropped_once() {
    struct Counted(Arc<AtomicUsize>);
    impl Drop for Counted {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    model(|| {
        let dropped = Arc::new(AtomicUsize::new(0));
        let value = Counted(Arc::clone(&dropped));
        let (job, receipt) = package(move || value, || {});
        let worker = thread::spawn(|| job.run());
        drop(receipt);
        worker.join().unwrap();
        assert_eq!(dropped.load(Ordering::Relaxed), 1);
    });
}

#[test]
fn p75_a_receipt_taken_early_loses_no_result_and_gets_none_twice() {
    model(|| {
        let value = Arc::new(());
        let result = Arc::clone(&value);
        let (job, receipt) = package(move || result, || {});
        let worker = thread::spawn(|| job.run());
        let early = receipt.take();
        worker.join().unwrap();
        let here = usize::from(early.is_some());
        assert_eq!(Arc::strong_count(&value), 1 + here);
    });
}
