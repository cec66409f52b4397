//! Files under the root: which are there, which part of them, on which conditions.

use std::fs;
use std::process::Command;
use std::time::{Duration, SystemTime};

use crate::HELLO;
use crate::client::{Server, get};

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
        ("bytes=8-99999999999999999999999", "bytes 8-9/10", "89"),
        ("bytes=-99999999999999999999999", "bytes 0-9/10", "0123456789"),
        ("Bytes=2-4", "bytes 2-4/10", "234"),
    ] {
        let response = server.get("/a.txt", &format!("Range: {range}\r\n"));
        response.expect(206, body.as_bytes());
        assert_eq!(response.field("Content-Range"), Some(content), "{range}");
    }
    for range in ["bytes=10-", "bytes=10-20", "bytes=-0", "bytes=99999999999999999999999-"] {
        let response = server.get("/a.txt", &format!("Range: {range}\r\n"));
        assert_eq!(response.status, 416, "{range}");
        assert_eq!(response.field("Content-Range"), Some("bytes */10"));
    }
    for range in [
        "bytes=4-2",
        "bytes=a-b",
        "bytes=",
        "bytes",
        "lines=1-2",
        "bytes=-",
        "bytes=+1-2",
        "bytes=0-1,3-4",
    ] {
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
        (format!("If-None-Match: {tag}\r\nIf-None-Match: \"a\"\r\n"), 304),
        (format!("If-None-Match: \"a\"\r\nif-none-match: \"b\", {tag}\r\n"), 304),
        ("If-None-Match: \"a\"\r\nIf-None-Match: \"b\"\r\n".to_owned(), 200),
        ("If-None-Match: *\r\n".to_owned(), 304),
        ("If-None-Match: \"a\"\r\n".to_owned(), 200),
        (format!("If-Modified-Since: {date}\r\n"), 304),
        (format!("If-Modified-Since: {later}\r\n"), 304),
        (format!("If-Modified-Since: {earlier}\r\n"), 200),
        ("If-Modified-Since: yesterday\r\n".to_owned(), 200),
        (format!("If-Modified-Since: {later}\r\nIf-Modified-Since: {later}\r\n"), 200),
        (format!("If-None-Match: \"a\"\r\nIf-Modified-Since: {later}\r\n"), 200),
        (format!("Range: bytes=0-1\r\nIf-Range: {tag}\r\n"), 206),
        (format!("Range: bytes=0-1\r\nIf-Range: {date}\r\n"), 206),
        (format!("Range: bytes=0-1\r\nIf-Range: {later}\r\n"), 200),
        (format!("Range: bytes=0-1\r\nIf-Range: W/{tag}\r\n"), 200),
        ("Range: bytes=0-1\r\nIf-Range: \"a\"\r\n".to_owned(), 200),
        (format!("Range: bytes=0-1\r\nIf-None-Match: {tag}\r\n"), 304),
        ("Range: bytes=0-1\r\nRange: bytes=2-3\r\n".to_owned(), 200),
        (format!("If-Match: {tag}\r\n"), 200),
        (format!("If-Match: \"a\"\r\nIf-Match: {tag}\r\n"), 200),
        ("If-Match: *\r\n".to_owned(), 200),
        (format!("If-Unmodified-Since: {date}\r\n"), 200),
        (format!("If-Unmodified-Since: {later}\r\n"), 200),
        ("If-Unmodified-Since: yesterday\r\n".to_owned(), 200),
        (format!("If-Match: {tag}\r\nIf-Unmodified-Since: {earlier}\r\n"), 200),
    ] {
        let response = server.get("/a.txt", &fields);
        assert_eq!(response.status, status, "{fields}");
        assert_eq!(response.field("ETag"), Some(tag), "{fields}");
    }
    for fields in [
        "If-Match: \"a\"\r\n".to_owned(),
        format!("If-Match: W/{tag}\r\n"),
        format!("If-Unmodified-Since: {earlier}\r\n"),
        format!("If-Match: \"a\"\r\nIf-None-Match: {tag}\r\n"),
    ] {
        server.get("/a.txt", &fields).expect(412, b"Precondition Failed");
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
    for target in [
        "/link.txt",
        "/up/secret.txt",
        "/up",
        "/trap",
        "/trap/",
        "/fifo",
        "/empty",
        "/empty/",
        "/a%20b.txt/",
        "/no",
    ] {
        let response = server.get(target, "");
        assert_eq!(
            (response.status, response.body.as_slice()),
            (404, &b"Not Found"[..]),
            "{target}"
        );
    }
    for (target, body) in [("/dir/", "index"), ("/a%20b.txt?x", "a b"), ("/inside.txt", "a b")] {
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

/// Relative links in its index would lead to the wrong place.
#[test]
fn a_directory_without_its_slash_is_elsewhere() {
    let server = Server::start();
    server.put("a b/c/index.html", b"index");
    for (target, location) in
        [("/a%20b/c", "/a%20b/c/"), ("//a%20b/c?d", "/a%20b/c/"), ("http://x/a%20b/c", "/a%20b/c/")]
    {
        let response = server.get(target, "");
        response.expect(301, b"");
        assert_eq!(response.field("Location"), Some(location), "{target}");
        server.get(location, "").expect(200, b"index");
    }
}

#[test]
fn types() {
    let server = Server::start();
    for (name, target, kind) in [
        ("dir/index.html", "/dir/", "text/html; charset=utf-8"),
        ("dir.txt/index.html", "/dir.txt/", "text/html; charset=utf-8"),
        ("a.htm", "/a.htm", "text/html; charset=utf-8"),
        ("a.TXT", "/a.TXT", "text/plain; charset=utf-8"),
        ("a.css", "/a.css?b.png", "text/css; charset=utf-8"),
        ("a.js", "/a.js", "text/javascript; charset=utf-8"),
        ("a.json", "/a.json", "application/json"),
        ("a.svg", "/a.svg", "image/svg+xml"),
        ("a.png", "/a.png", "image/png"),
        ("a.tar.gz", "/a.tar.gz", "application/octet-stream"),
        ("README", "/README", "application/octet-stream"),
        (".html", "/.html", "application/octet-stream"),
    ] {
        server.put(name, b"a");
        let response = server.get(target, "");
        response.expect(200, b"a");
        assert_eq!(response.field("Content-Type"), Some(kind), "{target}");
    }
}

#[test]
fn an_empty_file() {
    let server = Server::start();
    server.put("empty.txt", b"");
    let mut client = server.connect();
    client.send([get("/empty.txt", ""), get("/hello", "")].concat().as_bytes());
    client.response().expect(200, b"");
    client.response().expect(200, HELLO);
    assert_eq!(server.get("/empty.txt", "Range: bytes=0-0\r\n").status, 416);
}

/// The head has promised what the file no longer has.
#[test]
fn a_file_that_shrinks_under_way_ends_its_connection() {
    let server = Server::start();
    let path = server.put("a.bin", b"");
    let file = fs::File::options().write(true).open(path).unwrap();
    file.set_len(1 << 30).unwrap();
    let mut client = server.connect();
    client.send(get("/a.bin", "").as_bytes());
    let mut part = vec![0; 64 * 1024];
    let mut received = client.receive(&mut part);
    file.set_len(0).unwrap();
    loop {
        match client.receive(&mut part) {
            0 => break,
            count => received += count,
        }
    }
    assert!(received < 1 << 30);
    server.expect_alive("a file that shrank");
}
