//! Which cells miss what is to be reached.

use super::cell::Measured;
use super::program::Family;
use serde_json::{Value, json};

/// Least share of the better hand-written loop's rate.
const RATE_MIN: f64 = 0.97;
/// Greatest share of the cheaper one's CPU time.
const CPU_MAX: f64 = 1.05;
/// The row that stands for the best strategy of each cell.
const BEST: &str = "tigereye, best per cell";

/// One row of one cell.
#[derive(Clone)]
pub struct Judged {
    cell: String,
    row: String,
    rate: (f64, f64),
    cpu: (f64, f64),
}

/// All rows of tigereye, cell by cell.
#[derive(Default)]
pub struct Verdict(Vec<Judged>);

impl Judged {
    fn of(cell: &str, row: &str, measured: &Measured) -> Self {
        let pair = |spread: super::stats::Spread| (spread.median, spread.relative());
        let (rate, cpu) = (pair(measured.rate_ratio), pair(measured.cpu_ratio));
        Self { cell: cell.to_owned(), row: row.to_owned(), rate, cpu }
    }

    fn misses(&self) -> bool {
        self.rate.0 < RATE_MIN || self.cpu.0 > CPU_MAX
    }

    /// How far it is on the right side of both marks; under 1, on the wrong side of one.
    fn slack(measured: &Measured) -> f64 {
        (measured.rate_ratio.median / RATE_MIN).min(CPU_MAX / measured.cpu_ratio.median)
    }
}

/// The strategy of tigereye that does best in a cell, if there are several.
#[must_use]
pub fn best(measured: &[Measured]) -> Option<&Measured> {
    let rows = || measured.iter().filter(|row| row.family == Family::Tigereye);
    let best = rows().max_by(|a, b| Judged::slack(a).total_cmp(&Judged::slack(b)));
    best.filter(|_| rows().count() > 1)
}

impl Verdict {
    /// Takes the rows of a cell.
    pub fn add(&mut self, cell: &str, measured: &[Measured]) {
        let judged = measured.iter().filter(|row| row.family != Family::HandWritten);
        self.0.extend(judged.map(|row| Judged::of(cell, &row.label, row)));
        self.0.extend(best(measured).map(|row| Judged::of(cell, BEST, row)));
    }

    fn rows(&self) -> Vec<&str> {
        let mut rows: Vec<&str> = Vec::new();
        for judged in &self.0 {
            if !rows.contains(&judged.row.as_str()) {
                rows.push(&judged.row);
            }
        }
        rows
    }

    /// Prints a list per row.
    pub fn print(&self) {
        println!(
            "\nCells with a rate under {RATE_MIN} or CPU time over {CPU_MAX} of the better \
             hand-written loop (median ±spread):"
        );
        for row in self.rows() {
            let of_row = || self.0.iter().filter(|judged| judged.row == row);
            let misses: Vec<_> = of_row().filter(|judged| judged.misses()).collect();
            println!("  {row}: {} of {}", misses.len(), of_row().count());
            for judged in misses {
                let side =
                    |(median, spread): (f64, f64)| format!("{median:.3} ±{:.1}%", spread * 100.0);
                let (cell, rate, cpu) = (&judged.cell, side(judged.rate), side(judged.cpu));
                println!("    {cell:<22} rate {rate:<14} CPU {cpu}");
            }
        }
    }

    /// The misses, for the results file.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let miss = |judged: &Judged| {
            json!({
                "cell": judged.cell,
                "server": judged.row,
                "rate_ratio": judged.rate.0,
                "cpu_ratio": judged.cpu.0,
            })
        };
        self.0.iter().filter(|judged| judged.misses()).map(miss).collect()
    }
}
