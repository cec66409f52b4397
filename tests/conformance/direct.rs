//! Direct I/O: what it takes, what it says of what it does not take, and files that have none.

use std::io::{Error, ErrorKind, Result};
use std::net::Shutdown;
use std::path::PathBuf;
use std::rc::Rc;

use tigereye::{AlignedBuf, DirectAlignment, DirectIo, File, Io, IoBuf, OpenOptions};

use crate::disk::{self as fs, Scratch};
use crate::{Log, finish, pattern, shared_pair};

fn direct(direct: DirectIo) -> OpenOptions {
    OpenOptions::new().read(true).write(true).create(true).direct(direct)
}

fn try_open(io: &Io, path: &PathBuf, options: &OpenOptions) -> Result<Rc<File>> {
    let log = Log::new();
    io.open(log.clone(), path, options, |log, _io, result| log.put(result.map(Rc::new)));
    finish(io);
    log.one()
}

/// A file that goes past the cache, and what it asks for; nothing, where the tests' files cannot.
#[track_caller]
fn open_direct(io: &Io, path: &PathBuf) -> Option<(Rc<File>, DirectAlignment)> {
    match try_open(io, path, &direct(DirectIo::Required)) {
        Ok(file) => {
            let alignment = file.direct_alignment().expect("it is direct");
            Some((file, alignment))
        }
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
            eprintln!("SKIPPED: no Direct I/O in {}: {error}", path.display());
            None
        }
    }
}

/// A buffer as this file wants it, with these bytes.
fn holding(alignment: DirectAlignment, bytes: &[u8]) -> AlignedBuf {
    let len = bytes.len().max(1).next_multiple_of(alignment.offset);
    let mut buf = AlignedBuf::with_alignment(len, alignment.memory).unwrap();
    buf.extend_from_slice(bytes);
    buf
}

#[track_caller]
fn write<B: IoBuf>(io: &Io, file: &Rc<File>, buf: B, offset: u64) -> Result<()> {
    let log = Log::new();
    let put = log.clone();
    io.write_all_at(Rc::clone(file), buf, offset, move |_file, _io, _buf, result| put.put(result));
    finish(io);
    log.one()
}

/// What is read into an empty buffer of this room.
#[track_caller]
fn read(io: &Io, file: &Rc<File>, buf: AlignedBuf, offset: u64) -> Result<AlignedBuf> {
    let log = Log::new();
    let put = log.clone();
    io.read_at(Rc::clone(file), buf, offset, move |_file, _io, buf, result| {
        put.put(result.map(|count| {
            assert_eq!(count, buf.len());
            buf
        }));
    });
    finish(io);
    log.one()
}

#[track_caller]
fn refused(error: Error, expected: &str) {
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
    assert_eq!(error.to_string(), format!("Direct I/O: {expected}"));
}

#[test]
fn p52_what_is_aligned_is_written_and_read_past_the_cache() {
    let (io, scratch) = (Io::new().unwrap(), Scratch::new());
    let path = scratch.join("file");
    let Some((file, alignment)) = open_direct(&io, &path) else { return };
    assert!(alignment.memory.is_power_of_two() && alignment.offset.is_power_of_two());
    let (block, bytes) = (alignment.offset, pattern(4 * alignment.offset));
    write(&io, &file, holding(alignment, &bytes), 0).unwrap();
    write(&io, &file, holding(alignment, &bytes[block..2 * block]), block as u64 * 5).unwrap();
    let whole = read(&io, &file, holding(alignment, &[]), 0).unwrap();
    assert_eq!(whole[..], bytes[..block]);
    let behind = read(&io, &file, holding(alignment, &[]), block as u64 * 5).unwrap();
    assert_eq!(behind[..], bytes[block..2 * block]);
    assert_eq!(fs::metadata(&path).unwrap().len(), block as u64 * 6);
}

#[test]
fn p52_what_is_misaligned_is_refused_with_what_is_wrong_and_nothing_is_done() {
    let (io, scratch) = (Io::new().unwrap(), Scratch::new());
    let path = scratch.join("file");
    let Some((file, alignment)) = open_direct(&io, &path) else { return };
    let DirectAlignment { memory, offset: block } = alignment;
    let zeroes = || {
        let mut buf = holding(alignment, &[]);
        buf.resize(block);
        buf
    };
    write(&io, &file, zeroes(), 0).unwrap();
    let ones = || holding(alignment, &vec![1; block]);
    let offset = format!("the offset must be a multiple of {block}");
    for at in [1, block as u64 - 1, block as u64 + 1] {
        refused(write(&io, &file, ones(), at).unwrap_err(), &offset);
        refused(read(&io, &file, holding(alignment, &[]), at).unwrap_err(), &offset);
    }
    let length = format!("the number of bytes must be a multiple of {block}");
    refused(write(&io, &file, ones().slice(..block - 1), 0).unwrap_err(), &length);
    let mut short = holding(alignment, &[]);
    short.extend_from_slice(b"x");
    refused(read(&io, &file, short, 0).unwrap_err(), &length);
    if memory > 1 {
        let address = format!("the buffer's address must be a multiple of {memory}");
        let mut buf = holding(alignment, &vec![1; 2 * block]);
        buf.resize(2 * block);
        refused(write(&io, &file, buf.slice(1..=block), 0).unwrap_err(), &address);
        let mut buf = AlignedBuf::with_alignment(block + 1, memory).unwrap();
        buf.extend_from_slice(b"x");
        refused(read(&io, &file, buf, 0).unwrap_err(), &address);
    }
    assert_eq!(fs::read(&path).unwrap(), vec![0; block], "the file is as it was");
}

#[test]
fn p52_each_of_several_buffers_is_aligned_or_refused() {
    let (io, scratch) = (Io::new().unwrap(), Scratch::new());
    let path = scratch.join("file");
    let Some((file, alignment)) = open_direct(&io, &path) else { return };
    let block = alignment.offset;
    let ones = || holding(alignment, &vec![1; block]);
    let write = |bufs, offset| {
        let log = Log::new();
        let put = log.clone();
        let done = move |_file, _io: &Io, _bufs, result| put.put(result);
        io.write_all_vectored_at(Rc::clone(&file), bufs, offset, done);
        finish(&io);
        log.one()
    };
    let length = format!("the number of bytes must be a multiple of {block}");
    let bufs = vec![ones().slice(..), ones().slice(..block - 1)];
    refused(write(bufs, 0).unwrap_err(), &length);
    let offset = format!("the offset must be a multiple of {block}");
    refused(write(vec![ones().slice(..)], 1).unwrap_err(), &offset);
    assert_eq!(fs::read(&path).unwrap(), b"", "nothing was written");
    write(vec![ones().slice(..), ones().slice(..)], 0).unwrap();
    let log = Log::new();
    let put = log.clone();
    let bufs = vec![holding(alignment, &[]), holding(alignment, &[])];
    io.read_vectored_at(Rc::clone(&file), bufs, 0, move |_file, _io, bufs, result| {
        put.put((result.unwrap(), bufs[0].len() + bufs[1].len()));
    });
    finish(&io);
    assert_eq!(log.one(), (2 * block, 2 * block));
    let log = Log::new();
    let put = log.clone();
    let short = ones().slice(..block - 1);
    io.append(file, short, move |_file, _io, _buf, result| put.put(result));
    finish(&io);
    refused(log.one().unwrap_err(), &length);
}

#[test]
fn p52_the_last_short_block_is_read_as_far_as_it_goes() {
    let (io, scratch) = (Io::new().unwrap(), Scratch::new());
    let path = scratch.join("file");
    let Some((file, alignment)) = open_direct(&io, &path) else { return };
    let block = alignment.offset;
    let bytes = pattern(2 * block);
    write(&io, &file, holding(alignment, &bytes), 0).unwrap();
    // A write is of whole blocks; what is too much of the last one is cut off.
    let (len, log) = (block + 100.min(block - 1), Log::new());
    let put = log.clone();
    io.set_len(Rc::clone(&file), len as u64, move |_file, _io, result| put.put(result));
    finish(&io);
    log.one().unwrap();
    let room = || AlignedBuf::with_alignment(2 * block, alignment.memory).unwrap();
    assert_eq!(read(&io, &file, room(), 0).unwrap()[..], bytes[..len]);
    assert_eq!(read(&io, &file, room(), block as u64).unwrap()[..], bytes[block..len]);
    assert_eq!(read(&io, &file, room(), 2 * block as u64).unwrap()[..], b""[..]);
    let log = Log::new();
    let put = log.clone();
    io.read_exact_at(Rc::clone(&file), room(), 2 * block, 0, move |_file, _io, buf, result| {
        put.put((buf, result));
    });
    finish(&io);
    let (buf, result) = log.one();
    let error = result.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnexpectedEof, "{error}");
    assert_eq!(error.to_string(), format!("the file ended after {len} of {} bytes", 2 * block));
    assert_eq!(buf[..], bytes[..len], "what came is there");
}

#[cfg(unix)]
#[test]
fn p52_a_file_system_without_it_says_so_or_goes_through_the_cache_as_asked() {
    let io = Io::new().unwrap();
    // Of a file system that has no disk.
    let path = PathBuf::from("/proc/self/comm");
    if !fs::exists(&path) {
        return eprintln!("SKIPPED: there is no /proc");
    }
    let existing = |direct| OpenOptions::new().read(true).direct(direct);
    let error = try_open(&io, &path, &existing(DirectIo::Required)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert_eq!(error.to_string(), "the file system has no Direct I/O for this file");
    for how in [DirectIo::Optional, DirectIo::Off] {
        let file = try_open(&io, &path, &existing(how)).unwrap();
        assert_eq!(file.direct_alignment(), None);
        let buf = AlignedBuf::with_capacity(3).unwrap();
        assert_eq!(read(&io, &file, buf, 1).unwrap().len(), 3, "nothing need be aligned");
    }
    // To a pipe the flag would mean something else.
    let (reader, _writer) = std::io::pipe().unwrap();
    let number = std::os::fd::AsRawFd::as_raw_fd(&reader);
    let path = PathBuf::from(format!("/proc/self/fd/{number}"));
    let error = try_open(&io, &path, &existing(DirectIo::Required)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
}

#[test]
fn a_handles_number_used_again_has_no_past_alignment() {
    let (io, scratch) = (Io::new().unwrap(), Scratch::new());
    let path = scratch.join("file");
    for _ in 0..3 {
        let Some((file, _alignment)) = open_direct(&io, &path) else { return };
        drop(file);
        let file = try_open(&io, &path, &direct(DirectIo::Off)).unwrap();
        assert_eq!(file.direct_alignment(), None);
        write(&io, &file, "odd", 1).unwrap();
        let Some((file, _alignment)) = open_direct(&io, &path) else { return };
        if cfg!(windows) {
            continue;
        }
        let std = Rc::into_inner(file).unwrap().into_std().unwrap();
        let file = Rc::new(File::from_std(&io, std));
        assert_eq!(file.direct_alignment(), None, "the system's flag stays, and is the caller's");
    }
}

#[cfg(windows)]
#[test]
fn p52_what_has_no_disk_below_it_or_appends_has_no_direct_transfers() {
    let (io, scratch) = (Io::new().unwrap(), Scratch::new());
    let appends = |direct| OpenOptions::new().append(true).create(true).direct(direct);
    let writes = |direct| OpenOptions::new().write(true).direct(direct);
    let path = scratch.join("file");
    let null = PathBuf::from("NUL");
    for (path, required, optional) in [
        (&path, appends(DirectIo::Required), appends(DirectIo::Optional)),
        (&null, writes(DirectIo::Required), writes(DirectIo::Optional)),
    ] {
        let error = try_open(&io, path, &required).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
        let file = try_open(&io, path, &optional).unwrap();
        assert_eq!(file.direct_alignment(), None);
        write(&io, &file, "odd", 0).unwrap();
    }
    assert_eq!(fs::read(&path).unwrap(), b"odd");
}

/// On io_uring the transfers are submitted before the turn ends, and sends with them, of which the
/// kernel tells only what failed.
#[test]
fn direct_reads_and_sends_started_together_each_have_their_result() {
    let (io, scratch) = (Io::new().unwrap(), Scratch::new());
    let path = scratch.join("file");
    let Some((file, alignment)) = open_direct(&io, &path) else { return };
    let bytes = pattern(alignment.offset);
    write(&io, &file, holding(alignment, &bytes), 0).unwrap();
    let ((near, mut far), (shut, _peer)) = (shared_pair(&io), shared_pair(&io));
    io.shutdown(Rc::clone(&shut), Shutdown::Write, |_stream, _io, result| result.unwrap());
    finish(&io);
    let (reads, sends) = (Log::new(), Log::new());
    for number in 0..40_u8 {
        let put = sends.clone();
        let stream = if number % 4 == 3 { &shut } else { &near };
        io.send(Rc::clone(stream), vec![number], move |_stream, _io, buf, result| {
            put.put((buf[0], result.map_err(|error| error.kind())));
        });
        let (put, expected) = (reads.clone(), bytes.clone());
        let room = holding(alignment, &[]);
        io.read_at(Rc::clone(&file), room, 0, move |_file, _io, buf, result| {
            put.put(result.is_ok() && buf[..] == expected[..]);
        });
    }
    finish(&io);
    assert_eq!(reads.take(), [true; 40]);
    let mut sent = sends.take();
    sent.sort_by_key(|(number, _)| *number);
    let expected = |number| if number % 4 == 3 { Err(ErrorKind::BrokenPipe) } else { Ok(1) };
    assert_eq!(sent, (0..40).map(|number| (number, expected(number))).collect::<Vec<_>>());
    let whole: Vec<u8> = (0..40).filter(|number| number % 4 != 3).collect();
    assert_eq!(crate::read(&mut far, 30), whole);
}
