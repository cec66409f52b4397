//! What holds of the io_uring driver alone, which is Linux's.
#![cfg(target_os = "linux")]
#![allow(clippy::disallowed_methods, reason = "tests have clocks and threads of their own")]
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "common/alone.rs"]
mod alone;
#[path = "common/limit.rs"]
mod limit;
#[allow(dead_code, reason = "other tests use more of it")]
#[path = "common/scratch.rs"]
mod scratch;

use std::cell::Cell;
use std::io::{ErrorKind, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::rc::Rc;
use std::time::Duration;

use alone::alone;
use limit::limit;
use scratch::Scratch;
use tigereye::{AlignedBuf, Allocation, DirectIo, DriverKind, Io, OpenOptions, TcpStream};

const WITHOUT: &str = "TIGEREYE_URING_WITHOUT";

/// A loop over io_uring, or none.
fn uring() -> std::io::Result<Io> {
    Io::builder().driver(DriverKind::Uring).build()
}

#[test]
fn p07_a_masked_feature_that_nobody_knows_is_an_error() {
    let name = "p07_a_masked_feature_that_nobody_knows_is_an_error";
    if alone(name, &[(WITHOUT, "recv_multishot,telepathy")]) {
        let error = uring().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains("telepathy"), "{error}");
    }
}

#[test]
fn p07_a_kernel_that_is_too_old_is_an_error() {
    let name = "p07_a_kernel_that_is_too_old_is_an_error";
    if alone(name, &[(WITHOUT, "ext_arg")]) {
        let error = uring().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
    }
}

#[test]
fn p08_rings_are_built_where_no_memory_may_be_locked() {
    if !alone("p08_rings_are_built_where_no_memory_may_be_locked", &[]) {
        return;
    }
    limit(libc::RLIMIT_MEMLOCK, 0);
    for _ in 0..500 {
        let io = uring().unwrap();
        io.next((), |(), _io| {});
        io.run().unwrap();
    }
}

#[test]
fn p65_a_loop_that_looks_makes_no_system_calls_and_is_not_signalled() {
    const FEW: u64 = 100;
    let builder = Io::builder().driver(DriverKind::Uring).spin(Duration::MAX);
    let io = builder.build().unwrap();
    let (keep, _trigger) = io.event((), |(), _io, _result| {});
    for _ in 0..2 * FEW {
        io.poll().unwrap();
    }
    if io.statistics().system_calls > FEW {
        println!("SKIPPED: without deferred work each look is a call");
        return;
    }
    let before = io.statistics().system_calls;
    let remote = io.remote();
    let poster = std::thread::spawn(move || {
        let (sender, receiver) = std::sync::mpsc::channel();
        for number in 0..300 {
            let sender = sender.clone();
            remote.post(move |_io| sender.send(number).unwrap()).unwrap();
            assert_eq!(receiver.recv(), Ok(number));
        }
        remote.stop();
    });
    io.run().unwrap();
    poster.join().unwrap();
    let calls = io.statistics().system_calls - before;
    assert!(
        calls < FEW,
        "{calls} calls for 300 posts: each that signals the loop takes one to be heard"
    );
    io.cancel(keep);
    io.run().unwrap();
}

fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").unwrap().count()
}

#[test]
fn p16_waiting_operations_make_no_kernel_threads() {
    if !alone("p16_waiting_operations_make_no_kernel_threads", &[]) {
        return;
    }
    let io = uring().unwrap();
    let before = threads();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let (mut peers, received) = (Vec::new(), Rc::new(Cell::new(0)));
    for _ in 0..300 {
        let near = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        peers.push(listener.accept().unwrap().0);
        let stream = TcpStream::from_std(&io, near).unwrap();
        let received = Rc::clone(&received);
        io.recv(stream, Vec::with_capacity(1), move |stream, io, buf, result| {
            received.set(received.get() + result.unwrap());
            io.send_all(stream, buf, |_stream, _io, _buf, result| result.unwrap());
        });
    }
    io.run_for(Duration::from_millis(20)).unwrap();
    assert_eq!((received.get(), threads()), (0, before), "300 receives wait");
    for peer in &mut peers {
        peer.write_all(b"x").unwrap();
    }
    io.run_for(Duration::from_secs(120)).unwrap();
    assert_eq!((received.get(), threads()), (300, before), "and are served");
}

#[test]
fn p16_urgent_bytes_make_no_kernel_threads() {
    if !alone("p16_urgent_bytes_make_no_kernel_threads", &[]) {
        return;
    }
    let io = uring().unwrap();
    let before = threads();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let mut peers = Vec::new();
    for _ in 0..30 {
        let near = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let peer = listener.accept().unwrap().0;
        socket2::SockRef::from(&peer).send_out_of_band(b"!").unwrap();
        peers.push(peer);
        let stream = TcpStream::from_std(&io, near).unwrap();
        io.recv(stream, Vec::with_capacity(8), |_stream, _io, _buf, _result| {});
    }
    io.run_for(Duration::from_millis(20)).unwrap();
    assert_eq!(threads(), before);
}

/// A disk begins while callbacks run, at few calls a turn.
#[test]
fn many_transfers_past_the_cache_do_not_wait_for_the_turn() {
    let (io, scratch) = (uring().unwrap(), Scratch::new());
    let path = scratch.file("file", &[7; 4096]);
    for (direct, calls) in [(DirectIo::Off, 0), (DirectIo::Optional, 4)] {
        let opened = Rc::new(Cell::new(None));
        let put = Rc::clone(&opened);
        let options = OpenOptions::new().read(true).direct(direct);
        io.open((), &path, &options, move |(), _io, file| put.set(Some(file.unwrap())));
        io.run().unwrap();
        let file = Rc::new(opened.take().unwrap());
        if direct == DirectIo::Optional && file.direct_alignment().is_none() {
            return eprintln!("SKIPPED: no Direct I/O in {}", path.display());
        }
        // Whether it has offsets is asked once.
        for _ in 0..2 {
            let before = io.statistics().system_calls;
            for _ in 0..20 {
                let buf = AlignedBuf::with_capacity(4096).unwrap();
                io.read_at(Rc::clone(&file), buf, 0, |_file, _io, buf, result| {
                    assert_eq!((result.unwrap(), &buf[..]), (4096, &[7; 4096][..]));
                });
            }
            assert_eq!(io.statistics().system_calls - before, calls, "{direct:?}");
            io.run().unwrap();
        }
    }
}

/// Whether the kernel's ring has all operations on files: those of 6.9.
fn has_all_of_files() -> bool {
    let ring = io_uring::IoUring::new(2).unwrap();
    let mut probe = io_uring::Probe::new();
    ring.submitter().register_probe(&mut probe).unwrap();
    probe.is_supported(io_uring::opcode::Ftruncate::CODE)
}

#[test]
fn p59_what_the_ring_does_with_files_needs_no_pool() {
    if !alone("p59_what_the_ring_does_with_files_needs_no_pool", &[(WITHOUT, "")]) {
        return;
    }
    if !has_all_of_files() {
        eprintln!("SKIPPED: an older kernel's ring lacks operations on files");
        return;
    }
    let io = Io::builder().driver(DriverKind::Uring).pool_threads(1).build().unwrap();
    let (release, released) = std::sync::mpsc::channel::<()>();
    let wait = move || {
        let _ = released.recv();
    };
    io.offload((), wait, |(), _io, result| result.unwrap());
    let scratch = Scratch::new();
    let done = Rc::new(Cell::new(0));
    let context = || Rc::clone(&done);
    let ended = |done: Rc<Cell<u32>>, _io: &Io, result: std::io::Result<()>| {
        result.unwrap();
        done.set(done.get() + 1);
    };
    // One after another: the next one needs what the one before has made.
    let until = |count| {
        while done.get() < count {
            io.run_once().unwrap();
        }
    };
    let path = scratch.file("file", b"hello");
    let (made, two, three) = (scratch.join("made"), scratch.join("two"), scratch.join("three"));
    io.create_directory(context(), &made, 0o700, ended);
    io.hard_link(context(), &path, &two, ended);
    io.symlink(context(), "file", &three, ended);
    until(3);
    io.rename(context(), &two, &scratch.join("four"), ended);
    io.remove_file(context(), &three, ended);
    io.remove_directory(context(), &made, ended);
    io.metadata_at(context(), &path, true, |done, _io, result| {
        result.unwrap();
        done.set(done.get() + 1);
    });
    until(7);
    let options = OpenOptions::new().write(true).no_magic_links(true);
    io.open(context(), &path, &options, |done, io, file| {
        let file = Rc::new(file.unwrap());
        let ended = |done: &Rc<Cell<u32>>| {
            let done = Rc::clone(done);
            move |_file, _io: &Io, result: std::io::Result<()>| {
                result.unwrap();
                done.set(done.get() + 1);
            }
        };
        io.set_len(Rc::clone(&file), 3, ended(&done));
        io.allocate(Rc::clone(&file), 0, 8, Allocation::KeepLen, ended(&done));
        io.sync_range(Rc::clone(&file), 0, 0, ended(&done));
        let written = ended(&done);
        io.append(Rc::clone(&file), "x", move |file, io, _buf, result| {
            written(file, io, result.map(drop));
        });
        let known = ended(&done);
        io.metadata(file, move |file, io, result| known(file, io, result.map(drop)));
    });
    until(12);
    drop(release);
    io.run().unwrap();
}
