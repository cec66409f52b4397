//! Reading results again: what charts and tables are made of.

use super::stats::Spread;
use serde_json::Value;
use std::io;
use std::path::Path;

/// Whose a figure is, for its colour and its place.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Side {
    /// By hand, with nothing in between.
    Hand,
    /// On another library, or another server.
    Other,
    /// On tigereye.
    Ours,
}

/// Whose a label is.
#[must_use]
pub fn side(label: &str) -> Side {
    const BY_HAND: &[&str] = &["bare_", "std", "Mutex", "eventfd", "io_uring", "VecDeque"];
    if label.starts_with("tigereye") {
        Side::Ours
    } else if BY_HAND.iter().any(|start| label.starts_with(start)) {
        Side::Hand
    } else {
        Side::Other
    }
}

/// Reads what a run wrote.
pub fn read(path: &Path) -> io::Result<Value> {
    Ok(serde_json::from_slice(&std::fs::read(path)?)?)
}

/// The members of an array; none where there is no array.
#[must_use]
pub fn rows<'v>(value: &'v Value, name: &str) -> &'v [Value] {
    value[name].as_array().map_or(&[], Vec::as_slice)
}

/// A text member.
#[must_use]
pub fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value[name].as_str().unwrap_or("?")
}

/// A median with its quartiles.
#[must_use]
pub fn spread(value: &Value) -> Option<Spread> {
    let number = |name: &str| value[name].as_f64();
    Some(Spread { low: number("low")?, median: number("median")?, high: number("high")? })
}

/// Of a figure that the load gives in each round.
#[must_use]
pub fn of_rounds(server: &Value, name: &str) -> Option<Spread> {
    let values: Vec<f64> =
        rows(server, "rounds").iter().filter_map(|round| round[name].as_f64()).collect();
    (!values.is_empty()).then(|| Spread::of(values))
}

/// The cells whose name begins like this.
pub fn cells<'v>(results: &'v Value, start: &str) -> impl Iterator<Item = &'v Value> {
    rows(results, "cells").iter().filter(move |cell| text(cell, "cell").starts_with(start))
}

/// A number with three digits that count, and a comma between thousands.
#[must_use]
pub fn short(value: f64) -> String {
    if value.abs() < 100.0 {
        let digits = if value.abs() < 1.0 {
            3
        } else if value.abs() < 10.0 {
            2
        } else {
            1
        };
        return format!("{value:.digits$}");
    }
    let digits = format!("{value:.0}");
    let mut with_commas = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            with_commas.push(',');
        }
        with_commas.push(digit);
    }
    with_commas
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        let wanted = [(0.0321, "0.032"), (2.0, "2.00"), (18.25, "18.2"), (679_314.4, "679,314")];
        for (value, text) in wanted {
            assert_eq!(short(value), text);
        }
        assert_eq!((short(100.0), short(1000.0)), ("100".to_owned(), "1,000".to_owned()));
    }

    #[test]
    fn labels_have_sides() {
        assert_eq!(side("bare_uring"), Side::Hand);
        assert_eq!(side("tokio-uring"), Side::Other);
        assert_eq!(side("tigereye uring own"), Side::Ours);
    }
}
