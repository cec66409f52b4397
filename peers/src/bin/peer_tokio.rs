//! Echo and HTTP on tokio: a task and a buffer per connection.
//!
//! ```text
//!   --runtime current            all on one thread (the default)
//!             multi --threads N  on N workers that take tasks from each other
//! ```

use std::cell::RefCell;
use std::io;
use std::os::fd::OwnedFd;
use tigereye_peers::args::{Args, fail};
use tigereye_peers::buffer::Buffer;
use tigereye_peers::server::{Mode, Server};
use tigereye_peers::service::{Hello, Service};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::pipe::Receiver;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};

thread_local! {
    /// A worker's own, so that the date is worked out once a second and nothing is locked.
    static HELLO: RefCell<Hello> = RefCell::default();
}

/// A read or a write that was partial says that the socket is empty or full, and tokio then waits
/// without another attempt, as the loops by hand do.
async fn echo(mut stream: TcpStream, size: usize) -> io::Result<()> {
    let mut buf = Buffer::new(size);
    loop {
        if stream.read_buf(buf.empty()).await? == 0 {
            return Ok(());
        }
        stream.write_all(buf.bytes()).await?;
    }
}

async fn http(mut stream: TcpStream, size: usize) -> io::Result<()> {
    let mut state = <Hello as Service>::State::default();
    let (mut buf, mut out) = (Buffer::new(size), vec![0; size]);
    loop {
        if stream.read_buf(buf.empty()).await? == 0 {
            return Ok(());
        }
        let mut input = buf.bytes();
        loop {
            let answer =
                |hello: &RefCell<Hello>| hello.borrow_mut().respond(&mut state, input, &mut out);
            let response = HELLO.with(answer);
            stream.write_all(&out[..response.len]).await?;
            if response.close {
                return Ok(());
            }
            if !response.more {
                break;
            }
            input = &[];
        }
    }
}

async fn accept(listener: TcpListener, mode: Mode, size: usize) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => match mode {
                Mode::Echo => drop(tokio::spawn(echo(stream, size))),
                Mode::Http => drop(tokio::spawn(http(stream, size))),
            },
            // Out of descriptors: tried again when others have had their turn.
            Err(_) => tokio::task::yield_now().await,
        }
    }
}

/// Accepts in a task of its own, because what `block_on` runs is on no worker.
async fn serve(listener: TcpListener, signal: OwnedFd, mode: Mode, size: usize) -> io::Result<()> {
    tokio::spawn(accept(listener, mode, size));
    // No pipe, but like one in what is asked of it; `AsyncFd` takes unsafe code.
    let signal = Receiver::from_owned_fd_unchecked(signal)?;
    signal.readable().await.map(drop)
}

fn runtime(args: &mut Args) -> io::Result<Runtime> {
    let mut builder = match args.get("runtime", "current".to_owned()).as_str() {
        "current" => Builder::new_current_thread(),
        "multi" => {
            let mut builder = Builder::new_multi_thread();
            let threads = args.get("threads", 1);
            if threads == 0 {
                fail("--threads 0: at least one");
            }
            builder.worker_threads(threads);
            builder
        }
        other => fail(&format!("--runtime {other}: current or multi")),
    };
    builder.enable_io().build()
}

fn main() -> io::Result<()> {
    let mut args = Args::from_env();
    let server = Server::start(&mut args)?;
    let size = server.buffer(&mut args);
    // Its threads come after the server's start, which blocks the signals for all of them.
    let runtime = runtime(&mut args)?;
    args.finish();
    server.announce()?;
    let Server { mode, listener, signal, .. } = server;
    runtime.block_on(async { serve(TcpListener::from_std(listener)?, signal, mode, size).await })
}
