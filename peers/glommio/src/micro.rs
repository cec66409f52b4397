//! The small measurements on glommio; `micro` says what they are.

use flume::unbounded;
use glommio::timer::sleep;
use glommio::{LocalExecutor, LocalExecutorBuilder, Placement, spawn_local};
use std::io;
use tigereye_peers::args::Args;
use tigereye_peers::micro::wakes::{self, Question, Senders};
use tigereye_peers::micro::{Amounts, in_tasks};

const BY: &str = "glommio";

fn executor() -> io::Result<LocalExecutor> {
    Ok(LocalExecutorBuilder::new(Placement::Unbound).make()?)
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
fn round_trips(senders: usize, each: u64) -> io::Result<()> {
    let (post, asked) = unbounded::<Question>();
    let executor = executor()?;
    let senders = Senders::start(senders, each, move |question| {
        post.send(question).expect("the loop receives until all is answered");
    })?;
    executor.run(async {
        for _ in 0..senders.total() {
            if let Ok(question) = asked.recv_async().await {
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
    executor()?.run(timers(amounts.timers))?;
    wakes::each_count(amounts.wakes, round_trips)
}
