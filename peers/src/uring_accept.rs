//! Accepting on the bare io_uring: every connection is closed as soon as it is there. One multishot
//! accept into direct descriptors, and one close for each, which says nothing when it worked.

use crate::sys::arena::Arena;
use crate::sys::ring::{self, Port};
use std::io;
use std::net::TcpListener;
use std::os::fd::{AsRawFd, OwnedFd};

/// Direct descriptors: connections that are there at once.
const FILES: u32 = 4096;
const ACCEPT: u64 = 1;
const CLOSE: u64 = 2;
const TERMINATE: u64 = 3;

/// Accepts and closes until SIGTERM.
pub fn serve(listener: &TcpListener, signal: &OwnedFd) -> io::Result<()> {
    let mut ring = ring::build(1024)?;
    let mut port = Port::new(&mut ring, Arena::new(1, 4096), FILES)?;
    port.poll_in(signal.as_raw_fd(), false, TERMINATE);
    port.accept_multi(listener.as_raw_fd(), ACCEPT);
    loop {
        port.enter(1)?;
        let mut accepting = true;
        while let Some(completion) = port.next() {
            match completion.tag {
                TERMINATE => return Ok(()),
                ACCEPT => {
                    accepting &= completion.more();
                    if let Ok(socket) = u32::try_from(completion.result) {
                        port.close(socket, CLOSE);
                    }
                }
                _ => {}
            }
        }
        if !accepting {
            port.accept_multi(listener.as_raw_fd(), ACCEPT);
        }
    }
}
