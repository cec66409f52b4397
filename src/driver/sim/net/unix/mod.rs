//! Unix sockets: their names, and what streams and datagrams of them have in common. Within a host
//! nothing takes time and nothing is lost, so a call does at once all that it does.
//!
//! ```text
//!   path ─▶ node of the host's file system ─┐
//!   abstract name ──────────────────────────┴▶ socket: idle, listener, end of a link, datagrams
//! ```
//!
//! I1. A name leads to one socket. The file of a path stays when its socket is closed, and leads to none
//!     then.
//! I2. A link is forgotten when both its ends are let go of.
//!
//! Sources: unix(7); net/unix/af_unix.c in Linux.

use std::collections::VecDeque;

mod datagrams;
mod making;
mod stream;

use super::{Kind, READABLE, WRITABLE};
use crate::UnixAddress;
use crate::driver::Interest;
use crate::driver::sim::code::{self, Answer};
use crate::driver::sim::disk::Path;
use crate::driver::sim::kernel::Kernel;
use crate::driver::sim::slab::Key;
use crate::driver::sim::trace::What;
use datagrams::Datagrams;
pub(in crate::driver::sim) use stream::Link;

/// A Unix socket.
pub(in crate::driver::sim) struct Local {
    name: UnixAddress,
    /// What its name is to the machine.
    bound_to: Option<Name>,
    role: Role,
}

enum Role {
    /// A socket of a stream that is not connected.
    Idle,
    Listener(Listener),
    /// One end of a link.
    End(Key, usize),
    Datagrams(Datagrams),
}

struct Listener {
    queue: VecDeque<Key>,
    backlog: usize,
    shut: bool,
}

/// What leads to a socket.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::driver::sim) enum Name {
    /// A node of the machine's file system.
    File(Key),
    Abstract(Vec<u8>),
}

/// How a socket is bound.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Binding {
    /// The permissions of its file.
    pub(crate) mode: Option<u32>,
    /// In the place of a file to which no socket is bound.
    pub(crate) replaces: bool,
}

impl Local {
    fn new(role: Role) -> Box<Local> {
        Box::new(Local { name: UnixAddress::unnamed(), bound_to: None, role })
    }

    /// A socket of a stream.
    pub(in crate::driver::sim) fn stream() -> Box<Local> {
        Local::new(Role::Idle)
    }

    /// A socket of datagrams.
    pub(in crate::driver::sim) fn datagrams() -> Box<Local> {
        Local::new(Role::Datagrams(Datagrams::default()))
    }

    pub(in crate::driver::sim) fn name(&self) -> &UnixAddress {
        &self.name
    }

    pub(super) fn has_datagrams(&self) -> bool {
        matches!(self.role, Role::Datagrams(_))
    }
}

impl Kernel {
    fn local(&mut self, socket: Key) -> Answer<&mut Local> {
        match self.sockets.get(socket).map(|entry| &mut entry.kind) {
            Some(Kind::Local(local)) => Ok(local),
            Some(_) => Err(code::EINVAL),
            None => Err(code::EBADF),
        }
    }

    pub(in crate::driver::sim) fn is_local(&mut self, socket: Key) -> bool {
        self.local(socket).is_ok()
    }

    /// How much a socket may have sent that was not received, in bytes.
    fn send_buffer(&self, socket: Key) -> usize {
        let options = self.sockets.peek(socket).map(|entry| entry.options);
        options.unwrap_or_default().buffers().0
    }

    /// The socket that a name leads to.
    fn local_at(&mut self, machine: u32, address: &UnixAddress) -> Answer<Key> {
        let name = match (address.as_path(), address.as_abstract_name()) {
            (Some(path), _) => {
                let path = Path { start: None, bytes: path.as_os_str().as_encoded_bytes() };
                Name::File(self.disk_call(machine).socket_at(path, true)?)
            }
            (None, Some(name)) => Name::Abstract(name.into()),
            (None, None) => return Err(code::EINVAL),
        };
        let names = &self.machines[machine as usize].names;
        names.get(&name).copied().ok_or(code::ECONNREFUSED)
    }

    /// bind(2)
    pub(in crate::driver::sim) fn bind_local(
        &mut self,
        socket: Key,
        address: &UnixAddress,
        how: Binding,
    ) -> Answer<()> {
        let Some(entry) = self.sockets.get(socket) else { return Err(code::EBADF) };
        let machine = entry.machine;
        let name = match (address.as_path(), address.as_abstract_name()) {
            (Some(path), _) => {
                let path = Path { start: None, bytes: path.as_os_str().as_encoded_bytes() };
                Name::File(self.make_file(machine, path, how)?)
            }
            (None, Some(name)) => Name::Abstract(name.into()),
            (None, None) => return Err(code::EINVAL),
        };
        let names = &mut self.machines[machine as usize].names;
        if names.contains_key(&name) {
            return Err(code::EADDRINUSE);
        }
        names.insert(name.clone(), socket);
        let local = self.local(socket)?;
        (local.name, local.bound_to) = (address.clone(), Some(name));
        Ok(())
    }

    /// The file of a socket that is to be bound.
    fn make_file(&mut self, machine: u32, path: Path<'_>, how: Binding) -> Answer<Key> {
        let is_taken = |error| if error == code::EEXIST { code::EADDRINUSE } else { error };
        let made = self.disk_call(machine).make_socket(path, how.mode);
        if made != Err(code::EEXIST) || !how.replaces {
            return made.map_err(is_taken);
        }
        let stale = self.disk_call(machine).socket_at(path, false);
        let name = stale.map(Name::File).map_err(|_| code::EADDRINUSE)?;
        if self.machines[machine as usize].names.contains_key(&name) {
            return Err(code::EADDRINUSE);
        }
        self.disk_call(machine).remove(path, false)?;
        self.disk_call(machine).make_socket(path, how.mode).map_err(is_taken)
    }

    /// Has two sockets without names be each other's peers (socketpair(2)).
    pub(in crate::driver::sim) fn pair_locals(&mut self, near: Key, far: Key) -> Answer<()> {
        if self.local(near)?.has_datagrams() {
            self.pair_datagrams(near, far)
        } else {
            self.pair_streams(near, far)
        }
    }

    /// connect(2), which does not wait.
    pub(in crate::driver::sim) fn connect_local(
        &mut self,
        socket: Key,
        to: &UnixAddress,
    ) -> Answer<()> {
        if self.local(socket)?.has_datagrams() {
            self.connect_local_datagrams(socket, to)
        } else {
            self.connect_local_stream(socket, to)
        }
    }

    /// getpeername(2)
    pub(in crate::driver::sim) fn local_peer(&mut self, socket: Key) -> Answer<UnixAddress> {
        match &self.local(socket)?.role {
            Role::Idle | Role::Listener(_) => Err(code::ENOTCONN),
            Role::Datagrams(datagrams) => datagrams.peer_name().ok_or(code::ENOTCONN),
            &Role::End(link, side) => self.name_of_end(link, 1 - side),
        }
    }

    /// shutdown(2): of reading, of writing, or of both.
    pub(super) fn shut_down_local(
        &mut self,
        socket: Key,
        (reads, writes): (bool, bool),
    ) -> Answer<()> {
        match &mut self.local(socket)?.role {
            Role::Idle => return Ok(()),
            Role::Listener(listener) => listener.shut |= reads,
            Role::Datagrams(_) => return self.shut_down_local_datagrams(socket, (reads, writes)),
            &mut Role::End(link, side) => self.shut_down_end(link, side, (reads, writes)),
        }
        self.tell(socket, READABLE | WRITABLE);
        Ok(())
    }

    pub(super) fn local_is_ready(&mut self, socket: Key, interest: Interest) -> bool {
        let Ok(local) = self.local(socket) else { return true };
        match (&local.role, interest) {
            (Role::Idle, _) => true,
            (Role::Listener(listener), Interest::Readable) => {
                listener.shut || !listener.queue.is_empty()
            }
            (Role::Listener(_), Interest::Writable) => false,
            (Role::Datagrams(datagrams), Interest::Readable) => datagrams.has_any(),
            (Role::Datagrams(_), Interest::Writable) => self.has_room_for_datagrams(socket),
            (&Role::End(link, side), interest) => self.link_is_ready(link, side, interest),
        }
    }

    /// A socket was closed, and is no more.
    pub(super) fn local_closed(&mut self, socket: Key, machine: u32, local: Local) {
        if let Some(name) = &local.bound_to {
            self.machines[machine as usize].names.remove(name);
        }
        match local.role {
            Role::Idle => {}
            Role::Listener(listener) => {
                for link in listener.queue {
                    self.local_end_closed(link, 1);
                }
            }
            Role::End(link, side) => self.local_end_closed(link, side),
            Role::Datagrams(datagrams) => self.datagrams_closed(socket, datagrams),
        }
        self.note(machine, What::Unix("closes"));
    }
}
