//! nginx, where it is installed: one process, as the other servers are one.

use super::file_page::FilePage;
use super::program::{Server, spawn_server};
use crate::sys::process;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Its program.
pub const PROGRAM: &str = "nginx";
/// Why it is left out, if it is.
pub const WANTED: &str = "not installed (package nginx-light)";
const PACKAGE: &str = "nginx-light";
const START_MAX: Duration = Duration::from_secs(10);

/// The version, if it is there or can be installed.
#[must_use]
pub fn version() -> Option<String> {
    let version = || {
        let output = Command::new(PROGRAM).arg("-v").output().ok()?;
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        said.rsplit_once('/').map(|(_, version)| version.to_owned())
    };
    version().or_else(|| process::install(PACKAGE).then(version)?)
}

/// As its documentation of tuning has it: files by sendfile(2), connections kept for any number of
/// requests, nothing written to a log. Without its supervisor, so that the process is the server.
fn configuration(addr: SocketAddr, root: &Path, own: &Path) -> String {
    let (root, own) = (root.display(), own.display());
    format!(
        "daemon off; master_process off; pid {own}/nginx.pid; error_log stderr crit;
        events {{ worker_connections 16384; multi_accept on; use epoll; }}
        http {{
            access_log off; sendfile on; tcp_nopush on; tcp_nodelay on;
            keepalive_requests 1000000000; keepalive_timeout 1h;
            open_file_cache max=16; default_type application/octet-stream;
            client_body_temp_path {own}/client_body; proxy_temp_path {own}/proxy;
            fastcgi_temp_path {own}/fastcgi;
            uwsgi_temp_path {own}/uwsgi; scgi_temp_path {own}/scgi;
            server {{
                listen {addr} backlog=4096; root {root};
                location = /hello {{ default_type \"text/plain; charset=utf-8\";
                    return 200 \"Hello, World!\\n\"; }}
            }}
        }}"
    )
}

/// Starts it, with the file of `page` if that is to be served.
pub fn serve(label: &str, page: Option<&FilePage>) -> io::Result<Server> {
    // nginx takes no socket that is bound already, and says no port that it chose.
    let addr = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let folder = std::env::temp_dir().join(format!("tigereye-nginx.{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let root = page.map_or(folder.as_path(), FilePage::folder).canonicalize()?;
    let written = folder.join("nginx.conf");
    std::fs::write(&written, configuration(addr, &root, &folder))?;
    let mut command = Command::new(PROGRAM);
    command.arg("-c").arg(&written).args(["-e", "stderr"]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::inherit());
    let server = Server::at(spawn_server(&mut command)?, addr, label, folder);
    let begin = Instant::now();
    while let Err(error) = TcpStream::connect(addr) {
        if begin.elapsed() > START_MAX {
            return Err(io::Error::other(format!("{label} does not listen: {error}")));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(server)
}
