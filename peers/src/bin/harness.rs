//! Measures all servers in all cells and prints one table.
//!
//! ```text
//! cargo run --release                     everything
//!   --parts echo,http,idle,instructions,micro
//!   --sizes 64,16384  --connections 1,64,512  --pipelines 1,16
//!   --rounds 11  --seconds 0.25  --warm-up 0.08
//!   --servers bare_uring,bare_epoll       only these
//!   --add "label=path flags;label=…"      servers beyond the built-in list
//!   --out results/latest.json
//! ```

use serde_json::{Value, json};
use std::io;
use std::time::Instant;
use tigereye_peers::args::Args;
use tigereye_peers::harness::cell::{Cell, Effort};
use tigereye_peers::harness::program::{Program, SERVERS};
use tigereye_peers::harness::{machine, table};

struct Plan {
    parts: Vec<String>,
    sizes: Vec<u32>,
    connections: Vec<u32>,
    pipelines: Vec<u32>,
    effort: Effort,
    servers: Vec<Program>,
    out: String,
}

fn plan() -> Plan {
    let mut args = Args::from_env();
    let added: String = args.get("add", String::new());
    let only: Vec<String> = args.list("servers", "");
    let mut servers = Program::list(SERVERS, &added);
    servers.retain(|server| only.is_empty() || only.contains(&server.label));
    let results = concat!(env!("CARGO_MANIFEST_DIR"), "/results/latest.json");
    let plan = Plan {
        parts: args.list("parts", "echo,http,idle,instructions,micro"),
        sizes: args.list("sizes", "64,16384"),
        connections: args.list("connections", "1,64,512"),
        pipelines: args.list("pipelines", "1,16"),
        effort: Effort {
            rounds: args.get("rounds", 11),
            seconds: args.get("seconds", 0.25),
            warm_up: args.get("warm-up", 0.08),
        },
        servers,
        out: args.get("out", results.to_owned()),
    };
    args.finish();
    plan
}

fn cells(plan: &Plan) -> Vec<Cell> {
    let mut cells = Vec::new();
    let sizes = |mode: &str| if mode == "http" { vec![64] } else { plan.sizes.clone() };
    for mode in ["echo", "http"] {
        if !plan.parts.iter().any(|part| part == mode) {
            continue;
        }
        for size in sizes(mode) {
            for &connections in &plan.connections {
                for &pipeline in &plan.pipelines {
                    cells.push(Cell { mode: mode.to_owned(), size, connections, pipeline });
                }
            }
        }
    }
    cells
}

fn main() -> io::Result<()> {
    let plan = plan();
    let begin = Instant::now();
    let machine = machine::describe();
    println!("{machine}");
    let mut results: Vec<Value> = Vec::new();
    table::head();
    for cell in cells(&plan) {
        let measured = cell.measure(&plan.servers, plan.effort)?;
        table::rows(&cell, &measured);
        let servers: Vec<Value> = measured.iter().map(|m| m.to_json()).collect();
        results.push(json!({"cell": cell.name(), "servers": servers}));
    }
    let all = json!({"machine": machine, "cells": results});
    if let Some(folder) = std::path::Path::new(&plan.out).parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(&plan.out, format!("{all:#}\n"))?;
    println!("{:.0} s; everything is in {}", begin.elapsed().as_secs_f64(), plan.out);
    Ok(())
}
