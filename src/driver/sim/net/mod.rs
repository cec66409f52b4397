//! The simulated network: machines with addresses, and the sockets on them.

use std::collections::{BTreeMap, VecDeque};
use std::mem::MaybeUninit;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

pub(super) mod tcp;
pub(super) mod udp;
#[cfg_attr(
    windows,
    allow(dead_code, reason = "Windows has no datagrams of Unix sockets, and no pairs")
)]
pub(super) mod unix;

use super::code::{self, Answer};
use super::kernel::{Kernel, Looper, SOCKETS_MAX, nanoseconds};
use super::random::Random;
use super::slab::Key;
use super::trace::What;
use crate::clock::HostClock;
use crate::driver::Interest;
use crate::op::Op;
use tcp::Listener;
use udp::{Datagrams, Flight};
use unix::{Local, Name};

/// Ports that a machine gives out itself (`ip_local_port_range` of Linux).
const PORTS: std::ops::RangeInclusive<u16> = 32_768..=60_999;
/// Descriptors that a machine has, at first.
const DESCRIPTORS_MAX: u32 = 1 << 20;
/// What a stream holds of what is on its way out, and in, unless it is told otherwise, in bytes.
pub(super) const BUFFER: usize = 128 << 10;
/// The smallest buffer, in bytes.
const BUFFER_MIN: usize = 2048;

/// How long messages are on their way from one host to another.
///
/// ```
/// use std::time::Duration;
/// use tigereye::sim::Latency;
///
/// let across_a_room = Latency::between(Duration::from_micros(50), Duration::from_micros(200));
/// let across_the_sea = Latency::long_tailed(Duration::from_millis(40), Duration::from_millis(5));
/// # let _ = (across_a_room, across_the_sea);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Latency {
    low_ns: u64,
    high_ns: u64,
    /// The step of a long tail.
    tail_ns: u64,
}

impl Default for Latency {
    /// That of one network in one building: 0.1 to 1 ms.
    fn default() -> Latency {
        Latency::between(Duration::from_micros(100), Duration::from_millis(1))
    }
}

impl Latency {
    /// Any time of a range is as likely as any other.
    pub fn between(low: Duration, high: Duration) -> Latency {
        let (low_ns, high_ns) = (nanoseconds(low), nanoseconds(high));
        Latency { low_ns, high_ns: high_ns.max(low_ns), tail_ns: 0 }
    }

    /// At least `low`, and longer by any multiple of `step`, each half as likely as the one before:
    /// one message in a thousand takes ten steps more.
    pub fn long_tailed(low: Duration, step: Duration) -> Latency {
        let (low_ns, tail_ns) = (nanoseconds(low), nanoseconds(step));
        Latency { low_ns, high_ns: low_ns.saturating_add(tail_ns), tail_ns }
    }

    pub(super) fn draw(self, random: &mut Random) -> u64 {
        let steps = if self.tail_ns > 0 { u64::from(random.next().leading_zeros()) } else { 0 };
        let base_ns = random.between(self.low_ns, self.high_ns);
        // A message always takes some time: nothing is heard before it is said.
        base_ns.saturating_add(steps.saturating_mul(self.tail_ns)).max(1)
    }
}

/// What is to happen.
pub(super) enum Event {
    /// What is at the head of one way of a connection arrives.
    Segment {
        connection: Key,
        side: usize,
    },
    /// A connection is asked for.
    Ask {
        connection: Key,
    },
    /// Who asked for a connection hears of it.
    Agreed {
        connection: Key,
    },
    Refused {
        connection: Key,
    },
    /// One way of a connection hears that there is room again.
    Room {
        connection: Key,
        side: usize,
    },
    Datagram(Box<Flight>),
    /// A datagram met nobody.
    Unreachable {
        socket: Key,
    },
    /// A call on a loop's pool has taken its time.
    Call(Key),
    /// A call on a machine's disk has.
    Disk {
        machine: u32,
        era: u32,
        looper: Key,
        op: Op,
    },
    /// A cancel of a loop's takes effect.
    Cancel(Key),
    /// A call of a loop's that was put off is made.
    PutOff(Key),
    /// A loop hears of things again.
    Hear(Key),
}

/// A simulated system.
pub(super) struct Machine {
    pub(super) name: String,
    pub(super) addresses: Vec<IpAddr>,
    pub(super) is_up: bool,
    pub(super) clock: Rc<HostClock>,
    port_next: u16,
    pub(super) descriptors: u32,
    pub(super) descriptors_max: u32,
    /// Who has which port, by transport.
    bound: BTreeMap<(Transport, u16), Vec<Key>>,
    /// The Unix sockets that names lead to.
    names: BTreeMap<Name, Key>,
}

impl Machine {
    pub(super) fn new(name: &str, addresses: Vec<IpAddr>, clock: HostClock) -> Machine {
        Machine {
            name: name.into(),
            addresses,
            is_up: true,
            clock: Rc::new(clock),
            port_next: *PORTS.start(),
            descriptors: 0,
            descriptors_max: DESCRIPTORS_MAX,
            bound: BTreeMap::new(),
            names: BTreeMap::new(),
        }
    }

    /// Whether an address is one of this machine's.
    fn has(&self, address: IpAddr) -> bool {
        address.is_loopback() || self.addresses.contains(&address)
    }

    /// The address that messages to another one come from.
    fn source_for(&self, to: IpAddr) -> Option<IpAddr> {
        if to.is_loopback() {
            return Some(to);
        }
        let same_family = |address: &&IpAddr| address.is_ipv4() == to.is_ipv4();
        let own = self.addresses.iter().find(same_family).copied();
        // A host without a network has members of groups all the same.
        own.or_else(|| to.is_multicast().then(|| loopback(to.is_ipv6())))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Transport {
    Tcp,
    Udp,
}

/// Options of a socket.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct SocketOptions {
    pub(crate) reuse_address: bool,
    pub(crate) reuse_port: bool,
    /// Whether a socket of IPv6 takes IPv6 alone.
    pub(crate) only_v6: bool,
    pub(crate) recv_buffer: Option<usize>,
    pub(crate) send_buffer: Option<usize>,
    /// Whether what it sends to a group does not come to members on its own host.
    pub(crate) leaves_own_out: bool,
    /// Whether it is reset when it is closed.
    pub(crate) resets: bool,
    pub(crate) user_timeout_ns: Option<u64>,
}

impl SocketOptions {
    fn buffer(bytes: Option<usize>) -> usize {
        bytes.map_or(BUFFER, |bytes| bytes.clamp(BUFFER_MIN, 1 << 30))
    }

    fn buffers(&self) -> (usize, usize) {
        (SocketOptions::buffer(self.send_buffer), SocketOptions::buffer(self.recv_buffer))
    }
}

pub(super) struct Socket {
    pub(super) machine: u32,
    pub(super) local: SocketAddr,
    bound_to: Option<(Transport, u16)>,
    pub(super) kind: Kind,
    pub(super) options: SocketOptions,
    /// The loop that is told of it, and under which handle.
    pub(super) watch: Option<(Key, u32)>,
    /// News that its loop has not heard yet: a bit a way.
    pub(super) news: u8,
}

pub(super) enum Kind {
    /// A socket of a stream that is not connected yet.
    Idle,
    Listener(Listener),
    /// One end of a connection.
    End(Key, usize),
    Datagrams(Datagrams),
    /// A Unix socket.
    Local(Box<Local>),
}

impl Kind {
    fn transport(&self) -> Transport {
        if matches!(self, Kind::Datagrams(_)) { Transport::Udp } else { Transport::Tcp }
    }
}

/// News of a way.
pub(super) const READABLE: u8 = 1 << Interest::Readable as u8;
pub(super) const WRITABLE: u8 = 1 << Interest::Writable as u8;

impl Kernel {
    pub(super) fn happen(&mut self, event: Event) {
        match event {
            Event::Segment { connection, side } => self.segment_arrives(connection, side),
            Event::Ask { connection } => self.ask_arrives(connection),
            Event::Agreed { connection } => self.agreed(connection),
            Event::Refused { connection } => self.refused(connection),
            Event::Room { connection, side } => self.room_again(connection, side),
            Event::Datagram(flight) => self.datagram_arrives(*flight),
            Event::Unreachable { socket } => self.unreachable(socket),
            Event::Disk { machine, era, looper, op } => {
                self.disk_landed(machine, era, looper, op);
            }
            Event::Cancel(looper) => self.wake(looper, |looper| looper.cancels_due += 1),
            Event::PutOff(looper) => self.wake(looper, |looper| looper.put_off_due += 1),
            Event::Hear(looper) => self.wake(looper, |looper| {
                (looper.is_deaf, looper.is_to_hear) = (false, true);
            }),
            Event::Call(looper) => self.wake(looper, |looper| looper.calls_due += 1),
        }
    }

    /// Something happens to a loop, if it is still there.
    fn wake(&mut self, looper: Key, happen: impl FnOnce(&mut Looper)) {
        if let Some(looper) = self.loopers.get(looper) {
            happen(looper);
            looper.has_news.set(true);
        }
    }

    /// A socket has news for its loop.
    pub(super) fn tell(&mut self, socket: Key, news: u8) {
        let Some(entry) = self.sockets.get(socket) else { return };
        let Some((looper, _)) = entry.watch else { return };
        let is_first = entry.news == 0;
        entry.news |= news;
        if is_first && let Some(looper) = self.loopers.get(looper) {
            looper.news.push(socket.index);
            looper.has_news.set(true);
        }
    }

    /// The machine that has an address, seen from one of them.
    pub(super) fn machine_at(&self, from: u32, address: IpAddr) -> Option<u32> {
        if address.is_loopback() || address.is_unspecified() {
            return Some(from);
        }
        let found = self.machines.iter().position(|machine| machine.addresses.contains(&address));
        found.map(|at| at as u32)
    }

    /// Makes a socket, bound to nothing.
    pub(super) fn open(
        &mut self,
        machine: u32,
        kind: Kind,
        options: SocketOptions,
        v6: bool,
    ) -> Answer<Key> {
        let host = &mut self.machines[machine as usize];
        if host.descriptors >= host.descriptors_max || self.sockets.len() >= SOCKETS_MAX {
            return Err(code::EMFILE);
        }
        host.descriptors += 1;
        let local = SocketAddr::new(unspecified(v6), 0);
        let (bound_to, watch, news) = (None, None, 0);
        Ok(self.sockets.insert(Socket { machine, local, bound_to, kind, options, watch, news }))
    }

    /// Gives a socket an address of its machine's (bind(2)).
    pub(super) fn bind(&mut self, socket: Key, address: SocketAddr) -> Answer<()> {
        let Some(entry) = self.sockets.get(socket) else { return Err(code::EBADF) };
        let (machine, transport) = (entry.machine, entry.kind.transport());
        let options = entry.options;
        let ip = address.ip();
        if !ip.is_unspecified() && !self.machines[machine as usize].has(ip) {
            return Err(code::EADDRNOTAVAIL);
        }
        let port = match address.port() {
            0 => self.free_port(machine, transport)?,
            port => port,
        };
        if self.is_taken(machine, (transport, port), ip, options) {
            return Err(code::EADDRINUSE);
        }
        let bound = &mut self.machines[machine as usize].bound;
        bound.entry((transport, port)).or_default().push(socket);
        if let Some(entry) = self.sockets.get(socket) {
            entry.bound_to = Some((transport, port));
            entry.local = SocketAddr::new(ip, port);
        }
        Ok(())
    }

    fn is_taken(
        &mut self,
        machine: u32,
        (transport, port): (Transport, u16),
        ip: IpAddr,
        options: SocketOptions,
    ) -> bool {
        let others = self.machines[machine as usize].bound.get(&(transport, port));
        let others = others.cloned().unwrap_or_default();
        others.into_iter().any(|other| {
            let Some(other) = self.sockets.get(other) else { return false };
            let theirs = other.local.ip();
            let overlap = theirs == ip
                || takes_all(theirs, other.options, ip)
                || takes_all(ip, options, theirs);
            let listens = matches!(other.kind, Kind::Listener(_));
            let shared = options.reuse_port && other.options.reuse_port
                || options.reuse_address && other.options.reuse_address && !listens;
            overlap && !shared
        })
    }

    fn free_port(&mut self, machine: u32, transport: Transport) -> Answer<u16> {
        let host = &mut self.machines[machine as usize];
        for _ in PORTS {
            let port = host.port_next;
            host.port_next = if port == *PORTS.end() { *PORTS.start() } else { port + 1 };
            if !host.bound.contains_key(&(transport, port)) {
                return Ok(port);
            }
        }
        Err(code::EADDRINUSE)
    }

    /// The socket that is bound to an address of a machine: one that has this very address before one
    /// that has all of them.
    fn bound_at(&mut self, machine: u32, transport: Transport, to: SocketAddr) -> Option<Key> {
        let bound = self.machines[machine as usize].bound.get(&(transport, to.port()))?;
        let fit = |socket: &Key, exact: bool| {
            let place = self.sockets.peek(*socket);
            place.is_some_and(|socket| {
                let theirs = socket.local.ip();
                let open = match &socket.kind {
                    Kind::Listener(listener) => !listener.shut,
                    Kind::Datagrams(_) => true,
                    Kind::Idle | Kind::End(..) | Kind::Local(_) => false,
                };
                let all = takes_all(theirs, socket.options, to.ip());
                open && if exact { theirs == to.ip() } else { all }
            })
        };
        let exact = bound.iter().find(|socket| fit(socket, true));
        exact.or_else(|| bound.iter().find(|socket| fit(socket, false))).copied()
    }

    /// Binds a socket that sends to `to` and has no address yet.
    fn bind_for(&mut self, socket: Key, to: IpAddr) -> Answer<()> {
        let Some(entry) = self.sockets.get(socket) else { return Err(code::EBADF) };
        let (machine, local, bound) = (entry.machine, entry.local, entry.bound_to.is_some());
        let source = self.machines[machine as usize].source_for(to).ok_or(code::ENETUNREACH)?;
        if !bound {
            return self.bind(socket, SocketAddr::new(source, 0));
        }
        if local.ip().is_unspecified()
            && matches!(self.sockets.get(socket), Some(Socket { kind: Kind::Idle, .. }))
        {
            self.set_local(socket, SocketAddr::new(source, local.port()));
        }
        Ok(())
    }

    fn set_local(&mut self, socket: Key, local: SocketAddr) {
        if let Some(entry) = self.sockets.get(socket) {
            entry.local = local;
        }
    }

    /// Closes a socket.
    pub(super) fn close(&mut self, socket: Key) {
        let Some(Socket { machine, bound_to, kind, options, .. }) = self.sockets.remove(socket)
        else {
            return;
        };
        let host = &mut self.machines[machine as usize];
        host.descriptors -= 1;
        if let Some(place) = bound_to
            && let Some(sockets) = host.bound.get_mut(&place)
        {
            sockets.retain(|bound| *bound != socket);
            if sockets.is_empty() {
                host.bound.remove(&place);
            }
        }
        match kind {
            Kind::Idle | Kind::Datagrams(_) => {}
            Kind::Listener(listener) => self.listener_closed(listener),
            Kind::End(connection, side) => self.end_closed(connection, side, options.resets),
            Kind::Local(local) => self.local_closed(socket, machine, *local),
        }
        self.settle();
    }

    /// The program of a machine has ended: what it left open is closed.
    pub(super) fn program_ended(&mut self, machine: u32) {
        for key in self.sockets_of(machine) {
            self.close(key);
        }
        self.close_files(machine);
    }

    fn sockets_of(&mut self, machine: u32) -> Vec<Key> {
        let keys = self.sockets.keys();
        keys.filter(|&key| self.sockets.peek(key).is_some_and(|socket| socket.machine == machine))
            .collect()
    }

    /// A machine loses its power: what it had open is gone, and nobody is told.
    pub(super) fn power_off(&mut self, machine: u32) {
        self.machines[machine as usize].is_up = false;
        self.connections_vanish(machine);
        self.links_vanish(machine);
        for key in self.sockets_of(machine) {
            self.sockets.remove(key);
        }
        self.disk_loses_power(machine);
        let host = &mut self.machines[machine as usize];
        host.bound.clear();
        host.names.clear();
        host.descriptors = 0;
        self.note(machine, What::Stopped);
    }

    /// Whether a call would not wait (poll(2)).
    pub(super) fn is_ready(&mut self, socket: Key, interest: Interest) -> bool {
        let Some(entry) = self.sockets.get(socket) else { return true };
        match (&entry.kind, interest) {
            (Kind::Idle, _) => true,
            (Kind::Listener(listener), Interest::Readable) => listener.has_any(),
            (Kind::Listener(_), Interest::Writable) => false,
            (Kind::Datagrams(datagrams), Interest::Readable) => datagrams.has_any(),
            (Kind::Datagrams(_), Interest::Writable) => true,
            (&Kind::End(connection, side), interest) => {
                self.end_is_ready(connection, side, interest)
            }
            (Kind::Local(_), interest) => self.local_is_ready(socket, interest),
        }
    }
}

fn unspecified(v6: bool) -> IpAddr {
    if v6 { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() }
}

fn loopback(v6: bool) -> IpAddr {
    if v6 { Ipv6Addr::LOCALHOST.into() } else { Ipv4Addr::LOCALHOST.into() }
}

/// Whether a socket with this address takes what is for that one, because it takes all: one of IPv6 may
/// take IPv4 too (ipv6(7)).
fn takes_all(address: IpAddr, options: SocketOptions, other: IpAddr) -> bool {
    let both = address.is_ipv6() && !options.only_v6;
    address.is_unspecified() && (both || address.is_ipv4() == other.is_ipv4())
}

/// An address of IPv4 as a socket of IPv6 has it, and any other as it is.
fn mapped(address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) => SocketAddr::new(ip.to_ipv6_mapped().into(), address.port()),
        IpAddr::V6(_) => address,
    }
}

/// The address of IPv4 that one of IPv6 stands for, and any other as it is.
fn unmapped(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// Moves bytes from an inbox to the room for them, which there are enough for.
fn take_bytes(inbox: &mut VecDeque<u8>, room: &mut [MaybeUninit<u8>]) {
    let (first, second) = inbox.as_slices();
    let (head, tail) = room.split_at_mut(first.len().min(room.len()));
    for (room, bytes) in [(head, first), (tail, second)] {
        for (place, byte) in room.iter_mut().zip(bytes) {
            place.write(*byte);
        }
    }
    inbox.drain(..room.len());
}
