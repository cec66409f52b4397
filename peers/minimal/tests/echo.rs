//! Every minimal server that is built sends back what it got.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

/// More than one receive takes.
const SENT: usize = 100_000;

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn echoes(program: &str) {
    let child = Command::new(program).stdout(Stdio::piped()).spawn().expect("it starts");
    let mut server = Running(child);
    let mut line = String::new();
    let stdout = server.0.stdout.take().expect("its output is a pipe");
    BufReader::new(stdout).read_line(&mut line).expect("it says where it listens");
    let addr = line.trim().strip_prefix("listening ").expect("as the other servers do");
    for _ in 0..2 {
        let mut stream = TcpStream::connect(addr).expect("it accepts");
        let sent: Vec<u8> = (0..SENT).map(|at| (at % 251) as u8).collect();
        let mut sending = stream.try_clone().expect("a socket can be cloned");
        let (copy, mut answer) = (sent.clone(), vec![0; SENT]);
        let sender = std::thread::spawn(move || sending.write_all(&copy));
        stream.read_exact(&mut answer).expect("all of it comes back");
        sender.join().expect("the sender does not panic").expect("all of it is taken");
        assert!(answer == sent, "as it was sent");
    }
}

#[test]
fn std_echoes() {
    echoes(env!("CARGO_BIN_EXE_echo_std"));
}

#[cfg(feature = "compio")]
#[test]
fn compio_echoes() {
    echoes(env!("CARGO_BIN_EXE_echo_compio"));
}

#[cfg(feature = "glommio")]
#[test]
fn glommio_echoes() {
    echoes(env!("CARGO_BIN_EXE_echo_glommio"));
}

#[cfg(feature = "mio")]
#[test]
fn mio_echoes() {
    echoes(env!("CARGO_BIN_EXE_echo_mio"));
}

#[cfg(feature = "monoio")]
#[test]
fn monoio_echoes() {
    echoes(env!("CARGO_BIN_EXE_echo_monoio"));
}

#[cfg(feature = "tigereye")]
#[test]
fn tigereye_echoes() {
    echoes(env!("CARGO_BIN_EXE_echo_tigereye"));
}

#[cfg(feature = "tokio")]
#[test]
fn tokio_echoes() {
    echoes(env!("CARGO_BIN_EXE_echo_tokio"));
}

#[cfg(feature = "tokio-uring")]
#[test]
fn tokio_uring_echoes() {
    echoes(env!("CARGO_BIN_EXE_echo_tokio_uring"));
}
