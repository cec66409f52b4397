//! The measurements of files: what the programs measure, under which name, and on which file.
//!
//! `storage_bare` and `storage_tigereye` print a line of JSON per figure, as the small measurements
//! do: nanoseconds of wall time an operation. `fio`, where it is there, does the same work by its
//! io_uring engine (`harness/fio.rs`).

use crate::args::Args;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::time::{Duration, Instant};

/// Bytes of an operation.
pub const BLOCK: u32 = 4096;
/// Reads under way at once.
pub const DEPTHS: [u32; 3] = [1, 32, 128];

/// What a program is to do.
#[derive(Clone)]
pub struct Work {
    /// The file that is read, whole blocks long.
    pub file: String,
    /// The file that is appended to; it is made anew.
    pub log: String,
    /// How long each figure is measured for.
    pub time: Duration,
}

impl Work {
    /// Reads `--file`, `--log` and `--seconds`.
    pub fn from_args(args: &mut Args) -> Self {
        let seconds: f64 = args.get("seconds", 0.3);
        let time = Duration::from_secs_f64(seconds);
        Self { file: args.get("file", String::new()), log: args.get("log", String::new()), time }
    }

    /// The file to read, and how many blocks it has.
    pub fn open(&self, direct: bool) -> io::Result<(File, u64)> {
        let flags = if direct { libc::O_DIRECT } else { 0 };
        let file = OpenOptions::new().read(true).custom_flags(flags).open(&self.file)?;
        let blocks = file.metadata()?.len() / u64::from(BLOCK);
        if blocks == 0 { Err(io::ErrorKind::InvalidInput.into()) } else { Ok((file, blocks)) }
    }

    /// The file to append to, empty.
    pub fn create_log(&self) -> io::Result<File> {
        OpenOptions::new().write(true).create(true).truncate(true).open(&self.log)
    }
}

/// Random reads of a block each.
#[must_use]
pub fn read_name(direct: bool, depth: u32) -> String {
    let how = if direct { "direct" } else { "buffered" };
    format!("file: 4 KiB random reads, {how}, {depth} at a time (wall)")
}

/// A block is appended and fdatasync(2) waited for, one after the other.
pub const APPEND: &str = "file: 4 KiB append and fdatasync (wall)";

/// Offsets of blocks in no order, the same in every run.
pub struct Offsets {
    word: u64,
    blocks: u64,
}

impl Offsets {
    /// Within so many blocks.
    #[must_use]
    pub fn new(blocks: u64) -> Self {
        Self { word: 0x9e37_79b9_7f4a_7c15, blocks }
    }

    /// The next one, in bytes.
    #[inline]
    pub fn next_offset(&mut self) -> u64 {
        self.word ^= self.word << 13;
        self.word ^= self.word >> 7;
        self.word ^= self.word << 17;
        (self.word >> 11) % self.blocks * u64::from(BLOCK)
    }
}

/// Counts operations until the time is over. The clock is read now and then: to read it costs as
/// much as a part of a read from memory.
pub struct Meter {
    begin: Instant,
    time: Duration,
    done: u64,
    /// So many operations between two looks at the clock.
    stride: u64,
}

impl Meter {
    /// Begins.
    #[must_use]
    pub fn new(time: Duration) -> Self {
        Self { begin: Instant::now(), time, done: 0, stride: 1 }
    }

    /// An operation is done; says whether to go on.
    #[inline]
    pub fn go_on(&mut self) -> bool {
        self.done += 1;
        !self.done.is_multiple_of(self.stride) || self.is_early()
    }

    fn is_early(&mut self) -> bool {
        let passed = self.begin.elapsed();
        if passed < self.time / 16 && self.stride < 256 {
            self.stride *= 2;
        }
        passed < self.time
    }

    /// Nanoseconds each.
    #[must_use]
    pub fn ns(&self) -> f64 {
        self.begin.elapsed().as_nanos() as f64 / self.done as f64
    }
}
