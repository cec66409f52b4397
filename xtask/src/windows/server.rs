//! The example that has the most in it: served under Wine, asked from here, and ended by Ctrl-C.
//!
//! The server's tests, too, run here and ask it: with a script in place of the example, which starts it
//! under Wine.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::skipped::SKIPPED_OF_THE_SERVER;
use super::wine::Wine;
use crate::process;

/// Longer than a request or an orderly end takes.
const PATIENCE: Duration = Duration::from_secs(30);
/// More than the example reads into memory: it is sent from the file.
const FILE_BYTES: usize = 3 << 20;

/// Serves files with the program, looks at what comes, and ends it.
pub(super) fn run(wine: &Wine, program: &str, place: &Path) -> Result<(), String> {
    let root = place.join("root");
    let text = |error: std::io::Error| format!("{}: {error}", root.display());
    let contents: Vec<u8> = (0..FILE_BYTES).map(|at| (at % 251) as u8).collect();
    fs::create_dir_all(&root).map_err(text)?;
    fs::write(root.join("file"), &contents).map_err(text)?;
    // Wine's drive Z is the whole system.
    let served = format!("Z:{}", root.display());
    let mut command = wine.interruptible(program);
    command.args(["--addr", "127.0.0.1:0", "--threads", "2", "--root", &served]);
    let mut child = super::start(&mut command).map_err(|error| format!("the server: {error}"))?;
    let asked = ask(&mut child, &contents);
    let ended = interrupt(&mut child);
    asked.and(ended)
}

/// The variable that names the program to the server's tests.
const PROGRAM: &str = "TIGEREYE_TEST_WEB_SERVER";

/// Has the server's tests, built for here, ask the program.
pub(super) fn tests(wine: &Wine, program: &str, root: &Path, place: &Path) -> Result<(), String> {
    let script = place.join("web_server.sh");
    let text = |error: std::io::Error| format!("{}: {error}", script.display());
    fs::write(&script, wine.script(program)).map_err(text)?;
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).map_err(text)?;
    let mut tests = Command::new("cargo");
    tests.args(["test", "--quiet", "--package=tigereye", "--all-features", "--test=web_server"]);
    tests.args(["--", "--exact", "--test-threads=2"]).current_dir(root).env(PROGRAM, &script);
    for (test, _reason) in SKIPPED_OF_THE_SERVER {
        tests.args(["--skip", test]);
    }
    super::run_to_the_end(&mut tests, "the server's tests")
}

fn ask(child: &mut Child, contents: &[u8]) -> Result<(), String> {
    let output = child.stdout.take().ok_or("the server has no output")?;
    let mut line = String::new();
    BufReader::new(output).read_line(&mut line).map_err(|error| format!("the server: {error}"))?;
    let address = line.split_whitespace().find(|word| word.starts_with("http://"));
    let address = address.ok_or_else(|| format!("the server says {line:?}"))?.to_owned();
    let get = |arguments: &[&str]| -> Result<Vec<u8>, String> {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--fail", "--max-time", "30"]).args(arguments);
        let output = curl.output().map_err(|error| format!("curl: {error}"))?;
        let complaint = String::from_utf8_lossy(&output.stderr);
        if output.status.success() { Ok(output.stdout) } else { Err(complaint.into_owned()) }
    };
    if !get(&[&format!("{address}/hello")])?.starts_with(b"Hello") {
        return Err("/hello is answered with something else".into());
    }
    let file = format!("{address}/file");
    if get(&[&file])? != contents {
        return Err("the file came otherwise than it is".into());
    }
    if get(&["--range", "1000000-2999999", &file])? != contents[1_000_000..3_000_000] {
        return Err("the part of the file came otherwise than it is".into());
    }
    Ok(())
}

/// Ctrl-C, for Wine: the program ends in good order.
fn interrupt(child: &mut Child) -> Result<(), String> {
    let mut kill = Command::new("kill");
    kill.args(["-INT", &child.id().to_string()]).stderr(Stdio::null());
    kill.status().map_err(|error| format!("kill: {error}"))?;
    match process::wait(child, PATIENCE).map_err(|error| format!("the server: {error}"))? {
        Some(status) if status.success() => Ok(()),
        Some(status) => Err(format!("after Ctrl-C the server ends with {status}")),
        None => Err("Ctrl-C does not end the server".into()),
    }
}
