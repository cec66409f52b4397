//! The end of a connection that the loop under test has, looked at past the operation: by a second
//! descriptor of the system's; in the simulator, where nobody else has one, by other operations.

use std::cell::Cell;
use std::net::{Shutdown, SocketAddr};
use std::rc::{Rc, Weak};

use tigereye::{AsSource, Io, Source, TcpStream, UdpSocket};

use crate::bench::Bench;

/// A handle of the loop's.
#[derive(Clone)]
pub(crate) struct On(pub(crate) Rc<dyn AsSource>);

impl AsSource for On {
    fn as_source(&self) -> &Source {
        self.0.as_source()
    }
}

/// The near end in the simulator.
pub(crate) struct Near {
    on: On,
    /// The loop goes when its test drops it.
    io: Weak<Io>,
    pub(crate) stream: Option<Rc<TcpStream>>,
    pub(crate) datagrams: Option<Rc<UdpSocket>>,
}

impl Near {
    pub(crate) fn new(b: &Bench, on: Rc<dyn AsSource>) -> Near {
        Near { on: On(on), io: Rc::downgrade(&b.io), stream: None, datagrams: None }
    }

    fn io(&self) -> Rc<Io> {
        self.io.upgrade().expect("the loop is there")
    }

    /// It is made in this call, and has no callback to wait for.
    pub(crate) fn shut(&self, how: Shutdown) {
        self.io().shutdown(self.on.clone(), how, |_on, _io, result| result.unwrap());
    }

    /// Gives a socket of datagrams a peer.
    pub(crate) fn connect(&self, peer: SocketAddr) {
        self.datagrams.as_ref().unwrap().connect(peer).unwrap();
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.datagrams.as_ref().unwrap().local_addr().unwrap()
    }

    pub(crate) fn send(&self, bytes: &'static [u8]) {
        self.io().send(self.on.clone(), bytes, |_on, _io, _buf, result| {
            result.unwrap();
        });
    }

    /// What an operation says within a few turns, which is cancelled otherwise.
    fn soon<T: 'static>(
        &self,
        start: impl FnOnce(&Io, Rc<Cell<Option<T>>>) -> tigereye::Op,
    ) -> Option<T> {
        let (io, place) = (self.io(), Rc::default());
        let op = start(&io, Rc::clone(&place));
        (0..3).for_each(|_| io.poll().unwrap());
        let said = place.take();
        io.cancel(op);
        (0..3).for_each(|_| io.poll().unwrap());
        said
    }

    pub(crate) fn has_room(&self) -> bool {
        let on = self.on.clone();
        self.soon(|io, place| io.writable(on, move |_on, _io, result| place.set(result.ok())))
            .is_some()
    }

    pub(crate) fn has_any(&self) -> bool {
        let on = self.on.clone();
        self.soon(|io, place| io.readable(on, move |_on, _io, result| place.set(result.ok())))
            .is_some()
    }

    /// What has come, up to 64 bytes, or that there is nothing; the end is nothing, too.
    pub(crate) fn take(&self) -> Vec<u8> {
        let on = self.on.clone();
        let room = Vec::with_capacity(64);
        let taken = self.soon(|io, place| {
            io.recv(on, room, move |_on, _io, buf, result| place.set(result.ok().map(|_| buf)))
        });
        taken.unwrap_or_default()
    }

    /// Whether it cannot be received from.
    pub(crate) fn is_shut(&self) -> bool {
        let on = self.on.clone();
        let room = vec![0; 1].into_boxed_slice();
        let said = self.soon(|io, place| {
            io.recv(on, room, move |_on, _io, _buf, result| {
                let is_cancelled = result.as_ref().is_err_and(tigereye::is_cancelled);
                place.set((!is_cancelled).then(|| result.is_ok_and(|count| count > 0)));
            })
        });
        said == Some(false)
    }
}
