//! The small measurements on tokio's current-thread runtime; `micro` says what they are.

use std::io;
use tigereye_peers::args::Args;
use tigereye_peers::micro::wakes::{self, Question, Senders};
use tigereye_peers::micro::{Amounts, in_tasks};
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
    let senders = Senders::start(senders, each, move |question| {
        post.send(question).expect("the loop receives until all is answered");
    })?;
    runtime.block_on(async {
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
    runtime()?.block_on(timers(amounts.timers))?;
    wakes::each_count(amounts.wakes, round_trips)
}
