//! A multithreaded web server: one loop per core, each with its own listener on the same port, or
//! one of them with a listener for all.
//!
//! `cargo run --release --example web_server`, then open the address that it prints.
//!
//! ```text
//!  main         the command line, the threads, the signals
//!   └ server     one loop's listener, limits and orderly end     figures   what the loops did
//!      └ connection     receives, answers, sends                 page      how it is shown
//!         ├ request      what the bytes say      no socket, no clock
//!         ├ response     what is answered
//!         └ files        what a path names, read on the pool     conditions  whether, and which part
//! ```

use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tigereye::{Io, Next, Signal, Threads};

use options::Options;
use server::Settings;

mod conditions;
mod connection;
mod figures;
mod files;
mod options;
mod page;
mod request;
mod response;
mod server;

/// A server that hears of no signals ends at once.
fn unheard((): (), _io: &Io, result: io::Result<()>) {
    if let Err(error) = result {
        let _ = writeln!(io::stderr(), "web_server: no signals: {error}");
    }
}

fn serve(options: Options) -> Result<(), String> {
    let text = |error: io::Error| error.to_string();
    let listening = |error: io::Error| format!("--addr {}: {error}", options.address);
    // The loops share the port, so they would share it with another server too, in silence.
    drop(std::net::TcpListener::bind(options.address).map_err(listening)?);
    // Before the threads start, so that a signal finds its handler.
    let mut builder = Io::builder().spin(options.spin);
    if let Some(driver) = options.driver {
        builder = builder.driver(driver);
    }
    // This loop has nothing to do but to wait for a signal.
    let io = builder.clone().spin(Duration::ZERO).build().map_err(text)?;
    io.signal_each((), &[Signal::INT, Signal::TERM], |(), _io, _signal| Next::Stop, unheard);
    let settings = Settings {
        figures: figures::Figures::new(options.threads),
        root: options.root.map(Arc::new),
        limits: options.limits,
        one_acceptor: options.one_acceptor,
    };
    // The loops start one after another: the first one learns the port.
    let address = Arc::new(Mutex::new(options.address));
    let shared = Arc::clone(&address);
    let threads = Threads::start(options.threads, &builder, move |index, io| {
        let mut address = shared.lock().unwrap_or_else(PoisonError::into_inner);
        *address = server::start(io, *address, index, settings.clone())?;
        Ok(())
    });
    let threads = threads.map_err(text)?;
    if options.one_acceptor {
        server::share(threads.remotes());
    }
    let address = *address.lock().unwrap_or_else(PoisonError::into_inner);
    let loops = if options.threads == 1 { "loop" } else { "loops" };
    let line = format!("listening on http://{address} with {} {loops}", options.threads);
    // Nobody need read it.
    let _ = writeln!(io::stdout(), "{line}");
    io.run().map_err(text)?;
    for remote in threads.remotes() {
        // A loop that is gone has nothing to finish.
        drop(remote.post(server::shut_down));
    }
    threads.join().map_err(text)
}

fn main() -> ExitCode {
    let result = match options::parse(std::env::args_os().skip(1)) {
        Ok(Some(options)) => serve(options),
        Ok(None) => {
            let _ = io::stdout().write_all(options::HELP.as_bytes());
            Ok(())
        }
        Err(message) => Err(message),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            let _ = writeln!(io::stderr(), "web_server: {message}");
            ExitCode::FAILURE
        }
    }
}
