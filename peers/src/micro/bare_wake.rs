//! Two threads that wake each other, as one writes it by hand.

use super::{WAKE, report};
use crate::sys::arena::Arena;
use crate::sys::epoll::{Epoll, Ready};
use crate::sys::ring::{self, Port};
use crate::sys::{net, process};
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Instant;

/// One thread's end: tells the other one how it is reached, and hears the same.
struct End {
    ours: Sender<RawFd>,
    theirs: Receiver<RawFd>,
    /// What is handed over: even, it is with the first thread. A multishot poll may report one
    /// write twice, so being woken alone proves nothing.
    ball: Arc<AtomicU64>,
    first: bool,
    rounds: u64,
}

impl End {
    /// Exchanges what the threads are reached by.
    fn meet(&self, fd: RawFd) -> io::Result<RawFd> {
        let gone = |_| io::Error::from(io::ErrorKind::BrokenPipe);
        self.ours.send(fd).map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
        self.theirs.recv().map_err(gone)
    }

    /// Waits for the ball and hands it on, in turn; the first thread begins with it. Nanoseconds
    /// for a round.
    fn play(
        &self,
        mut wake: impl FnMut() -> io::Result<()>,
        mut wait: impl FnMut() -> io::Result<()>,
    ) -> io::Result<f64> {
        let mine = u64::from(!self.first);
        let begin = Instant::now();
        for _ in 0..self.rounds {
            while self.ball.load(Ordering::Acquire) % 2 != mine {
                wait()?;
            }
            self.ball.fetch_add(1, Ordering::AcqRel);
            wake()?;
        }
        Ok(begin.elapsed().as_nanos() as f64 / self.rounds as f64)
    }
}

/// An eventfd, watched by a multishot poll so that it need not be read; woken by write(2).
fn by_eventfd(end: &End) -> io::Result<f64> {
    let own = net::eventfd()?;
    let mut ring = ring::build(8)?;
    let mut port = Port::new(&mut ring, Arena::new(1, 4096), 0)?;
    port.poll_in(own.as_raw_fd(), true, 0);
    port.enter(0)?;
    let other = end.meet(own.as_raw_fd())?;
    let wait = || {
        port.enter(1)?;
        while let Some(completion) = port.next() {
            if !completion.more() {
                port.poll_in(own.as_raw_fd(), true, 0);
            }
        }
        Ok(())
    };
    let ns = end.play(|| net::write_counter(other, 1), wait)?;
    // Neither descriptor may end before both are done with them.
    end.meet(0)?;
    Ok(ns)
}

/// Completions posted on the other thread's ring (kernel 5.18+), in the call that waits.
fn by_message(end: &End) -> io::Result<f64> {
    let mut ring = ring::build(8)?;
    let own = ring::ring_fd(&ring);
    let port = Port::new(&mut ring, Arena::new(1, 4096), 0)?;
    let other = end.meet(own)?;
    let port = std::cell::RefCell::new(port);
    let wake = || {
        port.borrow_mut().message(other, 0, 0);
        Ok(())
    };
    let wait = || {
        let mut port = port.borrow_mut();
        port.enter(1)?;
        while port.next().is_some() {}
        Ok(())
    };
    let ns = end.play(wake, wait)?;
    // The last wake has not been submitted yet.
    port.borrow_mut().enter(0)?;
    end.meet(0)?;
    Ok(ns)
}

/// An eventfd, edge-triggered so that it need not be read; woken by write(2).
fn by_epoll(end: &End) -> io::Result<f64> {
    let own = net::eventfd()?;
    let epoll = Epoll::new()?;
    epoll.add_edge_in(own.as_raw_fd(), 0)?;
    let other = end.meet(own.as_raw_fd())?;
    let wait = || {
        let mut ready = [Ready::EMPTY; 8];
        epoll.wait(&mut ready, -1).map(drop)
    };
    let ns = end.play(|| net::write_counter(other, 1), wait)?;
    end.meet(0)?;
    Ok(ns)
}

fn measure_way(by: &str, rounds: u64, way: fn(&End) -> io::Result<f64>) -> io::Result<()> {
    let ((to_second, from_first), (to_first, from_second)) = (channel(), channel());
    let ball = Arc::new(AtomicU64::new(0));
    let end = |ours, theirs, first| End { ours, theirs, ball: Arc::clone(&ball), first, rounds };
    let (first, second) = (end(to_second, from_second, true), end(to_first, from_first, false));
    let second = std::thread::spawn(move || {
        process::pin(1)?;
        way(&second)
    });
    process::pin(0)?;
    let ns = way(&first)?;
    second.join().map_err(|_| io::Error::other("the second thread panicked"))??;
    report(WAKE, by, ns);
    Ok(())
}

/// Measures all ways.
pub fn measure(rounds: u64) -> io::Result<()> {
    measure_way("eventfd, io_uring poll", rounds, by_eventfd)?;
    measure_way("io_uring message", rounds, by_message)?;
    measure_way("eventfd, epoll", rounds, by_epoll)
}
