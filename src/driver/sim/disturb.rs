//! Plans and schedules, as a world follows them.

use super::faults::FaultKind;
use super::kernel::{clock_drift, clock_jump_ns};
use super::plan::{Disturbance, Plan, Step, clock_chance};
use super::schedule::{Allowed, Schedule};
use super::trace::What;
use super::world::{Host, World};

impl World {
    /// An empty world, of the seed of a schedule, in which nothing goes wrong but what that names: of
    /// the plans that it is [disturbed](World::disturb) by, and of the faults that happen by chance. What
    /// is done to it otherwise is not the schedule's.
    pub fn replay(schedule: &Schedule) -> World {
        let mut world = World::new(schedule.seed());
        let allowed = Allowed::by(schedule);
        world.agenda.allow(allowed.clone());
        world.kernel.borrow_mut().plan.allow(allowed);
        world
    }

    /// Has what a plan says be done when its time comes; what its time has passed of, at once. A second
    /// plan is followed beside the first. A partition that is over is healed, and what was cut by hand
    /// between the same hosts with it.
    pub fn disturb(&mut self, plan: Plan) {
        self.agenda.add(plan);
    }

    /// Whether nothing of a plan is under way or to come.
    pub fn is_calm(&self) -> bool {
        self.agenda.is_done()
    }

    pub(super) fn follow_plans(&mut self) {
        match self.agenda.next() {
            Some(Step::Begins(number, disturbance)) => self.begin(number, disturbance),
            Some(Step::Over(disturbance)) => self.end_disturbance(disturbance),
            None => {}
        }
    }

    fn begin(&mut self, number: u64, disturbance: Disturbance) {
        let Disturbance { kind, host, .. } = disturbance;
        self.kernel.borrow_mut().note(host.0, What::Planned(number, disturbance));
        match kind {
            FaultKind::HostKilled => self.kill(host),
            FaultKind::HostCrashed => self.crash(host),
            FaultKind::HostPaused => self.pause(host),
            FaultKind::Partition | FaultKind::OneWayPartition => {
                let ways = self.ways(disturbance);
                let mut kernel = self.kernel.borrow_mut();
                for (from, to) in ways {
                    kernel.cut_way(from, to);
                }
                kernel.fault(host.0, kind);
            }
            FaultKind::ClockJump => {
                let by_ns = clock_jump_ns(&mut clock_chance(self.seed(), number));
                self.jump_wall_clock(host, by_ns);
            }
            FaultKind::ClockDrift => {
                let millionths = clock_drift(&mut clock_chance(self.seed(), number));
                self.set_drift(host, millionths);
            }
            _ => self.fail_next(host, kind),
        }
    }

    fn end_disturbance(&mut self, disturbance: Disturbance) {
        let Disturbance { kind, host, .. } = disturbance;
        match kind {
            FaultKind::HostKilled | FaultKind::HostCrashed if self.io(host).is_none() => {
                self.start(host);
            }
            FaultKind::HostPaused => self.resume(host),
            FaultKind::ClockDrift => self.end_drift(host),
            _ => {
                let still: Vec<(u32, u32)> =
                    self.agenda.active().flat_map(|&other| self.ways(other)).collect();
                let mut over = self.ways(disturbance);
                over.retain(|way| !still.contains(way));
                let mut kernel = self.kernel.borrow_mut();
                for (from, to) in over {
                    kernel.heal_way(from, to);
                }
            }
        }
    }

    fn jump_wall_clock(&mut self, host: Host, by_ns: i64) {
        let mut kernel = self.kernel.borrow_mut();
        kernel.fault(host.0, FaultKind::ClockJump);
        kernel.step_wall_clock(host.0, by_ns);
    }

    fn end_drift(&mut self, host: Host) {
        self.kernel.borrow_mut().set_drift(host.0, 0);
        // Its timers are due at other times now.
        self.was_touched.set(true);
    }

    /// The ways from host to host that are cut by a partition.
    fn ways(&self, disturbance: Disturbance) -> Vec<(u32, u32)> {
        let Disturbance { kind, host: Host(host), other, .. } = disturbance;
        let both = match kind {
            FaultKind::Partition => true,
            FaultKind::OneWayPartition => false,
            _ => return Vec::new(),
        };
        let all = 0..self.kernel.borrow().machines.len() as u32;
        let others = all.filter(|&at| at != host && other.is_none_or(|other| other.0 == at));
        let ways = others.flat_map(|other| [(host, other), (other, host)]);
        ways.filter(|&(from, _to)| both || from == host).collect()
    }
}
