//! What descriptors tell only once, or tell late: habits of epoll and kqueue that a driver must know,
//! and that hold on every driver.

use std::cell::Cell;
#[cfg(unix)]
use std::io::Read;
use std::io::{ErrorKind, Write};
use std::net::Shutdown;
use std::rc::Rc;
use std::time::Duration;

use crate::real;
use socket2::SockRef;
#[cfg(unix)]
use tigereye::Descriptor;
use tigereye::{BufferPool, Io, Next, TcpListener, TcpStream, is_cancelled};

use super::{Log, any, finish, pair, read, run_until_stop, shared_pair, small_pair};

/// Receives up to four bytes at a time until the stream ends; what came, piece by piece.
fn recv_in_fours(io: &Io, stream: Rc<TcpStream>, log: Log<Vec<u8>>) {
    io.recv(stream, Vec::with_capacity(4), move |stream, io, buf, result| {
        let count = result.unwrap();
        assert_eq!(buf.len(), count);
        log.put(buf);
        if count > 0 {
            recv_in_fours(io, stream, log);
        }
    });
}

#[test]
fn p70_a_hang_up_with_data_left_still_has_the_data() {
    for waits_first in [true, false] {
        let io = Io::new().unwrap();
        let (stream, mut peer) = shared_pair(&io);
        let log = Log::new();
        if waits_first {
            recv_in_fours(&io, Rc::clone(&stream), log.clone());
            io.run_for(Duration::from_millis(5)).unwrap();
        }
        peer.write_all(b"abcdefghij").unwrap();
        drop(peer);
        if !waits_first {
            recv_in_fours(&io, stream, log.clone());
        }
        finish(&io);
        assert_eq!(log.take(), [b"abcd".to_vec(), b"efgh".to_vec(), b"ij".to_vec(), vec![]]);
    }
}

#[test]
fn p74_a_flow_gets_what_was_left_when_the_peer_ended() {
    let io = Io::new().unwrap();
    let pool = BufferPool::new(&io, 4, 4).unwrap();
    let (stream, mut peer) = pair(&io);
    let (bytes, ended) = (Log::new(), Log::new());
    let (put, end) = (bytes.clone(), ended.clone());
    io.recv_each(
        stream,
        &pool,
        move |_stream, _io, buf| {
            put.put(buf.to_vec());
            Next::Continue
        },
        move |_stream, _io, result| end.put(result),
    );
    io.run_for(Duration::from_millis(5)).unwrap();
    peer.write_all(b"abcdefghij").unwrap();
    peer.shutdown(Shutdown::Write).unwrap();
    finish(&io);
    assert_eq!(bytes.take().concat(), b"abcdefghij");
    ended.one().unwrap();
}

#[test]
fn p70_what_follows_urgent_data_is_received() {
    for waits_first in [true, false] {
        let io = Io::new().unwrap();
        let (stream, mut peer) = real::shared_pair(&io);
        let log = Log::new();
        let mut receive = Some(|| {
            let log = log.clone();
            // A receive ends at the mark, short of what it has room for and of what is there.
            io.recv_exact(
                Rc::clone(&stream),
                Vec::with_capacity(64),
                6,
                move |_, _, buf, result| {
                    log.put((buf, result.is_ok()));
                },
            );
        });
        if let Some(receive) = receive.take_if(|_| waits_first) {
            receive();
            io.run_for(Duration::from_millis(5)).unwrap();
        }
        peer.write_all(b"abc").unwrap();
        SockRef::from(&peer).send_out_of_band(b"!").unwrap();
        peer.write_all(b"def").unwrap();
        if let Some(receive) = receive.take() {
            receive();
        }
        finish(&io);
        assert_eq!(log.one(), (b"abcdef".to_vec(), true));
    }
}

#[test]
fn p74_a_half_closed_stream_still_sends() {
    let io = Io::new().unwrap();
    let (stream, peer) = small_pair(&io);
    let log = Log::new();
    let end = log.clone();
    // More than fits: the send waits for room when the peer ends its own direction.
    io.send_all(Rc::clone(&stream), vec![7_u8; 4 << 20], move |_stream, _io, _buf, result| {
        end.put(result.is_ok());
    });
    io.run_for(Duration::from_millis(5)).unwrap();
    peer.shutdown(Shutdown::Write).unwrap();
    let eof = log.clone();
    io.recv(Rc::clone(&stream), Vec::with_capacity(1), move |_stream, io, _buf, result| {
        eof.put(result.unwrap() == 0);
        io.stop();
    });
    run_until_stop(&io);
    assert!(log.one(), "the end is received while the send waits");
    let reader = peer.reads(4 << 20);
    finish(&io);
    let bytes = reader.join();
    assert!(bytes.len() == 4 << 20 && bytes.iter().all(|&byte| byte == 7));
    assert!(log.one(), "all was sent");
}

#[test]
fn p71_what_is_ready_together_and_closed_meanwhile_ends_once() {
    for _ in 0..50 {
        let io = Io::new().unwrap();
        let (first, mut first_peer) = shared_pair(&io);
        let (second, mut second_peer) = shared_pair(&io);
        let log = Log::new();
        for (own, other) in [(&first, &second), (&second, &first)] {
            let (log, other) = (log.clone(), Rc::clone(other));
            io.recv(Rc::clone(own), Vec::with_capacity(8), move |_own, io, buf, result| {
                match result {
                    Ok(count) => assert_eq!((count, &buf[..]), (1, &b"x"[..])),
                    Err(error) => assert!(is_cancelled(&error), "{error}"),
                }
                log.put(buf.len());
                io.close(other, |_other, _io, _result| {});
            });
        }
        io.run_for(Duration::from_millis(1)).unwrap();
        first_peer.write_all(b"x").unwrap();
        second_peer.write_all(b"x").unwrap();
        finish(&io);
        let mut counts = log.take();
        counts.sort_unstable();
        assert!(counts == [0, 1] || counts == [1, 1], "{counts:?}");
    }
}

#[test]
fn p71_who_is_ready_and_cancelled_is_cancelled() {
    let io = Io::new().unwrap();
    let (first, mut first_peer) = shared_pair(&io);
    let (second, mut second_peer) = shared_pair(&io);
    let (log, ops) = (Log::new(), Rc::new(Cell::new(None)));
    for own in [first, second] {
        let (log, others) = (log.clone(), Rc::clone(&ops));
        let op = io.recv(Rc::clone(&own), Vec::with_capacity(8), move |own, io, buf, result| {
            // The other one has its data too by now, in the system at least.
            if let Some((first, second)) = others.take() {
                io.cancel(first);
                io.cancel(second);
            }
            let cancelled = result.as_ref().is_err_and(is_cancelled);
            assert_eq!(cancelled, buf.is_empty(), "what was received is not lost");
            log.put((cancelled, own));
        });
        ops.set(ops.take().map_or(Some((op, op)), |(first, _)| Some((first, op))));
    }
    io.run_for(Duration::from_millis(5)).unwrap();
    first_peer.write_all(b"x").unwrap();
    second_peer.write_all(b"x").unwrap();
    finish(&io);
    for (cancelled, stream) in log.take() {
        let log = Log::new();
        let put = log.clone();
        let op = io.recv(stream, Vec::with_capacity(8), move |_stream, _io, buf, result| {
            put.put((buf, result.is_ok()));
        });
        io.run_for(Duration::from_millis(5)).unwrap();
        io.cancel(op);
        finish(&io);
        let expected = if cancelled { (b"x".to_vec(), true) } else { (vec![], false) };
        assert_eq!(log.one(), expected, "it is received once");
    }
}

/// On Windows two duplicates are one socket to a completion port: the second is refused (P80).
#[test]
#[cfg(unix)]
fn p71_who_is_woken_for_nothing_and_cancelled_ends() {
    let io = Io::new().unwrap();
    // Two that wait for one byte.
    let (near, mut peer) = real::std_pair();
    let shadow = near.try_clone().unwrap();
    let (log, ops) = (Log::new(), Rc::new(Cell::new(None)));
    for own in [near, shadow] {
        let (log, others) = (log.clone(), Rc::clone(&ops));
        let own = TcpStream::from_std(&io, own).unwrap();
        let op = io.recv(own, Vec::with_capacity(8), move |_own, io, _buf, result| {
            if let Some((first, second)) = others.take() {
                io.cancel(first);
                io.cancel(second);
            }
            log.put(result.map_err(|error| is_cancelled(&error)));
        });
        ops.set(ops.take().map_or(Some((op, op)), |(first, _)| Some((first, op))));
    }
    io.run_for(Duration::from_millis(5)).unwrap();
    peer.write_all(b"x").unwrap();
    finish(&io);
    let mut results = log.take();
    results.sort_unstable();
    assert_eq!(results, [Ok(1), Err(true)]);
}

#[test]
fn p74_a_descriptors_number_used_again_has_no_past() {
    let io = Io::new().unwrap();
    for round in 0..100_u8 {
        let (near, mut peer) = real::std_pair();
        // The connection outlives the loop's descriptor, and with it what was registered for it.
        let shadow = near.try_clone().unwrap();
        let stream = TcpStream::from_std(&io, near).unwrap();
        let cancelled = Log::new();
        let end = cancelled.clone();
        let op = io.recv(stream, Vec::with_capacity(8), move |stream, _io, _buf, result| {
            end.put(result.unwrap_err());
            drop(stream);
        });
        io.poll().unwrap();
        io.cancel(op);
        finish(&io);
        assert!(is_cancelled(&cancelled.one()));
        // The next one probably has the number of the one that was just closed.
        let (stream, mut other) = real::pair(&io);
        let log = Log::new();
        let put = log.clone();
        io.recv(stream, Vec::with_capacity(8), move |_stream, io, buf, result| {
            result.unwrap();
            put.put(buf);
            io.stop();
        });
        peer.write_all(b"for the shadow").unwrap();
        io.run_for(Duration::from_millis(1)).unwrap();
        assert_eq!(log.len(), 0);
        other.write_all(&[round]).unwrap();
        run_until_stop(&io);
        assert_eq!(log.one(), [round]);
        let mut shadow = shadow;
        shadow.set_nonblocking(false).unwrap();
        assert_eq!(read(&mut shadow, 14), b"for the shadow");
    }
}

#[test]
fn p73_all_who_wait_for_readiness_are_served() {
    let io = Io::new().unwrap();
    let (stream, mut peer) = shared_pair(&io);
    let log = Log::new();
    for number in 0..5 {
        let log = log.clone();
        io.readable(Rc::clone(&stream), move |_stream, _io, result| {
            result.unwrap();
            log.put(number);
        });
    }
    io.run_for(Duration::from_millis(5)).unwrap();
    assert_eq!(log.len(), 0);
    peer.write_all(b"x").unwrap();
    finish(&io);
    // In their order where the driver has the say; io_uring's polls come the other way round.
    let mut served = log.take();
    served.sort_unstable();
    assert_eq!(served, [0, 1, 2, 3, 4]);
}

#[test]
#[cfg(unix)]
fn p72_regular_files_and_devices_are_ready_at_once() {
    let io = Io::new().unwrap();
    // A program is a file, wherever it runs.
    for path in [std::env::current_exe().unwrap(), "/dev/null".into()] {
        let log = Log::new();
        let file = std::fs::File::open(&path).unwrap();
        let descriptor = Rc::new(Descriptor::new(&io, file.into()));
        let put = log.clone();
        io.readable(Rc::clone(&descriptor), move |_, _, result| put.put(result.is_ok()));
        let put = log.clone();
        io.writable(descriptor, move |_, _, result| put.put(result.is_ok()));
        finish(&io);
        assert_eq!(log.take(), [true, true], "{}", path.display());
    }
}

#[test]
#[cfg(unix)]
fn readiness_comes_again_as_often_as_it_is_asked_for() {
    let io = Io::new().unwrap();
    let (reader, mut writer) = std::io::pipe().unwrap();
    let descriptor = Rc::new(Descriptor::new(&io, reader.try_clone().unwrap().into()));
    writer.write_all(b"ab").unwrap();
    let count = Rc::new(Cell::new(0));
    // Nothing is taken between the first and the second.
    for _ in 0..2 {
        let count = Rc::clone(&count);
        io.readable(Rc::clone(&descriptor), move |_, _, result| {
            result.unwrap();
            count.set(count.get() + 1);
        });
        finish(&io);
    }
    assert_eq!(count.get(), 2);
    let mut reader = reader;
    reader.read_exact(&mut [0; 2]).unwrap();
    let inside = Rc::clone(&count);
    io.readable(Rc::clone(&descriptor), move |_, _, result| {
        result.unwrap();
        inside.set(inside.get() + 1);
    });
    io.run_for(Duration::from_millis(5)).unwrap();
    assert_eq!(count.get(), 2, "it is empty");
    drop(writer);
    finish(&io);
    assert_eq!(count.get(), 3, "a hang-up can be read");
}

#[test]
fn a_stream_that_is_given_away_blocks() {
    let io = Io::new().unwrap();
    let listener = TcpListener::bind(&io, any()).unwrap();
    let address = listener.local_addr().unwrap();
    let (accepted, connected) = (Log::new(), Log::new());
    let put = accepted.clone();
    io.accept(listener, move |listener, _io, result| {
        put.put(result.unwrap().0.into_std().unwrap());
        drop(listener);
    });
    let put = connected.clone();
    io.connect((), address, move |(), _io, result| {
        put.put(result.unwrap().into_std().unwrap());
    });
    finish(&io);
    let (mut near, mut far): (std::net::TcpStream, std::net::TcpStream) =
        (accepted.one(), connected.one());
    #[cfg(unix)]
    for stream in [&near, &far] {
        let flags = rustix::fs::fcntl_getfl(stream).unwrap();
        assert!(!flags.contains(rustix::fs::OFlags::NONBLOCK));
    }
    // And comes back as a driver wants it: one that was not used, for Windows (P80).
    near.write_all(b"x").unwrap();
    assert_eq!(read(&mut far, 1), b"x");
    let (near, log) = (TcpStream::from_std(&io, near).unwrap(), Log::new());
    let put = log.clone();
    io.recv(near, Vec::with_capacity(1), move |_stream, _io, buf, result| {
        result.unwrap();
        put.put(buf);
    });
    io.run_for(Duration::from_millis(1)).unwrap();
    far.write_all(b"y").unwrap();
    finish(&io);
    assert_eq!(log.one(), b"y");
}

#[test]
fn p39_a_connect_that_waits_can_be_cancelled_and_ends_at_its_deadline() {
    let io = Io::new().unwrap();
    let (_other, _listener, _sockets, address) = crate::ends::full_listener();
    let log = Log::new();
    let (cancelled, timed_out) = (log.clone(), log.clone());
    let op = io.connect((), address, move |(), _io, result| {
        cancelled.put(is_cancelled(&result.unwrap_err()));
    });
    let late = io.connect((), address, move |(), _io, result| {
        timed_out.put(result.unwrap_err().kind() == ErrorKind::TimedOut);
    });
    io.run_for(Duration::from_millis(5)).unwrap();
    assert_eq!(log.len(), 0, "it waits");
    io.cancel(op);
    io.deadline(late, Duration::from_millis(10));
    finish(&io);
    assert_eq!(log.take(), [true, true]);
}
