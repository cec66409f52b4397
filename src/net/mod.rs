//! The network: listeners, streams and sockets of datagrams, of TCP, UDP and Unix sockets.

pub(crate) mod address;
pub(crate) mod attempt;
mod datagram;
mod descriptor;
mod descriptors;
mod host;
mod immediate;
mod listener;
mod options;
pub(crate) mod sigpipe;
mod splice;
mod stream;
pub(crate) mod system;
mod udp;
mod unix_address;
mod unix_datagram;
mod unix_listener;
mod unix_stream;

pub(crate) use datagram::Address;
pub use datagram::{Datagram, Received};
pub use descriptor::{Descriptor, stderr, stdin, stdout};
pub use descriptors::Delivery;
pub(crate) use immediate::Immediate;
pub use listener::TcpListener;
pub use options::{ConnectOptions, Keepalive, ListenOptions, UdpOptions};
pub use stream::TcpStream;
pub(crate) use stream::{Borrowed, Stream, adopt, borrow, into_owned, socket};
pub use udp::UdpSocket;
pub use unix_address::{ToUnixAddress, UnixAddress};
pub use unix_datagram::UnixDatagram;
pub use unix_listener::{UnixListenOptions, UnixListener};
pub use unix_stream::{PeerCredentials, UnixStream};
