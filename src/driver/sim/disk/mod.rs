//! The simulated disk: a file system a host, which keeps of what was written what was synced.
//!
//! ```text
//!   row.sim ─▶ Place ─▶ queue ─▶ under way, so many at once ─▶ its time ─▶ row.sim again: Call ─▶ done
//!                                                                                │
//!                              Tree: names ─▶ nodes ─▶ Contents: now │ changes │ disk ◀── faults
//! ```
//!
//! A call does what it does at the end of its time, in one step: the row is tried again then, and has
//! its buffers at hand. A host that is killed before has not made the call; but of a write a copy is kept,
//! which the system makes then, or not.
//!
//! D1. A call is queued, under way, or landed: its time has come and its row has not been tried again.
//!     One that is cancelled is none of them.
//! D2. The draws of a disk come from streams of their own: calls on it change no draw of the network's.
//! D3. A host that loses its power has of its files what `contents.rs` and `tree.rs` say; one whose
//!     program is killed has all.

use std::collections::VecDeque;
use std::time::{Duration, SystemTime};

mod call;
mod chance;
mod contents;
mod data_file;
mod image;
mod names;
mod place;
mod stat;
mod tree;
mod walk;

pub(super) use call::{Call, OpenFile, To};
pub(super) use chance::Script;
pub(super) use names::{Opening, Path};
use tree::{Kind, Tree};

use super::FaultKind;
use super::kernel::Kernel;
use super::net::{Event, Latency};
use super::slab::Key;
use crate::op::Op;

/// How much longer a slow call takes, and a stuck one, in nanoseconds.
const SLOW_NS: (u64, u64) = (10_000_000, 1_000_000_000);
const STUCK_NS: (u64, u64) = (60_000_000_000, 36_000_000_000_000);

/// A host's disk ([`World::set_disk`](super::World::set_disk)).
///
/// ```
/// use std::time::Duration;
/// use tigereye::sim::{Disk, Latency};
///
/// let spinning = Latency::between(Duration::from_millis(2), Duration::from_millis(12));
/// let disk = Disk::new().latency(spinning).queue_depth(1).capacity(Some(1 << 30));
/// # let _ = disk;
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Disk {
    latency: Latency,
    queue_depth: u32,
    capacity: Option<u64>,
}

impl Default for Disk {
    fn default() -> Disk {
        Disk::new()
    }
}

impl Disk {
    /// A fast one: a call takes 20 to 200 µs, 32 calls are under way at once, and it is never full.
    pub fn new() -> Disk {
        let latency = Latency::between(Duration::from_micros(20), Duration::from_micros(200));
        Disk { latency, queue_depth: 32, capacity: None }
    }

    /// How long a call takes once it is under way.
    #[must_use]
    pub fn latency(mut self, latency: Latency) -> Disk {
        self.latency = latency;
        self
    }

    /// How many calls are under way at once, at least 1; others wait for them.
    #[must_use]
    pub fn queue_depth(mut self, calls: u32) -> Disk {
        self.queue_depth = calls.max(1);
        self
    }

    /// How many bytes its files take at most, in whole pages of 4096 bytes.
    #[must_use]
    pub fn capacity(mut self, bytes: Option<u64>) -> Disk {
        self.capacity = bytes;
        self
    }
}

/// What the kernel has of a disk.
pub(super) struct State {
    tree: Tree,
    pub(super) disk: Disk,
    pub(super) script: Script,
    /// Calls that wait, each with its loop.
    queue: VecDeque<(Key, Op)>,
    under_way: u32,
    /// Writes that were asked for and not made, in case that the host ends before.
    writes: Vec<Write>,
    /// How often the host has lost its power: what was under way then is nobody's.
    era: u32,
}

/// A write that may be made by the system when nobody waits for it any more.
struct Write {
    by: (Key, Op),
    file: Key,
    bytes: Vec<u8>,
    to: To,
}

impl State {
    /// An empty disk, but for `/tmp`.
    pub(super) fn new(time: SystemTime) -> State {
        let mut tree = Tree::new(time);
        let root = tree.root;
        let kind = Kind::Directory(tree::Directory::default());
        let node = tree.insert(tree::Node::new(kind, 0o1777, time));
        let naming = tree::Naming { directory: root, name: b"tmp".into(), node: Some(node) };
        tree.rename(vec![naming], time);
        tree.sync_directory(root);
        let (disk, script) = (Disk::new(), Script::default());
        let (queue, writes) = (VecDeque::new(), Vec::new());
        State { tree, disk, script, queue, under_way: 0, writes, era: 0 }
    }
}

impl Kernel {
    /// What a call on a host's disk works with.
    pub(super) fn disk_call(&mut self, machine: u32) -> Call<'_> {
        let now_ns = self.now_ns();
        let State { tree, disk, script, .. } = &mut self.disks[machine as usize];
        let host = &mut self.machines[machine as usize];
        let (plan, trace) = (&mut self.plan, &mut self.trace);
        Call {
            tree,
            files: &mut self.files,
            chance: chance::Chance { script, plan, trace, machine, now_ns },
            pages_max: disk.capacity.map_or(u64::MAX, |bytes| bytes / image::PAGE),
            machine,
            descriptors: (&mut host.descriptors, host.descriptors_max),
            time: host.clock.wall(),
        }
    }

    /// A loop asks for a call.
    pub(super) fn disk_asked(&mut self, machine: u32, looper: Key, op: Op) {
        self.disks[machine as usize].queue.push_back((looper, op));
        self.disk_goes_on(machine);
    }

    /// Sets calls off that wait, as far as there is room for them.
    fn disk_goes_on(&mut self, machine: u32) {
        loop {
            let State { disk, queue, under_way, era, .. } = &mut self.disks[machine as usize];
            if *under_way >= disk.queue_depth {
                return;
            }
            let Some((looper, op)) = queue.pop_front() else { return };
            *under_way += 1;
            let (latency, era) = (disk.latency, *era);
            let mut delay_ns = latency.draw(&mut self.disk_chance);
            let late = [(FaultKind::SlowDisk, SLOW_NS), (FaultKind::StuckCall, STUCK_NS)];
            for (kind, (low, high)) in late {
                let mut call = self.disk_call(machine);
                if call.chance.happens(kind) {
                    delay_ns = delay_ns.saturating_add(call.chance.size(kind, low, high));
                }
            }
            let (at_ns, tie) =
                (self.now_ns().saturating_add(delay_ns), self.disk_chance.next() | 1);
            self.events.push(at_ns, tie, Event::Disk { machine, era, looper, op });
        }
    }

    /// The time of a call has come.
    pub(super) fn disk_landed(&mut self, machine: u32, era: u32, looper: Key, op: Op) {
        let state = &mut self.disks[machine as usize];
        if era != state.era {
            return;
        }
        state.under_way -= 1;
        if let Some(looper) = self.loopers.get(looper)
            && let Some(at) = looper.under_way.iter().position(|&other| other == op)
        {
            looper.under_way.swap_remove(at);
            looper.landed.push(op);
            looper.has_news.set(true);
        }
        self.disk_goes_on(machine);
    }

    /// A write was asked for.
    fn write_asked(&mut self, machine: u32, write: Write) {
        self.disks[machine as usize].writes.push(write);
    }

    /// A write was made, or is not to be made.
    pub(super) fn write_is_over(&mut self, machine: u32, looper: Key, op: Op) {
        self.disks[machine as usize].writes.retain(|write| write.by != (looper, op));
    }

    /// A host's program ends: each write that it has asked for is made by the system, or not.
    pub(super) fn end_writes(&mut self, machine: u32) {
        for Write { file, bytes, to, .. } in
            std::mem::take(&mut self.disks[machine as usize].writes)
        {
            if self.disk_chance.happens(0.5) {
                // What became of it is told to nobody.
                let _ = self.disk_call(machine).write(file, &bytes, to);
            }
        }
    }

    /// A loop ends: what it has asked for is nobody's.
    pub(super) fn disk_forget(&mut self, machine: u32, looper: Key) {
        let state = &mut self.disks[machine as usize];
        state.queue.retain(|(other, _)| *other != looper);
        state.writes.retain(|write| write.by.0 != looper);
    }

    /// Whether a call of a loop's waits, is under way, or has landed and the loop has not heard of it.
    pub(super) fn is_on_disk(&self, looper: Key, op: Op) -> bool {
        let looper = self.loopers.peek(looper);
        looper.is_some_and(|looper| looper.under_way.contains(&op) || looper.landed.contains(&op))
    }

    /// A call is to end before its time.
    pub(super) fn disk_cancel(&mut self, machine: u32, looper: Key, op: Op) -> bool {
        self.disks[machine as usize].queue.retain(|call| *call != (looper, op));
        self.write_is_over(machine, looper, op);
        let Some(looper) = self.loopers.get(looper) else { return false };
        let mut taken = false;
        for calls in [&mut looper.under_way, &mut looper.landed] {
            if let Some(at) = calls.iter().position(|&other| other == op) {
                calls.remove(at);
                taken = true;
            }
        }
        taken
    }

    /// A host loses its power: of its files what was synced is left, and some of the rest.
    pub(super) fn disk_loses_power(&mut self, machine: u32) {
        self.end_writes(machine);
        self.close_files(machine);
        let state = &mut self.disks[machine as usize];
        (state.under_way, state.era) = (0, state.era.wrapping_add(1));
        state.queue.clear();
        let mut call = self.disk_call(machine);
        call.tree.lose_power(&mut call.chance);
    }

    /// Closes all files that a machine has open.
    pub(super) fn close_files(&mut self, machine: u32) {
        let keys: Vec<Key> = self.files.keys().collect();
        for key in keys {
            if self.files.peek(key).is_some_and(|file| file.machine == machine) {
                self.close_file(key);
            }
        }
    }

    /// Closes an open file.
    pub(super) fn close_file(&mut self, file: Key) {
        if let Some(machine) = self.files.get(file).map(|file| file.machine) {
            self.disk_call(machine).close(file);
        }
    }

    /// What the file at a path of a host holds, as its programs see it.
    pub(super) fn file_bytes(&mut self, machine: u32, path: &[u8]) -> Option<Vec<u8>> {
        let call = self.disk_call(machine);
        let limits = walk::Limits { follow: true, ..walk::Limits::default() };
        let node = call.tree.walk(call.tree.root, path, limits).ok()?.node?;
        let Kind::File(contents) = &call.tree.peek(node).kind else { return None };
        Some(contents.image().to_vec(0, usize::MAX))
    }
}
