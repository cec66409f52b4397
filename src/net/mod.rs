//! The network: TCP listeners and streams, and UDP sockets.

pub(crate) mod address;
pub(crate) mod attempt;
mod datagram;
mod descriptor;
mod host;
mod listener;
mod options;
mod sigpipe;
mod stream;
pub(crate) mod system;
mod udp;

pub(crate) use datagram::Address;
pub use datagram::{Datagram, Received};
pub use descriptor::{Descriptor, stderr, stdin, stdout};
pub use listener::TcpListener;
pub use options::{ConnectOptions, Keepalive, ListenOptions, UdpOptions};
pub use stream::TcpStream;
pub(crate) use stream::{Borrowed, adopt, borrow, into_owned};
pub use udp::UdpSocket;
