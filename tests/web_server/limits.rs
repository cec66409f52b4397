//! What a peer may take, and how the server ends.
//!
//! Where a limit of time must be reached, it is short and the test waits for what follows. Where it
//! must not be reached, it is long beside what the test does, and an attempt in which this machine
//! was held up is made again.

use std::ffi::OsString;
use std::fs;
use std::io::Write;
use std::net::TcpStream;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use socket2::SockRef;

use crate::HELLO;
use crate::client::{Server, binary, get, wait_until};

/// Makes an attempt until it succeeds. It says whether it did, and for how long it was held up;
/// to fail is a fault only where that was for less than `most`.
fn attempt(most: Duration, mut attempt: impl FnMut() -> (bool, Duration)) {
    for _ in 0..5 {
        let (success, held_up) = attempt();
        if success {
            return;
        }
        assert!(held_up >= most, "it failed, and was held up for {held_up:?} only");
    }
    std::io::stderr().write_all(b"nothing shown: this machine is too busy\n").unwrap();
}

#[test]
fn abrupt_closes_break_nothing() {
    let server = Server::start();
    let good = get("/hello", "");
    server.put_zeros("large.bin", 10_000_000);
    let requests = [good.clone(), good.repeat(100), get("/large.bin", "").repeat(3)];
    for reset in [false, true] {
        let starts = (0..good.len()).map(|length| &good[..length]);
        for bytes in starts.chain(requests.iter().map(String::as_str)) {
            let mut client = server.connect();
            client.send(bytes.as_bytes());
            if reset {
                SockRef::from(&client.stream).set_linger(Some(Duration::ZERO)).unwrap();
            }
        }
    }
    server.expect_alive("closes");
    wait_until("all are gone", || server.figure("open") == 1);
}

#[test]
fn clients_that_never_read_stop_nobody() {
    let server = Server::start();
    server.put("large.bin", &vec![b'x'; 10_000_000]);
    let mut stuck = Vec::new();
    for target in ["/large.bin", "/", "/hello", "/large.bin"] {
        // Ten megabytes from a file, or what all the requests that fit are worth.
        let stream = TcpStream::connect(server.address).unwrap();
        stream.set_nonblocking(true).unwrap();
        let requests = get(target, "").repeat(40_000);
        let _ = (&stream).write(requests.as_bytes());
        stuck.push(stream);
    }
    // As connections go to either loop, ten reach both, save for one time in five hundred.
    for _ in 0..10 {
        server.expect_alive("clients that do not read");
    }
}

#[test]
fn many_connections_at_once() {
    let server = Server::start();
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..100 {
                    server.expect_alive("many");
                }
            });
        }
    });
}

#[test]
fn a_head_must_be_whole_in_time() {
    let server = Server::with(&["--head-timeout", "0.3"]);
    let half = &get("/hello", "")[..20];
    // In the first request, in a later one, and behind one in the same packet.
    for before in [vec![], vec![get("/hello", "")], vec![get("/hello", "") + half]] {
        let mut client = server.connect();
        for request in &before {
            client.send(request.as_bytes());
            client.response().expect(200, HELLO);
        }
        if !before.last().is_some_and(|request| request.ends_with(half)) {
            client.send(half.as_bytes());
        }
        let response = client.response();
        response.expect(408, b"Request Timeout");
        assert_eq!(response.field("Connection"), Some("close"));
        client.expect_closed();
    }
}

/// The time is for the head in all: a byte now and then does not stretch it.
#[test]
fn a_head_that_trickles_is_too_late() {
    let server = Server::with(&["--head-timeout", "0.5"]);
    let mut client = server.connect();
    let trickle = client.stream.try_clone().unwrap();
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let _ = (&trickle).write_all(b"GET /hello HTTP/1.1\r\nHost: a\r\nX: ");
            while !over.load(Ordering::Relaxed) && (&trickle).write_all(b"x").is_ok() {
                thread::sleep(Duration::from_millis(20));
            }
        });
        client.response().expect(408, b"Request Timeout");
        over.store(true, Ordering::Relaxed);
    });
}

#[test]
fn an_idle_connection_is_closed() {
    let server = Server::with(&["--idle-timeout", "0.3"]);
    let mut client = server.connect();
    client.expect_closed();
    let mut client = server.connect();
    client.send(get("/hello", "").as_bytes());
    client.response().expect(200, HELLO);
    client.expect_closed();
}

/// Its request has been answered: another answer would be taken for that of the next one.
#[test]
fn a_body_that_does_not_come_is_not_waited_for() {
    let server = Server::with(&["--idle-timeout", "0.3"]);
    for start in ["Content-Length: 10\r\n\r\nhalf", "Transfer-Encoding: chunked\r\n\r\n5"] {
        let mut client = server.connect();
        client.send(format!("POST / HTTP/1.1\r\nHost: a\r\n{start}").as_bytes());
        client.response().expect(405, b"Method Not Allowed");
        client.expect_closed();
    }
}

/// The time in which a response is sent counts for no request that waits behind it.
#[test]
fn half_a_request_is_not_late_because_an_answer_was_slow() {
    const HEAD: Duration = Duration::from_millis(1500);
    let server = Server::with(&["--head-timeout", "1.5"]);
    server.put_zeros("large.bin", 32 << 20);
    attempt(HEAD / 2, || {
        let (requests, mut client) = (get("/large.bin", "") + &get("/hello", ""), server.connect());
        let (start, rest) = requests.split_at(requests.len() - 10);
        client.send(start.as_bytes());
        thread::sleep(2 * HEAD);
        let start = Instant::now();
        assert_eq!(client.response().body.len(), 32 << 20);
        client.send(rest.as_bytes());
        let held_up = start.elapsed();
        (client.response().status == 200, held_up)
    });
}

/// At such a pace a part of a file takes several times the limit, and some of it is always taken.
#[test]
fn a_client_that_reads_slowly_is_not_cut() {
    const SEND: Duration = Duration::from_secs(2);
    let server = Server::with(&["--send-timeout", "2"]);
    server.put_zeros("large.bin", 64 << 20);
    attempt(SEND / 2, || {
        let mut client = server.connect_narrow();
        client.send(get("/large.bin", "").as_bytes());
        let (start, mut last, mut held_up) = (Instant::now(), Instant::now(), Duration::ZERO);
        while start.elapsed() < 3 * SEND {
            thread::sleep(Duration::from_millis(250));
            let count = client.receive(&mut [0; 16 * 1024]);
            held_up = held_up.max(last.elapsed());
            last = Instant::now();
            if count == 0 {
                return (false, held_up);
            }
        }
        (true, held_up)
    });
}

#[test]
fn a_client_that_never_reads_is_cut() {
    let server = Server::with(&["--send-timeout", "0.3"]);
    server.put_zeros("large.bin", 64 << 20);
    let mut stuck = Vec::new();
    for target in ["/large.bin", "/", "/hello"] {
        let client = server.connect_narrow();
        client.stream.set_nonblocking(true).unwrap();
        let _ = (&client.stream).write(get(target, "").repeat(100_000).as_bytes());
        stuck.push(client);
    }
    wait_until("they are gone", || server.figure("open") == 1);
}

/// More connections than descriptors: some wait, and accepting goes on by itself.
#[test]
fn descriptors_may_run_out() {
    const DESCRIPTORS: usize = 64;
    const CLIENTS: usize = 200;
    if !cfg!(target_os = "linux") {
        eprintln!("SKIPPED: only Linux shows another process's descriptors as files");
        return;
    }
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(format!("ulimit -n {DESCRIPTORS}; exec \"$0\" \"$@\"")).arg(binary());
    let server = Server::spawn(shell, &[]);
    server.put("a.txt", b"0123456789");
    let mut first = server.connect();
    first.send(get("/a.txt", "").as_bytes());
    first.response().expect(200, b"0123456789");
    let go = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                let mut client = server.connect();
                client.send(get("/hello", "").as_bytes());
                wait_until("the descriptors run out", || go.load(Ordering::Relaxed));
                client.response().expect(200, HELLO);
            });
        }
        let descriptors = format!("/proc/{}/fd", server.process.id());
        wait_until("the descriptors run out", || {
            // Whatever started this test may have handed down some that are over the limit.
            let names = fs::read_dir(&descriptors).unwrap().map(|entry| entry.unwrap().file_name());
            let number = |name: OsString| name.to_str().unwrap().parse::<usize>().unwrap();
            names.map(number).filter(|&number| number < DESCRIPTORS).count() == DESCRIPTORS
        });
        first.send(get("/a.txt", "").as_bytes());
        first.response().expect(503, b"Service Unavailable");
        go.store(true, Ordering::Relaxed);
    });
    first.send(get("/a.txt", "").as_bytes());
    first.response().expect(200, b"0123456789");
    server.expect_alive("a lack of descriptors");
}

#[test]
fn a_signal_ends_it_with_an_idle_connection_open() {
    for signal in ["INT", "TERM"] {
        let mut server = Server::start();
        let mut silent = server.connect();
        let mut client = server.connect();
        client.send(get("/hello", "").as_bytes());
        client.response().expect(200, HELLO);
        server.signal(signal);
        client.expect_closed();
        silent.expect_closed();
        assert_eq!(server.process.wait().unwrap().code(), Some(0));
    }
}

#[test]
fn what_is_under_way_is_finished() {
    let mut server = Server::start();
    server.put_zeros("large.bin", 64 << 20);
    let mut download = server.connect();
    download.send(get("/large.bin", "").as_bytes());
    let mut part = vec![0; 64 * 1024];
    let mut received = download.receive(&mut part);
    let (half, rest) = "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n".split_at(20);
    let mut request = server.connect();
    // In one piece behind a whole request: when that is answered, the half has arrived too.
    request.send(format!("{half}{rest}{half}").as_bytes());
    request.response().expect(200, HELLO);
    server.signal("TERM");
    wait_until("it accepts no more", || TcpStream::connect(server.address).is_err());
    request.send(rest.as_bytes());
    let response = request.response();
    response.expect(200, HELLO);
    assert_eq!(response.field("Connection"), Some("close"));
    request.expect_closed();
    loop {
        match download.receive(&mut part) {
            0 => break,
            count => received += count,
        }
    }
    assert!(received > 64 << 20, "the file came whole: {received} bytes");
    assert_eq!(server.process.wait().unwrap().code(), Some(0));
}

#[test]
fn what_does_not_finish_is_left_after_the_grace() {
    let mut server = Server::with(&["--grace", "0.3"]);
    server.put_zeros("large.bin", 64 << 20);
    let mut stuck = server.connect();
    stuck.send(get("/large.bin", "").as_bytes());
    stuck.receive(&mut [0; 100]);
    let mut half = server.connect();
    half.send(b"GET /");
    server.signal("TERM");
    assert_eq!(server.process.wait().unwrap().code(), Some(0));
}
