//! What must hold of a cluster, whatever happens: heard from nodes and clients while they run, and read
//! from the disks at the end.

use std::collections::{BTreeMap, BTreeSet};

use crate::client;
use crate::log::{Content, Entry};
use crate::protocol::Event;
use crate::simulation::NODES;

/// What nodes and clients have said.
#[derive(Default)]
pub(crate) struct Check {
    /// Who leads in which term.
    leaders: BTreeMap<u64, u8>,
    /// What is committed, by any node, in order.
    committed: Vec<u64>,
    /// Of each node: how much of it the node knows, how often it has started, and whether it runs.
    pub(crate) nodes: [Known; NODES as usize],
    /// The node whose disk may lose what was synced.
    pub(crate) victim: Option<u8>,
    /// What was acknowledged: the client, which record of its, and where that is in the log.
    acknowledged: Vec<(u64, u64, u64)>,
    /// What was wrong first.
    failure: Option<String>,
}

#[derive(Default, Clone, Copy)]
pub(crate) struct Known {
    pub(crate) commit: u64,
    pub(crate) starts: u64,
    pub(crate) is_ready: bool,
    /// It has been ready, so its files are set up.
    pub(crate) is_set_up: bool,
    pub(crate) has_lost: bool,
}

impl Check {
    fn fail(&mut self, what: String) {
        self.failure.get_or_insert(what);
    }

    /// A node is started.
    pub(crate) fn started(&mut self, id: u8) {
        let node = &mut self.nodes[usize::from(id)];
        (node.commit, node.starts, node.is_ready) = (0, node.starts + 1, false);
    }

    pub(crate) fn hear(&mut self, id: u8, event: Event) {
        let node = &mut self.nodes[usize::from(id)];
        match event {
            Event::Ready { votes } => {
                (node.is_ready, node.is_set_up, node.has_lost) = (true, true, !votes);
            }
            Event::Failed(_) => node.is_ready = false,
            Event::Admitted => node.has_lost = false,
            Event::Damaged(how) => {
                if self.victim != Some(id) {
                    self.fail(format!("a sound disk lost what was synced\nnode {id}: {how}"));
                }
            }
            Event::Leads { term } => {
                let first = *self.leaders.entry(term).or_insert(id);
                if first != id {
                    self.fail(format!("two leaders in a term\nterm {term}: {first} and {id}"));
                }
            }
            Event::Committed { index, digest } => {
                let is_next = index == node.commit + 1;
                node.commit = index;
                let at = index as usize - 1;
                if !is_next || at > self.committed.len() {
                    self.fail(format!("commits out of order\nnode {id}: {index}"));
                } else if at == self.committed.len() {
                    self.committed.push(digest);
                } else if self.committed[at] != digest {
                    self.fail(format!("logs differ in what is committed\nnode {id}: at {index}"));
                }
            }
        }
    }

    /// A client is told that a record of its is safe.
    pub(crate) fn acknowledge(&mut self, client: u64, sequence: u64, index: u64) {
        self.acknowledged.push((client, sequence, index));
        if index as usize > self.committed.len() {
            let what = format!("client {client}: {sequence} at {index}");
            self.fail(format!("acknowledged before it is committed\n{what}"));
        }
    }

    pub(crate) fn acknowledged(&self) -> usize {
        self.acknowledged.len()
    }

    /// What is wrong until now.
    pub(crate) fn so_far(&self) -> Result<(), String> {
        self.failure.clone().map_or(Ok(()), Err)
    }

    /// Whether all nodes run, have their votes, and know all that is committed.
    pub(crate) fn is_whole(&self) -> bool {
        let all = self.committed.len() as u64;
        self.nodes.iter().all(|node| node.is_ready && !node.has_lost && node.commit == all)
    }

    /// Whether a log has all that was committed, and so all that was acknowledged, each at its place.
    pub(crate) fn holds(&self, entries: &[Entry]) -> Result<(), String> {
        let same = entries.iter().zip(&self.committed);
        let same = same.take_while(|(entry, digest)| entry.digest() == **digest).count();
        if same < self.committed.len() {
            return Err(format!("what was committed is lost\nfrom {} on", same + 1));
        }
        let mut numbers = BTreeSet::new();
        for entry in &entries[..same] {
            if let Content::Put { client, number, .. } = entry.content
                && !numbers.insert((client, number))
            {
                return Err(format!("a record is there twice\n{client}: {number}"));
            }
        }
        for &(client, sequence, index) in &self.acknowledged {
            let is_there = match entries.get(index as usize - 1).map(|entry| &entry.content) {
                Some(Content::Put { client: of, number, payload }) => {
                    (*of, *number) == (client, sequence)
                        && *payload == client::payload(client, sequence)
                }
                _ => false,
            };
            if !is_there {
                return Err(format!("an acknowledged record is lost\n{client}: {sequence}"));
            }
        }
        Ok(())
    }
}
