//! Echo on mio: what a socket does not take is kept until it does.

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use std::collections::HashMap;
use std::io::{self, ErrorKind, Read, Write};

const LISTENER: Token = Token(0);

struct Connection {
    stream: TcpStream,
    unsent: Vec<u8>,
}

impl Connection {
    /// Until nothing is to be done for now; whether the connection goes on.
    fn advance(&mut self) -> io::Result<bool> {
        let mut buf = [0; 4096];
        loop {
            while !self.unsent.is_empty() {
                match self.stream.write(&self.unsent) {
                    Ok(len) => drop(self.unsent.drain(..len)),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(true),
                    Err(error) => return Err(error),
                }
            }
            match self.stream.read(&mut buf) {
                Ok(0) => return Ok(false),
                Ok(len) => self.unsent.extend_from_slice(&buf[..len]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(true),
                Err(error) => return Err(error),
            }
        }
    }
}

fn main() -> io::Result<()> {
    let mut poll = Poll::new()?;
    let mut listener = TcpListener::bind(([127, 0, 0, 1], 0).into())?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    println!("listening {}", listener.local_addr()?);
    let (mut events, mut connections, mut last) =
        (Events::with_capacity(1024), HashMap::new(), LISTENER);
    loop {
        poll.poll(&mut events, None)?;
        for event in &events {
            if event.token() == LISTENER {
                while let Ok((mut stream, _)) = listener.accept() {
                    last.0 += 1;
                    let both = Interest::READABLE | Interest::WRITABLE;
                    poll.registry().register(&mut stream, last, both)?;
                    connections.insert(last, Connection { stream, unsent: Vec::new() });
                }
            } else if let Some(connection) = connections.get_mut(&event.token())
                && !matches!(connection.advance(), Ok(true))
            {
                connections.remove(&event.token());
            }
        }
    }
}
