//! What every server program shares: its command line and its first line of output.
//!
//! ```text
//! program --mode echo|http|file|udp|accept --addr 127.0.0.1:0 [--file PATH]
//!         --size 64 --connections 1 --pipeline 1 [flags of its own]
//! listening 127.0.0.1:43210
//! ```
//!
//! `udp` echoes datagrams, `accept` closes every connection as soon as it is there. `--size`,
//! `--connections` and `--pipeline` are hints: of how many bytes the messages are that the load is about
//! to send, on how many connections, and how many it keeps under way on each. A user knows as much of
//! what a server is for. `--file` is what `file` sends; it is opened once, at the start. SIGTERM ends the
//! program with status 0.

use crate::args::{Args, fail};
use crate::harness::program::flags;
use crate::sys::{net, process};
use std::fs::File;
use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::str::FromStr;

/// What is to be spoken.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Every byte back.
    Echo,
    /// `GET /hello`.
    Http,
    /// `GET /file`.
    File,
    /// Every datagram back.
    Udp,
    /// Every connection closed.
    Accept,
}

impl FromStr for Mode {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Ok(match name {
            "echo" => Self::Echo,
            "http" => Self::Http,
            "file" => Self::File,
            "udp" => Self::Udp,
            "accept" => Self::Accept,
            _ => return Err("echo, http, file, udp or accept".to_owned()),
        })
    }
}

/// Bytes of a file that are read at once, by a library that does not send files itself: what was best
/// for each of them, or nearly so, of 64, 128 and 256 KiB and 1 MiB.
pub const CHUNK: usize = 128 * 1024;
/// Bytes from which on messages are large.
pub const LARGE: u32 = 4096;
const SMALL_BUFFER: usize = 16 * 1024;
/// Bytes of a buffer that large messages gather in.
pub const LARGE_BUFFER: usize = 256 * 1024;
/// Most receives under way on one socket.
const RECEIVES: u32 = 16;
/// Bytes of a buffer for each connection, in all.
const BUFFERS_MAX: usize = 1 << 30;
/// Bytes that a datagram has at most.
pub const DATAGRAM_MAX: usize = 2048;

/// What `GET /file` is answered with.
pub struct Contents {
    /// Where it is: for libraries that open what they read.
    pub path: PathBuf,
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
        Ok(Self { path, file, length })
    }
}

/// What a server is told of its load beforehand.
#[derive(Clone, Copy)]
pub struct Hints {
    /// Size of the messages to expect, in bytes.
    pub size: u32,
    /// Connections.
    pub connections: u32,
    /// Messages under way on each.
    pub pipeline: u32,
}

impl Hints {
    /// Of this size, one on one connection.
    #[must_use]
    pub fn of(size: u32) -> Self {
        Self { size, connections: 1, pipeline: 1 }
    }

    fn from_args(args: &mut Args) -> Self {
        let (size, connections) = (args.get("size", 64), args.get("connections", 1));
        Self { size, connections, pipeline: args.get("pipeline", 1) }
    }

    /// Receives under way on one socket for datagrams, where a library has one task for each: more
    /// than one pays only where several datagrams can be there.
    #[must_use]
    pub fn datagrams(self) -> u32 {
        self.connections.clamp(1, RECEIVES)
    }

    /// Bytes of a buffer, where each connection has one.
    #[must_use]
    pub fn buffer(self) -> usize {
        match self.size {
            0..LARGE => SMALL_BUFFER,
            _ if self.connections as usize * LARGE_BUFFER <= BUFFERS_MAX => LARGE_BUFFER,
            size => (size as usize).next_multiple_of(SMALL_BUFFER),
        }
    }

    /// The command line that says so.
    #[must_use]
    pub fn flags(self) -> Vec<String> {
        flags([
            ("--size", self.size.to_string()),
            ("--connections", self.connections.to_string()),
            ("--pipeline", self.pipeline.to_string()),
        ])
    }
}

/// What the common flags asked for.
pub struct Server {
    /// What is to be spoken.
    pub mode: Mode,
    /// What to expect.
    pub hints: Hints,
    /// What [`Mode::File`] sends, and there alone.
    pub contents: Option<Contents>,
    /// Bound and listening.
    pub listener: TcpListener,
    /// Bound, for [`Mode::Udp`], and there alone.
    pub socket: Option<UdpSocket>,
    /// Readable once the program is to end.
    pub signal: OwnedFd,
}

/// Prints the line that the harness waits for.
pub fn announce(addr: SocketAddr) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "listening {addr}")?;
    out.flush()
}

impl Server {
    /// Reads the common flags, listens, and announces the address.
    pub fn start(args: &mut Args) -> io::Result<Self> {
        let mode = args.take("mode").unwrap_or(Mode::Echo);
        let contents = if mode == Mode::File { Some(Contents::open(args)?) } else { None };
        let hints = Hints::from_args(args);
        let addr = args.get("addr", SocketAddr::from(([127, 0, 0, 1], 0)));
        process::lift_file_limit()?;
        let signal = process::termination()?;
        let listener = net::listen(addr)?;
        let socket = if mode == Mode::Udp { Some(net::datagrams(addr)?) } else { None };
        Ok(Self { mode, hints, contents, listener, socket, signal })
    }

    /// As [`start`](Server::start), for a server that takes `--buffer` and no further flag, and ends
    /// by [`end_on_signal`](Server::end_on_signal). With the buffers' size.
    pub fn of_library() -> io::Result<(Self, usize)> {
        Self::of_library_with(Args::from_env())
    }

    /// The same, of what is left where flags of its own were taken.
    pub fn of_library_with(mut args: Args) -> io::Result<(Self, usize)> {
        let server = Self::start(&mut args)?;
        let size = server.buffer(&mut args);
        args.finish();
        server.end_on_signal()?;
        Ok((server, size))
    }

    /// Reads `--buffer`: bytes that one receive takes at most. Large messages gather, and are best
    /// taken together; but all connections have to fit in memory.
    pub fn buffer(&self, args: &mut Args) -> usize {
        args.get("buffer", self.hints.buffer())
    }

    /// Where it is to be found.
    pub fn addr(&self) -> io::Result<SocketAddr> {
        match &self.socket {
            Some(socket) => socket.local_addr(),
            None => self.listener.local_addr(),
        }
    }

    /// Prints the line that the harness waits for.
    pub fn announce(&self) -> io::Result<()> {
        announce(self.addr()?)
    }

    /// Ends the process when it is told to, from a thread that does nothing else: for libraries
    /// that have no way to wait for a descriptor which is not theirs.
    pub fn end_on_signal(&self) -> io::Result<()> {
        let signal = self.signal.try_clone()?;
        std::thread::spawn(move || {
            let waited = process::wait_readable(&signal);
            std::process::exit(i32::from(waited.is_err()));
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_of_all_connections_fit_in_memory() {
        let buffer = |size, connections| Hints { size, connections, pipeline: 1 }.buffer();
        assert_eq!((buffer(64, 1), buffer(64, 10_000)), (SMALL_BUFFER, SMALL_BUFFER));
        assert_eq!((buffer(LARGE, 1), buffer(16 << 10, 512)), (LARGE_BUFFER, LARGE_BUFFER));
        assert_eq!((buffer(LARGE, 10_000), buffer(40 << 10, 10_000)), (16 << 10, 48 << 10));
        assert!(10_000 * buffer(16 << 10, 10_000) <= BUFFERS_MAX);
    }
}
