//! Echo, HTTP, a file over HTTP, datagrams and accepting on the bare `io-uring` crate.

use std::io;
use tigereye_peers::args::Args;
use tigereye_peers::server::{Mode, Server};
use tigereye_peers::service::{Echo, Page};
use tigereye_peers::tuning::Tuning;
use tigereye_peers::uring_files::{self, Body};
use tigereye_peers::uring_server::serve;
use tigereye_peers::{uring_accept, uring_datagrams};

fn main() -> io::Result<()> {
    let mut args = Args::from_env();
    let server = Server::start(&mut args)?;
    if let Some(contents) = &server.contents {
        let body = Body::from_args(&mut args);
        args.finish();
        server.announce()?;
        return uring_files::serve(&server.listener, &server.signal, contents, body);
    }
    if let Some(socket) = &server.socket {
        args.finish();
        server.announce()?;
        return uring_datagrams::serve(socket, &server.signal);
    }
    let tuning = Tuning::from_args(&mut args, server.hints);
    args.finish();
    server.announce()?;
    match server.mode {
        Mode::Echo => serve(&server.listener, &server.signal, Echo, tuning),
        Mode::Accept => uring_accept::serve(&server.listener, &server.signal),
        Mode::Http | Mode::File | Mode::Udp => {
            serve(&server.listener, &server.signal, Page::hello(), tuning)
        }
    }
}
