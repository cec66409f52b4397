//! What is on a disk: files, directories and links, and the names that lead to them.
//!
//! Names change in steps. A step (a rename has several names in it) is on the disk whole or not at all,
//! once a directory that it touches is synced; where the power is lost before, each step is lost or not.
//!
//! I1. A name leads to a node. A node goes when no name leads to it, on the disk or off it, and nobody
//!     has it open.
//! I2. A directory has one name, before and after a loss of power.

use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

use super::chance::Chance;
use super::contents::Contents;
use crate::driver::sim::FaultKind;
use crate::driver::sim::slab::{Key, Slab};

pub(super) type Name = Vec<u8>;

/// Steps that wait, after which the system writes some of them by itself.
const STEPS_MAX: usize = 4096;

#[derive(Default)]
pub(super) struct Directory {
    pub(super) names: BTreeMap<Name, Key>,
    on_disk: BTreeMap<Name, Key>,
}

pub(super) enum Kind {
    File(Contents),
    Directory(Directory),
    Symlink(Vec<u8>),
}

pub(super) struct Node {
    pub(super) kind: Kind,
    /// Permission bits.
    pub(super) mode: u32,
    /// Names that lead to it.
    pub(super) names: u32,
    pub(super) opens: u32,
    /// Who has it for themselves (flock(2)).
    pub(super) locked_by: Option<Key>,
    /// Of a directory: the one that it is in.
    pub(super) parent: Option<Key>,
    pub(super) times: Times,
}

/// As the host's wall clock showed them.
#[derive(Clone, Copy)]
pub(super) struct Times {
    pub(super) made: SystemTime,
    pub(super) modified: SystemTime,
    pub(super) changed: SystemTime,
}

/// What a name leads to from now on.
pub(super) struct Naming {
    pub(super) directory: Key,
    pub(super) name: Name,
    pub(super) node: Option<Key>,
}

pub(super) struct Tree {
    nodes: Slab<Node>,
    pub(super) root: Key,
    /// Steps that wait to be written.
    steps: Vec<Vec<Naming>>,
    /// Whether there are nodes that no name leads to.
    has_nameless: bool,
    /// Pages that files take.
    pub(super) pages: u64,
}

impl Tree {
    pub(super) fn new(time: SystemTime) -> Tree {
        let mut nodes = Slab::new();
        let root = nodes.insert(Node::new(Kind::Directory(Directory::default()), 0o755, time));
        let mut tree = Tree { nodes, root, steps: Vec::new(), has_nameless: false, pages: 0 };
        if let Some(root_node) = tree.nodes.get(root) {
            (root_node.names, root_node.parent) = (1, Some(root));
        }
        tree
    }

    /// What a name, or an open file, leads to (I1).
    pub(super) fn get(&mut self, key: Key) -> &mut Node {
        self.nodes.get(key).expect("a name leads to a node")
    }

    pub(super) fn peek(&self, key: Key) -> &Node {
        self.nodes.peek(key).expect("a name leads to a node")
    }

    pub(super) fn insert(&mut self, node: Node) -> Key {
        self.has_nameless = true;
        self.nodes.insert(node)
    }

    pub(super) fn directory(&self, key: Key) -> Option<&Directory> {
        if let Kind::Directory(directory) = &self.peek(key).kind { Some(directory) } else { None }
    }

    /// What takes pages: a node that has a name, or is open.
    fn pages_of(&self, key: Key) -> u64 {
        let node = self.peek(key);
        match &node.kind {
            Kind::File(contents) if node.names > 0 || node.opens > 0 => {
                contents.image().page_count()
            }
            _ => 0,
        }
    }

    /// Changes a node, and counts what it takes.
    pub(super) fn change<T>(&mut self, key: Key, change: impl FnOnce(&mut Node) -> T) -> T {
        let before = self.pages_of(key);
        let result = change(self.get(key));
        self.pages = self.pages - before + self.pages_of(key);
        result
    }

    /// Has names lead elsewhere, in one step.
    pub(super) fn rename(&mut self, step: Vec<Naming>, time: SystemTime) {
        for Naming { directory, name, node } in &step {
            let place = self.get(*directory);
            (place.times.modified, place.times.changed) = (time, time);
            let Kind::Directory(entries) = &mut place.kind else { continue };
            let before = match node {
                Some(node) => entries.names.insert(name.clone(), *node),
                None => entries.names.remove(name),
            };
            if let Some(node) = *node {
                self.change(node, |node| {
                    node.names += 1;
                    node.times.changed = time;
                    if matches!(node.kind, Kind::Directory(_)) {
                        node.parent = Some(*directory);
                    }
                });
            }
            if let Some(before) = before {
                self.change(before, |node| {
                    node.names -= 1;
                    node.times.changed = time;
                });
                self.has_nameless |= self.peek(before).names == 0;
            }
        }
        self.steps.push(step);
        if self.steps.len() > STEPS_MAX {
            for step in self.steps.drain(..STEPS_MAX / 2).collect::<Vec<_>>() {
                self.write(step);
            }
            self.sweep();
        }
    }

    /// Writes the names of a directory to the disk: the steps that touch it, and those before them that
    /// touch what they do.
    pub(super) fn sync_directory(&mut self, directory: Key) {
        let mut touched = BTreeSet::from([directory.index]);
        let mut is_written = vec![false; self.steps.len()];
        for (step, is_written) in self.steps.iter().zip(&mut is_written).rev() {
            let mut directories = step.iter().map(|naming| naming.directory.index);
            if directories.any(|directory| touched.contains(&directory)) {
                touched.extend(step.iter().map(|naming| naming.directory.index));
                *is_written = true;
            }
        }
        let steps = std::mem::take(&mut self.steps);
        for (step, is_written) in steps.into_iter().zip(is_written) {
            if is_written {
                self.write(step);
            } else {
                self.steps.push(step);
            }
        }
        self.sweep();
    }

    fn write(&mut self, step: Vec<Naming>) {
        for Naming { directory, name, node } in step {
            let Kind::Directory(entries) = &mut self.get(directory).kind else { continue };
            match node {
                Some(node) => entries.on_disk.insert(name, node),
                None => entries.on_disk.remove(&name),
            };
        }
    }

    /// Frees nodes that nothing leads to.
    pub(super) fn sweep(&mut self) {
        if !self.has_nameless {
            return;
        }
        let mut led_to = BTreeSet::from([self.root.index]);
        for key in self.nodes.keys() {
            if let Some(directory) = self.directory(key) {
                let all = directory.names.values().chain(directory.on_disk.values());
                led_to.extend(all.map(|node| node.index));
            }
        }
        for naming in self.steps.iter().flatten() {
            led_to.insert(naming.directory.index);
            led_to.extend(naming.node.map(|node| node.index));
        }
        self.has_nameless = false;
        let keys: Vec<Key> = self.nodes.keys().collect();
        for key in keys {
            let node = self.peek(key);
            if !led_to.contains(&key.index) && node.opens == 0 {
                self.nodes.remove(key);
            } else {
                self.has_nameless |= node.names == 0;
            }
        }
    }

    /// The power is lost: what is left is what is on the disk, and some of what waited.
    pub(super) fn lose_power(&mut self, chance: &mut Chance<'_>) {
        for step in std::mem::take(&mut self.steps) {
            if !chance.happens(FaultKind::LostName) {
                self.write(step);
            }
        }
        let keys: Vec<Key> = self.nodes.keys().collect();
        for &key in &keys {
            let node = self.get(key);
            (node.names, node.opens, node.locked_by) = (0, 0, None);
            match &mut node.kind {
                Kind::File(contents) => contents.lose_power(chance),
                Kind::Directory(directory) => directory.names = directory.on_disk.clone(),
                Kind::Symlink(_) => {}
            }
        }
        self.check();
        for key in keys {
            if self.peek(key).names == 0 {
                self.nodes.remove(key);
            }
        }
        self.has_nameless = false;
        self.pages = self.nodes.keys().map(|key| self.pages_of(key)).sum();
    }

    /// Counts the names that lead to each node, from the root on. A second name of a directory, which a
    /// rename of which one half was lost can leave, is removed, as by fsck(8).
    fn check(&mut self) {
        self.get(self.root).names = 1;
        let mut places = vec![self.root];
        while let Some(place) = places.pop() {
            let Some(directory) = self.directory(place) else { continue };
            for (name, node) in directory.names.clone() {
                let entry = self.get(node);
                let is_directory = matches!(entry.kind, Kind::Directory(_));
                if is_directory && entry.names > 0 {
                    if let Kind::Directory(directory) = &mut self.get(place).kind {
                        directory.names.remove(&name);
                        directory.on_disk.remove(&name);
                    }
                    continue;
                }
                entry.names += 1;
                if is_directory {
                    entry.parent = Some(place);
                    places.push(node);
                }
            }
        }
    }

    /// Whether `inner` is `outer`, or in it.
    pub(super) fn is_within(&self, inner: Key, outer: Key) -> bool {
        let mut at = inner;
        loop {
            if at == outer {
                return true;
            }
            match self.peek(at).parent {
                Some(parent) if parent != at => at = parent,
                _ => return false,
            }
        }
    }
}

impl Node {
    pub(super) fn new(kind: Kind, mode: u32, time: SystemTime) -> Node {
        let times = Times { made: time, modified: time, changed: time };
        Node { kind, mode, names: 0, opens: 0, locked_by: None, parent: None, times }
    }
}
