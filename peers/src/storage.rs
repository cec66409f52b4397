//! The measurements of files: what the programs measure, under which name, and on which file.
//!
//! ```text
//!   storage_bare, storage_tigereye, storage_tokio, peer_…_storage
//!        └─ reads(), appends(): a figure each; how it is done is the program's
//!              Reads    which block is next, whether it is the block that came, whether to go on
//!              Appends  the same of blocks at the end of a log
//! ```
//!
//! Each program prints a line of JSON per figure, as the small measurements do: nanoseconds of wall
//! time an operation, or why there is no such figure. `fio`, where it is there, does the same work by
//! its io_uring engine (`harness/fio.rs`).

use crate::args::Args;
use crate::micro;
use serde_json::json;
use std::cell::RefCell;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::rc::Rc;
use std::str::FromStr;
use std::time::{Duration, Instant};

/// Bytes of an operation.
pub const BLOCK: u32 = 4096;
/// Reads under way at once.
pub const DEPTHS: [u32; 3] = [1, 32, 128];

/// What a program is to do.
#[derive(Clone)]
pub struct Work {
    /// The file that is read, whole blocks long, made by [`fill`].
    pub file: String,
    /// The file that is appended to; it is made anew.
    pub log: String,
    /// How long each figure is measured for.
    pub time: Duration,
    /// Only what goes through the cache, or only what goes past it.
    only: Option<Only>,
    /// Reads under way at once, a figure each.
    depths: Vec<u32>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Only {
    Buffered,
    Direct,
}

impl FromStr for Only {
    type Err = &'static str;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        match name {
            "buffered" => Ok(Self::Buffered),
            "direct" => Ok(Self::Direct),
            _ => Err("buffered or direct"),
        }
    }
}

impl Work {
    /// Reads `--file`, `--log`, `--seconds`, `--only` and `--depths`.
    pub fn from_args(args: &mut Args) -> Self {
        let seconds: f64 = args.get("seconds", 0.3);
        let time = Duration::from_secs_f64(seconds);
        let (file, log) = (args.get("file", String::new()), args.get("log", String::new()));
        let depths = args.list("depths", "");
        let depths = if depths.is_empty() { DEPTHS.to_vec() } else { depths };
        Self { file, log, time, only: args.take("only"), depths }
    }

    /// The same, for a program without flags of its own.
    #[must_use]
    pub fn alone() -> Self {
        let mut args = Args::from_env();
        let work = Self::from_args(&mut args);
        args.finish();
        work
    }

    /// The file to read. `Unsupported`: its file system has no Direct I/O.
    pub fn open(&self, direct: bool) -> io::Result<File> {
        let opened = OpenOptions::new().read(true).custom_flags(flags(direct)).open(&self.file);
        opened.map_err(|error| match error.raw_os_error() {
            // O_DIRECT in open(2), "ERRORS".
            Some(libc::EINVAL) if direct => {
                io::Error::new(io::ErrorKind::Unsupported, "no Direct I/O on this file system")
            }
            _ => error,
        })
    }

    /// The file to append to, empty.
    pub fn create_log(&self) -> io::Result<File> {
        OpenOptions::new().write(true).create(true).truncate(true).open(&self.log)
    }
}

/// What open(2) is told beside.
#[must_use]
pub fn flags(direct: bool) -> i32 {
    if direct { libc::O_DIRECT } else { 0 }
}

/// Random reads of a block each.
#[must_use]
pub fn read_name(direct: bool, depth: u32) -> String {
    let how = if direct { "direct" } else { "buffered" };
    format!("file: 4 KiB random reads, {how}, {depth} at a time (wall)")
}

/// A block is appended and fdatasync(2) waited for, one after the other.
pub const APPEND: &str = "file: 4 KiB append and fdatasync (wall)";

/// How many threads a pool is best given that carries out calls on one core. From memory a call is
/// all work, and threads only take it from each other; the disk has as many calls to do as there are
/// threads. At 128 reads at a time, 128 threads took 3.0 to 3.3 times as long as 4 from memory, one
/// 0.86 to 1.1; past the cache, 128 took 0.41 to 0.44, one 2.3.
#[must_use]
pub fn pool_threads(direct: bool, depth: u32) -> u32 {
    if direct { depth } else { 1 }
}

/// What a block consists of, so that it tells which one it is. None is zeros.
fn word(offset: u64) -> [u8; 8] {
    (offset / u64::from(BLOCK) + 1).to_le_bytes()
}

/// Writes what the block at this offset consists of.
pub fn fill(block: &mut [u8], offset: u64) {
    let word = word(offset);
    for bytes in block.chunks_exact_mut(word.len()) {
        bytes.copy_from_slice(&word);
    }
}

/// Whether this is the block at that offset, by its two ends: what looks at all of it is measured
/// more than the reads are.
#[inline]
fn check(block: &[u8], offset: u64) -> io::Result<()> {
    let word = word(offset);
    if block.len() == BLOCK as usize && block.starts_with(&word) && block.ends_with(&word) {
        return Ok(());
    }
    Err(io::Error::other(format!("{} bytes at {offset} are not that block", block.len())))
}

/// Offsets of blocks in no order, the same in every run.
struct Offsets {
    word: u64,
    blocks: u64,
}

impl Offsets {
    fn new(blocks: u64) -> Self {
        Self { word: 0x9e37_79b9_7f4a_7c15, blocks }
    }

    #[inline]
    fn next(&mut self) -> u64 {
        self.word ^= self.word << 13;
        self.word ^= self.word >> 7;
        self.word ^= self.word << 17;
        (self.word >> 11) % self.blocks * u64::from(BLOCK)
    }
}

/// Counts operations until the time is over. The clock is read now and then: to read it costs as
/// much as a part of a read from memory. What comes first is not counted: threads start in it, and
/// as many operations as are to be under way at once.
struct Meter {
    begin: Instant,
    time: Duration,
    is_warm: bool,
    done: u64,
    /// So many operations between two looks at the clock.
    stride: u64,
    /// How long it took, when it is over. What is still under way then is not counted.
    took: Option<Duration>,
}

impl Meter {
    fn new(time: Duration) -> Self {
        Self { begin: Instant::now(), time, is_warm: false, done: 0, stride: 1, took: None }
    }

    /// An operation is done; says whether to go on.
    #[inline]
    fn go_on(&mut self) -> bool {
        if self.took.is_some() {
            return false;
        }
        self.done += 1;
        !self.done.is_multiple_of(self.stride) || self.look()
    }

    fn look(&mut self) -> bool {
        let passed = self.begin.elapsed();
        if !self.is_warm {
            if passed < self.time / 32 && self.stride < 256 {
                self.stride *= 2;
            }
            if passed >= self.time / 8 {
                (self.is_warm, self.begin, self.done) = (true, Instant::now(), 0);
            }
            return true;
        }
        if passed >= self.time {
            self.took = Some(passed);
        }
        passed < self.time
    }

    /// Nanoseconds each, when it is over.
    fn ns(&self) -> f64 {
        self.took.map_or(f64::NAN, |took| took.as_nanos() as f64 / self.done as f64)
    }
}

/// What the reads of a figure share.
pub struct Reads {
    offsets: RefCell<Offsets>,
    meter: RefCell<Meter>,
}

impl Reads {
    /// Which block is to be read next, in bytes.
    #[inline]
    pub fn next_offset(&self) -> u64 {
        self.offsets.borrow_mut().next()
    }

    /// What was read there; says whether to go on. An error: it is another block, or none.
    #[inline]
    pub fn done(&self, offset: u64, block: &[u8]) -> io::Result<bool> {
        check(block, offset)?;
        Ok(self.meter.borrow_mut().go_on())
    }
}

/// The end of the log.
pub struct Appends {
    offset: u64,
    meter: Meter,
}

impl Appends {
    /// Writes the next block into a buffer; gives the place in the log where it is to be.
    pub fn next(&self, block: &mut [u8]) -> u64 {
        fill(block, self.offset);
        self.offset
    }

    /// It is on the disk; says whether to go on.
    pub fn done(&mut self) -> bool {
        self.offset += u64::from(BLOCK);
        self.meter.go_on()
    }

    /// Whether all that was appended is in the log, and nothing else.
    fn check(&self, log: &[u8]) -> io::Result<()> {
        if log.len() as u64 != self.offset {
            return Err(io::Error::other(format!("{} bytes of {}", log.len(), self.offset)));
        }
        let mut blocks = log.chunks_exact(BLOCK as usize).zip(0..);
        blocks.try_for_each(|(block, number)| check(block, number * u64::from(BLOCK)))
    }
}

/// Prints why there is no such figure.
fn left_out(figure: &str, by: &str, reason: &str) {
    println!("{}", json!({"figure": figure, "by": by, "left_out": reason}));
}

/// Measures reads, buffered and direct, so many at a time, and prints the figures. `read` is to have
/// that many under way until [`Reads::done`] says otherwise, and to return when none is.
pub fn reads(
    work: &Work,
    by: &str,
    mut read: impl FnMut(bool, u32, Rc<Reads>) -> io::Result<()>,
) -> io::Result<()> {
    for direct in [false, true] {
        let left_alone = if direct { Only::Buffered } else { Only::Direct };
        if work.only == Some(left_alone) {
            continue;
        }
        for &depth in &work.depths {
            let name = read_name(direct, depth);
            let blocks = match work.open(direct) {
                Ok(file) => file.metadata()?.len() / u64::from(BLOCK),
                Err(error) if error.kind() == io::ErrorKind::Unsupported => {
                    left_out(&name, by, &error.to_string());
                    continue;
                }
                Err(error) => return Err(error),
            };
            if blocks == 0 {
                return Err(io::Error::other("--file: it has no block"));
            }
            let (offsets, meter) = (Offsets::new(blocks), Meter::new(work.time));
            let reads = Rc::new(Reads { offsets: offsets.into(), meter: meter.into() });
            read(direct, depth, Rc::clone(&reads))?;
            micro::report(&name, by, reads.meter.borrow().ns());
        }
    }
    Ok(())
}

/// Measures appends, and prints the figure. `append` is to write and sync a block after the other
/// until [`Appends::done`] says otherwise.
pub fn appends(
    work: &Work,
    by: &str,
    append: impl FnOnce(Rc<RefCell<Appends>>) -> io::Result<()>,
) -> io::Result<()> {
    if work.only == Some(Only::Direct) {
        return Ok(());
    }
    let appends = Rc::new(RefCell::new(Appends { offset: 0, meter: Meter::new(work.time) }));
    append(Rc::clone(&appends))?;
    let appends = appends.borrow();
    appends.check(&std::fs::read(&work.log)?)?;
    micro::report(APPEND, by, appends.meter.ns());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(offset: u64) -> Vec<u8> {
        let mut block = vec![0; BLOCK as usize];
        fill(&mut block, offset);
        block
    }

    #[test]
    fn blocks_tell_which_they_are() {
        for offset in [0, 4096, 4096 * 255, 4096 * 256, 1 << 40] {
            assert!(check(&block(offset), offset).is_ok());
            assert!(check(&block(offset), offset + 4096).is_err(), "another one");
            assert!(check(&block(offset)[..4088], offset).is_err(), "a short one");
            assert!(check(&[0; BLOCK as usize], offset).is_err(), "none");
        }
        let torn = [&block(0)[..2048], &block(4096)[2048..]].concat();
        assert!(check(&torn, 0).is_err() && check(&torn, 4096).is_err());
    }

    #[test]
    fn a_log_is_what_was_appended() {
        let meter = Meter::new(Duration::ZERO);
        let mut appends = Appends { offset: 0, meter };
        let mut log = Vec::new();
        for _ in 0..3 {
            let mut next = block(77);
            assert_eq!(appends.next(&mut next), log.len() as u64);
            log.extend(next);
            appends.done();
        }
        assert!(appends.check(&log).is_ok());
        assert!(appends.check(&log[4096..]).is_err(), "the first is missing");
        log.swap(4096, 8192);
        assert!(appends.check(&log).is_err(), "two are mixed up");
    }

    #[test]
    fn offsets_are_blocks_of_the_file() {
        let mut offsets = Offsets::new(7);
        let mut seen: Vec<u64> = (0..1000).map(|_| offsets.next()).collect();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen, [0, 4096, 8192, 12_288, 16_384, 20_480, 24_576]);
    }

    #[test]
    fn nothing_counts_once_the_time_is_over() {
        let mut meter = Meter::new(Duration::ZERO);
        while meter.go_on() {}
        let (ns, done) = (meter.ns(), meter.done);
        assert!(ns.is_finite() && done > 0);
        assert!(!meter.go_on() && !meter.go_on(), "each of those under way hears of the end");
        assert!(meter.ns() == ns && meter.done == done, "what ends later is not counted");
    }
}
