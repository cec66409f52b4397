//! Other threads: posts, events, calls that block, loops of their own.

use std::io::{ErrorKind, Write};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use tigereye::{InTurn, Io, TcpListener, TcpStream, Threads, is_cancelled};
#[cfg(unix)]
use tigereye::{ListenOptions, Next};

use crate::patient::read_some;
use crate::peer::is_simulated;
use crate::real;
use crate::{HANG, Log, any, finish, read, run_until_stop};

/// `threads` threads post `each` closures; they come all, those of one thread in order.
fn storm(threads: usize, each: usize) {
    let io = Io::new().unwrap();
    let (keep, _trigger) = io.event((), |(), _io, _result| {});
    let seen = Arc::new(Mutex::new((0, vec![0; threads])));
    let posters: Vec<_> = (0..threads)
        .map(|thread| {
            let (remote, seen) = (io.remote(), Arc::clone(&seen));
            std::thread::spawn(move || {
                for number in 0..each {
                    let seen = Arc::clone(&seen);
                    let call = move |io: &Io| {
                        let mut seen = seen.lock().unwrap();
                        assert_eq!(seen.1[thread], number, "in order");
                        seen.1[thread] += 1;
                        seen.0 += 1;
                        if seen.0 == threads * each {
                            io.stop();
                        }
                    };
                    remote.post(call).unwrap();
                }
            })
        })
        .collect();
    run_until_stop(&io);
    posters.into_iter().for_each(|poster| poster.join().unwrap());
    assert_eq!(seen.lock().unwrap().0, threads * each);
    io.cancel(keep);
    finish(&io);
}

#[test]
fn posts_of_one_thread_keep_their_order() {
    storm(1, 1000);
}

#[test]
fn p65_a_storm_of_posts_loses_none() {
    storm(4, 25_000);
}

#[test]
fn p65_no_wake_is_lost_between_nothing_to_do_and_wait() {
    let io = Io::new().unwrap();
    let (keep, _trigger) = io.event((), |(), _io, _result| {});
    let (sender, receiver) = mpsc::channel();
    let remote = io.remote();
    // One at a time, so that the loop goes to sleep in between.
    let poster = std::thread::spawn(move || {
        for number in 0..2000 {
            let sender = sender.clone();
            remote.post(move |_io| sender.send(number).unwrap()).unwrap();
            assert_eq!(receiver.recv_timeout(HANG), Ok(number), "a wake was lost");
        }
        remote.stop();
    });
    run_until_stop(&io);
    poster.join().unwrap();
    io.cancel(keep);
    finish(&io);
}

#[test]
fn p66_a_post_to_a_loop_that_is_gone_gives_the_closure_back() {
    let io = Io::new().unwrap();
    let remote = io.remote();
    drop(io);
    let ran = Arc::new(AtomicU32::new(0));
    let inside = Arc::clone(&ran);
    let error = remote
        .post(move |_io| {
            inside.fetch_add(1, Ordering::Relaxed);
        })
        .unwrap_err();
    remote.wake();
    remote.stop();
    assert_eq!(ran.load(Ordering::Relaxed), 0);
    let other = Io::new().unwrap();
    error.into_inner()(&other);
    assert_eq!(ran.load(Ordering::Relaxed), 1);
}

#[test]
fn p66_the_loops_end_frees_what_was_posted() {
    let io = Io::new().unwrap();
    let held = Arc::new(());
    for _ in 0..10 {
        let held = Arc::clone(&held);
        io.remote().post(move |_io| drop(held)).unwrap();
    }
    assert_eq!(Arc::strong_count(&held), 11);
    drop(io);
    assert_eq!(Arc::strong_count(&held), 1);
}

#[test]
fn run_takes_what_was_posted_before() {
    let io = Io::new().unwrap();
    let ran = Arc::new(AtomicU32::new(0));
    let inside = Arc::clone(&ran);
    io.remote()
        .post(move |_io| {
            inside.fetch_add(1, Ordering::Relaxed);
        })
        .unwrap();
    finish(&io);
    assert_eq!(ran.load(Ordering::Relaxed), 1);
}

#[test]
fn an_event_is_pulled_from_another_thread() {
    let io = Io::new().unwrap();
    let log = Log::new();
    let (op, trigger) = io.event(log.clone(), |log, _io, result| log.put(result));
    let thread = std::thread::spawn(move || trigger.pull());
    finish(&io);
    thread.join().unwrap();
    log.one().unwrap();
    io.cancel(op);
    finish(&io);
}

#[test]
fn an_event_without_a_trigger_can_be_cancelled() {
    let io = Io::new().unwrap();
    let log = Log::new();
    let (op, trigger) = io.event(log.clone(), |log, _io, result| log.put(result));
    drop(trigger);
    io.run_for(Duration::from_millis(2)).unwrap();
    assert_eq!(log.len(), 0);
    io.cancel(op);
    finish(&io);
    assert!(is_cancelled(&log.one().unwrap_err()));
}

#[test]
fn p11_a_late_trigger_finds_nobody() {
    let io = Io::new().unwrap();
    let log = Log::new();
    let (op, trigger) = io.event(log.clone(), |log, _io, result| log.put(result));
    io.cancel(op);
    finish(&io);
    assert!(is_cancelled(&log.one().unwrap_err()));
    let (next, other) = io.event(log.clone(), |log, _io, result| log.put(result));
    trigger.pull();
    io.run_for(Duration::from_millis(2)).unwrap();
    assert_eq!(log.len(), 0, "the slot's next tenant is not touched");
    other.pull();
    finish(&io);
    log.one().unwrap();
    io.cancel(next);
}

#[test]
fn offload_brings_the_result_and_the_panic() {
    let io = Io::new().unwrap();
    let log = Log::new();
    let name = || std::thread::current().id();
    io.offload(log.clone(), name, |log, _io, result| {
        log.put(result.map(|id| id != std::thread::current().id()).map_err(|error| error.kind()));
    });
    finish(&io);
    assert_eq!(log.one(), Ok(!is_simulated()), "the simulator's pool has no threads");
    let call = || -> bool { panic!("meant") };
    io.offload(log.clone(), call, |log, _io, result| {
        log.put(result.map_err(|error| error.kind()));
    });
    finish(&io);
    assert_eq!(log.one(), Err(ErrorKind::Other));
}

#[test]
fn p75_a_queued_call_can_be_cancelled_and_a_running_one_is_discarded() {
    let io = Io::builder().pool_threads(1).build().unwrap();
    let (release, released) = mpsc::channel::<()>();
    let (started, start) = mpsc::channel();
    let ran = Arc::new(AtomicU32::new(0));
    let log = Log::new();
    let call = move || {
        started.send(()).unwrap();
        released.recv().unwrap();
    };
    let running = io.offload(log.clone(), call, |log, _io, result| log.put(("running", result)));
    let inside = Arc::clone(&ran);
    let call = move || {
        inside.fetch_add(1, Ordering::Relaxed);
    };
    let queued = io.offload(log.clone(), call, |log, io, result| {
        log.put(("queued", result));
        io.stop();
    });
    start.recv_timeout(HANG).unwrap();
    io.cancel(queued);
    run_until_stop(&io);
    let (name, result) = log.one();
    assert_eq!(name, "queued");
    assert!(is_cancelled(&result.unwrap_err()));
    io.cancel(running);
    release.send(()).unwrap();
    finish(&io);
    assert!(is_cancelled(&log.one().1.unwrap_err()));
    assert_eq!(ran.load(Ordering::Relaxed), 0);
}

#[test]
fn a_hundred_offloads_all_come() {
    let io = Io::builder().pool_threads(3).build().unwrap();
    let log = Log::new();
    for number in 0..100 {
        let call = move || number;
        io.offload(log.clone(), call, |log, _io, result| log.put(result.unwrap()));
    }
    finish(&io);
    let mut all = log.take();
    all.sort_unstable();
    assert_eq!(all, (0..100).collect::<Vec<_>>());
}

#[test]
fn a_stream_moves_to_another_threads_loop() {
    let io = Io::new().unwrap();
    let (sender, receiver) = mpsc::channel();
    let worker = std::thread::spawn(move || {
        let io = Io::new().unwrap();
        io.timeout((), Duration::MAX, |(), _io, _result| {});
        sender.send(io.remote()).unwrap();
        run_until_stop(&io);
    });
    let remote = receiver.recv().unwrap();
    let listener = TcpListener::bind(&io, any()).unwrap();
    let mut client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    io.accept(listener, move |_listener, _io, result| {
        let stream = result.unwrap().0.into_std().unwrap();
        let serve = move |io: &Io| {
            let stream = TcpStream::from_std(io, stream).unwrap();
            io.recv_exact(stream, Vec::with_capacity(4), 4, |stream, io, buf, result| {
                result.unwrap();
                io.send_all(stream, buf, |_stream, io, _buf, result| {
                    result.unwrap();
                    io.stop();
                });
            });
        };
        remote.post(serve).unwrap();
    });
    client.set_read_timeout(Some(HANG)).unwrap();
    client.write_all(b"moved".split_last().unwrap().1).unwrap();
    finish(&io);
    assert_eq!(read(&mut client, 4), b"move");
    worker.join().unwrap();
}

#[test]
fn into_std_works_after_a_cancelled_receive() {
    let io = Io::new().unwrap();
    let (near, mut far) = real::std_pair();
    let stream = TcpStream::from_std(&io, near).unwrap();
    let (receiver, sender) = stream.split();
    let log = Log::new();
    let put = log.clone();
    let op = io.recv(receiver, Vec::with_capacity(1), move |stream, _io, _buf, result| {
        put.put((stream, result.map_err(|error| is_cancelled(&error))));
    });
    io.poll().unwrap();
    io.cancel(op);
    finish(&io);
    let (receiver, result) = log.one();
    assert_eq!(result, Err(true));
    drop(receiver);
    let stream = std::rc::Rc::try_unwrap(sender).unwrap();
    let mut std_stream = stream.into_std().unwrap();
    std_stream.write_all(b"x").unwrap();
    assert_eq!(read(&mut far, 1), b"x");
}

fn serve(io: &Io, stream: TcpStream) {
    io.recv(stream, Vec::with_capacity(64), |stream, io, buf, result| {
        if matches!(result, Ok(count) if count > 0) {
            io.send_all(stream, buf, |stream, io, _buf, result| {
                if result.is_ok() {
                    serve(io, stream);
                }
            });
        }
    });
}

/// Windows has no ports that listeners share.
#[test]
#[cfg(unix)]
fn two_threads_serve_one_address() {
    let address = Arc::new(Mutex::new(any()));
    let shared = Arc::clone(&address);
    let threads = Threads::start(2, &Io::builder(), move |_index, io| {
        let mut address = shared.lock().unwrap();
        let options = ListenOptions::new().reuse_port(true);
        let listener = TcpListener::bind_with(io, *address, &options)?;
        *address = listener.local_addr()?;
        io.accept_each(
            listener,
            |_listener, io, stream| {
                serve(io, stream);
                Next::Continue
            },
            |_listener, _io, _result| {},
        );
        Ok(())
    })
    .unwrap();
    assert_eq!(threads.remotes().len(), 2);
    let address = *address.lock().unwrap();
    for _ in 0..40 {
        let mut client = std::net::TcpStream::connect(address).unwrap();
        client.set_read_timeout(Some(HANG)).unwrap();
        client.write_all(b"hello").unwrap();
        assert_eq!(read(&mut client, 5), b"hello");
        client.shutdown(std::net::Shutdown::Write).unwrap();
        assert_eq!(read_some(&mut client, &mut [0; 1]).unwrap(), 0);
    }
    threads.stop();
    threads.join().unwrap();
}

#[test]
fn a_setup_that_fails_ends_all_threads() {
    let alive = Arc::new(());
    let held = Arc::clone(&alive);
    let error = Threads::start(3, &Io::builder(), move |index, _io| {
        let _held = &held;
        if index == 2 { Err(ErrorKind::AddrInUse.into()) } else { Ok(()) }
    })
    .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AddrInUse);
    assert_eq!(Arc::strong_count(&alive), 1);
}

#[test]
fn connections_are_handed_to_the_loops_in_turn() {
    const LOOPS: usize = 3;
    let threads = Threads::start(LOOPS, &Io::builder(), |_index, _io| Ok(())).unwrap();
    let gone = Io::new().unwrap().remote();
    let [first, others @ ..] = threads.remotes() else { panic!("there are loops") };
    let remotes = [std::slice::from_ref(first), &[gone], others].concat();
    let io = Io::new().unwrap();
    let in_turn = InTurn::new(&remotes);
    let (taken, takes) = mpsc::channel();
    let mut clients = Vec::new();
    for _ in 0..4 * LOOPS {
        let (near, far) = real::std_pair();
        clients.push(far);
        let taken = taken.clone();
        let stream = TcpStream::from_std(&io, near).unwrap();
        let handed = in_turn.hand(stream, move |io, stream| {
            taken.send(std::thread::current().name().unwrap().to_owned()).unwrap();
            serve(io, stream);
        });
        handed.unwrap();
    }
    for client in &mut clients {
        client.write_all(b"hello").unwrap();
        assert_eq!(read(client, 5), b"hello");
    }
    let mut names: Vec<String> = takes.try_iter().collect();
    names.sort();
    let expected = ["tigereye-0", "tigereye-1", "tigereye-2"].map(|name| [name; 4]);
    assert_eq!(names, expected.concat());
    drop(clients);
    threads.stop();
    threads.join().unwrap();
    let (near, mut far) = real::std_pair();
    let stream = TcpStream::from_std(&io, near).unwrap();
    let error = in_turn.hand(stream, |_io, _stream| unreachable!()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotConnected);
    assert_eq!(read_some(&mut far, &mut [0; 1]).unwrap(), 0, "it is closed");
}
