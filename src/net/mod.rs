//! The network: listeners and streams, of TCP and of Unix sockets.

pub(crate) mod address;
mod descriptor;
mod descriptors;
mod host;
mod listener;
mod options;
mod stream;
pub(crate) mod system;
mod unix_address;
mod unix_listener;
mod unix_stream;

pub use descriptor::Descriptor;
pub use descriptors::Delivery;
pub use listener::TcpListener;
pub use options::{ConnectOptions, Keepalive, ListenOptions};
pub use stream::TcpStream;
pub(crate) use stream::{Borrowed, Stream, borrow, into_owned, socket};
pub use unix_address::{ToUnixAddress, UnixAddress};
pub use unix_listener::{UnixListenOptions, UnixListener};
pub use unix_stream::{PeerCredentials, UnixStream};
