//! Connecting by name: resolved on the pool, the addresses tried in turn.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};

use super::ConnectOptions;
use crate::{Io, Op, TcpStream};

struct Attempt<C, F> {
    context: C,
    callback: F,
    options: ConnectOptions,
    addresses: std::vec::IntoIter<SocketAddr>,
}

impl<C, F> Attempt<C, F>
where
    C: 'static,
    F: FnOnce(C, &Io, io::Result<TcpStream>) + 'static,
{
    fn next(mut self, io: &Io, last: io::Error) {
        let Some(address) = self.addresses.next() else {
            return (self.callback)(self.context, io, Err(last));
        };
        let options = self.options.clone();
        io.connect_with(self, address, &options, |attempt, io, result| match result {
            Ok(stream) => (attempt.callback)(attempt.context, io, Ok(stream)),
            Err(error) => attempt.next(io, error),
        });
    }
}

impl Io {
    /// Resolves `host` (`"name:port"`) on the pool and connects to its addresses in turn, until
    /// one takes the connection.
    ///
    /// The handle returned cancels the resolving; each attempt after it is bounded by the system.
    ///
    /// # Errors
    /// In the callback: what getaddrinfo(3) says; the last address's error; `NotFound` when the
    /// name has no address.
    pub fn connect_host<C, F>(
        &self,
        context: C,
        host: impl Into<String>,
        options: &ConnectOptions,
        callback: F,
    ) -> Op
    where
        C: 'static,
        F: FnOnce(C, &Io, io::Result<TcpStream>) + 'static,
    {
        let host = host.into();
        let resolve = move || host.to_socket_addrs().map(Iterator::collect::<Vec<_>>);
        let options = options.clone();
        self.offload((context, callback), resolve, move |(context, callback), io, result| {
            match result.and_then(|resolved| resolved) {
                Err(error) => callback(context, io, Err(error)),
                Ok(addresses) => {
                    let addresses = addresses.into_iter();
                    let attempt = Attempt { context, callback, options, addresses };
                    attempt.next(io, io::ErrorKind::NotFound.into());
                }
            }
        })
    }
}
