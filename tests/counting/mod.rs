//! A global allocator that counts, for tests that show that nothing is allocated.
//!
//! It counts on a thread that watches, between its [`watch`] and its [`unwatch`]: what other threads
//! of the test do is theirs.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    static WATCHING: Cell<bool> = const { Cell::new(false) };
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
    static FREED: Cell<usize> = const { Cell::new(0) };
}

struct Counting;

fn count() {
    if WATCHING.try_with(Cell::get).unwrap_or(false) {
        ALLOCATIONS.with(|allocations| allocations.set(allocations.get() + 1));
    }
}

fn count_freed() {
    if WATCHING.try_with(Cell::get).unwrap_or(false) {
        FREED.with(|freed| freed.set(freed.get() + 1));
    }
}

#[expect(unsafe_code, reason = "a global allocator is an unsafe trait")]
// SAFETY: all calls go to the system's allocator; counting does not allocate, for the thread-local
// cells are constant-initialised and need no destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: as the caller vouches.
        unsafe { System.alloc(layout) }
    }
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: as the caller vouches.
        unsafe { System.alloc_zeroed(layout) }
    }
    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        count_freed();
        // SAFETY: as the caller vouches.
        unsafe { System.realloc(memory, layout, size) }
    }
    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        count_freed();
        // SAFETY: as the caller vouches.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Counts from now on, on this thread.
pub(crate) fn watch() {
    ALLOCATIONS.set(0);
    FREED.set(0);
    WATCHING.set(true);
}

/// Counts no longer; says how many allocations there were.
pub(crate) fn unwatch() -> usize {
    assert!(WATCHING.replace(false), "the measured window was reached");
    ALLOCATIONS.get()
}

/// How much of the memory that was allocated in the last window was not freed in it.
#[allow(dead_code, reason = "most tests show that nothing is allocated at all")]
pub(crate) fn left() -> usize {
    ALLOCATIONS.get() - FREED.get()
}
