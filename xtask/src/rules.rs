//! Does a test fail when a rule is taken out? `cargo xtask rules` tries: in a copy of the sources it
//! makes one change of [`MUTATIONS`] at a time, builds, and runs the tests that must then fail.
//!
//! A test that fails, panics, crashes or hangs has noticed. A change whose text is not found, that
//! does not compile, or that no test notices is an error: then the table, or the suite, is behind.

mod run;
mod table;
mod windows;

use std::path::Path;
use std::process::Command;

pub(crate) use run::System;
use table::MUTATIONS;
use windows::WINDOWS;

/// A change that takes a rule, or the remedy for a pitfall, out of the library.
struct Mutation {
    /// The rule or the pitfall, and what becomes of it.
    name: &'static str,
    edits: &'static [Edit],
    /// The test program: a folder or file in tests/, or `lib` for the library's own tests.
    program: &'static str,
    /// The test that must fail, with its modules.
    test: &'static str,
    /// Variables for the test, where the rule shows only in one way of running.
    environment: &'static [(&'static str, &'static str)],
}

/// One piece of text for another: the first one behind `after`.
struct Edit {
    file: &'static str,
    after: &'static str,
    find: &'static str,
    replace: &'static str,
}

impl Edit {
    /// The file's text with the change made.
    fn apply(&self, text: &str) -> Result<String, String> {
        let missing = |what| format!("{} has no {what:?} any more: update the table", self.file);
        let from = text.find(self.after).ok_or_else(|| missing(self.after))?;
        let at = text[from..].find(self.find).ok_or_else(|| missing(self.find))? + from;
        let (head, tail) = (&text[..at], &text[at + self.find.len()..]);
        Ok(format!("{head}{}{tail}", self.replace))
    }
}

/// Tries those of the changes whose name contains one of `names`, or all.
pub(crate) fn run(root: &Path, names: &[&str]) -> Result<(), String> {
    let cargo = || {
        let mut cargo = Command::new("cargo");
        cargo.arg("test").env("RUSTFLAGS", "--cap-lints=allow");
        cargo
    };
    let program = |program: &Path| Command::new(program);
    run::run(root, MUTATIONS, names, System { place: "rules", cargo: &cargo, program: &program })
}

/// As [`run()`], of what holds on Windows alone.
pub(crate) fn run_for_windows(
    root: &Path,
    names: &[&str],
    system: System<'_>,
) -> Result<(), String> {
    run::run(root, WINDOWS, names, system)
}

/// Names the changes, and the tests that must notice them.
pub(crate) fn list() {
    for mutation in MUTATIONS.iter().chain(WINDOWS) {
        println!("{}\n    {} {}", mutation.name, mutation.program, mutation.test);
    }
}

#[cfg(test)]
mod self_tests {
    use super::*;

    #[test]
    fn every_edit_finds_its_text() {
        let root = crate::root();
        let is_stale = |mutation: &&Mutation| {
            mutation.edits.iter().any(|edit| {
                let text = std::fs::read_to_string(root.join(edit.file)).unwrap_or_default();
                !edit.apply(&text).is_ok_and(|changed| changed != text)
            })
        };
        let stale: Vec<_> =
            MUTATIONS.iter().chain(WINDOWS).filter(is_stale).map(|stale| stale.name).collect();
        assert_eq!(stale, [""; 0]);
    }
}
