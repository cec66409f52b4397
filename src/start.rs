//! Starting operations: the methods of [`Io`] that no kind of handle owns, and the way from a row
//! to a slot.
#![expect(unsafe_code, reason = "a record is started where it was just placed")]

use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::driver::Driver;
use crate::handle::Source;
use crate::offload::{Rejected, package};
use crate::op::close::Close;
use crate::op::user_space::{InThisTurn, Parked, Ticks, Timeout};
use crate::op::{Direction, Each, Multishot, Once, Operation};
use crate::remote::Message;
use crate::slot::{FINAL, State};
use crate::state::{Loop, Target};
use crate::{AsSource, Io, Next, Op};

impl Io {
    /// Starts an operation that needs no handle.
    #[inline]
    pub(crate) fn submit<O, C, F>(&self, row: O, context: C, callback: F) -> Op
    where
        O: Operation,
        C: 'static,
        F: FnOnce(C, &Io, O::Output) + 'static,
    {
        self.submit_to(row, Target::Nothing, context, callback)
    }

    /// Starts an operation on the handle that the context names.
    #[inline]
    pub(crate) fn submit_on<O, C, F>(&self, row: O, context: C, callback: F) -> Op
    where
        O: Operation,
        C: AsSource + 'static,
        F: FnOnce(C, &Io, O::Output) + 'static,
    {
        let target = Target::from(context.as_source().id(self));
        self.submit_to(row, target, context, callback)
    }

    /// Starts an operation on a handle, or on none.
    #[inline]
    pub(crate) fn submit_to<O, C, F>(&self, row: O, target: Target, context: C, callback: F) -> Op
    where
        O: Operation,
        C: 'static,
        F: FnOnce(C, &Io, O::Output) + 'static,
    {
        let record = Once { row, context, callback };
        let vtable = &Once::<O, C, F>::VTABLE;
        // SAFETY: the loop calls it with the slot that it has just placed this record in.
        let start = |state: &mut _, slot, fd| unsafe { Once::<O, C, F>::start(state, slot, fd) };
        self.core.state.borrow_mut().insert(record, vtable, start, O::DIRECTION, target)
    }

    pub(crate) fn submit_each_on<O, C, F, D>(&self, row: O, context: C, each: F, done: D) -> Op
    where
        O: Multishot,
        C: AsSource + 'static,
        F: FnMut(&mut C, &Io, O::Item) -> Next + 'static,
        D: FnOnce(C, &Io, io::Result<()>) + 'static,
    {
        let target = Target::from(context.as_source().id(self));
        self.insert_each(row, target, context, each, done)
    }

    pub(crate) fn insert_each<O, C, F, D>(
        &self,
        row: O,
        target: Target,
        context: C,
        each: F,
        done: D,
    ) -> Op
    where
        O: Multishot,
        C: 'static,
        F: FnMut(&mut C, &Io, O::Item) -> Next + 'static,
        D: FnOnce(C, &Io, io::Result<()>) + 'static,
    {
        let record = Each { row, context, each, done };
        let vtable = &Each::<O, C, F, D>::VTABLE;
        // SAFETY: the loop calls it with the slot that it has just placed this record in.
        let start = |state: &mut _, slot, fd| unsafe { Each::<O, C, F, D>::start(state, slot, fd) };
        self.core.state.borrow_mut().insert(record, vtable, start, O::DIRECTION, target)
    }

    /// Completes after `delay`, never before: from now by the clock, not by the turn's cached
    /// time. Zero completes in the next turn, [`Duration::MAX`] never. Timers with equal deadlines
    /// complete in the order in which they were started. With the readiness driver the system waits
    /// in whole milliseconds, so a callback may come that much later.
    pub fn timeout<C, F>(&self, context: C, delay: Duration, callback: F) -> Op
    where
        C: 'static,
        F: FnOnce(C, &Io, io::Result<()>) + 'static,
    {
        let deadline_ns = self.core.clock.deadline_ns(delay);
        self.submit(Timeout { deadline_ns }, context, callback)
    }

    /// Calls `each` every `period` until it returns [`Next::Stop`] or the operation is cancelled;
    /// then `done` gets the context back. It does not drift; its argument is the number of periods
    /// since the last call, over 1 when the loop was too busy to be on time. A period of zero
    /// counts as one nanosecond.
    pub fn tick_each<C, F, D>(&self, context: C, period: Duration, each: F, done: D) -> Op
    where
        C: 'static,
        F: FnMut(&mut C, &Io, u64) -> Next + 'static,
        D: FnOnce(C, &Io, io::Result<()>) + 'static,
    {
        let deadline_ns = self.core.clock.deadline_ns(period);
        let period_ns = u64::try_from(period.as_nanos()).unwrap_or(u64::MAX).max(1);
        self.insert_each(Ticks { deadline_ns, period_ns }, Target::Nothing, context, each, done)
    }

    /// Calls `callback` in this turn of the loop, or in the next one where this one has run its
    /// share of callbacks; never inside this call, and without a system call.
    pub fn next<C, F>(&self, context: C, callback: F) -> Op
    where
        C: 'static,
        F: FnOnce(C, &Io) + 'static,
    {
        self.submit(InThisTurn, context, move |context, io, ()| callback(context, io))
    }

    /// Runs `call` on a thread of the loop's pool, for what blocks; its result comes to the
    /// callback. A call that is still queued can be cancelled; of one that runs, a cancel discards
    /// the result. A pool whose threads are all stuck holds up neither the loop nor its end.
    ///
    /// # Errors
    /// In the callback: an error of kind `Other` when the call panicked, and what pthread_create(3)
    /// says when no thread could be started.
    pub fn offload<C, T, F, D>(&self, context: C, call: F, callback: D) -> Op
    where
        C: 'static,
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
        D: FnOnce(C, &Io, io::Result<T>) + 'static,
    {
        let place = std::rc::Rc::new(std::cell::Cell::new(None));
        let receipt_place = std::rc::Rc::clone(&place);
        let finish = move |result: io::Result<u32>| -> io::Result<T> {
            result?;
            let receipt: Option<crate::offload::Receipt<T>> = receipt_place.take();
            match receipt.and_then(crate::offload::Receipt::take) {
                Some(Ok(value)) => Ok(value),
                Some(Err(_)) => Err(io::Error::other("the offloaded call panicked")),
                None => Err(io::Error::other("the offloaded call was not run")),
            }
        };
        let op = self.submit(Parked { finish }, context, callback);
        if !self.core.state.borrow_mut().is_parked(op) {
            // It was refused, so the call is not made.
            return op;
        }
        let mailbox = Arc::clone(&self.core.mailbox);
        let notify = move || {
            // A failed push means that the loop is gone, and with it the operation.
            drop(mailbox.push(Message::Complete(op)));
        };
        let (job, receipt) = package(call, notify);
        place.set(Some(receipt));
        let mut refused = None;
        let mut state = self.core.state.borrow_mut();
        let submitted = match state.driver.as_mut().map_or(Ok(()), Driver::expect_call) {
            Ok(()) => state.calls.pool.submit(op, job),
            Err(error) => Err(Box::new(Rejected { job, error })),
        };
        match submitted {
            Ok(id) => state.slots.header(op.index).job = id.place,
            Err(rejected) => {
                // To try again would be to wait for a call that nobody has.
                state.slots.header(op.index).flags |= FINAL;
                let code = rejected.error.raw_os_error().unwrap_or(crate::error::code::WOULD_BLOCK);
                state.finish_in_user_space(op.index, -code);
                refused = Some(rejected.job);
            }
        }
        drop(state);
        drop(refused);
        op
    }

    /// Completes when its [`Trigger`] is pulled, from any thread. One that was dropped leaves the
    /// operation to be cancelled.
    pub fn event<C, F>(&self, context: C, callback: F) -> (Op, Trigger)
    where
        C: 'static,
        F: FnOnce(C, &Io, io::Result<()>) + 'static,
    {
        let finish = |result: io::Result<u32>| result.map(drop);
        let op = self.submit(Parked { finish }, context, callback);
        (op, Trigger { op, remote: self.remote() })
    }

    /// Closes the handle that the context names, and says how that went: what is pending on it is
    /// cancelled and ends first. The context comes back with its handle closed. A close cannot be
    /// cancelled.
    ///
    /// # Errors
    /// In the callback: `NotConnected` when it is closed already; what close(2) says.
    pub fn close<C, F>(&self, context: C, callback: F) -> Op
    where
        C: AsSource + 'static,
        F: FnOnce(C, &Io, io::Result<()>) + 'static,
    {
        let source: &Source = context.as_source();
        let id = source.id(self);
        let record = Once { row: Close, context, callback };
        let vtable = &Once::<Close, C, F>::VTABLE;
        let mut state = self.core.state.borrow_mut();
        let park = |state: &mut Loop, slot, _| {
            state.slots.header_of(slot).state = State::Parked;
            None
        };
        let op = state.insert(record, vtable, park, Direction::None, Target::Nothing);
        if !state.is_parked(op) {
            return op;
        }
        state.slots.header(op.index).flags |= FINAL;
        match id {
            Some(id) => {
                let fd = state.close(id, op.index);
                assert!(fd.is_none(), "the close operation closes the descriptor");
            }
            None => state.finish_in_user_space(op.index, crate::error::FOREIGN),
        }
        op
    }
}

/// Completes an [`Io::event`], from any thread.
#[derive(Debug)]
pub struct Trigger {
    op: Op,
    remote: crate::Remote,
}

impl Trigger {
    /// Completes the event, once; does nothing when it has been cancelled or the loop is gone.
    pub fn pull(self) {
        drop(self.remote.mailbox.push(Message::Complete(self.op)));
    }
}
