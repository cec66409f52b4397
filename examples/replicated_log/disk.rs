//! The files of a node: opened, recovered, and written group by group (`log.rs` says what is in them).
//!
//! ```text
//!   records ──▶ group ──write──▶ sync ──▶ mark ──write──▶ sync ──▶ they are stored
//!                 └─ what comes meanwhile is the next group ◀──────────┘
//! ```
//!
//! Whatever a disk says but `Ok` ends the program, and so does one that says nothing for
//! [`PATIENCE`]: it is not known then what is on it. When it starts again, it has what is there, and writes
//! the last group once more: a sync that failed may have left it in the system's memory alone (P50).

use std::io;
use std::rc::Rc;
use std::time::Duration;

use tigereye::{Directory, File, Io, Op, OpenOptions};

use crate::bytes::Writer;
use crate::log::{self, Damage, History, Mark, Record, Recovered};
use crate::node::{Node, Options};
use crate::protocol::{Bug, Event};

const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Clone)]
struct Files {
    directory: Rc<Directory>,
    log: Rc<File>,
    mark: Rc<File>,
}

pub(crate) struct Disk {
    files: Files,
    last: Mark,
    /// Where the next group goes.
    end: u64,
    /// The records of the next group, and how many there were in all.
    records: Writer,
    count: u64,
    is_writing: bool,
}

impl Disk {
    pub(crate) fn add(&mut self, record: &Record) {
        record.write(&mut self.records);
        self.count += 1;
    }
}

/// What is done with a node's files before it runs.
type Then = Box<dyn FnOnce(&Io)>;

/// Gives what an operation on the disk has made, or ends the program.
fn must<T>(options: &Options, io: &Io, what: &str, result: io::Result<T>) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(error) => {
            options.fail(io, &format!("{what}: {error}"));
            None
        }
    }
}

/// Has an operation end that takes too long.
fn watch(io: &Io, op: Op) {
    io.deadline(op, PATIENCE);
}

/// Opens the files of a node, recovers what is in them, and has it run.
pub(crate) fn open(io: &Io, options: Rc<Options>) {
    let path = options.directory.clone();
    watch(
        io,
        io.open_directory(options, &path, |options, io, result| {
            let Some(directory) = must(&options, io, "the directory", result) else { return };
            open_file(io, options, Rc::new(directory), "log", |options, io, directory, log| {
                open_file(io, options, directory, "mark", |options, io, directory, mark| {
                    let files = Files { directory, log, mark };
                    match options.is_new {
                        true => format(io, options, files, Record::Term { term: 0, vote: None }),
                        false => read_log(io, options, files),
                    }
                });
            });
        }),
    );
}

fn open_file(
    io: &Io,
    options: Rc<Options>,
    directory: Rc<Directory>,
    name: &'static str,
    then: impl FnOnce(Rc<Options>, &Io, Rc<Directory>, Rc<File>) + 'static,
) {
    let how = OpenOptions::new().read(true).write(true).create(true);
    let within = Rc::clone(&directory);
    let op = io.open(options, within.at(name), &how, move |options, io, result| {
        if let Some(file) = must(&options, io, name, result) {
            then(options, io, directory, Rc::new(file));
        }
    });
    watch(io, op);
}

/// What a disk says that cannot read a sector: `EIO`, and `ERROR_IO_DEVICE` on Windows.
const UNREADABLE: i32 = if cfg!(windows) { 1117 } else { 5 };

/// What a file holds; nothing where the disk cannot read it.
fn read(
    io: &Io,
    options: Rc<Options>,
    file: Rc<File>,
    then: impl FnOnce(Rc<Options>, &Io, Option<Vec<u8>>) + 'static,
) {
    let op = io.metadata(file, move |file, io, result| {
        let Some(metadata) = must(&options, io, "a file", result) else { return };
        let len = metadata.len() as usize;
        if len == 0 {
            return then(options, io, Some(Vec::new()));
        }
        let buf = Vec::with_capacity(len);
        let op = io.read_exact_at(file, buf, len, 0, move |_file, io, buf, result| match result {
            Err(error) if error.raw_os_error() == Some(UNREADABLE) => then(options, io, None),
            result => {
                if must(&options, io, "a read", result).is_some() {
                    then(options, io, Some(buf));
                }
            }
        });
        watch(io, op);
    });
    watch(io, op);
}

fn read_log(io: &Io, options: Rc<Options>, files: Files) {
    read(io, options, Rc::clone(&files.log), move |options, io, log| {
        read(io, options, Rc::clone(&files.mark), move |options, io, mark| {
            let found = match (&log, &mark) {
                (Some(log), Some(mark)) => log::recover(log, mark),
                _ => Err(Damage::Unreadable),
            };
            match (found, log) {
                (Ok(found), Some(log)) => rewrite(io, options, files, found, &log),
                (found, _) => {
                    let damage = found.err().unwrap_or(Damage::Unreadable);
                    options.tell(io, Event::Damaged(format!("{damage:?}")));
                    let token = options.token();
                    format(io, options, files, Record::Lost { token });
                }
            }
        });
    });
}

/// Writes the last group once more, and its mark.
fn rewrite(io: &Io, options: Rc<Options>, files: Files, found: Recovered, log: &[u8]) {
    let Recovered { history, last, start, end } = found;
    let group = log[start..end].to_vec();
    let of_log = Write { file: Rc::clone(&files.log), bytes: group, offset: start as u64 };
    let (slot, offset) = last.slot();
    let of_mark = Write { file: Rc::clone(&files.mark), bytes: slot, offset };
    write(io, Rc::clone(&options), of_log, move |io| {
        write(io, Rc::clone(&options), of_mark, move |io| {
            run(io, options, files, history, last, end as u64);
        });
    });
}

/// Has the files begin with this record, and with nothing else. Until the mark is written, what is there
/// counts as damaged, whatever happens.
fn format(io: &Io, options: Rc<Options>, files: Files, record: Record) {
    let mut records = Writer::default();
    record.write(&mut records);
    let (group, mark) = log::group(&records.0, Mark::default());
    let end = group.len() as u64;
    let history = match record {
        Record::Lost { token } => History { lost: Some(token), ..History::default() },
        _ => History::default(),
    };
    let slots = [mark.slot().0, mark.slot().0].concat();
    let of_log = Write { file: Rc::clone(&files.log), bytes: group, offset: 0 };
    let of_mark = Write { file: Rc::clone(&files.mark), bytes: slots, offset: 0 };
    let op = io.set_len(Rc::clone(&files.log), 0, move |_log, io, result| {
        if must(&options, io, "the log", result).is_none() {
            return;
        }
        write(io, Rc::clone(&options), of_log, move |io| {
            write(io, Rc::clone(&options), of_mark, move |io| {
                let names = Rc::clone(&files.directory);
                sync(
                    io,
                    Rc::clone(&options),
                    names,
                    Box::new(move |io| run(io, options, files, history, mark, end)),
                );
            });
        });
    });
    watch(io, op);
}

fn run(io: &Io, options: Rc<Options>, files: Files, history: History, last: Mark, end: u64) {
    let records = Writer::default();
    let disk = Disk { files, last, end, records, count: 0, is_writing: false };
    Node::run(io, options, disk, history);
}

struct Write {
    file: Rc<File>,
    bytes: Vec<u8>,
    offset: u64,
}

/// Writes and syncs.
fn write(io: &Io, options: Rc<Options>, write: Write, then: impl FnOnce(&Io) + 'static) {
    let Write { file, bytes, offset } = write;
    let op = io.write_all_at(file, bytes, offset, move |file, io, _bytes, result| {
        if must(&options, io, "a write", result).is_some() {
            sync(io, options, file, Box::new(then));
        }
    });
    watch(io, op);
}

fn sync<S>(io: &Io, options: Rc<Options>, file: S, then: Then)
where
    S: tigereye::AsSource + 'static,
{
    if options.bug == Some(Bug::NoSync) {
        return then(io);
    }
    let op = io.sync(file, move |_file, io, result| {
        let is_ignored = options.bug == Some(Bug::SyncErrorIgnored);
        if is_ignored || must(&options, io, "a sync", result).is_some() {
            then(io);
        }
    });
    watch(io, op);
}

/// Begins to write the next group, unless one is being written.
pub(crate) fn flush(io: &Io, node: &Rc<Node>, disk: &mut Disk) {
    if disk.is_writing || disk.records.0.is_empty() {
        return;
    }
    let (group, mark) = log::group(&disk.records.0, disk.last);
    disk.records.0.clear();
    disk.is_writing = true;
    let (offset, count) = (disk.end, disk.count);
    disk.end += group.len() as u64;
    disk.last = mark;
    let of_log = Write { file: Rc::clone(&disk.files.log), bytes: group, offset };
    let (slot, offset) = mark.slot();
    let of_mark = Write { file: Rc::clone(&disk.files.mark), bytes: slot, offset };
    let (options, node) = (Rc::clone(&node.options), Rc::clone(node));
    write(io, Rc::clone(&options), of_log, move |io| {
        write(io, options, of_mark, move |io| {
            node.stored(io, count);
        });
    });
}

/// The group that was being written is on the disk.
pub(crate) fn is_written(disk: &mut Disk) {
    disk.is_writing = false;
}
