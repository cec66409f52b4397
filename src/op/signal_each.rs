//! Hearing of signals: a receive from the socket to which their handlers send a byte.
//!
//! Sources: recv(2), io_uring_prep_recv(3), signal(7); for Windows see `console.rs`.

#[cfg(unix)]
use std::mem::MaybeUninit;

#[cfg(target_os = "linux")]
use io_uring::{opcode, types};

use super::{Completion, Direction, Multishot, Op, Rearm, Start};
use crate::Io;
#[cfg(windows)]
use crate::console::{Listener, Signal};
#[cfg(windows)]
use crate::driver::iocp;
#[cfg(unix)]
use crate::driver::readiness;
use crate::driver::sim;
#[cfg(target_os = "linux")]
use crate::driver::uring;
use crate::error::code;
#[cfg(unix)]
use crate::signal::{Listener, Signal};

/// Bytes that are received at once; they say only that there is news.
#[cfg(unix)]
const BYTES: usize = 64;

pub(crate) struct SignalEach {
    listener: Listener,
    #[cfg(unix)]
    bytes: [MaybeUninit<u8>; BYTES],
}

impl SignalEach {
    pub(crate) fn new(listener: Listener) -> SignalEach {
        SignalEach {
            listener,
            #[cfg(unix)]
            bytes: [MaybeUninit::uninit(); BYTES],
        }
    }
}

impl Multishot for SignalEach {
    type Item = Signal;
    const DIRECTION: Direction = Direction::In;

    #[cfg(target_os = "linux")]
    fn uring(&mut self, place: &mut uring::Place<'_>) -> Start {
        if self.listener.has_heard() {
            return Start::Ready(0);
        }
        let (at, len) = (self.bytes.as_mut_ptr().cast(), BYTES as u32);
        place.submit(opcode::Recv::new(types::Fd(place.fd), at, len).build())
    }

    #[cfg(unix)]
    fn readiness(&mut self, place: &mut readiness::Place<'_>) -> Start {
        if self.listener.has_heard() {
            return Start::Ready(0);
        }
        place.recv(&mut self.bytes)
    }

    fn sim(&mut self, place: &mut sim::Place<'_>) -> Start {
        place.unsupported()
    }

    #[cfg(windows)]
    fn iocp(&mut self, _place: &mut iocp::Place<'_>) -> Start {
        // It is completed by a message to the loop (console.rs).
        if self.listener.has_heard() { Start::Ready(0) } else { Start::Parked }
    }

    fn item(&mut self, _io: &Io, completion: Completion) -> Option<Signal> {
        if completion.result < 0 {
            return None;
        }
        self.listener.take()
    }

    fn ended(&mut self, _io: &Io, _op: Op, result: i32) -> Rearm {
        match -result {
            code::WOULD_BLOCK | code::INTERRUPTED => Rearm::Again,
            _ if result >= 0 => Rearm::Again,
            _ => Rearm::Done(result),
        }
    }

    fn discard(&mut self, _completion: Completion) {}
}
