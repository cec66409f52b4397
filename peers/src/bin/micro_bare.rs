//! The small measurements by hand-written means; `micro` says what they are.

use std::collections::VecDeque;
use std::hint::black_box;
use std::io;
use std::os::fd::AsRawFd;
use tigereye_peers::args::Args;
use tigereye_peers::micro::{self, Amounts, BATCH, cpu_ns, report};
use tigereye_peers::micro::{bare_post, bare_timer, bare_wake};
use tigereye_peers::sys::arena::Arena;
use tigereye_peers::sys::net;
use tigereye_peers::sys::process::{self, Priority};
use tigereye_peers::sys::ring::{self, Port};

type Queue = VecDeque<Box<dyn FnOnce(&mut Chain)>>;

#[derive(Default)]
struct Chain {
    queue: Queue,
    left: u64,
}

fn link(chain: &mut Chain) {
    if chain.left > 0 {
        chain.left -= 1;
        // Something to carry: a closure without captures needs no memory.
        let carried = black_box(chain.left);
        chain.queue.push_back(Box::new(move |chain| {
            black_box(carried);
            link(chain);
        }));
    }
}

fn next(count: u64) -> io::Result<()> {
    let mut chain = Chain { left: count, ..Chain::default() };
    let ns = cpu_ns(count, || {
        link(&mut chain);
        while let Some(callback) = chain.queue.pop_front() {
            callback(&mut chain);
        }
    })?;
    report(micro::NEXT, "VecDeque of boxed closures", ns);
    Ok(())
}

/// Keeps `batch` operations under way, each started again when it is complete.
fn through_the_ring(
    figure: &str,
    batch: u64,
    count: u64,
    mut start: impl FnMut(&mut Port<'_>, u64),
) -> io::Result<()> {
    let mut ring = ring::build(256)?;
    let mut port = Port::new(&mut ring, Arena::new(1, 4096), 0)?;
    let (mut left, mut done) = (count, 0);
    let mut error = None;
    let ns = cpu_ns(count, || {
        for tag in 0..batch.min(left) {
            start(&mut port, tag);
            left -= 1;
        }
        while done < count && error.is_none() {
            error = port.enter(1).err();
            while let Some(completion) = port.next() {
                done += 1;
                if left > 0 {
                    start(&mut port, completion.tag);
                    left -= 1;
                }
            }
        }
    })?;
    report(figure, "io_uring", ns);
    error.map_or(Ok(()), Err)
}

fn main() -> io::Result<()> {
    let mut args = Args::from_env();
    let amounts = Amounts::from_args(&mut args);
    args.finish();
    bare_timer::measure(amounts)?;
    next(amounts.operations)?;
    let count = amounts.operations;
    through_the_ring(micro::NOP, 1, count, |port, tag| port.nop(tag))?;
    through_the_ring(micro::NOP_BATCH, BATCH, count, |port, tag| port.nop(tag))?;
    let mut fds = Vec::new();
    for _ in 0..BATCH {
        let fd = net::eventfd()?;
        net::write_counter(fd.as_raw_fd(), 1)?;
        fds.push(fd);
    }
    let check =
        |port: &mut Port<'_>, tag: u64| port.poll_in(fds[tag as usize].as_raw_fd(), false, tag);
    through_the_ring(micro::READABLE, 1, count, check)?;
    through_the_ring(micro::READABLE_BATCH, BATCH, count, check)?;
    bare_wake::measure(amounts.wakes)?;
    bare_post::measure_round_trips(amounts)?;
    process::allow(&[0, 1])?;
    process::set_priority(Priority::Ordinary);
    bare_post::measure(amounts)
}
