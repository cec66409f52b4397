//! Builds what the harness starts: `cargo run` builds the harness alone.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

/// How the harness was built, and everything that it builds.
pub const PROFILE: &str = if cfg!(debug_assertions) { "debug" } else { "release" };

/// This package's folder.
#[must_use]
pub fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The cargo that runs this, or any.
#[must_use]
pub fn cargo_program() -> OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"))
}

fn cargo(folder: &Path, flags: &[&str]) -> Command {
    let mut command = Command::new(cargo_program());
    command.current_dir(folder).arg("build").args(flags);
    if PROFILE == "release" {
        command.arg("--release");
    }
    command
}

fn run(command: &mut Command) -> io::Result<()> {
    let status = command.status()?;
    if status.success() { Ok(()) } else { Err(io::Error::other(format!("{command:?}: {status}"))) }
}

/// A package that could not be built.
pub struct Missing {
    /// The beginning of its programs' names.
    pub program: &'static str,
    /// Why.
    pub reason: String,
}

/// **The packages beside this one, and how their programs' names begin.**
const PACKAGES: &[(&str, &str)] = &[
    ("tigereye-peers-compio", "peer_compio"),
    ("tigereye-peers-glommio", "peer_glommio"),
    ("tigereye-peers-libuv", "peer_libuv"),
    ("tigereye-peers-monoio", "peer_monoio"),
    ("tigereye-peers-tokio-uring", "peer_tokio_uring"),
];

/// The programs beside the harness. Those of a package that does not build are left out, and named.
pub fn peers() -> io::Result<Vec<Missing>> {
    // With all packages in one, so that what they share is built once.
    if cargo(&folder(), &["--bins", "--keep-going"]).status()?.success() {
        return Ok(Vec::new());
    }
    run(&mut cargo(&folder(), &["--bins", "--package", env!("CARGO_PKG_NAME")]))?;
    let mut missing = Vec::new();
    for &(package, program) in PACKAGES {
        let output = cargo(&folder(), &["--bins", "--package", package]).output()?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            let error = said.lines().find(|line| line.starts_with("error"));
            let reason = error.unwrap_or("cargo build failed").to_owned();
            missing.push(Missing { program, reason });
        }
    }
    Ok(missing)
}

/// The library's example web server, in the library's own folder and with its own profile.
pub fn web_server() -> io::Result<()> {
    let mut command = cargo(&folder().join(".."), &["--example", "web_server"]);
    run(command.env_remove("CARGO_TARGET_DIR"))
}
