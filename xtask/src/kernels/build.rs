//! Test programs that need nothing of the system that they run on: linked statically.

use std::path::Path;
use std::process::Command;

use super::Program;

/// Builds the test programs; gives their names and paths, in order.
pub(super) fn programs(root: &Path, place: &Path) -> Result<Vec<Program>, String> {
    let mut command = Command::new("cargo");
    command.args(["test", "--no-run", "--quiet", "--message-format=json", "--package", "tigereye"]);
    command.args(["--all-features", "--lib", "--tests", "--target", "x86_64-unknown-linux-gnu"]);
    command.current_dir(root).env("CARGO_TARGET_DIR", place.join("build"));
    command.env("RUSTFLAGS", "-C target-feature=+crt-static");
    // A boot unpacks them all into memory.
    command.env("CARGO_PROFILE_DEV_DEBUG", "0");
    let text = crate::process::output(&mut command)?;
    let mut programs: Vec<Program> = text.lines().filter_map(program).collect();
    programs.sort_by(|one, other| one.name.cmp(&other.name));
    if programs.is_empty() { Err("cargo names no program".into()) } else { Ok(programs) }
}

/// The program that a line of cargo's tells of, if it does.
fn program(line: &str) -> Option<Program> {
    let path = crate::programs::executable(line)?;
    // The first "kind" is the target's.
    let is_lib = line.contains("\"kind\":[\"lib\"]");
    let (_, target) = line.split_once("\"target\":")?;
    let name = target.split_once("\"name\":\"")?.1.split('"').next()?;
    let name = if is_lib { "lib" } else { name };
    Some(Program { name: name.into(), path: path.into() })
}

#[cfg(test)]
mod self_tests {
    use super::*;

    #[test]
    fn lines_of_cargo_name_programs() {
        let line = r#"{"reason":"compiler-artifact","package_id":"p","target":{"kind":["test"],"crate_types":["bin"],"name":"uring","src_path":"u"},"filenames":["x"],"executable":"a/uring-1","fresh":true}"#;
        let uring = Program { name: "uring".into(), path: "a/uring-1".into() };
        assert_eq!(program(line), Some(uring));
        let lib = line.replace("[\"test\"]", "[\"lib\"]").replace("uring", "tigereye");
        assert_eq!(program(&lib).unwrap().name, "lib");
        assert_eq!(program(&line.replace("\"a/uring-1\"", "null")), None);
        assert_eq!(program(r#"{"reason":"build-finished","success":true}"#), None);
    }
}
