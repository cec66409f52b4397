//! Which cells miss what is to be reached, and the same as tables of a page.

use super::cell::{Measured, Shares};
use super::contest::Yardstick;
use super::program::Family;
use super::report::{rows, spread, text};
use super::stats::Spread;
use serde_json::{Value, json};

/// The row that stands for the best strategy of each cell.
const BEST: &str = "tigereye, best per cell";

/// One row of one cell beside one yardstick.
struct Judged {
    cell: String,
    row: String,
    is_ours: bool,
    rate: Spread,
    cpu: Spread,
}

/// All judged rows beside one yardstick, cell by cell.
struct Marks {
    yardstick: &'static Yardstick,
    judged: Vec<Judged>,
}

/// The same beside every yardstick.
pub struct Verdict(Vec<Marks>);

impl Yardstick {
    fn missed(&self, rate: f64, cpu: f64) -> bool {
        rate < self.rate_min || self.cpu_max.is_some_and(|max| cpu > max)
    }

    /// How far a row is on the right side of the marks; under 1, on the wrong side of one. Without
    /// anything to be measured by it is nowhere.
    fn slack(&self, shares: &Shares) -> f64 {
        if shares.fastest.is_none() {
            return f64::INFINITY;
        }
        let cpu = self.cpu_max.map_or(f64::INFINITY, |max| max / shares.cpu.median);
        (shares.rate.median / self.rate_min).min(cpu)
    }

    /// What it asks for.
    fn miss(&self) -> String {
        let cpu = self.cpu_max.map(|max| format!(" or CPU time over {max}")).unwrap_or_default();
        format!("a rate under {}{cpu} of {}", self.rate_min, self.name)
    }
}

/// The strategy of tigereye that does best in a cell, if any takes part.
#[must_use]
pub fn best<'m>(measured: &'m [Measured], yardsticks: &[Yardstick]) -> Option<&'m Measured> {
    let slack = |row: &Measured| {
        let slacks = yardsticks.iter().zip(&row.shares).map(|(own, shares)| own.slack(shares));
        slacks.fold(f64::INFINITY, f64::min)
    };
    let rows = measured.iter().filter(|row| row.family == Family::Tigereye);
    rows.max_by(|a, b| slack(a).total_cmp(&slack(b)))
}

impl Marks {
    fn add(&mut self, cell: &str, row: &str, is_ours: bool, shares: &Shares) {
        if shares.fastest.is_none() {
            return;
        }
        let (cell, row) = (cell.to_owned(), row.to_owned());
        self.judged.push(Judged { cell, row, is_ours, rate: shares.rate, cpu: shares.cpu });
    }

    fn misses(&self) -> impl Iterator<Item = &Judged> {
        let missed = |own: &&Judged| self.yardstick.missed(own.rate.median, own.cpu.median);
        self.judged.iter().filter(missed)
    }

    fn rows(&self) -> Vec<&str> {
        let mut rows: Vec<&str> = Vec::new();
        for judged in &self.judged {
            if !rows.contains(&judged.row.as_str()) {
                rows.push(&judged.row);
            }
        }
        rows
    }

    fn print(&self) {
        if self.judged.is_empty() {
            return;
        }
        println!("\nCells with {} (median ±spread):", self.yardstick.miss());
        for row in self.rows() {
            let misses: Vec<_> = self.misses().filter(|judged| judged.row == row).collect();
            let all = self.judged.iter().filter(|judged| judged.row == row).count();
            println!("  {row}: {} of {all}", misses.len());
            for judged in misses {
                let side =
                    |own: Spread| format!("{:.3} ±{:.1}%", own.median, own.relative() * 100.0);
                let (cell, rate, cpu) = (&judged.cell, side(judged.rate), side(judged.cpu));
                println!("    {cell:<22} rate {rate:<14} CPU {cpu}");
            }
        }
    }

    fn to_json(&self) -> Value {
        let judged = self.judged.iter().filter(|judged| judged.is_ours).map(|judged| {
            json!({
                "cell": judged.cell,
                "server": judged.row,
                "rate": judged.rate.to_json(),
                "cpu": judged.cpu.to_json(),
            })
        });
        json!({
            "of": self.yardstick.name,
            "rate_min": self.yardstick.rate_min,
            "cpu_max": self.yardstick.cpu_max,
            "judged": judged.collect::<Value>(),
        })
    }
}

impl Verdict {
    /// Nothing yet.
    #[must_use]
    pub fn by(yardsticks: &'static [Yardstick]) -> Self {
        let marks = |yardstick| Marks { yardstick, judged: Vec::new() };
        Self(yardsticks.iter().map(marks).collect())
    }

    /// Takes the rows of a cell; `best` is the best of tigereye's strategies.
    pub fn add(&mut self, cell: &str, measured: &[Measured], best: Option<&Measured>) {
        let judged = measured.iter().filter(|row| row.family.judged());
        let rows = judged.map(|row| (row.label.as_str(), row)).chain(best.map(|row| (BEST, row)));
        for (label, row) in rows {
            let is_ours = row.family == Family::Tigereye;
            for (marks, shares) in self.0.iter_mut().zip(&row.shares) {
                marks.add(cell, label, is_ours, shares);
            }
        }
    }

    /// Prints a list per yardstick and row.
    pub fn print(&self) {
        self.0.iter().for_each(Marks::print);
    }

    /// tigereye's rows in all cells, for the results file.
    #[must_use]
    pub fn to_json(&self) -> Value {
        self.0.iter().map(Marks::to_json).collect()
    }
}

/// How a figure stands to a mark.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Standing {
    Reached,
    /// Missed by the median, but not by all of the middle half of the rounds.
    WithinSpread,
    Missed,
}

/// What a cell of the table says of a row: how it stands, and the figures that miss.
fn standing(judged: &Value, rate_min: f64, cpu_max: Option<f64>) -> Option<(Standing, String)> {
    let (rate, cpu) = (spread(&judged["rate"])?, spread(&judged["cpu"])?);
    let stands = |missed: bool, all_miss: bool| match (missed, all_miss) {
        (false, _) => Standing::Reached,
        (true, false) => Standing::WithinSpread,
        (true, true) => Standing::Missed,
    };
    let cpu_max = cpu_max.unwrap_or(f64::INFINITY);
    let sides = [
        ("", rate, stands(rate.median < rate_min, rate.high < rate_min)),
        ("CPU ", cpu, stands(cpu.median > cpu_max, cpu.low > cpu_max)),
    ];
    let missing = sides.iter().filter(|(.., standing)| *standing != Standing::Reached);
    let said: Vec<String> = missing
        .map(|(name, own, standing)| {
            let said = format!("{name}{:.3} ±{:.1} %", own.median, own.relative() * 100.0);
            if *standing == Standing::Missed { said } else { format!("({said})") }
        })
        .collect();
    let worst = sides.iter().map(|(.., standing)| *standing).max()?;
    Some((worst, if said.is_empty() { "✓".to_owned() } else { said.join(", ") }))
}

/// The table of one yardstick, its rows cell by cell: what misses its marks and by how much, what only
/// within the spread in brackets; and how many cells of each row reach them.
#[must_use]
pub fn table(marks: &Value) -> Vec<Vec<String>> {
    let Some(rate_min) = marks["rate_min"].as_f64() else { return Vec::new() };
    let cpu_max = marks["cpu_max"].as_f64();
    let (mut cells, mut servers): (Vec<&str>, Vec<&str>) = (Vec::new(), Vec::new());
    for judged in rows(marks, "judged") {
        for (list, name) in [(&mut cells, "cell"), (&mut servers, "server")] {
            if !list.contains(&text(judged, name)) {
                list.push(text(judged, name));
            }
        }
    }
    // The best of them comes last in every cell that has it, and in the table.
    servers.sort_by_key(|server| *server == BEST);
    let cpu = cpu_max.map(|max| format!(", {max:.2} of its CPU")).unwrap_or_default();
    let mut head = vec![format!("{rate_min:.2} of {}{cpu}", text(marks, "of"))];
    head.extend(servers.iter().map(|server| (*server).to_owned()));
    let mut counts = vec![[0; 3]; servers.len()];
    let mut body = Vec::new();
    for cell in cells {
        let mut line = vec![cell.to_owned()];
        for (server, counts) in servers.iter().zip(&mut counts) {
            let is_it = |own: &&Value| text(own, "cell") == cell && text(own, "server") == *server;
            let found = rows(marks, "judged").iter().find(is_it);
            let found = found.and_then(|own| standing(own, rate_min, cpu_max));
            line.push(found.map_or_else(
                || "–".to_owned(),
                |(standing, said)| {
                    counts[standing as usize] += 1;
                    said
                },
            ));
        }
        body.push(line);
    }
    let mut reached = vec!["reached, within the spread, missed".to_owned()];
    reached.extend(counts.iter().map(|[all, close, missed]| format!("{all}, {close}, {missed}")));
    body.push(reached);
    body.insert(0, head);
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_says_what_misses_and_by_how_much() {
        let row = |cell: &str, server: &str, rate: [f64; 3], cpu: f64| {
            let all = |[low, median, high]: [f64; 3]| Spread { low, median, high }.to_json();
            json!({"cell": cell, "server": server, "rate": all(rate), "cpu": all([cpu; 3])})
        };
        let judged = [
            row("a", BEST, [0.9, 1.0, 1.1], 1.0),
            row("a", "tigereye", [0.9, 1.0, 1.1], 1.0),
            row("b", "tigereye", [0.91, 0.95, 0.99], 1.1),
        ];
        let marks = json!({"of": "x", "rate_min": 0.98, "cpu_max": 1.02, "judged": judged});
        let wanted = [
            ["0.98 of x, 1.02 of its CPU", "tigereye", BEST],
            ["a", "✓", "✓"],
            ["b", "(0.950 ±4.2 %), CPU 1.100 ±0.0 %", "–"],
            ["reached, within the spread, missed", "1, 0, 1", "1, 0, 0"],
        ];
        assert_eq!(table(&marks), wanted);
        assert!(table(&json!({})).is_empty(), "of what was not judged there is none");
    }
}
