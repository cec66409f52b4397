//! The programs that are compared, and running them.

use crate::sys::process;
use serde_json::Value;
use std::io::{self, BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

/// Core of the servers.
pub const SERVER_CORE: usize = 0;
/// Core of the load.
pub const LOAD_CORE: usize = 1;
/// Both are to win against what else runs on the machine.
const NICE: i32 = -20;
const STOP_MAX: Duration = Duration::from_secs(5);

/// A program under comparison.
#[derive(Clone)]
pub struct Program {
    /// Its name in the tables.
    pub label: String,
    /// The program and its own flags. A name without a slash is looked for beside the harness.
    pub command: Vec<String>,
    /// One of the hand-written loops, which the others are compared with.
    pub hand_written: bool,
}

/// **The servers. A new one is added here**, or for one run by `--add "label=path flags;…"`.
/// `server.rs` says what a server must understand on its command line.
pub const SERVERS: &[(&str, &str, bool)] =
    &[("bare_uring", "bare_uring", true), ("bare_epoll", "bare_epoll", true)];

/// **The programs of small measurements**, each printing a line of JSON per figure; the figures
/// of the same name stand side by side. `micro.rs` says more.
pub const MICROS: &[(&str, &str, bool)] = &[("bare", "micro", true)];

impl Program {
    fn new(label: &str, command: &str, hand_written: bool) -> Self {
        let command = command.split_whitespace().map(str::to_owned).collect();
        Self { label: label.to_owned(), command, hand_written }
    }

    /// A built-in list, with what `--add` brought.
    #[must_use]
    pub fn list(known: &[(&str, &str, bool)], added: &str) -> Vec<Self> {
        let mut list: Vec<_> = known.iter().map(|(a, b, c)| Self::new(a, b, *c)).collect();
        for part in added.split(';').filter(|part| !part.trim().is_empty()) {
            let (label, command) = part.split_once('=').unwrap_or((part, part));
            list.push(Self::new(label.trim(), command, false));
        }
        list
    }

    /// The path of the program.
    pub fn path(&self) -> io::Result<PathBuf> {
        let name = self.command.first().ok_or(io::ErrorKind::InvalidInput)?;
        if name.contains('/') { Ok(PathBuf::from(name)) } else { beside(name) }
    }

    /// Starts it as a server on its core and waits for its address.
    pub fn serve(&self, mode: &str, size: u32, wrapper: &[&str]) -> io::Result<Server> {
        let path = self.path()?;
        let mut command = match wrapper.split_first() {
            Some((program, flags)) => {
                let mut command = Command::new(program);
                command.args(flags).arg(&path);
                command
            }
            None => Command::new(&path),
        };
        let size = size.to_string();
        command.args(&self.command[1..]);
        command.args(["--mode", mode, "--addr", "127.0.0.1:0", "--size", &size]);
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = spawn_on(SERVER_CORE, &mut command)?;
        let stdout = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let addr = line.strip_prefix("listening ").and_then(|addr| addr.trim().parse().ok());
        let Some(addr) = addr else {
            let _ = child.kill();
            return Err(io::Error::other(format!("{}: no address, but {line:?}", self.label)));
        };
        Ok(Server { child, addr, label: self.label.clone() })
    }
}

/// The path of a program built with the harness.
pub fn beside(name: &str) -> io::Result<PathBuf> {
    let mut path = std::env::current_exe()?;
    path.set_file_name(name);
    Ok(path)
}

/// Spawns on a core: children inherit the affinity that this thread takes on meanwhile.
fn spawn_on(core: usize, command: &mut Command) -> io::Result<Child> {
    process::pin(core)?;
    process::set_nice(NICE);
    command.spawn().map_err(|error| {
        io::Error::other(format!("{}: {error}", command.get_program().to_string_lossy()))
    })
}

/// A running server.
pub struct Server {
    child: Child,
    /// Where it listens.
    pub addr: SocketAddr,
    /// Its name.
    pub label: String,
}

impl Server {
    /// Its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Asks it to end, which it must within seconds and with status 0.
    pub fn stop(mut self) -> io::Result<()> {
        process::terminate(self.child.id())?;
        let begin = Instant::now();
        while begin.elapsed() < STOP_MAX {
            if let Some(status) = self.child.try_wait()? {
                if status.success() {
                    return Ok(());
                }
                return Err(io::Error::other(format!("{} ended with {status}", self.label)));
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        Err(io::Error::other(format!("{} did not end on SIGTERM", self.label)))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn load_command(server: &Server, flags: &[String]) -> io::Result<Command> {
    let mut command = Command::new(beside("load")?);
    command.args(["--addr", &server.addr.to_string(), "--pid", &server.pid().to_string()]);
    command.args(flags).stdout(Stdio::piped());
    Ok(command)
}

/// Runs the load against a server and returns what it found.
pub fn load(server: &Server, flags: &[String]) -> io::Result<Value> {
    let child = spawn_on(LOAD_CORE, &mut load_command(server, flags)?)?;
    let output = child.wait_with_output()?;
    if !output.status.success() {
        return Err(io::Error::other(format!("load on {} failed", server.label)));
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// A load that holds idle connections open until it is dropped.
pub struct Idlers {
    child: Child,
    stdin: Option<ChildStdin>,
}

impl Idlers {
    /// Opens them all and has one message echoed on each.
    pub fn open(server: &Server, flags: &[String]) -> io::Result<Self> {
        let mut command = load_command(server, flags)?;
        let mut child = spawn_on(LOAD_CORE, command.stdin(Stdio::piped()))?;
        let stdin = child.stdin.take();
        let stdout = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
        let idlers = Self { child, stdin };
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        if line.trim() == "ready" { Ok(idlers) } else { Err(io::Error::other("idlers failed")) }
    }
}

impl Drop for Idlers {
    fn drop(&mut self) {
        drop(self.stdin.take());
        let _ = self.child.wait();
    }
}

/// Runs a program of small measurements to its end, on the server's core, and returns its lines.
pub fn lines(program: &Program, flags: &[String]) -> io::Result<Vec<Value>> {
    let mut command = Command::new(program.path()?);
    command.args(&program.command[1..]).args(flags).stdout(Stdio::piped());
    let output = spawn_on(SERVER_CORE, &mut command)?.wait_with_output()?;
    if !output.status.success() {
        return Err(io::Error::other(format!("{} failed", program.label)));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().map(|line| serde_json::from_str(line).map_err(io::Error::from)).collect()
}
