//! The example `tee`, as a process with pipes, files and a terminal for its streams.
#![allow(clippy::disallowed_methods, reason = "tests have threads of their own")]
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "common/example.rs"]
#[allow(dead_code, reason = "other tests use more of it")]
mod example;
#[path = "common/scratch.rs"]
mod scratch;

use std::fs::File;
use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};

use rustix::fs::{Mode, OFlags, fcntl_getfl};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use scratch::Scratch;

fn tee() -> Command {
    Command::new(example::binary("tee"))
}

fn lines() -> Vec<u8> {
    (0..60_000).flat_map(|number: u32| format!("line {number}\n").into_bytes()).collect()
}

/// Writes to its standard input from a thread of its own, and closes that.
fn feed(child: &mut Child, bytes: Vec<u8>) -> std::thread::JoinHandle<()> {
    let mut input = child.stdin.take().unwrap();
    std::thread::spawn(move || {
        // It may have ended before.
        let _ = input.write_all(&bytes);
    })
}

#[test]
fn from_a_pipe_to_a_pipe_and_a_file() {
    let directory = Scratch::new();
    let copy = directory.join("copy");
    let mut command = tee();
    command.current_dir(directory.path()).arg("copy");
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let feeder = feed(&mut child, lines());
    let output = child.wait_with_output().unwrap();
    feeder.join().unwrap();
    assert!(output.status.success());
    assert!(output.stdout == lines());
    assert!(std::fs::read(copy).unwrap() == lines());
}

#[test]
fn p72_from_a_file_to_files() {
    let directory = Scratch::new();
    let input = directory.file("input", &lines());
    let (output, copy) = (directory.join("output"), directory.file("copy", b"before\n"));
    let mut command = tee();
    command.arg("-a").arg(&copy).stdin(File::open(input).unwrap());
    command.stdout(File::create(&output).unwrap());
    assert!(command.status().unwrap().success());
    assert!(std::fs::read(output).unwrap() == lines());
    assert!(std::fs::read(copy).unwrap() == [&b"before\n"[..], &lines()].concat());
}

#[test]
#[cfg(target_os = "linux")]
fn an_output_that_fails_is_told_of_and_left_out() {
    let mut command = tee();
    command.args(["/dev/full", "/dev/null"]);
    let pipes = || Stdio::piped();
    let mut child = command.stdin(pipes()).stdout(pipes()).stderr(pipes()).spawn().unwrap();
    let feeder = feed(&mut child, lines());
    let output = child.wait_with_output().unwrap();
    feeder.join().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout == lines());
    assert!(String::from_utf8_lossy(&output.stderr).starts_with("tee: /dev/full: No space left"));
}

#[test]
fn p35_a_reader_that_is_gone_is_an_error_and_no_signal() {
    let mut command = tee();
    let pipes = || Stdio::piped();
    let mut child = command.stdin(pipes()).stdout(pipes()).stderr(pipes()).spawn().unwrap();
    drop(child.stdout.take());
    let feeder = feed(&mut child, lines());
    let output = child.wait_with_output().unwrap();
    feeder.join().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", output.status);
    assert!(String::from_utf8_lossy(&output.stderr).contains("Broken pipe"));
}

#[test]
fn in_a_terminal_that_stays_as_it_was() {
    let mut shown = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).map(File::from).unwrap();
    grantpt(&shown).unwrap();
    unlockpt(&shown).unwrap();
    let name = ptsname(&shown, Vec::new()).unwrap();
    let inside = rustix::fs::open(name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
    let before = fcntl_getfl(&inside).unwrap();
    let mut command = tee();
    command.stdin(inside.try_clone().unwrap()).stdout(inside.try_clone().unwrap());
    let mut child = command.spawn().unwrap();
    let mut seen = Vec::new();
    for line in ["first\n", "second\n"] {
        shown.write_all(line.as_bytes()).unwrap();
        // Echoed by the terminal, and copied by the program.
        let copies = line.replace('\n', "\r\n").repeat(2);
        seen.clear();
        while seen.len() < copies.len() {
            let mut bytes = [0; 64];
            let count = shown.read(&mut bytes).unwrap();
            seen.extend_from_slice(&bytes[..count]);
        }
        assert_eq!(String::from_utf8_lossy(&seen), copies);
        assert_eq!(fcntl_getfl(&inside).unwrap(), before, "others share it");
    }
    shown.write_all(b"\x04").unwrap();
    assert!(child.wait().unwrap().success());
}
