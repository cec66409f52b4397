//! An example as a process that listens.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

pub(crate) struct Example {
    process: Child,
    /// Where it says that it listens.
    pub(crate) address: String,
}

impl Example {
    /// The example beside the test: `target/…/deps/chat-…` and `target/…/examples/chat`. Cargo
    /// builds it before it runs the tests. Nothing where it ends before it listens.
    pub(crate) fn start(name: &str, arguments: &[&OsStr]) -> Option<Example> {
        let test = std::env::current_exe().unwrap();
        let profile = test.parent().unwrap().parent().unwrap();
        let mut command = Command::new(profile.join("examples").join(name));
        command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut process = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
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
