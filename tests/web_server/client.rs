//! The server's process, and a client on a plain socket that sees every byte.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use crate::patient::read_some;

/// Longer than any answer takes on any machine. The server has more with half a request, unless a
/// test has it otherwise.
const PATIENCE: Duration = Duration::from_secs(180);
const SERVER_PATIENCE: &str = "3600";

/// A server on a port of its own, and a directory whose `root` it serves.
pub(crate) struct Server {
    pub(crate) process: Child,
    pub(crate) address: SocketAddr,
    pub(crate) directory: PathBuf,
}

impl Server {
    pub(crate) fn start() -> Server {
        Server::with(&[])
    }

    /// One with these options besides, which win over the usual ones.
    pub(crate) fn with(options: &[&str]) -> Server {
        Server::spawn(Command::new(binary()), options)
    }

    /// One that `command` starts when it is given the server's arguments.
    pub(crate) fn spawn(mut command: Command, options: &[&str]) -> Server {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("tigereye-web-{}-{number}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        fs::create_dir_all(directory.join("root")).unwrap();
        let mut process = command
            .args(["--addr", "127.0.0.1:0", "--threads", "2", "--root"])
            .arg(directory.join("root"))
            .args(["--head-timeout", SERVER_PATIENCE, "--idle-timeout", SERVER_PATIENCE])
            .args(["--send-timeout", SERVER_PATIENCE, "--grace", SERVER_PATIENCE])
            .args(options)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let rest = line.strip_prefix("listening on http://").unwrap();
        let address = rest.split_once(" with").unwrap().0.parse().unwrap();
        Server { process, address, directory }
    }

    /// Puts a file of zeros under the root, which takes no room on the disk.
    pub(crate) fn put_zeros(&self, name: &str, length: u64) {
        fs::File::create(self.root().join(name)).unwrap().set_len(length).unwrap();
    }

    /// Puts a file under the root.
    pub(crate) fn put(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.root().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        path
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.directory.join("root")
    }

    pub(crate) fn connect(&self) -> Client {
        Client::on(TcpStream::connect(self.address).unwrap())
    }

    /// A client whose system takes little before it reads.
    pub(crate) fn connect_narrow(&self) -> Client {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_recv_buffer_size(16 * 1024).unwrap();
        socket.connect(&self.address.into()).unwrap();
        Client::on(socket.into())
    }

    /// One GET on a connection of its own, with these field lines.
    pub(crate) fn get(&self, target: &str, fields: &str) -> Response {
        let mut client = self.connect();
        client.send(get(target, fields).as_bytes());
        client.response()
    }

    /// The server still answers, and still the right thing.
    #[track_caller]
    pub(crate) fn expect_alive(&self, after: &str) {
        let response = self.get("/hello", "");
        assert_eq!(response.status, 200, "after {after}");
        assert_eq!(response.body, b"Hello, world!", "after {after}");
    }

    /// The sum of one of the figures over the loops.
    pub(crate) fn figure(&self, name: &str) -> u64 {
        let json = String::from_utf8(self.get("/stats.json", "").body).unwrap();
        let name = format!("\"{name}\":");
        let after = json.split(&name).skip(1);
        after.map(|rest| rest.split(['}', ',']).next().unwrap().parse::<u64>().unwrap()).sum()
    }

    /// Sends a signal of the system's, by its name. The shell has `kill` where no program has.
    pub(crate) fn signal(&self, name: &str) {
        let kill = format!("kill -s {name} {}", self.process.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// Where it is set: the program that is to be tested, in place of the example that is beside this test.
/// `cargo xtask windows` has it be one that runs under Wine.
pub(crate) const PROGRAM: &str = "TIGEREYE_TEST_WEB_SERVER";

/// The example beside this test: `target/…/deps/web_server-…` and `target/…/examples/web_server`.
pub(crate) fn binary() -> PathBuf {
    if let Some(program) = std::env::var_os(PROGRAM) {
        return program.into();
    }
    let test = std::env::current_exe().unwrap();
    let profile = test.parent().and_then(Path::parent).unwrap();
    let binary = profile.join("examples").join("web_server");
    // `cargo test` builds it, but `cargo test --test web_server` does not.
    let built = fs::metadata(&binary).and_then(|metadata| metadata.modified()).ok();
    let sources = fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/web_server"));
    let modified = sources.unwrap().map(|source| source.unwrap().metadata().unwrap().modified());
    let is_new = built.is_some_and(|built| modified.map(Result::unwrap).all(|at| at <= built));
    assert!(is_new, "`cargo build --example web_server` makes {}", binary.display());
    binary
}

/// Waits until it is so. What it waits for has no deadline of its own, so a slow machine fails no
/// test.
#[track_caller]
pub(crate) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "never: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

pub(crate) fn get(target: &str, fields: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n")
}

pub(crate) struct Response {
    pub(crate) status: u16,
    fields: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Response {
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let mut fields = self.fields.iter();
        fields.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    #[track_caller]
    pub(crate) fn expect(&self, status: u16, body: &[u8]) {
        assert_eq!(self.status, status);
        assert!(self.body == body, "another body: {} bytes", self.body.len());
    }
}

pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    input: Vec<u8>,
}

impl Client {
    fn on(stream: TcpStream) -> Client {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Client { stream, input: Vec::new() }
    }

    #[track_caller]
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    #[track_caller]
    pub(crate) fn response(&mut self) -> Response {
        self.read_response(false).expect("a response")
    }

    #[track_caller]
    pub(crate) fn response_to_head(&mut self) -> Response {
        self.read_response(true).expect("a response")
    }

    /// Receives some bytes of a response, as they come; nothing when the server has closed.
    pub(crate) fn receive(&mut self, buf: &mut [u8]) -> usize {
        assert!(self.input.is_empty(), "what was received already comes first");
        match read_some(&mut self.stream, buf) {
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => 0,
            result => result.unwrap(),
        }
    }

    /// Nothing more comes, and the server has closed.
    #[track_caller]
    pub(crate) fn expect_closed(&mut self) {
        assert!(self.read_response(false).is_none());
    }

    /// Sends what the server takes, ends the input, and gives the final statuses of all answers.
    pub(crate) fn exchange(mut self, bytes: &[u8]) -> Vec<u16> {
        // The server may refuse and close long before it has everything.
        let _ = self.stream.write_all(bytes);
        let _ = self.stream.shutdown(Shutdown::Write);
        let mut statuses = Vec::new();
        while let Some(response) = self.read_response(false) {
            if response.status >= 200 {
                statuses.push(response.status);
            }
        }
        statuses
    }

    /// `None` at a clean end; an end inside a response, or none within [`PATIENCE`], panics.
    fn read_response(&mut self, to_head: bool) -> Option<Response> {
        let head_end = loop {
            if let Some(at) = self.input.windows(4).position(|end| end == b"\r\n\r\n") {
                break at + 4;
            }
            if !self.fill() {
                let rest = String::from_utf8_lossy(&self.input);
                assert!(self.input.is_empty(), "the server closed inside a head: {rest}");
                return None;
            }
        };
        let head: Vec<u8> = self.input.drain(..head_end).collect();
        let head = String::from_utf8(head).unwrap();
        let mut lines = head.trim_end().split("\r\n");
        let status = lines.next().unwrap().strip_prefix("HTTP/1.1 ").unwrap();
        let status = status[..3].parse().unwrap();
        let field = |line: &str| {
            let (name, value) = line.split_once(": ").unwrap();
            (name.to_owned(), value.to_owned())
        };
        let mut response = Response { status, fields: lines.map(field).collect(), body: vec![] };
        if !to_head && status >= 200 && status != 304 {
            let length: usize = response.field("Content-Length").unwrap().parse().unwrap();
            while self.input.len() < length {
                assert!(self.fill(), "the server closed inside a body");
            }
            response.body = self.input.drain(..length).collect();
        }
        Some(response)
    }

    /// Whether more came.
    fn fill(&mut self) -> bool {
        let mut part = vec![0; 64 * 1024];
        match read_some(&mut self.stream, &mut part) {
            Ok(count) => {
                self.input.extend_from_slice(&part[..count]);
                count > 0
            }
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => false,
            Err(error) => panic!("no answer: {error}"),
        }
    }
}
