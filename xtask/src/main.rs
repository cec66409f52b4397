//! What CI runs, as commands: `cargo xtask`.

mod contents;
mod cross;
mod kernels;
mod operations;
mod pitfalls;
mod process;
mod programs;
mod rules;
mod tree;
mod windows;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

const HELP: &str = "\
Commands of the project: cargo xtask COMMAND

  ci                  everything that must hold (runs .ci/run)
  rules [NAME…]       takes the design's rules and the known pitfalls' remedies out, one by one, in a
                      copy of the sources, and expects a test to fail for each; NAME picks those
                      whose name contains it
  rules --list        names them, and the tests that must fail
  cross [NAME…]       checks, lints and links for macOS and FreeBSD, with a compiler and a linker that
                      it installs; NAME picks those targets whose name contains it
  cross --list        names them, and what is linked
  windows             lints for Windows, builds the tests for it, and runs them under Wine, all of which
                      it installs
  windows --list      names the tests that Wine cannot serve, and why
  windows --rules [NAME…]  as rules, of what holds on Windows alone
  pitfalls            checks that docs/pitfalls.md lists the tests that there are
  pitfalls --write    writes the list again
  operations          checks that the table of operations has all of them, and that the README has it
  operations --write  writes the README's again
  contents            builds the smallest server and checks that the simulator is not in it
  kernels [VERSION…]  boots old Linux kernels of Debian's in an emulator and runs the tests in each, on
                      each driver that it allows; --driver NAME picks a driver, --short leaves out
                      what takes minutes
  kernels --list      names them
  help                this text
";

/// Where the workspace is.
fn root() -> PathBuf {
    let own = std::env::var("CARGO_MANIFEST_DIR").unwrap_or_else(|_| "xtask".into());
    Path::new(&own).parent().map_or_else(|| PathBuf::from("."), Path::to_path_buf)
}

fn ci() -> Result<(), String> {
    let status = Command::new(root().join(".ci/run")).status();
    let status = status.map_err(|error| format!(".ci/run: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!(".ci/run: {status}")) }
}

fn are_names(arguments: &[&str]) -> bool {
    arguments.iter().all(|argument| !argument.starts_with('-'))
}

fn is_help(argument: &&str) -> bool {
    matches!(*argument, "--help" | "-h")
}

fn command() -> Result<(), String> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["ci"] => ci(),
        ["rules", "--list"] => {
            rules::list();
            Ok(())
        }
        ["rules", ref names @ ..] if are_names(names) => rules::run(&root(), names),
        ["cross", "--list"] => {
            cross::list();
            Ok(())
        }
        ["cross", ref names @ ..] if are_names(names) => cross::run(&root(), names),
        ["kernels", ref options @ ..] if !options.iter().any(is_help) => {
            kernels::command(&root(), options)
        }
        ["windows", "--list"] => {
            windows::list();
            Ok(())
        }
        ["windows"] => windows::command(&root()),
        ["windows", "--rules", ref names @ ..] if are_names(names) => {
            windows::rules(&root(), names)
        }
        ["contents"] => contents::check(&root()),
        ["operations"] => operations::check(&root()),
        ["operations", "--write"] => operations::write(&root()),
        ["pitfalls"] => pitfalls::check(&root()),
        ["pitfalls", "--write"] => pitfalls::write(&root()),
        [] | ["help" | "--help" | "-h", ..] | [_, "--help" | "-h"] => {
            print!("{HELP}");
            Ok(())
        }
        _ => {
            Err(format!("cargo xtask {}: there is no such command\n\n{HELP}", arguments.join(" ")))
        }
    }
}

fn main() -> ExitCode {
    let result = match cross::wanted() {
        Some(target) => cross::link(&target),
        None => command(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{}", message.trim_end());
            ExitCode::FAILURE
        }
    }
}
