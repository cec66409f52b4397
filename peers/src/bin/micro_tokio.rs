//! The small measurements on tokio's current-thread runtime; `micro` says what they are.

use std::io;
use tigereye_peers::micro::in_tasks;
use tigereye_peers::micro::wakes::{self, Question};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc::unbounded_channel;

const BY: &str = "tokio";

fn runtime() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}

async fn timers(count: u64) -> io::Result<()> {
    let task = |delay, argument| {
        tokio::spawn(async move {
            in_tasks::begun();
            tokio::time::sleep(delay).await;
            in_tasks::fired(argument);
        });
    };
    in_tasks::fire(BY, count, task).await?;
    in_tasks::cancel(BY, count, tokio::time::sleep)
}

fn round_trips(senders: usize, each: u64) -> io::Result<()> {
    let (post, mut asked) = unbounded_channel::<Question>();
    let runtime = runtime()?;
    let ask = move |question| {
        post.send(question).expect("the loop receives until all is answered");
    };
    wakes::round_trips(BY, senders, each, ask, |total| {
        runtime.block_on(wakes::answer_all(total, async || asked.recv().await));
    })
}

fn main() -> io::Result<()> {
    in_tasks::measure(|count| runtime()?.block_on(timers(count)), round_trips)
}
