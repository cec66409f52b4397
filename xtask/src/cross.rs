//! Does the library build for systems that are not here? `cargo xtask cross` checks and lints it
//! for each of [`TARGETS`], with its tests and examples, and links two programs. None of them runs.
//!
//! ```text
//!  tools     the compiler, its standard library for each target, a linker      once
//!    │
//!  build     cargo check ─▶ cargo clippy ─▶ cargo build ─▶ image: is it one?   each time
//!                                              │
//!                                     link: this program again, as the linker
//! ```
//!
//! I1. All that is made lies in target/cross; of the system, only packages are installed.

mod build;
mod image;
mod link;
pub(crate) mod tools;

use std::path::Path;

use image::Format;
pub(crate) use link::{link, wanted};

/// A system that the library is built for.
struct Target {
    /// As rustc calls it.
    triple: &'static str,
    /// As zig calls it.
    zig: &'static str,
    /// What a program for it is.
    format: Format,
}

const TARGETS: [Target; 3] = [
    Target { triple: "aarch64-apple-darwin", zig: "aarch64-macos", format: Format::MachOArm64 },
    Target { triple: "x86_64-apple-darwin", zig: "x86_64-macos", format: Format::MachOX86 },
    Target { triple: "x86_64-unknown-freebsd", zig: "x86_64-freebsd", format: Format::ElfFreeBsd },
];

/// Names the targets, and what is done for each.
pub(crate) fn list() {
    for target in &TARGETS {
        println!("{}\n    check, clippy, then link to {}", target.triple, target.format);
        println!("    {}", build::PROGRAMS.join(" "));
    }
}

/// Builds for the targets whose name contains one of `names`, or for all.
pub(crate) fn run(root: &Path, names: &[&str]) -> Result<(), String> {
    let is_chosen = |target: &&Target| {
        names.is_empty() || names.iter().any(|name| target.triple.contains(name))
    };
    let chosen: Vec<&Target> = TARGETS.iter().filter(is_chosen).collect();
    if chosen.is_empty() {
        return Err("no target has such a name: see `cargo xtask cross --list`".into());
    }
    let triples: Vec<&str> = chosen.iter().map(|target| target.triple).collect();
    let tools = tools::Tools::ready(root, &triples)?;
    tools.install_zig()?;
    let mut failures = 0;
    for target in &chosen {
        if let Err(message) = build::all(&tools, target) {
            failures += 1;
            println!("{}: ERROR: {message}", target.triple);
        }
    }
    if failures == 0 { Ok(()) } else { Err(format!("{failures} of {} targets fail", chosen.len())) }
}
