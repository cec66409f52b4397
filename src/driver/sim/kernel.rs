//! What the hosts of a world have in common: time, what is to happen, machines, sockets, and chance.
//!
//! I1. It is borrowed for one call at a time, and no code of the user's runs meanwhile.
//! I2. Nothing in it depends on an address, on a hash's order, or on a real clock.
//! I3. What is due is done before a call looks: between two sockets of one machine nothing takes time,
//!     as over a real loopback.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use super::code::{self, Answer};
use super::disk::{self, OpenFile};
use super::events::Events;
use super::faults::{Chances, FaultKind};
use super::net::tcp::Connection;
use super::net::unix::Link;
use super::net::{Event, Latency, Machine, Socket};
use super::random::Random;
use super::slab::{Key, Slab};
use super::socket::Immediate;
use super::trace::{Message, Sort, Trace, What};
use crate::DirectAlignment;
use crate::clock::HostClock;
use crate::driver::simulated::{
    self, Descriptors, SIMULATED, WORLD_SHIFT, add_world, is_simulated, world_number,
};
use crate::op::Op;
use crate::raw::RawFd;

/// The streams of chance. Those of faults follow.
const SCHEDULE: u64 = 1;
const LATENCY: u64 = 2;
const ORDER: u64 = 3;
const CALLS: u64 = 4;
const DISK: u64 = 5;
const FIRST_FAULT: u64 = 100;

/// How long a call on the pool takes, in nanoseconds.
const CALL_NS: (u64, u64) = (20_000, 200_000);
/// How late a cancel is that is late.
const LATE_CANCEL_NS: (u64, u64) = (1_000, 100_000_000);
/// How long a call is put off, and how long a loop hears of nothing.
const PUT_OFF_NS: (u64, u64) = (1_000, 1_000_000);
const DEAF_NS: (u64, u64) = (10_000, 10_000_000);
/// How far a wall clock jumps, as a power of two in milliseconds: up to 35 minutes.
const JUMP_MS_LOG2: (u64, u64) = (0, 21);
/// How fast or slow a clock is that drifts, in millionths: as far as adjtimex(2) has it.
const DRIFT_MAX: u64 = 500;
const SLOW_CALL_NS: (u64, u64) = (10_000_000, 1_000_000_000);

/// That it is an open file, and no socket.
const FILE: i32 = 1 << 29;
const GENERATION_SHIFT: u32 = 16;
const GENERATIONS: u32 = 1 << (WORLD_SHIFT - GENERATION_SHIFT);
/// Sockets of a world at a time.
pub(super) const SOCKETS_MAX: usize = 1 << GENERATION_SHIFT;

pub(super) type SharedKernel = Rc<RefCell<Kernel>>;

/// A loop, as the kernel knows it.
pub(super) struct Looper {
    /// Sockets with news for it.
    pub(super) news: Vec<u32>,
    /// Whether there is anything for it: its world looks at this often.
    pub(super) has_news: Rc<Cell<bool>>,
    /// Calls on its pool whose time has come.
    pub(super) calls_due: u32,
    /// Calls on its disk that wait or are under way.
    pub(super) under_way: Vec<Op>,
    /// Those whose time has come, and which it has not heard of.
    pub(super) landed: Vec<Op>,
    /// Late cancels of its own whose time has come.
    pub(super) cancels_due: usize,
    /// Calls that were put off whose time has come.
    pub(super) put_off_due: usize,
    /// Whether it hears of nothing now: what happens is kept for later; and whether that has just
    /// ended, so that it is to hear of all.
    pub(super) is_deaf: bool,
    pub(super) is_to_hear: bool,
}

impl Looper {
    /// Whether nothing has happened that it has not heard of, calls on its pool aside.
    pub(super) fn has_none(&self) -> bool {
        let due = self.cancels_due + self.put_off_due;
        due == 0 && self.news.is_empty() && self.landed.is_empty()
    }
}

pub(crate) struct Kernel {
    pub(super) time: Rc<Cell<u64>>,
    pub(super) events: Events,
    pub(super) machines: Vec<Machine>,
    pub(super) sockets: Slab<Socket>,
    pub(super) connections: Slab<Connection>,
    /// Connections of Unix sockets.
    pub(super) links_between: Slab<Link>,
    pub(super) disks: Vec<disk::State>,
    pub(super) files: Slab<OpenFile>,
    pub(super) loopers: Slab<Looper>,
    pub(super) plan: Chances,
    pub(super) trace: Trace,
    pub(super) schedule: Random,
    latencies: Random,
    order: Random,
    calls: Random,
    pub(super) disk_chance: Random,
    pub(super) latency: Latency,
    /// Bytes per second of a way from one machine to another.
    pub(super) bandwidth: Option<u64>,
    pub(super) links: BTreeMap<(u32, u32), Latency>,
    pub(super) blocked: BTreeSet<(u32, u32)>,
    /// Events that have happened.
    pub(super) happened: u64,
    number: usize,
}

impl Descriptors for RefCell<Kernel> {
    fn socket(self: Rc<Self>, fd: RawFd) -> Option<Box<dyn simulated::Socket>> {
        let key = self.borrow().socket_of(fd)?;
        Some(Box::new(Immediate { kernel: self, key }))
    }

    fn close(&self, fd: RawFd) {
        let mut kernel = self.borrow_mut();
        if let Some(socket) = kernel.socket_of(fd) {
            kernel.close(socket);
        } else if let Some(file) = kernel.file_of(fd) {
            kernel.close_file(file);
        }
    }

    fn duplicate(&self, fd: RawFd) -> io::Result<()> {
        let mut kernel = self.borrow_mut();
        let duplicated = match kernel.file_of(fd) {
            Some(file) => kernel.duplicate_file(file),
            None => Err(code::ESPIPE),
        };
        duplicated.map_err(io::Error::from_raw_os_error)
    }

    fn direct_alignment(&self, fd: RawFd) -> Option<Option<DirectAlignment>> {
        let mut kernel = self.borrow_mut();
        let file = kernel.file_of(fd)?;
        let machine = kernel.files.get(file)?.machine;
        let metadata = kernel.disk_call(machine).stat(file).ok()?;
        Some(metadata.direct_alignment)
    }
}

impl Kernel {
    pub(super) fn new(seed: u64) -> SharedKernel {
        let time = Rc::new(Cell::new(0));
        add_world(&Rc::clone(&time), |number| {
            Rc::new(RefCell::new(Kernel {
                time,
                events: Events::new(),
                machines: Vec::new(),
                sockets: Slab::new(),
                connections: Slab::new(),
                links_between: Slab::new(),
                disks: Vec::new(),
                files: Slab::new(),
                loopers: Slab::new(),
                plan: Chances::new(seed, FIRST_FAULT),
                trace: Trace::default(),
                schedule: Random::new(seed, SCHEDULE),
                latencies: Random::new(seed, LATENCY),
                order: Random::new(seed, ORDER),
                calls: Random::new(seed, CALLS),
                disk_chance: Random::new(seed, DISK),
                latency: Latency::default(),
                bandwidth: None,
                links: BTreeMap::new(),
                blocked: BTreeSet::new(),
                happened: 0,
                number,
            }))
        })
    }

    pub(super) fn now_ns(&self) -> u64 {
        self.time.get()
    }

    /// The descriptor of a socket.
    pub(super) fn fd(&self, socket: Key) -> i32 {
        self.number_of(socket)
    }

    /// The descriptor of an open file.
    pub(super) fn file_fd(&self, file: Key) -> i32 {
        assert!((file.index as usize) < SOCKETS_MAX, "more files than can be numbered");
        self.number_of(file) | FILE
    }

    fn number_of(&self, key: Key) -> i32 {
        let of_world = ((key.generation % GENERATIONS) << GENERATION_SHIFT) | key.index;
        SIMULATED | (self.number << WORLD_SHIFT) as i32 | of_world.cast_signed()
    }

    /// The open file of a descriptor, if it is one of this world's.
    pub(super) fn file_of(&self, fd: i32) -> Option<Key> {
        if fd & FILE == 0 { None } else { self.key_of(fd, &self.files) }
    }

    /// The open directory that a path starts in, if it starts in one.
    pub(super) fn start_of(&self, fd: i32) -> Answer<Option<Key>> {
        match fd {
            -1 => Ok(None),
            _ => self.file_of(fd).map(Some).ok_or(code::ENOTDIR),
        }
    }

    /// The socket of a descriptor, if it is one of this world's.
    pub(super) fn socket_of(&self, fd: i32) -> Option<Key> {
        if fd & FILE == 0 { self.key_of(fd, &self.sockets) } else { None }
    }

    fn key_of<T>(&self, fd: i32, slab: &Slab<T>) -> Option<Key> {
        if !is_simulated(fd) || world_number(fd) != self.number {
            return None;
        }
        let bits = fd.cast_unsigned();
        let key = slab.key(bits % SOCKETS_MAX as u32)?;
        let generation = (bits >> GENERATION_SHIFT) % GENERATIONS;
        (key.generation % GENERATIONS == generation).then_some(key)
    }

    pub(super) fn add_machine(&mut self, name: &str, addresses: Vec<IpAddr>) -> u32 {
        let clock = HostClock::new(Rc::clone(&self.time));
        self.trace.add_machine(name, &addresses);
        self.disks.push(disk::State::new(clock.wall()));
        self.machines.push(Machine::new(name, addresses, clock));
        (self.machines.len() - 1) as u32
    }

    pub(super) fn note(&mut self, machine: u32, what: What) {
        self.trace.add(self.time.get(), machine, what);
    }

    /// A message arrives, or is lost, now.
    pub(super) fn message(
        &mut self,
        (from, to): (u32, u32),
        sent_ns: u64,
        sort: Sort,
        is_lost: bool,
    ) {
        let arrived_ns = self.now_ns();
        self.trace.add_message(Message { from, to, sent_ns, arrived_ns, sort, is_lost });
    }

    /// Counts a fault that is done to a machine.
    pub(super) fn fault(&mut self, machine: u32, kind: FaultKind) {
        self.plan.count(kind);
        self.note(machine, What::Fault(kind));
    }

    /// Whether a fault happens to a machine by chance.
    pub(super) fn happens(&mut self, machine: u32, kind: FaultKind) -> bool {
        let happens = self.plan.happens(kind);
        if happens {
            self.note(machine, What::Chance(kind, self.plan.last_firing(kind)));
        }
        happens
    }

    /// How many of so many bytes a machine's transfer moves: all, or at least one where it falls short.
    pub(super) fn cut(&mut self, machine: u32, kind: FaultKind, len: usize) -> usize {
        if len > 1 && self.happens(machine, kind) {
            return self.plan.size(kind, 1, len as u64 - 1) as usize;
        }
        len
    }

    /// Has something happen after so long.
    pub(super) fn after(&mut self, delay_ns: u64, event: Event) {
        // What takes no time keeps its order.
        let tie = if delay_ns == 0 { 0 } else { self.order.next() | 1 };
        self.events.push(self.now_ns().saturating_add(delay_ns), tie, event);
    }

    /// Has all happen that is due.
    pub(super) fn settle(&mut self) {
        while self.happen_next() {}
    }

    /// Has the next thing happen that is due; says whether there was one.
    pub(super) fn happen_next(&mut self) -> bool {
        let Some(event) = self.events.pop_due(self.now_ns()) else { return false };
        self.happened += 1;
        self.happen(event);
        true
    }

    /// Moves time on, unless it is that late already. Nothing may be passed over.
    pub(super) fn advance(&mut self, to_ns: u64) {
        if to_ns <= self.now_ns() {
            return;
        }
        assert!(
            self.events.next_at().is_none_or(|at_ns| at_ns >= to_ns),
            "time passes over events"
        );
        self.time.set(to_ns);
    }

    /// Has nothing pass from one machine to another.
    pub(super) fn cut_way(&mut self, from: u32, to: u32) {
        if self.blocked.insert((from, to)) {
            self.note(from, What::Cut(to));
        }
    }

    /// Ends that.
    pub(super) fn heal_way(&mut self, from: u32, to: u32) {
        if self.blocked.remove(&(from, to)) {
            self.note(from, What::Healed(to));
        }
    }

    /// Whether nothing passes from one machine to another now.
    pub(super) fn is_cut(&self, from: u32, to: u32) -> bool {
        let is_down = |machine: u32| !self.machines[machine as usize].is_up;
        is_down(from) || is_down(to) || self.blocked.contains(&(from, to))
    }

    /// How long a message of so many bytes is on its way, in nanoseconds.
    pub(super) fn latency_ns(&mut self, from: u32, to: u32, len: usize) -> u64 {
        if from == to {
            return 0;
        }
        let latency = self.links.get(&(from, to)).copied().unwrap_or(self.latency);
        let transfer = match self.bandwidth {
            Some(bandwidth) => (len as u64).saturating_mul(1_000_000_000) / bandwidth.max(1),
            None => 0,
        };
        latency.draw(&mut self.latencies).saturating_add(transfer)
    }

    /// A loop was given a call for its pool.
    pub(super) fn call_queued(&mut self, looper: Key, machine: u32) {
        let (low, high) = CALL_NS;
        let mut delay_ns = self.calls.between(low, high);
        if self.happens(machine, FaultKind::SlowCall) {
            let (low, high) = SLOW_CALL_NS;
            delay_ns += self.plan.size(FaultKind::SlowCall, low, high);
        }
        self.after(delay_ns, Event::Call(looper));
    }

    /// A cancel of a loop's is to take effect late.
    pub(super) fn cancel_late(&mut self, looper: Key) {
        self.later(FaultKind::LateCancel, LATE_CANCEL_NS, Event::Cancel(looper));
    }

    /// Whether a call of a loop's is put off.
    pub(super) fn puts_off(&mut self, looper: Key, machine: u32) -> bool {
        let happens = self.happens(machine, FaultKind::SubmissionPutOff);
        if happens {
            self.later(FaultKind::SubmissionPutOff, PUT_OFF_NS, Event::PutOff(looper));
        }
        happens
    }

    /// Whether a loop, for which there is something, hears of nothing now.
    pub(super) fn deafens(&mut self, looper: Key, machine: u32) -> bool {
        if self.loopers.get(looper).is_some_and(|looper| looper.is_deaf) {
            return true;
        }
        let is_to_hear = |looper: &mut Looper| std::mem::take(&mut looper.is_to_hear);
        if self.loopers.get(looper).is_some_and(is_to_hear)
            || !self.happens(machine, FaultKind::CompletionsLate)
        {
            return false;
        }
        self.later(FaultKind::CompletionsLate, DEAF_NS, Event::Hear(looper));
        if let Some(looper) = self.loopers.get(looper) {
            looper.is_deaf = true;
        }
        true
    }

    /// Has something happen as late as this fault has it.
    fn later(&mut self, kind: FaultKind, (low, high): (u64, u64), event: Event) {
        let delay_ns = self.plan.size(kind, low, high);
        self.after(delay_ns, event);
    }

    /// What a machine's wall clock shows; by chance it jumps first.
    pub(super) fn read_wall_clock(&mut self, machine: u32) -> SystemTime {
        if self.happens(machine, FaultKind::ClockJump) {
            let by_ns = clock_jump_ns(self.plan.sizes(FaultKind::ClockJump));
            self.step_wall_clock(machine, by_ns);
        }
        self.machines[machine as usize].clock.wall()
    }

    pub(super) fn step_wall_clock(&mut self, machine: u32, by_ns: i64) {
        self.machines[machine as usize].clock.step_wall(by_ns);
        self.note(machine, What::ClockSet(by_ns));
    }

    /// Has a machine's clock drift, if it does so by chance.
    pub(super) fn drift(&mut self, machine: u32) {
        if self.happens(machine, FaultKind::ClockDrift) {
            let millionths = clock_drift(self.plan.sizes(FaultKind::ClockDrift));
            self.set_drift(machine, millionths);
        }
    }

    pub(super) fn set_drift(&mut self, machine: u32, millionths: i32) {
        self.machines[machine as usize].clock.set_drift(millionths);
        self.note(machine, What::Drifts(millionths));
    }

    /// Brings chance into the order in which a loop hears news.
    pub(super) fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            let other = self.schedule.below(last as u64 + 1) as usize;
            items.swap(last, other);
        }
    }
}

/// How far a wall clock jumps, and which way.
pub(super) fn clock_jump_ns(random: &mut Random) -> i64 {
    let (low, high) = JUMP_MS_LOG2;
    let distance_ns = 1_000_000 << random.between(low, high);
    if random.between(0, 1) == 1 { distance_ns } else { -distance_ns }
}

/// How fast or slow a clock is that drifts.
pub(super) fn clock_drift(random: &mut Random) -> i32 {
    random.between(0, 2 * DRIFT_MAX) as i32 - DRIFT_MAX as i32
}

/// So many nanoseconds, as far as they can be counted: over 500 years.
pub(super) fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
