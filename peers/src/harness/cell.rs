//! One cell of the table: all servers under one load, measured in turn, many short times.
//!
//! The machine is shared, and its speed changes from second to second. So all servers of a cell
//! run at once (idle, a server costs nothing), each is measured for a fraction of a second, one
//! after the other, and servers are compared only within such a round.

use super::program::{Family, Program, Server, flags, load};
use super::stats::Spread;
use serde_json::{Value, json};
use std::io;

/// Bytes under way from which on a cell is given [`HEAVY_SECONDS`], to settle and to be measured.
const HEAVY_BYTES: u64 = 32 << 20;
const HEAVY_SECONDS: f64 = 0.5;

/// What is done to the servers.
#[derive(Clone)]
pub struct Cell {
    /// `echo` or `http`.
    pub mode: String,
    /// Size of a message in bytes; for `http` it is what it is.
    pub size: u32,
    /// Connections.
    pub connections: u32,
    /// Messages under way on each.
    pub pipeline: u32,
}

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
    /// Rate as a share of the better hand-written loop's in the same round.
    pub rate_ratio: Spread,
    /// CPU time likewise.
    pub cpu_ratio: Spread,
}

impl Cell {
    /// Its name in the table.
    #[must_use]
    pub fn name(&self) -> String {
        let size = match (self.mode.as_str(), self.size) {
            ("http", _) => "/hello".to_owned(),
            (_, size) if size >= 1024 => format!("{} KiB", size / 1024),
            (_, size) => format!("{size} B"),
        };
        format!("{} {size} ×{} p{}", self.mode, self.connections, self.pipeline)
    }

    fn flags(&self, effort: Effort) -> Vec<String> {
        flags([
            ("--mode", self.mode.clone()),
            ("--size", self.size.to_string()),
            ("--connections", self.connections.to_string()),
            ("--pipeline", self.pipeline.to_string()),
            ("--seconds", effort.seconds.to_string()),
            ("--warm-up", effort.warm_up.to_string()),
        ])
    }

    /// Where more bytes are under way than TCP has memory for at first, segments are dropped until
    /// its windows have settled, with timeouts of 200 ms: such a cell needs longer times.
    fn settled(&self, effort: Effort) -> Effort {
        let bytes = u64::from(self.size) * u64::from(self.connections) * u64::from(self.pipeline);
        if bytes < HEAVY_BYTES {
            return effort;
        }
        Effort {
            seconds: effort.seconds.max(HEAVY_SECONDS),
            warm_up: effort.warm_up.max(HEAVY_SECONDS),
            ..effort
        }
    }

    /// Measures all servers that serve this.
    pub fn measure(&self, servers: &[Program], effort: Effort) -> io::Result<Vec<Measured>> {
        let effort = self.settled(effort);
        let servers: Vec<Program> =
            servers.iter().filter(|server| server.serves(&self.mode)).cloned().collect();
        let mut running: Vec<Server> = Vec::new();
        for server in &servers {
            running.push(server.serve(&self.mode, self.size)?);
        }
        let mut rounds = vec![Vec::new(); servers.len()];
        for round in 0..effort.rounds as usize {
            for turn in 0..servers.len() {
                // Another one is first in every round.
                let at = (round + turn) % servers.len();
                rounds[at].push(load(&running[at], &self.flags(effort))?);
            }
        }
        for server in running {
            server.stop()?;
        }
        Ok(compare(&servers, rounds))
    }
}

fn number(value: &Value, name: &str) -> f64 {
    value[name].as_f64().unwrap_or(f64::NAN)
}

/// The ratio is to that hand-written loop which is better in the median of the cell: taking the
/// better of each round would reward luck.
fn compare(servers: &[Program], rounds: Vec<Vec<Value>>) -> Vec<Measured> {
    let column =
        |at: usize, name: &str| rounds[at].iter().map(|v| number(v, name)).collect::<Vec<_>>();
    let by_hand = || (0..servers.len()).filter(|at| servers[*at].hand_written());
    let order = |name: &'static str| {
        move |a: &usize, b: &usize| {
            Spread::of(column(*a, name)).median.total_cmp(&Spread::of(column(*b, name)).median)
        }
    };
    let fastest = by_hand().max_by(order("messages_per_s"));
    let cheapest = by_hand().min_by(order("server_cpu_ns_per_message"));
    let ratio = |at: usize, to: Option<usize>, name: &str| {
        let to = to.map_or_else(|| vec![f64::NAN; rounds[at].len()], |to| column(to, name));
        Spread::of(column(at, name).into_iter().zip(to).map(|(a, b)| a / b).collect::<Vec<_>>())
    };
    (0..servers.len())
        .map(|at| Measured {
            label: servers[at].label.clone(),
            family: servers[at].family,
            rate: Spread::of(column(at, "messages_per_s")),
            cpu_ns: Spread::of(column(at, "server_cpu_ns_per_message")),
            rate_ratio: ratio(at, fastest, "messages_per_s"),
            cpu_ratio: ratio(at, cheapest, "server_cpu_ns_per_message"),
            rounds: rounds[at].clone(),
        })
        .collect()
}

impl Measured {
    /// The median of a figure that the load gives.
    #[must_use]
    pub fn median(&self, name: &str) -> f64 {
        Spread::of(self.rounds.iter().map(|round| number(round, name))).median
    }

    /// Everything, for the results file.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({
            "server": self.label,
            "messages_per_s": self.rate.to_json(),
            "server_cpu_ns_per_message": self.cpu_ns.to_json(),
            "rate_ratio": self.rate_ratio.to_json(),
            "cpu_ratio": self.cpu_ratio.to_json(),
            "rounds": self.rounds,
        })
    }
}
