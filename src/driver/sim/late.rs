//! What a loop asks of its system and the system does late: cancels, and calls that are put off.
//!
//! I1. A cancel that is late ends its operation in the end, unless that has ended before: whoever is woken
//!     meanwhile tries its call, and where it waits again the cancel finds it.
//! I2. A call that is put off waits for its handle, and is made when that is ready, or its time has come.

use super::{FaultKind, Sim};
use crate::driver::simulated::Simulator;
use crate::error::code;
use crate::op::{Completion, Op};
use crate::queue::Queue;

/// A cancel that is to take effect late.
pub(super) struct LateCancel {
    op: Op,
    handle: u32,
    /// Whether its time has come once before, and its operation had just been woken.
    is_second: bool,
}

impl Sim {
    /// Whether a call that waits for its handle is put off: it waits without having been tried.
    pub(super) fn puts_off(&mut self, op: Op, handle: u32) -> bool {
        let puts_off = self.kernel.borrow_mut().puts_off(self.looper, self.machine);
        if puts_off {
            self.put_off.push_back((op, handle));
        }
        puts_off
    }

    /// Has calls that were put off be made, as many as are due.
    pub(super) fn submit_put_off(&mut self, due: usize, ready: &mut Queue<Completion>) {
        for _ in 0..due {
            let Some((op, handle)) = self.put_off.pop_front() else { return };
            if self.let_go(op, handle) {
                ready.push_back(Completion::try_again(op));
            }
        }
    }

    /// Whether a cancel of an operation is yet to take effect.
    pub(super) fn has_late_cancel(&self, op: Op) -> bool {
        self.late.iter().any(|late| late.op == op)
    }

    /// Asks for an operation back; says whether it waited and does so no more.
    pub(super) fn ask_back(&mut self, op: Op, handle: u32) -> bool {
        if self.has_late_cancel(op) {
            return false;
        }
        if self.holds(op, handle) && self.fails(FaultKind::LateCancel) {
            self.cancel_later(LateCancel { op, handle, is_second: false });
            return false;
        }
        self.cancel_now(op, handle)
    }

    fn cancel_later(&mut self, late: LateCancel) {
        self.kernel.borrow_mut().cancel_late(self.looper);
        self.late.push_back(late);
    }

    /// Takes up late cancels, as many as are due. One whose operation has been woken has lost; it comes
    /// again, in case that the operation waits once more.
    pub(super) fn cancel_late(
        &mut self,
        due: usize,
        is_the_end: bool,
        ready: &mut Queue<Completion>,
    ) {
        for _ in 0..due.min(self.late.len()) {
            let Some(LateCancel { op, handle, is_second }) = self.late.pop_front() else { return };
            let is_woken = !self.holds(op, handle) || self.landed.contains(&op);
            if !is_woken || is_the_end {
                if self.cancel_now(op, handle) {
                    ready.push_back(Completion::in_user_space(op, -code::CANCELED));
                }
            } else if !is_second {
                self.cancel_later(LateCancel { op, handle, is_second: true });
            }
        }
    }

    /// Whether an operation waits for this handle, or for its call on the disk.
    pub(super) fn holds(&self, op: Op, handle: u32) -> bool {
        let ways = self.waiting.get(handle as usize);
        ways.is_some_and(|ways| ways.iter().any(|way| way.contains(&op)))
            || self.landed.contains(&op)
            || self.kernel.borrow().is_on_disk(self.looper, op)
    }

    fn cancel_now(&mut self, op: Op, handle: u32) -> bool {
        if let Some(at) = self.landed.iter().position(|&landed| landed == op) {
            // Its completion is on its way, and will find that it was asked to end.
            self.landed.swap_remove(at);
            self.kernel.borrow_mut().write_is_over(self.machine, self.looper, op);
            return false;
        }
        if self.kernel.borrow_mut().disk_cancel(self.machine, self.looper, op) {
            return true;
        }
        self.let_go(op, handle)
    }

    fn let_go(&mut self, op: Op, handle: u32) -> bool {
        let Some(ways) = self.waiting.get_mut(handle as usize) else { return false };
        ways.iter_mut().any(|way| {
            let at = way.iter().position(|&waiting| waiting == op);
            at.and_then(|at| way.remove(at)).is_some()
        })
    }
}
