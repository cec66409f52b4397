//! The replicated log of the examples: what its files say after a crash, in simulated worlds, and as
//! processes that are killed.
#![allow(clippy::disallowed_methods, reason = "tests have clocks and threads of their own")]
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "../../examples/replicated_log/bytes.rs"]
#[allow(dead_code, reason = "the example uses more of it")]
mod bytes;
mod files;
#[path = "../../examples/replicated_log/log.rs"]
#[allow(dead_code, reason = "the example uses more of it")]
mod log;
mod messages;
mod processes;
mod promises;
#[path = "../../examples/replicated_log/protocol/mod.rs"]
#[allow(dead_code, reason = "the example uses more of it")]
mod protocol;
#[path = "../common/random.rs"]
mod random;
#[path = "../common/scratch.rs"]
#[allow(dead_code, reason = "other tests use more of it")]
mod scratch;
#[path = "../../examples/replicated_log/wire.rs"]
#[allow(dead_code, reason = "the example uses more of it")]
mod wire;
mod worlds;

use std::fs;
use std::path::{Path, PathBuf};

/// The example beside this test, which `cargo test` builds.
fn binary() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let profile = test.parent().and_then(Path::parent).unwrap();
    let name = format!("replicated_log{}", std::env::consts::EXE_SUFFIX);
    let binary = profile.join("examples").join(name);
    let built = fs::metadata(&binary).and_then(|metadata| metadata.modified()).ok();
    let sources = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/replicated_log");
    let sources = ["", "protocol"].map(|part| fs::read_dir(Path::new(sources).join(part)).unwrap());
    let modified = |source: fs::DirEntry| source.metadata().unwrap().modified().unwrap();
    let mut modified = sources.into_iter().flatten().map(|source| modified(source.unwrap()));
    let is_new = built.is_some_and(|built| modified.all(|at| at <= built));
    assert!(is_new, "`cargo build --example replicated_log` makes {}", binary.display());
    binary
}
