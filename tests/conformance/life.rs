//! The life of an operation, and of the loop.

use std::cell::RefCell;
use std::io::{ErrorKind, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use tigereye::{Io, Next, TcpListener, is_at_capacity};

use crate::{Log, any, finish, pair, run_until_stop, shared_pair};

#[test]
fn rule6_one_too_many_is_refused_and_gives_everything_back() {
    let io = Io::builder().capacity(1).build().unwrap();
    let (stream, mut peer) = shared_pair(&io);
    let (first, second) = (Log::new(), Log::new());
    assert_eq!(io.free_slots(), 1);
    let put = first.clone();
    io.recv(Rc::clone(&stream), Vec::with_capacity(1), move |_stream, _io, buf, result| {
        put.put((buf, result.unwrap()));
    });
    assert_eq!(io.free_slots(), 0);
    let put = second.clone();
    io.send_all(Rc::clone(&stream), vec![1, 2, 3], move |stream, io, buf, result| {
        put.put((stream, buf, result));
        io.stop();
    });
    assert_eq!(second.len(), 0, "never inside the call");
    run_until_stop(&io);
    let (back, buf, result) = second.one();
    assert!(Rc::ptr_eq(&back, &stream));
    assert_eq!(buf, [1, 2, 3]);
    assert!(is_at_capacity(&result.unwrap_err()));
    peer.write_all(b"x").unwrap();
    finish(&io);
    assert_eq!(first.one(), (b"x".to_vec(), 1));
    assert_eq!(io.free_slots(), 1);
}

#[test]
fn rule6_every_kind_is_refused_through_its_callback() {
    let io = Io::builder().capacity(1).build().unwrap();
    let (stream, _peer) = shared_pair(&io);
    let listener = TcpListener::bind(&io, any()).unwrap();
    let log = Log::new();
    let keep = io.timeout((), Duration::MAX, |(), _io, _result| {});
    io.timeout(log.clone(), Duration::ZERO, |log, _io, result| log.put(result));
    io.connect(log.clone(), any(), |log, _io, result| log.put(result.map(drop)));
    io.offload(log.clone(), || 1, |log, _io, result| log.put(result.map(drop)));
    let _event = io.event(log.clone(), |log, _io, result| log.put(result));
    let put = log.clone();
    io.close(Rc::clone(&stream), move |_stream, _io, result| put.put(result));
    let put = log.clone();
    let end = move |_listener, _io: &Io, result| put.put(result);
    io.accept_each(listener, |_listener, _io, _stream| Next::Stop, end);
    let put = log.clone();
    io.tick_each((), Duration::ZERO, |(), _io, _n| Next::Stop, move |(), _io, r| put.put(r));
    assert_eq!(log.len(), 0, "never inside the call");
    io.run_for(Duration::from_millis(20)).unwrap();
    let all = log.take();
    assert_eq!(all.len(), 7);
    for result in all {
        let error = result.unwrap_err();
        assert!(is_at_capacity(&error), "{error}");
    }
    io.cancel(keep);
    finish(&io);
}

#[test]
fn rule6_a_call_for_the_pool_that_is_refused_is_not_made() {
    let io = Io::builder().capacity(1).build().unwrap();
    let keep = io.timeout((), Duration::MAX, |(), _io, _result| {});
    let (owned, log) = (Arc::new(()), Log::new());
    let (made, (_release, released)) = (Arc::clone(&owned), channel::<()>());
    let call = move || {
        let _end = released.recv();
        drop(made);
    };
    io.offload(log.clone(), call, |log, _io, result| log.put(result));
    assert_eq!(Arc::strong_count(&owned), 1, "what the call owned is dropped here");
    io.cancel(keep);
    finish(&io);
    assert!(is_at_capacity(&log.one().unwrap_err()));
}

#[test]
fn p26_cancel_and_deadline_need_no_capacity() {
    let io = Io::builder().capacity(1).ring_entries(1).build().unwrap();
    let (stream, _peer) = shared_pair(&io);
    let log = Log::new();
    for cancel in [true, false] {
        let log = log.clone();
        let buf = Vec::with_capacity(1);
        let op = io.recv(Rc::clone(&stream), buf, move |_stream, _io, _buf, result| {
            log.put(result.unwrap_err());
        });
        io.poll().unwrap();
        if cancel {
            io.cancel(op)
        } else {
            io.deadline(op, Duration::from_millis(1))
        }
        finish(&io);
    }
    let errors = log.take();
    assert!(tigereye::is_cancelled(&errors[0]));
    assert_eq!(errors[1].kind(), ErrorKind::TimedOut);
}

#[test]
fn p04_ten_operations_through_a_ring_of_one_entry() {
    let io = Io::builder().ring_entries(1).build().unwrap();
    let log = Log::new();
    let mut peers = Vec::new();
    for _ in 0..10 {
        let (stream, peer) = pair(&io);
        peers.push(peer);
        let log = log.clone();
        io.recv(stream, Vec::with_capacity(4), move |_stream, _io, buf, result| {
            result.unwrap();
            log.put(buf);
        });
    }
    io.poll().unwrap();
    for (peer, number) in peers.iter_mut().zip(0..) {
        peer.write_all(&[number]).unwrap();
    }
    finish(&io);
    let mut all = log.take().concat();
    all.sort_unstable();
    assert_eq!(all, (0..10).collect::<Vec<u8>>());
}

#[test]
fn p24_a_panic_in_a_callback_leaves_the_loop_whole() {
    let io = Io::new().unwrap();
    let log = Log::new();
    let (stream, mut peer) = pair(&io);
    peer.write_all(b"x").unwrap();
    for number in 0..4 {
        io.next(log.clone(), move |log, _io| {
            assert_ne!(number, 1, "meant");
            log.put(number);
        });
    }
    let put = log.clone();
    io.recv(stream, Vec::with_capacity(1), move |_stream, _io, _buf, _result| put.put(9));
    assert!(catch_unwind(AssertUnwindSafe(|| io.run())).is_err());
    finish(&io);
    let mut all = log.take();
    all.sort_unstable();
    assert_eq!(all, [0, 2, 3, 9]);
}

struct Bomb(Log<()>);

impl Drop for Bomb {
    fn drop(&mut self) {
        self.0.put(());
        assert!(self.0.len() != 2, "meant");
    }
}

#[test]
fn p24_a_panic_in_a_contexts_drop_leaves_nothing_behind() {
    let io = Io::new().unwrap();
    let log = Log::new();
    for _ in 0..4 {
        io.timeout(Bomb(log.clone()), Duration::MAX, |_bomb, _io, _result| unreachable!());
    }
    assert!(catch_unwind(AssertUnwindSafe(|| drop(io))).is_err(), "the panic passes through");
    assert_eq!(log.len(), 4, "all contexts are dropped");
}

#[test]
fn run_inside_a_callback_is_an_error() {
    let io = Io::new().unwrap();
    let log = Log::new();
    io.next(log.clone(), |log, io| {
        let modes = [io.run(), io.run_once(), io.poll(), io.run_for(Duration::from_millis(1))];
        log.put(modes.map(|result| result.unwrap_err().kind()));
    });
    finish(&io);
    assert_eq!(log.one(), [ErrorKind::Deadlock; 4]);
}

#[test]
fn p67_stop_before_run_counts_once() {
    let io = Io::new().unwrap();
    let log = Log::new();
    io.stop();
    io.stop();
    io.next(log.clone(), |log, _io| log.put(()));
    io.run().unwrap();
    assert_eq!(log.len(), 0, "it returns at once");
    finish(&io);
    log.one();
}

#[test]
fn p67_stop_inside_a_callback_returns_after_it() {
    let io = Io::new().unwrap();
    let log = Log::new();
    for number in 0..3 {
        io.next(log.clone(), move |log, io| {
            log.put(number);
            io.stop();
        });
    }
    for number in 0..3 {
        io.run().unwrap();
        assert_eq!(log.one(), number);
    }
}

#[test]
fn p67_stop_from_another_thread() {
    let io = Io::new().unwrap();
    io.timeout((), Duration::MAX, |(), _io, _result| unreachable!());
    let remote = io.remote();
    let thread = std::thread::spawn(move || {
        remote.stop();
        remote.stop();
    });
    run_until_stop(&io);
    thread.join().unwrap();
    assert_eq!(io.in_flight(), 1);
}

#[test]
fn a_foreign_handle_is_refused() {
    let (io, other) = (Io::new().unwrap(), Io::new().unwrap());
    let (stream, mut peer) = shared_pair(&other);
    let log = Log::new();
    let put = log.clone();
    io.recv(Rc::clone(&stream), vec![5].into_boxed_slice(), move |_stream, _io, buf, result| {
        put.put((buf[0], result.unwrap_err().kind()));
    });
    let put = log.clone();
    io.close(Rc::clone(&stream), move |_stream, _io, result| {
        put.put((5, result.unwrap_err().kind()));
    });
    finish(&io);
    assert_eq!(log.take(), [(5, ErrorKind::InvalidInput); 2]);
    peer.write_all(b"x").unwrap();
    let put = log.clone();
    other.recv(stream, Vec::with_capacity(1), move |_stream, _io, buf, result| {
        result.unwrap();
        put.put((buf[0], ErrorKind::Other));
    });
    finish(&other);
    assert_eq!(log.one().0, b'x', "its own loop still serves it");
}

#[test]
fn p02_poll_alone_sees_what_comes_from_outside() {
    let io = Io::new().unwrap();
    let (stream, mut peer) = pair(&io);
    let log = Log::new();
    let put = log.clone();
    io.recv(stream, Vec::with_capacity(1), move |_stream, _io, _buf, result| {
        put.put(result.unwrap());
    });
    io.poll().unwrap();
    peer.write_all(b"x").unwrap();
    let start = Instant::now();
    while log.len() == 0 {
        assert!(start.elapsed() < crate::HANG, "poll sees nothing");
        io.poll().unwrap();
    }
    assert_eq!(log.one(), 1);
}

#[test]
fn p23_a_callback_may_drop_its_stream_cancel_itself_and_stop() {
    let io = Io::new().unwrap();
    let (stream, mut peer) = pair(&io);
    peer.write_all(b"x").unwrap();
    let own = Rc::new(RefCell::new(None));
    let inside = Rc::clone(&own);
    let op = io.recv(stream, Vec::with_capacity(1), move |stream, io, _buf, result| {
        result.unwrap();
        let op = inside.take().unwrap();
        io.cancel(op);
        drop(stream);
        io.stop();
        io.next((), move |(), io| io.cancel(op));
    });
    own.replace(Some(op));
    run_until_stop(&io);
    finish(&io);
}
