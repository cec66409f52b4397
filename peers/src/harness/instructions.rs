//! User-space instructions per message, counted by valgrind's callgrind, which needs no counters
//! in hardware.
//!
//! The server runs under it twice, with more and with fewer messages, and the difference is
//! divided: what starting, accepting and ending cost cancels out. Callgrind slows the server down,
//! so that completions gather: the counts are those of a busy server.

use super::program::{Program, flags, load};
use serde_json::{Value, json};
use std::io;
use std::process::Command;

const FEWER: u64 = 2_000;
/// More messages than that in the longer run: what stopping costs differs by half a million
/// instructions where the server has to be nudged for it.
const MORE: f64 = 50_000.0;
const MORE_MIN: f64 = 10_000.0;
const SIZE: u32 = 64;

/// What was counted of one server.
pub struct Counted {
    /// Its name.
    pub label: String,
    /// Connections.
    pub connections: u32,
    /// Instructions per message.
    pub each: f64,
}

/// The version of valgrind, if it is there.
#[must_use]
pub fn valgrind() -> Option<String> {
    let output = Command::new("valgrind").arg("--version").output().ok()?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn total(program: &Program, connections: u32, messages: u64) -> io::Result<u64> {
    let out = std::env::temp_dir().join(format!("tigereye-callgrind.{}", std::process::id()));
    let wrapper = [
        "valgrind".to_owned(),
        "--tool=callgrind".to_owned(),
        format!("--callgrind-out-file={}", out.display()),
    ];
    let server = program.serve_under(&wrapper, "echo", SIZE, None)?;
    let flags = flags([
        ("--mode", "echo".to_owned()),
        ("--size", SIZE.to_string()),
        ("--connections", connections.to_string()),
        ("--messages", messages.to_string()),
    ]);
    load(&server, &flags)?;
    server.stop()?;
    let text = std::fs::read_to_string(&out)?;
    std::fs::remove_file(&out)?;
    let line = text.lines().find_map(|line| line.strip_prefix("totals: "));
    line.and_then(|total| total.trim().parse().ok())
        .ok_or_else(|| io::Error::other("callgrind wrote no total"))
}

/// Counts what a message costs a server, over so many of the usual messages.
pub fn measure(program: &Program, connections: u32, scale: f64) -> io::Result<Counted> {
    let further = (MORE * scale).max(MORE_MIN) as u64;
    let fewer = total(program, connections, FEWER)?;
    let more = total(program, connections, FEWER + further)?;
    let each = more.saturating_sub(fewer) as f64 / further as f64;
    Ok(Counted { label: program.label.clone(), connections, each })
}

impl Counted {
    /// Everything, for the results file.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({
            "server": self.label,
            "connections": self.connections,
            "instructions_per_message": self.each,
        })
    }
}
