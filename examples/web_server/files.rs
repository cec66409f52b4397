//! Files under the root: what a path names, and which part of it to send (RFC 9110, 13 and 14).
//!
//! Opening and reading block, so they run on the loop's pool, a part at a time.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use crate::request::Request;
use crate::response;
use crate::server::Server;

const PART_BYTES: u64 = 256 * 1024;

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

/// A file to send, and how far it has come.
pub(crate) struct Plan {
    root: Arc<PathBuf>,
    relative: PathBuf,
    is_head: bool,
    range: Option<String>,
    if_range: Option<String>,
    if_none_match: Option<String>,
    if_modified_since: Option<String>,
    open: Option<Open>,
    head_written: bool,
}

struct Open {
    status: u16,
    file: Option<File>,
    first: u64,
    at: u64,
    end: u64,
    length: u64,
    modified: SystemTime,
    tag: String,
}

impl Plan {
    pub(crate) fn new(root: &Arc<PathBuf>, relative: PathBuf, request: &Request<'_>) -> Plan {
        let owned = |value: Option<&str>| value.map(str::to_owned);
        Plan {
            root: Arc::clone(root),
            relative,
            is_head: request.is_head,
            range: owned(request.range),
            if_range: owned(request.if_range),
            if_none_match: owned(request.if_none_match),
            if_modified_since: owned(request.if_modified_since),
            open: None,
            head_written: false,
        }
    }

    /// Opens the file where that is still to be done, and reads its next part. On the pool.
    ///
    /// # Errors
    /// The file shrank or cannot be read, after its head was sent.
    pub(crate) fn next_part(mut self) -> io::Result<(Vec<u8>, Plan)> {
        if self.open.is_none() {
            self.open = Some(self.open_file());
        }
        let mut part = Vec::new();
        if let Some(Open { file: Some(file), at, end, .. }) = &mut self.open
            && !self.is_head
        {
            let count = (*end - *at).min(PART_BYTES);
            part.resize(usize::try_from(count).unwrap_or(0), 0);
            file.read_exact_at(&mut part, *at)?;
            *at += count;
        }
        Ok((part, self))
    }

    fn open_file(&self) -> Open {
        let missing = |status| Open {
            status,
            file: None,
            first: 0,
            at: 0,
            end: 0,
            length: 0,
            modified: SystemTime::UNIX_EPOCH,
            tag: String::new(),
        };
        match self.try_open() {
            Ok(open) => open,
            Err(_) => missing(404),
        }
    }

    fn try_open(&self) -> io::Result<Open> {
        // Links may not lead out of the root; a FIFO must not block the open.
        let path = self.root.join(&self.relative).canonicalize()?;
        let not_found = || io::Error::from(io::ErrorKind::NotFound);
        if !path.starts_with(self.root.as_path()) {
            return Err(not_found());
        }
        let path = match path.is_dir() {
            true => path.join("index.html").canonicalize()?,
            false => path,
        };
        if !path.starts_with(self.root.as_path()) {
            return Err(not_found());
        }
        let file = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(not_found());
        }
        let (length, modified) = (metadata.len(), metadata.modified()?);
        let since = modified.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let tag = format!("\"{:x}-{length:x}\"", since.as_nanos());
        let mut open = Open {
            status: 200,
            file: Some(file),
            first: 0,
            at: 0,
            end: length,
            length,
            modified,
            tag,
        };
        self.narrow(&mut open);
        Ok(open)
    }

    /// Applies conditions and range.
    fn narrow(&self, open: &mut Open) {
        let seconds = |time: SystemTime| {
            time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
        };
        let unchanged_since = |date: &str| {
            httpdate::parse_http_date(date).is_ok_and(|at| seconds(open.modified) <= seconds(at))
        };
        let unchanged = match (&self.if_none_match, &self.if_modified_since) {
            (Some(tags), _) => tags.split(',').any(|tag| {
                let tag = tag.trim();
                tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == open.tag
            }),
            (None, Some(date)) => unchanged_since(date),
            (None, None) => false,
        };
        if unchanged {
            (open.status, open.file, open.end) = (304, None, 0);
            return;
        }
        let same = self.if_range.as_ref().is_none_or(|validator| {
            *validator == open.tag
                || httpdate::parse_http_date(validator)
                    .is_ok_and(|at| seconds(open.modified) == seconds(at))
        });
        match self
            .range
            .as_deref()
            // Only GET has ranges (RFC 9110, 14.2).
            .filter(|_| same && !self.is_head)
            .and_then(|range| parse_range(range, open.length))
        {
            // A range that is malformed, or several at once, is passed over (RFC 9110, 14.2).
            None => {}
            Some(Some((first, end))) => {
                (open.status, open.first, open.at, open.end) = (206, first, first, end);
            }
            Some(None) => (open.status, open.file, open.end) = (416, None, 0),
        }
    }

    /// The response's head, where it is not written yet.
    pub(crate) fn head(&self, server: &Server, close: bool) -> Vec<u8> {
        let mut head = Vec::new();
        let Some(open) = self.open.as_ref().filter(|_| !self.head_written) else { return head };
        response::begin(server, open.status, close, &mut head);
        let body = match open.status {
            404 => response::reason(404),
            _ => "",
        };
        let first = open.first;
        let _ = match open.status {
            200 | 206 | 304 => write!(
                head,
                "ETag: {}\r\nLast-Modified: {}\r\nAccept-Ranges: bytes\r\n",
                open.tag,
                httpdate::HttpDate::from(open.modified)
            ),
            416 => write!(head, "Content-Range: bytes */{}\r\n", open.length),
            _ => Ok(()),
        };
        if open.status == 206 {
            let (last, length) = (open.end - 1, open.length);
            let _ = write!(head, "Content-Range: bytes {first}-{last}/{length}\r\n");
        }
        if open.status != 304 {
            let length = if body.is_empty() { open.end - first } else { body.len() as u64 };
            let kind =
                if open.file.is_some() { content_type(&self.relative) } else { "text/plain" };
            let _ = write!(head, "Content-Type: {kind}\r\nContent-Length: {length}\r\n");
        }
        head.extend_from_slice(b"\r\n");
        if !self.is_head {
            head.extend_from_slice(body.as_bytes());
        }
        head
    }

    /// What is left to send after the part that was read.
    pub(crate) fn rest(mut self) -> Option<Plan> {
        self.head_written = true;
        let open = self.open.as_ref()?;
        (open.file.is_some() && open.at < open.end && !self.is_head).then_some(self)
    }
}

/// First byte and end of a single range; `Some(None)` when it lies outside the file.
#[expect(clippy::option_option, reason = "no range, none that fits, or one")]
fn parse_range(value: &str, length: u64) -> Option<Option<(u64, u64)>> {
    let (first, last) = value.strip_prefix("bytes=")?.split_once('-')?;
    let number = |text: &str| -> Option<u64> {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if digits { text.parse().ok() } else { None }
    };
    let (first, end) = match (first.trim(), last.trim()) {
        ("", suffix) => (length.saturating_sub(number(suffix)?), length),
        (first, "") => (number(first)?, length),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            if last < first {
                return None;
            }
            (first, last.saturating_add(1).min(length))
        }
    };
    Some((first < end).then_some((first, end)))
}

fn content_type(path: &Path) -> &'static str {
    match path.extension().and_then(|extension| extension.to_str()).unwrap_or("html") {
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
        "pdf" => "application/pdf",
        "wasm" => "application/wasm",
        _ => "application/octet-stream",
    }
}
