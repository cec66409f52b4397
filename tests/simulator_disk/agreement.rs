//! Random calls on the simulated disk and on the machine's own: they say the same.

use std::fmt::Debug;
use std::path::PathBuf;
use std::rc::Rc;

use tigereye::{
    Allocation, Directory, DriverKind, File, FileType, Io, Metadata, Op, OpenOptions, Renaming,
};

use crate::{Place, Random, put};

const SEQUENCES: u64 = 1000;
const CALLS: u64 = 40;

/// What the same calls are made on.
struct System {
    io: Io,
    base: String,
    files: Vec<Rc<File>>,
    directory: Option<Rc<Directory>>,
}

impl System {
    fn new(kind: DriverKind, base: &str) -> System {
        let io = Io::builder().driver(kind).build().unwrap();
        let system = System { io, base: base.into(), files: Vec::new(), directory: None };
        // What is in it keeps it there; and who leaves it is in another one of the sequence's own.
        for path in ["", "/outer", "/outer/inner", "/outer/inner/kept"] {
            let path = format!("{base}{path}");
            system.result(|io, place| io.create_directory(place, &path, 0o755, put)).unwrap();
        }
        system
    }

    fn result<T: 'static>(&self, start: impl FnOnce(&Io, Place<T>) -> Op) -> T {
        let place = Place::default();
        start(&self.io, Rc::clone(&place));
        self.io.run().unwrap();
        place.take().unwrap()
    }

    /// A path of the sequence's own, or one from its directory on.
    fn path(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("{}/outer/inner/{name}", self.base))
    }

    /// Makes one call; says what came of it.
    fn call(&mut self, call: &Call) -> String {
        let (from, to) = (self.path(call.from), self.path(call.to));
        let Call { number, len, offset, .. } = *call;
        let renaming = [Renaming::Replace, Renaming::NoReplace, Renaming::Exchange][number % 3];
        match call.kind {
            0 => shown(&self.result(|io, p| io.create_directory(p, &from, 0o700, put))),
            1 => shown(&self.result(|io, p| io.rename_with(p, &from, &to, renaming, put))),
            2 => shown(&self.result(|io, p| io.rename(p, &from, &to, put))),
            3 => shown(&self.result(|io, p| io.hard_link(p, &from, &to, put))),
            4 => shown(&self.result(|io, p| io.symlink(p, call.from, &to, put))),
            5 => shown(&self.result(|io, p| io.remove_file(p, &from, put))),
            6 => shown(&self.result(|io, p| io.remove_directory(p, &from, put))),
            7 | 8 => {
                let follow = call.kind == 7;
                let known = self.result(|io, p| io.metadata_at(p, &from, follow, put));
                shown(&known.map(|metadata| known_of(&metadata)))
            }
            9 | 10 => self.open(&from, call),
            11 => {
                let opened = self.result(|io, p| io.open_directory(p, &from, put));
                shown(&opened.map(|directory| drop(self.directory.replace(Rc::new(directory)))))
            }
            12 => match self.directory.clone() {
                None => "no directory".into(),
                Some(directory) => {
                    let known = self.result(|io, p: Place<std::io::Result<Metadata>>| {
                        io.metadata_at(p, directory.at(call.from), true, put)
                    });
                    shown(&known.map(|metadata| known_of(&metadata)))
                }
            },
            _ if self.files.is_empty() => "no file".into(),
            kind => {
                let file = Rc::clone(&self.files[number % self.files.len()]);
                self.call_on(file, kind, offset, len)
            }
        }
    }

    fn open(&mut self, path: &PathBuf, call: &Call) -> String {
        let bit = |bit: u32| call.number >> bit & 1 == 1;
        let mut options = OpenOptions::new().read(bit(0)).write(bit(1)).append(bit(2) && bit(5));
        options = options.create(bit(3)).truncate(bit(4)).create_new(bit(5) && bit(6));
        options = options.beneath(bit(7) && bit(8)).no_symlinks(bit(9) && bit(8));
        if bit(10) && bit(8) {
            options = options.custom_flags(libc::O_NOFOLLOW);
        }
        let opened = self.result(|io, p| io.open(p, path, &options, put));
        let text = shown(&opened.as_ref().map(drop));
        if let Ok(file) = opened {
            self.files.push(Rc::new(file));
            if self.files.len() > 4 {
                drop(self.files.remove(0));
            }
        }
        text
    }

    fn call_on(&self, file: Rc<File>, kind: u64, offset: u64, len: usize) -> String {
        let bytes = || (0..len).map(|at| (at + offset as usize) as u8).collect::<Vec<u8>>();
        match kind {
            13 | 14 => shown(&self.result(|io, p| {
                io.write_at(file, bytes(), offset, move |_, io, _, result| put(p, io, result))
            })),
            15 => shown(&self.result(|io, p| {
                io.append(file, bytes(), move |_, io, _, result| put(p, io, result))
            })),
            16 | 17 => shown(&self.result(|io, p| {
                let room = Vec::with_capacity(len.max(1));
                io.read_at(file, room, offset, move |_, io, buf, result| {
                    put(p, io, result.map(|count| (count, buf)));
                })
            })),
            18 => {
                shown(&self.result(|io, p| {
                    io.set_len(file, offset, move |_, io, result| put(p, io, result))
                }))
            }
            19 => shown(&self.result(|io, p| {
                let allocation = [Allocation::Grow, Allocation::KeepLen][len % 2];
                io.allocate(file, offset, len as u64, allocation, move |_, io, result| {
                    put(p, io, result);
                })
            })),
            20 => {
                shown(&self.result(|io, p| io.sync(file, move |_, io, result| put(p, io, result))))
            }
            21 => {
                let known: std::io::Result<Metadata> =
                    self.result(|io, p| io.metadata(file, move |_, io, result| put(p, io, result)));
                shown(&known.map(|metadata| known_of(&metadata)))
            }
            22 => shown(&self.result(|io, p| {
                let bufs = vec![bytes(), bytes()];
                io.write_vectored_at(file, bufs, offset, move |_, io, _, result| {
                    put(p, io, result);
                })
            })),
            23 => shown(&self.result(|io, p| {
                let rooms = vec![Vec::with_capacity(3), Vec::with_capacity(len.max(1))];
                io.read_vectored_at(file, rooms, offset, move |_, io, bufs, result| {
                    put(p, io, result.map(|count| (count, bufs)));
                })
            })),
            24 => shown(&self.result(|io, p| {
                io.read(file, Vec::with_capacity(len.max(1)), move |_, io, buf, result| {
                    put(p, io, result.map(|count| (count, buf)));
                })
            })),
            _ => shown(&self.result(|io, p| {
                io.write(file, bytes(), move |_, io, _, result| put(p, io, result))
            })),
        }
    }
}

fn shown<T: Debug>(result: &Result<T, impl AsError>) -> String {
    match result {
        Ok(value) => format!("{value:?}"),
        Err(error) => {
            let error = error.as_error();
            format!("{:?} {:?}", error.kind(), error.raw_os_error())
        }
    }
}

/// An error, or a reference to one.
trait AsError {
    fn as_error(&self) -> &std::io::Error;
}

impl AsError for std::io::Error {
    fn as_error(&self) -> &std::io::Error {
        self
    }
}

impl AsError for &std::io::Error {
    fn as_error(&self) -> &std::io::Error {
        self
    }
}

/// What systems agree on.
fn known_of(metadata: &Metadata) -> (FileType, Option<(u64, u64)>) {
    let is_directory = metadata.is_dir();
    (metadata.file_type(), (!is_directory).then(|| (metadata.len(), metadata.nlink())))
}

#[derive(Debug, Clone)]
struct Call {
    kind: u64,
    from: &'static str,
    to: &'static str,
    number: usize,
    len: usize,
    offset: u64,
}

const NAMES: [&str; 22] = [
    "a", "b", "c", "d", "d/a", "d/b", "d/d", "d/d/a", "a/x", "./a", "d/../b", "d/", "a/", "..",
    ".", "", "d/.", "d/..", "nobody/x", "d//a", "../", "b/c",
];

fn one_of<T: Copy>(random: &mut Random, all: &[T]) -> T {
    all[random.below(all.len() as u64) as usize]
}

fn call(random: &mut Random) -> Call {
    Call {
        kind: random.below(26),
        from: one_of(random, &NAMES),
        to: one_of(random, &NAMES),
        number: random.below(1 << 12) as usize,
        len: one_of(random, &[0, 1, 3, 100, 512, 5000]),
        offset: one_of(random, &[0, 0, 1, 10, 511, 4096, 9000, 1 << 33]),
    }
}

#[test]
fn random_calls_say_what_they_say_on_a_real_disk() {
    for seed in 0..SEQUENCES {
        let base =
            std::env::temp_dir().join(format!("tigereye-same-{}-{seed}", std::process::id()));
        let name = format!("/tmp/{}", base.file_name().unwrap().to_str().unwrap());
        let mut real = System::new(DriverKind::Readiness, base.to_str().unwrap());
        let mut simulated = System::new(DriverKind::Sim, &name);
        let mut random = Random(seed);
        let mut calls = Vec::new();
        for _ in 0..CALLS {
            let call = call(&mut random);
            let (said, wanted) = (simulated.call(&call), real.call(&call));
            let begin = calls.join("\n");
            assert_eq!(said, wanted, "seed {seed}, simulated and real: {call:?} after\n{begin}");
            calls.push(format!("{call:?}: {said}"));
        }
        drop((real, simulated));
        std::fs::remove_dir_all(&base).unwrap();
    }
}
