//! System calls per message, counted by the kernel's tracepoint where perf may use it, and otherwise
//! by strace, which slows a server down so much that more messages gather for each call.
//!
//! As for instructions, the difference of two runs is divided: what accepting costs cancels out.

use super::program::{self, Program, flags, load};
use crate::server::Hints;
use serde_json::{Value, json};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const FEWER: u64 = 5_000;
const MORE: u64 = 45_000;
const SIZE: u32 = 64;
const EVENT: &str = "raw_syscalls:sys_enter";
const REPORT_MAX: Duration = Duration::from_secs(10);

/// What counts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Counter {
    /// perf-stat(1) on a running server.
    Perf,
    /// strace(1) around it.
    Strace,
}

impl Counter {
    /// The better one of those that work here.
    #[must_use]
    pub fn find() -> Option<Self> {
        let works = |program: &str, flags: &[&str]| {
            let mut command = Command::new(program);
            command.args(flags).stdout(Stdio::null()).stderr(Stdio::null());
            command.status().is_ok_and(|status| status.success())
        };
        if works("perf", &["stat", "-e", EVENT, "--", "true"]) {
            return Some(Self::Perf);
        }
        works("strace", &["-c", "true"]).then_some(Self::Strace)
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Perf => "perf",
            Self::Strace => "strace",
        }
    }
}

/// What was counted of one server.
pub struct Counted {
    /// Its name.
    pub label: String,
    /// Connections.
    pub connections: u32,
    /// Calls per message.
    pub each: f64,
}

fn report() -> PathBuf {
    std::env::temp_dir().join(format!("tigereye-syscalls.{}", std::process::id()))
}

fn load_flags(connections: u32, messages: u64) -> Vec<String> {
    flags([
        ("--mode", "echo".to_owned()),
        ("--size", SIZE.to_string()),
        ("--connections", connections.to_string()),
        ("--messages", messages.to_string()),
    ])
}

/// `COUNT,,raw_syscalls:sys_enter,…` (perf-stat(1), "CSV FORMAT").
fn by_perf(program: &Program, connections: u32, messages: u64) -> io::Result<u64> {
    let server = program.serve("echo", Hints::of(SIZE))?;
    let out = report();
    let wrapper = ["perf", "stat", "-x,", "-e", EVENT, "-p", &server.pid().to_string(), "-o"];
    let mut wrapper: Vec<String> = wrapper.map(str::to_owned).to_vec();
    wrapper.extend([out.to_string_lossy().into_owned(), "--".to_owned()]);
    program::load_under(&wrapper, &server, &load_flags(connections, messages))?;
    server.stop()?;
    let text = std::fs::read_to_string(&out)?;
    std::fs::remove_file(&out)?;
    let line = text.lines().find(|line| line.contains(EVENT));
    line.and_then(|line| line.split(',').next()?.parse().ok())
        .ok_or_else(|| io::Error::other(format!("perf said {text:?}")))
}

/// The last line of `strace -c` is `100.00 SECONDS USECS CALLS [ERRORS] total`.
fn by_strace(program: &Program, connections: u32, messages: u64) -> io::Result<u64> {
    let out = report();
    // `-D`: the process that is started is the server, and not strace.
    let wrapper = ["strace", "-D", "-f", "-c", "-o"].map(str::to_owned);
    let wrapper = [&wrapper[..], &[out.to_string_lossy().into_owned()]].concat();
    let server = program.serve_under(&wrapper, "echo", Hints::of(SIZE), None)?;
    load(&server, &load_flags(connections, messages))?;
    server.stop()?;
    let begin = Instant::now();
    loop {
        if let Some(calls) = strace_total(&out) {
            std::fs::remove_file(&out)?;
            return Ok(calls);
        }
        if begin.elapsed() > REPORT_MAX {
            return Err(io::Error::other("strace wrote no total"));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn strace_total(out: &Path) -> Option<u64> {
    let text = std::fs::read_to_string(out).ok()?;
    let line = text.lines().find(|line| line.trim_end().ends_with(" total"))?;
    line.split_whitespace().nth(3)?.parse().ok()
}

/// Counts what a message costs a server.
pub fn measure(program: &Program, connections: u32, counter: Counter) -> io::Result<Counted> {
    let total = |messages: u64| match counter {
        Counter::Perf => by_perf(program, connections, messages),
        Counter::Strace => by_strace(program, connections, messages),
    };
    let (fewer, more) = (total(FEWER)?, total(MORE)?);
    let each = more.saturating_sub(fewer) as f64 / (MORE - FEWER) as f64;
    Ok(Counted { label: program.label.clone(), connections, each })
}

impl Counted {
    /// Everything, for the results file.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({
            "server": self.label,
            "connections": self.connections,
            "calls_per_message": self.each,
        })
    }
}
