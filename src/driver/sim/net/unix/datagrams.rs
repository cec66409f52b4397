//! Datagrams of Unix sockets: who finds the receiver's queue full, or has sent too much that was not
//! received, waits.

use std::collections::VecDeque;
use std::mem::MaybeUninit;

use super::{READABLE, Role, WRITABLE};
use crate::UnixAddress;
use crate::driver::sim::code::{self, Answer};
use crate::driver::sim::kernel::Kernel;
use crate::driver::sim::net::udp::Arrived;
use crate::driver::sim::slab::Key;
use crate::driver::sim::trace::What;

/// A queue that has more is full (`net.unix.max_dgram_qlen`).
const QUEUE_MAX: usize = 10;
/// What a datagram takes of its sender's room beside its bytes.
const OVERHEAD: usize = 64;
/// What of its buffer a socket's longest datagram does not take.
const RESERVED: usize = 32;

#[derive(Default)]
pub(super) struct Datagrams {
    inbox: VecDeque<Letter>,
    /// The only one that it receives from, and its name.
    peer: Option<(Key, UnixAddress)>,
    /// Told once.
    error: Option<i32>,
    read_shut: bool,
    write_shut: bool,
    /// What it has sent that was not received, in bytes.
    outstanding: usize,
    /// A send found that to be too much.
    wants_room: bool,
    /// Sockets that found its queue full.
    waiting: Vec<Key>,
}

struct Letter {
    sender: Key,
    from: UnixAddress,
    bytes: Vec<u8>,
}

impl Datagrams {
    pub(super) fn has_any(&self) -> bool {
        !self.inbox.is_empty() || self.error.is_some() || self.read_shut
    }

    pub(super) fn peer_name(&self) -> Option<UnixAddress> {
        self.peer.as_ref().map(|(_socket, name)| name.clone())
    }

    fn has_peer(&self, socket: Key) -> bool {
        self.peer.as_ref().is_some_and(|(peer, _name)| *peer == socket)
    }
}

impl Kernel {
    fn local_datagrams(&mut self, socket: Key) -> Answer<&mut Datagrams> {
        match &mut self.local(socket)?.role {
            Role::Datagrams(datagrams) => Ok(datagrams),
            Role::Idle | Role::Listener(_) | Role::End(..) => Err(code::EPROTOTYPE),
        }
    }

    pub(super) fn pair_datagrams(&mut self, near: Key, far: Key) -> Answer<()> {
        self.local_datagrams(near)?.peer = Some((far, UnixAddress::unnamed()));
        self.local_datagrams(far)?.peer = Some((near, UnixAddress::unnamed()));
        Ok(())
    }

    /// The socket of datagrams that a name leads to.
    fn receiver_at(&mut self, socket: Key, to: &UnixAddress) -> Answer<Key> {
        let machine = self.sockets.get(socket).ok_or(code::EBADF)?.machine;
        let receiver = self.local_at(machine, to)?;
        self.local_datagrams(receiver).map(|_| receiver)
    }

    /// Whether a socket receives from this one.
    fn may_send(&mut self, sender: Key, receiver: Key) -> Answer<()> {
        let datagrams = self.local_datagrams(receiver)?;
        let may = datagrams.peer.is_none() || datagrams.has_peer(sender);
        if may { Ok(()) } else { Err(code::EPERM) }
    }

    pub(super) fn connect_local_datagrams(&mut self, socket: Key, to: &UnixAddress) -> Answer<()> {
        let receiver = self.receiver_at(socket, to)?;
        self.may_send(socket, receiver)?;
        let before = self.local_datagrams(socket)?.peer.replace((receiver, to.clone()));
        match before {
            Some((before, _name)) if before != receiver => self.peers_parted(socket, before),
            _ => Ok(()),
        }
    }

    /// A socket has its peer no more: what came is lost, and who had it for a peer hears of that
    /// (`unix_dgram_disconnected`).
    fn peers_parted(&mut self, socket: Key, before: Key) -> Answer<()> {
        let letters = std::mem::take(&mut self.local_datagrams(socket)?.inbox);
        self.letters_gone(letters);
        self.tell_waiting(socket);
        if let Ok(other) = self.local_datagrams(before)
            && other.has_peer(socket)
        {
            other.error = Some(code::ECONNRESET);
            self.tell(before, READABLE | WRITABLE);
        }
        Ok(())
    }

    /// Letters were received, or are lost: their senders have room again.
    fn letters_gone(&mut self, letters: impl IntoIterator<Item = Letter>) {
        for Letter { sender, bytes, .. } in letters {
            let most = self.send_buffer(sender);
            let Ok(datagrams) = self.local_datagrams(sender) else { continue };
            datagrams.outstanding -= bytes.len() + OVERHEAD;
            if datagrams.wants_room && datagrams.outstanding <= most / 4 {
                datagrams.wants_room = false;
                self.tell(sender, WRITABLE);
            }
        }
    }

    /// Those who found a queue full try again.
    fn tell_waiting(&mut self, receiver: Key) {
        let Ok(datagrams) = self.local_datagrams(receiver) else { return };
        for socket in std::mem::take(&mut datagrams.waiting) {
            self.tell(socket, WRITABLE);
        }
    }

    /// sendmsg(2): to a name, or to the peer.
    pub(in crate::driver::sim) fn send_local_datagram(
        &mut self,
        socket: Key,
        to: Option<&UnixAddress>,
        bytes: &[u8],
    ) -> Answer<usize> {
        let most = self.send_buffer(socket);
        let datagrams = self.local_datagrams(socket)?;
        let peer = datagrams.peer.as_ref().map(|(peer, _name)| *peer);
        if bytes.len() > most - RESERVED {
            return Err(code::EMSGSIZE);
        }
        if let Some(error) = datagrams.error.take() {
            return Err(error);
        }
        if datagrams.write_shut {
            return Err(code::EPIPE);
        }
        if datagrams.outstanding >= most {
            datagrams.wants_room = true;
            return Err(code::EAGAIN);
        }
        let receiver = match (to, peer) {
            (Some(to), _) => self.receiver_at(socket, to)?,
            (None, Some(peer)) => peer,
            (None, None) => return Err(code::ENOTCONN),
        };
        if self.local_datagrams(receiver).is_err() {
            self.local_datagrams(socket)?.peer = None;
            self.peers_parted(socket, receiver)?;
            return Err(code::ECONNREFUSED);
        }
        self.may_send(socket, receiver)?;
        if self.local_datagrams(receiver)?.read_shut {
            return Err(code::EPIPE);
        }
        if self.is_full_for(socket, receiver) {
            return Err(code::EAGAIN);
        }
        self.deliver(socket, receiver, bytes)
    }

    /// Whether a queue is full for a sender, which is told then when it is not. Of peers of each other
    /// only the sender's own room counts (`unix_dgram_sendmsg`).
    fn is_full_for(&mut self, sender: Key, receiver: Key) -> bool {
        let Ok(datagrams) = self.local_datagrams(receiver) else { return false };
        let is_full =
            sender != receiver && !datagrams.has_peer(sender) && datagrams.inbox.len() > QUEUE_MAX;
        if is_full && !datagrams.waiting.contains(&sender) {
            datagrams.waiting.push(sender);
        }
        is_full
    }

    fn deliver(&mut self, sender: Key, receiver: Key, bytes: &[u8]) -> Answer<usize> {
        let machine = self.sockets.get(sender).ok_or(code::EBADF)?.machine;
        let from = self.local(sender)?.name.clone();
        self.local_datagrams(sender)?.outstanding += bytes.len() + OVERHEAD;
        let letter = Letter { sender, from, bytes: bytes.into() };
        self.local_datagrams(receiver)?.inbox.push_back(letter);
        self.note(machine, What::UnixBytes("sends a datagram of", bytes.len()));
        self.tell(receiver, READABLE);
        Ok(bytes.len())
    }

    /// recvmsg(2)
    pub(in crate::driver::sim) fn recv_local_datagram(
        &mut self,
        socket: Key,
        room: &mut [MaybeUninit<u8>],
    ) -> Answer<Arrived> {
        let machine = self.sockets.get(socket).ok_or(code::EBADF)?.machine;
        let datagrams = self.local_datagrams(socket)?;
        if let Some(error) = datagrams.error.take() {
            return Err(error);
        }
        let Some(letter) = datagrams.inbox.pop_front() else {
            return if datagrams.read_shut { Ok((0, None, false)) } else { Err(code::EAGAIN) };
        };
        let has_room = datagrams.inbox.len() <= QUEUE_MAX;
        for (place, byte) in room.iter_mut().zip(&letter.bytes) {
            place.write(*byte);
        }
        let (len, from) = (letter.bytes.len(), letter.from.0.clone());
        self.letters_gone([letter]);
        if has_room {
            self.tell_waiting(socket);
        }
        self.note(machine, What::UnixBytes("gets a datagram of", len));
        Ok((len.min(room.len()), Some(from), len > room.len()))
    }

    pub(super) fn has_room_for_datagrams(&mut self, socket: Key) -> bool {
        let most = self.send_buffer(socket);
        let Ok(datagrams) = self.local_datagrams(socket) else { return true };
        if datagrams.outstanding > most / 4 {
            datagrams.wants_room = true;
            return false;
        }
        let peer = datagrams.peer.as_ref().map(|(peer, _name)| *peer);
        peer.is_none_or(|peer| !self.is_full_for(socket, peer))
    }

    pub(super) fn shut_down_local_datagrams(
        &mut self,
        socket: Key,
        (reads, writes): (bool, bool),
    ) -> Answer<()> {
        let datagrams = self.local_datagrams(socket)?;
        datagrams.read_shut |= reads;
        datagrams.write_shut |= writes;
        self.tell(socket, READABLE | WRITABLE);
        self.tell_waiting(socket);
        Ok(())
    }

    pub(super) fn datagrams_closed(&mut self, socket: Key, datagrams: Datagrams) {
        let Datagrams { inbox, waiting, .. } = datagrams;
        // What it sent to itself concerns nobody.
        self.letters_gone(inbox.into_iter().filter(|letter| letter.sender != socket));
        for other in waiting {
            self.tell(other, WRITABLE);
        }
    }
}
