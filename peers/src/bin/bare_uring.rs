//! Echo and HTTP on the bare `io-uring` crate.

use std::io;
use tigereye_peers::args::Args;
use tigereye_peers::server::{Mode, Server};
use tigereye_peers::service::{Echo, Hello};
use tigereye_peers::tuning::Tuning;
use tigereye_peers::uring_server::serve;

fn main() -> io::Result<()> {
    let mut args = Args::from_env();
    let server = Server::start(&mut args)?;
    let tuning = Tuning::from_args(&mut args, server.size);
    args.finish();
    server.announce()?;
    match server.mode {
        Mode::Echo => serve(&server.listener, &server.signal, Echo, tuning),
        Mode::Http => serve(&server.listener, &server.signal, Hello::default(), tuning),
    }
}
