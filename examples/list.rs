//! Lists a directory: `cargo run --release --example list [DIRECTORY]`.
//!
//! Reading a directory is no operation of io_uring's, so the standard library reads it, on the
//! loop's pool ([`Io::offload`]); what else blocks and is rare (attributes, ownership, times) is done
//! in the same way. The loop asks for what is known of all entries at once.

use std::cell::RefCell;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::rc::Rc;

use tigereye::{FileType, Io, Metadata};

/// The names in a directory.
fn names(path: &Path) -> io::Result<Vec<OsString>> {
    std::fs::read_dir(path)?.map(|entry| Ok(entry?.file_name())).collect()
}

fn line(name: &OsString, known: &io::Result<Metadata>) -> String {
    let name = name.display();
    match known {
        Ok(known) => {
            let kind = match known.file_type() {
                FileType::Directory => 'd',
                FileType::Symlink => 'l',
                FileType::File => '-',
                _ => '?',
            };
            let mode = known.mode() & 0o7777;
            format!("{kind} {mode:04o} {:>12} {name}", known.len())
        }
        Err(error) => format!("? {name}: {error}"),
    }
}

type Lines = Rc<RefCell<Vec<(OsString, String)>>>;

fn list(io: &Io, path: PathBuf) -> io::Result<Vec<String>> {
    let lines = Lines::default();
    let failed = Rc::new(RefCell::new(None));
    let context = (Rc::clone(&lines), Rc::clone(&failed), path.clone());
    io.offload(
        context,
        move || names(&path),
        |(lines, failed, path), io, result| {
            let names = match result.and_then(|names| names) {
                Ok(names) => names,
                Err(error) => return drop(failed.replace(Some(error))),
            };
            for name in names {
                let entry = path.join(&name);
                io.metadata_at(
                    (Rc::clone(&lines), name),
                    &entry,
                    false,
                    |(lines, name), _io, known| {
                        let line = line(&name, &known);
                        lines.borrow_mut().push((name, line));
                    },
                );
            }
        },
    );
    io.run()?;
    if let Some(error) = failed.take() {
        return Err(error);
    }
    let mut lines = lines.take();
    lines.sort();
    Ok(lines.into_iter().map(|(_name, line)| line).collect())
}

fn main() -> ExitCode {
    let path = std::env::args_os().nth(1).map_or_else(|| PathBuf::from("."), PathBuf::from);
    match Io::new().and_then(|io| list(&io, path)) {
        Ok(lines) => {
            lines.iter().for_each(|line| println!("{line}"));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("list: {error}");
            ExitCode::FAILURE
        }
    }
}
