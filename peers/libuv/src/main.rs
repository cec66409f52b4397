//! Echo, HTTP, datagrams and accepting on libuv. `--print version` says which version it is, and
//! serves nothing.

#[cfg(libuv)]
mod ffi;

#[cfg(libuv)]
fn main() -> std::io::Result<()> {
    use tigereye_peers::args::{Args, fail};
    use tigereye_peers::server::{Mode, Server};

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
    if server.mode == Mode::File {
        fail("--mode file: libuv's server has none");
    }
    let buffer = server.buffer(&mut args);
    args.finish();
    server.announce()?;
    ffi::serve(server, buffer)
}

#[cfg(not(libuv))]
fn main() {
    tigereye_peers::args::fail("built without libuv, for want of its headers: package libuv1-dev")
}
