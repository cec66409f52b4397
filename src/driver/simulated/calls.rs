//! What rows ask of the simulated system: the calls on sockets and on files, as `sim/place.rs` and
//! `sim/disk/place.rs` make them.

use std::io;
use std::mem::MaybeUninit;
use std::net::{Shutdown, SocketAddr};

use socket2::SockAddr;

use crate::driver::Interest;
use crate::error::NOT_SIMULATED;
use crate::fs::path::{CPath, CPaths};
use crate::fs::{DataFileOptions, Made, Terms};
use crate::op::Start;
use crate::raw::RawFd;
use crate::{Metadata, Renaming, UnixAddress};

/// What is received from a sender, with whether it was cut; from nobody where the socket was shut
/// down.
pub(crate) type Sender = (Option<SockAddr>, bool);

/// All of them.
pub(crate) trait Calls: SocketCalls + FileCalls {}

/// Calls on the socket that an operation is pending on; those that may have to wait then do so.
pub(crate) trait SocketCalls {
    fn fd(&self) -> RawFd;
    /// The simulator does not have this operation.
    fn unsupported(&self) -> Start {
        Start::Ready(NOT_SIMULATED)
    }
    /// Whether the pool of a flow has no buffer just now.
    fn lacks_buffers(&self) -> bool;
    /// Receives into `room`, which is not empty.
    fn recv(&mut self, room: &mut [MaybeUninit<u8>]) -> Start;
    /// Receives into several rooms, none of them empty, one after the other.
    fn recv_vectored(&mut self, rooms: &mut dyn Iterator<Item = &mut [MaybeUninit<u8>]>) -> Start;
    /// Sends from `bytes`; of a socket of datagrams, one to its peer.
    fn send(&mut self, bytes: &[u8]) -> Start;
    /// Sends what is left of a buffer; where nothing is, all is done.
    fn send_rest(&mut self, rest: &[u8]) -> Start {
        if rest.is_empty() { Start::Ready(0) } else { self.send(rest) }
    }
    /// Sends several pieces, none of them empty, one after the other; of a socket of datagrams, as one.
    fn send_vectored(&mut self, pieces: &[&[u8]]) -> Start;
    /// Accepts a connection; its peer's address goes to `peer`. The result is a descriptor.
    fn accept(&mut self, peer: &mut Option<SockAddr>) -> Start;
    /// Connects, or finds out how far that is.
    fn connect(&mut self, to: Option<SocketAddr>) -> Start;
    /// Connects a Unix socket, or says `EAGAIN`: there is nothing to wait for.
    fn connect_unix(&mut self, to: &UnixAddress) -> i32;
    /// Sends a datagram of a Unix socket to a name, or says `EAGAIN`, as for a connect.
    #[cfg(unix)]
    fn send_to_unix(&mut self, to: &UnixAddress, bytes: &[u8]) -> i32;
    fn shut_down(&mut self, how: Shutdown) -> Start;
    /// Closes the descriptor, which the loop has let go of.
    fn close(&mut self) -> Start;
    /// Waits until a call this way would not wait.
    fn poll(&mut self, interest: Interest) -> Start;
    /// Sends a datagram, or several of one length.
    fn send_to(&mut self, to: Option<SocketAddr>, bytes: &[u8], segment: Option<u16>) -> Start;
    /// Receives a datagram into `room`; says from whom.
    fn recv_from(&mut self, room: &mut [MaybeUninit<u8>], sender: &mut Sender) -> Start;
}

/// Calls on files and paths, each made when its time has come.
pub(crate) trait FileCalls {
    /// What the handle asks of operations.
    fn terms(&self) -> Terms;
    /// Reads into `room`; without an offset, from where the file stands.
    fn read_file(&mut self, room: &mut [MaybeUninit<u8>], offset: Option<u64>) -> Start;
    /// Reads into several rooms.
    fn read_file_vectored(
        &mut self,
        rooms: &mut dyn Iterator<Item = &mut [MaybeUninit<u8>]>,
        offset: u64,
    ) -> Start;
    /// Sends from a file: reads a part of it once the socket has room, and sends of that what the socket
    /// takes then.
    fn send_file(&mut self, file: RawFd, offset: u64, count: usize) -> Start;
    /// Writes at an offset; without one, where the file stands.
    fn write_file(&mut self, bytes: &[u8], offset: Option<u64>) -> Start;
    /// Writes several pieces, as one write.
    fn write_file_vectored(&mut self, pieces: &[&[u8]], offset: u64) -> Start;
    /// Writes at the end.
    fn append_file(&mut self, bytes: &[u8]) -> Start;
    fn set_file_len(&mut self, len: u64) -> Start;
    fn allocate_file(&mut self, offset: u64, len: u64, grows: bool) -> Start;
    fn sync_file(&mut self) -> Start;
    /// What is written so may be lost all the same: nothing is said of the disk's own memory, or of the
    /// file's length (sync_file_range(2)).
    fn sync_file_range(&mut self) -> Start;
    /// What is known of the file, or of what is at a path.
    fn stat(
        &mut self,
        path: Option<&CPath>,
        follow: bool,
        known: &mut Option<Box<Metadata>>,
    ) -> Start;
    /// Opens a file; the result is a descriptor.
    fn open_file(&mut self, path: &CPath, flags: i32, mode: u32, resolve: u64) -> Start;
    /// Opens or makes a data file; the result is a descriptor. A failure leaves its words.
    fn open_data_file(
        &mut self,
        path: &CPath,
        options: &DataFileOptions,
        made: &mut Made,
        failure: &mut Option<io::Error>,
    ) -> Start;
    fn create_directory(&mut self, path: &CPath, mode: u32) -> Start;
    fn remove(&mut self, path: &CPath, directory: bool) -> Start;
    fn symlink(&mut self, target: &CPath, path: &CPath) -> Start;
    fn hard_link(&mut self, paths: &CPaths) -> Start;
    fn rename(&mut self, paths: &CPaths, renaming: Renaming) -> Start;
    /// Whether the handle is of an open file.
    #[cfg(unix)]
    fn is_file(&self) -> bool;
}
