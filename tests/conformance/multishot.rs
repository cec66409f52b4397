//! Operations with many results.

use std::io::{ErrorKind, Write};
use std::rc::Rc;
use std::time::Duration;

use tigereye::{
    AsSource, BufferPool, Io, Next, PoolBuf, Source, TcpListener, TcpStream, is_cancelled,
};

use crate::peer::Peer;
use crate::{Log, any, finish, pair, pattern, shared_pair};

const SIZE: usize = 1024;

/// Keeps the buffers that it gets until a timer lets them go.
struct Hoarder {
    stream: TcpStream,
    held: Log<PoolBuf>,
    bytes: Vec<u8>,
    pauses: u32,
}

impl AsSource for Hoarder {
    fn as_source(&self) -> &Source {
        self.stream.as_source()
    }
}

#[test]
fn p12_an_empty_pool_holds_the_flow_up_until_buffers_are_dropped() {
    const LEN: usize = 300_000;
    let io = Io::new().unwrap();
    let pool = BufferPool::new(&io, 4, SIZE).unwrap();
    let (stream, peer) = pair(&io);
    let writer = peer.writes(pattern(LEN));
    let hoarder = Hoarder { stream, held: Log::new(), bytes: Vec::new(), pauses: 0 };
    let log = Log::new();
    let each = |hoarder: &mut Hoarder, io: &Io, buf: PoolBuf| {
        assert!(!buf.is_empty() && buf.len() <= SIZE);
        hoarder.bytes.extend_from_slice(&buf);
        hoarder.held.put(buf);
        if hoarder.held.len() == 4 {
            hoarder.pauses += 1;
            let after = Duration::from_micros(u64::from(hoarder.pauses % 3) * 100);
            io.timeout(hoarder.held.clone(), after, |held, _io, _result| drop(held.take()));
        }
        Next::Continue
    };
    let put = log.clone();
    io.recv_each(hoarder, &pool, each, move |hoarder, _io, result| {
        put.put((hoarder, result));
    });
    finish(&io);
    let (hoarder, result) = log.one();
    result.unwrap();
    assert!(hoarder.bytes == pattern(LEN), "all bytes, in order");
    assert!(hoarder.pauses >= 50, "the pool was empty often");
    writer.join();
}

#[test]
fn p12_an_empty_pool_makes_no_busy_loop() {
    let io = Io::new().unwrap();
    let pool = BufferPool::new(&io, 4, 16).unwrap();
    let (stream, mut peer) = pair(&io);
    peer.write_all(&pattern(200)).unwrap();
    drop(peer);
    let held = Log::new();
    let (put, ends) = (held.clone(), Log::new());
    let end = ends.clone();
    io.recv_each(
        stream,
        &pool,
        move |_stream, _io, buf| {
            put.put(buf);
            Next::Continue
        },
        move |_stream, _io, result| end.put(result),
    );
    while held.len() < 4 {
        io.run_for(Duration::from_millis(1)).unwrap();
    }
    io.run_for(Duration::from_millis(30)).unwrap();
    assert_eq!((held.len(), ends.len()), (4, 0));
    let before = io.statistics().system_calls;
    io.run_for(Duration::from_millis(50)).unwrap();
    assert!(io.statistics().system_calls - before < 20, "the loop spins");
    let mut bytes = Vec::new();
    while ends.len() == 0 {
        for buf in held.take() {
            bytes.extend_from_slice(&buf);
        }
        io.run_once().unwrap();
    }
    for buf in held.take() {
        bytes.extend_from_slice(&buf);
    }
    ends.one().unwrap();
    assert_eq!(bytes, pattern(200));
    finish(&io);
}

#[test]
fn recv_each_stop_loses_no_bytes() {
    let io = Io::new().unwrap();
    let pool = BufferPool::new(&io, 8, 100).unwrap();
    let (stream, mut peer) = shared_pair(&io);
    peer.write_all(&pattern(5000)).unwrap();
    drop(peer);
    let (items, ends) = (Log::new(), Log::new());
    let (item, end) = (items.clone(), ends.clone());
    io.recv_each(
        stream,
        &pool,
        move |_stream, _io, buf| {
            item.put(buf.to_vec());
            Next::Stop
        },
        move |stream, _io, result| end.put((stream, result)),
    );
    finish(&io);
    let (stream, result) = ends.one();
    result.unwrap();
    let mut all = items.take().concat();
    assert!(!all.is_empty());
    // The rest is still in the socket.
    while all.len() < 5000 {
        let log = Log::new();
        let put = log.clone();
        all.reserve(1000);
        io.recv(Rc::clone(&stream), all, move |_stream, _io, buf, result| {
            put.put((buf, result.unwrap()));
        });
        finish(&io);
        let (buf, count) = log.one();
        assert!(count > 0, "bytes were lost");
        all = buf;
    }
    assert_eq!(all, pattern(5000));
}

#[test]
fn recv_each_can_be_cancelled() {
    let io = Io::new().unwrap();
    let pool = BufferPool::new(&io, 2, 100).unwrap();
    let (stream, _peer) = pair(&io);
    let log = Log::new();
    let end = log.clone();
    let op = io.recv_each(
        stream,
        &pool,
        |_stream, _io, _buf| unreachable!("nothing is sent"),
        move |_stream, _io, result| end.put(result),
    );
    io.poll().unwrap();
    io.cancel(op);
    finish(&io);
    assert!(is_cancelled(&log.one().unwrap_err()));
}

#[test]
fn recv_each_cancelled_while_it_waits_for_a_buffer() {
    let io = Io::new().unwrap();
    let pool = BufferPool::new(&io, 1, 10).unwrap();
    let (stream, mut peer) = shared_pair(&io);
    peer.write_all(&pattern(30)).unwrap();
    let (held, log) = (Log::new(), Log::new());
    let (put, end) = (held.clone(), log.clone());
    let op = io.recv_each(
        Rc::clone(&stream),
        &pool,
        move |_stream, _io, buf| {
            put.put(buf);
            Next::Continue
        },
        move |_stream, _io, result| end.put(result),
    );
    while held.len() < 1 {
        io.run_for(Duration::from_millis(1)).unwrap();
    }
    io.run_for(Duration::from_millis(10)).unwrap();
    io.cancel(op);
    finish(&io);
    assert!(is_cancelled(&log.one().unwrap_err()));
    assert_eq!(*held.one(), pattern(10)[..]);
    let put = log.clone();
    io.recv_exact(stream, Vec::with_capacity(20), 20, move |_stream, _io, buf, result| {
        assert_eq!(buf, pattern(30)[10..]);
        put.put(result);
    });
    finish(&io);
    log.one().unwrap();
}

#[test]
fn recv_each_with_another_loops_pool_is_refused() {
    let (io, other) = (Io::new().unwrap(), Io::new().unwrap());
    let pool = BufferPool::new(&other, 2, 100).unwrap();
    let (stream, _peer) = pair(&io);
    let log = Log::new();
    let end = log.clone();
    io.recv_each(
        stream,
        &pool,
        |_stream, _io, _buf| Next::Continue,
        move |_stream, _io, result| end.put(result),
    );
    assert_eq!(log.len(), 0, "never inside the call");
    finish(&io);
    assert_eq!(log.one().unwrap_err().kind(), ErrorKind::InvalidInput);
}

#[test]
fn a_pool_outlives_its_loop() {
    let io = Io::new().unwrap();
    let pool = BufferPool::new(&io, 2, 100).unwrap();
    let (stream, mut peer) = pair(&io);
    peer.write_all(b"held").unwrap();
    let held = Log::new();
    let put = held.clone();
    io.recv_each(
        stream,
        &pool,
        move |_stream, io, buf| {
            put.put(buf);
            io.stop();
            Next::Continue
        },
        |_stream, _io, _result| unreachable!("the loop is dropped"),
    );
    io.run().unwrap();
    drop(io);
    drop(pool);
    assert_eq!(*held.one(), b"held"[..]);
}

#[test]
fn a_pool_of_impossible_size_is_refused() {
    let io = Io::new().unwrap();
    for (count, size) in [(1, 0), (usize::MAX, 1), (32_769, 1), (1, usize::MAX)] {
        let error = BufferPool::new(&io, count, size).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{count} of {size}");
    }
}

#[test]
fn p48_accept_each_takes_every_connection() {
    let io = Io::new().unwrap();
    let listener = TcpListener::bind(&io, any()).unwrap();
    let address = listener.local_addr().unwrap();
    let log = Log::new();
    let put = log.clone();
    let mut count = 0;
    io.accept_each(
        listener,
        move |_listener, _io, _stream| {
            count += 1;
            put.put(());
            if count == 100 { Next::Stop } else { Next::Continue }
        },
        |_listener, _io, result| result.unwrap(),
    );
    let mut clients = Vec::new();
    for _ in 0..100 {
        clients.push(Peer::connect(address).unwrap());
        if clients.len().is_multiple_of(7) {
            io.poll().unwrap();
        }
    }
    finish(&io);
    assert_eq!(log.len(), 100);
}

#[test]
fn p12_two_streams_share_a_pool_of_one_buffer() {
    let io = Io::new().unwrap();
    let pool = BufferPool::new(&io, 1, 64).unwrap();
    let log = Log::new();
    let mut writers = Vec::new();
    for _ in 0..2 {
        let (stream, peer) = pair(&io);
        writers.push(peer.writes(pattern(50_000)));
        let log = log.clone();
        let all = Log::new();
        let put = all.clone();
        io.recv_each(
            stream,
            &pool,
            move |_stream, _io, buf| {
                put.put(buf.to_vec());
                Next::Continue
            },
            move |_stream, _io, result| {
                result.unwrap();
                log.put(all.take().concat());
            },
        );
    }
    finish(&io);
    let both = log.take();
    assert_eq!(both.len(), 2);
    assert!(both.into_iter().all(|bytes| bytes == pattern(50_000)));
    writers.into_iter().for_each(|writer| writer.join());
}

#[test]
fn buffers_of_a_pool_can_be_filled_and_sent() {
    let io = Io::new().unwrap();
    let pool = BufferPool::new(&io, 64, 8).unwrap();
    let (stream, mut peer) = pair(&io);
    for _ in 0..100 {
        let mut buf = pool.take().unwrap();
        assert_eq!((buf.len(), buf.capacity()), (0, 8));
        assert_eq!(buf.extend_from_slice(b"hello"), 5);
        assert_eq!(buf.extend_from_slice(b" world"), 3, "no more fits");
        buf.truncate(7);
        buf[6] = b'!';
        io.send_detached(&stream, buf);
        finish(&io);
        assert_eq!(crate::read(&mut peer, 7), b"hello !");
    }
    let mut all = Vec::new();
    while let Some(buf) = pool.take() {
        all.push(buf);
    }
    assert!(!all.is_empty() && all.len() <= 64, "what is with the driver is not given out");
    drop(all);
    assert!(pool.take().is_some());
}
