//! Tests that need a process of their own, for they change or count what belongs to the process:
//! they start this test program again, for themselves alone.

use std::process::Command;

const ALONE: &str = "TIGEREYE_TEST_ALONE";

/// True in the process that the test `name` has to itself; else starts one, with `variables` in
/// its environment, and expects it to succeed.
#[track_caller]
pub(crate) fn alone(name: &str, variables: &[(&str, &str)]) -> bool {
    if std::env::var(ALONE).as_deref() == Ok(name) {
        return true;
    }
    let program = std::env::current_exe().expect("a program knows where it is");
    let mut command = Command::new(program);
    command.args(["--exact", name, "--nocapture", "--include-ignored"]);
    command.env(ALONE, name).envs(variables.iter().copied());
    let output = command.output().expect("the test program starts again");
    let text = String::from_utf8_lossy(&output.stdout);
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}\n{text}\n{complaints}", output.status);
    assert!(text.contains("1 passed"), "no test is called {name}");
    for line in complaints.lines().filter(|line| line.contains("SKIPPED")) {
        eprintln!("{line}");
    }
    false
}
