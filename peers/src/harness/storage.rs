//! The measurements of files: the programs of `storage`, and fio, in turn on the same files.

use super::micro::{self, Figure, Run};
use super::program::{flags, lines};
use super::{contest::StorageRow, fio};
use crate::storage::{BLOCK, fill};
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Bytes of the file that is read: it fits in memory, and in no processor's cache.
const FILE_BYTES: u64 = 512 << 20;
const CHUNK: usize = 1 << 20;

/// The files, in a folder that is removed with this.
pub struct Files(PathBuf);

impl Files {
    /// Makes the one that is read, of so many bytes, which are whole MiB.
    pub fn make(folder: &Path, bytes: u64) -> io::Result<Files> {
        std::fs::create_dir_all(folder)?;
        let files = Files(folder.to_owned());
        let mut file = File::create(files.data())?;
        let mut chunk = vec![0; CHUNK];
        let mut offset = 0;
        while offset < bytes {
            for block in chunk.chunks_exact_mut(BLOCK as usize) {
                fill(block, offset);
                offset += u64::from(BLOCK);
            }
            file.write_all(&chunk)?;
        }
        // What is to be written yet would be written out while reads are measured.
        file.sync_all()?;
        Ok(files)
    }

    /// The one that is read.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.0.join("data")
    }

    /// A program's flags about them.
    #[must_use]
    pub fn flags(&self, seconds: f64) -> Vec<String> {
        let path = |path: PathBuf| path.to_string_lossy().into_owned();
        let (data, log) = (path(self.data()), path(self.log()));
        flags([("--file", data), ("--log", log), ("--seconds", seconds.to_string())])
    }

    fn log(&self) -> PathBuf {
        self.0.join("log")
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Measures all of it in turn, `rounds` times, each figure for so many seconds.
pub fn measure(
    programs: &[StorageRow],
    rounds: u32,
    seconds: f64,
    folder: &Path,
) -> io::Result<Vec<Figure>> {
    let files = Files::make(folder, FILE_BYTES)?;
    let common = files.flags(seconds);
    let run = |command: &str| {
        if command == fio::PROGRAM {
            return fio::measure(&files.data(), &files.log(), seconds);
        }
        let mut words = command.split(' ').map(str::to_owned);
        let program = words.next().unwrap_or_default();
        lines(&program, &words.chain(common.iter().cloned()).collect::<Vec<_>>())
    };
    let runs: Vec<_> = programs.iter().map(|(_, command)| move || run(command)).collect();
    let runs: Vec<Run<'_>> = runs.iter().map(|run| run as Run<'_>).collect();
    micro::in_turn(rounds, &runs)
}
