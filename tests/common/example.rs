//! The examples, as processes.

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// The example beside this test: `target/…/deps/chat-…` and `target/…/examples/chat`.
pub(crate) fn binary(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let profile = test.parent().and_then(Path::parent).unwrap();
    let name_of_file = format!("{name}{}", std::env::consts::EXE_SUFFIX);
    let binary = profile.join("examples").join(name_of_file);
    // `cargo test` builds it, but `cargo test --test …` does not.
    let source = format!("{}/examples/{name}.rs", env!("CARGO_MANIFEST_DIR"));
    let modified = |path: &Path| fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
    let is_new = modified(&binary) >= modified(Path::new(&source));
    assert!(is_new, "`cargo build --example {name}` makes {}", binary.display());
    binary
}

/// One that listens.
pub(crate) struct Example {
    process: Child,
    /// Where it says that it listens.
    pub(crate) address: String,
}

impl Example {
    /// Nothing where it ends before it listens.
    pub(crate) fn start(name: &str, arguments: &[&OsStr]) -> Option<Example> {
        let mut command = Command::new(binary(name));
        command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut process = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim_end().strip_prefix("listening ").unwrap_or_default().to_string();
        let example = Example { process, address };
        (!example.address.is_empty()).then_some(example)
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
