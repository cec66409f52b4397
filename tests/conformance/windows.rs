//! What Windows alone does, or does in its own way.

use std::cell::Cell;
use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::rc::Rc;

use tigereye::{File, Io, Next, Op, OpenOptions, TcpListener, TcpStream, UdpSocket, is_cancelled};

use crate::files::{directory, open, read_write};
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

/// Runs an operation that has a result and nothing else.
#[track_caller]
fn succeeds(io: &Io, start: impl FnOnce(Log<std::io::Result<()>>) -> Op) {
    let log = Log::new();
    start(log.clone());
    finish(io);
    log.one().unwrap();
}

fn put(log: Log<std::io::Result<()>>, _io: &Io, result: std::io::Result<()>) {
    log.put(result);
}

#[test]
fn p83_all_that_takes_a_path_takes_long_ones() {
    let (io, scratch) = (Io::new().unwrap(), Scratch::new());
    let mut path = std::fs::canonicalize(scratch.path()).unwrap();
    for _ in 0..4 {
        path.push("a".repeat(90));
        succeeds(&io, |log| io.create_directory(log, &path, 0o777, put));
    }
    let (one, two) = (path.join("one, 世界"), path.join("two, 世界"));
    let (three, data) = (path.join("three"), path.join("data"));
    std::fs::write(&one, "roar").unwrap();
    succeeds(&io, |log| io.rename(log, &one, &two, put));
    succeeds(&io, |log| io.hard_link(log, &two, &three, put));
    let log = Log::new();
    let seen = log.clone();
    io.metadata_at((), &three, true, move |(), _io, known| seen.put(known.unwrap().nlink()));
    finish(&io);
    assert_eq!(log.one(), 2);
    let options = tigereye::DataFileOptions::new(4096).create_new(true);
    io.open_data_file((), &data, &options, |(), _io, file| assert!(file.unwrap().is_new()));
    finish(&io);
    for file in [&two, &three, &data] {
        succeeds(&io, |log| io.remove_file(log, file, put));
    }
    succeeds(&io, |log| io.remove_directory(log, &path, put));
}

#[test]
fn p83_a_name_that_is_not_unicode() {
    let (io, scratch) = (Io::new().unwrap(), Scratch::new());
    let name: std::ffi::OsString =
        std::os::windows::ffi::OsStringExt::from_wide(&[0xd800, u16::from(b'x')]);
    let path = scratch.path().join(name);
    drop(open(&io, &path, &read_write().create_new(true)));
    succeeds(&io, |log| io.rename(log, &path, &scratch.join("plain"), put));
    assert!(scratch.join("plain").exists());
}

#[test]
fn p83_a_name_is_taken_from_an_open_file_and_is_free_at_once() {
    let (io, scratch) = (Io::new().unwrap(), Scratch::new());
    let path = scratch.file("file", b"old");
    let file = open(&io, &path, &read_write());
    succeeds(&io, |log| io.remove_file(log, &path, put));
    drop(open(&io, &path, &read_write().create_new(true)));
    let other = scratch.file("other", b"new");
    succeeds(&io, |log| io.rename(log, &other, &path, put));
    assert_eq!(std::fs::read(&path).unwrap(), b"new");
    io.read_at(file, Vec::with_capacity(8), 0, |_file, _io, buf, result| {
        assert_eq!((result.unwrap(), &buf[..]), (3, &b"old"[..]));
    });
    finish(&io);
}

#[test]
fn paths_start_in_a_directory_and_do_not_leave_it() {
    let (io, scratch) = (Io::new().unwrap(), Scratch::new());
    let place = Rc::new(directory(&io, scratch.path()));
    succeeds(&io, |log| io.create_directory(log, place.at("made"), 0o777, put));
    let file = scratch.file("file", b"abc");
    succeeds(&io, |log| io.hard_link(log, place.at("file"), place.at("made/link"), put));
    succeeds(&io, |log| io.rename(log, place.at("made/link"), place.at("./there"), put));
    let log = Log::new();
    for (path, expected) in [
        (place.at("there"), Ok(3)),
        (place.at("made/../there"), Ok(3)),
        // A full path starts at a root all the same.
        (place.at(&file), Ok(3)),
        (place.at("../there"), Err(ErrorKind::Unsupported)),
        (place.at(""), Err(ErrorKind::NotFound)),
        (place.at("made/nobody"), Err(ErrorKind::NotFound)),
    ] {
        let seen = log.clone();
        io.metadata_at((), path, true, move |(), _io, known| {
            seen.put(known.map(|known| known.len()).map_err(|error| error.kind()));
        });
        finish(&io);
        assert_eq!(log.one(), expected);
    }
    succeeds(&io, |log| io.remove_file(log, place.at("there"), put));
    succeeds(&io, |log| io.remove_directory(log, place.at("made"), put));
    assert!(!scratch.join("made").exists());
}

#[test]
fn p54_a_data_file_is_read_by_others_and_written_and_removed_by_nobody() {
    let (io, scratch) = (Io::new().unwrap(), Scratch::new());
    let path = scratch.join("data");
    let log = Log::new();
    let options = tigereye::DataFileOptions::new(4096).create(true);
    io.open_data_file(log.clone(), &path, &options, |log, _io, file| log.put(file.unwrap()));
    finish(&io);
    let file = log.one();
    assert_eq!(std::fs::read(&path).unwrap(), [0; 4096]);
    std::fs::File::options().write(true).open(&path).unwrap_err();
    std::fs::rename(&path, scratch.join("moved")).unwrap_err();
    std::fs::remove_file(&path).unwrap_err();
    drop(file);
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn a_symbolic_link_is_of_the_kind_of_what_it_leads_to() {
    let (io, scratch) = (Io::new().unwrap(), Scratch::new());
    let place = Rc::new(directory(&io, scratch.path()));
    std::fs::create_dir(scratch.join("below")).unwrap();
    scratch.file("below/file", b"abc");
    for (link, original) in [("to-file", "below/file"), ("to-directory", "below")] {
        succeeds(&io, |log| io.symlink(log, original, place.at(link), put));
        let known = std::fs::symlink_metadata(scratch.join(link)).unwrap();
        assert!(known.is_symlink());
        assert_eq!(std::fs::metadata(scratch.join(link)).unwrap().is_dir(), original == "below");
    }
    assert_eq!(std::fs::read(scratch.join("to-directory/file")).unwrap(), b"abc");
    for link in ["to-file", "to-directory"] {
        succeeds(&io, |log| io.remove_file(log, place.at(link), put));
    }
    assert!(scratch.join("below/file").exists());
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
    io.append(Rc::clone(&file), "end", |_file, _io, _buf, result| assert_eq!(result.unwrap(), 3));
    finish(&io);
    let parts = vec!["a", "bc"];
    io.write_all_vectored_at(Rc::clone(&file), parts, 1, |_f, _io, _bufs, result| result.unwrap());
    finish(&io);
    let rooms = vec![Vec::with_capacity(2), Vec::with_capacity(20)];
    io.read_vectored_at(Rc::clone(&file), rooms, 0, |_file, _io, bufs, result| {
        assert_eq!((result.unwrap(), bufs.concat()), (13, b"0abc4xyz89end".to_vec()));
    });
    finish(&io);
    io.metadata(file, |_file, _io, result| assert_eq!(result.unwrap().len(), 13));
    finish(&io);
}

#[test]
fn a_handle_for_calls_that_overlap_comes_and_goes() {
    use std::os::windows::fs::OpenOptionsExt;
    const FILE_FLAG_OVERLAPPED: u32 = 0x4000_0000;
    let (io, scratch) = (Io::new().unwrap(), Scratch::new());
    let path = scratch.file("file", b"0123456789");
    let mut options = std::fs::OpenOptions::new();
    let std = options.read(true).custom_flags(FILE_FLAG_OVERLAPPED).open(path).unwrap();
    let mut handle = std::os::windows::io::OwnedHandle::from(std);
    for io in [io, Io::new().unwrap()] {
        let file = File::from_handle(&io, handle);
        let log = Log::new();
        let put = log.clone();
        io.read_at(file, Vec::with_capacity(4), 6, move |file, _io, buf, result| {
            assert_eq!((result.unwrap(), &buf[..]), (4, &b"6789"[..]));
            put.put(file);
        });
        finish(&io);
        // Another loop's calls on it are the pool's (P80).
        handle = log.one().into_handle().unwrap();
    }
}

#[test]
fn a_file_that_is_open_for_calls_that_overlap_is_sent() {
    let (io, scratch) = (Io::new().unwrap(), Scratch::new());
    let path = scratch.file("file", &pattern(100_000));
    let file = open(&io, &path, &read_write());
    io.read_at(Rc::clone(&file), Vec::with_capacity(1), 0, |_file, _io, _buf, result| {
        assert_eq!(result.unwrap(), 1);
    });
    let (stream, mut peer) = crate::real::shared_pair(&io);
    io.send_file_all(stream, &*file, 10, 90_000, |_stream, _io, result| {
        assert_eq!(result.unwrap(), 90_000);
    });
    let reader = std::thread::spawn(move || read(&mut peer, 90_000));
    finish(&io);
    assert!(reader.join().unwrap() == pattern(100_000)[10..90_010]);
}

/// Has a data file open until the process is killed, where the variable names one.
#[test]
fn holds_a_data_file_for_another_test() {
    let Some(path) = std::env::var_os(HELD) else { return };
    let io = Io::new().unwrap();
    let options = tigereye::DataFileOptions::new(4096).create(true);
    let path = std::path::PathBuf::from(path);
    io.open_data_file((), &path, &options, |(), _io, file| {
        let _held = file.unwrap();
        println!("it is held");
        loop {
            std::thread::park();
        }
    });
    finish(&io);
}

const HELD: &str = "TIGEREYE_TEST_HELD";

#[test]
fn p54_another_process_has_it_until_it_is_killed() {
    use std::io::{BufRead, BufReader};
    let (io, scratch) = (Io::new().unwrap(), Scratch::new());
    let path = scratch.join("data");
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "windows::holds_a_data_file_for_another_test", "--nocapture"]);
    command.env(HELD, &path).stdout(std::process::Stdio::piped());
    let mut child = command.spawn().unwrap();
    let said = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    assert!(said.into_iter().any(|line| line.contains("it is held")), "it has said so");
    let options = tigereye::DataFileOptions::new(4096);
    let try_open = || {
        let log = Log::new();
        io.open_data_file(log.clone(), &path, &options, |log, _io, file| log.put(file));
        finish(&io);
        log.one()
    };
    assert_eq!(try_open().unwrap_err().kind(), ErrorKind::WouldBlock);
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!try_open().unwrap().is_new());
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
