//! Posting closures to a loop, as one writes it by hand: a locked list, and an eventfd that is
//! written to when the list was empty.

use super::wakes::{self, Question, Senders};
use super::{Amounts, SENDERS, post_name, report};
use crate::sys::arena::Arena;
use crate::sys::epoll::{Epoll, Ready};
use crate::sys::net;
use crate::sys::ring::{self, Port};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

type Job = Box<dyn FnOnce(&mut u64) + Send>;

struct Mailbox {
    jobs: Mutex<Vec<Job>>,
    fd: OwnedFd,
}

impl Mailbox {
    fn post(&self, job: Job) -> io::Result<()> {
        let mut jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        jobs.push(job);
        let first = jobs.len() == 1;
        drop(jobs);
        if first { net::write_counter(self.fd.as_raw_fd(), 1) } else { Ok(()) }
    }

    /// Swaps what was posted for an empty list.
    fn take(&self, jobs: &mut Vec<Job>) {
        std::mem::swap(jobs, &mut self.jobs.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// Runs what is posted until `total` jobs have run, waiting by `wait`.
fn receive(
    mailbox: &Mailbox,
    total: u64,
    mut wait: impl FnMut() -> io::Result<()>,
) -> io::Result<()> {
    let (mut ran, mut jobs) = (0, Vec::new());
    while ran < total {
        wait()?;
        mailbox.take(&mut jobs);
        for job in jobs.drain(..) {
            job(&mut ran);
        }
    }
    Ok(())
}

fn by_uring(mailbox: &Mailbox, total: u64) -> io::Result<()> {
    let fd: RawFd = mailbox.fd.as_raw_fd();
    let mut ring = ring::build(8)?;
    let mut port = Port::new(&mut ring, Arena::new(1, 4096), 0)?;
    port.poll_in(fd, true, 0);
    receive(mailbox, total, || {
        port.enter(1)?;
        while let Some(completion) = port.next() {
            if !completion.more() {
                port.poll_in(fd, true, 0);
            }
        }
        Ok(())
    })
}

fn by_epoll(mailbox: &Mailbox, total: u64) -> io::Result<()> {
    let epoll = Epoll::new()?;
    epoll.add_edge_in(mailbox.fd.as_raw_fd(), 0)?;
    let mut ready = [Ready::EMPTY; 8];
    receive(mailbox, total, || epoll.wait(&mut ready, -1).map(drop))
}

type Loop = fn(&Mailbox, u64) -> io::Result<()>;

fn measure_way(by: &str, senders: usize, each: u64, way: Loop) -> io::Result<()> {
    let mailbox = Arc::new(Mailbox { jobs: Mutex::default(), fd: net::eventfd()? });
    let total = each * senders as u64;
    let begin = Instant::now();
    let send = |mailbox: Arc<Mailbox>| {
        move || (0..each).try_for_each(|_| mailbox.post(Box::new(|ran| *ran += 1)))
    };
    let threads: Vec<_> =
        (0..senders).map(|_| std::thread::spawn(send(Arc::clone(&mailbox)))).collect();
    way(&mailbox, total)?;
    report(&post_name(senders), by, begin.elapsed().as_nanos() as f64 / total as f64);
    for thread in threads {
        thread.join().map_err(|_| io::Error::other("a sender panicked"))??;
    }
    Ok(())
}

/// Questions of other threads by the same means, answered by this one.
fn round_trips(by: &str, senders: usize, each: u64, way: Loop) -> io::Result<()> {
    let mailbox = Arc::new(Mailbox { jobs: Mutex::default(), fd: net::eventfd()? });
    let posting = Arc::clone(&mailbox);
    let senders = Senders::start(senders, each, move |question: Question| {
        let job = Box::new(move |ran: &mut u64| {
            *ran += 1;
            question.answer();
        });
        posting.post(job).expect("an eventfd takes a write");
    })?;
    way(&mailbox, senders.total())?;
    senders.report(by)
}

/// The same on mio, whose waker is an eventfd too.
fn round_trips_on_mio(senders: usize, each: u64) -> io::Result<()> {
    let mut poll = mio::Poll::new()?;
    let waker = Arc::new(mio::Waker::new(poll.registry(), mio::Token(0))?);
    let asked = Arc::new(Mutex::new(Vec::new()));
    let asking = Arc::clone(&asked);
    let senders = Senders::start(senders, each, move |question: Question| {
        let mut asked = asking.lock().unwrap_or_else(PoisonError::into_inner);
        asked.push(question);
        let first = asked.len() == 1;
        drop(asked);
        if first {
            waker.wake().expect("an eventfd takes a write");
        }
    })?;
    let (mut events, mut questions) = (mio::Events::with_capacity(8), Vec::<Question>::new());
    let mut left = senders.total();
    while left > 0 {
        match poll.poll(&mut events, None) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
        std::mem::swap(&mut questions, &mut asked.lock().unwrap_or_else(PoisonError::into_inner));
        left -= questions.len() as u64;
        questions.drain(..).for_each(Question::answer);
    }
    senders.report("mio")
}

/// Measures round trips by all three with each number of senders.
pub fn measure_round_trips(amounts: Amounts) -> io::Result<()> {
    wakes::each_count(amounts.wakes, |senders, each| {
        round_trips("eventfd, io_uring", senders, each, by_uring)?;
        round_trips("eventfd, epoll", senders, each, by_epoll)?;
        round_trips_on_mio(senders, each)
    })
}

/// Measures both ways with each number of senders.
pub fn measure(amounts: Amounts) -> io::Result<()> {
    for senders in SENDERS {
        let each = amounts.posts / senders as u64;
        measure_way("Mutex<Vec>, eventfd, io_uring", senders, each, by_uring)?;
        measure_way("Mutex<Vec>, eventfd, epoll", senders, each, by_epoll)?;
    }
    Ok(())
}
