//! Datagrams: bounded inboxes, loss, duplicates, late ones, and what an earlier one met on its way.
//!
//! Sources: udp(7); RFC 1122, section 4.1.3.3.

use std::collections::VecDeque;
use std::mem::MaybeUninit;
use std::net::SocketAddr;

use super::{Event, Kind, READABLE, SocketOptions, Transport, WRITABLE};
use crate::driver::sim::code::{self, Answer};
use crate::driver::sim::faults::FaultKind;
use crate::driver::sim::kernel::Kernel;
use crate::driver::sim::slab::Key;
use crate::driver::sim::trace::What;

/// The longest datagram, over IPv4 and over IPv6.
const LONGEST: [usize; 2] = [65_507, 65_527];
/// What a datagram takes of an inbox beside its bytes.
const OVERHEAD: usize = 64;
/// How late a datagram is that others are to overtake, in nanoseconds.
const LATE_NS: (u64, u64) = (1_000_000, 100_000_000);

/// A datagram on its way.
pub(in crate::driver::sim) struct Flight {
    sender: Key,
    machine: u32,
    from: SocketAddr,
    to: SocketAddr,
    bytes: Vec<u8>,
}

/// What a socket of datagrams has.
pub(in crate::driver::sim) struct Datagrams {
    inbox: VecDeque<(SocketAddr, Vec<u8>)>,
    /// Bytes that the inbox takes.
    held: usize,
    peer: Option<SocketAddr>,
    /// What an earlier datagram met; told once.
    error: Option<i32>,
    shut: bool,
    /// Whether nothing is sent from it any more.
    shut_out: bool,
}

/// A datagram that was received: how long it was, from whom, and whether it was cut. Of a socket that
/// was shut down it is from nobody.
pub(in crate::driver::sim) type Arrived = (usize, Option<SocketAddr>, bool);

impl Datagrams {
    pub(in crate::driver::sim) fn new() -> Datagrams {
        Datagrams {
            inbox: VecDeque::new(),
            held: 0,
            peer: None,
            error: None,
            shut: false,
            shut_out: false,
        }
    }

    pub(super) fn has_any(&self) -> bool {
        !self.inbox.is_empty() || self.error.is_some() || self.shut
    }

    pub(super) fn peer(&self) -> Option<SocketAddr> {
        self.peer
    }

    pub(super) fn shut_down(&mut self, reads: bool, writes: bool) -> Answer<()> {
        self.shut |= reads;
        self.shut_out |= writes;
        self.peer.map(|_| ()).ok_or(code::ENOTCONN)
    }
}

impl Kernel {
    fn datagrams(&mut self, socket: Key) -> Answer<&mut Datagrams> {
        match self.sockets.get(socket).map(|entry| &mut entry.kind) {
            Some(Kind::Datagrams(datagrams)) => Ok(datagrams),
            Some(_) => Err(code::EOPNOTSUPP),
            None => Err(code::EBADF),
        }
    }

    /// Whether a socket is one of datagrams.
    pub(in crate::driver::sim) fn has_datagrams(&mut self, socket: Key) -> bool {
        self.datagrams(socket).is_ok()
    }

    /// Gives a socket a peer, or none.
    pub(in crate::driver::sim) fn connect_datagrams(
        &mut self,
        socket: Key,
        peer: Option<SocketAddr>,
    ) -> Answer<()> {
        if let Some(peer) = peer {
            self.bind_for(socket, peer.ip())?;
        }
        let datagrams = self.datagrams(socket)?;
        (datagrams.peer, datagrams.error) = (peer, None);
        Ok(())
    }

    /// sendmsg(2): to an address, or to the peer.
    pub(in crate::driver::sim) fn send_datagram(
        &mut self,
        socket: Key,
        to: Option<SocketAddr>,
        bytes: &[u8],
    ) -> Answer<usize> {
        let datagrams = self.datagrams(socket)?;
        if let Some(error) = datagrams.error.take() {
            return Err(error);
        }
        let is_shut = datagrams.shut_out;
        let to = to.or(datagrams.peer).ok_or(code::EDESTADDRREQ)?;
        if to.port() == 0 {
            return Err(code::EINVAL);
        }
        if bytes.len() > LONGEST[usize::from(to.is_ipv6())] {
            return Err(code::EMSGSIZE);
        }
        self.bind_for(socket, to.ip())?;
        if is_shut {
            return Err(code::EPIPE);
        }
        let Some(entry) = self.sockets.get(socket) else { return Err(code::EBADF) };
        let (machine, local) = (entry.machine, entry.local);
        if self.happens(machine, FaultKind::NoBuffers) {
            return Err(code::ENOBUFS);
        }
        self.note(machine, What::Datagram(to, bytes.len()));
        let source = self.machines[machine as usize].source_for(to.ip());
        let ip =
            if local.ip().is_unspecified() { source.unwrap_or(local.ip()) } else { local.ip() };
        let from = SocketAddr::new(ip, local.port());
        let target = self.machine_at(machine, to.ip());
        let is_far = target != Some(machine);
        if is_far && self.happens(machine, FaultKind::DatagramLost) {
            return Ok(bytes.len());
        }
        let twice = is_far && self.happens(machine, FaultKind::DatagramDuplicated);
        for _ in 0..1 + u32::from(twice) {
            let mut delay_ns =
                target.map_or(0, |target| self.latency_ns(machine, target, bytes.len()));
            if is_far && self.happens(machine, FaultKind::DatagramLate) {
                let (low, high) = LATE_NS;
                delay_ns += self.plan.size(FaultKind::DatagramLate, low, high);
            }
            let flight = Flight { sender: socket, machine, from, to, bytes: bytes.to_vec() };
            self.after(delay_ns, Event::Datagram(Box::new(flight)));
        }
        self.settle();
        Ok(bytes.len())
    }

    pub(super) fn datagram_arrives(&mut self, flight: Flight) {
        let Flight { sender, machine, from, to, bytes } = flight;
        let Some(target) = self.machine_at(machine, to.ip()) else { return };
        if self.is_cut(machine, target) {
            return;
        }
        let found = self.bound_at(target, Transport::Udp, to);
        // One with another peer does not have the port for this sender.
        let found = found.filter(|&socket| {
            self.datagrams(socket).is_ok_and(|theirs| theirs.peer.is_none_or(|peer| peer == from))
        });
        let Some(socket) = found else {
            let delay_ns = self.latency_ns(target, machine, 0);
            if !self.is_cut(target, machine) {
                self.after(delay_ns, Event::Unreachable { socket: sender });
            }
            return;
        };
        let Some(entry) = self.sockets.get(socket) else { return };
        let room = SocketOptions::buffer(entry.options.recv_buffer);
        let Kind::Datagrams(datagrams) = &mut entry.kind else { return };
        if datagrams.shut {
            return;
        }
        if datagrams.held + bytes.len() + OVERHEAD > room {
            return self.note(target, What::DatagramDropped(from, bytes.len()));
        }
        datagrams.held += bytes.len() + OVERHEAD;
        datagrams.inbox.push_back((from, bytes));
        self.tell(socket, READABLE);
    }

    /// Nobody has the port that a datagram went to: a socket with a peer is told.
    pub(super) fn unreachable(&mut self, socket: Key) {
        if let Ok(datagrams) = self.datagrams(socket)
            && datagrams.peer.is_some()
        {
            datagrams.error = Some(code::ECONNREFUSED);
            self.tell(socket, READABLE | WRITABLE);
        }
    }

    /// recvmsg(2)
    pub(in crate::driver::sim) fn recv_datagram(
        &mut self,
        socket: Key,
        room: &mut [MaybeUninit<u8>],
    ) -> Answer<Arrived> {
        let Some(entry) = self.sockets.get(socket) else { return Err(code::EBADF) };
        let machine = entry.machine;
        let datagrams = self.datagrams(socket)?;
        if let Some(error) = datagrams.error.take() {
            return Err(error);
        }
        let Some((from, bytes)) = datagrams.inbox.pop_front() else {
            return if datagrams.shut { Ok((0, None, false)) } else { Err(code::EAGAIN) };
        };
        datagrams.held -= bytes.len() + OVERHEAD;
        for (place, byte) in room.iter_mut().zip(&bytes) {
            place.write(*byte);
        }
        self.note(machine, What::DatagramFrom(from, bytes.len()));
        Ok((bytes.len().min(room.len()), Some(from), bytes.len() > room.len()))
    }
}
