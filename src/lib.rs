//! Completion-based I/O: start an operation, hand it what it needs, and your callback runs when it
//! is complete.
//!
//! ```text
//!   your code        callbacks: closures, or methods that take `self`
//!                         │
//!   typed operations      net · fs · timers · events · offload    safe: each owns its context and buffer
//!                         │
//!   Io                    slots · timers · run modes · cancel · remote
//!                         │
//!   op                    one table of operations
//!                         │
//!   driver                io_uring │ readiness (epoll, kqueue) │ completion ports │ simulator
//! ```
//!
//! An operation takes its context, its buffer and its callback by value, keeps them at an address
//! that does not move, and gives context and buffer back to the callback exactly once. So a
//! connection is a value whose transitions are methods that take `self`, and no `Rc<RefCell<…>>`
//! is needed.
//!
//! # A first program
//!
//! ```
//! use tigereye::{AsSource, Io, Next, Source, TcpListener, TcpStream};
//!
//! struct Client { stream: TcpStream, received: usize }
//!
//! impl AsSource for Client {
//!     fn as_source(&self) -> &Source { self.stream.as_source() }
//! }
//!
//! impl Client {
//!     fn receive(self, io: &Io, mut buf: Vec<u8>) {
//!         buf.clear();
//!         io.recv(self, buf, Client::received);
//!     }
//!     fn received(mut self, io: &Io, buf: Vec<u8>, result: std::io::Result<usize>) {
//!         match result {
//!             Ok(0) | Err(_) => io.stop(),             // dropping the client closes the stream
//!             Ok(count) => {
//!                 self.received += count;
//!                 io.send_all(self, buf, |client, io, buf, result| {
//!                     if result.is_ok() { client.receive(io, buf) }
//!                 });
//!             }
//!         }
//!     }
//! }
//!
//! let io = Io::new()?;
//! let listener = TcpListener::bind(&io, "127.0.0.1:0".parse().unwrap())?;
//! let address = listener.local_addr()?;
//! io.accept_each(
//!     listener,
//!     |_listener, io, stream| {
//!         Client { stream, received: 0 }.receive(io, Vec::with_capacity(4096));
//!         Next::Continue
//!     },
//!     |_listener, _io, result| println!("no longer accepting: {result:?}"),
//! );
//! # let peer = std::thread::spawn(move || {
//! #     use std::io::{Read, Write};
//! #     let mut stream = std::net::TcpStream::connect(address).unwrap();
//! #     stream.write_all(b"hello").unwrap();
//! #     stream.read_exact(&mut [0; 5]).unwrap();
//! # });
//! io.run()?;
//! # peer.join().unwrap();
//! # Ok::<(), std::io::Error>(())
//! ```

mod buf;
mod builder;
mod clock;
#[cfg(windows)]
mod console;
mod core;
mod driver;
mod due;
mod end;
mod error;
mod fs;
mod handle;
mod io;
mod mailbox;
mod net;
mod offload;
mod op;
mod pause;
mod queue;
mod raw;
mod remote;
#[cfg(unix)]
mod signal;
mod slot;
mod start;
mod state;
mod threads;
mod timer;

pub mod sim {
    //! The simulator: a world of hosts that run ordinary programs, replayed from a seed. See
    //! [`World`].

    pub use crate::driver::sim::{
        Disk, Disturbance, Disturbances, Failure, FaultCounts, FaultKind, Faults, Host, Latency,
        Plan, Report, Runner, Schedule, Smaller, Summary, Timeline, World, note,
    };
}

pub use buf::{AlignedBuf, BufferPool, IoBuf, IoBufMut, PoolBuf, Slice};
pub use builder::Builder;
#[cfg(windows)]
pub use console::Signal;
pub use driver::{DriverInfo, DriverKind};
pub use error::{is_at_capacity, is_cancelled};
pub use fs::{
    Allocation, At, DataFile, DataFileOptions, DirectAlignment, DirectIo, Directory, File,
    FileType, Metadata, OpenOptions, Renaming,
};
pub use handle::{AsSource, Source};
pub use io::{Io, Statistics};
pub use net::{
    ConnectOptions, Datagram, Keepalive, ListenOptions, Received, TcpListener, TcpStream,
    ToUnixAddress, UdpOptions, UdpSocket, UnixAddress, UnixListenOptions, UnixListener, UnixStream,
};
#[cfg(unix)]
pub use net::{Delivery, Descriptor, PeerCredentials, UnixDatagram, stderr, stdin, stdout};
pub use op::{Next, Op};
pub use remote::{PostError, Remote};
#[cfg(unix)]
pub use signal::Signal;
pub use start::Trigger;
pub use threads::{InTurn, Threads};
