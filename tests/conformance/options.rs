//! Options of listeners and streams, addresses, and connects that fail.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use socket2::SockRef;
use tigereye::{
    ConnectOptions, Io, IoBuf, IoBufMut, Keepalive, ListenOptions, TcpListener, TcpStream,
};

use crate::peer::{Peer, PeerListener, Unheard, is_simulated};
use crate::{Log, any, finish, pair, run_until_stop};

/// Whether there is IPv6 here. To run without it is a failure where CI asks for everything.
fn has_v6() -> bool {
    let there = std::net::TcpListener::bind("[::1]:0").is_ok();
    if !there {
        eprintln!("SKIPPED: there is no IPv6 on this machine");
        assert!(std::env::var("CI").is_err(), "CI must have IPv6");
    }
    there
}

/// Accepts one connection made by a socket of the standard library.
fn accept(io: &Io, listener: &Rc<TcpListener>) -> (TcpStream, std::net::TcpStream) {
    let client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let log = Log::new();
    let put = log.clone();
    io.accept(Rc::clone(listener), move |_listener, _io, result| put.put(result.unwrap().0));
    finish(io);
    (log.one(), client)
}

#[test]
#[cfg(unix)]
fn a_listener_has_the_options_that_it_was_given() {
    let io = Io::new().unwrap();
    let options = ListenOptions::new()
        .backlog(7)
        .reuse_address(false)
        .reuse_port(true)
        .recv_buffer(50_000)
        .send_buffer(60_000);
    let first = TcpListener::bind_with(&io, any(), &options).unwrap();
    let address = first.local_addr().unwrap();
    let second = TcpListener::bind_with(&io, address, &options).unwrap();
    let listener = second.into_std().unwrap();
    let socket = SockRef::from(&listener);
    // FreeBSD has another option for it; the second listener is the proof.
    assert!(socket.reuse_port().unwrap() || cfg!(target_os = "freebsd"));
    assert!(!socket.reuse_address().unwrap());
    assert!(socket.recv_buffer_size().unwrap() >= 50_000);
    assert!(socket.send_buffer_size().unwrap() >= 60_000);
    drop(first);
    drop(listener);
    let error = TcpListener::bind(&io, "192.0.2.1:0".parse().unwrap()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AddrNotAvailable);
    let taken = PeerListener::bind(any()).unwrap();
    let error = TcpListener::bind(&io, taken.local_addr().unwrap()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AddrInUse);
}

#[test]
fn p38_accepted_streams_have_the_options_they_should() {
    let io = Io::new().unwrap();
    let options = ListenOptions::new().recv_buffer(50_000).send_buffer(60_000);
    let listener = Rc::new(TcpListener::bind_with(&io, any(), &options).unwrap());
    let (stream, _client) = accept(&io, &listener);
    let stream = stream.into_std().unwrap();
    let socket = SockRef::from(&stream);
    assert!(socket.recv_buffer_size().unwrap() >= 50_000, "inherited");
    assert!(socket.send_buffer_size().unwrap() >= 60_000, "inherited");
    #[cfg(unix)]
    assert!(!socket.nonblocking().unwrap(), "given back in blocking mode");
    assert!(!socket.tcp_nodelay().unwrap() && !socket.keepalive().unwrap());
    assert_eq!(socket.linger().unwrap(), None);
}

#[test]
fn a_stream_has_the_options_that_it_is_given() {
    let io = Io::new().unwrap();
    let (stream, _peer) = pair(&io);
    let second = Duration::from_secs(1);
    stream.set_nodelay(true).unwrap();
    stream
        .set_keepalive(Some(Keepalive { idle: 7 * second, interval: 3 * second, count: 5 }))
        .unwrap();
    stream.set_linger(Some(2 * second)).unwrap();
    let std_stream = stream.into_std().unwrap();
    let socket = SockRef::from(&std_stream);
    assert!(socket.tcp_nodelay().unwrap() && socket.keepalive().unwrap());
    #[cfg(unix)]
    assert_eq!(
        (socket.tcp_keepalive_time().unwrap(), socket.tcp_keepalive_interval().unwrap()),
        (7 * second, 3 * second)
    );
    #[cfg(unix)]
    assert_eq!(socket.tcp_keepalive_retries().unwrap(), 5);
    assert_eq!(socket.linger().unwrap(), Some(2 * second));
    let stream = TcpStream::from_std(&io, std_stream).unwrap();
    stream.set_keepalive(None).unwrap();
    stream.set_linger(None).unwrap();
    let std_stream = stream.into_std().unwrap();
    assert!(!SockRef::from(&std_stream).keepalive().unwrap());
    assert_eq!(SockRef::from(&std_stream).linger().unwrap(), None);
}

#[test]
#[cfg(target_os = "linux")]
fn a_stream_has_a_user_timeout() {
    let io = Io::new().unwrap();
    let (stream, _peer) = pair(&io);
    let timeout = Some(Duration::from_secs(9));
    stream.set_user_timeout(timeout).unwrap();
    let stream = stream.into_std().unwrap();
    assert_eq!(SockRef::from(&stream).tcp_user_timeout().unwrap(), timeout);
}

#[test]
#[cfg(not(target_os = "linux"))]
fn an_option_that_the_system_lacks_is_an_error_that_names_it() {
    let io = Io::new().unwrap();
    let (stream, _peer) = pair(&io);
    let error = stream.set_user_timeout(Some(Duration::from_secs(9))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.to_string().contains("TCP_USER_TIMEOUT"), "{error}");
}

#[test]
fn a_connection_has_the_options_that_it_was_made_with() {
    let io = Io::new().unwrap();
    let listener = PeerListener::bind(any()).unwrap();
    let second = Duration::from_secs(1);
    let options = ConnectOptions::new()
        .nodelay(true)
        .keepalive(Keepalive { idle: 8 * second, interval: 2 * second, count: 4 })
        .recv_buffer(50_000)
        .send_buffer(60_000);
    let log = Log::new();
    io.connect_with(log.clone(), listener.local_addr().unwrap(), &options, |log, _io, result| {
        log.put(result.unwrap().into_std().unwrap());
    });
    finish(&io);
    let stream = log.one();
    let socket = SockRef::from(&stream);
    assert!(socket.tcp_nodelay().unwrap() && socket.keepalive().unwrap());
    #[cfg(unix)]
    assert_eq!(socket.tcp_keepalive_time().unwrap(), 8 * second);
    assert!(socket.recv_buffer_size().unwrap() >= 50_000);
    assert!(socket.send_buffer_size().unwrap() >= 60_000);
}

#[test]
fn a_listener_of_the_standard_library_is_adopted_and_given_back() {
    let io = Io::new().unwrap();
    let listener = std::net::TcpListener::bind(any()).unwrap();
    // However it is set: the library sees to the mode that its driver wants.
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    let listener = Rc::new(TcpListener::from_std(&io, listener).unwrap());
    let (stream, client) = accept(&io, &listener);
    assert_eq!(stream.peer_addr().unwrap(), client.local_addr().unwrap());
    let listener = Rc::try_unwrap(listener).unwrap().into_std().unwrap();
    assert_eq!(listener.local_addr().unwrap(), address);
    let client = std::net::TcpStream::connect(address).unwrap();
    assert_eq!(listener.accept().unwrap().1, client.local_addr().unwrap());
}

#[test]
fn a_handle_in_use_is_not_given_back() {
    let io = Io::new().unwrap();
    let (stream, _peer) = pair(&io);
    let (one, other) = stream.split();
    let op = io.recv(one, Vec::with_capacity(1), |_stream, _io, _buf, _result| {});
    // The other owner is inside the operation, so this one cannot even be unwrapped.
    let other = Rc::try_unwrap(other).unwrap_err();
    io.cancel(op);
    finish(&io);
    Rc::try_unwrap(other).unwrap().into_std().unwrap();
}

#[test]
fn p39_a_failed_connect_says_so_once_and_the_next_one_works() {
    let io = Io::new().unwrap();
    let unheard = Unheard::new();
    let address = unheard.address();
    let log = Log::new();
    for _ in 0..3 {
        io.connect(log.clone(), address, |log, _io, result| log.put(result.map(drop)));
    }
    finish(&io);
    let all = log.take();
    assert_eq!(all.len(), 3);
    for result in all {
        assert_eq!(result.unwrap_err().kind(), ErrorKind::ConnectionRefused);
    }
    let _listener = unheard.listen();
    io.connect(log.clone(), address, |log, _io, result| log.put(result.map(drop)));
    finish(&io);
    log.one().unwrap();
}

#[test]
fn every_failure_to_connect_is_an_ordinary_error() {
    let io = Io::new().unwrap();
    let from_v6 = ConnectOptions::new().bind("[::1]:0".parse().unwrap());
    let elsewhere = ConnectOptions::new().bind("192.0.2.1:0".parse().unwrap());
    let plain = ConnectOptions::new();
    for (address, options) in [
        ("255.255.255.255:9", &plain),
        ("127.0.0.1:0", &plain),
        ("[ff02::1]:9", &plain),
        ("[::1]:0", &plain),
        ("[fe80::1%0]:9", &plain),
        ("127.0.0.1:9", &from_v6),
        ("127.0.0.1:9", &elsewhere),
    ] {
        let Ok(address) = address.parse::<SocketAddr>() else { continue };
        let log = Log::new();
        let op = io.connect_with(log.clone(), address, options, |log, _io, result| {
            log.put(result.map(drop));
        });
        // Whoever answers nothing at all is not waited for.
        io.deadline(op, Duration::from_millis(200));
        assert_eq!(log.len(), 0, "never inside the call");
        finish(&io);
        assert!(log.one().is_err(), "{address}");
    }
}

#[test]
fn connect_host_tries_the_addresses_in_turn() {
    use std::net::ToSocketAddrs;
    let io = Io::new().unwrap();
    // The last address that the name has is the only one where somebody listens.
    let last = match is_simulated() {
        true => any(),
        false => "localhost:0".to_socket_addrs().unwrap().next_back().unwrap(),
    };
    let listener = PeerListener::bind(last).unwrap();
    let address = listener.local_addr().unwrap();
    let name = format!("localhost:{}", address.port());
    let log = Log::new();
    io.connect_host(log.clone(), name, &ConnectOptions::new(), |log, _io, result| {
        log.put(result.unwrap().peer_addr().unwrap());
    });
    finish(&io);
    assert_eq!(log.one(), address);
}

#[test]
fn p40_v6_only_is_what_it_was_set_to() {
    if !has_v6() {
        return;
    }
    let io = Io::new().unwrap();
    let all = "[::]:0".parse().unwrap();
    for only in [true, false] {
        let options = ListenOptions::new().only_v6(only);
        let listener = TcpListener::bind_with(&io, all, &options).unwrap();
        let v4 = SocketAddr::from(([127, 0, 0, 1], listener.local_addr().unwrap().port()));
        let client = Peer::connect(v4);
        assert_eq!(client.is_err(), only, "a client over IPv4 with only_v6({only})");
        if only {
            continue;
        }
        let log = Log::new();
        let put = log.clone();
        io.accept(listener, move |_listener, _io, result| put.put(result.unwrap().1));
        finish(&io);
        assert!(matches!(log.one(), SocketAddr::V6(peer) if peer.ip().to_ipv4_mapped().is_some()));
    }
}

/// A link-local address of this machine, with its scope.
fn link_local() -> Option<SocketAddr> {
    let table = std::fs::read_to_string("/proc/net/if_inet6").ok()?;
    let line = table.lines().find(|line| line.starts_with("fe80"))?;
    let mut fields = line.split_whitespace();
    let ip = u128::from_str_radix(fields.next()?, 16).ok()?;
    let scope = u32::from_str_radix(fields.next()?, 16).ok()?;
    Some(SocketAddr::V6(std::net::SocketAddrV6::new(ip.into(), 0, 0, scope)))
}

#[test]
fn p40_the_scope_of_an_address_survives() {
    let Some(address) = link_local().filter(|_| has_v6()) else {
        eprintln!("SKIPPED: no interface has a link-local address");
        return;
    };
    let io = Io::new().unwrap();
    let listener = TcpListener::bind(&io, address).unwrap();
    let bound = listener.local_addr().unwrap();
    let log = Log::new();
    let (put, connected) = (log.clone(), log.clone());
    io.accept(listener, move |_listener, _io, result| put.put(result.unwrap().1));
    io.connect(connected, bound, |log, _io, result| {
        log.put(result.unwrap().peer_addr().unwrap());
    });
    finish(&io);
    let scope = |address: &SocketAddr| match address {
        SocketAddr::V6(address) => address.scope_id(),
        SocketAddr::V4(_) => 0,
    };
    let all = log.take();
    assert_eq!(all.len(), 2);
    assert!(all.iter().all(|peer| scope(peer) == scope(&address) && peer.ip() == address.ip()));
}

/// Whether a type is a buffer, as a constant.
struct Is<T>(std::marker::PhantomData<T>);

trait IsNot {
    const BUFFER: bool = false;
}

impl<T> IsNot for Is<T> {}

impl<T: IoBuf> Is<T> {
    const BUFFER: bool = true;
}

#[test]
fn p28_memory_that_moves_with_its_value_is_no_buffer() {
    const { assert!(Is::<Vec<u8>>::BUFFER && Is::<Box<[u8]>>::BUFFER) };
    const { assert!(!<Is<[u8; 8]>>::BUFFER && !Is::<std::cell::Cell<u8>>::BUFFER) };
    const { assert!(!Is::<&'static mut [u8; 8]>::BUFFER) };
}

#[test]
fn p28_a_buffer_comes_back_at_the_address_where_it_was() {
    let io = Io::new().unwrap();
    let (stream, mut peer) = pair(&io);
    let mut buf = Vec::with_capacity(100);
    let before = buf.writable().0.addr();
    let log = Log::new();
    let put = log.clone();
    // A context too large for a slot, so that everything moves once more on its way.
    let context = [7_u8; 1000];
    io.recv(stream, buf, move |_stream, io, buf, result| {
        assert_eq!(context, [7; 1000]);
        put.put((buf.as_ptr().addr(), result.unwrap()));
        io.stop();
    });
    std::io::Write::write_all(&mut peer, b"four").unwrap();
    run_until_stop(&io);
    assert_eq!(log.one(), (before, 4));
}
