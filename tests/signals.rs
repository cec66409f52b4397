//! Signals: waits that are interrupted, and sends that must raise none.
#![allow(clippy::disallowed_methods, reason = "tests have clocks and threads of their own")]
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "common/alone.rs"]
mod alone;

use std::cell::{Cell, RefCell};
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tigereye::{Descriptor, File, Io, Next, TcpStream};

const MS: Duration = Duration::from_millis(1);
const HANG: Duration = Duration::from_secs(120);

static SIGNALS: AtomicU32 = AtomicU32::new(0);

extern "C" fn count_signal(_signal: libc::c_int) {
    SIGNALS.fetch_add(1, Ordering::Relaxed);
}

/// Has the signal interrupt system calls: without `SA_RESTART`.
#[expect(unsafe_code, reason = "sigaction(2)")]
fn catch(signal: libc::c_int) {
    // SAFETY: zero is a valid value: no flags, an empty mask, the default action.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = count_signal as *const () as usize;
    // SAFETY: the structure is valid for the call, and the handler only counts.
    let result = unsafe { libc::sigaction(signal, &raw const action, std::ptr::null_mut()) };
    assert_eq!(result, 0);
}

/// Sends the calling thread a signal every half millisecond, until told to stop.
#[expect(unsafe_code, reason = "pthread_kill(3)")]
fn storm(stop: &Arc<AtomicBool>) -> JoinHandle<()> {
    // SAFETY: a call without arguments.
    let target = unsafe { libc::pthread_self() };
    let stop = Arc::clone(stop);
    std::thread::spawn(move || {
        while !stop.load(Ordering::Relaxed) {
            // SAFETY: the target joins this thread before it ends.
            let result = unsafe { libc::pthread_kill(target, libc::SIGUSR1) };
            assert_eq!(result, 0);
            std::thread::sleep(MS / 2);
        }
    })
}

fn pair(io: &Io) -> (Rc<TcpStream>, std::net::TcpStream) {
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let near = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (Rc::new(TcpStream::from_std(io, near).unwrap()), listener.accept().unwrap().0)
}

/// Receives and sends back, until the end.
fn echo(io: &Io, stream: Rc<TcpStream>, buf: Vec<u8>) {
    io.recv(stream, buf, |stream, io, buf, result| {
        if result.unwrap() > 0 {
            io.send_all(stream, buf, |stream, io, mut buf, result| {
                result.unwrap();
                buf.clear();
                echo(io, stream, buf);
            });
        }
    });
}

/// Timers, echoes and ticks on one loop, with signals all the while.
fn work_while_interrupted(io: &Io) {
    let late = Rc::new(RefCell::new(Vec::new()));
    for millis in [1, 5, 20, 60] {
        let (delay, start) = (Duration::from_millis(millis), Instant::now());
        io.timeout(Rc::clone(&late), delay, move |late, _io, result| {
            result.unwrap();
            late.borrow_mut().push(start.elapsed().checked_sub(delay));
        });
    }
    let ticks = Rc::new(Cell::new(0));
    let count = Rc::clone(&ticks);
    io.tick_each(
        (),
        3 * MS,
        move |(), _io, periods| {
            count.set(count.get() + periods);
            if count.get() >= 20 { Next::Stop } else { Next::Continue }
        },
        |(), _io, result| result.unwrap(),
    );
    let (stream, mut peer) = pair(io);
    echo(io, stream, Vec::with_capacity(64));
    let client = std::thread::spawn(move || {
        for number in 0..100_u32 {
            peer.write_all(&number.to_le_bytes()).unwrap();
            let mut back = [0; 4];
            peer.read_exact(&mut back).unwrap();
            assert_eq!(back, number.to_le_bytes());
            std::thread::sleep(MS / 4);
        }
    });
    io.run_for(HANG).unwrap();
    assert_eq!(io.in_flight(), 0, "an operation hangs");
    client.join().unwrap();
    assert_eq!(late.borrow().len(), 4);
    assert!(late.borrow().iter().all(Option::is_some), "a timer was early");
    assert!(ticks.get() >= 20);
}

#[test]
fn p05_a_storm_of_signals_ends_no_wait_and_loses_nothing() {
    catch(libc::SIGUSR1);
    let stop = Arc::new(AtomicBool::new(false));
    let storm = storm(&stop);
    let io = Io::new().unwrap();
    // A wait that began anew for all of its time after each signal would never end.
    let start = Instant::now();
    io.timeout((), 50 * MS, |(), _io, result| result.unwrap());
    io.run_for(HANG).unwrap();
    assert_eq!(io.in_flight(), 0, "the timer never came");
    assert!(start.elapsed() >= 50 * MS);
    let mut rounds = 0;
    while rounds < 3 || SIGNALS.load(Ordering::Relaxed) < 50 {
        work_while_interrupted(&io);
        rounds += 1;
    }
    drop(io);
    stop.store(true, Ordering::Relaxed);
    storm.join().unwrap();
}

#[test]
fn p05_the_end_of_a_loop_is_interrupted_and_ends_all_the_same() {
    catch(libc::SIGUSR1);
    let stop = Arc::new(AtomicBool::new(false));
    let storm = storm(&stop);
    for _ in 0..50 {
        let io = Io::new().unwrap();
        let held = Rc::new(());
        let (stream, _peer) = pair(&io);
        let inside = Rc::clone(&held);
        io.recv(stream, Vec::with_capacity(1), move |_stream, _io, _buf, _result| drop(inside));
        io.poll().unwrap();
        std::thread::sleep(MS / 4);
        drop(io);
        assert_eq!(Rc::strong_count(&held), 1, "the context is dropped");
    }
    stop.store(true, Ordering::Relaxed);
    storm.join().unwrap();
}

/// What each way to send says on a connection whose peer is gone.
fn send_in_every_way(io: &Io) -> Vec<Option<ErrorKind>> {
    let (stream, peer) = pair(io);
    stream.set_nodelay(true).unwrap();
    socket2::SockRef::from(&peer).set_linger(Some(Duration::ZERO)).unwrap();
    drop(peer);
    // A reset may take its time. When it has been told of, once, the pipe is broken.
    io.recv(Rc::clone(&stream), Vec::with_capacity(1), |_stream, _io, _buf, result| {
        assert_eq!(result.unwrap_err().kind(), ErrorKind::ConnectionReset);
    });
    io.run_for(HANG).unwrap();
    let log = Rc::new(RefCell::new(Vec::new()));
    let put = || {
        let log = Rc::clone(&log);
        move |error: Option<std::io::Error>| log.borrow_mut().push(error.map(|error| error.kind()))
    };
    let end = put();
    io.send(Rc::clone(&stream), "x", move |_stream, _io, _buf, result| end(result.err()));
    let end = put();
    io.send(Rc::clone(&stream), "x", move |_stream, _io, _buf, result| end(result.err()));
    let end = put();
    io.send_all(Rc::clone(&stream), "x", move |_stream, _io, _buf, result| end(result.err()));
    let end = put();
    io.send_zero_copy(Rc::clone(&stream), "x", move |_stream, _io, _buf, result| {
        end(result.err());
    });
    let end = put();
    io.send_vectored(Rc::clone(&stream), vec!["x"], move |_stream, _io, _bufs, result| {
        end(result.err());
    });
    let end = put();
    io.send_all_vectored(Rc::clone(&stream), vec!["x"; 40], move |_stream, _io, _bufs, result| {
        end(result.err());
    });
    let program = std::fs::File::open(std::env::current_exe().unwrap()).unwrap();
    let end = put();
    io.send_file(Rc::clone(&stream), &File::from_std(io, program), 0, 1, move |_s, _io, result| {
        end(result.err());
    });
    if cfg!(target_os = "linux") {
        let (end, second_end) = (put(), put());
        splice_to_nobody(io, &stream, end, second_end);
    }
    io.run_for(HANG).unwrap();
    put()(stream.send_now(b"x").err());
    log.take()
}

/// Moves a byte to a socket, and one to a pipe that nobody reads.
fn splice_to_nobody(
    io: &Io,
    stream: &Rc<TcpStream>,
    end: impl FnOnce(Option<std::io::Error>) + 'static,
    second_end: impl FnOnce(Option<std::io::Error>) + 'static,
) {
    let (pipe, mut writer) = std::io::pipe().unwrap();
    let (_, nobodys) = std::io::pipe().unwrap();
    writer.write_all(b"xx").unwrap();
    let (pipe, nobodys) = (Descriptor::new(io, pipe.into()), Descriptor::new(io, nobodys.into()));
    io.splice(Rc::clone(stream), &pipe, 1, move |_stream, _io, result| end(result.err()));
    io.splice(nobodys, &pipe, 1, move |_pipe, _io, result| second_end(result.err()));
}

#[test]
#[expect(unsafe_code, reason = "signal(2)")]
fn p35_no_send_raises_a_signal() {
    if !alone::alone("p35_no_send_raises_a_signal", &[]) {
        return;
    }
    // As a host program that is not written in Rust may have it.
    // SAFETY: the default action replaces that of the standard library.
    let before = unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
    assert_ne!(before, libc::SIG_ERR);
    let io = Io::new().unwrap();
    let kinds = send_in_every_way(&io);
    assert_eq!(kinds.len(), if cfg!(target_os = "linux") { 10 } else { 8 });
    assert!(kinds.iter().all(|kind| *kind == Some(ErrorKind::BrokenPipe)), "{kinds:?}");
    let address: SocketAddr = (Ipv4Addr::LOCALHOST, 0).into();
    assert!(std::net::TcpListener::bind(address).is_ok(), "the process lives");
}
