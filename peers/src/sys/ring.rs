//! The bare io_uring: one ring, its arena, and one method per operation that the peers use.
//!
//! ```text
//!   loop ──recv/send/…──▶ submission queue ──enter──▶ kernel ──▶ completion queue ──next──▶ loop
//!             arena slot numbers           provided ring (slots the kernel may pick from)
//! ```
//!
//! Invariants:
//! - I1 Every entry points into the arena, at statics, or nowhere; the arena is freed after all
//!   operations have ended (`Drop` cancels them and waits), and not at all if that fails.
//! - I2 After [`Port::enter`] every queued entry has been handed to the kernel. What an entry with
//!   [`SendKind::Inline`] had to do is then done: see there.

use super::arena::{Arena, Pages};
use io_uring::squeue::{Entry, Flags};
use io_uring::types::{self, BufRingEntry, CancelBuilder, Fd, Timespec};
use io_uring::{CompletionQueue, IoUring, SubmissionQueue, Submitter, cqueue, opcode};
use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::atomic::{AtomicU16, Ordering};

/// `IORING_RECVSEND_POLL_FIRST` (io_uring.h, kernel 5.19+): do not try, wait for readiness.
const POLL_FIRST: u16 = 1;
/// The one group of provided buffers.
const GROUP: u16 = 0;

/// Makes a ring for a single thread, with everything that makes one cheaper: completions are
/// produced only inside `enter` (`DEFER_TASKRUN`), and entries are read in order (`NO_SQARRAY`).
pub fn build(entries: u32) -> io::Result<IoUring> {
    IoUring::builder()
        .dontfork()
        .setup_single_issuer()
        .setup_defer_taskrun()
        .setup_submit_all()
        .setup_no_sqarray()
        .setup_cqsize(entries * 4)
        .build(entries)
}

/// Bytes of a slot around a datagram: before it what the kernel says of it, behind it what it is
/// sent back with.
pub const ROUND_DATAGRAM: usize = SAID + NAME + size_of::<Reply>();
/// `struct io_uring_recvmsg_out` (io_uring_prep_recvmsg_multishot(3)).
const SAID: usize = 16;
/// Room for an address.
const NAME: usize = 32;

/// What a datagram is sent back with, at the end of its slot.
#[repr(C)]
struct Reply {
    header: libc::msghdr,
    part: libc::iovec,
}

/// How a send is to complete.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum SendKind {
    /// While it is submitted, wholly or with a completion that says what is missing. Success
    /// posts nothing: `MSG_DONTWAIT` forbids waiting, `MSG_WAITALL` makes a short send a failure
    /// (`io_send` in io_uring/net.c), and only success is skipped. So when `enter` has returned
    /// and no completion came, all bytes are with the socket and the buffer is free.
    Inline,
    /// With a completion always, waiting for room as long as it takes.
    Complete,
}

/// One completion.
#[derive(Clone, Copy)]
pub struct Completion {
    /// What the submission was marked with.
    pub tag: u64,
    /// The result, negative: an errno.
    pub result: i32,
    flags: u32,
}

impl Completion {
    /// A multishot goes on.
    #[must_use]
    pub fn more(self) -> bool {
        cqueue::more(self.flags)
    }

    /// The slot that the kernel picked from the provided ring.
    #[must_use]
    pub fn slot(self) -> Option<u32> {
        cqueue::buffer_select(self.flags).map(u32::from)
    }
}

struct Provided {
    pages: Pages,
    entries: u16,
    tail: u16,
}

/// A ring being used, with the memory its operations work on.
pub struct Port<'r> {
    submitter: Submitter<'r>,
    sq: SubmissionQueue<'r>,
    cq: CompletionQueue<'r>,
    arena: ManuallyDrop<Arena>,
    provided: ManuallyDrop<Option<Provided>>,
    socket_flags: Flags,
}

impl<'r> Port<'r> {
    /// Takes a ring into use. With `direct_files` over 0, sockets are direct descriptors: accepts
    /// yield their numbers and every operation on a socket means such a number.
    pub fn new(ring: &'r mut IoUring, arena: Arena, direct_files: u32) -> io::Result<Self> {
        let (mut submitter, sq, cq) = ring.split();
        submitter.register_ring_fd()?;
        let mut socket_flags = Flags::empty();
        if direct_files > 0 {
            submitter.register_files_sparse(direct_files)?;
            socket_flags = Flags::FIXED_FILE;
        }
        let (arena, provided) = (ManuallyDrop::new(arena), ManuallyDrop::new(None));
        Ok(Self { submitter, sq, cq, arena, provided, socket_flags })
    }

    /// The memory that slot numbers mean.
    #[must_use]
    pub fn arena(&self) -> &Arena {
        &self.arena
    }

    /// The same, to write to.
    pub fn arena_mut(&mut self) -> &mut Arena {
        &mut self.arena
    }

    /// Registers a provided-buffer ring with room for `entries` slots, empty at first.
    pub fn register_provided(&mut self, entries: u16) -> io::Result<()> {
        assert!(entries.is_power_of_two(), "a provided ring has a power of two of entries");
        assert!(self.provided.is_none(), "registered twice");
        let pages = Pages::new(usize::from(entries) * size_of::<BufRingEntry>());
        let at = pages.base().as_ptr() as u64;
        // SAFETY: the pages are page-aligned, large enough, and freed after the ring's
        // operations have ended (I1).
        unsafe { self.submitter.register_buf_ring_with_flags(at, entries, GROUP, 0) }?;
        *self.provided = Some(Provided { pages, entries, tail: 0 });
        Ok(())
    }

    /// Puts a slot at the end of the provided ring. The kernel sees it after [`Port::publish`].
    pub fn provide(&mut self, slot: u32) {
        self.provide_part(SlotRange { slot, offset: 0, len: self.arena.slot_size() }, slot as u16);
    }

    /// The same of a part of a slot, by a number of its own: [`Completion::slot`] then gives that.
    pub fn provide_part(&mut self, part: SlotRange, number: u16) {
        let SlotRange { slot, offset, len } = part;
        let addr = self.arena.address(slot, offset, len) as u64;
        let provided = self.provided.as_mut().expect("register_provided came first");
        let at = usize::from(provided.tail & (provided.entries - 1));
        let ring = provided.pages.base().as_ptr().cast::<BufRingEntry>();
        // SAFETY: `at` is below the number of entries that the pages were sized for.
        let entry = unsafe { ring.add(at) };
        // SAFETY: in bounds, aligned, initialised (zeroed); the kernel reads it only after the
        // tail has passed it.
        let entry = unsafe { &mut *entry };
        entry.set_addr(addr);
        entry.set_len(len);
        entry.set_bid(number);
        provided.tail = provided.tail.wrapping_add(1);
    }

    /// Shows the kernel what was provided.
    pub fn publish(&mut self) {
        let provided = self.provided.as_ref().expect("register_provided came first");
        let ring = provided.pages.base().as_ptr().cast::<BufRingEntry>();
        // SAFETY: the address is that of the first entry of a registered ring.
        let tail = unsafe { BufRingEntry::tail(ring) };
        // SAFETY: the tail is an aligned u16 in our pages, which the kernel only reads.
        let tail = unsafe { AtomicU16::from_ptr(tail.cast_mut()) };
        tail.store(provided.tail, Ordering::Release);
    }

    #[inline]
    fn push(&mut self, entry: &Entry) {
        if self.sq.is_full() {
            self.sq.sync();
            self.submit_full();
        }
        // SAFETY: entries are made in this module only and keep I1.
        unsafe { self.sq.push(entry) }.expect("room was made above");
    }

    /// Makes room for so many entries, so that a chain of them is not cut (IOSQE_IO_LINK in
    /// io_uring_enter(2)).
    pub fn reserve(&mut self, entries: u32) {
        let capacity = self.sq.capacity();
        assert!(entries as usize <= capacity, "a chain of {entries} in a queue of {capacity}");
        if capacity - self.sq.len() < entries as usize {
            self.sq.sync();
            self.submit_full();
        }
    }

    #[cold]
    fn submit_full(&mut self) {
        loop {
            match self.submitter.submit() {
                Ok(_) => break,
                Err(error) if error.raw_os_error() == Some(libc::EINTR) => {}
                Err(error) => panic!("submitting a full queue: {error}"),
            }
        }
        self.sq.sync();
    }

    /// Accepts until cancelled.
    pub fn accept_multi(&mut self, listener: RawFd, tag: u64) {
        let direct = !self.socket_flags.is_empty();
        let flags = if direct { 0 } else { libc::SOCK_CLOEXEC };
        let entry = opcode::AcceptMulti::new(Fd(listener)).allocate_file_index(direct).flags(flags);
        self.push(&entry.build().user_data(tag));
    }

    /// Receives until cancelled, each time into a provided slot.
    #[inline]
    pub fn recv_multi(&mut self, socket: u32, tag: u64) {
        let entry = opcode::RecvMulti::new(Fd(socket as i32), GROUP).build().user_data(tag);
        self.push(&entry.flags(self.socket_flags | Flags::BUFFER_SELECT));
    }

    /// Receives once, into a provided slot picked when there are bytes.
    #[inline]
    pub fn recv_select(&mut self, socket: u32, poll_first: bool, tag: u64) {
        let (none, len) = (std::ptr::null_mut(), self.arena.slot_size());
        let entry = opcode::Recv::new(Fd(socket as i32), none, len)
            .ioprio(if poll_first { POLL_FIRST } else { 0 })
            .buf_group(GROUP)
            .build()
            .user_data(tag);
        self.push(&entry.flags(self.socket_flags | Flags::BUFFER_SELECT));
    }

    /// Receives once into the first `len` bytes of a slot. `flags` are those of recv(2).
    #[inline]
    pub fn recv_slot(&mut self, socket: u32, slot: u32, len: u32, how: RecvHow, tag: u64) {
        let at = self.arena.address(slot, 0, len);
        let entry = opcode::Recv::new(Fd(socket as i32), at, len)
            .ioprio(if how.poll_first { POLL_FIRST } else { 0 })
            .flags(if how.discard { libc::MSG_TRUNC } else { 0 })
            .build()
            .user_data(tag);
        self.push(&entry.flags(self.socket_flags));
    }

    /// Sends all of `len` bytes at `offset` of a slot.
    #[inline]
    pub fn send_slot(&mut self, socket: u32, bytes: SlotRange, kind: SendKind, tag: u64) {
        let at = self.arena.address(bytes.slot, bytes.offset, bytes.len);
        let mut flags = libc::MSG_WAITALL | libc::MSG_NOSIGNAL;
        let mut entry_flags = self.socket_flags;
        if kind == SendKind::Inline {
            flags |= libc::MSG_DONTWAIT;
            entry_flags |= Flags::SKIP_SUCCESS;
        }
        let entry = opcode::Send::new(Fd(socket as i32), at, bytes.len).flags(flags).build();
        self.push(&entry.user_data(tag).flags(entry_flags));
    }

    /// Sends all of these bytes as an entry of a chain, which goes on if `more`.
    pub fn send_linked(&mut self, socket: u32, bytes: SlotRange, more: bool, tag: u64) {
        let at = self.arena.address(bytes.slot, bytes.offset, bytes.len);
        let (mut flags, mut entry_flags) =
            (libc::MSG_WAITALL | libc::MSG_NOSIGNAL, self.socket_flags);
        if more {
            flags |= libc::MSG_MORE;
            entry_flags |= Flags::IO_LINK;
        }
        let entry = opcode::Send::new(Fd(socket as i32), at, bytes.len).flags(flags).build();
        self.push(&entry.user_data(tag).flags(entry_flags));
    }

    /// Reads from `offset` of a file as an entry of a chain, which goes on.
    pub fn read_linked(&mut self, fd: RawFd, offset: u64, bytes: SlotRange, tag: u64) {
        let at = self.arena.address(bytes.slot, bytes.offset, bytes.len);
        let entry = opcode::Read::new(Fd(fd), at, bytes.len).offset(offset).build();
        self.push(&entry.user_data(tag).flags(Flags::IO_LINK));
    }

    /// Moves bytes from `offset` of a file into a pipe as an entry of a chain, which goes on.
    pub fn splice_in(&mut self, file: RawFd, offset: u64, pipe: RawFd, len: u32, tag: u64) {
        let entry = opcode::Splice::new(Fd(file), offset as i64, Fd(pipe), -1, len).build();
        self.push(&entry.user_data(tag).flags(Flags::IO_LINK));
    }

    /// Moves bytes from a pipe to a socket as an entry of a chain, which goes on if `more`.
    pub fn splice_out(&mut self, pipe: RawFd, socket: u32, len: u32, more: bool, tag: u64) {
        let entry = opcode::Splice::new(Fd(pipe), -1, Fd(socket as i32), -1, len).build();
        let link = if more { Flags::IO_LINK } else { Flags::empty() };
        self.push(&entry.user_data(tag).flags(self.socket_flags | link));
    }

    /// Receives datagrams until cancelled, each with its sender's address into a provided slot.
    pub fn recv_datagrams(&mut self, socket: RawFd, tag: u64) {
        // SAFETY: an all-zero header asks for nothing.
        let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
        header.msg_namelen = NAME as libc::socklen_t;
        // Read while the entry is submitted, and by a port that is made once a process.
        let header: &'static libc::msghdr = Box::leak(Box::new(header));
        let entry = opcode::RecvMsgMulti::new(Fd(socket), header, GROUP);
        self.push(&entry.build().user_data(tag));
    }

    /// Sends a datagram that [`Port::recv_datagrams`] received in a slot back to its sender, without
    /// waiting: after [`Port::enter`] the slot is free again.
    pub fn send_back(&mut self, socket: RawFd, slot: u32, tag: u64) {
        let size = self.arena.slot_size();
        let said = self.arena.bytes(slot, SAID as u32);
        let word = |at: usize| u32::from_ne_bytes([0, 1, 2, 3].map(|byte| said[at + byte]));
        let (name_len, room) = (word(0).min(NAME as u32), size - ROUND_DATAGRAM as u32);
        let len = word(8).min(room);
        let name = self.arena.address(slot, SAID as u32, name_len);
        let bytes = self.arena.address(slot, (SAID + NAME) as u32, len);
        let reply = self.arena.address(slot, size - size_of::<Reply>() as u32, 0).cast::<Reply>();
        // SAFETY: an all-zero header asks for nothing.
        let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
        header.msg_name = name.cast();
        header.msg_namelen = name_len;
        header.msg_iovlen = 1;
        // SAFETY: the end of the slot, which is aligned because slots are pages or multiples of 64
        // bytes, and ours since the receive into it has completed; only the address is made here.
        header.msg_iov = unsafe { &raw mut (*reply).part };
        let part = libc::iovec { iov_base: bytes.cast(), iov_len: len as usize };
        assert!(reply.is_aligned(), "a slot's size is a multiple of 8");
        // SAFETY: in bounds, aligned and ours, as above; I1 keeps it there.
        unsafe { reply.write(Reply { header, part }) };
        let entry = opcode::SendMsg::new(Fd(socket), reply.cast())
            .flags((libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL) as u32)
            .build();
        self.push(&entry.user_data(tag).flags(Flags::SKIP_SUCCESS));
    }

    /// Reads once from a descriptor that is no socket.
    pub fn read_slot(&mut self, fd: RawFd, slot: u32, len: u32, tag: u64) {
        let at = self.arena.address(slot, 0, len);
        let entry = opcode::Read::new(Fd(fd), at, len).offset(u64::MAX);
        self.push(&entry.build().user_data(tag));
    }

    /// Reads a whole slot from `offset` of a file.
    #[inline]
    pub fn read_at(&mut self, fd: RawFd, slot: u32, offset: u64, tag: u64) {
        let len = self.arena.slot_size();
        let entry = opcode::Read::new(Fd(fd), self.arena.address(slot, 0, len), len);
        self.push(&entry.offset(offset).build().user_data(tag));
    }

    /// Writes a whole slot to `offset` of a file.
    pub fn write_at(&mut self, fd: RawFd, slot: u32, offset: u64, tag: u64) {
        let len = self.arena.slot_size();
        let entry = opcode::Write::new(Fd(fd), self.arena.address(slot, 0, len), len);
        self.push(&entry.offset(offset).build().user_data(tag));
    }

    /// Has a file's contents written to its disk.
    pub fn sync_data(&mut self, fd: RawFd, tag: u64) {
        let entry = opcode::Fsync::new(Fd(fd)).flags(types::FsyncFlags::DATASYNC);
        self.push(&entry.build().user_data(tag));
    }

    /// Completes when the descriptor is readable; again and again if `multi`.
    pub fn poll_in(&mut self, fd: RawFd, multi: bool, tag: u64) {
        let entry = opcode::PollAdd::new(Fd(fd), libc::POLLIN as u32).multi(multi);
        self.push(&entry.build().user_data(tag));
    }

    /// Completes after the time that `at` holds, which is why it must be a static or leaked.
    pub fn timeout(&mut self, at: &'static Timespec, tag: u64) {
        self.push(&opcode::Timeout::new(at).build().user_data(tag));
    }

    /// Takes a timeout away; both complete.
    pub fn timeout_remove(&mut self, timeout: u64, tag: u64) {
        self.push(&opcode::TimeoutRemove::new(timeout).build().user_data(tag));
    }

    /// Asks for the end of the operation marked `target`. Completes only if it did not find it.
    pub fn cancel(&mut self, target: u64, tag: u64) {
        let entry = opcode::AsyncCancel::new(target).build().user_data(tag);
        self.push(&entry.flags(Flags::SKIP_SUCCESS));
    }

    /// Shuts a socket down in both directions, which ends its pending operations.
    pub fn shutdown(&mut self, socket: u32, tag: u64) {
        let entry = opcode::Shutdown::new(Fd(socket as i32), libc::SHUT_RDWR).build();
        self.push(&entry.user_data(tag).flags(self.socket_flags));
    }

    /// Closes a socket. Completes only if that failed.
    pub fn close(&mut self, socket: u32, tag: u64) {
        let entry = if self.socket_flags.is_empty() {
            opcode::Close::new(Fd(socket as i32)).build()
        } else {
            opcode::Close::new(types::Fixed(socket)).build()
        };
        self.push(&entry.user_data(tag).flags(Flags::SKIP_SUCCESS));
    }

    /// Does nothing and completes.
    #[inline]
    pub fn nop(&mut self, tag: u64) {
        self.push(&opcode::Nop::new().build().user_data(tag));
    }

    /// Posts a completion with `result` and `tag` on another thread's ring.
    pub fn message(&mut self, ring: RawFd, result: i32, tag: u64) {
        let entry = opcode::MsgRingData::new(Fd(ring), result, tag, None).build();
        self.push(&entry.flags(Flags::SKIP_SUCCESS));
    }

    /// Hands everything over and waits for `want` completions, in one system call.
    #[inline]
    pub fn enter(&mut self, want: usize) -> io::Result<()> {
        loop {
            self.sq.sync();
            let result = self.submitter.submit_and_wait(want);
            self.cq.sync();
            self.sq.sync();
            match result {
                Ok(_) if self.sq.is_empty() => return Ok(()),
                Ok(_) => {}
                Err(error) if error.raw_os_error() == Some(libc::EINTR) => {
                    if self.sq.is_empty() {
                        return Ok(());
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Hands everything over and takes what has completed, without waiting.
    #[inline]
    pub fn poll(&mut self) -> io::Result<()> {
        // Waiting for one completion for no time: to wait for none would not run deferred work.
        let none = Timespec::new();
        let args = types::SubmitArgs::new().timespec(&none);
        loop {
            self.sq.sync();
            let result = self.submitter.submit_with_args(1, &args);
            self.cq.sync();
            self.sq.sync();
            match result {
                Err(error) if !matches!(error.raw_os_error(), Some(libc::ETIME | libc::EINTR)) => {
                    return Err(error);
                }
                _ if self.sq.is_empty() => return Ok(()),
                _ => {}
            }
        }
    }

    /// The next completion that has arrived.
    #[inline]
    #[expect(clippy::should_implement_trait, reason = "the port is used between two completions")]
    pub fn next(&mut self) -> Option<Completion> {
        let entry = self.cq.next()?;
        Some(Completion { tag: entry.user_data(), result: entry.result(), flags: entry.flags() })
    }
}

impl Drop for Port<'_> {
    fn drop(&mut self) {
        self.sq.sync();
        // Synchronous, and done when everything found has completed (kernel 6.0+,
        // io_uring_register_sync_cancel(3)). Entries never submitted are not the kernel's.
        match self.submitter.register_sync_cancel(None, CancelBuilder::any()) {
            Err(error) if error.raw_os_error() != Some(libc::ENOENT) => return,
            _ => {}
        }
        if self.provided.is_some() && self.submitter.unregister_buf_ring(GROUP).is_err() {
            return;
        }
        // A thread has 16 places for rings, and a ring that is closed does not give its own back
        // (io_uring_register(2)).
        let _ = self.submitter.unregister_ring_fd();
        // SAFETY: dropped here only, once; the kernel has let go of it (I1).
        unsafe { ManuallyDrop::drop(&mut self.provided) };
        // SAFETY: as above.
        unsafe { ManuallyDrop::drop(&mut self.arena) };
    }
}

/// Bytes of a slot.
#[derive(Clone, Copy)]
pub struct SlotRange {
    /// Which slot.
    pub slot: u32,
    /// Where they begin.
    pub offset: u32,
    /// How many.
    pub len: u32,
}

/// How a receive into a slot of the caller's choice is done.
#[derive(Clone, Copy, Default)]
pub struct RecvHow {
    /// Wait for readiness before the first attempt.
    pub poll_first: bool,
    /// Throw the bytes away instead of copying them (`MSG_TRUNC` on TCP, tcp(7)).
    pub discard: bool,
}

/// The descriptor by which other rings send messages to this one.
#[must_use]
pub fn ring_fd(ring: &IoUring) -> RawFd {
    ring.as_raw_fd()
}
