//! What the loop, its handles and the records of its operations share.
//!
//! I1. `state` is borrowed only for a few lines at a time, and no callback, context or buffer of
//!     the user's runs or is dropped under the borrow (a row's address cell may ask a buffer
//!     where it is).
#![expect(unsafe_code, reason = "a record is dropped through its vtable, a descriptor by number")]

use std::cell::{Cell, RefCell};
use std::net::Shutdown;
use std::sync::Arc;

use crate::clock::Clock;
use crate::driver::Driver;
use crate::driver::simulated::{self, Simulator};
use crate::driver::{DriverInfo, Waker};
use crate::error::{code, is_of_the_system};
use crate::handle::{DROPPED, HandleId, OPEN};
use crate::mailbox::Mailbox;
use crate::net::Immediate;
use crate::offload::JobId;
use crate::op::{Completion, Direction, MORE, Op, StartFn, USER_SPACE};
use crate::raw::{FromRawFd, IntoRawFd, OwnedFd, RawFd};
use crate::remote::Message;
#[cfg(windows)]
use crate::slot::PAUSED;
use crate::slot::{ASKED_TO_END, CANCEL_ASKED, NONE, STOPPED, SlotRef, State};
use crate::state::Loop;

pub(crate) type LoopMailbox = Mailbox<Message, Waker>;

pub(crate) struct Core {
    pub(crate) state: RefCell<Loop>,
    pub(crate) mailbox: Arc<LoopMailbox>,
    pub(crate) clock: Clock,
    pub(crate) driver: DriverInfo,
    /// The driver did not let go in time: its memory is never freed.
    pub(crate) leaked: Cell<bool>,
}

/// A descriptor that the loop owned, and has let go of.
pub(crate) fn owned(fd: RawFd) -> OwnedFd {
    // SAFETY: the handle table owned it and has just forgotten it.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// Closes a descriptor that the loop owned.
pub(crate) fn close_fd(fd: RawFd) {
    if simulated::is_simulated(fd) {
        return simulated::close(fd);
    }
    drop(owned(fd));
}

/// A descriptor of the system's, or of a simulated one, which is closed unless it is given away.
#[derive(Debug)]
pub(crate) struct Held(RawFd);

impl Held {
    pub(crate) fn new(fd: RawFd) -> Held {
        Held(fd)
    }

    pub(crate) fn as_raw_fd(&self) -> RawFd {
        self.0
    }

    #[cfg(windows)]
    pub(crate) fn is_simulated(&self) -> bool {
        simulated::is_simulated(self.0)
    }

    pub(crate) fn into_raw_fd(self) -> RawFd {
        std::mem::ManuallyDrop::new(self).0
    }
}

impl From<OwnedFd> for Held {
    fn from(fd: OwnedFd) -> Held {
        Held(fd.into_raw_fd())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        close_fd(self.0);
    }
}

impl Core {
    /// Asks the simulated system that the loop is on, if it is on one.
    pub(crate) fn simulated<T>(&self, ask: impl FnOnce(&dyn Simulator) -> T) -> Option<T> {
        match &self.state.borrow().driver {
            Some(Driver::Sim(sim)) => Some(ask(&**sim)),
            _ => None,
        }
    }

    /// Asks that an operation end early, for the reason in `flag`; and with it what it stands for.
    pub(crate) fn end_early(&self, op: Op, flag: u8) {
        let (job, inner) = {
            let mut state = self.state.borrow_mut();
            let Some(header) = state.slots.find(op.index, op.generation) else { return };
            let parked = header.state == State::Parked;
            let id = JobId { place: header.job, owner: op };
            state.ask_to_end(op.index, flag);
            if !parked {
                return;
            }
            (state.calls.pool.cancel(id), state.take_inner(op.index))
        };
        // A queued call is dropped here, a running one drops its result when it ends.
        drop(job);
        if let Some(inner) = inner {
            self.end_early(inner, CANCEL_ASKED);
        }
    }

    /// One of the two results of a zero-copy send; the operation's result once both are there.
    #[cold]
    pub(crate) fn one_of_two(&self, completion: &Completion) -> Option<i32> {
        let mut state = self.state.borrow_mut();
        let header = state.slots.header(completion.index);
        if completion.flags & MORE == 0 {
            return Some(header.result);
        }
        header.result = completion.result;
        if completion.result >= 0
            && let Some(fd) = state.done_but_for_its_buffer(completion.index)
        {
            drop(state);
            close_fd(fd);
        }
        None
    }

    /// Starts an operation again for the rest of its work, unless it was asked to end: then it
    /// ends with this.
    #[inline(always)]
    pub(crate) fn start_again(
        &self,
        slot: SlotRef,
        start: StartFn,
        direction: Direction,
    ) -> Option<i32> {
        let mut state = self.state.borrow_mut();
        if state.slots.header_of(slot).flags & ASKED_TO_END != 0 {
            return Some(-code::CANCELED);
        }
        if !state.hold_restart(slot) && !state.await_event(slot, direction) {
            state.start(slot, start);
        }
        None
    }

    /// Has an operation start those of its calls again that are over, beside those that the system has.
    /// Where it has none, the last completion is on its way, and sees to that.
    #[cfg(windows)]
    pub(crate) fn start_beside(&self, slot: SlotRef, start: StartFn) {
        let mut state = self.state.borrow_mut();
        let header = state.slots.header_of(slot);
        let (op, is_wanted) = (header.op(), header.flags & (ASKED_TO_END | STOPPED | PAUSED) == 0);
        let Some(Driver::Iocp(iocp)) = &state.driver else { return };
        if is_wanted && iocp.has_calls(op) {
            // It has some after that, whatever comes of the others.
            state.start(slot, start);
        }
    }

    /// Has an operation that was woken try again, unless it was asked to end; gives its result if
    /// that is there at once.
    #[inline]
    pub(crate) fn try_again(
        &self,
        slot: SlotRef,
        result: i32,
        start: impl FnOnce(&mut Loop, SlotRef, RawFd) -> Option<i32>,
    ) -> Option<i32> {
        self.state.borrow_mut().try_again(slot, result, start)
    }

    /// As [`try_again`](Core::try_again), of a flow: with what there is to say of its result. Where a call
    /// after this one would find nothing it waits already, as a flow of the driver's own does, and the
    /// result is not its last.
    #[inline]
    pub(crate) fn try_for_more(
        &self,
        slot: SlotRef,
        result: i32,
        direction: Direction,
        start: impl FnOnce(&mut Loop, SlotRef, RawFd) -> Option<i32>,
    ) -> Option<(i32, u32)> {
        let mut state = self.state.borrow_mut();
        let result = state.try_again(slot, result, start)?;
        // Who has received goes behind those that wait for a buffer.
        let waits = result > 0 && state.buffer_waiters == 0 && state.await_event(slot, direction);
        Some((result, if waits { USER_SPACE | MORE } else { USER_SPACE }))
    }

    /// Lets an operation wait for something in user space, unless it was asked to end.
    pub(crate) fn park_again(&self, op: Op) -> Option<i32> {
        let mut state = self.state.borrow_mut();
        let header = state.slots.header(op.index);
        if header.flags & ASKED_TO_END != 0 {
            return Some(-code::CANCELED);
        }
        header.state = State::Parked;
        None
    }

    pub(crate) fn park_exhausted(&self, op: Op) {
        self.state.borrow_mut().park_exhausted(op, &self.clock);
    }

    /// Whether the socket that an operation uses is connected.
    #[cold]
    pub(crate) fn has_peer(&self, op: Op) -> bool {
        let mut state = self.state.borrow_mut();
        let handle = state.slots.header(op.index).handle;
        handle != NONE && Immediate::of(state.handles.get(handle).fd).has_peer()
    }

    /// An item's callback wants no more.
    pub(crate) fn stop_each(&self, op: Op, last: bool) {
        let mut state = self.state.borrow_mut();
        let header = state.slots.header(op.index);
        let asked = header.flags & (STOPPED | ASKED_TO_END) != 0;
        header.flags |= STOPPED;
        if !last && !asked {
            state.cancel_in_driver(op.index);
        }
        state.resume(op.index);
    }

    /// A sync of this handle ended with an error: where it is the system's, its terms may keep it. A
    /// cancelled one did nothing, nor did one for which the pool had no thread.
    #[cold]
    pub(crate) fn sync_failed(&self, id: HandleId, result: i32) {
        let did_nothing =
            [-code::CANCELED, -code::INTERRUPTED, -code::WOULD_BLOCK].contains(&result);
        let mut state = self.state.borrow_mut();
        if is_of_the_system(result) && !did_nothing && state.handles.find(id).is_some() {
            state.handles.terms.sync_failed(id.index, result);
        }
    }

    /// Lets nothing more through a stream, unless it is closed.
    #[cold]
    pub(crate) fn shut_down(&self, id: HandleId) {
        let mut state = self.state.borrow_mut();
        let open = state.handles.find(id).filter(|handle| handle.closer == OPEN);
        if let Some(fd) = open.map(|handle| handle.fd) {
            // It fails when the peer has already ended the connection.
            let _ = Immediate::of(fd).shutdown(Shutdown::Both);
            #[cfg(windows)]
            if let Some(Driver::Iocp(iocp)) = &mut state.driver {
                iocp.end_receive(fd, id.index);
            }
        }
    }

    /// Frees the slot whose record of type `R` was moved out, and says what the result means.
    #[inline]
    pub(crate) fn release<R>(&self, slot: SlotRef, result: i32) -> i32 {
        let (result, fd) = self.state.borrow_mut().release::<R>(slot, result);
        if let Some(fd) = fd {
            close_fd(fd);
        }
        result
    }

    /// The last owner of a handle is gone.
    pub(crate) fn close_dropped(&self, id: HandleId) {
        if self.leaked.get() {
            // What is pending can be asked for nothing any more; the descriptor stays with it.
            return;
        }
        let fd = self.state.borrow_mut().close(id, DROPPED);
        if let Some(fd) = fd {
            close_fd(fd);
        }
    }

    /// Drops the record of an operation at the loop's end, without running its callback; says
    /// whether it is gone (it stays when the driver goes on with it).
    pub(crate) fn abandon(&self, index: u32, completion: Option<Completion>) -> bool {
        let Some((slot, vtable, fd)) = self.state.borrow_mut().abandon(index, completion) else {
            return false;
        };
        if let Some(fd) = fd {
            close_fd(fd);
        }
        // SAFETY: the vtable is that of the record in this slot, which is abandoned only once: a
        // slot without a vtable is passed over.
        unsafe { (vtable.abandon)(slot, completion) }
    }
}
