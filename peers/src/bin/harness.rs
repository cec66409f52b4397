//! Measures all servers in all cells and prints a table per part.
//!
//! ```text
//! cargo run --release                     everything, tigereye on io_uring beside loops by hand
//!   --against readiness                   on readiness beside epoll by hand, mio, tokio, libuv
//!   --driver NAME                         on another driver of tigereye than that comparison's
//!   --parts echo,http,file,idle,instructions,micro,storage
//!   --sizes 64,16384  --connections 1,64,512  --pipelines 1,16
//!   --rounds 11  --seconds 0.1  --warm-up 0.03
//!   --idle 10000                          idle connections
//!   --scale 1                             of the small measurements: 0.01 is a hundredth
//!   --servers bare_uring,tigereye         only these
//!   --add "label=path flags;label=…"      servers beyond the built-in list
//!   --out results/uring.json              or readiness.json: as what is compared
//! ```

use serde_json::{Map, Value, json};
use std::io;
use std::path::Path;
use std::rc::Rc;
use std::time::Instant;
use tigereye_peers::args::{Args, fail};
use tigereye_peers::harness::cell::{Cell, Effort};
use tigereye_peers::harness::contest::Contest;
use tigereye_peers::harness::file_page::{FILE_BYTES, FilePage};
use tigereye_peers::harness::program::{Dialect, Program};
use tigereye_peers::harness::verdict::{self, Verdict};
use tigereye_peers::harness::{build, idle, instructions, libuv, machine, micro, storage, table};
use tigereye_peers::sys::process;

const PARTS: &[&str] = &["echo", "http", "file", "idle", "instructions", "micro", "storage"];
/// Connections that ask for files, one request at a time.
const FILES_AT: [u32; 2] = [1, 64];
/// Connections under which instructions are counted.
const INSTRUCTIONS_AT: [u32; 2] = [1, 64];

struct Plan {
    contest: &'static Contest,
    driver: String,
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
        let against: String = args.get("against", "uring".to_owned());
        let contest = Contest::named(&against)
            .unwrap_or_else(|names| fail(&format!("--against {against}: {names}")));
        let driver = args.get("driver", contest.driver.to_owned());
        let mut servers = contest.servers(&driver, &added);
        servers.retain(|server| only.is_empty() || only.contains(&server.label));
        let results = format!("{}/results/{against}.json", env!("CARGO_MANIFEST_DIR"));
        let plan = Self {
            contest,
            driver,
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
            out: args.get("out", results),
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

    /// Of the results. Files are put beside them: a folder for temporary files is often no disk.
    fn folder(&self) -> &Path {
        Path::new(&self.out).parent().unwrap_or_else(|| Path::new("."))
    }

    fn servers(&self, part: &str) -> impl Iterator<Item = &Program> {
        self.servers.iter().filter(move |server| server.serves(part))
    }

    fn cells(&self, page: &Rc<FilePage>) -> Vec<Cell> {
        let mut cells = Vec::new();
        let sizes = |mode: &str| if mode == "http" { vec![64] } else { self.sizes.clone() };
        for mode in ["echo", "http"].into_iter().filter(|mode| self.has(mode)) {
            for size in sizes(mode) {
                for &connections in &self.connections {
                    for &pipeline in &self.pipelines {
                        let mode = mode.to_owned();
                        cells.push(Cell { mode, size, page: None, connections, pipeline });
                    }
                }
            }
        }
        for connections in FILES_AT.into_iter().filter(|_| self.has("file")) {
            let (mode, page) = ("file".to_owned(), Some(Rc::clone(page)));
            cells.push(Cell { mode, size: 64, page, connections, pipeline: 1 });
        }
        cells
    }
}

fn measure_cells(plan: &Plan, results: &mut Map<String, Value>) -> io::Result<()> {
    let yardsticks = plan.contest.yardsticks;
    let (mut rows, mut verdict) = (Vec::new(), Verdict::by(yardsticks));
    table::cells_head(yardsticks);
    let page = Rc::new(FilePage::make(plan.folder(), FILE_BYTES as usize)?);
    for cell in plan.cells(&page) {
        let measured = cell.measure(&plan.servers, yardsticks, plan.effort)?;
        table::cell(&cell, &measured);
        let best = verdict::best(&measured, yardsticks);
        if let Some(best) = best {
            table::best(best);
        }
        verdict.add(&cell.name(), &measured, best);
        let servers: Vec<Value> = measured.iter().map(|m| m.to_json()).collect();
        rows.push(json!({"cell": cell.name(), "servers": servers}));
    }
    verdict.print();
    results.insert("cells".to_owned(), Value::Array(rows));
    results.insert("missed".to_owned(), verdict.to_json());
    Ok(())
}

fn measure_idle(plan: &Plan, results: &mut Map<String, Value>) -> io::Result<()> {
    let mut measured = Vec::new();
    table::idle_head(plan.idle);
    for server in plan.servers("idle") {
        let memory = idle::measure(server, plan.idle)?;
        table::idle(&memory);
        measured.push(memory);
    }
    let over = idle::compare(&measured, plan.contest.memory);
    over.iter().for_each(table::over);
    let rows = measured.iter().map(|memory| memory.to_json());
    results.insert("idle".to_owned(), rows.collect());
    let rows = over.iter().map(|over| over.to_json());
    results.insert("idle_over".to_owned(), rows.collect());
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
        for server in plan.servers("echo") {
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
    let figures = micro::measure(plan.effort.rounds, plan.scale, &plan.driver)?;
    table::micro(&figures);
    let rows: Vec<Value> = figures.iter().map(|figure| figure.to_json()).collect();
    results.insert("micro".to_owned(), Value::Array(rows));
    Ok(())
}

fn measure_storage(plan: &Plan, results: &mut Map<String, Value>) -> io::Result<()> {
    let folder = Path::new(&plan.out).with_extension("files");
    let figures = storage::measure(plan.effort.rounds, plan.effort.seconds, &folder)?;
    table::micro(&figures);
    let rows: Vec<Value> = figures.iter().map(|figure| figure.to_json()).collect();
    results.insert("storage".to_owned(), Value::Array(rows));
    Ok(())
}

fn main() -> io::Result<()> {
    let mut plan = Plan::from_args();
    build::peers()?;
    let is_web_server = |server: &Program| server.dialect == Dialect::WebServer;
    if ["http", "file"].iter().any(|part| plan.has(part) && plan.servers(part).any(is_web_server)) {
        build::web_server()?;
    }
    let libuv = libuv::provide(&mut plan.servers)?;
    process::lift_file_limit()?;
    std::fs::create_dir_all(plan.folder())?;
    let begin = Instant::now();
    let mut results = Map::new();
    let machine = machine::describe(libuv);
    table::machine(&machine);
    results.insert("machine".to_owned(), machine);
    if ["echo", "http", "file"].iter().any(|part| plan.has(part)) {
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
    if plan.has("storage") {
        measure_storage(&plan, &mut results)?;
    }
    std::fs::write(&plan.out, format!("{:#}\n", Value::Object(results)))?;
    println!("\n{:.0} s; everything is in {}", begin.elapsed().as_secs_f64(), plan.out);
    Ok(())
}
