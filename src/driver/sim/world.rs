//! A world: hosts that run ordinary programs, and how these begin and end.
//!
//! What is around the hosts is in `world/surroundings.rs`, who of them goes on next in `world/run.rs`,
//! and what is told of it in `world/told.rs`.

use std::cell::Cell;
use std::fmt;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use super::Sim;
use super::faults::FaultKind;
use super::kernel::{Kernel, SharedKernel};
use super::plan::Agenda;
use super::trace::What;
use crate::{Builder, Io};

mod run;
mod surroundings;
mod told;

pub use told::Summary;

/// Names a host of a [`World`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Host(pub(super) u32);

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
    pub(super) kernel: SharedKernel,
    hosts: Vec<Process>,
    seed: u64,
    turns: u64,
    /// Whether somebody had a host's loop since the last step.
    pub(super) was_touched: Cell<bool>,
    /// When each host can go on, in nanoseconds; kept for its memory.
    due_ns: Vec<u64>,
    /// What is to be done to it.
    pub(super) agenda: Agenda,
    /// Who is told of each moment: before and after each step.
    pub(super) watcher: Option<Watcher>,
    moments: u64,
}

/// Is given the world and the number of the moment.
pub(super) type Watcher = Rc<dyn Fn(&World, u64)>;

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
            agenda: Agenda::default(),
            watcher: None,
            moments: 0,
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

    pub(super) fn start(&mut self, host: Host) {
        let kernel = Rc::clone(&self.kernel);
        {
            let mut kernel = self.kernel.borrow_mut();
            kernel.machines[host.0 as usize].is_up = true;
            kernel.note(host.0, What::Started);
        }
        let process = &mut self.hosts[host.0 as usize];
        let sim = Sim::on(kernel, host.0, true);
        process.has_news = sim.has_news();
        let io = process.builder.clone().build_on(Box::new(sim));
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
    /// hear of it, and has the files as they were written, synced or not. Contexts and buffers in flight
    /// are dropped; no callback runs.
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
        if std::mem::take(&mut self.hosts[host.0 as usize].paused) {
            self.kernel.borrow_mut().note(host.0, What::Resumed);
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
