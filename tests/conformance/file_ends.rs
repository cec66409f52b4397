//! Each operation on files and paths, ended early in each way: cancelled, at its deadline, by a close of
//! what it is pending on, and with its loop; while the pool works, and while it is stuck.

use std::cell::Cell;
use std::io::{Error, ErrorKind, Result};
use std::rc::Rc;
use std::time::Duration;

use tigereye::{Allocation, DataFileOptions, Directory, File, Io, Op, is_cancelled};

use crate::disk::{self as fs, Scratch};
use crate::files::{directory, open, read_write, stuck};
use crate::{Counted, HANG, Log, finish};

/// What they work on.
struct Ground {
    scratch: Scratch,
    file: Rc<File>,
    place: Rc<Directory>,
}

/// The context of all of them: it is dropped once, and says what became of the operation.
type Context<S> = Counted<S>;

/// An operation, and what it calls at its end.
type Start = fn(&Io, &Ground, Rc<Cell<u32>>, Box<dyn FnOnce(Option<Error>)>) -> Op;

fn err<T>(result: Result<T>) -> Option<Error> {
    result.err()
}

/// Those that are pending on a file.
const ON_FILES: [(&str, Start); 14] = [
    ("read_at", |io, ground, drops, end| {
        let (context, room) = (on_file(ground, &drops), Vec::with_capacity(100));
        io.read_at(context, room, 0, move |_c, _io, _buf, result| end(err(result)))
    }),
    ("read_exact_at", |io, ground, drops, end| {
        let (context, room) = (on_file(ground, &drops), Vec::with_capacity(100));
        io.read_exact_at(context, room, 3, 0, move |_c, _io, _buf, result| end(err(result)))
    }),
    ("write_at", |io, ground, drops, end| {
        io.write_at(on_file(ground, &drops), "x", 0, move |_c, _io, _buf, result| end(err(result)))
    }),
    ("write_all_at", |io, ground, drops, end| {
        let context = on_file(ground, &drops);
        io.write_all_at(context, "x", 0, move |_c, _io, _buf, result| end(err(result)))
    }),
    ("read_vectored_at", |io, ground, drops, end| {
        let rooms = vec![Vec::with_capacity(1), Vec::with_capacity(2)];
        let context = on_file(ground, &drops);
        io.read_vectored_at(context, rooms, 0, move |_c, _io, _bufs, result| end(err(result)))
    }),
    ("write_vectored_at", |io, ground, drops, end| {
        let context = on_file(ground, &drops);
        io.write_vectored_at(context, vec!["x", "y"], 0, move |_c, _io, _b, result| {
            end(err(result));
        })
    }),
    ("write_all_vectored_at", |io, ground, drops, end| {
        let context = on_file(ground, &drops);
        io.write_all_vectored_at(context, vec!["x", "y"], 0, move |_c, _io, _b, result| {
            end(err(result));
        })
    }),
    ("append", |io, ground, drops, end| {
        io.append(on_file(ground, &drops), "x", move |_c, _io, _buf, result| end(err(result)))
    }),
    ("set_len", |io, ground, drops, end| {
        io.set_len(on_file(ground, &drops), 7, move |_c, _io, result| end(err(result)))
    }),
    ("sync", |io, ground, drops, end| {
        io.sync(on_file(ground, &drops), move |_c, _io, result| end(err(result)))
    }),
    ("sync_data", |io, ground, drops, end| {
        io.sync_data(on_file(ground, &drops), move |_c, _io, result| end(err(result)))
    }),
    ("sync_range", |io, ground, drops, end| {
        io.sync_range(on_file(ground, &drops), 0, 1, move |_c, _io, result| end(err(result)))
    }),
    ("allocate", |io, ground, drops, end| {
        let context = on_file(ground, &drops);
        io.allocate(context, 0, 2, Allocation::Grow, move |_c, _io, result| {
            end(err(result).filter(|error| error.kind() != ErrorKind::Unsupported));
        })
    }),
    ("metadata", |io, ground, drops, end| {
        io.metadata(on_file(ground, &drops), move |_c, _io, result| end(err(result)))
    }),
];

/// Those that are pending on a directory.
const ON_PATHS: [(&str, Start); 9] = [
    ("open", |io, ground, drops, end| {
        let path = ground.place.at("file");
        io.open(counted(&drops), path, &read_write(), move |_c, _io, result| end(err(result)))
    }),
    ("open_directory", |io, ground, drops, end| {
        let path = ground.place.at("below");
        io.open_directory(counted(&drops), path, move |_c, _io, result| end(err(result)))
    }),
    ("open_data_file", |io, ground, drops, end| {
        let (path, options) = (ground.place.at("data"), DataFileOptions::new(4096).create(true));
        io.open_data_file(counted(&drops), path, &options, move |_c, _io, result| end(err(result)))
    }),
    ("metadata_at", |io, ground, drops, end| {
        let path = ground.place.at("file");
        io.metadata_at(counted(&drops), path, true, move |_c, _io, result| end(err(result)))
    }),
    ("rename", |io, ground, drops, end| {
        let (from, to) = (ground.place.at("other"), ground.place.at("another"));
        io.rename(counted(&drops), from, to, move |_c, _io, result| end(err(result)))
    }),
    ("hard_link", |io, ground, drops, end| {
        let (from, to) = (ground.place.at("other"), ground.place.at("linked"));
        io.hard_link(counted(&drops), from, to, move |_c, _io, result| end(err(result)))
    }),
    ("remove_file", |io, ground, drops, end| {
        let path = ground.place.at("other");
        io.remove_file(counted(&drops), path, move |_c, _io, result| end(err(result)))
    }),
    ("remove_directory", |io, ground, drops, end| {
        let path = ground.place.at("below");
        io.remove_directory(counted(&drops), path, move |_c, _io, result| end(err(result)))
    }),
    ("create_directory", |io, ground, drops, end| {
        let path = ground.place.at("new");
        io.create_directory(counted(&drops), path, 0o700, move |_c, _io, result| end(err(result)))
    }),
];

fn on_file(ground: &Ground, drops: &Rc<Cell<u32>>) -> Context<Rc<File>> {
    Counted::new(Rc::clone(&ground.file), drops)
}

fn counted(drops: &Rc<Cell<u32>>) -> Context<()> {
    Counted::new((), drops)
}

fn prepare(io: &Io) -> Ground {
    let scratch = Scratch::new();
    let path = scratch.file("file", b"abc");
    scratch.file("other", b"def");
    fs::create_dir(scratch.join("below")).unwrap();
    let file = open(io, &path, &read_write());
    let place = Rc::new(directory(io, scratch.path()));
    Ground { scratch, file, place }
}

/// The outcome of an operation that is ended in this way.
fn outcome(error: Option<Error>) -> &'static str {
    match error {
        None => "done",
        Some(error) if is_cancelled(&error) => "cancelled",
        Some(error) if error.kind() == ErrorKind::TimedOut => "timed out",
        Some(error) => panic!("{error}"),
    }
}

fn end_early(io: &Io, ground: &Ground, op: Op, way: &str) {
    match way {
        "cancelled" => io.cancel(op),
        "timed out" => io.deadline(op, Duration::ZERO),
        _ => {
            io.close(Rc::clone(&ground.file), |_file, _io, result| result.unwrap());
            io.close(Rc::clone(&ground.place), |_place, _io, result| result.unwrap());
        }
    }
}

#[test]
fn p21_each_operation_on_files_ends_once_and_says_how() {
    for (name, start) in ON_FILES.iter().chain(&ON_PATHS) {
        for (way, turns) in [("cancelled", 0), ("timed out", 0), ("closed", 0), ("cancelled", 1)] {
            let io = Io::new().unwrap();
            let (ground, drops, log) = (prepare(&io), Rc::new(Cell::new(0)), Log::new());
            let put = log.clone();
            let end = Box::new(move |error| put.put(outcome(error)));
            let op = start(&io, &ground, Rc::clone(&drops), end);
            for _ in 0..turns {
                io.poll().unwrap();
            }
            end_early(&io, &ground, op, way);
            finish(&io);
            let expected = if way == "timed out" { way } else { "cancelled" };
            let ended = log.one();
            assert!(ended == expected || ended == "done", "{name}, {way}: {ended}");
            assert_eq!(drops.get(), 1, "{name}, {way}");
            drop(ground.scratch);
        }
    }
}

#[test]
fn p59_p75_each_operation_on_files_ends_once_while_the_pool_is_stuck() {
    for (name, start) in ON_FILES.iter().chain(&ON_PATHS) {
        for way in ["cancelled", "timed out"] {
            let (io, ground) = {
                // What is there is opened before the pool is stuck.
                let (io, release) = stuck();
                drop(release);
                let ground = prepare(&io);
                (io, ground)
            };
            let (release, released) = std::sync::mpsc::channel::<()>();
            let call = move || {
                let _ = released.recv();
            };
            io.offload((), call, |(), _io, result| result.unwrap());
            let (drops, log) = (Rc::new(Cell::new(0)), Log::new());
            let put = log.clone();
            let end = Box::new(move |error| put.put(outcome(error)));
            let op = start(&io, &ground, Rc::clone(&drops), end);
            end_early(&io, &ground, op, way);
            let begin = std::time::Instant::now();
            while log.len() == 0 {
                assert!(begin.elapsed() < HANG, "{name}, {way}: it waits for the pool");
                io.run_once().unwrap();
            }
            drop(release);
            finish(&io);
            let ended = log.one();
            assert!(ended == way || ended == "done", "{name}, {way}: {ended}");
            assert_eq!(drops.get(), 1, "{name}, {way}");
        }
    }
}

#[test]
fn p25_rule7_the_loop_ends_with_each_operation_on_files_on_its_way() {
    for (name, start) in ON_FILES.iter().chain(&ON_PATHS) {
        for turns in 0..2 {
            let io = Io::new().unwrap();
            let (ground, drops) = (prepare(&io), Rc::new(Cell::new(0)));
            start(&io, &ground, Rc::clone(&drops), Box::new(|_error| {}));
            for _ in 0..turns {
                io.poll().unwrap();
            }
            drop(io);
            assert_eq!(drops.get(), 1, "{name}");
        }
    }
}
