//! The network: TCP listeners and streams.

pub(crate) mod address;
pub(crate) mod attempt;
mod descriptor;
mod host;
mod listener;
mod options;
mod sigpipe;
mod stream;
pub(crate) mod system;

pub use descriptor::{Descriptor, stderr, stdin, stdout};
pub use listener::TcpListener;
pub use options::{ConnectOptions, Keepalive, ListenOptions};
pub use stream::TcpStream;
pub(crate) use stream::{Borrowed, adopt, borrow, into_owned};
