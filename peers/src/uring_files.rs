//! The hand-written io_uring server of a file: one ring, one thread, a chain of entries an answer.
//!
//! ```text
//!   --body read     head ─▶ read ─▶ send ─▶ read ─▶ send …      through one slot of --chunk bytes
//!          splice   head ─▶ file to pipe ─▶ pipe to socket      no copy; on the kernel's workers
//! ```
//!
//! Which is fastest is not the same in every cell and run, on two cores of an AMD Zen 3 and Linux
//! 6.18. At one connection it is to read all of 1 MiB at once, with 1.1 times the rate of splices
//! and 1.5 of pieces of 64 KiB; at 64 connections each of the three has been first. Pieces of 128 and
//! 256 KiB are behind both. So the harness has all three. Entries before the last say that more
//! follows (`MSG_MORE`): without, reading all at once had half its rate at one connection.
//!
//! A chain is handed over by one system call, and each entry of it begins when the one before has
//! done all that it was to do; an entry that fails or falls short cancels the rest. What a file has
//! beyond [`CHAIN_MAX`] is the next chain's. Every entry completes, and a connection goes on when
//! all of its entries have.
//!
//! A connection is known by the number of its direct descriptor, and has two slots of its own: what
//! is received, and then the contents; and the head.

use crate::args::{Args, fail};
use crate::server::Contents;
use crate::service::{Page, Service};
use crate::sys::arena::Arena;
use crate::sys::net::Pipe;
use crate::sys::ring::{self, Completion, Port, RecvHow, SlotRange};
use std::io;
use std::net::TcpListener;
use std::os::fd::{AsRawFd, OwnedFd};

/// Connections, at most.
const FILES: u32 = 1024;
const ENTRIES: u32 = 4096;
/// Bytes of the file that one chain sends.
const CHAIN_MAX: u64 = 1 << 20;

const ACCEPT: u64 = 1 << 32;
const RECV: u64 = 2 << 32;
/// An entry of a chain, with the bytes that it was to move in the low half of what is above.
const LINK: u64 = 3 << 32;
const TERMINATE: u64 = 4 << 32;
const IGNORED: u64 = 5 << 32;
const KIND: u64 = 0xf << 32;
/// The bytes that an entry of a chain is to move stand above its kind.
const BYTES_SHIFT: u32 = 36;

/// How the contents go out.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Body {
    /// Read into a slot of so many bytes, and sent from there.
    Read(u32),
    /// From the file into a pipe of the connection's, and from there to the socket.
    Splice,
}

impl Body {
    /// Reads the flags.
    #[must_use]
    pub fn from_args(args: &mut Args) -> Self {
        let chunk = args.get("chunk", 1 << 20);
        if !(4096..=1 << 20).contains(&chunk) {
            fail("--chunk: 4096 to 1048576");
        }
        match args.get("body", "read".to_owned()).as_str() {
            "read" => Self::Read(chunk),
            "splice" => Self::Splice,
            other => fail(&format!("--body {other}: read or splice")),
        }
    }
}

#[derive(Default)]
struct Connection {
    open: bool,
    failed: bool,
    /// Close when all is sent.
    ended: bool,
    /// The service was cut short by the contents.
    more: bool,
    /// Operations that will still complete.
    pending: u32,
    /// Bytes of the head that are to be sent.
    head: u32,
    /// Where the contents go on, while they are being sent.
    sent: Option<u64>,
    pipe: Option<Pipe>,
    state: <Page as Service>::State,
}

struct Server<'r> {
    listener: i32,
    file: &'r Contents,
    page: Page,
    body: Body,
    port: Port<'r>,
    connections: Vec<Connection>,
    accepting: bool,
    stopping: bool,
    live: u32,
}

/// Serves until SIGTERM.
pub fn serve(
    listener: &TcpListener,
    signal: &OwnedFd,
    file: &Contents,
    body: Body,
) -> io::Result<()> {
    let mut ring = ring::build(ENTRIES)?;
    let slot = if let Body::Read(chunk) = body { chunk } else { 4096 };
    let mut port = Port::new(&mut ring, Arena::new(2 * FILES, slot), FILES)?;
    port.poll_in(signal.as_raw_fd(), false, TERMINATE);
    let mut server = Server {
        listener: listener.as_raw_fd(),
        file,
        page: Page::file(file.length),
        body,
        port,
        connections: (0..FILES).map(|_| Connection::default()).collect(),
        accepting: false,
        stopping: false,
        live: 0,
    };
    server.run()
}

fn link_tag(at: u32, bytes: u32) -> u64 {
    u64::from(bytes) << BYTES_SHIFT | LINK | u64::from(at)
}

impl Server<'_> {
    fn run(&mut self) -> io::Result<()> {
        while !self.stopping || self.live > 0 {
            if !self.accepting && !self.stopping {
                self.accepting = true;
                self.port.accept_multi(self.listener, ACCEPT);
            }
            self.port.enter(1)?;
            while let Some(completion) = self.port.next() {
                self.dispatch(completion)?;
            }
        }
        Ok(())
    }

    fn dispatch(&mut self, completion: Completion) -> io::Result<()> {
        let at = completion.tag as u32;
        match completion.tag & KIND {
            ACCEPT => return self.accepted(completion),
            RECV => self.received(at, completion.result),
            LINK => self.linked(at, (completion.tag >> BYTES_SHIFT) as i32, completion.result),
            TERMINATE => self.stop(),
            _ => {}
        }
        Ok(())
    }

    fn accepted(&mut self, completion: Completion) -> io::Result<()> {
        if !completion.more() {
            // Armed again by the next turn, or, without descriptors, when one is free again.
            let full = [-libc::EMFILE, -libc::ENFILE].contains(&completion.result);
            self.accepting = full && self.live > 0;
        }
        if completion.result < 0 {
            return Ok(());
        }
        let at = completion.result as u32;
        // The pipe of a connection before it under this number is empty, or was dropped.
        let pipe = match (self.body, self.connections[at as usize].pipe.take()) {
            (Body::Splice, None) => Some(Pipe::new(CHAIN_MAX as u32)?),
            (_, pipe) => pipe,
        };
        self.connections[at as usize] = Connection { open: true, pipe, ..Connection::default() };
        self.live += 1;
        if self.stopping {
            self.fail(at)
        } else {
            self.receive(at)
        }
        Ok(())
    }

    fn receive(&mut self, at: u32) {
        self.connections[at as usize].pending += 1;
        let how = RecvHow { poll_first: true, discard: false };
        self.port.recv_slot(at, 2 * at, 4096, how, RECV | u64::from(at));
    }

    fn received(&mut self, at: u32, result: i32) {
        let connection = &mut self.connections[at as usize];
        connection.pending -= 1;
        match u32::try_from(result) {
            Ok(len @ 1..) if !connection.failed => self.respond(at, len),
            _ => self.close(at),
        }
    }

    /// Answers `len` bytes that were received, and what is left of those before.
    fn respond(&mut self, at: u32, len: u32) {
        let connection = &mut self.connections[at as usize];
        let (input, room) = self.port.arena_mut().pair(2 * at, len, 2 * at + 1);
        let response = self.page.respond(&mut connection.state, input, room);
        connection.head = response.len as u32;
        connection.sent = response.contents.then_some(0);
        connection.more = response.more;
        connection.ended |= response.close;
        if response.len > 0 { self.send(at) } else { self.receive(at) }
    }

    /// Hands over a chain: the head, if it is still to be sent, and a part of the contents.
    fn send(&mut self, at: u32) {
        let connection = &mut self.connections[at as usize];
        let head = std::mem::take(&mut connection.head);
        let (begin, end) = match connection.sent {
            Some(sent) => (sent, self.file.length.min(sent + CHAIN_MAX)),
            None => (0, 0),
        };
        connection.sent = connection.sent.map(|_| end);
        let chunk = if let Body::Read(chunk) = self.body { chunk } else { CHAIN_MAX as u32 };
        let parts = (end - begin).div_ceil(u64::from(chunk)) as u32;
        connection.pending += u32::from(head > 0) + 2 * parts;
        self.port.reserve(1 + 2 * parts);
        if head > 0 {
            let bytes = SlotRange { slot: 2 * at + 1, offset: 0, len: head };
            self.port.send_linked(at, bytes, parts > 0, link_tag(at, head));
        }
        for offset in (begin..end).step_by(chunk as usize) {
            let len = (end - offset).min(u64::from(chunk)) as u32;
            let (more, tag) = (offset + u64::from(len) < end, link_tag(at, len));
            let file = self.file.file.as_raw_fd();
            if let Some(pipe) = &self.connections[at as usize].pipe {
                self.port.splice_in(file, offset, pipe.input(), len, tag);
                self.port.splice_out(pipe.output(), at, len, more, tag);
            } else {
                let bytes = SlotRange { slot: 2 * at, offset: 0, len };
                self.port.read_linked(file, offset, bytes, tag);
                self.port.send_linked(at, bytes, more, tag);
            }
        }
    }

    /// An entry of a chain has completed; all of it, if it moved what it was to.
    fn linked(&mut self, at: u32, wanted: i32, result: i32) {
        let connection = &mut self.connections[at as usize];
        connection.pending -= 1;
        connection.failed |= result != wanted;
        if connection.pending > 0 {
            return;
        }
        if connection.failed {
            // What it holds belongs to nobody.
            connection.pipe = None;
            return self.close(at);
        }
        if connection.sent.is_some_and(|sent| sent < self.file.length) {
            return self.send(at);
        }
        connection.sent = None;
        match (connection.ended, std::mem::take(&mut connection.more)) {
            (true, _) => self.close(at),
            (false, true) => self.respond(at, 0),
            (false, false) => self.receive(at),
        }
    }

    /// Gives a connection up: its operations are made to end, then it is closed.
    fn fail(&mut self, at: u32) {
        let connection = &mut self.connections[at as usize];
        if !connection.open || std::mem::replace(&mut connection.failed, true) {
            return;
        }
        match connection.pending {
            0 => self.close(at),
            _ => self.port.shutdown(at, IGNORED),
        }
    }

    fn close(&mut self, at: u32) {
        let connection = &mut self.connections[at as usize];
        connection.open = false;
        self.port.close(at, IGNORED);
        self.live -= 1;
        // An accept that ended for want of descriptors is armed again.
        self.accepting &= self.live > 0;
    }

    fn stop(&mut self) {
        self.stopping = true;
        self.port.cancel(ACCEPT, IGNORED);
        (0..FILES).for_each(|at| self.fail(at));
    }
}
