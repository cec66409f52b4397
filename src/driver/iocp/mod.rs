//! Completion ports: Windows.
//!
//! ```text
//!  row ─overlapped call─▶ done at once, no packet ─▶ ready
//!              └─▶ pending: its block is the system's ──packet──▶ port ─▶ completion, block free
//! ```
//!
//! I1. A handle's packets come to this port from its first operation on, and to no other one ever
//!     after (P80): one that was not used yet can go to another loop.
//! I2. A call that is done at once posts no packet, where its handle was told so
//!     (`FILE_SKIP_COMPLETION_PORT_ON_SUCCESS`), which is safe only with a provider whose sockets are
//!     the system's own handles (P76); else the packet is waited for.
//! I3. A cancel asks; the packet answers. An aborted call that nobody asked back is made again (P77).
//! I4. An operation that has several calls at a time (P79) is told of each, and with the last one that
//!     is over that there are no more; only then may it end.
//!
//! Sources: "I/O Completion Ports", SetFileCompletionNotificationModes, CancelIoEx in Microsoft's
//! documentation.
#![expect(unsafe_code, reason = "packets name blocks by address")]

use std::io;
use std::sync::Arc;
use std::time::Duration;

use windows_sys::Win32::Foundation::{STATUS_BUFFER_OVERFLOW, STATUS_CANCELLED};
use windows_sys::Win32::System::IO::{CancelIoEx, OVERLAPPED_ENTRY};

use crate::driver::Interest;
use crate::error::{code, to_raw};
use crate::fs::{AllTerms, system as files};
use crate::net::system;
use crate::offload::Calls;
use crate::op::{Completion, LANE_SHIFT, MORE, Op};
use crate::queue::Queue;
use crate::raw::{RawFd, is_file};

mod afd;
mod blocks;
mod place;
mod port;
#[cfg(test)]
mod tests;

use afd::Afd;
use blocks::{Blocks, Call, InFlight, Kind};
pub(crate) use place::Place;
use place::is_a_datagram;
use port::{Port, Timer};

/// Whether a handle's packets come to this port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Association {
    None,
    /// Each call that succeeds posts a packet.
    AllPackets,
    /// A call that succeeds at once posts none.
    SkipsDone,
    /// None comes here: a file that was not opened for calls that overlap, or another port's (P80).
    Refused,
    /// It was given for a file and is none: offsets mean nothing to it (P55).
    NoOffsets,
}

/// What is known of a handle.
#[derive(Clone, Copy)]
struct Handle {
    association: Association,
    /// Who receives, or did so last.
    receiver: Op,
    /// It receives nothing more: it was shut down.
    ended: bool,
}

impl Handle {
    const NEW: Handle =
        Handle { association: Association::None, receiver: Op::ENDED, ended: false };
}

/// Wakes the loop from any thread.
#[derive(Debug)]
pub(crate) struct Waker(Arc<Port>);

impl Waker {
    pub(crate) fn wake(&self) {
        self.0.post();
    }
}

pub(crate) struct Iocp {
    port: Arc<Port>,
    waker: Arc<Waker>,
    timer: Timer,
    packets: Box<[OVERLAPPED_ENTRY]>,
    blocks: Blocks,
    /// Calls that were done at once, and are completed like those that have a packet.
    done: Vec<InFlight>,
    /// Opened when readiness is first asked for.
    afd: Option<Afd>,
    /// By the number of the handle.
    handles: Vec<Handle>,
    system_calls: u64,
}

impl Iocp {
    pub(crate) fn new(entries: u32) -> io::Result<Iocp> {
        system::start_winsock();
        let port = Arc::new(Port::new()?);
        let entries = entries.clamp(1, 1 << 15) as usize;
        Ok(Iocp {
            waker: Arc::new(Waker(Arc::clone(&port))),
            port,
            timer: Timer::new(),
            packets: vec![OVERLAPPED_ENTRY::default(); entries].into_boxed_slice(),
            blocks: Blocks::new(),
            done: Vec::new(),
            afd: None,
            handles: Vec::new(),
            system_calls: 0,
        })
    }

    pub(crate) fn waker(&self) -> Arc<Waker> {
        Arc::clone(&self.waker)
    }

    pub(crate) fn system_calls(&self) -> u64 {
        self.system_calls
    }

    pub(crate) fn place<'a>(
        &'a mut self,
        op: Op,
        fd: RawFd,
        handle: u32,
        calls: &'a Calls,
        terms: &'a AllTerms,
    ) -> Place<'a> {
        Place { fd, op, handle, driver: self, calls, terms }
    }

    /// Has a handle's packets come to this loop's port.
    fn associate(&mut self, fd: RawFd, handle: u32) -> io::Result<Association> {
        if self.handle(handle).association == Association::None {
            self.system_calls += 2;
            if is_file(fd) && !files::is_seekable(fd) {
                self.handle(handle).association = Association::NoOffsets;
                return Ok(Association::NoOffsets);
            }
            let association = match self.port.associate(system::handle(fd)) {
                Ok(()) if system::skip_packets_of_the_done(fd) => Association::SkipsDone,
                Ok(()) => Association::AllPackets,
                Err(_) if is_file(fd) => Association::Refused,
                Err(error) => return Err(error),
            };
            self.handle(handle).association = association;
        }
        Ok(self.handle(handle).association)
    }

    fn handle(&mut self, handle: u32) -> &mut Handle {
        let at = handle as usize;
        if at >= self.handles.len() {
            self.handles.resize(at + 1, Handle::NEW);
        }
        &mut self.handles[at]
    }

    /// An operation waits for what a handle receives.
    fn receives(&mut self, handle: u32, op: Op) {
        self.handle(handle).receiver = op;
    }

    /// A handle receives nothing more: ends the waits of operations for it, which Windows does not.
    pub(crate) fn end_receive(&mut self, fd: RawFd, handle: u32) {
        self.handle(handle).ended = true;
        let receiver = self.handle(handle).receiver;
        if let Some(block) = self.blocks.find(receiver) {
            self.end(block);
        }
        // Rare, and so they are searched for.
        while let Some(block) = self.blocks.waiting(fd, Interest::Readable) {
            self.end(block);
        }
    }

    fn end(&mut self, block: InFlight) {
        block.set_ended();
        self.take_back(block);
    }

    /// Asks for an operation back; it completes.
    pub(crate) fn cancel(&mut self, op: Op) {
        let mut next = self.blocks.find(op);
        while let Some(block) = next {
            next = self.blocks.after(block);
            block.set_cancelled();
            self.take_back(block);
        }
    }

    /// Whether the system has calls of an operation.
    pub(crate) fn has_calls(&self, op: Op) -> bool {
        self.blocks.find(op).is_some()
    }

    fn take_back(&mut self, block: InFlight) {
        self.system_calls += 1;
        let on = match (block.call().kind, &self.afd) {
            (Kind::Readiness(_) | Kind::TryAgain, Some(afd)) => afd.handle(),
            _ => system::handle(block.call().fd),
        };
        // SAFETY: the handle is open while the operation is pending on it. Where nothing is found
        // to cancel, the packet is on its way (P77).
        unsafe { CancelIoEx(on, block.overlapped()) };
    }

    /// A handle is about to be closed or given away: nothing is pending on it.
    pub(crate) fn forget(&mut self, handle: u32) {
        if let Some(handle) = self.handles.get_mut(handle as usize) {
            *handle = Handle::NEW;
        }
    }

    /// Waits for packets (`None`: for ever, zero: not at all), and makes completions of them.
    pub(crate) fn wait(
        &mut self,
        timeout: Option<Duration>,
        ready: &mut Queue<Completion>,
    ) -> io::Result<()> {
        self.system_calls += 1;
        let timeout = if self.done.is_empty() { timeout } else { Some(Duration::ZERO) };
        let timeout = self.timer.start(timeout);
        for block in self.done.drain(..) {
            ready.push_back(conclude(&mut self.blocks, block));
        }
        for packet in self.port.take(&mut self.packets, timeout)? {
            if packet.lpOverlapped.is_null() {
                // The waker's.
                continue;
            }
            // SAFETY: all other packets are of calls that were given a block of this driver's, each
            // of which posts one: handles belong to the port, and the port to the driver.
            let block = unsafe { InFlight::of_packet(packet.lpOverlapped) };
            ready.push_back(conclude(&mut self.blocks, block));
        }
        Ok(())
    }
}

/// Puts the block of a call back that is over, and makes a completion of it.
fn conclude(blocks: &mut Blocks, block: InFlight) -> Completion {
    let mut completion = completion_of(block);
    let Call { op, lane, .. } = block.call();
    blocks.put_back(block);
    completion.flags |= u32::from(lane) << LANE_SHIFT;
    if blocks.find(op).is_some() {
        completion.flags |= MORE;
    }
    completion
}

fn completion_of(block: InFlight) -> Completion {
    let Call { op, kind, .. } = block.call();
    let Op { index, generation } = op;
    let result = result_of(block);
    let completion = Completion { index, generation, result, flags: 0 };
    match kind {
        // Where readiness could not be told, the call says what is wrong.
        Kind::TryAgain if result != -code::CANCELED => Completion::try_again(op),
        Kind::Datagram if is_a_datagram(result) => Completion::try_again(op),
        // An error of an earlier datagram is told once.
        Kind::Datagram => Completion { result: system::of_datagrams(result), ..completion },
        _ => completion,
    }
}

/// What a call that is over has for a result.
fn result_of(block: InFlight) -> i32 {
    let (call, (status, count)) = (block.call(), block.outcome());
    let count = i32::try_from(count).unwrap_or(i32::MAX);
    match status {
        // What was done before a cancel took effect is done.
        STATUS_CANCELLED if count > 0 => count,
        STATUS_CANCELLED if call.cancelled => -code::CANCELED,
        STATUS_CANCELLED if call.ended => 0,
        STATUS_CANCELLED => -code::INTERRUPTED,
        0.. if call.kind != Kind::Count => 1,
        // A datagram that was cut.
        STATUS_BUFFER_OVERFLOW if call.kind == Kind::Count => count,
        0.. => count,
        _ if is_file(call.fd) => match files::error_of(status) {
            error if files::is_end(&error) => 0,
            error => to_raw(&error),
        },
        _ => to_raw(&system::failure(call.fd, block.overlapped())),
    }
}
