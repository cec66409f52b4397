//! One cell of the table: all servers under one load, measured in turn, many short times.
//!
//! The machine is shared, and its speed changes from second to second. So all servers of a cell
//! run at once (idle, a server costs nothing), each is measured for a fraction of a second, one
//! after the other, and servers are compared only within such a round.

use super::contest::Yardstick;
use super::file_page::{FILE_BYTES, FilePage};
use super::program::{Family, Program, Server, flags, load};
use super::stats::Spread;
use super::wrk;
use crate::server::Hints;
use serde_json::{Value, json};
use std::cmp::Ordering;
use std::io;
use std::rc::Rc;

/// Bytes under way from which on a cell is given longer to settle and to be measured.
const HEAVY_BYTES: u64 = 32 << 20;
/// Connections from which on it is given that.
const HEAVY_CONNECTIONS: u32 = 4096;
/// Together less than the 0.9 seconds that the load and the server have for themselves after a rest.
const HEAVY_SECONDS: f64 = 0.5;
const HEAVY_WARM_UP: f64 = 0.3;
/// Figures that the load gives.
const RATE: &str = "messages_per_s";
const CPU: &str = "server_cpu_ns_per_message";
const LATE: &str = "late_p999_us";
/// Microseconds that a load with a rate may send late, in the slowest of a thousand.
const LATE_MAX_US: f64 = 500.0;
/// Times that it is tried again.
const TRIES_MORE: u32 = 3;

/// What is done to the servers.
#[derive(Clone)]
pub struct Cell {
    /// `echo`, `http`, `wrk`, `file`, `udp` or `accept`.
    pub mode: String,
    /// Size of a message in bytes; for `http` and `file` it is what it is.
    pub size: u32,
    /// What `file` is about.
    pub page: Option<Rc<FilePage>>,
    /// Connections.
    pub connections: u32,
    /// Messages under way on each.
    pub pipeline: u32,
    /// Messages a second, at times that are fixed beforehand, instead.
    pub rate: Option<f64>,
}

/// What servers take part in that spin before they sleep: it changes nothing for a busy one.
pub const WAITS: &str = "waits";

/// How long and how often.
#[derive(Clone, Copy)]
pub struct Effort {
    /// Rounds: measurements of each server.
    pub rounds: u32,
    /// Seconds of a measurement.
    pub seconds: f64,
    /// Seconds before it that are not counted.
    pub warm_up: f64,
}

/// What was measured of one server.
pub struct Measured {
    /// Its name.
    pub label: String,
    /// Whose it is.
    pub family: Family,
    /// The answers of the load, a round each.
    pub rounds: Vec<Value>,
    /// Messages a second.
    pub rate: Spread,
    /// CPU time of the server per message, in nanoseconds.
    pub cpu_ns: Spread,
    /// The same as shares, of each yardstick.
    pub shares: Vec<Shares>,
}

/// Rate and CPU time as shares of a yardstick's in the same rounds.
pub struct Shares {
    /// The server whose rate is meant; none if no server of the yardstick took part.
    pub fastest: Option<String>,
    /// Of its rate.
    pub rate: Spread,
    /// The server whose CPU time is meant.
    pub cheapest: Option<String>,
    /// Of its CPU time.
    pub cpu: Spread,
}

impl Cell {
    /// Its name in the tables and results.
    #[must_use]
    pub fn name(&self) -> String {
        let size = match (self.mode.as_str(), self.size) {
            ("http" | "wrk", _) => "/hello".to_owned(),
            ("file", _) => format!("{} MiB", FILE_BYTES >> 20),
            (_, size) if size >= 1024 => format!("{} KiB", size / 1024),
            (_, size) => format!("{size} B"),
        };
        let (mode, connections) = (&self.mode, self.connections);
        match (mode.as_str(), self.rate) {
            ("accept", _) => format!("accept and close ×{connections}"),
            (_, Some(rate)) => format!("{mode} {size} ×{connections} at {rate}/s"),
            (_, None) => format!("{mode} {size} ×{connections} p{}", self.pipeline),
        }
    }

    /// What servers are told beforehand.
    fn hints(&self) -> Hints {
        let Self { size, connections, pipeline, .. } = *self;
        Hints { size, connections, pipeline }
    }

    /// What the servers do: by wrk it is the same.
    fn served(&self) -> &str {
        if self.mode == "wrk" { "http" } else { &self.mode }
    }

    /// Whether a server takes part. One that is there for [`WAITS`] does where servers wait for each
    /// message: one is under way in all, or they come at a rate.
    fn takes(&self, server: &Program) -> bool {
        let waits = self.mode == "echo"
            && (self.rate.is_some() || self.connections == 1 && self.pipeline == 1);
        server.serves(self.served()) || waits && server.serves(WAITS)
    }

    fn flags(&self, effort: Effort) -> Vec<String> {
        let mut flags = flags([
            ("--mode", self.mode.clone()),
            ("--size", self.size.to_string()),
            ("--connections", self.connections.to_string()),
            ("--pipeline", self.pipeline.to_string()),
            ("--seconds", effort.seconds.to_string()),
            ("--warm-up", effort.warm_up.to_string()),
        ]);
        if let Some(rate) = self.rate {
            flags.extend(["--rate".to_owned(), rate.to_string()]);
        }
        if let Some(page) = &self.page {
            flags.extend(["--file".to_owned(), page.path().to_string_lossy().into_owned()]);
        }
        flags
    }

    /// Where more bytes are under way than TCP has memory for at first, segments are dropped until
    /// its windows have settled, with timeouts of 200 ms; and where connections are many, it takes a
    /// tenth of a second until each has had its turn. Such cells need longer times.
    #[must_use]
    pub fn settled(&self, effort: Effort) -> Effort {
        let size = if self.page.is_some() { FILE_BYTES } else { self.size };
        let bytes = u64::from(size) * u64::from(self.connections) * u64::from(self.pipeline);
        if bytes < HEAVY_BYTES && self.connections < HEAVY_CONNECTIONS {
            return effort;
        }
        Effort {
            seconds: effort.seconds.max(HEAVY_SECONDS),
            warm_up: effort.warm_up.max(HEAVY_WARM_UP),
            ..effort
        }
    }

    /// A load that sent late by itself has measured the machine, and tries again.
    fn load(&self, server: &Server, effort: Effort) -> io::Result<Value> {
        if self.mode == "wrk" {
            return wrk::load(server, self.connections, effort.seconds);
        }
        let flags = self.flags(effort);
        let mut found = load(server, &flags)?;
        for _ in 0..TRIES_MORE {
            if self.rate.is_none() || number(&found, LATE) < LATE_MAX_US {
                break;
            }
            found = load(server, &flags)?;
        }
        Ok(found)
    }

    /// Measures all servers that serve this.
    pub fn measure(
        &self,
        servers: &[Program],
        yardsticks: &[Yardstick],
        effort: Effort,
    ) -> io::Result<Vec<Measured>> {
        let effort = self.settled(effort);
        let servers: Vec<Program> =
            servers.iter().filter(|server| self.takes(server)).cloned().collect();
        let mut running: Vec<Server> = Vec::new();
        for server in &servers {
            running.push(match &self.page {
                Some(page) => server.serve_file(self.served(), self.hints(), page)?,
                None => server.serve(self.served(), self.hints())?,
            });
        }
        let mut rounds = vec![Vec::new(); servers.len()];
        for round in 0..effort.rounds as usize {
            for turn in 0..servers.len() {
                // Another one is first in every round.
                let at = (round + turn) % servers.len();
                rounds[at].push(self.load(&running[at], effort)?);
            }
        }
        for server in running {
            server.stop()?;
        }
        Ok(compare(&servers, yardsticks, &rounds))
    }
}

fn number(value: &Value, name: &str) -> f64 {
    value[name].as_f64().unwrap_or(f64::NAN)
}

fn column(rounds: &[Value], name: &str) -> Vec<f64> {
    rounds.iter().map(|round| number(round, name)).collect()
}

/// A figure of all servers as a share of that server's of the yardstick which is best by `better`
/// in the median of the cell: taking the best of each round would reward luck.
fn share(
    servers: &[Program],
    yardstick: &Yardstick,
    rounds: &[Vec<Value>],
    name: &str,
    better: Ordering,
) -> (Option<String>, Vec<Spread>) {
    let columns: Vec<Vec<f64>> = rounds.iter().map(|rounds| column(rounds, name)).collect();
    let median = |at: usize| Spread::of(columns[at].iter().copied()).median;
    let best = (0..servers.len())
        .filter(|at| servers[*at].family == yardstick.family)
        .reduce(|a, b| if median(b).total_cmp(&median(a)) == better { b } else { a });
    let Some(best) = best else { return (None, vec![Spread::default(); servers.len()]) };
    let ratio = |own: &Vec<f64>| Spread::of(own.iter().zip(&columns[best]).map(|(a, b)| a / b));
    (Some(servers[best].label.clone()), columns.iter().map(ratio).collect())
}

fn compare(servers: &[Program], yardsticks: &[Yardstick], rounds: &[Vec<Value>]) -> Vec<Measured> {
    let mut measured: Vec<_> = servers
        .iter()
        .zip(rounds)
        .map(|(server, rounds)| Measured {
            label: server.label.clone(),
            family: server.family,
            rounds: rounds.clone(),
            rate: Spread::of(column(rounds, RATE)),
            cpu_ns: Spread::of(column(rounds, CPU)),
            shares: Vec::new(),
        })
        .collect();
    for yardstick in yardsticks {
        let (fastest, rates) = share(servers, yardstick, rounds, RATE, Ordering::Greater);
        let (cheapest, cpus) = share(servers, yardstick, rounds, CPU, Ordering::Less);
        for (at, measured) in measured.iter_mut().enumerate() {
            let (fastest, cheapest) = (fastest.clone(), cheapest.clone());
            measured.shares.push(Shares { fastest, rate: rates[at], cheapest, cpu: cpus[at] });
        }
    }
    measured
}

impl Shares {
    fn to_json(&self) -> Value {
        json!({
            "fastest": self.fastest,
            "rate": self.rate.to_json(),
            "cheapest": self.cheapest,
            "cpu": self.cpu.to_json(),
        })
    }
}

impl Measured {
    /// The median of a figure that the load gives.
    #[must_use]
    pub fn median(&self, name: &str) -> f64 {
        self.spread(name).median
    }

    /// The same with its quartiles.
    #[must_use]
    pub fn spread(&self, name: &str) -> Spread {
        Spread::of(column(&self.rounds, name))
    }

    /// Everything, for the results file.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({
            "server": self.label,
            "messages_per_s": self.rate.to_json(),
            "server_cpu_ns_per_message": self.cpu_ns.to_json(),
            "shares": self.shares.iter().map(Shares::to_json).collect::<Vec<_>>(),
            "rounds": self.rounds,
        })
    }
}
