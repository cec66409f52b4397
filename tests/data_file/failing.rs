//! Data files where the system fails: disks that lose writes, and calls that are taken away.

use std::cell::RefCell;
use std::fs;
use std::io::{Error, ErrorKind, Result};
use std::path::PathBuf;
use std::process::Command;
use std::rc::Rc;

use tigereye::{DataFile, DataFileOptions, DirectIo, DriverKind, File, Io};

use crate::alone::alone;
use crate::scratch::Scratch;
use crate::seccomp::forbid;
use crate::{HANG, SIZE, Slot, created, loops, open, outcome};

fn readiness() -> Io {
    Io::builder().driver(DriverKind::Readiness).build().unwrap()
}

/// What changes a data file or makes it last.
fn each_change(io: &Io, file: &Rc<DataFile>) -> Vec<Result<()>> {
    let log = Rc::new(RefCell::new(Vec::new()));
    let put = || {
        let log = Rc::clone(&log);
        move |result: Result<()>| log.borrow_mut().push(result)
    };
    let mut one = put();
    io.sync(Rc::clone(file), move |_file, _io, result| one(result));
    one = put();
    io.sync_data(Rc::clone(file), move |_file, _io, result| one(result));
    one = put();
    io.set_len(Rc::clone(file), SIZE, move |_file, _io, result| one(result));
    one = put();
    io.write_all_at(Rc::clone(file), vec![1; 4096], 0, move |_file, _io, _buf, result| one(result));
    one = put();
    io.write_all(Rc::clone(file), vec![1; 4096], move |_file, _io, _buf, result| one(result));
    let put = put();
    io.write_at(Rc::clone(file), vec![1; 4096], 0, move |_file, _io, _buf, result| {
        put(result.map(drop));
    });
    io.run_for(HANG).unwrap();
    assert_eq!(io.in_flight(), 0, "an operation hangs");
    log.take()
}

fn sync_data(io: &Io, file: &Rc<DataFile>) -> Result<()> {
    let slot = Slot::default();
    let put = Rc::clone(&slot);
    io.sync_data(Rc::clone(file), move |_file, _io, result| drop(put.replace(Some(result))));
    outcome(io, &slot)
}

fn is_eio(error: &Error) -> bool {
    error.raw_os_error() == Some(libc::EIO)
}

/// io_uring's fdatasync is no system call, and no filter sees it.
#[test]
fn p50_a_sync_that_failed_stays_failed_until_the_file_is_opened_again() {
    if !alone("failing::p50_a_sync_that_failed_stays_failed_until_the_file_is_opened_again", &[]) {
        return;
    }
    let scratch = Scratch::new();
    let path = scratch.join("data");
    forbid(libc::SYS_fdatasync, libc::EIO);
    let io = readiness();
    let file = Rc::new(open(&io, &path, &created()).unwrap());
    assert!(each_change(&io, &file).iter().filter(|result| result.is_err()).count() >= 1);
    for _ in 0..2 {
        for result in each_change(&io, &file) {
            assert!(is_eio(&result.unwrap_err()), "fsync, which succeeds, is not even asked");
        }
    }
    let slot = Slot::default();
    let put = Rc::clone(&slot);
    io.read_at(Rc::clone(&file), Vec::with_capacity(10), 0, move |_file, _io, _buf, result| {
        drop(put.replace(Some(result)));
    });
    assert_eq!(outcome(&io, &slot).unwrap(), 10, "what is there can be read");
    drop(file);
    let file = Rc::new(open(&io, &path, &created()).unwrap());
    let slot = Slot::default();
    let put = Rc::clone(&slot);
    io.sync(Rc::clone(&file), move |_file, _io, result| drop(put.replace(Some(result))));
    outcome(&io, &slot).unwrap();
    // An ordinary file keeps nothing.
    let plain = Rc::new(File::from_std(&io, fs::File::create(scratch.join("plain")).unwrap()));
    for (data_only, fails) in [(true, true), (false, false)] {
        let slot = Slot::default();
        let put = Rc::clone(&slot);
        let callback = move |_file, _io: &Io, result| drop(put.replace(Some(result)));
        if data_only {
            io.sync_data(Rc::clone(&plain), callback);
        } else {
            io.sync(Rc::clone(&plain), callback);
        }
        assert_eq!(outcome(&io, &slot).is_err(), fails);
    }
}

/// A disk that loses what is written to it: a loop device whose file lies in a file system with
/// less room. Only root can make one.
struct FailingDisk {
    device: PathBuf,
    mount: Scratch,
}

impl FailingDisk {
    fn new() -> Option<FailingDisk> {
        let mount = Scratch::new();
        let image = mount.join("image");
        run("mount", &["-t", "tmpfs", "-o", "size=1m", "tmpfs", mount.path().to_str()?])?;
        fs::File::create(&image).unwrap().set_len(16 * SIZE).unwrap();
        let Some(device) = run("losetup", &["-f", "--show", image.to_str()?]) else {
            run("umount", &[mount.path().to_str()?]);
            return None;
        };
        Some(FailingDisk { device: PathBuf::from(device.trim()), mount })
    }
}

impl Drop for FailingDisk {
    fn drop(&mut self) {
        run("losetup", &["-d", self.device.to_str().unwrap()]);
        run("umount", &["-l", self.mount.path().to_str().unwrap()]);
    }
}

/// What a program says, if it is there and succeeds.
fn run(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
}

#[test]
fn p50_p54_a_disk_that_loses_writes_is_heard_of_again_and_again_and_is_nobody_elses() {
    if !alone(
        "failing::p50_p54_a_disk_that_loses_writes_is_heard_of_again_and_again_and_is_nobody_elses",
        &[],
    ) {
        return;
    }
    let Some(disk) = FailingDisk::new() else {
        return eprintln!("SKIPPED: no loop device can be made here");
    };
    for io in loops() {
        let options = DataFileOptions::new(8 * SIZE);
        let error = open(&io, &disk.device, &options.create_new(true)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AlreadyExists);
        let error = open(&io, &disk.device, &DataFileOptions::new(17 * SIZE)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidData, "{error}");
        let file = Rc::new(open(&io, &disk.device, &options).unwrap());
        assert_eq!((file.size(), file.is_new()), (16 * SIZE, false));
        let error = open(&io, &disk.device, &options).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}");
        let slot = Slot::default();
        let put = Rc::clone(&slot);
        let bytes = vec![7; 8 << 20];
        io.write_all_at(Rc::clone(&file), bytes, 0, move |_file, _io, _buf, result| {
            drop(put.replace(Some(result)));
        });
        outcome(&io, &slot).unwrap();
        // Three at once: the system tells one of them.
        let log = Rc::new(RefCell::new(Vec::new()));
        for _ in 0..3 {
            let put = Rc::clone(&log);
            io.sync_data(Rc::clone(&file), move |_file, _io, result| put.borrow_mut().push(result));
        }
        io.run_for(HANG).unwrap();
        let results = log.take();
        assert_eq!(results.len(), 3);
        for result in results.into_iter().chain(each_change(&io, &file)) {
            assert!(is_eio(&result.unwrap_err()), "{:?}", io.driver());
        }
        drop(file);
        // The errors were this handle's.
        let file = Rc::new(open(&io, &disk.device, &options).unwrap());
        sync_data(&io, &file).unwrap();
    }
}

#[test]
fn p52_direct_transfers_to_a_disk_are_in_its_blocks() {
    if !alone("failing::p52_direct_transfers_to_a_disk_are_in_its_blocks", &[]) {
        return;
    }
    let Some(disk) = FailingDisk::new() else {
        return eprintln!("SKIPPED: no loop device can be made here");
    };
    for io in loops() {
        let options = DataFileOptions::new(SIZE).direct(DirectIo::Required);
        let file = open(&io, &disk.device, &options).unwrap();
        assert_eq!(file.direct_alignment().unwrap().offset, 512);
    }
}

#[test]
fn p53_without_fallocate_zeroes_are_written_or_it_is_an_error_as_asked() {
    if !alone("failing::p53_without_fallocate_zeroes_are_written_or_it_is_an_error_as_asked", &[]) {
        return;
    }
    forbid(libc::SYS_fallocate, libc::EOPNOTSUPP);
    let (scratch, size) = (Scratch::new(), 3 * SIZE + 512);
    for io in loops() {
        let path = scratch.join("data");
        let options = DataFileOptions::new(size).create_new(true);
        let error = open(&io, &path, &options.write_zeroes(false)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
        assert!(!path.exists(), "what could not be made whole is gone");
        let file = open(&io, &path, &options).unwrap();
        assert_eq!((file.size(), file.is_new()), (size, true));
        let contents = fs::read(&path).unwrap();
        assert_eq!(contents.len() as u64, size);
        assert!(contents.iter().all(|byte| *byte == 0));
        drop(file);
        let direct = options.direct(DirectIo::Optional);
        fs::remove_file(&path).unwrap();
        match open(&io, &path, &direct) {
            Ok(file) => assert_eq!(file.size(), size),
            // Larger blocks than the usual.
            Err(error) => assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}"),
        }
        let _ = fs::remove_file(&path);
    }
}

#[test]
fn p53_a_disk_that_is_full_leaves_no_half_made_file() {
    if !alone("failing::p53_a_disk_that_is_full_leaves_no_half_made_file", &[]) {
        return;
    }
    forbid(libc::SYS_fallocate, libc::ENOSPC);
    let scratch = Scratch::new();
    for io in loops() {
        let path = scratch.join("data");
        let error = open(&io, &path, &created()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::StorageFull, "{error}");
        assert!(!path.exists());
        scratch.file("data", b"");
        open(&io, &path, &created()).unwrap_err();
        assert_eq!(fs::metadata(&path).unwrap().len(), 0, "it was there before");
        fs::remove_file(&path).unwrap();
    }
}

#[test]
fn p51_a_file_that_does_not_reach_the_disk_is_not_made() {
    if !alone("failing::p51_a_file_that_does_not_reach_the_disk_is_not_made", &[]) {
        return;
    }
    forbid(libc::SYS_fsync, libc::EIO);
    let scratch = Scratch::new();
    for io in loops() {
        let path = scratch.join("data");
        assert!(is_eio(&open(&io, &path, &created()).unwrap_err()));
        assert!(!path.exists());
        scratch.file("data", &vec![1; usize::try_from(SIZE).unwrap()]);
        assert!(is_eio(&open(&io, &path, &created()).unwrap_err()), "and not opened");
        assert_eq!(fs::metadata(&path).unwrap().len(), SIZE, "what was there stays");
        fs::remove_file(&path).unwrap();
    }
}

/// Where the system does not tell, the alignment is assumed.
#[test]
fn p52_without_statx_an_alignment_is_assumed_that_works() {
    if !alone("failing::p52_without_statx_an_alignment_is_assumed_that_works", &[]) {
        return;
    }
    let scratch = Scratch::new();
    let path = scratch.join("data");
    let direct = created().direct(DirectIo::Optional);
    let told = open(&readiness(), &path, &direct).unwrap().direct_alignment();
    forbid(libc::SYS_statx, libc::ENOSYS);
    for io in loops() {
        let assumed = open(&io, &path, &direct).unwrap().direct_alignment();
        assert_eq!(assumed.is_some(), told.is_some());
        if let (Some(assumed), Some(told)) = (assumed, told) {
            assert_eq!((assumed.memory, assumed.offset), (4096, 4096));
            assert_eq!((4096 % told.memory, 4096 % told.offset), (0, 0), "{told:?}");
        }
    }
}
