//! libuv's server, which is there only where libuv is.

use super::build;
use super::program::{Program, beside};
use crate::sys::process;
use std::io;
use std::process::Command;

/// The beginning of its programs' names.
pub const SERVER: &str = "peer_libuv";
/// Why it is left out, if it is.
pub const WANTED: &str = "for want of its headers (package libuv1-dev)";
const PACKAGE: &str = "libuv1-dev";

/// Whether a server is libuv's.
#[must_use]
pub fn is_its(server: &Program) -> bool {
    server.command.first().is_some_and(|name| name == SERVER)
}

/// The version that the server was built with, if it was.
fn version() -> io::Result<Option<String>> {
    let output = Command::new(beside(SERVER)?).args(["--print", "version"]).output()?;
    let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    Ok(output.status.success().then_some(version))
}

/// Sees to it that libuv's server can run, and gives the version.
pub fn provide() -> io::Result<Option<String>> {
    let found = version()?;
    if found.is_some() || !process::install(PACKAGE) {
        return Ok(found);
    }
    build::peers()?;
    version()
}
