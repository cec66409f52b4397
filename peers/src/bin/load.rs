//! The load generator as a program: prints one line of JSON.
//!
//! ```text
//! load --addr 127.0.0.1:43210 --mode echo|http|file|udp|accept|idle --connections N --size S
//!      --pipeline P | --rate R   --seconds D --warm-up W | --messages M
//!      [--pid SERVER] [--file PATH]
//! ```
//!
//! `--rate` sends so many messages a second, at times that are fixed beforehand.
//! `file` asks for `/file`, and compares what comes with the contents of `--file`.
//!
//! `idle` opens the connections, has one message echoed on each, prints `ready` and keeps them
//! open until its standard input ends.

use serde_json::json;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use tigereye_peers::accepts;
use tigereye_peers::args::{Args, fail};
use tigereye_peers::client::{self, Outcome, Plan};
use tigereye_peers::load::Script;
use tigereye_peers::sys::process;

fn main() -> io::Result<()> {
    let mut args = Args::from_env();
    let Some(addr) = args.take::<SocketAddr>("addr") else { fail("--addr is needed") };
    let mode: String = args.get("mode", "echo".to_owned());
    let size = args.get("size", 64);
    let plan = Plan {
        addr,
        server: args.take("pid"),
        connections: args.get("connections", 1),
        pipeline: args.get("pipeline", 1),
        warm_up: args.get("warm-up", 0.3),
        seconds: args.get("seconds", 1.0),
        messages: args.take("messages"),
        rate: args.take("rate"),
    };
    let file = args.take::<PathBuf>("file");
    args.finish();
    process::lift_file_limit()?;
    let script = match mode.as_str() {
        "echo" => Script::echo(size),
        "http" => Script::http(addr)?,
        "file" => {
            let Some(path) = file else { fail("--mode file needs --file") };
            Script::file(addr, std::fs::read(path)?)?
        }
        "udp" => Script::datagrams(size),
        "accept" => {
            print(&accepts::run(&plan)?);
            return Ok(());
        }
        "idle" => return idle(&plan, size),
        other => fail(&format!("--mode {other}: echo, http, file, udp, accept or idle")),
    };
    print(&client::run(script, plan)?);
    Ok(())
}

fn print(outcome: &Outcome) {
    let messages = outcome.messages as f64;
    let us = |share: f64| outcome.latency.quantile(share) as f64 / 1e3;
    let line = json!({
        "messages": outcome.messages,
        "messages_per_s": messages / outcome.seconds,
        "server_cpu_ns_per_message": outcome.server_cpu_ns as f64 / messages,
        "client_cpu_ns_per_message": outcome.client_cpu_ns as f64 / messages,
        "server_busy": outcome.server_cpu_ns as f64 / 1e9 / outcome.seconds,
        "client_busy": outcome.client_cpu_ns as f64 / 1e9 / outcome.seconds,
        "checked_bytes": outcome.checked_bytes,
        "p50_us": us(0.5),
        "p90_us": us(0.9),
        "p99_us": us(0.99),
        "p999_us": us(0.999),
        "max_us": outcome.latency.max() as f64 / 1e3,
        "late_p99_us": outcome.late.quantile(0.99) as f64 / 1e3,
        "late_p999_us": outcome.late.quantile(0.999) as f64 / 1e3,
        "late_max_us": outcome.late.max() as f64 / 1e3,
    });
    println!("{line}");
}

fn idle(plan: &Plan, size: usize) -> io::Result<()> {
    let mut streams = Vec::new();
    let (message, mut answer) = (vec![7_u8; size], vec![0; size]);
    for _ in 0..plan.connections {
        let mut stream = TcpStream::connect(plan.addr)?;
        stream.write_all(&message)?;
        stream.read_exact(&mut answer)?;
        streams.push(stream);
    }
    println!("ready");
    io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}
