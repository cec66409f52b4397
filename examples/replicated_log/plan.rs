//! What goes wrong in the worlds of the simulation, within what a majority can survive.
//!
//! F1. Anything may happen to any host but that its disk loses what it had synced: crashes of one, two or
//!     all of them with the loss of what was not synced, kills, pauses, cuts, failing and slow disks.
//! F2. What was synced is lost on one host of a world at most, the victim: the storage of a majority is
//!     never destroyed. Its disk is the only one with sectors that cannot be read, and with [`SILENT`] faults.
//! F3. Those that cannot be told from a crash when two of them meet, the silent ones, happen one at a time:
//!     the next one when the victim has started anew after the last one, and so has noticed it.

use std::time::Duration;

use tigereye::sim::{Disturbances, FaultKind, Faults, Host, Plan, World};

use crate::bytes::Random;
use crate::check::Known;

/// How long things go wrong.
pub(crate) const TROUBLE: Duration = Duration::from_secs(15);
/// How often it is looked what else could go wrong.
const STEP_MS: u64 = 100;

/// Faults that destroy what was synced, without a word.
const SILENT: [FaultKind; 3] =
    [FaultKind::BitRot, FaultKind::MisdirectedRead, FaultKind::MisdirectedWrite];

/// The faults of this program's worlds: what does not happen there is of datagrams.
pub(crate) fn kinds() -> Vec<FaultKind> {
    use FaultKind::{
        DatagramDuplicated, DatagramLate, DatagramLost, NoBuffers, NoPoolBuffer, NoThread, SlowCall,
    };
    // There are no datagrams, no pools of buffers, and no calls of its own on the pool of threads.
    let none = [
        DatagramDuplicated,
        DatagramLate,
        DatagramLost,
        NoBuffers,
        NoPoolBuffer,
        NoThread,
        SlowCall,
    ];
    FaultKind::ALL.iter().copied().filter(|kind| !none.contains(kind)).collect()
}

/// What goes wrong by chance, at a host whose disk keeps what was synced.
fn faults(random: &mut Random) -> Faults {
    // Some worlds are worse than others.
    let times = [0.0, 0.2, 1.0, 3.0][random.below(4) as usize];
    let often = [
        (FaultKind::ShortReceive, 0.05),
        (FaultKind::ShortSend, 0.05),
        (FaultKind::Interrupted, 0.02),
        (FaultKind::FalseWake, 0.02),
        (FaultKind::LateCancel, 0.05),
        (FaultKind::ConnectionReset, 0.001),
        (FaultKind::SegmentLost, 0.005),
        (FaultKind::SegmentLate, 0.01),
        (FaultKind::HandshakeLost, 0.05),
        (FaultKind::ConnectionRefused, 0.02),
        (FaultKind::NoSocket, 0.02),
        (FaultKind::AcceptAborted, 0.02),
        (FaultKind::NoDescriptor, 0.02),
        (FaultKind::NoMemory, 0.02),
        (FaultKind::SubmissionPutOff, 0.01),
        (FaultKind::CompletionsLate, 0.002),
        (FaultKind::SlowTurn, 0.002),
        (FaultKind::HostPaused, 0.0002),
        (FaultKind::FailedSync, 0.002),
        (FaultKind::FullDisk, 0.001),
        (FaultKind::SlowDisk, 0.02),
        (FaultKind::StuckCall, 0.0005),
        (FaultKind::ClockJump, 0.0005),
        (FaultKind::ClockDrift, 0.0005),
    ];
    let faults = often.iter().fold(Faults::none(), |faults, &(kind, probability)| {
        faults.with(kind, probability * times)
    });
    with_power(faults)
}

/// And what is lost with the power.
fn with_power(faults: Faults) -> Faults {
    use FaultKind::{LostName, LostWrite, ReorderedWrite, TornWrite};
    let kinds = [LostName, LostWrite, ReorderedWrite, TornWrite];
    kinds.iter().fold(faults, |faults, &kind| faults.with(kind, 0.4))
}

/// A silent fault that was put on the victim's disk.
struct Silent {
    kind: FaultKind,
    /// How often that kind had happened before, and, once it has, how often the victim had started.
    before: u64,
    starts: Option<u64>,
}

/// Disks are bad again and again, for so many steps.
#[derive(Clone, Copy)]
struct BadDisks {
    steps: u64,
    how: Bad,
}

#[derive(Clone, Copy, PartialEq)]
enum Bad {
    /// One of them fails.
    Fails(usize),
    /// All but one of them are slow.
    SlowBut(usize),
}

/// What goes wrong in one world.
pub(crate) struct Trouble {
    random: Random,
    hosts: [Host; 3],
    faults: Faults,
    victim: Option<usize>,
    silent: Option<Silent>,
    bad: Option<BadDisks>,
}

impl Trouble {
    /// That of a world.
    pub(crate) fn new(world: &World, hosts: [Host; 3]) -> Trouble {
        let mut random = Random(world.seed());
        let faults = faults(&mut random);
        let victim = Some(random.below(4) as usize).filter(|&at| at < hosts.len());
        Trouble { random, hosts, faults, victim, silent: None, bad: None }
    }

    /// Nodes that are being set up lose their power; then they are set up again.
    pub(crate) fn set_up(&mut self, world: &mut World) {
        world.set_faults(with_power(Faults::none()));
        for host in self.hosts {
            world.run_for(Duration::from_micros(self.random.below(500)));
            if self.random.percent(30) {
                world.crash(host);
                world.restart(host);
            }
        }
    }

    /// Begins.
    pub(crate) fn begin(&mut self, world: &mut World) {
        world.set_faults(self.faults.clone());
        self.set_disk_faults(world);
        world.disturb(self.draw(world));
        world.disturb(self.draw_of_house(world));
    }

    pub(crate) fn victim(&self) -> Option<u8> {
        self.victim.map(|at| at as u8)
    }

    fn draw(&self, world: &World) -> Plan {
        use FaultKind::{HostCrashed, HostKilled, HostPaused, OneWayPartition, Partition};
        let ms = Duration::from_millis;
        Disturbances::of(&self.hosts)
            .within(world.now()..world.now() + TROUBLE)
            .at_once(3)
            .pauses(ms(10)..=ms(2500))
            .lasting(ms(10)..=ms(4000))
            .kinds(&[
                HostCrashed,
                HostCrashed,
                HostCrashed,
                HostKilled,
                HostPaused,
                OneWayPartition,
                Partition,
                Partition,
            ])
            .draw(world.seed())
    }

    /// What comes over several hosts at a time, beside that: their clocks are set, as when a better one is
    /// heard of, and the power of the house is lost; some are on another one.
    fn draw_of_house(&mut self, world: &World) -> Plan {
        let random = &mut self.random;
        let ms = Duration::from_millis;
        let (mut plan, mut at, end) = (Plan::new(), world.now(), world.now() + TROUBLE);
        loop {
            at += ms(1 + random.below(2 * STEP_MS));
            if at >= end {
                return plan;
            }
            let one = self.hosts[random.below(3) as usize];
            if random.percent(2) {
                let is_for_all = random.percent(30);
                for host in self.hosts.into_iter().filter(|&host| is_for_all || host == one) {
                    plan = plan.with(FaultKind::ClockJump, host, at, Duration::ZERO);
                }
            }
            if random.percent(1) {
                plan = plan.with(FaultKind::ClockDrift, one, at, end - at);
            }
            if random.percent(1) {
                let lasts = ms(10 + random.below(1000)).min(end - at);
                for host in self.hosts {
                    if random.percent(80) {
                        plan = plan.with(FaultKind::HostCrashed, host, at, lasts);
                    }
                }
            }
        }
    }

    fn disk_faults(&self, at: usize) -> Faults {
        let mut faults = self.faults.clone();
        if self.victim == Some(at) {
            faults = faults.with(FaultKind::LatentSectorError, 0.1);
        }
        match self.bad.map(|bad| bad.how) {
            Some(Bad::Fails(bad)) if bad == at => {
                faults = faults.with(FaultKind::FailedSync, 0.4).with(FaultKind::FullDisk, 0.05);
            }
            Some(Bad::SlowBut(good)) if good != at => {
                faults = faults.with(FaultKind::SlowDisk, 0.4);
            }
            _ => {}
        }
        faults
    }

    /// Lets some time pass, and something else go wrong that depends on what has happened. What is drawn for it
    /// does not, so that of a failing world some can be left out, and the rest stays.
    pub(crate) fn step(&mut self, world: &mut World, nodes: &[Known; 3]) -> Duration {
        self.destroy(world, nodes);
        self.spoil_disks(world);
        self.start_again(world);
        Duration::from_millis(1 + self.random.below(2 * STEP_MS))
    }

    /// Lets disks be bad for a while.
    fn spoil_disks(&mut self, world: &mut World) {
        let before = self.bad.map(|bad| bad.how);
        self.bad = match self.bad {
            Some(bad) if bad.steps > 0 => Some(BadDisks { steps: bad.steps - 1, ..bad }),
            _ if self.random.percent(4) => {
                let (steps, at) = (self.random.below(20), self.random.below(3) as usize);
                let fails = self.random.percent(50);
                Some(BadDisks { steps, how: if fails { Bad::Fails(at) } else { Bad::SlowBut(at) } })
            }
            _ => None,
        };
        if self.bad.map(|bad| bad.how) != before {
            self.set_disk_faults(world);
        }
    }

    fn set_disk_faults(&self, world: &mut World) {
        for (at, host) in self.hosts.into_iter().enumerate() {
            world.set_disk_faults(host, Some(self.disk_faults(at)));
        }
    }

    /// Starts what has ended by itself, as whatever keeps programs running does.
    fn start_again(&mut self, world: &mut World) {
        for host in self.hosts {
            if self.random.percent(20) && world.io(host).is_none() {
                world.restart(host);
            }
        }
    }

    /// Has the victim's disk lose something, unless it has not got over the last time.
    fn destroy(&mut self, world: &mut World, nodes: &[Known; 3]) {
        let kind = SILENT[self.random.below(3) as usize];
        let is_time = self.random.percent(5);
        let Some(victim) = self.victim else { return };
        let Known { starts, is_ready, .. } = nodes[victim];
        if let Some(silent) = &mut self.silent {
            let has_happened = world.summary().faults.of(silent.kind) > silent.before;
            if has_happened {
                silent.starts.get_or_insert(starts);
            }
            let is_over = silent.starts.is_some_and(|before| before < starts);
            if !(is_over && is_ready) {
                return;
            }
            self.silent = None;
        }
        if is_time {
            let before = world.summary().faults.of(kind);
            self.silent = Some(Silent { kind, before, starts: None });
            let now = world.now();
            world.disturb(Plan::new().with(kind, self.hosts[victim], now, Duration::ZERO));
        }
    }

    /// Nothing more goes wrong; what was wrong is put right.
    pub(crate) fn end(&mut self, world: &mut World) {
        world.set_faults(Faults::none());
        for host in self.hosts {
            world.set_disk_faults(host, None);
            world.set_drift(host, 0);
            self.hosts.into_iter().filter(|&other| other != host).for_each(|other| {
                world.heal(host, other);
            });
        }
    }

    /// Starts what has ended, at once.
    pub(crate) fn keep_up(&self, world: &mut World) {
        for host in self.hosts {
            if world.io(host).is_none() {
                world.restart(host);
            }
        }
    }
}
