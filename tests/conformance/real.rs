//! Connections to sockets of the standard library: for tests that use them on a thread, or as what
//! they are. They are not for the simulator (`simulated.rs`).

use std::rc::Rc;

use tigereye::{Io, TcpStream};

use crate::{HANG, any};

/// A connection between two sockets of the standard library.
pub(crate) fn std_pair() -> (std::net::TcpStream, std::net::TcpStream) {
    let listener = std::net::TcpListener::bind(any()).unwrap();
    let near = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (far, _) = listener.accept().unwrap();
    near.set_read_timeout(Some(HANG)).unwrap();
    far.set_read_timeout(Some(HANG)).unwrap();
    (near, far)
}

/// A connection from the loop to a socket of the standard library.
pub(crate) fn pair(io: &Io) -> (TcpStream, std::net::TcpStream) {
    let (near, far) = std_pair();
    (TcpStream::from_std(io, near).unwrap(), far)
}

/// As [`pair`], shared.
pub(crate) fn shared_pair(io: &Io) -> (Rc<TcpStream>, std::net::TcpStream) {
    let (near, far) = pair(io);
    (Rc::new(near), far)
}

/// As [`pair`], with buffers that hold little of what is sent.
pub(crate) fn small_pair(io: &Io) -> (Rc<TcpStream>, std::net::TcpStream) {
    let (near, far) = std_pair();
    socket2::SockRef::from(&near).set_send_buffer_size(65_536).unwrap();
    socket2::SockRef::from(&far).set_recv_buffer_size(65_536).unwrap();
    (Rc::new(TcpStream::from_std(io, near).unwrap()), far)
}
