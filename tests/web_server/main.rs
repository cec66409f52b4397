//! The web server, end to end: its process on a real port, honest clients and hostile ones.
#![allow(clippy::disallowed_methods, reason = "tests have clocks and threads of their own")]
#![allow(clippy::unwrap_used, reason = "tests")]

mod client;
mod command_line;
mod files;
mod hostile;
mod limits;
#[path = "../common/patient.rs"]
mod patient;
mod tools;

use std::fs;

use client::{Server, get, wait_until};
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
        let response = client.response();
        response.expect(200, HELLO);
        assert_eq!(response.field("Connection"), Some("close"));
        client.expect_closed();
    }
}

/// Such a client goes on only when it is told that it may (RFC 9112, C.2.2).
#[test]
fn an_old_client_is_told_that_its_connection_is_kept() {
    let server = Server::start();
    server.put("a.txt", b"0123456789");
    let mut client = server.connect();
    for (target, status, body) in [
        ("/hello", 200, HELLO),
        ("/a.txt", 200, b"0123456789".as_slice()),
        ("/none", 404, b"Not Found"),
    ] {
        let head = format!("GET {target} HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n");
        client.send(head.as_bytes());
        let response = client.response();
        response.expect(status, body);
        assert_eq!(response.field("Connection"), Some("keep-alive"), "{target}");
    }
    client.send(b"GET /hello HTTP/1.0\r\n\r\n");
    client.response().expect(200, HELLO);
    client.expect_closed();
}

/// The name of the driver that a loop has: here, or where the program runs that is tested in the example's
/// place.
fn driver() -> String {
    if std::env::var_os(client::PROGRAM).is_some() {
        return "iocp".into();
    }
    tigereye::Io::new().unwrap().driver().kind.to_string()
}

#[test]
fn the_figures_are_true() {
    let server = Server::start();
    for _ in 0..5 {
        let mut client = server.connect();
        client.send(get("/hello", "").repeat(10).as_bytes());
        for _ in 0..10 {
            client.response().expect(200, HELLO);
        }
    }
    let response = server.get("/stats.json", "");
    assert_eq!(response.field("Content-Type"), Some("application/json"));
    let json = String::from_utf8(response.body).unwrap();
    assert!(json.starts_with(&format!("{{\"driver\":\"{}\",", driver())), "{json}");
    // The one before asked as well, and so does this one.
    assert_eq!(server.figure("requests"), 52);
    assert_eq!(server.figure("connections"), 8);
    wait_until("operations", || server.figure("operations") > 100);
    wait_until("system calls", || server.figure("system_calls") > 0);
    wait_until("all have gone but the one that asks", || server.figure("open") == 1);
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
