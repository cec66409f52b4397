//! The hand-written io_uring server: one ring, one thread, no abstraction in between.
//!
//! ```text
//!            ┌──────────────────────── one turn ────────────────────────┐
//!   enter ──▶ completions: accept, recv ─▶ queue ┐                       │
//!     ▲       sends that failed                  ├─▶ settle: sends done, │
//!     └─────── sends, receives, slots ◀──────────┘   next sends, refill ─┘
//! ```
//!
//! How bytes come in and go out is chosen by [`Tuning`], so that strategies are measured with the
//! same code around them. A connection is known by its descriptor's number, which is the index of
//! its state too: a number comes back from the kernel only after its close, and the close is sent
//! only when no operation of the connection is left.
//!
//! Invariants:
//! - I1 A slot is in exactly one place: the free stack, the provided ring, an armed receive, a
//!   connection's queue, or a connection's send.
//! - I2 At most one send per connection is under way, so bytes cannot be reordered.
//! - I3 A connection whose answers are not taken stops receiving at [`QUEUE_MAX`] chunks.

use crate::service::Service;
use crate::sys::arena::Arena;
use crate::sys::net;
use crate::sys::ring::{self, Completion, Port, RecvHow, SendKind, SlotRange};
use crate::tuning::{Receive, Sending, Tuning};
use std::collections::VecDeque;
use std::io;
use std::net::TcpListener;
use std::os::fd::{AsRawFd, OwnedFd};

const NONE: u32 = u32::MAX;
/// Chunks that a connection may have waiting before a multishot receive is taken back.
const QUEUE_MAX: u32 = 32;
/// Direct descriptors, when those are asked for.
const FILES: u32 = 16384;

const ACCEPT: u64 = 1 << 32;
const RECV: u64 = 2 << 32;
const SEND: u64 = 3 << 32;
const SEND_INLINE: u64 = 4 << 32;
const SHUTDOWN: u64 = 5 << 32;
const TERMINATE: u64 = 6 << 32;
const IGNORED: u64 = 7 << 32;

#[derive(Clone, Copy)]
struct Chunk {
    next: u32,
    offset: u32,
    len: u32,
}

struct Connection<S> {
    open: bool,
    /// A receive is armed.
    receiving: bool,
    /// The slot that a receive of [`Receive::Own`] writes to.
    recv_slot: u32,
    /// The peer has ended its side; what is queued is still sent.
    ended: bool,
    /// Nothing more is sent; waiting for the operations to end.
    failed: bool,
    /// In the list of connections that have something to do.
    dirty: bool,
    /// An inline send came back; the rest goes out by a send that waits.
    resend: bool,
    /// Operations that will still complete.
    pending: u32,
    queue_head: u32,
    queue_tail: u32,
    queued: u32,
    sending: u32,
    state: S,
}

impl<S: Default> Connection<S> {
    fn new(open: bool) -> Self {
        Self {
            open,
            receiving: false,
            recv_slot: NONE,
            ended: false,
            failed: false,
            dirty: false,
            resend: false,
            pending: 0,
            queue_head: NONE,
            queue_tail: NONE,
            queued: 0,
            sending: NONE,
            state: S::default(),
        }
    }
}

/// Serves until SIGTERM.
pub fn serve<S: Service>(
    listener: &TcpListener,
    signal: &OwnedFd,
    service: S,
    tuning: Tuning,
) -> io::Result<()> {
    let mut ring = ring::build(tuning.entries)?;
    let files = if tuning.direct { FILES } else { 0 };
    let mut port = Port::new(&mut ring, Arena::new(tuning.slots, tuning.slot_size), files)?;
    if tuning.receive != Receive::Own {
        port.register_provided((tuning.held as u16).next_power_of_two())?;
    }
    let mut server = Server {
        listener: listener.as_raw_fd(),
        accepting: false,
        stopping: false,
        pressing: false,
        live: 0,
        held: 0,
        free: (0..tuning.slots).rev().collect(),
        chunks: vec![Chunk { next: NONE, offset: 0, len: 0 }; tuning.slots as usize],
        connections: Vec::new(),
        sent: Vec::new(),
        dirty: Vec::new(),
        starved: VecDeque::new(),
        port,
        service,
        tuning,
    };
    server.port.poll_in(signal.as_raw_fd(), false, TERMINATE);
    server.run()
}

struct Server<'r, S: Service> {
    listener: i32,
    accepting: bool,
    stopping: bool,
    /// There is more to do for a connection once its inline send is handed over, which posts nothing
    /// to wake for.
    pressing: bool,
    live: u32,
    /// Slots in the provided ring now.
    held: u32,
    /// Free slots; the one used last is on top, and most likely still in the cache.
    free: Vec<u32>,
    chunks: Vec<Chunk>,
    connections: Vec<Connection<S::State>>,
    /// Connections with an inline send handed over by the next `enter`.
    sent: Vec<u32>,
    /// Connections that have something to do.
    dirty: Vec<u32>,
    /// Connections whose receive found no slot, the longest waiting first.
    starved: VecDeque<u32>,
    port: Port<'r>,
    service: S,
    tuning: Tuning,
}

impl<S: Service> Server<'_, S> {
    fn run(&mut self) -> io::Result<()> {
        while !self.stopping || self.live > 0 {
            self.settle();
            self.port.enter(usize::from(!std::mem::take(&mut self.pressing)))?;
            while let Some(completion) = self.port.next() {
                self.dispatch(completion);
            }
        }
        Ok(())
    }

    #[inline]
    fn dispatch(&mut self, completion: Completion) {
        let at = completion.tag as u32;
        match completion.tag & !0xffff_ffff {
            RECV => self.received(at, completion),
            SEND => self.send_completed(at, completion.result),
            SEND_INLINE => self.send_came_back(at, completion.result),
            ACCEPT => self.accepted(completion),
            SHUTDOWN => {
                self.connections[at as usize].pending -= 1;
                self.mark(at);
            }
            TERMINATE => self.stop(),
            _ => {}
        }
    }

    /// Everything between two calls of `enter`: inline sends that nothing came back from are
    /// done; connections with something to do do it; slots go back to the kernel.
    fn settle(&mut self) {
        let mut sent = std::mem::take(&mut self.sent);
        for at in sent.drain(..) {
            if !self.connections[at as usize].resend && !self.connections[at as usize].failed {
                self.finish_send(at);
            } else {
                self.mark(at);
            }
        }
        self.sent = sent;
        // Connections that become dirty meanwhile are added at the end, and have their turn too.
        let mut next = 0;
        while let Some(&at) = self.dirty.get(next) {
            self.connections[at as usize].dirty = false;
            self.advance(at);
            next += 1;
        }
        self.dirty.clear();
        if self.tuning.receive != Receive::Own {
            self.refill();
        }
        let room = match self.tuning.receive {
            Receive::Own => self.free.len(),
            _ => self.held as usize,
        };
        for _ in 0..room.min(self.starved.len()) {
            if let Some(at) = self.starved.pop_front() {
                self.arm(at);
            }
        }
        if !self.accepting && !self.stopping {
            self.accepting = true;
            self.port.accept_multi(self.listener, ACCEPT);
        }
    }

    fn refill(&mut self) {
        if self.held >= self.tuning.held {
            return;
        }
        while self.held < self.tuning.held {
            let Some(slot) = self.free.pop() else { break };
            self.port.provide(slot);
            self.held += 1;
        }
        self.port.publish();
    }

    fn mark(&mut self, at: u32) {
        let connection = &mut self.connections[at as usize];
        if !connection.dirty {
            connection.dirty = true;
            self.dirty.push(at);
        }
    }

    fn accepted(&mut self, completion: Completion) {
        if !completion.more() {
            // Armed again by the next turn, or, without descriptors, when one is free again.
            let full = [-libc::EMFILE, -libc::ENFILE].contains(&completion.result);
            self.accepting = full && self.live > 0;
        }
        if completion.result < 0 {
            return;
        }
        let at = completion.result as u32;
        while self.connections.len() <= at as usize {
            self.connections.push(Connection::new(false));
        }
        self.connections[at as usize] = Connection::new(true);
        self.live += 1;
        if self.stopping { self.fail(at) } else { self.arm(at) }
    }

    /// Arms a receive, by whichever strategy.
    fn arm(&mut self, at: u32) {
        let connection = &mut self.connections[at as usize];
        if !connection.open || connection.receiving || connection.ended || connection.failed {
            return;
        }
        let tag = RECV | u64::from(at);
        let poll_first = self.tuning.poll_first;
        match self.tuning.receive {
            Receive::Multi => self.port.recv_multi(at, tag),
            Receive::Select => self.port.recv_select(at, poll_first, tag),
            Receive::Own => {
                let Some(slot) = self.free.pop() else {
                    self.starved.push_back(at);
                    return;
                };
                connection.recv_slot = slot;
                let how = RecvHow { poll_first, discard: false };
                self.port.recv_slot(at, slot, self.tuning.slot_size, how, tag);
            }
        }
        connection.receiving = true;
        connection.pending += 1;
    }

    #[inline]
    fn received(&mut self, at: u32, completion: Completion) {
        let connection = &mut self.connections[at as usize];
        let slot = match self.tuning.receive {
            Receive::Own => Some(std::mem::replace(&mut connection.recv_slot, NONE)),
            _ => completion.slot().inspect(|_| self.held -= 1),
        };
        if !completion.more() {
            connection.receiving = false;
            connection.pending -= 1;
            if completion.result == -libc::ENOBUFS && !connection.failed {
                // Armed again when there are slots, not before: it would only fail again.
                self.starved.push_back(at);
                return;
            }
            self.mark(at);
        }
        let connection = &mut self.connections[at as usize];
        match (completion.result, slot) {
            (len @ 1.., Some(slot)) if !connection.failed => {
                self.deliver(at, slot, len as u32);
                return;
            }
            (0, _) => connection.ended = true,
            // Taken back because the queue was long.
            (result, _) if result == -libc::ECANCELED => {}
            _ => self.fail(at),
        }
        if let Some(slot) = slot {
            self.free.push(slot);
        }
    }

    /// Queues what answers the `len` bytes in `slot`.
    #[inline]
    fn deliver(&mut self, at: u32, slot: u32, len: u32) {
        if S::ECHO {
            self.enqueue(at, slot, len);
            return;
        }
        let mut len = len;
        loop {
            let Some(out) = self.free.pop() else {
                self.fail(at);
                break;
            };
            let (input, room) = self.port.arena_mut().pair(slot, len, out);
            let state = &mut self.connections[at as usize].state;
            let response = self.service.respond(state, input, room);
            if response.len > 0 {
                self.enqueue(at, out, response.len as u32);
            } else {
                self.free.push(out);
            }
            self.connections[at as usize].ended |= response.close;
            if !response.more {
                break;
            }
            len = 0;
        }
        self.free.push(slot);
    }

    fn enqueue(&mut self, at: u32, slot: u32, len: u32) {
        self.chunks[slot as usize] = Chunk { next: NONE, offset: 0, len };
        let connection = &mut self.connections[at as usize];
        if connection.queue_head == NONE {
            connection.queue_head = slot;
        } else {
            self.chunks[connection.queue_tail as usize].next = slot;
        }
        connection.queue_tail = slot;
        connection.queued += 1;
        if connection.queued == QUEUE_MAX && connection.receiving {
            self.port.cancel(RECV | u64::from(at), IGNORED);
        }
        self.mark(at);
    }

    /// Does what a connection has to do next: send, receive again, or close.
    fn advance(&mut self, at: u32) {
        let connection = &self.connections[at as usize];
        if connection.failed {
            self.wind_up(at);
            return;
        }
        if connection.resend {
            self.connections[at as usize].resend = false;
            self.send_waiting(at);
        } else if connection.sending == NONE && connection.queue_head != NONE {
            self.start_send(at);
        }
        let connection = &self.connections[at as usize];
        if connection.queue_head != NONE {
            return;
        }
        let idle = connection.sending == NONE;
        if connection.ended && idle {
            self.wind_up(at);
        } else if !connection.receiving && (idle || self.tuning.eager) {
            self.arm(at);
        }
    }

    #[inline]
    fn start_send(&mut self, at: u32) {
        let connection = &mut self.connections[at as usize];
        let slot = connection.queue_head;
        let chunk = self.chunks[slot as usize];
        connection.queue_head = chunk.next;
        connection.queued -= 1;
        connection.sending = slot;
        match self.tuning.sending {
            Sending::Inline => {
                // A receive that is still to be armed does not count: not to wait for others then
                // took 7 % off the rate at 64 and 512 connections with 16 KiB, one at a time.
                self.pressing |= connection.queue_head != NONE || connection.ended;
                let bytes = SlotRange { slot, offset: 0, len: chunk.len };
                self.port.send_slot(at, bytes, SendKind::Inline, SEND_INLINE | u64::from(at));
                self.sent.push(at);
            }
            Sending::Complete => self.send_waiting(at),
            Sending::Direct => self.send_direct(at, slot, chunk.len),
        }
    }

    /// By a send that completes when all of it is with the socket, however long that takes.
    fn send_waiting(&mut self, at: u32) {
        let connection = &mut self.connections[at as usize];
        connection.pending += 1;
        let slot = connection.sending;
        let Chunk { offset, len, .. } = self.chunks[slot as usize];
        let bytes = SlotRange { slot, offset, len: len - offset };
        self.port.send_slot(at, bytes, SendKind::Complete, SEND | u64::from(at));
    }

    /// By send(2) at once, which a ring with direct descriptors has not.
    fn send_direct(&mut self, at: u32, slot: u32, len: u32) {
        match net::send(at as i32, self.port.arena().bytes(slot, len)) {
            Ok(done) if done == len as usize => self.finish_send(at),
            Ok(done) => {
                self.chunks[slot as usize].offset = done as u32;
                self.send_waiting(at);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.send_waiting(at),
            Err(_) => self.fail(at),
        }
    }

    fn finish_send(&mut self, at: u32) {
        let connection = &mut self.connections[at as usize];
        let slot = std::mem::replace(&mut connection.sending, NONE);
        let more = connection.queue_head != NONE || connection.ended || !connection.receiving;
        self.free.push(slot);
        if more {
            self.mark(at);
        }
    }

    /// An inline send did not do all: `result` says how much, or why not.
    fn send_came_back(&mut self, at: u32, result: i32) {
        let connection = &mut self.connections[at as usize];
        if result < 0 && result != -libc::EAGAIN {
            self.fail(at);
            return;
        }
        connection.resend = true;
        self.chunks[connection.sending as usize].offset += result.max(0) as u32;
    }

    fn send_completed(&mut self, at: u32, result: i32) {
        let connection = &mut self.connections[at as usize];
        connection.pending -= 1;
        self.mark(at);
        let connection = &self.connections[at as usize];
        if connection.failed {
            return;
        }
        let Ok(done @ 1..) = u32::try_from(result) else {
            self.fail(at);
            return;
        };
        let chunk = &mut self.chunks[connection.sending as usize];
        chunk.offset += done;
        if chunk.offset < chunk.len { self.send_waiting(at) } else { self.finish_send(at) }
    }

    /// Gives a connection up: its operations are made to end, then it is closed.
    fn fail(&mut self, at: u32) {
        let connection = &mut self.connections[at as usize];
        if !connection.open || connection.failed {
            return;
        }
        connection.failed = true;
        if connection.pending > 0 {
            connection.pending += 1;
            self.port.shutdown(at, SHUTDOWN | u64::from(at));
        }
        self.mark(at);
    }

    /// Closes a connection that has ended or failed, if no operation of it is left.
    fn wind_up(&mut self, at: u32) {
        let connection = &mut self.connections[at as usize];
        if connection.pending > 0 {
            self.fail(at);
            return;
        }
        if !std::mem::take(&mut connection.open) {
            return;
        }
        let (mut slot, sending) = (connection.queue_head, connection.sending);
        connection.state = S::State::default();
        while slot != NONE {
            self.free.push(slot);
            slot = self.chunks[slot as usize].next;
        }
        if sending != NONE {
            self.free.push(sending);
        }
        self.port.close(at, IGNORED);
        self.live -= 1;
        // An accept that ended for want of descriptors is armed again.
        self.accepting &= self.live > 0;
    }

    fn stop(&mut self) {
        self.stopping = true;
        self.port.cancel(ACCEPT, IGNORED);
        for at in 0..self.connections.len() as u32 {
            self.fail(at);
        }
    }
}
