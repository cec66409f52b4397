//! A world: hosts that run ordinary programs, and who of them goes on next.

use std::cell::Cell;
use std::fmt;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use super::Sim;
use super::disk::Disk;
use super::faults::{FaultCounts, FaultKind, Faults};
use super::kernel::{Kernel, SharedKernel, nanoseconds};
use super::net::Latency;
use super::trace::What;
use crate::{Builder, Io};

/// How long a turn of a host's loop takes, in nanoseconds: so that one that never waits does not stop
/// time.
const TURN_NS: (u64, u64) = (500, 5_000);
const SLOW_TURN_NS: (u64, u64) = (1_000_000, 200_000_000);
const PAUSE_NS: (u64, u64) = (10_000_000, 5_000_000_000);

/// Names a host of a [`World`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Host(u32);

/// Hosts with programs, a network between them, and time that jumps from one event to the next. What
/// happens, and when, comes from the seed alone: two worlds with one seed in which the same is done do
/// the same. A panic that passes through a world is followed by a line with its seed.
///
/// ```
/// use std::time::Duration;
/// use tigereye::sim::World;
/// use tigereye::{Io, Next, TcpListener};
///
/// let mut world = World::new(42);
/// world.host("server", "10.0.0.1".parse().unwrap(), |io: &Io| {
///     let listener = TcpListener::bind(io, "0.0.0.0:7000".parse().unwrap()).unwrap();
///     io.accept_each(
///         listener,
///         |_listener, io, stream| {
///             io.send_all(stream, "hello", |_stream, _io, _buf, result| result.unwrap());
///             Next::Continue
///         },
///         |_listener, _io, _result| {},
///     );
/// });
/// let heard = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
/// let client = heard.clone();
/// world.host("client", "10.0.0.2".parse().unwrap(), move |io: &Io| {
///     let heard = client.clone();
///     io.connect(heard, "10.0.0.1:7000".parse().unwrap(), |heard, io, stream| {
///         io.recv_exact(stream.unwrap(), Vec::with_capacity(5), 5, move |_stream, _io, buf, result| {
///             result.unwrap();
///             heard.replace(buf);
///         });
///     });
/// });
/// assert!(world.run_until(Duration::from_secs(1), |_world| !heard.borrow().is_empty()));
/// assert_eq!(*heard.borrow(), b"hello");
/// ```
pub struct World {
    kernel: SharedKernel,
    hosts: Vec<Process>,
    seed: u64,
    turns: u64,
    /// Whether somebody had a host's loop since the last step.
    was_touched: Cell<bool>,
    /// When each host can go on, in nanoseconds; kept for its memory.
    due_ns: Vec<u64>,
}

/// What runs on a host.
struct Process {
    program: Rc<dyn Fn(&Io)>,
    builder: Builder,
    /// While it runs.
    io: Option<Io>,
    paused: bool,
    busy_until_ns: u64,
    /// Whether its loop has run since it was asked when it goes on by itself, and when that is.
    has_run: bool,
    own_ns: u64,
    has_news: Rc<Cell<bool>>,
}

impl World {
    /// An empty world.
    pub fn new(seed: u64) -> World {
        World {
            kernel: Kernel::new(seed),
            hosts: Vec::new(),
            seed,
            turns: 0,
            was_touched: Cell::new(true),
            due_ns: Vec::new(),
        }
    }

    /// The seed.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The time since the world began.
    pub fn now(&self) -> Duration {
        Duration::from_nanos(self.kernel.borrow().now_ns())
    }

    /// Adds a host with a name and an address, and starts its program: `program` is called with the
    /// host's loop, and starts operations on it; their callbacks run when the world does. It is called
    /// again, with a new loop, each time the host is [restarted](World::restart). When the program
    /// [stops](Io::stop) its loop, it has ended.
    ///
    /// Hosts find each other by address, or by name ([`Io::connect_host`]).
    pub fn host(&mut self, name: &str, address: IpAddr, program: impl Fn(&Io) + 'static) -> Host {
        self.host_with(name, &[address], &Io::builder(), program)
    }

    /// As [`host`](World::host), with any number of addresses and with options for the loop. The driver
    /// that they name is passed over.
    pub fn host_with(
        &mut self,
        name: &str,
        addresses: &[IpAddr],
        builder: &Builder,
        program: impl Fn(&Io) + 'static,
    ) -> Host {
        let number = self.kernel.borrow_mut().add_machine(name, addresses.to_vec());
        self.hosts.push(Process {
            program: Rc::new(program),
            builder: builder.clone(),
            io: None,
            paused: false,
            busy_until_ns: 0,
            has_run: true,
            own_ns: 0,
            has_news: Rc::default(),
        });
        let host = Host(number);
        self.start(host);
        host
    }

    /// The loop of a host, while its program runs.
    pub fn io(&self, host: Host) -> Option<&Io> {
        self.was_touched.set(true);
        self.hosts[host.0 as usize].io.as_ref()
    }

    fn start(&mut self, host: Host) {
        let kernel = Rc::clone(&self.kernel);
        {
            let mut kernel = self.kernel.borrow_mut();
            kernel.machines[host.0 as usize].is_up = true;
            kernel.note(host.0, What::Started);
        }
        let process = &mut self.hosts[host.0 as usize];
        let sim = Sim::on(kernel, host.0, true);
        process.has_news = sim.has_news();
        let io = process.builder.clone().build_on(sim);
        (process.paused, process.busy_until_ns, process.has_run) = (false, 0, true);
        let program = Rc::clone(&process.program);
        program(&io);
        self.hosts[host.0 as usize].io = Some(io);
    }

    /// Starts the program of a host again, which was killed, has lost its power, or still runs: then it
    /// is killed first.
    pub fn restart(&mut self, host: Host) {
        if self.io(host).is_some() {
            self.kill(host);
        }
        self.start(host);
    }

    /// Kills the program of a host, as `kill -9` does: its system closes what it had open, so its peers
    /// hear of it, and has the files as they were written, synced or not. Contexts and buffers in flight are dropped; no callback runs.
    pub fn kill(&mut self, host: Host) {
        if self.io(host).is_some() {
            let mut kernel = self.kernel.borrow_mut();
            kernel.fault(host.0, FaultKind::HostKilled);
            kernel.end_writes(host.0);
            drop(kernel);
            self.end(host);
        }
    }

    /// Takes a host's power away: its peers hear nothing, until they ask it after its restart. Of its
    /// files all is left that was synced, and of the rest what faults leave of it:
    /// [`LostWrite`](FaultKind::LostWrite), [`TornWrite`](FaultKind::TornWrite),
    /// [`ReorderedWrite`](FaultKind::ReorderedWrite) and [`LostName`](FaultKind::LostName).
    pub fn crash(&mut self, host: Host) {
        let mut kernel = self.kernel.borrow_mut();
        if kernel.machines[host.0 as usize].is_up {
            kernel.fault(host.0, FaultKind::HostCrashed);
            kernel.power_off(host.0);
        }
        drop(kernel);
        self.end(host);
    }

    fn end(&mut self, host: Host) {
        let io = self.hosts[host.0 as usize].io.take();
        drop(io);
        // Somebody may have kept a handle.
        self.kernel.borrow_mut().program_ended(host.0);
    }

    /// Lets the program of a host do nothing, while its system goes on (`SIGSTOP`).
    pub fn pause(&mut self, host: Host) {
        if !std::mem::replace(&mut self.hosts[host.0 as usize].paused, true) {
            self.kernel.borrow_mut().fault(host.0, FaultKind::HostPaused);
        }
    }

    /// Ends a [`pause`](World::pause).
    pub fn resume(&mut self, host: Host) {
        self.hosts[host.0 as usize].paused = false;
    }

    /// Lets nothing pass between two hosts, both ways. What is on its way is lost too; what was lost of
    /// a connection comes when the network is [healed](World::heal), unless it was given up.
    pub fn partition(&mut self, one: Host, other: Host) {
        let mut kernel = self.kernel.borrow_mut();
        kernel.blocked.extend([(one.0, other.0), (other.0, one.0)]);
        kernel.fault(one.0, FaultKind::Partition);
    }

    /// Lets nothing pass from one host to another.
    pub fn partition_one_way(&mut self, from: Host, to: Host) {
        let mut kernel = self.kernel.borrow_mut();
        kernel.blocked.insert((from.0, to.0));
        kernel.fault(from.0, FaultKind::OneWayPartition);
    }

    /// Ends all partitions between two hosts.
    pub fn heal(&mut self, one: Host, other: Host) {
        let mut kernel = self.kernel.borrow_mut();
        kernel.blocked.remove(&(one.0, other.0));
        kernel.blocked.remove(&(other.0, one.0));
    }

    /// How long messages between hosts are on their way, unless a
    /// [link](World::set_link_latency) of theirs says otherwise.
    pub fn set_latency(&mut self, latency: Latency) {
        self.kernel.borrow_mut().latency = latency;
    }

    /// How long messages from one host to another are on their way.
    pub fn set_link_latency(&mut self, from: Host, to: Host, latency: Latency) {
        self.kernel.borrow_mut().links.insert((from.0, to.0), latency);
    }

    /// How many bytes per second a connection, or a datagram, moves from one host to another; at least
    /// 1. Without it, the number of bytes makes no difference.
    pub fn set_bandwidth(&mut self, bytes_per_second: Option<u64>) {
        self.kernel.borrow_mut().bandwidth = bytes_per_second;
    }

    /// What goes wrong by chance from now on.
    pub fn set_faults(&mut self, faults: Faults) {
        self.kernel.borrow_mut().plan.set(faults);
    }

    /// What disk a host has from now on; its files stay.
    pub fn set_disk(&mut self, host: Host, disk: Disk) {
        self.kernel.borrow_mut().disks[host.0 as usize].disk = disk;
    }

    /// What goes wrong by chance with a host's disk from now on; without it, what
    /// [`set_faults`](World::set_faults) says for the whole world. Faults of other things have no
    /// meaning here.
    pub fn set_disk_faults(&mut self, host: Host, faults: Option<Faults>) {
        self.kernel.borrow_mut().disks[host.0 as usize].script.faults = faults;
    }

    /// Has a fault happen to a host's disk the next time that it can; once for each time that this is
    /// called.
    pub fn fail_next(&mut self, host: Host, kind: FaultKind) {
        self.kernel.borrow_mut().disks[host.0 as usize].script.next.push(kind);
    }

    /// What the file at an absolute path of a host holds, as its programs see it.
    pub fn file(&self, host: Host, path: &str) -> Option<Vec<u8>> {
        self.kernel.borrow_mut().file_bytes(host.0, path.as_bytes())
    }

    /// How many descriptors a host may have open.
    pub fn limit_descriptors(&mut self, host: Host, descriptors: u32) {
        self.kernel.borrow_mut().machines[host.0 as usize].descriptors_max = descriptors;
    }

    /// What a host's wall clock shows ([`Io::wall_clock`]). All begin with 2026.
    pub fn wall_clock(&self, host: Host) -> SystemTime {
        self.kernel.borrow().machines[host.0 as usize].clock.wall()
    }

    /// Sets a host's wall clock, so that it jumps, up to 292 years. What its programs see of the passing
    /// of time ([`Io::now`], timers, deadlines) does not change; the times of files that they write do.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tigereye::sim::World;
    ///
    /// let mut world = World::new(1);
    /// let host = world.host("host", "10.0.0.1".parse().unwrap(), |_io| {});
    /// let hour = Duration::from_secs(3600);
    /// world.set_wall_clock(host, world.wall_clock(host) - hour);
    /// world.set_drift(host, 200);
    /// ```
    pub fn set_wall_clock(&mut self, host: Host, time: SystemTime) {
        let mut kernel = self.kernel.borrow_mut();
        let by_ns = kernel.machines[host.0 as usize].clock.set_wall(time);
        kernel.fault(host.0, FaultKind::ClockJump);
        kernel.note(host.0, What::ClockSet(by_ns));
    }

    /// Has the clocks of a host run so many millionths faster than the time of the world from now on, or
    /// slower where they are less than zero: the wall clock, and that of [`Io::now`], timers and
    /// deadlines. At most 100,000 either way.
    pub fn set_drift(&mut self, host: Host, millionths: i32) {
        let mut kernel = self.kernel.borrow_mut();
        kernel.fault(host.0, FaultKind::ClockDrift);
        kernel.set_drift(host.0, millionths);
        // Its timers are due at other times now.
        self.was_touched.set(true);
    }

    /// Keeps a line of each thing that happens from now on, for [`trace`](World::trace).
    pub fn keep_trace(&mut self) {
        self.kernel.borrow_mut().trace.kept = true;
    }

    /// What happened, a line each: when, on which host, what. Two runs of one seed have the same text.
    pub fn trace(&self) -> String {
        let kernel = self.kernel.borrow();
        kernel.trace.text(|machine| kernel.machines[machine as usize].name.clone())
    }

    /// Figures of the run until now.
    pub fn summary(&self) -> Summary {
        let kernel = self.kernel.borrow();
        Summary {
            seed: self.seed,
            time: Duration::from_nanos(kernel.now_ns()),
            events: kernel.happened,
            turns: self.turns,
            faults: kernel.plan.counts.clone(),
        }
    }

    /// Does the next thing: has one event happen, or one host's loop run a turn. Time moves on to it.
    /// Says whether there was anything left to do.
    ///
    /// # Panics
    /// A panic of a callback passes through.
    pub fn step(&mut self) -> bool {
        self.step_until(u64::MAX)
    }

    /// Runs for so long, in the time of the world.
    ///
    /// # Panics
    /// As [`step`](World::step).
    pub fn run_for(&mut self, duration: Duration) {
        self.run_until(duration, |_world| false);
    }

    /// Runs until `done` holds, or for so long at most, in the time of the world; says whether it holds.
    ///
    /// # Panics
    /// As [`step`](World::step).
    pub fn run_until(&mut self, within: Duration, mut done: impl FnMut(&World) -> bool) -> bool {
        let now_ns = self.kernel.borrow().now_ns();
        let deadline_ns = now_ns.saturating_add(nanoseconds(within));
        loop {
            if done(self) {
                return true;
            }
            if !self.step_until(deadline_ns) {
                let mut kernel = self.kernel.borrow_mut();
                if deadline_ns < u64::MAX {
                    kernel.advance(deadline_ns);
                }
                return false;
            }
        }
    }

    /// Does the next thing, if its time comes before the deadline.
    fn step_until(&mut self, deadline_ns: u64) -> bool {
        let event_ns = self.kernel.borrow().events.next_at();
        self.due_ns.clear();
        let all = self.was_touched.replace(false);
        self.due_ns.extend(self.hosts.iter_mut().map(|process| process.due_ns(all)));
        let host_ns = self.due_ns.iter().copied().min().filter(|&at_ns| at_ns < u64::MAX);
        let Some(next_ns) = event_ns.into_iter().chain(host_ns).min() else {
            self.check_quiet();
            return false;
        };
        if next_ns >= deadline_ns {
            return false;
        }
        let chosen = {
            let mut kernel = self.kernel.borrow_mut();
            kernel.advance(next_ns);
            let now_ns = kernel.now_ns();
            let mut able = self.due_ns.iter().enumerate().filter(|&(_, &due_ns)| due_ns <= now_ns);
            let has_event = event_ns.is_some_and(|at_ns| at_ns <= now_ns);
            let choices = able.clone().count() + usize::from(has_event);
            let choice = if choices > 1 { kernel.schedule.below(choices as u64) } else { 0 };
            able.nth(choice as usize).map(|(at, _)| at)
        };
        match chosen {
            Some(host) => self.run_turn(host),
            None => {
                self.kernel.borrow_mut().happen_next();
            }
        }
        true
    }

    /// Nothing can happen any more.
    fn check_quiet(&self) {
        for process in self.hosts.iter().filter(|process| !process.paused) {
            if let Some(io) = &process.io {
                let mut state = io.core.state.borrow_mut();
                state.check_all();
                state.check_quiet();
            }
        }
    }

    /// The hosts on which operations are in flight that nothing in this world can end any more, and how
    /// many there are: no event is to come, no loop has anything to do, and no host is paused. Only who
    /// has the world can go on with them. Servers that wait for who has not come are among them; after
    /// a run in which all was to end, anything else is a mistake of the programs'.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tigereye::sim::World;
    ///
    /// let mut world = World::new(1);
    /// let host = world.host("host", "10.0.0.1".parse().unwrap(), |io| {
    ///     io.timeout((), Duration::from_secs(1), |(), _io, _result| {});
    ///     let (_op, trigger) = io.event((), |(), _io, _result| {});
    ///     drop(trigger); // Nobody can pull it now.
    /// });
    /// world.run_for(Duration::from_secs(2));
    /// assert_eq!(world.stuck(), [(host, 1)]);
    /// ```
    pub fn stuck(&self) -> Vec<(Host, u32)> {
        let is_quiet = |process: &Process| !process.paused && !process.has_more();
        let has_events = self.kernel.borrow().events.next_at().is_some();
        if has_events || !self.hosts.iter().all(is_quiet) {
            return Vec::new();
        }
        let in_flight = |process: &Process| process.io.as_ref().map_or(0, Io::in_flight);
        let hosts = self.hosts.iter().map(in_flight).enumerate();
        hosts.filter(|&(_, count)| count > 0).map(|(at, count)| (Host(at as u32), count)).collect()
    }

    fn run_turn(&mut self, at: usize) {
        self.turns += 1;
        self.hosts[at].has_run = true;
        let Some(io) = &self.hosts[at].io else { return };
        // It fails only where a callback runs its own loop.
        let _ = io.poll();
        let has_ended = io.was_stopped();
        let host = Host(at as u32);
        {
            let mut kernel = self.kernel.borrow_mut();
            let (low, high) = TURN_NS;
            let mut busy_ns = kernel.schedule.between(low, high);
            let slow = [(FaultKind::SlowTurn, SLOW_TURN_NS), (FaultKind::HostPaused, PAUSE_NS)];
            for (kind, (low, high)) in slow {
                if kernel.happens(host.0, kind) {
                    busy_ns += kernel.plan.size(kind, low, high);
                }
            }
            kernel.drift(host.0);
            self.hosts[at].busy_until_ns = kernel.now_ns().saturating_add(busy_ns);
        }
        if has_ended {
            self.kernel.borrow_mut().note(host.0, What::Stopped);
            self.end(host);
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // Whoever reads of the panic wants to see it again.
            eprintln!("in the simulated world of seed {}, at {:?}", self.seed, self.now());
        }
        // All at once: what one of them would hear of another one's end is nobody's any more.
        for process in &mut self.hosts {
            drop(process.io.take());
        }
    }
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World")
            .field("seed", &self.seed)
            .field("now", &self.now())
            .finish_non_exhaustive()
    }
}

impl Process {
    /// Whether its loop has, or will have, something to do by itself.
    fn has_more(&self) -> bool {
        self.io.as_ref().is_some_and(|io| {
            self.has_news.get() || io.has_messages() || io.next_due_ns() < u64::MAX
        })
    }

    /// When its loop has something to do, in the time of the world; what it goes on by itself for is
    /// looked up again where that may have changed.
    fn due_ns(&mut self, is_touched: bool) -> u64 {
        let Some(io) = self.io.as_ref().filter(|_| !self.paused) else { return u64::MAX };
        if std::mem::take(&mut self.has_run) || is_touched {
            self.own_ns = io.next_due_ns();
        }
        let has_any = self.has_news.get() || io.has_messages();
        (if has_any { 0 } else { self.own_ns }).max(self.busy_until_ns)
    }
}

/// What came of a run, in figures.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Summary {
    /// The seed.
    pub seed: u64,
    /// How long it was, in the time of the world.
    pub time: Duration,
    /// Events that happened: messages that arrived, and the like.
    pub events: u64,
    /// Turns that loops ran.
    pub turns: u64,
    /// What went wrong.
    pub faults: FaultCounts,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Summary { seed, time, events, turns, faults } = self;
        write!(f, "seed {seed}: {time:?}, {events} events, {turns} turns")?;
        for (kind, count) in faults.iter().filter(|&(_, count)| count > 0) {
            write!(f, "; {kind}: {count}")?;
        }
        Ok(())
    }
}
