//! The seam to `micro.c`.

#![expect(unsafe_code, reason = "libuv is in C, and so is what is measured of it")]

use std::ffi::c_void;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use tigereye_peers::micro::wakes::{Question, Senders};
use tigereye_peers::micro::{DELAY_MAX, FAR, TIMER_CANCELLED, TIMER_FIRED, cpu_ns, delays, report};

const BY: &str = "libuv";

/// `struct timers`.
#[repr(C)]
struct Timers([u8; 0]);
/// `struct woken`.
#[repr(C)]
struct Woken([u8; 0]);

unsafe extern "C" {
    fn peer_libuv_timers_start(
        delays_ms: *const u64,
        count: usize,
        list: *mut *mut c_void,
    ) -> *mut Timers;
    fn peer_libuv_timers_run(timers: *mut Timers) -> u64;
    fn peer_libuv_timers_cancel(timers: *mut Timers);
    fn peer_libuv_timers_end(timers: *mut Timers);
    fn peer_libuv_woken_start(
        answer: unsafe extern "C" fn(*mut c_void) -> bool,
        context: *mut c_void,
    ) -> *mut Woken;
    fn peer_libuv_woken_wake(woken: *mut Woken);
    fn peer_libuv_woken_run(woken: *mut Woken);
    fn peer_libuv_woken_end(woken: *mut Woken);
}

/// A million timers started and fired, and started and cancelled.
pub(crate) fn timers(count: u64) -> io::Result<()> {
    let millis = |far: u64| delays().map(move |delay| delay.as_millis() as u64 + far);
    let (near, none) = (millis(0).take(count as usize).collect::<Vec<u64>>(), std::ptr::null_mut());
    let mut running = std::ptr::null_mut();
    let started = cpu_ns(count, || {
        // SAFETY: as many delays as are said to be there; no list is asked for.
        running = unsafe { peer_libuv_timers_start(near.as_ptr(), near.len(), none) };
    })?;
    std::thread::sleep(DELAY_MAX);
    let mut sum = 0;
    let fired = cpu_ns(count, || {
        // SAFETY: from the call above, and not ended.
        sum = unsafe { peer_libuv_timers_run(running) };
    })?;
    assert_eq!(sum, count * (count - 1) / 2, "every timer fires once");
    report(TIMER_FIRED, BY, started + fired);
    // SAFETY: from `peer_libuv_timers_start`; every timer is closed, and this is the last use.
    unsafe { peer_libuv_timers_end(running) };

    let far: Vec<u64> = millis(FAR.as_millis() as u64).take(count as usize).collect();
    let mut list = vec![std::ptr::null_mut(); far.len()];
    let cancelled = cpu_ns(count, || {
        // SAFETY: as many delays, and places in the list, as are said to be there; the list outlives
        // the timers.
        running = unsafe { peer_libuv_timers_start(far.as_ptr(), far.len(), list.as_mut_ptr()) };
        // SAFETY: from the call above, with its list.
        unsafe { peer_libuv_timers_cancel(running) };
        // SAFETY: as above.
        unsafe { peer_libuv_timers_run(running) };
    })?;
    report(TIMER_CANCELLED, BY, cancelled);
    // SAFETY: from `peer_libuv_timers_start`; every timer is closed, and this is the last use.
    unsafe { peer_libuv_timers_end(running) };
    Ok(())
}

/// What was asked and is not answered yet, and how much is still to come.
struct Asked {
    questions: Mutex<Vec<Question>>,
    left: Mutex<u64>,
}

/// # Safety
///
/// `context` is an [`Asked`] that lives through the call.
unsafe extern "C" fn answer(context: *mut c_void) -> bool {
    // SAFETY: `round_trips` keeps it until the loop has ended.
    let asked = unsafe { &*context.cast::<Asked>() };
    let all = &asked.questions;
    let questions = std::mem::take(&mut *all.lock().unwrap_or_else(PoisonError::into_inner));
    let mut left = asked.left.lock().unwrap_or_else(PoisonError::into_inner);
    *left -= questions.len() as u64;
    questions.into_iter().for_each(Question::answer);
    *left == 0
}

/// A loop, as another thread sees it.
#[derive(Clone, Copy)]
struct Handle(*mut Woken);

// SAFETY: only `peer_libuv_woken_wake` is called with it, which is meant for any thread.
unsafe impl Send for Handle {}

impl Handle {
    fn wake(self) {
        // SAFETY: the loop ends after the last question is answered, and is freed after its threads
        // have been joined.
        unsafe { peer_libuv_woken_wake(self.0) };
    }
}

/// Questions of other threads, told to the loop by `uv_async_send`.
pub(crate) fn round_trips(senders: usize, each: u64) -> io::Result<()> {
    let left = Mutex::new(each * senders as u64);
    let asked = Arc::new(Asked { questions: Mutex::default(), left });
    let context = Arc::as_ptr(&asked).cast_mut().cast();
    // SAFETY: `asked` lives to the end of this function, where the loop has ended.
    let woken = unsafe { peer_libuv_woken_start(answer, context) };
    let (handle, asking) = (Handle(woken), Arc::clone(&asked));
    let senders = Senders::start(senders, each, move |question| {
        asking.questions.lock().unwrap_or_else(PoisonError::into_inner).push(question);
        handle.wake();
    })?;
    // SAFETY: from `peer_libuv_woken_start`.
    unsafe { peer_libuv_woken_run(woken) };
    senders.report(BY)?;
    // SAFETY: its one handle is closed, and the threads that woke it have been joined.
    unsafe { peer_libuv_woken_end(woken) };
    Ok(())
}
