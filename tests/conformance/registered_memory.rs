//! Buffers of pools to read and write files with, also where io_uring knows their memory.

use std::io::{ErrorKind, Result};
use std::path::Path;
use std::rc::Rc;

use tigereye::{BufferPool, DirectIo, DriverKind, File, Io, IoBuf, IoBufMut, OpenOptions, PoolBuf};

use crate::alone::alone;
use crate::disk::{self as fs, Scratch};
use crate::{Log, finish, pair, pattern};

const BLOCK: usize = 4096;

/// Whether memory can be registered: by io_uring, from Linux 5.19 on.
fn can_register(io: &Io) -> bool {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let mut numbers = release.split(['.', '-']).map_while(|number| number.parse().ok());
    let version: (u32, u32) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    let without = std::env::var("TIGEREYE_URING_WITHOUT").unwrap_or_default();
    let is_masked = without.split(',').any(|name| name == "registered_memory");
    io.driver().kind == DriverKind::Uring && version >= (5, 19) && !is_masked
}

#[track_caller]
fn registered_pool(io: &Io, count: usize, size: usize) -> BufferPool {
    let pool = BufferPool::aligned(io, count, size).unwrap();
    assert_eq!(pool.register().unwrap(), can_register(io));
    pool
}

fn open(io: &Io, path: &Path, direct: DirectIo) -> Rc<File> {
    let log = Log::new();
    let options = OpenOptions::new().read(true).write(true).create(true).direct(direct);
    io.open(log.clone(), path, &options, |log, _io, file| log.put(Rc::new(file.unwrap())));
    finish(io);
    log.one()
}

#[track_caller]
fn read<B: IoBufMut>(io: &Io, file: &Rc<File>, buf: B, offset: u64) -> (B, Result<usize>) {
    let log = Log::new();
    let put = log.clone();
    io.read_at(Rc::clone(file), buf, offset, move |_file, _io, buf, result| {
        put.put((buf, result));
    });
    finish(io);
    log.one()
}

#[track_caller]
fn write<B: IoBuf>(io: &Io, file: &Rc<File>, buf: B, offset: u64) -> B {
    let log = Log::new();
    let put = log.clone();
    io.write_all_at(Rc::clone(file), buf, offset, move |_file, _io, buf, result| {
        put.put((buf, result));
    });
    finish(io);
    let (buf, result) = log.one();
    result.unwrap();
    buf
}

fn holding(pool: &BufferPool, bytes: &[u8]) -> PoolBuf {
    let mut buf = pool.take().unwrap();
    assert_eq!(buf.extend_from_slice(bytes), bytes.len());
    buf
}

#[test]
fn registered_memory_is_read_and_written_like_any_other() {
    let (io, scratch) = (Io::new().unwrap(), Scratch::new());
    for direct in [DirectIo::Off, DirectIo::Optional] {
        let file = open(&io, &scratch.join("file"), direct);
        let pool = registered_pool(&io, 4, 2 * BLOCK);
        assert_eq!(pool.register().unwrap(), can_register(&io), "twice is once");
        let bytes = pattern(2 * BLOCK);
        let buf = write(&io, &file, holding(&pool, &bytes), 0);
        assert_eq!(buf[..], bytes);
        // A part of a buffer lies in the memory as well.
        let part = write(&io, &file, buf.slice(BLOCK..), 2 * BLOCK as u64);
        let mut buf = part.into_inner();
        buf.truncate(0);
        // What is read goes behind what is there.
        for (offset, count) in [(0, 2 * BLOCK), (BLOCK as u64, 2 * BLOCK), (3 << 12, 0)] {
            buf.truncate(0);
            let result;
            (buf, result) = read(&io, &file, buf, offset);
            assert_eq!((result.unwrap(), buf.len()), (count, count), "{direct:?} {offset}");
        }
        buf.extend_from_slice(&bytes[..BLOCK]);
        let (buf, result) = read(&io, &file, buf, BLOCK as u64);
        assert_eq!((result.unwrap(), buf.len()), (BLOCK, 2 * BLOCK));
        assert_eq!(buf[..], bytes);
        let (buf, result) = read(&io, &file, buf, 0);
        assert_eq!(result.unwrap_err().kind(), ErrorKind::InvalidInput, "it is full");
        drop(buf);
        let (log, put) = (Log::new(), Log::new());
        let done = log.clone();
        let fill = pool.take().unwrap();
        io.read_exact_at(Rc::clone(&file), fill, BLOCK, 2 << 12, move |_, _io, buf, result| {
            done.put((buf[..].to_vec(), result.is_ok()));
        });
        let done = put.clone();
        let full = holding(&pool, &bytes);
        io.write_at(file, full, 4 << 12, move |_, _io, _buf, result| done.put(result.unwrap()));
        finish(&io);
        assert_eq!((log.one(), put.one()), ((bytes[BLOCK..].to_vec(), true), 2 * BLOCK));
        fs::remove_file(scratch.join("file")).unwrap();
    }
}

#[test]
fn a_pool_registered_while_it_is_used_goes_on() {
    let (io, scratch, log) = (Io::new().unwrap(), Scratch::new(), Log::new());
    let path = scratch.file("file", &pattern(8 * BLOCK));
    let file = open(&io, &path, DirectIo::Off);
    let pool = BufferPool::aligned(&io, 8, BLOCK).unwrap();
    for at in 0..8 {
        let (buf, put, offset) = (pool.take().unwrap(), log.clone(), at * BLOCK);
        io.read_at(Rc::clone(&file), buf, offset as u64, move |_file, _io, buf, result| {
            put.put(result.is_ok() && buf[..] == pattern(8 * BLOCK)[offset..offset + BLOCK]);
        });
        if at == 4 {
            assert_eq!(pool.register().unwrap(), can_register(&io));
        }
    }
    // The buffers keep it.
    drop(pool);
    finish(&io);
    assert_eq!(log.take(), [true; 8]);
}

/// The kernel holds the pages that were there: it would go on to fill those.
#[test]
fn p150_memory_at_an_address_that_was_registered_is_read_into() {
    let (io, scratch) = (Io::new().unwrap(), Scratch::new());
    let path = scratch.file("file", &pattern(BLOCK));
    let file = open(&io, &path, DirectIo::Off);
    for round in 0..8 {
        let pool = registered_pool(&io, 256, BLOCK);
        assert_eq!(read(&io, &file, pool.take().unwrap(), 0).0[..], pattern(BLOCK));
        drop(pool);
        // Most likely where the one before was.
        let pool = BufferPool::aligned(&io, 256, BLOCK).unwrap();
        let (buf, result) = read(&io, &file, pool.take().unwrap(), 0);
        assert_eq!(result.unwrap(), BLOCK, "{round}");
        assert_eq!(buf[..], pattern(BLOCK), "{round}");
    }
}

#[test]
fn registered_memory_of_another_loop_or_of_none_is_memory() {
    let (io, other, scratch) = (Io::new().unwrap(), Io::new().unwrap(), Scratch::new());
    let path = scratch.file("file", &pattern(BLOCK));
    let (pool, others) = (registered_pool(&io, 2, BLOCK), registered_pool(&other, 2, BLOCK));
    let (mine, theirs) = (open(&io, &path, DirectIo::Off), open(&other, &path, DirectIo::Off));
    for (io, file) in [(&io, &mine), (&other, &theirs)] {
        for pool in [&pool, &others] {
            let (buf, result) = read(io, file, pool.take().unwrap(), 0);
            assert_eq!(result.unwrap(), BLOCK);
            assert_eq!(buf[..], pattern(BLOCK));
        }
    }
    drop((mine, io));
    assert!(!pool.register().unwrap(), "its loop has ended");
    let (buf, result) = read(&other, &theirs, pool.take().unwrap(), 0);
    assert_eq!((result.unwrap(), &buf[..]), (BLOCK, &pattern(BLOCK)[..]));
    drop(pool);
    assert_eq!(write(&other, &theirs, buf, 1)[..], pattern(BLOCK));
}

#[test]
fn p25_rule7_the_loop_ends_with_registered_memory_on_its_way() {
    let (io, scratch) = (Io::new().unwrap(), Scratch::new());
    let path = scratch.file("file", &pattern(64 * BLOCK));
    let file = open(&io, &path, DirectIo::Optional);
    let pool = registered_pool(&io, 32, BLOCK);
    for at in 0..32 {
        let (buf, offset) = (pool.take().unwrap(), at * BLOCK as u64);
        if at % 2 == 0 {
            io.read_at(Rc::clone(&file), buf, offset, |_, _, _, _| panic!("the loop has ended"));
        } else {
            let buf = holding(&BufferPool::aligned(&io, 1, BLOCK).unwrap(), &[1; BLOCK]);
            io.write_at(Rc::clone(&file), buf, offset, |_, _, _, _| panic!("the loop has ended"));
        }
    }
    assert!(pool.take().is_some(), "16 were given back, and 16 are under way");
    drop(io);
    let all: Vec<_> = std::iter::from_fn(|| pool.take()).collect();
    assert_eq!(all.len(), 32, "all came back");
}

#[test]
fn more_pools_than_can_be_registered_work_without() {
    let (io, scratch) = (Io::new().unwrap(), Scratch::new());
    let path = scratch.file("file", &pattern(BLOCK));
    let file = open(&io, &path, DirectIo::Off);
    let mut pools = Vec::new();
    // Places are used again.
    for _ in 0..3 {
        while pools.len() < 20 {
            let pool = BufferPool::aligned(&io, 1, BLOCK).unwrap();
            let has_place = pools.len() < 16 && can_register(&io);
            assert_eq!(pool.register().unwrap(), has_place, "{}", pools.len());
            assert_eq!(read(&io, &file, pool.take().unwrap(), 0).0[..], pattern(BLOCK));
            pools.push(pool);
        }
        pools.truncate(3);
    }
    // More than the kernel takes as one; nobody touches it.
    let Ok(pool) = BufferPool::aligned(&io, 1024, 2 << 20) else {
        return eprintln!("SKIPPED: no two gibibytes of addresses");
    };
    assert!(!pool.register().unwrap());
    let (buf, result) = read(&io, &file, pool.take().unwrap(), 0);
    assert_eq!((result.unwrap(), &buf[..]), (BLOCK, &pattern(BLOCK)[..]));
}

#[test]
fn over_the_limit_of_locked_memory_it_says_so_and_works_without() {
    if !alone(
        "registered_memory::over_the_limit_of_locked_memory_it_says_so_and_works_without",
        &[],
    ) {
        return;
    }
    if !lock_no_memory() {
        return eprintln!("SKIPPED: this process may lock what it likes");
    }
    let (io, scratch) = (Io::new().unwrap(), Scratch::new());
    let path = scratch.file("file", &pattern(BLOCK));
    let file = open(&io, &path, DirectIo::Off);
    let pool = BufferPool::aligned(&io, 256, BLOCK).unwrap();
    for _ in 0..2 {
        match pool.register() {
            Ok(registered) => assert!(!registered && !can_register(&io)),
            Err(error) => assert_eq!(error.kind(), ErrorKind::OutOfMemory, "{error}"),
        }
        let (buf, result) = read(&io, &file, pool.take().unwrap(), 0);
        assert_eq!((result.unwrap(), &buf[..]), (BLOCK, &pattern(BLOCK)[..]));
    }
}

/// Takes the right to lock memory from this thread; says whether it is gone.
#[cfg(target_os = "linux")]
fn lock_no_memory() -> bool {
    use rustix::process::{Resource, Rlimit, setrlimit};
    use rustix::thread::{CapabilitySet, capabilities, set_capabilities};
    let limit = Rlimit { current: Some(65_536), maximum: Some(65_536) };
    setrlimit(Resource::Memlock, limit).unwrap();
    let mut sets = capabilities(None).unwrap();
    sets.effective.remove(CapabilitySet::IPC_LOCK);
    set_capabilities(None, sets).is_ok()
}

#[cfg(not(target_os = "linux"))]
fn lock_no_memory() -> bool {
    true
}

#[test]
fn p34_a_pools_buffer_is_received_into_behind_what_it_holds() {
    let io = Io::new().unwrap();
    let (stream, mut far) = pair(&io);
    let pool = BufferPool::aligned(&io, 1, 8).unwrap();
    std::io::Write::write_all(&mut far, b"world").unwrap();
    let log = Log::new();
    let put = log.clone();
    io.recv_exact(stream, holding(&pool, b"hi "), 5, move |stream, io, buf, result| {
        result.unwrap();
        assert_eq!(buf[..], *b"hi world");
        io.recv(stream, buf, move |_stream, _io, _buf, result| put.put(result));
    });
    finish(&io);
    assert_eq!(log.one().unwrap_err().kind(), ErrorKind::InvalidInput, "it is full");
    assert!(pool.take().is_some());
}
