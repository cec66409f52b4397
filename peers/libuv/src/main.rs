//! Echo, HTTP, a file over HTTP, datagrams and accepting on libuv. `--print version` says which version it is, and
//! serves nothing.

#[cfg(libuv)]
mod ffi;

#[cfg(libuv)]
fn main() -> std::io::Result<()> {
    use tigereye_peers::args::{Args, fail};
    use tigereye_peers::server::{Mode, Server};

    /// Bytes of a file that are read at once, which are sent before the next are read.
    const BLOCK: usize = 256 * 1024;
    /// Room for as many datagrams as libuv receives at once, by recvmmsg(2): 64 KiB each, in the
    /// documentation of `uv_udp_recv_start`.
    const DATAGRAMS: usize = 20 * 64 * 1024;

    let mut args = Args::from_env();
    match args.take::<String>("print").as_deref() {
        Some("version") => {
            println!("{}", ffi::version());
            return Ok(());
        }
        Some(other) => fail(&format!("--print {other}: version")),
        None => {}
    }
    let server = Server::start(&mut args)?;
    let buffer = match server.mode {
        Mode::File => args.get("buffer", BLOCK),
        Mode::Udp => args.get("buffer", DATAGRAMS),
        _ => server.buffer(&mut args),
    };
    args.finish();
    server.announce()?;
    ffi::serve(server, buffer)
}

#[cfg(not(libuv))]
fn main() {
    tigereye_peers::args::fail("built without libuv, for want of its headers: package libuv1-dev")
}
