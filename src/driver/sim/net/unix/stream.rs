//! Streams of Unix sockets: what is sent is in the other end's inbox when the call returns.

use std::collections::VecDeque;
use std::mem::MaybeUninit;

use super::{Kind, Listener, Local, READABLE, Role, WRITABLE};
use crate::UnixAddress;
use crate::driver::Interest;
use crate::driver::sim::code::{self, Answer};
use crate::driver::sim::faults::FaultKind;
use crate::driver::sim::kernel::Kernel;
use crate::driver::sim::net::{SocketOptions, take_bytes};
use crate::driver::sim::slab::Key;
use crate::driver::sim::trace::What;

/// Two ends that are connected with each other.
pub(in crate::driver::sim) struct Link {
    ends: [End; 2],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owner {
    Socket(Key),
    /// It waits to be accepted.
    Queued,
    Nobody,
}

struct End {
    owner: Owner,
    machine: u32,
    name: UnixAddress,
    inbox: VecDeque<u8>,
    /// It receives no more, or sends no more.
    read_shut: bool,
    write_shut: bool,
    /// Told once.
    error: Option<i32>,
    /// A send found no room.
    wants_room: bool,
}

impl End {
    fn new(owner: Owner, machine: u32, name: UnixAddress) -> End {
        let (inbox, error) = (VecDeque::new(), None);
        let (read_shut, write_shut, wants_room) = (false, false, false);
        End { owner, machine, name, inbox, read_shut, write_shut, error, wants_room }
    }
}

impl Link {
    /// An end, and the other one.
    fn ends(&mut self, side: usize) -> (&mut End, &mut End) {
        let [first, second] = &mut self.ends;
        if side == 0 { (first, second) } else { (second, first) }
    }
}

impl Kernel {
    /// listen(2)
    pub(in crate::driver::sim) fn listen_local(
        &mut self,
        socket: Key,
        backlog: usize,
    ) -> Answer<()> {
        let listener = Listener { queue: VecDeque::new(), backlog, shut: false };
        self.local(socket)?.role = Role::Listener(listener);
        if let Some(machine) = self.sockets.get(socket).map(|entry| entry.machine) {
            self.note(machine, What::Unix("listens"));
        }
        Ok(())
    }

    pub(super) fn pair_streams(&mut self, near: Key, far: Key) -> Answer<()> {
        let machine = self.sockets.get(near).ok_or(code::EBADF)?.machine;
        let end = |socket| End::new(Owner::Socket(socket), machine, UnixAddress::unnamed());
        let link = self.links_between.insert(Link { ends: [end(near), end(far)] });
        self.local(near)?.role = Role::End(link, 0);
        self.local(far)?.role = Role::End(link, 1);
        Ok(())
    }

    pub(super) fn connect_local_stream(&mut self, socket: Key, to: &UnixAddress) -> Answer<()> {
        match self.local(socket)?.role {
            Role::Idle => {}
            Role::End(..) => return Err(code::EISCONN),
            Role::Listener(_) | Role::Datagrams(_) => return Err(code::EINVAL),
        }
        let machine = self.sockets.get(socket).ok_or(code::EBADF)?.machine;
        let listener = self.local_at(machine, to)?;
        let found = self.local(listener)?;
        let far_name = found.name.clone();
        match &found.role {
            Role::Datagrams(_) => return Err(code::EPROTOTYPE),
            Role::Listener(waiting) if !waiting.shut => {
                if waiting.queue.len() > waiting.backlog {
                    return Err(code::EAGAIN);
                }
            }
            Role::Listener(_) | Role::Idle | Role::End(..) => return Err(code::ECONNREFUSED),
        }
        let near = End::new(Owner::Socket(socket), machine, self.local(socket)?.name.clone());
        let far = End::new(Owner::Queued, machine, far_name);
        let link = self.links_between.insert(Link { ends: [near, far] });
        self.local(socket)?.role = Role::End(link, 0);
        if let Role::Listener(waiting) = &mut self.local(listener)?.role {
            waiting.queue.push_back(link);
        }
        self.note(machine, What::Unix("connects"));
        self.tell(listener, READABLE);
        Ok(())
    }

    /// accept(2): the socket, and its peer's name.
    pub(in crate::driver::sim) fn accept_local(
        &mut self,
        listener: Key,
    ) -> Answer<(Key, UnixAddress)> {
        let Role::Listener(waiting) = &self.local(listener)?.role else {
            return Err(code::EINVAL);
        };
        let is_over = if waiting.shut { code::EINVAL } else { code::EAGAIN };
        let link = *waiting.queue.front().ok_or(is_over)?;
        let machine = self.sockets.get(listener).ok_or(code::EBADF)?.machine;
        if self.happens(machine, FaultKind::NoDescriptor) {
            return Err(code::EMFILE);
        }
        let mut local = Local::stream();
        local.role = Role::End(link, 1);
        local.name = self.name_of_end(link, 1)?;
        let socket = self.open(machine, Kind::Local(local), SocketOptions::default(), false)?;
        if let Role::Listener(waiting) = &mut self.local(listener)?.role {
            waiting.queue.pop_front();
        }
        if let Some(link) = self.links_between.get(link) {
            link.ends[1].owner = Owner::Socket(socket);
        }
        self.note(machine, What::Unix("accepts"));
        let peer = self.name_of_end(link, 0)?;
        Ok((socket, peer))
    }

    pub(super) fn name_of_end(&mut self, link: Key, side: usize) -> Answer<UnixAddress> {
        self.links_between.get(link).map(|link| link.ends[side].name.clone()).ok_or(code::ENOTCONN)
    }

    /// recv(2), into room that is not empty.
    pub(in crate::driver::sim) fn recv_local(
        &mut self,
        socket: Key,
        room: &mut [MaybeUninit<u8>],
    ) -> Answer<usize> {
        let Role::End(key, side) = self.local(socket)?.role else { return Err(code::EINVAL) };
        let Some(link) = self.links_between.get(key) else { return Err(code::ENOTCONN) };
        let (end, _) = link.ends(side);
        if end.inbox.is_empty() {
            return match end.error.take() {
                Some(error) => Err(error),
                None if end.read_shut => Ok(0),
                None => Err(code::EAGAIN),
            };
        }
        let (machine, len) = (end.machine, end.inbox.len().min(room.len()));
        let count = self.cut(machine, FaultKind::ShortReceive, len);
        let Some(link) = self.links_between.get(key) else { return Err(code::ENOTCONN) };
        let (end, other) = link.ends(side);
        take_bytes(&mut end.inbox, &mut room[..count]);
        if other.wants_room && self.link_has_much_room(key, 1 - side) {
            self.tell_local_end(key, 1 - side, WRITABLE);
        }
        self.note(machine, What::UnixBytes("receives", count));
        Ok(count)
    }

    /// send(2)
    pub(in crate::driver::sim) fn send_local(
        &mut self,
        socket: Key,
        bytes: &[u8],
    ) -> Answer<usize> {
        let Role::End(key, side) = self.local(socket)?.role else { return Err(code::ENOTCONN) };
        let most = self.send_buffer(socket);
        let Some(link) = self.links_between.get(key) else { return Err(code::EPIPE) };
        let (end, other) = link.ends(side);
        if end.write_shut {
            return Err(code::EPIPE);
        }
        if bytes.is_empty() {
            return Ok(0);
        }
        if let Some(error) = end.error.take() {
            return Err(error);
        }
        let room = most.saturating_sub(other.inbox.len());
        let len = room.min(bytes.len());
        if len == 0 {
            end.wants_room = true;
            return Err(code::EAGAIN);
        }
        let machine = end.machine;
        let count = self.cut(machine, FaultKind::ShortSend, len);
        let Some(link) = self.links_between.get(key) else { return Err(code::EPIPE) };
        let (end, other) = link.ends(side);
        other.inbox.extend(&bytes[..count]);
        // What is short waits for room, as epoll(7) has it.
        end.wants_room |= count < bytes.len() && count == room;
        self.note(machine, What::UnixBytes("sends", count));
        self.tell_local_end(key, 1 - side, READABLE);
        Ok(count)
    }

    /// Whether an end has enough room to be woken (`unix_writable`).
    fn link_has_much_room(&mut self, key: Key, side: usize) -> bool {
        let Some(link) = self.links_between.peek(key) else { return true };
        let most = match link.ends[side].owner {
            Owner::Socket(socket) => self.send_buffer(socket),
            Owner::Queued | Owner::Nobody => SocketOptions::default().buffers().0,
        };
        link.ends[1 - side].inbox.len() <= most / 4
    }

    pub(super) fn link_is_ready(&mut self, key: Key, side: usize, interest: Interest) -> bool {
        let has_room = self.link_has_much_room(key, side);
        let Some(link) = self.links_between.get(key) else { return true };
        let (end, _) = link.ends(side);
        let is_ready = match interest {
            Interest::Readable => !end.inbox.is_empty() || end.read_shut || end.error.is_some(),
            Interest::Writable => has_room || end.write_shut || end.error.is_some(),
        };
        end.wants_room |= interest == Interest::Writable && !is_ready;
        is_ready
    }

    /// Tells the loop of who has an end.
    fn tell_local_end(&mut self, key: Key, side: usize, news: u8) {
        let Some(link) = self.links_between.get(key) else { return };
        let end = &mut link.ends[side];
        end.wants_room &= news & WRITABLE == 0;
        if let Owner::Socket(socket) = end.owner {
            self.tell(socket, news);
        }
    }

    /// What one end does not receive the other one cannot send.
    pub(super) fn shut_down_end(&mut self, key: Key, side: usize, (reads, writes): (bool, bool)) {
        let Some(link) = self.links_between.get(key) else { return };
        let (end, other) = link.ends(side);
        end.read_shut |= reads;
        other.write_shut |= reads;
        end.write_shut |= writes;
        other.read_shut |= writes;
        self.tell_local_end(key, 1 - side, READABLE | WRITABLE);
    }

    /// A machine lost its power, and with it both ends.
    pub(in crate::driver::sim) fn links_vanish(&mut self, machine: u32) {
        let keys: Vec<Key> = self.links_between.keys().collect();
        for key in keys {
            if self.links_between.peek(key).is_some_and(|link| link.ends[0].machine == machine) {
                self.links_between.remove(key);
            }
        }
    }

    /// An end is let go of. Where it had something that was not received, or was never accepted, the
    /// other one is told that it is reset.
    pub(super) fn local_end_closed(&mut self, key: Key, side: usize) {
        let Some(link) = self.links_between.get(key) else { return };
        let (end, other) = link.ends(side);
        if !end.inbox.is_empty() || end.owner == Owner::Queued {
            other.error = Some(code::ECONNRESET);
        }
        end.owner = Owner::Nobody;
        end.inbox.clear();
        (other.read_shut, other.write_shut) = (true, true);
        let is_over = other.owner == Owner::Nobody;
        self.tell_local_end(key, 1 - side, READABLE | WRITABLE);
        if is_over {
            self.links_between.remove(key);
        }
    }
}
