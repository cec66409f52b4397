//! What every server program shares: its command line and its first line of output.
//!
//! ```text
//! program --mode echo|http|file --addr 127.0.0.1:0 --size 64 [--file PATH] [flags of its own]
//! listening 127.0.0.1:43210
//! ```
//!
//! `--size` is a hint: the message size that the harness is about to use. `--file` is what `file`
//! sends; it is opened once, at the start. SIGTERM ends the program with status 0.

use crate::args::{Args, fail};
use crate::sys::{net, process};
use std::fs::File;
use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::path::PathBuf;

/// What is to be spoken.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Every byte back.
    Echo,
    /// `GET /hello`.
    Http,
    /// `GET /file`.
    File,
}

/// What `GET /file` is answered with.
pub struct Contents {
    /// Open to be read.
    pub file: File,
    /// Its size in bytes.
    pub length: u64,
}

impl Contents {
    fn open(args: &mut Args) -> io::Result<Self> {
        let Some(path) = args.take::<PathBuf>("file") else { fail("--mode file needs --file") };
        let file = File::open(&path);
        let file = file.unwrap_or_else(|why| fail(&format!("--file {}: {why}", path.display())));
        let length = file.metadata()?.len();
        if length == 0 {
            fail(&format!("--file {}: it is empty", path.display()));
        }
        Ok(Self { file, length })
    }
}

/// What the common flags asked for.
pub struct Server {
    /// What is to be spoken.
    pub mode: Mode,
    /// Size of the messages to expect, in bytes.
    pub size: u32,
    /// What [`Mode::File`] sends, and there alone.
    pub contents: Option<Contents>,
    /// Bound and listening.
    pub listener: TcpListener,
    /// Readable once the program is to end.
    pub signal: OwnedFd,
}

impl Server {
    /// Reads the common flags, listens, and announces the address.
    pub fn start(args: &mut Args) -> io::Result<Self> {
        let mode = match args.get("mode", "echo".to_owned()).as_str() {
            "echo" => Mode::Echo,
            "http" => Mode::Http,
            "file" => Mode::File,
            other => fail(&format!("--mode {other}: echo, http or file")),
        };
        let contents = if mode == Mode::File { Some(Contents::open(args)?) } else { None };
        let size = args.get("size", 64);
        let addr = args.get("addr", SocketAddr::from(([127, 0, 0, 1], 0)));
        process::lift_file_limit()?;
        let signal = process::termination()?;
        let listener = net::listen(addr)?;
        Ok(Self { mode, size, contents, listener, signal })
    }

    /// Reads `--buffer`: bytes that one receive takes at most. Large messages gather, and are best
    /// taken together.
    pub fn buffer(&self, args: &mut Args) -> usize {
        args.get("buffer", if self.size < 4096 { 16 * 1024 } else { 256 * 1024 })
    }

    /// Prints the line that the harness waits for.
    pub fn announce(&self) -> io::Result<()> {
        let mut out = io::stdout().lock();
        writeln!(out, "listening {}", self.listener.local_addr()?)?;
        out.flush()
    }
}
