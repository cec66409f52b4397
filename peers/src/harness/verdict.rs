//! Which cells miss what is to be reached.

use super::cell::{Measured, Shares};
use super::contest::Yardstick;
use super::program::Family;
use serde_json::{Value, json};

/// The row that stands for the best strategy of each cell.
const BEST: &str = "tigereye, best per cell";

/// Median and relative spread.
type Side = (f64, f64);

/// One row of one cell beside one yardstick.
struct Judged {
    cell: String,
    row: String,
    rate: Side,
    cpu: Side,
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
    fn add(&mut self, cell: &str, row: &str, shares: &Shares) {
        if shares.fastest.is_none() {
            return;
        }
        let side = |spread: super::stats::Spread| (spread.median, spread.relative());
        let (rate, cpu) = (side(shares.rate), side(shares.cpu));
        self.judged.push(Judged { cell: cell.to_owned(), row: row.to_owned(), rate, cpu });
    }

    fn misses(&self) -> impl Iterator<Item = &Judged> {
        self.judged.iter().filter(|judged| self.yardstick.missed(judged.rate.0, judged.cpu.0))
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
                let side = |(median, spread): Side| format!("{median:.3} ±{:.1}%", spread * 100.0);
                let (cell, rate, cpu) = (&judged.cell, side(judged.rate), side(judged.cpu));
                println!("    {cell:<22} rate {rate:<14} CPU {cpu}");
            }
        }
    }

    fn to_json(&self) -> impl Iterator<Item = Value> {
        self.misses().map(|judged| {
            json!({
                "cell": judged.cell,
                "server": judged.row,
                "of": self.yardstick.name,
                "rate": judged.rate.0,
                "cpu": judged.cpu.0,
            })
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
            for (marks, shares) in self.0.iter_mut().zip(&row.shares) {
                marks.add(cell, label, shares);
            }
        }
    }

    /// Prints a list per yardstick and row.
    pub fn print(&self) {
        self.0.iter().for_each(Marks::print);
    }

    /// The misses, for the results file.
    #[must_use]
    pub fn to_json(&self) -> Value {
        self.0.iter().flat_map(Marks::to_json).collect()
    }
}
