//! What lies in the page cache is read and sent on the loop's own thread, and what does not, on the pool,
//! where a driver needs a thread for it. The pool's only thread is kept busy here: so what completes did
//! without it.

use std::cell::Cell;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::rc::Rc;
use std::sync::mpsc::{Sender, channel};

use tigereye::{AlignedBuf, Descriptor, DriverKind, File, Io, TcpStream, is_cancelled};

use crate::alone::alone;
use crate::peer::Peer;
use crate::scratch::Scratch;
use crate::seccomp::forbid;
use crate::{HANG, Log, finish, pattern, real, run_until_stop};

const LEN: usize = 1 << 20;

/// A loop whose pool has one thread, which is busy until the sender is dropped.
fn busy() -> (Io, Sender<()>) {
    let io = Io::builder().pool_threads(1).build().unwrap();
    let (stays, is_over) = channel();
    let (runs, has_begun) = channel();
    let wait = move || {
        runs.send(()).unwrap();
        let _ = is_over.recv_timeout(HANG);
    };
    io.offload((), wait, |(), _io, result| result.unwrap());
    has_begun.recv().unwrap();
    (io, stays)
}

/// Whether one byte there is in memory; `None`, where the file system does not say.
#[expect(unsafe_code, reason = "preadv2(2)")]
fn is_cached(file: &std::fs::File, offset: usize) -> Option<bool> {
    let mut byte = 0_u8;
    let vector = libc::iovec { iov_base: (&raw mut byte).cast(), iov_len: 1 };
    let offset = libc::off_t::try_from(offset).unwrap();
    // SAFETY: one vector, which names one byte.
    match unsafe { libc::preadv2(file.as_raw_fd(), &raw const vector, 1, offset, libc::RWF_NOWAIT) }
    {
        1 => Some(true),
        // Some kernels say of what is not in memory that it is the end.
        0 => Some(false),
        _ => {
            let error = std::io::Error::last_os_error();
            (error.kind() == std::io::ErrorKind::WouldBlock).then_some(false)
        }
    }
}

/// Whether the system has cachestat(2), and tells this process.
#[expect(unsafe_code, reason = "cachestat(2)")]
fn has_cachestat(file: &std::fs::File) -> bool {
    let (range, mut pages) = ([0_u64, 1], [0_u64; 5]);
    let (fd, flags) = (file.as_raw_fd(), 0);
    // SAFETY: the range has two numbers, and the result five.
    unsafe { libc::syscall(451, fd, range.as_ptr(), pages.as_mut_ptr(), flags) == 0 }
}

/// A file whose pages are in memory; nothing, and a word of that, where nobody can say so.
fn cached(scratch: &Scratch) -> Option<std::fs::File> {
    let path = scratch.file("cached", b"");
    let mut file = std::fs::File::options().append(true).open(&path).unwrap();
    // Little by little, for what is written at once may be in memory, or not, at once.
    pattern(LEN).chunks(4096).for_each(|part| file.write_all(part).unwrap());
    let file = std::fs::File::open(path).unwrap();
    if is_cached(&file, LEN - 1) == Some(true) {
        return Some(file);
    }
    eprintln!("SKIPPED: the file system does not say what is in memory");
    None
}

/// The same, of which a part is in memory, if any.
fn evicted(scratch: &Scratch, from: usize) -> Option<std::fs::File> {
    let file = cached(scratch)?;
    file.sync_all().unwrap();
    evict(&file, from);
    if is_cached(&file, LEN - 1) == Some(false) {
        return Some(file);
    }
    eprintln!("SKIPPED: the file system keeps in memory what is said not to be needed");
    None
}

fn evict(file: &std::fs::File, from: usize) {
    rustix::fs::fadvise(file, from as u64, None, rustix::fs::Advice::DontNeed).unwrap();
}

/// A file that is read past the cache.
fn direct(path: &Path) -> Option<std::fs::File> {
    let opened = std::fs::File::options().read(true).custom_flags(libc::O_DIRECT).open(path);
    if opened.is_err() {
        eprintln!("SKIPPED: no Direct I/O on this file system");
    }
    opened.ok()
}

/// Counts operations, and stops the loop behind the last one.
#[derive(Clone)]
struct Left(Rc<Cell<usize>>);

impl Left {
    fn one_ended(&self, io: &Io) {
        self.0.set(self.0.get() - 1);
        if self.0.get() == 0 {
            io.stop();
        }
    }
}

#[test]
fn p59_what_is_in_memory_is_read_without_the_pool() {
    let scratch = Scratch::new();
    let Some(std_file) = cached(&scratch) else { return };
    let (io, stays) = busy();
    let end = LEN as u64;
    let own = Rc::new(Descriptor::new(&io, std_file.try_clone().unwrap().into()));
    let file = Rc::new(File::from_std(&io, std_file));
    let all = Rc::new(pattern(LEN));
    let left = Left(Rc::new(Cell::new(7)));
    // Within the file, across its end, and behind it.
    for (offset, wanted) in [(5, 4096), (end - 7, 7), (end, 0), (1 << 40, 0)] {
        let (all, left) = (Rc::clone(&all), left.clone());
        let came = move |_file, io: &Io, buf: Vec<u8>, result: std::io::Result<usize>| {
            assert_eq!(result.unwrap(), wanted);
            let from = usize::try_from(offset).unwrap().min(LEN);
            assert!(buf == all[from..from + wanted]);
            left.one_ended(io);
        };
        io.read_at(Rc::clone(&file), Vec::with_capacity(4096), offset, came);
    }
    let (bytes, ended) = (Rc::clone(&all), left.clone());
    let room = Vec::with_capacity(LEN / 2);
    io.read_exact_at(Rc::clone(&file), room, LEN / 2, 3, move |_file, io, buf, result| {
        result.unwrap();
        assert!(buf == bytes[3..3 + LEN / 2]);
        ended.one_ended(io);
    });
    let (bytes, ended) = (Rc::clone(&all), left.clone());
    let rooms = vec![Vec::with_capacity(10), Vec::with_capacity(0), Vec::with_capacity(9000)];
    io.read_vectored_at(Rc::clone(&file), rooms, end - 1000, move |_file, io, bufs, result| {
        assert_eq!(result.unwrap(), 1000);
        assert!(bufs.concat() == bytes[LEN - 1000..]);
        ended.one_ended(io);
    });
    // From where it stands, up to the end and once more.
    let ended = left.clone();
    io.read_exact(Rc::clone(&own), Vec::with_capacity(9), 9, move |own, io, buf, result| {
        result.unwrap();
        assert!(buf == all[..9]);
        io.read(own, Vec::with_capacity(9), move |_own, io, buf, result| {
            assert_eq!(result.unwrap(), 9);
            assert!(buf == all[9..18]);
            ended.one_ended(io);
        });
    });
    run_until_stop(&io);
    drop(stays);
    finish(&io);
}

#[test]
fn p59_what_is_not_in_memory_is_read_by_the_pool_and_whole() {
    let scratch = Scratch::new();
    for from in [0, LEN / 2] {
        let Some(std_file) = evicted(&scratch, from) else { return };
        let (io, stays) = busy();
        let file = Rc::new(File::from_std(&io, std_file));
        let log = Log::new();
        // A part of it may be in memory.
        for (offset, len) in [(0, LEN), (LEN / 2 - 4096, 8192), (LEN - 5000, 9000)] {
            let put = log.clone();
            let room = Vec::with_capacity(len);
            io.read_at(Rc::clone(&file), room, offset as u64, move |_f, _io, buf, result| {
                assert_eq!(result.unwrap(), buf.len());
                assert!(buf == pattern(LEN)[offset..(offset + len).min(LEN)]);
                put.put(());
            });
        }
        if io.driver().kind == DriverKind::Readiness {
            for _ in 0..10 {
                io.poll().unwrap();
            }
            assert_eq!(log.len(), 0, "the pool has no thread for it");
        }
        drop(stays);
        finish(&io);
        assert_eq!(log.len(), 3);
    }
}

#[test]
fn p59_a_read_past_the_cache_and_a_long_one_are_the_pools() {
    let scratch = Scratch::new();
    let Some(std_file) = cached(&scratch) else { return };
    let (io, stays) = busy();
    if io.driver().kind != DriverKind::Readiness {
        return finish_with(io, stays);
    }
    let log = Log::new();
    let file = File::from_std(&io, std_file);
    let put = log.clone();
    io.read_at(file, Vec::with_capacity(LEN), 0, move |_file, _io, buf, result| {
        assert_eq!((result.unwrap(), buf.len()), (LEN, LEN));
        put.put(());
    });
    let mut wanted = 1;
    if let Some(direct) = direct(&scratch.join("cached")) {
        let put = log.clone();
        let (file, room) = (File::from_std(&io, direct), AlignedBuf::with_capacity(4096));
        io.read_at(file, room.unwrap(), 4096, move |_file, _io, buf, result| {
            assert_eq!(result.unwrap(), 4096);
            assert!(buf[..] == pattern(8192)[4096..]);
            put.put(());
        });
        wanted += 1;
    }
    for _ in 0..10 {
        io.poll().unwrap();
    }
    assert_eq!(log.len(), 0, "the pool has no thread for it");
    finish_with(io, stays);
    assert_eq!(log.len(), wanted);
}

/// As in a container whose filter has no such call.
#[test]
fn p07_where_reads_that_do_not_wait_are_forbidden_files_are_read_all_the_same() {
    const NAME: &str =
        "cached::p07_where_reads_that_do_not_wait_are_forbidden_files_are_read_all_the_same";
    if !alone(NAME, &[]) {
        return;
    }
    for error in [libc::EPERM, libc::ENOSYS] {
        forbid(libc::SYS_preadv2, error);
        let (io, scratch) = (Io::new().unwrap(), Scratch::new());
        let path = scratch.file("file", &pattern(10_000));
        let file = Rc::new(File::from_std(&io, std::fs::File::open(path).unwrap()));
        let log = Log::new();
        for _ in 0..2 {
            let put = log.clone();
            let room = Vec::with_capacity(9000);
            io.read_at(Rc::clone(&file), room, 5000, move |file, io, buf, result| {
                assert_eq!(result.unwrap(), 5000);
                assert!(buf == pattern(10_000)[5000..]);
                io.read_exact(file, Vec::with_capacity(10), 10, move |_file, _io, buf, result| {
                    result.unwrap();
                    put.put(buf);
                });
            });
        }
        finish(&io);
        assert_eq!(log.take(), [&pattern(10)[..], &pattern(20)[10..]]);
    }
}

fn finish_with(io: Io, stays: Sender<()>) {
    drop(stays);
    finish(&io);
}

#[test]
fn p59_a_file_in_memory_is_sent_without_the_pool() {
    let scratch = Scratch::new();
    let Some(std_file) = cached(&scratch) else { return };
    if !has_cachestat(&std_file) {
        eprintln!("SKIPPED: no cachestat(2) here");
        return;
    }
    let (io, stays) = busy();
    let file = Rc::new(File::from_std(&io, std_file));
    let (stream, peer) = real::small_pair(&io);
    let left = Left(Rc::new(Cell::new(4)));
    let len = LEN as u64;
    // All of it, what is there of more, and what is behind the end.
    for (offset, count, wanted) in [(0, len, len), (7, u64::MAX, len - 7), (len, 5, 0)] {
        let left = left.clone();
        io.send_file_all(Rc::clone(&stream), &*file, offset, count, move |_stream, io, result| {
            assert_eq!(result.unwrap(), wanted);
            left.one_ended(io);
        });
    }
    let ended = left.clone();
    io.send_file(Rc::clone(&stream), &*file, len - 3, 9, move |_stream, io, result| {
        assert_eq!(result.unwrap(), 3);
        ended.one_ended(io);
    });
    drop(stream);
    let reader = Peer::Real(peer).reads_to_end();
    run_until_stop(&io);
    finish_with(io, stays);
    let all = pattern(LEN);
    assert!(reader.join() == [&all[..], &all[7..], &all[LEN - 3..]].concat());
}

#[test]
fn p59_a_file_that_is_not_in_memory_is_sent_by_the_pool() {
    let scratch = Scratch::new();
    for from in [0, LEN / 2] {
        let Some(std_file) = evicted(&scratch, from) else { return };
        let (io, stays) = busy();
        let file = File::from_std(&io, std_file);
        let (stream, peer) = real::small_pair(&io);
        let log = Log::new();
        let put = log.clone();
        io.send_file_all(stream, &file, 0, u64::MAX, move |_stream, _io, result| {
            put.put(result.unwrap());
        });
        let reader = Peer::Real(peer).reads_to_end();
        for _ in 0..100 {
            io.poll().unwrap();
        }
        assert_eq!(log.len(), 0, "the pool has no thread for it");
        finish_with(io, stays);
        assert_eq!(log.one(), LEN as u64);
        assert!(reader.join() == pattern(LEN));
    }
}

#[test]
fn p47_a_peer_that_reads_nothing_holds_up_no_send_from_memory() {
    let scratch = Scratch::new();
    let Some(std_file) = cached(&scratch) else { return };
    let io = Io::new().unwrap();
    let (file, len) = (Rc::new(File::from_std(&io, std_file)), LEN as u64);
    let (near, _far) = real::std_pair();
    socket2::SockRef::from(&near).set_send_buffer_size(65_536).unwrap();
    let same = near.try_clone().unwrap();
    let full = TcpStream::from_std(&io, near).unwrap();
    let log = Log::new();
    let put = log.clone();
    let op = io.send_file_all(full, &*file, 0, len, move |_stream, _io, result| {
        put.put(result.unwrap_err());
    });
    for _ in 0..10 {
        let (stream, peer) = real::small_pair(&io);
        let reader = Peer::Real(peer).reads_to_end();
        let sent = Log::new();
        let put = sent.clone();
        io.send_file_all(stream, &*file, 0, len, move |_stream, io, result| {
            put.put(result.unwrap());
            io.stop();
        });
        run_until_stop(&io);
        assert_eq!(sent.one(), len);
        assert!(reader.join() == pattern(LEN));
    }
    io.cancel(op);
    finish(&io);
    assert!(is_cancelled(&log.one()));
    // It is left as the driver has it.
    let flags = rustix::fs::fcntl_getfl(&same).unwrap();
    let is_nonblocking = flags.contains(rustix::fs::OFlags::NONBLOCK);
    assert_eq!(is_nonblocking, io.driver().kind == DriverKind::Readiness);
}

/// The process has asked to hear of SIGPIPE, which ends it.
#[test]
fn p35_a_peer_that_is_gone_is_an_error_of_a_send_from_memory() {
    const NAME: &str = "cached::p35_a_peer_that_is_gone_is_an_error_of_a_send_from_memory";
    if !alone(NAME, &[]) {
        return;
    }
    #[expect(unsafe_code, reason = "signal(2)")]
    // SAFETY: the default, which is no function.
    let before = unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
    assert_ne!(before, libc::SIG_ERR);
    let scratch = Scratch::new();
    let Some(std_file) = cached(&scratch) else { return };
    let io = Io::new().unwrap();
    let file = File::from_std(&io, std_file);
    let (stream, peer) = real::shared_pair(&io);
    crate::reset(Peer::Real(peer));
    let log = Log::new();
    for _ in 0..3 {
        let put = log.clone();
        let count = LEN as u64;
        io.send_file_all(Rc::clone(&stream), &file, 0, count, move |_stream, _io, result| {
            put.put(result.unwrap_err().kind());
        });
        finish(&io);
    }
    assert_eq!(log.take().pop(), Some(std::io::ErrorKind::BrokenPipe));
}
