//! Receiving again and again into the buffers of a pool; an idle connection holds none.
//!
//! When the pool is empty the operation waits for a buffer to come back, and only then asks the
//! kernel again: neither a busy loop nor an `ENOBUFS` that the caller sees.
//! Source: io_uring_prep_recv_multishot(3), kernel 6.0+.

use std::os::fd::RawFd;
use std::rc::Rc;

use io_uring::squeue::Flags;
use io_uring::{cqueue, opcode, types};

use super::{Completion, Direction, Multishot, Op, Rearm, Start};
use crate::Io;
use crate::buf::{PoolBuf, PoolShared};

pub(crate) struct RecvEach {
    pub(crate) pool: Rc<PoolShared>,
    pub(crate) multishot: bool,
}

impl Multishot for RecvEach {
    type Item = PoolBuf;
    const DIRECTION: Direction = Direction::In;

    fn uring(&mut self, fd: RawFd) -> Start {
        let (fd, group) = (types::Fd(fd), self.pool.group());
        Start::Entry(if self.multishot {
            opcode::RecvMulti::new(fd, group).build()
        } else {
            let entry = opcode::Recv::new(fd, std::ptr::null_mut(), 0).buf_group(group).build();
            entry.flags(Flags::BUFFER_SELECT)
        })
    }

    fn item(&mut self, _io: &Io, completion: Completion) -> Option<PoolBuf> {
        let id = cqueue::buffer_select(completion.flags)?;
        let len = usize::try_from(completion.result).unwrap_or(0);
        let buf = PoolShared::received(&self.pool, id, len);
        // The end of the stream, or an error, may carry a buffer: dropping it gives it back.
        (len > 0).then_some(buf)
    }

    fn ended(&mut self, _io: &Io, op: Op, result: i32) -> Rearm {
        match result {
            0 => Rearm::Done(0),
            result if result > 0 => Rearm::Again,
            result if result == -libc::ENOBUFS => {
                if self.pool.wait(op) {
                    Rearm::Parked
                } else {
                    Rearm::Again
                }
            }
            result if result == -libc::EINTR || result == -libc::EAGAIN => Rearm::Again,
            result => Rearm::Done(result),
        }
    }

    fn discard(&mut self, completion: Completion) {
        if let Some(id) = cqueue::buffer_select(completion.flags) {
            drop(PoolShared::received(&self.pool, id, 0));
        }
    }
}

impl Drop for RecvEach {
    fn drop(&mut self) {
        self.pool.hand_on();
    }
}
