//! Passing descriptors through Unix sockets.

use std::io;
use std::os::fd::OwnedFd;

use crate::op::descriptors::{RecvDescriptors, SendDescriptors};
use crate::{AsSource, Io, IoBuf, IoBufMut, Op};

/// What [`Io::recv_with_descriptors`] received, beside the descriptors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delivery {
    /// Bytes in the buffer; 0 is the end of the stream.
    pub bytes: usize,
    /// Descriptors came that found no room, in the vector or in the process (`RLIMIT_NOFILE`):
    /// they are closed (`MSG_CTRUNC`, recvmsg(2)).
    pub descriptors_cut: bool,
}

impl Io {
    /// Sends from `buf`, and descriptors with its first byte (`SCM_RIGHTS`, unix(7)): at least one
    /// byte goes, perhaps not all; where any goes, so do all of the descriptors. Send the rest of
    /// the bytes by [`send_all`](Io::send_all). The receiver gets duplicates; these here come back,
    /// to be used or dropped.
    ///
    /// ```
    /// use tigereye::{Io, UnixStream};
    ///
    /// let io = Io::new()?;
    /// let (near, far) = UnixStream::pair(&io)?;
    /// let (reader, writer) = std::io::pipe()?;
    /// io.send_with_descriptors(near, "here", vec![writer.into()], |_, _, _, _, result| {
    ///     assert_eq!(result.unwrap(), 4);
    /// });
    /// let room = (Vec::with_capacity(16), Vec::with_capacity(1));
    /// io.recv_with_descriptors(far, room.0, room.1, |_far, _io, buf, mut descriptors, result| {
    ///     let delivery = result.unwrap();
    ///     assert_eq!((delivery.bytes, delivery.descriptors_cut), (4, false));
    ///     assert_eq!(buf, b"here");
    ///     let writer = descriptors.pop().unwrap();
    ///     drop(writer);
    /// });
    /// io.run()?;
    /// assert_eq!(std::io::read_to_string(reader)?, "");
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    /// In the callback: `InvalidInput` when the buffer is empty, or there are more than 253
    /// descriptors; `ETOOMANYREFS` when too many are on their way; as [`send`](Io::send); what
    /// sendmsg(2) says.
    ///
    /// # Platform
    /// The io_uring of Linux 5.11 does not carry them: `InvalidInput`.
    pub fn send_with_descriptors<C, B, F>(
        &self,
        stream: C,
        buf: B,
        descriptors: Vec<OwnedFd>,
        callback: F,
    ) -> Op
    where
        C: AsSource + 'static,
        B: IoBuf,
        F: FnOnce(C, &Io, B, Vec<OwnedFd>, io::Result<usize>) + 'static,
    {
        let row = SendDescriptors::new(buf, descriptors);
        self.submit_on(row, stream, move |stream, io, (buf, descriptors, result)| {
            callback(stream, io, buf, descriptors, result);
        })
    }

    /// Receives into `buf` as [`recv`](Io::recv) does, and descriptors into the spare capacity of
    /// `descriptors`: `Vec::with_capacity(1)` takes one, and at most 253 come at once. They are
    /// close-on-exec. A receive stops behind the bytes that descriptors came with: those of two
    /// sends are not mixed. A receive of another kind closes what descriptors come.
    ///
    /// A peer decides what it passes, and how much: give room for few, and look at what each is.
    ///
    /// # Errors
    /// In the callback: as [`recv`](Io::recv), and what recvmsg(2) says.
    ///
    /// # Platform
    /// The io_uring of Linux 5.11 does not carry them: `InvalidInput`.
    pub fn recv_with_descriptors<C, B, F>(
        &self,
        stream: C,
        buf: B,
        descriptors: Vec<OwnedFd>,
        callback: F,
    ) -> Op
    where
        C: AsSource + 'static,
        B: IoBufMut,
        F: FnOnce(C, &Io, B, Vec<OwnedFd>, io::Result<Delivery>) + 'static,
    {
        let row = RecvDescriptors::new(buf, descriptors);
        self.submit_on(row, stream, move |stream, io, (buf, descriptors, result)| {
            callback(stream, io, buf, descriptors, result);
        })
    }
}
