//! A program that makes no simulated loop is linked without the simulator
//! (`src/driver/simulated/mod.rs`): this builds the smallest server as its user would, and looks. So that
//! it cannot look for the wrong names, it looks into a program that has the simulator, too.

use std::path::Path;
use std::process::Command;

use crate::{process, programs};

/// Both are in `peers/minimal`.
const WITHOUT: &str = "echo_tigereye";
const WITH: &str = "world_tigereye";

/// What tells of the simulator: its functions, as both manglings of symbols have them, and its files, in
/// which panics say that they are.
const TELLTALES: [&str; 3] = ["6driver3sim", "_3sim", "driver/sim/"];

/// How often each of them is in a program.
fn telltales(program: &[u8]) -> [usize; 3] {
    TELLTALES
        .map(|text| program.windows(text.len()).filter(|window| *window == text.as_bytes()).count())
}

/// Builds a program with Cargo's own settings for a release, and keeps its symbols; gives its path.
fn build(root: &Path, name: &str) -> Result<String, String> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(root.join("peers")).env("CARGO_PROFILE_MINIMAL_STRIP", "false");
    cargo.args(["build", "--quiet", "--profile", "minimal", "--message-format", "json"]);
    cargo.args(["--package", "tigereye-peers-minimal", "--features", "tigereye", "--bin", name]);
    cargo.arg("--target-dir").arg(root.join("target/contents"));
    let messages = process::output(&mut cargo)?;
    programs::named(&messages).pop().ok_or_else(|| format!("{name}: cargo names no program"))
}

/// Checks what the programs contain, and that the one without the simulator refuses to be put into a
/// simulated world from outside.
pub(crate) fn check(root: &Path) -> Result<(), String> {
    let [without, with] = [build(root, WITHOUT)?, build(root, WITH)?];
    let [lacks, has] = [&without, &with].map(|path| std::fs::read(path).map(|all| telltales(&all)));
    let lacks = lacks.map_err(|error| format!("{without}: {error}"))?;
    let has = has.map_err(|error| format!("{with}: {error}"))?;
    println!("{TELLTALES:?}: {has:?} in {WITH}, {lacks:?} in {WITHOUT}");
    if has[0] + has[1] == 0 || has[2] == 0 {
        return Err(format!("{WITH} makes a simulated world, and none is found in it"));
    }
    if lacks != [0; 3] {
        return Err(format!("{WITHOUT} makes no simulated loop, and contains the simulator"));
    }
    let refused = Command::new(&without).env("TIGEREYE_DRIVER", "sim").output();
    let refused = refused.map_err(|error| format!("{without}: {error}"))?;
    let said = String::from_utf8_lossy(&refused.stderr);
    if refused.status.success() || !said.contains("Builder::driver") {
        return Err(format!("{WITHOUT} on the simulator: {}\n{said}", refused.status));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seam_is_not_taken_for_the_simulator() {
        let symbols = |name| telltales(format!("_ZN8tigereye6driver{name}6kernel17hE").as_bytes());
        assert_eq!(symbols("3sim"), [1, 0, 0]);
        assert_eq!(symbols("9simulated"), [0, 0, 0]);
        assert_eq!(telltales(b"src/driver/sim/mod.rs src/driver/simulated/mod.rs"), [0, 0, 1]);
    }
}
