//! The measurements of files: the programs of `storage`, and fio, in turn on the same files.

use super::micro::{self, Figure, Run};
use super::program::lines;
use crate::storage::{APPEND, BLOCK, DEPTHS, read_name};
use crate::sys::process;
use serde_json::{Value, json};
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Bytes of the file that is read: it fits in memory, and in no processor's cache.
const FILE_BYTES: usize = 512 << 20;
const CHUNK: usize = 1 << 20;
const PACKAGE: &str = "fio";

/// The files, in a folder that is removed with this.
struct Files(PathBuf);

impl Files {
    fn make(folder: &Path) -> io::Result<Files> {
        std::fs::create_dir_all(folder)?;
        let files = Files(folder.to_owned());
        let mut file = File::create(folder.join("data"))?;
        for number in 0..FILE_BYTES / CHUNK {
            file.write_all(&vec![number as u8; CHUNK])?;
        }
        // What is to be written yet would be written out while reads are measured.
        file.sync_all()?;
        Ok(files)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_string_lossy().into_owned()
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Whether fio is there, or can be installed.
fn has_fio() -> bool {
    let runs =
        || Command::new("fio").arg("--version").output().is_ok_and(|out| out.status.success());
    runs() || (process::install(PACKAGE) && runs())
}

/// Measures all of it in turn, `rounds` times, each figure for so many seconds.
pub fn measure(rounds: u32, seconds: f64, folder: &Path) -> io::Result<Vec<Figure>> {
    let files = Files::make(folder)?;
    let (data, log) = (files.path("data"), files.path("log"));
    let flags = |driver: Option<&str>| {
        let mut flags = vec!["--file".to_owned(), data.clone(), "--log".to_owned(), log.clone()];
        flags.extend(["--seconds".to_owned(), seconds.to_string()]);
        flags.extend(driver.iter().flat_map(|name| ["--driver".to_owned(), (*name).to_owned()]));
        flags
    };
    let bare = || lines("storage_bare", &flags(None));
    let uring = || lines("storage_tigereye", &flags(Some("uring")));
    let registered = |what: &str| {
        let mut flags = flags(Some("uring"));
        flags.extend(["--register".to_owned(), what.to_owned()]);
        lines("storage_tigereye", &flags)
    };
    let (file, all) = (|| registered("file"), || registered("all"));
    let readiness = || lines("storage_tigereye", &flags(Some("readiness")));
    let fio = || fio(&data, &log, seconds);
    let mut runs: Vec<Run<'_>> = vec![&bare, &uring, &file, &all, &readiness];
    if has_fio() {
        runs.push(&fio);
    } else {
        println!("\nfio: left out, for want of it (package {PACKAGE}).");
    }
    micro::in_turn(rounds, &runs)
}

/// The same work by fio, as the lines of a program.
fn fio(data: &str, log: &str, seconds: f64) -> io::Result<Vec<Value>> {
    let mut found = Vec::new();
    let mut take = |figure: &str, flags: &[String], of: &str| -> io::Result<()> {
        let mut command = vec![
            "--name=tigereye".to_owned(),
            "--ioengine=io_uring".to_owned(),
            "--thread".to_owned(),
            format!("--bs={BLOCK}"),
            format!("--runtime={}ms", (seconds * 1000.0).max(1.0) as u64),
            "--time_based".to_owned(),
            "--output-format=json".to_owned(),
        ];
        command.extend_from_slice(flags);
        let report = super::program::json("fio", &command)?;
        let per_second = report["jobs"][0][of]["iops"].as_f64().unwrap_or(f64::NAN);
        found.push(json!({"figure": figure, "by": "fio, io_uring", "ns": 1e9 / per_second}));
        Ok(())
    };
    for direct in [false, true] {
        for depth in DEPTHS {
            let flags = [
                format!("--filename={data}"),
                "--readonly".to_owned(),
                "--rw=randread".to_owned(),
                // Without a map of what was read: the other programs keep none.
                "--norandommap".to_owned(),
                format!("--iodepth={depth}"),
                format!("--direct={}", u8::from(direct)),
                // fio would drop the file from memory first.
                "--invalidate=0".to_owned(),
            ];
            take(&read_name(direct, depth), &flags, "read")?;
        }
    }
    let flags = [
        format!("--filename={log}"),
        "--rw=write".to_owned(),
        "--size=64m".to_owned(),
        "--fdatasync=1".to_owned(),
    ];
    take(APPEND, &flags, "write")?;
    Ok(found)
}
