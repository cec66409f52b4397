//! Posting closures to a loop, as one writes it by hand: a locked list, and an eventfd that is
//! written to when the list was empty.

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

/// Measures both ways with each number of senders.
pub fn measure(amounts: Amounts) -> io::Result<()> {
    for senders in SENDERS {
        let each = amounts.posts / senders as u64;
        measure_way("Mutex<Vec>, eventfd, io_uring", senders, each, by_uring)?;
        measure_way("Mutex<Vec>, eventfd, epoll", senders, each, by_epoll)?;
    }
    Ok(())
}
