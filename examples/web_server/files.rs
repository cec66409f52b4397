//! Files under the root: what a path names, and how it is sent.
//!
//! Finding and opening it can block, so they run on the loop's pool, with the reading of a small one;
//! a large one goes from the file to the socket.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
#[cfg(unix)]
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use crate::conditions::{Conditions, Outcome, State};
use crate::request::{Persistence, Request};
use crate::response;

/// What is larger is sent from the file to the socket, and not read; on Windows all is read.
const SMALL_BYTES: u64 = if cfg!(windows) { u64::MAX } else { 16 * 1024 };

/// The relative path that a request's path names.
///
/// # Errors
/// The status to answer with, for a path that is malformed or tries to leave the root.
pub(crate) fn resolve(path: &str) -> Result<PathBuf, u16> {
    let mut decoded = Vec::with_capacity(path.len());
    let mut bytes = path.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let mut digit = || bytes.next().and_then(|byte| char::from(byte).to_digit(16));
        let (Some(high), Some(low)) = (digit(), digit()) else { return Err(400) };
        let byte = u8::try_from(high * 16 + low).map_err(|_| 400_u16)?;
        // An encoded separator is no separator, and no file's name has one.
        if byte == b'/' || byte == b'\\' {
            return Err(404);
        }
        decoded.push(byte);
    }
    let decoded = String::from_utf8(decoded).map_err(|_| 400_u16)?;
    if decoded.contains(['\0', '\\']) {
        return Err(400);
    }
    let relative = PathBuf::from(decoded.trim_start_matches('/'));
    let plain = |part: Component<'_>| matches!(part, Component::Normal(_));
    if !relative.components().all(plain) || decoded.split('/').any(|part| part == ".") {
        return Err(404);
    }
    Ok(relative)
}

/// What is to be sent of an open file.
pub(crate) struct Part {
    pub(crate) file: File,
    pub(crate) offset: u64,
    pub(crate) count: u64,
}

impl Part {
    fn read(mut self, output: &mut Vec<u8>) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(self.offset))?;
        let count = self.file.take(self.count).read_to_end(output)? as u64;
        if count < self.count { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
    }
}

/// Whether the system has nothing left to open a file with.
fn is_exhausted(error: &io::Error) -> bool {
    #[cfg(unix)]
    return matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE | libc::ENOMEM));
    #[cfg(windows)]
    {
        /// `ERROR_TOO_MANY_OPEN_FILES`.
        const TOO_MANY: i32 = 4;
        error.raw_os_error() == Some(TOO_MANY) || error.kind() == io::ErrorKind::OutOfMemory
    }
}

/// A file that was asked for.
pub(crate) struct Plan {
    root: Arc<PathBuf>,
    /// As the request has it, and what it names.
    path: String,
    relative: PathBuf,
    is_head: bool,
    persistence: Persistence,
    date: String,
    conditions: Conditions,
}

/// What a path turned out to be.
enum Found {
    File(File, &'static str),
    /// A directory whose path lacks the slash that relative links in it need.
    Directory,
}

impl Plan {
    pub(crate) fn new(
        root: &Arc<PathBuf>,
        relative: PathBuf,
        date: String,
        request: &mut Request<'_>,
    ) -> Plan {
        Plan {
            root: Arc::clone(root),
            path: request.path().to_owned(),
            relative,
            is_head: request.is_head,
            persistence: request.persistence,
            date,
            conditions: std::mem::take(&mut request.conditions),
        }
    }

    /// Opens the file and appends the head, and with it the contents of a file that is not large; of
    /// a larger one gives what is to be sent from it. On the pool.
    ///
    /// # Errors
    /// The file shrank or cannot be read, after its head was written.
    pub(crate) fn begin(self, output: &mut Vec<u8>) -> io::Result<Option<Part>> {
        let part = match self.find() {
            Ok(Found::File(file, kind)) => self.begin_file(file, kind, output)?,
            Ok(Found::Directory) => {
                self.begin_head(301, output);
                // One slash in front: with two, what follows would be a host.
                let path = self.path.trim_start_matches('/');
                write!(output, "Location: /{path}/\r\nContent-Length: 0\r\n\r\n")?;
                None
            }
            Err(error) => {
                let status = if is_exhausted(&error) { 503 } else { 404 };
                self.begin_head(status, output);
                response::end(status, "text/plain", &[], self.is_head, output);
                None
            }
        };
        match part {
            Some(part) if part.count <= SMALL_BYTES => part.read(output).map(|()| None),
            part => Ok(part),
        }
    }

    fn find(&self) -> io::Result<Found> {
        // Links may not lead out of the root; a FIFO must not block the open.
        let inside = |path: PathBuf| {
            let path = path.canonicalize()?;
            let is_inside = path.starts_with(self.root.as_path());
            if is_inside { Ok(path) } else { Err(io::Error::from(io::ErrorKind::NotFound)) }
        };
        let mut path = inside(self.root.join(&self.relative))?;
        let mut name = self.relative.as_path();
        if path.is_dir() {
            name = Path::new("index.html");
            path = inside(path.join(name))?;
            if !self.path.ends_with('/') {
                return Ok(Found::Directory);
            }
        }
        let mut options = File::options();
        #[cfg(unix)]
        options.custom_flags(libc::O_NONBLOCK);
        let file = options.read(true).open(path)?;
        Ok(Found::File(file, content_type(name)))
    }

    fn begin_file(&self, file: File, kind: &str, output: &mut Vec<u8>) -> io::Result<Option<Part>> {
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            self.begin_head(404, output);
            response::end(404, "text/plain", &[], self.is_head, output);
            return Ok(None);
        }
        let (length, modified) = (metadata.len(), metadata.modified()?);
        let since = modified.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let tag = format!("\"{:x}-{length:x}\"", since.as_nanos());
        let state = State { tag: &tag, modified, length };
        let (status, first, end) = match self.conditions.outcome(&state, self.is_head) {
            Outcome::Whole => (200, 0, length),
            Outcome::Part(first, end) => (206, first, end),
            Outcome::NotModified => (304, 0, 0),
            Outcome::PreconditionFailed => (412, 0, 0),
            Outcome::OutOfRange => (416, 0, 0),
        };
        self.begin_head(status, output);
        if status < 400 {
            let modified = httpdate::HttpDate::from(modified);
            write!(output, "ETag: {tag}\r\nLast-Modified: {modified}\r\nAccept-Ranges: bytes\r\n")?;
        }
        match status {
            206 => write!(output, "Content-Range: bytes {first}-{}/{length}\r\n", end - 1)?,
            416 => write!(output, "Content-Range: bytes */{length}\r\n")?,
            _ => {}
        }
        match status {
            304 => output.extend_from_slice(b"\r\n"),
            200 | 206 => {
                let count = end - first;
                write!(output, "Content-Type: {kind}\r\nContent-Length: {count}\r\n\r\n")?;
            }
            _ => response::end(status, "text/plain", &[], self.is_head, output),
        }
        if self.is_head || first == end {
            return Ok(None);
        }
        Ok(Some(Part { file, offset: first, count: end - first }))
    }

    fn begin_head(&self, status: u16, output: &mut Vec<u8>) {
        response::begin(status, self.date.as_bytes(), self.persistence, output);
    }
}

/// By the name's extension. What is not known is for the client to save, not to show.
fn content_type(name: &Path) -> &'static str {
    let extension = name.extension().and_then(|extension| extension.to_str()).unwrap_or("");
    match extension.to_ascii_lowercase().as_str() {
        "html" | "htm" => "text/html; charset=utf-8",
        "txt" | "md" => "text/plain; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "json" => "application/json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "mp4" => "video/mp4",
        "pdf" => "application/pdf",
        "wasm" => "application/wasm",
        _ => "application/octet-stream",
    }
}
