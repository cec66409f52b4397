//! The small measurements on compio; `micro` says what they are.

use compio::driver::ProactorBuilder;
use compio::runtime::{Runtime, RuntimeBuilder};
use flume::unbounded;
use std::io;
use tigereye_peers::micro::in_tasks;
use tigereye_peers::micro::wakes::{self, Question};

const BY: &str = "compio";

fn runtime() -> io::Result<Runtime> {
    let mut ring = ProactorBuilder::new();
    ring.single_issuer(true).coop_taskrun(true).defer_taskrun(true);
    RuntimeBuilder::new().with_proactor(ring).build()
}

async fn timers(count: u64) -> io::Result<()> {
    let task = |delay, argument| {
        compio::runtime::spawn(async move {
            in_tasks::begun();
            compio::time::sleep(delay).await;
            in_tasks::fired(argument);
        })
        .detach();
    };
    in_tasks::fire(BY, count, task).await?;
    in_tasks::cancel(BY, count, compio::time::sleep)
}

/// By a channel of another library, for compio has none.
fn round_trips(senders: usize, each: u64) -> io::Result<()> {
    let (post, asked) = unbounded::<Question>();
    let runtime = runtime()?;
    let ask = move |question| {
        post.send(question).expect("the loop receives until all is answered");
    };
    wakes::round_trips(BY, senders, each, ask, |total| {
        runtime.block_on(wakes::answer_all(total, async || asked.recv_async().await.ok()));
    })
}

fn main() -> io::Result<()> {
    in_tasks::measure(|count| runtime()?.block_on(timers(count)), round_trips)
}
