//! A disk that is full half way. The tests have a file system of their own, of a megabyte, in a
//! process that may mount one: they are started again by unshare(1).
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "tests")]

#[allow(dead_code, reason = "other tests use more of it")]
#[path = "common/scratch.rs"]
mod scratch;

use std::cell::RefCell;
use std::ffi::CString;
use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::Command;
use std::rc::Rc;

use scratch::Scratch;
use tigereye::{Allocation, File, Io, IoBuf};

const INSIDE: &str = "TIGEREYE_TEST_MOUNTS";
const DISK: usize = 1 << 20;

/// True in the process that may mount; else starts one for the test `name`.
fn may_mount(name: &str) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount"]);
    if !command.arg("true").output().is_ok_and(|output| output.status.success()) {
        eprintln!("SKIPPED: no user namespace may be made here (unshare(1))");
        return false;
    }
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount"]);
    command.arg(std::env::current_exe().unwrap()).args(["--exact", name, "--nocapture"]);
    let output = command.env(INSIDE, "1").output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}\n{complaints}");
    assert!(text.contains("1 passed"), "no test is called {name}");
    false
}

#[expect(unsafe_code, reason = "mount(2)")]
fn mount(at: &Path) {
    let at = CString::new(at.as_os_str().as_bytes()).unwrap();
    let (kind, options) = (c"tmpfs", CString::new(format!("size={DISK}")).unwrap());
    // SAFETY: all of them end in NUL and live during the call.
    let result = unsafe {
        libc::mount(kind.as_ptr(), at.as_ptr(), kind.as_ptr(), 0, options.as_ptr().cast())
    };
    assert_eq!(result, 0, "{}", io::Error::last_os_error());
}

type Results = Rc<RefCell<Vec<io::Result<usize>>>>;

fn put<C, B: IoBuf>(results: Results) -> impl FnOnce(C, &Io, B, io::Result<usize>) {
    move |_file, _io, _buf, result| results.borrow_mut().push(result)
}

/// All that was written is there, and the rest is told to be too much.
fn fill(io: &Io, path: &Path) {
    let results = Results::default();
    let file = Rc::new(File::from_std(io, fs::File::create(path).unwrap()));
    io.write_at(Rc::clone(&file), vec![1; 4 * DISK], 0, put(Rc::clone(&results)));
    io.run().unwrap();
    let written = results.take().pop().unwrap().unwrap();
    assert!((1..=DISK).contains(&written), "short: {written}");
    assert_eq!(fs::metadata(path).unwrap().len(), written as u64);
    io.append(Rc::clone(&file), vec![1; DISK], put(Rc::clone(&results)));
    io.run().unwrap();
    let error = results.take().pop().unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StorageFull);
    let bufs = vec![vec![1; DISK], vec![1; DISK]];
    io.write_vectored_at(file, bufs, DISK as u64, {
        let results = Rc::clone(&results);
        move |_file, _io, _bufs, result| results.borrow_mut().push(result)
    });
    io.run().unwrap();
    let error = results.take().pop().unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StorageFull);
}

/// To write all says that it did not, and leaves what was written.
fn write_all(io: &Io, path: &Path) {
    let results = Results::default();
    let file = Rc::new(File::from_std(io, fs::File::create(path).unwrap()));
    let parts = vec![vec![2; DISK / 2]; 4];
    let said = Rc::clone(&results);
    io.write_all_vectored_at(Rc::clone(&file), parts, 0, move |_file, _io, bufs, result| {
        assert_eq!(bufs.len(), 4);
        said.borrow_mut().push(result.map(|()| 0));
    });
    io.run().unwrap();
    let error = results.take().pop().unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StorageFull);
    assert!(fs::metadata(path).unwrap().len() > 0, "the first bytes are there");
}

/// Room that is not there is not reserved, and what there is can be used afterwards.
fn allocate(io: &Io, path: &Path) {
    let results = Results::default();
    let file = Rc::new(File::from_std(io, fs::File::create(path).unwrap()));
    for allocation in [Allocation::Grow, Allocation::KeepLen] {
        let said = Rc::clone(&results);
        let context = Rc::clone(&file);
        io.allocate(context, 0, 4 * DISK as u64, allocation, move |_file, _io, result| {
            said.borrow_mut().push(result.map(|()| 0));
        });
        io.run().unwrap();
        let error = results.take().pop().unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::StorageFull);
    }
    io.write_at(file, vec![3; DISK / 2], 0, put(Rc::clone(&results)));
    io.run().unwrap();
    assert_eq!(results.take().pop().unwrap().unwrap(), DISK / 2);
}

#[test]
fn p53_a_disk_that_is_full_half_way() {
    if !may_mount("p53_a_disk_that_is_full_half_way") {
        return;
    }
    let scratch = Scratch::new();
    let disk = scratch.join("disk");
    fs::create_dir(&disk).unwrap();
    mount(&disk);
    let free = || rustix::fs::statvfs(&disk).unwrap().f_bfree;
    let all = free();
    let io = Io::new().unwrap();
    for step in [fill, write_all, allocate] {
        let path = disk.join("file");
        step(&io, &path);
        fs::remove_file(&path).unwrap();
        // A thread of the kernel that has written may hold the file a moment longer than its close.
        while free() < all {
            std::thread::yield_now();
        }
    }
    drop(io);
    // The directory can go when nothing is mounted there.
    let status = Command::new("umount").arg(&disk).status().unwrap();
    assert!(status.success());
}
