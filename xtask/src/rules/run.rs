//! Running the tests on changed copies of the sources.
#![expect(clippy::disallowed_methods, reason = "tests are timed here")]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use super::Mutation;
use crate::process::wait;
use crate::tree;

/// How long a test may take at least; one that takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often longer than on the unchanged sources a test may take.
const SLOWER: u32 = 3;

/// The system that test programs are built for, and how they run.
pub(crate) struct System<'a> {
    /// The folder below target/ where all lies that is made.
    pub(crate) place: &'static str,
    /// Cargo, which is to test.
    pub(crate) cargo: &'a dyn Fn() -> Command,
    /// A program of that system's.
    pub(crate) program: &'a dyn Fn(&Path) -> Command,
}

/// A copy of the sources, and where it is built.
struct Copy<'a> {
    system: System<'a>,
    root: PathBuf,
    tree: PathBuf,
    target: PathBuf,
}

impl Copy<'_> {
    fn new<'a>(root: &Path, system: System<'a>) -> Result<Copy<'a>, String> {
        let root = root.canonicalize().map_err(|error| format!("the workspace: {error}"))?;
        let place = root.join("target").join(system.place);
        let copy = Copy { system, tree: place.join("tree"), target: place.join("target"), root };
        tree::copy(&copy.root, &copy.tree).map_err(|error| format!("copying: {error}"))?;
        Ok(copy)
    }

    /// Builds a test program; gives its path.
    fn build(&self, program: &str) -> Result<PathBuf, String> {
        let mut command = (self.system.cargo)();
        command.args(["--no-run", "--quiet", "--message-format=json"]);
        command.args(["--package", "tigereye"]);
        match program {
            "lib" => command.arg("--lib"),
            program => command.args(["--test", program]),
        };
        command.current_dir(&self.tree).env("CARGO_TARGET_DIR", &self.target);
        // Less to write, and a change often makes something unused.
        command.env("CARGO_PROFILE_DEV_DEBUG", "0");
        let output = command.output().map_err(|error| format!("cargo: {error}"))?;
        let text = String::from_utf8_lossy(&output.stdout);
        if !output.status.success() {
            let complaints = String::from_utf8_lossy(&output.stderr);
            return Err(format!("it does not build\n{complaints}"));
        }
        // The test program comes last: what it starts is built before.
        let path = crate::programs::named(&text).pop();
        path.map(PathBuf::from).ok_or_else(|| "cargo names no program".into())
    }

    /// Runs one test; says how it ended, or nothing if it had to be killed.
    fn test(
        &self,
        program: &Path,
        mutation: &Mutation,
        patience: Duration,
    ) -> Result<Option<ExitStatus>, String> {
        let mut command = (self.system.program)(program);
        command.args(["--exact", mutation.test, "--include-ignored"]);
        command.envs(mutation.environment.iter().copied()).current_dir(&self.tree);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        // A group of its own: a test may start processes, which end with it.
        let child = command.process_group(0).spawn();
        let mut child = child.map_err(|error| format!("{}: {error}", program.display()))?;
        wait(&mut child, patience).map_err(|error| format!("{}: {error}", program.display()))
    }

    /// Makes one change, runs its test, takes the change back; says how the test noticed.
    fn try_out(&self, mutation: &Mutation, patience: Duration) -> Result<&'static str, String> {
        let mut texts: BTreeMap<&str, String> = BTreeMap::new();
        for edit in mutation.edits {
            let text = match texts.remove(edit.file) {
                Some(text) => text,
                None => fs::read_to_string(self.root.join(edit.file))
                    .map_err(|error| format!("{}: {error}", edit.file))?,
            };
            texts.insert(edit.file, edit.apply(&text)?);
        }
        let write = |file: &str, text: &[u8]| {
            tree::write(&self.tree.join(file), text).map_err(|error| format!("{file}: {error}"))
        };
        for (file, text) in &texts {
            write(file, text.as_bytes())?;
        }
        let ended =
            self.build(mutation.program).and_then(|path| self.test(&path, mutation, patience));
        for file in texts.keys() {
            let text =
                fs::read(self.root.join(file)).map_err(|error| format!("{file}: {error}"))?;
            write(file, &text)?;
        }
        match ended? {
            None => Ok("the test hangs"),
            Some(status) if status.success() => {
                Err(format!("nobody notices: {} of {} passes", mutation.test, mutation.program))
            }
            Some(status) if status.code().is_some() => Ok("the test fails"),
            Some(_) => Ok("the test crashes"),
        }
    }
}

/// Runs each test on the unchanged sources; says how long it may take on changed ones.
fn patience(copy: &Copy<'_>, chosen: &[&Mutation]) -> Result<Vec<Duration>, String> {
    let mut programs: BTreeMap<&str, PathBuf> = BTreeMap::new();
    let mut durations = Vec::new();
    for mutation in chosen {
        if !programs.contains_key(mutation.program) {
            programs.insert(mutation.program, copy.build(mutation.program)?);
        }
        let start = Instant::now();
        let ended = copy.test(&programs[mutation.program], mutation, 20 * PATIENCE)?;
        if ended.is_none_or(|status| !status.success()) {
            return Err(format!("{} fails on the unchanged sources", mutation.test));
        }
        durations.push(PATIENCE.max(start.elapsed() * SLOWER));
    }
    Ok(durations)
}

/// Tries those of the changes whose name contains one of `names`, or all.
pub(super) fn run(
    root: &Path,
    mutations: &[Mutation],
    names: &[&str],
    system: System<'_>,
) -> Result<(), String> {
    let is_chosen = |mutation: &&Mutation| {
        names.is_empty() || names.iter().any(|name| mutation.name.contains(name))
    };
    let chosen: Vec<&Mutation> = mutations.iter().filter(is_chosen).collect();
    if chosen.is_empty() {
        return Err("no change has such a name: see `cargo xtask rules --list`".into());
    }
    let copy = Copy::new(root, system)?;
    let start = Instant::now();
    let patience = patience(&copy, &chosen)?;
    println!("{} tests pass on the unchanged sources, {:.0?}", chosen.len(), start.elapsed());
    let mut failures = 0;
    for (mutation, patience) in chosen.iter().zip(patience) {
        let begin = Instant::now();
        let outcome = match copy.try_out(mutation, patience) {
            Ok(noticed) => noticed.to_owned(),
            Err(message) => {
                failures += 1;
                format!("ERROR: {message}")
            }
        };
        println!("{}: {outcome} ({:.1?})", mutation.name, begin.elapsed());
    }
    println!("{} changes, {failures} errors, {:.0?}", chosen.len(), start.elapsed());
    if failures == 0 {
        Ok(())
    } else {
        Err(format!("{failures} changes are not as they should be"))
    }
}
