//! Copies its input to its output and to files, as tee(1) does:
//! `cargo run --example tee -- [-a] FILE...`. Each of them may be a pipe, a terminal, a device or a
//! file.
//!
//! ```text
//!   reading ──bytes──▶ writing to output 0, 1, … ──▶ reading
//!      └──end──▶ done      └──error──▶ told, and that output is left out
//! ```

use std::fs::OpenOptions;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::rc::Rc;

use tigereye::{AsSource, Descriptor, Io, Source};

struct Output {
    name: String,
    descriptor: Descriptor,
}

struct Tee {
    input: Descriptor,
    outputs: Vec<Output>,
    failures: Rc<std::cell::Cell<u32>>,
}

impl AsSource for Tee {
    fn as_source(&self) -> &Source {
        self.input.as_source()
    }
}

impl Tee {
    fn read(self, io: &Io, mut buf: Vec<u8>) {
        buf.clear();
        io.read(self, buf, |tee, io, buf, result| match result {
            Ok(0) => {}
            Ok(_) => Writing { tee, at: 0 }.write(io, buf),
            Err(error) => tee.tell("standard input", &error),
        });
    }

    fn tell(&self, name: &str, error: &io::Error) {
        self.failures.set(self.failures.get() + 1);
        eprintln!("tee: {name}: {error}");
    }
}

/// What was read goes to one output after another.
struct Writing {
    tee: Tee,
    at: usize,
}

impl AsSource for Writing {
    fn as_source(&self) -> &Source {
        self.tee.outputs[self.at].descriptor.as_source()
    }
}

impl Writing {
    fn write(self, io: &Io, buf: Vec<u8>) {
        if self.tee.outputs.is_empty() {
            return;
        }
        if self.at == self.tee.outputs.len() {
            return self.tee.read(io, buf);
        }
        io.write_all(self, buf, Writing::written);
    }

    fn written(mut self, io: &Io, buf: Vec<u8>, result: io::Result<()>) {
        match result {
            Ok(()) => self.at += 1,
            Err(error) => {
                let output = self.tee.outputs.remove(self.at);
                self.tee.tell(&output.name, &error);
            }
        }
        self.write(io, buf);
    }
}

fn open(io: &Io, path: PathBuf, append: bool) -> io::Result<Output> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).append(append).truncate(!append);
    let name = path.display().to_string();
    let file = options.open(path).map_err(|error| io::Error::other(format!("{name}: {error}")))?;
    Ok(Output { name, descriptor: Descriptor::new(io, file.into()) })
}

fn run() -> io::Result<u32> {
    let mut paths: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let append = paths.first().is_some_and(|first| first.as_os_str() == "-a");
    if append {
        paths.remove(0);
    }
    let io = Io::new()?;
    let mut outputs =
        vec![Output { name: "standard output".into(), descriptor: tigereye::stdout(&io)? }];
    for path in paths {
        outputs.push(open(&io, path, append)?);
    }
    let failures = Rc::default();
    let tee = Tee { input: tigereye::stdin(&io)?, outputs, failures: Rc::clone(&failures) };
    tee.read(&io, Vec::with_capacity(64 * 1024));
    io.run()?;
    Ok(failures.get())
}

fn main() -> ExitCode {
    match run() {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("tee: {error}");
            ExitCode::FAILURE
        }
    }
}
