//! Echo, HTTP, a file over HTTP, datagrams and accepting on tokio-uring: a task and a buffer per
//! connection, one operation under way on each, as its examples have it. Registered buffers, which
//! one of them has, are no faster, and as many as the kernel registers.
//!
//! tokio-uring watches its ring through tokio's epoll, and reads completions without asking the
//! kernel for them. So they must come by themselves: `DEFER_TASKRUN` is out of the question here.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use tigereye_peers::buffer::Buffer;
use tigereye_peers::server::{CHUNK, DATAGRAM_MAX, Mode, Server};
use tigereye_peers::service::{Page, Service};
use tokio_uring::buf::BoundedBuf;
use tokio_uring::fs::File;
use tokio_uring::net::{TcpListener, TcpStream, UdpSocket};

/// Entries of the submission queue: those of one turn.
const ENTRIES: u32 = 4096;

async fn echo(stream: TcpStream, size: usize) -> io::Result<()> {
    let (mut bytes, start) = Buffer::new(size).into_parts();
    loop {
        bytes.truncate(start);
        let (result, filled) = stream.read(bytes.slice(start..start + size)).await;
        let len = result?;
        if len == 0 {
            return Ok(());
        }
        let (result, filled) =
            stream.write_all(filled.into_inner().slice(start..start + len)).await;
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
    stream: &TcpStream,
    mut out: Vec<u8>,
    head: usize,
    (file, length): &(File, u64),
) -> io::Result<Vec<u8>> {
    let (mut start, mut offset) = (head, 0);
    while offset < *length {
        let (result, filled) = file.read_at(out.slice(start..start + CHUNK), offset).await;
        let len = result?;
        if len == 0 {
            // It has shrunk, and the head promised more.
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let (result, sent) = stream.write_all(filled.into_inner().slice(..start + len)).await;
        result?;
        (out, start, offset) = (sent.into_inner(), 0, offset + len as u64);
    }
    Ok(out)
}

async fn http(stream: TcpStream, size: usize, site: Rc<Site>) -> io::Result<()> {
    let mut state = <Page as Service>::State::default();
    let room = if site.file.is_some() { size + CHUNK } else { size };
    let (mut bytes, mut out) = (Vec::with_capacity(size), vec![0; room]);
    loop {
        let (result, filled) = stream.read(bytes).await;
        let len = result?;
        if len == 0 {
            return Ok(());
        }
        let mut input = &filled[..len];
        loop {
            let response = site.page.borrow_mut().respond(&mut state, input, &mut out);
            out = if let Some(file) = site.file.as_ref().filter(|_| response.contents) {
                send_file(&stream, out, response.len, file).await?
            } else {
                let (result, sent) = stream.write_all(out.slice(..response.len)).await;
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
        bytes.clear();
    }
}

async fn datagrams(socket: Rc<UdpSocket>) -> io::Result<()> {
    let mut bytes = Vec::with_capacity(DATAGRAM_MAX);
    loop {
        let (result, filled) = socket.recv_from(bytes).await;
        let (len, from) = result?;
        // That nobody is there any more is said of the socket, and does not end it.
        let (_sent, filled) = socket.send_to(filled.slice(..len), from).await;
        bytes = filled.into_inner();
        bytes.clear();
    }
}

async fn serve(server: Server, size: usize) -> io::Result<()> {
    if let Some(socket) = server.socket {
        // The kernel tells a receive on a non-blocking socket that another one was quicker.
        socket.set_nonblocking(false)?;
        let socket = Rc::new(UdpSocket::from_std(socket));
        for _ in 1..server.hints.datagrams() {
            drop(tokio_uring::spawn(datagrams(Rc::clone(&socket))));
        }
        return datagrams(socket).await;
    }
    let file = server.contents.map(|contents| (File::from_std(contents.file), contents.length));
    let page = file.as_ref().map_or_else(Page::hello, |(_, length)| Page::file(*length));
    let site = Rc::new(Site { page: RefCell::new(page), file });
    let listener = TcpListener::from_std(server.listener);
    loop {
        // Out of descriptors: tried again when others have had their turn.
        let Ok((stream, _from)) = listener.accept().await else { continue };
        match server.mode {
            Mode::Accept => drop(stream),
            Mode::Echo => drop(tokio_uring::spawn(echo(stream, size))),
            _ => drop(tokio_uring::spawn(http(stream, size, Rc::clone(&site)))),
        }
    }
}

fn main() -> io::Result<()> {
    let (server, size) = Server::of_library()?;
    server.announce()?;
    let mut ring = tokio_uring::uring_builder();
    ring.setup_single_issuer().setup_coop_taskrun();
    tokio_uring::builder().entries(ENTRIES).uring_builder(&ring).start(serve(server, size))
}
