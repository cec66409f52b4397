//! Charts as SVG: panels of bars, the best on top, with the quartiles where rounds have been counted.
//!
//! ```text
//!   results (JSON) ──▶ Figure ─▶ Panel ─▶ Bar ──▶ SVG text ──▶ FOLDER/NAME.svg
//! ```
//!
//! Colours are of classes, which a reader's dark mode changes (`prefers-color-scheme`); nothing is
//! drawn behind them.

use super::report::{self, Side, cells, of_rounds, rows, short, spread, text};
use super::stats::Spread;
use serde_json::Value;
use std::fmt::Write;
use std::io;
use std::path::{Path, PathBuf};

const STYLE: &str = "\
text { font: 12px system-ui, sans-serif; fill: #1f2328 }
.title { font-weight: 600; font-size: 13px }
.note { fill: #59636e; font-size: 11px }
.ours { fill: #0969da } .hand { fill: #6e7781 } .other { fill: #afb8c1 }
.range { stroke: #1f2328 }
@media (prefers-color-scheme: dark) {
text { fill: #f0f6fc } .note { fill: #9198a1 }
.ours { fill: #4493f8 } .hand { fill: #9198a1 } .other { fill: #4d555e }
.range { stroke: #f0f6fc }
}";

/// Sizes in pixels.
const PANEL: f64 = 470.0;
const LABEL: f64 = 176.0;
const BAR: f64 = 200.0;
const ROW: f64 = 18.0;
const HEAD: f64 = 44.0;
const GAP: f64 = 16.0;
const COLUMNS: usize = 2;
const LEGEND: &str =
    "blue: tigereye; dark: by hand; light: others; a line: the quartiles of the rounds";

/// A bar.
struct Bar {
    label: String,
    value: Spread,
}

/// Bars of one figure.
struct Panel {
    title: String,
    note: &'static str,
    /// The largest is the best.
    more_is_better: bool,
    bars: Vec<Bar>,
}

/// A file.
struct Figure {
    name: &'static str,
    title: &'static str,
    panels: Vec<Panel>,
}

impl Panel {
    fn new(title: &str, note: &'static str, more_is_better: bool) -> Self {
        Self { title: title.to_owned(), note, more_is_better, bars: Vec::new() }
    }

    fn with(mut self, bars: impl Iterator<Item = (String, Option<Spread>)>) -> Self {
        let bars = bars.filter_map(|(label, value)| Some(Bar { label, value: value? }));
        self.bars = bars.filter(|bar| bar.value.median.is_finite()).collect();
        self.bars.sort_by(|a, b| {
            let order = a.value.median.total_cmp(&b.value.median);
            if self.more_is_better { order.reverse() } else { order }
        });
        self
    }

    fn height(&self) -> f64 {
        HEAD + ROW * self.bars.len() as f64 + GAP
    }

    fn draw(&self, x: f64, y: f64, out: &mut String) -> std::fmt::Result {
        let (title, note) = (escape(&self.title), self.note);
        writeln!(out, r#"<text class="title" x="{x:.0}" y="{:.0}">{title}</text>"#, y + 14.0)?;
        writeln!(out, r#"<text class="note" x="{x:.0}" y="{:.0}">{note}</text>"#, y + 30.0)?;
        let most = self.bars.iter().map(|bar| bar.value.high).fold(0.0, f64::max);
        let scale = |value: f64| if most > 0.0 { value / most * BAR } else { 0.0 };
        for (at, bar) in self.bars.iter().enumerate() {
            let (top, left) = (y + HEAD + ROW * at as f64, x + LABEL);
            let middle = top + ROW / 2.0;
            let class = match report::side(&bar.label) {
                Side::Ours => "ours",
                Side::Hand => "hand",
                Side::Other => "other",
            };
            let Spread { low, median, high } = bar.value;
            writeln!(
                out,
                r#"<text x="{:.0}" y="{:.1}" text-anchor="end">{}</text>"#,
                left - 6.0,
                middle + 4.0,
                escape(&bar.label)
            )?;
            writeln!(
                out,
                r#"<rect class="{class}" x="{left:.0}" y="{:.1}" width="{:.1}" height="{:.0}"/>"#,
                top + 2.0,
                scale(median).max(1.0),
                ROW - 4.0
            )?;
            if high > low {
                let (from, to) = (left + scale(low), left + scale(high));
                writeln!(out, r#"<path class="range" d="M{from:.1} {middle:.1}H{to:.1}"/>"#)?;
            }
            writeln!(
                out,
                r#"<text class="note" x="{:.1}" y="{:.1}">{}</text>"#,
                left + scale(high) + 5.0,
                middle + 4.0,
                short(median)
            )?;
        }
        Ok(())
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

impl Figure {
    /// The whole file; nothing, if there is nothing to be drawn.
    fn svg(mut self) -> Option<String> {
        self.panels.retain(|panel| !panel.bars.is_empty());
        let mut body = String::new();
        let mut y = 0.0;
        for line in self.panels.chunks(COLUMNS) {
            for (column, panel) in line.iter().enumerate() {
                panel.draw(PANEL * column as f64, y, &mut body).ok()?;
            }
            y += line.iter().map(Panel::height).fold(0.0, f64::max);
        }
        let legend = LEGEND;
        writeln!(body, r#"<text class="note" x="0" y="{:.0}">{legend}</text>"#, y + 2.0).ok()?;
        y += GAP;
        let width = PANEL * self.panels.len().min(COLUMNS) as f64;
        (!self.panels.is_empty()).then(|| {
            format!(
                "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" \
                 height=\"{y:.0}\" viewBox=\"0 0 {width:.0} {y:.0}\" role=\"img\">\n\
                 <title>{}</title>\n<style>\n{STYLE}\n</style>\n{body}</svg>\n",
                escape(self.title)
            )
        })
    }
}

fn labelled(
    rows: &[Value],
    name: &str,
    value: impl Fn(&Value) -> Option<Spread>,
) -> impl Iterator<Item = (String, Option<Spread>)> {
    rows.iter().map(move |row| (text(row, name).to_owned(), value(row)))
}

/// A single number, which has no spread.
fn alone(value: &Value) -> Option<Spread> {
    value.as_f64().map(|value| Spread { low: value, median: value, high: value })
}

/// Cells that stand for the others.
const SHOWN: &[&str] = &[
    "echo 64 B ×64 p1",
    "echo 64 B ×64 p16",
    "echo 16 KiB ×64 p1",
    "echo 64 B ×10000 p1",
    "http /hello ×64 p1",
    "udp 64 B ×128 p1",
];

fn of_cells(results: &Value, figure: &'static str, note: &'static str, more: bool) -> Vec<Panel> {
    let shown = SHOWN
        .iter()
        .filter_map(|name| cells(results, name).find(|cell| text(cell, "cell") == *name));
    let panel = |cell: &Value| {
        let bars = labelled(rows(cell, "servers"), "server", |row| spread(&row[figure]));
        Panel::new(text(cell, "cell"), note, more).with(bars)
    };
    shown.map(panel).collect()
}

fn of_latency(results: &Value) -> Vec<Panel> {
    let latency = &results["latency"];
    let panel = |(share, field): (&str, &'static str)| {
        let title = format!("{share}, {}", text(latency, "cell"));
        let bars = labelled(rows(latency, "servers"), "server", |row| of_rounds(row, field));
        Panel::new(&title, "µs from the intended time of sending; less is better", false).with(bars)
    };
    [("p50", "p50_us"), ("p99", "p99_us"), ("p99.9", "p999_us")].map(panel).into()
}

/// Of what was counted at 64 connections.
fn counted(results: &Value, part: &str, title: &str, figure: &'static str) -> Panel {
    let at = |row: &&Value| row["connections"].as_u64() == Some(64);
    let rows = rows(results, part).iter().filter(at);
    let bars = rows.map(|row| (text(row, "server").to_owned(), alone(&row[figure])));
    Panel::new(title, "64-byte echo, 64 connections; less is better", false).with(bars)
}

fn of_costs(results: &Value) -> Vec<Panel> {
    let each = |row: &Value| alone(&row["bytes_per_connection"]);
    let idle = labelled(rows(results, "idle"), "server", each);
    vec![
        Panel::new("memory of an idle connection", "bytes in user space; less is better", false)
            .with(idle),
        counted(results, "syscalls", "system calls per message", "calls_per_message"),
        counted(results, "instructions", "instructions per message", "instructions_per_message"),
    ]
}

fn of_small_things(results: &Value) -> Vec<Panel> {
    let is_shown = |name: &str| name.starts_with("timers:") || name.starts_with("wake: loop");
    let shown = rows(results, "micro").iter().filter(|row| is_shown(text(row, "figure")));
    let panel = |row: &Value| {
        let bars = labelled(rows(row, "ways"), "by", |way| spread(&way["ns"]));
        Panel::new(text(row, "figure"), "ns each; less is better", false).with(bars)
    };
    let mut panels: Vec<Panel> = shown.map(panel).collect();
    let size = rows(results, "size");
    for (title, note, figure) in [
        ("binary of the smallest echo server", "bytes; less is better", "binary_bytes"),
        ("its clean build", "seconds; less is better", "clean_build_seconds"),
    ] {
        let bars = labelled(size, "library", |row| alone(&row[figure]));
        panels.push(Panel::new(title, note, false).with(bars));
    }
    panels
}

fn of_files(results: &Value) -> Vec<Panel> {
    let panel = |row: &Value| {
        let bars = labelled(rows(row, "ways"), "by", |way| spread(&way["ns"]));
        Panel::new(text(row, "figure"), "ns each; less is better", false).with(bars)
    };
    rows(results, "storage").iter().map(panel).collect()
}

fn figures(results: &Value) -> [Figure; 6] {
    let more = "messages per second; more is better";
    let less = "CPU time of the server per message, ns; less is better";
    let rates = of_cells(results, "messages_per_s", more, true);
    let costs = of_cells(results, "server_cpu_ns_per_message", less, false);
    [
        Figure { name: "throughput", title: "Messages per second", panels: rates },
        Figure { name: "cpu", title: "CPU time per message", panels: costs },
        Figure { name: "latency", title: "Latency", panels: of_latency(results) },
        Figure { name: "costs", title: "Memory, calls, instructions", panels: of_costs(results) },
        Figure { name: "small", title: "Small things", panels: of_small_things(results) },
        Figure { name: "files", title: "Files", panels: of_files(results) },
    ]
}

/// What a figure shows, if there is something to show.
#[must_use]
pub fn title(results: &Value, name: &str) -> Option<&'static str> {
    let figure = figures(results).into_iter().find(|figure| figure.name == name)?;
    figure.panels.iter().any(|panel| !panel.bars.is_empty()).then_some(figure.title)
}

/// Draws all that there are results of, and gives the files.
pub fn all(results: &Value, folder: &Path) -> io::Result<Vec<PathBuf>> {
    std::fs::create_dir_all(folder)?;
    let mut files = Vec::new();
    for figure in figures(results) {
        let path = folder.join(figure.name).with_extension("svg");
        if let Some(svg) = figure.svg() {
            std::fs::write(&path, svg)?;
            files.push(path);
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn draws_what_is_there() {
        let rate =
            |median: f64| json!({"low": median - 1.0, "median": median, "high": median + 1.0});
        let server =
            |name: &str, median: f64| json!({"server": name, "messages_per_s": rate(median)});
        let servers = [server("mio", 5.0), server("tigereye <x>", 9.0)];
        let results = json!({"cells": [{"cell": "echo 64 B ×64 p1", "servers": servers}]});
        let svgs: Vec<String> = figures(&results).into_iter().filter_map(Figure::svg).collect();
        assert_eq!(title(&results, "throughput"), Some("Messages per second"));
        assert_eq!(title(&results, "latency"), None);
        assert_eq!(svgs.len(), 1, "of what was not measured nothing is drawn");
        let (ours, other) = (svgs[0].find("tigereye &lt;x&gt;"), svgs[0].find("mio"));
        assert!(ours.is_some() && ours < other, "the best is on top: {}", svgs[0]);
        assert_eq!(svgs[0].matches("class=\"range\"").count(), 2);
    }
}
