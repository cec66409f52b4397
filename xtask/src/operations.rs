//! The table of operations in the README is that in the head of `src/op/mod.rs`, and that one has
//! every row and every method that starts an operation: this keeps the three the same.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::tree;

const SOURCE: &str = "src/op/mod.rs";
const DOCUMENT: &str = "README.md";
const BEGIN: &str = "<!-- begin: cargo xtask operations --write -->";
const END: &str = "<!-- end -->";

/// A line of the table: the methods, the file, and what each driver does.
#[derive(Debug, PartialEq, Eq)]
struct Row<'t> {
    methods: Vec<&'t str>,
    file: &'t str,
    drivers: [&'t str; 4],
}

/// The cells of a table's line in the head of a module.
fn cells(line: &str) -> Option<[&str; 6]> {
    let line = line.strip_prefix("//! |")?.trim_end().strip_suffix('|')?;
    line.split('|').map(str::trim).collect::<Vec<_>>().try_into().ok()
}

/// The table in the head of a module.
fn table(text: &str) -> Vec<Row<'_>> {
    let rows = text.lines().filter_map(cells).skip_while(|cells| cells[0] != "row").skip(2);
    rows.map(|[methods, file, uring, readiness, iocp, sim]| Row {
        methods: methods.split(", ").collect(),
        file: file.trim_matches('`'),
        drivers: [uring, readiness, iocp, sim],
    })
    .collect()
}

/// The public methods that give the name of an operation they start.
fn starting_methods(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    for part in text.split("\n    pub fn ").skip(1) {
        // What comes behind it has arrows of its own.
        let signature = part.split("{\n").next().and_then(|head| head.split("where\n").next());
        let Some((arguments, output)) = signature.and_then(|head| head.rsplit_once("-> ")) else {
            continue;
        };
        if output.trim() == "Op" || output.starts_with("(Op,") {
            found.extend(arguments.split(['<', '(']).next());
        }
    }
    found
}

/// Whether a file in `src/op` is a row, and not what rows share.
fn is_row(text: &str) -> bool {
    [" Operation for ", " Multishot for ", " UserSpace for "].iter().any(|of| text.contains(of))
}

fn read(root: &Path, path: impl AsRef<Path>) -> Result<String, String> {
    let path = path.as_ref();
    fs::read_to_string(root.join(path)).map_err(|error| format!("{}: {error}", path.display()))
}

/// What the table lacks, and what it has too much.
fn complaints(root: &Path, rows: &[Row<'_>]) -> Result<Vec<String>, String> {
    let sources: Vec<PathBuf> = tree::files(root)
        .map_err(|error| format!("reading the sources: {error}"))?
        .into_iter()
        .filter(|path| path.starts_with("src") && path.extension().is_some_and(|is| is == "rs"))
        .collect();
    let (mut methods, mut files) = (BTreeSet::new(), BTreeSet::new());
    for path in &sources {
        let text = read(root, path)?;
        methods.extend(starting_methods(&text).into_iter().map(str::to_owned));
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if path.starts_with("src/op") && name != "mod.rs" && is_row(&text) {
            files.insert(name.to_owned());
        }
    }
    let listed = |of: fn(&Row<'_>) -> Vec<String>| -> BTreeSet<String> {
        rows.iter().flat_map(of).collect()
    };
    let named = listed(|row| row.methods.iter().map(|name| (*name).to_owned()).collect());
    let filed = listed(|row| vec![row.file.to_owned()]);
    let mut all = Vec::new();
    for (have, want, what) in [(&named, &methods, "method"), (&filed, &files, "file")] {
        all.extend(want.difference(have).map(|name| format!("lacks the {what} {name}")));
        all.extend(
            have.difference(want).map(|name| format!("has the {what} {name}, which is none")),
        );
    }
    Ok(all)
}

fn generate(root: &Path, document: &str) -> Result<String, String> {
    let source = read(root, SOURCE)?;
    let rows = table(&source);
    let complaints = complaints(root, &rows)?;
    if !complaints.is_empty() {
        return Err(format!("the table in {SOURCE}\n  {}", complaints.join("\n  ")));
    }
    let mut text = String::from(
        "| operation | Linux, io_uring | epoll, kqueue | Windows | simulator |\n|---|---|---|---|---|\n",
    );
    for Row { methods, drivers: [uring, readiness, iocp, sim], .. } in &rows {
        let methods = methods.join(", ");
        text += &format!("| {methods} | {uring} | {readiness} | {iocp} | {sim} |\n");
    }
    let parts = document.split_once(BEGIN).and_then(|(head, rest)| {
        let (_table, tail) = rest.split_once(END)?;
        Some((head, tail))
    });
    let (head, tail) = parts.ok_or_else(|| format!("{DOCUMENT} lacks {BEGIN} or {END}"))?;
    Ok(format!("{head}{BEGIN}\n{text}{END}{tail}"))
}

/// Fails if the README's table is not the one in the sources, or that one lacks something.
pub(crate) fn check(root: &Path) -> Result<(), String> {
    let document = read(root, DOCUMENT)?;
    if document == generate(root, &document)? {
        return Ok(());
    }
    Err(format!("{DOCUMENT} is not what `cargo xtask operations --write` makes"))
}

/// Writes the README's table again.
pub(crate) fn write(root: &Path) -> Result<(), String> {
    let wanted = generate(root, &read(root, DOCUMENT)?)?;
    let path = root.join(DOCUMENT);
    tree::write(&path, wanted.as_bytes()).map_err(|error| format!("{DOCUMENT}: {error}"))
}

#[cfg(test)]
mod self_tests {
    use super::*;

    #[test]
    fn methods_that_start_an_operation_are_found_by_what_they_give() {
        let text = "
    pub fn one<C>(&self, context: C) -> Op {
        1
    }
    pub fn two<C, F>(&self) -> (Op, Trigger)
    where
        F: FnOnce(C) -> Op,
    {
    }
    pub fn three<F>(&self) -> Io
    where
        F: FnOnce() -> Op,
    {
    }
    fn four() -> Op {
    }
";
        assert_eq!(starting_methods(text), ["one", "two"]);
    }

    #[test]
    fn the_table_is_read_line_by_line() {
        let text = "//! | a | b | c | d | e | f |\n//! | row | file | x | y | z | s |\n//! |---|---|---|---|---|---|\n\
            //! | one, two | `x.rs` | `ONE` | one | none | sim |\n";
        let drivers = ["`ONE`", "one", "none", "sim"];
        let row = Row { methods: vec!["one", "two"], file: "x.rs", drivers };
        assert_eq!(table(text), [row]);
    }
}
