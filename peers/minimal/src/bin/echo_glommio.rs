//! Echo on glommio.

use futures_lite::{AsyncReadExt, AsyncWriteExt};
use glommio::net::{TcpListener, TcpStream};
use glommio::{LocalExecutor, spawn_local};

async fn echo(mut stream: TcpStream) -> std::io::Result<()> {
    let mut buf = vec![0; 4096];
    loop {
        let len = stream.read(&mut buf).await?;
        if len == 0 {
            return Ok(());
        }
        stream.write_all(&buf[..len]).await?;
    }
}

fn main() -> std::io::Result<()> {
    LocalExecutor::default().run(async {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        println!("listening {}", listener.local_addr()?);
        loop {
            spawn_local(echo(listener.accept().await?)).detach();
        }
    })
}
