//! libuv's server, which is there only where libuv is.

use super::build;
use super::program::{Program, beside};
use crate::sys::process;
use std::io;
use std::process::Command;

const SERVER: &str = "peer_libuv";
const PACKAGE: &str = "libuv1-dev";

/// The version that the server was built with, if it was.
fn version() -> io::Result<Option<String>> {
    let output = Command::new(beside(SERVER)?).args(["--print", "version"]).output()?;
    let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    Ok(output.status.success().then_some(version))
}

/// Sees to it that libuv's server can run, if it is to. Gives the version; where there is none, its
/// rows are taken out of the list, and that is said.
pub fn provide(servers: &mut Vec<Program>) -> io::Result<Option<String>> {
    let its = |server: &Program| server.command.first().is_some_and(|name| name == SERVER);
    if !servers.iter().any(its) {
        return Ok(None);
    }
    let mut found = version()?;
    if found.is_none() && process::install(PACKAGE) {
        build::peers()?;
        found = version()?;
    }
    if found.is_none() {
        println!("libuv: left out, for want of its headers (package {PACKAGE}).");
        servers.retain(|server| !its(server));
    }
    Ok(found)
}
