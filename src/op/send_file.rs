//! Sending from a file to a socket, without a copy through user space.
//!
//! ```text
//!   has the socket room? ──no──▶ wait until it is writable ──────────────────────┐
//!      ▲   │ yes                                                                 │
//!      │   ├─ it is in memory ──▶ sendfile, as much as there is room for ────────┤
//!      │   └─ or not ───────────▶ on the pool: the same ──▶ done, or the rest    │
//!      └───────────────────────────────────────────────────────────┴─────────────┘
//! ```
//!
//! sendfile(2) reads the file, which can block, so it is called on the pool, unless the page cache has
//! all that it is to send (`fs/system/cached.rs`) and nobody else waits for the loop. It must not wait for
//! the peer, which may take nothing for ever. Where sockets are non-blocking it does not. Under io_uring they block: on the loop's thread
//! the socket is set not to, for the length of the call. On the pool, where that would last as long as a
//! disk takes, it is given no more than the socket's buffer has room for, and waits for a tick of the
//! kernel's clock at most.
//!
//! The row has a duplicate of the file's descriptor, so that the file can be closed meanwhile.
//! On Windows it is one overlapped call, which the system works at by itself.
//! Sources: sendfile(2), `SO_MEMINFO` in linux/sock_diag.h; TransmitFile in Microsoft's documentation.

use std::io;

#[cfg(target_os = "linux")]
use super::two_ends::RoomWait;
use super::two_ends::{From, Progress};
use super::{Direction, Operation, Start, Step};
use crate::Io;
#[cfg(unix)]
use crate::driver::Interest;
#[cfg(windows)]
use crate::driver::iocp;
#[cfg(unix)]
use crate::driver::readiness;
use crate::driver::sim;
#[cfg(target_os = "linux")]
use crate::driver::uring;
use crate::error::code;
#[cfg(unix)]
use crate::fs::system::{IN_PLACE_MAX, Reads, cached, reads_of};
use crate::handle::Source;
#[cfg(unix)]
use crate::net::system;
#[cfg(unix)]
use crate::offload::LentFd;
#[cfg(target_os = "linux")]
use crate::offload::result_of;
#[cfg(windows)]
use crate::raw::RawFd;

pub(crate) struct SendFile {
    /// The file, or why there is none.
    file: io::Result<From>,
    offset: u64,
    progress: Progress,
    /// Whether what is in memory is sent at once: the file can be read so, and the socket be sent to.
    #[cfg(unix)]
    at_once: Option<bool>,
    /// io_uring was asked to wait until the socket is writable, or a timer.
    polling: bool,
    #[cfg(target_os = "linux")]
    room_wait: RoomWait,
}

/// What one call sends.
struct Part {
    #[cfg(unix)]
    file: LentFd,
    #[cfg(windows)]
    file: RawFd,
    offset: u64,
    count: usize,
}

impl SendFile {
    pub(crate) fn new(io: &Io, file: &Source, offset: u64, count: u64, all: bool) -> SendFile {
        SendFile {
            file: From::new(io, file),
            offset,
            progress: Progress::new(count, all),
            #[cfg(unix)]
            at_once: None,
            polling: false,
            #[cfg(target_os = "linux")]
            room_wait: RoomWait::new(io),
        }
    }

    /// What comes next; or the result, where nothing does.
    fn part(&self, room: usize) -> Result<Part, i32> {
        let Ok(file) = &self.file else { return Err(0) };
        if self.progress.left == 0 {
            return Err(0);
        }
        let offset = self.offset.saturating_add(self.progress.moved);
        if i64::try_from(offset).is_err() {
            return Err(-code::INVALID);
        }
        #[cfg(unix)]
        let file = file.lent_fd();
        #[cfg(windows)]
        let file = file.fd;
        Ok(Part { file, offset, count: self.progress.count(room) })
    }

    /// The next part as far as the file has it, if all of that is in memory and may be sent from there.
    /// A socket that `is_ours` may be set not to block.
    #[cfg(unix)]
    fn part_in_memory(&mut self, socket: LentFd, is_ours: bool) -> Option<Part> {
        let Part { file, offset, count } = self.part(IN_PLACE_MAX).ok()?;
        let ask = || reads_of(file) == Reads::Cached && system::sends_at_once(socket, is_ours);
        if !*self.at_once.get_or_insert_with(ask) {
            return None;
        }
        Some(Part { file, offset, count: cached(file, offset, count)? })
    }

    #[cfg(target_os = "linux")]
    fn wait_for_room(&mut self, place: &mut uring::Place<'_>) -> Start {
        self.polling = true;
        self.room_wait.start(place)
    }
}

impl Operation for SendFile {
    type Output = io::Result<u64>;
    const DIRECTION: Direction = Direction::Out;

    #[cfg(target_os = "linux")]
    fn uring(&mut self, place: &mut uring::Place<'_>) -> Start {
        let room = match system::room_to_send(place.fd) {
            Ok(0) => {
                if self.file.is_err() {
                    return Start::Ready(0);
                }
                return self.wait_for_room(place);
            }
            Ok(room) => room,
            Err(error) => return Start::Ready(crate::error::to_raw(&error)),
        };
        let socket = place.lent_fd();
        if !place.others_wait()
            && let Some(Part { file, offset, count }) = self.part_in_memory(socket, place.is_tcp())
        {
            let send = || system::send_file_at_once(socket, file, offset, count);
            let result = result_of(send);
            if result == -code::WOULD_BLOCK {
                return self.wait_for_room(place);
            }
            self.room_wait.is_over();
            return Start::Ready(result);
        }
        self.room_wait.is_over();
        match self.part(room) {
            Ok(Part { file, offset, count }) => {
                place.offload(move || system::send_file(socket, file, offset, count))
            }
            Err(result) => Start::Ready(result),
        }
    }

    #[cfg(unix)]
    fn readiness(&mut self, place: &mut readiness::Place<'_>) -> Start {
        let Part { file, offset, count } = match self.part(usize::MAX) {
            Ok(part) => part,
            Err(result) => return Start::Ready(result),
        };
        match place.poll(libc::POLLOUT) {
            0 => return Start::Await(Interest::Writable),
            failed if failed < 0 => return Start::Ready(failed),
            _ => {}
        }
        let socket = place.lent_fd();
        if !place.others_wait()
            && let Some(Part { file, offset, count }) = self.part_in_memory(socket, false)
        {
            return place.attempt(Interest::Writable, |_socket| {
                system::send_file_at_once(socket, file, offset, count)
            });
        }
        place.offload(move || system::send_file(socket, file, offset, count))
    }

    fn sim(&mut self, place: &mut sim::Place<'_>) -> Start {
        match (self.part(usize::MAX), &self.file) {
            (Ok(Part { offset, count, .. }), Ok(file)) => place.send_file(file.fd, offset, count),
            (Err(result), _) => Start::Ready(result),
            (Ok(_), Err(_)) => Start::Ready(0),
        }
    }

    #[cfg(windows)]
    fn iocp(&mut self, place: &mut iocp::Place<'_>) -> Start {
        match self.part(usize::MAX) {
            Ok(Part { file, offset, count }) => place.send_file(file, offset, count),
            Err(result) => Start::Ready(result),
        }
    }

    fn step(&mut self, result: i32) -> Step {
        if result < 0 || self.progress.left == 0 {
            return Step::Done(result);
        }
        if std::mem::take(&mut self.polling) {
            return Step::Again;
        }
        self.progress.step(result)
    }

    fn finish(self, _io: &Io, result: io::Result<u32>) -> Self::Output {
        self.file?;
        result?;
        Ok(self.progress.moved)
    }

    fn discard(self, _result: i32) {}
}
