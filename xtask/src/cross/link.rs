//! This program as the linker: rustc starts it like a C compiler, and so does the crate `cc`, with
//! the two variables below in its environment. It starts zig's with what zig can use of the
//! arguments.

use std::ffi::{OsStr, OsString};
use std::process::Command;

/// The variable that names the system, in zig's words, and so makes a linker of this program …
pub(super) const TARGET: &str = "XTASK_LINK_TARGET";
/// … and the one that says where zig is.
pub(super) const ZIG: &str = "XTASK_LINK_ZIG";

/// Dropped together with the argument that follows: `-target` says it, and the stubs are zig's.
const DROPPED_PAIRS: [&str; 2] = ["-arch", "-isysroot"];
/// Dropped alone. The libraries are named by the crate `libc`, and nothing here calls them.
const DROPPED: [&str; 7] =
    ["-m64", "-liconv", "-lobjc", "-lkvm", "-lmemstat", "-lprocstat", "-ldevstat"];
/// Dropped whatever follows in the same argument: the system in others' words, its version, and the
/// list of what a program exports, which zig's linker for Mach-O does not read.
const DROPPED_PREFIXES: [&str; 3] =
    ["--target=", "-mmacosx-version-min", "-Wl,-exported_symbols_list"];

/// What zig is given of rustc's arguments.
fn usable(arguments: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut usable = Vec::new();
    let mut arguments = arguments.peekable();
    while let Some(argument) = arguments.next() {
        let text = argument.to_str().unwrap_or("");
        if DROPPED_PAIRS.contains(&text) {
            arguments.next();
        } else if text == "-lgcc_s" {
            // FreeBSD unwinds with this one; zig builds its own.
            usable.push("-lunwind".into());
        } else if !DROPPED.contains(&text)
            && !DROPPED_PREFIXES.iter().any(|prefix| text.starts_with(prefix))
        {
            usable.push(argument);
        }
    }
    usable
}

/// Whether rustc started this program.
pub(crate) fn wanted() -> Option<OsString> {
    std::env::var_os(TARGET)
}

/// Links as rustc asks.
pub(crate) fn link(target: &OsStr) -> Result<(), String> {
    let zig = std::env::var_os(ZIG).ok_or_else(|| format!("{ZIG} is not set"))?;
    let mut command = Command::new(&zig);
    command.args([OsStr::new("cc"), OsStr::new("-target"), target]);
    super::tools::run(command.args(usable(std::env::args_os().skip(1))), "zig")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filtered(arguments: &[&str]) -> Vec<OsString> {
        usable(arguments.iter().map(OsString::from))
    }

    #[test]
    fn what_zig_has_itself_is_dropped_for_macos() {
        let arguments = [
            "main.o",
            "-liconv",
            "-lSystem",
            "-arch",
            "arm64",
            "-mmacosx-version-min=11.0.0",
            "-isysroot",
            "sdk",
            "-Wl,-exported_symbols_list,list",
            "-o",
            "program",
            "-Wl,-dead_strip",
        ];
        let expected = ["main.o", "-lSystem", "-o", "program", "-Wl,-dead_strip"];
        assert_eq!(filtered(&arguments), expected);
    }

    #[test]
    fn freebsd_unwinds_with_zigs_library() {
        let arguments = ["-m64", "main.o", "-lkvm", "-lutil", "-lgcc_s", "-pie"];
        assert_eq!(filtered(&arguments), ["main.o", "-lutil", "-lunwind", "-pie"]);
    }

    #[test]
    fn a_system_has_one_name() {
        let arguments = ["-O2", "--target=arm64-apple-macosx", "-c", "alloca.c"];
        assert_eq!(filtered(&arguments), ["-O2", "-c", "alloca.c"]);
    }

    #[test]
    fn a_pair_that_is_cut_short_is_no_error() {
        assert_eq!(filtered(&["main.o", "-arch"]), ["main.o"]);
        assert_eq!(filtered(&[]), [""; 0]);
    }
}
