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

/// Crates whose versions are told.
const CRATES: &[&str] =
    &["io-uring", "mio", "tokio", "monoio", "compio", "glommio", "tokio-uring", "httparse"];

/// Processor, kernel, versions, load. Some versions are of what is installed.
#[must_use]
pub fn describe(installed: &[(&str, String)]) -> Value {
    let cpuinfo = file("/proc/cpuinfo");
    let field = |name: &str| {
        let line = cpuinfo.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.split_once(": ")).map(|(_, value)| value.to_owned())
    };
    let lock = include_str!("../../Cargo.lock");
    // Where there are several the last is the newest, and ours.
    let version = |name: &str| {
        let (_, rest) = lock.rsplit_once(&format!("name = \"{name}\"\n"))?;
        rest.split('"').nth(1)
    };
    let mut machine = json!({
        "processor": field("model name"),
        "cores": std::thread::available_parallelism().map_or(0, usize::from),
        "idle": file("/sys/devices/system/cpu/cpuidle/current_governor"),
        "kernel": file("/proc/sys/kernel/osrelease"),
        "rustc": output("rustc", &["--version"]),
        "load_average": file("/proc/loadavg"),
        "commit": output("git", &["rev-parse", "--short", "HEAD"]),
    });
    for name in CRATES {
        machine[name] = Value::from(version(name));
    }
    for (name, version) in installed {
        machine[name] = Value::from(version.as_str());
    }
    machine
}
