//! Measures all servers in all cells and prints a table per part.
//!
//! ```text
//! cargo run --release                     everything
//!   --parts echo,http,idle,instructions,micro
//!   --sizes 64,16384  --connections 1,64,512  --pipelines 1,16
//!   --rounds 11  --seconds 0.1  --warm-up 0.03
//!   --idle 10000                          idle connections
//!   --scale 1                             of the small measurements: 0.01 is a hundredth
//!   --servers bare_uring,tigereye         only these
//!   --add "label=path flags;label=…"      servers beyond the built-in list
//!   --out results/latest.json
//! ```

use serde_json::{Map, Value, json};
use std::io;
use std::time::Instant;
use tigereye_peers::args::{Args, fail};
use tigereye_peers::harness::cell::{Cell, Effort};
use tigereye_peers::harness::program::Program;
use tigereye_peers::harness::verdict::{self, Verdict};
use tigereye_peers::harness::{build, idle, instructions, machine, micro, table};
use tigereye_peers::sys::process;

const PARTS: &[&str] = &["echo", "http", "idle", "instructions", "micro"];
/// Connections under which instructions are counted.
const INSTRUCTIONS_AT: [u32; 2] = [1, 64];

struct Plan {
    parts: Vec<String>,
    sizes: Vec<u32>,
    connections: Vec<u32>,
    pipelines: Vec<u32>,
    effort: Effort,
    idle: u32,
    scale: f64,
    servers: Vec<Program>,
    out: String,
}

impl Plan {
    fn from_args() -> Self {
        let mut args = Args::from_env();
        let added: String = args.get("add", String::new());
        let only: Vec<String> = args.list("servers", "");
        let mut servers = Program::list(&added);
        servers.retain(|server| only.is_empty() || only.contains(&server.label));
        let results = concat!(env!("CARGO_MANIFEST_DIR"), "/results/latest.json");
        let plan = Self {
            parts: args.list("parts", &PARTS.join(",")),
            sizes: args.list("sizes", "64,16384"),
            connections: args.list("connections", "1,64,512"),
            pipelines: args.list("pipelines", "1,16"),
            effort: Effort {
                rounds: args.get("rounds", 11),
                seconds: args.get("seconds", 0.1),
                warm_up: args.get("warm-up", 0.03),
            },
            idle: args.get("idle", 10_000),
            scale: args.get("scale", 1.0),
            servers,
            out: args.get("out", results.to_owned()),
        };
        args.finish();
        if let Some(part) = plan.parts.iter().find(|part| !PARTS.contains(&part.as_str())) {
            fail(&format!("--parts {part}: {}", PARTS.join(", ")));
        }
        plan
    }

    fn has(&self, part: &str) -> bool {
        self.parts.iter().any(|own| own == part)
    }

    fn echo_servers(&self) -> impl Iterator<Item = &Program> {
        self.servers.iter().filter(|server| server.serves("echo"))
    }

    fn cells(&self) -> Vec<Cell> {
        let mut cells = Vec::new();
        let sizes = |mode: &str| if mode == "http" { vec![64] } else { self.sizes.clone() };
        for mode in ["echo", "http"].into_iter().filter(|mode| self.has(mode)) {
            for size in sizes(mode) {
                for &connections in &self.connections {
                    for &pipeline in &self.pipelines {
                        cells.push(Cell { mode: mode.to_owned(), size, connections, pipeline });
                    }
                }
            }
        }
        cells
    }
}

fn measure_cells(plan: &Plan, results: &mut Map<String, Value>) -> io::Result<()> {
    let (mut rows, mut verdict) = (Vec::new(), Verdict::default());
    table::cells_head();
    for cell in plan.cells() {
        let measured = cell.measure(&plan.servers, plan.effort)?;
        table::cell(&cell, &measured);
        if let Some(best) = verdict::best(&measured) {
            table::best(best);
        }
        verdict.add(&cell.name(), &measured);
        let servers: Vec<Value> = measured.iter().map(|m| m.to_json()).collect();
        rows.push(json!({"cell": cell.name(), "servers": servers}));
    }
    verdict.print();
    results.insert("cells".to_owned(), Value::Array(rows));
    results.insert("missed".to_owned(), verdict.to_json());
    Ok(())
}

fn measure_idle(plan: &Plan, results: &mut Map<String, Value>) -> io::Result<()> {
    let mut rows = Vec::new();
    table::idle_head(plan.idle);
    for server in plan.echo_servers() {
        let memory = idle::measure(server, plan.idle)?;
        table::idle(&memory);
        rows.push(memory.to_json());
    }
    results.insert("idle".to_owned(), Value::Array(rows));
    Ok(())
}

fn count_instructions(plan: &Plan, results: &mut Map<String, Value>) -> io::Result<()> {
    let Some(version) = instructions::valgrind() else {
        println!("\nInstructions: not counted, for want of valgrind (package valgrind).");
        return Ok(());
    };
    let mut rows = Vec::new();
    table::instructions_head(&version);
    for connections in INSTRUCTIONS_AT {
        for server in plan.echo_servers() {
            match instructions::measure(server, connections) {
                Ok(counted) => {
                    table::instructions(&counted);
                    rows.push(counted.to_json());
                }
                // An older valgrind may not know a system call that a server makes.
                Err(error) => println!("{}: not counted: {error}", server.label),
            }
        }
    }
    results.insert("instructions".to_owned(), Value::Array(rows));
    Ok(())
}

fn measure_micro(plan: &Plan, results: &mut Map<String, Value>) -> io::Result<()> {
    let figures = micro::measure(plan.effort.rounds, plan.scale)?;
    table::micro(&figures);
    let rows: Vec<Value> = figures.iter().map(|figure| figure.to_json()).collect();
    results.insert("micro".to_owned(), Value::Array(rows));
    Ok(())
}

fn main() -> io::Result<()> {
    let plan = Plan::from_args();
    build::peers()?;
    if plan.has("http") {
        build::web_server()?;
    }
    process::lift_file_limit()?;
    let begin = Instant::now();
    let mut results = Map::new();
    let machine = machine::describe();
    table::machine(&machine);
    results.insert("machine".to_owned(), machine);
    if plan.has("echo") || plan.has("http") {
        measure_cells(&plan, &mut results)?;
    }
    if plan.has("idle") {
        measure_idle(&plan, &mut results)?;
    }
    if plan.has("instructions") {
        count_instructions(&plan, &mut results)?;
    }
    if plan.has("micro") {
        measure_micro(&plan, &mut results)?;
    }
    if let Some(folder) = std::path::Path::new(&plan.out).parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(&plan.out, format!("{:#}\n", Value::Object(results)))?;
    println!("\n{:.0} s; everything is in {}", begin.elapsed().as_secs_f64(), plan.out);
    Ok(())
}
