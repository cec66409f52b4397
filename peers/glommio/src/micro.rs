//! The small measurements on glommio; `micro` says what they are.

use flume::unbounded;
use glommio::timer::sleep;
use glommio::{LocalExecutor, LocalExecutorBuilder, Placement, spawn_local};
use std::io;
use tigereye_peers::harness::program::SERVER_CORE;
use tigereye_peers::micro::wakes::{self, Question};
use tigereye_peers::micro::{SPIN, SPINS, in_tasks};

const BY: &str = "glommio";

fn executor() -> io::Result<LocalExecutor> {
    Ok(LocalExecutorBuilder::new(Placement::Unbound).make()?)
}

/// It spins only where it is bound to a core.
fn spinning() -> io::Result<LocalExecutor> {
    Ok(LocalExecutorBuilder::new(Placement::Fixed(SERVER_CORE)).spin_before_park(SPIN).make()?)
}

async fn timers(count: u64) -> io::Result<()> {
    let task = |delay, argument| {
        spawn_local(async move {
            in_tasks::begun();
            sleep(delay).await;
            in_tasks::fired(argument);
        })
        .detach();
    };
    in_tasks::fire(BY, count, task).await?;
    in_tasks::cancel(BY, count, sleep)
}

/// By a channel of another library, for glommio's own is between two executors.
fn round_trips_on(
    (by, executor): (&str, LocalExecutor),
    senders: usize,
    each: u64,
) -> io::Result<()> {
    let (post, asked) = unbounded::<Question>();
    let ask = move |question| {
        post.send(question).expect("the loop receives until all is answered");
    };
    wakes::round_trips(by, senders, each, ask, |total| {
        executor.run(wakes::answer_all(total, async || asked.recv_async().await.ok()));
    })
}

fn round_trips(senders: usize, each: u64) -> io::Result<()> {
    round_trips_on((BY, executor()?), senders, each)?;
    round_trips_on((&format!("{BY}{SPINS}"), spinning()?), senders, each)
}

fn main() -> io::Result<()> {
    in_tasks::measure(|count| executor()?.run(timers(count)), round_trips)
}
