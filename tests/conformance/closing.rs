//! How streams end: halves that close, resets, and what was sent just before. And what goes both
//! ways at once while they last.

use std::io::{ErrorKind, Write};
use std::net::Shutdown;
use std::rc::Rc;
#[cfg(unix)]
use std::time::Instant;

use tigereye::{AsSource, BufferPool, Io, IoBuf, Next, Source, TcpListener, TcpStream};

use crate::patient::read_some;
use crate::peer::Peer;
#[cfg(unix)]
use crate::{HANG, fill};
use crate::{Log, any, finish, own_pair, pair, pattern, read, reset, shared_pair, small_pair};

const MIB: usize = 1 << 20;

/// Receives once; gives what came.
fn recv(io: &Io, stream: &Rc<TcpStream>) -> std::io::Result<Vec<u8>> {
    let log = Log::new();
    let put = log.clone();
    io.recv(Rc::clone(stream), Vec::with_capacity(64), move |_stream, _io, buf, result| {
        put.put(result.map(|_count| buf));
    });
    finish(io);
    log.one()
}

#[test]
fn p42_read_to_the_end_then_send_and_shut_down() {
    let io = Io::new().unwrap();
    let (stream, mut peer) = shared_pair(&io);
    peer.write_all(b"last").unwrap();
    peer.shutdown(Shutdown::Write).unwrap();
    assert_eq!(recv(&io, &stream).unwrap(), b"last");
    assert_eq!(recv(&io, &stream).unwrap(), b"");
    assert_eq!(recv(&io, &stream).unwrap(), b"", "the end stays the end");
    io.send_all(Rc::clone(&stream), "bye", |_stream, _io, _buf, result| result.unwrap());
    io.shutdown(stream, Shutdown::Both, |_stream, _io, result| result.unwrap());
    finish(&io);
    assert_eq!(read(&mut peer, 3), b"bye");
    assert_eq!(read_some(&mut peer, &mut [0; 1]).unwrap(), 0);
}

#[test]
#[cfg(unix)]
fn p161_a_close_that_lingers_holds_up_no_loop() {
    let io = Io::new().unwrap();
    let (stream, peer) = small_pair(&io);
    fill(&io, &stream);
    stream.set_linger(Some(HANG)).unwrap();
    let log = Log::new();
    let put = log.clone();
    let begin = Instant::now();
    io.close(stream, move |_stream, _io, result| put.put(result));
    io.poll().unwrap();
    // Nobody reads what is left: so there is nothing to wait for.
    drop(peer);
    finish(&io);
    log.one().unwrap();
    assert!(begin.elapsed() < HANG, "the call that closes is waited for");
}

#[test]
fn shutdown_of_reading_makes_a_stream_readable() {
    let io = Io::new().unwrap();
    let (stream, _peer) = shared_pair(&io);
    let log = Log::new();
    for is_shut in [false, true] {
        for _ in 0..2 {
            let put = log.clone();
            io.readable(Rc::clone(&stream), move |_stream, _io, result| put.put(result.is_ok()));
        }
        io.poll().unwrap();
        if !is_shut {
            assert_eq!(log.len(), 0, "nothing came");
            io.shutdown(Rc::clone(&stream), Shutdown::Read, |_stream, _io, result| result.unwrap());
        }
        finish(&io);
    }
    assert_eq!(log.take(), [true; 4]);
}

#[test]
fn p42_shutdown_after_the_peers_reset_is_not_connected() {
    let io = Io::new().unwrap();
    let (stream, peer) = shared_pair(&io);
    reset(peer);
    assert_eq!(recv(&io, &stream).unwrap_err().kind(), ErrorKind::ConnectionReset);
    let log = Log::new();
    for how in [Shutdown::Write, Shutdown::Read, Shutdown::Both] {
        let put = log.clone();
        io.shutdown(Rc::clone(&stream), how, move |_stream, _io, result| {
            put.put(result.unwrap_err().kind());
        });
    }
    finish(&io);
    assert_eq!(log.take(), [ErrorKind::NotConnected; 3]);
}

#[test]
fn shutdown_of_reading_ends_a_receive_that_waits() {
    let io = Io::new().unwrap();
    let (stream, mut peer) = shared_pair(&io);
    let log = Log::new();
    let put = log.clone();
    io.recv(Rc::clone(&stream), Vec::with_capacity(1), move |_stream, _io, _buf, result| {
        put.put(result.unwrap());
    });
    io.poll().unwrap();
    io.shutdown(Rc::clone(&stream), Shutdown::Read, |_stream, _io, result| result.unwrap());
    finish(&io);
    assert_eq!(log.one(), 0);
    io.send_all(stream, "still", |_stream, _io, _buf, result| result.unwrap());
    finish(&io);
    assert_eq!(read(&mut peer, 5), b"still");
}

#[test]
fn p33_a_reset_after_part_of_an_exact_receive_is_no_end_of_stream() {
    let io = Io::new().unwrap();
    for turns in 0..3 {
        let (stream, mut peer) = shared_pair(&io);
        let log = Log::new();
        let put = log.clone();
        io.recv_exact(stream, Vec::with_capacity(10), 10, move |_stream, _io, buf, result| {
            put.put((buf, result.unwrap_err().kind()));
        });
        peer.write_all(b"part").unwrap();
        for _ in 0..turns {
            io.poll().unwrap();
        }
        reset(peer);
        finish(&io);
        let (buf, kind) = log.one();
        assert_eq!(kind, ErrorKind::ConnectionReset);
        assert!(b"part".starts_with(&buf), "{buf:?}");
    }
}

#[test]
fn p43_a_reset_behind_unread_data_is_an_error_and_no_end() {
    let io = Io::new().unwrap();
    let (stream, mut peer) = shared_pair(&io);
    peer.write_all(b"data").unwrap();
    reset(peer);
    // Linux gives the data first; a system may drop it. None makes an orderly end of it.
    let mut first = recv(&io, &stream);
    if let Ok(data) = &first {
        assert_eq!(data, b"data");
        first = recv(&io, &stream);
    }
    assert_eq!(first.unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[test]
fn p49_what_was_sent_just_before_the_close_arrives() {
    let io = Io::new().unwrap();
    for close in [true, false] {
        let (stream, peer) = small_pair(&io);
        io.send_all(stream, pattern(MIB), move |stream, io, _buf, result| {
            result.unwrap();
            if close {
                io.close(stream, |_stream, _io, result| result.unwrap());
            }
        });
        let reader = peer.reads_to_end();
        finish(&io);
        assert!(reader.join() == pattern(MIB), "the end was lost (close: {close})");
    }
}

/// Receives and forgets, until the end.
fn drain(io: &Io, stream: Rc<TcpStream>, mut buf: Vec<u8>) {
    buf.clear();
    io.recv(stream, buf, |stream, io, buf, result| {
        if result.unwrap() > 0 {
            drain(io, stream, buf);
        }
    });
}

#[test]
fn p49_an_answer_survives_unread_input_when_it_is_drained() {
    let io = Io::new().unwrap();
    let (stream, peer) = shared_pair(&io);
    let client = peer.writes_and_reads_to_end(pattern(100_000));
    io.send_all(stream, "no, thank you", |stream, io, _buf, result| {
        result.unwrap();
        io.shutdown(stream, Shutdown::Write, |stream, io, result| {
            result.unwrap();
            drain(io, stream, Vec::with_capacity(1000));
        });
    });
    finish(&io);
    assert_eq!(client.join(), b"no, thank you");
}

#[test]
fn p37_a_connection_reset_in_the_backlog_does_not_end_accepting() {
    let io = Io::new().unwrap();
    let listener = TcpListener::bind(&io, any()).unwrap();
    let address = listener.local_addr().unwrap();
    for _ in 0..10 {
        reset(Peer::connect(address).unwrap());
    }
    let live = Peer::connect(address).unwrap();
    let live = live.local_addr().unwrap();
    let log = Log::new();
    io.accept_each(
        listener,
        // A reset connection has no peer any more.
        move |_listener, _io, stream| match stream.peer_addr() {
            Ok(peer) if peer == live => Next::Stop,
            _ => Next::Continue,
        },
        {
            let log = log.clone();
            move |_listener, _io, result| log.put(result)
        },
    );
    finish(&io);
    log.one().unwrap();
}

/// One end of a pipe of bytes through a socket, which sends and receives at the same time.
struct Pipe {
    stream: Rc<TcpStream>,
    received: Vec<u8>,
    done: Log<Vec<u8>>,
}

impl AsSource for Pipe {
    fn as_source(&self) -> &Source {
        self.stream.as_source()
    }
}

impl Pipe {
    fn send(io: &Io, stream: Rc<TcpStream>, bytes: Vec<u8>, from: usize) {
        let to = bytes.len().min(from + 3000);
        if from == to {
            io.shutdown(stream, Shutdown::Write, |_stream, _io, result| result.unwrap());
            return;
        }
        io.send(stream, bytes.slice(from..to), move |stream, io, part, result| {
            Pipe::send(io, stream, part.into_inner(), from + result.unwrap());
        });
    }

    fn receive(mut self, io: &Io) {
        let mut buf = std::mem::take(&mut self.received);
        buf.reserve(5000);
        // A method as the callback.
        io.recv(self, buf, Pipe::received);
    }

    fn received(mut self, io: &Io, buf: Vec<u8>, result: std::io::Result<usize>) {
        self.received = buf;
        if result.unwrap() == 0 {
            self.done.put(self.received);
        } else {
            self.receive(io);
        }
    }
}

#[test]
fn a_mebibyte_each_way_with_overlapping_sends_and_receives() {
    let io = Io::new().unwrap();
    let (near, far) = own_pair(&io);
    let done = Log::new();
    for stream in [near, far] {
        Pipe::send(&io, Rc::clone(&stream), pattern(MIB), 0);
        Pipe { stream, received: Vec::new(), done: done.clone() }.receive(&io);
    }
    finish(&io);
    let both = done.take();
    assert_eq!(both.len(), 2);
    assert!(both.iter().all(|bytes| *bytes == pattern(MIB)));
}

#[test]
fn accept_connect_send_and_receive_with_short_reads() {
    let io = Io::new().unwrap();
    let listener = TcpListener::bind(&io, any()).unwrap();
    let address = listener.local_addr().unwrap();
    let pieces = Log::new();
    let put = pieces.clone();
    io.accept(listener, move |_listener, io, result| {
        short_reads(io, result.unwrap().0, put);
    });
    io.connect((), address, |(), io, result| {
        io.send_all(result.unwrap(), pattern(1000), |_stream, _io, _buf, result| result.unwrap());
    });
    finish(&io);
    let pieces: Vec<Vec<u8>> = pieces.take();
    assert!(pieces.iter().all(|piece| piece.len() <= 10));
    assert_eq!(pieces.concat(), pattern(1000));
}

fn short_reads(io: &Io, stream: TcpStream, pieces: Log<Vec<u8>>) {
    io.recv(stream, vec![0; 10].into_boxed_slice(), |stream, io, buf, result| {
        let count = result.unwrap();
        if count > 0 {
            pieces.put(buf[..count].to_vec());
            short_reads(io, stream, pieces);
        }
    });
}

#[test]
fn a_flow_is_paused_and_taken_up_again() {
    const LEN: usize = 50_000;
    let io = Io::new().unwrap();
    let pool = BufferPool::new(&io, 4, 512).unwrap();
    let (stream, peer) = shared_pair(&io);
    let writer = peer.writes(pattern(LEN));
    let all = Log::new();
    let (mut received, mut pauses) = (Vec::new(), 0);
    while received.len() < LEN {
        let (put, ends) = (all.clone(), Log::new());
        let end = ends.clone();
        io.recv_each(
            Rc::clone(&stream),
            &pool,
            move |_stream, _io, buf| {
                put.put(buf.to_vec());
                Next::Stop
            },
            move |_stream, _io, result| end.put(result),
        );
        finish(&io);
        ends.one().unwrap();
        received.extend(all.take().concat());
        pauses += 1;
    }
    assert!(received == pattern(LEN), "nothing is lost by a pause");
    assert!(pauses > 10, "it was paused");
    writer.join();
}

#[test]
fn readiness_of_a_stream_and_of_a_pipe() {
    let io = Io::new().unwrap();
    let (stream, mut peer) = shared_pair(&io);
    let log = Log::new();
    let put = log.clone();
    io.readable(Rc::clone(&stream), move |_stream, _io, result| put.put(result));
    io.writable(stream, |_stream, io, result| {
        result.unwrap();
        io.stop();
    });
    crate::run_until_stop(&io);
    assert_eq!(log.len(), 0, "it can be written and not read");
    peer.write_all(b"x").unwrap();
    finish(&io);
    log.one().unwrap();
    #[cfg(unix)]
    a_pipe_is_readable_when_it_is_hung_up(&io, &log);
}

#[cfg(unix)]
fn a_pipe_is_readable_when_it_is_hung_up(io: &Io, log: &Log<std::io::Result<()>>) {
    let (reader, writer) = std::io::pipe().unwrap();
    let reader = Rc::new(tigereye::Descriptor::new(io, reader.into()));
    let put = log.clone();
    io.readable(Rc::clone(&reader), move |_reader, _io, result| put.put(result));
    io.poll().unwrap();
    assert_eq!(log.len(), 0);
    drop(writer);
    finish(io);
    log.one().unwrap();
    assert!(Rc::try_unwrap(reader).unwrap().into_inner().is_ok());
}

#[test]
fn send_now_takes_what_fits_and_never_blocks() {
    let io = Io::new().unwrap();
    let (stream, mut far) = pair(&io);
    let mut sent = Vec::new();
    let error = loop {
        match stream.send_now(&pattern(70_001)) {
            Ok(count) => sent.extend_from_slice(&pattern(70_001)[..count]),
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
    assert!(read(&mut far, sent.len()) == sent);
    let stream = Rc::new(stream);
    io.close(Rc::clone(&stream), |_stream, _io, result| result.unwrap());
    assert_eq!(stream.send_now(b"x").unwrap_err().kind(), ErrorKind::NotConnected);
    finish(&io);
    assert_eq!(stream.send_now(b"x").unwrap_err().kind(), ErrorKind::NotConnected);
    let (stream, peer) = pair(&io);
    reset(peer);
    while stream.send_now(b"x").is_ok() {}
    assert_eq!(stream.send_now(b"x").unwrap_err().kind(), crate::GONE);
}
