//! The network: TCP listeners and streams.

pub(crate) mod address;
mod host;
mod listener;
mod options;
mod stream;

pub use listener::TcpListener;
pub use options::{ConnectOptions, Keepalive, ListenOptions};
pub use stream::TcpStream;
