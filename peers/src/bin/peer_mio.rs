//! Echo, HTTP and a file over HTTP on mio, by hand.

use std::io;
use tigereye_peers::readiness::{self, mio::Mio};

fn main() -> io::Result<()> {
    readiness::main::<Mio>()
}
