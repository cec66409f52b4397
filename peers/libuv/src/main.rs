//! Echo and HTTP on libuv. `--print version` says which version it is, and serves nothing.

#[cfg(libuv)]
mod ffi;

#[cfg(libuv)]
fn main() -> std::io::Result<()> {
    use tigereye_peers::args::{Args, fail};
    use tigereye_peers::server::{Mode, Server};
    use tigereye_peers::service::Hello;

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
    let buffer = server.buffer(&mut args);
    args.finish();
    server.announce()?;
    let hello = (server.mode == Mode::Http).then(Hello::default);
    ffi::serve(server.listener, &server.signal, buffer, hello)
}

#[cfg(not(libuv))]
fn main() {
    tigereye_peers::args::fail("built without libuv, for want of its headers: package libuv1-dev")
}
