//! docs/pitfalls.md names a test for each pitfall (`p07_…`) and each rule of the design
//! (`rule1_…`); this keeps the list and the tests the same. What the list says of a number beside
//! its tests is written by hand, and kept.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::tree;

const DOCUMENT: &str = "docs/pitfalls.md";
const BEGIN: &str = "<!-- begin: cargo xtask pitfalls --write -->";
const END: &str = "<!-- end -->";

/// A pitfall or a rule; pitfalls come first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Number {
    Pitfall(u32),
    Rule(u32),
}

impl std::fmt::Display for Number {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Number::Pitfall(number) => write!(f, "P{number:02}"),
            Number::Rule(number) => write!(f, "Rule {number}"),
        }
    }
}

/// The numbers that begin a test's name.
fn numbers(name: &str) -> Vec<Number> {
    let number = |part: &str| {
        let (make, digits): (fn(u32) -> Number, &str) = match part.strip_prefix("rule") {
            Some(digits) => (Number::Rule, digits),
            None => (Number::Pitfall, part.strip_prefix('p')?),
        };
        digits.parse().ok().map(make)
    };
    name.split('_').map_while(number).collect()
}

/// The names of functions that are tests by their attribute, with the file's text given.
fn tests(text: &str) -> Vec<&str> {
    let mut names = Vec::new();
    let mut is_test = false;
    for line in text.lines().map(str::trim) {
        if line == "#[test]" {
            is_test = true;
        } else if let Some(rest) = line.strip_prefix("fn ")
            && std::mem::take(&mut is_test)
        {
            names.extend(rest.split_once(['(', '<']).map(|(name, _)| name));
        }
    }
    names
}

/// The first two cells of a table's line.
fn row(line: &str) -> Option<(&str, &str)> {
    let mut cells = line.strip_prefix('|')?.split('|').map(str::trim);
    Some((cells.next()?, cells.next()?))
}

/// What is written by hand of each number, from the document as it is.
fn facts(document: &str) -> BTreeMap<&str, &str> {
    document.lines().filter_map(row).collect()
}

fn generate(root: &Path, document: &str) -> Result<String, String> {
    let complain = |error: std::io::Error| format!("reading the sources: {error}");
    let mut rows: BTreeMap<Number, Vec<String>> = BTreeMap::new();
    for path in tree::files(root).map_err(complain)? {
        if path.extension().is_none_or(|extension| extension != "rs") || path.starts_with("xtask") {
            continue;
        }
        let text = fs::read_to_string(root.join(&path)).map_err(complain)?;
        for name in tests(&text) {
            for number in numbers(name) {
                let entry = format!("`{name}` in `{}`", path.display());
                rows.entry(number).or_default().push(entry);
            }
        }
    }
    let facts = facts(document);
    let mut table = String::from("| number | what it is about | tests |\n|---|---|---|\n");
    for (number, tests) in rows {
        let number = number.to_string();
        let fact = facts.get(&*number).copied().unwrap_or_default();
        table += &format!("| {number} | {fact} | {} |\n", tests.join("<br>"));
    }
    let parts = document.split_once(BEGIN).and_then(|(head, rest)| {
        let (_table, tail) = rest.split_once(END)?;
        Some((head, tail))
    });
    let (head, tail) = parts.ok_or_else(|| format!("{DOCUMENT} lacks {BEGIN} or {END}"))?;
    Ok(format!("{head}{BEGIN}\n{table}{END}{tail}"))
}

fn read(root: &Path) -> Result<String, String> {
    fs::read_to_string(root.join(DOCUMENT)).map_err(|error| format!("{DOCUMENT}: {error}"))
}

/// Fails if the list and the tests differ, and says where.
pub(crate) fn check(root: &Path) -> Result<(), String> {
    let document = read(root)?;
    let wanted = generate(root, &document)?;
    if document == wanted {
        return Ok(());
    }
    let mut message = format!("{DOCUMENT} is not what `cargo xtask pitfalls --write` makes:\n");
    let (old, new): (Vec<&str>, Vec<&str>) = (document.lines().collect(), wanted.lines().collect());
    for line in old.iter().filter(|line| !new.contains(line)) {
        message += &format!("- {line}\n");
    }
    for line in new.iter().filter(|line| !old.contains(line)) {
        message += &format!("+ {line}\n");
    }
    Err(message)
}

/// Writes the list again.
pub(crate) fn write(root: &Path) -> Result<(), String> {
    let wanted = generate(root, &read(root)?)?;
    let path = root.join(DOCUMENT);
    tree::write(&path, wanted.as_bytes()).map_err(|error| format!("{DOCUMENT}: {error}"))
}

#[cfg(test)]
mod self_tests {
    use super::*;

    #[test]
    fn names_tell_their_numbers() {
        let all = [Number::Pitfall(25), Number::Pitfall(59), Number::Rule(7)];
        assert_eq!(numbers("p25_p59_rule7_the_loop_ends"), all);
        assert_eq!(numbers("plenty_of_p07"), []);
        assert_eq!(numbers("rules_apply"), []);
        assert_eq!(Number::Pitfall(7).to_string(), "P07");
    }

    #[test]
    fn only_tests_are_found() {
        let text = "#[test]\n#[ignore = \"x\"]\nfn p01_one() {}\nfn p02_helper() {}\n#[test]\nfn b<T>() {}";
        assert_eq!(tests(text), ["p01_one", "b"]);
    }

    #[test]
    fn what_is_written_by_hand_is_kept() {
        let facts = facts("| number | x | tests |\n| P01 | a fact | `t` in `f` |");
        assert_eq!(facts.get("P01"), Some(&"a fact"));
    }
}
