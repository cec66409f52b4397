//! What an operation meets: handles, peers, and how to bring about what it waits for.

use std::any::Any;
use std::cell::RefCell;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::rc::Rc;
use std::sync::mpsc;
use std::time::Duration;

use socket2::{Domain, SockRef, Socket, Type};
use tigereye::{AsSource, BufferPool, ListenOptions, Trigger, UdpSocket};

use crate::bench::{Bench, HANG, Kept, shown};
#[cfg(unix)]
use crate::files::Ground;
use crate::near::Near;
use crate::patient::read_some;
use crate::peer::{Peer, PeerListener, UdpPeer, fill_backlog, is_simulated};
use crate::scratch::Scratch;
#[cfg(unix)]
use crate::system::raise;
use crate::system::{ENDED, FAILED, READABLE, WRITABLE, has, is_shut, send_now, settle};
use crate::table::{Family, Operation};

/// Whether what an operation is to wait for is there from the start.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    There,
    Later,
}

pub(crate) struct Scene {
    pub(crate) when: When,
    /// An operation waits for it, and may have it before anybody can look.
    pub(crate) awaited: bool,
    /// The handle that the operation uses, and a second descriptor of it to look at.
    pub(crate) on: Option<Rc<dyn AsSource>>,
    pub(crate) watch: Option<Socket>,
    /// In its place in the simulator.
    pub(crate) near: Option<Near>,
    pub(crate) peer: Option<Peer>,
    pub(crate) unix_peer: Option<Socket>,
    /// The other end where there is no connection: datagrams.
    pub(crate) far: Option<UdpPeer>,
    /// Where the file of a Unix socket is.
    pub(crate) directory: Option<Scratch>,
    /// What lies in the way of what is sent.
    pub(crate) in_the_way: usize,
    /// Where to connect to, or to send a datagram to, and who is there.
    pub(crate) address: SocketAddr,
    pub(crate) listener: Option<PeerListener>,
    /// What to send; the room to receive into; how much of it exactly.
    pub(crate) bytes: Vec<u8>,
    pub(crate) room: usize,
    pub(crate) exact: usize,
    /// Into how long datagrams it is split.
    pub(crate) segment: u16,
    /// For how many passed descriptors there is room.
    pub(crate) descriptors: usize,
    pub(crate) pool: Option<BufferPool>,
    /// Whether received buffers are kept, and those that were.
    pub(crate) keeps: bool,
    pub(crate) kept: Kept,
    pub(crate) kept_datagrams: Rc<RefCell<Vec<Box<dyn Any>>>>,
    /// Whether a flow stops at its first item.
    pub(crate) stops: bool,
    pub(crate) name: &'static str,
    /// Where the files are.
    #[cfg(unix)]
    pub(crate) ground: Option<Ground>,
    pub(crate) trigger: Option<Trigger>,
    /// Lets an offloaded call go.
    pub(crate) release: Option<mpsc::Sender<()>>,
    pub(crate) others: Vec<Box<dyn Any>>,
}

pub(crate) fn any() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 0))
}

fn socket() -> Socket {
    Socket::new(Domain::IPV4, Type::STREAM, None).unwrap()
}

fn bound() -> (Socket, SocketAddr) {
    let socket = socket();
    socket.bind(&any().into()).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    (socket, address)
}

/// A port that nobody else gets and nobody listens on.
pub(crate) fn refusing() -> (Socket, SocketAddr) {
    bound()
}

/// A port where somebody listened, and no longer does.
pub(crate) fn given_up() -> (Socket, SocketAddr) {
    let (socket, address) = bound();
    socket.listen(16).unwrap();
    socket.shutdown(Shutdown::Read).unwrap();
    (socket, address)
}

/// Ends a connection with a reset.
pub(crate) fn reset(peer: Peer) {
    peer.set_linger(Some(Duration::ZERO)).unwrap();
    drop(peer);
}

/// A listener that answers nobody, because its backlog is full.
fn full_listener() -> (SocketAddr, Vec<Box<dyn Any>>) {
    let (listener, address) = bound();
    listener.listen(1).unwrap();
    let mut others: Vec<Box<dyn Any>> = Vec::new();
    for number in 0..8 {
        let socket = socket();
        socket.set_nonblocking(true).unwrap();
        let _in_progress = socket.connect(&address.into());
        if number < 2 {
            settle(&socket, WRITABLE);
        }
        others.push(Box::new(socket));
    }
    others.push(Box::new(listener));
    (address, others)
}

/// A connection that takes some hundred kilobytes, of which a few reach the peer.
fn tight_pair() -> (Socket, Socket) {
    let (listener, address) = bound();
    listener.set_recv_buffer_size(8192).unwrap();
    listener.listen(1).unwrap();
    let near = socket();
    near.set_send_buffer_size(65_536).unwrap();
    near.set_tcp_nodelay(true).unwrap();
    near.connect(&address.into()).unwrap();
    let far = listener.accept().unwrap().0;
    (near, far)
}

/// Letters that tell their place.
pub(crate) fn pattern(len: usize) -> Vec<u8> {
    (b'a'..=b'z').cycle().take(len).collect()
}

impl Scene {
    pub(crate) fn nothing(when: When) -> Scene {
        Scene {
            when,
            awaited: false,
            on: None,
            watch: None,
            near: None,
            peer: None,
            unix_peer: None,
            far: None,
            directory: None,
            in_the_way: 0,
            address: any(),
            listener: None,
            bytes: b"hello".to_vec(),
            room: 8,
            exact: 5,
            segment: 8,
            descriptors: 1,
            pool: None,
            keeps: false,
            kept: Kept::default(),
            kept_datagrams: Rc::default(),
            stops: true,
            name: "",
            #[cfg(unix)]
            ground: None,
            trigger: None,
            release: None,
            others: Vec::new(),
        }
    }

    /// What `operation` meets in the ordinary case.
    pub(crate) fn of(b: &Bench, operation: Operation, when: When) -> Scene {
        let mut scene = Scene::nothing(when);
        let sends = operation.family() == Family::Send || operation == Operation::Writable;
        match operation.family() {
            Family::Connect => scene.expect_connections(b),
            Family::Own | Family::Signal | Family::Post | Family::DataFile => {}
            #[cfg(unix)]
            _ if operation.is_of_unix_datagrams() => scene.unix_datagrams(b),
            #[cfg(unix)]
            Family::Files => scene.lay(b, operation),
            Family::ReceiveFrom | Family::SendTo => scene.datagrams(b),
            #[cfg(unix)]
            Family::UnixDatagram => scene.unix_receiver(b, operation),
            #[cfg(unix)]
            Family::Unix => scene.unix(b, operation),
            #[cfg(windows)]
            Family::Files | Family::UnixDatagram | Family::Unix => {
                unreachable!("they have no cells")
            }
            _ if operation.accepts() => scene.listen(b),
            Family::Listen => unreachable!("all of them accept"),
            _ if sends && when == When::Later => scene.fill(b),
            _ => scene.connected(b),
        }
        if when == When::There && operation.receives() {
            scene.arrive(b, operation);
        }
        scene
    }

    /// A connection that takes nothing more.
    pub(crate) fn full(b: &Bench) -> Scene {
        let mut scene = Scene::nothing(When::Later);
        scene.fill(b);
        scene
    }

    fn expect_connections(&mut self, b: &Bench) {
        if self.when == When::Later && !is_simulated() {
            (self.address, self.others) = full_listener();
            return;
        }
        if self.when == When::Later {
            let options = ListenOptions::new().backlog(0);
            let listener = tigereye::TcpListener::bind_with(&b.io, any(), &options).unwrap();
            self.address = listener.local_addr().unwrap();
            self.others.extend([fill_backlog(self.address), Box::new(listener)]);
            return;
        }
        let listener = PeerListener::bind(any()).unwrap();
        self.address = listener.local_addr().unwrap();
        self.listener = Some(listener);
    }

    fn listen(&mut self, b: &Bench) {
        if is_simulated() {
            let listener = Rc::new(tigereye::TcpListener::bind(&b.io, any()).unwrap());
            self.address = listener.local_addr().unwrap();
            self.near = Some(Near::new(b, Rc::clone(&listener) as Rc<dyn AsSource>));
            self.on = Some(listener);
            return;
        }
        let listener = TcpListener::bind(any()).unwrap();
        self.address = listener.local_addr().unwrap();
        self.watch = Some(listener.try_clone().unwrap().into());
        self.on = Some(Rc::new(tigereye::TcpListener::from_std(&b.io, listener).unwrap()));
    }

    /// A connection by itself.
    pub(crate) fn stream(b: &Bench) -> Scene {
        let mut scene = Scene::nothing(When::There);
        scene.connected(b);
        scene
    }

    /// A connection to a simulated peer, which has so much room to receive.
    fn take_simulated(&mut self, b: &Bench, recv_buffer: Option<usize>) {
        let (stream, peer) = Peer::simulated_pair(&b.io, recv_buffer);
        let stream = Rc::new(stream);
        let mut near = Near::new(b, Rc::clone(&stream) as Rc<dyn AsSource>);
        near.stream = Some(Rc::clone(&stream));
        self.near = Some(near);
        self.on = Some(stream);
        self.peer = Some(peer);
        self.pool = Some(BufferPool::new(&b.io, 4, 8).unwrap());
    }

    fn connected(&mut self, b: &Bench) {
        if is_simulated() {
            return self.take_simulated(b, None);
        }
        let listener = TcpListener::bind(any()).unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        self.take(b, near, listener.accept().unwrap().0);
    }

    fn take(&mut self, b: &Bench, near: TcpStream, far: TcpStream) {
        far.set_read_timeout(Some(HANG)).unwrap();
        far.set_nodelay(true).unwrap();
        self.watch = Some(near.try_clone().unwrap().into());
        self.on = Some(Rc::new(tigereye::TcpStream::from_std(&b.io, near).unwrap()));
        self.peer = Some(Peer::Real(far));
        self.pool = Some(BufferPool::new(&b.io, 4, 8).unwrap());
    }

    fn datagrams(&mut self, b: &Bench) {
        let far = UdpPeer::bind(any()).unwrap();
        far.set_read_timeout(Some(HANG)).unwrap();
        self.address = far.local_addr().unwrap();
        self.far = Some(far);
        if is_simulated() {
            let socket = Rc::new(UdpSocket::bind(&b.io, any()).unwrap());
            let mut near = Near::new(b, Rc::clone(&socket) as Rc<dyn AsSource>);
            near.datagrams = Some(Rc::clone(&socket));
            self.near = Some(near);
            self.on = Some(socket);
        } else {
            let near = std::net::UdpSocket::bind(any()).unwrap();
            self.watch = Some(near.try_clone().unwrap().into());
            self.on = Some(Rc::new(UdpSocket::from_std(&b.io, near).unwrap()));
        }
        self.pool = Some(BufferPool::new(&b.io, 4, 72 + 8).unwrap());
    }

    pub(crate) fn far(&self) -> &UdpPeer {
        self.far.as_ref().unwrap()
    }

    /// Has a socket whose peer takes no datagrams, because it wants another peer.
    pub(crate) fn connect_to_nobody(&self) {
        self.far().connect(self.address).unwrap();
        self.connect_own();
    }

    /// Gives the socket of datagrams its peer.
    pub(crate) fn connect_own(&self) {
        match &self.near {
            Some(near) => near.connect(self.address),
            None => self.watch().connect(&self.address.into()).unwrap(),
        }
    }

    /// Shuts a half of the near end down.
    pub(crate) fn shut_own(&self, how: Shutdown) {
        match &self.near {
            Some(near) => near.shut(how),
            None => self.watch().shutdown(how).unwrap(),
        }
    }

    /// Where the socket of datagrams is.
    pub(crate) fn own_address(&self) -> SocketAddr {
        match &self.near {
            Some(near) => near.address(),
            None => self.watch().local_addr().unwrap().as_socket().unwrap(),
        }
    }

    /// Whether the near end has room for more.
    pub(crate) fn has_room(&self) -> bool {
        match &self.near {
            Some(near) => near.has_room(),
            None => has(self.watch(), WRITABLE),
        }
    }

    /// Whether the near end can be looked at.
    pub(crate) fn is_watched(&self) -> bool {
        self.near.is_some() || self.watch.is_some()
    }

    /// Looks at the near end no more, which would keep it open.
    pub(crate) fn let_go(&mut self) {
        (self.near, self.watch) = (None, None);
    }

    /// The peer sends a byte of urgent data.
    pub(crate) fn send_urgent(&mut self, byte: &[u8]) {
        let Some(Peer::Real(peer)) = &self.peer else { unreachable!("it is not simulated") };
        SockRef::from(peer).send_out_of_band(byte).unwrap();
    }

    /// A datagram that nobody takes; the system has its error.
    pub(crate) fn be_refused(&self) {
        match &self.near {
            Some(near) => near.send(b"lost"),
            None => assert_eq!(self.watch().send(b"lost").unwrap(), 4),
        }
        if !self.awaited {
            self.settle(FAILED);
        }
    }

    /// A connection whose peer does not read and has room for little.
    pub(crate) fn unread(b: &Bench) -> Scene {
        let mut scene = Scene::nothing(When::There);
        if is_simulated() {
            scene.take_simulated(b, Some(8192));
            return scene;
        }
        let (near, far) = tight_pair();
        scene.take(b, near.into(), far.into());
        scene
    }

    /// A connection that takes nothing more, because the peer does not read.
    fn fill(&mut self, b: &Bench) {
        if is_simulated() {
            self.take_simulated(b, Some(8192));
            let stream = self.near.as_ref().and_then(|near| near.stream.clone()).unwrap();
            while let Ok(count) = stream.send_now(&[0; 65_536]) {
                self.in_the_way += count;
            }
            return;
        }
        let (near, far) = tight_pair();
        loop {
            let (count, full) = send_now(&near, &far, &[0; 65_536]);
            self.in_the_way += count;
            if full {
                break;
            }
        }
        self.take(b, near.into(), far.into());
    }

    pub(crate) fn peer(&mut self) -> &mut Peer {
        self.peer.as_mut().unwrap()
    }

    pub(crate) fn unix_peer(&mut self) -> &mut Socket {
        self.unix_peer.as_mut().unwrap()
    }

    pub(crate) fn watch(&self) -> &Socket {
        self.watch.as_ref().unwrap()
    }

    /// The peer writes; the system has it.
    pub(crate) fn write(&mut self, bytes: &[u8]) {
        match &self.far {
            Some(far) => {
                let near = self.own_address();
                assert_eq!(far.send_to(bytes, near).unwrap(), bytes.len());
            }
            // An empty one is a datagram, too.
            None if self.directory.is_some() => {
                assert_eq!(self.unix_peer().send(bytes).unwrap(), bytes.len());
            }
            None => match &mut self.unix_peer {
                Some(peer) => peer.write_all(bytes).unwrap(),
                None => self.peer().write_all(bytes).unwrap(),
            },
        }
        if !self.awaited {
            self.settle(READABLE);
        }
    }

    /// Waits until the system has what the peer did: a simulated one has it at once.
    pub(crate) fn settle(&self, events: i16) {
        if self.near.is_some() {
            return;
        }
        settle(self.watch(), events);
    }

    /// The peer goes, in order.
    pub(crate) fn end(&mut self) {
        drop((self.peer.take(), self.unix_peer.take()));
        self.settle(ENDED);
    }

    /// The peer goes, with a reset.
    pub(crate) fn reset(&mut self) {
        match (self.peer.take(), self.unix_peer.take()) {
            (Some(peer), _) => reset(peer),
            (None, peer) => reset(Peer::Real(peer.unwrap().into())),
        }
        self.settle(FAILED);
    }

    /// What the operation waits for comes about; the system has it.
    pub(crate) fn arrive(&mut self, b: &Bench, operation: Operation) {
        #[cfg(unix)]
        if operation.family() == Family::Unix && self.directory.is_some()
            || operation == Operation::RecvDescriptors
        {
            return self.unix_arrive(operation);
        }
        #[cfg(unix)]
        if operation.family() == Family::Signal {
            return raise();
        }
        if operation.accepts() {
            let client = Peer::connect(self.address).unwrap();
            self.others.push(Box::new(client));
            if !self.awaited {
                self.settle(READABLE);
            }
        } else if operation.receives() {
            self.write(b"hello");
        } else if self.in_the_way > 0 {
            self.clear_the_way();
        } else if let Some(trigger) = self.trigger.take() {
            trigger.pull();
        } else if let Some(release) = self.release.take() {
            release.send(()).unwrap();
        } else {
            b.put("nothing can be made to arrive");
        }
    }

    /// The peer reads what lies in the way.
    fn clear_the_way(&mut self) {
        let mut bytes = vec![0; std::mem::take(&mut self.in_the_way)];
        match &mut self.unix_peer {
            Some(peer) => peer.read_exact(&mut bytes).unwrap(),
            None => self.peer().read_exact(&mut bytes).unwrap(),
        }
        self.settle(WRITABLE);
    }

    /// Closes the near end, and says what the peer still gets.
    pub(crate) fn tail(mut self, b: &Bench) {
        let mut peer: Box<dyn Read> = match (self.peer.take(), self.unix_peer.take()) {
            (Some(peer), _) => Box::new(peer),
            (None, peer) => Box::new(peer.unwrap()),
        };
        let in_the_way = self.in_the_way;
        drop(self);
        let mut bytes = Vec::new();
        let end = match peer.read_to_end(&mut bytes) {
            Ok(_) => String::new(),
            Err(error) => format!(" then {error}"),
        };
        b.put(format!("the peer has {}{end}", shown(bytes.get(in_the_way..).unwrap_or(b"?"))));
    }

    /// Says what has come and was not taken.
    pub(crate) fn left(&self, b: &Bench, operation: Operation) {
        if b.log.joined().contains("ECANCELED") {
            self.settle(READABLE);
        }
        if operation.accepts() {
            let has_any = match &self.near {
                Some(near) => near.has_any(),
                None => has(self.watch(), READABLE),
            };
            let left = if has_any { "a connection" } else { "none" };
            return b.put(format!("left: {left}"));
        }
        if let Some(near) = &self.near {
            return b.put(format!("left: {}", shown(&near.take())));
        }
        let (mut bytes, mut watch) = ([0; 64], self.watch());
        let count =
            if has(watch, READABLE) { read_some(&mut watch, &mut bytes).unwrap() } else { 0 };
        b.put(format!("left: {}", shown(&bytes[..count])));
    }

    /// Says whether the near end can be received from at all.
    pub(crate) fn state(&self, b: &Bench) {
        let is_shut = match &self.near {
            Some(near) => near.is_shut(),
            None => is_shut(self.watch()),
        };
        b.put(if is_shut { "shut" } else { "open" });
    }
}
