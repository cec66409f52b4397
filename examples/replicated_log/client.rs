//! A client: puts records one after another, each until it is acknowledged. What comes again has the
//! same number, and the cluster has it once.

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use tigereye::{AsSource, Io, Source, TcpStream};

use crate::wire::{Body, Incoming, Message, prepared};

/// How long an answer may take, and how long it waits before it asks again.
const ANSWER: Duration = Duration::from_secs(1);
const AGAIN: Duration = Duration::from_millis(50);

pub(crate) struct Options {
    pub(crate) id: u64,
    /// Those of all nodes.
    pub(crate) addresses: Vec<SocketAddr>,
    /// How long it waits after each answer.
    pub(crate) pause: Duration,
    /// How many of its records were acknowledged: a client that begins again goes on there.
    pub(crate) acknowledged: Cell<u64>,
    /// It ends after so many.
    pub(crate) records: Cell<u64>,
    /// Hears of each: the record, and its index in the log.
    pub(crate) observer: Box<dyn Fn(u64, u64)>,
}

/// What is in a record: it can be told by its number.
pub(crate) fn payload(client: u64, sequence: u64) -> Rc<[u8]> {
    let len = 8 + (client * 31 + sequence * 17) % 600;
    let byte = |at: u64| (at.wrapping_mul(client + 1).wrapping_add(sequence)) as u8;
    (0..len).map(byte).collect()
}

pub(crate) fn start(io: &Io, options: Rc<Options>) {
    let at = options.id as usize % options.addresses.len();
    Client { options, at, requests: 0 }.connect(io);
}

struct Client {
    options: Rc<Options>,
    /// Whom it takes for the leader.
    at: usize,
    requests: u64,
}

impl Client {
    fn connect(self, io: &Io) {
        let address = self.options.addresses[self.at];
        let op = io.connect(self, address, |client, io, result| match result.and_then(prepared) {
            Ok(stream) => {
                Session { client, stream, incoming: Incoming::default() }.put(io);
            }
            Err(_) => client.turn(io, None),
        });
        io.deadline(op, ANSWER);
    }

    /// Goes to somebody else, in a while.
    fn turn(mut self, io: &Io, leader: Option<u8>) {
        let next = (self.at + 1) % self.options.addresses.len();
        let named = leader.map(usize::from).filter(|&id| id < self.options.addresses.len());
        self.at = named.unwrap_or(next);
        io.timeout(self, AGAIN, |client, io, _result| client.connect(io));
    }
}

struct Session {
    client: Client,
    stream: TcpStream,
    incoming: Incoming,
}

impl AsSource for Session {
    fn as_source(&self) -> &Source {
        self.stream.as_source()
    }
}

impl Session {
    fn put(mut self, io: &Io) {
        let options = &self.client.options;
        let sequence = options.acknowledged.get() + 1;
        if sequence > options.records.get() {
            return;
        }
        self.client.requests += 1;
        let payload = payload(options.id, sequence);
        let body = Body::Put { client: options.id, sequence, payload };
        let message = Message { number: self.client.requests, body };
        let op = io.send_all(self, message.frame(), |session, io, _frame, result| match result {
            Ok(()) => session.receive(io),
            Err(_) => session.client.turn(io, None),
        });
        io.deadline(op, ANSWER);
    }

    fn receive(mut self, io: &Io) {
        let room = self.incoming.room();
        let op = io.recv(self, room, |mut session, io, bytes, result| {
            session.incoming.give(bytes);
            match result {
                Ok(1..) => session.take(io),
                _ => session.client.turn(io, None),
            }
        });
        io.deadline(op, ANSWER);
    }

    fn take(mut self, io: &Io) {
        let message = match self.incoming.next() {
            Ok(Some(message)) => message,
            Ok(None) => return self.receive(io),
            Err(_) => return self.client.turn(io, None),
        };
        match message.body {
            // An answer to something else.
            _ if message.number != self.client.requests => self.take(io),
            Body::Done { index } => {
                let options = &self.client.options;
                let sequence = options.acknowledged.get() + 1;
                options.acknowledged.set(sequence);
                (options.observer)(sequence, index);
                let pause = options.pause;
                io.timeout(self, pause, |session, io, _result| session.put(io));
            }
            Body::Elsewhere { leader } => self.client.turn(io, leader),
            _ => self.client.turn(io, None),
        }
    }
}
