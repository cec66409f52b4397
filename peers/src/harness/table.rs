//! What the harness prints.

use super::cell::{Cell, Measured, Shares};
use super::contest::{MEMORY_OVER_MAX, Yardstick};
use super::idle::{Memory, Over};
use super::instructions::Counted;
use super::micro::Figure;
use super::stats::Spread;
use serde_json::Value;

fn percent(spread: Spread) -> f64 {
    spread.relative() * 100.0
}

/// What everything was measured on.
pub fn machine(machine: &Value) {
    if let Value::Object(fields) = machine {
        for (name, value) in fields {
            println!("{name:>14}  {}", value.as_str().map_or(value.to_string(), str::to_owned));
        }
    }
}

/// Column heads of each yardstick's shares.
fn shares_head(yardsticks: &[Yardstick]) -> String {
    yardsticks.iter().map(|yardstick| format!(" {:>7} {:>6}", yardstick.column, "±%")).collect()
}

/// The head of the table of cells.
pub fn cells_head(yardsticks: &[Yardstick]) {
    let shares = shares_head(yardsticks);
    println!(
        "\n{:<22} {:<22} {:>11} {:>5}{shares}  {:>9} {:>5}{shares}  {:>8} {:>8}  {:>9}",
        "cell", "server", "messages/s", "±%", "CPU ns/m", "±%", "p50 µs", "p99 µs", "busy s/c"
    );
}

/// Shares of each yardstick; of one that took no part there are none.
fn shares(measured: &Measured, side: impl Fn(&Shares) -> Spread) -> String {
    let columns = measured.shares.iter().map(|shares| match (&shares.fastest, side(shares)) {
        (Some(_), spread) => format!(" {:>7.3} {:>6.1}", spread.median, percent(spread)),
        (None, _) => format!(" {:>7} {:>6}", "-", "-"),
    });
    columns.collect()
}

/// The rows of one cell.
pub fn cell(cell: &Cell, measured: &[Measured]) {
    for (at, server) in measured.iter().enumerate() {
        println!(
            "{:<22} {:<22} {:>11.0} {:>5.1}{}  {:>9.0} {:>5.1}{}  {:>8.1} {:>8.1}  {:>4.2}/{:.2}",
            if at == 0 { cell.name() } else { String::new() },
            server.label,
            server.rate.median,
            percent(server.rate),
            shares(server, |shares| shares.rate),
            server.cpu_ns.median,
            percent(server.cpu_ns),
            shares(server, |shares| shares.cpu),
            server.median("p50_us"),
            server.median("p99_us"),
            server.median("server_busy"),
            server.median("client_busy"),
        );
    }
}

/// The best of tigereye's strategies in the cell above, and what it is measured by.
pub fn best(row: &Measured) {
    let side = |shares: &Shares| {
        let rate = shares.fastest.as_ref().map(|to| format!("{:.3} of {to}", shares.rate.median));
        let cpu = shares.cheapest.as_ref().map(|to| format!("{:.3} of {to}", shares.cpu.median));
        Some(format!("rate {}, CPU {}", rate?, cpu?))
    };
    let sides: Vec<_> = row.shares.iter().filter_map(side).collect();
    println!("{:<22} best of tigereye: {} ({})", "", row.label, sides.join("; "));
}

/// The head of the table of memory.
pub fn idle_head(connections: u32) {
    println!(
        "\nUser-space memory at {connections} idle connections\n\
         {:<22} {:>13} {:>14} {:>14} {:>22}",
        "server", "KiB without", "KiB with all", "bytes each", "bytes for a further one"
    );
}

/// One server's memory.
pub fn idle(memory: &Memory) {
    println!(
        "{:<22} {:>13} {:>14} {:>14.0} {:>22.0}",
        memory.label,
        memory.empty / 1024,
        memory.full / 1024,
        memory.each,
        memory.further
    );
}

/// One server's memory beside another's.
pub fn over(over: &Over) {
    println!(
        "{:<18} {:+.0} bytes each over {:?}: {} ({MEMORY_OVER_MAX} may be)",
        over.label,
        over.bytes,
        over.than,
        if over.missed() { "missed" } else { "reached" }
    );
}

/// The table of latencies at one rate.
pub fn latency(cell: &Cell, measured: &[Measured]) {
    println!(
        "\nLatency in µs, from the time at which a message was to be sent: {}\n\
         {:<24} {:>9} {:>9} {:>15} {:>9} {:>9} {:>10} {:>14}",
        cell.name(),
        "server",
        "p50",
        "p99",
        "quartiles",
        "p99.9",
        "max",
        "CPU ns/m",
        "sent late p99.9"
    );
    for server in measured {
        let [p50, p999, max, late] =
            ["p50_us", "p999_us", "max_us", "late_p999_us"].map(|name| server.median(name));
        let (label, cpu, p99) = (&server.label, server.cpu_ns.median, server.spread("p99_us"));
        let (median, quartiles) = (p99.median, format!("{:.1}-{:.1}", p99.low, p99.high));
        println!(
            "{label:<24} {p50:>9.1} {median:>9.1} {quartiles:>15} {p999:>9.1} {max:>9.1} \
             {cpu:>10.0} {late:>14.1}"
        );
    }
}

/// The head of the table of system calls.
pub fn syscalls_head(counter: &str) {
    println!(
        "\nSystem calls per echo of 64 bytes, by {counter}\n{:<24} {:>11} {:>13}",
        "server", "connections", "calls/message"
    );
}

/// One server's system calls.
pub fn syscalls(counted: &super::syscalls::Counted) {
    println!("{:<24} {:>11} {:>13.3}", counted.label, counted.connections, counted.each);
}

/// The head of the table of instructions.
pub fn instructions_head(version: &str, mode: &str) {
    println!(
        "\nIn user space per message of 64 bytes ({mode}), by callgrind of {version}\n\
         {:<22} {:>11} {:>21} {:>20}",
        "server", "connections", "instructions/message", "allocations/message"
    );
}

/// One server's instructions.
pub fn instructions(counted: &Counted) {
    println!(
        "{:<22} {:>11} {:>21.1} {:>20.3}",
        counted.label, counted.connections, counted.each, counted.allocations
    );
}

/// The head of the table of binaries.
pub fn size_head() {
    println!(
        "\nThe smallest echo server: its binary, and a clean build\n{:<24} {:>10} {:>10} {:>8}",
        "library", "KiB", "seconds", "crates"
    );
}

/// One program's size.
pub fn size(sized: &super::size::Sized) {
    let (kib, seconds) = (sized.bytes as f64 / 1024.0, sized.seconds);
    println!("{:<24} {kib:>10.0} {seconds:>10.1} {:>8}", sized.label, sized.crates);
}

/// The small measurements.
pub fn micro(figures: &[Figure]) {
    println!(
        "\n{:<58} {:<30} {:>10} {:>6} {:>7} {:>6}",
        "figure", "by", "ns each", "±%", "ratio", "±%"
    );
    for figure in figures {
        for (at, way) in figure.ways.iter().enumerate() {
            let name = if at == 0 { &figure.name } else { "" };
            if let Some(reason) = &way.left_out {
                println!("{name:<58} {:<30} left out: {reason}", way.by);
                continue;
            }
            println!(
                "{name:<58} {:<30} {:>10.1} {:>6.1} {:>7.2} {:>6.1}",
                way.by,
                way.ns().median,
                percent(way.ns()),
                way.ratio.median,
                percent(way.ratio),
            );
        }
    }
}
