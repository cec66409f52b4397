//! The network: listeners, streams and sockets of datagrams, of TCP, UDP and Unix sockets.

#[cfg(unix)]
pub(crate) mod address;
#[cfg(unix)]
pub(crate) mod attempt;
mod datagram;
#[cfg(unix)]
mod descriptor;
#[cfg(unix)]
mod descriptors;
mod host;
mod immediate;
mod listener;
mod options;
#[cfg(unix)]
pub(crate) mod sigpipe;
#[cfg(unix)]
mod splice;
mod stream;
#[cfg(unix)]
pub(crate) mod system;
mod udp;
mod unix_address;
#[cfg(unix)]
mod unix_datagram;
mod unix_listener;
mod unix_stream;
#[cfg(windows)]
pub(crate) mod windows;

pub(crate) use datagram::{Address, Sender};
pub use datagram::{Datagram, Received};
#[cfg(unix)]
pub use descriptor::{Descriptor, stderr, stdin, stdout};
#[cfg(unix)]
pub use descriptors::Delivery;
pub(crate) use immediate::Immediate;
pub(crate) use immediate::immediate;
pub use listener::TcpListener;
pub use options::{ConnectOptions, Keepalive, ListenOptions, UdpOptions};
pub use stream::TcpStream;
#[cfg(unix)]
pub(crate) use stream::adopt;
pub(crate) use stream::{Borrowed, Stream, borrow, into_owned};
pub use udp::UdpSocket;
pub use unix_address::{ToUnixAddress, UnixAddress};
#[cfg(unix)]
pub use unix_datagram::UnixDatagram;
pub use unix_listener::{UnixListenOptions, UnixListener};
#[cfg(unix)]
pub use unix_stream::PeerCredentials;
pub use unix_stream::UnixStream;
#[cfg(windows)]
pub(crate) use windows as system;
