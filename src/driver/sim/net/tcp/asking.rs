//! How a connection comes about: asked for, agreed to or refused, accepted.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{Connection, End, Listener, Owner, Part, State};
use crate::driver::sim::code::{self, Answer};
use crate::driver::sim::faults::FaultKind;
use crate::driver::sim::kernel::Kernel;
use crate::driver::sim::net::{Event, Kind, READABLE, Transport, WRITABLE};
use crate::driver::sim::slab::Key;
use crate::driver::sim::trace::What;

/// The first pause before a connection is asked for again, in nanoseconds; each is twice as long as
/// the one before (`TCP_TIMEOUT_INIT`).
const ASK_AGAIN_NS: u64 = 1_000_000_000;
/// How often it is asked again (`tcp_syn_retries`): for 127 s.
const ASKS_MAX: u32 = 6;
impl Kernel {
    /// listen(2)
    pub(in crate::driver::sim) fn listen(&mut self, socket: Key, backlog: usize) -> Answer<()> {
        let Some(entry) = self.sockets.get(socket) else { return Err(code::EBADF) };
        entry.kind = Kind::Listener(Listener { queue: VecDeque::new(), backlog, shut: false });
        let (machine, local) = (entry.machine, entry.local);
        self.note(machine, What::Listening(local));
        Ok(())
    }

    /// connect(2): asks, or says how far it is.
    pub(in crate::driver::sim) fn connect(&mut self, socket: Key, to: SocketAddr) -> Answer<()> {
        let Some(entry) = self.sockets.get(socket) else { return Err(code::EBADF) };
        match entry.kind {
            Kind::Idle => {}
            Kind::End(connection, side) => return self.how_connected(connection, side),
            Kind::Listener(_) => return Err(code::EISCONN),
            Kind::Datagrams(_) => return self.connect_datagrams(socket, Some(to)),
        }
        let (machine, options) = (entry.machine, entry.options);
        let to = match to.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => (Ipv4Addr::LOCALHOST, to.port()).into(),
            IpAddr::V6(ip) if ip.is_unspecified() => (Ipv6Addr::LOCALHOST, to.port()).into(),
            _ => to,
        };
        self.bind_for(socket, to.ip())?;
        let Some(entry) = self.sockets.get(socket) else { return Err(code::EBADF) };
        let near = End::new(machine, entry.local, Owner::Socket(socket), options);
        let asked = self.machine_at(machine, to.ip());
        let far = End::new(asked.unwrap_or(machine), to, Owner::Nobody, options);
        let connection = Connection { ends: [near, far], asked, asks: 0 };
        let connection = self.connections.insert(connection);
        if let Some(entry) = self.sockets.get(socket) {
            entry.kind = Kind::End(connection, 0);
        }
        self.note(machine, What::Connecting(to));
        let delay_ns = asked.map_or(0, |asked| self.latency_ns(machine, asked, 0));
        self.after(delay_ns, Event::Ask { connection });
        self.settle();
        self.how_connected(connection, 0)
    }

    pub(super) fn how_connected(&mut self, connection: Key, side: usize) -> Answer<()> {
        let connection = self.connections.get(connection).ok_or(code::ENOTCONN)?;
        let end = &mut connection.ends[side];
        match (end.error.take(), end.state) {
            (Some(error), _) => Err(error),
            (None, State::Asking) => Err(code::EINPROGRESS),
            (None, State::Open) => Ok(()),
            (None, State::Broken) => Err(code::ECONNRESET),
        }
    }

    pub(in crate::driver::sim) fn ask_arrives(&mut self, key: Key) {
        let Some(connection) = self.connections.get(key) else { return };
        let (from, to) = (connection.ends[0].machine, connection.asked);
        if connection.ends[0].is_let_go() {
            self.connections.remove(key);
            return;
        }
        let address = connection.ends[1].address;
        let is_known = connection.ends[1].owner != Owner::Nobody;
        if connection.ends[0].state != State::Asking {
            return;
        }
        if connection.asks > ASKS_MAX {
            return self.give_up(key, 0);
        }
        let Some(to) = to.filter(|&to| !self.is_cut(from, to)) else { return self.ask_again(key) };
        if from != to && self.happens(from, FaultKind::HandshakeLost) {
            return self.ask_again(key);
        }
        let answer_ns = self.latency_ns(to, from, 0);
        let found = self.bound_at(to, Transport::Tcp, address);
        let is_refused = from != to && self.happens(to, FaultKind::ConnectionRefused);
        let Some(listener) = found.filter(|_| !is_refused) else {
            return self.after(answer_ns, Event::Refused { connection: key });
        };
        let Some(entry) = self.sockets.get(listener) else { return };
        let options = entry.options;
        let Kind::Listener(waiting) = &entry.kind else { return };
        if waiting.queue.len() > waiting.backlog {
            return self.ask_again(key);
        }
        if !is_known && let Some(connection) = self.connections.get(key) {
            let mut end = End::new(to, address, Owner::Queued(listener), options);
            end.state = State::Open;
            connection.ends[1] = end;
        }
        self.after(answer_ns, Event::Agreed { connection: key });
    }

    /// What was asked, or the answer, was lost.
    pub(super) fn ask_again(&mut self, key: Key) {
        let Some(connection) = self.connections.get(key) else { return };
        connection.asks += 1;
        let pause_ns = ASK_AGAIN_NS << (connection.asks - 1);
        self.after(pause_ns, Event::Ask { connection: key });
    }

    pub(in crate::driver::sim) fn agreed(&mut self, key: Key) {
        let Some(connection) = self.connections.get(key) else { return };
        let [near, far] = &mut connection.ends;
        let (from, to, address) = (near.machine, far.machine, far.address);
        if near.is_let_go() {
            self.connections.remove(key);
            return;
        }
        if near.state != State::Asking {
            return;
        }
        if self.is_cut(to, from) {
            return self.ask_again(key);
        }
        if let Some(connection) = self.connections.get(key) {
            connection.ends[0].state = State::Open;
        }
        self.note(from, What::Connected(address));
        self.tell_end(key, 0, READABLE | WRITABLE);
        self.transmit(key, 0, Part::Open);
    }

    pub(in crate::driver::sim) fn refused(&mut self, key: Key) {
        let Some(connection) = self.connections.get(key) else { return };
        let (from, address) = (connection.ends[0].machine, connection.ends[1].address);
        let end = &mut connection.ends[0];
        if end.is_let_go() {
            self.connections.remove(key);
            return;
        }
        end.error = Some(code::ECONNREFUSED);
        end.state = State::Broken;
        self.note(from, What::Refused(address));
        self.tell_end(key, 0, READABLE | WRITABLE);
    }

    /// accept(2): the socket, and its peer's address.
    pub(in crate::driver::sim) fn accept(&mut self, listener: Key) -> Answer<(Key, SocketAddr)> {
        let Some(entry) = self.sockets.get(listener) else { return Err(code::EBADF) };
        let (machine, options) = (entry.machine, entry.options);
        let Kind::Listener(waiting) = &entry.kind else { return Err(code::EINVAL) };
        if waiting.shut {
            return Err(code::EINVAL);
        }
        let connection = *waiting.queue.front().ok_or(code::EAGAIN)?;
        if self.happens(machine, FaultKind::NoDescriptor) {
            return Err(code::EMFILE);
        }
        if self.happens(machine, FaultKind::NoMemory) {
            return Err(code::ENOMEM);
        }
        let aborted = self.happens(machine, FaultKind::AcceptAborted);
        let v6 = false;
        let socket = match aborted {
            true => Err(code::ECONNABORTED),
            false => self.open(machine, Kind::End(connection, 1), options, v6),
        };
        if socket != Err(code::EMFILE)
            && let Some(entry) = self.sockets.get(listener)
            && let Kind::Listener(waiting) = &mut entry.kind
        {
            waiting.queue.pop_front();
        }
        if aborted {
            self.end_closed(connection, 1, true);
        }
        let socket = socket?;
        let Some(found) = self.connections.get(connection) else { return Err(code::ECONNABORTED) };
        found.ends[1].owner = Owner::Socket(socket);
        let (peer, local) = (found.ends[0].address, found.ends[1].address);
        self.set_local(socket, local);
        self.note(machine, What::Accepted(peer));
        Ok((socket, peer))
    }

    pub(in crate::driver::sim) fn listener_closed(&mut self, listener: Listener) {
        for connection in listener.queue {
            self.end_closed(connection, 1, true);
        }
    }
}
