//! The end of the loop (rule 7), with each kind of operation in flight: contexts are dropped once,
//! no callback runs, and what was made and not taken is closed.

use std::cell::Cell;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::rc::Rc;
use std::sync::mpsc;
use std::time::Duration;

use tigereye::{BufferPool, ConnectOptions, Io, ListenOptions, Next, TcpListener};

use crate::patient::read_some;
use crate::peer::{Peer, fill_backlog};
use crate::{Counted, Log, any, fill, finish, pair, pattern, shared_pair, small_pair};

/// The other end is closed: in order, or with a reset.
#[track_caller]
fn assert_ended(peer: &mut impl Read) {
    loop {
        match read_some(peer, &mut [0; 64]) {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) => return assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}"),
        }
    }
}

/// Starts operations, turns the loop or not, drops it; every context must be gone, and no callback
/// may have run.
#[track_caller]
fn dropped<K>(count: u32, start: impl Fn(&Io, &dyn Fn() -> Counted<()>) -> K) {
    for turns in 0..3 {
        let io = Io::new().unwrap();
        let drops = Rc::new(Cell::new(0));
        let keep = start(&io, &|| Counted::new((), &drops));
        for _ in 0..turns {
            io.poll().unwrap();
        }
        assert_eq!(drops.get(), 0, "it is in flight");
        drop(io);
        assert_eq!(drops.get(), count, "each context is dropped once (after {turns} turns)");
        drop(keep);
    }
}

#[test]
fn p25_rule7_the_loop_ends_with_a_receive() {
    dropped(1, |io, context| {
        let (stream, peer) = pair(io);
        let context = context();
        io.recv(stream, vec![0; 8].into_boxed_slice(), move |_stream, _io, _buf, _result| {
            let _context = &context;
            unreachable!("the loop ends");
        });
        peer
    });
}

#[test]
fn p25_rule7_the_loop_ends_with_an_accept_each() {
    dropped(2, |io, context| {
        let listener = TcpListener::bind(io, any()).unwrap();
        let (one, two) = (context(), context());
        io.accept_each(
            listener,
            move |_listener, _io, _stream| {
                let _context = &one;
                unreachable!("nobody connects")
            },
            move |_listener, _io, _result| {
                let _context = &two;
                unreachable!("the loop ends");
            },
        );
    });
}

#[test]
fn p25_rule7_the_loop_ends_with_a_recv_each() {
    dropped(1, |io, context| {
        let pool = BufferPool::new(io, 4, 100).unwrap();
        let (stream, peer) = pair(io);
        let context = context();
        io.recv_each(
            stream,
            &pool,
            |_stream, _io, _buf| unreachable!("nothing is sent"),
            move |_stream, _io, _result| {
                let _context = &context;
                unreachable!("the loop ends");
            },
        );
        (peer, pool)
    });
}

#[test]
fn p25_rule7_the_loop_ends_with_timers() {
    dropped(2, |io, context| {
        io.timeout(context(), Duration::MAX, |_context, _io, _result| unreachable!());
        let day = Duration::from_secs(86_400);
        io.tick_each(context(), day, |_c, _io, _n| Next::Stop, |_c, _io, _r| unreachable!());
    });
}

#[test]
fn p25_p59_rule7_the_loop_ends_with_a_stuck_offload_and_an_event() {
    dropped(3, |io, context| {
        let (release, released) = mpsc::channel::<()>();
        let stuck = move || {
            let _ = released.recv();
        };
        io.offload(context(), stuck, |_context, _io, _result| unreachable!());
        io.offload(
            context(),
            || std::thread::park_timeout(Duration::from_secs(1)),
            |_c, _io, _r| unreachable!(),
        );
        let (_op, trigger) = io.event(context(), |_context, _io, _result| unreachable!());
        (release, trigger)
    });
}

/// A listener that answers nobody, because its backlog is full.
pub(crate) fn full_listener() -> (Io, TcpListener, Box<dyn std::any::Any>, SocketAddr) {
    let io = Io::new().unwrap();
    let options = ListenOptions::new().backlog(1);
    let listener = TcpListener::bind_with(&io, any(), &options).unwrap();
    let address = listener.local_addr().unwrap();
    (io, listener, fill_backlog(address), address)
}

#[test]
fn p25_rule7_the_loop_ends_with_a_connect() {
    let (_other, _listener, _sockets, address) = full_listener();
    dropped(1, |io, context| {
        io.connect(context(), address, |_context, _io, _result| unreachable!());
    });
}

#[test]
fn a_deadline_ends_a_connect() {
    let (_other, _listener, _sockets, address) = full_listener();
    let io = Io::new().unwrap();
    let log = Log::new();
    let op = io.connect(log.clone(), address, |log, _io, result| log.put(result.map(drop)));
    io.deadline(op, Duration::from_millis(10));
    finish(&io);
    assert_eq!(log.one().unwrap_err().kind(), ErrorKind::TimedOut);
}

#[test]
fn p25_rule7_the_loop_ends_with_a_close() {
    let io = Io::new().unwrap();
    let (stream, mut peer) = shared_pair(&io);
    let drops = Rc::new(Cell::new(0));
    let context = Counted::new(Rc::clone(&stream), &drops);
    io.recv(context, Vec::with_capacity(9), |_s, _io, _buf, _r| unreachable!("the loop ends"));
    io.poll().unwrap();
    io.close(Counted::new(stream, &drops), |_s, _io, _r| unreachable!("the loop ends"));
    drop(io);
    assert_eq!(drops.get(), 2);
    assert_eq!(std::io::Read::read(&mut peer, &mut [0; 1]).unwrap(), 0, "it is closed");
}

#[test]
fn p25_rule7_the_loop_ends_with_a_blocked_send_all() {
    dropped(1, |io, context| {
        let (stream, peer) = small_pair(io);
        let context = context();
        io.send_all(stream, pattern(1 << 20), move |_stream, _io, _buf, _result| {
            let _context = &context;
            unreachable!("nobody reads");
        });
        peer
    });
}

#[test]
fn p25_rule7_the_loop_ends_with_an_accept() {
    dropped(1, |io, context| {
        let listener = TcpListener::bind(io, any()).unwrap();
        let context = context();
        io.accept(listener, move |_listener, _io, _result| {
            let _context = &context;
            unreachable!("nobody connects");
        });
    });
}

#[test]
fn p25_rule7_the_loop_ends_with_exact_and_vectored_receives() {
    dropped(2, |io, context| {
        let (stream, mut peer) = shared_pair(io);
        peer.write_all(b"part").unwrap();
        let (one, two) = (Counted::new(Rc::clone(&stream), &Rc::default()), context());
        io.recv_exact(one, Vec::with_capacity(9), 9, move |_stream, _io, _buf, _result| {
            let _context = &two;
            unreachable!("too few bytes come");
        });
        let three = context();
        let bufs = (0..3).map(|_| Vec::with_capacity(4)).collect();
        io.recv_vectored(stream, bufs, move |_stream, _io, _bufs: Vec<Vec<u8>>, _result| {
            let _context = &three;
            unreachable!("it waits behind the first");
        });
        peer
    });
}

#[test]
fn p25_rule7_the_loop_ends_with_every_kind_of_blocked_send() {
    dropped(4, |io, context| {
        let (stream, peer) = small_pair(io);
        // Fills the way, so that whatever follows waits.
        let _blocked = io.send_all(Rc::clone(&stream), pattern(1 << 20), |_s, _io, _b, _r| {});
        let (one, two, three, four) = (context(), context(), context(), context());
        io.send(Rc::clone(&stream), pattern(9), move |_s, _io, _b, _r| drop(one));
        io.send_zero_copy(Rc::clone(&stream), pattern(9), move |_s, _io, _b, _r| drop(two));
        let bufs = vec![pattern(9); 3];
        io.send_vectored(Rc::clone(&stream), bufs, move |_s, _io, _b, _r| drop(three));
        let bufs = vec![pattern(9); 30];
        io.send_all_vectored(stream, bufs, move |_s, _io, _b, _r| drop(four));
        peer
    });
}

#[test]
fn p25_rule7_the_loop_ends_with_readiness() {
    dropped(2, |io, context| {
        let (full, peer) = small_pair(io);
        fill(io, &full);
        let (one, two) = (context(), context());
        io.readable(Rc::clone(&full), move |_stream, _io, _result| drop(one));
        io.writable(full, move |_stream, _io, _result| drop(two));
        peer
    });
}

#[test]
fn p25_rule7_the_loop_ends_with_what_was_done_and_not_called_back() {
    for turns in 0..2 {
        let io = Io::builder().callbacks_per_turn(1).build().unwrap();
        let drops = Rc::new(Cell::new(0));
        let context = || Counted::new((), &drops);
        let (stream, mut peer) = shared_pair(&io);
        peer.write_all(b"x").unwrap();
        // The first callback uses up the turn; the others are done and stay queued.
        io.next((), |(), _io| {});
        for _ in 0..3 {
            io.next(context(), |_context, _io| unreachable!("the loop ends"));
        }
        let one = context();
        io.recv(Rc::clone(&stream), Vec::with_capacity(1), move |_s, _io, _b, _r| drop(one));
        let two = context();
        io.send_all(Rc::clone(&stream), "x", move |_s, _io, _b, _r| drop(two));
        let three = context();
        io.shutdown(stream, Shutdown::Write, move |_s, _io, _r| drop(three));
        for _ in 0..turns {
            io.poll().unwrap();
        }
        drop(io);
        assert_eq!(drops.get(), 6, "each context is dropped once (after {turns} turns)");
        assert_ended(&mut peer);
    }
}

#[test]
fn p25_rule7_the_loop_ends_with_a_name_being_resolved() {
    let io = Io::new().unwrap();
    let drops = Rc::new(Cell::new(0));
    let context = Counted::new((), &drops);
    let options = ConnectOptions::new();
    io.connect_host(context, "localhost:9", &options, |_context, _io, _result| {
        unreachable!("the loop ends");
    });
    drop(io);
    assert_eq!(drops.get(), 1);
}

#[test]
fn p22_rule7_an_accepted_connection_that_nobody_took_is_closed() {
    let io = Io::builder().callbacks_per_turn(1).build().unwrap();
    let listener = TcpListener::bind(&io, any()).unwrap();
    let address = listener.local_addr().unwrap();
    io.accept_each(
        listener,
        |_listener, io, _stream| {
            io.stop();
            Next::Continue
        },
        |_listener, _io, _result| unreachable!("the loop ends"),
    );
    let mut clients: Vec<_> = (0..10).map(|_| Peer::connect(address).unwrap()).collect();
    // One is called back, the others have been accepted and lie in the queue.
    io.run().unwrap();
    drop(io);
    clients.iter_mut().for_each(assert_ended);
}

/// Without a copy the system holds the buffer until the peer has taken in what is in it.
#[test]
fn p14_rule7_the_loop_ends_with_what_was_sent_without_a_copy_and_is_not_read() {
    let (io, drops) = (Io::new().unwrap(), Rc::new(Cell::new(0)));
    let (stream, _peer) = small_pair(&io);
    io.send_zero_copy(
        Counted::new(stream, &drops),
        vec![1; 1 << 20],
        |context, io, buf, result| {
            // A driver that copies has sent a part.
            assert!(result.unwrap() < buf.len());
            io.send_all(context, buf, |_context, _io, _buf, _result| panic!("nobody reads"));
        },
    );
    io.run_for(Duration::from_millis(20)).unwrap();
    drop(io);
    assert_eq!(drops.get(), 1, "nothing is leaked");
}
