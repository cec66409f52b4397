//! Connecting by name: resolved on the pool, the addresses tried in turn.
//!
//! ```text
//!   the operation: parked ◀──────── result ─────────┐
//!        │ cancel, deadline                         │
//!        ▼                                          │
//!   what it stands for now: resolve ─▶ connect ─▶ connect … ─▶ connected, or the last error
//! ```

use std::cell::Cell;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::rc::Rc;

use super::ConnectOptions;
use crate::op::user_space::Parked;
use crate::{Io, Op, TcpStream};

type Outcome = Rc<Cell<Option<io::Result<TcpStream>>>>;

/// The addresses that are left to try, for the operation `whole`.
struct Attempt {
    whole: Op,
    outcome: Outcome,
    options: ConnectOptions,
    addresses: std::vec::IntoIter<SocketAddr>,
}

impl Attempt {
    /// Tries the next address; when none is left, the last error stands.
    fn go_on(mut self, io: &Io, last: io::Error) {
        let Some(address) = self.addresses.next() else { return self.end(io, Err(last)) };
        let (whole, options) = (self.whole, self.options.clone());
        let attempt =
            io.connect_with(self, address, &options, |attempt, io, result| match result {
                Ok(stream) => attempt.end(io, Ok(stream)),
                Err(error) => attempt.go_on(io, error),
            });
        io.stand_for(whole, attempt);
    }

    fn end(self, io: &Io, result: io::Result<TcpStream>) {
        self.outcome.set(Some(result));
        let mut state = io.core.state.borrow_mut();
        state.limit -= 1;
        state.finish_parked(self.whole);
    }
}

impl Io {
    /// From now on to end the operation `whole` is to end `part`. Where it has ended already,
    /// `part` is not needed.
    fn stand_for(&self, whole: Op, part: Op) {
        let mut state = self.core.state.borrow_mut();
        if state.is_parked(whole) {
            state.set_inner(whole.index, part);
        } else {
            drop(state);
            self.cancel(part);
        }
    }

    /// What a name is in a simulated world, where the loop is in one.
    fn resolve_simulated(&self, host: &str) -> Option<io::Result<Vec<SocketAddr>>> {
        self.core.simulated(|sim| sim.resolve(host))
    }

    /// Resolves `host` (`"name:port"`) on the pool and connects to its addresses in turn, until
    /// one takes the connection. A cancel or a deadline ends the whole of it; a call to the
    /// resolver that already runs goes on unheard.
    ///
    /// # Errors
    /// In the callback: what getaddrinfo(3) says; the last address's error; `NotFound` when the
    /// name has no address.
    ///
    /// ```
    /// use tigereye::{ConnectOptions, Io};
    ///
    /// let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    /// let host = format!("localhost:{}", listener.local_addr()?.port());
    /// let io = Io::new()?;
    /// io.connect_host("a context", host, &ConnectOptions::new(), |_context, _io, result| {
    ///     println!("connected to {:?}", result.and_then(|stream| stream.peer_addr()));
    /// });
    /// io.run()?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
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
        let outcome = Outcome::default();
        let taken = Rc::clone(&outcome);
        let finish = move |result: io::Result<u32>| {
            result?;
            taken.take().unwrap_or_else(|| Err(io::ErrorKind::NotFound.into()))
        };
        let whole = self.submit(Parked { finish }, context, callback);
        {
            let mut state = self.core.state.borrow_mut();
            if !state.is_parked(whole) {
                return whole;
            }
            // What is done inside the operation takes no capacity of the caller's.
            state.limit += 1;
        }
        let (host, options) = (host.into(), options.clone());
        let simulated = self.resolve_simulated(&host);
        let resolve = move || {
            simulated.unwrap_or_else(|| host.to_socket_addrs().map(Iterator::collect::<Vec<_>>))
        };
        let part = self.offload((), resolve, move |(), io, result| {
            let (addresses, error) = match result.and_then(|resolved| resolved) {
                Ok(addresses) => (addresses, io::ErrorKind::NotFound.into()),
                Err(error) => (Vec::new(), error),
            };
            Attempt { whole, outcome, options, addresses: addresses.into_iter() }.go_on(io, error);
        });
        self.stand_for(whole, part);
        whole
    }
}
