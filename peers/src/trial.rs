//! Tries a server program: does it answer rightly, does it end when it is told to, and does it say
//! what is wrong with its command line? Tests call this with every server; a wrong answer panics.

use crate::accepts;
use crate::client::{self, Plan};
use crate::harness::file_page::FilePage;
use crate::harness::program::Server;
use crate::harness::report;
use crate::harness::storage::Files;
use crate::load::Script;
use crate::storage;
use serde_json::Value;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Longest wait for an answer.
const ANSWER_MAX: Duration = Duration::from_secs(30);
const CONNECTIONS: u32 = 8;
const PIPELINE: usize = 16;
const MESSAGES: u64 = 2000;
/// A file of a length that no buffer divides, and more than one chain's.
const TRIED: usize = (1 << 20) + 12_345;
const ACCEPTED: u64 = 300;
const RATE: f64 = 2000.0;
const RATE_SECONDS: f64 = 0.2;
/// Bytes of a file that is read block by block.
const STORED: u64 = 4 << 20;
const FILE_PIPELINE: usize = 3;
const FILE_MESSAGES: u64 = 60;
/// More than the sockets of both sides keep, by far: 6 MiB is the most that a receiver keeps
/// (`tcp_rmem`, tcp(7)), 4 MiB a sender.
const UNREAD: usize = 24 << 20;

/// Has a server answer everything that it serves; `flags` are its own.
pub fn answers(program: &str, flags: &[&str]) {
    for size in [64, 16 * 1024] {
        serve(program, flags, "echo", size, |addr| load(Script::echo(size), addr));
    }
    let run = |addr| {
        load(Script::http(addr)?, addr)?;
        pieces(addr)?;
        refused(addr)
    };
    serve(program, flags, "http", 64, run);
    let several = [flags, &["--connections", "8"]].concat();
    for (flags, connections) in [(flags, CONNECTIONS), (&several, CONNECTIONS), (&several, 1)] {
        serve(program, flags, "udp", 64, |addr| datagrams(addr, connections));
    }
    serve(program, flags, "accept", 64, accepts);
    serve(program, flags, "echo", 64, at_a_rate);
}

/// One under way on each socket.
fn datagrams(addr: SocketAddr, connections: u32) -> io::Result<()> {
    let plan = Plan { connections, ..plan(addr, 1, Some(MESSAGES)) };
    let outcome = client::run(Script::datagrams(64), plan)?;
    assert_eq!(outcome.messages, MESSAGES, "all are answered");
    Ok(())
}

/// Connections that are closed without a word.
fn accepts(addr: SocketAddr) -> io::Result<()> {
    let outcome = accepts::run(&plan(addr, 1, Some(ACCEPTED)))?;
    assert_eq!(outcome.messages, ACCEPTED, "all are closed");
    Ok(())
}

/// Messages at times that are fixed beforehand.
fn at_a_rate(addr: SocketAddr) -> io::Result<()> {
    let plan = Plan { rate: Some(RATE), seconds: RATE_SECONDS, ..plan(addr, 1, None) };
    let outcome = client::run(Script::echo(64), plan)?;
    let wanted = (RATE * RATE_SECONDS) as u64;
    // The count begins with the first completion.
    assert!(outcome.messages * 10 >= wanted * 9, "{} of {wanted}", outcome.messages);
    Ok(())
}

fn plan(addr: SocketAddr, pipeline: usize, messages: Option<u64>) -> Plan {
    let (warm_up, seconds, rate) = (0.0, 0.0, None);
    let (server, connections) = (None, CONNECTIONS);
    Plan { addr, server, connections, pipeline, warm_up, seconds, messages, rate }
}

/// Has a server answer with the contents of a file, also to a client that takes none for a while;
/// `flags` are its own.
pub fn sends_files(program: &str, flags: &[&str]) {
    let page = FilePage::make(&std::env::temp_dir(), TRIED).expect("a file is made");
    let path = page.path().to_string_lossy();
    let flags = [flags, &["--file", &path]].concat();
    let run = |addr| {
        let contents = std::fs::read(page.path())?;
        load_some(Script::file(addr, contents.clone())?, addr, FILE_PIPELINE, FILE_MESSAGES)?;
        unread_file(addr, &contents)?;
        refused(addr)
    };
    serve(program, &flags, "file", 64, run);
    std::fs::write(page.path(), "").expect("the file is there");
    refuses(program, &[&flags[..], &["--mode", "file"]].concat(), "it is empty");
    refuses(program, &["--mode", "file"], "--mode file needs --file");
}

/// Has a server keep answers for a client that takes none for a while, instead of giving it up.
pub fn waits(program: &str, flags: &[&str]) {
    serve(program, flags, "echo", 64, unread);
}

/// Tries the server of a library, by all that it serves.
pub fn library_answers(program: &str) {
    answers(program, &[]);
    waits(program, &[]);
    sends_files(program, &[]);
}

/// Has the server of a library refuse what it does not understand.
pub fn library_refuses(program: &str) {
    refuses(program, &["--mode", "gopher"], "--mode gopher: echo, http, file, udp or accept");
    refuses(program, &["--frills", "1"], "--frills is not known");
}

/// Has a server refuse a command line, with status 2 and a message in which `said` is found.
pub fn refuses(program: &str, flags: &[&str], said: &str) {
    let output = Command::new(program).args(flags).stdin(Stdio::null()).output();
    let output = output.expect("the program starts");
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{program} {flags:?}: {message}");
    assert!(message.contains(said), "{program} {flags:?}: {message}");
}

/// Has a program of `storage` give every figure, or say why not; find a file that is another one; and
/// refuse what it does not understand.
pub fn stores(program: &str, flags: &[&str], appends: bool) {
    static MADE: AtomicU32 = AtomicU32::new(0);
    let made = MADE.fetch_add(1, Ordering::Relaxed);
    let folder = format!("{program}.files.{}.{made}", std::process::id());
    let files = Files::make(Path::new(&folder), STORED).expect("the files are made");
    let run = || {
        let mut command = Command::new(program);
        command.args(flags).args(files.flags(0.02)).stdin(Stdio::null());
        command.output().expect("the program starts")
    };
    let output = run();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {flags:?}: {said}");
    let printed = String::from_utf8_lossy(&output.stdout);
    let names = printed.lines().map(|line| {
        let line: Value = serde_json::from_str(line).expect("a line is JSON");
        let is_figure = line["ns"].as_f64().is_some_and(|ns| ns > 0.0);
        assert!(is_figure || line["left_out"].is_string(), "{program} {flags:?}: {line}");
        report::text(&line, "figure").to_owned()
    });
    let reads = [false, true].into_iter().flat_map(|direct| {
        storage::DEPTHS.into_iter().map(move |depth| storage::read_name(direct, depth))
    });
    let wanted = reads.chain(appends.then(|| storage::APPEND.to_owned()));
    assert_eq!(names.collect::<Vec<_>>(), wanted.collect::<Vec<_>>(), "{program} {flags:?}");

    std::fs::write(files.data(), vec![0; STORED as usize]).expect("the file is another one");
    let output = run();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("not that block"), "{program}: {said}");
    refuses(program, &["--frills", "1"], "--frills is not known");
    refuses(program, &["--only", "half"], "--only half: buffered or direct");
}

fn serve(
    program: &str,
    flags: &[&str],
    mode: &str,
    size: usize,
    run: impl FnOnce(SocketAddr) -> io::Result<()>,
) {
    let label = format!("{program} {flags:?} --mode {mode} --size {size}");
    let child = Command::new(program)
        .args(flags)
        .args(["--mode", mode, "--size", &size.to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn();
    let tried = child.and_then(|child| Server::announced(child, &label)).and_then(|server| {
        run(server.addr)?;
        server.stop()
    });
    if let Err(error) = tried {
        panic!("{label}: {error}");
    }
}

/// As the harness does it, which checks what comes back.
fn load(script: Script, addr: SocketAddr) -> io::Result<()> {
    load_some(script, addr, PIPELINE, MESSAGES)
}

fn load_some(script: Script, addr: SocketAddr, pipeline: usize, messages: u64) -> io::Result<()> {
    let outcome = client::run(script, plan(addr, pipeline, Some(messages)))?;
    assert_eq!(outcome.messages, messages, "all are answered");
    Ok(())
}

fn connect(addr: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(addr)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(ANSWER_MAX))?;
    stream.set_write_timeout(Some(ANSWER_MAX))?;
    Ok(stream)
}

/// A client that takes no answer for a while, and has ended its side before it takes the last: all
/// of them still come, in order, and then the end.
fn unread(addr: SocketAddr) -> io::Result<()> {
    let mut stream = connect(addr)?;
    let sent: Vec<u8> = (0..UNREAD as u32 / 4).flat_map(u32::to_le_bytes).collect();
    let mut sending = stream.try_clone()?;
    let mut answer = Vec::new();
    std::thread::scope(|scope| {
        let sender = scope.spawn(|| {
            sending.write_all(&sent)?;
            sending.shutdown(Shutdown::Write)
        });
        std::thread::sleep(Duration::from_millis(200));
        stream.read_to_end(&mut answer)?;
        sender.join().expect("the sender does not panic")
    })?;
    assert_eq!(answer.len(), sent.len(), "every byte comes back before the end");
    assert!(answer == sent, "the bytes that come back are those that were sent");
    Ok(())
}

/// A client that asks many times before it takes the first byte.
fn unread_file(addr: SocketAddr, contents: &[u8]) -> io::Result<()> {
    let mut stream = connect(addr)?;
    for _ in 0..UNREAD / contents.len() {
        stream.write_all(b"GET /file HTTP/1.1\r\nHost: a\r\n\r\n")?;
    }
    std::thread::sleep(Duration::from_millis(200));
    let mut answer = vec![0; contents.len()];
    for _ in 0..UNREAD / contents.len() {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte)?;
            head.push(byte[0]);
        }
        assert!(head.starts_with(b"HTTP/1.1 200 OK"), "{}", String::from_utf8_lossy(&head));
        stream.read_exact(&mut answer)?;
        assert!(answer == contents, "the contents of the file come");
    }
    Ok(())
}

/// A request that comes in two pieces.
fn pieces(addr: SocketAddr) -> io::Result<()> {
    let mut stream = connect(addr)?;
    stream.write_all(b"GET /hello HT")?;
    std::thread::sleep(Duration::from_millis(20));
    stream.write_all(b"TP/1.1\r\nHost: a\r\n\r\n")?;
    let mut status = [0; 15];
    stream.read_exact(&mut status)?;
    assert_eq!(&status, b"HTTP/1.1 200 OK");
    Ok(())
}

/// A request of something else is refused, and the connection ends.
fn refused(addr: SocketAddr) -> io::Result<()> {
    let mut stream = connect(addr)?;
    stream.write_all(b"GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
    Ok(())
}
