//! What a loop's end gives back: all memory, whatever was in flight.

use std::rc::Rc;
use std::time::Duration;

use tigereye::{AsSource, BufferPool, ConnectOptions, Io, Next, Source, TcpListener, TcpStream};

use crate::counting::{left, unwatch, watch};

/// A context that lies in a block of its own, for it does not fit a slot.
struct Large(Rc<TcpStream>, #[expect(dead_code, reason = "it makes the context large")] [u8; 500]);

impl AsSource for Large {
    fn as_source(&self) -> &Source {
        self.0.as_source()
    }
}

fn end_with_operations_in_flight() {
    let io = Io::new().expect("a loop");
    let any = "127.0.0.1:0".parse().expect("an address");
    let listener = Rc::new(TcpListener::bind(&io, any).expect("a port is free"));
    let address = listener.local_addr().expect("it is bound");
    let peer = std::net::TcpStream::connect(address).expect("the listener is there");
    let pool = BufferPool::new(&io, 4, 1000).expect("a pool");
    io.accept(Rc::clone(&listener), move |listener, io, result| {
        let stream = Rc::new(result.expect("the peer connects").0);
        let large = || Large(Rc::clone(&stream), [0; 500]);
        io.recv(large(), Vec::with_capacity(10), |_large, _io, _buf, _result| {});
        io.recv(large(), Vec::with_capacity(10), |_large, _io, _buf, _result| {});
        io.recv_each(large(), &pool, |_l, _io, _buf| Next::Continue, |_l, _io, _result| {});
        io.readable(large(), |_large, _io, _result| {});
        io.send_all(large(), vec![0; 10 << 20], |_large, _io, _buf, _result| {});
        io.send_all_vectored(large(), vec!["x"; 40], |_large, _io, _bufs, _result| {});
        io.timeout(large(), Duration::MAX, |_large, _io, _result| {});
        let tick = |_large: &mut Large, _io: &Io, _periods| Next::Continue;
        io.tick_each(large(), Duration::MAX, tick, |_large, _io, _result| {});
        io.event(large(), |_large, _io, _result| {});
        io.connect(large(), address, |_large, _io, _result| {});
        io.connect_with(large(), address, &ConnectOptions::new(), |_large, _io, _result| {});
        let each = |_listener: &mut Rc<TcpListener>, _io: &Io, _stream| Next::Continue;
        io.accept_each(listener, each, |_listener, _io, _result| {});
        io.next(large(), |_large, _io| {});
        io.stop();
    });
    io.run().expect("the loop runs");
    drop(io);
    drop(peer);
}

pub(crate) fn all_memory_comes_back() {
    // What is allocated once a process.
    end_with_operations_in_flight();
    watch();
    end_with_operations_in_flight();
    unwatch();
    assert_eq!(left(), 0, "allocations that are not freed");
}
