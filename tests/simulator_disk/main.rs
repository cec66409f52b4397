//! The simulated disk: it agrees with a real one, keeps what was synced, and fails as it is told to.
#![allow(clippy::unwrap_used, reason = "tests")]

// It is Linux whose calls and codes are simulated.
#[cfg(target_os = "linux")]
mod agreement;
mod faults;
mod power;
#[path = "../common/random.rs"]
mod random;

use std::cell::RefCell;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use random::Random;
use tigereye::sim::{Host, World};
use tigereye::{File, Io, Op, OpenOptions};

const SECOND: Duration = Duration::from_secs(1);
/// The system's code for what a disk cannot do: on Windows `ERROR_IO_DEVICE`.
#[cfg(unix)]
const EIO: i32 = libc::EIO;
#[cfg(windows)]
const EIO: i32 = 1117;

fn address() -> IpAddr {
    IpAddr::from([10, 0, 0, 1])
}

/// What a callback left behind.
type Place<T> = Rc<RefCell<Option<T>>>;

fn read_write() -> OpenOptions {
    OpenOptions::new().read(true).write(true)
}

/// A world with a host whose program does nothing by itself.
fn world(seed: u64) -> (World, Host) {
    let mut world = World::new(seed);
    let host = world.host("host", address(), |_io| {});
    (world, host)
}

/// Starts an operation on a host's loop, and runs the world until it has ended.
#[track_caller]
fn run<T: 'static>(world: &mut World, host: Host, start: impl FnOnce(&Io, Place<T>) -> Op) -> T {
    let place = Place::default();
    start(world.io(host).unwrap(), Rc::clone(&place));
    let ended = world.run_until(Duration::from_secs(100_000), |_| place.borrow().is_some());
    assert!(ended, "it hangs");
    place.take().unwrap()
}

fn put<T>(place: Place<T>, _io: &Io, result: T) {
    place.replace(Some(result));
}

fn open(world: &mut World, host: Host, path: &str, options: &OpenOptions) -> Rc<File> {
    Rc::new(run(world, host, |io, place| io.open(place, path, options, put)).unwrap())
}

fn write(
    world: &mut World,
    host: Host,
    file: &Rc<File>,
    bytes: &[u8],
    offset: u64,
) -> std::io::Result<usize> {
    run(world, host, |io, place| {
        io.write_at(Rc::clone(file), bytes.to_vec(), offset, move |_file, io, _buf, result| {
            put(place, io, result);
        })
    })
}

fn read(
    world: &mut World,
    host: Host,
    file: &Rc<File>,
    len: usize,
    offset: u64,
) -> std::io::Result<Vec<u8>> {
    run(world, host, |io, place| {
        let buf = Vec::with_capacity(len);
        io.read_at(Rc::clone(file), buf, offset, move |_file, io, buf, result| {
            put(place, io, result.map(|_| buf));
        })
    })
}

fn sync(world: &mut World, host: Host, file: &Rc<File>) -> std::io::Result<()> {
    run(world, host, |io, place| {
        io.sync(Rc::clone(file), move |_file, io, result| put(place, io, result))
    })
}

/// Syncs the root and `/tmp`.
fn sync_names(world: &mut World, host: Host, path: &str) {
    let directory = run(world, host, |io, place| io.open_directory(place, path, put));
    run(world, host, |io, place| {
        io.sync(directory.unwrap(), move |_directory, io, result| put(place, io, result))
    })
    .unwrap();
}
