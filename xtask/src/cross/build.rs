//! What is done for a target.
#![expect(clippy::disallowed_methods, reason = "builds are timed here")]

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use super::Target;
use super::tools::{Tools, run};
use crate::programs;

/// What is linked: the example with the most in it, and the test of all that drivers must do.
pub(super) const PROGRAMS: [&str; 4] = ["--example", "web_server", "--test", "conformance"];
const LIBRARY: [&str; 3] = ["--package=tigereye", "--all-features", "--quiet"];

/// Checks, lints and links; says what it did, and how long that took.
pub(super) fn all(tools: &Tools, target: &Target) -> Result<(), String> {
    let begin = Instant::now();
    let step = |what: &str| println!("{}: {what} ({:.1?})", target.triple, begin.elapsed());
    run(tools.cargo_for("check", target)?.args(LIBRARY), "check")?;
    step("checked");
    let mut clippy = tools.cargo_for("clippy", target)?;
    run(clippy.args(LIBRARY).args(["--all-targets", "--", "-D", "warnings"]), "clippy")?;
    step("linted with tests, examples and benches");
    let mut build = tools.cargo_for("build", target)?;
    for program in linked(build.args(LIBRARY).args(PROGRAMS))? {
        let image = fs::read(&program).map_err(|error| format!("{program}: {error}"))?;
        if !target.format.matches(&image) {
            return Err(format!("{program} is not {}", target.format));
        }
        let name = Path::new(&program).file_name().unwrap_or_default().display();
        step(&format!("linked {name}: {}", target.format));
    }
    Ok(())
}

/// Builds; gives the programs.
fn linked(build: &mut Command) -> Result<Vec<String>, String> {
    build.arg("--message-format=json-render-diagnostics").stderr(Stdio::inherit());
    let output = build.output().map_err(|error| format!("cargo: {error}"))?;
    if !output.status.success() {
        return Err("link: cargo build failed".into());
    }
    let found = programs::named(&String::from_utf8_lossy(&output.stdout));
    let wanted = PROGRAMS.len() / 2;
    if found.len() == wanted {
        Ok(found)
    } else {
        Err(format!("{found:?} were linked, not {wanted}"))
    }
}
