//! What the loops have done, for the page and as JSON.

use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use tigereye::{DriverKind, Statistics};

/// What one loop has done; written by its thread alone, read by all.
#[derive(Default)]
pub(crate) struct LoopFigures {
    requests: AtomicU64,
    connections: AtomicU64,
    open: AtomicU64,
    operations: AtomicU64,
    system_calls: AtomicU64,
}

impl LoopFigures {
    pub(crate) fn count_request(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a connection in; `open` are open now.
    pub(crate) fn count_connection(&self, open: usize) {
        self.connections.fetch_add(1, Ordering::Relaxed);
        self.set_open(open);
    }

    pub(crate) fn set_open(&self, open: usize) {
        self.open.store(open as u64, Ordering::Relaxed);
    }

    pub(crate) fn take(&self, statistics: Statistics) {
        self.operations.store(statistics.operations, Ordering::Relaxed);
        self.system_calls.store(statistics.system_calls, Ordering::Relaxed);
    }
}

/// All loops' figures.
#[derive(Clone)]
pub(crate) struct Figures {
    start: Instant,
    loops: Arc<Vec<LoopFigures>>,
}

impl Figures {
    #[expect(clippy::disallowed_methods, reason = "for the time since the start")]
    pub(crate) fn new(loops: usize) -> Figures {
        let loops = Arc::new((0..loops).map(|_| LoopFigures::default()).collect());
        Figures { start: Instant::now(), loops }
    }

    pub(crate) fn of(&self, index: usize) -> &LoopFigures {
        &self.loops[index]
    }

    pub(crate) fn json(&self, driver: DriverKind) -> String {
        let seconds = self.start.elapsed().as_secs();
        let mut json = format!("{{\"driver\":\"{driver}\",\"seconds\":{seconds},\"loops\":[");
        for (index, figures) in self.loops.iter().enumerate() {
            let get = |figure: &AtomicU64| figure.load(Ordering::Relaxed);
            let comma = if index > 0 { "," } else { "" };
            // Writing to a string does not fail.
            let _ = write!(
                json,
                "{comma}{{\"requests\":{},\"connections\":{},\"open\":{},\"operations\":{},\
                 \"system_calls\":{}}}",
                get(&figures.requests),
                get(&figures.connections),
                get(&figures.open),
                get(&figures.operations),
                get(&figures.system_calls),
            );
        }
        json.push_str("]}");
        json
    }
}
