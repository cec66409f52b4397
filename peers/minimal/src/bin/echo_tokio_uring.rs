//! Echo on tokio-uring.

use tokio_uring::buf::BoundedBuf;
use tokio_uring::net::{TcpListener, TcpStream};

async fn echo(stream: TcpStream) -> std::io::Result<()> {
    let mut buf = vec![0; 4096];
    loop {
        let (result, filled) = stream.read(buf).await;
        let len = result?;
        if len == 0 {
            return Ok(());
        }
        let (result, filled) = stream.write_all(filled.slice(..len)).await;
        result?;
        buf = filled.into_inner();
    }
}

fn main() -> std::io::Result<()> {
    tokio_uring::start(async {
        let listener = TcpListener::bind(([127, 0, 0, 1], 0).into())?;
        println!("listening {}", listener.local_addr()?);
        loop {
            let (stream, _) = listener.accept().await?;
            tokio_uring::spawn(echo(stream));
        }
    })
}
