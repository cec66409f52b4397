//! Calls on an end of a connection.

use std::collections::VecDeque;
use std::mem::MaybeUninit;
use std::net::{Shutdown, SocketAddr};

use super::{Listener, Part, State};
use crate::driver::Interest;
use crate::driver::sim::code::{self, Answer};
use crate::driver::sim::faults::FaultKind;
use crate::driver::sim::kernel::Kernel;
use crate::driver::sim::net::{Event, Kind, READABLE, WRITABLE};
use crate::driver::sim::slab::Key;
use crate::driver::sim::trace::What;
impl Kernel {
    pub(super) fn end_of(&mut self, socket: Key) -> Answer<(Key, usize)> {
        match self.sockets.get(socket).map(|entry| &entry.kind) {
            Some(&Kind::End(connection, side)) => Ok((connection, side)),
            Some(_) => Err(code::ENOTCONN),
            None => Err(code::EBADF),
        }
    }

    /// recv(2), into room that is not empty.
    pub(in crate::driver::sim) fn recv_bytes(
        &mut self,
        socket: Key,
        room: &mut [MaybeUninit<u8>],
    ) -> Answer<usize> {
        let (key, side) = self.end_of(socket)?;
        let Some(connection) = self.connections.get(key) else { return Err(code::ENOTCONN) };
        let (end, other) = connection.ends(side);
        let (machine, peer, from) = (end.machine, other.address, other.machine);
        if end.inbox.is_empty() {
            return match end.error.take_if(|_| !end.ended) {
                Some(error) => Err(error),
                None if end.ended || end.read_shut || end.state == State::Broken => Ok(0),
                None => Err(code::EAGAIN),
            };
        }
        let len = end.inbox.len().min(room.len());
        let count = self.plan.cut(FaultKind::ShortReceive, len);
        let Some(connection) = self.connections.get(key) else { return Err(code::ENOTCONN) };
        let (end, _) = connection.ends(side);
        let (first, second) = end.inbox.as_slices();
        let (head, tail) = room[..count].split_at_mut(first.len().min(count));
        for (room, bytes) in [(head, first), (tail, second)] {
            for (place, byte) in room.iter_mut().zip(bytes) {
                place.write(*byte);
            }
        }
        end.inbox.drain(..count);
        let is_enough = connection.ends[1 - side].wants_room && connection.has_much_room(1 - side);
        if is_enough {
            connection.ends[1 - side].wants_room = false;
            let delay_ns = self.latency_ns(machine, from, 0);
            self.after(delay_ns, Event::Room { connection: key, side: 1 - side });
        }
        self.note(machine, What::Received(peer, count));
        Ok(count)
    }

    /// send(2)
    pub(in crate::driver::sim) fn send_bytes(
        &mut self,
        socket: Key,
        bytes: &[u8],
    ) -> Answer<usize> {
        let (key, side) = self.end_of(socket).map_err(|error| match error {
            code::ENOTCONN => code::EPIPE,
            error => error,
        })?;
        let Some(connection) = self.connections.get(key) else { return Err(code::EPIPE) };
        let (room, _) = connection.room(side);
        let (end, other) = connection.ends(side);
        let (machine, peer) = (end.machine, other.address);
        match end.state {
            _ if end.error.is_some() => return Err(end.error.take().unwrap_or(code::EPIPE)),
            _ if end.write_shut => return Err(code::EPIPE),
            State::Broken => return Err(code::EPIPE),
            State::Asking => return Err(code::EAGAIN),
            State::Open => {}
        }
        if bytes.is_empty() {
            return Ok(0);
        }
        let len = room.min(bytes.len());
        if len == 0 {
            end.wants_room = true;
            return Err(code::EAGAIN);
        }
        let count = self.plan.cut(FaultKind::ShortSend, len);
        if let Some(connection) = self.connections.get(key) {
            let end = &mut connection.ends[side];
            end.way.wire.extend(&bytes[..count]);
            // What is short waits for room, as epoll(7) has it.
            end.wants_room |= count < bytes.len() && count == room;
        }
        self.note(machine, What::Sent(peer, count));
        self.transmit(key, side, Part::Bytes(count));
        self.settle();
        Ok(count)
    }

    /// shutdown(2)
    pub(in crate::driver::sim) fn shut_down(&mut self, socket: Key, how: Shutdown) -> Answer<()> {
        let (reads, writes) = (how != Shutdown::Write, how != Shutdown::Read);
        let Some(entry) = self.sockets.get(socket) else { return Err(code::EBADF) };
        let (key, side) = match &mut entry.kind {
            Kind::Idle => return Err(code::ENOTCONN),
            Kind::Datagrams(datagrams) => {
                let result = datagrams.shut_down(reads, writes);
                self.tell(socket, READABLE | WRITABLE);
                return result;
            }
            Kind::Listener(listener) => {
                listener.shut |= reads;
                let queue =
                    if reads { std::mem::take(&mut listener.queue) } else { VecDeque::new() };
                let shut = Listener { queue, backlog: 0, shut: true };
                self.listener_closed(shut);
                self.tell(socket, READABLE);
                return Ok(());
            }
            &mut Kind::End(key, side) => (key, side),
        };
        let Some(connection) = self.connections.get(key) else { return Err(code::ENOTCONN) };
        let end = &mut connection.ends[side];
        if end.state != State::Open || end.is_over() {
            return Err(code::ENOTCONN);
        }
        end.read_shut |= reads;
        let was_shut = end.write_shut;
        end.write_shut |= writes;
        if writes && !was_shut {
            self.transmit(key, side, Part::End);
        }
        self.tell_end(key, side, READABLE | WRITABLE);
        self.settle();
        Ok(())
    }

    /// getpeername(2)
    pub(in crate::driver::sim) fn peer_of(&mut self, socket: Key) -> Answer<SocketAddr> {
        if let Some(entry) = self.sockets.get(socket)
            && let Kind::Datagrams(datagrams) = &entry.kind
        {
            return datagrams.peer().ok_or(code::ENOTCONN);
        }
        let (key, side) = self.end_of(socket)?;
        let Some(connection) = self.connections.get(key) else { return Err(code::ENOTCONN) };
        match connection.ends[side].state {
            State::Open if !connection.ends[side].is_over() => {
                Ok(connection.ends[1 - side].address)
            }
            State::Asking | State::Open | State::Broken => Err(code::ENOTCONN),
        }
    }

    pub(in crate::driver::sim) fn end_is_ready(
        &mut self,
        key: Key,
        side: usize,
        interest: Interest,
    ) -> bool {
        let Some(connection) = self.connections.get(key) else { return true };
        let has_room = connection.has_much_room(side);
        let end = &mut connection.ends[side];
        let is_ready = match (interest, end.state) {
            (Interest::Readable, _) => return end.has_news(),
            (Interest::Writable, State::Asking) => false,
            (Interest::Writable, State::Broken) => true,
            (Interest::Writable, State::Open) => has_room || end.write_shut || end.error.is_some(),
        };
        end.wants_room |= !is_ready;
        is_ready
    }

    /// Gives the buffers of an end other sizes.
    pub(in crate::driver::sim) fn set_buffers(&mut self, socket: Key) {
        let Some(entry) = self.sockets.get(socket) else { return };
        let (send_buffer, recv_buffer) = entry.options.buffers();
        let Kind::End(key, side) = entry.kind else { return };
        if let Some(connection) = self.connections.get(key) {
            let end = &mut connection.ends[side];
            (end.send_buffer, end.recv_buffer) = (send_buffer, recv_buffer);
        }
    }
}
