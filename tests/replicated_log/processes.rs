//! The cluster for real: three processes over loopback, which are killed while a client writes.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use crate::binary;
use crate::log::{Content, recover};
use crate::scratch::Scratch;

/// Longer than anything takes, on the busiest machine.
const HANG: Duration = Duration::from_secs(120);
/// What is said of a port that somebody has: of Windows, whose words are the user's, the code.
const IN_USE: &str = if cfg!(windows) { "os error 10048" } else { "Address already in use" };
/// How many records are acknowledged between what is done.
const SOME: usize = 30;

/// A process, and the lines that it prints.
struct Running {
    child: Child,
    lines: Receiver<String>,
}

impl Running {
    fn start(arguments: &[&str]) -> Running {
        let mut command = Command::new(binary());
        command.args(arguments).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            // The test may have ended.
            output.lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
        });
        Running { child, lines }
    }

    /// kill -9.
    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

struct Cluster {
    scratch: Scratch,
    peers: String,
    nodes: [Option<Running>; 3],
}

impl Cluster {
    fn start() -> Cluster {
        // They are free again at once, and nobody gets them so soon.
        let ports = [(); 3].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let peers = ports.map(|port| port.local_addr().unwrap().to_string()).join(",");
        let mut cluster = Cluster { scratch: Scratch::new(), peers, nodes: [None, None, None] };
        for id in 0..3 {
            cluster.start_node(id, &["--new"]);
        }
        cluster
    }

    fn directory(&self, id: usize) -> PathBuf {
        self.scratch.join(&format!("node-{id}"))
    }

    /// Starts a node, and waits until it listens. Its port may be some client's for a moment, or the
    /// kernel's, which still ends the ring of the process that was killed.
    fn start_node(&mut self, id: usize, more: &[&str]) {
        let directory = self.directory(id);
        let (id_text, directory) = (id.to_string(), directory.to_str().unwrap());
        let arguments =
            [&["serve", "--id", &id_text, "--peers", &self.peers, "--dir", directory], more]
                .concat();
        for _ in 0..600 {
            let node = Running::start(&arguments);
            let first = node.lines.recv_timeout(HANG).expect("it says something");
            if first == "ready" {
                self.nodes[id] = Some(node);
                return;
            }
            assert!(first.contains(IN_USE), "{first}");
            node.kill();
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!("the port of node {id} is never free");
    }

    fn kill(&mut self, id: usize) {
        self.nodes[id].take().unwrap().kill();
    }
}

/// Puts records, and remembers which were acknowledged, and where.
struct Client {
    process: Running,
    acknowledged: BTreeMap<u64, u64>,
}

impl Client {
    fn start(peers: &str) -> Client {
        let arguments = ["client", "--peers", peers, "--id", "7", "--records", "1000000"];
        Client { process: Running::start(&arguments), acknowledged: BTreeMap::new() }
    }

    /// Waits until so many more are acknowledged.
    fn go_on(&mut self, count: usize) {
        for _ in 0..count {
            let line = self.process.lines.recv_timeout(HANG).expect("the cluster goes on");
            self.take(&line);
        }
    }

    fn take(&mut self, line: &str) {
        let words = line.strip_prefix("acknowledged ").expect(line).split_once(" at ");
        let (sequence, index) = words.expect(line);
        let known = self.acknowledged.insert(sequence.parse().unwrap(), index.parse().unwrap());
        assert_eq!(known, None, "each is acknowledged once");
    }

    /// Ends it, and gives all that was acknowledged.
    fn end(self) -> BTreeMap<u64, u64> {
        let Client { process: Running { mut child, lines }, acknowledged } = self;
        child.kill().unwrap();
        child.wait().unwrap();
        let process = Running { child, lines };
        let mut client = Client { process, acknowledged };
        while let Ok(line) = client.process.lines.recv_timeout(HANG) {
            client.take(&line);
        }
        client.acknowledged
    }
}

/// How many of the three logs have a record at its place.
fn holding(cluster: &Cluster, acknowledged: &BTreeMap<u64, u64>) -> BTreeMap<u64, usize> {
    let mut holding: BTreeMap<u64, usize> = acknowledged.keys().map(|&key| (key, 0)).collect();
    for id in 0..3 {
        let file = |name| std::fs::read(cluster.directory(id).join(name)).unwrap();
        let found = recover(&file("log"), &file("mark")).expect("no disk was harmed");
        for (&sequence, &index) in acknowledged {
            let entry = found.history.entries.get(index as usize - 1);
            let is_there = entry.is_some_and(|entry| {
                matches!(entry.content, Content::Put { client: 7, number, .. } if number == sequence)
            });
            *holding.entry(sequence).or_default() += usize::from(is_there);
        }
    }
    holding
}

#[test]
fn three_processes_that_are_killed_in_turn_lose_nothing() {
    let mut cluster = Cluster::start();
    let mut client = Client::start(&cluster.peers);
    client.go_on(SOME);
    for id in [0, 1, 2, 1, 0] {
        cluster.kill(id);
        // The other two go on, with another leader where it was the leader.
        client.go_on(SOME);
        cluster.start_node(id, &[]);
        client.go_on(SOME);
    }
    // All at once, and then two of three.
    for killed in [&[0, 1, 2][..], &[2, 0]] {
        killed.iter().for_each(|&id| cluster.kill(id));
        killed.iter().for_each(|&id| cluster.start_node(id, &[]));
        client.go_on(SOME);
    }
    (0..3).for_each(|id| cluster.kill(id));
    let acknowledged = client.end();
    let holding = holding(&cluster, &acknowledged);
    assert!(holding.values().all(|&nodes| nodes >= 2), "{holding:?}");
    println!("{} records acknowledged, none lost", acknowledged.len());
}
