//! Echo, HTTP, datagrams and accepting on monoio: a task and a buffer per connection, one operation
//! under way on each, as its examples have it.
//!
//! The ring is made through monoio's `uring_builder`: for one thread, and with completions that are
//! produced when that thread asks for them.

use monoio::buf::{Slice, SliceMut};
use monoio::io::{AsyncReadRent, AsyncWriteRentExt};
use monoio::net::udp::UdpSocket;
use monoio::net::{TcpListener, TcpStream};
use monoio::{IoUringDriver, Runtime, RuntimeBuilder};
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
        let (result, filled) = stream.read(SliceMut::new(bytes, start, start + size)).await;
        if result? == 0 {
            return Ok(());
        }
        let (result, filled) = stream.write_all(filled).await;
        result?;
        bytes = filled.into_inner();
    }
}

async fn http(mut stream: TcpStream, size: usize, page: Rc<RefCell<Page>>) -> io::Result<()> {
    let mut state = <Page as Service>::State::default();
    let (mut bytes, mut out) = (Vec::with_capacity(size), vec![0; size]);
    loop {
        let (result, filled) = stream.read(bytes).await;
        if result? == 0 {
            return Ok(());
        }
        let mut input = &filled[..];
        loop {
            let response = page.borrow_mut().respond(&mut state, input, &mut out);
            let (result, sent) = stream.write_all(Slice::new(out, 0, response.len)).await;
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
    }
}

async fn datagrams(socket: UdpSocket) -> io::Result<()> {
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
        return datagrams(UdpSocket::from_std(socket)?).await;
    }
    let page = Rc::new(RefCell::new(Page::hello()));
    let listener = TcpListener::from_std(server.listener)?;
    loop {
        // Out of descriptors: tried again when others have had their turn.
        let Ok((stream, _from)) = listener.accept().await else { continue };
        match server.mode {
            Mode::Accept => drop(stream),
            Mode::Http => drop(monoio::spawn(http(stream, size, Rc::clone(&page)))),
            _ => drop(monoio::spawn(echo(stream, size))),
        }
    }
}

fn runtime() -> io::Result<Runtime<IoUringDriver>> {
    let mut ring = io_uring::IoUring::builder();
    ring.setup_single_issuer().setup_coop_taskrun().setup_defer_taskrun();
    RuntimeBuilder::<IoUringDriver>::new().with_entries(ENTRIES).uring_builder(ring).build()
}

fn main() -> io::Result<()> {
    let (server, size) = Server::of_library("monoio")?;
    let mut runtime = runtime()?;
    server.announce()?;
    runtime.block_on(serve(server, size))
}
