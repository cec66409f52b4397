//! The small measurements on monoio; `micro` says what they are.

use flume::unbounded;
use monoio::time::TimeDriver;
use monoio::{IoUringDriver, Runtime, RuntimeBuilder};
use std::io;
use tigereye_peers::micro::in_tasks;
use tigereye_peers::micro::wakes::{self, Question};

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
