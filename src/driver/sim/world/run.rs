//! Who goes on next in a world: the network, a disk, or the loop of a host.

use std::time::Duration;

use super::{Host, Process, World};
use crate::Io;
use crate::driver::sim::faults::FaultKind;
use crate::driver::sim::kernel::nanoseconds;
use crate::driver::sim::trace::What;

/// How long a turn of a host's loop takes, in nanoseconds: so that one that never waits does not stop
/// time.
const TURN_NS: (u64, u64) = (500, 5_000);
const SLOW_TURN_NS: (u64, u64) = (1_000_000, 200_000_000);
const PAUSE_NS: (u64, u64) = (10_000_000, 5_000_000_000);

impl World {
    /// Does the next thing: has one event happen, or one host's loop run a turn. Time moves on to it.
    /// Says whether there was anything left to do.
    ///
    /// # Panics
    /// A panic of a callback passes through.
    pub fn step(&mut self) -> bool {
        self.step_until(u64::MAX)
    }

    /// Runs for so long, in the time of the world.
    ///
    /// # Panics
    /// As [`step`](World::step).
    pub fn run_for(&mut self, duration: Duration) {
        self.run_until(duration, |_world| false);
    }

    /// Runs until `done` holds, or for so long at most, in the time of the world; says whether it holds.
    ///
    /// # Panics
    /// As [`step`](World::step).
    pub fn run_until(&mut self, within: Duration, mut done: impl FnMut(&World) -> bool) -> bool {
        let now_ns = self.kernel.borrow().now_ns();
        let deadline_ns = now_ns.saturating_add(nanoseconds(within));
        loop {
            if done(self) {
                return true;
            }
            if !self.step_until(deadline_ns) {
                let mut kernel = self.kernel.borrow_mut();
                if deadline_ns < u64::MAX {
                    kernel.advance(deadline_ns);
                }
                return false;
            }
        }
    }

    /// Does the next thing, if its time comes before the deadline.
    fn step_until(&mut self, deadline_ns: u64) -> bool {
        self.tell_moment();
        let was_any = self.take_step(deadline_ns);
        self.tell_moment();
        was_any
    }

    fn tell_moment(&mut self) {
        if let Some(watcher) = self.watcher.clone() {
            self.moments += 1;
            watcher(self, self.moments);
        }
    }

    fn take_step(&mut self, deadline_ns: u64) -> bool {
        let event_ns = self.kernel.borrow().events.next_at();
        let plan_ns = self.agenda.next_ns();
        self.due_ns.clear();
        let all = self.was_touched.replace(false);
        self.due_ns.extend(self.hosts.iter_mut().map(|process| process.due_ns(all)));
        let host_ns = self.due_ns.iter().copied().min().filter(|&at_ns| at_ns < u64::MAX);
        let all = event_ns.into_iter().chain(host_ns).chain(plan_ns);
        let Some(next_ns) = all.min() else {
            self.check_quiet();
            return false;
        };
        if next_ns >= deadline_ns {
            return false;
        }
        if plan_ns == Some(next_ns) {
            self.kernel.borrow_mut().advance(next_ns);
            self.follow_plans();
            return true;
        }
        let chosen = {
            let mut kernel = self.kernel.borrow_mut();
            kernel.advance(next_ns);
            let now_ns = kernel.now_ns();
            let mut able = self.due_ns.iter().enumerate().filter(|&(_, &due_ns)| due_ns <= now_ns);
            let has_event = event_ns.is_some_and(|at_ns| at_ns <= now_ns);
            let choices = able.clone().count() + usize::from(has_event);
            let choice = if choices > 1 { kernel.schedule.below(choices as u64) } else { 0 };
            able.nth(choice as usize).map(|(at, _)| at)
        };
        match chosen {
            Some(host) => self.run_turn(host),
            None => {
                self.kernel.borrow_mut().happen_next();
            }
        }
        true
    }

    /// Nothing can happen any more.
    fn check_quiet(&self) {
        for process in self.hosts.iter().filter(|process| !process.paused) {
            if let Some(io) = &process.io {
                let mut state = io.core.state.borrow_mut();
                state.check_all();
                state.check_quiet();
            }
        }
    }

    /// The hosts on which operations are in flight that nothing in this world can end any more, and how
    /// many there are: no event is to come, no loop has anything to do, and no host is paused. Only who
    /// has the world can go on with them. Servers that wait for who has not come are among them; after
    /// a run in which all was to end, anything else is a mistake of the programs'.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tigereye::sim::World;
    ///
    /// let mut world = World::new(1);
    /// let host = world.host("host", "10.0.0.1".parse().unwrap(), |io| {
    ///     io.timeout((), Duration::from_secs(1), |(), _io, _result| {});
    ///     let (_op, trigger) = io.event((), |(), _io, _result| {});
    ///     drop(trigger); // Nobody can pull it now.
    /// });
    /// world.run_for(Duration::from_secs(2));
    /// assert_eq!(world.stuck(), [(host, 1)]);
    /// ```
    pub fn stuck(&self) -> Vec<(Host, u32)> {
        let is_quiet = |process: &Process| !process.paused && !process.has_more();
        let has_events = self.kernel.borrow().events.next_at().is_some();
        if has_events || !self.is_calm() || !self.hosts.iter().all(is_quiet) {
            return Vec::new();
        }
        let in_flight = |process: &Process| process.io.as_ref().map_or(0, Io::in_flight);
        let hosts = self.hosts.iter().map(in_flight).enumerate();
        hosts.filter(|&(_, count)| count > 0).map(|(at, count)| (Host(at as u32), count)).collect()
    }

    fn run_turn(&mut self, at: usize) {
        self.turns += 1;
        self.hosts[at].has_run = true;
        let Some(io) = &self.hosts[at].io else { return };
        // It fails only where a callback runs its own loop.
        let _ = io.poll();
        let has_ended = io.was_stopped();
        let host = Host(at as u32);
        {
            let mut kernel = self.kernel.borrow_mut();
            let (low, high) = TURN_NS;
            let mut busy_ns = kernel.schedule.between(low, high);
            let slow = [(FaultKind::SlowTurn, SLOW_TURN_NS), (FaultKind::HostPaused, PAUSE_NS)];
            for (kind, (low, high)) in slow {
                if kernel.happens(host.0, kind) {
                    busy_ns += kernel.plan.size(kind, low, high);
                }
            }
            kernel.drift(host.0);
            self.hosts[at].busy_until_ns = kernel.now_ns().saturating_add(busy_ns);
        }
        if has_ended {
            self.kernel.borrow_mut().note(host.0, What::Stopped);
            self.end(host);
        }
    }
}

impl Process {
    /// Whether its loop has, or will have, something to do by itself.
    fn has_more(&self) -> bool {
        self.io.as_ref().is_some_and(|io| {
            self.has_news.get() || io.has_messages() || io.next_due_ns() < u64::MAX
        })
    }

    /// When its loop has something to do, in the time of the world; what it goes on by itself for is
    /// looked up again where that may have changed.
    fn due_ns(&mut self, is_touched: bool) -> u64 {
        let Some(io) = self.io.as_ref().filter(|_| !self.paused) else { return u64::MAX };
        if std::mem::take(&mut self.has_run) || is_touched {
            self.own_ns = io.next_due_ns();
        }
        let has_any = self.has_news.get() || io.has_messages();
        (if has_any { 0 } else { self.own_ns }).max(self.busy_until_ns)
    }
}
