//! Echo, HTTP, datagrams and accepting on compio: a task and a buffer per connection, one operation
//! under way on each, as its examples have it.
//!
//! The ring is made with what its builder calls best for a loop of one thread. `--driver polling`
//! is not built: with readiness compio does what others do better.

use compio::buf::{BufResult, IntoInner, IoBuf};
use compio::driver::ProactorBuilder;
use compio::io::{AsyncRead, AsyncWriteExt};
use compio::net::{TcpListener, TcpStream, UdpSocket};
use compio::runtime::{Runtime, RuntimeBuilder};
use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use tigereye_peers::buffer::Buffer;
use tigereye_peers::server::{DATAGRAM_MAX, Mode, Server};
use tigereye_peers::service::{Page, Service};

/// Entries of the submission queue: those of one turn.
const ENTRIES: u32 = 4096;

async fn echo(mut stream: TcpStream, size: usize) -> io::Result<()> {
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

async fn http(mut stream: TcpStream, size: usize, page: Rc<RefCell<Page>>) -> io::Result<()> {
    let mut state = <Page as Service>::State::default();
    let (mut bytes, mut out) = (Vec::with_capacity(size), vec![0; size]);
    loop {
        let BufResult(result, filled) = stream.read(bytes).await;
        if result? == 0 {
            return Ok(());
        }
        let mut input = &filled[..];
        loop {
            let response = page.borrow_mut().respond(&mut state, input, &mut out);
            let BufResult(result, sent) = stream.write_all(out.slice(..response.len)).await;
            result?;
            if response.close {
                return Ok(());
            }
            out = sent.into_inner();
            if !response.more {
                break;
            }
            input = &[];
        }
        bytes = filled;
        bytes.clear();
    }
}

async fn datagrams(socket: UdpSocket) -> io::Result<()> {
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
        return datagrams(UdpSocket::from_std(socket)?).await;
    }
    let page = Rc::new(RefCell::new(Page::hello()));
    let listener = TcpListener::from_std(server.listener)?;
    loop {
        // Out of descriptors: tried again when others have had their turn.
        let Ok((stream, _from)) = listener.accept().await else { continue };
        match server.mode {
            Mode::Accept => drop(stream),
            Mode::Http => compio::runtime::spawn(http(stream, size, Rc::clone(&page))).detach(),
            _ => compio::runtime::spawn(echo(stream, size)).detach(),
        }
    }
}

fn runtime() -> io::Result<Runtime> {
    let mut ring = ProactorBuilder::new();
    ring.capacity(ENTRIES).single_issuer(true).coop_taskrun(true).defer_taskrun(true);
    RuntimeBuilder::new().with_proactor(ring).build()
}

fn main() -> io::Result<()> {
    let (server, size) = Server::of_library("compio")?;
    let runtime = runtime()?;
    server.announce()?;
    runtime.block_on(serve(server, size))
}
