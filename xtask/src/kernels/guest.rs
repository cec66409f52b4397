//! What a booted kernel finds: busybox, the test programs, and the plan of what to run.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::Program;
use super::archive::Archive;
use super::plan::Run;

const INIT: &str = include_str!("init");
const FOLDERS: [&str; 9] = ["bin", "dev", "etc", "modules", "proc", "root", "sys", "tests", "tmp"];
/// What the C library asks for names.
const HOSTS: &str = "127.0.0.1 localhost\n::1 localhost\n";
const USERS: &str = "root:x:0:0:root:/root:/bin/sh\n";

/// The first file system of a machine that runs `plan`.
pub(super) fn archive(
    busybox: &Path,
    modules: &[PathBuf],
    plan: &[Run],
) -> Result<Vec<u8>, String> {
    let read = |path: &Path| fs::read(path).map_err(|error| format!("{}: {error}", path.display()));
    let mut archive = Archive::default();
    for folder in FOLDERS {
        archive.folder(folder);
    }
    for (number, module) in modules.iter().enumerate() {
        archive.file(&format!("modules/{number}"), &read(module)?);
    }
    archive.file("init", INIT.as_bytes());
    archive.file("bin/busybox", &read(busybox)?);
    archive.file("etc/hosts", HOSTS.as_bytes());
    archive.file("etc/nsswitch.conf", b"hosts: files\n");
    archive.file("etc/passwd", USERS.as_bytes());
    // One may run twice, and there is one file of it.
    let programs: BTreeMap<&str, &Program> =
        plan.iter().map(|run| (&*run.program.name, run.program)).collect();
    for program in programs.values() {
        archive.file(&format!("tests/{}", program.name), &read(&program.path)?);
    }
    archive.file("plan", plan.iter().map(line).collect::<String>().as_bytes());
    Ok(archive.finish())
}

/// A line of the plan, as `init` reads it: label, processors, sysctl, command.
fn line(run: &Run) -> String {
    let (label, processors, sysctl) = (run.label(), run.processors, run.sysctl.unwrap_or("-"));
    let (driver, expects) = (run.driver.name(), run.expects.name());
    let (program, choice) = (&run.program.name, run.choice);
    format!(
        "{label} {processors} {sysctl} TIGEREYE_DRIVER={driver} TIGEREYE_TEST_EXPECTS={expects} \
         /tests/{program} {choice}\n"
    )
}

#[cfg(test)]
mod self_tests {
    use super::*;
    use crate::kernels::plan::Driver;

    #[test]
    fn the_plan_is_lines() {
        let program = Program { name: "lib".into(), path: "a/b".into() };
        let (driver, expects) = (Driver::Uring, Driver::Readiness);
        let choice = "--skip x";
        let run = Run {
            program: &program,
            driver,
            expects,
            choice,
            processors: 3,
            sysctl: Some("a/b=2"),
        };
        let all = "TIGEREYE_DRIVER=uring TIGEREYE_TEST_EXPECTS=readiness /tests/lib --skip x\n";
        assert_eq!(line(&run), format!("lib,a/b=2 3 a/b=2 {all}"));
        assert_eq!(line(&Run { sysctl: None, ..run }), format!("lib 3 - {all}"));
    }
}
