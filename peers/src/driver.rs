//! Which of tigereye's drivers a program runs on: `--driver NAME`, and tigereye's own choice
//! without it.

use crate::args::Args;
use tigereye::{Builder, DriverKind, Io};

/// A builder of loops on the driver that the arguments name.
#[must_use]
pub fn builder(args: &mut Args) -> Builder {
    match args.take::<DriverKind>("driver") {
        Some(driver) => Io::builder().driver(driver),
        None => Io::builder(),
    }
}
