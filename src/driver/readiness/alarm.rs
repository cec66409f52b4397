//! A clock for an embedding loop: pollers have no timer that is the same on every system, so a
//! thread sleeps, and wakes the poller. It starts when it is first needed.

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::Waker;

#[derive(Default)]
struct Setting {
    at: Option<Instant>,
    over: bool,
}

#[derive(Default)]
struct Shared {
    setting: Mutex<Setting>,
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Setting> {
        self.setting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) struct Alarm {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Alarm {
    #[expect(clippy::disallowed_methods, reason = "an embedding loop's clock is outside the loop")]
    pub(super) fn start(waker: Arc<Waker>) -> io::Result<Alarm> {
        let shared = Arc::new(Shared::default());
        let own = Arc::clone(&shared);
        let builder = std::thread::Builder::new().name("tigereye-alarm".into());
        let thread = builder.spawn(move || sleep_and_wake(&own, &waker))?;
        Ok(Alarm { shared, thread: Some(thread) })
    }

    /// Wakes the poller after that time, instead of what was set before.
    #[expect(clippy::disallowed_methods, reason = "an embedding loop's clock is outside the loop")]
    pub(super) fn set(&self, after: Option<Duration>) {
        self.shared.lock().at = after.map(|after| Instant::now() + after);
        self.shared.changed.notify_one();
    }
}

#[expect(clippy::disallowed_methods, reason = "an embedding loop's clock is outside the loop")]
fn sleep_and_wake(shared: &Shared, waker: &Waker) {
    let mut setting = shared.lock();
    while !setting.over {
        let left = setting.at.map(|at| at.saturating_duration_since(Instant::now()));
        setting = match left {
            None => shared.changed.wait(setting).unwrap_or_else(PoisonError::into_inner),
            Some(Duration::ZERO) => {
                setting.at = None;
                waker.wake();
                setting
            }
            Some(left) => {
                let woken = shared.changed.wait_timeout(setting, left);
                woken.unwrap_or_else(PoisonError::into_inner).0
            }
        };
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        self.shared.lock().over = true;
        self.shared.changed.notify_one();
        if let Some(thread) = self.thread.take() {
            // It runs no code of anybody's that could panic.
            let _ = thread.join();
        }
    }
}
