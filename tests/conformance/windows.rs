//! What Windows alone does, or does in its own way.

use std::cell::Cell;
use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::windows::fs::OpenOptionsExt;
use std::path::Path;
use std::rc::Rc;

use tigereye::{
    ConnectOptions, File, Io, Next, OpenOptions, TcpListener, TcpStream, UdpSocket, UnixAddress,
    UnixListenOptions, UnixListener, is_cancelled,
};

use crate::scratch::Scratch;
use crate::{HANG, Log, any, finish, pair, pattern, read, shared_pair};

/// An accepted stream, not used yet, and its peer.
fn accepted(io: &Io) -> (TcpStream, std::net::TcpStream) {
    let listener = TcpListener::bind(io, any()).unwrap();
    let client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    client.set_read_timeout(Some(HANG)).unwrap();
    let log = Log::new();
    let put = log.clone();
    io.accept(listener, move |_listener, _io, result| put.put(result.unwrap().0));
    finish(io);
    (log.one(), client)
}

#[test]
fn p41_nobody_takes_a_port_away() {
    let io = Io::new().unwrap();
    let listener = TcpListener::bind(&io, any()).unwrap();
    let thief = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    thief.set_reuse_address(true).unwrap();
    assert!(thief.bind(&listener.local_addr().unwrap().into()).is_err());
}

#[test]
fn p76_a_call_that_is_done_at_once_completes_once() {
    const RECEIVES: usize = 2000;
    let io = Io::new().unwrap();
    let (stream, mut peer) = shared_pair(&io);
    peer.write_all(&pattern(RECEIVES)).unwrap();
    let log = Log::new();
    for turn in 0..RECEIVES {
        let put = log.clone();
        io.recv(Rc::clone(&stream), Vec::with_capacity(1), move |_stream, _io, buf, result| {
            result.unwrap();
            put.put(buf[0]);
        });
        // Some wait for others, some are alone and done at once.
        if turn % 3 == 0 {
            finish(&io);
        }
    }
    finish(&io);
    io.poll().unwrap();
    assert!(log.take() == pattern(RECEIVES), "each once, in order");
}

#[test]
fn p77_a_cancel_that_comes_too_late_finds_nothing() {
    let io = Io::new().unwrap();
    for turns in 0..60 {
        let (stream, mut peer) = pair(&io);
        let log = Log::new();
        let put = log.clone();
        let op = io.recv(stream, Vec::with_capacity(8), move |stream, _io, buf, result| {
            put.put((stream, buf, result.map_err(|error| is_cancelled(&error))));
        });
        io.poll().unwrap();
        peer.write_all(b"x").unwrap();
        for _ in 0..turns % 4 {
            io.poll().unwrap();
        }
        io.cancel(op);
        finish(&io);
        let (stream, buf, result) = log.one();
        if result == Err(true) {
            // What was not received is still there.
            let put = log.clone();
            io.recv(stream, Vec::with_capacity(8), move |stream, _io, buf, result| {
                put.put((stream, buf, result.map_err(|_| false)));
            });
            finish(&io);
            assert_eq!(log.one().1, b"x");
        } else {
            assert_eq!((buf, result), (b"x".to_vec(), Ok(1)));
        }
    }
}

#[test]
fn p78_accepted_and_connected_streams_know_their_ends_and_can_be_shut_down() {
    let io = Io::new().unwrap();
    let (stream, mut client) = accepted(&io);
    assert_eq!(stream.peer_addr().unwrap(), client.local_addr().unwrap());
    assert_eq!(stream.local_addr().unwrap(), client.peer_addr().unwrap());
    io.shutdown(stream, Shutdown::Write, |_stream, _io, result| result.unwrap());
    finish(&io);
    assert_eq!(client.read(&mut [0; 1]).unwrap(), 0);
    let listener = std::net::TcpListener::bind(any()).unwrap();
    let address = listener.local_addr().unwrap();
    io.connect((), address, move |(), io, result| {
        let stream = result.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), address);
        assert_ne!(stream.local_addr().unwrap().port(), 0);
        io.shutdown(stream, Shutdown::Write, |_stream, _io, result| result.unwrap());
    });
    finish(&io);
    assert_eq!(listener.accept().unwrap().0.read(&mut [0; 1]).unwrap(), 0);
}

#[test]
fn p79_a_crowd_is_accepted_one_after_another() {
    const CROWD: usize = 100;
    let io = Io::new().unwrap();
    let listener = TcpListener::bind(&io, any()).unwrap();
    let address = listener.local_addr().unwrap();
    let clients: Vec<_> =
        (0..CROWD).map(|_| std::net::TcpStream::connect(address).unwrap()).collect();
    let (log, count) = (Log::new(), Cell::new(0));
    let put = log.clone();
    io.accept_each(
        listener,
        move |_listener, _io, stream| {
            put.put(stream.peer_addr().unwrap());
            count.set(count.get() + 1);
            if count.get() == CROWD { Next::Stop } else { Next::Continue }
        },
        |_listener, _io, result| result.unwrap(),
    );
    finish(&io);
    let mut expected: Vec<_> = clients.iter().map(|client| client.local_addr().unwrap()).collect();
    let mut met = log.take();
    expected.sort_unstable();
    met.sort_unstable();
    assert_eq!(met, expected);
}

#[test]
fn p79_p22_what_is_accepted_when_the_flow_is_cancelled_is_delivered_or_waits() {
    const CROWD: usize = 20;
    let io = Io::new().unwrap();
    let listener = TcpListener::bind(&io, any()).unwrap();
    let address = listener.local_addr().unwrap();
    let mut listener = Some(listener);
    let (log, back) = (Log::new(), Log::new());
    let mut clients = Vec::new();
    for turn in 0..2 {
        let (put, put_back) = (log.clone(), back.clone());
        let op = io.accept_each(
            listener.take().unwrap(),
            move |_listener, _io, stream| {
                put.put(stream.peer_addr().unwrap());
                Next::Continue
            },
            move |listener, _io, result| {
                assert!(is_cancelled(&result.unwrap_err()));
                put_back.put(listener);
            },
        );
        if turn == 0 {
            clients.extend((0..CROWD).map(|_| std::net::TcpStream::connect(address).unwrap()));
        } else {
            let begin = std::time::Instant::now();
            while log.len() < CROWD {
                io.run_for(std::time::Duration::from_millis(1)).unwrap();
                assert!(begin.elapsed() < HANG, "{} of {CROWD} came", log.len());
            }
        }
        io.cancel(op);
        finish(&io);
        listener = Some(back.one());
    }
    let mut expected: Vec<_> = clients.iter().map(|client| client.local_addr().unwrap()).collect();
    let mut met = log.take();
    expected.sort_unstable();
    met.sort_unstable();
    assert_eq!(met, expected, "each once");
}

#[test]
fn p78_a_socket_that_is_bound_is_connected_from_there() {
    let io = Io::new().unwrap();
    let listener = std::net::TcpListener::bind(any()).unwrap();
    let free = std::net::TcpListener::bind(any()).unwrap().local_addr().unwrap();
    let options = ConnectOptions::new().bind(free);
    io.connect_with((), listener.local_addr().unwrap(), &options, move |(), _io, result| {
        assert_eq!(result.unwrap().local_addr().unwrap(), free);
    });
    finish(&io);
    assert_eq!(listener.accept().unwrap().1, free);
}

#[test]
fn p80_a_stream_that_was_not_used_goes_to_another_loop() {
    let io = Io::new().unwrap();
    let (stream, mut client) = accepted(&io);
    let moved = stream.into_std().unwrap();
    let other = std::thread::spawn(move || {
        let io = Io::new().unwrap();
        let stream = TcpStream::from_std(&io, moved).unwrap();
        io.recv(stream, Vec::with_capacity(8), |stream, io, buf, result| {
            assert_eq!((result.unwrap(), &buf[..]), (4, &b"ping"[..]));
            io.send_all(stream, "pong", |_stream, _io, _buf, result| result.unwrap());
        });
        finish(&io);
    });
    client.write_all(b"ping").unwrap();
    assert_eq!(read(&mut client, 4), b"pong");
    other.join().unwrap();
}

#[test]
fn p80_a_stream_that_was_used_is_refused_by_another_loop() {
    let io = Io::new().unwrap();
    let (stream, mut peer) = pair(&io);
    peer.write_all(b"x").unwrap();
    let log = Log::new();
    let put = log.clone();
    io.recv(stream, Vec::with_capacity(1), move |stream, _io, _buf, result| {
        result.unwrap();
        put.put(stream.into_std().unwrap());
    });
    finish(&io);
    let other = Io::new().unwrap();
    let stream = TcpStream::from_std(&other, log.one()).unwrap();
    other.recv(stream, Vec::with_capacity(1), |_stream, _io, _buf, result| {
        assert_eq!(result.unwrap_err().kind(), ErrorKind::InvalidInput);
    });
    finish(&other);
}

#[test]
fn p82_what_became_of_a_datagram_is_not_told_to_a_socket_of_many_peers() {
    let io = Io::new().unwrap();
    let socket = Rc::new(UdpSocket::bind(&io, any()).unwrap());
    let address = socket.local_addr().unwrap();
    let nobody = std::net::UdpSocket::bind(any()).unwrap().local_addr().unwrap();
    for _ in 0..10 {
        io.send_to(Rc::clone(&socket), "x", nobody, |_s, _io, _buf, result| {
            assert_eq!(result.unwrap(), 1);
        });
    }
    finish(&io);
    let somebody = std::net::UdpSocket::bind(any()).unwrap();
    somebody.send_to(b"here", address).unwrap();
    io.recv_from(socket, Vec::with_capacity(8), move |_s, _io, buf, result| {
        assert_eq!(result.unwrap().from, somebody.local_addr().unwrap());
        assert_eq!(buf, b"here");
    });
    finish(&io);
}

#[test]
fn segments_arrive_as_datagrams() {
    let io = Io::new().unwrap();
    let near = Rc::new(UdpSocket::bind(&io, any()).unwrap());
    let far = std::net::UdpSocket::bind(any()).unwrap();
    far.set_read_timeout(Some(HANG)).unwrap();
    let to = far.local_addr().unwrap();
    let sent = pattern(2500);
    for (to, connects) in [(Some(to), false), (None, true)] {
        if connects {
            near.connect(far.local_addr().unwrap()).unwrap();
        }
        let buf = sent.clone();
        io.send_segments(Rc::clone(&near), buf, 1000, to, |_near, _io, _buf, result| {
            assert_eq!(result.unwrap(), 2500);
        });
        finish(&io);
        for part in sent.chunks(1000) {
            let mut room = [0; 2000];
            let count = far.recv(&mut room).unwrap();
            assert_eq!(&room[..count], part);
        }
    }
    io.send_segments(near, sent, 0, None, |_near, _io, _buf, result| {
        assert_eq!(result.unwrap_err().kind(), ErrorKind::InvalidInput);
    });
    finish(&io);
}

#[test]
fn p83_long_paths_and_names_in_any_script() {
    let (io, scratch) = (Io::new().unwrap(), Scratch::new());
    let mut path = std::fs::canonicalize(scratch.join(".")).unwrap();
    for _ in 0..4 {
        path.push("a".repeat(90));
    }
    std::fs::create_dir_all(&path).unwrap();
    path.push("Grüße, 世界, 🐅");
    assert!(path.as_os_str().len() > 260);
    let options = OpenOptions::new().read(true).write(true).create_new(true);
    io.open((), &path, &options, |(), io, file| {
        io.write_all_at(file.unwrap(), "roar", 0, |file, io, _buf, result| {
            result.unwrap();
            io.read_at(file, Vec::with_capacity(8), 0, |_file, _io, buf, result| {
                assert_eq!((result.unwrap(), &buf[..]), (4, &b"roar"[..]));
            });
        });
    });
    finish(&io);
    assert_eq!(std::fs::read(&path).unwrap(), b"roar");
}

#[test]
fn p83_an_open_file_is_shared_as_the_standard_librarys_is() {
    let (io, scratch) = (Io::new().unwrap(), Scratch::new());
    let path = scratch.file("file", b"there");
    let log = Log::new();
    let put = log.clone();
    io.open((), &path, &OpenOptions::new().read(true), move |(), _io, file| {
        put.put(file.unwrap());
    });
    finish(&io);
    let file = log.one();
    // Others read it, and may remove it: its contents stay until it is closed.
    assert_eq!(std::fs::read(&path).unwrap(), b"there");
    std::fs::remove_file(&path).unwrap();
    io.read_at(file, Vec::with_capacity(8), 0, |_file, _io, buf, result| {
        assert_eq!((result.unwrap(), &buf[..]), (5, &b"there"[..]));
    });
    finish(&io);
}

#[test]
fn a_file_of_the_standard_library_is_read_and_written_on_the_pool() {
    let (io, scratch) = (Io::new().unwrap(), Scratch::new());
    let path = scratch.file("file", b"0123456789");
    let file = std::fs::OpenOptions::new().read(true).write(true).open(&path).unwrap();
    let file = Rc::new(File::from_std(&io, file));
    for at in 0..10_u8 {
        let buf = Vec::with_capacity(1);
        io.read_at(Rc::clone(&file), buf, u64::from(at), move |_file, _io, buf, result| {
            assert_eq!((result.unwrap(), buf[0]), (1, b'0' + at));
        });
    }
    finish(&io);
    io.read_at(Rc::clone(&file), Vec::with_capacity(1), 10, |_file, _io, _buf, result| {
        assert_eq!(result.unwrap(), 0, "the end");
    });
    io.write_all_at(Rc::clone(&file), "xyz", 5, |_file, _io, _buf, result| result.unwrap());
    finish(&io);
    assert_eq!(std::fs::read(&path).unwrap(), b"01234xyz89");
}

#[test]
fn a_directory_has_nothing_to_send() {
    /// Opens directories (`FILE_FLAG_BACKUP_SEMANTICS`, CreateFileW).
    const DIRECTORIES_TOO: u32 = 0x0200_0000;
    let io = Io::new().unwrap();
    let (stream, _peer) = pair(&io);
    let mut options = std::fs::OpenOptions::new();
    options.read(true).custom_flags(DIRECTORIES_TOO);
    let directory = File::from_std(&io, options.open(std::env::temp_dir()).unwrap());
    io.send_file(stream, &directory, 0, 5, |_stream, _io, result| {
        assert_eq!(result.unwrap_err().kind(), ErrorKind::InvalidInput);
    });
    finish(&io);
}

#[test]
fn p44_a_datagram_for_a_plain_receive_is_cut_without_a_word() {
    let io = Io::new().unwrap();
    let socket = Rc::new(UdpSocket::bind(&io, any()).unwrap());
    let peer = std::net::UdpSocket::bind(any()).unwrap();
    socket.connect(peer.local_addr().unwrap()).unwrap();
    for is_there in [true, false] {
        if is_there {
            peer.send_to(b"too long", socket.local_addr().unwrap()).unwrap();
        }
        let log = Log::new();
        let put = log.clone();
        io.recv(Rc::clone(&socket), Vec::with_capacity(3), move |_s, _io, buf, result| {
            put.put((buf, result.unwrap()));
        });
        if !is_there {
            io.poll().unwrap();
            peer.send_to(b"too long", socket.local_addr().unwrap()).unwrap();
        }
        finish(&io);
        assert_eq!(log.one(), (b"too".to_vec(), 3));
    }
}

#[test]
fn p80_a_socket_of_datagrams_that_was_used_is_refused_by_another_loop() {
    let io = Io::new().unwrap();
    let socket = UdpSocket::bind(&io, any()).unwrap();
    let log = Log::new();
    let put = log.clone();
    let op = io.recv_from(socket, Vec::with_capacity(8), move |socket, _io, _buf, result| {
        assert!(is_cancelled(&result.unwrap_err()));
        put.put(socket);
    });
    io.poll().unwrap();
    io.cancel(op);
    finish(&io);
    let socket = log.one();
    let other = Io::new().unwrap();
    let socket = UdpSocket::from_std(&other, socket.into_std().unwrap()).unwrap();
    other.recv_from(socket, Vec::with_capacity(8), |_socket, _io, _buf, result| {
        assert_eq!(result.unwrap_err().kind(), ErrorKind::InvalidInput);
    });
    finish(&other);
}

#[test]
fn p45_a_unix_sockets_address_is_a_path_in_utf_8() {
    let address = UnixAddress::from_path("C:/Grüße/socket").unwrap();
    assert_eq!(address.as_path(), Some(Path::new("C:/Grüße/socket")));
    assert!(!address.is_unnamed() && address.as_abstract_name().is_none());
    let longest = "x".repeat(107);
    assert_eq!(UnixAddress::from_path(&longest).unwrap().as_path(), Some(Path::new(&longest)));
    for wrong in ["", "a\0b", &"x".repeat(108)] {
        let error = UnixAddress::from_path(wrong).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{wrong:?}");
    }
    let error = UnixAddress::from_abstract_name("name").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
}

/// A message there and back, and to the end, over the file that the listener has made.
#[test]
fn unix_streams_are_streams() {
    let (io, scratch) = (Io::new().unwrap(), Scratch::new());
    let path = scratch.join("socket");
    let listener = UnixListener::bind(&io, &path).unwrap();
    assert_eq!(listener.local_addr().unwrap().as_path(), Some(&*path));
    io.accept_unix_each(
        listener,
        |_listener, io, stream| {
            io.recv_exact(stream, Vec::with_capacity(4), 4, |stream, io, buf, result| {
                result.unwrap();
                io.send_all(stream, buf, |_stream, _io, _buf, result| result.unwrap());
            });
            Next::Stop
        },
        |_listener, _io, result| result.unwrap(),
    );
    io.connect_unix((), &path, |(), io, result| {
        let stream = result.unwrap();
        assert!(stream.local_addr().unwrap().is_unnamed());
        io.send_all(stream, "ping", |stream, io, _buf, result| {
            result.unwrap();
            io.recv_exact(stream, Vec::with_capacity(5), 5, |_stream, _io, buf, result| {
                assert_eq!(result.unwrap_err().kind(), ErrorKind::UnexpectedEof);
                assert_eq!(buf, b"ping");
            });
        });
    });
    finish(&io);
}

#[test]
fn p45_a_unix_socket_that_is_gone_leaves_its_file() {
    let (io, scratch) = (Io::new().unwrap(), Scratch::new());
    let path = scratch.join("socket");
    drop(UnixListener::bind(&io, &path).unwrap());
    io.connect_unix((), &path, |(), _io, result| {
        assert_eq!(result.unwrap_err().kind(), ErrorKind::ConnectionRefused);
    });
    finish(&io);
    let options = UnixListenOptions::new();
    let error = UnixListener::bind_with(&io, &path, &options).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AddrInUse);
    let error = UnixListener::bind_with(&io, scratch.join("other"), &options.clone().mode(0o600));
    assert_eq!(error.unwrap_err().kind(), ErrorKind::Unsupported);
    let _listener = UnixListener::bind_with(&io, &path, &options.replace_stale(true)).unwrap();
}
