//! User-space instructions and allocations per message, counted by valgrind's callgrind, which needs
//! no counters in hardware.
//!
//! The server runs under it twice, with more and with fewer messages, and the difference is
//! divided: what starting, accepting and ending cost cancels out. Callgrind slows the server down,
//! so that completions gather: the counts are those of a busy server.

use super::program::{Program, flags, load};
use crate::server::Hints;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::io;
use std::process::Command;

const FEWER: u64 = 2_000;
/// More messages than that in the longer run: what stopping costs differs by half a million
/// instructions where the server has to be nudged for it.
const MORE: f64 = 50_000.0;
const MORE_MIN: f64 = 10_000.0;
const SIZE: u32 = 64;
/// What allocates in the C library.
const ALLOCATORS: &[&str] =
    &["malloc", "calloc", "realloc", "posix_memalign", "aligned_alloc", "memalign"];

/// What was counted of one server.
pub struct Counted {
    /// Its name.
    pub label: String,
    /// Connections.
    pub connections: u32,
    /// Instructions per message.
    pub each: f64,
    /// Calls of the C library's allocator per message.
    pub allocations: f64,
}

/// What a whole run took.
struct Totals {
    instructions: u64,
    allocations: u64,
}

/// The version of valgrind, if it is there.
#[must_use]
pub fn valgrind() -> Option<String> {
    let output = Command::new("valgrind").arg("--version").output().ok()?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn totals(program: &Program, mode: &str, connections: u32, messages: u64) -> io::Result<Totals> {
    let out = std::env::temp_dir().join(format!("tigereye-callgrind.{}", std::process::id()));
    let wrapper = [
        "valgrind".to_owned(),
        "--tool=callgrind".to_owned(),
        format!("--callgrind-out-file={}", out.display()),
    ];
    let server = program.serve_under(&wrapper, mode, Hints::of(SIZE), None)?;
    let flags = flags([
        ("--mode", mode.to_owned()),
        ("--size", SIZE.to_string()),
        ("--connections", connections.to_string()),
        ("--messages", messages.to_string()),
    ]);
    load(&server, &flags)?;
    server.stop()?;
    let text = std::fs::read_to_string(&out)?;
    std::fs::remove_file(&out)?;
    let line = text.lines().find_map(|line| line.strip_prefix("totals: "));
    let instructions = line
        .and_then(|total| total.trim().parse().ok())
        .ok_or_else(|| io::Error::other("callgrind wrote no total"))?;
    Ok(Totals { instructions, allocations: allocations(&text) })
}

/// Calls of the allocator, by "Callgrind Format Specification": who is called is named, with a number
/// in brackets that stands for the name from then on, in the line before `calls=COUNT POSITION`.
fn allocations(profile: &str) -> u64 {
    let mut names = HashMap::new();
    let (mut is_allocator, mut calls) = (false, 0);
    for line in profile.lines() {
        if let Some(count) = line.strip_prefix("calls=").filter(|_| is_allocator) {
            calls += count.split(' ').next().and_then(|count| count.parse().ok()).unwrap_or(0);
        }
        let called = line.strip_prefix("cfn=");
        let Some((number, name)) = called.or(line.strip_prefix("fn=")).and_then(split_name) else {
            continue;
        };
        let known = names.entry(number).or_insert("");
        if !name.is_empty() {
            *known = name;
        }
        is_allocator = called.is_some() && ALLOCATORS.contains(known);
    }
    calls
}

/// `(NUMBER) NAME`, where the name may be missing.
fn split_name(text: &str) -> Option<(&str, &str)> {
    let (number, name) = text.strip_prefix('(')?.split_once(')')?;
    Some((number, name.trim()))
}

/// Counts what a message of a mode (`echo`, `udp`) costs a server, over so many of the usual messages.
pub fn measure(program: &Program, mode: &str, connections: u32, scale: f64) -> io::Result<Counted> {
    let further = (MORE * scale).max(MORE_MIN) as u64;
    let fewer = totals(program, mode, connections, FEWER)?;
    let more = totals(program, mode, connections, FEWER + further)?;
    let each = |fewer: u64, more: u64| more.saturating_sub(fewer) as f64 / further as f64;
    Ok(Counted {
        label: program.label.clone(),
        connections,
        each: each(fewer.instructions, more.instructions),
        allocations: each(fewer.allocations, more.allocations),
    })
}

impl Counted {
    /// Everything, for the results file.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({
            "server": self.label,
            "connections": self.connections,
            "instructions_per_message": self.each,
            "allocations_per_message": self.allocations,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_of_the_allocator_are_counted() {
        let profile = "fn=(1) main\n16 400\ncfn=(2) malloc\ncalls=3 0\n16 90\ncfn=(3) free\n\
                       calls=9 0\n16 9\nfn=(2)\n5 90\nfn=(4) other\ncfn=(2)\ncalls=4 0\n7 1\n\
                       cfn=(5) realloc\ncalls=1 +3\n7 1\n";
        assert_eq!(allocations(profile), 8);
    }
}
