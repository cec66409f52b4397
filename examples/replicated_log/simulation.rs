//! The cluster in simulated worlds: three nodes and their clients, what is done to them
//! ([`plan`](crate::plan)), and what must hold ([`check`](crate::check)).

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tigereye::Io;
use tigereye::sim::{FaultKind, Faults, Host, Runner, World};

use crate::Arguments;
use crate::bytes::Random;
use crate::check::{Check, Known};
use crate::plan::{self, TROUBLE, Trouble};
use crate::protocol::Bug;
use crate::{client, log, node, say};

pub(crate) const NODES: u8 = 3;
const CLIENTS: u64 = 2;
/// A trial takes some hundredths of a second of real time, and a hundred times as much where code is
/// checked as it runs and others use the machine, too.
const HANGS_AFTER: Duration = Duration::from_secs(600);
/// When all is well again, a cluster must be whole, and take a record, within this.
const WELL_AGAIN: Duration = Duration::from_secs(60);
/// By then a node whose disk does not answer has ended.
const SETTLED: Duration = Duration::from_secs(11);
const STEP: Duration = Duration::from_millis(200);
/// How long clients wait between records.
const PAUSE: Duration = Duration::from_millis(20);

fn addresses() -> Vec<SocketAddr> {
    (0..NODES).map(|id| SocketAddr::from(([10, 0, 0, 1 + id], 7000))).collect()
}

struct Cluster {
    nodes: [Host; NODES as usize],
    clients: Vec<Rc<client::Options>>,
    check: Rc<RefCell<Check>>,
}

impl Cluster {
    /// Three nodes that have just been set up, and clients that want to put so many records each.
    fn new(world: &mut World, bug: Option<Bug>, records: u64, pause: Duration) -> Cluster {
        let check = Rc::<RefCell<Check>>::default();
        let seed = world.seed();
        let nodes = [0, 1, 2].map(|id: u8| {
            let check = Rc::clone(&check);
            let program = move |io: &Io| {
                let watched = Rc::clone(&check);
                check.borrow_mut().started(id);
                let Known { starts, is_set_up, .. } = check.borrow().nodes[usize::from(id)];
                let options = node::Options {
                    id,
                    addresses: addresses(),
                    directory: "/".into(),
                    is_new: !is_set_up,
                    seed: Random(Random(seed).next() ^ u64::from(id) << 32 ^ starts).next(),
                    bug,
                    observer: Box::new(move |event| watched.borrow_mut().hear(id, event)),
                };
                node::start(io, options);
            };
            world.host(&format!("node {id}"), [10, 0, 0, 1 + id].into(), program)
        });
        let clients = (1..=CLIENTS).map(|id| {
            let watched = Rc::clone(&check);
            let options = Rc::new(client::Options {
                id,
                addresses: addresses(),
                pause,
                acknowledged: Cell::new(0),
                records: Cell::new(records),
                observer: Box::new(move |sequence, index| {
                    watched.borrow_mut().acknowledge(id, sequence, index);
                }),
            });
            let program = Rc::clone(&options);
            let start = move |io: &Io| client::start(io, Rc::clone(&program));
            world.host(&format!("client {id}"), [10, 0, 1, id as u8].into(), start);
            options
        });
        Cluster { nodes, clients: clients.collect(), check }
    }

    fn are_ready(&self) -> bool {
        self.check.borrow().nodes.iter().all(|node| node.is_ready)
    }

    /// Waits until the cluster is whole again and has taken records, and its disks have settled.
    fn comes_back(&self, world: &mut World, trouble: &Trouble) -> Result<(), String> {
        let end = world.now() + WELL_AGAIN;
        let acknowledged = self.check.borrow().acknowledged();
        let mut quiet_since = None;
        loop {
            trouble.keep_up(world);
            world.run_for(STEP);
            self.check.borrow().so_far()?;
            if self.check.borrow().acknowledged() > acknowledged {
                self.end_clients();
            }
            if !(self.are_done() && self.check.borrow().is_whole()) {
                quiet_since = None;
            } else if world.now() - *quiet_since.get_or_insert(world.now()) > SETTLED {
                return Ok(());
            }
            if world.now() >= end {
                return Err("the cluster does not come back".into());
            }
        }
    }

    /// Has clients end with the record that they are at.
    fn end_clients(&self) {
        for client in self.clients.iter().filter(|client| client.records.get() == u64::MAX) {
            client.records.set(client.acknowledged.get() + 1);
        }
    }

    fn are_done(&self) -> bool {
        self.clients.iter().all(|client| client.acknowledged.get() == client.records.get())
    }

    /// What is on the disks: a majority has all that was acknowledged, and so has each that is sound.
    fn look_at_disks(&self, world: &World) -> Result<(), String> {
        let check = self.check.borrow();
        let mut holding = 0;
        for (id, &host) in self.nodes.iter().enumerate() {
            let file = |name| world.file(host, name).unwrap_or_default();
            let result = match log::recover(&file("/log"), &file("/mark")) {
                Ok(found) => check.holds(&found.history.entries),
                Err(damage) => Err(format!("a disk is damaged\nnode {id}: {damage:?}")),
            };
            match result {
                Ok(()) => holding += 1,
                Err(_) if check.victim == Some(id as u8) => {}
                Err(message) => return Err(message),
            }
        }
        let is_enough = holding > NODES / 2;
        if is_enough { Ok(()) } else { Err("no majority has what was acknowledged".into()) }
    }
}

/// A cluster is set up, suffers, and must be whole then.
fn trial(world: &mut World, bug: Option<Bug>) -> Result<(), String> {
    let cluster = Cluster::new(world, bug, u64::MAX, PAUSE);
    let mut trouble = Trouble::new(world, cluster.nodes);
    trouble.set_up(world);
    if !world.run_until(WELL_AGAIN, |_world| cluster.are_ready()) {
        return Err("the cluster does not begin".into());
    }
    trouble.begin(world);
    cluster.check.borrow_mut().victim = trouble.victim();
    let end = world.now() + TROUBLE;
    while world.now() < end {
        let nodes = cluster.check.borrow().nodes;
        let step = trouble.step(world, &nodes);
        world.run_for(step);
        cluster.check.borrow().so_far()?;
    }
    trouble.end(world);
    cluster.comes_back(world, &trouble)?;
    // What is only in memory is lost with the power.
    world.set_faults(Faults::none().with(FaultKind::LostWrite, 1.0));
    for host in cluster.nodes {
        world.crash(host);
    }
    cluster.look_at_disks(world)
}

fn parse_bug(name: &str) -> Result<Bug, String> {
    let all = [
        ("no-sync", Bug::NoSync),
        ("sync-error-ignored", Bug::SyncErrorIgnored),
        ("before-quorum", Bug::BeforeQuorum),
        ("wrong-request", Bug::WrongRequest),
        ("wall-clock", Bug::WallClock),
    ];
    let found = all.iter().find(|(of, _)| *of == name);
    found.map(|&(_, bug)| bug).ok_or_else(|| format!("--bug: there is no {name:?}"))
}

/// A number that tells traces apart.
fn hash(text: &str) -> u64 {
    crate::bytes::checksum(0, text.as_bytes())
}

/// Runs a trial twice, and compares all that has happened.
fn twice(world: &mut World, bug: Option<Bug>) -> Result<(), String> {
    world.keep_trace();
    let result = trial(world, bug);
    let mut again = World::new(world.seed());
    again.keep_trace();
    let same = trial(&mut again, bug) == result && hash(&again.trace()) == hash(&world.trace());
    if same { result } else { Err("a replay differs".into()) }
}

/// Runs the worlds of many seeds.
pub(crate) fn simulate(arguments: Arguments) -> Result<ExitCode, String> {
    // The runner keeps what is left, for the command that runs a seed again.
    let (runner, rest) = Runner::new().hangs_after(HANGS_AFTER).arguments(arguments.0)?;
    let mut arguments = Arguments(rest);
    arguments.flag("simulate");
    let bug = arguments.text("--bug")?.map(|name| parse_bug(&name)).transpose()?;
    let replays = arguments.flag("--replays");
    let every = arguments.flag("--every-kind");
    arguments.end()?;
    let runner = if every { runner.expect_faults(&plan::kinds()) } else { runner };
    Ok(runner.finish(|world| if replays { twice(world, bug) } else { trial(world, bug) }))
}

/// Runs a cluster in which nothing goes wrong.
pub(crate) fn calm(arguments: &[String]) -> Result<(), String> {
    let hours = arguments.first().map_or(Ok(1), |text| text.parse::<u32>());
    let hours = hours.map_err(|error| error.to_string())?;
    let mut world = World::new(0);
    let cluster = Cluster::new(&mut world, None, u64::MAX, Duration::from_secs(1));
    #[expect(clippy::disallowed_methods, reason = "how long it takes in real time is the question")]
    let begin = Instant::now();
    world.run_for(hours * Duration::from_secs(3600));
    let elapsed = begin.elapsed().as_secs_f64();
    cluster.check.borrow().so_far()?;
    let summary = world.summary();
    say(&format!(
        "{hours}.0 simulated hours in {elapsed:.2} s: {:.2} hours per second, {:.0} events per second; \
         {} records",
        f64::from(hours) / elapsed,
        summary.events as f64 / elapsed,
        cluster.check.borrow().acknowledged(),
    ));
    Ok(())
}
