//! Echo, HTTP, a file over HTTP, datagrams and accepting on monoio: a task and a buffer per
//! connection, one operation under way on each, as its examples have it.
//!
//! The ring is made through monoio's `uring_builder`: for one thread, and with completions that are
//! produced when that thread asks for them. A file is read with `File::read_at`, because its splice
//! takes from sockets alone (`io/splice.rs`).

use monoio::buf::{Slice, SliceMut};
use monoio::fs::File;
use monoio::io::{AsyncReadRent, AsyncWriteRentExt};
use monoio::net::udp::UdpSocket;
use monoio::net::{TcpListener, TcpStream};
use monoio::{IoUringDriver, Runtime, RuntimeBuilder};
use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use tigereye_peers::buffer::Buffer;
use tigereye_peers::server::{CHUNK, DATAGRAM_MAX, Mode, Server};
use tigereye_peers::service::{Page, Service};

/// Entries of the submission queue: those of one turn.
const ENTRIES: u32 = 4096;

async fn echo(mut stream: TcpStream, size: usize) -> io::Result<()> {
    let (mut bytes, start) = Buffer::new(size).into_parts();
    loop {
        bytes.truncate(start);
        let (result, filled) = stream.read(SliceMut::new(bytes, start, start + size)).await;
        if result? == 0 {
            return Ok(());
        }
        let (result, filled) = stream.write_all(filled).await;
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
    stream: &mut TcpStream,
    mut out: Box<[u8]>,
    head: usize,
    (file, length): &(File, u64),
) -> io::Result<Box<[u8]>> {
    let (mut start, mut offset) = (head, 0);
    while offset < *length {
        let room = SliceMut::new(out, start, start + CHUNK);
        let (result, filled) = file.read_at(room, offset).await;
        let len = result?;
        if len == 0 {
            // It has shrunk, and the head promised more.
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let bytes = Slice::new(filled.into_inner(), 0, start + len);
        let (result, sent) = stream.write_all(bytes).await;
        result?;
        (out, start, offset) = (sent.into_inner(), 0, offset + len as u64);
    }
    Ok(out)
}

async fn http(mut stream: TcpStream, size: usize, site: Rc<Site>) -> io::Result<()> {
    let mut state = <Page as Service>::State::default();
    let room = if site.file.is_some() { size + CHUNK } else { size };
    // No `Vec`, which a short read would shorten.
    let (mut bytes, mut out) = (Vec::with_capacity(size), vec![0; room].into_boxed_slice());
    loop {
        let (result, filled) = stream.read(bytes).await;
        if result? == 0 {
            return Ok(());
        }
        let mut input = &filled[..];
        loop {
            let response = site.page.borrow_mut().respond(&mut state, input, &mut out);
            out = if let Some(file) = site.file.as_ref().filter(|_| response.contents) {
                send_file(&mut stream, out, response.len, file).await?
            } else {
                let (result, sent) = stream.write_all(Slice::new(out, 0, response.len)).await;
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
        bytes = filled;
    }
}

async fn datagrams(socket: Rc<UdpSocket>) -> io::Result<()> {
    let mut bytes = Vec::with_capacity(DATAGRAM_MAX);
    loop {
        let (result, filled) = socket.recv_from(bytes).await;
        let (_len, from) = result?;
        // That nobody is there any more is said of the socket, and does not end it.
        let (_sent, filled) = socket.send_to(filled, from).await;
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
            drop(monoio::spawn(datagrams(Rc::clone(&socket))));
        }
        return datagrams(socket).await;
    }
    let file = match server.contents {
        Some(contents) => Some((File::from_std(contents.file)?, contents.length)),
        None => None,
    };
    let page = file.as_ref().map_or_else(Page::hello, |(_, length)| Page::file(*length));
    let site = Rc::new(Site { page: RefCell::new(page), file });
    let listener = TcpListener::from_std(server.listener)?;
    loop {
        // Out of descriptors: tried again when others have had their turn.
        let Ok((stream, _from)) = listener.accept().await else { continue };
        match server.mode {
            Mode::Accept => drop(stream),
            Mode::Echo => drop(monoio::spawn(echo(stream, size))),
            _ => drop(monoio::spawn(http(stream, size, Rc::clone(&site)))),
        }
    }
}

fn runtime() -> io::Result<Runtime<IoUringDriver>> {
    let mut ring = io_uring::IoUring::builder();
    ring.setup_single_issuer().setup_coop_taskrun().setup_defer_taskrun();
    RuntimeBuilder::<IoUringDriver>::new().with_entries(ENTRIES).uring_builder(ring).build()
}

fn main() -> io::Result<()> {
    let (server, size) = Server::of_library()?;
    let mut runtime = runtime()?;
    server.announce()?;
    runtime.block_on(serve(server, size))
}
