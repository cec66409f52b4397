//! wrk(1) as the load, which is nobody's of those that are compared: `GET /hello`, one request after
//! another on each connection.
//!
//! It counts in whole seconds, from its first connection to its last, and has no warm-up.

use super::program::{self, Server};
use crate::sys::process::cpu_time_ns;
use serde_json::{Value, json};
use std::io;
use std::process::Command;
use std::time::Instant;

/// Its name.
pub const PROGRAM: &str = "wrk";
/// What to do where it is missing.
pub const WANTED: &str = "not installed (package wrk)";

/// Its version, if it is there.
#[must_use]
pub fn version() -> Option<String> {
    // It ends with an error for want of an address, and says its version all the same.
    let output = Command::new(PROGRAM).arg("-v").output().ok()?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let version = said.lines().next()?.strip_prefix("wrk ")?.split(" [").next()?;
    Some(version.to_owned())
}

/// Has it ask for so many seconds, rounded up, and gives what it found in the words of our own load.
pub fn load(server: &Server, connections: u32, seconds: f64) -> io::Result<Value> {
    let seconds = seconds.ceil().max(1.0);
    let mut command = Command::new(PROGRAM);
    command
        .args(["--threads", "1", "--latency"])
        .args(["--connections", &connections.to_string()])
        .args(["--duration", &format!("{seconds:.0}s")])
        .arg(format!("http://{}/hello", server.addr));
    let (begin, before) = (Instant::now(), cpu_time_ns(server.pid())?);
    let said = program::foreign_load(&mut command)?;
    let (wall, cpu) = (begin.elapsed(), cpu_time_ns(server.pid())? - before);
    let said = String::from_utf8_lossy(&said);
    let report = Report::parse(&said)
        .ok_or_else(|| io::Error::other(format!("{PROGRAM} on {}: {said}", server.label)))?;
    Ok(json!({
        "messages_per_s": report.rate,
        "server_cpu_ns_per_message": cpu as f64 / report.requests,
        "server_busy": cpu as f64 / 1e9 / wall.as_secs_f64(),
        "p50_us": report.p50_us,
        "p99_us": report.p99_us,
    }))
}

/// What it prints.
#[derive(Debug, PartialEq)]
struct Report {
    requests: f64,
    rate: f64,
    p50_us: f64,
    p99_us: f64,
}

impl Report {
    /// Nothing, where something is missing or an answer was an error.
    fn parse(text: &str) -> Option<Self> {
        let after = |start: &str| text.lines().find_map(|line| line.trim().strip_prefix(start));
        if after("Socket errors").is_some() || after("Non-2xx").is_some() {
            return None;
        }
        let requests = text.lines().find(|line| line.contains(" requests in "))?;
        Some(Self {
            requests: requests.split_whitespace().next()?.parse().ok()?,
            rate: after("Requests/sec:")?.trim().parse().ok()?,
            p50_us: microseconds(after("50%")?)?,
            p99_us: microseconds(after("99%")?)?,
        })
    }
}

/// `1.25ms`, and the like.
fn microseconds(text: &str) -> Option<f64> {
    let text = text.trim();
    [("us", 1.0), ("ms", 1e3), ("s", 1e6)]
        .into_iter()
        .find_map(|(unit, factor)| Some(text.strip_suffix(unit)?.parse::<f64>().ok()? * factor))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: &str = "Running 1s test @ http://127.0.0.1:1/hello\n  1 threads and 64 connections\n  \
        Thread Stats   Avg      Stdev     Max   +/- Stdev\n    Latency   331.71us  121.58us   4.53ms   \
        95.54%\n  Latency Distribution\n     50%  310.00us\n     75%  340.00us\n     90%  401.00us\n     \
        99%    1.25ms\n  211043 requests in 1.10s, 27.57MB read\nRequests/sec: 191858.00\n";

    #[test]
    fn what_it_prints_is_read() {
        let report = Report::parse(SAID);
        let (requests, rate) = (211_043.0, 191_858.0);
        assert_eq!(report, Some(Report { requests, rate, p50_us: 310.0, p99_us: 1250.0 }));
    }

    #[test]
    fn errors_are_no_figures() {
        for error in ["  Socket errors: connect 0, read 3\n", "  Non-2xx or 3xx responses: 7\n"] {
            assert_eq!(Report::parse(&format!("{SAID}{error}")), None);
        }
    }
}
