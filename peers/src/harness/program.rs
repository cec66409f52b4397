//! The programs that are compared, and running them.

use super::file_page::FilePage;
use super::{build, nginx};
use crate::client::REST;
use crate::server::Hints;
use crate::sys::process::{self, Priority};
use serde_json::Value;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

/// Core of the servers.
pub const SERVER_CORE: usize = 0;
/// Core of the load.
pub const LOAD_CORE: usize = 1;
const STOP_MAX: Duration = Duration::from_secs(20);
const NUDGE_AFTER: Duration = Duration::from_millis(200);
const TURN_MAX: Duration = Duration::from_secs(60);

/// Whose program it is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// A hand-written loop with nothing in between.
    HandWritten,
    /// One on a library that others use for what tigereye is for.
    Library,
    /// The same little server on tigereye, by one strategy or another.
    Tigereye,
    /// Anything else, shown but not judged as a strategy.
    Other,
}

impl Family {
    /// Whether it is measured by others, instead of being what others are measured by.
    #[must_use]
    pub fn judged(self) -> bool {
        matches!(self, Self::Tigereye | Self::Other)
    }
}

/// What a server says and understands on its command line.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// As `server.rs` says.
    Peer,
    /// As the library's example web server: `--addr ADDRESS --threads 1`, and a sentence with
    /// `http://ADDRESS` in it; `--root FOLDER` for files.
    WebServer,
    /// As nginx: `nginx.rs` says more.
    Nginx,
}

/// A program under comparison.
#[derive(Clone)]
pub struct Program {
    /// Its name in the tables.
    pub label: String,
    /// The program and its own flags. A name without a slash is looked for beside the harness,
    /// any other from this package's folder; `PROFILE` in it stands for `release` or `debug`.
    pub command: Vec<String>,
    /// Whose it is.
    pub family: Family,
    /// How to talk to it.
    pub dialect: Dialect,
    /// What it takes part in: `echo`, `http`, `file`, `idle`, `udp`, `accept`, `waits`.
    pub modes: Vec<String>,
}

/// A program as a table has it: label, program and flags, whose, dialect, modes.
pub type Row<'t> = (&'t str, &'t str, Family, Dialect, &'t str);

impl Program {
    /// Of a row of a table, with tigereye on `driver`.
    #[must_use]
    pub fn of(&(label, command, family, dialect, modes): &Row<'_>, driver: &str) -> Self {
        let words = |text: &str, by: char| text.split(by).map(str::to_owned).collect();
        Self {
            label: label.to_owned(),
            command: words(&command.replace("DRIVER", driver), ' '),
            family,
            dialect,
            modes: words(modes, ','),
        }
    }

    /// Whether it takes part in a mode, such as `echo` or `idle`.
    #[must_use]
    pub fn serves(&self, mode: &str) -> bool {
        self.modes.iter().any(|own| own == mode)
    }

    fn path(&self) -> io::Result<PathBuf> {
        let name = self.command.first().ok_or(io::ErrorKind::InvalidInput)?;
        if !name.contains('/') {
            return beside(name);
        }
        Ok(build::folder().join(name.replace("PROFILE", build::PROFILE)))
    }

    /// Starts it as a server on its core and waits for its address.
    pub fn serve(&self, mode: &str, hints: Hints) -> io::Result<Server> {
        self.serve_under(&[], mode, hints, None)
    }

    /// The same, with a file to be sent.
    pub fn serve_file(&self, mode: &str, hints: Hints, page: &FilePage) -> io::Result<Server> {
        self.serve_under(&[], mode, hints, Some(page))
    }

    /// The same under a wrapper such as valgrind, and then at no special priority.
    pub fn serve_under(
        &self,
        wrapper: &[String],
        mode: &str,
        hints: Hints,
        page: Option<&FilePage>,
    ) -> io::Result<Server> {
        if self.dialect == Dialect::Nginx {
            return nginx::serve(&self.label, page);
        }
        let path = self.path()?;
        let mut command = match wrapper.split_first() {
            Some((program, flags)) => {
                let mut command = Command::new(program);
                command.args(flags).arg(&path).stderr(Stdio::null());
                command
            }
            None => Command::new(&path),
        };
        command.args(&self.command[1..]).args(["--addr", "127.0.0.1:0"]);
        match self.dialect {
            Dialect::Peer => command.args(["--mode", mode]).args(hints.flags()),
            Dialect::WebServer | Dialect::Nginx => command.args(["--threads", "1"]),
        };
        if let Some(page) = page {
            match self.dialect {
                Dialect::Peer => command.arg("--file").arg(page.path()),
                Dialect::WebServer | Dialect::Nginx => command.arg("--root").arg(page.folder()),
            };
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let priority = if wrapper.is_empty() { Priority::RealTime } else { Priority::Ordinary };
        Server::announced(spawn_on(SERVER_CORE, priority, &mut command)?, &self.label)
    }
}

/// The path of a program built with the harness.
pub fn beside(name: &str) -> io::Result<PathBuf> {
    let mut path = std::env::current_exe()?;
    path.set_file_name(name);
    Ok(path)
}

/// Spawns on the servers' core, before everything else on the machine.
pub fn spawn_server(command: &mut Command) -> io::Result<Child> {
    spawn_on(SERVER_CORE, Priority::RealTime, command)
}

/// Spawns on a core: children inherit what this thread takes on meanwhile.
fn spawn_on(core: usize, priority: Priority, command: &mut Command) -> io::Result<Child> {
    process::pin(core)?;
    process::set_priority(priority);
    let child = command.spawn();
    process::set_priority(Priority::Ordinary);
    child.map_err(|error| {
        io::Error::other(format!("{}: {error}", command.get_program().to_string_lossy()))
    })
}

/// The right to measure. Several harnesses on one machine take turns, a measurement each, because
/// two that measure at once measure each other. A turn lasts seconds at most: who holds it much
/// longer has been stopped, and is not waited for.
fn turn() -> io::Result<File> {
    let path = std::env::temp_dir().join("tigereye-peers.lock");
    let file = File::options().create(true).append(true).open(path)?;
    let begin = Instant::now();
    while !process::try_lock(&file)? && begin.elapsed() < TURN_MAX {
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(file)
}

/// A running server.
pub struct Server {
    child: Child,
    /// Where it listens.
    pub addr: SocketAddr,
    /// Its name.
    pub label: String,
    folder: Option<PathBuf>,
}

impl Server {
    /// A child that listens there, and a folder that is removed with it.
    #[must_use]
    pub fn at(child: Child, addr: SocketAddr, label: &str, folder: PathBuf) -> Self {
        Self { child, addr, label: label.to_owned(), folder: Some(folder) }
    }

    /// Waits for the line in which a child whose output is a pipe says its address.
    pub fn announced(mut child: Child, label: &str) -> io::Result<Self> {
        let stdout = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
        let addr = SocketAddr::from(([0, 0, 0, 0], 0));
        let mut server = Self { child, addr, label: label.to_owned(), folder: None };
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let mut words = line.split_whitespace().map(|word| word.trim_start_matches("http://"));
        server.addr = words
            .find_map(|word| word.parse().ok())
            .ok_or_else(|| io::Error::other(format!("{label}: no address, but {line:?}")))?;
        Ok(server)
    }

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
            if begin.elapsed() > NUDGE_AFTER {
                // valgrind does not know that io_uring_enter(2) blocks, and keeps all other threads
                // waiting until the one in it has done some work: and one of them ends some servers.
                drop(TcpStream::connect_timeout(&self.addr, NUDGE_AFTER));
            }
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
        if let Some(folder) = &self.folder {
            let _ = std::fs::remove_dir_all(folder);
        }
    }
}

/// A command line of `--name value` from pairs of them.
#[must_use]
pub fn flags<const N: usize>(pairs: [(&str, String); N]) -> Vec<String> {
    pairs.into_iter().flat_map(|(name, value)| [name.to_owned(), value]).collect()
}

/// Runs a program on a core to its end; gives what it printed.
fn output(core: usize, priority: Priority, command: &mut Command) -> io::Result<Vec<u8>> {
    command.stdout(Stdio::piped());
    let output = spawn_on(core, priority, command)?.wait_with_output()?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    Err(io::Error::other(format!("{command:?}: {}", output.status)))
}

/// Runs a load that is not ours, at no special priority, when it is our turn to measure: of its threads
/// one may have to stop another that never rests, which it cannot as one of two before everybody else.
pub fn foreign_load(command: &mut Command) -> io::Result<Vec<u8>> {
    let _turn = turn()?;
    std::thread::sleep(REST);
    output(LOAD_CORE, Priority::Ordinary, command)
}

fn load_command(server: &Server, flags: &[String]) -> io::Result<Command> {
    let mut command = Command::new(beside("load")?);
    command.args(["--addr", &server.addr.to_string(), "--pid", &server.pid().to_string()]);
    command.args(flags);
    Ok(command)
}

/// Runs the load against a server and returns what it found.
pub fn load(server: &Server, flags: &[String]) -> io::Result<Value> {
    load_under(&[], server, flags)
}

/// The same under a wrapper such as perf, which prints nothing itself.
pub fn load_under(wrapper: &[String], server: &Server, flags: &[String]) -> io::Result<Value> {
    let _turn = turn()?;
    let mut command = load_command(server, flags)?;
    if let Some((program, own)) = wrapper.split_first() {
        let mut around = Command::new(program);
        around.args(own).arg(command.get_program()).args(command.get_args());
        command = around;
    }
    let found = output(LOAD_CORE, Priority::RealTime, &mut command);
    let found = found.map_err(|error| {
        io::Error::new(error.kind(), format!("load on {} failed: {error}", server.label))
    });
    Ok(serde_json::from_slice(&found?)?)
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
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = spawn_on(LOAD_CORE, Priority::Ordinary, &mut command)?;
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

/// Runs a program that is no peer of ours to its end, on the server's core, and returns the JSON
/// that it printed.
pub fn json(program: &str, flags: &[String]) -> io::Result<Value> {
    let _turn = turn()?;
    let printed = output(SERVER_CORE, Priority::RealTime, Command::new(program).args(flags))?;
    Ok(serde_json::from_slice(&printed)?)
}

/// Runs a program of small measurements to its end, on the server's core, and returns its lines.
pub fn lines(program: &str, flags: &[String]) -> io::Result<Vec<Value>> {
    let _turn = turn()?;
    let mut command = Command::new(beside(program)?);
    let printed = output(SERVER_CORE, Priority::RealTime, command.args(flags))?;
    let text = String::from_utf8_lossy(&printed);
    text.lines().map(|line| serde_json::from_str(line).map_err(io::Error::from)).collect()
}
