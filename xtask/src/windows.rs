//! Does the library work on Windows? `cargo xtask windows` lints it for both of the targets that
//! Windows has, builds its tests with MinGW, and runs them under Wine.
//!
//! ```text
//!  tools     Debian's compiler, its standard library, MinGW, Wine      once
//!    │
//!  clippy, for msvc and gnu ─▶ tests built ─▶ each under Wine, in time ─▶ closing lines
//! ```
//!
//! I1. What Wine cannot serve is named in `skipped.rs`, with the reason, and nowhere else; and so are the
//!     programs in tests/ that are not run.
//! I2. All that is made lies in target/cross; of the system, only packages are installed.

mod server;
mod skipped;
mod wine;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::cross::tools::{Tools, run};
use crate::rules::System;
use crate::{process, programs};
use skipped::{SKIPPED, SKIPPED_CELLS, SKIPPED_OF_THE_SERVER, SKIPPED_PROGRAMS, SKIPPED_RESETS};
use wine::Wine;

const RUN: &str = "x86_64-pc-windows-gnu";
const CHECKED: &str = "x86_64-pc-windows-msvc";
const PACKAGES: [&str; 3] = ["gcc-mingw-w64-x86-64-win32", "wine", "wine64"];
const LINKER: &str = "x86_64-w64-mingw32-gcc";
/// What there is for Windows: the library with its own tests, and these.
const TESTS: [&str; 20] = [
    "--lib",
    "--test=conformance",
    "--test=drivers",
    "--test=differential",
    "--test=graveyard",
    "--test=allocations",
    "--test=handles",
    "--test=data_file",
    "--test=examples",
    "--test=file_examples",
    "--test=key_value",
    "--test=replicated_log",
    "--test=tcp_proxy",
    "--test=simulator",
    "--test=simulator_disk",
    "--test=simulator_machine",
    "--test=simulator_runner",
    "--test=simulator_sockets",
    "--test=simulated_web_server",
    "--test=web_server_allocations",
];
/// The variable that tells tests/drivers which of its cells not to run.
const CELLS: &str = "TIGEREYE_TEST_SKIPPED_CELLS";
/// How much of what comes by chance is tried. The simulator does the same here and there, so of that
/// little is enough.
const HOW_MUCH: [(&str, &str); 2] =
    [("TIGEREYE_TEST_SEQUENCES", "300"), ("TIGEREYE_TEST_SEEDS", "20")];
const EXAMPLES: [&str; 8] = [
    "--example=echo",
    "--example=key_value",
    "--example=list",
    "--example=replicated_log",
    "--example=simulation",
    "--example=tcp_proxy",
    "--example=udp_echo",
    "--example=web_server",
];
const PACKAGE: [&str; 3] = ["--package=tigereye", "--all-features", "--quiet"];
/// For MinGW, clippy does not see that what a thread has of its own is made const.
const LINTS: [&str; 5] = ["--", "-D", "warnings", "-A", "clippy::missing_const_for_thread_local"];
/// Of all that one program runs. A test that hangs says so itself after two minutes.
const PATIENCE: Duration = Duration::from_secs(600);

/// Names what is skipped, and why.
pub(crate) fn list() {
    let tests = SKIPPED.iter().chain(SKIPPED_OF_THE_SERVER).chain(SKIPPED_CELLS);
    for (test, reason) in tests.chain([&SKIPPED_RESETS]) {
        println!("{test}\n    {reason}");
    }
    for (program, reason) in SKIPPED_PROGRAMS {
        println!("all of tests/{program}\n    {reason}");
    }
}

/// What is needed to build and to run.
fn ready(root: &Path) -> Result<(Tools, Wine), String> {
    let missing = [LINKER, "wine"].iter().any(|program| process::find(program).is_none());
    if missing {
        crate::cross::tools::install(&PACKAGES)?;
    }
    let tools = Tools::ready(root, &[RUN, CHECKED])?;
    let wine = Wine::ready(tools.place())?;
    Ok((tools, wine))
}

/// Takes the remedies for what Windows alone does out, one by one, and expects a test to fail for each.
pub(crate) fn rules(root: &Path, names: &[&str]) -> Result<(), String> {
    let (tools, wine) = ready(root)?;
    let cargo = || tools.cargo_plain("test", RUN, LINKER);
    let program = |program: &Path| wine.command(&program.display().to_string());
    let system = System { place: "cross/rules", cargo: &cargo, program: &program };
    crate::rules::run_for_windows(root, names, system)
}

/// Lints, builds and runs.
pub(crate) fn command(root: &Path) -> Result<(), String> {
    let (tools, wine) = ready(root)?;
    // What tests need has some C, which wants Microsoft's own compiler there.
    for (target, of) in [(CHECKED, &TESTS[..1]), (RUN, &[&TESTS[..], &EXAMPLES].concat())] {
        let mut clippy = tools.cargo_plain("clippy", target, LINKER);
        let what = format!("clippy for {target}");
        run(clippy.args(PACKAGE).args(of).args(LINTS), &what)?;
        println!("{target}: linted");
    }
    // First, for some tests start them.
    let examples = build(tools.cargo_plain("build", RUN, LINKER).args(EXAMPLES))?;
    let tests = build(tools.cargo_plain("test", RUN, LINKER).arg("--no-run").args(TESTS))?;
    let mut failed = Vec::new();
    for program in &tests {
        if let Err(message) = run_tests(&wine, program) {
            failed.push(message);
        }
    }
    let server = examples.iter().find(|program| program.contains("web_server"));
    let served = server.ok_or_else(|| String::from("there is no web server"));
    let served = served.and_then(|server| {
        server::run(&wine, server, tools.place())?;
        println!("web_server: asked by curl, and ended by Ctrl-C");
        server::tests(&wine, server, root, tools.place())
    });
    if let Err(message) = served {
        failed.push(format!("web_server: {message}"));
    }
    let skipped = SKIPPED.len() + SKIPPED_OF_THE_SERVER.len();
    let cells: usize = SKIPPED_CELLS.iter().map(|(cells, _)| cells.split(' ').count()).sum();
    println!(
        "skipped under Wine: {skipped} tests and {cells} cells of the table (cargo xtask windows --list \
         says why)"
    );
    if failed.is_empty() { Ok(()) } else { Err(failed.join("\n")) }
}

/// Builds programs, and says where they are.
fn build(cargo: &mut Command) -> Result<Vec<String>, String> {
    cargo.args(PACKAGE).arg("--message-format=json-render-diagnostics").stderr(Stdio::inherit());
    let output = cargo.output().map_err(|error| format!("cargo: {error}"))?;
    if !output.status.success() {
        return Err("cargo fails to build what is to be run".into());
    }
    Ok(programs::named(&String::from_utf8_lossy(&output.stdout)))
}

/// Runs the tests in a program.
fn run_tests(wine: &Wine, program: &str) -> Result<(), String> {
    let name = Path::new(program).file_name().unwrap_or_default().display().to_string();
    let mut command = wine.command(program);
    command.args(["--exact", "--test-threads=2"]);
    let cells: Vec<_> = SKIPPED_CELLS.iter().map(|&(cells, _reason)| cells).collect();
    command.env(CELLS, cells.join(" ")).env(SKIPPED_RESETS.0, "1").envs(HOW_MUCH);
    for (test, _reason) in SKIPPED {
        command.args(["--skip", test]);
    }
    run_to_the_end(&mut command, &name)
}

/// Runs tests, and prints what they say at their end, or all, where they fail.
fn run_to_the_end(command: &mut Command, name: &str) -> Result<(), String> {
    let mut child = start(command).map_err(|error| format!("{name}: {error}"))?;
    let output = child.stdout.take();
    // Read meanwhile: a pipe that is full would hold the program up.
    #[expect(clippy::disallowed_methods, reason = "a program's output is read beside it")]
    let reader = std::thread::spawn(move || -> Vec<String> {
        output
            .map(|output| BufReader::new(output).lines().map_while(Result::ok).collect())
            .unwrap_or_default()
    });
    let status = process::wait(&mut child, PATIENCE).map_err(|error| format!("{name}: {error}"))?;
    let lines = reader.join().unwrap_or_default();
    let closing = lines.iter().rfind(|line| line.starts_with("test result"));
    if status.is_some_and(|status| status.success())
        && let Some(closing) = closing
    {
        println!("{name}: {closing}");
        return Ok(());
    }
    println!("{}", lines.join("\n"));
    let end = status.map_or_else(|| "takes too long".into(), |status| status.to_string());
    Err(format!("{name}: {end}"))
}

fn start(command: &mut Command) -> std::io::Result<std::process::Child> {
    use std::os::unix::process::CommandExt;
    command.stdout(Stdio::piped()).stdin(Stdio::null()).process_group(0).spawn()
}

#[cfg(test)]
mod self_tests {
    use std::fs;

    use super::*;

    /// The programs in tests/.
    fn programs() -> Vec<String> {
        let tests = fs::read_dir(crate::root().join("tests")).unwrap();
        let paths = tests.map(|entry| entry.unwrap().path());
        let programs = paths.filter(|path| path.join("main.rs").exists() || path.is_file());
        programs.map(|path| path.file_stem().unwrap().to_str().unwrap().to_string()).collect()
    }

    #[test]
    fn each_program_is_run_or_it_is_said_why_not() {
        let programs = programs();
        let is_run = |program: &str| TESTS.contains(&&*format!("--test={program}"));
        let why =
            |program: &str| SKIPPED_PROGRAMS.iter().filter(|(name, _)| *name == program).count();
        for program in &programs {
            assert_eq!(usize::from(is_run(program)) + why(program), 1, "{program}");
        }
        let is_there = |name: &str| programs.iter().any(|program| program == name);
        assert!(SKIPPED_PROGRAMS.iter().all(|(name, _reason)| is_there(name)));
        assert!(TESTS.iter().filter_map(|test| test.strip_prefix("--test=")).all(is_there));
    }
}
