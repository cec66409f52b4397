//! What a UDP socket can be set to: many datagrams in one call, a peer, options, groups.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::rc::Rc;

use tigereye::{Datagram, Io, Next, UdpOptions, UdpSocket, is_cancelled};

use crate::peer::is_simulated;
use crate::udp::{collect, pool, receive, socket, std_socket};
use crate::{Log, any, finish, pattern};

#[test]
fn segments_arrive_as_datagrams() {
    let io = Io::new().unwrap();
    let (near, _) = socket(&io);
    let (std, std_address) = std_socket();
    let log = Log::new();
    let put = log.clone();
    let sent = pattern(2500);
    io.send_segments(Rc::clone(&near), sent.clone(), 1000, Some(std_address), {
        move |_near, _io, buf, result| put.put((buf, result))
    });
    finish(&io);
    let (buf, result) = log.one();
    assert!(buf == sent, "the buffer comes back as it was");
    if cfg!(not(target_os = "linux")) {
        // A Windows that has it has a test of its own.
        let unsupported = result.err().map(|error| error.kind() == ErrorKind::Unsupported);
        return assert!(unsupported.unwrap_or(cfg!(windows)));
    }
    assert_eq!(result.unwrap(), 2500);
    for part in sent.chunks(1000) {
        assert!(receive(&std) == part);
    }
    // To its peer; shorter than one segment.
    near.connect(std_address).unwrap();
    for bytes in ["ab", "a"] {
        io.send_segments(Rc::clone(&near), bytes, 1, None, move |_near, _io, _buf, result| {
            assert_eq!(result.unwrap(), bytes.len());
        });
    }
    for (len, segment, code) in [
        (10, 0, crate::code::INVALID),
        (1000, 1, crate::code::INVALID),
        (70_000, 1400, crate::code::TOO_LONG),
    ] {
        io.send_segments(Rc::clone(&near), pattern(len), segment, None, {
            move |_near, _io, buf: Vec<u8>, result| {
                assert_eq!(result.unwrap_err().raw_os_error(), Some(code), "{len} by {segment}");
                assert_eq!(buf.len(), len);
            }
        });
    }
    finish(&io);
    assert_eq!([(); 3].map(|()| receive(&std)), [b"a", b"b", b"a"]);
}

#[test]
fn joined_datagrams_say_how_long_each_is() {
    let io = Io::new().unwrap();
    let ((near, _), (far, far_address)) = (socket(&io), socket(&io));
    if let Err(error) = far.set_gro(true) {
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        return eprintln!("SKIPPED: {error}");
    }
    let log = Log::new();
    let put = log.clone();
    let receive = |io: &Io| {
        let put = put.clone();
        let buf = Vec::with_capacity(70_000);
        io.recv_from(Rc::clone(&far), buf, move |_far, _io, buf: Vec<u8>, result| {
            put.put((buf, result.unwrap().segment));
        });
    };
    let send = |io: &Io, len| {
        io.send_segments(Rc::clone(&near), pattern(len), 1000, Some(far_address), {
            move |_near, _io, _buf, result| assert_eq!(result.unwrap(), len)
        });
    };
    receive(&io);
    send(&io, 2500);
    finish(&io);
    let first = log.one();
    if first == (pattern(1000), None) {
        return eprintln!("SKIPPED: this kernel joins none that it has sent itself");
    }
    assert_eq!(first, (pattern(2500), Some(1000)));
    receive(&io);
    send(&io, 999);
    finish(&io);
    assert_eq!(log.one(), (pattern(999), None));
    let (put, pool) = (log.clone(), pool(&io, 4, 65_535));
    let each = move |_far: &mut _, _io: &Io, datagram: Datagram| {
        put.put((datagram.to_vec(), datagram.segment));
        if put.len() == 2 { Next::Stop } else { Next::Continue }
    };
    io.recv_from_each(Rc::clone(&far), &pool, each, |_far, _io, result| result.unwrap());
    send(&io, 3000);
    send(&io, 1);
    finish(&io);
    assert_eq!(log.take(), [(pattern(3000), Some(1000)), (pattern(1), None)]);
}

#[test]
fn a_connected_socket_has_one_peer() {
    let io = Io::new().unwrap();
    let (near, address) = socket(&io);
    assert_eq!(near.peer_addr().unwrap_err().kind(), ErrorKind::NotConnected);
    let ((friend, friend_address), (stranger, _)) = (std_socket(), std_socket());
    near.connect(friend_address).unwrap();
    assert_eq!(near.peer_addr().unwrap(), friend_address);
    stranger.send_to(b"stranger", address).unwrap();
    friend.send_to(b"friend", address).unwrap();
    io.recv_from(Rc::clone(&near), Vec::with_capacity(64), move |_near, _io, buf, result| {
        assert_eq!((&buf[..], result.unwrap().from), (&b"friend"[..], friend_address));
    });
    finish(&io);
    near.disconnect().unwrap();
    assert_eq!(near.peer_addr().unwrap_err().kind(), ErrorKind::NotConnected);
    io.send(near, "x", |_near, _io, _buf, result| {
        assert_eq!(result.unwrap_err().raw_os_error(), Some(crate::code::NO_PEER));
    });
    finish(&io);
}

#[test]
fn to_and_from_the_standard_library() {
    let io = Io::new().unwrap();
    let (std, address) = std_socket();
    let near = UdpSocket::from_std(&io, std.into_std()).unwrap();
    assert_eq!(near.local_addr().unwrap(), address);
    io.send_to(near, "self", address, move |near, _io, _buf, result| {
        result.unwrap();
        let std = near.into_std().unwrap();
        assert_eq!(receive(&crate::udp::Std::Real(std)), b"self", "it blocks until it is there");
    });
    finish(&io);
    let (near, _) = socket(&io);
    let op = io.recv_from(Rc::clone(&near), Vec::with_capacity(8), |near, _io, _buf, result| {
        assert!(is_cancelled(&result.unwrap_err()));
        Rc::into_inner(near).unwrap().into_std().unwrap();
    });
    assert_eq!(near.in_flight(), 1);
    drop(near);
    io.cancel(op);
    finish(&io);
}

#[test]
fn options_reach_the_system() {
    let io = Io::new().unwrap();
    let options = UdpOptions::new().recv_buffer(16_384).send_buffer(16_384);
    let options = options.reuse_port(cfg!(unix)).reuse_address(cfg!(windows));
    let one = UdpSocket::bind_with(&io, any(), &options).unwrap();
    let two = UdpSocket::bind_with(&io, one.local_addr().unwrap(), &options).unwrap();
    assert_eq!(one.local_addr().unwrap(), two.local_addr().unwrap());
    drop(two);
    assert_eq!(
        UdpSocket::bind(&io, one.local_addr().unwrap()).unwrap_err().kind(),
        ErrorKind::AddrInUse
    );
    one.set_broadcast(true).unwrap();
    one.set_ttl_v4(7).unwrap();
    one.set_multicast_ttl_v4(3).unwrap();
    one.set_multicast_loop_v4(false).unwrap();
    one.set_multicast_interface_v4(Ipv4Addr::LOCALHOST).unwrap();
    one.set_recv_buffer(32_768).unwrap();
    one.set_send_buffer(32_768).unwrap();
    let std = one.into_std().unwrap();
    assert!(std.broadcast().unwrap() && !std.multicast_loop_v4().unwrap());
    assert_eq!((std.ttl().unwrap(), std.multicast_ttl_v4().unwrap()), (7, 3));
    let socket = socket2::SockRef::from(&std);
    assert!(socket.recv_buffer_size().unwrap() >= 32_768);
    assert!(socket.send_buffer_size().unwrap() >= 32_768);
    assert_eq!(socket.multicast_if_v4().unwrap(), Ipv4Addr::LOCALHOST);
}

#[test]
fn what_is_sent_to_a_group_comes_to_its_members() {
    let io = Io::new().unwrap();
    let group = Ipv4Addr::new(239, 255, 77, 1);
    let wide = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
    let options = UdpOptions::new().reuse_address(true);
    let member = Rc::new(UdpSocket::bind_with(&io, wide, &options).unwrap());
    member.join_multicast_v4(group, Ipv4Addr::LOCALHOST).unwrap();
    let (near, _) = socket(&io);
    near.set_multicast_interface_v4(Ipv4Addr::LOCALHOST).unwrap();
    near.set_multicast_loop_v4(true).unwrap();
    let to = SocketAddr::from((group, member.local_addr().unwrap().port()));
    let log = Log::new();
    collect(&io, Rc::clone(&member), 1, 64, log.clone());
    io.send_to(near, "all", to, |_near, _io, _buf, result| assert_eq!(result.unwrap(), 3));
    finish(&io);
    assert_eq!(log.one(), b"all");
    member.leave_multicast_v4(group, Ipv4Addr::LOCALHOST).unwrap();
    let again = member.leave_multicast_v4(group, Ipv4Addr::LOCALHOST).unwrap_err();
    // Winsock says `WSAEINVAL`.
    let kind = if cfg!(windows) { ErrorKind::InvalidInput } else { ErrorKind::AddrNotAvailable };
    assert_eq!(again.kind(), kind);
}

#[test]
fn groups_of_ipv6() {
    let io = Io::new().unwrap();
    let v6 = SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0));
    let options = UdpOptions::new().only_v6(true);
    let socket = match UdpSocket::bind_with(&io, v6, &options) {
        Ok(socket) => socket,
        Err(error) if std::env::var_os("CI").is_none() => {
            return eprintln!("SKIPPED: no IPv6 here: {error}");
        }
        Err(error) => panic!("{error}"),
    };
    socket.set_hops_v6(9).unwrap();
    socket.set_multicast_hops_v6(4).unwrap();
    socket.set_multicast_loop_v6(false).unwrap();
    // Interface-local; the loopback interface is the first one.
    let group = Ipv6Addr::new(0xff01, 0, 0, 0, 0, 0, 0x77, 1);
    socket.join_multicast_v6(group, 1).unwrap();
    socket.set_multicast_interface_v6(1).unwrap();
    socket.leave_multicast_v6(group, 1).unwrap();
    if is_simulated() {
        return;
    }
    let std = socket.into_std().unwrap();
    assert!(!std.multicast_loop_v6().unwrap());
    let socket = socket2::SockRef::from(&std);
    assert_eq!(socket.unicast_hops_v6().unwrap(), 9);
    assert_eq!(socket.multicast_hops_v6().unwrap(), 4);
    assert_eq!(socket.multicast_if_v6().unwrap(), 1);
    assert!(socket.only_v6().unwrap());
}
