//! What is done by paths: names that come, change and go, and what the system knows of them.

use std::cell::Cell;
use std::io::{self, ErrorKind};
#[cfg(target_os = "linux")]
use std::os::fd::AsRawFd;
#[cfg(unix)]
use std::os::unix::fs::{FileTypeExt, MetadataExt};
#[cfg(windows)]
use std::os::windows::fs::MetadataExt;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

#[cfg(unix)]
use tigereye::DirectAlignment;
use tigereye::{FileType, Io, Metadata, Op, OpenOptions, Renaming, is_cancelled};

use crate::disk::{self as fs, Scratch};
use crate::files::{as_file, directory, odd_name, open, read_write, stuck};
use crate::{Counted, Log, finish};

/// The result of an operation whose context is a log.
#[track_caller]
fn result<T>(io: &Io, start: impl FnOnce(Log<T>) -> Op) -> T {
    let log = Log::new();
    start(log.clone());
    finish(io);
    log.one()
}

fn put<T>(log: Log<T>, _io: &Io, result: T) {
    log.put(result);
}

fn kind<T: std::fmt::Debug>(result: io::Result<T>) -> ErrorKind {
    result.unwrap_err().kind()
}

#[test]
fn names_come_and_change_and_go() {
    let (io, scratch) = (Io::new().unwrap(), Scratch::new());
    let made = scratch.join("made");
    result(&io, |log| io.create_directory(log, &made, 0o750, put)).unwrap();
    let mode = fs::metadata(&made).unwrap().mode() & 0o777;
    // Windows knows no such bits.
    assert!(mode & !0o750 == 0 || cfg!(windows), "no more than was asked for: {mode:o}");
    let (one, two, link) = (made.join("one"), made.join("two"), made.join("link"));
    fs::write(&one, "1").unwrap();
    result(&io, |log| io.hard_link(log, &one, &two, put)).unwrap();
    assert_eq!(fs::metadata(&one).unwrap().nlink(), 2);
    let has_symlinks = fs::has_symlinks();
    if has_symlinks {
        result(&io, |log| io.symlink(log, "two", &link, put)).unwrap();
        assert!(fs::leads_to(&link, "two"));
    }
    fs::write(if has_symlinks { &link } else { &two }, "2").unwrap();
    assert_eq!(fs::read(&one).unwrap(), b"2");
    let moved = scratch.join("moved");
    result(&io, |log| io.rename(log, &one, &moved, put)).unwrap();
    assert!(!fs::exists(&one));
    assert_eq!(fs::read(&moved).unwrap(), b"2");
    fs::write(scratch.join("other"), "other").unwrap();
    result(&io, |log| io.rename(log, &moved, &scratch.join("other"), put)).unwrap();
    assert_eq!(fs::read(scratch.join("other")).unwrap(), b"2", "it is replaced");
    assert_eq!(
        kind(result(&io, |log| io.remove_directory(log, &made, put))),
        ErrorKind::DirectoryNotEmpty
    );
    for path in [&two, &link].into_iter().take(1 + usize::from(has_symlinks)) {
        result(&io, |log| io.remove_file(log, path, put)).unwrap();
    }
    result(&io, |log| io.remove_directory(log, &made, put)).unwrap();
    assert!(!fs::exists(&made));
}

/// An operation on a path, and what the standard library says of the same.
type Both = fn(&Io, &Path, &Path) -> (io::Result<()>, io::Result<()>);

/// Operations on a path, with another one that is there.
const ALL: [(&str, Both); 12] = [
    ("metadata_at", |io, path, _| {
        let own = result(io, |log| io.metadata_at(log, path, true, put));
        (own.map(drop), fs::metadata(path).map(drop))
    }),
    ("metadata_at a link", |io, path, _| {
        let own = result(io, |log| io.metadata_at(log, path, false, put));
        (own.map(drop), std::fs::symlink_metadata(path).map(drop))
    }),
    ("open", |io, path, _| {
        let options = OpenOptions::new().write(true);
        let own = result(io, |log| io.open(log, path, &options, put));
        (own.map(drop), std::fs::File::options().write(true).open(path).map(drop))
    }),
    ("open_directory", |io, path, _| {
        let own = result(io, |log| io.open_directory(log, path, put));
        (own.map(drop), std::fs::read_dir(path).map(drop))
    }),
    ("rename from", |io, path, other| {
        let to = other.with_extension("renamed");
        let own = result(io, |log| io.rename(log, path, &to, put));
        (own, fs::rename(path, &to))
    }),
    ("rename to", |io, path, other| {
        let own = result(io, |log| io.rename(log, other, path, put));
        (own, fs::rename(other, path))
    }),
    ("hard_link of", |io, path, other| {
        let link = other.with_extension("linked");
        let own = result(io, |log| io.hard_link(log, path, &link, put));
        (own, std::fs::hard_link(path, &link))
    }),
    ("hard_link at", |io, path, other| {
        let own = result(io, |log| io.hard_link(log, other, path, put));
        (own, std::fs::hard_link(other, path))
    }),
    ("symlink at", |io, path, _| {
        let own = result(io, |log| io.symlink(log, "x", path, put));
        (own, fs::symlink("x", path))
    }),
    ("remove_file", |io, path, _| {
        (result(io, |log| io.remove_file(log, path, put)), fs::remove_file(path))
    }),
    ("remove_directory", |io, path, _| {
        (result(io, |log| io.remove_directory(log, path, put)), fs::remove_dir(path))
    }),
    ("create_directory", |io, path, _| {
        let own = result(io, |log| io.create_directory(log, path, 0o700, put));
        (own, fs::create_dir(path))
    }),
];

#[test]
fn p57_bad_paths_are_the_errors_that_std_says() {
    let (io, scratch) = (Io::new().unwrap(), Scratch::new());
    let other = scratch.file("other", b"");
    let long = "x".repeat(5000);
    let below = scratch.join("other/below");
    let bad = ["", "a\0b", &long, "/nobody/is/here", below.to_str().unwrap()];
    let has_symlinks = fs::has_symlinks();
    for (name, both) in ALL {
        if name.contains("symlink") && !has_symlinks {
            continue;
        }
        for path in bad {
            let (own, std) = both(&io, Path::new(path), &other);
            let (own, std) = (own.unwrap_err(), std.unwrap_err());
            if cfg!(windows) && path.is_empty() {
                // Of which its calls say one thing or another.
                assert_eq!(own.kind(), ErrorKind::NotFound, "{name}");
                continue;
            }
            let code = |error: &io::Error| error.raw_os_error().filter(|_| cfg!(unix));
            let is = |error: &io::Error| (error.kind(), code(error));
            assert_eq!(is(&own), is(&std), "{name} {:.20}: {own}; {std}", path.escape_debug());
        }
    }
    assert!(fs::exists(&other), "nothing was done");
    if !has_symlinks {
        return;
    }
    for original in ["", "a\0b", &long] {
        let own = result(&io, |log| io.symlink(log, original, &scratch.join("link"), put));
        let std = fs::symlink(original, scratch.join("link"));
        assert_eq!(kind(own), kind(std), "{original:.20}");
    }
}

#[test]
fn p57_the_wrong_kind_of_thing_and_a_link_to_nowhere() {
    let (io, scratch) = (Io::new().unwrap(), Scratch::new());
    let (file, there) = (scratch.file("file", b""), scratch.join("there"));
    fs::create_dir(&there).unwrap();
    let removed = result(&io, |log| io.remove_directory(log, &file, put));
    assert_eq!(kind(removed), ErrorKind::NotADirectory);
    let own = result(&io, |log| io.remove_file(log, &there, put)).unwrap_err();
    if cfg!(windows) {
        assert_eq!(own.kind(), ErrorKind::IsADirectory);
    } else {
        assert_eq!(own.raw_os_error(), fs::remove_file(&there).unwrap_err().raw_os_error());
    }
    let renamed = result(&io, |log| io.rename(log, &file, &there, put));
    assert_eq!(kind(renamed), ErrorKind::IsADirectory);
    for taken in [&file, &there] {
        let made = result(&io, |log| io.create_directory(log, taken, 0o777, put));
        assert_eq!(kind(made), ErrorKind::AlreadyExists);
        let made = result(&io, |log| io.hard_link(log, &file, taken, put));
        assert_eq!(kind(made), ErrorKind::AlreadyExists);
    }
    if !fs::has_symlinks() {
        return;
    }
    for taken in [&file, &there] {
        let made = result(&io, |log| io.symlink(log, "x", taken, put));
        assert_eq!(kind(made), ErrorKind::AlreadyExists);
    }
    let dangling = scratch.join("dangling");
    result(&io, |log| io.symlink(log, "nowhere", &dangling, put)).unwrap();
    let followed = result(&io, |log| io.metadata_at(log, &dangling, true, put));
    assert_eq!(kind(followed), ErrorKind::NotFound);
    assert!(result(&io, |log| io.metadata_at(log, &dangling, false, put)).unwrap().is_symlink());
    result(&io, |log| io.hard_link(log, &dangling, &scratch.join("again"), put)).unwrap();
    assert!(fs::leads_to(scratch.join("again"), "nowhere"));
    result(&io, |log| io.remove_file(log, &dangling, put)).unwrap();
}

#[test]
fn p57_names_that_are_not_utf8_and_long_ones() {
    let (io, scratch) = (Io::new().unwrap(), Scratch::new());
    let odd = scratch.path().join(odd_name());
    // Longer than what is kept without an allocation.
    let long = scratch.join(&"x".repeat(255));
    result(&io, |log| io.create_directory(log, &odd, 0o700, put)).unwrap();
    result(&io, |log| io.rename(log, &odd, &long, put)).unwrap();
    assert!(result(&io, |log| io.metadata_at(log, &long, true, put)).unwrap().is_dir());
    if fs::has_symlinks() {
        result(&io, |log| io.symlink(log, &long, &odd, put)).unwrap();
        assert!(result(&io, |log| io.metadata_at(log, &odd, true, put)).unwrap().is_dir());
    }
}

#[test]
fn a_taken_name_is_kept_or_exchanged_where_that_is_asked() {
    let (io, scratch) = (Io::new().unwrap(), Scratch::new());
    let (one, two) = (scratch.file("one", b"1"), scratch.file("two", b"2"));
    let rename = |from, to, renaming| {
        let from: &std::path::PathBuf = from;
        let to: &std::path::PathBuf = to;
        result(&io, |log| io.rename_with(log, from, to, renaming, put))
    };
    let kept = rename(&one, &two, Renaming::NoReplace).unwrap_err();
    if kept.kind() == ErrorKind::Unsupported || kept.kind() == ErrorKind::InvalidInput {
        eprintln!("SKIPPED: names are only replaced here: {kept}");
        return;
    }
    assert_eq!(kept.kind(), ErrorKind::AlreadyExists);
    let free = scratch.join("free");
    match rename(&one, &two, Renaming::Exchange) {
        // Windows has no such thing.
        Err(error) => assert!(error.kind() == ErrorKind::Unsupported && cfg!(windows), "{error}"),
        Ok(()) => {
            let now = (fs::read(&one).unwrap(), fs::read(&two).unwrap());
            assert_eq!(now, (b"2".into(), b"1".into()));
            assert_eq!(kind(rename(&one, &free, Renaming::Exchange)), ErrorKind::NotFound);
        }
    }
    let content = fs::read(&one).unwrap();
    rename(&one, &free, Renaming::NoReplace).unwrap();
    assert_eq!(fs::read(&free).unwrap(), content);
}

#[test]
fn paths_start_in_a_directory_wherever_it_is() {
    let (io, scratch) = (Io::new().unwrap(), Scratch::new());
    fs::create_dir(scratch.join("place")).unwrap();
    let place = Rc::new(directory(&io, &scratch.join("place")));
    let moved = scratch.join("moved");
    fs::rename(scratch.join("place"), &moved).unwrap();
    result(&io, |log| io.create_directory(log, place.at("made"), 0o700, put)).unwrap();
    assert!(fs::metadata(moved.join("made")).unwrap().is_dir());
    let has_symlinks = fs::has_symlinks();
    if has_symlinks {
        result(&io, |log| io.symlink(log, "made", place.at("link"), put)).unwrap();
    }
    result(&io, |log| io.rename(log, place.at("made"), place.at("there"), put)).unwrap();
    assert!(fs::metadata(moved.join("there")).unwrap().is_dir());
    let file = scratch.file("file", b"");
    result(&io, |log| io.hard_link(log, &file, place.at("file"), put)).unwrap();
    result(&io, |log| io.rename(log, place.at("file"), &scratch.join("out"), put)).unwrap();
    assert!(!fs::exists(moved.join("file")) && fs::exists(scratch.join("out")));
    if has_symlinks {
        result(&io, |log| io.remove_file(log, place.at("link"), put)).unwrap();
    }
    result(&io, |log| io.remove_directory(log, place.at("there"), put)).unwrap();
    let inside = result(&io, |log| io.metadata_at(log, place.at("."), true, put)).unwrap();
    let itself = result(&io, |log| {
        io.metadata(Rc::clone(&place), move |_place, _io, result| log.put(result))
    });
    assert_eq!((inside.ino(), inside.is_dir()), (itself.unwrap().ino(), true));
}

#[test]
fn two_paths_start_in_one_directory_of_this_loop() {
    let (io, other, scratch) = (Io::new().unwrap(), Io::new().unwrap(), Scratch::new());
    let file = scratch.file("file", b"");
    let (one, two) = (directory(&io, scratch.path()), directory(&io, scratch.path()));
    let foreign = directory(&other, scratch.path());
    let tried = [
        result(&io, |log| io.rename(log, one.at("file"), two.at("x"), put)),
        result(&io, |log| io.hard_link(log, one.at("file"), two.at("x"), put)),
        result(&io, |log| io.rename(log, one.at("file"), foreign.at("x"), put)),
        result(&io, |log| io.rename(log, foreign.at("file"), &scratch.join("x"), put)),
        result(&io, |log| io.rename(log, &file, foreign.at("x"), put)),
        result(&io, |log| io.remove_file(log, foreign.at("file"), put)),
        result(&io, |log| io.create_directory(log, foreign.at("x"), 0o777, put)),
        result(&io, |log| io.symlink(log, "file", foreign.at("x"), put)),
    ];
    for tried in tried {
        assert_eq!(kind(tried), ErrorKind::InvalidInput);
    }
    assert!(fs::exists(&file) && !fs::exists(scratch.join("x")));
}

/// All that the standard library knows is the same.
#[cfg(windows)]
#[track_caller]
fn assert_same(own: &Metadata, std: &std::fs::Metadata) {
    assert_eq!((own.len(), own.attributes()), (std.file_size(), std.file_attributes()));
    assert_eq!(own.modified(), std.modified().unwrap());
    assert_eq!(own.accessed(), std.accessed().unwrap());
    assert_eq!(own.created(), std.created().ok());
    let kinds = (own.is_file(), own.is_dir(), own.is_symlink());
    assert_eq!(kinds, (std.is_file(), std.is_dir(), std.is_symlink()));
    assert_eq!(own.mode() & 0o200 == 0, std.permissions().readonly() && std.is_file());
    assert_eq!((own.uid(), own.gid(), own.rdev(), own.mount_id()), (0, 0, 0, None));
    assert!(own.nlink() >= 1 && own.blksize() >= 512 && own.ino() != 0);
}

#[cfg(windows)]
#[test]
fn what_is_known_of_a_file_is_what_std_knows() {
    let (io, scratch) = (Io::new().unwrap(), Scratch::new());
    let file = scratch.file("file", &[7; 10_000]);
    let old = std::time::UNIX_EPOCH - Duration::from_nanos(1_500_000_100);
    std::fs::File::options().write(true).open(&file).unwrap().set_modified(old).unwrap();
    let read_only = scratch.file("read-only", b"x");
    let mut permissions = std::fs::metadata(&read_only).unwrap().permissions();
    permissions.set_readonly(true);
    std::fs::set_permissions(&read_only, permissions.clone()).unwrap();
    for path in [&file, &read_only, scratch.path()] {
        for follow in [false, true] {
            let own = result(&io, |log| io.metadata_at(log, path, follow, put)).unwrap();
            assert_same(&own, &std::fs::symlink_metadata(path).unwrap());
        }
    }
    // So that it can be removed.
    #[expect(clippy::permissions_set_readonly_false, reason = "as it was before")]
    permissions.set_readonly(false);
    std::fs::set_permissions(&read_only, permissions).unwrap();
    let opened = open(&io, &file, &read_write());
    let own = result(&io, |log| io.metadata(opened, move |_file, _io, own| log.put(own))).unwrap();
    assert_same(&own, &std::fs::metadata(&file).unwrap());
    assert!(own.blocks() * 512 >= 10_000);
    let null = result(&io, |log| io.metadata_at(log, "NUL", true, put)).unwrap();
    assert_eq!(null.file_type(), FileType::CharacterDevice);
    let (reader, _writer) = io::pipe().unwrap();
    let pipe = as_file(&io, reader);
    let own = result(&io, |log| io.metadata(pipe, move |_file, _io, own| log.put(own)));
    assert_eq!(own.unwrap().file_type(), FileType::Fifo);
}

/// All that the standard library knows is the same.
#[cfg(unix)]
#[track_caller]
fn assert_same(own: &Metadata, std: &std::fs::Metadata) {
    let numbers = (own.mode(), own.uid(), own.gid(), own.len(), own.blocks(), own.blksize());
    assert_eq!(numbers, (std.mode(), std.uid(), std.gid(), std.len(), std.blocks(), std.blksize()));
    let names = (own.nlink(), own.ino(), own.dev(), own.rdev());
    assert_eq!(names, (std.nlink(), std.ino(), std.dev(), std.rdev()));
    assert_eq!(own.modified(), std.modified().unwrap());
    assert_eq!(own.accessed(), std.accessed().unwrap());
    assert_eq!(own.created(), std.created().ok());
    let changed = own.changed().duration_since(std::time::UNIX_EPOCH).unwrap();
    assert_eq!(i64::try_from(changed.as_secs()).unwrap(), std.ctime());
    assert_eq!(i64::from(changed.subsec_nanos()), std.ctime_nsec());
    assert_eq!((own.is_file(), own.is_dir()), (std.is_file(), std.is_dir()));
    let kind = std.file_type();
    let expected = match own.file_type() {
        FileType::File => kind.is_file(),
        FileType::Directory => kind.is_dir(),
        FileType::Symlink => kind.is_symlink(),
        FileType::Fifo => kind.is_fifo(),
        FileType::Socket => kind.is_socket(),
        FileType::BlockDevice => kind.is_block_device(),
        FileType::CharacterDevice => kind.is_char_device(),
        _ => false,
    };
    assert!(expected, "{:?} is {kind:?}", own.file_type());
}

#[cfg(unix)]
#[test]
fn what_is_known_of_a_file_is_what_std_knows() {
    let (io, scratch) = (Io::new().unwrap(), Scratch::new());
    let file = scratch.file("file", &[7; 10_000]);
    let old = std::time::UNIX_EPOCH - Duration::from_nanos(1_500_000_001);
    std::fs::File::options().write(true).open(&file).unwrap().set_modified(old).unwrap();
    fs::symlink("file", scratch.join("link")).unwrap();
    let socket = scratch.join("socket");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    for path in [&file, &scratch.join("link"), &socket, scratch.path(), Path::new("/dev/null")] {
        let own = result(&io, |log| io.metadata_at(log, path, false, put)).unwrap();
        assert_same(&own, &std::fs::symlink_metadata(path).unwrap());
        let own = result(&io, |log| io.metadata_at(log, path, true, put)).unwrap();
        assert_same(&own, &std::fs::metadata(path).unwrap());
        assert_eq!(own.mount_id().is_some(), cfg!(target_os = "linux"));
        if let Some(DirectAlignment { memory, offset }) = own.direct_alignment() {
            assert!(memory.is_power_of_two() && offset.is_power_of_two(), "{memory}, {offset}");
        }
    }
    let opened = open(&io, &file, &read_write());
    let own = result(&io, |log| io.metadata(opened, move |_file, _io, own| log.put(own)));
    assert_same(&own.unwrap(), &std::fs::metadata(&file).unwrap());
    let (reader, _writer) = io::pipe().unwrap();
    let pipe = as_file(&io, reader);
    let own = result(&io, |log| io.metadata(pipe, move |_file, _io, own| log.put(own)));
    assert_eq!(own.unwrap().file_type(), FileType::Fifo);
}

#[test]
fn p51_a_new_name_is_synced_with_its_directory() {
    let (io, scratch) = (Io::new().unwrap(), Scratch::new());
    let place = Rc::new(directory(&io, scratch.path()));
    let file = open(&io, &scratch.join("new"), &read_write().create(true));
    let log = Log::new();
    let said = log.clone();
    io.sync(file, move |_file, io, result| {
        result.unwrap();
        let context = Rc::clone(&place);
        io.rename(context, place.at("new"), place.at("current"), move |place, io, result| {
            result.unwrap();
            io.sync(place, move |_place, _io, result| said.put(result));
        });
    });
    finish(&io);
    log.one().unwrap();
    assert!(fs::exists(scratch.join("current")));
}

/// The error of an open below a directory.
#[cfg(unix)]
#[track_caller]
fn refused(io: &Io, place: &tigereye::Directory, path: &str, options: &OpenOptions) -> Option<i32> {
    let opened = result(io, |log| io.open(log, place.at(path), options, put));
    opened.unwrap_err().raw_os_error()
}

#[cfg(windows)]
#[test]
fn an_open_with_limits_to_its_path_is_not_supported() {
    let (io, scratch) = (Io::new().unwrap(), Scratch::new());
    let file = scratch.file("file", b"x");
    for options in [read_write().beneath(true), read_write().no_symlinks(true)] {
        let opened = result(&io, |log| io.open(log, &file, &options, put));
        assert_eq!(kind(opened), ErrorKind::Unsupported);
    }
}

#[cfg(unix)]
#[test]
fn an_open_keeps_to_the_limits_of_its_path() {
    let (io, scratch) = (Io::new().unwrap(), Scratch::new());
    fs::create_dir(scratch.join("root")).unwrap();
    scratch.file("secret", b"secret");
    scratch.file("root/file", b"file");
    let read = || OpenOptions::new().read(true);
    for (name, leads) in [("inside", "file"), ("up", "../secret"), ("out", "/etc")] {
        fs::symlink(leads, scratch.join("root").join(name)).unwrap();
    }
    let place = directory(&io, &scratch.join("root"));
    let beneath = read().beneath(true);
    let opened = result(&io, |log| io.open(log, place.at("file"), &beneath, put));
    if opened.as_ref().is_err_and(|error| error.kind() == ErrorKind::Unsupported) {
        eprintln!("SKIPPED: there is no openat2 here");
        return;
    }
    drop(opened.unwrap());
    result(&io, |log| io.open(log, place.at("inside"), &beneath, put)).unwrap();
    for path in ["../secret", "/etc", "up", "out", "file/../../secret", "."] {
        let expected = match path {
            "." => continue,
            "file/../../secret" => libc::ENOTDIR,
            _ => libc::EXDEV,
        };
        assert_eq!(refused(&io, &place, path, &beneath), Some(expected), "{path}");
    }
    result(&io, |log| io.open(log, place.at("../secret"), &read(), put)).unwrap();
    let no_links = read().no_symlinks(true);
    assert_eq!(refused(&io, &place, "inside", &no_links), Some(libc::ELOOP));
    result(&io, |log| io.open(log, place.at("../secret"), &no_links, put)).unwrap();
    result(&io, |log| io.open(log, place.at("inside"), &no_links.no_symlinks(false), put)).unwrap();
    // What is made has the mode that was asked for, and a mode without making is no error.
    let makes = read_write().create_new(true).mode(0o640).beneath(true);
    result(&io, |log| io.open(log, place.at("new"), &makes, put)).unwrap();
    let mode = fs::metadata(scratch.join("root/new")).unwrap().mode() & 0o777;
    assert!(mode & 0o600 == 0o600 && mode & !0o640 == 0, "{mode:o}");
}

#[cfg(target_os = "linux")]
#[test]
fn an_open_keeps_off_magic_links_and_other_mounts() {
    let (io, scratch) = (Io::new().unwrap(), Scratch::new());
    let place = directory(&io, scratch.path());
    let file = std::fs::File::open(scratch.file("secret", b"secret")).unwrap();
    let magic = format!("/proc/self/fd/{}", file.as_raw_fd());
    let no_magic = OpenOptions::new().read(true).no_magic_links(true);
    assert_eq!(refused(&io, &place, &magic, &no_magic), Some(libc::ELOOP));
    result(&io, |log| io.open(log, place.at("secret"), &no_magic, put)).unwrap();
    let one_mount = OpenOptions::new().read(true).no_mount_crossing(true);
    let root = directory(&io, Path::new("/"));
    assert_eq!(refused(&io, &root, "proc/self/status", &one_mount), Some(libc::EXDEV));
}

#[test]
fn p75_a_call_that_was_taken_back_did_nothing() {
    let scratch = Scratch::new();
    let (io, release) = stuck();
    let log = Log::new();
    for (way, path) in [("cancelled", "one"), ("timed out", "two"), ("done", "three")] {
        let path = scratch.join(path);
        let op = io.create_directory(
            (log.clone(), path.clone()),
            &path,
            0o700,
            move |context, _io, result| {
                let (log, path) = context;
                let outcome = match result {
                    Ok(()) => "done",
                    Err(error) if is_cancelled(&error) => "cancelled",
                    Err(error) if error.kind() == ErrorKind::TimedOut => "timed out",
                    Err(error) => panic!("{error}"),
                };
                log.put((way, outcome, path));
            },
        );
        match way {
            "cancelled" => io.cancel(op),
            "timed out" => io.deadline(op, Duration::ZERO),
            _ => {}
        }
    }
    while log.len() < 2 {
        io.run_once().unwrap();
    }
    drop(release);
    finish(&io);
    for (way, outcome, path) in log.take() {
        assert!(outcome == way || outcome == "done", "{way}: {outcome}");
        assert_eq!(fs::exists(&path), outcome == "done", "{way}: {outcome}");
    }
}

#[test]
fn p21_a_cancel_that_comes_too_late_delivers_what_was_done() {
    let (io, scratch) = (Io::new().unwrap(), Scratch::new());
    let path = scratch.join("made");
    for turn in 0..200 {
        let log = Log::new();
        let op = io.create_directory(log.clone(), &path, 0o700, put);
        if turn % 2 == 0 {
            io.poll().unwrap();
        }
        io.cancel(op);
        finish(&io);
        match log.one() {
            Ok(()) => fs::remove_dir(&path).unwrap(),
            Err(error) => {
                assert!(is_cancelled(&error), "{error}");
                assert!(!fs::exists(&path), "what is said not to be done is not");
            }
        }
    }
}

#[test]
fn p25_rule7_the_loop_ends_with_paths_on_their_way() {
    let scratch = Scratch::new();
    let file = scratch.file("file", b"");
    for turns in 0..3 {
        let (io, drops) = (Io::new().unwrap(), Rc::new(Cell::new(0)));
        let context = || Counted::new((), &drops);
        let (one, two) = (scratch.join("one"), scratch.join("two"));
        io.create_directory(context(), &one, 0o700, |_context, _io, _result| {});
        io.symlink(context(), "x", &two, |_context, _io, _result| {});
        io.hard_link(context(), &file, &two, |_context, _io, _result| {});
        io.rename(context(), &one, &two, |_context, _io, _result| {});
        io.metadata_at(context(), &file, true, |_context, _io, _result| {});
        io.remove_file(context(), &two, |_context, _io, _result| {});
        io.remove_directory(context(), &one, |_context, _io, _result| {});
        io.open(context(), &file, &read_write().beneath(true), |_context, _io, _result| {});
        for _ in 0..turns {
            io.poll().unwrap();
        }
        drop(io);
        assert_eq!(drops.get(), 8);
    }
}
