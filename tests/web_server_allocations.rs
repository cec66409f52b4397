//! No allocation per keep-alive request of `/hello`: the web server's own code, all of it but its
//! command line, on a loop whose thread is watched.
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "../examples/web_server/conditions.rs"]
mod conditions;
#[path = "../examples/web_server/connection.rs"]
mod connection;
mod counting;
#[path = "../examples/web_server/figures.rs"]
mod figures;
#[path = "../examples/web_server/files.rs"]
mod files;
#[path = "../examples/web_server/page.rs"]
mod page;
#[path = "common/patient.rs"]
mod patient;
#[path = "../examples/web_server/request.rs"]
mod request;
#[path = "../examples/web_server/response.rs"]
mod response;
#[path = "../examples/web_server/server.rs"]
#[expect(dead_code, reason = "one loop shares with nobody")]
mod server;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::mpsc;

use figures::Figures;
use patient::read_some;
use server::{Limits, Settings};
use tigereye::{Io, ListenOptions, Remote, Threads};

const WARM_ROUNDS: usize = 2_000;
const ROUNDS: usize = 10_000;

fn start() -> (Threads, SocketAddr) {
    let settings = Settings {
        figures: Figures::new(1),
        root: None,
        limits: Limits::default(),
        one_acceptor: !ListenOptions::REUSE_PORT_SPREADS,
    };
    let (started, start) = mpsc::channel();
    let threads = Threads::start(1, &Io::builder(), move |index, io| {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        started.send(server::start(io, any, index, settings.clone())?).unwrap();
        Ok(())
    });
    (threads.unwrap(), start.recv().unwrap())
}

/// Runs `call` on the loop's thread and gives its result.
fn on_loop<T: Send + 'static>(remote: &Remote, call: fn() -> T) -> T {
    // One with room from the start: to send allocates nothing.
    let (done, result) = mpsc::sync_channel(1);
    assert!(remote.post(move |_io| done.send(call()).unwrap()).is_ok());
    result.recv().unwrap()
}

/// One round: some requests at once, and their answers.
fn round(stream: &mut TcpStream, requests: &[u8], answers: &mut [u8]) {
    stream.write_all(requests).unwrap();
    stream.read_exact(answers).unwrap();
    assert!(answers.starts_with(b"HTTP/1.1 200 OK\r\n") && answers.ends_with(b"Hello, world!"));
}

/// The allocations on the loop's thread in `ROUNDS` rounds of a connection that is warm.
fn allocations(remote: &Remote, address: SocketAddr, request: &str, at_once: usize) -> usize {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = [0; 1024];
    let mut length = 0;
    while !answer[..length].ends_with(b"Hello, world!") {
        length += read_some(&mut stream, &mut answer[length..]).unwrap();
    }
    let (requests, mut answers) = (request.repeat(at_once), vec![0; length * at_once]);
    for _ in 0..WARM_ROUNDS {
        round(&mut stream, requests.as_bytes(), &mut answers);
    }
    on_loop(remote, counting::watch);
    for _ in 0..ROUNDS / at_once {
        round(&mut stream, requests.as_bytes(), &mut answers);
    }
    on_loop(remote, counting::unwatch)
}

#[test]
fn a_kept_connection_allocates_nothing_per_request() {
    let (threads, address) = start();
    let remote = threads.remotes()[0].clone();
    let plain = "GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let browser = "GET /hello?a=b HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nConnection: keep-alive\r\n\
        Cache-Control: max-age=0\r\nUpgrade-Insecure-Requests: 1\r\nUser-Agent: Mozilla/5.0 (X11; \
        Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36\r\n\
        Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8\r\n\
        Sec-Fetch-Site: none\r\nAccept-Encoding: gzip, deflate, br\r\nAccept-Language: en\r\n\r\n";
    let old = "GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\n";
    for (request, at_once) in [(plain, 1), (plain, 16), (browser, 1), (browser, 4), (old, 1)] {
        let count = allocations(&remote, address, request, at_once);
        assert_eq!(count, 0, "{at_once} at once of {request}");
    }
    // To open a connection does allocate, and the counter sees it.
    on_loop(&remote, counting::watch);
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(plain.as_bytes()).unwrap();
    assert!(read_some(&mut stream, &mut [0; 100]).unwrap() > 0);
    assert!(on_loop(&remote, counting::unwatch) > 0, "the counter counts");
    assert!(remote.post(server::shut_down).is_ok());
    threads.join().unwrap();
}
