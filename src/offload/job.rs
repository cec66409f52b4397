//! A call for the pool, with all that it needs. What is small is stored in place, so that an
//! operation that blocks costs no allocation; what is not is boxed.
#![expect(
    unsafe_code,
    reason = "a closure is stored in place, and reached by its type's functions"
)]

use std::mem::{ManuallyDrop, MaybeUninit};

/// Enough for a call of an operation's: a descriptor, what it was lent, its name, its loop's mailbox.
const WORDS: usize = 14;

type Storage = MaybeUninit<[usize; WORDS]>;

/// A call that can block, and whatever follows it on the same thread.
pub(crate) struct Job {
    storage: Storage,
    /// Runs what is stored, which is gone then.
    run: unsafe fn(*mut Storage),
    /// Drops what is stored.
    discard: unsafe fn(*mut Storage),
}

// SAFETY: `store` takes only closures that are `Send`.
unsafe impl Send for Job {}

impl Job {
    pub(crate) fn new<F: FnOnce() + Send + 'static>(call: F) -> Job {
        if fits::<F>() {
            return Job::store(call);
        }
        let boxed = Box::new(call);
        Job::store(boxed)
    }

    fn store<F: FnOnce() + Send + 'static>(call: F) -> Job {
        assert!(fits::<F>(), "what is larger is boxed");
        let mut storage = Storage::uninit();
        // SAFETY: it has room for an `F`, and its alignment.
        unsafe { storage.as_mut_ptr().cast::<F>().write(call) };
        Job { storage, run: run::<F>, discard: discard::<F> }
    }

    pub(crate) fn run(self) {
        let mut job = ManuallyDrop::new(self);
        let run = job.run;
        // SAFETY: the functions of a job are those of the type that is stored in it, and a job that
        // runs is not dropped.
        unsafe { run(&raw mut job.storage) }
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        // SAFETY: as in `run`; a job that is dropped did not run.
        unsafe { (self.discard)(&raw mut self.storage) }
    }
}

const fn fits<F>() -> bool {
    size_of::<F>() <= size_of::<Storage>() && align_of::<F>() <= align_of::<Storage>()
}

/// # Safety
/// An `F` must be stored there; it is moved out.
unsafe fn run<F: FnOnce()>(storage: *mut Storage) {
    // SAFETY: the caller vouches for it.
    let call = unsafe { storage.cast::<F>().read() };
    call();
}

/// # Safety
/// An `F` must be stored there; it is dropped.
unsafe fn discard<F>(storage: *mut Storage) {
    // SAFETY: the caller vouches for it.
    unsafe { storage.cast::<F>().drop_in_place() }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Each kind of closure is run or dropped, once, with what it captured.
    #[test]
    fn what_a_job_captured_is_used_or_dropped_once() {
        fn check<T: Send + 'static>(captured: T) {
            let ran = Arc::new(AtomicUsize::new(0));
            let job = |captured: T| {
                let ran = Arc::clone(&ran);
                Job::new(move || {
                    ran.fetch_add(1, Ordering::Relaxed);
                    drop(captured);
                })
            };
            let dropped = job(captured);
            assert_eq!(Arc::strong_count(&ran), 2);
            drop(dropped);
            assert_eq!((Arc::strong_count(&ran), ran.load(Ordering::Relaxed)), (1, 0));
        }
        check([0_u8; 3]);
        check([1_usize; WORDS]);
        let value = Arc::new(());
        check((Arc::clone(&value), [2_usize; 40]));
        check(Arc::clone(&value));
        assert_eq!(Arc::strong_count(&value), 1);
        let (small, large) = (Arc::clone(&value), (Arc::clone(&value), [3_u128; 9]));
        Job::new(move || drop(small)).run();
        Job::new(move || drop(large)).run();
        assert_eq!(Arc::strong_count(&value), 1);
    }
}
