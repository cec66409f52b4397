//! The small measurements on tokio-uring, whose timers and channels are
//! tokio's, beside its ring; `micro` says what they are.

use std::io;
use tigereye_peers::args::Args;
use tigereye_peers::micro::wakes::{self, Question, Senders};
use tigereye_peers::micro::{Amounts, in_tasks};
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
    let senders = Senders::start(senders, each, move |question| {
        post.send(question).expect("the loop receives until all is answered");
    })?;
    tokio_uring::start(async {
        for _ in 0..senders.total() {
            if let Some(question) = asked.recv().await {
                question.answer();
            }
        }
    });
    senders.report(BY)
}

fn main() -> io::Result<()> {
    let mut args = Args::from_env();
    let amounts = Amounts::from_args(&mut args);
    args.finish();
    tokio_uring::start(timers(amounts.timers))?;
    wakes::each_count(amounts.wakes, round_trips)
}
