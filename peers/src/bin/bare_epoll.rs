//! Echo, HTTP and a file over HTTP on edge-triggered epoll.

use std::io;
use tigereye_peers::readiness::{self, epoll::Bare};

fn main() -> io::Result<()> {
    readiness::main::<Bare>()
}
