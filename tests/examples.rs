//! The small examples, each as a process of its own, with a client of the standard library.
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "common/example.rs"]
mod example;
#[path = "common/patient.rs"]
#[allow(dead_code, reason = "other tests use more of it")]
mod patient;

use std::net::{SocketAddr, UdpSocket};
use std::process::Command;
use std::time::Duration;

use example::Example;
use patient::patiently;

/// Longer than any answer takes, on the busiest machine.
const HANG: Duration = Duration::from_secs(120);

#[test]
fn udp_echo_answers_each_client() {
    let server = Example::start("udp_echo", &["127.0.0.1:0".as_ref()]).unwrap();
    let address: SocketAddr = server.address.parse().unwrap();
    let clients = [(); 2].map(|()| {
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        client.set_read_timeout(Some(HANG)).unwrap();
        client
    });
    let mut buf = [0; 4096];
    for message in [&b"one"[..], b"", b"three", &[7; 1900]] {
        for client in &clients {
            client.send_to(message, address).unwrap();
        }
        for client in &clients {
            let (len, from) = patiently(|| client.recv_from(&mut buf)).unwrap();
            assert_eq!((&buf[..len], from), (message, address));
        }
    }
    // What is cut is not answered, and what comes after it is.
    clients[0].send_to(&[7; 2000], address).unwrap();
    clients[0].send_to(b"after", address).unwrap();
    let len = patiently(|| clients[0].recv(&mut buf)).unwrap();
    assert_eq!(&buf[..len], b"after");
}

#[test]
fn the_simulation_holds_for_its_seeds() {
    let run = Command::new(example::binary("simulation")).args(["--seeds", "30"]).output().unwrap();
    let output = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success() && output.starts_with("30 seeds, "), "{output}");
}
