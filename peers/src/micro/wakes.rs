//! Round trips from other threads to a loop and back: each of N threads asks the loop, waits for the
//! answer, and asks again. How a question gets to the loop is what is measured; an answer is always a
//! store and an `unpark`.
//!
//! The loop is on the core that the program was started on, the threads on the other one.

use super::{SENDERS, report};
use crate::harness::program::LOAD_CORE;
use crate::sys::process;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::thread::{JoinHandle, Thread};
use std::time::Instant;

/// The name of the figure with so many threads.
#[must_use]
pub fn name(senders: usize) -> String {
    format!("wake: loop and back, {senders} thread(s) (wall)")
}

struct Asking {
    thread: Thread,
    answered: AtomicU64,
}

/// A question, which the loop answers.
#[derive(Clone, Copy)]
pub struct Question(&'static Asking);

impl Question {
    /// The thread that asked goes on.
    pub fn answer(self) {
        // The loop's thread alone writes it.
        let after = self.0.answered.load(Ordering::Relaxed) + 1;
        self.0.answered.store(after, Ordering::Release);
        self.0.thread.unpark();
    }
}

/// Threads that ask.
pub struct Senders {
    threads: Vec<JoinHandle<io::Result<()>>>,
    total: u64,
    begin: Instant,
}

fn ask(each: u64, post: impl Fn(Question), own: &'static Asking) {
    for asked in 1..=each {
        post(Question(own));
        while own.answered.load(Ordering::Acquire) < asked {
            std::thread::park();
        }
    }
}

impl Senders {
    /// Starts `count` threads, each of which asks `each` times by `post`.
    pub fn start(
        count: usize,
        each: u64,
        post: impl Fn(Question) + Clone + Send + 'static,
    ) -> io::Result<Self> {
        let (mut threads, mut started) = (Vec::new(), Vec::new());
        for _ in 0..count {
            let (start, own) = channel::<&'static Asking>();
            let post = post.clone();
            let thread = std::thread::spawn(move || {
                process::pin(LOAD_CORE)?;
                let own = own.recv().map_err(io::Error::other)?;
                ask(each, post, own);
                Ok(())
            });
            let asking = Asking { thread: thread.thread().clone(), answered: AtomicU64::new(0) };
            started.push((start, &*Box::leak(Box::new(asking))));
            threads.push(thread);
        }
        let (total, begin) = (each * count as u64, Instant::now());
        for (start, own) in started {
            start.send(own).map_err(io::Error::other)?;
        }
        Ok(Self { threads, total, begin })
    }

    /// Questions that the loop has to answer.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Reports the time that all of it took, once the loop has answered.
    pub fn report(self, by: &str) -> io::Result<()> {
        let count = self.threads.len();
        for thread in self.threads {
            thread.join().map_err(|_| io::Error::other("a sender panicked"))??;
        }
        report(&name(count), by, self.begin.elapsed().as_nanos() as f64 / self.total as f64);
        Ok(())
    }
}

/// Has `senders` threads ask by `post`, and `answer` answer all of so many questions; reports it.
pub fn round_trips(
    by: &str,
    senders: usize,
    each: u64,
    post: impl Fn(Question) + Clone + Send + 'static,
    answer: impl FnOnce(u64),
) -> io::Result<()> {
    let senders = Senders::start(senders, each, post)?;
    answer(senders.total());
    senders.report(by)
}

/// Answers so many questions, in a task that waits for `next`.
pub async fn answer_all(total: u64, mut next: impl AsyncFnMut() -> Option<Question>) {
    for _ in 0..total {
        if let Some(question) = next().await {
            question.answer();
        }
    }
}

/// With each number of threads that there is to be: `serve` answers so many questions of the
/// threads that it starts.
pub fn each_count(
    wakes: u64,
    mut serve: impl FnMut(usize, u64) -> io::Result<()>,
) -> io::Result<()> {
    SENDERS.into_iter().try_for_each(|senders| serve(senders, wakes / senders as u64))
}
