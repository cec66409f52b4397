//! The other ends of Unix sockets: sockets of the standard library on a real system, in the simulator those
//! of a second loop.

use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::net as std_unix;
use std::path::Path;
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};

use tigereye::{Io, Op, UnixDatagram, UnixListener, UnixStream};

use super::{PATIENCE, Place, at_once, is_simulated, receive_some, send_some, simulated_io, wait};

#[derive(Debug)]
pub(crate) enum UnixPeer {
    Real(std_unix::UnixStream),
    Simulated(Rc<UnixStream>, Rc<Io>),
}

impl UnixPeer {
    /// A stream of the loop's, and its peer.
    pub(crate) fn pair(io: &Io) -> (UnixStream, UnixPeer) {
        if !is_simulated() {
            let (near, far) = std_unix::UnixStream::pair().unwrap();
            far.set_read_timeout(Some(PATIENCE)).unwrap();
            return (UnixStream::from_std(io, near).unwrap(), UnixPeer::Real(far));
        }
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let path = format!("/tmp/peer-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let listener = Rc::new(UnixListener::bind(io, &path).unwrap());
        let far = UnixPeer::connect(&path).unwrap();
        let place: Place<UnixStream> = Place::default();
        let put = Rc::clone(&place);
        io.accept_unix(listener, move |_listener, _io, result| {
            put.replace(Some(result.unwrap().0));
        });
        while place.borrow().is_none() {
            io.poll().unwrap();
        }
        (place.take().unwrap(), far)
    }

    pub(crate) fn connect(path: impl AsRef<Path>) -> io::Result<UnixPeer> {
        let path = path.as_ref();
        if !is_simulated() {
            let stream = std_unix::UnixStream::connect(path)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            return Ok(UnixPeer::Real(stream));
        }
        let (io, place) = (simulated_io(), Place::default());
        io.connect_unix(Rc::clone(&place), path, |place, _io, result| {
            place.replace(Some(result));
        });
        let stream = Rc::new(wait(&io, &place)?);
        Ok(UnixPeer::Simulated(stream, io))
    }
}

impl Read for UnixPeer {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            UnixPeer::Real(stream) => stream.read(buf),
            UnixPeer::Simulated(stream, io) => receive_some(io, stream, buf),
        }
    }
}

impl Write for UnixPeer {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        match self {
            UnixPeer::Real(stream) => stream.write(buf),
            UnixPeer::Simulated(stream, io) => send_some(io, stream, buf),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[derive(Debug)]
pub(crate) enum UnixPeerListener {
    Real(std_unix::UnixListener),
    Simulated(Rc<UnixListener>, Rc<Io>),
}

impl UnixPeerListener {
    pub(crate) fn bind(path: impl AsRef<Path>) -> io::Result<UnixPeerListener> {
        let path = path.as_ref();
        if !is_simulated() {
            return std_unix::UnixListener::bind(path).map(UnixPeerListener::Real);
        }
        let io = simulated_io();
        let listener = Rc::new(UnixListener::bind(&io, path)?);
        Ok(UnixPeerListener::Simulated(listener, io))
    }

    /// Whether a connection waits.
    pub(crate) fn has_any(&self) -> bool {
        match self {
            UnixPeerListener::Real(listener) => {
                listener.set_nonblocking(true).unwrap();
                listener.accept().is_ok()
            }
            UnixPeerListener::Simulated(listener, io) => {
                let place = Place::default();
                let put = Rc::clone(&place);
                let end = move |_listener, _io: &Io, result: io::Result<_>| {
                    put.replace(Some(result.map(drop)));
                };
                at_once(io, &place, io.accept_unix(Rc::clone(listener), end)).is_ok()
            }
        }
    }
}

#[derive(Debug)]
pub(crate) enum UnixDatagramPeer {
    Real(std_unix::UnixDatagram),
    Simulated(Rc<UnixDatagram>, Rc<Io>),
}

impl UnixDatagramPeer {
    pub(crate) fn bind(path: impl AsRef<Path>) -> io::Result<UnixDatagramPeer> {
        let path = path.as_ref();
        if !is_simulated() {
            let socket = std_unix::UnixDatagram::bind(path)?;
            socket.set_read_timeout(Some(PATIENCE))?;
            return Ok(UnixDatagramPeer::Real(socket));
        }
        let io = simulated_io();
        Ok(UnixDatagramPeer::Simulated(Rc::new(UnixDatagram::bind(&io, path)?), io))
    }

    pub(crate) fn unbound() -> io::Result<UnixDatagramPeer> {
        if !is_simulated() {
            return std_unix::UnixDatagram::unbound().map(UnixDatagramPeer::Real);
        }
        let io = simulated_io();
        Ok(UnixDatagramPeer::Simulated(Rc::new(UnixDatagram::unbound(&io)?), io))
    }

    fn start_send(&self, bytes: &[u8], to: &Path) -> Option<(Op, Place<io::Result<usize>>)> {
        let UnixDatagramPeer::Simulated(socket, io) = self else { return None };
        let place = Place::default();
        let put = Rc::clone(&place);
        let end = move |_socket, _io: &Io, _buf, result| {
            put.replace(Some(result));
        };
        Some((io.send_to_unix(Rc::clone(socket), bytes.to_vec(), to, end), place))
    }

    pub(crate) fn send_to(&self, bytes: &[u8], to: impl AsRef<Path>) -> io::Result<usize> {
        let started = self.start_send(bytes, to.as_ref());
        match (self, started) {
            (UnixDatagramPeer::Simulated(_, io), Some((_op, place))) => wait(io, &place),
            (UnixDatagramPeer::Real(socket), _) => socket.send_to(bytes, to),
            (UnixDatagramPeer::Simulated(..), None) => Err(ErrorKind::Unsupported.into()),
        }
    }

    /// Sends, if that takes no waiting.
    pub(crate) fn try_send_to(&self, bytes: &[u8], to: impl AsRef<Path>) -> io::Result<usize> {
        let started = self.start_send(bytes, to.as_ref());
        match (self, started) {
            (UnixDatagramPeer::Simulated(_, io), Some((op, place))) => at_once(io, &place, op),
            (UnixDatagramPeer::Real(socket), _) => {
                socket.set_nonblocking(true)?;
                let sent = socket.send_to(bytes, to);
                socket.set_nonblocking(false)?;
                sent
            }
            (UnixDatagramPeer::Simulated(..), None) => Err(ErrorKind::Unsupported.into()),
        }
    }

    pub(crate) fn recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            UnixDatagramPeer::Real(socket) => socket.recv(buf),
            UnixDatagramPeer::Simulated(socket, io) => receive_some(io, socket, buf),
        }
    }

    /// Whether nothing is there to receive.
    #[cfg(target_os = "linux")]
    pub(crate) fn is_empty(&self) -> bool {
        const MOMENT: std::time::Duration = std::time::Duration::from_millis(1);
        match self {
            UnixDatagramPeer::Real(socket) => {
                socket.set_nonblocking(true).unwrap();
                let result = socket.recv(&mut [0; 8]);
                socket.set_nonblocking(false).unwrap();
                result.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
            }
            UnixDatagramPeer::Simulated(socket, io) => {
                let place: Place<io::Result<()>> = Place::default();
                let put = Rc::clone(&place);
                let op = io.readable(Rc::clone(socket), move |_socket, _io, result| {
                    put.replace(Some(result));
                });
                io.deadline(op, MOMENT);
                wait(io, &place).is_err()
            }
        }
    }
}
