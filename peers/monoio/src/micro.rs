//! The small measurements on monoio; `micro` says what they are.

use flume::unbounded;
use monoio::time::TimeDriver;
use monoio::{IoUringDriver, Runtime, RuntimeBuilder};
use std::io;
use tigereye_peers::args::Args;
use tigereye_peers::micro::wakes::{self, Question, Senders};
use tigereye_peers::micro::{Amounts, in_tasks};

const BY: &str = "monoio";

fn runtime() -> io::Result<Runtime<TimeDriver<IoUringDriver>>> {
    let mut ring = io_uring::IoUring::builder();
    ring.setup_single_issuer().setup_coop_taskrun().setup_defer_taskrun();
    RuntimeBuilder::<IoUringDriver>::new().uring_builder(ring).enable_timer().build()
}

async fn timers(count: u64) -> io::Result<()> {
    let task = |delay, argument| {
        monoio::spawn(async move {
            in_tasks::begun();
            monoio::time::sleep(delay).await;
            in_tasks::fired(argument);
        });
    };
    in_tasks::fire(BY, count, task).await?;
    in_tasks::cancel(BY, count, monoio::time::sleep)
}

/// By a channel of another library, as monoio's own example of this has it, for it has none.
fn round_trips(senders: usize, each: u64) -> io::Result<()> {
    let (post, asked) = unbounded::<Question>();
    let mut runtime = runtime()?;
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
