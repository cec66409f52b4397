//! Running other programs.
#![expect(clippy::disallowed_methods, reason = "programs are timed here")]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Waits for a process; kills it, and the group that it leads if it does, when it takes longer than
/// `patience`.
pub(crate) fn wait(child: &mut Child, patience: Duration) -> std::io::Result<Option<ExitStatus>> {
    let start = Instant::now();
    while start.elapsed() < patience {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        sleep(Duration::from_millis(5));
    }
    let mut kill = Command::new("kill");
    kill.args(["-KILL", "--", &format!("-{}", child.id())]).stderr(Stdio::null()).status()?;
    child.kill()?;
    child.wait()?;
    Ok(None)
}

/// Runs a program to its end and gives what it wrote; an error tells what it complained of.
pub(crate) fn output(command: &mut Command) -> Result<String, String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let complaints = String::from_utf8_lossy(&output.stderr);
    Err(format!("{program}: {}\n{complaints}", output.status))
}

/// Where a program is, in the places that the system has for programs.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = std::env::split_paths(&path);
    let system = ["/bin", "/usr/bin", "/sbin", "/usr/sbin"].map(PathBuf::from);
    places.chain(system).map(|place| place.join(program)).find(|path| Path::is_file(path))
}
