//! No descriptor is left. Alone in its process, for it takes them all.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use tigereye::{Io, Next, OpenOptions, TcpListener};

#[expect(unsafe_code, reason = "setrlimit(2)")]
fn limit_descriptors() {
    let limit = libc::rlimit { rlim_cur: 128, rlim_max: 128 };
    // SAFETY: the limit is a valid value for the length of the call.
    let result = unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) };
    assert_eq!(result, 0);
}

/// With no descriptor left, whatever needs one says so.
fn assert_exhausted(io: &Io, listener: &Rc<TcpListener>, files: &mut Vec<File>) {
    let exhausted = |error: &std::io::Error| error.raw_os_error() == Some(libc::EMFILE);
    assert!(exhausted(&Io::new().unwrap_err()));
    let address = listener.local_addr().unwrap();
    assert!(exhausted(&TcpListener::bind(io, address).unwrap_err()));
    let count = Rc::new(Cell::new(0));
    io.connect(Rc::clone(&count), address, move |count, _io, result| {
        assert!(exhausted(&result.unwrap_err()));
        count.set(count.get() + 1);
    });
    let context = Rc::clone(&count);
    io.accept(Rc::clone(listener), move |_listener, _io, result| {
        assert!(exhausted(&result.unwrap_err()), "a single accept is told");
        context.set(context.get() + 1);
    });
    for limited in [false, true] {
        let options = OpenOptions::new().read(true).no_magic_links(limited);
        io.open(Rc::clone(&count), "/dev/null", &options, move |count, _io, result| {
            // Where there is no openat2, no descriptor is asked for.
            let error = result.unwrap_err();
            assert!(exhausted(&error) || (limited && error.kind() == ErrorKind::Unsupported));
            count.set(count.get() + 1);
        });
    }
    io.open_directory(Rc::clone(&count), "/dev", move |count, _io, result| {
        assert!(exhausted(&result.unwrap_err()));
        count.set(count.get() + 1);
    });
    // What needs no descriptor goes on.
    io.metadata_at(Rc::clone(&count), "/dev/null", true, |count, _io, result| {
        result.unwrap();
        count.set(count.get() + 1);
    });
    io.run_for(Duration::from_secs(120)).unwrap();
    assert_eq!(count.get(), 6);
    // A loop that gets some of what it needs gives that back.
    let free = files.pop();
    for _ in 0..10 {
        assert!(exhausted(&Io::new().unwrap_err()));
    }
    drop(free);
    files.extend(File::open("/dev/null"));
    assert!(File::open("/dev/null").is_err());
}

#[test]
fn p37_accepting_goes_on_when_descriptors_are_free_again() {
    const CLIENTS: usize = 20;
    limit_descriptors();
    let io = Io::new().unwrap();
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let listener = Rc::new(TcpListener::bind(&io, any).unwrap());
    let address = listener.local_addr().unwrap();
    let _clients: Vec<_> =
        (0..CLIENTS).map(|_| std::net::TcpStream::connect(address).unwrap()).collect();
    let mut files = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        files.push(file);
    }
    assert_exhausted(&io, &listener, &mut files);
    let streams = Rc::new(RefCell::new(Vec::new()));
    let put = Rc::clone(&streams);
    let ended = Rc::new(RefCell::new(None));
    let end = Rc::clone(&ended);
    io.accept_each(
        listener,
        move |_listener, _io, stream| {
            put.borrow_mut().push(stream);
            if put.borrow().len() == CLIENTS { Next::Stop } else { Next::Continue }
        },
        move |_listener, _io, result| drop(end.replace(Some(result))),
    );
    let before = io.statistics().system_calls;
    io.run_for(Duration::from_millis(300)).unwrap();
    assert_eq!(streams.borrow().len(), 0);
    assert!(io.statistics().system_calls - before < 1000, "the loop spins");
    files.truncate(files.len() - 3);
    io.run_for(Duration::from_millis(300)).unwrap();
    assert!(streams.borrow().len() <= 3);
    assert!(ended.borrow().is_none(), "the listener goes on");
    drop(files);
    io.run_for(Duration::from_secs(120)).unwrap();
    assert_eq!(streams.borrow().len(), CLIENTS);
    ended.take().unwrap().unwrap();
    assert_eq!(io.in_flight(), 0);
}
