//! How a program has its loops: `--driver NAME` forces one of tigereye's drivers, which is tigereye's
//! own choice without it; `--spin MICROSECONDS` has them look so long at most before they sleep.

use crate::args::Args;
use std::time::Duration;
use tigereye::{Builder, DriverKind, Io};

/// A builder of loops as the arguments want them.
#[must_use]
pub fn builder(args: &mut Args) -> Builder {
    let builder = match args.take::<DriverKind>("driver") {
        Some(driver) => Io::builder().driver(driver),
        None => Io::builder(),
    };
    builder.spin(spin(args).unwrap_or_default())
}

/// The `--spin` of a library that has one.
pub fn spin(args: &mut Args) -> Option<Duration> {
    args.take("spin").map(Duration::from_micros)
}
