//! The calls of rows on files.

use crate::raw::RawFd;
use std::io;
use std::mem::MaybeUninit;

use super::{Call, Kernel, Opening, Path, To, Write};
use crate::buf::room;
use crate::driver::Interest;
use crate::driver::sim::Place;
use crate::driver::sim::code::{self, Answer};
use crate::driver::sim::net::BUFFER;
use crate::driver::sim::slab::Key;
use crate::driver::sim::trace::What;
use crate::error::NOT_SIMULATED;
use crate::fs::path::{CPath, CPaths};
use crate::fs::{DataFileOptions, Made, Terms};
use crate::op::Start;
use crate::{Metadata, Renaming};

impl Place<'_> {
    /// What the handle asks of operations.
    pub(crate) fn terms(&self) -> Terms {
        self.terms.of(self.handle)
    }

    /// Makes a call when its time has come, and waits until then.
    fn on_disk(
        &mut self,
        name: &'static str,
        call: impl FnOnce(&mut Kernel, u32) -> Answer<usize>,
    ) -> Start {
        let (machine, looper, op) = (self.sim.machine, self.sim.looper, self.op);
        let mut kernel = self.sim.kernel.borrow_mut();
        if let Some(at) = self.sim.landed.iter().position(|&landed| landed == op) {
            self.sim.landed.swap_remove(at);
            kernel.write_is_over(machine, looper, op);
            let answer = call(&mut kernel, machine);
            kernel.note(machine, What::Disk(name, answer.is_ok()));
            return Start::Ready(super::super::place::result(answer));
        }
        self.sim.calls += 1;
        if let Some(looper) = kernel.loopers.get(looper) {
            looper.under_way.push(op);
        }
        kernel.disk_asked(machine, looper, op);
        Start::Submitted
    }

    /// As [`on_disk`](Place::on_disk), on the file that the operation is pending on.
    fn on_file(
        &mut self,
        name: &'static str,
        call: impl FnOnce(&mut Call<'_>, Key) -> Answer<usize>,
    ) -> Start {
        let fd = self.fd;
        let refused = {
            let kernel = self.sim.kernel.borrow();
            match (kernel.file_of(fd), kernel.socket_of(fd)) {
                (Some(_), _) => None,
                (None, Some(_)) if matches!(name, "syncs") => Some(-code::EINVAL),
                (None, Some(_)) => Some(-code::ESPIPE),
                // A handle of a real descriptor has no place in a simulated world.
                (None, None) => Some(NOT_SIMULATED),
            }
        };
        if let Some(refused) = refused {
            return Start::Ready(refused);
        }
        self.on_disk(name, |kernel, machine| {
            let file = kernel.file_of(fd).ok_or(code::EBADF)?;
            call(&mut kernel.disk_call(machine), file)
        })
    }

    /// As [`on_disk`](Place::on_disk), of paths; `call` gets where those start that start here.
    fn on_paths(
        &mut self,
        name: &'static str,
        call: impl FnOnce(&mut Call<'_>, Option<Key>) -> Answer<usize>,
    ) -> Start {
        let fd = self.fd;
        self.on_disk(name, |kernel, machine| {
            let start = kernel.start_of(fd)?;
            call(&mut kernel.disk_call(machine), start)
        })
    }

    /// Reads into `room`; without an offset, from where the file stands.
    pub(crate) fn read_file(&mut self, room: &mut [MaybeUninit<u8>], offset: Option<u64>) -> Start {
        if let Some(refused) = offset.and_then(|offset| self.terms().refuses(room, offset)) {
            return Start::Ready(refused);
        }
        self.on_file("reads", |call, file| call.read(file, room, offset))
    }

    /// Reads into several rooms.
    pub(crate) fn read_file_vectored<'b>(
        &mut self,
        rooms: impl Iterator<Item = &'b mut [MaybeUninit<u8>]>,
        offset: u64,
    ) -> Start {
        self.on_file("reads", |call, file| call.read_vectored(file, rooms, offset))
    }

    /// Sends from a file: reads a part of it once the socket has room, and sends of that what the socket
    /// takes then.
    pub(crate) fn send_file(&mut self, file: RawFd, offset: u64, count: usize) -> Start {
        let fd = self.fd;
        let has_landed = self.sim.landed.contains(&self.op);
        {
            let mut kernel = self.sim.kernel.borrow_mut();
            let Some(socket) = kernel.socket_of(fd) else {
                let is_file = kernel.file_of(fd).is_some();
                return Start::Ready(if is_file { -code::ENOTSOCK } else { NOT_SIMULATED });
            };
            if kernel.has_datagrams(socket) {
                return self.unsupported();
            }
            kernel.settle();
            if !has_landed && !kernel.is_ready(socket, Interest::Writable) {
                return Start::Await(Interest::Writable);
            }
        }
        let start = self.on_disk("reads", |kernel, machine| {
            let file = kernel.file_of(file).ok_or(code::EBADF)?;
            let socket = kernel.socket_of(fd).ok_or(code::EBADF)?;
            let mut bytes = vec![0; count.min(BUFFER)].into_boxed_slice();
            let read = kernel.disk_call(machine).read(file, room(&mut bytes), Some(offset));
            match read.map_err(|error| if error == code::EISDIR { code::EINVAL } else { error })? {
                0 => Ok(0),
                count => kernel.send_bytes(socket, &bytes[..count]),
            }
        });
        match start {
            Start::Ready(failed) if failed == -code::EAGAIN => Start::Await(Interest::Writable),
            start => start,
        }
    }

    /// Writes at an offset; without one, where the file stands.
    pub(crate) fn write_file(&mut self, bytes: &[u8], offset: Option<u64>) -> Start {
        let terms = self.terms();
        let misaligned = offset.and_then(|offset| terms.refuses(bytes, offset));
        if let Some(refused) = terms.failed().or(misaligned) {
            return Start::Ready(refused);
        }
        let to = offset.map_or(To::Position, To::Offset);
        self.write(bytes, to)
    }

    fn write(&mut self, bytes: &[u8], to: To) -> Start {
        let start = self.on_file("writes", |call, file| call.write(file, bytes, to));
        let by = (self.sim.looper, self.op);
        let mut kernel = self.sim.kernel.borrow_mut();
        if matches!(start, Start::Submitted)
            && let Some(file) = kernel.file_of(self.fd)
        {
            kernel.write_asked(self.sim.machine, Write { by, file, bytes: bytes.into(), to });
        }
        start
    }

    /// Writes several pieces, as one write.
    pub(crate) fn write_file_vectored(&mut self, pieces: &[&[u8]], offset: u64) -> Start {
        self.write(&pieces.concat(), To::Offset(offset))
    }

    /// Writes at the end.
    pub(crate) fn append_file(&mut self, bytes: &[u8]) -> Start {
        self.write(bytes, To::End)
    }

    pub(crate) fn set_file_len(&mut self, len: u64) -> Start {
        self.on_file("sets a length", |call, file| call.set_len(file, len))
    }

    pub(crate) fn allocate_file(&mut self, offset: u64, len: u64, grows: bool) -> Start {
        self.on_file("reserves room", |call, file| call.allocate(file, offset, len, grows))
    }

    pub(crate) fn sync_file(&mut self) -> Start {
        self.on_file("syncs", |call, file| call.sync(file))
    }

    /// What is written so may be lost all the same: nothing is said of the disk's own memory, or of the
    /// file's length (sync_file_range(2)).
    pub(crate) fn sync_file_range(&mut self) -> Start {
        self.on_file("syncs a part", |_call, _file| Ok(0))
    }

    /// What is known of the file, or of what is at a path.
    pub(crate) fn stat(
        &mut self,
        path: Option<&CPath>,
        follow: bool,
        known: &mut Option<Box<Metadata>>,
    ) -> Start {
        match path {
            None => self.on_file("asks", |call, file| {
                *known = Some(Box::new(call.stat(file)?));
                Ok(0)
            }),
            Some(path) => self.on_paths("asks", |call, start| {
                let path = Path { start, bytes: &path.simulated() };
                *known = Some(Box::new(call.stat_at(path, follow)?));
                Ok(0)
            }),
        }
    }

    /// Opens a file; the result is a descriptor.
    pub(crate) fn open_file(&mut self, path: &CPath, flags: i32, mode: u32, resolve: u64) -> Start {
        let fd = self.fd;
        self.on_disk("opens", |kernel, machine| {
            let start = kernel.start_of(fd)?;
            let path = Path { start, bytes: &path.simulated() };
            let file = kernel.disk_call(machine).open(path, Opening { flags, mode, resolve })?;
            Ok(kernel.file_fd(file) as usize)
        })
    }

    /// Opens or makes a data file; the result is a descriptor. A failure leaves its words.
    pub(crate) fn open_data_file(
        &mut self,
        path: &CPath,
        options: &DataFileOptions,
        made: &mut Made,
        failure: &mut Option<io::Error>,
    ) -> Start {
        let fd = self.fd;
        self.on_disk("opens", |kernel, machine| {
            let start = kernel.start_of(fd)?;
            let path = Path { start, bytes: &path.simulated() };
            match kernel.disk_call(machine).open_data_file(path, options) {
                Ok((file, what)) => {
                    *made = what;
                    Ok(kernel.file_fd(file) as usize)
                }
                Err(error) => {
                    *failure = Some(error);
                    Err(code::EIO)
                }
            }
        })
    }

    pub(crate) fn create_directory(&mut self, path: &CPath, mode: u32) -> Start {
        self.on_paths("makes a directory", |call, start| {
            call.create_directory(Path { start, bytes: &path.simulated() }, mode)
        })
    }

    pub(crate) fn remove(&mut self, path: &CPath, directory: bool) -> Start {
        self.on_paths("removes", |call, start| {
            call.remove(Path { start, bytes: &path.simulated() }, directory)
        })
    }

    pub(crate) fn symlink(&mut self, target: &CPath, path: &CPath) -> Start {
        self.on_paths("links", |call, start| {
            call.symlink(&target.simulated(), Path { start, bytes: &path.simulated() })
        })
    }

    pub(crate) fn hard_link(&mut self, paths: &CPaths) -> Start {
        self.on_paths("links", |call, start| {
            both(paths, start, |from, to| call.hard_link(from, to))
        })
    }

    pub(crate) fn rename(&mut self, paths: &CPaths, renaming: Renaming) -> Start {
        self.on_paths("renames", |call, start| {
            both(paths, start, |from, to| call.rename(from, to, renaming))
        })
    }

    /// Whether the handle is of an open file.
    #[cfg(unix)]
    pub(crate) fn is_file(&self) -> bool {
        self.sim.kernel.borrow().file_of(self.fd).is_some()
    }
}

/// Makes a call with two paths, each of which starts somewhere.
fn both<T>(paths: &CPaths, start: Option<Key>, call: impl FnOnce(Path<'_>, Path<'_>) -> T) -> T {
    let (from_start, to_start) = paths.directories(start, None);
    call(
        Path { start: from_start, bytes: &paths.from.simulated() },
        Path { start: to_start, bytes: &paths.to.simulated() },
    )
}
