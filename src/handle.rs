//! The loop's table of handles: which descriptor, what is pending on it, and whether it is closing.
//!
//! ```text
//!  open ──close(cb)──▶ closing: pending cancelled, waited for ──▶ descriptor closed ──▶ cb
//!    └────drop───────▶ the same, without a callback
//! ```
//!
//! I1. The descriptor is closed only when nothing is pending on it, so its number cannot get a
//!     new owner under a pending operation.
//! I2. One operation per direction is with the driver; the others wait behind it, linked through
//!     their slots from `head` to `tail`.

use std::io;
use std::rc::Rc;

use crate::Io;
use crate::core::{Core, Held};
use crate::driver::simulated;
use crate::fs::{AllTerms, Terms};
#[cfg(unix)]
use crate::offload::LentFd;
use crate::raw::RawFd;
use crate::slot::NONE;

/// `closer` of an open handle.
pub(crate) const OPEN: u32 = NONE;
/// `closer` of a handle that was dropped.
pub(crate) const DROPPED: u32 = NONE - 1;

/// The operations of one direction, linked through their slots.
#[derive(Debug, Clone, Copy)]
pub(crate) struct InOrder {
    pub(crate) head: u32,
    pub(crate) tail: u32,
}

#[derive(Debug)]
pub(crate) struct Handle {
    /// −1 once closed.
    pub(crate) fd: RawFd,
    pub(crate) generation: u32,
    pub(crate) pending: u32,
    /// `OPEN`, `DROPPED`, or the slot of the close operation.
    pub(crate) closer: u32,
    /// By direction: in, out. In a free entry `queues[0].head` is the next free one.
    pub(crate) queues: [InOrder; 2],
}

const _: () = assert!(size_of::<Handle>() == 32);

pub(crate) struct Handles {
    entries: Vec<Handle>,
    free: u32,
    /// What those ask that have more to ask than a descriptor: files.
    pub(crate) terms: AllTerms,
}

impl Handles {
    pub(crate) fn new() -> Handles {
        Handles { entries: Vec::new(), free: NONE, terms: AllTerms::default() }
    }

    pub(crate) fn insert(&mut self, fd: RawFd) -> HandleId {
        if self.free == NONE {
            let index = u32::try_from(self.entries.len()).unwrap_or(NONE);
            assert!(index < DROPPED, "more handles than can be numbered");
            if self.entries.len() == self.entries.capacity() {
                self.entries.reserve_exact(1024);
            }
            let queues = [InOrder { head: NONE, tail: NONE }; 2];
            self.entries.push(Handle { fd: -1, generation: 0, pending: 0, closer: OPEN, queues });
            self.free = index;
        }
        let index = self.free;
        let handle = &mut self.entries[index as usize];
        self.free = handle.queues[0].head;
        handle.queues[0].head = NONE;
        handle.fd = fd;
        handle.closer = OPEN;
        HandleId { index, generation: handle.generation }
    }

    /// Entries that exist, taken or free.
    pub(crate) fn len(&self) -> u32 {
        u32::try_from(self.entries.len()).unwrap_or(NONE)
    }

    #[inline]
    pub(crate) fn get(&mut self, index: u32) -> &mut Handle {
        &mut self.entries[index as usize]
    }

    /// The handle with that name, unless it is gone.
    #[inline]
    pub(crate) fn find(&mut self, id: HandleId) -> Option<&mut Handle> {
        let handle = self.entries.get_mut(id.index as usize)?;
        (handle.generation == id.generation).then_some(handle)
    }

    /// The descriptor of a handle that was closing when the loop ended.
    pub(crate) fn take_closing(&mut self) -> Option<RawFd> {
        let closing = |handle: &Handle| handle.fd >= 0 && handle.closer != OPEN;
        let at = self.entries.iter().position(closing)?;
        let handle = &mut self.entries[at];
        handle.generation = handle.generation.wrapping_add(1);
        Some(std::mem::replace(&mut handle.fd, -1))
    }

    pub(crate) fn remove(&mut self, index: u32) {
        let free = self.free;
        let handle = self.get(index);
        assert!(handle.pending == 0, "a handle goes when nothing is pending on it");
        handle.generation = handle.generation.wrapping_add(1);
        handle.fd = -1;
        handle.queues[0].head = free;
        self.free = index;
        self.terms.forget(index);
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HandleId {
    pub(crate) index: u32,
    pub(crate) generation: u32,
}

impl HandleId {
    /// Finds nobody.
    pub(crate) const NOBODY: HandleId = HandleId { index: NONE, generation: 0 };
}

/// What operations are submitted on: a descriptor that a loop owns. Typed handles such as
/// [`TcpStream`](crate::TcpStream) hold one; dropping it closes the descriptor once nothing is
/// pending on it.
pub struct Source {
    core: Rc<Core>,
    id: HandleId,
}

impl Source {
    pub(crate) fn new(io: &Io, fd: RawFd) -> Source {
        let id = io.core.state.borrow_mut().handles.insert(fd);
        Source { core: Rc::clone(&io.core), id }
    }

    /// As [`new`](Source::new), of a stream whose data has no boundaries: TCP's.
    pub(crate) fn without_boundaries(io: &Io, fd: RawFd) -> Source {
        let source = Source::new(io, fd);
        if let Some(driver) = &mut io.core.state.borrow_mut().driver {
            driver.has_no_boundaries(source.id.index);
        }
        source
    }

    /// As [`new`](Source::new), of a socket of datagrams: an error on it is over when it is told.
    pub(crate) fn of_datagrams(io: &Io, fd: RawFd) -> Source {
        let source = Source::new(io, fd);
        if let Some(driver) = &mut io.core.state.borrow_mut().driver {
            driver.carries_datagrams(source.id.index);
        }
        source
    }

    /// The name of the handle in `io`, or nothing if it belongs to another loop.
    #[inline]
    pub(crate) fn id(&self, io: &Io) -> Option<HandleId> {
        Rc::ptr_eq(&self.core, &io.core).then_some(self.id)
    }

    /// The number of the handle in its loop.
    #[cfg(unix)]
    pub(crate) fn number(&self) -> u32 {
        self.id.index
    }

    /// The descriptor, while the handle is open.
    pub(crate) fn fd(&self) -> Option<RawFd> {
        let mut state = self.core.state.borrow_mut();
        let handle = state.handles.find(self.id)?;
        (handle.closer == OPEN).then_some(handle.fd)
    }

    /// A duplicate of the descriptor, which lives as long as it is wanted.
    ///
    /// # Errors
    /// `NotConnected` when the handle is closed, `EMFILE`.
    #[cfg(unix)]
    pub(crate) fn duplicate(&self) -> io::Result<Held> {
        let fd = self.fd().ok_or(io::ErrorKind::NotConnected)?;
        if simulated::is_simulated(fd) {
            return simulated::duplicate(fd);
        }
        Ok(rustix::io::fcntl_dupfd_cloexec(LentFd::new(fd), 0)?.into())
    }

    /// As on Unix.
    #[cfg(windows)]
    pub(crate) fn duplicate(&self) -> io::Result<Held> {
        let fd = self.fd().ok_or(io::ErrorKind::NotConnected)?;
        if simulated::is_simulated(fd) {
            return simulated::duplicate(fd);
        }
        // What is made of the number is not dropped: the table of handles owns it.
        let own = std::mem::ManuallyDrop::new(crate::core::owned(fd));
        own.try_clone().map(Held::from)
    }

    /// Has the driver register the handle's file.
    ///
    /// # Errors
    /// `NotConnected` when the handle is closed, and what the system says.
    pub(crate) fn register(&self) -> io::Result<bool> {
        let mut state = self.core.state.borrow_mut();
        let state = &mut *state;
        let handle = state.handles.find(self.id).filter(|handle| handle.closer == OPEN);
        let fd = handle.ok_or(io::ErrorKind::NotConnected)?.fd;
        state.driver.as_mut().map_or(Ok(false), |driver| driver.register(fd, self.id.index))
    }

    /// Operations in flight on the handle.
    pub(crate) fn in_flight(&self) -> u32 {
        let mut state = self.core.state.borrow_mut();
        state.handles.find(self.id).map_or(0, |handle| handle.pending)
    }

    /// What the handle asks of operations; nothing, once it is closed.
    pub(crate) fn terms(&self) -> Terms {
        let mut state = self.core.state.borrow_mut();
        let is_there = state.handles.find(self.id).is_some();
        if is_there { state.handles.terms.of(self.id.index) } else { Terms::default() }
    }

    /// Says what the handle, which is open, asks of operations.
    pub(crate) fn set_terms(&self, terms: Terms) {
        let mut state = self.core.state.borrow_mut();
        if state.handles.find(self.id).is_some() {
            state.handles.terms.set(self.id.index, terms);
        }
    }

    /// Takes the descriptor away from the loop, unless something is pending on it.
    pub(crate) fn take_fd(&self) -> Option<RawFd> {
        let mut state = self.core.state.borrow_mut();
        let handle = state.handles.find(self.id)?;
        if handle.pending > 0 || handle.closer != OPEN {
            return None;
        }
        let fd = handle.fd;
        let state = &mut *state;
        state.handles.remove(self.id.index);
        if let Some(driver) = &mut state.driver {
            driver.forget(fd, self.id.index);
        }
        Some(fd)
    }
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Source").field("fd", &self.fd()).finish()
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        self.core.close_dropped(self.id);
    }
}

/// Names the handle that operations with this context use.
///
/// Implement it for your own connection type in one line; `Box<T>`, `Rc<T>` and the handles
/// themselves have it.
///
/// ```
/// use tigereye::{AsSource, Source, TcpStream};
///
/// struct Client { stream: TcpStream, served: u64 }
///
/// impl AsSource for Client {
///     fn as_source(&self) -> &Source { self.stream.as_source() }
/// }
/// ```
pub trait AsSource {
    /// The handle.
    fn as_source(&self) -> &Source;
}

impl AsSource for Source {
    fn as_source(&self) -> &Source {
        self
    }
}

impl<T: AsSource + ?Sized> AsSource for Box<T> {
    fn as_source(&self) -> &Source {
        (**self).as_source()
    }
}

impl<T: AsSource + ?Sized> AsSource for Rc<T> {
    fn as_source(&self) -> &Source {
        (**self).as_source()
    }
}
