//! Echo and HTTP on edge-triggered epoll.

use std::io;
use tigereye_peers::args::Args;
use tigereye_peers::epoll_server::serve;
use tigereye_peers::server::{Mode, Server};
use tigereye_peers::service::{Echo, Hello};

fn main() -> io::Result<()> {
    let mut args = Args::from_env();
    let server = Server::start(&mut args)?;
    let buffer = args.get("buffer", if server.size < 4096 { 16384 } else { 262_144 });
    args.finish();
    server.announce()?;
    match server.mode {
        Mode::Echo => serve(&server.listener, &server.signal, Echo, buffer),
        Mode::Http => serve(&server.listener, &server.signal, Hello::default(), buffer),
    }
}
