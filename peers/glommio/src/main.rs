//! Echo, HTTP, a file over HTTP, datagrams and accepting on glommio: a task and a buffer per
//! connection, as its example of a server has it.
//!
//! One executor, with as deep a ring as the loops by hand have. glommio tries each call before it
//! goes to the ring, which is its own choice and no setting. It locks memory: 512 KiB must be
//! allowed (`ulimit -l`). `--spin MICROSECONDS` has it spin before it parks its thread, which it does only
//! where it is bound to a core: the one that servers are on.
//!
//! A file is read with `BufferedFile::read_at`, into a buffer that glommio makes for each call: its
//! other files go past the memory that the others read from.

use futures_lite::{AsyncReadExt, AsyncWriteExt};
use glommio::io::BufferedFile;
use glommio::net::{TcpListener, TcpStream, UdpSocket};
use glommio::{LocalExecutorBuilder, Placement, spawn_local};
use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use tigereye_peers::args::Args;
use tigereye_peers::buffer::Buffer;
use tigereye_peers::driver;
use tigereye_peers::harness::program::SERVER_CORE;
use tigereye_peers::server::{CHUNK, Contents, DATAGRAM_MAX, Mode, Server, announce};
use tigereye_peers::service::{Page, Service};

/// Entries of the submission queue.
const ENTRIES: usize = 4096;

async fn echo(mut stream: TcpStream, size: usize) -> io::Result<()> {
    let mut buf = Buffer::zeroed(size);
    loop {
        let len = stream.read(buf.room()).await?;
        if len == 0 {
            return Ok(());
        }
        stream.write_all(&buf.room()[..len]).await?;
    }
}

/// What all HTTP connections have in common.
struct Site {
    page: RefCell<Page>,
    /// What goes out behind a head, and its length.
    file: Option<(BufferedFile, u64)>,
}

async fn send_contents(
    stream: &mut TcpStream,
    (file, length): &(BufferedFile, u64),
) -> io::Result<()> {
    let mut offset = 0;
    while offset < *length {
        let bytes = file.read_at(offset, CHUNK).await?;
        if bytes.is_empty() {
            // It has shrunk, and the head promised more.
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        stream.write_all(&bytes).await?;
        offset += bytes.len() as u64;
    }
    Ok(())
}

async fn http(mut stream: TcpStream, size: usize, site: Rc<Site>) -> io::Result<()> {
    let mut state = <Page as Service>::State::default();
    let (mut buf, mut out) = (vec![0; size], vec![0; size]);
    loop {
        let len = stream.read(&mut buf).await?;
        if len == 0 {
            return Ok(());
        }
        let mut input = &buf[..len];
        loop {
            let response = site.page.borrow_mut().respond(&mut state, input, &mut out);
            stream.write_all(&out[..response.len]).await?;
            if let Some(file) = site.file.as_ref().filter(|_| response.contents) {
                send_contents(&mut stream, file).await?;
            }
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

async fn datagrams(socket: UdpSocket) -> io::Result<()> {
    let mut buf = vec![0; DATAGRAM_MAX];
    loop {
        let (len, from) = socket.recv_from(&mut buf).await?;
        // That nobody is there any more is said of the socket, and does not end it.
        let _ = socket.send_to(&buf[..len], from).await;
    }
}

async fn serve(
    mode: Mode,
    addr: SocketAddr,
    size: usize,
    contents: Option<Contents>,
) -> io::Result<()> {
    if mode == Mode::Udp {
        let socket = UdpSocket::bind(addr)?;
        announce(addr)?;
        return datagrams(socket).await;
    }
    let file = match contents {
        Some(contents) => Some((BufferedFile::open(contents.path).await?, contents.length)),
        None => None,
    };
    let page = file.as_ref().map_or_else(Page::hello, |(_, length)| Page::file(*length));
    let site = Rc::new(Site { page: RefCell::new(page), file });
    let listener = TcpListener::bind(addr)?;
    announce(addr)?;
    loop {
        // Out of descriptors: tried again when others have had their turn.
        let Ok(stream) = listener.accept().await else { continue };
        match mode {
            Mode::Accept => drop(stream),
            Mode::Echo => {
                stream.set_nodelay(true)?;
                spawn_local(echo(stream, size)).detach();
            }
            _ => {
                stream.set_nodelay(true)?;
                spawn_local(http(stream, size, Rc::clone(&site))).detach();
            }
        }
    }
}

fn main() -> io::Result<()> {
    let mut args = Args::from_env();
    let spin = driver::spin(&mut args);
    let (server, size) = Server::of_library_with(args)?;
    let placement = spin.map_or(Placement::Unbound, |_spin| Placement::Fixed(SERVER_CORE));
    let executor = LocalExecutorBuilder::new(placement).ring_depth(ENTRIES);
    let executor = executor.spin_before_park(spin.unwrap_or_default()).make()?;
    let addr = server.addr()?;
    // glommio takes an address, and no socket that is there already without unsafe code.
    let Server { mode, contents, listener, socket, .. } = server;
    drop((listener, socket));
    executor.run(serve(mode, addr, size, contents))
}
