//! Echo, HTTP, datagrams and accepting on tokio-uring: a task and a buffer per connection, one
//! operation under way on each, as its examples have it.
//!
//! tokio-uring watches its ring through tokio's epoll, and reads completions without asking the
//! kernel for them. So they must come by themselves: `DEFER_TASKRUN` is out of the question here.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use tigereye_peers::buffer::Buffer;
use tigereye_peers::server::{DATAGRAM_MAX, Mode, Server};
use tigereye_peers::service::{Page, Service};
use tokio_uring::buf::BoundedBuf;
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

async fn http(stream: TcpStream, size: usize, page: Rc<RefCell<Page>>) -> io::Result<()> {
    let mut state = <Page as Service>::State::default();
    let (mut bytes, mut out) = (Vec::with_capacity(size), vec![0; size]);
    loop {
        let (result, filled) = stream.read(bytes).await;
        let len = result?;
        if len == 0 {
            return Ok(());
        }
        let mut input = &filled[..len];
        loop {
            let response = page.borrow_mut().respond(&mut state, input, &mut out);
            let (result, sent) = stream.write_all(out.slice(..response.len)).await;
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
        return datagrams(UdpSocket::from_std(socket)).await;
    }
    let page = Rc::new(RefCell::new(Page::hello()));
    let listener = TcpListener::from_std(server.listener);
    loop {
        // Out of descriptors: tried again when others have had their turn.
        let Ok((stream, _from)) = listener.accept().await else { continue };
        match server.mode {
            Mode::Accept => drop(stream),
            Mode::Http => drop(tokio_uring::spawn(http(stream, size, Rc::clone(&page)))),
            _ => drop(tokio_uring::spawn(echo(stream, size))),
        }
    }
}

fn main() -> io::Result<()> {
    let (server, size) = Server::of_library("tokio-uring")?;
    server.announce()?;
    let mut ring = tokio_uring::uring_builder();
    ring.setup_single_issuer().setup_coop_taskrun();
    tokio_uring::builder().entries(ENTRIES).uring_builder(&ring).start(serve(server, size))
}
