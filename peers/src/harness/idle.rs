//! User-space memory per idle connection, each having had one message echoed.
//!
//! What counts is anonymous memory of the server's process, resident or swapped out
//! (`/proc/PID/smaps_rollup`, kernel 4.14+): the heap, stacks and mappings of its own. Sockets and
//! the rings belong to the kernel and are not in it.

use super::contest::MEMORY_OVER_MAX;
use super::program::{Idlers, Program, Server, flags};
use crate::server::Hints;
use serde_json::{Value, json};
use std::io;

/// Connections of the first measurement, after which what is paid once has been paid.
const FIRST: u32 = 1000;
const SIZE: u32 = 64;

/// What was measured of one server, in bytes.
pub struct Memory {
    /// Its name.
    pub label: String,
    /// Before the first connection.
    pub empty: u64,
    /// With all connections.
    pub full: u64,
    /// The difference by connection.
    pub each: f64,
    /// The same without the first [`FIRST`] connections: what one more costs.
    pub further: f64,
}

fn anonymous_bytes(pid: u32) -> io::Result<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok())
    };
    match (field("Anonymous:"), field("Swap:")) {
        (Some(anonymous), Some(swap)) => Ok((anonymous + swap) * 1024),
        _ => Err(io::Error::other("smaps_rollup without Anonymous and Swap")),
    }
}

fn open(server: &Server, connections: u32) -> io::Result<Idlers> {
    let flags = flags([
        ("--mode", "idle".to_owned()),
        ("--size", SIZE.to_string()),
        ("--connections", connections.to_string()),
    ]);
    Idlers::open(server, &flags)
}

/// Measures a server with `connections` connections, over [`FIRST`].
pub fn measure(program: &Program, connections: u32) -> io::Result<Memory> {
    assert!(connections > FIRST, "more than {FIRST} idle connections");
    let server = program.serve("echo", Hints::of(SIZE))?;
    let empty = anonymous_bytes(server.pid())?;
    let some = open(&server, FIRST)?;
    let begun = anonymous_bytes(server.pid())?;
    let more = open(&server, connections - FIRST)?;
    let full = anonymous_bytes(server.pid())?;
    drop((some, more));
    server.stop()?;
    let per = |bytes: u64, connections: u32| bytes as f64 / f64::from(connections);
    Ok(Memory {
        label: program.label.clone(),
        empty,
        full,
        each: per(full.saturating_sub(empty), connections),
        further: per(full.saturating_sub(begun), connections - FIRST),
    })
}

/// What one server uses more than another for each connection.
pub struct Over {
    /// Which.
    pub label: String,
    /// More than which.
    pub than: String,
    /// Bytes; negative when it is less.
    pub bytes: f64,
}

/// The differences between those of these pairs that were measured.
#[must_use]
pub fn compare(measured: &[Memory], pairs: &[(&str, &str)]) -> Vec<Over> {
    let find = |label: &str| measured.iter().find(|memory| memory.label == label);
    let over = |&(label, than): &(&str, &str)| {
        let bytes = find(label)?.each - find(than)?.each;
        Some(Over { label: label.to_owned(), than: than.to_owned(), bytes })
    };
    pairs.iter().filter_map(over).collect()
}

impl Over {
    /// Whether it is more than it may be.
    #[must_use]
    pub fn missed(&self) -> bool {
        self.bytes > MEMORY_OVER_MAX
    }

    /// Everything, for the results file.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({
            "server": self.label,
            "than": self.than,
            "bytes_per_connection": self.bytes,
            "missed": self.missed(),
        })
    }
}

impl Memory {
    /// Everything, for the results file.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({
            "server": self.label,
            "bytes_without_connections": self.empty,
            "bytes_with_all": self.full,
            "bytes_per_connection": self.each,
            "bytes_per_further_connection": self.further,
        })
    }
}
