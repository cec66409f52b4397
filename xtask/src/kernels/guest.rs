//! What a booted kernel finds: busybox, the test programs, and the plan of what to run.

use std::fs;
use std::path::Path;

use super::archive::Archive;
use super::plan::{Driver, Run};

const INIT: &str = include_str!("init");
const FOLDERS: [&str; 8] = ["bin", "dev", "etc", "proc", "root", "sys", "tests", "tmp"];
/// What the C library asks for names.
const HOSTS: &str = "127.0.0.1 localhost\n::1 localhost\n";
const USERS: &str = "root:x:0:0:root:/root:/bin/sh\n";

/// The first file system of a machine that runs `plan`.
pub(super) fn archive(busybox: &Path, driver: Driver, plan: &[Run]) -> Result<Vec<u8>, String> {
    let read = |path: &Path| fs::read(path).map_err(|error| format!("{}: {error}", path.display()));
    let mut archive = Archive::default();
    for folder in FOLDERS {
        archive.folder(folder);
    }
    archive.file("init", INIT.as_bytes());
    archive.file("bin/busybox", &read(busybox)?);
    archive.file("etc/hosts", HOSTS.as_bytes());
    archive.file("etc/nsswitch.conf", b"hosts: files\n");
    archive.file("etc/passwd", USERS.as_bytes());
    for run in plan {
        archive.file(&format!("tests/{}", run.program.name), &read(&run.program.path)?);
    }
    archive.file("plan", lines(driver, plan).as_bytes());
    Ok(archive.finish())
}

/// One line a program, as `init` reads them.
fn lines(driver: Driver, plan: &[Run]) -> String {
    let line = |run: &Run| {
        format!("{} {} {} {}\n", run.processors, driver.name(), run.program.name, run.choice)
    };
    plan.iter().map(line).collect()
}

#[cfg(test)]
mod self_tests {
    use super::*;
    use crate::kernels::Program;

    #[test]
    fn the_plan_is_lines() {
        let program = Program { name: "lib".into(), path: "a/b".into() };
        let run = Run { program: &program, choice: "--skip x", processors: 3 };
        assert_eq!(lines(Driver::Uring, &[run]), "3 uring lib --skip x\n");
    }
}
