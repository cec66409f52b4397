//! Datagrams on the bare io_uring: one multishot receive into provided slots, and each datagram sent
//! back from the slot that it came in.
//!
//! A slot is the kernel's (provided), then ours from its completion until the next `enter` has
//! returned: by then its send has completed, for it is not waited for ([`Port::send_back`]).

use crate::server::DATAGRAM_MAX;
use crate::sys::arena::Arena;
use crate::sys::ring::{self, Port, ROUND_DATAGRAM};
use std::io;
use std::net::UdpSocket;
use std::os::fd::{AsRawFd, OwnedFd};

const SLOTS: u32 = 1024;
const RECV: u64 = 1;
const SEND: u64 = 2;
const TERMINATE: u64 = 3;

/// Echoes datagrams until SIGTERM.
pub fn serve(socket: &UdpSocket, signal: &OwnedFd) -> io::Result<()> {
    let slot_size = (DATAGRAM_MAX + ROUND_DATAGRAM).next_multiple_of(64) as u32;
    let mut ring = ring::build(SLOTS)?;
    let mut port = Port::new(&mut ring, Arena::new(SLOTS, slot_size), 0)?;
    port.register_provided(SLOTS as u16)?;
    (0..SLOTS).for_each(|slot| port.provide(slot));
    port.publish();
    port.poll_in(signal.as_raw_fd(), false, TERMINATE);
    port.recv_datagrams(socket.as_raw_fd(), RECV);
    let (mut sending, mut receiving) = (Vec::new(), true);
    loop {
        port.enter(1)?;
        for slot in sending.drain(..) {
            port.provide(slot);
        }
        port.publish();
        while let Some(completion) = port.next() {
            match completion.tag {
                TERMINATE => return Ok(()),
                RECV => {
                    receiving = completion.more();
                    if let Some(slot) = completion.slot() {
                        port.send_back(socket.as_raw_fd(), slot, SEND);
                        sending.push(slot);
                    }
                }
                // A socket that is full has lost a datagram, as the network may.
                _ => {}
            }
        }
        if !receiving {
            port.recv_datagrams(socket.as_raw_fd(), RECV);
            receiving = true;
        }
    }
}
