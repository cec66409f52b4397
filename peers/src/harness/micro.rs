//! The small measurements: programs that print figures, run in turn, and compared by figure.

use super::program::{flags, lines};
use super::stats::Spread;
use crate::micro::SPINS;
use serde_json::{Value, json};
use std::io;

/// One way to do what a figure measures.
pub struct Way {
    /// By what: `tigereye` on a driver, a library, or hand-written means.
    pub by: String,
    /// Nanoseconds each, a round each.
    pub rounds: Vec<f64>,
    /// Why there are none, if that was said.
    pub left_out: Option<String>,
    /// The same as a share of the best way that is not tigereye's, in the same round.
    pub ratio: Spread,
}

/// One figure, with all ways that were measured.
pub struct Figure {
    /// What is measured.
    pub name: String,
    /// The ways, in the order in which they came.
    pub ways: Vec<Way>,
}

/// Runs a program to its end, and gives what it printed.
pub type Run<'r> = &'r dyn Fn() -> io::Result<Vec<Value>>;

/// Runs these programs and tigereye's on these drivers in turn, `rounds` times.
pub fn measure(
    rounds: u32,
    scale: f64,
    others: &[&str],
    drivers: &[String],
) -> io::Result<Vec<Figure>> {
    let flags = flags([("--scale", scale.to_string())]);
    let on = |driver: &String| [&flags[..], &["--driver".to_owned(), driver.clone()]].concat();
    let mut programs: Vec<_> = others.iter().map(|name| (*name, flags.clone())).collect();
    programs.extend(drivers.iter().map(|driver| ("micro_tigereye", on(driver))));
    let runs: Vec<_> =
        programs.iter().map(|(program, flags)| move || lines(program, flags)).collect();
    let runs: Vec<Run<'_>> = runs.iter().map(|run| run as Run<'_>).collect();
    in_turn(rounds, &runs)
}

/// Runs programs in turn, `rounds` times, and compares what they found.
pub fn in_turn(rounds: u32, runs: &[Run<'_>]) -> io::Result<Vec<Figure>> {
    let mut figures: Vec<Figure> = Vec::new();
    for round in 0..rounds as usize {
        for turn in 0..runs.len() {
            // Another one is first in every round.
            for line in runs[(round + turn) % runs.len()]()? {
                let text = |name: &str| line[name].as_str().unwrap_or("?").to_owned();
                let ns = line["ns"].as_f64().unwrap_or(f64::NAN);
                let way = way(&mut figures, &text("figure"), &text("by"));
                match line["left_out"].as_str() {
                    Some(reason) => way.left_out = Some(reason.to_owned()),
                    None => way.rounds.push(ns),
                }
            }
        }
    }
    for figure in &mut figures {
        figure.compare();
    }
    Ok(figures)
}

/// The way of a figure that has this name, made if it is new.
fn way<'f>(figures: &'f mut Vec<Figure>, name: &str, by: &str) -> &'f mut Way {
    let at = figures.iter().position(|figure| figure.name == name).unwrap_or_else(|| {
        figures.push(Figure { name: name.to_owned(), ways: Vec::new() });
        figures.len() - 1
    });
    let ways = &mut figures[at].ways;
    let at = ways.iter().position(|way| way.by == by).unwrap_or_else(|| {
        let (rounds, left_out, ratio) = (Vec::new(), None, Spread::default());
        ways.push(Way { by: by.to_owned(), rounds, left_out, ratio });
        ways.len() - 1
    });
    &mut ways[at]
}

impl Figure {
    fn compare(&mut self) {
        let measured = self.ways.iter().filter(|way| !way.rounds.is_empty());
        let is_other = |way: &&Way| !way.by.starts_with("tigereye") && !way.by.ends_with(SPINS);
        let others = measured.filter(is_other);
        let best = others.min_by(|a, b| a.ns().median.total_cmp(&b.ns().median));
        let Some(best) = best.map(|way| way.rounds.clone()) else { return };
        for way in &mut self.ways {
            way.ratio = Spread::of(way.rounds.iter().zip(&best).map(|(a, b)| a / b));
        }
    }

    /// Everything, for the results file.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let way = |way: &Way| match &way.left_out {
            Some(reason) => json!({"by": way.by, "left_out": reason}),
            None => json!({"by": way.by, "ns": way.ns().to_json(), "ratio": way.ratio.to_json()}),
        };
        json!({"figure": self.name, "ways": self.ways.iter().map(way).collect::<Vec<_>>()})
    }
}

impl Way {
    /// Nanoseconds each.
    #[must_use]
    pub fn ns(&self) -> Spread {
        Spread::of(self.rounds.iter().copied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_figure_takes_no_part() {
        let line = |by: &str, ns: f64| json!({"figure": "f", "by": by, "ns": ns});
        let first = || Ok(vec![line("a", 4.0), line("tigereye", 2.0)]);
        let second = || Ok(vec![json!({"figure": "f", "by": "b", "left_out": "no disk"})]);
        let figures = in_turn(3, &[&first, &second]).expect("both run");
        let ways = &figures[0].ways;
        let of = |by: &str| ways.iter().find(|way| way.by == by).expect("it is there");
        assert_eq!((figures.len(), of("a").rounds.len(), of("b").rounds.len()), (1, 3, 0));
        assert_eq!(of("tigereye").ratio.median, 0.5, "the best is that which has figures");
        assert_eq!(of("b").left_out.as_deref(), Some("no disk"));
    }
}
