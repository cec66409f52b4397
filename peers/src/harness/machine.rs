//! What the figures were measured on.

use serde_json::{Value, json};
use std::process::Command;

fn output(program: &str, flags: &[&str]) -> String {
    let output = Command::new(program).args(flags).output();
    output.map_or_else(
        |_| String::new(),
        |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
    )
}

fn file(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}

/// Processor, kernel, versions, load. The version of libuv is whatever is installed.
#[must_use]
pub fn describe(libuv: Option<String>) -> Value {
    let cpuinfo = file("/proc/cpuinfo");
    let field = |name: &str| {
        let line = cpuinfo.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.split_once(": ")).map(|(_, value)| value.to_owned())
    };
    let lock = include_str!("../../Cargo.lock");
    let version = |name: &str| {
        let mut lines = lock.lines().skip_while(|line| *line != format!("name = \"{name}\""));
        lines.nth(1).and_then(|line| line.split('"').nth(1)).unwrap_or("?").to_owned()
    };
    json!({
        "processor": field("model name"),
        "cores": std::thread::available_parallelism().map_or(0, usize::from),
        "idle": file("/sys/devices/system/cpu/cpuidle/current_governor"),
        "kernel": file("/proc/sys/kernel/osrelease"),
        "rustc": output("rustc", &["--version"]),
        "io_uring": version("io-uring"),
        "mio": version("mio"),
        "tokio": version("tokio"),
        "libuv": libuv,
        "httparse": version("httparse"),
        "load_average": file("/proc/loadavg"),
        "commit": output("git", &["rev-parse", "--short", "HEAD"]),
    })
}
