//! The driver over a poller that says what a test wants, in particular what kqueue says and epoll
//! never does.

use std::io::{self, Read, Write};
use std::mem::MaybeUninit;
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;
use std::time::Duration;

use super::poller::{Event, MioPoller, News, Poller};
use super::{Interest, Readiness};
use crate::driver::Waker;
use crate::fs::AllTerms;
use crate::mailbox::Mailbox;
use crate::offload::{Calls, Pool};
use crate::op::{Completion, Op, Start, TRY_AGAIN};
use crate::queue::Queue;

const NOTHING: News = News { ready: false, ended: false };
const READY: News = News { ready: true, ended: false };
/// As kqueue has it: `EV_EOF` with what is left to be read.
const READY_AND_ENDED: News = News { ready: true, ended: true };
const ENDED: News = News { ready: false, ended: true };

/// Tells what it was given to tell.
#[derive(Default)]
struct Told {
    registered: Vec<(RawFd, u32)>,
    deregistered: Vec<RawFd>,
    events: Vec<Event>,
    refusal: Option<i32>,
    interrupted: bool,
    timeouts: Vec<Option<Duration>>,
}

impl Poller for Told {
    fn register(&mut self, fd: RawFd, handle: u32) -> io::Result<()> {
        if let Some(code) = self.refusal {
            return Err(io::Error::from_raw_os_error(code));
        }
        self.registered.push((fd, handle));
        Ok(())
    }

    fn deregister(&mut self, fd: RawFd) -> io::Result<()> {
        self.deregistered.push(fd);
        Err(io::Error::from_raw_os_error(libc::ENOENT))
    }

    fn wait(&mut self, timeout: Option<Duration>, each: impl FnMut(Event)) -> io::Result<()> {
        self.timeouts.push(timeout);
        if std::mem::take(&mut self.interrupted) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        self.events.drain(..).for_each(each);
        Ok(())
    }
}

fn driver() -> Readiness<Told> {
    let (_poller, waker) = MioPoller::new(8).unwrap();
    let mut driver = Readiness::over(Told::default(), waker);
    driver.has_no_boundaries(0);
    driver
}

/// What would run calls that can block; sockets have none.
fn calls(driver: &Readiness<Told>) -> Calls {
    let mailbox = Arc::new(Mailbox::new(Waker::Readiness(driver.waker())));
    Calls { pool: Pool::new(1), mailbox }
}

/// No completions.
fn nothing() -> Queue<Completion> {
    Queue::new(Completion::try_again(op(0)))
}

fn op(index: u32) -> Op {
    Op { index, generation: index + 100 }
}

impl Readiness<Told> {
    /// Has the poller tell of a handle; who tries again then, in order.
    fn tell(&mut self, handle: u32, readable: News, writable: News) -> Vec<u32> {
        self.poller.events.push(Event { handle, readable, writable, failed: false, urgent: false });
        self.woken()
    }

    fn woken(&mut self) -> Vec<u32> {
        let mut ready = nothing();
        self.wait(Some(Duration::ZERO), &mut ready).unwrap();
        let mut woken = Vec::new();
        while let Some(completion) = ready.pop_front() {
            assert_eq!(completion.op(), op(completion.index));
            assert_eq!((completion.result, completion.flags), (-libc::EAGAIN, TRY_AGAIN));
            woken.push(completion.index);
        }
        woken
    }

    fn waits(&mut self, index: u32, fd: RawFd, handle: u32, interest: Interest) {
        self.wait_for(op(index), fd, handle, interest).unwrap();
    }
}

/// Two ends of a connection, the first one non-blocking.
fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    near.set_nonblocking(true).unwrap();
    (near, listener.accept().unwrap().0)
}

/// Sends from the far end, and sees to it that it has arrived.
fn arrive(near: &TcpStream, far: &mut TcpStream, bytes: &[u8]) {
    far.write_all(bytes).unwrap();
    near.set_nonblocking(false).unwrap();
    let mut seen = vec![0; bytes.len()];
    while near.peek(&mut seen).unwrap() < bytes.len() {}
    near.set_nonblocking(true).unwrap();
}

/// Tries to receive up to `room` bytes on handle 0: how many came, or nothing when it waits.
fn try_recv(driver: &mut Readiness<Told>, near: &TcpStream, room: usize) -> Option<i32> {
    let mut buf = vec![MaybeUninit::uninit(); room];
    let calls = calls(driver);
    match driver
        .place(op(0), near.as_raw_fd(), 0, &calls, &AllTerms::default(), &nothing())
        .recv(&mut buf)
    {
        Start::Ready(result) => Some(result),
        Start::Await(Interest::Readable) => None,
        _ => panic!("a receive is done or waits for something to read"),
    }
}

#[test]
fn p70_a_short_receive_waits_for_the_next_event_without_a_call() {
    let (near, mut far) = pair();
    let mut driver = driver();
    arrive(&near, &mut far, b"abcde");
    assert_eq!(try_recv(&mut driver, &near, 3), Some(3));
    assert_eq!(try_recv(&mut driver, &near, 3), Some(2), "a full one may have left something");
    let calls = driver.system_calls();
    assert_eq!(try_recv(&mut driver, &near, 3), None, "a short one has not");
    assert_eq!(driver.system_calls(), calls, "that is known without a call");
    driver.waits(1, near.as_raw_fd(), 0, Interest::Readable);
    arrive(&near, &mut far, b"f");
    assert_eq!(driver.tell(0, READY, NOTHING), [1]);
    assert_eq!(try_recv(&mut driver, &near, 3), Some(1));
}

#[test]
fn p70_after_an_end_that_was_announced_no_receive_waits_for_an_event() {
    let (near, mut far) = pair();
    let mut driver = driver();
    driver.waits(1, near.as_raw_fd(), 0, Interest::Readable);
    arrive(&near, &mut far, b"abc");
    far.shutdown(Shutdown::Write).unwrap();
    assert_eq!(driver.tell(0, READY_AND_ENDED, READY), [1]);
    assert_eq!(try_recv(&mut driver, &near, 2), Some(2));
    assert_eq!(try_recv(&mut driver, &near, 2), Some(1), "what is left comes first");
    // No further event would say so.
    let mut end = try_recv(&mut driver, &near, 2);
    while end.is_none() {
        end = try_recv(&mut driver, &near, 2);
    }
    assert_eq!(end, Some(0));
}

#[test]
fn p74_an_end_without_readiness_wakes() {
    let (near, far) = pair();
    let mut driver = driver();
    driver.waits(1, near.as_raw_fd(), 0, Interest::Readable);
    driver.waits(2, near.as_raw_fd(), 0, Interest::Writable);
    // kqueue tells of each filter in an event of its own.
    assert_eq!(driver.tell(0, ENDED, NOTHING), [1]);
    assert_eq!(driver.tell(0, NOTHING, ENDED), [2]);
    drop(far);
}

#[test]
fn p74_what_is_ready_to_be_written_wakes_no_reader() {
    let (near, _far) = pair();
    let mut driver = driver();
    driver.waits(1, near.as_raw_fd(), 0, Interest::Readable);
    driver.waits(2, near.as_raw_fd(), 0, Interest::Writable);
    assert_eq!(driver.tell(0, NOTHING, READY), [2]);
    assert_eq!(driver.tell(0, NOTHING, READY), [], "an event is news to those who wait");
    assert_eq!(driver.tell(0, READY, NOTHING), [1]);
}

#[test]
fn p74_the_write_side_of_a_half_closed_socket_is_tried_again() {
    let (near, mut far) = pair();
    let mut driver = driver();
    let fd = near.as_raw_fd();
    let chunk = vec![7; 1 << 20];
    let mut sent = 0;
    let calls = calls(&driver);
    while let Start::Ready(count) =
        driver.place(op(0), fd, 0, &calls, &AllTerms::default(), &nothing()).send(&chunk)
    {
        assert!(count > 0);
        sent += count.unsigned_abs() as usize;
    }
    driver.waits(1, fd, 0, Interest::Writable);
    far.shutdown(Shutdown::Write).unwrap();
    assert_eq!(driver.tell(0, READY_AND_ENDED, NOTHING), [], "the peer ended its own direction");
    let mut all = vec![0; sent];
    far.read_exact(&mut all).unwrap();
    assert!(all.iter().all(|&byte| byte == 7));
    assert_eq!(driver.tell(0, NOTHING, READY), [1]);
    assert!(matches!(
        driver.place(op(0), fd, 0, &calls, &AllTerms::default(), &nothing()).send(b"more"),
        Start::Ready(4)
    ));
}

#[test]
fn p70_urgent_data_ends_a_receive_short_of_what_follows() {
    let (near, mut far) = pair();
    let mut driver = driver();
    driver.waits(1, near.as_raw_fd(), 0, Interest::Readable);
    arrive(&near, &mut far, b"ab");
    let (readable, writable) = (READY, READY);
    driver.poller.events.push(Event { handle: 0, readable, writable, failed: false, urgent: true });
    assert_eq!(driver.woken(), [1]);
    assert_eq!(try_recv(&mut driver, &near, 8), Some(2));
    let calls = driver.system_calls();
    assert_eq!(try_recv(&mut driver, &near, 8), None);
    assert_eq!(driver.system_calls(), calls + 1, "it looks behind the mark");
}

#[test]
fn p73_waiters_are_woken_in_order() {
    let (near, _far) = pair();
    let mut driver = driver();
    for index in [5, 3, 9] {
        driver.waits(index, near.as_raw_fd(), 0, Interest::Readable);
    }
    assert_eq!(driver.tell(0, READY, NOTHING), [5, 3, 9]);
    assert_eq!(driver.tell(0, READY, NOTHING), []);
    // Their places are used again.
    for index in [2, 8, 1, 7] {
        driver.waits(index, near.as_raw_fd(), 0, Interest::Readable);
    }
    assert_eq!(driver.waiters.entries.len(), 3, "behind the first");
    assert_eq!(driver.tell(0, READY, NOTHING), [2, 8, 1, 7]);
}

#[test]
fn p73_a_cancelled_waiter_leaves_the_others_in_order() {
    let (near, _far) = pair();
    for gone in [1, 2, 3] {
        let mut driver = driver();
        for index in [1, 2, 3] {
            driver.waits(index, near.as_raw_fd(), 0, Interest::Readable);
        }
        assert!(!driver.cancel(Op { index: gone, generation: 0 }, 0), "another's name");
        assert!(!driver.cancel(op(gone), 7), "another handle");
        assert!(driver.cancel(op(gone), 0));
        assert!(!driver.cancel(op(gone), 0), "once");
        driver.waits(4, near.as_raw_fd(), 0, Interest::Readable);
        let left: Vec<u32> = [1, 2, 3, 4].into_iter().filter(|&index| index != gone).collect();
        assert_eq!(driver.tell(0, READY, NOTHING), left);
    }
}

#[test]
fn p71_an_event_for_a_handle_that_is_gone_concerns_nobody() {
    let (near, _far) = pair();
    let (other, _its_peer) = pair();
    let mut driver = driver();
    assert_eq!(driver.tell(77, READY, READY), [], "one that there never was");
    driver.waits(1, near.as_raw_fd(), 0, Interest::Readable);
    assert!(driver.cancel(op(1), 0));
    driver.forget(near.as_raw_fd(), 0);
    assert_eq!(driver.poller.deregistered, [near.as_raw_fd()]);
    assert_eq!(driver.tell(0, READY_AND_ENDED, READY_AND_ENDED), []);
    // The successor of its number knows nothing of it, and an event costs it one try.
    driver.waits(2, other.as_raw_fd(), 0, Interest::Readable);
    assert_eq!(driver.poller.registered, [(near.as_raw_fd(), 0), (other.as_raw_fd(), 0)]);
    assert_eq!(driver.tell(0, READY, NOTHING), [2]);
    assert_eq!(try_recv(&mut driver, &other, 8), None);
}

#[test]
fn a_handle_is_registered_when_it_first_waits_and_once() {
    let (near, _far) = pair();
    let mut driver = driver();
    driver.forget(near.as_raw_fd(), 0);
    assert_eq!(try_recv(&mut driver, &near, 8), None);
    assert!(driver.poller.registered.is_empty() && driver.poller.deregistered.is_empty());
    driver.waits(1, near.as_raw_fd(), 0, Interest::Readable);
    driver.waits(2, near.as_raw_fd(), 0, Interest::Writable);
    assert_eq!(driver.tell(0, READY, READY), [1, 2]);
    driver.waits(3, near.as_raw_fd(), 0, Interest::Readable);
    assert_eq!(driver.poller.registered.len(), 1);
}

#[test]
fn p72_a_descriptor_that_cannot_be_watched_says_so() {
    let (near, _far) = pair();
    let mut driver = driver();
    driver.poller.refusal = Some(libc::EPERM);
    let refused = driver.wait_for(op(1), near.as_raw_fd(), 0, Interest::Readable).unwrap_err();
    assert_eq!(refused.raw_os_error(), Some(libc::EPERM));
    assert_eq!(driver.tell(0, READY, READY), [], "it does not wait");
    driver.poller.refusal = None;
    driver.waits(2, near.as_raw_fd(), 0, Interest::Readable);
    assert_eq!(driver.tell(0, READY, READY), [2]);
}

#[test]
fn p05_an_interrupted_wait_is_no_error() {
    let mut driver = driver();
    driver.poller.interrupted = true;
    assert_eq!(driver.woken(), []);
    let mut ready = nothing();
    driver.wait(None, &mut ready).unwrap();
    driver.wait(Some(Duration::MAX), &mut ready).unwrap();
    let longest = driver.poller.timeouts.pop().unwrap().unwrap();
    assert!(longest.as_millis() < i32::MAX.unsigned_abs().into(), "pollers count in 31 bits");
    assert_eq!(driver.poller.timeouts.pop(), Some(None));
}
