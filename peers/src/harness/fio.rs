//! fio, where it is installed: the work of the programs of `storage` by its io_uring engine, which is
//! what they are to come up to.

use super::program;
use crate::storage::{APPEND, BLOCK, DEPTHS, read_name};
use crate::sys::process;
use serde_json::{Value, json};
use std::io;
use std::path::Path;
use std::process::Command;

/// Its program.
pub const PROGRAM: &str = "fio";
/// Why it is left out, if it is.
pub const WANTED: &str = "not installed (package fio)";
const PACKAGE: &str = "fio";

/// The version, if it is there or can be installed.
#[must_use]
pub fn version() -> Option<String> {
    let version = || {
        let output = Command::new(PROGRAM).arg("--version").output().ok()?;
        let said = String::from_utf8_lossy(&output.stdout);
        Some(said.trim().trim_start_matches("fio-").to_owned())
    };
    version().or_else(|| process::install(PACKAGE).then(version)?)
}

/// One figure, as a program's line.
fn figure(name: &str, flags: &[String], of: &str, seconds: f64) -> io::Result<Value> {
    let millis = |seconds: f64| (seconds * 1000.0).max(1.0) as u64;
    let mut command = vec![
        "--name=tigereye".to_owned(),
        "--ioengine=io_uring".to_owned(),
        "--thread".to_owned(),
        format!("--bs={BLOCK}"),
        // What comes first is not counted, as with the others.
        format!("--ramp_time={}ms", millis(seconds / 8.0)),
        format!("--runtime={}ms", millis(seconds)),
        "--time_based".to_owned(),
        "--output-format=json".to_owned(),
    ];
    command.extend_from_slice(flags);
    let report = program::json(PROGRAM, &command)?;
    let per_second = report["jobs"][0][of]["iops"].as_f64().unwrap_or(f64::NAN);
    Ok(json!({"figure": name, "by": PROGRAM, "ns": 1e9 / per_second}))
}

/// All figures, each for so many seconds.
pub fn measure(data: &Path, log: &Path, seconds: f64) -> io::Result<Vec<Value>> {
    let mut found = Vec::new();
    for direct in [false, true] {
        for depth in DEPTHS {
            let flags = [
                format!("--filename={}", data.display()),
                "--readonly".to_owned(),
                "--rw=randread".to_owned(),
                // Without a map of what was read: the other programs keep none.
                "--norandommap".to_owned(),
                format!("--iodepth={depth}"),
                format!("--direct={}", u8::from(direct)),
                // fio would drop the file from memory first.
                "--invalidate=0".to_owned(),
            ];
            found.push(figure(&read_name(direct, depth), &flags, "read", seconds)?);
        }
    }
    let flags = [
        format!("--filename={}", log.display()),
        "--rw=write".to_owned(),
        "--size=1g".to_owned(),
        // fio would have the file all its blocks first: what is written then is no append.
        "--fallocate=none".to_owned(),
        "--fdatasync=1".to_owned(),
    ];
    found.push(figure(APPEND, &flags, "write", seconds)?);
    Ok(found)
}
