//! A key-value store in one file: `cargo run --release --example key_value FILE [MEBIBYTES]`.
//!
//! Commands are lines on standard input; their answers come in the same order on standard output.
//! `put KEY VALUE` is answered `ok` when it is on the disk, or `full`; `get KEY` is answered `= VALUE`
//! or `-`. The store survives a crash at any moment with all that it has answered `ok` to.
//!
//! ```text
//!   lines ──▶ group: records, answers ──write──▶ sync ──▶ answers to standard output
//!                └─ what comes meanwhile is the next group ◀──┘
//!
//!   file:    │ group │ group │ …    each from a block on, filled up with zeroes
//!   group:   record, record, …
//!   record:  length (4) │ checksum (8) │ length of the key (4) │ key │ value
//! ```
//!
//! I1. What was answered is never written to again: a group begins in a block of its own.
//! I2. A checksum goes over the record and the checksum before it. So a record counts only behind all
//!     that were before it when it was written, and the first torn one ends the log.
//! I3. A run writes a record of its own before it answers anything, and no two are alike. So what an
//!     earlier run left behind a torn record stays invalid, whatever is written before it.
//!
//! There is no compaction: a full log stays full.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Read, Write};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use tigereye::{AlignedBuf, AsSource, DataFile, DataFileOptions, DirectIo, Io, IoBuf, Source};

const BLOCK: usize = 4096;
const HEADER: usize = 12;
/// The longest line, and how much may wait for the disk before no more is read.
const LINE_MAX: usize = 64 * 1024;
const GROUP_MAX: usize = 256 * 1024;
/// The key of a run's own record; no command has an empty one.
const RUN: &[u8] = b"";
/// How often a lock that another process has is tried, and how long apart: after a crash the kernel
/// keeps it until the last operation on the file has ended.
const TRIES: u32 = 500;
const PAUSE: Duration = Duration::from_millis(20);

struct Store {
    file: DataFile,
    log: RefCell<Log>,
}

impl AsSource for Store {
    fn as_source(&self) -> &Source {
        self.file.as_source()
    }
}

#[derive(Default)]
struct Log {
    values: BTreeMap<Vec<u8>, Vec<u8>>,
    /// The checksum of the last record.
    checksum: u64,
    /// Where the next group goes.
    end: usize,
    size: usize,
    /// Records that are to be written, and what to say when they are.
    group: Vec<u8>,
    answers: Vec<u8>,
    committing: bool,
    /// Who waits until the group is written.
    input: Option<Input>,
}

#[derive(Default)]
struct Input {
    /// Where bytes are read to.
    room: Vec<u8>,
    /// The beginning of a line.
    line: Vec<u8>,
}

/// FNV-1a: short, and told from a torn record. A store for more than a page should have CRC-32C.
fn checksum(before: u64, body: &[u8]) -> u64 {
    let bytes = (body.len() as u64).to_le_bytes().into_iter().chain(body.iter().copied());
    let start = before ^ 0xcbf2_9ce4_8422_2325;
    bytes.fold(start, |sum, byte| (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// The record at the beginning of these bytes, if a whole one is there that follows this checksum:
/// its key and value, its checksum and length.
fn record(bytes: &[u8], before: u64) -> Option<(&[u8], &[u8], u64, usize)> {
    let (head, rest) = bytes.split_at_checked(HEADER)?;
    let (len, sum) = head.split_at_checked(4)?;
    let body = rest.get(..u32::from_le_bytes(len.try_into().ok()?) as usize)?;
    let sum = u64::from_le_bytes(sum.try_into().ok()?);
    let (key_len, content) = body.split_at_checked(4)?;
    let key_len = u32::from_le_bytes(key_len.try_into().ok()?) as usize;
    let (key, value) = content.split_at_checked(key_len)?;
    (checksum(before, body) == sum).then_some((key, value, sum, HEADER + body.len()))
}

impl Log {
    /// What a file holds, as far as it is whole.
    fn recover(bytes: &[u8]) -> Log {
        let mut log = Log { size: bytes.len(), ..Log::default() };
        let mut at = 0;
        while at < bytes.len() {
            if let Some((key, value, sum, len)) = record(&bytes[at..], log.checksum) {
                log.values.insert(key.to_vec(), value.to_vec());
                log.checksum = sum;
                at += len;
                log.end = at.next_multiple_of(BLOCK);
            } else if at % BLOCK != 0 {
                // The rest of a group is zeroes, or torn: then nothing follows it.
                at = at.next_multiple_of(BLOCK);
            } else {
                break;
            }
        }
        log
    }

    /// Adds a record to the group; says whether there is room.
    fn put(&mut self, key: &[u8], value: &[u8]) -> bool {
        let mut body = Vec::with_capacity(4 + key.len() + value.len());
        let key_len = u32::try_from(key.len()).expect("a line is short");
        body.extend_from_slice(&key_len.to_le_bytes());
        body.extend_from_slice(key);
        body.extend_from_slice(value);
        let end = self.end + self.group.len() + HEADER + body.len();
        if end.next_multiple_of(BLOCK) > self.size {
            return false;
        }
        self.checksum = checksum(self.checksum, &body);
        let len = u32::try_from(body.len()).expect("a line is short");
        self.group.extend_from_slice(&len.to_le_bytes());
        self.group.extend_from_slice(&self.checksum.to_le_bytes());
        self.group.extend_from_slice(&body);
        self.values.insert(key.to_vec(), value.to_vec());
        true
    }

    fn command(&mut self, line: &[u8]) {
        let mut words = line.splitn(3, |byte| *byte == b' ');
        match (words.next(), words.next(), words.next()) {
            (Some(b"put"), Some(key), Some(value)) if !key.is_empty() => {
                let answer: &[u8] = if self.put(key, value) { b"ok\n" } else { b"full\n" };
                self.answers.extend_from_slice(answer);
            }
            (Some(b"get"), Some(key), None) if !key.is_empty() => match self.values.get(key) {
                // It waits for the disk with what was put before it.
                Some(value) => {
                    let line = [b"= ".as_slice(), value, b"\n"].concat();
                    self.answers.extend_from_slice(&line);
                }
                None => self.answers.extend_from_slice(b"-\n"),
            },
            _ => self.answers.extend_from_slice(b"what?\n"),
        }
    }

    /// Begins a run: with a record that no other one has.
    fn begin(&mut self) -> io::Result<()> {
        let last = self.values.get(RUN).and_then(|run| run.as_slice().try_into().ok());
        let run = last.map_or(0, u64::from_le_bytes) + 1;
        if !self.put(RUN, &run.to_le_bytes()) {
            return Err(io::Error::new(ErrorKind::StorageFull, "the log is full"));
        }
        self.answers.extend_from_slice(format!("ready {}\n", self.end).as_bytes());
        Ok(())
    }
}

/// There is nothing to be done about a disk that fails, but to answer nothing more.
fn must<T>(what: &str, result: io::Result<T>) -> T {
    result.unwrap_or_else(|error| {
        eprintln!("{what}: {error}");
        std::process::exit(1)
    })
}

fn say(answers: &[u8]) {
    let mut output = io::stdout().lock();
    must("standard output", output.write_all(answers).and_then(|()| output.flush()));
}

fn open(io: &Io, path: PathBuf, options: DataFileOptions, tries: u32) {
    let at = path.clone();
    io.open_data_file(path, &at, &options, move |path, io, result| match result {
        Err(error) if error.kind() == ErrorKind::WouldBlock && tries > 1 => {
            io.timeout(path, PAUSE, move |path, io, _result| open(io, path, options, tries - 1));
        }
        result => recover(io, must("the file", result)),
    });
}

fn recover(io: &Io, file: DataFile) {
    let size = usize::try_from(file.size()).expect("it is read into memory");
    let buf = must("memory", aligned(&file, size));
    io.read_exact_at(file, buf, size, 0, |file, io, buf, result| {
        must("the file", result);
        let store = Rc::new(Store { file, log: RefCell::new(Log::recover(&buf)) });
        must("the file", store.log.borrow_mut().begin());
        commit(io, Rc::clone(&store));
        listen(io, store, Input { room: vec![0; 16 * 1024], line: Vec::new() });
    });
}

/// A buffer as the file wants it.
fn aligned(file: &DataFile, capacity: usize) -> io::Result<AlignedBuf> {
    let direct = file.direct_alignment();
    if direct.is_some_and(|direct| direct.offset > BLOCK) {
        return Err(io::Error::new(ErrorKind::Unsupported, "the disk has larger blocks"));
    }
    AlignedBuf::with_alignment(capacity, direct.map_or(1, |direct| direct.memory))
}

/// Takes commands as they come, unless too much waits for the disk. A thread of the pool reads them:
/// standard input may be a pipe, a terminal or a file, on any system.
fn listen(io: &Io, store: Rc<Store>, mut input: Input) {
    let mut log = store.log.borrow_mut();
    if log.group.len() >= GROUP_MAX {
        log.input = Some(input);
        return;
    }
    drop(log);
    let mut room = std::mem::take(&mut input.room);
    let read = move || io::stdin().read(&mut room).map(|count| (room, count));
    io.offload(input, read, move |mut input, io, result| {
        let (room, count) = must("standard input", result.and_then(|read| read));
        for part in room[..count].split_inclusive(|byte| *byte == b'\n') {
            input.line.extend_from_slice(part);
            if let Some(line) = input.line.strip_suffix(b"\n") {
                store.log.borrow_mut().command(line);
                input.line.clear();
            }
        }
        input.room = room;
        commit(io, Rc::clone(&store));
        if input.line.len() > LINE_MAX {
            must("a line", Err(io::Error::new(ErrorKind::InvalidInput, "it is too long")))
        }
        if count > 0 {
            listen(io, store, input);
        }
    });
}

/// Writes the group and syncs it, then answers; what comes meanwhile is the next group.
fn commit(io: &Io, store: Rc<Store>) {
    let mut log = store.log.borrow_mut();
    if log.committing || log.answers.is_empty() {
        return;
    }
    let answers = std::mem::take(&mut log.answers);
    if log.group.is_empty() {
        return say(&answers);
    }
    let len = log.group.len().next_multiple_of(BLOCK);
    let mut buf = must("memory", aligned(&store.file, len));
    buf.extend_from_slice(&log.group);
    buf.resize(len);
    let offset = log.end as u64;
    log.group.clear();
    log.end += IoBuf::len(&buf);
    log.committing = true;
    drop(log);
    io.write_all_at(store, buf, offset, move |store, io, _buf, result| {
        must("a write", result);
        io.sync_data(store, move |store, io, result| {
            must("a sync", result);
            say(&answers);
            store.log.borrow_mut().committing = false;
            commit(io, Rc::clone(&store));
            let input = store.log.borrow_mut().input.take();
            if let Some(input) = input {
                listen(io, store, input);
            }
        });
    });
}

fn main() -> io::Result<()> {
    let mut arguments = std::env::args_os().skip(1);
    let usage = || io::Error::other("usage: key_value FILE [MEBIBYTES]");
    let path = PathBuf::from(arguments.next().ok_or_else(usage)?);
    let mebibytes = arguments.next().map_or(Some(16), |text| text.to_str()?.parse().ok());
    let size = mebibytes.filter(|size| (1..=1024).contains(size)).ok_or_else(usage)? << 20;
    let options = DataFileOptions::new(size).create(true).direct(DirectIo::Optional);
    let io = Io::new()?;
    open(&io, path, options, TRIES);
    io.run()
}
