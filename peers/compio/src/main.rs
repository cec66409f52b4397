//! Echo, HTTP, a file over HTTP, datagrams and accepting on compio: a task per connection.
//!
//! ```text
//!   messages under 4 KiB, requests   read_multi: multishot receives into the runtime's buffer pool
//!   larger ones                      read, into a buffer of the connection's
//! ```
//!
//! Connections that are to be closed come by a multishot accept (`incoming`), a file by `read_at`.
//! The ring is made with what its builder calls best for a loop of one thread. `--driver polling`
//! is not built: with readiness compio does what others do better.

use compio::buf::{BufResult, IntoInner, IoBuf};
use compio::driver::{BufferRef, ProactorBuilder};
use compio::fs::File;
use compio::io::{AsyncRead, AsyncReadAt, AsyncReadMulti, AsyncWriteExt};
use compio::net::{TcpListener, TcpStream, UdpSocket};
use compio::runtime::{Runtime, RuntimeBuilder};
use futures_util::{Stream, StreamExt};
use std::cell::RefCell;
use std::io;
use std::num::NonZero;
use std::pin::{Pin, pin};
use std::rc::Rc;
use tigereye_peers::buffer::Buffer;
use tigereye_peers::server::{CHUNK, DATAGRAM_MAX, Mode, Server};
use tigereye_peers::service::{Page, Service};

/// Entries of the submission queue: those of one turn.
const ENTRIES: u32 = 4096;

/// Bytes of a message from which on [`echo_large`] is faster.
const LARGE: u32 = 4096;
/// Buffers of the pool, which the kernel takes in turn: fewer run out with 512 connections, more are
/// not in the cache when their turn comes.
const POOLED: NonZero<u16> = NonZero::new(2048).unwrap();
/// Bytes of each.
const POOLED_BYTES: usize = 4096;

/// The next piece. Of an empty pool it is told by an error, and asks again.
async fn next(
    mut pieces: Pin<&mut impl Stream<Item = io::Result<BufferRef>>>,
) -> io::Result<Option<BufferRef>> {
    loop {
        match pieces.next().await {
            Some(Err(error)) if error.kind() == io::ErrorKind::ResourceBusy => {}
            piece => return piece.transpose(),
        }
    }
}

/// Where it finds the pool empty, a connection goes on with a buffer of its own: with more
/// connections than the pool has buffers, asking again costs more.
async fn echo(stream: TcpStream, size: usize) -> io::Result<()> {
    {
        let (mut input, mut output) = (&stream, &stream);
        let mut pieces = pin!(input.read_multi(0));
        loop {
            match pieces.next().await {
                Some(Ok(piece)) => output.write_all(piece).await.0?,
                Some(Err(error)) if error.kind() == io::ErrorKind::ResourceBusy => break,
                Some(Err(error)) => return Err(error),
                None => return Ok(()),
            }
        }
    }
    echo_large(stream, size).await
}

async fn echo_large(mut stream: TcpStream, size: usize) -> io::Result<()> {
    let (mut bytes, start) = Buffer::new(size).into_parts();
    loop {
        bytes.truncate(start);
        let BufResult(result, filled) = stream.read(bytes.slice(start..start + size)).await;
        if result? == 0 {
            return Ok(());
        }
        let BufResult(result, filled) = stream.write_all(filled).await;
        result?;
        bytes = filled.into_inner();
    }
}

/// What all HTTP connections have in common.
struct Site {
    page: RefCell<Page>,
    /// What goes out behind a head, and its length.
    file: Option<(File, u64)>,
}

/// Sends the head that `out` begins with, and the contents of the file.
async fn send_file(
    mut output: &TcpStream,
    mut out: Vec<u8>,
    head: usize,
    (file, length): &(File, u64),
) -> io::Result<Vec<u8>> {
    let (mut start, mut offset) = (head, 0);
    while offset < *length {
        let BufResult(result, filled) = file.read_at(out.slice(start..start + CHUNK), offset).await;
        let len = result?;
        if len == 0 {
            // It has shrunk, and the head promised more.
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let bytes = filled.into_inner().slice(..start + len);
        let BufResult(result, sent) = output.write_all(bytes).await;
        result?;
        (out, start, offset) = (sent.into_inner(), 0, offset + len as u64);
    }
    Ok(out)
}

async fn http(stream: TcpStream, size: usize, site: Rc<Site>) -> io::Result<()> {
    let mut state = <Page as Service>::State::default();
    let mut out = vec![0; if site.file.is_some() { size + CHUNK } else { size }];
    let (mut requests, mut output) = (&stream, &stream);
    let mut pieces = pin!(requests.read_multi(0));
    while let Some(piece) = next(pieces.as_mut()).await? {
        let mut input = &piece[..];
        loop {
            let response = site.page.borrow_mut().respond(&mut state, input, &mut out);
            out = if let Some(file) = site.file.as_ref().filter(|_| response.contents) {
                send_file(&stream, out, response.len, file).await?
            } else {
                let BufResult(result, sent) = output.write_all(out.slice(..response.len)).await;
                result?;
                sent.into_inner()
            };
            if response.close {
                return Ok(());
            }
            if !response.more {
                break;
            }
            input = &[];
        }
    }
    Ok(())
}

async fn datagrams(socket: Rc<UdpSocket>) -> io::Result<()> {
    let mut bytes = Vec::with_capacity(DATAGRAM_MAX);
    loop {
        let BufResult(result, filled) = socket.recv_from(bytes).await;
        let (_len, from) = result?;
        // That nobody is there any more is said of the socket, and does not end it.
        let BufResult(_sent, filled) = socket.send_to(filled, from).await;
        bytes = filled;
        bytes.clear();
    }
}

async fn serve(server: Server, size: usize) -> io::Result<()> {
    if let Some(socket) = server.socket {
        // The kernel tells a receive on a non-blocking socket that another one was quicker.
        socket.set_nonblocking(false)?;
        let socket = Rc::new(UdpSocket::from_std(socket)?);
        for _ in 1..server.hints.datagrams() {
            compio::runtime::spawn(datagrams(Rc::clone(&socket))).detach();
        }
        return datagrams(socket).await;
    }
    let file = match server.contents {
        Some(contents) => Some((File::open(contents.path).await?, contents.length)),
        None => None,
    };
    let page = file.as_ref().map_or_else(Page::hello, |(_, length)| Page::file(*length));
    let site = Rc::new(Site { page: RefCell::new(page), file });
    let listener = TcpListener::from_std(server.listener)?;
    let mut incoming = listener.incoming();
    loop {
        // Out of descriptors: tried again when others have had their turn.
        let Some(Ok(stream)) = incoming.next().await else { continue };
        match server.mode {
            Mode::Accept => drop(stream),
            Mode::Echo if server.hints.size < LARGE => {
                compio::runtime::spawn(echo(stream, size)).detach()
            }
            Mode::Echo => compio::runtime::spawn(echo_large(stream, size)).detach(),
            _ => compio::runtime::spawn(http(stream, size, Rc::clone(&site))).detach(),
        }
    }
}

fn runtime() -> io::Result<Runtime> {
    let mut ring = ProactorBuilder::new();
    ring.capacity(ENTRIES).single_issuer(true).coop_taskrun(true).defer_taskrun(true);
    ring.buffer_pool_size(POOLED).buffer_pool_buffer_len(POOLED_BYTES);
    RuntimeBuilder::new().with_proactor(ring).build()
}

fn main() -> io::Result<()> {
    let (server, size) = Server::of_library()?;
    let runtime = runtime()?;
    server.announce()?;
    runtime.block_on(serve(server, size))
}
