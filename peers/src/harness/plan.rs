//! What a run does: its parts, how often and how long, and about how long all of that takes.

use super::cell::{Cell, Effort};
use super::contest::{Contest, StorageRow};
use super::file_page::FilePage;
use super::latency;
use super::program::Program;
use crate::args::{Args, fail};
use std::path::Path;
use std::rc::Rc;

/// All parts, in the order in which they run.
pub const PARTS: &[&str] = &[
    "echo",
    "http",
    "wrk",
    "file",
    "udp",
    "accept",
    "latency",
    "idle",
    "syscalls",
    "instructions",
    "micro",
    "storage",
    "size",
];
/// Parts that are tables of cells.
pub const CELLS: &[&str] = &["echo", "http", "wrk", "file", "udp", "accept"];
/// Those that `--quick` leaves out: a minute and more each, whatever the effort.
const SLOW: &[&str] = &["instructions", "size"];
/// Connections that ask for files, one request at a time.
const FILES_AT: [u32; 2] = [1, 64];
/// Connections of wrk, one request at a time on each.
const WRK_AT: [u32; 2] = [64, 512];
/// Sockets with a datagram under way each: in turns, and as many as a socket keeps for sure.
const DATAGRAMS_AT: [u32; 2] = [1, 128];
/// Connections under way where each is closed at once.
const ACCEPTS_AT: u32 = 64;
/// From here on messages do not gather on a connection: they do across connections.
const MANY: u32 = 10_000;
/// Connections under which instructions and system calls are counted.
pub const COUNTED_AT: [u32; 2] = [1, 64];

/// The plan of a run.
pub struct Plan {
    /// What is compared with what.
    pub contest: &'static Contest,
    /// The drivers of tigereye that small measurements are made on.
    pub drivers: Vec<String>,
    /// What is measured.
    pub parts: Vec<String>,
    /// Of messages, in bytes.
    pub sizes: Vec<u32>,
    /// Connections.
    pub connections: Vec<u32>,
    /// Messages under way on each.
    pub pipelines: Vec<u32>,
    /// How long and how often.
    pub effort: Effort,
    /// Idle connections.
    pub idle: u32,
    /// Of the small measurements.
    pub scale: f64,
    /// Share of the slowest server's rate at which latencies are measured.
    pub load: f64,
    /// Labels of the programs whose size and build time are measured; none: all.
    pub sized: Vec<String>,
    /// Names of those whose files are measured; none: all.
    pub stored: Vec<String>,
    /// Who takes part.
    pub servers: Vec<Program>,
    /// Where results go.
    pub out: String,
}

impl Plan {
    /// As the command line has it.
    #[must_use]
    pub fn from_args(mut args: Args) -> Self {
        let quick = args.flag("quick");
        let added: String = args.get("add", String::new());
        let only: Vec<String> = args.list("servers", "");
        let against: String = args.get("against", "all".to_owned());
        let contest = Contest::named(&against)
            .unwrap_or_else(|names| fail(&format!("--against {against}: {names}")));
        let driver: Option<String> = args.take("driver");
        let own = || contest.micro_drivers.iter().map(|name| (*name).to_owned()).collect();
        let drivers = driver.clone().map_or_else(own, |name| vec![name]);
        let driver = driver.unwrap_or_else(|| contest.driver.to_owned());
        let mut servers = contest.servers(&driver, &added);
        servers.retain(|server| only.is_empty() || only.contains(&server.label));
        let results = format!("{}/results/{against}.json", env!("CARGO_MANIFEST_DIR"));
        let usual = PARTS.iter().filter(|part| !quick || !SLOW.contains(part));
        let parts = args.list("parts", &usual.copied().collect::<Vec<_>>().join(","));
        let rounds = if contest.name == "all" { 5 } else { 11 };
        let plan = Self {
            contest,
            drivers,
            parts,
            sizes: args.list("sizes", "64,16384"),
            connections: args.list("connections", if quick { "1,64" } else { "1,64,512,10000" }),
            pipelines: args.list("pipelines", "1,16"),
            effort: Effort {
                rounds: args.get("rounds", if quick { 1 } else { rounds }),
                seconds: args.get("seconds", 0.1),
                warm_up: args.get("warm-up", 0.03),
            },
            idle: args.get("idle", if quick { 2000 } else { 10_000 }),
            scale: args.get("scale", if quick { 0.05 } else { 1.0 }),
            load: args.get("load", 0.5),
            sized: args.list("sized", ""),
            stored: args.list("stored", ""),
            servers,
            out: args.get("out", results),
        };
        args.finish();
        if let Some(part) = plan.parts.iter().find(|part| !PARTS.contains(&part.as_str())) {
            fail(&format!("--parts {part}: {}", PARTS.join(", ")));
        }
        if plan.load <= 0.0 || plan.load >= 1.0 {
            fail("--load: a share between 0 and 1");
        }
        plan
    }

    /// Whether a part is to be done.
    #[must_use]
    pub fn has(&self, part: &str) -> bool {
        self.parts.iter().any(|own| own == part)
    }

    /// Of the results. Files are put beside them: a folder for temporary files is often no disk.
    #[must_use]
    pub fn folder(&self) -> &Path {
        Path::new(&self.out).parent().unwrap_or_else(|| Path::new("."))
    }

    /// Who takes part in a mode.
    pub fn servers(&self, mode: &str) -> impl Iterator<Item = &Program> {
        self.servers.iter().filter(move |server| server.serves(mode))
    }

    /// Who takes part in the measurements of files.
    #[must_use]
    pub fn storages(&self) -> Vec<StorageRow> {
        let wanted =
            |label: &str| self.stored.is_empty() || self.stored.iter().any(|own| own == label);
        self.contest.storages.iter().copied().filter(|(label, _)| wanted(label)).collect()
    }

    /// The cells of a part, of which `file` needs a page.
    #[must_use]
    pub fn cells(&self, part: &str, page: Option<&Rc<FilePage>>) -> Vec<Cell> {
        let cell = |size: u32, connections: u32, pipeline: u32| Cell {
            mode: part.to_owned(),
            size,
            page: page.filter(|_| part == "file").cloned(),
            connections,
            pipeline,
            rate: None,
        };
        let mut cells = Vec::new();
        match part {
            "file" => cells.extend(FILES_AT.map(|connections| cell(64, connections, 1))),
            "wrk" => cells.extend(WRK_AT.map(|connections| cell(64, connections, 1))),
            "udp" => cells.extend(DATAGRAMS_AT.map(|sockets| cell(64, sockets, 1))),
            "accept" => cells.push(cell(64, ACCEPTS_AT, 1)),
            _ => {
                let sizes = if part == "http" { &[64][..] } else { &self.sizes };
                for &size in sizes {
                    for &connections in &self.connections {
                        for &pipeline in &self.pipelines {
                            if connections < MANY || (part == "echo" && pipeline == 1) {
                                cells.push(cell(size, connections, pipeline));
                            }
                        }
                    }
                }
            }
        }
        cells
    }

    /// About how long a part takes, in seconds: what was seen on two cores at 3 GHz.
    fn seconds(&self, part: &str) -> f64 {
        let rounds = f64::from(self.effort.rounds);
        let count = |mode: &str| self.servers(mode).count() as f64;
        let once = self.effort.seconds + self.effort.warm_up;
        match part {
            "latency" => count("echo") * (0.4 + rounds * f64::from(latency::ROUNDS) * 0.32),
            "idle" => count("idle") * (0.3 + f64::from(self.idle) / 8000.0),
            "syscalls" => count("echo") * 2.0,
            "instructions" => (count("echo") + count("udp")) * 16.0,
            "micro" => rounds * (2.0 + 25.0 * self.scale),
            // Seven figures each, or six.
            "storage" => {
                5.0 + self.storages().len() as f64 * rounds * 7.0 * (self.effort.seconds + 0.05)
            }
            "size" => {
                if self.sized.is_empty() {
                    240.0
                } else {
                    40.0
                }
            }
            // It measures for whole seconds.
            "wrk" => {
                count("http") * rounds * 1.2 * WRK_AT.len() as f64 * self.effort.seconds.ceil()
            }
            _ => {
                let cells = self.cells(part, None);
                let each = |cell: &Cell| {
                    let effort = cell.settled(self.effort);
                    let open = f64::from(cell.connections) / 12_000.0;
                    0.1 + rounds * (effort.seconds + effort.warm_up + 0.09 + open)
                };
                let file = if part == "file" { rounds * (1.0 - once) * 2.0 } else { 0.0 };
                count(part) * (cells.iter().map(each).sum::<f64>() + file.max(0.0))
            }
        }
    }

    /// Prints what is about to be done.
    pub fn print(&self) {
        let labels: Vec<&str> = self.servers.iter().map(|server| server.label.as_str()).collect();
        println!("Servers: {}", labels.join(", "));
        let Effort { rounds, seconds, warm_up } = self.effort;
        println!("Rounds: {rounds}, of {seconds} s after {warm_up} s, each server in turn");
        let mut total = 0.0;
        for part in PARTS.iter().filter(|part| self.has(part)) {
            let (seconds, cells) = (self.seconds(part), self.cells_of(part));
            println!("{part:>14}  {cells:<14} about {seconds:>4.0} s");
            total += seconds;
        }
        println!("All of it takes about {:.0} minutes; {}\n", (total / 60.0).ceil(), self.out);
    }

    fn cells_of(&self, part: &str) -> String {
        if !CELLS.contains(&part) {
            return String::new();
        }
        format!("{} cells", self.cells(part, None).len())
    }
}
