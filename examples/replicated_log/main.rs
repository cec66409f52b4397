//! A replicated log: records that were acknowledged survive whatever a majority of three nodes does. It
//! runs for real, on three processes, and in the simulator, in worlds where all goes wrong: the same code.
//!
//! ```sh
//! cargo run --release --example replicated_log -- simulate --seeds 2000
//! replicated_log serve --id 0 --peers 127.0.0.1:7000,127.0.0.1:7001,127.0.0.1:7002 --dir D0 --new
//! replicated_log client --peers 127.0.0.1:7000,127.0.0.1:7001,127.0.0.1:7002 --records 100
//! ```
//!
//! ```text
//!  main            the command line
//!   ├ client        puts records, and again until they are acknowledged
//!   ├ node           a node's connections, timer and peers
//!   │  ├ protocol     what it decides         no socket, no file, no clock
//!   │  ├ disk         its files
//!   │  │  └ log        what is in them         no file
//!   │  └ wire         what is said
//!   └ simulation    worlds, what is done to them (plan), and what must hold (check)
//! ```
//!
//! docs/replicated_log.md says how it works and what the simulation does to it.

use std::cell::Cell;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use tigereye::Io;

use protocol::Event;

mod bytes;
mod check;
mod client;
mod disk;
mod log;
mod node;
mod plan;
mod protocol;
mod simulation;
mod wire;

const HELP: &str = "\
replicated_log serve --id N --peers A,B,C --dir DIRECTORY [--new]
    runs node N of the nodes at these addresses; --new where the cluster has never run
replicated_log client --peers A,B,C [--id N] [--from N] [--records N]
    puts records, the first one after FROM, and prints each that is acknowledged
replicated_log simulate [--bug NAME] [--replays] [--every-kind] [arguments of the runner]
    runs worlds of many seeds, of 0 to 99 unless --seeds N says otherwise; with a mistake planted: no-sync,
    sync-error-ignored, before-quorum, wrong-request, wall-clock; with --replays each of them twice; with
    --every-kind it fails where a kind of fault never happens
replicated_log calm [HOURS]
    runs a cluster for hours in which nothing goes wrong, and says how long that took
";

/// The values of the arguments, by name.
struct Arguments(Vec<String>);

impl Arguments {
    fn flag(&mut self, name: &str) -> bool {
        let at = self.0.iter().position(|argument| argument == name);
        at.map(|at| self.0.remove(at)).is_some()
    }

    fn text(&mut self, name: &str) -> Result<Option<String>, String> {
        let Some(at) = self.0.iter().position(|argument| argument == name) else {
            return Ok(None);
        };
        if at + 1 == self.0.len() {
            return Err(format!("{name} has a value"));
        }
        self.0.remove(at);
        Ok(Some(self.0.remove(at)))
    }

    fn number(&mut self, name: &str) -> Result<Option<u64>, String> {
        let text = self.text(name)?;
        text.map(|text| text.parse().map_err(|_| format!("{name}: {text:?} is no number")))
            .transpose()
    }

    fn peers(&mut self) -> Result<Vec<SocketAddr>, String> {
        let text = self.text("--peers")?.ok_or("--peers is missing")?;
        let peers: Result<Vec<SocketAddr>, _> = text.split(',').map(str::parse).collect();
        let peers = peers.map_err(|error| format!("--peers: {error}"))?;
        match peers.len() {
            3 | 5 | 7 => Ok(peers),
            _ => Err("--peers: a cluster has 3, 5 or 7 nodes".into()),
        }
    }

    fn end(self) -> Result<(), String> {
        if self.0.is_empty() { Ok(()) } else { Err(format!("unknown: {:?}", self.0)) }
    }
}

/// Says something to whoever reads; nobody need.
fn say(text: &str) {
    let _ = writeln!(io::stdout(), "{text}");
}

/// A number that no other process has, and no other run of this one.
fn random() -> u64 {
    use std::hash::{BuildHasher, Hasher, RandomState};
    RandomState::new().build_hasher().finish()
}

fn run(start: impl FnOnce(&Io)) -> Result<(), String> {
    let io = Io::new().map_err(|error| error.to_string())?;
    start(&io);
    io.run().map_err(|error| error.to_string())
}

fn serve(mut arguments: Arguments) -> Result<(), String> {
    let addresses = arguments.peers()?;
    let id = arguments.number("--id")?.ok_or("--id is missing")?;
    let id = u8::try_from(id).ok().filter(|&id| usize::from(id) < addresses.len());
    let id = id.ok_or("--id: there is no such node")?;
    let directory = PathBuf::from(arguments.text("--dir")?.ok_or("--dir is missing")?);
    let is_new = arguments.flag("--new");
    arguments.end()?;
    let failed = Rc::new(Cell::new(false));
    let observer = {
        let failed = Rc::clone(&failed);
        Box::new(move |event: Event| {
            failed.set(failed.get() | matches!(event, Event::Failed(_)));
            if !matches!(event, Event::Committed { .. }) {
                say(&event.to_string());
            }
        })
    };
    std::fs::create_dir_all(&directory)
        .map_err(|error| format!("{}: {error}", directory.display()))?;
    let options =
        node::Options { id, addresses, directory, is_new, seed: random(), bug: None, observer };
    run(|io| node::start(io, options))?;
    if failed.get() { Err("it does not go on".into()) } else { Ok(()) }
}

fn put(mut arguments: Arguments) -> Result<(), String> {
    let addresses = arguments.peers()?;
    let from = arguments.number("--from")?.unwrap_or(0);
    let records = arguments.number("--records")?.unwrap_or(1);
    let id = arguments.number("--id")?.unwrap_or(0);
    arguments.end()?;
    let options = client::Options {
        id,
        addresses,
        pause: Duration::ZERO,
        acknowledged: Cell::new(from),
        records: Cell::new(from.saturating_add(records)),
        observer: Box::new(|sequence, index| say(&format!("acknowledged {sequence} at {index}"))),
    };
    run(|io| client::start(io, Rc::new(options)))
}

fn main() -> ExitCode {
    let mut arguments = Arguments(std::env::args().skip(1).collect());
    let command = arguments.0.first().cloned().unwrap_or_default();
    let result = match command.as_str() {
        "simulate" => match simulation::simulate(arguments) {
            Ok(code) => return code,
            Err(message) => Err(message),
        },
        "--help" => {
            say(HELP);
            Ok(())
        }
        _ => {
            arguments.0.drain(..arguments.0.len().min(1));
            match command.as_str() {
                "serve" => serve(arguments),
                "client" => put(arguments),
                "calm" => simulation::calm(&arguments.0),
                _ => Err(HELP.into()),
            }
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            let _ = writeln!(io::stderr(), "replicated_log: {message}");
            ExitCode::FAILURE
        }
    }
}
