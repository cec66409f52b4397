//! The example `tcp_proxy`, as a process between sockets of the standard library.
#![allow(clippy::disallowed_methods, reason = "tests have threads of their own")]
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "common/example.rs"]
mod example;
#[path = "common/patient.rs"]
mod patient;

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::time::Duration;

use example::Example;
use patient::read_some;

const HANG: Duration = Duration::from_secs(120);

/// A proxy, and both ends of a connection through it.
fn connected() -> (Example, TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = start(&listener.local_addr().unwrap().to_string());
    let client = client(&proxy);
    let target = listener.accept().unwrap().0;
    target.set_read_timeout(Some(HANG)).unwrap();
    (proxy, client, target)
}

fn start(target: &str) -> Example {
    Example::start("tcp_proxy", &["127.0.0.1:0".as_ref(), target.as_ref()]).unwrap()
}

fn client(proxy: &Example) -> TcpStream {
    let client = TcpStream::connect(&*proxy.address).unwrap();
    client.set_read_timeout(Some(HANG)).unwrap();
    client
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at % 251) as u8).collect()
}

#[test]
fn p42_each_side_ends_its_half_in_its_own_time() {
    for target_ends_first in [false, true] {
        let (_proxy, client, target) = connected();
        let (mut first, mut last) =
            if target_ends_first { (target, client) } else { (client, target) };
        let bytes = pattern(1_000_000);
        let sent = bytes.clone();
        let sender = std::thread::spawn(move || {
            first.write_all(&sent).unwrap();
            first.shutdown(Shutdown::Write).unwrap();
            first
        });
        let mut all = Vec::new();
        last.read_to_end(&mut all).unwrap();
        assert!(all == bytes);
        let mut first = sender.join().unwrap();
        last.write_all(b"answer").unwrap();
        drop(last);
        let mut answer = Vec::new();
        first.read_to_end(&mut answer).unwrap();
        assert_eq!(answer, b"answer");
    }
}

#[test]
fn p47_a_side_that_does_not_read_holds_up_the_one_that_writes() {
    const MUCH: usize = 256 << 20;
    let (_proxy, mut client, mut target) = connected();
    for _ in 0..2 {
        client.set_write_timeout(Some(Duration::from_millis(200))).unwrap();
        let chunk = pattern(1 << 20);
        let mut written = 0;
        while written < MUCH {
            match client.write(&chunk[written % (1 << 20)..]) {
                Ok(count) => written += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    assert!(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut));
                    break;
                }
            }
        }
        assert!(written < MUCH, "the proxy keeps it all in memory");
        let mut all = vec![0; written];
        target.read_exact(&mut all).unwrap();
        assert!(all.chunks(1 << 20).all(|part| part == &chunk[..part.len()]));
        // Once more the other way.
        (client, target) = (target, client);
    }
}

#[test]
fn a_target_that_refuses_is_a_reset() {
    // Bound and not listening: nobody else gets the port meanwhile.
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    let target = socket.local_addr().unwrap().as_socket().unwrap();
    let proxy = start(&target.to_string());
    for _ in 0..3 {
        let error = read_some(&mut client(&proxy), &mut [0; 1]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    }
    let nowhere = start("no-port");
    let error = read_some(&mut client(&nowhere), &mut [0; 1]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

#[test]
fn a_reset_on_one_side_is_one_on_the_other() {
    for target_resets in [false, true] {
        let (_proxy, client, target) = connected();
        let (mut first, mut last) = if target_resets { (target, client) } else { (client, target) };
        first.write_all(b"some").unwrap();
        last.read_exact(&mut [0; 4]).unwrap();
        socket2::SockRef::from(&first).set_linger(Some(Duration::ZERO)).unwrap();
        drop(first);
        let error = read_some(&mut last, &mut [0; 1]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    }
}
