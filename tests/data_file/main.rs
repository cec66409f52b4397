//! Data files that another process has, and, on Linux, where the system fails. Each test has a process
//! of its own: it takes system calls away; and a process that starts others has its files open in
//! them for a moment, locks included.
#![allow(clippy::disallowed_methods, reason = "tests have clocks of their own")]
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "../common/alone.rs"]
mod alone;
#[cfg(target_os = "linux")]
mod failing;
#[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "other tests use more of it"))]
#[path = "../common/scratch.rs"]
mod scratch;
#[cfg(target_os = "linux")]
#[path = "../common/seccomp.rs"]
mod seccomp;

use std::cell::RefCell;
use std::io::{ErrorKind, Result};
use std::path::Path;
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::time::{Duration, Instant};

use alone::alone;
use scratch::Scratch;
use tigereye::{DataFile, DataFileOptions, DriverKind, Io};

const SIZE: u64 = 1 << 20;
/// Longer than any test takes, on the busiest machine.
const HANG: Duration = Duration::from_secs(120);

fn created() -> DataFileOptions {
    DataFileOptions::new(SIZE).create(true)
}

/// The loops that this machine has.
fn loops() -> Vec<Io> {
    let kinds = [DriverKind::Uring, DriverKind::Readiness, DriverKind::Iocp];
    kinds.into_iter().filter_map(|kind| Io::builder().driver(kind).build().ok()).collect()
}

type Slot<T> = Rc<RefCell<Option<T>>>;

/// Runs what was just started, to its end.
#[track_caller]
fn outcome<T>(io: &Io, slot: &Slot<T>) -> T {
    io.run_for(HANG).unwrap();
    assert_eq!(io.in_flight(), 0, "an operation hangs");
    slot.take().expect("the callback runs")
}

fn open(io: &Io, path: &Path, options: &DataFileOptions) -> Result<DataFile> {
    let slot = Slot::default();
    io.open_data_file(Rc::clone(&slot), path, options, |slot, _io, result| {
        drop(slot.replace(Some(result)));
    });
    outcome(io, &slot)
}

const HOLDS: &str = "TIGEREYE_TEST_HOLDS";

/// Another process: has the data file that it is told of, and waits to be killed.
#[test]
fn holds_a_data_file() {
    let Some(path) = std::env::var_os(HOLDS) else { return };
    let io = Io::new().unwrap();
    let _file = open(&io, Path::new(&path), &created()).unwrap();
    println!("has it");
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).unwrap();
}

#[test]
fn p54_another_process_has_it_until_it_is_killed() {
    if !alone("p54_another_process_has_it_until_it_is_killed", &[]) {
        return;
    }
    use std::io::{BufRead, BufReader};
    let scratch = Scratch::new();
    let path = scratch.join("data");
    for io in loops() {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "holds_a_data_file", "--nocapture"]).env(HOLDS, &path);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap().contains("has it")));
        let error = open(&io, &path, &created()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}");
        child.kill().unwrap();
        child.wait().unwrap();
        // Its ring may hold the file a moment longer than the process lives.
        let begin = Instant::now();
        while let Err(error) = open(&io, &path, &created()) {
            assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}");
            assert!(begin.elapsed() < HANG, "the lock is never given back");
        }
    }
}
