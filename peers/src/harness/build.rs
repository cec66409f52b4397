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

fn cargo(folder: &Path, flags: &[&str]) -> Command {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let mut command = Command::new(cargo);
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

/// The programs beside the harness.
pub fn peers() -> io::Result<()> {
    run(&mut cargo(&folder(), &["--bins"]))
}

/// The library's example web server, in the library's own folder and with its own profile.
pub fn web_server() -> io::Result<()> {
    let mut command = cargo(&folder().join(".."), &["--example", "web_server"]);
    run(command.env_remove("CARGO_TARGET_DIR"))
}
