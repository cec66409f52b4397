//! Sending from files to sockets.

use std::cell::Cell;
use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use tigereye::{File, Io, TcpStream, is_cancelled};

#[cfg(target_os = "linux")]
use crate::alone::alone;
#[cfg(unix)]
use crate::disk::Scratch;
use crate::files::as_file;
use crate::peer::Peer;
#[cfg(unix)]
use crate::peer::is_simulated;
use crate::real;
#[cfg(windows)]
use crate::scratch::Scratch;
#[cfg(target_os = "linux")]
use crate::seccomp::forbid;
use crate::{
    HANG, Log, any, code, come_to_rest, finish, pattern, read, reset, shared_pair, small_pair,
};

/// A file with these contents, open.
fn file(io: &Io, scratch: &Scratch, contents: &[u8]) -> Rc<File> {
    Rc::new(open(io, &scratch.file("file", contents)))
}

fn open(io: &Io, path: &Path) -> File {
    #[cfg(unix)]
    if is_simulated() {
        let log = Log::new();
        let options = tigereye::OpenOptions::new().read(true);
        io.open(log.clone(), path, &options, |log, _io, result| log.put(result.unwrap()));
        finish(io);
        return log.one();
    }
    File::from_std(io, std::fs::File::open(path).unwrap())
}

#[test]
fn a_file_takes_its_place_among_the_sends() {
    let (io, scratch) = (Io::new().unwrap(), Scratch::new());
    let all = pattern(3 << 20);
    let file = file(&io, &scratch, &all);
    let (stream, peer) = small_pair(&io);
    let log = Log::new();
    io.send_all(Rc::clone(&stream), "head", |_stream, _io, _buf, result| result.unwrap());
    let put = log.clone();
    let (from, count) = (5, all.len() as u64 - 10);
    io.send_file_all(Rc::clone(&stream), &*file, from, count, move |_stream, _io, result| {
        put.put(result.unwrap());
    });
    // It may be closed meanwhile.
    drop(file);
    io.send_all(stream, "tail", |_stream, _io, _buf, result| result.unwrap());
    let reader = peer.reads_to_end();
    finish(&io);
    assert_eq!(log.one(), count);
    let bytes = reader.join();
    assert_eq!(&bytes[..4], b"head");
    assert!(bytes[4..bytes.len() - 4] == all[5..all.len() - 5]);
    assert_eq!(&bytes[bytes.len() - 4..], b"tail");
}

#[test]
fn p58_a_part_and_what_is_behind_the_end() {
    let (io, scratch) = (Io::new().unwrap(), Scratch::new());
    let file = file(&io, &scratch, b"0123456789");
    let (stream, mut peer) = shared_pair(&io);
    let log = Log::new();
    for (offset, count) in [(3, 4), (8, u64::MAX), (10, 1), (1 << 40, 7), (0, 0)] {
        let put = log.clone();
        io.send_file(Rc::clone(&stream), &*file, offset, count, move |_stream, _io, result| {
            put.put(result.unwrap());
        });
        let put = log.clone();
        io.send_file_all(Rc::clone(&stream), &*file, offset, count, move |_s, _io, result| {
            put.put(result.unwrap());
        });
    }
    finish(&io);
    assert_eq!(log.take(), [4, 4, 2, 2, 0, 0, 0, 0, 0, 0]);
    assert_eq!(read(&mut peer, 12), b"345634568989");
}

#[test]
fn a_file_that_shrinks_meanwhile_ends_the_send_there() {
    let (io, scratch) = (Io::new().unwrap(), Scratch::new());
    let path = scratch.file("file", &pattern(8 << 20));
    let file = open(&io, &path);
    let (stream, mut peer) = small_pair(&io);
    let log = Log::new();
    let put = log.clone();
    io.send_file_all(stream, &file, 0, 8 << 20, move |_stream, _io, result| {
        put.put(result.unwrap());
    });
    let first = read_while_turning(&io, &mut peer);
    cut(&path, 7 << 20);
    let reader = peer.reads_to_end();
    finish(&io);
    assert_eq!(log.one(), 7 << 20);
    assert!([first, reader.join()].concat() == pattern(7 << 20));
}

fn cut(path: &Path, len: u64) {
    #[cfg(unix)]
    crate::disk::set_len(path, len).unwrap();
    #[cfg(windows)]
    std::fs::OpenOptions::new().write(true).open(path).unwrap().set_len(len).unwrap();
}

/// Turns the loop until the peer has some.
fn read_while_turning(io: &Io, peer: &mut Peer) -> Vec<u8> {
    let mut bytes = vec![0; 1000];
    loop {
        io.poll().unwrap();
        match peer.try_read(&mut bytes) {
            Ok(count) => {
                bytes.truncate(count);
                return bytes;
            }
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
        }
    }
}

#[test]
fn p47_nobody_reads_and_the_send_is_cancelled_and_ends_at_its_deadline() {
    let (io, scratch) = (Io::new().unwrap(), Scratch::new());
    let file = file(&io, &scratch, &pattern(16 << 20));
    for way in ["cancel", "deadline", "close"] {
        let (stream, mut peer) = small_pair(&io);
        let log = Log::new();
        let put = log.clone();
        let count = 16 << 20;
        let op = io.send_file_all(Rc::clone(&stream), &*file, 0, count, move |_s, _io, result| {
            put.put(result.unwrap_err());
        });
        let _first = read_while_turning(&io, &mut peer);
        match way {
            "cancel" => io.cancel(op),
            "deadline" => io.deadline(op, Duration::from_millis(1)),
            _ => drop(io.close(stream, |_stream, _io, result| result.unwrap())),
        }
        finish(&io);
        let error = log.one();
        match way {
            "deadline" => assert_eq!(error.kind(), ErrorKind::TimedOut),
            _ => assert!(is_cancelled(&error), "{way}: {error}"),
        }
    }
}

#[test]
fn p47_a_peer_that_sends_no_more_and_reads_nothing_is_waited_for_at_rest() {
    let (io, scratch) = (Io::new().unwrap(), Scratch::new());
    let file = file(&io, &scratch, &pattern(16 << 20));
    let (stream, peer) = small_pair(&io);
    peer.shutdown(Shutdown::Write).unwrap();
    let log = Log::new();
    let put = log.clone();
    let op = io.send_file_all(stream, &*file, 0, 16 << 20, move |_stream, _io, result| {
        put.put(result.unwrap_err());
    });
    come_to_rest(&io);
    io.cancel(op);
    finish(&io);
    assert!(is_cancelled(&log.one()));
}

#[test]
fn p59_peers_that_do_not_read_hold_up_no_thread_of_the_pool() {
    peers_that_do_not_read();
}

/// As on a kernel that does not say what is in memory: all goes by the pool.
#[cfg(target_os = "linux")]
#[test]
fn p59_nor_where_nobody_says_what_is_in_memory() {
    // cachestat(2), which not every libc knows.
    const CACHESTAT: libc::c_long = 451;
    if !alone("send_file::p59_nor_where_nobody_says_what_is_in_memory", &[]) {
        return;
    }
    for (call, error) in [(CACHESTAT, libc::ENOSYS), (libc::SYS_preadv2, libc::EPERM)] {
        forbid(call, error);
        peers_that_do_not_read();
        a_file_takes_its_place_among_the_sends();
        a_file_that_shrinks_meanwhile_ends_the_send_there();
        p58_a_part_and_what_is_behind_the_end();
        p47_nobody_reads_and_the_send_is_cancelled_and_ends_at_its_deadline();
    }
}

fn peers_that_do_not_read() {
    let scratch = Scratch::new();
    let io = Io::builder().pool_threads(1).build().unwrap();
    let file = file(&io, &scratch, &pattern(4 << 20));
    let mut peers = Vec::new();
    let mut ops = Vec::new();
    // A peer that asks for small segments makes each byte cost more of the buffer.
    for segment in [0, 48, 88, 536, 1000, 1460, 9000, 0] {
        let listener = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
        let listener = listener.unwrap();
        if segment > 0 {
            // A system may have a bound of its own.
            #[cfg(unix)]
            let _ = listener.set_tcp_mss(segment);
            #[cfg(windows)]
            let _ = segment;
        }
        listener.set_recv_buffer_size(4096).unwrap();
        listener.bind(&any().into()).unwrap();
        listener.listen(1).unwrap();
        let address = listener.local_addr().unwrap().as_socket().unwrap();
        let near = std::net::TcpStream::connect(address).unwrap();
        peers.push(listener.accept().unwrap());
        let stream = TcpStream::from_std(&io, near).unwrap();
        ops.push(io.send_file_all(stream, &*file, 0, 4 << 20, |_stream, _io, result| {
            assert!(is_cancelled(&result.unwrap_err()));
        }));
    }
    // Each call gets its turn between theirs, until they have sent all that they can.
    for _ in 0..500 {
        let done = Rc::new(Cell::new(false));
        let ends = |done: Rc<Cell<bool>>, io: &Io, result: std::io::Result<()>| {
            done.set(result.is_ok());
            io.stop();
        };
        io.offload(Rc::clone(&done), || (), ends);
        io.run_for(HANG).unwrap();
        assert!(done.get(), "the pool has a thread for it");
    }
    ops.into_iter().for_each(|op| io.cancel(op));
    finish(&io);
}

#[test]
fn what_is_no_socket_or_no_file_is_an_error() {
    let (io, scratch) = (Io::new().unwrap(), Scratch::new());
    let file = file(&io, &scratch, b"abc");
    let (reader, writer) = std::io::pipe().unwrap();
    let (reader, writer) = (as_file(&io, reader), as_file(&io, writer));
    let log = Log::new();
    let put = log.clone();
    io.send_file(writer, &*file, 0, 3, move |_pipe, _io, result| put.put(result.unwrap_err()));
    let put = log.clone();
    let (stream, _peer) = real::pair(&io);
    io.send_file(stream, &*reader, 0, 3, move |_stream, _io, result| put.put(result.unwrap_err()));
    let (stream, _peer) = real::pair(&io);
    let put = log.clone();
    io.send_file(stream, &*file, 1 << 63, 3, move |_s, _io, result| put.put(result.unwrap_err()));
    finish(&io);
    let errors = log.take();
    let has = |is: fn(&std::io::Error) -> bool| errors.iter().filter(|error| is(error)).count();
    assert_eq!(has(|error| error.kind() == ErrorKind::InvalidInput), 1);
    assert_eq!(has(|error| error.kind() == ErrorKind::NotSeekable), 1);
    assert_eq!(has(|error| error.raw_os_error() == Some(code::NO_SOCKET)), 1);
    // A closed file is refused as a closed handle is.
    io.close(Rc::clone(&file), |_file, _io, result| result.unwrap());
    finish(&io);
    let (stream, _peer) = real::pair(&io);
    let put = log.clone();
    io.send_file(stream, &*file, 0, 3, move |_stream, _io, result| put.put(result.unwrap_err()));
    finish(&io);
    assert_eq!(log.one().kind(), ErrorKind::NotConnected);
}

#[test]
fn p35_a_peer_that_is_gone_is_an_error() {
    let (io, scratch) = (Io::new().unwrap(), Scratch::new());
    let file = file(&io, &scratch, &pattern(1 << 20));
    for is_reset in [true, false] {
        let (stream, mut peer) = shared_pair(&io);
        peer.write_all(b"unread").unwrap();
        if is_reset {
            reset(peer)
        } else {
            drop(peer)
        }
        let log = Log::new();
        for _ in 0..3 {
            let put = log.clone();
            io.send_file_all(Rc::clone(&stream), &*file, 0, 1 << 20, move |_s, _io, result| {
                put.put(result);
            });
            finish(&io);
        }
        let last = log.take().pop().unwrap().unwrap_err();
        // TransmitFile says that there is no connection.
        let is_gone = last.kind() == ErrorKind::NotConnected && cfg!(windows);
        let kinds = [ErrorKind::BrokenPipe, ErrorKind::ConnectionReset];
        assert!(is_gone || kinds.contains(&last.kind()), "{last}");
    }
}

#[test]
fn p25_rule7_the_loop_ends_with_files_being_sent() {
    let scratch = Scratch::new();
    for turns in 0..20 {
        let io = Io::new().unwrap();
        let file = file(&io, &scratch, &pattern(1 << 20));
        let (stream, mut peer) = small_pair(&io);
        io.send_file_all(stream, &*file, 0, 1 << 20, |_stream, _io, _result| unreachable!());
        for _ in 0..turns {
            io.poll().unwrap();
        }
        drop(io);
        let mut bytes = Vec::new();
        peer.read_to_end(&mut bytes).unwrap();
        assert!(bytes == pattern(1 << 20)[..bytes.len()], "what came is the file's beginning");
    }
}
