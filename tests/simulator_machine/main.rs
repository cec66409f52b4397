//! The machines of simulated hosts: their clocks, and what goes wrong in them.
#![allow(clippy::unwrap_used, reason = "tests")]

mod clocks;
mod faults;
#[path = "../common/random.rs"]
mod random;
mod storm;

use std::cell::RefCell;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use tigereye::sim::{Host, World};
use tigereye::{Io, Op};

const SECOND: Duration = Duration::from_secs(1);

fn address(last: u8) -> IpAddr {
    IpAddr::from([10, 0, 0, last])
}

/// What callbacks left behind, in order.
type Log<T> = Rc<RefCell<Vec<T>>>;

/// Starts an operation on a host's loop, and runs the world until it has ended.
#[track_caller]
fn run<T: 'static>(world: &mut World, host: Host, start: impl FnOnce(&Io, Log<T>) -> Op) -> T {
    let log = Log::default();
    start(world.io(host).unwrap(), Rc::clone(&log));
    let ended = world.run_until(1000 * SECOND, |_world| !log.borrow().is_empty());
    assert!(ended, "it hangs");
    log.borrow_mut().remove(0)
}
