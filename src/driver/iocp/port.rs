//! The completion port, and the time that a wait on it takes.
//!
//! Sources: "I/O Completion Ports", CreateIoCompletionPort, GetQueuedCompletionStatusEx,
//! CreateWaitableTimerExW and SetWaitableTimer in Microsoft's documentation.
#![expect(unsafe_code, reason = "calls of the system")]

use std::ffi::c_void;
use std::io;
use std::os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle};
use std::ptr;
use std::time::Duration;

use windows_sys::Win32::Foundation::{
    HANDLE, INVALID_HANDLE_VALUE, WAIT_IO_COMPLETION, WAIT_TIMEOUT,
};
use windows_sys::Win32::System::IO::{
    CreateIoCompletionPort, GetQueuedCompletionStatusEx, OVERLAPPED_ENTRY,
    PostQueuedCompletionStatus,
};
use windows_sys::Win32::System::Threading::{
    CREATE_WAITABLE_TIMER_HIGH_RESOLUTION, CreateWaitableTimerExW, INFINITE, SetWaitableTimer,
    TIMER_ALL_ACCESS,
};

/// The longest wait in one call: longer ones are taken up again.
const WAIT_MAX: Duration = Duration::from_secs(24 * 60 * 60);

#[derive(Debug)]
pub(super) struct Port(OwnedHandle);

impl Port {
    pub(super) fn new() -> io::Result<Port> {
        // SAFETY: a new port, of no handle yet; one thread at a time waits on it.
        let port = unsafe { CreateIoCompletionPort(INVALID_HANDLE_VALUE, ptr::null_mut(), 0, 1) };
        own(port).map(Port)
    }

    pub(super) fn raw(&self) -> HANDLE {
        self.0.as_raw_handle()
    }

    /// Has the packets of a handle's calls come here, and nowhere else, for ever (P80).
    ///
    /// # Errors
    /// `ERROR_INVALID_PARAMETER` where they come to another port already.
    pub(super) fn associate(&self, handle: HANDLE) -> io::Result<()> {
        // SAFETY: both are open during the call.
        let port = unsafe { CreateIoCompletionPort(handle, self.raw(), 0, 0) };
        if port.is_null() { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// Ends a wait, or the next one, with a packet of no call.
    pub(super) fn post(&self) {
        // SAFETY: the port is open. It fails only without memory, where nothing else goes either.
        unsafe { PostQueuedCompletionStatus(self.raw(), 0, 0, ptr::null()) };
    }

    /// Takes packets, at most as many as there is room for; waits for the first one.
    pub(super) fn take<'a>(
        &self,
        room: &'a mut [OVERLAPPED_ENTRY],
        timeout: Timeout,
    ) -> io::Result<&'a [OVERLAPPED_ENTRY]> {
        let mut count = 0;
        let (milliseconds, alertable) = match timeout {
            Timeout::Milliseconds(milliseconds) => (milliseconds, 0),
            Timeout::Timer => (INFINITE, 1),
        };
        let (at, len) = (room.as_mut_ptr(), u32::try_from(room.len()).unwrap_or(u32::MAX));
        let port = self.raw();
        // SAFETY: so many entries may be written there.
        let taken = unsafe {
            GetQueuedCompletionStatusEx(port, at, len, &raw mut count, milliseconds, alertable)
        };
        if taken != 0 {
            return Ok(&room[..count as usize]);
        }
        let error = io::Error::last_os_error();
        match error.raw_os_error().map(i32::cast_unsigned) {
            Some(WAIT_TIMEOUT | WAIT_IO_COMPLETION) => Ok(&[]),
            _ => Err(error),
        }
    }
}

fn own(handle: HANDLE) -> io::Result<OwnedHandle> {
    if handle.is_null() {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the handle was just made for us.
    Ok(unsafe { OwnedHandle::from_raw_handle(handle) })
}

/// How a wait ends when no packet comes.
#[derive(Clone, Copy)]
pub(super) enum Timeout {
    Milliseconds(u32),
    /// By the timer, which runs.
    Timer,
}

/// A timer that is finer than the system's tick of 15.6 ms, in which all other waits are counted
/// (P81). When it is due it has a function of its own called on this thread, which ends an alertable
/// wait.
pub(super) struct Timer(Option<OwnedHandle>);

impl Timer {
    /// Systems before Windows 10 1803 have none.
    pub(super) fn new() -> Timer {
        let (nothing, flags) = (ptr::null(), CREATE_WAITABLE_TIMER_HIGH_RESOLUTION);
        // SAFETY: no attributes and no name.
        let timer =
            unsafe { CreateWaitableTimerExW(nothing, ptr::null(), flags, TIMER_ALL_ACCESS) };
        Timer(own(timer).ok())
    }

    /// What ends a wait after `timeout`, or shortly after.
    pub(super) fn start(&self, timeout: Option<Duration>) -> Timeout {
        match timeout.map(|timeout| timeout.min(WAIT_MAX)) {
            None => Timeout::Milliseconds(INFINITE),
            Some(Duration::ZERO) => Timeout::Milliseconds(0),
            Some(timeout) if self.set(timeout) => Timeout::Timer,
            Some(timeout) => {
                let milliseconds = timeout.as_nanos().div_ceil(1_000_000);
                Timeout::Milliseconds(u32::try_from(milliseconds).unwrap_or(INFINITE - 1))
            }
        }
    }

    /// Sets the timer, if there is one; says whether it runs.
    fn set(&self, timeout: Duration) -> bool {
        unsafe extern "system" fn due(_: *const c_void, _: u32, _: u32) {}
        let Some(timer) = &self.0 else { return false };
        // In units of 100 ns; below zero: from now on.
        let due_time = -i64::try_from(timeout.as_nanos().div_ceil(100)).unwrap_or(i64::MAX);
        let (timer, nothing) = (timer.as_raw_handle(), ptr::null());
        // SAFETY: the timer is open, the time lives during the call, and the function wants nothing.
        let is_set =
            unsafe { SetWaitableTimer(timer, &raw const due_time, 0, Some(due), nothing, 0) };
        is_set != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p81_a_wait_is_ended_by_the_fine_timer_and_not_by_the_tick() {
        let (port, timer) = (Port::new().unwrap(), Timer::new());
        let timeout = timer.start(Some(Duration::from_micros(300)));
        assert!(matches!(timeout, Timeout::Timer), "this system has one");
        let mut room = [OVERLAPPED_ENTRY::default(); 4];
        assert_eq!(port.take(&mut room, timeout).unwrap().len(), 0);
    }

    #[test]
    fn p65_a_wake_before_the_wait_ends_it() {
        let port = Port::new().unwrap();
        port.post();
        let mut room = [OVERLAPPED_ENTRY::default(); 4];
        let taken = port.take(&mut room, Timer::new().start(None)).unwrap();
        assert!(taken.len() == 1 && taken[0].lpOverlapped.is_null());
    }
}
