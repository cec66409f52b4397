//! What is done to a world, and when: drawn from its seed within limits, and done by the world itself as
//! its time goes.
//!
//! I1. A plan is data. Whether a disturbance happens does not move the others: so a failing run can be
//!     tried again without some of them ([`Schedule`](super::Schedule)).

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};
use std::ops::{Range, RangeInclusive};
use std::time::Duration;

use super::faults::FaultKind;
use super::kernel::nanoseconds;
use super::random::Random;
use super::schedule::{Allowed, Part};
use super::world::Host;

/// The stream of chance that plans are drawn from.
const PLANS: u64 = 50;
/// The first of the streams that say how far clocks are set, one a disturbance.
const CLOCKS: u64 = 1 << 40;

/// Something that is done to a host, or to what is between hosts, for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Disturbance {
    /// When it begins, in the time of the world.
    pub at: Duration,
    /// How long it lasts: until the host is started again or goes on, or the network is healed.
    pub lasts: Duration,
    /// What is done.
    pub kind: FaultKind,
    /// The host that it is done to.
    pub host: Host,
    /// Of a partition, the host that the first one is cut off from; all others, where it names none.
    pub other: Option<Host>,
}

/// What is to be done to a world, and when. See [`World::disturb`](super::World::disturb).
///
/// ```
/// use std::time::Duration;
/// use tigereye::sim::{FaultKind, Plan, World};
///
/// let mut world = World::new(1);
/// let one = world.host("one", "10.0.0.1".parse().unwrap(), |_io| {});
/// let other = world.host("other", "10.0.0.2".parse().unwrap(), |_io| {});
/// let second = Duration::from_secs(1);
/// world.disturb(
///     Plan::new()
///         .with(FaultKind::HostCrashed, one, 2 * second, 5 * second)
///         .with_partition(other, Some(one), 10 * second, 3 * second),
/// );
/// world.run_for(20 * second);
/// assert_eq!(world.summary().faults.of(FaultKind::HostCrashed), 1);
/// assert!(world.is_calm());
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    pub(super) disturbances: Vec<Disturbance>,
}

impl Plan {
    /// Nothing is to be done.
    pub fn new() -> Plan {
        Plan::default()
    }

    /// Has something done to a host, at a time of the world, for so long: [`FaultKind::HostKilled`],
    /// [`FaultKind::HostCrashed`] (then it is started again), [`FaultKind::HostPaused`],
    /// [`FaultKind::Partition`], [`FaultKind::OneWayPartition`] (from all others, or what it sends to
    /// them), [`FaultKind::ClockJump`] (which lasts no time), [`FaultKind::ClockDrift`], or a fault of its
    /// disk, which happens once, the next time that it can.
    ///
    /// # Panics
    /// Of other kinds, which happen by chance alone.
    #[must_use]
    pub fn with(mut self, kind: FaultKind, host: Host, at: Duration, lasts: Duration) -> Plan {
        assert!(can_be_done(kind), "{kind} happens by chance alone: see `World::set_faults`");
        self.disturbances.push(Disturbance { at, lasts, kind, host, other: None });
        self
    }

    /// Cuts a host off from another one, or from all others, both ways.
    #[must_use]
    pub fn with_partition(
        mut self,
        host: Host,
        other: Option<Host>,
        at: Duration,
        lasts: Duration,
    ) -> Plan {
        self.disturbances.push(Disturbance { at, lasts, kind: FaultKind::Partition, host, other });
        self
    }

    /// What is to be done, in the order in which it was added.
    pub fn iter(&self) -> impl Iterator<Item = &Disturbance> {
        self.disturbances.iter()
    }
}

impl FaultKind {
    /// Those that are done to hosts and to what is between them, and that a plan can have.
    pub const OF_HOSTS: &'static [FaultKind] = &[
        FaultKind::HostKilled,
        FaultKind::HostCrashed,
        FaultKind::HostPaused,
        FaultKind::Partition,
        FaultKind::OneWayPartition,
    ];
}

fn is_of_disks(kind: FaultKind) -> bool {
    FaultKind::OF_DISKS.contains(&kind)
}

fn is_of_clocks(kind: FaultKind) -> bool {
    matches!(kind, FaultKind::ClockJump | FaultKind::ClockDrift)
}

fn can_be_done(kind: FaultKind) -> bool {
    is_of_disks(kind) || is_of_clocks(kind) || FaultKind::OF_HOSTS.contains(&kind)
}

/// Whether it is over when it has begun.
fn is_brief(kind: FaultKind) -> bool {
    is_of_disks(kind) || kind == FaultKind::ClockJump
}

/// Limits within which a [`Plan`] is drawn: which hosts, how many of them at a time, when, what. With
/// them it can be said, and ensured, what a program must survive: of three hosts of which one at a time
/// is [disturbed](Disturbances::at_once), two are up and can talk to each other, always.
///
/// ```
/// use std::time::Duration;
/// use tigereye::sim::{Disturbances, FaultKind, World};
///
/// let mut world = World::new(7);
/// let hosts = [1, 2, 3].map(|last| {
///     world.host(&format!("host {last}"), [10, 0, 0, last].into(), |_io| {})
/// });
/// let second = Duration::from_secs(1);
/// let plan = Disturbances::of(&hosts)
///     .within(second..60 * second)
///     .lasting(second / 10..=5 * second)
///     .recovery(2 * second)
///     .draw(world.seed());
/// assert!(plan.iter().all(|disturbance| disturbance.at + disturbance.lasts <= 60 * second));
/// world.disturb(plan);
/// assert!(world.run_until(120 * second, |world| world.is_calm()));
/// ```
#[derive(Debug, Clone)]
pub struct Disturbances {
    hosts: Vec<Host>,
    disks: Vec<Host>,
    window: Range<Duration>,
    at_once: usize,
    pauses: RangeInclusive<Duration>,
    lasting: RangeInclusive<Duration>,
    recovery: Duration,
    kinds: Vec<FaultKind>,
}

impl Disturbances {
    /// Disturbances of these hosts: each kind [of hosts](FaultKind::OF_HOSTS), to one of them at a time,
    /// for 0.1 to 10 s, with pauses of 0.1 to 10 s, in the first minute.
    pub fn of(hosts: &[Host]) -> Disturbances {
        let (short, long) = (Duration::from_millis(100), Duration::from_secs(10));
        Disturbances {
            hosts: hosts.to_vec(),
            disks: hosts.to_vec(),
            window: Duration::ZERO..Duration::from_secs(60),
            at_once: 1,
            pauses: short..=long,
            lasting: short..=long,
            recovery: Duration::ZERO,
            kinds: FaultKind::OF_HOSTS.to_vec(),
        }
    }

    /// When they begin and are over, in the time of the world.
    #[must_use]
    pub fn within(mut self, window: Range<Duration>) -> Disturbances {
        self.window = window;
        self
    }

    /// How many hosts are disturbed at a time, at most. A host that is cut off from some others is; the
    /// others are not, and neither is one whose clock is wrong, or whose disk has a fault.
    #[must_use]
    pub fn at_once(mut self, hosts: usize) -> Disturbances {
        self.at_once = hosts;
        self
    }

    /// How long the pauses between the beginnings of two are.
    #[must_use]
    pub fn pauses(mut self, pauses: RangeInclusive<Duration>) -> Disturbances {
        self.pauses = pauses;
        self
    }

    /// How long one lasts.
    #[must_use]
    pub fn lasting(mut self, lasting: RangeInclusive<Duration>) -> Disturbances {
        self.lasting = lasting;
        self
    }

    /// How long a host still counts as disturbed when that is over: so that it can catch up before
    /// the next one is.
    #[must_use]
    pub fn recovery(mut self, recovery: Duration) -> Disturbances {
        self.recovery = recovery;
        self
    }

    /// What is done, each as likely as the others; one that is named twice is twice as likely.
    /// Faults of disks and of clocks may be among them.
    ///
    /// # Panics
    /// As [`Plan::with`].
    #[must_use]
    pub fn kinds(mut self, kinds: &[FaultKind]) -> Disturbances {
        for &kind in kinds {
            assert!(can_be_done(kind), "{kind} happens by chance alone: see `World::set_faults`");
        }
        self.kinds = kinds.to_vec();
        self
    }

    /// The hosts whose disks have the faults of disks, where it is not all of them: a minority whose
    /// storage may be destroyed.
    #[must_use]
    pub fn disks_of(mut self, hosts: &[Host]) -> Disturbances {
        self.disks = hosts.to_vec();
        self
    }

    /// Draws a plan: one seed and the same limits give the same plan.
    pub fn draw(&self, seed: u64) -> Plan {
        let mut random = Random::new(seed, PLANS);
        let mut plan = Plan::new();
        let mut at = self.window.start;
        // Who is disturbed, and until when.
        let mut busy: Vec<(Host, Duration)> = Vec::new();
        loop {
            at = at.saturating_add(between(&mut random, &self.pauses));
            if at >= self.window.end {
                return plan;
            }
            busy.retain(|&(_host, until)| until > at);
            let lasts = between(&mut random, &self.lasting).min(self.window.end - at);
            let Some(kind) = pick(&mut random, &self.kinds) else { return plan };
            if is_of_disks(kind) || is_of_clocks(kind) {
                let hosts = if is_of_disks(kind) { &self.disks } else { &self.hosts };
                let lasts = if is_brief(kind) { Duration::ZERO } else { lasts };
                if let Some(host) = pick(&mut random, hosts) {
                    plan = plan.with(kind, host, at, lasts);
                }
                continue;
            }
            let is_free = |host: &Host| busy.iter().all(|(other, _until)| other != host);
            let free: Vec<Host> = self.hosts.iter().copied().filter(is_free).collect();
            let Some(host) = pick(&mut random, &free).filter(|_| busy.len() < self.at_once) else {
                continue;
            };
            let is_between = [FaultKind::Partition, FaultKind::OneWayPartition].contains(&kind);
            let cuts_one = is_between && random.happens(0.5);
            let others: Vec<Host> = self.hosts.iter().copied().filter(|&it| it != host).collect();
            let other = if cuts_one { pick(&mut random, &others) } else { None };
            plan.disturbances.push(Disturbance { at, lasts, kind, host, other });
            busy.push((host, at.saturating_add(lasts).saturating_add(self.recovery)));
        }
    }
}

/// A time of a range, which is never nothing: a plan comes to its end.
fn between(random: &mut Random, range: &RangeInclusive<Duration>) -> Duration {
    let (low, high) = (nanoseconds(*range.start()), nanoseconds(*range.end()));
    Duration::from_nanos(random.between(low, high).max(1_000))
}

fn pick<T: Copy>(random: &mut Random, from: &[T]) -> Option<T> {
    if from.is_empty() { None } else { Some(from[random.below(from.len() as u64) as usize]) }
}

/// The numbers of a disturbance of a clock, by its place in the plans.
pub(super) fn clock_chance(seed: u64, number: u64) -> Random {
    Random::new(seed, CLOCKS + number)
}

/// What a world has to do of its plans.
#[derive(Default)]
pub(super) struct Agenda {
    disturbances: Vec<Disturbance>,
    /// By time; what is over comes before what begins.
    steps: BinaryHeap<Reverse<(u64, bool, u64)>>,
    /// Those that are under way.
    active: BTreeSet<u64>,
    /// Which of them are.
    allowed: Allowed,
}

/// One of them begins, by number, or is over.
pub(super) enum Step {
    Begins(u64, Disturbance),
    Over(Disturbance),
}

impl Agenda {
    pub(super) fn add(&mut self, plan: Plan) {
        for disturbance in plan.disturbances {
            let number = self.disturbances.len() as u64;
            self.disturbances.push(disturbance);
            if self.allowed.has(Part::Plan(number)) {
                self.steps.push(Reverse((nanoseconds(disturbance.at), true, number)));
            }
        }
    }

    pub(super) fn allow(&mut self, allowed: Allowed) {
        self.allowed = allowed;
    }

    /// When it has something to do next.
    pub(super) fn next_ns(&self) -> Option<u64> {
        self.steps.peek().map(|Reverse((at_ns, ..))| *at_ns)
    }

    pub(super) fn next(&mut self) -> Option<Step> {
        let Reverse((at_ns, begins, number)) = self.steps.pop()?;
        let disturbance = self.disturbances[number as usize];
        if !begins {
            self.active.remove(&number);
            return Some(Step::Over(disturbance));
        }
        if !is_brief(disturbance.kind) {
            let over_ns = at_ns.saturating_add(nanoseconds(disturbance.lasts));
            self.active.insert(number);
            self.steps.push(Reverse((over_ns, false, number)));
        }
        Some(Step::Begins(number, disturbance))
    }

    pub(super) fn active(&self) -> impl Iterator<Item = &Disturbance> {
        self.active.iter().map(|&number| &self.disturbances[number as usize])
    }

    pub(super) fn is_done(&self) -> bool {
        self.steps.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::sim::World;

    /// Of a plan, how many hosts are disturbed when each one begins.
    fn at_once(plan: &Plan) -> usize {
        let is_active = |one: &Disturbance, at| {
            FaultKind::OF_HOSTS.contains(&one.kind) && one.at <= at && at < one.at + one.lasts
        };
        let count = |at| plan.iter().filter(|one| is_active(one, at)).count();
        plan.iter().map(|one| count(one.at)).max().unwrap_or_default()
    }

    #[test]
    fn plans_stay_within_their_limits_and_have_every_kind() {
        let mut world = World::new(0);
        let hosts = [1, 2, 3, 4, 5]
            .map(|last: u8| world.host(&format!("host {last}"), [10, 0, 0, last].into(), |_io| {}));
        let second = Duration::from_secs(1);
        let others = [FaultKind::BitRot, FaultKind::ClockJump, FaultKind::ClockDrift];
        let kinds = [FaultKind::OF_HOSTS, &others].concat();
        let limits = Disturbances::of(&hosts)
            .within(second..100 * second)
            .pauses(second / 10..=second)
            .at_once(2)
            .kinds(&kinds)
            .disks_of(&hosts[..2]);
        let mut left = kinds;
        let mut most = 0;
        for seed in 0..100 {
            let plan = limits.draw(seed);
            assert_eq!(plan, limits.draw(seed));
            for one in plan.iter() {
                assert!(one.at >= second && one.at + one.lasts <= 100 * second);
                assert!(one.kind != FaultKind::BitRot || hosts[..2].contains(&one.host));
                assert_ne!(one.other, Some(one.host));
                left.retain(|&kind| kind != one.kind);
            }
            most = most.max(at_once(&plan));
        }
        assert_eq!((left, most), (vec![], 2));
        assert_eq!(Disturbances::of(&[]).draw(1), Plan::new());
    }
}
