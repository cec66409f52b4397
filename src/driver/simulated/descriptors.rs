//! Simulated descriptors: numbers that no system gives, each of which leads to its world through a
//! table of the thread's. So what is asked of one, where no loop is at hand, needs no other argument
//! than on a real system.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::{IpAddr, Shutdown, SocketAddr};
use std::rc::{Rc, Weak};
use std::time::Duration;

use socket2::SockAddr;

use crate::DirectAlignment;
#[cfg(unix)]
use crate::UnixAddress;
use crate::core::Held;
use crate::raw::RawFd;

/// A number of a simulated descriptor has this bit, then those of its world, of its generation and of
/// its place: what is late finds nobody.
pub(crate) const SIMULATED: i32 = 1 << 30;
pub(crate) const WORLD_SHIFT: u32 = 22;
const WORLDS_MAX: usize = 1 << (29 - WORLD_SHIFT);

/// What a world does with its descriptors.
pub(crate) trait Descriptors {
    /// The socket with this descriptor.
    fn socket(self: Rc<Self>, fd: RawFd) -> Option<Box<dyn Socket>>;
    fn close(&self, fd: RawFd);
    /// Has a file's descriptor be closed once more.
    ///
    /// # Errors
    /// `NotSeekable` where it is one of a socket, `EMFILE`.
    fn duplicate(&self, fd: RawFd) -> io::Result<()>;
    /// What direct transfers of a file are aligned to, if they are to be.
    fn direct_alignment(&self, fd: RawFd) -> Option<Option<DirectAlignment>>;
}

/// Calls on a socket that are made at once and are no operations.
pub(crate) trait Socket {
    /// getsockname(2)
    fn name(&self) -> io::Result<SockAddr>;
    /// getpeername(2)
    fn peer_name(&self) -> io::Result<SockAddr>;
    /// What it takes at once.
    fn send(&self, bytes: &[u8]) -> io::Result<usize>;
    /// Gives a socket of datagrams a peer, or none.
    fn connect(&self, peer: Option<SocketAddr>) -> io::Result<()>;
    fn join_group(&self, group: IpAddr) -> io::Result<()>;
    fn leave_group(&self, group: IpAddr) -> io::Result<()>;
    fn set_group_loop(&self, on: bool) -> io::Result<()>;
    /// Gives a Unix socket of datagrams a peer.
    #[cfg(unix)]
    fn connect_unix(&self, peer: &UnixAddress) -> io::Result<()>;
    fn shut_down(&self, how: Shutdown) -> io::Result<()>;
    fn has_datagrams(&self) -> bool;
    /// As `SO_LINGER` has it: after no time at all, a close resets the connection.
    fn set_linger(&self, linger: Option<Duration>) -> io::Result<()>;
    fn set_user_timeout(&self, timeout: Option<Duration>) -> io::Result<()>;
    fn set_recv_buffer(&self, bytes: usize) -> io::Result<()>;
    fn set_send_buffer(&self, bytes: usize) -> io::Result<()>;
}

/// A world of the thread's, and its time, which lives as long as any handle of a loop in it.
type Known = (Weak<dyn Descriptors>, Weak<Cell<u64>>);

thread_local! {
    /// The thread's worlds, by number.
    static WORLDS: RefCell<Vec<Known>> = const { RefCell::new(Vec::new()) };
}

/// Whether a descriptor is one of a simulated machine's.
#[inline]
pub(crate) fn is_simulated(fd: RawFd) -> bool {
    fd & SIMULATED != 0 && fd >= 0
}

/// The number of the world that a simulated descriptor is of.
pub(crate) fn world_number(fd: RawFd) -> usize {
    fd.cast_unsigned() as usize >> WORLD_SHIFT & (WORLDS_MAX - 1)
}

/// Gives a number to a new world with this time, which `make` makes with it.
pub(crate) fn add_world<W: Descriptors + 'static>(
    time: &Rc<Cell<u64>>,
    make: impl FnOnce(usize) -> Rc<W>,
) -> Rc<W> {
    WORLDS.with_borrow_mut(|worlds| {
        let free = worlds.iter().position(|(_world, time)| time.strong_count() == 0);
        let number = free.unwrap_or(worlds.len());
        assert!(number < WORLDS_MAX, "a thread has at most {WORLDS_MAX} worlds at a time");
        let world = make(number);
        let weak: Weak<W> = Rc::downgrade(&world);
        let known: Known = (weak, Rc::downgrade(time));
        match worlds.get_mut(number) {
            Some(place) => *place = known,
            None => worlds.push(known),
        }
        world
    })
}

/// The world that a simulated descriptor is of.
fn world_of(fd: RawFd) -> Option<Rc<dyn Descriptors>> {
    if !is_simulated(fd) {
        return None;
    }
    let of_number = |worlds: &RefCell<Vec<Known>>| {
        worlds.borrow().get(world_number(fd)).and_then(|(world, _time)| world.upgrade())
    };
    // A thread that ends may have let go of its worlds before it lets go of a handle.
    WORLDS.try_with(of_number).ok()?
}

/// The socket with this descriptor, if it is a simulated one.
pub(crate) fn socket(fd: RawFd) -> Option<Box<dyn Socket>> {
    world_of(fd)?.socket(fd)
}

/// What direct transfers of a simulated descriptor are aligned to, where it has them; nothing where it
/// is none of a simulated machine's.
pub(crate) fn direct_alignment(fd: RawFd) -> Option<Option<DirectAlignment>> {
    world_of(fd)?.direct_alignment(fd)
}

/// A duplicate of a simulated descriptor, which is one of an open file: the same number, which is to be
/// closed once more.
///
/// # Errors
/// `NotSeekable` where it is one of a socket, `EMFILE`.
pub(crate) fn duplicate(fd: RawFd) -> io::Result<Held> {
    let world = world_of(fd).ok_or_else(gone)?;
    world.duplicate(fd)?;
    Ok(Held::new(fd))
}

/// What a descriptor says whose world is gone.
fn gone() -> io::Error {
    io::ErrorKind::NotSeekable.into()
}

/// Closes a simulated descriptor.
pub(crate) fn close(fd: RawFd) {
    if let Some(world) = world_of(fd) {
        world.close(fd);
    }
}
