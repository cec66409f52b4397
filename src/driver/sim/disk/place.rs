//! The calls of rows on files.

use crate::raw::RawFd;
use std::io;
use std::mem::MaybeUninit;

use super::{Call, Kernel, Opening, Path, To, Write};
use crate::buf::room;
use crate::driver::Interest;
use crate::driver::sim::Sim;
use crate::driver::sim::code::{self, Answer};
use crate::driver::sim::net::BUFFER;
use crate::driver::sim::slab::Key;
use crate::driver::sim::trace::What;
use crate::driver::simulated::{FileCalls, SocketCalls};
use crate::error::NOT_SIMULATED;
use crate::fs::path::{CPath, CPaths};
use crate::fs::{DataFileOptions, Made, Terms};
use crate::op::Start;
use crate::{Metadata, Renaming};

impl Sim {
    /// Makes a call when its time has come, and waits until then.
    fn on_disk(
        &mut self,
        name: &'static str,
        call: impl FnOnce(&mut Kernel, u32) -> Answer<usize>,
    ) -> Start {
        let (machine, looper, op) = (self.machine, self.looper, self.asked.op);
        let mut kernel = self.kernel.borrow_mut();
        if let Some(at) = self.landed.iter().position(|&landed| landed == op) {
            self.landed.swap_remove(at);
            kernel.write_is_over(machine, looper, op);
            let answer = call(&mut kernel, machine);
            kernel.note(machine, What::Disk(name, answer.is_ok()));
            return Start::Ready(super::super::place::result(answer));
        }
        self.calls += 1;
        if let Some(looper) = kernel.loopers.get(looper) {
            looper.under_way.push(op);
        }
        kernel.disk_asked(machine, looper, op);
        Start::Submitted
    }

    /// As [`on_disk`](Sim::on_disk), on the file that the operation is pending on.
    fn on_file(
        &mut self,
        name: &'static str,
        call: impl FnOnce(&mut Call<'_>, Key) -> Answer<usize>,
    ) -> Start {
        let fd = self.asked.fd;
        let refused = {
            let kernel = self.kernel.borrow();
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

    /// As [`on_disk`](Sim::on_disk), of paths; `call` gets where those start that start here.
    fn on_paths(
        &mut self,
        name: &'static str,
        call: impl FnOnce(&mut Call<'_>, Option<Key>) -> Answer<usize>,
    ) -> Start {
        let fd = self.asked.fd;
        self.on_disk(name, |kernel, machine| {
            let start = kernel.start_of(fd)?;
            call(&mut kernel.disk_call(machine), start)
        })
    }

    fn write(&mut self, bytes: &[u8], to: To) -> Start {
        let start = self.on_file("writes", |call, file| call.write(file, bytes, to));
        let by = (self.looper, self.asked.op);
        let mut kernel = self.kernel.borrow_mut();
        if matches!(start, Start::Submitted)
            && let Some(file) = kernel.file_of(self.asked.fd)
        {
            kernel.write_asked(self.machine, Write { by, file, bytes: bytes.into(), to });
        }
        start
    }
}

impl FileCalls for Sim {
    fn terms(&self) -> Terms {
        self.asked.terms
    }

    fn read_file(&mut self, room: &mut [MaybeUninit<u8>], offset: Option<u64>) -> Start {
        if let Some(refused) = offset.and_then(|offset| self.terms().refuses(room, offset)) {
            return Start::Ready(refused);
        }
        self.on_file("reads", |call, file| call.read(file, room, offset))
    }

    fn read_file_vectored(
        &mut self,
        rooms: &mut dyn Iterator<Item = &mut [MaybeUninit<u8>]>,
        offset: u64,
    ) -> Start {
        self.on_file("reads", |call, file| call.read_vectored(file, rooms, offset))
    }

    fn send_file(&mut self, file: RawFd, offset: u64, count: usize) -> Start {
        let fd = self.asked.fd;
        let has_landed = self.landed.contains(&self.asked.op);
        {
            let mut kernel = self.kernel.borrow_mut();
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

    fn write_file(&mut self, bytes: &[u8], offset: Option<u64>) -> Start {
        let terms = self.terms();
        let misaligned = offset.and_then(|offset| terms.refuses(bytes, offset));
        if let Some(refused) = terms.failed().or(misaligned) {
            return Start::Ready(refused);
        }
        let to = offset.map_or(To::Position, To::Offset);
        self.write(bytes, to)
    }

    fn write_file_vectored(&mut self, pieces: &[&[u8]], offset: u64) -> Start {
        self.write(&pieces.concat(), To::Offset(offset))
    }

    fn append_file(&mut self, bytes: &[u8]) -> Start {
        self.write(bytes, To::End)
    }

    fn set_file_len(&mut self, len: u64) -> Start {
        self.on_file("sets a length", |call, file| call.set_len(file, len))
    }

    fn allocate_file(&mut self, offset: u64, len: u64, grows: bool) -> Start {
        self.on_file("reserves room", |call, file| call.allocate(file, offset, len, grows))
    }

    fn sync_file(&mut self) -> Start {
        self.on_file("syncs", |call, file| call.sync(file))
    }

    fn sync_file_range(&mut self) -> Start {
        self.on_file("syncs a part", |_call, _file| Ok(0))
    }

    fn stat(
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

    fn open_file(&mut self, path: &CPath, flags: i32, mode: u32, resolve: u64) -> Start {
        let fd = self.asked.fd;
        self.on_disk("opens", |kernel, machine| {
            let start = kernel.start_of(fd)?;
            let path = Path { start, bytes: &path.simulated() };
            let file = kernel.disk_call(machine).open(path, Opening { flags, mode, resolve })?;
            Ok(kernel.file_fd(file) as usize)
        })
    }

    fn open_data_file(
        &mut self,
        path: &CPath,
        options: &DataFileOptions,
        made: &mut Made,
        failure: &mut Option<io::Error>,
    ) -> Start {
        let fd = self.asked.fd;
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

    fn create_directory(&mut self, path: &CPath, mode: u32) -> Start {
        self.on_paths("makes a directory", |call, start| {
            call.create_directory(Path { start, bytes: &path.simulated() }, mode)
        })
    }

    fn remove(&mut self, path: &CPath, directory: bool) -> Start {
        self.on_paths("removes", |call, start| {
            call.remove(Path { start, bytes: &path.simulated() }, directory)
        })
    }

    fn symlink(&mut self, target: &CPath, path: &CPath) -> Start {
        self.on_paths("links", |call, start| {
            call.symlink(&target.simulated(), Path { start, bytes: &path.simulated() })
        })
    }

    fn hard_link(&mut self, paths: &CPaths) -> Start {
        self.on_paths("links", |call, start| {
            both(paths, start, |from, to| call.hard_link(from, to))
        })
    }

    fn rename(&mut self, paths: &CPaths, renaming: Renaming) -> Start {
        self.on_paths("renames", |call, start| {
            both(paths, start, |from, to| call.rename(from, to, renaming))
        })
    }

    #[cfg(unix)]
    fn is_file(&self) -> bool {
        self.kernel.borrow().file_of(self.asked.fd).is_some()
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
