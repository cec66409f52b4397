//! Listening, connecting, closing.

use std::io::{ErrorKind, Write};
use std::net::{Shutdown, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use tigereye::{ConnectOptions, Io, Next, TcpListener, is_cancelled};

use crate::patient::read_some;
use crate::peer::{Peer, PeerListener};
use crate::{Log, any, finish, read, run_until_stop, shared_pair};

fn echo(address: &str) {
    let io = Io::new().unwrap();
    let listener = TcpListener::bind(&io, address.parse().unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    let log = Log::new();
    io.accept(listener, |_listener, io, result| {
        let (stream, _) = result.unwrap();
        io.recv_exact(stream, Vec::with_capacity(5), 5, |stream, io, buf, result| {
            result.unwrap();
            io.send_all(stream, buf, |_stream, _io, _buf, result| result.unwrap());
        });
    });
    io.connect(log.clone(), address, move |log, io, result| {
        let stream = result.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), address);
        io.send_all(stream, b"hello".to_vec(), |stream, io, buf, result| {
            result.unwrap();
            assert_eq!(buf, b"hello");
            io.recv_exact(stream, Vec::with_capacity(9), 5, move |_stream, _io, buf, result| {
                result.unwrap();
                log.put(buf);
            });
        });
    });
    finish(&io);
    assert_eq!(log.one(), b"hello");
}

#[test]
fn echo_over_v4() {
    echo("127.0.0.1:0");
}

#[test]
fn p40_echo_over_v6() {
    if std::net::TcpListener::bind("[::1]:0").is_err() {
        eprintln!("skipped: there is no IPv6 here");
        return;
    }
    echo("[::1]:0");
}

#[test]
fn accept_gives_the_peers_address() {
    let io = Io::new().unwrap();
    let listener = TcpListener::bind(&io, any()).unwrap();
    let client = Peer::connect(listener.local_addr().unwrap()).unwrap();
    let log = Log::new();
    io.accept(listener, {
        let log = log.clone();
        move |_listener, _io, result| log.put(result.unwrap())
    });
    finish(&io);
    let (stream, peer) = log.one();
    assert_eq!(peer, client.local_addr().unwrap());
    assert_eq!(stream.peer_addr().unwrap(), peer);
    assert_eq!(stream.local_addr().unwrap(), client.peer_addr().unwrap());
}

#[test]
fn p22_a_cancelled_accept_loses_no_connection() {
    let io = Io::new().unwrap();
    let listener = Rc::new(TcpListener::bind(&io, any()).unwrap());
    let address = listener.local_addr().unwrap();
    for _ in 0..50 {
        let mut client = Peer::connect(address).unwrap();
        let log = Log::new();
        let op = io.accept(Rc::clone(&listener), {
            let log = log.clone();
            move |_listener, _io, result| log.put(result)
        });
        io.cancel(op);
        finish(&io);
        let first = log.one();
        let stream = match first {
            Ok((stream, _)) => stream,
            Err(error) => {
                assert!(is_cancelled(&error), "{error}");
                io.accept(Rc::clone(&listener), {
                    let log = log.clone();
                    move |_listener, _io, result| log.put(result)
                });
                finish(&io);
                log.one().unwrap().0
            }
        };
        assert_eq!(stream.send_now(b"x").unwrap(), 1);
        assert_eq!(read(&mut client, 1), b"x");
    }
}

#[test]
fn connect_refused() {
    let io = Io::new().unwrap();
    // Bound and not listening: nobody else gets the port meanwhile.
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&any().into()).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    let log = Log::new();
    io.connect(log.clone(), address, |log, _io, result| log.put(result.map(drop)));
    finish(&io);
    assert_eq!(log.one().unwrap_err().kind(), ErrorKind::ConnectionRefused);
}

#[test]
fn connect_from_a_local_address() {
    let io = Io::new().unwrap();
    let listener = PeerListener::bind(any()).unwrap();
    // Only Linux has all of 127.0.0.0/8; elsewhere the port tells, which was free just now.
    let local: SocketAddr = if cfg!(target_os = "linux") {
        "127.0.0.2:0".parse().unwrap()
    } else {
        PeerListener::bind(any()).unwrap().local_addr().unwrap()
    };
    let options = ConnectOptions::new().bind(local).nodelay(true);
    let log = Log::new();
    io.connect_with(log.clone(), listener.local_addr().unwrap(), &options, |log, _io, result| {
        log.put(result.unwrap());
    });
    finish(&io);
    let (_, peer) = listener.accept().unwrap();
    assert_eq!(peer.ip(), local.ip());
    assert!(local.port() == 0 || local.port() == peer.port());
    assert_eq!(log.one().local_addr().unwrap(), peer);
}

#[test]
fn connect_with_a_local_address_of_another_host_fails_in_the_callback() {
    let io = Io::new().unwrap();
    let options = ConnectOptions::new().bind("192.0.2.1:0".parse().unwrap());
    let log = Log::new();
    io.connect_with(log.clone(), any(), &options, |log, _io, result| log.put(result.map(drop)));
    assert_eq!(log.len(), 0, "never inside the call");
    finish(&io);
    assert_eq!(log.one().unwrap_err().kind(), ErrorKind::AddrNotAvailable);
}

#[test]
fn connect_host_resolves_a_name() {
    let io = Io::new().unwrap();
    let listener = PeerListener::bind(any()).unwrap();
    let address = listener.local_addr().unwrap();
    let log = Log::new();
    let host = format!("localhost:{}", address.port());
    io.connect_host(log.clone(), host, &ConnectOptions::new(), |log, _io, result| {
        log.put(result.unwrap());
    });
    finish(&io);
    let stream = log.one();
    assert_eq!(stream.peer_addr().unwrap(), address);
    assert_eq!(listener.accept().unwrap().1, stream.local_addr().unwrap());
}

#[test]
fn connect_host_without_a_port_fails_in_the_callback() {
    let io = Io::new().unwrap();
    for host in ["no-port", "", ":", "127.0.0.1:99999", "a b:80"] {
        let log = Log::new();
        io.connect_host(log.clone(), host, &ConnectOptions::new(), |log, _io, result| {
            log.put(result.map(drop));
        });
        assert_eq!(log.len(), 0);
        finish(&io);
        assert!(log.one().is_err(), "{host:?}");
    }
}

#[test]
fn p42_shutdown_of_writing_then_read_to_the_end() {
    let io = Io::new().unwrap();
    let (stream, peer) = shared_pair(&io);
    let peer = peer.reads_to_end_and_writes(b"bye");
    let log = Log::new();
    let answer = log.clone();
    io.send_all(stream, b"last".to_vec(), move |stream, io, _buf, result| {
        result.unwrap();
        io.shutdown(stream, Shutdown::Write, move |stream, io, result| {
            result.unwrap();
            let buf = Vec::with_capacity(3);
            io.recv_exact(stream, buf, 3, move |stream, io, buf, result| {
                result.unwrap();
                io.recv(stream, Vec::with_capacity(8), move |_stream, _io, rest, result| {
                    answer.put((buf, rest, result.unwrap()));
                });
            });
        });
    });
    finish(&io);
    assert_eq!(log.one(), (b"bye".to_vec(), Vec::new(), 0));
    assert_eq!(peer.join(), b"last");
}

#[test]
fn rule4_close_cancels_what_is_pending_and_then_calls_back() {
    let io = Io::new().unwrap();
    let (stream, mut peer) = shared_pair(&io);
    let log = Log::new();
    let (first, second) = (log.clone(), log.clone());
    io.recv(Rc::clone(&stream), Vec::with_capacity(7), move |stream, _io, buf, result| {
        assert!(is_cancelled(&result.unwrap_err()));
        assert!(buf.is_empty() && buf.capacity() >= 7);
        first.put(("recv", stream));
    });
    io.poll().unwrap();
    io.close(stream, move |stream, _io, result| {
        result.unwrap();
        second.put(("close", stream));
    });
    finish(&io);
    let contexts = log.take();
    assert_eq!(contexts.iter().map(|entry| entry.0).collect::<Vec<_>>(), ["recv", "close"]);
    // The end of the stream reaches the peer, although the contexts live.
    assert_eq!(read_some(&mut peer, &mut [0; 1]).unwrap(), 0);
}

#[test]
fn rule4_dropping_a_stream_closes_it() {
    let io = Io::new().unwrap();
    let (stream, mut peer) = shared_pair(&io);
    drop(stream);
    finish(&io);
    assert_eq!(read_some(&mut peer, &mut [0; 1]).unwrap(), 0);
}

#[test]
fn rule4_a_closed_handle_refuses() {
    let io = Io::new().unwrap();
    let (stream, _peer) = shared_pair(&io);
    io.close(Rc::clone(&stream), |_stream, _io, result| result.unwrap());
    let log = Log::new();
    // While it is closing, and after it is closed.
    for _ in 0..2 {
        let put = log.clone();
        io.recv(Rc::clone(&stream), vec![1, 2], move |_stream, _io, buf, result| {
            put.put((buf, result.unwrap_err()));
        });
        let put = log.clone();
        io.send_all(Rc::clone(&stream), vec![1, 2], move |_stream, _io, buf, result| {
            put.put((buf, result.unwrap_err()));
        });
        let put = log.clone();
        io.close(Rc::clone(&stream), move |_stream, _io, result| {
            put.put((vec![1, 2], result.unwrap_err()));
        });
        finish(&io);
        let all = log.take();
        assert_eq!(all.len(), 3);
        for (buf, error) in all {
            assert_eq!(buf, [1, 2]);
            assert_eq!(error.kind(), ErrorKind::NotConnected, "{error}");
        }
    }
    assert_eq!(stream.peer_addr().unwrap_err().kind(), ErrorKind::NotConnected);
}

#[test]
fn p15_shutdown_reaches_the_peer_with_a_receive_pending() {
    let io = Io::new().unwrap();
    let (stream, mut peer) = shared_pair(&io);
    let log = Log::new();
    io.recv(Rc::clone(&stream), Vec::with_capacity(4), {
        let log = log.clone();
        move |_stream, _io, buf, result| log.put((buf, result.unwrap()))
    });
    io.poll().unwrap();
    io.shutdown(stream, Shutdown::Write, |_stream, io, result| {
        result.unwrap();
        io.stop();
    });
    run_until_stop(&io);
    assert_eq!(read_some(&mut peer, &mut [0; 1]).unwrap(), 0);
    peer.write_all(b"four").unwrap();
    finish(&io);
    assert_eq!(log.one(), (b"four".to_vec(), 4));
}

#[test]
fn accept_each_stops_and_gives_the_listener_back() {
    let io = Io::new().unwrap();
    let listener = TcpListener::bind(&io, any()).unwrap();
    let address = listener.local_addr().unwrap();
    let clients: Vec<_> = (0..3).map(|_| Peer::connect(address).unwrap()).collect();
    let (items, ends) = (Log::new(), Log::new());
    let (item, end) = (items.clone(), ends.clone());
    io.accept_each(
        listener,
        move |_listener, _io, stream| {
            item.put(stream.peer_addr().unwrap());
            if item.len() == 3 { Next::Stop } else { Next::Continue }
        },
        move |listener, _io, result| end.put((listener, result)),
    );
    finish(&io);
    let (listener, result) = ends.one();
    result.unwrap();
    assert_eq!(listener.local_addr().unwrap(), address);
    let expected: Vec<_> = clients.iter().map(|client| client.local_addr().unwrap()).collect();
    assert_eq!(items.take(), expected);
}

#[test]
fn p26_connect_host_needs_one_slot_of_the_capacity() {
    let listener = PeerListener::bind(any()).unwrap();
    let host = format!("localhost:{}", listener.local_addr().unwrap().port());
    let io = Io::builder().capacity(1).build().unwrap();
    let log = Log::new();
    io.connect_host(log.clone(), host, &ConnectOptions::new(), |log, _io, result| {
        log.put(result.map(drop));
    });
    assert_eq!(io.free_slots(), 0);
    finish(&io);
    log.one().unwrap();
    assert_eq!(io.free_slots(), 1);
}

#[test]
fn connect_host_ends_as_a_whole_by_cancel_and_deadline() {
    let io = Io::new().unwrap();
    // Cancelled at once, while it resolves, and while it connects; whatever came first, it ends.
    for turns in [0, 1, 2, 3] {
        for by_deadline in [false, true] {
            let listener = PeerListener::bind(any()).unwrap();
            let host = format!("localhost:{}", listener.local_addr().unwrap().port());
            let log = Log::new();
            let options = ConnectOptions::new();
            let whole = io.connect_host(log.clone(), host, &options, |log, _io, result| {
                log.put(result.map(drop));
            });
            for _ in 0..turns {
                io.run_once().unwrap();
            }
            if by_deadline {
                io.deadline(whole, Duration::ZERO)
            } else {
                io.cancel(whole)
            }
            finish(&io);
            match log.one() {
                Err(error) if by_deadline => assert_eq!(error.kind(), ErrorKind::TimedOut),
                Err(error) => assert!(is_cancelled(&error)),
                Ok(()) => assert!(turns > 0, "nothing was done yet"),
            }
        }
    }
}
