//! The web server, end to end: its process on a real port, honest clients and hostile ones.
#![allow(clippy::unwrap_used, reason = "tests")]

mod client;
mod hostile;

use std::fs;
use std::io::Write;
use std::net::TcpStream;
use std::process::Command;
use std::thread;
use std::time::{Duration, SystemTime};

use client::{Server, get};
use hostile::Expected;

const HELLO: &[u8] = b"Hello, world!";

#[test]
fn hostile_requests_are_refused_and_nothing_breaks() {
    let server = Server::start();
    server.put("dir/index.html", b"index");
    fs::write(server.directory.join("secret.txt"), b"secret").unwrap();
    let table = hostile::table();
    assert!(table.len() >= 150, "{} entries", table.len());
    let mut wrong = Vec::new();
    for (number, entry) in table.iter().enumerate() {
        let statuses = server.connect().exchange(&entry.bytes);
        let right = match entry.expected {
            Expected::Status(known) => statuses.last().is_some_and(|last| known.contains(last)),
            Expected::Close => statuses.is_empty(),
        };
        if !right {
            wrong.push(format!("{}: {statuses:?}", entry.name));
        }
        if number % 20 == 0 {
            server.expect_alive(&entry.name);
        }
    }
    server.expect_alive("all of them");
    println!("{} hostile requests", table.len());
    assert!(wrong.is_empty(), "{} wrong answers:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn a_refusal_closes() {
    let server = Server::start();
    let mut client = server.connect();
    client.send(b"GET / HTTP/1.1\r\n\r\nGET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    let response = client.response();
    response.expect(400, b"Bad Request");
    assert_eq!(response.field("Connection"), Some("close"));
    client.expect_closed();
}

#[test]
fn abrupt_closes_break_nothing() {
    let server = Server::start();
    let good = get("/hello", "");
    for length in 0..=good.len() {
        // Unread answers make the close a reset.
        let mut client = server.connect();
        client.send(&good.as_bytes()[..length]);
    }
    server.expect_alive("closes");
}

#[test]
fn bytes_one_by_one() {
    let server = Server::start();
    let mut client = server.connect();
    let chunked = "POST /hello HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
                   5;a=b\r\nhello\r\n0\r\nX: a\r\n\r\n";
    for byte in get("/hello", "").bytes().chain(chunked.bytes()).chain(get("/hello", "").bytes()) {
        client.send(&[byte]);
    }
    client.response().expect(200, HELLO);
    client.response().expect(405, b"Method Not Allowed");
    client.response().expect(200, HELLO);
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let server = Server::start();
    let mut requests = String::new();
    for number in 0..100 {
        server.put(&format!("{number}.txt"), format!("file {number}").as_bytes());
        requests += &get(&format!("/{number}.txt"), "");
        requests += &get("/hello", "");
    }
    let mut client = server.connect();
    client.send(requests.as_bytes());
    for number in 0..100 {
        client.response().expect(200, format!("file {number}").as_bytes());
        client.response().expect(200, HELLO);
    }
}

#[test]
fn connections_are_kept_or_closed_as_asked() {
    let server = Server::start();
    let mut client = server.connect();
    for _ in 0..10 {
        client.send(get("/hello", "").as_bytes());
        let response = client.response();
        response.expect(200, HELLO);
        assert!(response.field("Date").is_some_and(|date| date.ends_with(" GMT")));
        assert_eq!(response.field("Connection"), None);
    }
    client.send(get("/hello", "Connection: x, CLOSE\r\n").as_bytes());
    let response = client.response();
    assert_eq!(response.field("Connection"), Some("close"));
    client.expect_closed();
    for fields in ["", "Connection: close, keep-alive\r\n", "Connection: x\r\n"] {
        let mut client = server.connect();
        client.send(format!("GET /hello HTTP/1.0\r\n{fields}\r\n").as_bytes());
        client.response().expect(200, HELLO);
        client.expect_closed();
    }
}

#[test]
fn head_has_no_body() {
    let server = Server::start();
    server.put("a.txt", b"0123456789");
    let mut client = server.connect();
    for (target, status, length) in
        [("/hello", 200, "13"), ("/a.txt", 200, "10"), ("/none", 404, "9"), ("/%00", 400, "11")]
    {
        let head = format!("HEAD {target} HTTP/1.1\r\nHost: a\r\nRange: bytes=0-0\r\n\r\n");
        client.send(head.as_bytes());
        let response = client.response_to_head();
        assert_eq!((response.status, response.field("Content-Length")), (status, Some(length)));
    }
    client.send(get("/hello", "").as_bytes());
    client.response().expect(200, HELLO);
}

#[test]
fn expectations_are_met_before_the_body() {
    let server = Server::start();
    let mut client = server.connect();
    let fields = "Expect: 100-continue\r\nContent-Length: 5\r\n";
    client.send(get("/hello", fields).as_bytes());
    assert_eq!(client.response().status, 100);
    client.response().expect(200, HELLO);
    client.send(b"12345");
    // Without a body there is nothing to wait for.
    client.send(get("/hello", "Expect: 100-continue\r\n").as_bytes());
    client.response().expect(200, HELLO);
}

#[test]
fn bodies_are_drained() {
    let server = Server::start();
    let mut client = server.connect();
    let large = "x".repeat(1024 * 1024);
    let chunks = format!("5;a=\"b\"\r\nhello\r\n10000\r\n{}\r\n0\r\nX: y\r\n\r\n", &large[..65536]);
    for (field, body) in [
        ("Content-Length: 0", ""),
        ("Content-Length: 24", "GET /none HTTP/1.1\r\n\r\n\r\n"),
        ("Content-Length: 1048576", large.as_str()),
        ("Transfer-Encoding: chunked", "0\r\n\r\n"),
        ("Transfer-Encoding: Chunked", chunks.as_str()),
    ] {
        let head = format!("POST / HTTP/1.1\r\nHost: a\r\n{field}\r\n\r\n");
        client.send(&[head.as_bytes(), body.as_bytes(), get("/hello", "").as_bytes()].concat());
        client.response().expect(405, b"Method Not Allowed");
        client.response().expect(200, HELLO);
    }
}

#[test]
fn what_arrived_with_a_body_is_answered_too() {
    let server = Server::start();
    server.put("a.txt", b"0123456789");
    let body = "Content-Length: 5\r\n";
    let file = format!("{}hello", get("/a.txt", body));
    let mut client = server.connect();
    client.send(&[file.as_bytes(), get("/hello", "").as_bytes()].concat());
    client.response().expect(200, b"0123456789");
    client.response().expect(200, HELLO);
    client.send(format!("{}hello", get("/", body)).repeat(70).as_bytes());
    client.send(get("/hello", "").as_bytes());
    for _ in 0..70 {
        client.response();
    }
    client.response().expect(200, HELLO);
}

#[test]
fn ranges() {
    let server = Server::start();
    server.put("a.txt", b"0123456789");
    for (range, content, body) in [
        ("bytes=2-4", "bytes 2-4/10", "234"),
        ("bytes=0-0", "bytes 0-0/10", "0"),
        ("bytes=-3", "bytes 7-9/10", "789"),
        ("bytes=-30", "bytes 0-9/10", "0123456789"),
        ("bytes=7-", "bytes 7-9/10", "789"),
        ("bytes=8-30", "bytes 8-9/10", "89"),
        ("bytes=8-18446744073709551615", "bytes 8-9/10", "89"),
    ] {
        let response = server.get("/a.txt", &format!("Range: {range}\r\n"));
        response.expect(206, body.as_bytes());
        assert_eq!(response.field("Content-Range"), Some(content), "{range}");
    }
    for range in ["bytes=10-", "bytes=10-20", "bytes=-0"] {
        let response = server.get("/a.txt", &format!("Range: {range}\r\n"));
        assert_eq!(response.status, 416, "{range}");
        assert_eq!(response.field("Content-Range"), Some("bytes */10"));
    }
    for range in ["bytes=4-2", "bytes=a-b", "bytes=", "bytes", "lines=1-2", "bytes=-", "bytes=+1-2"]
    {
        let response = server.get("/a.txt", &format!("Range: {range}\r\n"));
        response.expect(200, b"0123456789");
    }
}

#[test]
fn conditional_requests() {
    let server = Server::start();
    let path = server.put("a.txt", b"0123456789");
    let hour = Duration::from_secs(3600);
    let file = fs::File::options().write(true).open(path).unwrap();
    file.set_modified(SystemTime::now() - 2 * hour).unwrap();
    let response = server.get("/a.txt", "");
    response.expect(200, b"0123456789");
    let tag = response.field("ETag").unwrap();
    let date = response.field("Last-Modified").unwrap();
    let earlier = httpdate::fmt_http_date(SystemTime::now() - 3 * hour);
    let later = httpdate::fmt_http_date(SystemTime::now() - hour);
    for (fields, status) in [
        (format!("If-None-Match: {tag}\r\n"), 304),
        (format!("If-None-Match: \"a\", W/{tag}\r\n"), 304),
        ("If-None-Match: *\r\n".to_owned(), 304),
        ("If-None-Match: \"a\"\r\n".to_owned(), 200),
        (format!("If-Modified-Since: {date}\r\n"), 304),
        (format!("If-Modified-Since: {later}\r\n"), 304),
        (format!("If-Modified-Since: {earlier}\r\n"), 200),
        ("If-Modified-Since: yesterday\r\n".to_owned(), 200),
        (format!("If-None-Match: \"a\"\r\nIf-Modified-Since: {later}\r\n"), 200),
        (format!("Range: bytes=0-1\r\nIf-Range: {tag}\r\n"), 206),
        (format!("Range: bytes=0-1\r\nIf-Range: {date}\r\n"), 206),
        (format!("Range: bytes=0-1\r\nIf-Range: {later}\r\n"), 200),
        (format!("Range: bytes=0-1\r\nIf-Range: W/{tag}\r\n"), 200),
        ("Range: bytes=0-1\r\nIf-Range: \"a\"\r\n".to_owned(), 200),
        (format!("Range: bytes=0-1\r\nIf-None-Match: {tag}\r\n"), 304),
    ] {
        let response = server.get("/a.txt", &fields);
        assert_eq!(response.status, status, "{fields}");
        assert_eq!(response.field("ETag"), Some(tag), "{fields}");
    }
}

#[test]
fn only_files_under_the_root() {
    let server = Server::start();
    let (root, secret) = (server.root(), server.directory.join("secret.txt"));
    fs::write(&secret, b"secret").unwrap();
    server.put("dir/index.html", b"index");
    server.put("a b.txt", b"a b");
    fs::create_dir(root.join("empty")).unwrap();
    fs::create_dir(root.join("trap")).unwrap();
    for (target, link) in [
        (secret.as_path(), "link.txt"),
        (secret.as_path(), "trap/index.html"),
        (server.directory.as_path(), "up"),
        (root.join("a b.txt").as_path(), "inside.txt"),
    ] {
        std::os::unix::fs::symlink(target, root.join(link)).unwrap();
    }
    let made = Command::new("mkfifo").arg(root.join("fifo")).status().unwrap();
    assert!(made.success());
    let targets =
        ["/link.txt", "/up/secret.txt", "/up", "/trap", "/trap/", "/fifo", "/empty", "/no"];
    for target in targets {
        let response = server.get(target, "");
        assert_eq!(
            (response.status, response.body.as_slice()),
            (404, &b"Not Found"[..]),
            "{target}"
        );
    }
    for (target, body) in
        [("/dir", "index"), ("/dir/", "index"), ("/a%20b.txt?x", "a b"), ("/inside.txt", "a b")]
    {
        server.get(target, "").expect(200, body.as_bytes());
    }
}

#[test]
fn a_large_file_comes_whole() {
    let server = Server::start();
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|at| at.to_le_bytes()[at as usize % 3]).collect();
    server.put("large.bin", &bytes);
    let mut client = server.connect();
    client.send([get("/large.bin", ""), get("/hello", "")].concat().as_bytes());
    client.response().expect(200, &bytes);
    client.response().expect(200, HELLO);
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
fn a_signal_ends_it_with_an_idle_connection_open() {
    let mut server = Server::start();
    let mut client = server.connect();
    client.send(get("/hello", "").as_bytes());
    client.response().expect(200, HELLO);
    let pid = server.process.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    client.expect_closed();
    assert_eq!(server.process.wait().unwrap().code(), Some(0));
}

#[test]
fn curl_fetches() {
    if Command::new("curl").arg("--version").output().is_err() {
        println!("curl is not here");
        return;
    }
    let server = Server::start();
    server.put("a.txt", b"0123456789");
    let url = |path: &str| format!("http://{}{path}", server.address);
    let fetch = |arguments: &[&str]| {
        let output = Command::new("curl").args(["-sS", "-m", "20"]).args(arguments).output();
        let output = output.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    };
    assert_eq!(fetch(&[&url("/hello")]), HELLO);
    assert_eq!(fetch(&["-r", "2-4", &url("/a.txt")]), b"234");
    assert_eq!(fetch(&["-d", "body", &url("/")]), b"Method Not Allowed");
    assert_eq!(fetch(&["--http1.0", &url("/hello"), &url("/a.txt")]), b"Hello, world!0123456789");
    assert!(fetch(&[&url("/")]).starts_with(b"<!"));
}
