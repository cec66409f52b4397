//! Size of the binary, and time of a clean build, of the smallest echo server on each library: the
//! programs of `minimal/`, with Cargo's own settings for a release and without symbols.
//!
//! What a library depends on has been downloaded before, and is built with it. libuv is not built:
//! its server is a C program that uses Debian's shared library.

use super::build;
use super::program::{LOAD_CORE, SERVER_CORE, Server};
use crate::sys::process;
use serde_json::{Value, json};
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// **The programs.** `std` stands for the standard library alone.
pub const PROGRAMS: &[&str] =
    &["std", "tigereye", "mio", "tokio", "monoio", "compio", "glommio", "tokio-uring", LIBUV];
const LIBUV: &str = "libuv";
const PACKAGE: &str = "tigereye-peers-minimal";
const PROFILE: &str = "minimal";
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// What was measured of one program.
pub struct Sized {
    /// Its library.
    pub label: String,
    /// Of the binary.
    pub bytes: u64,
    /// Of a clean build.
    pub seconds: f64,
    /// Crates that were compiled, its own among them.
    pub crates: usize,
}

fn said(output: &[u8]) -> String {
    let text = String::from_utf8_lossy(output);
    let error = text.lines().find(|line| line.contains("error"));
    error.unwrap_or("it does not build").to_owned()
}

fn by_cargo(label: &str, folder: &Path) -> io::Result<(PathBuf, usize)> {
    let program = format!("echo_{}", label.replace('-', "_"));
    let mut command = Command::new(build::cargo_program());
    command.current_dir(build::folder()).args([
        "build",
        "--profile",
        PROFILE,
        "--package",
        PACKAGE,
    ]);
    command.args(["--bin", &program]).arg("--target-dir").arg(folder);
    if label != "std" {
        command.args(["--features", label]);
    }
    let output = command.output()?;
    if !output.status.success() {
        return Err(io::Error::other(said(&output.stderr)));
    }
    let text = String::from_utf8_lossy(&output.stderr);
    let crates = text.lines().filter(|line| line.trim_start().starts_with("Compiling ")).count();
    Ok((folder.join(PROFILE).join(program), crates))
}

fn by_compiler(folder: &Path) -> io::Result<(PathBuf, usize)> {
    std::fs::create_dir_all(folder)?;
    let (source, program) = (build::folder().join("minimal/echo_libuv.c"), folder.join("echo"));
    let mut command = Command::new("cc");
    command.args(["-O2", "-s"]).arg(source).arg("-luv").arg("-o").arg(&program);
    let output = command.output()?;
    if output.status.success() {
        Ok((program, 1))
    } else {
        Err(io::Error::other(said(&output.stderr)))
    }
}

/// One message there and back: what does nothing would be small, too.
fn try_out(program: &Path, label: &str) -> io::Result<()> {
    let child = Command::new(program).stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
    let server = Server::announced(child, label)?;
    let mut stream = TcpStream::connect(server.addr)?;
    stream.set_read_timeout(Some(ANSWER_MAX))?;
    stream.write_all(b"echo")?;
    let mut answer = [0; 4];
    stream.read_exact(&mut answer)?;
    if &answer == b"echo" { Ok(()) } else { Err(io::Error::other("a wrong answer")) }
}

/// Builds a program from nothing in `folder`, which is removed.
pub fn measure(label: &str, folder: &Path) -> io::Result<Sized> {
    let _ = std::fs::remove_dir_all(folder);
    // The servers' and the load's core are where this process has been put before.
    process::allow(&[SERVER_CORE, LOAD_CORE])?;
    let begin = Instant::now();
    let built = if label == LIBUV { by_compiler(folder) } else { by_cargo(label, folder) };
    let seconds = begin.elapsed().as_secs_f64();
    let sized = built.and_then(|(program, crates)| {
        let bytes = std::fs::metadata(&program)?.len();
        try_out(&program, label)?;
        Ok(Sized { label: label.to_owned(), bytes, seconds, crates })
    });
    let _ = std::fs::remove_dir_all(folder);
    sized
}

impl Sized {
    /// Everything, for the results file.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({
            "library": self.label,
            "binary_bytes": self.bytes,
            "clean_build_seconds": self.seconds,
            "crates": self.crates,
        })
    }
}
