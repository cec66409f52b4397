//! No descriptor is left. Alone in its process, for it takes them all.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::cell::RefCell;
use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use tigereye::{Io, Next, TcpListener};

#[expect(unsafe_code, reason = "setrlimit(2)")]
fn limit_descriptors() {
    let limit = libc::rlimit { rlim_cur: 128, rlim_max: 128 };
    // SAFETY: the limit is a valid value for the length of the call.
    let result = unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) };
    assert_eq!(result, 0);
}

#[test]
fn p37_accepting_goes_on_when_descriptors_are_free_again() {
    const CLIENTS: usize = 20;
    limit_descriptors();
    let io = Io::new().unwrap();
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let listener = TcpListener::bind(&io, any).unwrap();
    let address = listener.local_addr().unwrap();
    let _clients: Vec<_> =
        (0..CLIENTS).map(|_| std::net::TcpStream::connect(address).unwrap()).collect();
    let mut files = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        files.push(file);
    }
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
    io.run_for(Duration::from_secs(30)).unwrap();
    assert_eq!(streams.borrow().len(), CLIENTS);
    ended.take().unwrap().unwrap();
    assert_eq!(io.in_flight(), 0);
}
