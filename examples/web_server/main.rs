//! A multithreaded web server: one loop per core, each with its own listener on the same port.
//!
//! `cargo run --release --example web_server`, then open the address that it prints.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use tigereye::{DriverKind, Io, Threads};

mod connection;
mod files;
mod page;
mod request;
mod response;
mod server;

const HELP: &str = "\
A web server on tigereye.

Usage: web_server [--addr ADDRESS] [--threads N] [--root DIR] [--driver NAME]

  --addr ADDRESS   where to listen (127.0.0.1:8080; port 0 takes a free one)
  --threads N      loops, one thread each (one per core)
  --root DIR       serve the files in this directory
  --driver NAME    uring (the best one that works here)
  --help           this text

Pages: / (live figures), /hello, /stats.json, and the files under DIR.
";

struct Options {
    address: SocketAddr,
    threads: usize,
    root: Option<PathBuf>,
    driver: Option<DriverKind>,
}

fn options() -> Result<Option<Options>, String> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let address = SocketAddr::from(([127, 0, 0, 1], 8080));
    let mut options = Options { address, threads, root: None, driver: None };
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        if name == "--help" || name == "-h" {
            return Ok(None);
        }
        let value = arguments.next().ok_or_else(|| format!("{name} needs a value"))?;
        let wrong = |reason: String| format!("{name} {value}: {reason}");
        match name.as_str() {
            "--addr" => options.address = value.parse().map_err(|e| wrong(format!("{e}")))?,
            "--threads" => match value.parse() {
                Ok(threads) if (1..=1024).contains(&threads) => options.threads = threads,
                _ => return Err(wrong("a number from 1 to 1024 is needed".into())),
            },
            "--root" => {
                let root = std::fs::canonicalize(&value).map_err(|e| wrong(format!("{e}")))?;
                options.root = Some(root);
            }
            "--driver" => options.driver = Some(value.parse().map_err(|e| wrong(format!("{e}")))?),
            _ => return Err(format!("{name} is no option; see --help")),
        }
    }
    Ok(Some(options))
}

fn serve(options: Options) -> io::Result<()> {
    // Before the threads start, so that a signal finds its handler.
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    let mut builder = Io::builder();
    if let Some(driver) = options.driver {
        builder = builder.driver(driver);
    }
    let figures = server::Figures::new(options.threads);
    let root = options.root.map(Arc::new);
    // The loops start one after another: the first one learns the port.
    let address = Arc::new(Mutex::new(options.address));
    let shared = Arc::clone(&address);
    let threads = Threads::start(options.threads, &builder, move |index, io| {
        let mut address = shared.lock().unwrap_or_else(PoisonError::into_inner);
        *address = server::start(io, *address, index, &figures, root.clone())?;
        Ok(())
    })?;
    let address = *address.lock().unwrap_or_else(PoisonError::into_inner);
    println!("listening on http://{address} with {} loops", options.threads);
    signals.forever().next();
    for remote in threads.remotes() {
        // A loop that is gone has nothing to finish.
        drop(remote.post(server::shut_down));
    }
    threads.join()
}

fn main() -> std::process::ExitCode {
    let result = match options() {
        Ok(Some(options)) => serve(options).map_err(|error| error.to_string()),
        Ok(None) => {
            print!("{HELP}");
            Ok(())
        }
        Err(message) => Err(message),
    };
    match result {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("web_server: {message}");
            std::process::ExitCode::FAILURE
        }
    }
}
