//! The command line.

use std::ffi::{OsStr, OsString};
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use tigereye::{DriverKind, ListenOptions};

use crate::server::Limits;

pub(crate) const HELP: &str = "\
A web server on tigereye.

Usage: web_server [OPTION VALUE]…

  --addr ADDRESS          where to listen (127.0.0.1:8080; port 0 takes a free one)
  --threads N             loops, one thread each (one per core)
  --accept each|one       whether each loop accepts connections, or one accepts and hands them to all
                          in turn (each, where the system spreads connections over the loops)
  --root DIR              serve the files in this directory
  --driver NAME           uring, readiness (the best one that works here)
  --spin MICROSECONDS     how long a loop looks for work, with its core busy, before it sleeps (0)
  --head-timeout SECONDS  how long a request's head may take to arrive in all (10)
  --idle-timeout SECONDS  how long a connection may be idle, or a body take to arrive (60)
  --send-timeout SECONDS  how long a client may take nothing of a response (60)
  --grace SECONDS         how long SIGINT and SIGTERM let connections finish (5)
  --help                  this text

Pages: / (live figures), /hello, /stats.json, and the files under DIR.
";

pub(crate) struct Options {
    pub(crate) address: SocketAddr,
    pub(crate) threads: usize,
    pub(crate) root: Option<PathBuf>,
    pub(crate) driver: Option<DriverKind>,
    pub(crate) spin: Duration,
    pub(crate) limits: Limits,
    pub(crate) one_acceptor: bool,
}

/// Reads the arguments that follow the program's name; `None` when help is asked for.
///
/// # Errors
/// What is wrong, in words for who typed it.
pub(crate) fn parse(
    mut arguments: impl Iterator<Item = OsString>,
) -> Result<Option<Options>, String> {
    let mut options = Options {
        address: SocketAddr::from(([127, 0, 0, 1], 8080)),
        threads: std::thread::available_parallelism().map_or(1, usize::from),
        root: None,
        driver: None,
        spin: Duration::ZERO,
        limits: Limits::default(),
        one_acceptor: !ListenOptions::REUSE_PORT_SPREADS,
    };
    while let Some(name) = arguments.next() {
        let name = name.to_string_lossy().into_owned();
        if name == "--help" || name == "-h" {
            return Ok(None);
        }
        let value = arguments.next();
        if let Err(why) = set(&mut options, &name, value.as_deref()) {
            let value = value.map_or(String::new(), |value| format!(" {}", value.display()));
            return Err(format!("{name}{value}: {why}; see --help"));
        }
    }
    Ok(Some(options))
}

fn set(options: &mut Options, name: &str, value: Option<&OsStr>) -> Result<(), String> {
    let value = value.ok_or("a value is needed");
    let text = || value?.to_str().ok_or("this is no UTF-8");
    match name {
        "--addr" => {
            let address = text()?.parse();
            options.address =
                address.map_err(|_| "an address and a port are needed, such as 127.0.0.1:8080")?;
        }
        "--threads" => {
            let threads = text()?.parse().ok().filter(|threads| (1..=1024).contains(threads));
            options.threads = threads.ok_or("a number from 1 to 1024 is needed")?;
        }
        "--accept" => {
            options.one_acceptor = match text()? {
                "each" => false,
                "one" => true,
                _ => return Err("each or one is needed".into()),
            };
        }
        "--root" => {
            let root = std::fs::canonicalize(value?).map_err(|error| error.to_string())?;
            options.root = Some(root.is_dir().then_some(root).ok_or("this is no directory")?);
        }
        "--driver" => {
            let driver = text()?.parse();
            options.driver = Some(driver.map_err(|error: io::Error| error.to_string())?);
        }
        "--spin" => {
            let micros = text()?.parse().ok().filter(|micros| (0..=1_000_000).contains(micros));
            let micros = micros.ok_or("a number from 0 to 1000000 is needed")?;
            options.spin = Duration::from_micros(micros);
        }
        "--head-timeout" => options.limits.head = seconds(text()?)?,
        "--idle-timeout" => options.limits.idle = seconds(text()?)?,
        "--send-timeout" => options.limits.send = seconds(text()?)?,
        "--grace" => options.limits.grace = seconds(text()?)?,
        _ => return Err("there is no such option".into()),
    }
    Ok(())
}

fn seconds(value: &str) -> Result<Duration, &'static str> {
    let seconds: Option<f64> = value.parse().ok();
    let seconds = seconds.filter(|seconds| (0.001..=86400.0).contains(seconds));
    seconds.map(Duration::from_secs_f64).ok_or("seconds are needed, from 0.001 to 86400")
}
