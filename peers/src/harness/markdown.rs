//! Results as tables of Markdown, put where a page has a place for them:
//!
//! ```text
//! <!-- table: latency -->
//! whatever was here before
//! <!-- end of table -->
//! ```
//!
//! A table of what was not measured stays as it is. `figure figures/latency.svg` stands for a figure
//! of `draw.rs`, by its path from the page: a page shows none before it is drawn.

use super::report::{cells, of_rounds, rows, short, spread, text};
use super::stats::Spread;
use super::{draw, verdict};
use serde_json::Value;
use std::ffi::OsStr;
use std::io;
use std::path::Path;

const BEGIN: &str = "<!-- table: ";
const END: &str = "<!-- end of table -->";

/// Rows of cells; the first row is the head.
struct Table(Vec<Vec<String>>);

impl Table {
    fn text(&self) -> Option<String> {
        let (head, body) = self.0.split_first()?;
        if body.is_empty() || head.len() < 2 {
            return None;
        }
        let line = |cells: &Vec<String>| format!("| {} |\n", cells.join(" | "));
        let rule = format!("|{}\n", "---|".repeat(head.len()));
        Some([line(head), rule, body.iter().map(line).collect()].concat())
    }
}

/// Its rows as columns.
fn turned(Table(lines): Table) -> Table {
    let columns = lines.first().map_or(0, Vec::len);
    let column = |at: usize| lines.iter().filter_map(|line| line.get(at).cloned()).collect();
    Table((0..columns).map(column).collect())
}

fn strings<const N: usize>(cells: [&str; N]) -> Vec<String> {
    cells.map(str::to_owned).into()
}

fn or_dash(value: Option<String>) -> String {
    value.unwrap_or_else(|| "–".to_owned())
}

/// The labels in all of these lists, in the order in which they come first.
fn labels<'v>(lists: impl Iterator<Item = &'v [Value]>, name: &str) -> Vec<&'v str> {
    let mut labels: Vec<&str> = Vec::new();
    for row in lists.flatten() {
        let label = text(row, name);
        if !labels.contains(&label) {
            labels.push(label);
        }
    }
    labels
}

fn find<'v>(rows: &'v [Value], name: &str, label: &str) -> Option<&'v Value> {
    rows.iter().find(|row| text(row, name) == label)
}

/// What a cell is called below a heading that says how its name begins.
fn title(cell: &Value, start: &str) -> String {
    text(cell, "cell").trim_start_matches(start).trim().to_owned()
}

/// Rate and CPU time of each server as shares of the better hand-written loop's, a column a cell,
/// and under them what that is.
fn of_cells(cells: &[&Value], start: &str) -> Table {
    let mut head = strings(["rate, CPU time"]);
    head.extend(cells.iter().map(|cell| title(cell, start)));
    let mut table = vec![head];
    for label in labels(cells.iter().map(|cell| rows(cell, "servers")), "server") {
        let mut line = strings([label]);
        for cell in cells {
            let side = |row: &Value| {
                let shares = &row["shares"][0];
                let (rate, cpu) = (spread(&shares["rate"])?, spread(&shares["cpu"])?);
                Some(format!("{:.2}, {:.2}", rate.median, cpu.median))
            };
            line.push(or_dash(find(rows(cell, "servers"), "server", label).and_then(side)));
        }
        table.push(line);
    }
    let mut unit = strings(["1.00 is"]);
    unit.extend(cells.iter().map(|cell| or_dash(unit_of(cell))));
    table.push(unit);
    Table(table)
}

/// What the shares of a cell are of.
fn unit_of(cell: &Value) -> Option<String> {
    let servers = rows(cell, "servers");
    let shares = &servers.first()?["shares"][0];
    let median = |name: &str, figure: &str| {
        let row = find(servers, "server", text(shares, name))?;
        Some(short(spread(&row[figure])?.median))
    };
    let rate = median("fastest", "messages_per_s")?;
    Some(format!("{rate}/s, {} ns", median("cheapest", "server_cpu_ns_per_message")?))
}

/// The slowest hundredth of the answers in the same cells, in milliseconds: a row a server.
fn slowest(results: &Value, start: &str) -> Table {
    let cells: Vec<&Value> = cells(results, start).collect();
    let mut head = strings(["p99, ms"]);
    head.extend(cells.iter().map(|cell| title(cell, start)));
    let mut table = vec![head];
    for label in labels(cells.iter().map(|cell| rows(cell, "servers")), "server") {
        let of = |cell: &&Value| {
            let row = find(rows(cell, "servers"), "server", label)?;
            of_rounds(row, "p99_us").map(|us| short(us.median / 1000.0))
        };
        let mut line = strings([label]);
        line.extend(cells.iter().map(|cell| or_dash(of(cell))));
        table.push(line);
    }
    Table(table)
}

fn part(results: &Value, start: &str) -> Table {
    of_cells(&cells(results, start).collect::<Vec<_>>(), start)
}

/// The cells of the README.
fn summary(results: &Value) -> Table {
    let names =
        ["echo 64 B ×64 p1", "echo 64 B ×64 p16", "echo 16 KiB ×64 p1", "http /hello ×64 p1"];
    let named =
        |name: &&str| rows(results, "cells").iter().find(|cell| text(cell, "cell") == *name);
    of_cells(&names.iter().filter_map(named).collect::<Vec<_>>(), "")
}

fn latency(results: &Value) -> Table {
    let latency = &results["latency"];
    let cell = text(latency, "cell");
    let mut table = vec![strings([cell, "p50, µs", "p99, µs", "p99.9, µs", "CPU, ns a message"])];
    for row in rows(latency, "servers") {
        let of = |name: &str| {
            let shown = |own: Spread| {
                format!("{} ({} to {})", short(own.median), short(own.low), short(own.high))
            };
            or_dash(of_rounds(row, name).map(shown))
        };
        let cpu = of_rounds(row, "server_cpu_ns_per_message").map(|spread| short(spread.median));
        let label = text(row, "server");
        let [p50, p99, p999] = ["p50_us", "p99_us", "p999_us"].map(of);
        table.push(strings([label, &p50, &p99, &p999, &or_dash(cpu)]));
    }
    Table(table)
}

/// Memory, calls and instructions, a row a server.
fn costs(results: &Value) -> Table {
    let mut table = vec![strings([
        "",
        "bytes an idle connection",
        "system calls, ×1",
        "×64",
        "instructions, ×1",
        "×64",
        "allocations, ×1",
        "×64",
    ])];
    let parts = ["idle", "syscalls", "instructions"].map(|part| rows(results, part));
    for label in labels(parts.into_iter(), "server") {
        let idle = find(parts[0], "server", label);
        let idle = idle.and_then(|row| row["bytes_per_connection"].as_f64()).map(short);
        let counted = |part: &[Value], name: &str, connections: u64| {
            let is_it = |row: &&Value| {
                text(row, "server") == label && row["connections"].as_u64() == Some(connections)
            };
            or_dash(part.iter().find(is_it).and_then(|row| row[name].as_f64()).map(short))
        };
        let calls = |connections| counted(parts[1], "calls_per_message", connections);
        let instructions = |at| counted(parts[2], "instructions_per_message", at);
        let allocations = |at| counted(parts[2], "allocations_per_message", at);
        let (calls, instructions, allocations) = (
            [calls(1), calls(64)],
            [instructions(1), instructions(64)],
            [allocations(1), allocations(64)],
        );
        let mut line = strings([label, &or_dash(idle)]);
        line.extend([calls, instructions, allocations].into_iter().flatten());
        table.push(line);
    }
    Table(table)
}

/// Figures of small measurements whose names begin like this, a row for each that has been measured.
fn small(results: &Value, start: &[&str]) -> Table {
    let figures: Vec<&Value> = rows(results, "micro")
        .iter()
        .filter(|row| start.iter().any(|start| text(row, "figure").starts_with(start)))
        .collect();
    ways(&figures, |way| spread(&way["ns"]).map(|ns| format!("{} ns", short(ns.median))))
}

/// A row a program, for there are more of these than of figures.
fn storage(results: &Value) -> Table {
    let figures: Vec<&Value> = rows(results, "storage").iter().collect();
    let mut table = ways(&figures, |way| {
        if let Some(reason) = way["left_out"].as_str() {
            return Some(reason.to_owned());
        }
        let (ns, ratio) = (spread(&way["ns"])?, spread(&way["ratio"])?);
        Some(format!("{} ns, {:.2}", short(ns.median), ratio.median))
    });
    for name in table.0.iter_mut().filter_map(|line| line.first_mut()) {
        *name = name.trim_start_matches("file: 4 KiB ").trim_end_matches(" (wall)").to_owned();
    }
    turned(table)
}

fn ways(figures: &[&Value], show: impl Fn(&Value) -> Option<String>) -> Table {
    let columns = labels(figures.iter().map(|figure| rows(figure, "ways")), "by");
    let mut head = strings([""]);
    head.extend(columns.iter().map(|by| (*by).to_owned()));
    let mut table = vec![head];
    for figure in figures {
        let mut line = strings([text(figure, "figure")]);
        let of = |by: &&str| or_dash(find(rows(figure, "ways"), "by", by).and_then(&show));
        line.extend(columns.iter().map(of));
        table.push(line);
    }
    Table(table)
}

fn size(results: &Value) -> Table {
    let mut table = vec![strings(["", "binary, KiB", "clean build, s", "crates"])];
    for row in rows(results, "size") {
        let number = |name: &str, unit: f64| row[name].as_f64().map(|value| value / unit);
        let (kib, seconds) = (number("binary_bytes", 1024.0), number("clean_build_seconds", 1.0));
        let kib = or_dash(kib.map(|kib| format!("{kib:.0}")));
        let seconds = or_dash(seconds.map(|seconds| format!("{seconds:.1}")));
        let crates = or_dash(number("crates", 1.0).map(|crates| format!("{crates:.0}")));
        table.push(strings([text(row, "library"), &kib, &seconds, &crates]));
    }
    Table(table)
}

/// On what, with which versions; a row each.
fn machine(results: &Value) -> Table {
    let mut table = vec![strings(["measured on", ""])];
    for (name, value) in results["machine"].as_object().into_iter().flatten() {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        table.push(strings([name, &value]));
    }
    for row in rows(results, "missing") {
        table.push(strings([text(row, "program"), text(row, "reason")]));
    }
    let spreads = rows(results, "cells").iter().flat_map(|cell| rows(cell, "servers"));
    let spreads = spreads.filter_map(|row| spread(&row["messages_per_s"]));
    let spreads = Spread::of(spreads.map(|spread| spread.relative() * 100.0));
    let said =
        format!("{:.1} % (quartiles {:.1} to {:.1})", spreads.median, spreads.low, spreads.high);
    table.push(strings(["spread of a rate, median of all", &said]));
    Table(table)
}

/// The table of this name, of which there may be no results.
fn table(results: &Value, name: &str) -> io::Result<Option<String>> {
    if let Some(path) = name.strip_prefix("figure ") {
        let stem = Path::new(path).file_stem().and_then(OsStr::to_str).unwrap_or_default();
        return Ok(draw::title(results, stem).map(|title| format!("![{title}]({path})\n")));
    }
    let table = match name {
        "machine" => machine(results),
        "summary" => summary(results),
        "echo 64 B" | "echo 16 KiB" | "http" | "wrk" | "file" | "udp" | "accept" => {
            part(results, name)
        }
        "slowest 64 B" => slowest(results, "echo 64 B"),
        "slowest 16 KiB" => slowest(results, "echo 16 KiB"),
        "marks by hand" => Table(verdict::table(&results["marks"][0])),
        "marks of libraries" => Table(verdict::table(&results["marks"][1])),
        "latency" => latency(results),
        "costs" => costs(results),
        "timers and wakes" => turned(small(results, &["timers:", "wake: loop"])),
        "small" => small(results, &["timer:", "next:", "ring:", "wake: there", "post:"]),
        "storage" => storage(results),
        "size" => size(results),
        _ => return Err(io::Error::other(format!("a page asks for the table {name:?}"))),
    };
    Ok(table.text())
}

/// A page with its tables written anew.
pub fn rewrite(page: &str, results: &Value) -> io::Result<String> {
    let (mut written, mut rest) = (String::new(), page);
    while let Some((before, after)) = rest.split_once(BEGIN) {
        let whole = after.split_once(" -->\n").and_then(|(name, after)| {
            let (old, after) = after.split_once(END)?;
            Some((name, old, after))
        });
        let Some((name, old, after)) = whole else {
            return Err(io::Error::other("a page has a table without its end"));
        };
        let table = table(results, name)?.unwrap_or_else(|| old.to_owned());
        written.extend([before, BEGIN, name, " -->\n", &table, END]);
        rest = after;
    }
    written.push_str(rest);
    Ok(written)
}

/// Writes the tables of a page anew.
pub fn write(path: &Path, results: &Value) -> io::Result<()> {
    let page = std::fs::read_to_string(path)?;
    std::fs::write(path, rewrite(&page, results)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_has_no_figure_says_why() {
        let five = json!({"low": 5.0, "median": 5.0, "high": 5.0});
        let measured = json!({"by": "a", "ns": five, "ratio": five});
        let ways = [measured, json!({"by": "b", "left_out": "no disk"})];
        let results = json!({"storage": [{"figure": "file: 4 KiB reads (wall)", "ways": ways}]});
        let wanted = "|  | reads |\n|---|---|\n| a | 5.00 ns, 5.00 |\n| b | no disk |\n";
        assert_eq!(storage(&results).text().as_deref(), Some(wanted));
    }

    #[test]
    fn tables_are_replaced() {
        let results = json!({"size": [{"library": "mio", "binary_bytes": 2048,
            "clean_build_seconds": 1.5, "crates": 3}]});
        let page = "a\n<!-- table: size -->\nold\n<!-- end of table -->\nb\n\
                    <!-- table: latency -->\nkept\n<!-- end of table -->\nc\n";
        let wanted = "a\n<!-- table: size -->\n|  | binary, KiB | clean build, s | crates |\n\
                      |---|---|---|---|\n| mio | 2 | 1.5 | 3 |\n<!-- end of table -->\nb\n\
                      <!-- table: latency -->\nkept\n<!-- end of table -->\nc\n";
        assert_eq!(rewrite(page, &results).expect("it is whole"), wanted);
        assert_eq!(rewrite(wanted, &results).expect("it is whole"), wanted, "and again");
        assert!(rewrite("<!-- table: size -->\n", &results).is_err(), "an end is wanted");
        assert!(rewrite("<!-- table: x -->\n<!-- end of table -->", &results).is_err());
    }
}
