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
        "\n{:<22} {:<18} {:>11} {:>5}{shares}  {:>9} {:>5}{shares}  {:>8} {:>8}  {:>9}",
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
            "{:<22} {:<18} {:>11.0} {:>5.1}{}  {:>9.0} {:>5.1}{}  {:>8.1} {:>8.1}  {:>4.2}/{:.2}",
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
         {:<18} {:>13} {:>14} {:>14} {:>22}",
        "server", "KiB without", "KiB with all", "bytes each", "bytes for a further one"
    );
}

/// One server's memory.
pub fn idle(memory: &Memory) {
    println!(
        "{:<18} {:>13} {:>14} {:>14.0} {:>22.0}",
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

/// The head of the table of instructions.
pub fn instructions_head(version: &str) {
    println!(
        "\nUser-space instructions per echo of 64 bytes, by callgrind of {version}\n\
         {:<18} {:>11} {:>21}",
        "server", "connections", "instructions/message"
    );
}

/// One server's instructions.
pub fn instructions(counted: &Counted) {
    println!("{:<18} {:>11} {:>21.1}", counted.label, counted.connections, counted.each);
}

/// The small measurements.
pub fn micro(figures: &[Figure]) {
    println!(
        "\n{:<44} {:<30} {:>10} {:>6} {:>7} {:>6}",
        "figure", "by", "ns each", "±%", "ratio", "±%"
    );
    for figure in figures {
        for (at, way) in figure.ways.iter().enumerate() {
            println!(
                "{:<44} {:<30} {:>10.1} {:>6.1} {:>7.2} {:>6.1}",
                if at == 0 { &figure.name } else { "" },
                way.by,
                way.ns().median,
                percent(way.ns()),
                way.ratio.median,
                percent(way.ratio),
            );
        }
    }
}
