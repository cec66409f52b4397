//! Descriptors that go with bytes through a Unix socket.
//!
//! ```text
//!   msghdr ──▶ one vector: the buffer
//!      └─────▶ control: cmsghdr { SCM_RIGHTS }, then the descriptors' numbers
//! ```
//!
//! The system has duplicates of its own from the send on, and the receiver gets numbers of its own.
//! What is received belongs to the operation at once: to the caller's vector as far as that has
//! room, and what nobody takes is closed (P22).
//!
//! Sources: unix(7), "SCM_RIGHTS"; cmsg(3); recvmsg(2), `MSG_CMSG_CLOEXEC` and `MSG_CTRUNC`.
#![expect(unsafe_code, reason = "control messages are read and written by address")]

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;

#[cfg(target_os = "linux")]
use io_uring::{opcode, types};

use super::recv::{TRANSFER_MAX, written};
use super::tries::Tries;
use super::vectored::sized;
use super::{Direction, Operation, Start, Step};
use crate::driver::readiness::{self, Interest};
use crate::driver::sim;
#[cfg(target_os = "linux")]
use crate::driver::uring;
use crate::error::{NO_BYTE, NO_ROOM};
use crate::net::{Delivery, system};
use crate::{Io, IoBuf, IoBufMut};

/// Most descriptors in one message (`SCM_MAX_FD`, unix(7)).
pub(crate) const DESCRIPTORS_MAX: usize = 253;

const BYTES_MAX: u32 = (DESCRIPTORS_MAX * size_of::<RawFd>()) as u32;
// SAFETY: arithmetic alone, for a length far below any overflow.
const CONTROL_BYTES: usize = unsafe { libc::CMSG_SPACE(BYTES_MAX) } as usize;

/// A message header and what it refers to beside the buffer, at an address that the record keeps.
struct Parcel {
    header: libc::msghdr,
    vector: libc::iovec,
    /// Aligned for a control message's header.
    control: [u64; CONTROL_BYTES.div_ceil(8)],
}

/// The length of a control message with so many descriptors.
fn control_len(count: usize) -> usize {
    let bytes = u32::try_from(count * size_of::<RawFd>()).unwrap_or(BYTES_MAX).min(BYTES_MAX);
    // SAFETY: arithmetic alone, for a length far below any overflow.
    (unsafe { libc::CMSG_LEN(bytes) }) as usize
}

impl Parcel {
    fn new() -> Parcel {
        // SAFETY: zero is a valid value of the C structure: null pointers and no lengths.
        let header = unsafe { MaybeUninit::zeroed().assume_init() };
        let vector = libc::iovec { iov_base: ptr::null_mut(), iov_len: 0 };
        Parcel { header, vector, control: [0; CONTROL_BYTES.div_ceil(8)] }
    }

    /// The message, for this buffer and so many descriptors. Addresses are taken here, when the
    /// record is where it stays.
    fn describe(&mut self, at: *mut u8, len: usize, descriptors: usize) -> *mut libc::msghdr {
        self.vector = libc::iovec { iov_base: at.cast(), iov_len: len.min(TRANSFER_MAX) };
        self.header.msg_iov = &raw mut self.vector;
        self.header.msg_iovlen = 1;
        let len = if descriptors == 0 { 0 } else { control_len(descriptors) };
        self.header.msg_control = self.control.as_mut_ptr().cast();
        self.header.msg_controllen = len as _;
        &raw mut self.header
    }

    /// Writes the control message that takes `descriptors` along.
    fn pack(&mut self, descriptors: &[OwnedFd]) {
        // SAFETY: the header was described just now, and refers to the control in this value.
        let first = unsafe { libc::CMSG_FIRSTHDR(&raw const self.header) };
        if first.is_null() {
            return;
        }
        // SAFETY: zero is a valid value of the C structure.
        let mut head: libc::cmsghdr = unsafe { MaybeUninit::zeroed().assume_init() };
        head.cmsg_len = control_len(descriptors.len()) as _;
        head.cmsg_level = libc::SOL_SOCKET;
        head.cmsg_type = libc::SCM_RIGHTS;
        // SAFETY: the control is aligned for a header, and longer than one.
        unsafe { first.write(head) };
        // SAFETY: the header is in the control, and data follows it there.
        let data = unsafe { libc::CMSG_DATA(first) }.cast::<RawFd>();
        for (at, descriptor) in descriptors.iter().enumerate() {
            // SAFETY: `control_len` has room for all of them, of which there are no more than
            // DESCRIPTORS_MAX (`SendDescriptors::describe`); data need not be aligned.
            unsafe { data.wrapping_add(at).write_unaligned(descriptor.as_raw_fd()) };
        }
    }

    /// Takes the descriptors that a receive without an error has left here.
    fn unpack(&mut self, each: impl FnMut(OwnedFd)) {
        unpack(&mut self.header, &mut self.control, each);
    }
}

/// Takes the descriptors that a receive without an error has left in the control messages of its
/// header.
pub(super) fn unpack(
    header: &mut libc::msghdr,
    control: &mut [u64],
    mut each: impl FnMut(OwnedFd),
) {
    // The record may have moved since.
    header.msg_control = control.as_mut_ptr().cast();
    // Systems have it in different widths.
    let len: usize = header.msg_controllen as _;
    let end = control.as_ptr().addr() + len.min(size_of_val(control));
    let described = &raw const *header;
    // SAFETY: the header refers to the control, and the system wrote its length.
    let mut at = unsafe { libc::CMSG_FIRSTHDR(described) };
    while !at.is_null() {
        // SAFETY: the system wrote a control message's header there.
        let head = unsafe { at.read_unaligned() };
        if (head.cmsg_len as usize) < control_len(0) {
            // Nothing was written there: some systems would go on with the same one for ever.
            break;
        }
        if head.cmsg_level == libc::SOL_SOCKET && head.cmsg_type == libc::SCM_RIGHTS {
            // SAFETY: the system wrote data behind its header.
            let data = unsafe { libc::CMSG_DATA(at) }.cast::<RawFd>();
            // Of a message that was cut, some systems give the length that it had.
            let bytes = (head.cmsg_len as usize).saturating_sub(control_len(0));
            let bytes = bytes.min(end.saturating_sub(data.addr()));
            for number in 0..bytes / size_of::<RawFd>() {
                // SAFETY: the message's length says that it is there; it need not be aligned.
                let fd = unsafe { data.wrapping_add(number).read_unaligned() };
                // SAFETY: the system made this descriptor for this message, which is unpacked
                // once: its length is forgotten below.
                each(unsafe { OwnedFd::from_raw_fd(fd) });
            }
        }
        // SAFETY: as for the first one.
        at = unsafe { libc::CMSG_NXTHDR(described, at) };
    }
    header.msg_controllen = 0;
}

pub(crate) struct SendDescriptors<B> {
    buf: B,
    descriptors: Vec<OwnedFd>,
    parcel: Parcel,
    tries: Tries,
}

impl<B: IoBuf> SendDescriptors<B> {
    pub(crate) fn new(buf: B, descriptors: Vec<OwnedFd>) -> SendDescriptors<B> {
        SendDescriptors { buf, descriptors, parcel: Parcel::new(), tries: Tries::default() }
    }

    /// The message, or why there can be none.
    fn describe(&mut self) -> Result<*mut libc::msghdr, i32> {
        if self.buf.is_empty() {
            // The system would take it, and drop the descriptors.
            return Err(NO_BYTE);
        }
        let count = self.descriptors.len();
        if count > DESCRIPTORS_MAX {
            return Err(-libc::EINVAL);
        }
        let (at, len) = (self.buf.as_ptr().cast_mut(), self.buf.len());
        let header = self.parcel.describe(at, len, count);
        if count > 0 {
            self.parcel.pack(&self.descriptors);
        }
        Ok(header)
    }
}

impl<B: IoBuf> Operation for SendDescriptors<B> {
    type Output = (B, Vec<OwnedFd>, io::Result<usize>);
    const DIRECTION: Direction = Direction::Out;

    #[cfg(target_os = "linux")]
    fn uring(&mut self, place: &mut uring::Place<'_>) -> Start {
        match self.describe() {
            Ok(header) => {
                let entry = opcode::SendMsg::new(types::Fd(place.fd), header.cast_const());
                self.tries.submit(place, |more| {
                    entry.flags((libc::MSG_NOSIGNAL | more).cast_unsigned()).build()
                })
            }
            Err(result) => Start::Ready(result),
        }
    }

    fn readiness(&mut self, place: &mut readiness::Place<'_>) -> Start {
        let header = match self.describe() {
            Ok(header) => header.cast_const(),
            Err(result) => return Start::Ready(result),
        };
        place.transfer(Interest::Writable, self.buf.len(), |socket| {
            // SAFETY: the header and what it refers to are the operation's, and stay during the call.
            sized(unsafe { libc::sendmsg(socket.as_raw_fd(), header, system::SEND_AT_ONCE) })
        })
    }

    fn sim(&mut self, place: &mut sim::Place<'_>) -> Start {
        place.unsupported()
    }

    fn step(&mut self, result: i32) -> Step {
        self.tries.step(result).unwrap_or(Step::Done(result))
    }

    fn finish(self, _io: &Io, result: io::Result<u32>) -> Self::Output {
        (self.buf, self.descriptors, result.map(|count| count as usize))
    }

    fn discard(self, _result: i32) {}
}

pub(crate) struct RecvDescriptors<B> {
    buf: B,
    /// They go into its spare capacity.
    descriptors: Vec<OwnedFd>,
    parcel: Parcel,
}

impl<B: IoBufMut> RecvDescriptors<B> {
    pub(crate) fn new(buf: B, descriptors: Vec<OwnedFd>) -> RecvDescriptors<B> {
        RecvDescriptors { buf, descriptors, parcel: Parcel::new() }
    }

    fn room(&self) -> usize {
        self.descriptors.capacity() - self.descriptors.len()
    }

    /// The message, unless the buffer has no room.
    fn describe(&mut self) -> Option<*mut libc::msghdr> {
        let count = system::descriptors_asked_for(self.room().min(DESCRIPTORS_MAX));
        let (at, len) = self.buf.writable();
        (len > 0).then(|| self.parcel.describe(at, len, count))
    }

    fn deliver(&mut self, count: u32) -> Delivery {
        let mut cut = self.parcel.header.msg_flags & libc::MSG_CTRUNC != 0;
        let mut room = self.room();
        self.parcel.unpack(|descriptor| {
            system::close_on_exec(&descriptor);
            if room > 0 {
                room -= 1;
                self.descriptors.push(descriptor);
            } else {
                cut = true;
            }
        });
        Delivery { bytes: written(&mut self.buf, count), descriptors_cut: cut }
    }
}

impl<B: IoBufMut> Operation for RecvDescriptors<B> {
    type Output = (B, Vec<OwnedFd>, io::Result<Delivery>);
    const DIRECTION: Direction = Direction::In;

    #[cfg(target_os = "linux")]
    fn uring(&mut self, place: &mut uring::Place<'_>) -> Start {
        let Some(header) = self.describe() else { return Start::Ready(NO_ROOM) };
        let flags = system::RECV_DESCRIPTORS_FLAGS.cast_unsigned();
        place.submit(opcode::RecvMsg::new(types::Fd(place.fd), header).flags(flags).build())
    }

    fn readiness(&mut self, place: &mut readiness::Place<'_>) -> Start {
        let Some(header) = self.describe() else { return Start::Ready(NO_ROOM) };
        place.attempt(Interest::Readable, |socket| {
            let flags = system::RECV_DESCRIPTORS_FLAGS | system::RECV_AT_ONCE;
            // SAFETY: the header and what it refers to are the operation's, and stay during the call.
            sized(unsafe { libc::recvmsg(socket.as_raw_fd(), header, flags) })
        })
    }

    fn sim(&mut self, place: &mut sim::Place<'_>) -> Start {
        place.unsupported()
    }

    fn step(&mut self, result: i32) -> Step {
        Step::Done(result)
    }

    fn finish(mut self, _io: &Io, result: io::Result<u32>) -> Self::Output {
        let result = result.map(|count| self.deliver(count));
        (self.buf, self.descriptors, result)
    }

    fn discard(mut self, result: i32) {
        if result >= 0 {
            self.parcel.unpack(drop);
        }
    }
}
