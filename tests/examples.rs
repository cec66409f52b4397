//! The small examples, each as a process of its own, with a client of the standard library.
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "common/patient.rs"]
#[allow(dead_code, reason = "other tests use more of it")]
mod patient;

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use patient::patiently;

/// Longer than any answer takes, on the busiest machine.
const HANG: Duration = Duration::from_secs(120);

/// An example that runs, and where it listens; it ends with this value.
struct Server {
    process: Child,
    address: SocketAddr,
}

impl Server {
    fn start(name: &str) -> Server {
        // The examples are beside the tests: `target/…/deps/examples-…`, `target/…/examples/echo`.
        let test = std::env::current_exe().unwrap();
        let binary = test.parent().and_then(Path::parent).unwrap().join("examples").join(name);
        let mut command = Command::new(&binary);
        let process = command.arg("127.0.0.1:0").stdout(Stdio::piped()).spawn();
        let mut process = process.unwrap_or_else(|error| {
            panic!("`cargo build --examples` makes {}: {error}", binary.display())
        });
        let mut line = String::new();
        BufReader::new(process.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening ").unwrap().parse().unwrap();
        Server { process, address }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn udp_echo_answers_each_client() {
    let server = Server::start("udp_echo");
    let clients = [(); 2].map(|()| {
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        client.set_read_timeout(Some(HANG)).unwrap();
        client
    });
    let mut buf = [0; 4096];
    for message in [&b"one"[..], b"", b"three", &[7; 1900]] {
        for client in &clients {
            client.send_to(message, server.address).unwrap();
        }
        for client in &clients {
            let (len, from) = patiently(|| client.recv_from(&mut buf)).unwrap();
            assert_eq!((&buf[..len], from), (message, server.address));
        }
    }
    // What is cut is not answered, and what comes after it is.
    clients[0].send_to(&[7; 2000], server.address).unwrap();
    clients[0].send_to(b"after", server.address).unwrap();
    let len = patiently(|| clients[0].recv(&mut buf)).unwrap();
    assert_eq!(&buf[..len], b"after");
}
