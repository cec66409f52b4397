//! The small measurements on compio; `micro` says what they are.

use compio::driver::ProactorBuilder;
use compio::runtime::{Runtime, RuntimeBuilder};
use flume::unbounded;
use std::io;
use tigereye_peers::args::Args;
use tigereye_peers::micro::wakes::{self, Question, Senders};
use tigereye_peers::micro::{Amounts, in_tasks};

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
    let senders = Senders::start(senders, each, move |question| {
        post.send(question).expect("the loop receives until all is answered");
    })?;
    runtime.block_on(async {
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
    runtime()?.block_on(timers(amounts.timers))?;
    wakes::each_count(amounts.wakes, round_trips)
}
