//! TCP streams, and what can be done on any stream.

use std::io;
use std::mem::ManuallyDrop;
use std::net::{Shutdown, SocketAddr};
use std::ops::Deref;
use std::rc::Rc;
use std::time::Duration;

use socket2::{SockAddr, SockRef, Socket};

use super::immediate::{immediate, not_simulated};
use super::{ConnectOptions, Keepalive, system};
use crate::buf::bytes;
use crate::core::{Held, owned};
use crate::driver::DriverKind;
use crate::driver::Interest;
use crate::driver::simulated::is_simulated;
use crate::handle::{HandleId, Source};
use crate::op::connect::Connect;
use crate::op::poll::Poll;
use crate::op::recv::{Recv, RecvExact};
use crate::op::recv_each::RecvEach;
use crate::op::send::{Send, SendAll, SendDetached};
use crate::op::send_zero_copy::SendZeroCopy;
use crate::op::supply::Supply;
use crate::op::tries::Tries;
use crate::op::vectored::{Message, RecvVectored, SendVectored};
use crate::op::{shutdown, user_space::Failed};
use crate::raw::{FromRawFd, OwnedFd, RawFd};
use crate::state::Target;
use crate::{AsSource, BufferPool, Io, IoBuf, IoBufMut, Next, Op, PoolBuf};

/// A TCP connection. Dropping it closes it, once nothing is pending on it.
///
/// To send and receive at the same time, share it: `Rc<TcpStream>` is a context as well.
#[derive(Debug)]
pub struct TcpStream {
    source: Source,
}

impl AsSource for TcpStream {
    #[inline]
    fn as_source(&self) -> &Source {
        &self.source
    }
}

pub(crate) fn not_open() -> io::Error {
    crate::error::from_raw(crate::error::CLOSED)
}

/// Refuses a descriptor of a real system's to a simulated loop.
pub(crate) fn refuse_simulated(io: &Io) -> io::Result<()> {
    match io.core.driver.kind {
        DriverKind::Sim => Err(not_simulated()),
        DriverKind::Uring | DriverKind::Readiness | DriverKind::Iocp => Ok(()),
    }
}

pub(crate) fn into_owned(source: &Source) -> io::Result<OwnedFd> {
    if source.fd().is_some_and(is_simulated) {
        return Err(not_simulated());
    }
    source.take_fd().map(owned).ok_or_else(not_open)
}

/// As [`into_owned`], of a socket, which then blocks.
pub(crate) fn into_blocking(source: &Source) -> io::Result<OwnedFd> {
    let fd = into_owned(source)?;
    SockRef::from(&fd).set_nonblocking(false)?;
    Ok(fd)
}

/// A socket that was just made and blocks, as the driver wants it.
pub(crate) fn adopt(io: &Io, socket: Socket) -> io::Result<OwnedFd> {
    refuse_simulated(io)?;
    if io.core.driver.kind.wants_nonblocking() {
        socket.set_nonblocking(true)?;
    }
    Ok(OwnedFd::from(socket))
}

/// A socket for the calls of the standard kind, which does not own its descriptor.
pub(crate) struct Borrowed(ManuallyDrop<Socket>);

impl Deref for Borrowed {
    type Target = Socket;

    fn deref(&self) -> &Socket {
        &self.0
    }
}

#[expect(unsafe_code, reason = "a descriptor is lent for one call")]
pub(crate) fn borrow(fd: &RawFd) -> Borrowed {
    // SAFETY: the handle table owns the descriptor and closes it only on this thread, not during
    // the call that the socket is borrowed for; it is never dropped.
    Borrowed(ManuallyDrop::new(unsafe { Socket::from_raw_fd(*fd) }))
}

/// Sends what the system takes at once.
pub(crate) fn send_now(source: &Source, bytes: &[u8]) -> io::Result<usize> {
    immediate(source)?.send_now(bytes)
}

/// A kind of stream, as it is made of a socket that was accepted or connected.
pub(crate) trait Stream: Sized + 'static {
    type Address;
    /// Whether one entry of io_uring accepts all connections, and ends when the listener is shut
    /// down.
    #[cfg(target_os = "linux")]
    const ACCEPTS_MULTISHOT: bool;
    fn from_fd(io: &Io, fd: Held) -> Self;
    /// The address, if it is of this kind.
    fn address(raw: SockAddr) -> Option<Self::Address>;
    fn peer(&self) -> io::Result<Self::Address>;
    /// Accepts a connection, without waiting.
    #[cfg(unix)]
    fn accept(listener: &Socket) -> io::Result<(Socket, SockAddr)>;
}

impl Stream for TcpStream {
    type Address = SocketAddr;
    #[cfg(target_os = "linux")]
    const ACCEPTS_MULTISHOT: bool = true;

    fn from_fd(io: &Io, fd: Held) -> TcpStream {
        TcpStream { source: Source::without_boundaries(io, fd.into_raw_fd()) }
    }

    fn address(raw: SockAddr) -> Option<SocketAddr> {
        raw.as_socket()
    }

    fn peer(&self) -> io::Result<SocketAddr> {
        self.peer_addr()
    }

    #[cfg(unix)]
    fn accept(listener: &Socket) -> io::Result<(Socket, SockAddr)> {
        system::accept(listener)
    }
}

impl TcpStream {
    /// Takes over a stream of the standard library.
    ///
    /// # Errors
    /// What ioctl(2) says when it is made blocking or non-blocking, as the driver wants it.
    pub fn from_std(io: &Io, stream: std::net::TcpStream) -> io::Result<TcpStream> {
        refuse_simulated(io)?;
        stream.set_nonblocking(io.core.driver.kind.wants_nonblocking())?;
        system::forbid_sigpipe(&SockRef::from(&stream))?;
        Ok(TcpStream::from_fd(io, OwnedFd::from(stream).into()))
    }

    /// Gives the socket to the standard library, in blocking mode: so a connection moves to
    /// another thread's loop.
    ///
    /// # Errors
    /// `NotConnected` when it is closed or has operations in flight.
    ///
    /// # Platform
    /// On Windows a stream that was connected by a loop, or used on one, stays with that loop: on
    /// another one its operations are `InvalidInput`. One that was accepted and not used can move.
    pub fn into_std(self) -> io::Result<std::net::TcpStream> {
        into_blocking(&self.source).map(std::net::TcpStream::from)
    }

    /// The peer's address.
    ///
    /// # Errors
    /// `NotConnected` when it is closed; what getpeername(2) says.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        immediate(&self.source)?.peer_addr()
    }

    /// The local address.
    ///
    /// # Errors
    /// `NotConnected` when it is closed; what getsockname(2) says.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        immediate(&self.source)?.local_addr()
    }

    /// `TCP_NODELAY` (tcp(7)): small segments go out at once.
    ///
    /// # Errors
    /// `NotConnected` when it is closed; what setsockopt(2) says.
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        immediate(&self.source)?.set(|socket| socket.set_tcp_nodelay(nodelay))
    }

    /// Probes for a peer that is gone, or no longer.
    ///
    /// # Errors
    /// `NotConnected` when it is closed; what setsockopt(2) says.
    pub fn set_keepalive(&self, keepalive: Option<Keepalive>) -> io::Result<()> {
        immediate(&self.source)?.set_keepalive(keepalive)
    }

    /// `TCP_USER_TIMEOUT` (tcp(7), milliseconds): how long sent data may stay unacknowledged.
    ///
    /// # Errors
    /// `NotConnected` when it is closed; what setsockopt(2) says.
    ///
    /// # Platform
    /// Linux has it. On other systems it is an error of kind `Unsupported`.
    pub fn set_user_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        immediate(&self.source)?.set_user_timeout(timeout)
    }

    /// `SO_LINGER` (socket(7), whole seconds): zero resets the connection when it is closed. With more
    /// than that, to drop the stream waits so long on the loop's thread while the peer has not
    /// acknowledged what was sent: close it with [`Io::close`], which holds up nobody.
    ///
    /// # Errors
    /// `NotConnected` when it is closed; what setsockopt(2) says.
    pub fn set_linger(&self, linger: Option<Duration>) -> io::Result<()> {
        immediate(&self.source)?.set_linger(linger)
    }

    /// Sends what the system takes at once and returns how much that was; it never blocks and
    /// does not wait behind sends in flight, so use it only when there are none.
    ///
    /// # Errors
    /// `WouldBlock` when the system takes nothing now; `NotConnected` when it is closed; what
    /// send(2) says.
    pub fn send_now(&self, bytes: &[u8]) -> io::Result<usize> {
        send_now(&self.source, bytes)
    }

    /// Operations in flight on this stream, those that queue behind others included.
    pub fn in_flight(&self) -> u32 {
        self.source.in_flight()
    }

    /// Two handles to one connection, for a side that receives and one that sends. It closes when
    /// both are dropped.
    pub fn split(self) -> (Rc<TcpStream>, Rc<TcpStream>) {
        let stream = Rc::new(self);
        (Rc::clone(&stream), stream)
    }
}

impl Io {
    /// Connects to `address`.
    ///
    /// # Errors
    /// In the callback, what connect(2) says: `ConnectionRefused`, `TimedOut`, `NetworkUnreachable`…,
    /// and `ConnectionReset` where the peer ended the connection before the loop had seen it begin.
    pub fn connect<C, F>(&self, context: C, address: SocketAddr, callback: F) -> Op
    where
        C: 'static,
        F: FnOnce(C, &Io, io::Result<TcpStream>) + 'static,
    {
        self.connect_with(context, address, &ConnectOptions::new(), callback)
    }

    /// Connects to `address` with options. Errors come to the callback, those of the options too.
    pub fn connect_with<C, F>(
        &self,
        context: C,
        address: SocketAddr,
        options: &ConnectOptions,
        callback: F,
    ) -> Op
    where
        C: 'static,
        F: FnOnce(C, &Io, io::Result<TcpStream>) + 'static,
    {
        let stream = options.open(self, address);
        let stream = stream.map(|socket| TcpStream::from_fd(self, socket));
        let target = match &stream {
            Ok(stream) => Target::from(stream.source.id(self)),
            Err(_) => Target::Nothing,
        };
        self.submit_to(Connect::new(stream, address.into()), target, context, callback)
    }

    /// Receives into `buf`: as many bytes as are there, at least one, at most what fits. `Ok(0)`
    /// is the end of the stream. A `Vec` receives into its spare capacity and grows by the result.
    ///
    /// # Errors
    /// In the callback: `InvalidInput` when the buffer has no room, `ConnectionReset`, and what
    /// recv(2) says.
    #[inline]
    pub fn recv<C, B, F>(&self, stream: C, buf: B, callback: F) -> Op
    where
        C: AsSource + 'static,
        B: IoBufMut,
        F: FnOnce(C, &Io, B, io::Result<usize>) + 'static,
    {
        self.submit_on(Recv { buf }, stream, move |stream, io, (buf, result)| {
            callback(stream, io, buf, result);
        })
    }

    /// Receives exactly `count` bytes. On failure the bytes that came are in the buffer all the
    /// same (a `Vec` has grown by them).
    ///
    /// # Errors
    /// In the callback: `UnexpectedEof` when the stream ends early, `InvalidInput` when the buffer
    /// has less room, and what recv(2) says.
    pub fn recv_exact<C, B, F>(&self, stream: C, buf: B, count: usize, callback: F) -> Op
    where
        C: AsSource + 'static,
        B: IoBufMut,
        F: FnOnce(C, &Io, B, io::Result<()>) + 'static,
    {
        let row = RecvExact { buf, wanted: count, received: 0 };
        self.submit_on(row, stream, move |stream, io, (buf, result)| {
            callback(stream, io, buf, result);
        })
    }

    /// Receives into several buffers, one after the other; at most 16 are used in one call.
    ///
    /// # Errors
    /// As [`recv`](Io::recv).
    pub fn recv_vectored<C, B, F>(&self, stream: C, bufs: Vec<B>, callback: F) -> Op
    where
        C: AsSource + 'static,
        B: IoBufMut,
        F: FnOnce(C, &Io, Vec<B>, io::Result<usize>) + 'static,
    {
        let row = RecvVectored { bufs, message: Message::new() };
        self.submit_on(row, stream, move |stream, io, (bufs, result)| {
            callback(stream, io, bufs, result);
        })
    }

    /// Receives again and again into the buffers of `pool`, until the stream ends, `each` returns
    /// [`Next::Stop`], or the operation is cancelled or fails; then `done` gets the context back:
    /// `Ok` at the end of the stream and after a stop. An idle stream holds no buffer. What the
    /// kernel had received before a stop took effect still comes to `each`: nothing is lost.
    ///
    /// # Errors
    /// In `done`: `InvalidInput` when the pool belongs to another loop, `ConnectionReset`, and what
    /// recv(2) says.
    pub fn recv_each<C, F, D>(&self, stream: C, pool: &BufferPool, each: F, done: D) -> Op
    where
        C: AsSource + 'static,
        F: FnMut(&mut C, &Io, PoolBuf) -> Next + 'static,
        D: FnOnce(C, &Io, io::Result<()>) + 'static,
    {
        if !pool.shared.belongs_to(self) {
            return self.submit(Failed(crate::error::FOREIGN), stream, done);
        }
        let row = RecvEach::new(Supply::new(&pool.shared));
        self.submit_each_on(row, stream, each, done)
    }

    /// Sends from `buf`: at least one byte (unless it is empty), perhaps not all.
    ///
    /// # Errors
    /// In the callback: `BrokenPipe` when the peer is gone, and what send(2) says.
    ///
    /// # Platform
    /// When the peer has reset the connection, Windows says `ConnectionReset` or `ConnectionAborted`,
    /// each time.
    #[inline]
    pub fn send<C, B, F>(&self, stream: C, buf: B, callback: F) -> Op
    where
        C: AsSource + 'static,
        B: IoBuf,
        F: FnOnce(C, &Io, B, io::Result<usize>) + 'static,
    {
        self.submit_on(
            Send { buf, tried: false, tries: Tries::default() },
            stream,
            move |stream, io, (buf, result)| {
                callback(stream, io, buf, result);
            },
        )
    }

    /// Sends all of `buf`. After an error it is not known how much of it arrived.
    ///
    /// # Errors
    /// As [`send`](Io::send).
    #[inline]
    pub fn send_all<C, B, F>(&self, stream: C, buf: B, callback: F) -> Op
    where
        C: AsSource + 'static,
        B: IoBuf,
        F: FnOnce(C, &Io, B, io::Result<()>) + 'static,
    {
        self.submit_on(SendAll::new(buf), stream, move |stream, io, (buf, result)| {
            callback(stream, io, buf, result);
        })
    }

    /// Sends all of `buf`, with no callback: for answers that nothing waits for. It may need no
    /// system call of its own: the loop learns when it next wakes that the bytes are gone, and drops
    /// the buffer then. With the readiness driver it is mostly done when this returns, and then not in
    /// flight.
    ///
    /// A send that fails, is cancelled or misses its deadline shuts the stream down both ways, so
    /// that nothing follows a gap: a receive in flight then ends. A peer that does not read lets
    /// sends pile up: look at [`in_flight`](TcpStream::in_flight), and use
    /// [`send_all`](Io::send_all) when it is over a bound of yours.
    ///
    /// ```
    /// use tigereye::{BufferPool, Io, Next, TcpStream};
    ///
    /// fn echo(io: &Io, stream: TcpStream, pool: &BufferPool) {
    ///     io.recv_each(
    ///         stream,
    ///         pool,
    ///         |stream, io, buf| {
    ///             io.send_detached(stream, buf);
    ///             if stream.in_flight() > 64 { Next::Stop } else { Next::Continue }
    ///         },
    ///         |_stream, _io, result| println!("ended: {result:?}"),
    ///     );
    /// }
    /// ```
    #[inline]
    pub fn send_detached<S: AsSource, B: IoBuf>(&self, stream: &S, buf: B) -> Op {
        if matches!(self.core.driver.kind, DriverKind::Readiness | DriverKind::Iocp) {
            self.send_at_once(stream.as_source(), buf)
        } else {
            self.submit_detached(stream.as_source(), buf, 0)
        }
    }

    /// Sends by a driver that tries, which may be done with it here and now: nobody waits for a
    /// callback.
    #[inline(never)]
    fn send_at_once<B: IoBuf>(&self, source: &Source, buf: B) -> Op {
        let id = source.id(self);
        let sent = match id {
            Some(id) => self.core.state.borrow_mut().send_at_once(id, bytes(&buf)),
            None => 0,
        };
        if sent == buf.len() && id.is_some() {
            return Op::ENDED;
        }
        self.submit_detached(source, buf, sent)
    }

    /// Sends what is left of `buf` behind the first `sent` bytes.
    #[inline(never)]
    fn submit_detached<B: IoBuf>(&self, source: &Source, buf: B, sent: usize) -> Op {
        let id = source.id(self);
        let row = SendDetached::new(buf, sent, id.unwrap_or(HandleId::NOBODY));
        self.submit_to(row, Target::from(id), (), |(), _io, ()| {})
    }

    /// Sends from several buffers, one after the other; at most 16 are used in one call.
    ///
    /// # Errors
    /// As [`send`](Io::send).
    pub fn send_vectored<C, B, F>(&self, stream: C, bufs: Vec<B>, callback: F) -> Op
    where
        C: AsSource + 'static,
        B: IoBuf,
        F: FnOnce(C, &Io, Vec<B>, io::Result<usize>) + 'static,
    {
        let row = SendVectored::new(bufs, false);
        self.submit_on(row, stream, move |stream, io, (bufs, result)| {
            callback(stream, io, bufs, result);
        })
    }

    /// Sends all of several buffers, any number of them.
    ///
    /// # Errors
    /// As [`send`](Io::send).
    pub fn send_all_vectored<C, B, F>(&self, stream: C, bufs: Vec<B>, callback: F) -> Op
    where
        C: AsSource + 'static,
        B: IoBuf,
        F: FnOnce(C, &Io, Vec<B>, io::Result<()>) + 'static,
    {
        let row = SendVectored::new(bufs, true);
        self.submit_on(row, stream, move |stream, io, (bufs, result)| {
            callback(stream, io, bufs, result.map(drop));
        })
    }

    /// Sends from `buf`, perhaps not all of it, without copying it into the kernel where that is
    /// supported (Linux 6.0);
    /// the callback comes when the kernel no longer needs the buffer, which is when the peer has
    /// acknowledged what was sent of it. Until then a cancel or a deadline changes nothing, and the
    /// next send waits; a close does not. It pays for buffers of many
    /// kilobytes on a real network; on loopback the kernel copies, and it costs more than
    /// [`send`](Io::send).
    ///
    /// # Errors
    /// As [`send`](Io::send).
    pub fn send_zero_copy<C, B, F>(&self, stream: C, buf: B, callback: F) -> Op
    where
        C: AsSource + 'static,
        B: IoBuf,
        F: FnOnce(C, &Io, B, io::Result<usize>) + 'static,
    {
        self.submit_on(SendZeroCopy::new(buf), stream, move |stream, io, (buf, result)| {
            callback(stream, io, buf, result);
        })
    }

    /// Shuts down one or both halves of a connection (shutdown(2)). Sends in flight are not waited
    /// for.
    ///
    /// # Errors
    /// In the callback: `NotConnected` after the peer's reset.
    pub fn shutdown<C, F>(&self, stream: C, how: Shutdown, callback: F) -> Op
    where
        C: AsSource + 'static,
        F: FnOnce(C, &Io, io::Result<()>) + 'static,
    {
        self.submit_on(shutdown::Shutdown { how }, stream, callback)
    }

    /// Completes when the descriptor can be read without blocking, has ended, or has failed.
    ///
    /// # Platform
    /// On Windows of sockets alone; and of one's own half that was shut down it is heard where
    /// [`shutdown`](Io::shutdown) did that (select, `readfds`, does not tell).
    ///
    /// # Errors
    /// In the callback: what poll(2) says.
    pub fn readable<C, F>(&self, context: C, callback: F) -> Op
    where
        C: AsSource + 'static,
        F: FnOnce(C, &Io, io::Result<()>) + 'static,
    {
        self.submit_on(Poll::new(Interest::Readable), context, callback)
    }

    /// Completes when the descriptor can be written without blocking, or has failed.
    ///
    /// # Platform
    /// io_uring completes it as well when the peer of a stream sends no more (`EPOLLRDHUP`): a
    /// write may then still find no room.
    ///
    /// # Errors
    /// In the callback: what poll(2) says.
    pub fn writable<C, F>(&self, context: C, callback: F) -> Op
    where
        C: AsSource + 'static,
        F: FnOnce(C, &Io, io::Result<()>) + 'static,
    {
        self.submit_on(Poll::new(Interest::Writable), context, callback)
    }
}
