//! What is around the hosts of a world: the network, their disks and their clocks.

use std::time::SystemTime;

use super::{Host, World};
use crate::driver::sim::disk::Disk;
use crate::driver::sim::faults::{FaultKind, Faults};
use crate::driver::sim::net::Latency;
use crate::driver::sim::trace::What;

impl World {
    /// Lets nothing pass between two hosts, both ways. What is on its way is lost too; what was lost of
    /// a connection comes when the network is [healed](World::heal), unless it was given up.
    pub fn partition(&mut self, one: Host, other: Host) {
        let mut kernel = self.kernel.borrow_mut();
        kernel.cut_way(one.0, other.0);
        kernel.cut_way(other.0, one.0);
        kernel.fault(one.0, FaultKind::Partition);
    }

    /// Lets nothing pass from one host to another.
    pub fn partition_one_way(&mut self, from: Host, to: Host) {
        let mut kernel = self.kernel.borrow_mut();
        kernel.cut_way(from.0, to.0);
        kernel.fault(from.0, FaultKind::OneWayPartition);
    }

    /// Ends all partitions between two hosts.
    pub fn heal(&mut self, one: Host, other: Host) {
        let mut kernel = self.kernel.borrow_mut();
        kernel.heal_way(one.0, other.0);
        kernel.heal_way(other.0, one.0);
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

    /// How many descriptors a host has open: a program that leaks none has as many as before.
    pub fn descriptors(&self, host: Host) -> u32 {
        self.kernel.borrow().machines[host.0 as usize].descriptors
    }

    /// What a host's wall clock shows ([`Io::wall_clock`](crate::Io::wall_clock)). All begin with 2026.
    pub fn wall_clock(&self, host: Host) -> SystemTime {
        self.kernel.borrow().machines[host.0 as usize].clock.wall()
    }

    /// Sets a host's wall clock, so that it jumps, up to 292 years. What its programs see of the passing
    /// of time ([`Io::now`](crate::Io::now), timers, deadlines) does not change; the times of files that
    /// they write do.
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
    /// slower where they are less than zero: the wall clock, and that of [`Io::now`](crate::Io::now),
    /// timers and deadlines. At most 100,000 either way.
    pub fn set_drift(&mut self, host: Host, millionths: i32) {
        let mut kernel = self.kernel.borrow_mut();
        kernel.fault(host.0, FaultKind::ClockDrift);
        kernel.set_drift(host.0, millionths);
        // Its timers are due at other times now.
        self.was_touched.set(true);
    }
}
