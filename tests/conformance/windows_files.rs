//! What Windows alone does with files, or does in its own way.

use std::io::ErrorKind;
use std::rc::Rc;

use tigereye::{DataFileOptions, File, Io, Op};

use crate::files::{directory, open, read_write};
use crate::scratch::Scratch;
use crate::{Log, finish, pattern, read};

/// Runs an operation that has a result and nothing else.
#[track_caller]
fn succeeds(io: &Io, start: impl FnOnce(Log<std::io::Result<()>>) -> Op) {
    let log = Log::new();
    start(log.clone());
    finish(io);
    log.one().unwrap();
}

fn put(log: Log<std::io::Result<()>>, _io: &Io, result: std::io::Result<()>) {
    log.put(result);
}

#[test]
fn p83_all_that_takes_a_path_takes_long_ones() {
    let (io, scratch) = (Io::new().unwrap(), Scratch::new());
    let mut path = std::fs::canonicalize(scratch.path()).unwrap();
    for _ in 0..4 {
        path.push("a".repeat(90));
        succeeds(&io, |log| io.create_directory(log, &path, 0o777, put));
    }
    let (one, two) = (path.join("one, 世界"), path.join("two, 世界"));
    let (three, data) = (path.join("three"), path.join("data"));
    std::fs::write(&one, "roar").unwrap();
    succeeds(&io, |log| io.rename(log, &one, &two, put));
    succeeds(&io, |log| io.hard_link(log, &two, &three, put));
    let log = Log::new();
    let seen = log.clone();
    io.metadata_at((), &three, true, move |(), _io, known| seen.put(known.unwrap().nlink()));
    finish(&io);
    assert_eq!(log.one(), 2);
    let options = DataFileOptions::new(4096).create_new(true);
    io.open_data_file((), &data, &options, |(), _io, file| assert!(file.unwrap().is_new()));
    finish(&io);
    for file in [&two, &three, &data] {
        succeeds(&io, |log| io.remove_file(log, file, put));
    }
    succeeds(&io, |log| io.remove_directory(log, &path, put));
}

#[test]
fn p83_a_name_that_is_not_unicode() {
    let (io, scratch) = (Io::new().unwrap(), Scratch::new());
    let name: std::ffi::OsString =
        std::os::windows::ffi::OsStringExt::from_wide(&[0xd800, u16::from(b'x')]);
    let path = scratch.path().join(name);
    drop(open(&io, &path, &read_write().create_new(true)));
    succeeds(&io, |log| io.rename(log, &path, &scratch.join("plain"), put));
    assert!(scratch.join("plain").exists());
}

#[test]
fn p83_a_name_is_taken_from_an_open_file_and_is_free_at_once() {
    let (io, scratch) = (Io::new().unwrap(), Scratch::new());
    let path = scratch.file("file", b"old");
    let file = open(&io, &path, &read_write());
    succeeds(&io, |log| io.remove_file(log, &path, put));
    drop(open(&io, &path, &read_write().create_new(true)));
    let other = scratch.file("other", b"new");
    succeeds(&io, |log| io.rename(log, &other, &path, put));
    assert_eq!(std::fs::read(&path).unwrap(), b"new");
    io.read_at(file, Vec::with_capacity(8), 0, |_file, _io, buf, result| {
        assert_eq!((result.unwrap(), &buf[..]), (3, &b"old"[..]));
    });
    finish(&io);
}

#[test]
fn paths_start_in_a_directory_and_do_not_leave_it() {
    let (io, scratch) = (Io::new().unwrap(), Scratch::new());
    let place = Rc::new(directory(&io, scratch.path()));
    succeeds(&io, |log| io.create_directory(log, place.at("made"), 0o777, put));
    let file = scratch.file("file", b"abc");
    succeeds(&io, |log| io.hard_link(log, place.at("file"), place.at("made/link"), put));
    succeeds(&io, |log| io.rename(log, place.at("made/link"), place.at("./there"), put));
    let log = Log::new();
    for (path, expected) in [
        (place.at("there"), Ok(3)),
        (place.at("made/../there"), Ok(3)),
        // A full path starts at a root all the same.
        (place.at(&file), Ok(3)),
        (place.at("../there"), Err(ErrorKind::Unsupported)),
        (place.at(""), Err(ErrorKind::NotFound)),
        (place.at("made/nobody"), Err(ErrorKind::NotFound)),
    ] {
        let seen = log.clone();
        io.metadata_at((), path, true, move |(), _io, known| {
            seen.put(known.map(|known| known.len()).map_err(|error| error.kind()));
        });
        finish(&io);
        assert_eq!(log.one(), expected);
    }
    succeeds(&io, |log| io.remove_file(log, place.at("there"), put));
    succeeds(&io, |log| io.remove_directory(log, place.at("made"), put));
    assert!(!scratch.join("made").exists());
}

#[test]
fn p54_a_data_file_is_read_by_others_and_written_and_removed_by_nobody() {
    let (io, scratch) = (Io::new().unwrap(), Scratch::new());
    let path = scratch.join("data");
    let log = Log::new();
    let options = DataFileOptions::new(4096).create(true);
    io.open_data_file(log.clone(), &path, &options, |log, _io, file| log.put(file.unwrap()));
    finish(&io);
    let file = log.one();
    assert_eq!(std::fs::read(&path).unwrap(), [0; 4096]);
    std::fs::File::options().write(true).open(&path).unwrap_err();
    std::fs::rename(&path, scratch.join("moved")).unwrap_err();
    std::fs::remove_file(&path).unwrap_err();
    drop(file);
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn a_symbolic_link_is_of_the_kind_of_what_it_leads_to() {
    let (io, scratch) = (Io::new().unwrap(), Scratch::new());
    let place = Rc::new(directory(&io, scratch.path()));
    std::fs::create_dir(scratch.join("below")).unwrap();
    scratch.file("below/file", b"abc");
    for (link, original) in [("to-file", "below/file"), ("to-directory", "below")] {
        succeeds(&io, |log| io.symlink(log, original, place.at(link), put));
        let known = std::fs::symlink_metadata(scratch.join(link)).unwrap();
        assert!(known.is_symlink());
        assert_eq!(std::fs::metadata(scratch.join(link)).unwrap().is_dir(), original == "below");
    }
    assert_eq!(std::fs::read(scratch.join("to-directory/file")).unwrap(), b"abc");
    for link in ["to-file", "to-directory"] {
        succeeds(&io, |log| io.remove_file(log, place.at(link), put));
    }
    assert!(scratch.join("below/file").exists());
}

#[test]
fn a_handle_for_calls_that_overlap_comes_and_goes() {
    use std::os::windows::fs::OpenOptionsExt;
    const FILE_FLAG_OVERLAPPED: u32 = 0x4000_0000;
    let (io, scratch) = (Io::new().unwrap(), Scratch::new());
    let path = scratch.file("file", b"0123456789");
    let mut options = std::fs::OpenOptions::new();
    let std = options.read(true).custom_flags(FILE_FLAG_OVERLAPPED).open(path).unwrap();
    let mut handle = std::os::windows::io::OwnedHandle::from(std);
    for io in [io, Io::new().unwrap()] {
        let file = File::from_handle(&io, handle);
        let log = Log::new();
        let put = log.clone();
        io.read_at(file, Vec::with_capacity(4), 6, move |file, _io, buf, result| {
            assert_eq!((result.unwrap(), &buf[..]), (4, &b"6789"[..]));
            put.put(file);
        });
        finish(&io);
        // Another loop's calls on it are the pool's (P80).
        handle = log.one().into_handle().unwrap();
    }
}

#[test]
fn a_file_that_is_open_for_calls_that_overlap_is_sent() {
    let (io, scratch) = (Io::new().unwrap(), Scratch::new());
    let path = scratch.file("file", &pattern(100_000));
    let file = open(&io, &path, &read_write());
    io.read_at(Rc::clone(&file), Vec::with_capacity(1), 0, |_file, _io, _buf, result| {
        assert_eq!(result.unwrap(), 1);
    });
    let (stream, mut peer) = crate::real::shared_pair(&io);
    io.send_file_all(stream, &*file, 10, 90_000, |_stream, _io, result| {
        assert_eq!(result.unwrap(), 90_000);
    });
    let reader = std::thread::spawn(move || read(&mut peer, 90_000));
    finish(&io);
    assert!(reader.join().unwrap() == pattern(100_000)[10..90_010]);
}

#[test]
fn a_file_of_the_standard_library_has_the_rest_on_the_pool_as_well() {
    let (io, scratch) = (Io::new().unwrap(), Scratch::new());
    let path = scratch.file("file", b"01234xyz89");
    let file = std::fs::OpenOptions::new().read(true).write(true).open(path).unwrap();
    let file = Rc::new(File::from_std(&io, file));
    io.append(Rc::clone(&file), "end", |_file, _io, _buf, result| assert_eq!(result.unwrap(), 3));
    finish(&io);
    let parts = vec!["a", "bc"];
    io.write_all_vectored_at(Rc::clone(&file), parts, 1, |_f, _io, _bufs, result| result.unwrap());
    finish(&io);
    let rooms = vec![Vec::with_capacity(2), Vec::with_capacity(20)];
    io.read_vectored_at(Rc::clone(&file), rooms, 0, |_file, _io, bufs, result| {
        assert_eq!((result.unwrap(), bufs.concat()), (13, b"0abc4xyz89end".to_vec()));
    });
    finish(&io);
    io.metadata(file, |_file, _io, result| assert_eq!(result.unwrap().len(), 13));
    finish(&io);
}
