//! Unix sockets: addresses, files, peers, and that a stream is a stream.

use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::unix::net as std_unix;
use std::path::Path;
use std::rc::Rc;
#[cfg(target_os = "linux")]
use std::time::Duration;

use tigereye::{
    BufferPool, Io, Next, UnixAddress, UnixListenOptions, UnixListener, UnixStream, is_cancelled,
};

use crate::disk::{self, Scratch};
use crate::peer::{UnixDatagramPeer, UnixPeer, UnixPeerListener, is_simulated};
use crate::{Log, finish, pattern};

#[track_caller]
fn connected(io: &Io, address: &UnixAddress) -> std::io::Result<UnixStream> {
    let log = Log::new();
    io.connect_unix(log.clone(), address, |log, _io, result| log.put(result));
    assert_eq!(log.len(), 0, "never inside the call");
    finish(io);
    log.one()
}

#[track_caller]
fn refused(io: &Io, path: &Path) -> ErrorKind {
    let log = Log::new();
    io.connect_unix(log.clone(), path, |log, _io, result| log.put(result.map(drop)));
    assert_eq!(log.len(), 0, "never inside the call");
    finish(io);
    log.one().unwrap_err().kind()
}

fn echo(io: &Io, address: &UnixAddress) {
    let listener = UnixListener::bind(io, address).unwrap();
    assert_eq!(listener.local_addr().unwrap(), *address);
    let log = Log::new();
    let name = address.clone();
    io.accept_unix(listener, move |_listener, io, result| {
        let (stream, peer) = result.unwrap();
        assert!(peer.is_unnamed(), "{peer:?}");
        assert!(stream.peer_addr().unwrap().is_unnamed());
        assert_eq!(stream.local_addr().unwrap(), name);
        io.recv_exact(stream, Vec::with_capacity(5), 5, |stream, io, buf, result| {
            result.unwrap();
            io.send_all(stream, buf, |_stream, _io, _buf, result| result.unwrap());
        });
    });
    let name = address.clone();
    io.connect_unix(log.clone(), address, move |log, io, result| {
        let stream = result.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), name);
        assert!(stream.local_addr().unwrap().is_unnamed());
        io.send_all(stream, b"hello".to_vec(), |stream, io, _buf, result| {
            result.unwrap();
            io.recv_exact(stream, Vec::with_capacity(9), 5, move |_stream, _io, buf, result| {
                result.unwrap();
                log.put(buf);
            });
        });
    });
    finish(io);
    assert_eq!(log.one(), b"hello");
}

#[test]
fn p45_echo_over_a_path_with_unnamed_peers() {
    let place = Scratch::new();
    let address = UnixAddress::from_path(place.join("s")).unwrap();
    assert_eq!(address.as_path().unwrap(), place.join("s"));
    assert_eq!((address.as_abstract_name(), address.is_unnamed()), (None, false));
    echo(&Io::new().unwrap(), &address);
    assert!(disk::metadata(place.join("s")).unwrap().is_socket(), "the file stays");
}

#[test]
fn p45_abstract_names_are_linuxs() {
    let io = Io::new().unwrap();
    let mut name = format!("tigereye test {}", std::process::id()).into_bytes();
    name.extend(b"\0\xff");
    let address = UnixAddress::from_abstract_name(&name);
    if !cfg!(target_os = "linux") {
        assert_eq!(address.unwrap_err().kind(), ErrorKind::Unsupported);
        return;
    }
    let address = address.unwrap();
    assert_eq!(address.as_abstract_name().unwrap(), name);
    assert_eq!(address.as_path(), None);
    echo(&io, &address);
    // There is no file to be stale: the name goes with its socket.
    echo(&io, &address);
    let options = UnixListenOptions::new().mode(0o600);
    let error = UnixListener::bind_with(&io, &address, &options).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(UnixAddress::from_abstract_name([b'x'; 107]).is_ok());
    for wrong in [&[][..], &[b'x'; 108]] {
        let error = UnixAddress::from_abstract_name(wrong).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    }
}

#[test]
fn p45_a_path_that_no_address_can_be_is_refused() {
    let io = Io::new().unwrap();
    let place = Scratch::new();
    let most = if cfg!(target_os = "linux") { 107 } else { 103 };
    let path_of = |len: usize| {
        let directory = place.path().to_str().unwrap().len();
        place.join(&"x".repeat(len - directory - 1))
    };
    let wrong =
        [path_of(most + 1), path_of(4000), "".into(), place.join("a\0b"), "\0abstract".into()];
    for path in wrong {
        let error = UnixListener::bind(&io, &path).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{path:?}");
        assert_eq!(refused(&io, &path), ErrorKind::InvalidInput, "{path:?}");
    }
    let address = UnixAddress::from_path(path_of(most)).unwrap();
    assert_eq!(address.as_path().unwrap(), path_of(most));
    echo(&io, &address);
}

/// A peer may be bound to a path that fills the whole address, without a NUL at its end.
#[test]
#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "an address that no crate makes")]
fn p45_a_peer_bound_to_a_path_without_an_end_is_no_panic() {
    let io = Io::new().unwrap();
    let place = Scratch::new();
    let path = place.join(&"x".repeat(108 - place.path().to_str().unwrap().len() - 1));
    let mut address = libc::sockaddr_un { sun_family: 1, sun_path: [0; 108] };
    for (to, from) in address.sun_path.iter_mut().zip(path.to_str().unwrap().bytes()) {
        *to = from.cast_signed();
    }
    let mut storage = socket2::SockAddrStorage::zeroed();
    // SAFETY: it is one of the system's addresses.
    *unsafe { storage.view_as::<libc::sockaddr_un>() } = address;
    // SAFETY: all of it was just written.
    let address = unsafe { socket2::SockAddr::new(storage, 110) };
    let client = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None).unwrap();
    client.bind(&address).unwrap();
    let listener = UnixListener::bind(&io, place.join("s")).unwrap();
    client.connect(&socket2::SockAddr::unix(place.join("s")).unwrap()).unwrap();
    let log = Log::new();
    io.accept_unix(listener, {
        let log = log.clone();
        move |_listener, _io, result| log.put(result.unwrap())
    });
    finish(&io);
    let (stream, peer) = log.one();
    assert_eq!(peer.as_path().unwrap(), path);
    assert_eq!(stream.peer_addr().unwrap(), peer);
}

#[test]
fn p45_a_stale_file_is_in_use_and_replaced_when_asked() {
    let io = Io::new().unwrap();
    let place = Scratch::new();
    let path = place.join("s");
    drop(UnixListener::bind(&io, &path).unwrap());
    assert_eq!(refused(&io, &path), ErrorKind::ConnectionRefused);
    assert_eq!(UnixListener::bind(&io, &path).unwrap_err().kind(), ErrorKind::AddrInUse);
    let replacing = UnixListenOptions::new().replace_stale(true);
    let listener = UnixListener::bind_with(&io, &path, &replacing).unwrap();
    let address = listener.local_addr().unwrap();
    connected(&io, &address).unwrap();
}

#[test]
fn p45_a_file_that_is_in_use_is_never_replaced() {
    let io = Io::new().unwrap();
    let place = Scratch::new();
    let replacing = UnixListenOptions::new().replace_stale(true);
    let is_kept = |path: &Path| {
        let before = disk::symlink_metadata(path).unwrap().ino();
        let error = UnixListener::bind_with(&io, path, &replacing).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrInUse, "{path:?}");
        assert_eq!(disk::symlink_metadata(path).unwrap().ino(), before);
    };
    // A listener, and it sees no connection; also one whose backlog is full.
    let listener = UnixPeerListener::bind(place.join("listener")).unwrap();
    is_kept(&place.join("listener"));
    assert!(!listener.has_any());
    // A socket of another kind, and one that is bound and does not listen yet.
    let _datagrams = UnixDatagramPeer::bind(place.join("datagrams")).unwrap();
    is_kept(&place.join("datagrams"));
    if !is_simulated() {
        let (domain, kind) = (socket2::Domain::UNIX, socket2::Type::STREAM);
        let bound = socket2::Socket::new(domain, kind, None).unwrap();
        bound.bind(&socket2::SockAddr::unix(place.join("bound")).unwrap()).unwrap();
        is_kept(&place.join("bound"));
    }
    // What is no socket, and a link to what is stale.
    disk::write(place.join("file"), b"data").unwrap();
    is_kept(&place.join("file"));
    drop(UnixPeerListener::bind(place.join("stale")).unwrap());
    disk::symlink(place.join("stale"), place.join("link")).unwrap();
    is_kept(&place.join("link"));
    assert!(disk::exists(place.join("stale")));
}

#[test]
fn the_files_mode_is_as_asked() {
    let io = Io::new().unwrap();
    let place = Scratch::new();
    for mode in [0o600, 0o666, 0o777] {
        let path = place.join(&mode.to_string());
        let options = UnixListenOptions::new().mode(mode).backlog(4);
        let _listener = UnixListener::bind_with(&io, &path, &options).unwrap();
        assert_eq!(disk::metadata(&path).unwrap().mode() & 0o777, mode);
    }
}

#[test]
fn a_directory_that_is_not_there_is_not_found() {
    let io = Io::new().unwrap();
    let place = Scratch::new();
    let path = place.join("none").join("s");
    assert_eq!(UnixListener::bind(&io, &path).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(refused(&io, &path), ErrorKind::NotFound);
    disk::write(place.join("file"), b"").unwrap();
    assert_eq!(refused(&io, &place.join("file")), ErrorKind::ConnectionRefused);
}

#[test]
fn a_peer_has_credentials() {
    let io = Io::new().unwrap();
    let place = Scratch::new();
    let mine = disk::metadata(place.path()).unwrap();
    let listener = UnixListener::bind(&io, place.join("s")).unwrap();
    let address = listener.local_addr().unwrap();
    let stream = connected(&io, &address).unwrap();
    let (near, _far) = UnixStream::pair(&io).unwrap();
    for stream in [stream, near] {
        let peer = stream.peer_credentials().unwrap();
        assert_eq!(peer.uid, mine.uid());
        if is_simulated() {
            assert_eq!(peer.pid, None, "processes there have no numbers");
        } else if cfg!(any(target_os = "linux", target_vendor = "apple")) {
            assert_eq!(peer.pid, Some(std::process::id()));
        }
    }
}

/// A listener that does not accept, and whose backlog is full.
#[cfg(target_os = "linux")]
fn full(io: &Io, place: &Scratch) -> (UnixListener, Vec<UnixStream>) {
    let options = UnixListenOptions::new().backlog(0);
    let listener = UnixListener::bind_with(io, place.join("s"), &options).unwrap();
    // Linux takes one more than the backlog.
    let waiting = connected(io, &listener.local_addr().unwrap()).unwrap();
    (listener, vec![waiting])
}

#[test]
#[cfg(target_os = "linux")]
fn a_connect_waits_while_the_backlog_is_full() {
    let io = Io::new().unwrap();
    let place = Scratch::new();
    let (listener, waiting) = full(&io, &place);
    let address = listener.local_addr().unwrap();
    let log = Log::new();
    for _ in 0..3 {
        io.connect_unix(log.clone(), &address, |log, _io, result| log.put(result.unwrap()));
    }
    // Some tries, none of which may succeed.
    let before = io.statistics().system_calls;
    io.run_for(Duration::from_millis(50)).unwrap();
    assert_eq!(log.len(), 0);
    assert!(io.statistics().system_calls - before < 1000, "the loop spins");
    let accepted = Log::new();
    let put = accepted.clone();
    io.accept_unix_each(
        listener,
        move |_listener, _io, stream| {
            put.put(stream);
            if put.len() == 4 { Next::Stop } else { Next::Continue }
        },
        |_listener, _io, result| result.unwrap(),
    );
    finish(&io);
    let mut streams = log.take();
    assert_eq!(streams.len(), 3);
    streams.extend(waiting);
    // All of them work: under io_uring they block again.
    for (stream, peer) in streams.into_iter().zip(accepted.take()) {
        io.recv(stream, Vec::with_capacity(1), |_stream, _io, _buf, result| {
            assert_eq!(result.unwrap(), 1);
        });
        io.poll().unwrap();
        io.send_all(peer, "x", |_peer, _io, _buf, result| result.unwrap());
    }
    finish(&io);
}

#[test]
#[cfg(target_os = "linux")]
fn a_connect_that_waits_ends_by_cancel_deadline_and_the_loops_end() {
    let io = Io::new().unwrap();
    let place = Scratch::new();
    let (listener, _waiting) = full(&io, &place);
    let address = listener.local_addr().unwrap();
    let connect = || {
        let log = Log::new();
        let op =
            io.connect_unix(log.clone(), &address, |log, _io, result| log.put(result.map(drop)));
        (log, op)
    };
    for turns in 0..3 {
        let (log, op) = connect();
        (0..turns).for_each(|_| io.poll().unwrap());
        io.cancel(op);
        finish(&io);
        assert!(is_cancelled(&log.one().unwrap_err()));
    }
    let (log, op) = connect();
    io.deadline(op, Duration::from_millis(5));
    finish(&io);
    assert_eq!(log.one().unwrap_err().kind(), ErrorKind::TimedOut);
    let (log, _op) = connect();
    io.run_for(Duration::from_millis(5)).unwrap();
    drop(io);
    assert_eq!(log.len(), 0);
}

#[test]
fn accept_unix_each_stops_and_gives_the_listener_back() {
    let io = Io::new().unwrap();
    let place = Scratch::new();
    let listener = UnixListener::bind(&io, place.join("s")).unwrap();
    let clients = (0..3).map(|_| UnixPeer::connect(place.join("s")).unwrap());
    let _clients: Vec<_> = clients.collect();
    let (items, ends) = (Log::new(), Log::new());
    let (item, end) = (items.clone(), ends.clone());
    io.accept_unix_each(
        listener,
        move |_listener, _io, stream| {
            item.put(stream);
            if item.len() == 3 { Next::Stop } else { Next::Continue }
        },
        move |listener, _io, result| end.put((listener, result)),
    );
    finish(&io);
    let (listener, result) = ends.one();
    result.unwrap();
    assert_eq!(items.len(), 3);
    let client = UnixPeer::connect(place.join("s")).unwrap();
    io.accept_unix(listener, |_listener, _io, result| drop(result.unwrap()));
    finish(&io);
    assert_eq!({ client }.read(&mut [0; 1]).unwrap(), 0);
}

#[test]
fn a_listener_goes_to_the_standard_library_and_back() {
    let io = Io::new().unwrap();
    let place = Scratch::new();
    let listener = UnixListener::bind(&io, place.join("s")).unwrap();
    let listener = listener.into_std().unwrap();
    let client = std_unix::UnixStream::connect(place.join("s")).unwrap();
    let listener = UnixListener::from_std(&io, listener).unwrap();
    let log = Log::new();
    io.accept_unix(listener, {
        let log = log.clone();
        move |_listener, _io, result| log.put(result.unwrap().0)
    });
    finish(&io);
    let mut stream = log.one().into_std().unwrap();
    let mut client = client;
    client.write_all(b"x").unwrap();
    stream.read_exact(&mut [0; 1]).unwrap();
}

#[test]
fn p22_a_cancelled_accept_unix_loses_no_connection() {
    let io = Io::new().unwrap();
    let place = Scratch::new();
    let listener = Rc::new(UnixListener::bind(&io, place.join("s")).unwrap());
    for _ in 0..50 {
        let mut client = UnixPeer::connect(place.join("s")).unwrap();
        let accept = || {
            let log = Log::new();
            let put = log.clone();
            let op = io.accept_unix(Rc::clone(&listener), move |_listener, _io, result| {
                put.put(result);
            });
            (log, op)
        };
        let (log, op) = accept();
        io.cancel(op);
        finish(&io);
        let (stream, _peer) = log.one().unwrap_or_else(|error| {
            assert!(is_cancelled(&error), "{error}");
            let (log, _op) = accept();
            finish(&io);
            log.one().unwrap()
        });
        stream.send_now(b"x").unwrap();
        client.read_exact(&mut [0; 1]).unwrap();
    }
}

#[test]
fn every_send_and_receive_works_on_a_pair() {
    let io = Io::new().unwrap();
    let (near, far) = UnixStream::pair(&io).unwrap();
    let (near, far) = (Rc::new(near), Rc::new(far));
    let bytes = pattern(300_000);
    let log = Log::new();
    let each = log.clone();
    let pool = BufferPool::new(&io, 8, 4096).unwrap();
    io.recv_each(
        Rc::clone(&far),
        &pool,
        move |_far, _io, buf| {
            each.put(buf.to_vec());
            Next::Continue
        },
        |_far, _io, result| result.unwrap(),
    );
    io.send(Rc::clone(&near), "one ", |_near, _io, _buf, result| assert_eq!(result.unwrap(), 4));
    io.send_zero_copy(Rc::clone(&near), "two ", |_near, _io, _buf, result| {
        assert_eq!(result.unwrap(), 4, "a Unix socket copies");
    });
    io.send_vectored(Rc::clone(&near), vec!["th", "ree "], |_near, _io, _bufs, result| {
        assert_eq!(result.unwrap(), 6);
    });
    io.send_detached(&near, "four ");
    io.send_all_vectored(Rc::clone(&near), vec!["fi", "ve "], |_near, _io, _bufs, result| {
        result.unwrap();
    });
    io.send_all(Rc::clone(&near), bytes.clone(), |near, io, _buf, result| {
        result.unwrap();
        io.shutdown(near, Shutdown::Write, |_near, _io, result| result.unwrap());
    });
    finish(&io);
    let all = log.take().concat();
    assert_eq!(&all[..24], b"one two three four five ");
    assert!(all[24..] == bytes);
    // The other half still goes.
    io.send_all(far, "back", |_far, _io, _buf, result| result.unwrap());
    io.recv_vectored(
        near,
        vec![Vec::with_capacity(1), Vec::with_capacity(8)],
        |_n, _io, bufs, r| {
            assert_eq!(r.unwrap(), 4);
            assert_eq!(bufs.concat(), b"back");
        },
    );
    finish(&io);
}

#[test]
fn a_peer_that_is_gone_is_a_broken_pipe() {
    let io = Io::new().unwrap();
    let (near, far) = UnixPeer::pair(&io);
    drop(far);
    let log = Log::new();
    let put = log.clone();
    io.send_all(near, "x", move |near, io, _buf, result| {
        put.put(result.unwrap_err().kind());
        io.recv(near, Vec::with_capacity(1), move |near, io, _buf, result| {
            assert_eq!(result.unwrap(), 0);
            io.close(near, |near, _io, result| {
                result.unwrap();
                assert_eq!(near.peer_addr().unwrap_err().kind(), ErrorKind::NotConnected);
            });
        });
    });
    finish(&io);
    assert_eq!(log.one(), ErrorKind::BrokenPipe);
}

#[test]
#[cfg(target_os = "linux")]
fn p43_a_peer_that_closes_unread_resets_once() {
    let io = Io::new().unwrap();
    let (near, mut far) = UnixPeer::pair(&io);
    far.write_all(b"last").unwrap();
    near.send_now(b"unread").unwrap();
    drop(far);
    let log = Log::new();
    let put = log.clone();
    io.recv(near, Vec::with_capacity(8), move |near, io, buf, result| {
        put.put((buf, result.map_err(|error| error.kind())));
        io.recv(near, Vec::with_capacity(8), move |near, io, buf, result| {
            put.put((buf, result.map_err(|error| error.kind())));
            io.recv(near, Vec::with_capacity(8), move |_near, _io, buf, result| {
                put.put((buf, result.map_err(|error| error.kind())));
            });
        });
    });
    finish(&io);
    let expected = [
        (b"last".to_vec(), Ok(4)),
        (Vec::new(), Err(ErrorKind::ConnectionReset)),
        (Vec::new(), Ok(0)),
    ];
    assert_eq!(log.take(), expected);
}
