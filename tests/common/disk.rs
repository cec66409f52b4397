//! The disk that the tests' loops have: that of the machine, by the standard library, which is a witness;
//! in the simulator that of the thread's world, by a second loop.
//!
//! Tests use it by the names of `std::fs`.

use std::cell::RefCell;
use std::io::{self, ErrorKind};
#[cfg(unix)]
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use tigereye::{DriverKind, Io, Metadata, Op, OpenOptions};

use crate::peer::is_simulated;

/// Most bytes of a file that a test looks at.
const LEN_MAX: usize = 4 << 20;

/// What both know of a file.
pub(crate) struct Known {
    len: u64,
    blocks: u64,
    mode: u32,
    nlink: u64,
    uid: u32,
    ino: u64,
}

impl Known {
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    pub(crate) fn blocks(&self) -> u64 {
        self.blocks
    }

    /// Permission bits.
    pub(crate) fn mode(&self) -> u32 {
        self.mode & 0o7777
    }

    pub(crate) fn is_dir(&self) -> bool {
        self.mode & 0o170_000 == 0o040_000
    }

    pub(crate) fn nlink(&self) -> u64 {
        self.nlink
    }

    pub(crate) fn is_socket(&self) -> bool {
        self.mode & 0o170_000 == 0o140_000
    }

    pub(crate) fn uid(&self) -> u32 {
        self.uid
    }

    pub(crate) fn ino(&self) -> u64 {
        self.ino
    }
}

/// A loop of the world that the thread's other loops are in.
pub(crate) fn simulated() -> Io {
    Io::builder().driver(DriverKind::Sim).build().unwrap()
}

type Place<T> = Rc<RefCell<Option<io::Result<T>>>>;

fn put<T>(place: Place<T>, _io: &Io, result: io::Result<T>) {
    place.replace(Some(result));
}

/// The result of an operation on the simulated disk.
fn call<T>(start: impl FnOnce(&Io, Place<T>) -> Op) -> io::Result<T> {
    let io = if is_simulated() { simulated() } else { Io::new()? };
    let place = Place::default();
    start(&io, Rc::clone(&place));
    io.run().unwrap();
    place.take().unwrap()
}

pub(crate) fn read(path: impl AsRef<Path>) -> io::Result<Vec<u8>> {
    let path = path.as_ref();
    if !is_simulated() {
        return std::fs::read(path);
    }
    call(|io, place| {
        io.open(place, path, &OpenOptions::new().read(true), |place, io, file| match file {
            Err(error) => put(place, io, Err(error)),
            Ok(file) => {
                let buf = Vec::with_capacity(LEN_MAX);
                io.read_at(file, buf, 0, move |_file, io, buf, result| {
                    put(place, io, result.map(|_| buf));
                });
            }
        })
    })
}

pub(crate) fn read_to_string(path: impl AsRef<Path>) -> io::Result<String> {
    let bytes = read(path)?;
    String::from_utf8(bytes).map_err(|_| ErrorKind::InvalidData.into())
}

pub(crate) fn write(path: impl AsRef<Path>, bytes: impl AsRef<[u8]>) -> io::Result<()> {
    let (path, bytes) = (path.as_ref(), bytes.as_ref().to_vec());
    if !is_simulated() {
        return std::fs::write(path, bytes);
    }
    let options = OpenOptions::new().write(true).create(true).truncate(true);
    call(|io, place| {
        io.open(place, path, &options, |place, io, file| match file {
            Err(error) => put(place, io, Err(error)),
            Ok(file) => {
                io.write_all_at(file, bytes, 0, move |_file, io, _buf, result| {
                    put(place, io, result);
                });
            }
        })
    })
}

fn known(path: &Path, follow: bool) -> io::Result<Known> {
    #[cfg(unix)]
    if !is_simulated() {
        let of = if follow { std::fs::metadata } else { std::fs::symlink_metadata };
        let known = of(path)?;
        let mode = known.permissions().mode();
        let (len, blocks, nlink) = (known.len(), known.blocks(), known.nlink());
        return Ok(Known { len, blocks, mode, nlink, uid: known.uid(), ino: known.ino() });
    }
    // On Windows the standard library does not tell how many names and blocks there are.
    let known: Metadata = call(|io, place| io.metadata_at(place, path, follow, put))?;
    let (blocks, nlink) = (known.blocks(), known.nlink());
    let (uid, ino) = (known.uid(), known.ino());
    Ok(Known { len: known.len(), blocks, mode: known.mode(), nlink, uid, ino })
}

pub(crate) fn metadata(path: impl AsRef<Path>) -> io::Result<Known> {
    known(path.as_ref(), true)
}

pub(crate) fn symlink_metadata(path: impl AsRef<Path>) -> io::Result<Known> {
    known(path.as_ref(), false)
}

pub(crate) fn exists(path: impl AsRef<Path>) -> bool {
    metadata(path).is_ok()
}

pub(crate) fn set_len(path: impl AsRef<Path>, len: u64) -> io::Result<()> {
    let path = path.as_ref();
    if !is_simulated() {
        return std::fs::OpenOptions::new().write(true).open(path)?.set_len(len);
    }
    call(|io, place| {
        io.open(place, path, &OpenOptions::new().write(true), move |place, io, file| match file {
            Err(error) => put(place, io, Err(error)),
            Ok(file) => {
                io.set_len(file, len, move |_file, io, result| put(place, io, result));
            }
        })
    })
}

pub(crate) fn create_dir(path: impl AsRef<Path>) -> io::Result<()> {
    let path = path.as_ref();
    if !is_simulated() {
        return std::fs::create_dir(path);
    }
    call(|io, place| io.create_directory(place, path, 0o777, put))
}

pub(crate) fn remove_file(path: impl AsRef<Path>) -> io::Result<()> {
    let path = path.as_ref();
    if !is_simulated() {
        return std::fs::remove_file(path);
    }
    call(|io, place| io.remove_file(place, path, put))
}

pub(crate) fn remove_dir(path: impl AsRef<Path>) -> io::Result<()> {
    let path = path.as_ref();
    if !is_simulated() {
        return std::fs::remove_dir(path);
    }
    call(|io, place| io.remove_directory(place, path, put))
}

pub(crate) fn rename(from: impl AsRef<Path>, to: impl AsRef<Path>) -> io::Result<()> {
    let (from, to) = (from.as_ref(), to.as_ref());
    if !is_simulated() {
        return std::fs::rename(from, to);
    }
    call(|io, place| io.rename(place, from, to, put))
}

pub(crate) fn symlink(original: impl AsRef<Path>, link: impl AsRef<Path>) -> io::Result<()> {
    let (original, link) = (original.as_ref(), link.as_ref());
    if !is_simulated() {
        #[cfg(unix)]
        return std::os::unix::fs::symlink(original, link);
        #[cfg(windows)]
        return std::os::windows::fs::symlink_file(original, link);
    }
    call(|io, place| io.symlink(place, original, link, put))
}

/// Whether there are symbolic links here: Windows lets not everybody make them.
pub(crate) fn has_symlinks() -> bool {
    let scratch = Scratch::new();
    let link = scratch.join("link");
    let made = symlink("nowhere", &link).and_then(|()| known(&link, false).map(drop));
    if let Err(error) = &made {
        eprintln!("SKIPPED: there are no symbolic links: {error}");
    }
    made.is_ok()
}

/// Whether a link says this.
pub(crate) fn leads_to(link: impl AsRef<Path>, original: &str) -> bool {
    let link = link.as_ref();
    if !is_simulated() {
        return std::fs::read_link(link).unwrap() == Path::new(original);
    }
    // There is no operation that reads a link; its length is that of what it says.
    let known = known(link, false).unwrap();
    known.mode & 0o170_000 == 0o120_000 && known.len == original.len() as u64
}

/// A directory of a test's own, gone with it.
pub(crate) struct Scratch {
    path: PathBuf,
    /// Is removed where it is a real one.
    _real: Option<crate::scratch::Scratch>,
    /// Keeps the simulated world.
    _simulated: Option<Io>,
}

impl Scratch {
    pub(crate) fn new() -> Scratch {
        if !is_simulated() {
            let real = crate::scratch::Scratch::new();
            return Scratch { path: real.path().into(), _real: Some(real), _simulated: None };
        }
        let io = simulated();
        let free = (0..).map(|number| PathBuf::from(format!("/tmp/scratch-{number}")));
        let path = free.into_iter().find(|path| create_dir(path).is_ok()).unwrap();
        Scratch { path, _real: None, _simulated: Some(io) }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// A file with these contents.
    pub(crate) fn file(&self, name: &str, contents: &[u8]) -> PathBuf {
        let path = self.join(name);
        write(&path, contents).unwrap();
        path
    }
}
