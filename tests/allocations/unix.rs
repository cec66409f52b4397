//! Unix sockets: datagrams, and descriptors that are passed.

use std::cell::Cell;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use tigereye::{BufferPool, Io, Next, UnixAddress, UnixDatagram, UnixStream};

use crate::counting::{unwatch, watch};
use crate::{MESSAGE_BYTES, OPERATIONS, WARM_MESSAGES, Window};

/// As [`ping`], by a Unix socket.
fn ping_unix(io: &Io, client: Rc<UnixDatagram>, to: UnixAddress, buf: Vec<u8>, mut window: Window) {
    io.send_to_unix(client, buf, to, move |client, io, mut buf, result| {
        assert_eq!(result.expect("it is sent"), MESSAGE_BYTES);
        buf.clear();
        io.recv_from_unix(client, buf, move |client, io, buf, result| {
            let received = result.expect("it is answered");
            window.received(received.len);
            if window.allocations.get().is_some() {
                return io.stop();
            }
            ping_unix(io, client, received.from, buf, window);
        });
    });
}

pub(crate) fn unix_datagrams() -> usize {
    let io = Io::new().expect("a loop");
    let pool = BufferPool::new(&io, 16, 4096).expect("a pool");
    let path = |name| {
        let name = format!("tigereye-allocations-{}-{name}", std::process::id());
        std::env::temp_dir().join(name)
    };
    let paths = [path("client"), path("server")];
    let [client, server] = [&paths[0], &paths[1]]
        .map(|path| Rc::new(UnixDatagram::bind(&io, path).expect("the path is free")));
    let address = server.local_addr().expect("it is bound");
    io.recv_from_unix_each(
        server,
        &pool,
        |server, io, datagram| {
            let from = datagram.from.clone();
            io.send_to_unix(
                Rc::clone(server),
                datagram,
                from,
                |_server, _io, _datagram, result| {
                    assert_eq!(result.expect("it is sent"), MESSAGE_BYTES);
                },
            );
            Next::Continue
        },
        |_server, _io, _result| {},
    );
    let allocations = Rc::new(Cell::new(None));
    let window = Window { received: 0, allocations: Rc::clone(&allocations) };
    ping_unix(&io, client, address, vec![7; MESSAGE_BYTES], window);
    io.run().expect("the loop runs");
    for path in paths {
        std::fs::remove_file(path).expect("it was bound");
    }
    allocations.get().expect("the window was closed")
}

/// One descriptor that goes round and round between two ends.
struct Passing {
    ends: [Rc<UnixStream>; 2],
    left: usize,
    allocations: Rc<Cell<usize>>,
}

impl Passing {
    fn pass(
        mut self,
        io: &Io,
        mut message: Vec<u8>,
        descriptors: Vec<OwnedFd>,
        room: Vec<OwnedFd>,
    ) {
        match self.left {
            OPERATIONS => watch(),
            0 => return self.allocations.set(unwatch()),
            _ => {}
        }
        self.left -= 1;
        let near = Rc::clone(&self.ends[0]);
        message.push(1);
        io.send_with_descriptors(
            near,
            message,
            descriptors,
            |_near, io, mut message, sent, result| {
                result.expect("there is room");
                message.clear();
                let far = Rc::clone(&self.ends[1]);
                io.recv_with_descriptors(
                    far,
                    message,
                    room,
                    |_far, io, mut message, passed, result| {
                        result.expect("it was sent");
                        message.clear();
                        let mut room = sent;
                        room.clear();
                        self.pass(io, message, passed, room);
                    },
                );
            },
        );
    }
}

pub(crate) fn passing() -> usize {
    let io = Io::new().expect("a loop");
    let (near, far) = UnixStream::pair(&io).expect("a pair");
    let allocations = Rc::new(Cell::new(usize::MAX));
    let (reader, _writer) = std::io::pipe().expect("a pipe");
    let ends = [near, far].map(Rc::new);
    let left = WARM_MESSAGES + OPERATIONS;
    let passing = Passing { ends, left, allocations: Rc::clone(&allocations) };
    passing.pass(&io, Vec::with_capacity(1), vec![reader.into()], Vec::with_capacity(1));
    io.run().expect("the loop runs");
    allocations.get()
}
