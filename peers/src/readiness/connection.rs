//! A connection: its socket, and what the socket has not taken yet.

use super::Socket;
use crate::service::Service;
use std::io;

/// A connection of a service with this state.
pub(super) struct Connection<F, State> {
    pub(super) socket: F,
    state: State,
    /// What the socket did not take, from `offset` on.
    pub(super) unsent: Vec<u8>,
    offset: usize,
    /// Close once `unsent` is gone.
    pub(super) ended: bool,
    /// More may be there to receive than was taken in the last turn.
    pub(super) again: bool,
}

impl<F: Socket, State: Default> Connection<F, State> {
    pub(super) fn new(socket: F) -> Self {
        let (state, unsent) = (State::default(), Vec::new());
        Self { socket, state, unsent, offset: 0, ended: false, again: false }
    }
}

impl<F: Socket, State> Connection<F, State> {
    /// Sends what the service answers. False: the connection failed.
    pub(super) fn answer<S>(&mut self, service: &mut S, input: &[u8], output: &mut [u8]) -> bool
    where
        S: Service<State = State>,
    {
        let mut input = input;
        loop {
            let response = service.respond(&mut self.state, input, output);
            self.ended |= response.close;
            if response.len > 0 && !self.send(&output[..response.len]) {
                return false;
            }
            if !response.more {
                return true;
            }
            input = &[];
        }
    }

    /// Sends at once what the socket takes and keeps the rest. False: the connection failed.
    #[inline]
    pub(super) fn send(&mut self, bytes: &[u8]) -> bool {
        let mut sent = 0;
        while self.unsent.is_empty() && sent < bytes.len() {
            match self.socket.send(&bytes[sent..]) {
                Ok(len) => sent += len,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
        self.unsent.extend_from_slice(&bytes[sent..]);
        true
    }

    /// Sends what was kept. False: the connection failed.
    pub(super) fn flush(&mut self) -> bool {
        while self.offset < self.unsent.len() {
            match self.socket.send(&self.unsent[self.offset..]) {
                Ok(len) => self.offset += len,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return true,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
        (self.unsent, self.offset) = (Vec::new(), 0);
        true
    }
}
