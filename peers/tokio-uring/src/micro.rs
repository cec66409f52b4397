//! The small measurements on tokio-uring, whose timers and channels are
//! tokio's, beside its ring; `micro` says what they are.

use std::io;
use tigereye_peers::micro::in_tasks;
use tigereye_peers::micro::wakes::{self, Question};
use tokio::sync::mpsc::unbounded_channel;

const BY: &str = "tokio-uring";

async fn timers(count: u64) -> io::Result<()> {
    let task = |delay, argument| {
        tokio_uring::spawn(async move {
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
    let ask = move |question| {
        post.send(question).expect("the loop receives until all is answered");
    };
    wakes::round_trips(BY, senders, each, ask, |total| {
        tokio_uring::start(wakes::answer_all(total, async || asked.recv().await));
    })
}

fn main() -> io::Result<()> {
    in_tasks::measure(|count| tokio_uring::start(timers(count)), round_trips)
}
