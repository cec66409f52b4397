//! The table of operations: one file each, and here what they have in common.
//!
//! ```text
//!   typed method ──▶ Record { row, context, callback } placed in a slot
//!                         │ row.uring(place), row.readiness(place) ─▶ Start: who will complete it
//!                         ▼
//!                      driver … completion
//!                         │ row.step(result) ─▶ again (a short transfer) or done
//!                         ▼
//!                      slot freed ─▶ row.finish(result) ─▶ callback(context, io, output)
//! ```
//!
//! A row says everything about an operation; a driver moves rows and never names one. The cells
//! have no default bodies: a new driver adds a method to [`Operation`], and the compiler lists
//! every row that lacks it.
//!
//! | row | file | io_uring | epoll, kqueue | completion ports | simulator |
//! |---|---|---|---|---|---|
//! | accept, accept_each, accept_unix, accept_unix_each | `accept.rs` | `ACCEPT`, multishot from 5.19 | accept4, accept | AcceptEx, of a flow eight at a time | accept |
//! | connect, connect_with, connect_host | `connect.rs` | `CONNECT` | connect, then `SO_ERROR` | ConnectEx | connect |
//! | connect_unix | `connect_unix.rs` | none: it makes the call | connect | pool: connect | connect |
//! | recv, recv_exact | `recv.rs` | `RECV` | recv | WSARecv | recv |
//! | recv_each | `recv_each.rs` | `RECV`, multishot with provided buffers, from 6.0 | recv | recv, when there is something | recv |
//! | send, send_all, send_detached | `send.rs` | `SEND` | send | WSASend, when there is room | send |
//! | recv_vectored, send_vectored, send_all_vectored | `vectored.rs` | `RECVMSG`, `SENDMSG` | recvmsg, sendmsg | WSARecv; WSASend, when there is room | recvmsg, sendmsg |
//! | send_with_descriptors, recv_with_descriptors | `descriptors.rs` | `SENDMSG`, `RECVMSG` | sendmsg, recvmsg | not on Windows | no: they are a system's |
//! | send_zero_copy | `send_zero_copy.rs` | `SEND_ZC` from 6.0, else `SEND` | send | as send | send |
//! | send_to, send_segments | `send_to.rs` | `SENDMSG` | sendmsg | WSASendTo, WSASendMsg | sendmsg |
//! | send_to_unix | `send_to_unix.rs` | `SENDMSG`, which does not wait | sendmsg | not on Windows | sendmsg |
//! | recv_from, recv_from_unix | `recv_from.rs` | `RECVMSG` | recvmsg | WSARecvMsg, when there is something | recvmsg |
//! | recv_from_each, recv_from_unix_each | `recv_from_each.rs` | `RECVMSG`, multishot with provided buffers, from 6.0 | recvmsg | WSARecvMsg, when there is something | recvmsg |
//! | send_file, send_file_all | `send_file.rs` | `POLL_ADD`, then sendfile; pool: sendfile | poll, then sendfile; pool: sendfile | TransmitFile | pread and send |
//! | splice, splice_all | `splice.rs` | `POLL_ADD`, then pool: splice | poll, then pool: splice; not on kqueue | not on Windows | no: it has no pipes |
//! | shutdown | `shutdown.rs` | `SHUTDOWN` | shutdown | shutdown | shutdown |
//! | close | `close.rs` | `CLOSE`, or pool | close, or pool | closesocket; of a file on the pool | close |
//! | open, open_directory | `open.rs` | `OPENAT`, `OPENAT2` | pool: openat, openat2 | pool: NtCreateFile | openat, openat2 |
//! | open_data_file | `open_data_file.rs` | pool | pool: openat, flock, fallocate, fsync | pool: NtCreateFile, SetFileInformationByHandle, FlushFileBuffers | openat, flock, fallocate, fsync in one |
//! | read, read_exact | `read.rs` | `READ` | preadv2, read; pool: read | no: a handle that overlaps has no position | pread; recv of a socket |
//! | write, write_all | `write.rs` | `WRITE` from 6.18, else as at the right | pwritev2, write; pool: write | no: a handle that overlaps has no position | pwrite; send of a socket |
//! | read_at, read_exact_at | `read_at.rs` | `READ`, `READ_FIXED` | preadv2; pool: pread | ReadFile, or pool | pread |
//! | write_at, write_all_at | `write_at.rs` | `WRITE`, `WRITE_FIXED` | pool: pwrite | WriteFile, or pool | pwrite |
//! | read_vectored_at, write_vectored_at, write_all_vectored_at | `vectored_at.rs` | `READV`, `WRITEV` | preadv2; pool: preadv, pwritev | pool: ReadFile, WriteFile, one a buffer | preadv, pwritev |
//! | append | `append.rs` | `WRITE`, `RWF_APPEND` | pool: pwritev2; write | WriteFile, or pool | pwritev2 |
//! | set_len | `set_len.rs` | `FTRUNCATE` from 6.9, else pool | pool: ftruncate | pool: SetFileInformationByHandle | ftruncate |
//! | sync, sync_data | `sync.rs` | `FSYNC` | pool: fsync, fdatasync, `F_FULLFSYNC` | pool: FlushFileBuffers | fsync |
//! | sync_range | `sync_range.rs` | `SYNC_FILE_RANGE` | pool: sync_file_range; as sync_data | as sync_data | sync_file_range, which promises nothing |
//! | allocate | `allocate.rs` | `FALLOCATE` | pool: fallocate, posix_fallocate, `F_PREALLOCATE` | pool: SetFileInformationByHandle | fallocate |
//! | metadata, metadata_at | `metadata.rs` | `STATX` | pool: statx; fstat, fstatat | pool: GetFileInformationByHandleEx | statx |
//! | rename, rename_with | `rename.rs` | `RENAMEAT` | pool: renameat2, renameatx_np, renameat | pool: NtSetInformationFile; no exchange | renameat2 |
//! | hard_link | `hard_link.rs` | `LINKAT` from 5.15, else pool | pool: linkat | pool: NtSetInformationFile | linkat |
//! | symlink | `symlink.rs` | `SYMLINKAT` from 5.15, else pool | pool: symlinkat | pool: CreateSymbolicLinkW | symlinkat |
//! | remove_file, remove_directory | `remove.rs` | `UNLINKAT` | pool: unlinkat | pool: NtSetInformationFile | unlinkat |
//! | create_directory | `create_directory.rs` | `MKDIRAT` from 5.15, else pool | pool: mkdirat | pool: NtCreateFile | mkdirat |
//! | signal_each | `signal_each.rs` | `RECV` | recv | SetConsoleCtrlHandler | no: they are a process's |
//! | readable, writable | `poll.rs` | `POLL_ADD` | poll | readiness of Winsock's driver | poll |
//! | timeout, tick_each, next, event, offload | `user_space.rs` | none: user space | none | none | none; offload after a simulated while |
#![expect(unsafe_code, reason = "records are moved into and out of slots by address")]

use std::io;

use crate::Io;
use crate::driver::Driver;
use crate::driver::Interest;
#[cfg(windows)]
use crate::driver::iocp;
#[cfg(unix)]
use crate::driver::readiness;
use crate::driver::sim;
#[cfg(target_os = "linux")]
use crate::driver::uring;
use crate::error::{self, code};
use crate::handle::HandleId;
use crate::pause::was_paused;
use crate::raw::RawFd;
use crate::slot::{self, STOPPED, SlotRef};
use crate::state::Loop;

pub(crate) mod accept;
pub(crate) mod allocate;
pub(crate) mod append;
pub(crate) mod close;
pub(crate) mod connect;
pub(crate) mod connect_unix;
pub(crate) mod create_directory;
#[cfg(unix)]
pub(crate) mod descriptors;
#[cfg(unix)]
pub(crate) mod envelope;
pub(crate) mod hard_link;
#[cfg(windows)]
mod incoming;
#[cfg(windows)]
pub(crate) mod letter;
pub(crate) mod metadata;
pub(crate) mod open;
pub(crate) mod open_data_file;
pub(crate) mod poll;
#[cfg(unix)]
pub(crate) mod read;
pub(crate) mod read_at;
pub(crate) mod recv;
pub(crate) mod recv_each;
pub(crate) mod recv_from;
pub(crate) mod recv_from_each;
pub(crate) mod remove;
pub(crate) mod rename;
pub(crate) mod retry;
pub(crate) mod send;
pub(crate) mod send_file;
pub(crate) mod send_to;
#[cfg(unix)]
pub(crate) mod send_to_unix;
pub(crate) mod send_zero_copy;
pub(crate) mod set_len;
pub(crate) mod shutdown;
pub(crate) mod signal_each;
#[cfg(unix)]
pub(crate) mod splice;
pub(crate) mod supply;
pub(crate) mod symlink;
pub(crate) mod sync;
pub(crate) mod sync_range;
pub(crate) mod tries;
mod two_ends;
pub(crate) mod user_space;
pub(crate) mod vectored;
pub(crate) mod vectored_at;
pub(crate) mod vectors;
#[cfg(unix)]
pub(crate) mod write;
pub(crate) mod write_at;

#[cfg(windows)]
pub(crate) use letter as envelope;

/// The completion is not the operation's last one.
pub(crate) const MORE: u32 = 2;
/// The completion says that the buffer of a zero-copy send is free.
pub(crate) const NOTIFICATION: u32 = 8;
/// The completion went before others.
pub(crate) const WENT_FIRST: u32 = 1 << 12;
/// Not a completion of the operation: its handle is ready, and it may try again.
pub(crate) const TRY_AGAIN: u32 = 1 << 13;
/// Not a completion of the operation: a cancel of it found nothing to cancel just now.
pub(crate) const CANCEL_MISSED: u32 = 1 << 14;
/// The completion was made in user space.
pub(crate) const USER_SPACE: u32 = 1 << 15;

/// Of several calls that an operation has with the system at a time, which one the completion is of: in
/// the flags from this bit on.
#[cfg(windows)]
pub(crate) const LANE_SHIFT: u32 = 16;

/// Which way an operation moves bytes on its handle; one at a time each way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    /// Receiving, accepting.
    In,
    /// Sending.
    Out,
    /// It does not queue behind others.
    None,
    /// Sending by itself, as a datagram goes: what takes many entries at once takes all of them.
    Datagram,
}

/// Who will complete an operation.
pub(crate) enum Start {
    /// The driver, which has taken it: an entry of io_uring, an overlapped call, a call on a simulated
    /// disk.
    Submitted,
    /// io_uring, which has taken its entry, while it is submitted: silence will mean that all is
    /// done. Whether somebody waits for that, or it is enough to know when the loop is next awake.
    #[cfg(target_os = "linux")]
    Inline { awaited: bool },
    /// Nobody yet: it is tried again when its handle is ready this way.
    Await(Interest),
    /// Nobody yet: as above, when a second handle of the loop's is readable, which the row owns.
    #[cfg(unix)]
    AwaitBytes { handle: u32, fd: RawFd },
    /// The loop's timers, at this time in nanoseconds since the loop's start.
    Timer(u64),
    /// The pool, which has its call in this place of its queue.
    Offloaded(u32),
    /// Nobody: it is done, with this result.
    Ready(i32),
    /// Something else in user space.
    Parked,
}

impl Start {
    /// Whether the operation waits for its handle, to try again then.
    #[inline]
    pub(crate) fn is_a_wait(&self) -> bool {
        #[cfg(unix)]
        return matches!(self, Start::Await(_));
        // What tries and finds nothing is with the port.
        #[cfg(windows)]
        matches!(self, Start::Submitted)
    }
}

/// Whether a result ends an operation.
pub(crate) enum Step {
    /// It does, with this result.
    Done(i32),
    /// It does, with this result, and nothing may follow on this stream.
    Broken(i32, HandleId),
    /// It does, with this error, and what was written to this file may not last.
    Unsynced(i32, HandleId),
    /// It must be started once more, for the rest.
    Again,
    /// It must be started once more, whatever is known of its handle.
    Retry,
}

/// A result on its way up.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Completion {
    pub(crate) index: u32,
    pub(crate) generation: u32,
    pub(crate) result: i32,
    pub(crate) flags: u32,
}

impl Completion {
    /// Fills places that no completion is in.
    pub(crate) const NOTHING: Completion =
        Completion { index: 0, generation: 0, result: 0, flags: 0 };

    #[inline]
    pub(crate) fn of(op: Op, result: i32, flags: u32) -> Completion {
        let Op { index, generation } = op;
        Completion { index, generation, result, flags }
    }

    /// Tells an operation that it may try again.
    #[inline]
    pub(crate) fn try_again(op: Op) -> Completion {
        Completion::of(op, -code::WOULD_BLOCK, TRY_AGAIN)
    }

    /// The provided buffer that the driver filled.
    #[inline]
    pub(crate) fn buffer(&self) -> Option<u16> {
        #[cfg(target_os = "linux")]
        return io_uring::cqueue::buffer_select(self.flags);
        #[cfg(not(target_os = "linux"))]
        None
    }

    /// Which one it is of several calls that the operation has at a time.
    #[cfg(windows)]
    pub(crate) fn lane(&self) -> usize {
        (self.flags >> LANE_SHIFT) as usize
    }

    /// The last completion of an operation, made in user space.
    #[inline]
    pub(crate) fn in_user_space(op: Op, result: i32) -> Completion {
        Completion::of(op, result, USER_SPACE)
    }

    /// The operation that it is of.
    #[inline]
    pub(crate) fn op(&self) -> Op {
        Op { index: self.index, generation: self.generation }
    }
}

/// A row: an operation with one result.
pub(crate) trait Operation: Sized + 'static {
    /// What the callback gets beside context and loop.
    type Output;
    const DIRECTION: Direction;
    /// io_uring's cell.
    #[cfg(target_os = "linux")]
    fn uring(&mut self, place: &mut uring::Place<'_>) -> Start;
    /// The cell of epoll and kqueue: tries the call, which does not block.
    #[cfg(unix)]
    fn readiness(&mut self, place: &mut readiness::Place<'_>) -> Start;
    /// The simulator's cell: tries the call on a simulated system.
    fn sim(&mut self, place: &mut sim::Place<'_>) -> Start;
    /// The completion port's cell.
    #[cfg(windows)]
    fn iocp(&mut self, place: &mut iocp::Place<'_>) -> Start;
    fn step(&mut self, result: i32) -> Step;
    fn finish(self, io: &Io, result: io::Result<u32>) -> Self::Output;
    /// Frees what a result carries that nobody will take (a descriptor).
    fn discard(self, result: i32);
}

/// A row: an operation with many results.
pub(crate) trait Multishot: Sized + 'static {
    type Item;
    const DIRECTION: Direction;
    /// io_uring's cell.
    #[cfg(target_os = "linux")]
    fn uring(&mut self, place: &mut uring::Place<'_>) -> Start;
    /// The cell of epoll and kqueue: tries the call, which does not block.
    #[cfg(unix)]
    fn readiness(&mut self, place: &mut readiness::Place<'_>) -> Start;
    /// The simulator's cell: tries the call on a simulated system.
    fn sim(&mut self, place: &mut sim::Place<'_>) -> Start;
    /// The completion port's cell.
    #[cfg(windows)]
    fn iocp(&mut self, place: &mut iocp::Place<'_>) -> Start;
    /// The item that a result carries, if it carries one.
    fn item(&mut self, io: &Io, completion: Completion) -> Option<Self::Item>;
    /// What to do after a result that ended the driver's part: go on, or end with this.
    fn ended(&mut self, io: &Io, op: Op, result: i32) -> Rearm;
    fn discard(&mut self, completion: Completion);
}

/// How a multishot operation goes on when the driver's part ended.
pub(crate) enum Rearm {
    Again,
    /// Later: something in user space starts it again.
    Parked,
    Done(i32),
}

/// What an item's callback wants next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// More items.
    Continue,
    /// No more: the operation ends, and its last callback gets `Ok`.
    Stop,
}

/// Names an operation in flight: to cancel it ([`Io::cancel`](crate::Io::cancel)) or to give it a
/// deadline ([`Io::deadline`](crate::Io::deadline)). Once the operation has ended the name finds
/// nobody, and using it does nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Op {
    pub(crate) index: u32,
    pub(crate) generation: u32,
}

impl Op {
    /// Names nobody: the operation ended while it was started.
    pub(crate) const ENDED: Op = Op { index: u32::MAX, generation: 0 };
}

/// Starts the record of a type, which must be in this slot.
pub(crate) type StartFn = unsafe fn(&mut Loop, SlotRef, RawFd) -> Option<i32>;

/// Has a row's cell for the driver start the operation in `slot`. Each driver has an arm up to what
/// becomes of the operation, so that what its cell answers need not be in memory.
macro_rules! start_row {
    ($state:ident, $slot:ident, $fd:ident, $row:ident) => {{
        let header = $state.slots.header_of($slot);
        let (op, handle) = (header.op(), header.handle);
        let (calls, terms) = (&$state.calls, &$state.handles.terms);
        match &mut $state.driver {
            #[cfg(target_os = "linux")]
            Some(Driver::Uring(uring)) => {
                let ready = &$state.ready;
                let start = $row.uring(&mut uring.place(op, $fd, handle, calls, terms, ready));
                $state.went_to_ring($slot, start)
            }
            #[cfg(unix)]
            Some(Driver::Readiness(readiness)) => {
                let ready = &$state.ready;
                let mut place = readiness.place(op, $fd, handle, calls, terms, ready);
                let start = $row.readiness(&mut place);
                $state.was_tried($slot, $fd, start)
            }
            Some(Driver::Sim(sim)) => {
                let start = $row.sim(sim.place(op, $fd, handle, terms));
                $state.goes_on($slot, $fd, start)
            }
            #[cfg(windows)]
            Some(Driver::Iocp(iocp)) => {
                let start = $row.iocp(&mut iocp.place(op, $fd, handle, calls, terms));
                $state.goes_on($slot, $fd, start)
            }
            None => Some(error::CLOSED),
        }
    }};
}

/// What the loop can do with a record without knowing its types.
pub(crate) struct VTable {
    /// Whether it has items.
    pub(crate) multishot: bool,
    /// Hands the operation to the driver, by this descriptor; gives the result if it is there at once.
    pub(crate) start: StartFn,
    /// Takes a completion: its result and its flags apart, so that all goes in registers.
    pub(crate) complete: unsafe fn(&Io, SlotRef, Op, i32, u32),
    /// Drops the record without running its callback; the completion, if there is one, is freed.
    /// Says whether the record is gone (it stays when the driver goes on).
    pub(crate) abandon: unsafe fn(SlotRef, Option<Completion>) -> bool,
}

/// The record of a one-shot operation.
pub(crate) struct Once<O, C, F> {
    pub(crate) row: O,
    pub(crate) context: C,
    pub(crate) callback: F,
}

impl<O, C, F> Once<O, C, F>
where
    O: Operation,
    C: 'static,
    F: FnOnce(C, &Io, O::Output) + 'static,
{
    pub(crate) const VTABLE: VTable = VTable {
        multishot: false,
        start: Self::start,
        complete: Self::complete,
        abandon: Self::abandon,
    };

    #[inline(always)]
    pub(crate) unsafe fn start(state: &mut Loop, slot: SlotRef, fd: RawFd) -> Option<i32> {
        // SAFETY: the vtable in the slot says that a record of this type is in it.
        let record = unsafe { slot::payload::<Self>(slot.as_ptr()) };
        // SAFETY: the loop starts a slot only while no callback of it runs, so nobody else
        // refers to the record.
        let row = unsafe { &mut (*record).row };
        start_row!(state, slot, fd, row)
    }

    unsafe fn complete(io: &Io, slot: SlotRef, op: Op, result: i32, flags: u32) {
        let mut result = result;
        if flags & (MORE | NOTIFICATION) != 0 {
            match io.core.one_of_two(&Completion::of(op, result, flags)) {
                Some(first) => result = first,
                None => return,
            }
        }
        // SAFETY: the vtable in the slot says that a record of this type is in it.
        let record = unsafe { slot::payload::<Self>(slot.as_ptr()) };
        if retryable(result) {
            // SAFETY: the loop calls it with this slot.
            let start = |state: &mut _, slot, fd| unsafe { Self::start(state, slot, fd) };
            // With a driver that tries, the result may be there at once.
            match io.core.try_again(slot, result, start) {
                Some(tried) => result = tried,
                None => return,
            }
        }
        let result = loop {
            // SAFETY: as in `start`; the driver has let go of the operation.
            let step = unsafe { (*record).row.step(result) };
            let direction = match step {
                Step::Done(result) => break result,
                Step::Broken(result, handle) => {
                    // Before what is queued behind it may start.
                    io.core.shut_down(handle);
                    break result;
                }
                Step::Unsynced(result, handle) => {
                    // As above: a sync that follows could succeed.
                    io.core.sync_failed(handle, result);
                    break result;
                }
                Step::Again => O::DIRECTION,
                Step::Retry => Direction::None,
            };
            match io.core.start_again(slot, Self::start, direction) {
                Some(ended) => result = ended,
                None => return,
            }
        };
        // SAFETY: the record is moved out once: `release` frees the slot right after, and its
        // new generation keeps late completions away.
        let Once { row, context, callback } = unsafe { record.read() };
        let result = io.core.release::<Self>(slot, result);
        let output = row.finish(io, error::to_result(result));
        callback(context, io, output);
    }

    unsafe fn abandon(slot: SlotRef, completion: Option<Completion>) -> bool {
        if completion.is_some_and(|completion| completion.flags & MORE != 0) {
            return false;
        }
        // SAFETY: the vtable in the slot says that a record of this type is in it.
        let record = unsafe { slot::payload::<Self>(slot.as_ptr()) };
        // SAFETY: the loop abandons a slot once and never looks at its payload again.
        let Once { row, context, callback } = unsafe { record.read() };
        // SAFETY: the record was just moved out, and that was its last use.
        unsafe { slot::free_block::<Self>(slot.as_ptr()) };
        row.discard(completion.map_or(-code::CANCELED, |completion| completion.result));
        drop((context, callback));
        true
    }
}

/// A system call that was interrupted, or that the kernel could not do at once, is done again.
#[inline]
fn retryable(result: i32) -> bool {
    result == -code::INTERRUPTED || result == -code::WOULD_BLOCK
}

/// An item's callback panics: where the driver's part had ended, the operation goes on from there
/// in a later turn.
struct OnUnwind<'a> {
    io: &'a Io,
    index: u32,
    last: bool,
}

impl Drop for OnUnwind<'_> {
    fn drop(&mut self) {
        if self.last {
            self.io.core.state.borrow_mut().finish_in_user_space(self.index, -code::INTERRUPTED);
        }
    }
}

/// The record of a multishot operation.
pub(crate) struct Each<O, C, F, D> {
    pub(crate) row: O,
    pub(crate) context: C,
    pub(crate) each: F,
    pub(crate) done: D,
}

impl<O, C, F, D> Each<O, C, F, D>
where
    O: Multishot,
    C: 'static,
    F: FnMut(&mut C, &Io, O::Item) -> Next + 'static,
    D: FnOnce(C, &Io, io::Result<()>) + 'static,
{
    pub(crate) const VTABLE: VTable = VTable {
        multishot: true,
        start: Self::start,
        complete: Self::complete,
        abandon: Self::abandon,
    };

    #[inline(always)]
    pub(crate) unsafe fn start(state: &mut Loop, slot: SlotRef, fd: RawFd) -> Option<i32> {
        // SAFETY: the vtable in the slot says that a record of this type is in it.
        let record = unsafe { slot::payload::<Self>(slot.as_ptr()) };
        // SAFETY: only the row is borrowed, and no item callback holds the row.
        let row = unsafe { &mut (*record).row };
        start_row!(state, slot, fd, row)
    }

    unsafe fn complete(io: &Io, slot: SlotRef, op: Op, result: i32, flags: u32) {
        // SAFETY: the vtable in the slot says that a record of this type is in it.
        let record = unsafe { slot::payload::<Self>(slot.as_ptr()) };
        let mut completion = Completion::of(op, result, flags);
        if completion.flags & TRY_AGAIN != 0 {
            // SAFETY: the loop calls it with this slot.
            let start = |state: &mut _, slot, fd| unsafe { Self::start(state, slot, fd) };
            // What comes after a result that is there at once waits for its turn.
            match io.core.try_for_more(slot, result, O::DIRECTION, start) {
                Some((result, flags)) => completion = Completion::of(op, result, flags),
                None => return,
            }
        }
        // SAFETY: nothing else is done with the record meanwhile.
        unsafe { Self::deliver(io, record, completion) };
        if completion.flags & MORE == 0 {
            // SAFETY: as above; the driver has let go of the operation.
            unsafe { Self::go_on(io, slot, completion) };
        } else {
            // One of several calls is over.
            #[cfg(windows)]
            io.core.start_beside(slot, Self::start);
        }
    }

    /// Takes a completion to its item's callback.
    ///
    /// # Safety
    /// `record` must be in the slot that the completion names, and nobody else may use it.
    #[inline(always)]
    unsafe fn deliver(io: &Io, record: *mut Self, completion: Completion) {
        // SAFETY: the row is borrowed for this call; `item` runs no code of the user's.
        let item = unsafe { (*record).row.item(io, completion) };
        let Some(item) = item else { return };
        // SAFETY: the record does not move or go while its item callback runs: only `go_on` ends a
        // multishot operation, and the loop runs one callback at a time and looks at no record
        // meanwhile.
        let Each { each, context, .. } = unsafe { &mut *record };
        let last = completion.flags & MORE == 0;
        let unwinding = OnUnwind { io, index: completion.index, last };
        // What was done before a stop took effect is delivered all the same.
        if each(context, io, item) == Next::Stop {
            io.core.stop_each(completion.op(), last);
        }
        std::mem::forget(unwinding);
    }

    /// Has the operation go on after the driver's last completion, or ends it.
    ///
    /// # Safety
    /// As for `deliver`, of the record in `slot`.
    #[inline(always)]
    unsafe fn go_on(io: &Io, slot: SlotRef, completion: Completion) {
        // SAFETY: the vtable in the slot says that a record of this type is in it.
        let record = unsafe { slot::payload::<Self>(slot.as_ptr()) };
        let (op, result) = (completion.op(), completion.result);
        // SAFETY: the state is not borrowed while a record's completion is taken.
        let flags = unsafe { slot::flags(slot) };
        let rearm = if flags & STOPPED != 0 {
            Rearm::Done(0)
        } else if was_paused(flags, result) {
            Rearm::Again
        } else {
            // SAFETY: as for `item`.
            unsafe { (*record).row.ended(io, op, result) }
        };
        let ended = match rearm {
            Rearm::Done(result) => Some(result),
            Rearm::Parked => io.core.park_again(op),
            Rearm::Again => io.core.start_again(slot, Self::start, O::DIRECTION),
        };
        let Some(result) = ended else { return };
        // SAFETY: the record is moved out once, as in `Once::complete`.
        let Each { row, context, each, done } = unsafe { record.read() };
        let result = io.core.release::<Self>(slot, result);
        drop((row, each));
        done(context, io, error::to_result(result).map(drop));
    }

    unsafe fn abandon(slot: SlotRef, completion: Option<Completion>) -> bool {
        // SAFETY: the vtable in the slot says that a record of this type is in it.
        let record = unsafe { slot::payload::<Self>(slot.as_ptr()) };
        if let Some(completion) = completion {
            // SAFETY: no callback runs while the loop ends.
            unsafe { (*record).row.discard(completion) };
            if completion.flags & MORE != 0 {
                return false;
            }
        }
        // SAFETY: the loop abandons a slot once and never looks at its payload again.
        let record = unsafe { record.read() };
        // SAFETY: the record was just moved out, and that was its last use.
        unsafe { slot::free_block::<Self>(slot.as_ptr()) };
        drop(record);
        true
    }
}
