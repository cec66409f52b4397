//! Measures all servers in all cells and prints a table per part.
//!
//! ```text
//! cargo run --release                     everything, on everything, in about half an hour
//!   --quick                               once, in about three minutes
//!   --against all|uring|readiness         what is compared: `harness/contest.rs`
//!   --driver NAME                         on another driver of tigereye than that comparison's
//!   --parts echo,http,wrk,file,udp,accept,latency,idle,syscalls,instructions,micro,storage,size
//!   --sizes 64,16384  --connections 1,64,512,10000  --pipelines 1,16
//!   --rounds 5  --seconds 0.1  --warm-up 0.03
//!   --load 0.5                            of the slowest server's rate, for latencies
//!   --idle 10000                          idle connections
//!   --scale 1                             of small measurements and instructions: 0.01 is 1 %
//!   --servers bare_uring,mio              only these
//!   --sized tokio,mio                     only the size and build time of these
//!   --stored tigereye,fio                 only the files of these
//!   --add "label=path flags;label=…"      servers beyond the built-in list
//!   --out results/all.json                or uring.json, readiness.json: as what is compared
//!   --publish                             then the two that follow, of these results
//!
//! cargo run --release -- --draw results/all.json       the figures: docs/figures/*.svg
//! cargo run --release -- --markdown results/all.json   the tables: docs/performance.md, README.md
//!   --root ..                             of which repository
//! ```

use serde_json::{Map, Value, json};
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Instant;
use tigereye_peers::args::Args;
use tigereye_peers::harness::file_page::{FILE_BYTES, FilePage};
use tigereye_peers::harness::plan::{CELLS, COUNTED_AT, Plan};
use tigereye_peers::harness::program::{Dialect, Program};
use tigereye_peers::harness::verdict::{self, Verdict};
use tigereye_peers::harness::{
    build, draw, fio, idle, instructions, latency, libuv, machine, markdown, micro, nginx, report,
    size, storage, syscalls, table, wrk,
};
use tigereye_peers::sys::process;

type Results = Map<String, Value>;

fn measure_cells(plan: &Plan, results: &mut Results) -> io::Result<()> {
    let yardsticks = plan.contest.yardsticks;
    let (mut rows, mut verdict) = (Vec::new(), Verdict::by(yardsticks));
    table::cells_head(yardsticks);
    let page = match plan.has("file") {
        true => Some(Rc::new(FilePage::make(plan.folder(), FILE_BYTES as usize)?)),
        false => None,
    };
    let parts = CELLS.iter().filter(|part| plan.has(part));
    for cell in parts.flat_map(|part| plan.cells(part, page.as_ref())) {
        let measured = cell.measure(&plan.servers, yardsticks, plan.effort)?;
        table::cell(&cell, &measured);
        let best = verdict::best(&measured, yardsticks);
        if let Some(best) = best {
            table::best(best);
        }
        verdict.add(&cell.name(), &measured, best);
        let servers: Vec<Value> = measured.iter().map(|m| m.to_json()).collect();
        rows.push(json!({"cell": cell.name(), "mode": cell.mode, "servers": servers}));
    }
    verdict.print();
    results.insert("cells".to_owned(), Value::Array(rows));
    results.insert("marks".to_owned(), verdict.to_json());
    Ok(())
}

fn measure_latency(plan: &Plan, results: &mut Results) -> io::Result<()> {
    let yardsticks = plan.contest.yardsticks;
    let cell = latency::cell(&plan.servers, yardsticks, plan.load, plan.effort)?;
    let measured = latency::measure(&cell, &plan.servers, yardsticks, plan.effort)?;
    table::latency(&cell, &measured);
    let servers: Vec<Value> = measured.iter().map(|m| m.to_json()).collect();
    let name = cell.name();
    let latency = json!({"cell": name, "messages_per_s": cell.rate, "servers": servers});
    results.insert("latency".to_owned(), latency);
    Ok(())
}

fn measure_idle(plan: &Plan, results: &mut Results) -> io::Result<()> {
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

fn count_syscalls(plan: &Plan, results: &mut Results) -> io::Result<()> {
    let Some(counter) = syscalls::Counter::find() else {
        println!(
            "\nSystem calls: not counted, for want of perf or strace (packages of that name)."
        );
        return Ok(());
    };
    let mut rows = Vec::new();
    table::syscalls_head(counter.name());
    for connections in COUNTED_AT {
        for server in plan.servers("echo") {
            let counted = syscalls::measure(server, connections, counter)?;
            table::syscalls(&counted);
            rows.push(counted.to_json());
        }
    }
    results.insert("syscalls".to_owned(), Value::Array(rows));
    Ok(())
}

fn count_instructions(plan: &Plan, results: &mut Results) -> io::Result<()> {
    let Some(version) = instructions::valgrind() else {
        println!("\nInstructions: not counted, for want of valgrind (package valgrind).");
        return Ok(());
    };
    for (mode, name) in [("echo", "instructions"), ("udp", "instructions_udp")] {
        let mut rows = Vec::new();
        table::instructions_head(&version, mode);
        for connections in COUNTED_AT {
            for server in plan.servers(mode) {
                match instructions::measure(server, mode, connections, plan.scale) {
                    Ok(counted) => {
                        table::instructions(&counted);
                        rows.push(counted.to_json());
                    }
                    // An older valgrind may not know a system call that a server makes.
                    Err(error) => println!("{}: not counted: {error}", server.label),
                }
            }
        }
        results.insert(name.to_owned(), Value::Array(rows));
    }
    Ok(())
}

fn measure_micro(plan: &Plan, left_out: &Missing, results: &mut Results) -> io::Result<()> {
    let micros = plan.contest.micros.iter().copied();
    let others: Vec<&str> = micros.filter(|name| !left_out.takes(name)).collect();
    let figures = micro::measure(plan.effort.rounds, plan.scale, &others, &plan.drivers)?;
    table::micro(&figures);
    let rows: Vec<Value> = figures.iter().map(|figure| figure.to_json()).collect();
    results.insert("micro".to_owned(), Value::Array(rows));
    Ok(())
}

fn measure_storage(plan: &Plan, left_out: &Missing, results: &mut Results) -> io::Result<()> {
    let mut programs = plan.storages();
    programs.retain(|(_, command)| !left_out.takes(command));
    let folder = Path::new(&plan.out).with_extension("files");
    let figures = storage::measure(&programs, plan.effort.rounds, plan.effort.seconds, &folder)?;
    table::micro(&figures);
    let rows: Vec<Value> = figures.iter().map(|figure| figure.to_json()).collect();
    results.insert("storage".to_owned(), Value::Array(rows));
    Ok(())
}

fn measure_size(plan: &Plan, results: &mut Results) -> io::Result<()> {
    let folder = std::path::absolute(Path::new(&plan.out).with_extension("build"))?;
    let mut rows = Vec::new();
    table::size_head();
    let wanted = |label: &str| plan.sized.is_empty() || plan.sized.iter().any(|own| own == label);
    for label in size::PROGRAMS.iter().copied().filter(|label| wanted(label)) {
        match size::measure(label, &folder) {
            Ok(sized) => {
                table::size(&sized);
                rows.push(sized.to_json());
            }
            Err(error) => {
                println!("{label:<24} left out: {error}");
                rows.push(json!({"library": label, "left_out": error.to_string()}));
            }
        }
    }
    results.insert("size".to_owned(), Value::Array(rows));
    Ok(())
}

/// What takes no part, and why: beginnings of programs' names, and reasons.
#[derive(Default)]
struct Missing(Vec<(String, String)>);

impl Missing {
    fn takes(&self, program: &str) -> bool {
        self.0.iter().any(|(name, _)| program.starts_with(name))
    }

    /// Takes their servers out of the plan, and says so.
    fn apply(&self, plan: &mut Plan) {
        for (name, reason) in &self.0 {
            println!("{name}: left out: {reason}");
        }
        let named = |server: &Program| server.command.first().is_some_and(|name| self.takes(name));
        plan.servers.retain(|server| !named(server));
    }

    fn to_json(&self) -> Value {
        let row = |(name, reason): &(String, String)| json!({"program": name, "reason": reason});
        self.0.iter().map(row).collect()
    }
}

/// Builds and installs what the plan needs. Gives the versions of what is not ours to build.
fn provide(plan: &mut Plan) -> io::Result<(Missing, Vec<(&'static str, String)>)> {
    let mut missing = Missing::default();
    for package in build::peers()? {
        missing.0.push((package.program.to_owned(), package.reason));
    }
    let has_http = plan.has("http") || plan.has("wrk");
    let serves = |plan: &Plan, is_it: fn(&Program) -> bool| {
        (has_http && plan.servers("http").any(is_it))
            || (plan.has("file") && plan.servers("file").any(is_it))
    };
    if serves(plan, |server| server.dialect == Dialect::WebServer) {
        build::web_server()?;
    }
    let mut versions = Vec::new();
    if !missing.takes(libuv::SERVER) && plan.servers.iter().any(libuv::is_its) {
        match libuv::provide()? {
            Some(version) => versions.push(("libuv", version)),
            None => missing.0.push((libuv::SERVER.to_owned(), libuv::WANTED.to_owned())),
        }
    }
    if serves(plan, |server| server.dialect == Dialect::Nginx) {
        match nginx::version() {
            Some(version) => versions.push(("nginx", version)),
            None => missing.0.push((nginx::PROGRAM.to_owned(), nginx::WANTED.to_owned())),
        }
    }
    if plan.has("wrk") {
        match wrk::version() {
            Some(version) => versions.push((wrk::PROGRAM, version)),
            None => {
                missing.0.push((wrk::PROGRAM.to_owned(), wrk::WANTED.to_owned()));
                plan.parts.retain(|part| part != "wrk");
            }
        }
    }
    if plan.has("storage") {
        if plan.storages().iter().any(|(_, command)| *command == fio::PROGRAM) {
            match fio::version() {
                Some(version) => versions.push((fio::PROGRAM, version)),
                None => missing.0.push((fio::PROGRAM.to_owned(), fio::WANTED.to_owned())),
            }
        }
        missing.0.push(("files on mio".to_owned(), "it has no operations on them".to_owned()));
    }
    missing.apply(plan);
    Ok((missing, versions))
}

/// Measures everything that is planned, and writes it down.
fn measure(plan: &mut Plan) -> io::Result<Value> {
    let (missing, versions) = provide(plan)?;
    process::lift_file_limit()?;
    std::fs::create_dir_all(plan.folder())?;
    let begin = Instant::now();
    let mut results = Map::new();
    let machine = machine::describe(&versions);
    table::machine(&machine);
    results.insert("machine".to_owned(), machine);
    results.insert("missing".to_owned(), missing.to_json());
    if CELLS.iter().any(|part| plan.has(part)) {
        measure_cells(plan, &mut results)?;
    }
    type Part = fn(&Plan, &mut Results) -> io::Result<()>;
    let parts: [(&str, Part); 5] = [
        ("latency", measure_latency),
        ("idle", measure_idle),
        ("syscalls", count_syscalls),
        ("instructions", count_instructions),
        ("size", measure_size),
    ];
    for (_, measure) in parts.iter().filter(|(part, _)| plan.has(part)) {
        measure(plan, &mut results)?;
    }
    if plan.has("micro") {
        measure_micro(plan, &missing, &mut results)?;
    }
    if plan.has("storage") {
        measure_storage(plan, &missing, &mut results)?;
    }
    let results = Value::Object(results);
    std::fs::write(&plan.out, format!("{results:#}\n"))?;
    println!("\n{:.0} s; everything is in {}", begin.elapsed().as_secs_f64(), plan.out);
    Ok(results)
}

/// The figures of the pages below `root`.
fn draw(results: &Value, root: &Path) -> io::Result<()> {
    for file in draw::all(results, &root.join("docs/figures"))? {
        println!("{}", file.display());
    }
    Ok(())
}

/// The tables of the pages below `root`.
fn write_tables(results: &Value, root: &Path) -> io::Result<()> {
    for page in ["docs/performance.md", "README.md"] {
        markdown::write(&root.join(page), results)?;
        println!("{}", root.join(page).display());
    }
    Ok(())
}

fn main() -> io::Result<()> {
    let mut args = Args::from_env();
    let root = args.take("root").unwrap_or_else(|| build::folder().join(".."));
    let (drawn, written) = (args.take::<PathBuf>("draw"), args.take::<PathBuf>("markdown"));
    if drawn.is_some() || written.is_some() {
        args.finish();
        if let Some(path) = drawn {
            draw(&report::read(&path)?, &root)?;
        }
        if let Some(path) = written {
            write_tables(&report::read(&path)?, &root)?;
        }
        return Ok(());
    }
    let publish = args.flag("publish");
    let mut plan = Plan::from_args(args);
    plan.print();
    let results = measure(&mut plan)?;
    if publish {
        draw(&results, &root)?;
        write_tables(&results, &root)?;
    }
    Ok(())
}
